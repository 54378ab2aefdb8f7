use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::record::{OffsetKey, OffsetValue, Record};
use crate::{Name, Persisted, Ticket};

/// A machine with its journal: persists succeed at once unless `hold` is set.
struct Rig {
    machine: Transactions<u32>,
    now: i64,
    journal: Vec<Record>,
    markers: Vec<Marker>,
    offsets: Vec<(OffsetKey, OffsetValue)>,
    answers: HashMap<u32, TxnResponse>,
    held: Vec<Ticket>,
    hold: bool,
    next: u32,
}

impl Rig {
    fn new() -> Self {
        let mut machine = Transactions::new(TxnConfig::default());
        machine.start(0);
        Self {
            machine,
            now: 1000,
            journal: vec![],
            markers: vec![],
            offsets: vec![],
            answers: HashMap::new(),
            held: vec![],
            hold: false,
            next: 0,
        }
    }

    fn token(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn run(&mut self) {
        loop {
            let outputs = self.machine.take_outputs();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                match output {
                    TxnOutput::Reply { to, response } => {
                        assert!(self.answers.insert(to, response).is_none(), "{to} answered twice");
                    }
                    TxnOutput::Persist { ticket, records, markers, offsets } => {
                        self.journal.extend(records);
                        self.markers.extend(markers);
                        self.offsets.extend(offsets);
                        if self.hold {
                            self.held.push(ticket);
                        } else {
                            self.machine.persisted(ticket, Persisted::Durable, self.now);
                        }
                    }
                }
            }
        }
    }

    fn init(
        &mut self,
        id: &str,
        claimed: Option<TxnProducer>,
        fresh: i64,
    ) -> Result<TxnProducer, TxnError> {
        let to = self.token();
        let request = InitTxn { id: id.into(), timeout: 60_000, claimed, fresh };
        self.machine.init(request, to, self.now);
        self.run();
        match self.answers.remove(&to) {
            Some(TxnResponse::Init(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn add(&mut self, id: &str, producer: TxnProducer, partition: i32) -> Result<(), TxnError> {
        let to = self.token();
        let partitions = vec![at(partition)];
        self.machine.add_partitions(&id.into(), producer, partitions, to, self.now);
        self.run();
        match self.answers.remove(&to) {
            Some(TxnResponse::Added(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn end(
        &mut self,
        id: &str,
        producer: TxnProducer,
        commit: bool,
        renew: Option<i64>,
    ) -> Result<Ended, TxnError> {
        let to = self.token();
        self.machine.end(EndTxn { id: id.into(), producer, commit, renew }, to, self.now);
        self.run();
        match self.answers.remove(&to) {
            Some(TxnResponse::Ended(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn restart(&mut self) {
        let mut machine = Transactions::new(TxnConfig::default());
        for record in &self.journal {
            assert!(machine.restore(&record.key, record.value.as_deref()).unwrap());
        }
        machine.start(self.now);
        self.machine = machine;
        self.held.clear();
    }
}

fn at(partition: i32) -> TxnPartition {
    TxnPartition { topic: "t".into(), partition }
}

#[test]
fn a_transaction_commits_with_one_marker_per_partition() {
    let mut rig = Rig::new();
    let producer = rig.init("a", None, 7).unwrap();
    assert_eq!(producer, TxnProducer { id: 7, epoch: 0 });
    rig.add("a", producer, 1).unwrap();
    rig.add("a", producer, 2).unwrap();
    rig.add("a", producer, 1).unwrap();
    rig.machine.verify(producer, &at(1)).unwrap();
    assert_eq!(rig.machine.verify(producer, &at(3)), Err(TxnError::InvalidState));
    assert_eq!(rig.end("a", producer, true, None).unwrap().producer, producer);
    let expected: Vec<_> =
        [1, 2].map(|p| Marker { partition: at(p), producer, commit: true }).to_vec();
    assert_eq!(rig.markers, expected);
    assert_eq!(rig.machine.verify(producer, &at(1)), Err(TxnError::InvalidState), "it has ended");
    assert_eq!(rig.end("a", producer, true, None).unwrap().producer, producer, "asked again");
    assert_eq!(rig.end("a", producer, false, None), Err(TxnError::InvalidState));
    assert_eq!(rig.markers.len(), 2, "asking again writes nothing");
}

#[test]
fn ending_with_a_new_epoch_shuts_out_what_comes_late() {
    let mut rig = Rig::new();
    let first = rig.init("a", None, 7).unwrap();
    rig.add("a", first, 1).unwrap();
    let second = rig.end("a", first, true, Some(8)).unwrap().producer;
    assert_eq!(second, TxnProducer { id: 7, epoch: 1 });
    assert_eq!(rig.markers[0].producer, second, "the marker fences the old epoch in the log, too");
    assert_eq!(rig.end("a", first, true, Some(8)).unwrap().producer, second, "the answer was lost");
    assert_eq!(rig.end("a", first, false, Some(8)), Err(TxnError::Fenced));
    assert_eq!(rig.add("a", first, 1), Err(TxnError::Fenced));
    assert_eq!(rig.end("a", second, false, Some(8)).unwrap().producer.epoch, 2, "abort of nothing");
    assert_eq!(rig.end("a", second, true, Some(8)), Err(TxnError::Fenced));
}

#[test]
fn a_new_instance_aborts_what_the_old_one_left_open() {
    let mut rig = Rig::new();
    let old = rig.init("a", None, 7).unwrap();
    rig.add("a", old, 1).unwrap();
    let new = rig.init("a", None, 8).unwrap();
    assert_eq!(new, TxnProducer { id: 7, epoch: 1 });
    assert_eq!(rig.markers, [Marker { partition: at(1), producer: new, commit: false }]);
    assert_eq!(rig.end("a", old, true, None), Err(TxnError::Fenced));
    assert_eq!(rig.init("a", Some(old), 8), Err(TxnError::Fenced));
    assert_eq!(rig.init("a", Some(new), 8).unwrap().epoch, 2);
}

#[test]
fn who_claims_an_identity_gets_a_new_one_where_none_is_known_and_is_fenced_where_another_is() {
    let mut rig = Rig::new();
    let claimed = TxnProducer { id: 0, epoch: 0 };
    let given = rig.init("a", Some(claimed), 7).unwrap();
    assert_eq!(given, TxnProducer { id: 7, epoch: 0 });
    rig.add("a", given, 1).unwrap();
    assert_eq!(rig.init("a", Some(claimed), 8), Err(TxnError::Fenced));
    assert!(rig.end("a", given, true, None).is_ok(), "who was refused fenced nobody");
}

#[test]
fn epochs_that_are_used_up_give_a_new_identity() {
    let mut rig = Rig::new();
    let mut producer = rig.init("a", None, 7).unwrap();
    while producer.id == 7 {
        assert!(producer.epoch < i16::MAX, "the last epoch is for the fencing marker");
        producer = rig.init("a", None, 8).unwrap();
    }
    assert_eq!(producer, TxnProducer { id: 8, epoch: 0 });
    assert_eq!(rig.machine.id_of(7), None);
    rig.add("a", producer, 1).unwrap();
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_and_fenced() {
    let mut rig = Rig::new();
    let producer = rig.init("a", None, 7).unwrap();
    rig.add("a", producer, 1).unwrap();
    rig.now += 59_999;
    rig.machine.tick(rig.now);
    rig.run();
    assert!(rig.markers.is_empty(), "not yet");
    assert_eq!(rig.machine.next_deadline(), Some(rig.now + 1));
    rig.now += 1;
    rig.machine.tick(rig.now);
    rig.run();
    let fenced = TxnProducer { id: 7, epoch: 1 };
    assert_eq!(rig.markers, [Marker { partition: at(1), producer: fenced, commit: false }]);
    assert_eq!(rig.end("a", producer, true, None), Err(TxnError::Fenced));
}

#[test]
fn offsets_come_out_with_the_commit_only() {
    for commit in [true, false] {
        let mut rig = Rig::new();
        let producer = rig.init("a", None, 7).unwrap();
        let key = OffsetKey { group: "g".into(), topic: "t".into(), partition: 0 };
        let value = |offset| OffsetValue {
            offset,
            leader_epoch: -1,
            note: "".into(),
            committed_at: 1,
            expires_at: None,
        };
        let to = rig.token();
        rig.machine.add_group(&"a".into(), producer, to, rig.now);
        for offset in [5, 9] {
            let to = rig.token();
            let offsets = vec![(key.clone(), value(offset))];
            rig.machine.add_offsets(&"a".into(), producer, offsets, to, rig.now);
        }
        rig.run();
        rig.restart();
        rig.end("a", producer, commit, None).unwrap();
        let expected = if commit { vec![(key, value(9))] } else { vec![] };
        assert_eq!(rig.offsets, expected, "the last one of each partition, over a restart");
    }
}

#[test]
fn requests_wait_for_the_step_before_them_and_a_failed_one_changes_nothing() {
    let mut rig = Rig::new();
    let producer = rig.init("a", None, 7).unwrap();
    rig.hold = true;
    let (first, second) = (rig.token(), rig.token());
    rig.machine.add_partitions(&"a".into(), producer, vec![at(1)], first, rig.now);
    rig.machine.end(
        EndTxn { id: "a".into(), producer, commit: true, renew: None },
        second,
        rig.now,
    );
    rig.run();
    assert!(rig.answers.is_empty());
    let ticket = rig.held.pop().unwrap();
    rig.machine.persisted(ticket, Persisted::Failed, rig.now);
    rig.run();
    assert_eq!(rig.answers[&first], TxnResponse::Added(Err(TxnError::NotAvailable)));
    assert_eq!(
        rig.answers[&second],
        TxnResponse::Ended(Err(TxnError::InvalidState)),
        "nothing began"
    );
}

#[test]
fn unused_ids_are_forgotten() {
    let mut rig = Rig::new();
    rig.init("a", None, 7).unwrap();
    rig.now += TxnConfig::default().id_expiry;
    rig.machine.tick(rig.now);
    rig.run();
    assert_eq!(rig.machine.describe("a"), Err(TxnError::NotFound));
    rig.restart();
    assert_eq!(rig.machine.describe("a"), Err(TxnError::NotFound), "also after a restart");
}

#[derive(Debug, Clone)]
enum Act {
    Init,
    Add(i32),
    End(bool, bool),
    Wait,
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => Just(Act::Init),
        4 => (0..3).prop_map(Act::Add),
        3 => (any::<bool>(), any::<bool>()).prop_map(|(commit, renew)| Act::End(commit, renew)),
        1 => Just(Act::Wait),
        1 => Just(Act::Restart),
    ]
}

proptest! {
    /// Two instances of one producer do what they like. Whatever happens: every partition that took
    /// part gets exactly one marker when the transaction ends, epochs never go back, and a restart
    /// finds the state that was left.
    #[test]
    fn every_open_partition_is_closed_once(acts in prop::collection::vec((0usize..2, act()), 1..60)) {
        let mut rig = Rig::new();
        let mut instances = [None; 2];
        let mut open = std::collections::BTreeSet::new();
        let mut highest = TxnProducer { id: 7, epoch: 0 };
        for (who, act) in acts {
            let seen = rig.markers.len();
            match act {
                Act::Init => instances[who] = rig.init("a", None, 7).ok(),
                Act::Add(partition) => {
                    if let Some(producer) = instances[who]
                        && rig.add("a", producer, partition).is_ok()
                    {
                        open.insert(partition);
                    }
                }
                Act::End(commit, renew) => {
                    if let Some(producer) = instances[who]
                        && let Ok(ended) = rig.end("a", producer, commit, renew.then_some(7))
                    {
                        instances[who] = Some(ended.producer);
                    }
                }
                Act::Wait => {
                    rig.now += 30_000;
                    rig.machine.tick(rig.now);
                    rig.run();
                }
                Act::Restart => {
                    let before = rig.machine.list();
                    rig.restart();
                    prop_assert_eq!(rig.machine.list(), before);
                }
            }
            for marker in &rig.markers[seen..] {
                prop_assert!(open.remove(&marker.partition.partition), "{:?} was not open", marker);
                prop_assert!(marker.producer >= highest);
            }
            let described = rig.machine.list();
            if let Some(txn) = described.first() {
                prop_assert!(txn.producer >= highest);
                highest = txn.producer;
                let listed: std::collections::BTreeSet<_> =
                    txn.partitions.iter().map(|p| p.partition).collect();
                prop_assert_eq!(&listed, &open);
            }
            prop_assert!(rig.answers.is_empty());
        }
    }
}

#[test]
fn damaged_records_are_refused() {
    let mut rig = Rig::new();
    let producer = rig.init("a", None, 7).unwrap();
    rig.add("a", producer, 1).unwrap();
    let record = rig.journal.pop().unwrap();
    let value = record.value.unwrap();
    for cut in 1..value.len() {
        let mut machine: Transactions<u32> = Transactions::new(TxnConfig::default());
        assert!(machine.restore(&record.key, Some(&value[..cut])).is_err(), "cut at {cut}");
    }
    let mut machine: Transactions<u32> = Transactions::new(TxnConfig::default());
    let other = crate::record::Key::Group(Name::from("g")).encode();
    assert!(!machine.restore(&other, Some(&value)).unwrap(), "another kind of record is not ours");
}
