//! Made-up metadata, and a door without sockets, for this crate's tests.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use base::{BrokerId, LogId, ManualClock, SystemRandom, TopicId};
use broker::metadata::{BrokerInfo, Endpoint, Metadata, Partition, Topic};
use broker::registry::Registry;
use cluster::{Embedded, MetaStore, Op, Txn};
use tokio::sync::watch;

use crate::session::{Flow, Member, connect, request};
use crate::state::Now;
use crate::wire::connect::{ConnectRequest, ConnectResponse};
use crate::wire::jute::{Reader, Writer};
use crate::{Shared, writer};

pub(crate) const CREATED_AT: i64 = 1_700_000_000_123;

pub(crate) fn topic(name: &str, id: u128, partitions: usize) -> Arc<Topic> {
    let partition = |log| Partition { log: LogId(log), leader: BrokerId(1), leader_epoch: 0 };
    Arc::new(Topic {
        name: name.into(),
        id: TopicId(id),
        partitions: (0..partitions as u64).map(partition).collect(),
        config: BTreeMap::new(),
        created_at: CREATED_AT,
        internal: false,
    })
}

pub(crate) fn endpoint(listener: &str, security: &str, host: &str) -> Endpoint {
    Endpoint { listener: listener.into(), security: security.into(), host: host.into(), port: 9092 }
}

pub(crate) fn broker_info(id: i32) -> BrokerInfo {
    BrokerInfo {
        id: BrokerId(id),
        endpoints: vec![endpoint("PLAINTEXT", "PLAINTEXT", "localhost")],
        rack: None,
        registered_at: CREATED_AT + 1,
    }
}

/// One broker, number 1, and these topics.
pub(crate) fn metadata(revision: u64, topics: &[Arc<Topic>]) -> Metadata {
    Metadata {
        revision,
        cluster_id: "0123456789abcdefghij-_".into(),
        controller: BrokerId(1),
        brokers: BTreeMap::from([(BrokerId(1), broker_info(1))]),
        topics: topics.iter().map(|topic| (topic.name.clone(), Arc::clone(topic))).collect(),
        topic_names: HashMap::new(),
        users: Arc::default(),
        groups: BTreeMap::new(),
        access: Arc::default(),
        quotas: Arc::default(),
        settings: Arc::default(),
        client_metrics: Arc::default(),
    }
}

/// A door without sockets, on a metadata store in memory.
pub(crate) struct World {
    pub(crate) shared: Arc<Shared>,
    pub(crate) meta: Arc<dyn MetaStore>,
    metadata: watch::Sender<Arc<Metadata>>,
}

impl World {
    pub(crate) fn new(topics: &[Arc<Topic>]) -> Self {
        let meta = Embedded::in_memory(cluster::Options::default()).unwrap();
        Self::on(Arc::new(meta), topics)
    }

    /// On a metadata store that may have something in it.
    pub(crate) fn on(meta: Arc<dyn MetaStore>, topics: &[Arc<Topic>]) -> Self {
        let metadata = watch::Sender::new(Arc::new(metadata(1, topics)));
        tokio::spawn(follow(Arc::clone(&meta), metadata.clone()));
        let registry = Registry::new(Arc::clone(&meta), BrokerId(1));
        let clock = Arc::new(ManualClock::at(9000));
        let random = Arc::new(SystemRandom);
        let shared = Arc::new(Shared::new(metadata.subscribe(), registry, clock, random));
        Self { shared, meta, metadata }
    }

    /// Another picture of the metadata, at the store's next revision, which is returned.
    pub(crate) async fn publish(&self, topics: &[Arc<Topic>]) -> i64 {
        let txn = Txn::new().then(Op::put("topics", "changed"));
        let revision = self.meta.txn(txn).await.unwrap().revision;
        self.metadata.send_replace(Arc::new(metadata(revision, topics)));
        revision.cast_signed()
    }

    /// The newest change.
    pub(crate) fn zxid(&self) -> i64 {
        self.catch_up();
        self.shared.state.lock().tree.zxid()
    }

    pub(crate) fn catch_up(&self) {
        self.shared.state.lock().catch_up(self.shared.now());
    }

    pub(crate) fn join(&self) -> Member {
        Member::join(&self.shared, (Ipv4Addr::LOCALHOST, 5).into())
    }

    /// A client with a new session.
    pub(crate) async fn client(&self) -> Member {
        let member = self.join();
        assert_ne!(connect(&member, &HELLO).await.unwrap().session, 0);
        member
    }

    /// A client that goes on with a session.
    pub(crate) async fn client_again(&self, session: ConnectResponse) -> (Member, ConnectResponse) {
        let member = self.join();
        let password = &session.password;
        let hello = ConnectRequest { session: session.session, password, ..HELLO };
        let response = connect(&member, &hello).await.unwrap();
        (member, response)
    }

    /// Looks after sessions as if it were `millis` later, and waits until what follows is done.
    pub(crate) async fn later(&self, millis: u64) {
        let now = self.shared.now();
        let now = Now { steady: now.steady + millis, ..now };
        self.shared.look_after(now, true).await;
        self.settle().await;
    }

    /// Waits until all writes that wait are done.
    pub(crate) async fn settle(&self) {
        let (done, waits) = tokio::sync::oneshot::channel();
        let operation = crate::write::Operation::Multi(Vec::new());
        let asker = writer::Asker::Hello(done);
        self.shared.submit(writer::Job { operation, asker, bytes: 0, attempts: 0 }).await;
        waits.await.unwrap();
    }
}

/// What a broker does: the picture's revision is that of the newest change.
async fn follow(meta: Arc<dyn MetaStore>, metadata: watch::Sender<Arc<Metadata>>) {
    let revision = meta.range(b"", 1, b"").await.unwrap().revision;
    metadata.send_modify(|metadata| Arc::make_mut(metadata).revision = revision);
    let mut watch = meta.watch(b"registry/", revision + 1).await.unwrap();
    while let Ok(batch) = watch.next().await {
        metadata.send_modify(|metadata| {
            let metadata = Arc::make_mut(metadata);
            metadata.revision = metadata.revision.max(batch.revision);
        });
    }
}

pub(crate) const HELLO: ConnectRequest<'static> = ConnectRequest {
    last_zxid_seen: 0,
    timeout: 10_000,
    session: 0,
    password: &[0; 16],
    has_read_only: true,
};

/// A record of texts, numbers and flags.
#[derive(Default)]
pub(crate) struct Record(pub(crate) Writer);

impl Record {
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.0.text(text);
        self
    }

    pub(crate) fn int(mut self, int: i32) -> Self {
        self.0.int(int);
        self
    }

    pub(crate) fn long(mut self, long: i64) -> Self {
        self.0.long(long);
        self
    }

    pub(crate) fn flag(mut self, flag: bool) -> Self {
        self.0.boolean(flag);
        self
    }

    pub(crate) fn texts(mut self, texts: &[&str]) -> Self {
        self.0.count(texts.len());
        texts.iter().fold(self, |record, text| record.text(text))
    }
}

pub(crate) fn record() -> Record {
    Record::default()
}

#[allow(clippy::needless_pass_by_value, reason = "reads better where it is called")]
pub(crate) async fn send(member: &Member, xid: i32, op: i32, record: Record) -> Flow {
    let frame = [&xid.to_be_bytes()[..], &op.to_be_bytes(), record.0.as_slice()].concat();
    request(member, &frame).await.unwrap()
}

/// Everything that the client was sent and has not taken: `xid`, `zxid`, error, record.
pub(crate) async fn received(member: &Member) -> Vec<(i32, i64, i32, Vec<u8>)> {
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
pub(crate) async fn ask(member: &Member, op: i32, record: Record) -> (i64, i32, Vec<u8>) {
    send(member, 77, op, record).await;
    member.until_written().await;
    let mut replies = received(member).await;
    assert_eq!(replies.len(), 1, "{replies:?}");
    let (xid, zxid, error, record) = replies.remove(0);
    assert_eq!(xid, 77);
    (zxid, error, record)
}

/// The kind and path of an event.
pub(crate) fn event(reply: &(i32, i64, i32, Vec<u8>)) -> (i32, String) {
    assert_eq!((reply.0, reply.1, reply.2), (-1, -1, 0), "an event's header");
    let mut fields = Reader::new(&reply.3);
    let (kind, state) = (fields.int().unwrap(), fields.int().unwrap());
    assert_eq!(state, 3, "connected");
    (kind, fields.text().unwrap().into())
}

pub(crate) const CREATED: i32 = 1;
pub(crate) const DELETED: i32 = 2;
pub(crate) const DATA_CHANGED: i32 = 3;
pub(crate) const CHILDREN_CHANGED: i32 = 4;
