//! The topics that this broker serves, with their logs open: what the hot path looks up.

use std::collections::HashMap;
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

    /// Opens all topics of `metadata`. Logs of topics that are gone are deleted; the broker's own
    /// logs, below `first_topic_log`, are left alone.
    pub(crate) fn load(
        &self,
        metadata: &Metadata,
        store: &Store,
        options: &BrokerOptions,
        first_topic_log: u64,
    ) {
        let mut kept = std::collections::HashSet::new();
        for topic in metadata.topics.values() {
            kept.extend(topic.partitions.iter().map(|partition| partition.log));
            self.put(topic, store, options);
        }
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
            maps.by_name.remove(&topic.name);
            maps.by_id.remove(&topic.id);
        }
        for partition in &topic.partitions {
            store.delete_log(partition.log);
        }
    }
}
