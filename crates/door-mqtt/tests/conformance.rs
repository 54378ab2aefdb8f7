//! The suite that every door must pass, on a real broker. In a binary of its own, because memory is a property of
//! the process.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking, helpers of tests too")]

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{BrokerId, SystemClock, SystemRandom};
use broker::store::{Store, StoreOptions};
use broker::{Broker, BrokerOptions};
use door::Door;
use door::conformance::{self, Target};
use door_mqtt::{MqttDoor, MqttDoorOptions};
use tempfile::TempDir;

async fn broker(dir: &TempDir) -> Broker {
    let store = StoreOptions { wal_file_bytes: 1 << 20, ..StoreOptions::new(dir.path()) };
    let store = Arc::new(Store::open(store, Arc::new(SystemClock)).unwrap());
    let meta = Arc::new(cluster::Embedded::in_memory(cluster::Options::default()).unwrap());
    Broker::start(options(), store, meta).await.unwrap()
}

fn options() -> BrokerOptions {
    BrokerOptions {
        id: BrokerId(0),
        endpoints: Vec::new(),
        rack: None,
        data_dir: String::new(),
        session_queue_bytes_max: 1 << 30,
        loggers: Arc::new(broker::loggers::NoLoggers),
        settings: Vec::new(),
        auto_create_topics: true,
        delete_topics: true,
        default_partitions: 1,
        topic_defaults: BTreeMap::new(),
        groups: broker::queue::Config::default(),
        group_defaults: BTreeMap::new(),
        group_bounds: BTreeMap::new(),
        share_members_max: 100,
        dead_letter_prefix: "dlq.".to_owned(),
        auto_create_dead_letter_topics: false,
        transactions: broker::queue::transactions::TxnConfig::default(),
        access: broker::access::AccessOptions::default(),
        quotas: broker::quotas::QuotaOptions::default(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_conforms() {
    let dir = TempDir::new().unwrap();
    let broker = broker(&dir).await;
    let target = Target {
        door: Arc::new(MqttDoor::new(broker, MqttDoorOptions::default())) as Arc<dyn Door>,
        // A client of 3.1.1 without a name, and with a clean session.
        hello: b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00".to_vec(),
        is_answer: |bytes| bytes.len() == 4,
        oversize: Some(b"\x10\xff\xff\xff\x7f".to_vec()),
        // SUBSCRIBE to `a` again and again: an answer each.
        flood: Some(b"\x82\x06\x00\x01\x00\x01a\x00".to_vec()),
    };
    conformance::run_all(&target).await.unwrap();
}
