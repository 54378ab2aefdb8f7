//! The topics that this broker serves, with their logs open: what the hot path looks up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use base::{Filter, Subject, TopicId};
use parking_lot::RwLock;
use router::{Key, Router, Subscribed};
use store::{Log, Store};

use crate::live::levels::Levels;
use crate::metadata::{Metadata, Topic, TopicChange};
use crate::settings::Values;
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
    /// What is published to it.
    filters: Vec<Filter>,
    /// What its records may be about: that, and its own subject, for records that were not published to any.
    subjects: Vec<Filter>,
}

/// A topic as the router of bindings hands it out.
#[derive(Debug, Clone)]
pub(crate) struct Bound(pub(crate) Arc<OpenTopic>);

impl Subscribed for Bound {
    fn owner(&self) -> u64 {
        // Half of a random number, or less, is enough to tell topics apart.
        #[allow(clippy::cast_possible_truncation, reason = "the lower half")]
        let owner = self.0.topic.id.0 as u64;
        owner
    }
}

impl OpenTopic {
    /// The log of a partition, if there is such a partition.
    pub fn log(&self, partition: i32) -> Option<&Arc<Log>> {
        usize::try_from(partition).ok().and_then(|number| self.logs.get(number))
    }

    fn new(topic: Arc<Topic>, config: TopicConfig, logs: Vec<Arc<Log>>) -> Self {
        let own = Filter::exact(&Subject::from_levels(topic.name.split('.')));
        let mut filters = config.bind.clone();
        // A queue is not a subject: it gets what it is bound to.
        if filters.is_empty() && !config.is_queue {
            filters.push(own.clone());
        }
        let mut subjects = filters.clone();
        if !config.bind.is_empty() && !config.is_queue {
            subjects.push(own);
        }
        if topic.internal {
            (filters, subjects) = (Vec::new(), Vec::new());
        }
        Self { topic, config, logs, turn: AtomicU32::new(0), filters, subjects }
    }

    /// The subject that it is itself the name of.
    pub fn subject(&self) -> Subject {
        Subject::from_levels(self.topic.name.split('.'))
    }

    /// What is published to it: what it was told to keep, or else its own subject.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// What its records may be about: that, and its own subject, for records that were not published to any.
    pub(crate) fn subjects(&self) -> &[Filter] {
        &self.subjects
    }

    /// The partition for a message with this key.
    pub(crate) fn pick(&self, key: Option<&[u8]>) -> i32 {
        let partitions = u32::try_from(self.topic.partitions.len()).unwrap_or(u32::MAX);
        let picked = self.config.partitioner.pick(key, partitions, &self.turn);
        i32::try_from(picked).unwrap_or(i32::MAX)
    }

    /// The partition for a message with this priority and key: the topic of a queue with priorities has one for each.
    pub(crate) fn partition_of(&self, priority: Option<u8>, key: Option<&[u8]>) -> i32 {
        if !self.config.is_queue {
            return self.pick(key);
        }
        let last = i32::try_from(self.topic.partitions.len()).unwrap_or(i32::MAX) - 1;
        i32::from(priority.unwrap_or(0)).min(last)
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
    /// Topics by what is published to them.
    pub(crate) bindings: Arc<Router<Bound>>,
    version: AtomicU64,
}

#[derive(Debug, Default)]
struct Maps {
    by_name: HashMap<String, Arc<OpenTopic>>,
    by_id: HashMap<TopicId, Arc<OpenTopic>>,
    bound: HashMap<TopicId, Vec<(Filter, Key)>>,
    /// By what may be in them.
    levels: Levels,
}

impl Topics {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<OpenTopic>> {
        self.maps.read().by_name.get(name).cloned()
    }

    pub(crate) fn get_by_id(&self, id: TopicId) -> Option<Arc<OpenTopic>> {
        self.maps.read().by_id.get(&id).cloned()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<OpenTopic>> {
        self.maps.read().by_id.values().cloned().collect()
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
        defaults: &Values,
    ) -> Vec<Arc<Topic>> {
        for topic in metadata.topics.values() {
            self.put(topic, store, defaults);
        }
        let mut maps = self.maps.write();
        let open = maps.by_id.values().map(|open| Arc::clone(&open.topic));
        let gone: Vec<_> =
            open.filter(|topic| !metadata.topic_names.contains_key(&topic.id)).collect();
        for topic in &gone {
            self.unbind(&mut maps, topic.id);
            maps.by_id.remove(&topic.id);
        }
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

    pub(crate) fn apply(&self, change: &TopicChange, store: &Store, defaults: &Values) {
        match change {
            TopicChange::Put(topic) => self.put(topic, store, defaults),
            TopicChange::Deleted(topic) => self.remove(topic, store),
        }
    }

    fn put(&self, topic: &Arc<Topic>, store: &Store, defaults: &Values) {
        let config = TopicConfig::new(&topic.config, defaults);
        let open =
            |partition: &crate::metadata::Partition| store.open_log(partition.log, config.log);
        let logs = topic.partitions.iter().map(open).collect();
        let topic = Arc::clone(topic);
        let open = Arc::new(OpenTopic::new(topic, config, logs));
        let mut maps = self.maps.write();
        // The new first: nothing must find neither.
        let bind = |filter: &Filter| {
            let key = self.bindings.insert(filter, Bound(Arc::clone(&open)), None)?;
            Some((filter.clone(), key))
        };
        let bound = open.filters().iter().filter_map(bind).collect();
        self.unbind(&mut maps, open.topic.id);
        open.subjects().iter().for_each(|filter| maps.levels.insert(filter, open.topic.id));
        maps.bound.insert(open.topic.id, bound);
        maps.by_id.insert(open.topic.id, Arc::clone(&open));
        maps.by_name.insert(open.topic.name.clone(), open);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Changes when a topic was opened, or changed.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Topics that may hold, now or later, what a filter matches.
    pub(crate) fn that_may_hold(&self, filter: &Filter) -> Vec<Arc<OpenTopic>> {
        let may = |open: &&Arc<OpenTopic>| open.subjects().iter().any(|one| one.intersects(filter));
        let maps = self.maps.read();
        match maps.levels.of(filter) {
            Some(ids) => {
                let mut found: Vec<_> = ids.filter_map(|id| maps.by_id.get(&id)).collect();
                found.sort_unstable_by_key(|open| open.topic.id);
                found.dedup_by_key(|open| open.topic.id);
                found.into_iter().filter(may).cloned().collect()
            }
            None => maps.by_id.values().filter(may).cloned().collect(),
        }
    }

    fn unbind(&self, maps: &mut Maps, id: TopicId) {
        if let Some(old) = maps.by_id.get(&id).cloned() {
            old.subjects().iter().for_each(|filter| maps.levels.remove(filter, id));
        }
        for (filter, key) in maps.bound.remove(&id).unwrap_or_default() {
            self.bindings.remove(&filter, key, None);
        }
    }

    fn remove(&self, topic: &Topic, store: &Store) {
        {
            let mut maps = self.maps.write();
            self.unbind(&mut maps, topic.id);
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
