//! A broker in a folder, for the tests of the crates above.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{BrokerId, SystemClock, SystemRandom};
use cluster::Embedded;
use store::{Store, StoreOptions};

use crate::access::AccessOptions;
use crate::loggers::NoLoggers;
use crate::quotas::QuotaOptions;
use crate::{Broker, BrokerOptions};

/// What a broker is started with whose data is in this folder, if nobody says otherwise.
pub fn options(dir: &Path) -> BrokerOptions {
    BrokerOptions {
        id: BrokerId(0),
        endpoints: Vec::new(),
        rack: None,
        data_dir: dir.display().to_string(),
        session_queue_bytes_max: 1 << 30,
        auto_create_topics: true,
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
        access: AccessOptions::default(),
        quotas: QuotaOptions::default(),
        settings: Vec::new(),
        loggers: Arc::new(NoLoggers),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    }
}

/// Starts a broker on this folder, and returns its store besides, which whoever starts another one there closes before.
///
/// # Panics
/// It does not start.
pub async fn start(dir: &Path, change: impl FnOnce(&mut BrokerOptions)) -> (Broker, Arc<Store>) {
    let (store, meta) = open(dir).await;
    let mut options = options(dir);
    change(&mut options);
    (Broker::start(options, Arc::clone(&store), meta).await.unwrap(), store)
}

/// The store and the metadata store in this folder.
pub(crate) async fn open(dir: &Path) -> (Arc<Store>, Arc<Embedded>) {
    let disk = || StoreOptions { wal_file_bytes: 1 << 20, ..StoreOptions::new(dir) };
    let store = once_free(|| Store::open(disk(), Arc::new(SystemClock))).await;
    let meta = dir.join("meta");
    std::fs::create_dir_all(&meta).unwrap();
    let meta = once_free(|| Embedded::open(&meta, cluster::Options::default())).await;
    (Arc::new(store), Arc::new(meta))
}

async fn once_free<T, E: Debug>(open: impl Fn() -> Result<T, E>) -> T {
    for _ in 0..1000 {
        match open() {
            Ok(opened) => return opened,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await, // poll: the broker before lets go, bounded by this loop
        }
    }
    open().unwrap()
}
