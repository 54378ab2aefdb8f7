//! The metadata as the znodes that Kafka 3.x keeps in ZooKeeper. Source: its `ZkData.scala`.

use std::cmp::Ordering;
use std::sync::Arc;

use base::{BrokerId, Millis};
use broker::metadata::{BrokerInfo, Metadata, Topic};
use bytes::Bytes;

use crate::tree::Tree;

mod json;
mod rules;
#[cfg(test)]
mod tests;

pub(crate) use rules::ROOTS as RULES;

/// Nodes that are always there, parents first, with the data that they have.
const SKELETON: [(&str, Option<&str>); 23] = [
    ("/admin", None),
    ("/admin/delete_topics", None),
    ("/brokers", None),
    ("/brokers/ids", None),
    ("/brokers/seqid", None),
    ("/brokers/topics", None),
    ("/cluster", None),
    ("/config", None),
    ("/config/brokers", None),
    ("/config/changes", None),
    ("/config/clients", None),
    ("/config/ips", None),
    ("/config/topics", None),
    ("/config/users", None),
    ("/consumers", None),
    ("/controller_epoch", Some("1")),
    ("/feature", Some(r#"{"features":{},"version":2,"status":1}"#)),
    ("/isr_change_notification", None),
    ("/latest_producer_id_block", None),
    ("/log_dir_event_notification", None),
    ("/zookeeper", Some("")),
    ("/zookeeper/config", Some("")),
    ("/zookeeper/quota", Some("")),
];

/// Brings `tree` from showing `old` (none: nothing yet) to showing `new`. Costs a pointer
/// comparison for each topic that did not change.
pub(crate) fn apply(tree: &mut Tree, old: Option<&Metadata>, new: &Metadata, now: Millis) {
    let cluster = json::cluster(&new.cluster_id);
    if old.is_none() {
        for (path, data) in SKELETON {
            tree.create(path, data.map(|text| Bytes::from_static(text.as_bytes())), 0, now);
        }
        tree.create("/cluster/id", Some(cluster), 0, now);
        // Consumers of old keep their own there.
        tree.open_below("/consumers");
    } else {
        tree.set("/cluster/id", Some(cluster));
    }
    let brokers = old.map(|old| old.brokers.iter()).into_iter().flatten();
    merge(brokers, new.brokers.iter(), |_, old, new| apply_broker(tree, old, new));
    apply_controller(tree, old.and_then(controller), controller(new));
    let topics = old.map(Metadata::listed).into_iter().flatten();
    merge(topics, new.listed(), |name, old, new| apply_topic(tree, name, old, new));
    rules::apply(tree, old.map(|old| &old.access), &new.access, now);
}

/// Whether a path is for metadata, although it may not be there at the moment.
pub(crate) fn is_reserved(path: &str) -> bool {
    path == "/controller"
}

fn apply_broker(tree: &mut Tree, old: Option<&BrokerInfo>, new: Option<&BrokerInfo>) {
    // A broker that registered again has another session, and so another node.
    let same = |new: &BrokerInfo, old: &BrokerInfo| new.registered_at == old.registered_at;
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(old), Some(new)) if same(new, old) => {
            tree.set(&broker_path(new.id), Some(json::broker(new)));
        }
        (old, new) => {
            if let Some(old) = old {
                tree.delete(&broker_path(old.id));
            }
            if let Some(new) = new {
                let data = Some(json::broker(new));
                let owner = session_of(new.id, new.registered_at);
                tree.create(&broker_path(new.id), data, owner, new.registered_at);
            }
        }
    }
}

fn broker_path(id: BrokerId) -> String {
    format!("/brokers/ids/{}", id.0)
}

/// The controller and since when it is registered, if it is alive.
fn controller(metadata: &Metadata) -> Option<(BrokerId, Millis)> {
    let broker = metadata.brokers.get(&metadata.controller)?;
    Some((broker.id, broker.registered_at))
}

fn apply_controller(
    tree: &mut Tree,
    old: Option<(BrokerId, Millis)>,
    new: Option<(BrokerId, Millis)>,
) {
    if old == new {
        return;
    }
    tree.delete("/controller");
    if let Some((id, since)) = new {
        tree.create("/controller", Some(json::controller(id, since)), session_of(id, since), since);
    }
}

/// The session that owns a broker's ephemeral nodes. Brokers have no session with us, so it is a
/// number made of the broker's and its registration's; a client's session never has its form (see
/// [`crate::state`]).
fn session_of(id: BrokerId, registered_at: Millis) -> i64 {
    let unique = (registered_at << 16) ^ i64::from(id.0 & 0xffff);
    (unique & 0x00ff_ffff_ffff_ffff) | 0x0100_0000_0000_0000
}

fn apply_topic(tree: &mut Tree, name: &str, old: Option<&Arc<Topic>>, new: Option<&Arc<Topic>>) {
    match (old, new) {
        (Some(old), Some(new)) if Arc::ptr_eq(old, new) => {}
        (Some(old), Some(new)) if old.id == new.id => change_topic(tree, old, new),
        // Another identity under the same name is another topic.
        (old, new) => {
            if old.is_some() {
                tree.delete(&format!("/brokers/topics/{name}"));
                tree.delete(&format!("/config/topics/{name}"));
            }
            if let Some(topic) = new {
                create_topic(tree, topic);
            }
        }
    }
}

fn create_topic(tree: &mut Tree, topic: &Topic) {
    let (name, created) = (&topic.name, topic.created_at);
    // The configuration first, as Kafka does.
    let config = Some(json::config(&topic.config));
    tree.create(&format!("/config/topics/{name}"), config, 0, created);
    tree.create(&format!("/brokers/topics/{name}"), Some(json::topic(topic)), 0, created);
    tree.create(&format!("/brokers/topics/{name}/partitions"), None, 0, created);
    for number in 0..topic.partitions.len() {
        create_partition(tree, topic, number);
    }
}

fn create_partition(tree: &mut Tree, topic: &Topic, number: usize) {
    let path = format!("/brokers/topics/{}/partitions/{number}", topic.name);
    tree.create(&path, None, 0, topic.created_at);
    let state = Some(json::partition(&topic.partitions[number]));
    tree.create(&format!("{path}/state"), state, 0, topic.created_at);
}

fn change_topic(tree: &mut Tree, old: &Topic, new: &Topic) {
    let name = &new.name;
    tree.set(&format!("/config/topics/{name}"), Some(json::config(&new.config)));
    tree.set(&format!("/brokers/topics/{name}"), Some(json::topic(new)));
    for (number, partition) in new.partitions.iter().enumerate() {
        let path = format!("/brokers/topics/{name}/partitions/{number}");
        match old.partitions.get(number) {
            None => create_partition(tree, new, number),
            Some(before) if before == partition => {}
            Some(_) => tree.set(&format!("{path}/state"), Some(json::partition(partition))),
        }
    }
    for number in new.partitions.len()..old.partitions.len() {
        tree.delete(&format!("/brokers/topics/{name}/partitions/{number}"));
    }
}

/// Walks two sorted maps together and hands over each key with what either has under it.
fn merge<'a, K, V>(
    old: impl Iterator<Item = (&'a K, &'a V)>,
    new: impl Iterator<Item = (&'a K, &'a V)>,
    mut each: impl FnMut(&K, Option<&V>, Option<&V>),
) where
    K: Ord + 'a,
    V: 'a,
{
    let (mut old, mut new) = (old.peekable(), new.peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((before, _)), Some((after, _))) => before.cmp(after),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        if let Some((key, _)) = before.or(after) {
            each(key, before.map(|(_, value)| value), after.map(|(_, value)| value));
        }
    }
}
