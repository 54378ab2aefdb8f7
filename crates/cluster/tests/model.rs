//! Random transactions, compared step by step with a model simple enough to be seen to be right.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use bytes::Bytes;
use cluster::{
    Change, Compare, Embedded, KeyValue, MetaStore, Op, OpResponse, Options, Ordering, Target, Txn,
    TxnResponse, WatchBatch,
};
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

#[derive(Debug, Default)]
struct Model {
    revision: u64,
    keys: BTreeMap<Bytes, KeyValue>,
    batches: Vec<WatchBatch>,
}

impl Model {
    fn txn(&mut self, txn: &Txn) -> TxnResponse {
        let succeeded = txn.compares.iter().all(|compare| self.holds(compare));
        let before = self.keys.clone();
        let at = self.revision + 1;
        let ops = if succeeded { &txn.then } else { &txn.else_ };
        let responses = ops.iter().map(|op| self.op(op, at)).collect();
        let mut changes: Vec<Change> = Vec::new();
        for kv in self.keys.values().filter(|kv| kv.mod_revision == at) {
            changes.push(Change::Put(kv.clone()));
        }
        for key in before.keys().filter(|key| !self.keys.contains_key(*key)) {
            changes.push(Change::Delete { key: key.clone() });
        }
        changes.sort_by(|a, b| a.key().cmp(b.key()));
        if !changes.is_empty() {
            self.revision = at;
            self.batches.push(WatchBatch { revision: at, changes });
        }
        TxnResponse { succeeded, revision: self.revision, responses }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let kv = self.keys.get(&compare.key);
        let sides = match &compare.target {
            Target::CreateRevision(given) => (kv.map_or(0, |kv| kv.create_revision), *given),
            Target::ModRevision(given) => (kv.map_or(0, |kv| kv.mod_revision), *given),
            Target::Version(given) => (kv.map_or(0, |kv| kv.version), *given),
            // Values here are one digit, so that they compare like numbers.
            Target::Value(given) => match kv {
                None => return false,
                Some(kv) => (u64::from(kv.value[0]), u64::from(given[0])),
            },
        };
        match compare.ordering {
            Ordering::Equal => sides.0 == sides.1,
            Ordering::NotEqual => sides.0 != sides.1,
            Ordering::Less => sides.0 < sides.1,
            Ordering::Greater => sides.0 > sides.1,
        }
    }

    fn op(&mut self, op: &Op, at: u64) -> OpResponse {
        match op {
            Op::Get { key } => OpResponse::Get(self.keys.get(key).cloned()),
            Op::Delete { key } => {
                OpResponse::Delete { deleted: usize::from(self.keys.remove(key).is_some()) }
            }
            Op::DeletePrefix { prefix } => {
                let before = self.keys.len();
                self.keys.retain(|key, _| !key.starts_with(prefix));
                OpResponse::Delete { deleted: before - self.keys.len() }
            }
            Op::Put { key, value, lease } => {
                let before = self.keys.get(key);
                let kv = KeyValue {
                    key: key.clone(),
                    value: value.clone(),
                    create_revision: before.map_or(at, |kv| kv.create_revision),
                    mod_revision: at,
                    version: before.map_or(0, |kv| kv.version) + 1,
                    lease: *lease,
                };
                self.keys.insert(key.clone(), kv);
                OpResponse::Put
            }
        }
    }
}

fn key() -> impl Strategy<Value = Bytes> {
    vec(prop_oneof![Just(b'a'), Just(b'b'), Just(0xff)], 1..4).prop_map(Bytes::from)
}

fn value() -> impl Strategy<Value = Bytes> {
    (b'0'..b'5').prop_map(|digit| Bytes::from(vec![digit]))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| Op::put(key, value)),
        2 => key().prop_map(Op::delete),
        1 => vec(Just(b'a'), 1..3).prop_map(Op::delete_prefix),
        2 => key().prop_map(Op::get),
    ]
}

fn compare() -> impl Strategy<Value = Compare> {
    let target = prop_oneof![
        (0..20_u64).prop_map(Target::CreateRevision),
        (0..20_u64).prop_map(Target::ModRevision),
        (0..4_u64).prop_map(Target::Version),
        value().prop_map(Target::Value),
    ];
    let ordering = prop_oneof![
        Just(Ordering::Equal),
        Just(Ordering::NotEqual),
        Just(Ordering::Less),
        Just(Ordering::Greater)
    ];
    (key(), target, ordering)
        .prop_map(|(key, target, ordering)| Compare::new(key, target, ordering))
}

fn txn() -> impl Strategy<Value = Txn> {
    (vec(compare(), 0..3), vec(op(), 0..6), vec(op(), 0..6))
        .prop_map(|(compares, then, else_)| Txn { compares, then, else_ })
}

/// Runs the transactions on both, a few at a time so that they share commits.
async fn run(store: &Embedded, txns: &[Txn], at_once: usize) {
    let mut model = Model { revision: 1, ..Model::default() };
    for some in txns.chunks(at_once) {
        // Polled in order, and each hands itself in when first polled: so they keep their order.
        let mut waiting: Vec<_> = some.iter().map(|txn| store.txn(txn.clone())).collect();
        let mut done: Vec<_> = waiting.iter().map(|_| None).collect();
        std::future::poll_fn(|cx| {
            for (future, done) in waiting.iter_mut().zip(&mut done) {
                if done.is_none()
                    && let std::task::Poll::Ready(result) = future.as_mut().poll(cx)
                {
                    *done = Some(result);
                }
            }
            if done.iter().all(Option::is_some) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
        for (txn, result) in some.iter().zip(done) {
            let result = result.unwrap();
            // Reads answer from what is committed, maybe before those that wait beside them.
            if txn.is_read_only() && at_once > 1 {
                continue;
            }
            if txn.validate().is_err() {
                assert!(result.is_err(), "{txn:?}");
                continue;
            }
            assert_eq!(result.unwrap(), model.txn(txn), "{txn:?}");
        }
        let held = store.range(b"", 0, b"").await.unwrap();
        assert_eq!(held.revision, model.revision);
        assert_eq!(held.kvs, model.keys.values().cloned().collect::<Vec<_>>());
    }
    let mut watch = store.watch(b"", 2).await.unwrap();
    for batch in &model.batches {
        assert_eq!(&watch.next().await.unwrap(), batch);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn transactions_do_what_the_model_does(txns in vec(txn(), 1..40), at_once in 1_usize..8) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = Embedded::in_memory(Options::default()).unwrap();
            run(&store, &txns, at_once).await;
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 15, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn so_does_the_file(txns in vec(txn(), 1..40), at_once in 1_usize..8) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = TempDir::new().unwrap();
            let store = Embedded::open(folder.path(), Options::default()).unwrap();
            run(&store, &txns, at_once).await;
            let before = store.range(b"", 0, b"").await.unwrap();
            drop(store);
            let store = Embedded::open(folder.path(), Options::default()).unwrap();
            assert_eq!(store.range(b"", 0, b"").await.unwrap(), before);
        });
    }
}
