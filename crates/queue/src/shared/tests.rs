//! The engine against a naive model, and its behaviour told one by one.

mod ledger;
mod model;

use base::{Offset, TopicId};

use super::types::Why;
use super::*;
use crate::record::Record;
use crate::{Name, Persisted, Ticket};

/// The engine on a partition, with a disk that a crash falls back to.
struct World {
    engine: Subscriptions<u32>,
    key: PartitionKey,
    terms: Terms,
    now: i64,
    /// What is on disk.
    disk: Vec<Record>,
    /// On their way there.
    writes: Vec<(Ticket, Vec<Record>)>,
    replies: Vec<(u32, SharedResponse)>,
    dead: Vec<DeadLetter>,
    wakes: usize,
}

impl World {
    fn new(start: Offset, terms: Terms) -> Self {
        let key = PartitionKey { subscription: "s".into(), topic: TopicId(7), partition: 3 };
        let mut engine = Subscriptions::new(SharedConfig::default());
        engine.start();
        let mut world = Self {
            engine,
            key,
            terms,
            now: 1_000_000,
            disk: Vec::new(),
            writes: Vec::new(),
            replies: Vec::new(),
            dead: Vec::new(),
            wakes: 0,
        };
        let key = world.key.clone();
        world.engine.open(&key, start, 0);
        world.run();
        world.write(Persisted::Durable);
        assert_eq!(world.replies.pop(), Some((0, SharedResponse::Written(Ok(())))));
        world
    }

    fn run(&mut self) {
        for output in self.engine.take_outputs() {
            match output {
                SharedOutput::Reply { to, response } => self.replies.push((to, response)),
                SharedOutput::Persist { ticket, records } => self.writes.push((ticket, records)),
                SharedOutput::Wake { .. } => self.wakes += 1,
                SharedOutput::Bury(letter) => self.dead.push(letter),
            }
        }
    }

    /// Ends all writes.
    fn write(&mut self, outcome: Persisted) {
        for (ticket, records) in std::mem::take(&mut self.writes) {
            if outcome == Persisted::Durable {
                self.disk.extend(records);
            }
            self.engine.persisted(ticket, outcome, self.now);
        }
        self.run();
    }

    fn read(&mut self) -> Option<std::ops::Range<Offset>> {
        let region = self.engine.begin_read(&self.key, 0, 0, self.terms).unwrap();
        region.map(|region| region.offsets)
    }

    /// Acquires from a log of batches of ten records each that ends at `log_end`.
    fn take(&mut self, holder: &str, records_max: usize, log_end: Offset) -> Vec<Acquired> {
        let Some(region) = self.read() else { return Vec::new() };
        let from = region.start / 10 * 10;
        let batches: Vec<_> =
            (from..region.end.min(log_end)).step_by(10).map(|b| b..b + 10).collect();
        let read = region.start..batches.last().map_or(region.start, |last| last.end);
        let take = Take { records_max, strict: false };
        let holder = Name::from(holder);
        let got = self.engine.acquire(
            &self.key,
            &holder,
            &Span { covered: read, batches },
            take,
            self.now,
        );
        self.engine.end_read(&self.key);
        self.run();
        got
    }

    fn say(
        &mut self,
        holder: &str,
        first: Offset,
        last: Offset,
        disposition: Disposition,
    ) -> Result<(), SharedError> {
        let of = vec![Acknowledgement { first, last, disposition }];
        let of = [(self.key.clone(), self.terms, of)];
        self.engine.acknowledge(&Name::from(holder), &of, 1, self.now);
        self.run();
        self.write(Persisted::Durable);
        match self.replies.pop() {
            Some((1, SharedResponse::Acknowledged(results))) => results[0],
            other => panic!("no answer but {other:?}"),
        }
    }

    fn pass(&mut self, millis: i64) {
        self.now += millis;
        self.engine.tick(self.now);
        self.run();
    }

    fn crash(&mut self) {
        self.writes.clear();
        self.replies.clear();
        self.dead.clear();
        self.engine = Subscriptions::new(SharedConfig::default());
        for Record { key, value } in &self.disk {
            assert!(self.engine.restore(key, value.as_deref()).unwrap());
        }
        self.engine.start();
        self.run();
    }

    fn position(&self) -> Position {
        self.engine.positions("s")[0].1
    }
}

fn got(first: Offset, last: Offset, deliveries: u16) -> Acquired {
    Acquired { first, last, deliveries }
}

#[test]
fn records_are_taken_once_by_whole_batches_and_come_back_before_new_ones() {
    let mut world = World::new(0, Terms::default());
    assert_eq!(world.take("a", 15, 100), [got(0, 19, 1)], "the batch is taken to its end");
    assert_eq!(world.take("b", 5, 100), [got(20, 29, 1)]);
    assert_eq!(world.say("a", 0, 4, Disposition::Accept), Ok(()));
    assert_eq!(world.say("a", 5, 6, Disposition::Release), Ok(()));
    assert_eq!(world.take("b", 100, 100), [got(5, 6, 2)]);
    assert_eq!(world.take("b", 100, 100), [got(30, 99, 1)]);
    assert_eq!(world.take("b", 100, 100), []);
    assert_eq!(world.position().start, 5);
}

#[test]
fn who_goes_on_reading_is_not_sent_back_to_what_came_back_meanwhile() {
    let mut world = World::new(0, Terms::default());
    world.take("a", 30, 100);
    assert_eq!(world.say("a", 3, 5, Disposition::Release), Ok(()));
    assert_eq!(world.say("a", 12, 25, Disposition::Release), Ok(()));
    let mut from = |from| {
        let (key, terms) = (world.key.clone(), world.terms);
        let region = world.engine.begin_read(&key, 0, from, terms).unwrap().unwrap();
        world.engine.end_read(&key);
        (region.offsets.start, region.offsets.end)
    };
    assert_eq!(from(0), (3, 6));
    assert_eq!(from(10), (12, 26));
    assert_eq!(from(20), (20, 26));
    assert_eq!(from(26), (30, 2_000));
    assert_eq!(from(40), (40, 2_000));
}

#[test]
fn who_does_not_hold_all_of_it_says_nothing() {
    let mut world = World::new(0, Terms::default());
    world.take("a", 10, 100);
    assert_eq!(world.say("b", 0, 9, Disposition::Accept), Err(SharedError::NotHeld));
    assert_eq!(world.say("a", 0, 10, Disposition::Accept), Err(SharedError::NotHeld));
    assert_eq!(world.say("a", 5, 4, Disposition::Accept), Err(SharedError::InvalidOffsets));
    assert_eq!(world.say("a", 0, 9, Disposition::Accept), Ok(()));
    assert_eq!(world.say("a", 0, 9, Disposition::Accept), Ok(()), "again: it is done");
    assert_eq!(world.position().start, 10);
}

#[test]
fn a_lease_ends_by_itself_unless_it_is_renewed() {
    let mut world = World::new(0, Terms::default());
    world.take("a", 10, 100);
    world.pass(20_000);
    assert_eq!(world.say("a", 0, 4, Disposition::Renew), Ok(()));
    world.pass(10_100);
    assert_eq!(world.wakes, 1);
    assert_eq!(world.say("a", 5, 9, Disposition::Accept), Err(SharedError::NotHeld));
    assert_eq!(world.take("b", 1, 100), [got(5, 9, 2)]);
    world.pass(20_000);
    assert_eq!(world.take("b", 5, 100), [got(0, 4, 2)]);
    world.pass(20_000);
    assert_eq!(world.take("c", 5, 100), [got(5, 9, 3)]);
}

#[test]
fn what_comes_back_too_often_or_is_rejected_is_a_dead_letter() {
    let terms = Terms { deliveries_max: 2, dead_letters: true, ..Terms::default() };
    let mut world = World::new(0, terms);
    world.take("a", 10, 10);
    assert_eq!(world.say("a", 3, 3, Disposition::Reject), Ok(()));
    assert_eq!(world.say("a", 0, 2, Disposition::Release), Ok(()));
    world.take("a", 10, 10);
    assert_eq!(world.say("a", 0, 1, Disposition::Release), Ok(()));
    let letter = |first, last, why, deliveries| DeadLetter {
        key: world.key.clone(),
        first,
        last,
        why,
        deliveries,
    };
    let all = [letter(3, 3, Why::Rejected, 1), letter(0, 1, Why::TooManyDeliveries, 2)];
    assert_eq!(world.dead, all);
    assert_eq!(world.position().start, 0, "they hold the window until they are buried");
    world.crash();
    world.dead.sort_by_key(|letter| std::cmp::Reverse(letter.first));
    assert_eq!(world.dead, all, "a restart buries them");
    let key = world.key.clone();
    world.engine.buried(&key, 0, 1);
    assert_eq!(world.position().start, 2);
}

#[test]
fn the_window_is_bounded_and_who_waits_for_it_is_woken() {
    let mut world = World::new(0, Terms { window_max: 25, ..Terms::default() });
    assert_eq!(world.take("a", 1000, 1000), [got(0, 24, 1)]);
    assert_eq!(world.take("a", 1000, 1000), []);
    assert_eq!(world.say("a", 1, 24, Disposition::Accept), Ok(()));
    assert_eq!((world.take("a", 1000, 1000), world.wakes), (vec![], 0));
    assert_eq!(world.say("a", 0, 0, Disposition::Accept), Ok(()));
    assert_eq!(world.wakes, 1);
    assert_eq!(world.take("a", 1000, 1000), [got(25, 49, 1)]);
}

#[test]
fn strict_takes_not_one_record_more() {
    let mut world = World::new(0, Terms::default());
    let region = world.read().unwrap();
    let take = Take { records_max: 13, strict: true };
    let span = Span { covered: region.start..20, batches: vec![0..10, 10..20] };
    let (key, a) = (world.key.clone(), Name::from("a"));
    let got_it = world.engine.acquire(&key, &a, &span, take, world.now);
    assert_eq!(got_it, [got(0, 12, 1)]);
    world.engine.end_read(&key);
    assert_eq!(world.take("b", 1, 100), [got(13, 19, 1)]);
}

#[test]
fn what_is_in_no_batch_is_done() {
    let mut world = World::new(0, Terms::default());
    world.read().unwrap();
    let take = Take { records_max: 100, strict: false };
    let (key, a) = (world.key.clone(), Name::from("a"));
    let span = Span { covered: 0..12, batches: vec![3..5, 8..10] };
    let got_it = world.engine.acquire(&key, &a, &span, take, world.now);
    assert_eq!(got_it, [got(3, 4, 1), got(8, 9, 1)]);
    assert_eq!((world.position().start, world.position().end), (3, 12));
    world.engine.end_read(&key);
    assert_eq!(world.say("a", 3, 4, Disposition::Accept), Ok(()));
    assert_eq!(world.position().start, 8);
}

#[test]
fn one_reads_at_a_time_and_the_others_are_woken() {
    let mut world = World::new(0, Terms::default());
    assert!(world.read().is_some());
    assert_eq!(world.read(), None);
    let key = world.key.clone();
    world.engine.end_read(&key);
    world.run();
    assert_eq!(world.wakes, 1);
    assert!(world.read().is_some());
}

#[test]
fn a_consumer_that_goes_gives_back_what_it_has() {
    let mut world = World::new(0, Terms::default());
    world.take("a", 10, 100);
    world.take("b", 10, 100);
    world.engine.give_back(&"s".into(), &"a".into(), false);
    assert_eq!(world.take("c", 10, 100), [got(0, 9, 1)], "it was not looked at");
    world.engine.give_back(&"s".into(), &"b".into(), true);
    assert_eq!(world.take("c", 10, 100), [got(10, 19, 2)]);
}

#[test]
fn a_write_that_fails_is_not_confirmed_and_the_next_one_writes_everything() {
    let mut world = World::new(0, Terms::default());
    world.take("a", 10, 100);
    let of = vec![Acknowledgement { first: 0, last: 4, disposition: Disposition::Accept }];
    let of = [(world.key.clone(), world.terms, of)];
    world.engine.acknowledge(&"a".into(), &of, 1, world.now);
    world.run();
    world.write(Persisted::Failed);
    let failed = SharedResponse::Acknowledged(vec![Err(SharedError::NotAvailable)]);
    assert_eq!(world.replies.pop(), Some((1, failed)));
    world.pass(1_000);
    world.write(Persisted::Durable);
    world.crash();
    assert_eq!(world.position().start, 5);
    assert_eq!(world.take("b", 5, 100), [got(5, 9, 2)], "acquisitions are written, too");
}

#[test]
fn a_subscription_that_begins_at_the_newest_begins_there_after_a_crash() {
    let mut world = World::new(42, Terms::default());
    world.crash();
    assert_eq!(world.read(), Some(42..2_042));
}

#[test]
fn what_the_log_has_dropped_is_done() {
    let mut world = World::new(0, Terms::default());
    world.take("a", 10, 100);
    let region = world.engine.begin_read(&world.key.clone(), 50, 0, world.terms).unwrap();
    assert_eq!(region, Some(Region { offsets: 50..2_050 }));
    assert_eq!(world.say("a", 0, 9, Disposition::Accept), Ok(()), "late, but no harm");
}

#[test]
fn a_reset_or_a_deletion_leaves_nothing_behind() {
    let mut world = World::new(0, Terms::default());
    world.take("a", 10, 100);
    world.say("a", 0, 4, Disposition::Accept).unwrap();
    world.engine.reset(vec![(world.key.clone(), 2)], Vec::new(), 9);
    world.run();
    world.write(Persisted::Durable);
    assert_eq!(world.replies.pop(), Some((9, SharedResponse::Written(Ok(())))));
    world.crash();
    assert_eq!(world.take("b", 1, 10), [got(2, 9, 1)]);
    world.engine.delete(&"s".into(), None, Vec::new(), 10);
    world.run();
    world.write(Persisted::Durable);
    assert_eq!(world.replies.pop(), Some((10, SharedResponse::Written(Ok(())))));
    world.pass(60_000);
    world.crash();
    assert_eq!(world.engine.positions("s"), []);
    assert_eq!(world.engine.names(), Vec::<Name>::new());
}

#[test]
fn the_bytes_on_disk_are_these() {
    let world = World::new(5, Terms::default());
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let key = "01200000000173000000000000000000000000000000070000 0003".replace(' ', "");
    assert_eq!(hex(&world.disk[0].key), key);
    assert_eq!(hex(world.disk[0].value.as_ref().unwrap()), "01000000000000000500000000");
    let mut world = world;
    world.take("a", 1, 10);
    world.say("a", 7, 7, Disposition::Reject).unwrap();
    let delta = &world.disk[1];
    assert_eq!(hex(&delta.key[..2]), "0121");
    let runs = [
        "0000000000000005 0000000000000006 00 0001",
        "0000000000000007 0000000000000007 01 0000",
        "0000000000000008 0000000000000009 00 0001",
    ];
    let value = format!("01 0000000000000005 00000003 {}", runs.join("")).replace(' ', "");
    assert_eq!(hex(delta.value.as_ref().unwrap()), value);
}

#[test]
fn damaged_records_are_refused() {
    let mut engine: Subscriptions<u32> = Subscriptions::new(SharedConfig::default());
    let world = World::new(5, Terms::default());
    let Record { key, value } = &world.disk[0];
    let value = value.as_ref().unwrap();
    for cut in 1..value.len() {
        assert!(engine.restore(key, Some(&value[..cut])).is_err());
    }
    let mut backwards = value.to_vec();
    backwards[9..].copy_from_slice(&1u32.to_be_bytes());
    backwards.extend_from_slice(&9i64.to_be_bytes());
    backwards.extend_from_slice(&8i64.to_be_bytes());
    backwards.extend_from_slice(&[0, 0, 0]);
    assert!(engine.restore(key, Some(&backwards)).is_err());
    assert_eq!(engine.restore(&[1, 1, 0, 0, 0, 0], None), Ok(false), "another machine's");
}
