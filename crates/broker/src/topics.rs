//! The topics that this broker serves, with their logs open: what the hot path looks up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use base::TopicId;
use parking_lot::RwLock;
use store::{Log, Store};

use crate::metadata::{Metadata, Topic, TopicChange};
use crate::options::BrokerOptions;
use crate::topic_config::TopicConfig;

/// A topic with its logs. Replaced as a whole when the topic changes.
#[derive(Debug)]
pub struct OpenTopic {
    /// What the cluster agrees on.
    pub topic: Arc<Topic>,
    /// Its configuration in effect.
    pub config: TopicConfig,
    /// One for each partition.
    pub(crate) logs: Vec<Arc<Log>>,
    /// Counts the messages whose partition is chosen in turn.
    pub(crate) turn: AtomicU32,
}

impl OpenTopic {
    /// The log of a partition, if there is such a partition.
    pub fn log(&self, partition: i32) -> Option<&Arc<Log>> {
        usize::try_from(partition).ok().and_then(|number| self.logs.get(number))
    }

    /// The epoch of a partition's owner.
    pub(crate) fn leader_epoch(&self, partition: i32) -> i32 {
        let number = usize::try_from(partition).unwrap_or(usize::MAX);
        self.topic.partitions.get(number).map_or(0, |partition| partition.leader_epoch)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Topics {
    maps: RwLock<Maps>,
}

#[derive(Debug, Default)]
struct Maps {
    by_name: HashMap<String, Arc<OpenTopic>>,
    by_id: HashMap<TopicId, Arc<OpenTopic>>,
}

impl Topics {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<OpenTopic>> {
        self.maps.read().by_name.get(name).cloned()
    }

    pub(crate) fn get_by_id(&self, id: TopicId) -> Option<Arc<OpenTopic>> {
        self.maps.read().by_id.get(&id).cloned()
    }

    /// Partitions of all topics.
    pub(crate) fn partitions(&self) -> usize {
        self.maps.read().by_id.values().map(|open| open.logs.len()).sum()
    }

    /// Whether this topic is (still) there.
    pub(crate) fn has(&self, id: TopicId) -> bool {
        self.maps.read().by_id.contains_key(&id)
    }

    /// Opens all topics of `metadata`, and forgets all others; returns those.
    pub(crate) fn load(
        &self,
        metadata: &Metadata,
        store: &Store,
        options: &BrokerOptions,
    ) -> Vec<Arc<Topic>> {
        for topic in metadata.topics.values() {
            self.put(topic, store, options);
        }
        let mut gone = Vec::new();
        let mut maps = self.maps.write();
        maps.by_id.retain(|id, open| {
            let stays = metadata.topic_names.contains_key(id);
            if !stays {
                gone.push(Arc::clone(&open.topic));
            }
            stays
        });
        maps.by_name.retain(|name, _| metadata.topics.contains_key(name));
        gone
    }

    /// Deletes the logs of topics that are gone; the broker's own logs, below `first_topic_log`,
    /// are left alone.
    pub(crate) fn delete_orphans(metadata: &Metadata, store: &Store, first_topic_log: u64) {
        let partitions = metadata.topics.values().flat_map(|topic| &topic.partitions);
        let kept: HashSet<_> = partitions.map(|partition| partition.log).collect();
        for log in store.log_ids() {
            if log.0 >= first_topic_log && !kept.contains(&log) {
                store.delete_log(log);
            }
        }
    }

    pub(crate) fn apply(&self, change: &TopicChange, store: &Store, options: &BrokerOptions) {
        match change {
            TopicChange::Put(topic) => self.put(topic, store, options),
            TopicChange::Deleted(topic) => self.remove(topic, store),
        }
    }

    fn put(&self, topic: &Arc<Topic>, store: &Store, options: &BrokerOptions) {
        let config = TopicConfig::new(&topic.config, &options.topic_defaults);
        let open =
            |partition: &crate::metadata::Partition| store.open_log(partition.log, config.log);
        let logs = topic.partitions.iter().map(open).collect();
        let topic = Arc::clone(topic);
        let open = Arc::new(OpenTopic { topic, config, logs, turn: AtomicU32::new(0) });
        let mut maps = self.maps.write();
        maps.by_id.insert(open.topic.id, Arc::clone(&open));
        maps.by_name.insert(open.topic.name.clone(), open);
    }

    fn remove(&self, topic: &Topic, store: &Store) {
        {
            let mut maps = self.maps.write();
            maps.by_id.remove(&topic.id);
            // By that name there may be a newer one already.
            if maps.by_name.get(&topic.name).is_some_and(|open| open.topic.id == topic.id) {
                maps.by_name.remove(&topic.name);
            }
        }
        for partition in &topic.partitions {
            store.delete_log(partition.log);
        }
    }
}
