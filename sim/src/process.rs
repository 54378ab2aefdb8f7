//! One process of the broker: from its start to its death.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::threads::Scheduler;
use base::{BrokerId, Disk, Random, Threads};
use broker::{Broker, BrokerOptions, access, quotas};
use cluster::{Embedded, MetaStore};
use parking_lot::Mutex;
use store::{CleanerOptions, Store, StoreOptions};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use crate::clock::WallClock;
use crate::disk::Machine;
use crate::random::Dice;
use crate::threads::Turns;

/// A process, and the threads and tasks that are its own.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) turns: Turns,
    alive: Arc<AtomicBool>,
    driver: JoinHandle<()>,
    /// The requests that it works on.
    pub(crate) requests: Mutex<JoinSet<()>>,
    pub(crate) broker: Mutex<Option<Broker>>,
    parts: Mutex<Option<(Arc<Store>, Arc<Embedded>)>>,
    disk: Disk,
    clock: WallClock,
    dice: Dice,
}

impl Process {
    pub(crate) fn new(machine: &Machine, turns: Turns, clock: WallClock, dice: Dice) -> Arc<Self> {
        let alive = Arc::new(AtomicBool::new(true));
        let disk = Disk::Simulated(Arc::new(machine.mount(turns.clone(), Arc::clone(&alive))));
        let driven = turns.clone();
        let driver = tokio::spawn(async move { driven.drive().await });
        let (requests, broker, parts) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { turns, alive, driver, requests, broker, parts, disk, clock, dice })
    }

    /// Opens the stores and starts the broker.
    pub(crate) async fn boot(&self) -> Result<Broker, String> {
        let opened: Arc<Mutex<Option<_>>> = Arc::default();
        let done = Arc::new(Notify::new());
        let (result, is_done) = (Arc::clone(&opened), Arc::clone(&done));
        let threads = Threads::Simulated(Arc::new(self.turns.clone()));
        let (options, meta_options) = (self.store_options(&threads), self.meta_options(&threads));
        let clock = self.clock.clone();
        // On a thread that takes turns, so that the process can die in the middle of it.
        let open = move || {
            let opened = Embedded::open(Path::new("/data/meta"), meta_options)
                .map_err(|error| format!("the metadata store: {error}"))
                .and_then(|meta| {
                    let store = Store::open(options, Arc::new(clock));
                    store.map(|store| (store, meta)).map_err(|error| format!("the store: {error}"))
                });
            *result.lock() = Some(opened);
            is_done.notify_one();
        };
        self.turns.spawn("boot", Box::new(open)).map_err(|error| error.to_string())?;
        done.notified().await;
        let (store, meta) = opened.lock().take().ok_or("nothing was opened")??;
        let (store, meta) = (Arc::new(store), Arc::new(meta));
        let damaged = store.recovered().damaged.clone();
        *self.parts.lock() = Some((Arc::clone(&store), Arc::clone(&meta)));
        if !damaged.is_empty() {
            return Err(format!("records were damaged: {damaged:?}"));
        }
        let broker = Broker::start(self.broker_options(), store, meta as Arc<dyn MetaStore>).await;
        let broker = broker.map_err(|error| format!("the broker: {error}"))?;
        *self.broker.lock() = Some(broker.clone());
        Ok(broker)
    }

    /// The process dies where it stands.
    pub(crate) async fn kill(&self) {
        self.alive.store(false, Ordering::Relaxed);
        self.driver.abort();
        self.requests.lock().abort_all();
        self.turns.kill();
        let broker = self.broker.lock().take();
        if let Some(broker) = broker {
            broker.stop().await;
        }
        let mut requests = std::mem::take(&mut *self.requests.lock());
        while requests.join_next().await.is_some() {}
        drop(self.parts.lock().take());
    }

    /// The process stops in an orderly way.
    pub(crate) async fn stop(&self) {
        let broker = self.broker.lock().take();
        if let Some(broker) = broker {
            broker.stop().await;
        }
        if let Some((store, _)) = &*self.parts.lock() {
            store.close();
        }
        drop(self.parts.lock().take());
        self.kill().await;
    }

    fn store_options(&self, threads: &Threads) -> StoreOptions {
        StoreOptions {
            wal_file_bytes: 64 << 10,
            flush_bytes: 24 << 10,
            flush_after: Duration::from_millis(500),
            tail_bytes_max: 96 << 10,
            retention_interval: Duration::from_secs(2),
            cleaner: CleanerOptions {
                backoff: Duration::from_secs(1),
                table_bytes: 1 << 10,
                ..CleanerOptions::default()
            },
            disk: self.disk.clone(),
            threads: threads.clone(),
            random: Arc::new(self.dice.clone()),
            ..StoreOptions::new("/data")
        }
    }

    fn meta_options(&self, threads: &Threads) -> cluster::Options {
        cluster::Options {
            clock: Arc::new(self.clock.clone()),
            disk: self.disk.clone(),
            threads: threads.clone(),
            cache_bytes: 64 << 10,
            ..cluster::Options::default()
        }
    }

    fn broker_options(&self) -> BrokerOptions {
        BrokerOptions {
            id: BrokerId(0),
            endpoints: vec![],
            rack: None,
            data_dir: "/data".to_owned(),
            session_queue_bytes_max: 1 << 30,
            auto_create_topics: false,
            delete_topics: true,
            default_partitions: 1,
            topic_defaults: BTreeMap::new(),
            group_defaults: BTreeMap::new(),
            group_bounds: BTreeMap::new(),
            share_members_max: 200,
            dead_letter_prefix: "dlq.".to_owned(),
            auto_create_dead_letter_topics: false,
            groups: queue::Config::default(),
            groups_topic: None,
            transactions: queue::transactions::TxnConfig::default(),
            access: access::AccessOptions::default(),
            quotas: quotas::QuotaOptions::default(),
            settings: Vec::new(),
            loggers: Arc::new(broker::loggers::NoLoggers),
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(self.dice.clone()) as Arc<dyn Random>,
        }
    }
}
