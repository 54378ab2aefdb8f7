//! Made-up metadata for this crate's tests.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::{BrokerId, LogId, TopicId};
use broker::metadata::{BrokerInfo, Endpoint, Metadata, Partition, Topic};

pub(crate) const CREATED: i64 = 1_700_000_000_123;

pub(crate) fn topic(name: &str, id: u128, partitions: usize) -> Arc<Topic> {
    let partition = |log| Partition { log: LogId(log), leader: BrokerId(1), leader_epoch: 0 };
    Arc::new(Topic {
        name: name.into(),
        id: TopicId(id),
        partitions: (0..partitions as u64).map(partition).collect(),
        config: BTreeMap::new(),
        created_at: CREATED,
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
        registered_at: CREATED + 1,
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
    }
}
