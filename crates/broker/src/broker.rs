//! The handle that doors hold, and how a broker starts and stops. Its verbs are in `verbs/`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base::{BrokerId, LogId, Millis};
use cluster::{Compare, LeaseId, MetaError, MetaStore, Op, Txn};
use observe::diagnosis::{Incident, Watcher};
use observe::{Observe, Said, kinds};
use parking_lot::Mutex;
use store::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::discovery::Discovery;
use crate::exchanges::Exchanges;
use crate::group_config::GroupConfig;
use crate::groups::Groups;
use crate::live::Live;
use crate::metadata::{BrokerInfo, Metadata, follow, keys};
use crate::observing::Lags;
use crate::options::BrokerOptions;
use crate::policies::Policies;
use crate::queues::Queues;
use crate::quotas::Meters;
use crate::registry::Registry;
use crate::remedies::Remedies;
use crate::retained::Retained;
use crate::sessions::Sessions;
use crate::settings::Settings;
use crate::topics::{OpenTopic, Topics};

/// The log that journals consumer groups and committed offsets.
pub(crate) const GROUPS_LOG: LogId = LogId(1);
/// The log that keeps the last message of each subject.
pub(crate) const RETAINED_LOG: LogId = LogId(2);
/// The log that says what sessions there are.
pub(crate) const SESSIONS_LOG: LogId = LogId(3);
/// The log of messages that wait for sessions.
pub(crate) const QUEUE_LOG: LogId = LogId(4);
/// The log that says what became of queues' messages.
pub(crate) const QUEUES_LOG: LogId = LogId(5);
/// The first log that can be a topic's; those below are the broker's own.
pub(crate) const FIRST_TOPIC_LOG: u64 = 16;
/// A broker that dies is forgotten by the cluster after this.
const LEASE_TTL: Duration = Duration::from_secs(15);

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The metadata store cannot be used.
    #[error("metadata: {0}")]
    Meta(#[from] MetaError),
    /// The journal of groups and offsets cannot be read back.
    #[error("the journal of consumer groups: {0}")]
    Journal(String),
    /// What became of queues' messages cannot be read back.
    #[error("the journal of queues: {0}")]
    Queues(String),
    /// What sessions there are cannot be read back.
    #[error("the sessions: {0}")]
    Sessions(String),
    /// The records are there, what they belong to is not.
    #[error(
        "the data folder holds records, but its metadata is empty: restore the metadata, or move the data folder away to begin anew"
    )]
    MetadataLost,
}

/// The core. Clones are handles of the same broker.
#[derive(Debug, Clone)]
pub struct Broker {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) options: BrokerOptions,
    pub(crate) observe: Arc<Observe>,
    pub(crate) lags: Lags,
    pub(crate) incidents: Mutex<Arc<Vec<Incident>>>,
    /// What rules find, and since when.
    pub(crate) watcher: Mutex<Watcher>,
    /// What can be done about what is wrong.
    pub(crate) remedies: Remedies,
    pub(crate) store: Arc<Store>,
    pub(crate) meta: Arc<dyn MetaStore>,
    pub(crate) topics: Topics,
    pub(crate) metadata: watch::Sender<Arc<Metadata>>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) live: Arc<Live>,
    pub(crate) retained: Retained,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) exchanges: Exchanges,
    pub(crate) policies: Policies,
    pub(crate) discovery: Arc<Discovery>,
    pub(crate) meters: Meters,
    settings: watch::Sender<Arc<Settings>>,
    /// Producer identities reserved but not given out: next, and the end of the block.
    pub(crate) producer_ids: tokio::sync::Mutex<(i64, i64)>,
    pub(crate) started_at: Millis,
    lease: AtomicI64,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Broker {
    /// Starts a broker on a store and a metadata store: registers it, opens its topics, reads the
    /// groups' journal back.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        options: BrokerOptions,
        store: Arc<Store>,
        meta: Arc<dyn MetaStore>,
    ) -> Result<Self, StartError> {
        let is_new = meta.get(keys::CLUSTER_ID.as_bytes()).await?.is_none();
        if is_new && store.log_ids().iter().any(|log| log.0 >= FIRST_TOPIC_LOG) {
            return Err(StartError::MetadataLost);
        }
        let lease = register(&options, meta.as_ref()).await?;
        let range = meta.range(b"", 0, b"").await?;
        let metadata = Metadata::load(&range, options.id);
        let topics = Topics::default();
        let settings = Arc::new(Settings::new(&options, &metadata));
        store.tune(settings.tuning());
        topics.load(&metadata, &store, settings.topic_defaults());
        let groups =
            Groups::restore(&options, Arc::clone(&store)).await.map_err(StartError::Journal)?;
        groups.put_topics(metadata.topics.values());
        if follow::is_complete(&metadata, &range) {
            // What a crash left of topics that were deleted just before it.
            Topics::delete_orphans(&metadata, &store, FIRST_TOPIC_LOG);
            groups.keep_topics(|topic| metadata.topics.contains_key(topic));
            groups.keep_topic_ids(|topic| metadata.topic_names.contains_key(&topic));
        } else {
            tracing::warn!("some topics cannot be read; the records of all are kept");
        }
        let started_at = options.clock.now();
        let observe = Observe::new(Arc::clone(&options.clock));
        let retained = Retained::open(&store);
        let sessions = Sessions::restore(&store, &options, started_at, &observe).await;
        let sessions = sessions.map_err(|error| StartError::Sessions(error.to_string()))?;
        let queues = Queues::restore(&options, &store).await.map_err(StartError::Queues)?;
        let (bindings, waiters) = (Arc::clone(&topics.bindings), Arc::clone(&sessions.router));
        let live = Live::new(options.random.as_ref(), bindings, waiters, &observe);
        let metadata = watch::Sender::new(Arc::new(metadata));
        let registry = Registry::new(Arc::clone(&meta), options.id);
        let chance = (Arc::clone(&options.clock), Arc::clone(&options.random));
        let discovery = Discovery::new(registry, metadata.subscribe(), chance);
        let inner = Arc::new(Inner {
            remedies: Remedies::load(&range.kvs, options.id),
            options,
            observe,
            lags: Lags::default(),
            incidents: Mutex::default(),
            watcher: Mutex::default(),
            store,
            meta,
            topics,
            metadata,
            groups: Arc::new(groups),
            live,
            retained,
            sessions,
            queues,
            exchanges: Exchanges::default(),
            policies: Policies::load(&range.kvs),
            discovery,
            meters: Meters::default(),
            settings: watch::Sender::new(settings),
            producer_ids: tokio::sync::Mutex::default(),
            started_at,
            lease: AtomicI64::new(lease.0.cast_signed()),
            tasks: Mutex::default(),
        });
        inner.show();
        inner.begin(lease, range.revision + 1);
        inner.sessions.begin(&inner);
        let journal = inner.queues.begin(&inner, &range.kvs);
        inner.discovery.begin(&range.kvs);
        let broker = Self { inner };
        broker.inner.exchanges.begin(&broker, &range.kvs);
        broker.inner.tasks.lock().extend([journal, tokio::spawn(broker.clone().keep_streams())]);
        Ok(broker)
    }

    /// Stops: takes the broker out of the cluster's list and ends its tasks. The store is closed
    /// by whoever opened it.
    pub async fn stop(&self) {
        self.inner.queues.stop().await;
        for task in self.inner.tasks.lock().drain(..) {
            task.abort();
        }
        self.inner.live.tails.stop();
        self.inner.sessions.stop(self.now()).await;
        let lease = LeaseId(self.inner.lease.load(Ordering::Acquire).cast_unsigned());
        if let Err(error) = self.inner.meta.lease_revoke(lease).await {
            tracing::debug!(%error, "the broker's registration ends by itself");
        }
    }

    /// This broker's number.
    pub fn id(&self) -> BrokerId {
        self.inner.options.id
    }

    /// Its settings.
    pub fn options(&self) -> &BrokerOptions {
        &self.inner.options
    }

    /// What can be changed while it runs, as it is now.
    pub fn settings(&self) -> Arc<Settings> {
        self.inner.settings()
    }

    /// Follows what can be changed while it runs.
    pub fn watch_settings(&self) -> watch::Receiver<Arc<Settings>> {
        self.inner.settings.subscribe()
    }

    /// The time, from the broker's clock.
    pub fn now(&self) -> Millis {
        self.inner.options.clock.now()
    }

    /// When it started.
    pub fn started_at(&self) -> Millis {
        self.inner.started_at
    }

    /// What the cluster agrees on, now.
    pub fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.inner.metadata.borrow())
    }

    /// Follows what the cluster agrees on.
    pub fn watch_metadata(&self) -> watch::Receiver<Arc<Metadata>> {
        self.inner.metadata.subscribe()
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<Arc<OpenTopic>> {
        self.inner.topics.get(name)
    }

    /// The topic of this identity.
    pub fn topic_by_id(&self, id: base::TopicId) -> Option<Arc<OpenTopic>> {
        self.inner.topics.get_by_id(id)
    }

    /// Consumer groups and their committed offsets.
    pub fn groups(&self) -> &Arc<Groups> {
        &self.inner.groups
    }

    /// A group's configuration, in effect.
    pub fn group_config(&self, group: &str) -> GroupConfig {
        let metadata = self.inner.metadata.borrow();
        let set = metadata.groups.get(group).map(AsRef::as_ref);
        let options = &self.inner.options;
        GroupConfig::new(set, &options.group_defaults, &options.group_bounds)
    }

    /// The registry of programs, kept in the cluster's metadata.
    pub fn registry(&self) -> Registry {
        Registry::new(Arc::clone(&self.inner.meta), self.id())
    }

    /// Random bytes that are the same on every broker and after every restart, and known to no
    /// client.
    ///
    /// # Errors
    /// The metadata store failed.
    pub async fn secret(&self) -> Result<[u8; 32], MetaError> {
        let (meta, key) = (&self.inner.meta, keys::SECRET);
        loop {
            let known = meta.get(key.as_bytes()).await?;
            if let Some(secret) = known.as_ref().and_then(|kv| kv.value.as_ref().try_into().ok()) {
                return Ok(secret);
            }
            let mut made = [0; 32];
            self.options().random.fill(&mut made);
            // One of another length is not ours, and is replaced.
            let unchanged = match &known {
                None => Compare::absent(key),
                Some(kv) => Compare::mod_revision(key, kv.mod_revision),
            };
            let put = Txn::new().when(unchanged).then(Op::put(key, made.to_vec()));
            meta.txn(put).await?;
        }
    }

    /// Why the broker can acknowledge nothing at the moment, if so.
    ///
    /// # Errors
    /// A full disk, or failed storage.
    pub fn health(&self) -> Result<(), store::AppendError> {
        self.inner.store.health()
    }

    /// Waits until this broker has seen a revision of the metadata.
    pub(crate) async fn seen(&self, revision: u64) {
        let mut metadata = self.inner.metadata.subscribe();
        // The sender lives as long as the broker, so this cannot fail.
        let _ = metadata.wait_for(|metadata| metadata.revision >= revision).await;
    }
}

impl Inner {
    /// Begins the tasks that end with the broker: one keeps it registered, others follow the metadata from a revision on,
    /// write journals, and look at clocks.
    fn begin(self: &Arc<Self>, lease: LeaseId, revision: u64) {
        let clock = Arc::clone(&self.options.clock);
        let tasks = [
            tokio::spawn(follow::run(Arc::clone(self), revision)),
            tokio::spawn(keep_registered(Arc::clone(self), lease)),
            tokio::spawn(Groups::run_journal(Arc::clone(&self.groups), Arc::clone(self))),
            tokio::spawn(Groups::run_timers(Arc::clone(&self.groups))),
            tokio::spawn(Arc::clone(&self.sessions).run_queue()),
            tokio::spawn(Arc::clone(&self.sessions).run_journal(clock)),
            tokio::spawn(Groups::run_dead_letters(Arc::clone(&self.groups), Arc::downgrade(self))),
        ];
        self.tasks.lock().extend(tasks);
    }

    /// Has its figures, and what there is, be seen.
    fn show(self: &Arc<Self>) {
        self.observe.traces.seed(self.options.random.next_u64());
        self.store.show(&self.observe.registry);
        self.observe.registry.ask(self);
        self.observe.inspectors.ask(self);
    }

    /// Ends with the broker.
    pub(crate) fn add_task(&self, task: JoinHandle<()>) {
        self.tasks.lock().push(task);
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.borrow())
    }

    /// Takes over what this picture of the cluster has for this broker.
    pub(crate) fn apply_settings(&self, metadata: &Metadata) {
        let settings = Arc::new(Settings::new(&self.options, metadata));
        self.store.tune(settings.tuning());
        self.settings.send_replace(settings);
        let say = || Said::new("settings were changed").with("revision", &metadata.revision);
        self.observe.events.tell(&kinds::SETTINGS_CHANGED, None, say);
    }
}

/// Puts the broker into the cluster's list, under a lease; names the cluster if it is new.
async fn register(options: &BrokerOptions, meta: &dyn MetaStore) -> Result<LeaseId, MetaError> {
    let name = Txn::new()
        .when(Compare::absent(keys::CLUSTER_ID))
        .then(Op::put(keys::CLUSTER_ID, cluster_id(options)));
    meta.txn(name).await?;
    let lease = meta.lease_grant(LEASE_TTL).await?.id;
    put_broker(options, meta, lease).await?;
    Ok(lease)
}

async fn put_broker(
    options: &BrokerOptions,
    meta: &dyn MetaStore,
    lease: LeaseId,
) -> Result<(), MetaError> {
    let broker = BrokerInfo {
        id: options.id,
        endpoints: options.endpoints.clone(),
        rack: options.rack.clone(),
        registered_at: options.clock.now(),
    };
    let value = keys::encode(&keys::BrokerValue::of(&broker));
    let key = keys::broker(options.id);
    meta.txn(Txn::new().then(Op::put_leased(key, value, lease))).await?;
    Ok(())
}

/// A new cluster's identity: 16 random bytes in URL-safe base64 without padding.
fn cluster_id(options: &BrokerOptions) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = options.random.next_u128();
    let mut text = String::with_capacity(22);
    for _ in 0..22 {
        // 22 characters hold 132 bits: the last one has four zero bits of padding.
        let index = usize::try_from(bits >> 122).unwrap_or(0);
        text.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'A')));
        bits <<= 6;
    }
    text
}

/// Keeps the broker's lease alive; registers again if the lease was lost all the same.
async fn keep_registered(inner: Arc<Inner>, mut lease: LeaseId) {
    let mut every = tokio::time::interval(LEASE_TTL / 3);
    loop {
        every.tick().await;
        let kept = match inner.meta.lease_keep_alive(lease).await {
            Ok(_) => continue,
            Err(MetaError::LeaseNotFound(_)) => register(&inner.options, inner.meta.as_ref()).await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(new) => {
                lease = new;
                inner.lease.store(new.0.cast_signed(), Ordering::Release);
            }
            Err(error) => tracing::warn!(%error, "cannot keep the broker registered; will retry"),
        }
    }
}
