//! The committed offsets of all groups.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::types::{Committed, PartitionOffset};
use crate::Name;
use crate::output::{Persisted, Ticket};
use crate::record::{OffsetKey, Record};

type Partitions = BTreeMap<i32, Entry>;
type Topics = BTreeMap<Name, Partitions>;

/// One partition's offset.
#[derive(Debug, Default)]
struct Entry {
    /// What is committed and durable.
    current: Option<Committed>,
    /// Which persist brought it: an older one that completes later changes nothing.
    by: Ticket,
    /// What is on its way to the journal, oldest first; `None` deletes.
    in_flight: Vec<(Ticket, Option<Committed>)>,
}

impl Entry {
    /// What a restart is to find: the last thing that was put out, if it succeeds.
    fn latest(&self) -> Option<&Committed> {
        self.in_flight.last().map_or(self.current.as_ref(), |(_, value)| value.as_ref())
    }

    fn is_unused(&self) -> bool {
        self.current.is_none() && self.in_flight.is_empty()
    }
}

/// Where to go on examining a group.
pub(crate) type Resume = (Name, i32);

/// The committed offsets of all groups.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    groups: HashMap<Name, Topics>,
    len: usize,
}

impl Offsets {
    /// How many partitions of groups have, or are about to have, an offset.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn has_group(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    fn entry(&self, group: &str, topic: &str, partition: i32) -> Option<&Entry> {
        self.groups.get(group)?.get(topic)?.get(&partition)
    }

    pub(crate) fn contains(&self, group: &str, topic: &str, partition: i32) -> bool {
        self.entry(group, topic, partition).is_some()
    }

    pub(crate) fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.entry(group, topic, partition)?.current.as_ref()
    }

    pub(crate) fn all(&self, group: &str) -> Vec<PartitionOffset> {
        let topics = self.groups.get(group).into_iter().flatten();
        let entries = topics.flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, entry)| (topic, *partition, entry))
        });
        let committed = entries.filter_map(|(topic, partition, entry)| {
            let committed = entry.current.clone()?;
            Some(PartitionOffset { topic: topic.clone(), partition, committed })
        });
        committed.collect()
    }

    /// All keys of a group, what is on its way included.
    pub(crate) fn keys(&self, group: &str) -> Vec<OffsetKey> {
        let Some((group, topics)) = self.groups.get_key_value(group) else { return Vec::new() };
        let keys = topics.iter().flat_map(|(topic, partitions)| keys_of(group, topic, partitions));
        keys.collect()
    }

    /// All keys of a topic, over all groups.
    pub(crate) fn keys_of_topic(&self, topic: &str) -> Vec<OffsetKey> {
        let in_group = |(group, topics): (&Name, &Topics)| {
            let found = topics.get_key_value(topic);
            let keys = found.map(|(topic, partitions)| keys_of(group, topic, partitions).collect());
            keys.unwrap_or_else(Vec::new)
        };
        let mut keys: Vec<_> = self.groups.iter().flat_map(in_group).collect();
        keys.sort();
        keys
    }

    /// A value, or its deletion, is on its way to the journal.
    pub(crate) fn stage(&mut self, ticket: Ticket, key: &OffsetKey, value: Option<Committed>) {
        self.entry_mut(key).in_flight.push((ticket, value));
    }

    /// It has got there, or not.
    pub(crate) fn settle(&mut self, ticket: Ticket, key: &OffsetKey, outcome: Persisted) {
        if !self.contains(&key.group, &key.topic, key.partition) {
            return;
        }
        let entry = self.entry_mut(key);
        // One commit may name a partition twice: the last value counts.
        let mut arrived = None;
        entry.in_flight.retain(|(of, value)| {
            if *of == ticket {
                arrived = Some(value.clone());
            }
            *of != ticket
        });
        if let Some(value) = arrived
            && outcome == Persisted::Durable
            && entry.by < ticket
        {
            entry.current = value;
            entry.by = ticket;
        }
        self.remove_if_unused(key);
    }

    /// What the journal says, in the order of the journal.
    pub(crate) fn restore(&mut self, key: &OffsetKey, value: Option<Committed>) {
        self.entry_mut(key).current = value;
        self.remove_if_unused(key);
    }

    fn entry_mut(&mut self, key: &OffsetKey) -> &mut Entry {
        let topics = self.groups.entry(key.group.clone()).or_default();
        let partitions = topics.entry(key.topic.clone()).or_default();
        partitions.entry(key.partition).or_insert_with(|| {
            self.len += 1;
            Entry::default()
        })
    }

    fn remove_if_unused(&mut self, key: &OffsetKey) {
        let Some(topics) = self.groups.get_mut(&key.group) else { return };
        let Some(partitions) = topics.get_mut(&key.topic) else { return };
        if partitions.get(&key.partition).is_some_and(Entry::is_unused) {
            partitions.remove(&key.partition);
            self.len -= 1;
        }
        if partitions.is_empty() {
            topics.remove(&key.topic);
        }
        if topics.is_empty() {
            self.groups.remove(&key.group);
        }
    }

    /// Examines up to `budget` offsets of a group for expiry. Returns the expired ones, and where
    /// to go on if some are left to examine. Takes what it examines off the budget.
    pub(crate) fn expired(
        &self,
        group: &Name,
        from: Option<Resume>,
        budget: &mut usize,
        is_expired: impl Fn(&Committed) -> bool,
    ) -> (Vec<OffsetKey>, Option<Resume>) {
        let mut expired = Vec::new();
        let Some(topics) = self.groups.get(group) else { return (expired, None) };
        let (first, partition) = from.map_or((None, i32::MIN), |(t, p)| (Some(t), p));
        let start = first.as_deref().map_or(Bound::Unbounded, Bound::Included);
        for (topic, partitions) in topics.range::<str, _>((start, Bound::Unbounded)) {
            let begin = if first.as_ref() == Some(topic) { partition } else { i32::MIN };
            for (&partition, entry) in partitions.range(begin..) {
                if *budget == 0 {
                    return (expired, Some((topic.clone(), partition)));
                }
                *budget -= 1;
                let settled = entry.in_flight.is_empty();
                if settled && entry.current.as_ref().is_some_and(&is_expired) {
                    let (group, topic) = (group.clone(), topic.clone());
                    expired.push(OffsetKey { group, topic, partition });
                }
            }
        }
        (expired, None)
    }

    /// Every committed offset as a restart is to find it.
    pub(crate) fn snapshot(&self) -> impl Iterator<Item = Record> {
        let in_groups = self.groups.iter().flat_map(|(group, topics)| {
            topics.iter().map(move |(topic, partitions)| (group, topic, partitions))
        });
        in_groups.flat_map(|(group, topic, partitions)| {
            partitions.iter().filter_map(move |(&partition, entry)| {
                let value = entry.latest()?.encode();
                let key = OffsetKey { group: group.clone(), topic: topic.clone(), partition };
                Some(Record { key: key.encode(), value: Some(value) })
            })
        })
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &Name> {
        self.groups.keys()
    }
}

fn keys_of<'a>(
    group: &'a Name,
    topic: &'a Name,
    partitions: &'a Partitions,
) -> impl Iterator<Item = OffsetKey> + 'a {
    partitions.keys().map(move |&partition| OffsetKey {
        group: group.clone(),
        topic: topic.clone(),
        partition,
    })
}
