//! Transactions.

use std::sync::Arc;

use base::ErrorKind;
use bytes::Bytes;
use tokio::task::JoinSet;

use super::{Harness, must, revision};
use crate::limits::{META_KEY_BYTES_MAX, META_TXN_OPS_MAX, META_VALUE_BYTES_MAX};
use crate::{Compare, MetaStore, Op, OpResponse, Ordering, Target, Txn};

/// Each target and ordering, on a key that exists and on one that does not.
pub async fn compares_follow_their_definition(harness: &dyn Harness) {
    use Ordering::{Equal, Greater, Less, NotEqual};
    let store = harness.create().await;
    let first = must(store.txn(Txn::new().then(Op::put("k", "b"))).await, "put").revision;
    let second = must(store.txn(Txn::new().then(Op::put("k", "m"))).await, "put").revision;
    let numbers = [
        (Target::CreateRevision as fn(u64) -> Target, first),
        (Target::ModRevision as fn(u64) -> Target, second),
        (Target::Version as fn(u64) -> Target, 2),
    ];
    let mut cases = Vec::new();
    for (target, at) in numbers {
        for (given, holds) in [
            (at, [true, false, false, false]),
            (at - 1, [false, true, false, true]),
            (at + 1, [false, true, true, false]),
        ] {
            cases.push(("k", target(given), holds));
        }
        cases.push(("none", target(0), [true, false, false, false]));
        cases.push(("none", target(1), [false, true, true, false]));
    }
    let value = |value: &'static str| Target::Value(Bytes::from_static(value.as_bytes()));
    cases.push(("k", value("m"), [true, false, false, false]));
    cases.push(("k", value("a"), [false, true, false, true]));
    cases.push(("k", value("ma"), [false, true, true, false]));
    cases.push(("none", value(""), [false; 4]));
    cases.push(("none", value("m"), [false; 4]));
    for (key, target, holds) in cases {
        for (ordering, holds) in [Equal, NotEqual, Less, Greater].into_iter().zip(holds) {
            let compare = Compare::new(key, target.clone(), ordering);
            let txn = Txn::new().when(compare.clone()).then(Op::get(key));
            let response = must(store.txn(txn).await, "compare");
            assert_eq!(response.succeeded, holds, "{compare:?}");
            assert_eq!(response.responses.len(), usize::from(holds), "{compare:?}");
        }
    }
}

/// The revision rises by one for each transaction that changes something, by none otherwise.
pub async fn revisions_rise_by_one_for_each_change(harness: &dyn Harness) {
    let store = harness.create().await;
    let mut expected = revision(&*store).await;
    assert!(expected > 0, "revision 0 means never");
    let cases = [
        (Txn::new().then(Op::put("a", "1")), 1),
        (Txn::new().then(Op::put("a", "1")), 1),
        (Txn::new().then(Op::get("a")), 0),
        (Txn::new(), 0),
        (Txn::new().then(Op::delete("none")).then(Op::delete_prefix("none")), 0),
        (Txn::new().then(Op::put("b", "1")).then(Op::put("c", "1")).then(Op::delete("a")), 1),
        (Txn::new().when(Compare::absent("b")).then(Op::put("b", "2")), 0),
        (Txn::new().when(Compare::absent("b")).or_else(Op::put("b", "2")), 1),
        (Txn::new().then(Op::delete_prefix("")), 1),
        (Txn::new().then(Op::delete_prefix("")), 0),
    ];
    for (txn, rise) in cases {
        expected += rise;
        let response = must(store.txn(txn.clone()).await, "txn");
        assert_eq!(response.revision, expected, "{txn:?}");
        assert_eq!(revision(&*store).await, expected, "{txn:?}");
    }
}

/// All of a transaction's changes carry its revision; gets see what stands before them.
pub async fn transactions_are_all_or_nothing(harness: &dyn Harness) {
    let store = harness.create().await;
    must(store.txn(Txn::new().then(Op::put("old", "0"))).await, "put");
    let txn = Txn::new()
        .then(Op::get("new"))
        .then(Op::put("new", "1"))
        .then(Op::get("new"))
        .then(Op::delete("old"))
        .then(Op::get("old"))
        .then(Op::put("other", "1"));
    let response = must(store.txn(txn).await, "txn");
    let at = response.revision;
    let [before, put, after, deleted, gone, _] = &response.responses[..] else {
        unreachable!("six operations, {} answers", response.responses.len());
    };
    assert_eq!((before, put), (&OpResponse::Get(None), &OpResponse::Put));
    let seen = match after {
        OpResponse::Get(Some(kv)) => (&kv.value[..], kv.mod_revision, kv.version),
        _ => (&b""[..], 0, 0),
    };
    assert_eq!(seen, (&b"1"[..], at, 1));
    assert_eq!((deleted, gone), (&OpResponse::Delete { deleted: 1 }, &OpResponse::Get(None)));
    for kv in must(store.range(b"", 0, b"").await, "range").kvs {
        assert_eq!(kv.mod_revision, at, "{:?}", kv.key);
    }
}

/// Comparisons are joined by "and", and only one branch is carried out.
pub async fn the_branch_not_taken_changes_nothing(harness: &dyn Harness) {
    let store = harness.create().await;
    must(store.txn(Txn::new().then(Op::put("k", "1"))).await, "put");
    for (second, succeeded) in [(Compare::absent("x"), true), (Compare::exists("x"), false)] {
        let txn = Txn::new()
            .when(Compare::value("k", "1"))
            .when(second)
            .then(Op::put("then", "1"))
            .or_else(Op::put("else", "1"))
            .or_else(Op::get("k"));
        let response = must(store.txn(txn).await, "txn");
        assert_eq!(response.succeeded, succeeded);
        assert_eq!(response.responses.len(), if succeeded { 1 } else { 2 });
        let (taken, other) = if succeeded { ("then", "else") } else { ("else", "then") };
        assert!(must(store.get(taken.as_bytes()).await, "get").is_some(), "{taken}");
        assert_eq!(must(store.get(other.as_bytes()).await, "get"), None, "{other}");
        must(store.txn(Txn::new().then(Op::delete(taken))).await, "delete");
    }
}

/// Each limit lets through what it allows, and refuses one more without doing anything.
pub async fn limits_are_enforced(harness: &dyn Harness) {
    let store = harness.create().await;
    let ops = |count| (0..count).fold(Txn::new(), |txn, n| txn.then(Op::put(format!("{n}"), "")));
    let compares = |count| {
        (0..count).fold(Txn::new(), |txn, n| txn.when(Compare::absent(format!("none/{n}"))))
    };
    let value = |len| Txn::new().then(Op::put("value", vec![7; len]));
    let key = |len| Txn::new().then(Op::put(vec![b'k'; len], ""));
    let else_ = |count| Txn { else_: ops(count).then, ..Txn::new() };
    let allowed = [
        ops(META_TXN_OPS_MAX),
        else_(META_TXN_OPS_MAX),
        compares(META_TXN_OPS_MAX),
        value(META_VALUE_BYTES_MAX),
        key(META_KEY_BYTES_MAX),
        Txn::new().then(Op::delete("k")).then(Op::delete("k")).then(Op::delete_prefix("k")),
        Txn::new().then(Op::put("twice", "1")).or_else(Op::put("twice", "1")),
    ];
    for txn in allowed {
        must(store.txn(txn).await, "a transaction within the limits");
    }
    let before = must(store.range(b"", 0, b"").await, "range");
    let refused = [
        ops(META_TXN_OPS_MAX + 1),
        else_(META_TXN_OPS_MAX + 1),
        compares(META_TXN_OPS_MAX + 1),
        value(META_VALUE_BYTES_MAX + 1),
        value(META_VALUE_BYTES_MAX).then(Op::put("other", vec![7; META_VALUE_BYTES_MAX])),
        key(0),
        key(META_KEY_BYTES_MAX + 1),
        Txn::new().then(Op::put("k", "1")).then(Op::put("k", "2")),
        Txn::new().then(Op::put("k", "1")).then(Op::delete("k")),
        Txn::new().then(Op::delete_prefix("k")).then(Op::put("k1", "1")),
        Txn::new().when(Compare::absent("")),
        Txn::new().then(Op::delete("")),
        Txn::new().then(Op::get("")),
    ];
    for (index, txn) in refused.into_iter().enumerate() {
        let kind = store.txn(txn).await.err().map(|error| error.kind());
        assert_eq!(kind, Some(ErrorKind::Invalid), "refused transaction {index}");
    }
    assert!(must(store.range(b"", 0, b"").await, "range") == before, "a refused one did something");
}

/// Sixteen tasks count up one key by read, compare and set: no count is lost, none is double.
pub async fn racing_compare_and_set_loses_no_update(harness: &dyn Harness) {
    const TASKS: u64 = 16;
    const EACH: u64 = 20;
    let store = harness.create().await;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for _ in 0..EACH {
                while !count_up(&*store).await {}
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        must(task, "task");
    }
    let kv = must(store.get(b"count").await, "get");
    let seen = kv.map(|kv| (kv.value, kv.version));
    assert_eq!(seen, Some(((TASKS * EACH).to_string().into(), TASKS * EACH)));
}

async fn count_up(store: &dyn MetaStore) -> bool {
    let now = must(store.get(b"count").await, "get");
    let at = now.as_ref().map_or(0, |kv| kv.mod_revision);
    let count: u64 = now.map_or(0, |kv| must(String::from_utf8_lossy(&kv.value).parse(), "count"));
    let txn = Txn::new()
        .when(Compare::mod_revision("count", at))
        .then(Op::put("count", (count + 1).to_string()));
    must(store.txn(txn).await, "count up").succeeded
}
