//! Watches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::ErrorKind;
use bytes::Bytes;
use tokio::task::JoinSet;

use super::{Harness, must, next, revision};
use crate::{Change, MetaStore, Op, Revision, Txn, Watch, WatchError};

const WRITERS: u64 = 4;
const WRITES: u64 = 25;

/// Changes of several tasks at once, seen by watchers of everything and of a prefix, from before
/// and from the middle: what they see, applied in order, is what the store holds.
pub async fn watchers_see_every_change_once_and_in_order(harness: &dyn Harness) {
    let store = harness.create().await;
    let from = revision(&*store).await + 1;
    let mut early = Vec::new();
    for prefix in ["", "a/", "none"] {
        early.push((prefix, must(store.watch(prefix.as_bytes(), from).await, "watch")));
    }
    let mut tasks = JoinSet::new();
    for task in 0..WRITERS {
        tasks.spawn(write_a_lot(Arc::clone(&store), task));
    }
    while let Some(task) = tasks.join_next().await {
        must(task, "task");
    }
    // One last change that every watcher sees ends the reading.
    let last = ["", "a/", "none"].map(|prefix| format!("{prefix}~last"));
    let txn = last.iter().fold(Txn::new(), |txn, key| txn.then(Op::put(key.clone(), "")));
    let last = must(store.txn(txn).await, "put").revision;
    assert_eq!(last - from, WRITERS * WRITES, "one revision for each change");
    for (prefix, mut watch) in early {
        follow(&*store, &mut *watch, prefix, last).await;
    }
    for prefix in ["", "a/", "none"] {
        let mut watch = must(store.watch(prefix.as_bytes(), from).await, "watch");
        follow(&*store, &mut *watch, prefix, last).await;
    }
}

async fn write_a_lot(store: Arc<dyn MetaStore>, task: u64) {
    for n in 0..WRITES {
        let key = |level: &str| format!("{level}/{}", (task * 7 + n) % 10);
        let value = format!("{task} {n}");
        // Put first, so that each of them changes something.
        let txn = Txn::new().then(Op::put(key("a"), value.clone())).then(Op::put(key("b"), value));
        let txn = if n % 5 == 4 { txn.then(Op::delete_prefix("b/x")) } else { txn };
        let txn = if n % 3 == 2 { Txn::new().then(Op::put(key("b"), "")) } else { txn };
        let txn = if n % 4 == 3 {
            txn.then(Op::delete(format!("a/{}", (task * 7 + n + 1) % 10)))
        } else {
            txn
        };
        must(store.txn(txn).await, "write");
    }
}

/// Reads a watch up to `last` and compares what it adds up to with what the store holds.
async fn follow(store: &dyn MetaStore, watch: &mut dyn Watch, prefix: &str, last: Revision) {
    let mut view = BTreeMap::new();
    let mut seen = 0;
    while seen < last {
        let batch = next(watch).await;
        assert!(batch.revision > seen, "revision {} after {seen}", batch.revision);
        seen = batch.revision;
        assert!(!batch.changes.is_empty(), "an empty batch at {seen}");
        assert!(batch.changes.is_sorted_by(|a, b| a.key() < b.key()), "keys of {batch:?}");
        for change in batch.changes {
            assert!(change.key().starts_with(prefix.as_bytes()), "{change:?} under {prefix}");
            match change {
                Change::Put(kv) => {
                    assert_eq!(kv.mod_revision, seen);
                    let before: Option<u64> = view.insert(kv.key, kv.version);
                    assert_eq!(before.unwrap_or(0) + 1, kv.version, "a change was left out");
                }
                Change::Delete { key } => {
                    assert!(view.remove(&key).is_some(), "{key:?} was deleted twice");
                }
            }
        }
    }
    assert_eq!(seen, last);
    let held = must(store.range(prefix.as_bytes(), 0, b"").await, "range").kvs;
    let held: BTreeMap<Bytes, u64> = held.into_iter().map(|kv| (kv.key, kv.version)).collect();
    assert_eq!(view, held, "watch of {prefix:?}");
}

/// A watch from a past revision begins with exactly that one.
pub async fn a_watch_starts_in_the_past(harness: &dyn Harness) {
    let store = harness.create().await;
    let mut revisions = Vec::new();
    for n in 0..10 {
        let txn = Txn::new().then(Op::put("k", n.to_string()));
        revisions.push(must(store.txn(txn).await, "put").revision);
    }
    for (index, from) in revisions.iter().enumerate() {
        let mut watch = must(store.watch(b"k", *from).await, "watch");
        for expected in &revisions[index..] {
            assert_eq!(next(&mut *watch).await.revision, *expected);
        }
    }
    let kind = store.watch(b"", 0).await.err().map(|error| error.kind());
    assert_eq!(kind, Some(ErrorKind::Invalid), "revision 0 is never");
}

/// A watch from a future revision leaves out what comes before it.
pub async fn a_watch_in_the_future_waits(harness: &dyn Harness) {
    let store = harness.create().await;
    let from = revision(&*store).await + 3;
    let mut watch = must(store.watch(b"k", from).await, "watch");
    for n in 0..4 {
        must(store.txn(Txn::new().then(Op::put("k", n.to_string()))).await, "put");
        if n == 0 {
            // Looks at what is there, to remember a position that is still to come.
            let early = tokio::time::timeout(Duration::from_millis(1), watch.next()).await;
            assert!(early.is_err(), "{early:?}");
        }
    }
    assert_eq!(next(&mut *watch).await.revision, from);
    assert_eq!(next(&mut *watch).await.revision, from + 1);
}

/// Giving up waiting loses nothing.
pub async fn a_watch_survives_being_cancelled(harness: &dyn Harness) {
    let store = harness.create().await;
    let from = revision(&*store).await + 1;
    let mut watch = must(store.watch(b"", from).await, "watch");
    let mut seen = from - 1;
    for n in 0..20 {
        for _ in 0..n % 3 {
            if let Ok(batch) = tokio::time::timeout(Duration::ZERO, watch.next()).await {
                seen += 1;
                assert_eq!(must(batch, "watch").revision, seen);
            }
        }
        must(store.txn(Txn::new().then(Op::put("k", n.to_string()))).await, "put");
    }
    while seen < from + 19 {
        seen += 1;
        assert_eq!(next(&mut *watch).await.revision, seen);
    }
}

/// A watcher that does not read either gets everything in the end or is told that it did not:
/// there is never a gap. Having been told, it reads the range and goes on from there.
pub async fn a_slow_watcher_is_told(harness: &dyn Harness) {
    let store = harness.create().await;
    let from = revision(&*store).await + 1;
    let mut slow = must(store.watch(b"k", from).await, "watch");
    must(store.txn(Txn::new().then(Op::put("k", "first"))).await, "put");
    let mut seen = next(&mut *slow).await.revision;
    assert_eq!(seen, from);
    let writes = harness.overrun().max(100);
    for n in 0..writes {
        must(store.txn(Txn::new().then(Op::put("k", n.to_string()))).await, "put");
    }
    let last = revision(&*store).await;
    let error = loop {
        if seen == last {
            break None;
        }
        match slow.next().await {
            Ok(batch) => {
                assert_eq!(batch.revision, seen + 1, "a silent gap");
                seen = batch.revision;
            }
            Err(error) => break Some(error),
        }
    };
    if harness.overrun() == 0 && error.is_none() {
        return;
    }
    assert!(matches!(error, Some(WatchError::Lagged { .. })), "{error:?}");
    assert_eq!(slow.next().await.err(), error, "the end is final");
    // One that starts where nothing is kept any more is told so too.
    let mut late = must(store.watch(b"k", from).await, "watch");
    let error = late.next().await.err();
    assert!(matches!(error, Some(WatchError::Compacted { oldest }) if oldest > from), "{error:?}");
    let mut anew = must(store.watch(b"k", last + 1).await, "watch");
    let at = must(store.txn(Txn::new().then(Op::put("k", "again"))).await, "put").revision;
    assert_eq!(next(&mut *anew).await.revision, at);
}
