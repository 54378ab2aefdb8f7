//! How far consumer groups are behind.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base::{LogId, Millis, Offset};
use observe::lag::{Behind, Ends, Progress};
use parking_lot::Mutex;
use queue::group::{Filter, GroupKind};

use crate::broker::Inner;
use crate::topics::OpenTopic;

/// A group and a topic that it consumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLag {
    /// The group's name.
    pub group: Arc<str>,
    /// The topic's name.
    pub topic: Arc<str>,
    /// Messages that are not committed, of all partitions.
    pub messages: i64,
    /// How long ago the first of them came, of the partition where that is longest, in milliseconds.
    pub behind_ms: Option<Millis>,
    /// For how long it has had something to commit and committed nothing, of the partition where that is longest.
    pub still_seconds: u64,
    /// Each partition that it has committed something of.
    pub partitions: Vec<PartitionLag>,
}

/// One partition of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionLag {
    /// Its number.
    pub partition: i32,
    /// What is before this is committed.
    pub committed: Offset,
    /// First offset that is still there.
    pub start: Offset,
    /// Offset that the next record gets.
    pub end: Offset,
    /// Messages that are not committed; those that are deleted do not count.
    pub messages: i64,
    /// How long ago the first of them came.
    pub behind: Option<Behind>,
}

/// What is known of it.
#[derive(Debug, Default)]
pub(crate) struct Lags {
    ends: Mutex<HashMap<LogId, Ends>>,
    going_on: Mutex<HashMap<(Arc<str>, LogId), Going>>,
    now: Mutex<Arc<Vec<GroupLag>>>,
}

/// Whether a group goes on in a partition.
#[derive(Debug, Default)]
struct Going {
    /// The second in which that was looked at last.
    seen: u64,
    progress: Progress,
}

/// Where a group stands in a partition.
struct Stand {
    partition: i32,
    committed: Offset,
    /// Records behind that which are done already.
    done: u64,
}

impl Lags {
    /// As of the last look.
    pub(crate) fn get(&self) -> Arc<Vec<GroupLag>> {
        Arc::clone(&self.now.lock())
    }

    /// Looks again. Seconds are those of a clock that is never set.
    pub(crate) fn look(&self, inner: &Inner, second: u64, now: Millis) {
        let (mut ends, mut going_on) = (self.ends.lock(), self.going_on.lock());
        let mut noted = HashSet::new();
        let mut all = Vec::new();
        for listing in inner.groups.list(&Filter::default()).unwrap_or_default() {
            let is_shared = listing.kind == GroupKind::Share;
            for (topic, stands) in inner.stands(&listing.group, is_shared) {
                let mut lag = GroupLag {
                    group: Arc::clone(&listing.group),
                    topic: topic.topic.name.as_str().into(),
                    messages: 0,
                    behind_ms: None,
                    still_seconds: 0,
                    partitions: Vec::with_capacity(stands.len()),
                };
                for stand in stands {
                    let Some(log) = topic.log(stand.partition) else { continue };
                    let range = log.range();
                    let known = ends.entry(log.id()).or_default();
                    if noted.insert(log.id()) {
                        known.note(now, range.end);
                    }
                    let behind = known.behind(stand.committed, now);
                    let waits = lag.add(&stand, (range.start, range.end), behind) > 0;
                    let of = (Arc::clone(&lag.group), log.id());
                    let going = going_on.entry(of).or_default();
                    going.seen = second;
                    let position = (stand.committed, stand.done);
                    let still = going.progress.note(second, position, waits);
                    lag.still_seconds = lag.still_seconds.max(still);
                }
                all.push(lag);
            }
        }
        // Of what nobody consumes any more nothing is to be known.
        ends.retain(|log, _| noted.contains(log));
        going_on.retain(|_, going| going.seen == second);
        *self.now.lock() = Arc::new(all);
    }
}

impl GroupLag {
    /// Messages that it had not committed and are deleted.
    pub fn lost(&self) -> i64 {
        self.partitions.iter().map(|one| (one.start - one.committed).max(0)).sum()
    }

    /// Adds a partition: how many messages wait in it.
    fn add(
        &mut self,
        stand: &Stand,
        (start, end): (Offset, Offset),
        behind: Option<Behind>,
    ) -> i64 {
        let done = i64::try_from(stand.done).unwrap_or(i64::MAX);
        let messages = (end - stand.committed.clamp(start, end.max(start)) - done).max(0);
        self.messages = self.messages.saturating_add(messages);
        let behind = if messages == 0 { Some(Behind::Exactly(0)) } else { behind };
        self.behind_ms = self.behind_ms.max(behind.map(Behind::millis));
        let Stand { partition, committed, .. } = *stand;
        self.partitions.push(PartitionLag { partition, committed, start, end, messages, behind });
        messages
    }
}

impl Inner {
    /// Where a group stands, by topic.
    fn stands(&self, group: &str, is_shared: bool) -> Vec<(Arc<OpenTopic>, Vec<Stand>)> {
        let mut all: Vec<(Arc<OpenTopic>, Vec<Stand>)> = Vec::new();
        if is_shared {
            let mut positions = self.groups.positions(group);
            positions.sort_by_key(|(key, _)| (key.topic, key.partition));
            for (key, position) in positions {
                let stand = Stand {
                    partition: key.partition,
                    committed: position.start,
                    done: position.done,
                };
                match all.last_mut().filter(|(topic, _)| topic.topic.id == key.topic) {
                    Some((_, stands)) => stands.push(stand),
                    // Of a topic that is gone nothing is to be said.
                    None => all.extend(self.topics.get_by_id(key.topic).map(|t| (t, vec![stand]))),
                }
            }
            return all;
        }
        let mut committed = self.groups.all_committed(group).unwrap_or_default();
        committed.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        for one in committed {
            let stand =
                Stand { partition: one.partition, committed: one.committed.offset, done: 0 };
            match all.last_mut().filter(|(topic, _)| topic.topic.name == *one.topic) {
                Some((_, stands)) => stands.push(stand),
                None => all.extend(self.topics.get(&one.topic).map(|t| (t, vec![stand]))),
            }
        }
        all
    }
}
