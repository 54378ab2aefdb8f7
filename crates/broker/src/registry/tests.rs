use std::sync::Arc;

use cluster::{Embedded, Options};

use super::*;

fn registry() -> Registry {
    let meta = Embedded::in_memory(Options::default()).unwrap();
    Registry::new(Arc::new(meta), BrokerId(7))
}

fn tag(counter: u64) -> Tag {
    Tag { writer: 9, counter }
}

fn entry(data: &'static str) -> Entry {
    Entry {
        data: Some(Bytes::from_static(data.as_bytes())),
        version: 3,
        created_at: 100,
        modified_at: 200,
        owner: -5,
        container: true,
        ..Entry::default()
    }
}

fn put(after: Option<u64>, counter: u64, path: &str, entry: Option<Entry>) -> Prepared {
    let kind = if entry.is_some() { EventKind::Created } else { EventKind::Deleted };
    let step = Step { tag: tag(counter), events: vec![(kind, path.into())] };
    Registry::prepare(after.map(tag), &step, &[Change::Entry(path.into(), entry)]).unwrap()
}

#[tokio::test]
async fn what_is_written_comes_back_from_the_feed_and_from_the_picture() {
    let registry = registry();
    let (_, mut feed) = registry.open().await.unwrap();
    let access = Access {
        version: 1,
        rules: vec![Rule { permissions: 31, scheme: "s".into(), id: "i".into() }],
    };
    let session = Session { secret: [3; 16], timeout: 4000, broker: 7 };
    let path: Arc<str> = "/a/ü".into();
    let changes = [
        Change::Access(path.clone(), Some(access)),
        Change::Children(path.clone(), Some(Children { created: 12, changed: 2 })),
        Change::Entry(path.clone(), Some(Entry { created: 2, modified: 2, ..entry("x") })),
        Change::Session(-8, Some(session)),
    ];
    let events = vec![(EventKind::Created, path.clone()), (EventKind::Written, path.clone())];
    let step = Step { tag: tag(1), events };
    let write = Registry::prepare(None, &step, &changes).unwrap();
    assert_eq!(registry.commit(vec![write]).await, [Ok(Committed::Done(2))]);
    let batch = feed.try_next().unwrap().unwrap();
    assert_eq!((batch.revision, &batch.step), (2, &Some(step)));
    assert_eq!(batch.changes, changes);
    assert_eq!(feed.try_next(), Ok(None));
    let (loaded, _) = registry.open().await.unwrap();
    assert_eq!(loaded.changes, changes);
    assert_eq!(loaded.step, Some(Step { tag: tag(1), events: vec![] }));
    assert!(registry.has_sessions().await.unwrap());
}

#[tokio::test]
async fn an_entry_without_data_is_not_an_empty_one() {
    let registry = registry();
    let none = Entry { data: None, ..entry("") };
    registry
        .commit(vec![put(None, 1, "/none", Some(none)), put(Some(1), 2, "/e", Some(entry("")))])
        .await;
    let (loaded, _) = registry.open().await.unwrap();
    let data: Vec<_> = loaded
        .changes
        .iter()
        .map(|change| match change {
            Change::Entry(_, Some(entry)) => entry.data.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(data, [Some(Bytes::new()), None]);
}

#[tokio::test]
async fn writes_that_build_on_each_other_are_done_in_one_go() {
    let registry = registry();
    let writes =
        (0..100).map(|n| put((n > 0).then_some(n), n + 1, "/a", Some(entry("x")))).collect();
    let done: Vec<_> = (2..102).map(|revision| Ok(Committed::Done(revision))).collect();
    assert_eq!(registry.commit(writes).await, done);
}

#[tokio::test]
async fn a_writer_that_was_overtaken_does_nothing() {
    let registry = registry();
    registry.commit(vec![put(None, 1, "/a", Some(entry("first")))]).await;
    let late = vec![put(None, 5, "/a", None), put(Some(5), 6, "/b", Some(entry("x")))];
    let results = registry.commit(late).await;
    assert_eq!(results, [Ok(Committed::Overtaken(2)), Ok(Committed::Overtaken(2))]);
    let (loaded, _) = registry.open().await.unwrap();
    assert_eq!(loaded.changes.len(), 1);
    assert_eq!(loaded.step.unwrap().tag, tag(1));
}

#[tokio::test]
async fn an_entrys_creation_is_remembered() {
    let registry = registry();
    let (_, mut feed) = registry.open().await.unwrap();
    let created = |created| Some(Entry { created, ..entry("x") });
    let writes = vec![
        put(None, 1, "/a", created(0)),
        put(Some(1), 2, "/a", created(0)),
        put(Some(2), 3, "/a", created(Entry::HERE)),
        put(Some(3), 4, "/a", created(4)),
    ];
    registry.commit(writes).await;
    for expected in [(2, 2), (2, 3), (4, 4), (4, 5)] {
        let batch = feed.try_next().unwrap().unwrap();
        let [Change::Entry(_, Some(entry))] = &batch.changes[..] else { panic!("{batch:?}") };
        assert_eq!((entry.created, entry.modified), expected);
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_tried() {
    let step = Step { tag: tag(1), events: vec![] };
    let many: Vec<_> =
        (0..200).map(|n| Change::Entry(format!("/{n}").into(), Some(entry("x")))).collect();
    assert!(matches!(Registry::prepare(None, &step, &many), Err(MetaError::Invalid(_))));
    let long = "/x".repeat(PATH_BYTES_MAX / 2);
    let at = |path: &str| Registry::prepare(None, &step, &[Change::Children(path.into(), None)]);
    assert!(at(&long).is_ok());
    assert!(matches!(at(&format!("{long}yy")), Err(MetaError::Invalid(_))));
}

#[tokio::test]
async fn values_that_cannot_be_read_are_left_alone() {
    let meta: Arc<dyn MetaStore> = Arc::new(Embedded::in_memory(Options::default()).unwrap());
    for (key, value) in [
        ("registry/entry/a", &b"\x02new"[..]),
        ("registry/entry/b", b"\x01"),
        ("registry/children/a", b"x"),
        ("registry/access/a", b"{"),
        ("registry/session/zz", b"{}"),
        ("registry/head", b"\x01short"),
        ("registry/later", b""),
    ] {
        meta.txn(Txn::new().then(Op::put(key, Bytes::copy_from_slice(value)))).await.unwrap();
    }
    let (loaded, _) = Registry::new(meta, BrokerId(0)).open().await.unwrap();
    assert_eq!((loaded.step, loaded.changes), (None, vec![]));
    assert_eq!(decode_garbage(), 0);
}

/// No bytes make the decoder of events fail otherwise than by saying so.
fn decode_garbage() -> usize {
    let cases: [&[u8]; 4] = [b"", b"\x02", b"\x01\x01\xff\xff\xff\xff", b"\x01\x04\0\0\0\x01/"];
    cases.iter().filter(|bytes| records::decode_events(Bytes::from_static(bytes)).is_some()).count()
}
