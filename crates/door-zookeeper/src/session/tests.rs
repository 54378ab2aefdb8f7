//! Requests and what comes back for them, without a socket.

use std::net::Ipv4Addr;

use base::{ManualClock, SystemRandom};
use broker::metadata::{Metadata, Topic};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, advance};

use super::*;
use crate::registry::Registry;
use crate::testing::{metadata, topic};
use crate::wire::op;

/// A door without sockets.
struct World {
    shared: Arc<Shared>,
    metadata: watch::Sender<Arc<Metadata>>,
}

impl World {
    fn new(topics: &[Arc<Topic>]) -> Self {
        let (sender, metadata) = watch::channel(Arc::new(metadata(10, topics)));
        let registry = Mutex::new(Registry::new(metadata.clone(), Arc::new(SystemRandom)));
        let clock = Arc::new(ManualClock::at(9000));
        let shared = Arc::new(Shared { registry, metadata, clock, started: Instant::now() });
        Self { shared, metadata: sender }
    }

    fn publish(&self, revision: u64, topics: &[Arc<Topic>]) {
        self.metadata.send_replace(Arc::new(metadata(revision, topics)));
    }

    fn join(&self) -> Member {
        Member::join(&self.shared, (Ipv4Addr::LOCALHOST, 5).into())
    }

    fn connect(&self, member: &Member, hello: ConnectRequest<'_>) -> ConnectResponse {
        let now = self.shared.now();
        self.shared.registry.lock().connect(member.id, &hello, now).unwrap()
    }

    /// A client with a new session.
    fn client(&self) -> Member {
        let member = self.join();
        assert_ne!(self.connect(&member, HELLO).session, 0);
        member
    }
}

const HELLO: ConnectRequest<'static> = ConnectRequest {
    last_zxid_seen: 0,
    timeout: 10_000,
    session: 0,
    password: &[0; 16],
    has_read_only: true,
};

/// A record of texts, numbers and flags.
#[derive(Default)]
struct Record(Writer);

impl Record {
    fn text(mut self, text: &str) -> Self {
        self.0.text(text);
        self
    }

    fn int(mut self, int: i32) -> Self {
        self.0.int(int);
        self
    }

    fn long(mut self, long: i64) -> Self {
        self.0.long(long);
        self
    }

    fn flag(mut self, flag: bool) -> Self {
        self.0.boolean(flag);
        self
    }

    fn texts(mut self, texts: &[&str]) -> Self {
        self.0.count(texts.len());
        texts.iter().fold(self, |record, text| record.text(text))
    }
}

fn record() -> Record {
    Record::default()
}

#[allow(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn send(member: &Member, xid: i32, op: i32, record: Record) -> Flow {
    let frame = [&xid.to_be_bytes()[..], &op.to_be_bytes(), record.0.as_slice()].concat();
    request(member, &frame).unwrap()
}

/// Everything that the client was sent and has not taken: `xid`, `zxid`, error, record.
async fn received(member: &Member) -> Vec<(i32, i64, i32, Vec<u8>)> {
    let mut seen = Vec::new();
    if member.outgoing.queued() == 0 {
        return seen;
    }
    let bytes = member.outgoing.take().await.unwrap();
    let mut reader = Reader::new(&bytes);
    while let Ok(Some(frame)) = reader.buffer() {
        let mut fields = Reader::new(frame);
        let header = (fields.int().unwrap(), fields.long().unwrap(), fields.int().unwrap());
        seen.push((header.0, header.1, header.2, frame[16..].to_vec()));
    }
    seen
}

/// Sends one request and returns the one reply: zxid, error, record.
async fn ask(member: &Member, op: i32, record: Record) -> (i64, i32, Vec<u8>) {
    send(member, 77, op, record);
    let mut replies = received(member).await;
    assert_eq!(replies.len(), 1, "{replies:?}");
    let (xid, zxid, error, record) = replies.remove(0);
    assert_eq!(xid, 77);
    (zxid, error, record)
}

/// The kind and path of an event.
fn event(reply: &(i32, i64, i32, Vec<u8>)) -> (i32, String) {
    assert_eq!((reply.0, reply.1, reply.2), (-1, -1, 0), "an event's header");
    let mut fields = Reader::new(&reply.3);
    let (kind, state) = (fields.int().unwrap(), fields.int().unwrap());
    assert_eq!(state, 3, "connected");
    (kind, fields.text().unwrap().into())
}

const CREATED: i32 = 1;
const DELETED: i32 = 2;
const DATA_CHANGED: i32 = 3;
const CHILDREN_CHANGED: i32 = 4;

#[tokio::test]
async fn an_event_comes_before_the_reply_that_shows_the_change() {
    let world = World::new(&[]);
    let member = world.client();
    let (zxid, error, _) =
        ask(&member, op::GET_CHILDREN, record().text("/brokers/topics").flag(true)).await;
    assert_eq!((zxid, error), (10, 0));
    world.publish(11, &[topic("orders", 1, 1)]);
    send(&member, 2, op::EXISTS, record().text("/brokers/topics/orders").flag(false));
    let seen = received(&member).await;
    assert_eq!(event(&seen[0]), (CHILDREN_CHANGED, "/brokers/topics".into()));
    assert_eq!((seen[1].0, seen[1].1, seen[1].2), (2, 11, 0), "the reply, with the new zxid");
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn an_exists_watch_waits_for_a_node_to_come() {
    let world = World::new(&[]);
    let member = world.client();
    let path = "/brokers/topics/orders";
    assert_eq!(ask(&member, op::EXISTS, record().text(path).flag(true)).await.1, -101);
    assert_eq!(ask(&member, op::GET_DATA, record().text("/nope").flag(true)).await.1, -101);
    world.publish(11, &[topic("orders", 1, 1), topic("other", 2, 1)]);
    world.shared.registry.lock().catch_up(world.shared.now());
    let seen = received(&member).await;
    assert_eq!(seen.iter().map(event).collect::<Vec<_>>(), [(CREATED, path.into())]);
    world.publish(12, &[]);
    world.shared.registry.lock().catch_up(world.shared.now());
    assert_eq!(received(&member).await, [], "a watch is for one event");
}

#[tokio::test]
async fn a_client_that_reconnects_hears_at_once_of_what_it_missed() {
    let world = World::new(&[topic("gone", 1, 1), topic("same", 2, 1)]);
    let member = world.client();
    world.publish(20, &[topic("new", 3, 1), topic("same", 2, 1)]);
    let watches = record()
        .long(10)
        .texts(&["/brokers/topics/gone", "/brokers/topics/same"])
        .texts(&["/brokers/topics/new", "/brokers/topics/later"])
        .texts(&["/brokers/topics", "/brokers"]);
    assert_eq!(send(&member, -8, op::SET_WATCHES, watches), Flow::Continue);
    let seen = received(&member).await;
    let (reply, events) = seen.split_last().unwrap();
    let expected = [
        (DELETED, "/brokers/topics/gone".to_string()),
        (CREATED, "/brokers/topics/new".to_string()),
        (CHILDREN_CHANGED, "/brokers/topics".to_string()),
    ];
    // Topics are another value with the same content here, so "same" did not change.
    assert_eq!(events.iter().map(event).collect::<Vec<_>>(), expected);
    assert_eq!((reply.0, reply.1, reply.2), (-8, 20, 0));
    world.publish(21, &[topic("new", 3, 1), topic("later", 4, 1)]);
    world.shared.registry.lock().catch_up(world.shared.now());
    let seen = received(&member).await;
    let expected = [
        (CREATED, "/brokers/topics/later".to_string()),
        (DELETED, "/brokers/topics/same".to_string()),
    ];
    assert_eq!(seen.iter().map(event).collect::<Vec<_>>(), expected, "the others wait");
}

#[tokio::test]
async fn a_recursive_watch_stays() {
    let world = World::new(&[]);
    let member = world.client();
    let watch = record().text("/brokers/topics").int(1);
    assert_eq!(ask(&member, op::ADD_WATCH, watch).await, (10, 0, vec![0; 4]));
    for revision in [11, 12] {
        let epoch = i32::try_from(revision).unwrap();
        let mut orders = topic("orders", 1, 1);
        Arc::make_mut(&mut orders).partitions[0].leader_epoch = epoch;
        world.publish(revision, &[orders]);
        world.shared.registry.lock().catch_up(world.shared.now());
    }
    let seen: Vec<_> = received(&member).await.iter().map(event).collect();
    assert_eq!(seen.len(), 5, "four nodes created, one written: {seen:?}");
    let state = "/brokers/topics/orders/partitions/0/state".to_string();
    assert_eq!(seen[4], (DATA_CHANGED, state));
    let watch = || record().text("/brokers/topics").int(3);
    assert_eq!(ask(&member, op::CHECK_WATCHES, watch()).await.1, 0);
    assert_eq!(ask(&member, op::REMOVE_WATCHES, watch()).await.1, 0);
    assert_eq!(ask(&member, op::REMOVE_WATCHES, watch()).await.1, -121);
}

#[tokio::test]
async fn writes_are_refused_with_the_error_that_comes_first() {
    let world = World::new(&[topic("orders", 1, 1)]);
    let member = world.client();
    let create = |path: &str, flags| {
        record().text(path).text("").int(1).int(31).text("world").text("anyone").int(flags)
    };
    let cases = [
        (op::CREATE, create("/x", 0), -102),
        (op::CREATE2, create("/brokers", 0), -110),
        (op::CREATE, create("/brokers/", 2), -102),
        (op::CREATE_CONTAINER, create("/x/y", 4), -101),
        (op::CREATE, create("/x", 99), -8),
        (op::CREATE, create("x", 0), -8),
        (op::CREATE, create("/brokers/..", 0), -8),
        (op::CREATE_TTL, create("/x", 5).long(1), -6),
        (op::CREATE, record().text("/x").text("").int(0).int(0), -114),
        (op::DELETE, record().text("/brokers").int(-1), -102),
        (op::DELETE, record().text("/x").int(-1), -101),
        (op::DELETE, record().text("/").int(-1), -8),
        (op::SET_DATA, record().text("/x").text("").int(-1), -101),
        (op::SET_DATA, record().text("/brokers").text("").int(-1), -102),
        (op::SET_ACL, record().text("/brokers").int(0).int(-1), -114),
        (op::CHECK, record().text("/brokers").int(3), -103),
        (op::CHECK, record().text("/brokers").int(0), 0),
        (op::RECONFIG, record(), -123),
        (op::GET_DATA, record().int(-1).flag(false), -5),
        (op::GET_DATA, record().int(50), -5),
    ];
    for (number, (op, body, expected)) in cases.into_iter().enumerate() {
        assert_eq!(ask(&member, op, body).await.1, expected, "case {number}, op {op}");
    }
}

#[tokio::test]
async fn a_transaction_of_checks_succeeds_and_any_other_fails_as_a_whole() {
    let world = World::new(&[]);
    let member = world.client();
    let check = |record: Record| record.int(13).flag(false).int(-1).text("/brokers").int(-1);
    let end = |record: Record| record.int(-1).flag(true).int(-1);
    let (_, error, results) = ask(&member, op::MULTI, end(check(record()))).await;
    let expected = end(record().int(13).flag(false).int(0));
    assert_eq!((error, &results[..]), (0, expected.0.as_slice()));
    let delete = check(record()).int(2).flag(false).int(-1).text("/brokers").int(-1);
    let (_, error, results) = ask(&member, op::MULTI, end(check(delete))).await;
    let failed = |record: Record, code| record.int(-1).flag(false).int(code).int(code);
    let expected = end(failed(failed(failed(record(), 0), -102), -2));
    assert_eq!((error, &results[..]), (0, expected.0.as_slice()));
}

#[tokio::test]
async fn many_reads_at_once_have_an_end() {
    let world = World::new(&[topic("orders", 1, 10_000)]);
    let member = world.client();
    let read = |record: Record, path| record.int(4).flag(false).int(-1).text(path).flag(false);
    let few = read(read(record(), "/cluster/id"), "/nope").int(-1).flag(true).int(-1);
    let (_, error, results) = ask(&member, op::MULTI_READ, few).await;
    assert_eq!((error, &results[..4]), (0, &4_i32.to_be_bytes()[..]));
    // Each is 120 KiB: a small request for a gigabyte.
    let many = (0..10_000).fold(record(), |record, _| read(record, "/brokers/topics/orders"));
    let frame = [&[0, 0, 0, 1, 0, 0, 0, 22], many.0.as_slice()].concat();
    let refused = request(&member, &frame);
    assert!(matches!(refused, Err(CloseReason::Limit(_))), "{refused:?}");
}

#[tokio::test]
async fn credentials_are_taken_and_shown() {
    let world = World::new(&[]);
    let member = world.client();
    let digest = record().int(0).text("digest").text("ann:secret");
    assert_eq!(ask(&member, op::AUTH, digest).await, (0, 0, vec![]));
    let (_, _, identities) = ask(&member, op::WHO_AM_I, record()).await;
    let expected = record().int(2).texts_flat(&["ip", "127.0.0.1", "digest", "ann"]);
    assert_eq!(identities, expected.0.as_slice());
    let unknown = record().int(0).text("bogus").text("");
    assert_eq!(send(&member, -4, op::AUTH, unknown), Flow::Close);
    assert_eq!(received(&member).await, [(-4, 0, -115, vec![])]);
    assert_eq!(send(&world.client(), 1, op::SASL, record().text("token")), Flow::Close);
}

impl Record {
    fn texts_flat(self, texts: &[&str]) -> Self {
        texts.iter().fold(self, |record, text| record.text(text))
    }
}

#[tokio::test]
async fn an_unknown_operation_ends_the_connection() {
    let world = World::new(&[]);
    let member = world.client();
    assert_eq!(send(&member, 3, 77, record()), Flow::Close);
    assert_eq!(received(&member).await, [(3, -1, -6, vec![])]);
    assert!(matches!(request(&member, b"short"), Err(CloseReason::Protocol(_))));
}

#[tokio::test]
async fn a_session_is_taken_up_again_with_its_password_only() {
    let world = World::new(&[]);
    let (first, second) = (world.join(), world.join());
    let session = world.connect(&first, HELLO);
    let wrong = ConnectRequest { session: session.session, password: &[1; 16], ..HELLO };
    assert_eq!(world.connect(&second, wrong), ConnectResponse::EXPIRED);
    let unknown = ConnectRequest { session: 5, password: &session.password, ..HELLO };
    assert_eq!(world.connect(&second, unknown), ConnectResponse::EXPIRED);
    assert_eq!(send(&first, -2, op::PING, record()), Flow::Continue, "still the first one's");
    let right = ConnectRequest {
        session: session.session,
        password: &session.password,
        timeout: 1,
        ..HELLO
    };
    let moved = world.connect(&second, right);
    assert_eq!(moved, ConnectResponse { timeout: 4000, ..session });
    assert_eq!(first.outgoing.until_cut().await, Cut::Moved);
    assert_eq!(send(&first, -2, op::PING, record()), Flow::Close);
    drop(first);
    assert_eq!(send(&second, 9, op::PING, record()), Flow::Continue);
    assert_eq!(received(&second).await, [(-2, 10, 0, vec![])], "a ping's xid is always -2");
    assert_eq!(send(&second, 10, op::CLOSE_SESSION, record()), Flow::Close);
    assert_eq!(world.shared.registry.lock().sessions(), 0);
}

#[tokio::test]
async fn a_client_from_the_future_is_turned_away() {
    let world = World::new(&[]);
    let member = world.join();
    let hello = ConnectRequest { last_zxid_seen: 11, ..HELLO };
    let now = world.shared.now();
    let refused = world.shared.registry.lock().connect(member.id, &hello, now);
    assert!(matches!(refused, Err(CloseReason::Protocol(_))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn silent_sessions_expire_and_lively_ones_do_not() {
    let world = World::new(&[]);
    let (silent, lively, gone) = (world.client(), world.client(), world.client());
    world.shared.tend(&mut world.shared.registry.lock());
    drop(gone);
    for _ in 0..4 {
        advance(Duration::from_secs(3)).await;
        assert_eq!(send(&lively, -2, op::PING, record()), Flow::Continue);
    }
    let cut = timeout(Duration::from_secs(60), silent.outgoing.until_cut()).await;
    assert_eq!(cut, Ok(Cut::Expired));
    assert_eq!(world.shared.registry.lock().sessions(), 1);
    assert_eq!(send(&lively, -2, op::PING, record()), Flow::Continue);
    drop(lively);
    drop(silent);
    // The last session times out, and the task that looks after sessions ends itself.
    for _ in 0..60 {
        advance(Duration::from_secs(1)).await;
    }
    assert!(!world.shared.registry.lock().tended);
    assert_eq!(world.shared.registry.lock().sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn those_who_watch_are_told_without_asking() {
    let world = World::new(&[]);
    let member = world.client();
    world.shared.tend(&mut world.shared.registry.lock());
    ask(&member, op::GET_CHILDREN, record().text("/brokers/topics").flag(true)).await;
    world.publish(11, &[topic("orders", 1, 1)]);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let seen = received(&member).await;
    assert_eq!(event(&seen[0]), (CHILDREN_CHANGED, "/brokers/topics".into()));
}

#[tokio::test]
async fn nothing_is_built_until_a_client_needs_it() {
    let world = World::new(&[topic("orders", 1, 100)]);
    let member = world.join();
    assert_eq!(world.shared.registry.lock().tree.len(), 1, "the root");
    world.connect(&member, HELLO);
    assert!(world.shared.registry.lock().tree.len() > 200);
    world.publish(11, &[]);
    assert!(world.shared.registry.lock().tree.len() > 200, "nobody has asked");
}
