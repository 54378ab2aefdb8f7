//! Leases.

use std::time::Duration;

use base::ErrorKind;

use super::{Harness, must, next, revision};
use crate::{Change, LeaseId, MetaStore, Op, Txn};

const TTL: Duration = Duration::from_secs(5);
/// Past the end of a lease, by any backend's rounding and leisure.
const PAST: Duration = Duration::from_secs(12);

async fn keys(store: &dyn MetaStore) -> Vec<String> {
    let found = must(store.range(b"", 0, b"").await, "range").kvs;
    found.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect()
}

/// A store with one lease that holds `leased/1` and `leased/2`, and had `freed` and `kept`.
async fn leased(store: &dyn MetaStore) -> LeaseId {
    let lease = must(store.lease_grant(TTL).await, "grant");
    assert!(lease.ttl >= TTL, "granted {:?}", lease.ttl);
    let all = ["freed", "kept", "leased/1", "leased/2", "moved"];
    let put = all.iter().fold(Txn::new(), |txn, key| txn.then(Op::put_leased(*key, "v", lease.id)));
    must(store.txn(put).await, "put");
    let other = must(store.lease_grant(PAST * 10).await, "grant");
    // A put without the lease frees the key, one with another moves it; a new key is a new key.
    let free = Txn::new().then(Op::put("freed", "w")).then(Op::put_leased("moved", "w", other.id));
    must(store.txn(free).await, "put");
    must(store.txn(Txn::new().then(Op::delete("kept"))).await, "delete");
    must(store.txn(Txn::new().then(Op::put("kept", "v"))).await, "put");
    let bound = must(store.get(b"leased/1").await, "get").and_then(|kv| kv.lease);
    assert_eq!(bound, Some(lease.id));
    lease.id
}

/// What is left after the lease's end, which is one revision with all its keys in it.
async fn ended(store: &dyn MetaStore, lease: LeaseId, from: u64) {
    assert_eq!(keys(store).await, ["freed", "kept", "moved"]);
    assert_eq!(revision(store).await, from, "one revision for all keys of the lease");
    let mut watch = must(store.watch(b"leased/", from).await, "watch");
    let deleted: Vec<Change> = ["leased/1", "leased/2"]
        .into_iter()
        .map(|key| Change::Delete { key: key.into() })
        .collect();
    assert_eq!(next(&mut *watch).await.changes, deleted);
    gone(store, lease).await;
}

async fn gone(store: &dyn MetaStore, lease: LeaseId) {
    let before = revision(store).await;
    let put = Txn::new().then(Op::put("x", "v")).then(Op::put_leased("y", "v", lease));
    let put = store.txn(put).await.map(drop);
    let keep_alive = store.lease_keep_alive(lease).await.map(drop);
    for result in [put, keep_alive, store.lease_revoke(lease).await] {
        assert_eq!(result.err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    }
    assert_eq!(revision(store).await, before, "a refused transaction did something");
}

/// Times out of range and leases that never were.
pub async fn leases_refuse_what_is_wrong(harness: &dyn Harness) {
    let store = harness.create().await;
    for ttl in [Duration::ZERO, Duration::from_secs(400 * 24 * 60 * 60), Duration::MAX] {
        let kind = store.lease_grant(ttl).await.err().map(|error| error.kind());
        assert_eq!(kind, Some(ErrorKind::Invalid), "{ttl:?}");
    }
    let lease = must(store.lease_grant(Duration::from_millis(1500)).await, "grant");
    assert!(lease.ttl >= Duration::from_secs(2) && lease.ttl.subsec_nanos() == 0, "{lease:?}");
    gone(&*store, LeaseId(0x7fff_ffff_ffff)).await;
}

/// Revoking takes effect at once.
pub async fn revoke_deletes_the_keys_of_the_lease(harness: &dyn Harness) {
    let store = harness.create().await;
    let lease = leased(&*store).await;
    let from = revision(&*store).await + 1;
    must(store.lease_revoke(lease).await, "revoke");
    ended(&*store, lease, from).await;
    let empty = must(store.lease_grant(TTL).await, "grant");
    must(store.lease_revoke(empty.id).await, "revoke");
    assert_eq!(revision(&*store).await, from, "a lease without keys leaves no trace");
}

/// A lease that is not kept alive ends by itself.
pub async fn expiry_deletes_the_keys_of_the_lease(harness: &dyn Harness) {
    let store = harness.create().await;
    let lease = leased(&*store).await;
    let from = revision(&*store).await + 1;
    harness.pass(&*store, PAST).await;
    ended(&*store, lease, from).await;
}

/// A lease that is kept alive does not, for as long as it is.
pub async fn keep_alive_prolongs_a_lease(harness: &dyn Harness) {
    let store = harness.create().await;
    let lease = must(store.lease_grant(TTL).await, "grant");
    must(store.txn(Txn::new().then(Op::put_leased("k", "v", lease.id))).await, "put");
    for _ in 0..5 {
        harness.pass(&*store, Duration::from_secs(2)).await;
        let kept = must(store.lease_keep_alive(lease.id).await, "keep alive");
        assert_eq!((kept.id, kept.ttl), (lease.id, lease.ttl));
        assert!(must(store.get(b"k").await, "get").is_some(), "the key vanished");
    }
    harness.pass(&*store, PAST).await;
    assert_eq!(must(store.get(b"k").await, "get"), None);
    gone(&*store, lease.id).await;
}
