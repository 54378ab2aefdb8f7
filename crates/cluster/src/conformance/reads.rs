//! Reading, and reading again after a restart.

use std::time::Duration;

use base::ErrorKind;

use super::{Harness, must, next, revision};
use crate::limits::META_KEY_BYTES_MAX;
use crate::{Compare, Op, Txn};

/// A key has the value, the revisions and the version of its history; deleting forgets them.
pub async fn get_returns_what_was_put(harness: &dyn Harness) {
    let store = harness.create().await;
    assert_eq!(must(store.get(b"k").await, "get"), None);
    let first = must(store.txn(Txn::new().then(Op::put("k", "1"))).await, "put").revision;
    let kv = must(store.get(b"k").await, "get");
    let seen = kv.map(|kv| (kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease));
    assert_eq!(seen, Some(("1".into(), first, first, 1, None)));
    let second = must(store.txn(Txn::new().then(Op::put("k", ""))).await, "put").revision;
    let kv = must(store.get(b"k").await, "get");
    let seen = kv.map(|kv| (kv.value, kv.create_revision, kv.mod_revision, kv.version));
    assert_eq!(seen, Some(("".into(), first, second, 2)), "an empty value is a value");
    must(store.txn(Txn::new().then(Op::delete("k"))).await, "delete");
    assert_eq!(must(store.get(b"k").await, "get"), None);
    let again = must(store.txn(Txn::new().then(Op::put("k", "3"))).await, "put").revision;
    let kv = must(store.get(b"k").await, "get");
    let seen = kv.map(|kv| (kv.create_revision, kv.mod_revision, kv.version));
    assert_eq!(seen, Some((again, again, 1)), "created anew");
    for key in [vec![], vec![b'k'; META_KEY_BYTES_MAX + 1]] {
        let error = store.get(&key).await.err().map(|error| error.kind());
        assert_eq!(error, Some(ErrorKind::Invalid), "key of {} bytes", key.len());
    }
}

/// A prefix is a prefix of bytes: not of text, not of levels, and 0xff has no end to run over.
pub async fn range_keeps_to_its_prefix(harness: &dyn Harness) {
    let store = harness.create().await;
    let keys: [&[u8]; 9] =
        [b"a", b"a/", b"a/1", b"a/2", b"a0", b"b", b"\xff", b"\xff\x00", b"\xff\xff\xff"];
    let put = keys.iter().fold(Txn::new(), |txn, key| txn.then(Op::put(*key, "v")));
    must(store.txn(put).await, "put");
    let cases: [(&[u8], &[usize]); 7] = [
        (b"", &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (b"a", &[0, 1, 2, 3, 4]),
        (b"a/", &[1, 2, 3]),
        (b"a/1", &[2]),
        (b"\xff", &[6, 7, 8]),
        (b"\xff\xff", &[8]),
        (b"c", &[]),
    ];
    for (prefix, expected) in cases {
        let found = must(store.range(prefix, 0, b"").await, "range");
        let found: Vec<&[u8]> = found.kvs.iter().map(|kv| &kv.key[..]).collect();
        let expected: Vec<&[u8]> = expected.iter().map(|index| keys[*index]).collect();
        assert_eq!(found, expected, "prefix {prefix:?}");
    }
    let deleted = must(store.txn(Txn::new().then(Op::delete_prefix("a/"))).await, "delete");
    assert_eq!(deleted.responses, [crate::OpResponse::Delete { deleted: 3 }]);
    assert_eq!(must(store.range(b"", 0, b"").await, "range").kvs.len(), 6);
}

/// Pages put together are the whole, without one left out or twice; `from` may lie anywhere.
pub async fn range_pages_and_limits(harness: &dyn Harness) {
    let store = harness.create().await;
    let put = (0..25).fold(Txn::new(), |txn, n| txn.then(Op::put(format!("k{n:02}"), "v")));
    must(store.txn(put.then(Op::put("j", "v")).then(Op::put("l", "v"))).await, "put");
    let whole = must(store.range(b"k", 0, b"").await, "range");
    assert!(!whole.more && whole.kvs.len() == 25, "{} keys", whole.kvs.len());
    let (mut from, mut found) = (Vec::new(), Vec::new());
    for page in [10, 10, 5] {
        let response = must(store.range(b"k", 10, &from).await, "range");
        assert_eq!((response.kvs.len(), response.more), (page, page == 10));
        assert_eq!(response.revision, whole.revision);
        found.extend(response.kvs);
        from = found.last().map(|kv| [&kv.key[..], b"\0"].concat()).unwrap_or_default();
    }
    assert_eq!(found, whole.kvs);
    let exact = must(store.range(b"k", 25, b"").await, "range");
    assert!(!exact.more, "a page that ends with the range");
    for (from, expected) in [(&b"a"[..], 25), (b"k20", 5), (b"k24\0", 0), (b"z", 0)] {
        let found = must(store.range(b"k", 0, from).await, "range").kvs.len();
        assert_eq!(found, expected, "from {from:?}");
    }
}

/// A restart keeps keys, revisions, versions and leases; the revision goes on from where it was.
pub async fn reopening_keeps_everything(harness: &dyn Harness) {
    let store = harness.create().await;
    let lease = must(store.lease_grant(Duration::from_secs(20)).await, "grant");
    for n in 0..50 {
        let txn = Txn::new()
            .then(Op::put(format!("k{n}"), format!("v{n}")))
            .then(Op::put("last", n.to_string()))
            .then(Op::delete(format!("k{}", n - 10)));
        must(store.txn(txn).await, "put");
    }
    must(store.txn(Txn::new().then(Op::put_leased("leased", "v", lease.id))).await, "put");
    let before = must(store.range(b"", 0, b"").await, "range");
    let Some(store) = harness.reopen(store).await else { return };
    assert_eq!(must(store.range(b"", 0, b"").await, "range"), before);
    let mut watch = must(store.watch(b"", before.revision + 1).await, "watch");
    let txn = Txn::new().when(Compare::version("last", 50)).then(Op::put("last", "50"));
    let response = must(store.txn(txn).await, "put");
    assert_eq!((response.succeeded, response.revision), (true, before.revision + 1));
    assert_eq!(next(&mut *watch).await.revision, before.revision + 1);
    drop(watch);
    must(store.lease_keep_alive(lease.id).await, "the lease lives on");
    let other = must(store.lease_grant(Duration::from_secs(20)).await, "grant");
    assert_ne!(other.id, lease.id, "a lease's identity is given out twice");
    must(store.lease_revoke(lease.id).await, "revoke");
    assert_eq!(must(store.get(b"leased").await, "get"), None);
    let before = revision(&*store).await;
    if let Some(store) = harness.reopen(store).await {
        assert_eq!(revision(&*store).await, before);
        assert!(store.lease_keep_alive(lease.id).await.is_err(), "the lease is back");
    }
}
