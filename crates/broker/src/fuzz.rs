//! What stands in the metadata store, read as a start and a running broker read it, for fuzzing.
//! Only there with the cargo feature `fuzzing`.

use std::collections::BTreeMap;

use base::BrokerId;
use bytes::Bytes;
use cluster::{Change, KeyValue, RangeResponse, WatchBatch};

use crate::metadata::Metadata;
use crate::{client_metrics, group_config, registry, topic_config};

/// Reads keys with their values, first as what a start finds, then once more as changes; a key
/// without a value is one that was deleted.
pub fn metadata(entries: &[(Bytes, Option<Bytes>)]) {
    let kv = |(key, value): &(Bytes, Option<Bytes>)| {
        let (key, value) = (key.clone(), value.clone()?);
        let (create_revision, mod_revision, version, lease) = (1, 2, 1, None);
        Some(KeyValue { key, value, create_revision, mod_revision, version, lease })
    };
    let mut kvs: Vec<_> = entries.iter().filter_map(kv).collect();
    kvs.sort_by(|a, b| a.key.cmp(&b.key));
    let range = RangeResponse { revision: 2, kvs, more: false };
    let own = BrokerId(0);
    let mut metadata = Metadata::load(&range, own);
    let _ = registry::Batch::load(&range);
    configurations(&metadata);
    for kv in &range.kvs {
        let _ = crate::queues::read(&kv.key, &kv.value);
        let _ = crate::policies::read(&kv.key, &kv.value);
        let _ = crate::remedies::read(kv);
        let _ = crate::exchanges::read_exchange(&kv.key, &kv.value);
        let _ = crate::exchanges::read_binding(&kv.key, &kv.value);
    }
    let changes = entries.iter().map(|entry| match kv(entry) {
        Some(kv) => Change::Put(kv),
        None => Change::Delete { key: entry.0.clone() },
    });
    let batch = WatchBatch { revision: 3, changes: changes.collect() };
    metadata.apply(&batch, own);
    let _ = registry::Batch::of(&batch);
    configurations(&metadata);
}

/// What is set on topics, groups and clients, which is read where it is used.
fn configurations(metadata: &Metadata) {
    let defaults = BTreeMap::new();
    let bounds = group_config::Bounds::default();
    for topic in metadata.topics.values() {
        let _ = topic_config::check(&topic.config, &defaults);
        let _ = topic_config::TopicConfig::new(&topic.config, &defaults);
    }
    for config in metadata.groups.values() {
        let _ = group_config::check(config, &bounds);
        let _ = group_config::GroupConfig::new(Some(config), &defaults, &bounds);
    }
    for config in metadata.client_metrics.values() {
        let _ = client_metrics::Subscription::parse(config);
    }
}
