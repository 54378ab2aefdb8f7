//! What clients write, what they are told, and what others see of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cluster::{
    BoxFuture, Embedded, KeyValue, Lease, LeaseId, MetaError, MetaStore, Options, RangeResponse,
    Txn, TxnResponse, Watch,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::acl::Identity;
use crate::outgoing::Cut;
use crate::session::{Member, connect, request};
use crate::testing::{
    CHILDREN_CHANGED, CREATED, DATA_CHANGED, DELETED, HELLO, Record, World, ask, event, received,
    record, send,
};
use crate::wire::connect::ConnectResponse;
use crate::wire::jute::Reader;
use crate::wire::op;

const EPHEMERAL: i32 = 1;
const SEQUENTIAL: i32 = 2;
const BOTH: i32 = 3;
const CONTAINER: i32 = 4;

fn open_acl(record: Record) -> Record {
    record.int(1).int(31).text("world").text("anyone")
}

fn create(path: &str, flags: i32) -> Record {
    open_acl(record().text(path).text("data")).int(flags)
}

fn versioned(path: &str, version: i32) -> Record {
    record().text(path).int(version)
}

fn set(path: &str, data: &str, version: i32) -> Record {
    record().text(path).text(data).int(version)
}

fn read(path: &str, watch: bool) -> Record {
    record().text(path).flag(watch)
}

/// Creates a node and returns its path.
async fn made(member: &Member, path: &str, flags: i32) -> String {
    let (_, error, record) = ask(member, op::CREATE, create(path, flags)).await;
    assert_eq!(error, 0, "create {path}");
    Reader::new(&record).text().unwrap().to_owned()
}

async fn code(member: &Member, op: i32, record: Record) -> i32 {
    ask(member, op, record).await.1
}

async fn exists(member: &Member, path: &str) -> bool {
    code(member, op::EXISTS, read(path, false)).await == 0
}

/// The numbers of a stat: czxid, mzxid, version, cversion, aversion, owner, children, pzxid.
fn stat(record: &[u8]) -> [i64; 8] {
    let mut fields = Reader::new(record);
    let (czxid, mzxid) = (fields.long().unwrap(), fields.long().unwrap());
    let _times = (fields.long().unwrap(), fields.long().unwrap());
    let mut int = || i64::from(fields.int().unwrap());
    let (version, cversion, aversion) = (int(), int(), int());
    let owner = fields.long().unwrap();
    let mut int = || i64::from(fields.int().unwrap());
    let (_length, children) = (int(), int());
    [czxid, mzxid, version, cversion, aversion, owner, children, fields.long().unwrap()]
}

async fn stat_of(member: &Member, path: &str) -> [i64; 8] {
    let (_, error, record) = ask(member, op::EXISTS, read(path, false)).await;
    assert_eq!(error, 0, "{path}");
    stat(&record)
}

async fn children(member: &Member, path: &str) -> Vec<String> {
    let (_, error, record) = ask(member, op::GET_CHILDREN, read(path, false)).await;
    assert_eq!(error, 0, "{path}");
    Reader::new(&record).texts().unwrap().into_iter().map(str::to_owned).collect()
}

/// A transaction of operations with their codes.
fn transaction(operations: Vec<(i32, Record)>) -> Record {
    let all = operations.into_iter().fold(record(), |mut all, (op, operation)| {
        all = all.int(op).flag(false).int(-1);
        all.0.raw(operation.0.as_slice());
        all
    });
    all.int(-1).flag(true).int(-1)
}

/// The errors of a failed transaction's operations.
fn errors(mut record: &[u8]) -> Vec<i32> {
    let mut errors = Vec::new();
    while record.len() > 9 {
        errors.push(Reader::new(&record[9..]).int().unwrap());
        record = &record[13..];
    }
    errors
}

async fn session(world: &World) -> (Member, ConnectResponse) {
    let member = world.join();
    let session = connect(&member, &HELLO).await.unwrap();
    (member, session)
}

#[tokio::test]
async fn a_node_is_created_written_and_deleted() {
    let world = World::new(&[]);
    let member = world.client().await;
    let root = stat_of(&member, "/").await;
    let (zxid, error, reply) = ask(&member, op::CREATE2, create("/a", 0)).await;
    let mut fields = Reader::new(&reply);
    assert_eq!((error, fields.text()), (0, Ok("/a")));
    assert_eq!(stat(&reply[6..]), [zxid, zxid, 0, 0, 0, 0, 0, zxid]);
    let after = stat_of(&member, "/").await;
    assert_eq!((after[3], after[6], after[7]), (root[3] + 1, root[6] + 1, zxid));
    let (written, error, reply) = ask(&member, op::SET_DATA, set("/a", "new", 0)).await;
    assert_eq!((error, stat(&reply)), (0, [zxid, written, 1, 0, 0, 0, 0, zxid]));
    assert_eq!(written, zxid + 1);
    let (_, _, data) = ask(&member, op::GET_DATA, read("/a", false)).await;
    assert_eq!(Reader::new(&data).text(), Ok("new"));
    assert_eq!(code(&member, op::SET_DATA, set("/a", "", 0)).await, -103);
    assert_eq!(code(&member, op::DELETE, versioned("/a", 0)).await, -103);
    let (deleted, error, _) = ask(&member, op::DELETE, versioned("/a", 1)).await;
    assert_eq!(error, 0);
    assert!(!exists(&member, "/a").await);
    let after = stat_of(&member, "/").await;
    assert_eq!((after[3], after[6], after[7]), (root[3] + 2, root[6], deleted));
}

#[tokio::test]
async fn errors_come_in_zookeepers_order() {
    let world = World::new(&[]);
    let member = world.client().await;
    made(&member, "/a", 0).await;
    made(&member, "/a/b", 0).await;
    made(&member, "/e", EPHEMERAL).await;
    let no_acl = |path: &str, flags| record().text(path).text("").int(0).int(flags);
    let cases = [
        (op::CREATE, create("/a", 99), -8),
        (op::CREATE, create("x", 0), -8),
        (op::CREATE, no_acl("/a", 0), -114),
        (op::CREATE, no_acl("x", 0), -8),
        (op::CREATE, create("/n/x", 0), -101),
        (op::CREATE, create("/n/..", 0), -101),
        (op::CREATE, create("/a/..", 0), -8),
        (op::CREATE, create("/a/", 0), -8),
        (op::CREATE, create("/a\0", 0), -8),
        (op::CREATE, create("/a/b", 0), -110),
        (op::CREATE, create("/", 0), -110),
        (op::CREATE, create("/e/x", 0), -108),
        (op::CREATE, create("/e/..", 0), -8),
        (op::CREATE, create("/t", 5), -6),
        (op::CREATE_TTL, create("/t", 5).long(1), -6),
        (op::CREATE_TTL, create("/t", 0).long(1), -8),
        (op::DELETE, versioned("/n", 5), -101),
        (op::DELETE, versioned("/n/x", 5), -101),
        (op::DELETE, versioned("x", 5), -8),
        (op::DELETE, versioned("/zookeeper", 5), -8),
        (op::DELETE, versioned("/a", 5), -103),
        (op::DELETE, versioned("/a", 0), -111),
        (op::SET_DATA, set("/n", "", 5), -101),
        (op::SET_DATA, set("/a/", "", 5), -8),
        (op::SET_DATA, set("/a", "", 5), -103),
        (op::SET_ACL, record().text("/n").int(0).int(5), -114),
        (op::SET_ACL, open_acl(record().text("/n")).int(5), -101),
        (op::SET_ACL, open_acl(record().text("/a")).int(5), -103),
        (op::SET_ACL, open_acl(record().text("/a/")).int(5), -8),
    ];
    for (number, (op, body, expected)) in cases.into_iter().enumerate() {
        assert_eq!(code(&member, op, body).await, expected, "case {number}, op {op}");
    }
    let too_long = format!("/{}", "x".repeat(5000));
    assert_eq!(code(&member, op::CREATE, create(&too_long, 0)).await, -8);
}

#[tokio::test]
async fn numbers_of_sequential_nodes_count_all_that_ever_were() {
    let world = World::new(&[]);
    let member = world.client().await;
    made(&member, "/q", 0).await;
    assert_eq!(made(&member, "/q/n-", SEQUENTIAL).await, "/q/n-0000000000");
    made(&member, "/q/other", 0).await;
    assert_eq!(made(&member, "/q/n-", BOTH).await, "/q/n-0000000002");
    assert_eq!(code(&member, op::DELETE, versioned("/q/other", -1)).await, 0);
    assert_eq!(made(&member, "/q/", SEQUENTIAL).await, "/q/0000000003");
    let stat = stat_of(&member, "/q").await;
    assert_eq!((stat[3], stat[6]), (5, 3), "four came, one went");
    // Those of a node that is created again start anew.
    for name in children(&member, "/q").await {
        assert_eq!(code(&member, op::DELETE, versioned(&format!("/q/{name}"), -1)).await, 0);
    }
    assert_eq!(code(&member, op::DELETE, versioned("/q", -1)).await, 0);
    made(&member, "/q", 0).await;
    assert_eq!(made(&member, "/q/", SEQUENTIAL).await, "/q/0000000000");
}

#[tokio::test]
async fn ephemeral_nodes_end_with_their_session() {
    let world = World::new(&[]);
    let (owner, _) = session(&world).await;
    let other = world.client().await;
    made(&owner, "/group", 0).await;
    // More than one transaction can delete.
    for n in 0..100 {
        made(&owner, &format!("/group/{n}"), EPHEMERAL).await;
    }
    made(&other, "/group/other", EPHEMERAL).await;
    assert_eq!(stat_of(&other, "/group").await[6], 101);
    assert_eq!(world.shared.state.lock().tree.ephemerals(), 103, "two show metadata");
    send(&owner, 5, op::CLOSE_SESSION, record()).await;
    let replies = received(&owner).await;
    assert_eq!((replies.len(), replies[0].0, replies[0].2), (1, 5, 0));
    assert_eq!(children(&other, "/group").await, ["other"]);
    assert_eq!(stat_of(&other, "/group").await[3], 201);
    // A session that is silent.
    drop(other);
    world.later(11_000).await;
    let third = world.client().await;
    assert_eq!(children(&third, "/group").await, [""; 0]);
}

#[tokio::test]
async fn a_session_and_its_nodes_survive_a_restart_if_the_client_comes_back_in_time() {
    let store = || Arc::new(Embedded::in_memory(Options::default()).unwrap());
    for comes_back in [true, false] {
        let meta: Arc<dyn MetaStore> = store();
        let world = World::on(Arc::clone(&meta), &[]);
        let (client, session) = session(&world).await;
        made(&client, "/e", EPHEMERAL).await;
        drop((client, world));
        // A broker that knows only what is in the store.
        let world = World::on(meta, &[]);
        crate::tend::resume(Arc::downgrade(&world.shared)).await;
        let watcher = world.client().await;
        assert!(exists(&watcher, "/e").await);
        assert_eq!(world.shared.state.lock().sessions(), 2);
        if comes_back {
            let (client, response) = world.client_again(session).await;
            assert_eq!(response, session);
            assert!(exists(&client, "/e").await);
            assert_eq!(stat_of(&client, "/e").await[5], session.session);
        } else {
            world.later(11_000).await;
            let (_client, response) = world.client_again(session).await;
            assert_eq!(response, ConnectResponse::EXPIRED);
            assert!(!exists(&world.client().await, "/e").await);
        }
    }
}

#[tokio::test]
async fn a_session_that_is_ending_cannot_be_taken_up() {
    let world = World::new(&[]);
    let (client, session) = session(&world).await;
    let now = world.shared.now();
    let late = crate::state::Now { steady: now.steady + 11_000, ..now };
    assert_eq!(world.shared.state.lock().expire(late), [session.session]);
    assert_eq!(client.outgoing.until_cut().await, Cut::Expired);
    assert_eq!(world.client_again(session).await.1, ConnectResponse::EXPIRED);
}

#[tokio::test]
async fn a_transaction_is_done_as_a_whole_or_not_at_all() {
    let world = World::new(&[]);
    let member = world.client().await;
    let good = transaction(vec![
        (op::CREATE, create("/t", 0)),
        (op::CREATE, create("/t/n-", SEQUENTIAL)),
        (op::SET_DATA, set("/t", "x", 0)),
        (op::CHECK, versioned("/t", 1)),
        (op::CREATE, create("/t/gone", 0)),
        (op::DELETE, versioned("/t/gone", 0)),
    ]);
    let (zxid, error, _) = ask(&member, op::MULTI, good).await;
    assert_eq!(error, 0);
    assert_eq!(stat_of(&member, "/t").await, [zxid, zxid, 1, 3, 0, 0, 1, zxid]);
    let bad = transaction(vec![
        (op::CREATE, create("/t/x", 0)),
        (op::DELETE, versioned("/t/n-0000000000", -1)),
        (op::CHECK, versioned("/t", 7)),
        (op::CREATE, create("/t/y", 0)),
    ]);
    let (same, error, results) = ask(&member, op::MULTI, bad).await;
    assert_eq!((same, error, errors(&results)), (zxid, 0, vec![0, 0, -103, -2]));
    assert_eq!(children(&member, "/t").await, ["n-0000000000"]);
    let empty = ask(&member, op::MULTI, transaction(vec![])).await;
    assert_eq!((empty.1, empty.2.len()), (0, 9));
}

#[tokio::test]
async fn a_node_can_be_replaced_in_one_transaction() {
    let world = World::new(&[]);
    let member = world.client().await;
    made(&member, "/r", 0).await;
    code(&member, op::SET_DATA, set("/r", "old", -1)).await;
    let watcher = world.client().await;
    ask(&watcher, op::ADD_WATCH, record().text("/r").int(1)).await;
    let replace = vec![
        (op::DELETE, versioned("/r", 1)),
        (op::CREATE, create("/r", EPHEMERAL)),
        (op::SET_DATA, set("/r", "new", 0)),
    ];
    let (zxid, ..) = ask(&member, op::MULTI, transaction(replace)).await;
    let events: Vec<_> = received(&watcher).await.iter().map(event).map(|event| event.0).collect();
    assert_eq!(events, [DELETED, CREATED, DATA_CHANGED]);
    let stat = stat_of(&member, "/r").await;
    assert_eq!((stat[0], stat[1], stat[2]), (zxid, zxid, 1));
    let (written, ..) = ask(&member, op::SET_DATA, set("/r", "newer", 1)).await;
    let stat = stat_of(&member, "/r").await;
    assert_eq!((stat[0], stat[1], stat[2]), (zxid, written, 2));
    // After a restart too.
    let again = World::on(Arc::clone(&world.meta), &[]);
    let stat = stat_of(&again.client().await, "/r").await;
    assert_eq!((stat[0], stat[1], stat[2]), (zxid, written, 2));
}

#[tokio::test]
async fn what_is_too_large_for_one_transaction_is_refused_as_a_whole() {
    let world = World::new(&[]);
    let member = world.client().await;
    let many = (0..200).map(|n| (op::CREATE, create(&format!("/n{n}"), 0))).collect();
    let (_, error, results) = ask(&member, op::MULTI, transaction(many)).await;
    let errors = errors(&results);
    assert_eq!((error, errors.len(), errors[0], errors[199]), (0, 200, -125, -2));
    assert!(!exists(&member, "/n0").await);
    // Exactly what ZooKeeper's own limit lets through, and what is stored with it.
    let large = "x".repeat(crate::limits::REQUEST_BYTES_MAX - 22);
    assert_eq!(
        code(&member, op::CREATE, open_acl(record().text("/l").text(&large)).int(0)).await,
        -125
    );
    let less = "x".repeat(1_000_000);
    assert_eq!(
        code(&member, op::CREATE, open_acl(record().text("/l").text(&less)).int(0)).await,
        0
    );
    let again = World::on(Arc::clone(&world.meta), &[]);
    let (_, _, data) = ask(&again.client().await, op::GET_DATA, read("/l", false)).await;
    assert_eq!(Reader::new(&data).text(), Ok(&*less));
}

#[tokio::test]
async fn watchers_hear_of_writes_of_others_before_they_can_see_them() {
    let world = World::new(&[]);
    let (writer, watcher) = (world.client().await, world.client().await);
    made(&writer, "/w", 0).await;
    ask(&watcher, op::GET_CHILDREN, read("/w", true)).await;
    ask(&watcher, op::GET_DATA, read("/w", true)).await;
    code(&watcher, op::EXISTS, read("/w/a", true)).await;
    made(&writer, "/w/a", 0).await;
    code(&writer, op::SET_DATA, set("/w", "x", -1)).await;
    code(&writer, op::SET_DATA, set("/w", "y", -1)).await;
    send(&watcher, 9, op::GET_DATA, read("/w", false)).await;
    let seen = received(&watcher).await;
    let (reply, events) = seen.split_last().unwrap();
    let expected = [
        (CREATED, "/w/a".to_owned()),
        (CHILDREN_CHANGED, "/w".to_owned()),
        (DATA_CHANGED, "/w".to_owned()),
    ];
    assert_eq!(events.iter().map(event).collect::<Vec<_>>(), expected, "each watch once");
    assert_eq!((reply.0, reply.1), (9, world.zxid()));
}

#[tokio::test]
async fn replies_come_in_the_order_of_the_requests_and_events_between_them() {
    let world = World::new(&[]);
    let member = world.client().await;
    ask(&member, op::ADD_WATCH, record().text("/").int(1)).await;
    send(&member, 1, op::CREATE, create("/a", 0)).await;
    send(&member, 2, op::CREATE, create("/a", 0)).await;
    send(&member, 3, op::CREATE, create("/a/b", 0)).await;
    send(&member, 4, op::DELETE, versioned("/a", -1)).await;
    send(&member, 5, op::DELETE, versioned("/a/b", -1)).await;
    send(&member, 6, op::EXISTS, read("/a/b", false)).await;
    let seen: Vec<_> = received(&member).await.iter().map(|reply| (reply.0, reply.2)).collect();
    let expected =
        [(-1, 0), (1, 0), (2, -110), (-1, 0), (3, 0), (4, -111), (-1, 0), (5, 0), (6, -101)];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn many_clients_write_at_once_and_each_write_is_a_change_of_its_own() {
    let world = Arc::new(World::new(&[]));
    made(&world.client().await, "/q", 0).await;
    let before = world.zxid();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let client = world.client().await;
        clients.push(tokio::spawn(async move {
            // Faster than the disk, so that many share a round.
            for xid in 0..30 {
                send(&client, xid, op::CREATE2, create("/q/n-", BOTH)).await;
            }
            client.until_written().await;
            (received(&client).await, client)
        }));
    }
    let mut names = BTreeSet::new();
    let mut changes = BTreeSet::new();
    let mut connected = Vec::new();
    for client in clients {
        let (replies, client) = client.await.unwrap();
        assert_eq!(replies.iter().map(|reply| reply.0).collect::<Vec<_>>(), Vec::from_iter(0..30));
        for (_, zxid, error, record) in replies {
            assert_eq!(error, 0);
            let name = Reader::new(&record).text().unwrap().to_owned();
            let stat = stat(&record[4 + name.len()..]);
            assert_eq!((stat[0], stat[1], stat[7]), (zxid, zxid, zxid));
            names.insert(name);
            changes.insert(zxid);
        }
        connected.push(client);
    }
    let expected: BTreeSet<_> = (0..600).map(|n| format!("/q/n-{n:010}")).collect();
    assert_eq!(names, expected);
    assert_eq!(changes.len(), 600);
    assert!(*changes.first().unwrap() > before);
    let stat = stat_of(&connected[0], "/q").await;
    assert_eq!((stat[3], stat[6]), (600, 600));
}

#[tokio::test]
async fn brokers_that_write_at_once_lose_nothing() {
    let meta: Arc<dyn MetaStore> = Arc::new(Embedded::in_memory(Options::default()).unwrap());
    let worlds = [World::on(Arc::clone(&meta), &[]), World::on(meta, &[])];
    made(&worlds[0].client().await, "/q", 0).await;
    let mut tasks = Vec::new();
    for world in worlds.iter().cycle().take(6) {
        let client = world.client().await;
        tasks.push(tokio::spawn(async move {
            let mut names = Vec::new();
            for _ in 0..25 {
                names.push(made(&client, "/q/", SEQUENTIAL).await);
            }
            (names, client)
        }));
    }
    let mut names = BTreeSet::new();
    for task in tasks {
        names.extend(task.await.unwrap().0);
    }
    let expected: BTreeSet<_> = (0..150).map(|n| format!("/q/{n:010}")).collect();
    assert_eq!(names, expected);
    for world in &worlds {
        assert_eq!(children(&world.client().await, "/q").await.len(), 150);
    }
}

#[tokio::test]
async fn a_door_that_missed_changes_reads_everything_anew() {
    let options = Options { history_revisions: 2, ..Options::default() };
    let meta: Arc<dyn MetaStore> = Arc::new(Embedded::in_memory(options).unwrap());
    let (here, there) = (World::on(Arc::clone(&meta), &[]), World::on(meta, &[]));
    // Nobody looks by itself.
    here.shared.state.lock().tended = true;
    let (watcher, writer) = (here.client().await, there.client().await);
    for path in ["/gone", "/gone/too", "/written"] {
        made(&writer, path, 0).await;
    }
    here.later(0).await;
    here.later(0).await;
    assert!(exists(&watcher, "/gone/too").await);
    ask(&watcher, op::ADD_WATCH, record().text("/").int(1)).await;
    // In one go, before this door can look.
    let gone = [op::DELETE, op::DELETE].into_iter().zip(["/gone/too", "/gone"]);
    for (op, path) in gone {
        code(&writer, op, versioned(path, -1)).await;
    }
    code(&writer, op::SET_DATA, set("/written", "x", -1)).await;
    made(&writer, "/new", 0).await;
    here.later(0).await;
    here.later(0).await;
    let seen: Vec<_> = received(&watcher).await.iter().map(event).collect();
    let expected = [
        (DELETED, "/gone/too".to_owned()),
        (DELETED, "/gone".to_owned()),
        (CREATED, "/new".to_owned()),
        (DATA_CHANGED, "/written".to_owned()),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_container_ends_with_its_last_child() {
    let world = World::new(&[]);
    let member = world.client().await;
    made(&member, "/c", CONTAINER).await;
    made(&member, "/unused", CONTAINER).await;
    made(&member, "/c/x", 0).await;
    world.later(0).await;
    code(&member, op::DELETE, versioned("/c/x", -1)).await;
    assert!(exists(&member, "/c").await);
    world.later(0).await;
    assert!(!exists(&member, "/c").await);
    assert!(exists(&member, "/unused").await, "nobody has used it yet");
}

#[tokio::test]
async fn only_those_who_are_let_in_may_read_and_write() {
    let world = World::new(&[]);
    let (ann, other) = (world.client().await, world.client().await);
    let secret = || record().int(0).text("digest").text("ann:secret");
    let own =
        |path: &str| record().text(path).text("x").int(1).int(31).text("auth").text("").int(0);
    assert_eq!(code(&ann, op::CREATE, own("/ann")).await, -114, "nobody yet");
    assert_eq!(code(&ann, op::AUTH, secret()).await, 0);
    assert_eq!(code(&ann, op::CREATE, own("/ann")).await, 0);
    let forbidden = || {
        vec![
            (op::GET_DATA, read("/ann", false)),
            (op::GET_CHILDREN, read("/ann", false)),
            (op::GET_ACL, record().text("/ann")),
            (op::GET_ALL_CHILDREN_NUMBER, record().text("/ann")),
            (op::CHECK, versioned("/ann", -1)),
            (op::SET_DATA, set("/ann", "y", -1)),
            (op::CREATE, create("/ann/x", 0)),
            (op::DELETE, versioned("/ann/x", -1)),
            (op::SET_ACL, open_acl(record().text("/ann")).int(-1)),
        ]
    };
    for (op, body) in forbidden() {
        assert_eq!(code(&other, op, body).await, -102, "op {op}");
    }
    assert!(exists(&other, "/ann").await, "that much is no secret");
    let digest = Identity::digest(b"ann:secret").id;
    let (_, _, list) = ask(&ann, op::GET_ACL, record().text("/ann")).await;
    let expected = record().int(1).int(31).text("digest").text(&digest);
    assert!(list.starts_with(expected.0.as_slice()));
    for (op, body) in forbidden() {
        assert_eq!(code(&ann, op, body).await, 0, "op {op}");
    }
    let stat = stat_of(&other, "/ann").await;
    assert_eq!((stat[2], stat[4]), (1, 1));
    assert_eq!(code(&other, op::SET_DATA, set("/ann", "", -1)).await, 0, "open to all now");
    // The list is kept over a restart.
    assert_eq!(code(&ann, op::CREATE, own("/kept")).await, 0);
    let again = World::on(Arc::clone(&world.meta), &[]).client().await;
    assert_eq!(code(&again, op::GET_DATA, read("/kept", false)).await, -102);
    assert_eq!(code(&again, op::AUTH, secret()).await, 0);
    assert_eq!(code(&again, op::GET_DATA, read("/kept", false)).await, 0);
}

#[tokio::test]
async fn a_sessions_own_nodes_are_listed() {
    let world = World::new(&[]);
    let (member, other) = (world.client().await, world.client().await);
    made(&other, "/x", EPHEMERAL).await;
    for path in ["/a", "/b"] {
        made(&member, path, EPHEMERAL).await;
    }
    let (_, _, list) = ask(&member, op::GET_EPHEMERALS, record().text("/")).await;
    assert_eq!(Reader::new(&list).texts(), Ok(vec!["/a", "/b"]));
    let (_, _, list) = ask(&member, op::GET_EPHEMERALS, record().text("/b")).await;
    assert_eq!(Reader::new(&list).texts(), Ok(vec!["/b"]));
}

#[tokio::test]
async fn requests_of_an_ended_session_are_not_carried_out() {
    let world = World::new(&[]);
    let (member, _) = session(&world).await;
    send(&member, 1, op::CLOSE_SESSION, record()).await;
    let frame = [&[0, 0, 0, 2, 0, 0, 0, 1][..], create("/late", EPHEMERAL).0.as_slice()].concat();
    assert_eq!(request(&member, &frame).await.unwrap(), crate::session::Flow::Close);
    assert!(!exists(&world.client().await, "/late").await);
}

/// A metadata store that fails, or does not answer, when told to.
#[derive(Debug)]
struct Faulty {
    store: Embedded,
    fault: Mutex<Option<Fault>>,
    released: Notify,
}

#[derive(Debug, Clone)]
enum Fault {
    Error(MetaError),
    Silence,
}

impl Faulty {
    fn new() -> Arc<Self> {
        let store = Embedded::in_memory(Options::default()).unwrap();
        Arc::new(Self { store, fault: Mutex::new(None), released: Notify::new() })
    }

    fn set(&self, fault: Option<Fault>) {
        *self.fault.lock() = fault;
        self.released.notify_waiters();
    }
}

impl MetaStore for Faulty {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<KeyValue>, MetaError>> {
        self.store.get(key)
    }

    fn range<'a>(
        &'a self,
        prefix: &'a [u8],
        limit: usize,
        from: &'a [u8],
    ) -> BoxFuture<'a, Result<RangeResponse, MetaError>> {
        self.store.range(prefix, limit, from)
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnResponse, MetaError>> {
        Box::pin(async move {
            let released = self.released.notified();
            let fault = self.fault.lock().clone();
            match fault {
                Some(Fault::Error(error)) => return Err(error),
                Some(Fault::Silence) => released.await,
                None => {}
            }
            self.store.txn(txn).await
        })
    }

    fn watch<'a>(
        &'a self,
        prefix: &'a [u8],
        from: u64,
    ) -> BoxFuture<'a, Result<Box<dyn Watch>, MetaError>> {
        self.store.watch(prefix, from)
    }

    fn lease_grant(&self, ttl: Duration) -> BoxFuture<'_, Result<Lease, MetaError>> {
        self.store.lease_grant(ttl)
    }

    fn lease_keep_alive(&self, id: LeaseId) -> BoxFuture<'_, Result<Lease, MetaError>> {
        self.store.lease_keep_alive(id)
    }

    fn lease_revoke(&self, id: LeaseId) -> BoxFuture<'_, Result<(), MetaError>> {
        self.store.lease_revoke(id)
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_work_goes_on_when_there_is_space() {
    let store = Faulty::new();
    let world = World::on(Arc::clone(&store) as Arc<dyn MetaStore>, &[]);
    let (member, gone) = (world.client().await, world.client().await);
    made(&gone, "/e", EPHEMERAL).await;
    store.set(Some(Fault::Error(MetaError::Full("no space".into()))));
    assert_eq!(code(&member, op::CREATE, create("/a", 0)).await, -1);
    assert!(!exists(&member, "/a").await);
    assert!(connect(&world.join(), &HELLO).await.is_err(), "a session would not last");
    // The end of a session is tried again until it can be written.
    drop(gone);
    let now = world.shared.now();
    let late = crate::state::Now { steady: now.steady + 11_000, ..now };
    world.shared.state.lock().touch(member.id, late);
    world.shared.look_after(late, false).await;
    world.settle().await;
    assert!(exists(&member, "/e").await);
    store.set(None);
    world.later(11_000).await;
    let third = world.client().await;
    assert!(!exists(&third, "/e").await);
    made(&third, "/a", 0).await;
}

#[tokio::test]
async fn a_client_is_not_told_what_nobody_knows() {
    let store = Faulty::new();
    let world = World::on(Arc::clone(&store) as Arc<dyn MetaStore>, &[]);
    let (member, other) = (world.client().await, world.client().await);
    let detail = "lost".to_owned();
    store.set(Some(Fault::Error(MetaError::Io { doing: "committing", detail })));
    send(&member, 1, op::CREATE, create("/a", 0)).await;
    assert_eq!(member.outgoing.until_cut().await, Cut::Failed);
    assert!(!exists(&other, "/a").await, "reading goes on");
}

#[tokio::test]
async fn who_waits_for_a_slow_disk_is_not_silent() {
    let store = Faulty::new();
    let world = World::on(Arc::clone(&store) as Arc<dyn MetaStore>, &[]);
    let (member, _) = session(&world).await;
    store.set(Some(Fault::Silence));
    send(&member, 1, op::CREATE, create("/a", 0)).await;
    let now = world.shared.now();
    let late = crate::state::Now { steady: now.steady + 60_000, ..now };
    assert_eq!(world.shared.state.lock().expire(late), [0; 0]);
    // The writer may be on its way still.
    while member.outgoing.queued() == 0 {
        store.set(None);
        tokio::task::yield_now().await;
    }
    assert_eq!(received(&member).await[0].2, 0);
}
