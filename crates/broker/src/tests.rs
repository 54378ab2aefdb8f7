//! The broker on a store and a metadata store in a temporary folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{Credential, Offset, PasswordHash};
use bytes::Bytes;
use cluster::{Embedded, MetaStore, Op, RangeResponse, Txn};
use queue::offsets::{CommitRequest, OffsetCommit};
use store::batch::Batch;
use store::{LogOptions, Store};
use tempfile::TempDir;

use crate::broker::{FIRST_TOPIC_LOG, GROUPS_LOG};
use crate::metadata::follow;
use crate::*;

mod groups_topic;
mod shared;

pub(crate) struct Fixture {
    dir: TempDir,
    pub(crate) broker: Broker,
    store: Arc<Store>,
    pub(crate) meta: Arc<Embedded>,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut BrokerOptions)) -> Self {
        Self::try_open_with(TempDir::new().unwrap(), change).await.unwrap()
    }

    /// On a metadata store that is made of the usual one.
    pub(crate) async fn on_meta<M: MetaStore + 'static>(
        wrap: impl FnOnce(Arc<Embedded>) -> Arc<M>,
        change: impl FnOnce(&mut BrokerOptions),
    ) -> Self {
        let wrap = |meta| wrap(meta) as Arc<dyn MetaStore>;
        Self::try_open_on(TempDir::new().unwrap(), change, wrap).await.unwrap()
    }

    async fn try_open(dir: TempDir) -> Result<Self, StartError> {
        Self::try_open_with(dir, |_| {}).await
    }

    async fn try_open_with(
        dir: TempDir,
        change: impl FnOnce(&mut BrokerOptions),
    ) -> Result<Self, StartError> {
        Self::try_open_on(dir, change, |meta| meta).await
    }

    async fn try_open_on(
        dir: TempDir,
        change: impl FnOnce(&mut BrokerOptions),
        wrap: impl FnOnce(Arc<Embedded>) -> Arc<dyn MetaStore>,
    ) -> Result<Self, StartError> {
        let (store, meta) = testing::open(dir.path()).await;
        let mut options = testing::options(dir.path());
        change(&mut options);
        let broker = Broker::start(options, Arc::clone(&store), wrap(Arc::clone(&meta))).await?;
        Ok(Self { dir, broker, store, meta })
    }

    /// Stops, leaving the folder.
    async fn stop(self) -> TempDir {
        let Self { dir, broker, store, meta } = self;
        broker.stop().await;
        drop(broker);
        tokio::task::spawn_blocking(move || {
            store.close();
            drop((store, meta));
        })
        .await
        .unwrap();
        dir
    }

    /// What a crash now would leave: another broker on a copy of the folder.
    pub(crate) async fn crashed(&self) -> Self {
        let copy = TempDir::new().unwrap();
        copy_folder(self.dir.path(), copy.path());
        Self::try_open(copy).await.unwrap()
    }

    pub(crate) async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    pub(crate) async fn restart_with(self, change: impl FnOnce(&mut BrokerOptions)) -> Self {
        Self::try_open_with(self.stop().await, change).await.unwrap()
    }

    pub(crate) async fn topic(
        &self,
        name: &str,
        partitions: i32,
        config: &[(&str, &str)],
    ) -> Arc<OpenTopic> {
        let config = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let new = NewTopic { name: name.to_owned(), partitions: Some(partitions), config };
        self.broker.create_topic(new).await.unwrap();
        self.broker.topic(name).unwrap()
    }

    pub(crate) async fn commit(&self, topic: &str, partitions: i32, offset: Offset, note: &str) {
        let one = |partition| OffsetCommit {
            topic: topic.into(),
            partition,
            offset,
            leader_epoch: -1,
            note: note.into(),
        };
        let request = CommitRequest {
            group: "g".into(),
            member_id: "".into(),
            instance_id: None,
            generation: -1,
            retention: None,
            offsets: (0..partitions).map(one).collect(),
        };
        let outcomes = self.broker.groups().commit(request).await.unwrap();
        assert!(outcomes.iter().all(Result::is_ok));
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn message(key: Option<&str>, value: &str) -> Message {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Message { key: key.map(bytes), value: Some(bytes(value)), ..Message::default() }
}

pub(crate) fn batches(topic: &OpenTopic, partition: i32) -> Vec<Batch> {
    let read = topic.log(partition).unwrap().read(0, 1 << 20, Offset::MAX).unwrap();
    read.batches().map(Result::unwrap).collect()
}

#[tokio::test]
async fn of_many_who_make_a_topic_one_wins() {
    let fixture = Fixture::start().await;
    let make = || {
        let broker = fixture.broker.clone();
        let new = NewTopic { name: "t".to_owned(), ..NewTopic::default() };
        tokio::spawn(async move {
            let made = broker.create_topic(new).await;
            // Whoever is told that it exists can use it.
            assert!(broker.topic("t").is_some());
            made
        })
    };
    let tasks: Vec<_> = (0..1000).map(|_| make()).collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(error) => assert_eq!(error, TopicError::Exists("t".into())),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn messages_go_where_the_partitioner_says() {
    let fixture = Fixture::start().await;
    let config = [("entrepot.partitioner", "list:red=0,green=2")];
    let topic = fixture.topic("t", 3, &config).await;
    let messages = [("green", "1"), ("red", "2"), ("green", "3")];
    let messages = messages.map(|(key, value)| message(Some(key), value));
    let published = fixture.broker.publish(&topic, &messages).await.unwrap();
    let places: Vec<_> = published.iter().map(|p| (p.partition, p.offset)).collect();
    assert_eq!(places, [(2, 0), (0, 0), (2, 1)]);
    assert_eq!(batches(&topic, 2).len(), 1, "what arrives together is one batch");
    assert!(fixture.broker.publish(&topic, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn messages_are_limited_one_by_one_not_all_together() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("t", 1, &[("max.message.bytes", "300")]).await;
    let messages: Vec<_> = (0..10).map(|_| message(None, &"x".repeat(90))).collect();
    let published = fixture.broker.publish(&topic, &messages).await.unwrap();
    let offsets: Vec<_> = published.iter().map(|p| p.offset).collect();
    assert_eq!(offsets, (0..10).collect::<Vec<_>>());
    let batches = batches(&topic, 0);
    assert!(batches.len() > 1 && batches.iter().all(|batch| batch.bytes().len() <= 300));
    let large = message(None, &"x".repeat(300));
    let refused = fixture.broker.publish(&topic, &[large]).await;
    assert!(matches!(refused, Err(ProduceError::TooLarge { limit: 300, .. })), "{refused:?}");
}

#[tokio::test]
async fn producer_identities_never_come_again() {
    let mut fixture = Fixture::start().await;
    let mut last = -1;
    for _ in 0..3 {
        for _ in 0..1500 {
            let id = fixture.broker.new_producer().await.unwrap();
            assert!(id > last);
            last = id;
        }
        fixture = fixture.restart().await;
    }
}

#[tokio::test]
async fn the_journal_is_rewritten_when_it_has_grown() {
    let mut fixture = Fixture::start().await;
    fixture.topic("t", 1, &[]).await;
    let note = "n".repeat(4000);
    let journal = |fixture: &Fixture| fixture.store.open_log(GROUPS_LOG, LogOptions::default());
    // A megabyte each.
    for round in 0..12 {
        fixture.commit("t", 250, round, &note).await;
    }
    let start = tokio::time::timeout(Duration::from_secs(30), async {
        while journal(&fixture).range().start == 0 {
            tokio::task::yield_now().await;
        }
        journal(&fixture).range().start
    });
    let start = start.await.expect("the old part is dropped");
    // Once: it is not due again before it has grown again, though nothing was deleted yet.
    fixture.commit("t", 1, 12, &note).await;
    assert_eq!(journal(&fixture).range().start, start);
    fixture = fixture.restart().await;
    let committed = fixture.broker.groups().committed("g", &[("t", 0), ("t", 249)]).unwrap();
    let offsets: Vec<_> = committed.into_iter().map(|one| one.unwrap().offset).collect();
    assert_eq!(offsets, [12, 11]);
}

#[tokio::test]
async fn offsets_of_topics_that_are_gone_do_not_come_back() {
    let fixture = Fixture::start().await;
    fixture.topic("there", 1, &[]).await;
    fixture.commit("there", 1, 5, "").await;
    // As a crash between a topic's deletion and that of its offsets leaves them.
    fixture.commit("gone", 1, 5, "").await;
    let fixture = fixture.restart().await;
    fixture.commit("there", 1, 6, "").await;
    let committed = fixture.broker.groups().committed("g", &[("there", 0), ("gone", 0)]).unwrap();
    assert!(committed[0].is_some());
    assert!(committed[1].is_none());
}

#[tokio::test]
async fn a_watch_that_fell_behind_forgets_topics_that_are_gone() {
    let fixture = Fixture::start().await;
    let kept = fixture.topic("kept", 1, &[]).await;
    let gone = fixture.topic("gone", 1, &[]).await;
    fixture.commit("gone", 1, 5, "").await;
    let range = fixture.meta.range(b"", 0, b"").await.unwrap();
    let kvs = range.kvs.into_iter().filter(|kv| kv.key != "topic/gone").collect();
    let range = RangeResponse { kvs, ..range };
    follow::reload(&fixture.broker.inner, &range);
    assert!(fixture.broker.topic("gone").is_none());
    assert!(fixture.broker.topic_by_id(gone.topic.id).is_none());
    assert!(fixture.broker.topic("kept").is_some());
    let logs = fixture.store.log_ids().into_iter().filter(|log| log.0 >= FIRST_TOPIC_LOG);
    assert_eq!(logs.count(), 1, "what is kept");
    let fetch = |topic: &Arc<OpenTopic>| {
        let topic = Arc::clone(topic);
        [Fetch { topic, partition: 0, offset: 0, max_bytes: 1 }]
    };
    let limits =
        FetchLimits { min_bytes: 0, max_wait: Duration::ZERO, max_bytes: 1, committed: false };
    let outcomes = fixture.broker.fetch(&fetch(&gone), limits).await;
    assert!(matches!(outcomes[0], Err(FetchError::NoPartition)));
    assert!(fixture.broker.fetch(&fetch(&kept), limits).await[0].is_ok());
}

#[tokio::test]
async fn records_of_a_topic_that_cannot_be_read_are_kept() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("t", 1, &[]).await;
    fixture.broker.publish(&topic, &[message(None, "a")]).await.unwrap();
    let log = topic.log(0).unwrap().id();
    // As a later version of the program might write it.
    let newer = Txn::new().then(Op::put("topic/t", "{\"version\":99}"));
    fixture.meta.txn(newer).await.unwrap();
    drop(topic);
    let fixture = fixture.restart().await;
    assert!(fixture.broker.topic("t").is_none());
    assert!(fixture.store.log_ids().contains(&log));
    let range = fixture.meta.range(b"", 0, b"").await.unwrap();
    follow::reload(&fixture.broker.inner, &range);
    assert!(fixture.store.log_ids().contains(&log));
}

#[tokio::test]
async fn records_without_metadata_are_not_taken_for_garbage() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("t", 1, &[]).await;
    fixture.broker.publish(&topic, &[message(None, "a")]).await.unwrap();
    drop(topic);
    let dir = fixture.stop().await;
    std::fs::remove_dir_all(dir.path().join("meta")).unwrap();
    let refused = Fixture::try_open(dir).await.map(|_| ());
    assert!(matches!(refused, Err(StartError::MetadataLost)), "{refused:?}");
}

#[tokio::test]
async fn a_reader_looks_only_at_what_has_news() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("t", 100, &[("entrepot.partitioner", "list:a=7")]).await;
    let at = |partition, offset| Fetch {
        topic: Arc::clone(&topic),
        partition,
        offset,
        max_bytes: 1 << 20,
    };
    let limits =
        |max_wait| FetchLimits { min_bytes: 1, max_wait, max_bytes: 1 << 20, committed: false };
    let mut reader = Reader::default();
    for (slot, partition) in (0..100).enumerate() {
        reader.set(slot, at(partition, 0));
    }
    let read = fixture.broker.read(&mut reader, limits(Duration::ZERO)).await;
    assert_eq!((read.len(), reader.awake()), (100, 0));
    assert!(fixture.broker.read(&mut reader, limits(Duration::ZERO)).await.is_empty());

    fixture.broker.publish(&topic, &[message(Some("a"), "1")]).await.unwrap();
    let read = fixture.broker.read(&mut reader, limits(Duration::from_secs(60))).await;
    let slots: Vec<_> = read.iter().map(|(slot, _)| *slot).collect();
    assert_eq!((slots, reader.awake()), (vec![7], 1), "it has more until its reader goes on");
    reader.set(7, at(7, 1));
    assert_eq!(fixture.broker.read(&mut reader, limits(Duration::ZERO)).await.len(), 1);
    assert_eq!(reader.awake(), 0);
    // Nobody is told of what a reader gave up.
    reader.remove(7);
    fixture.broker.publish(&topic, &[message(Some("a"), "2")]).await.unwrap();
    assert!(fixture.broker.read(&mut reader, limits(Duration::ZERO)).await.is_empty());
}

fn credential(hash: PasswordHash, iterations: u32) -> Credential {
    let key = Arc::from(vec![iterations.to_le_bytes()[0]; hash.bytes()]);
    Credential {
        iterations,
        salt: Arc::from(&b"salt"[..]),
        stored_key: Arc::clone(&key),
        server_key: key,
    }
}

#[tokio::test]
async fn users_outlast_a_restart_and_end_with_their_last_credential() {
    use PasswordHash::{Sha256, Sha512};

    let fixture = Fixture::start().await;
    let (weak, strong) = (credential(Sha256, 4096), credential(Sha512, 8192));
    let both = [(Sha256, Some(weak)), (Sha512, Some(strong.clone()))];
    fixture.broker.alter_user("zoë/=", &both).await.unwrap();
    fixture.broker.alter_user("bob", &both[..1]).await.unwrap();
    fixture.broker.alter_user("bob", &[(Sha256, None)]).await.unwrap();
    assert!(!fixture.broker.metadata().users.contains_key("bob"));

    let fixture = fixture.restart().await;
    fixture.broker.alter_user("zoë/=", &[(Sha256, None)]).await.unwrap();
    let users = Arc::clone(&fixture.broker.metadata().users);
    assert_eq!(users.len(), 1);
    assert_eq!(users["zoë/="].credentials, BTreeMap::from([(Sha512, strong)]));
    let gone = fixture.broker.alter_user("zoë/=", &[(Sha256, None)]).await;
    assert!(matches!(gone, Err(UserError::NotFound)), "{gone:?}");
}

#[tokio::test]
async fn a_user_that_cannot_be_is_refused() {
    let fixture = Fixture::start().await;
    let hash = PasswordHash::Sha256;
    let good = credential(hash, 4096);
    for name in ["", "a\nb", &"x".repeat(256)] {
        let refused = fixture.broker.alter_user(name, &[(hash, Some(good.clone()))]).await;
        assert!(matches!(refused, Err(UserError::Name)), "{name:?}: {refused:?}");
    }
    let short = Credential { stored_key: Arc::from(&[1; 31][..]), ..good.clone() };
    let unsalted = Credential { salt: Arc::from(&[][..]), ..good.clone() };
    for bad in [credential(hash, 4095), credential(hash, 16_385), short, unsalted] {
        // All or none: the good one is not set either.
        let changes = [(hash, Some(good.clone())), (hash, Some(bad))];
        let refused = fixture.broker.alter_user("eve", &changes).await;
        assert!(matches!(refused, Err(UserError::Credential(_))), "{refused:?}");
    }
    assert!(fixture.broker.metadata().users.is_empty());
}
