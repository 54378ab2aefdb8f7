use std::collections::BTreeMap;

use base::{BrokerId, LogId, TopicId};
use bytes::Bytes;
use cluster::{Change, KeyValue, RangeResponse, WatchBatch};

use super::*;

fn kv(key: String, value: Vec<u8>, revision: u64) -> KeyValue {
    KeyValue {
        key: Bytes::from(key),
        value: Bytes::from(value),
        create_revision: revision,
        mod_revision: revision,
        version: 1,
        lease: None,
    }
}

fn topic(name: &str, id: u128) -> Topic {
    Topic {
        name: name.to_owned(),
        id: TopicId(id),
        partitions: vec![Partition { log: LogId(17), leader: BrokerId(0), leader_epoch: 3 }],
        config: BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]),
        created_at: 9,
        internal: false,
    }
}

fn put(topic: &Topic, revision: u64) -> KeyValue {
    let value = keys::encode(&keys::TopicValue::of(topic));
    kv(keys::topic(&topic.name), value, revision)
}

#[test]
fn following_changes_gives_the_picture_that_loading_gives() {
    let own = BrokerId(7);
    let info = BrokerInfo { id: BrokerId(3), endpoints: vec![], rack: None, registered_at: 1 };
    let broker = kv(keys::broker(info.id), keys::encode(&keys::BrokerValue::of(&info)), 2);
    let (one, two) = (topic("a/b is no name, but a key", 1), topic("two", 2));

    let mut followed =
        Metadata::load(&RangeResponse { revision: 1, kvs: vec![], more: false }, own);
    assert_eq!(followed.controller, own);
    let batches = [
        vec![Change::Put(broker.clone())],
        vec![Change::Put(put(&one, 3)), Change::Put(put(&two, 3))],
        vec![Change::Delete { key: Bytes::from(keys::topic(&one.name)) }],
    ];
    for (revision, changes) in (2..).zip(batches) {
        followed.apply(&WatchBatch { revision, changes }, own);
    }

    let kvs = vec![broker, put(&two, 3)];
    let loaded = Metadata::load(&RangeResponse { revision: 4, kvs, more: false }, own);
    assert_eq!(followed.revision, loaded.revision);
    assert_eq!(followed.brokers, loaded.brokers);
    assert_eq!(followed.topics, loaded.topics);
    assert_eq!(followed.topic_names, loaded.topic_names);
    assert_eq!(followed.controller, BrokerId(3));
    assert_eq!(*followed.topics["two"], two, "nothing is lost on the way through the store");
    assert!(followed.topic_by_id(one.id).is_none());
}

#[test]
fn a_value_that_cannot_be_read_is_left_alone() {
    let unreadable = kv(keys::topic("new"), b"{\"version\":99}".to_vec(), 2);
    let range = RangeResponse { revision: 2, kvs: vec![unreadable], more: false };
    assert!(Metadata::load(&range, BrokerId(0)).topics.is_empty());
}

#[test]
fn the_page_of_the_format_names_every_key() {
    let page = include_str!("../../../../docs/formats/metadata.md");
    let keys = [
        keys::CLUSTER_ID,
        keys::NEXT_LOG,
        keys::NEXT_PRODUCER,
        keys::SECRET,
        keys::USERS,
        crate::access::stored::PREFIX,
        crate::quotas::stored::PREFIX,
        crate::queues::PREFIX,
        crate::exchanges::EXCHANGES,
        crate::exchanges::BINDINGS,
        crate::policies::PREFIX,
        crate::remedies::PREFIX,
        &keys::broker(BrokerId(0)).replace('0', ""),
        &keys::topic(""),
        &keys::group(""),
        &keys::client_metrics(""),
        "registry/",
    ];
    for key in keys {
        assert!(page.contains(&format!("`{key}")), "{key}");
    }
}
