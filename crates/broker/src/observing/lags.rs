//! How far consumer groups are behind.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base::{LogId, Millis, Offset};
use observe::lag::{Behind, Ends, Hot, Progress};
use parking_lot::Mutex;
use queue::group::{Filter, GroupKind};
use store::{Log, LogOptions};

use crate::broker::Inner;
use crate::topics::OpenTopic;

/// Over how long partitions are compared, in milliseconds.
const COMPARED_MS: Millis = 300_000;

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
    /// How much of what the topic keeps it is behind, of the partition where that is most, in hundredths: from 100 on retention
    /// may delete what is not committed. `None`: the topic keeps all.
    pub kept_percent: Option<i64>,
    /// The partition that gets much more than the others, if there is one, by number.
    pub hot: Option<(i32, Hot)>,
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
                    kept_percent: None,
                    hot: None,
                    partitions: Vec::with_capacity(stands.len()),
                };
                let mut came = Vec::with_capacity(stands.len());
                for stand in stands {
                    let Some(log) = topic.log(stand.partition) else { continue };
                    let range = log.range();
                    let known = ends.entry(log.id()).or_default();
                    if noted.insert(log.id()) {
                        known.note(now, range.end);
                    }
                    let behind = known.behind(stand.committed, now);
                    came.extend(known.at(now - COMPARED_MS).map(|then| range.end - then));
                    let waits = lag.add(&stand, (range.start, range.end), behind);
                    let kept = kept_percent(log, &topic.config.log, (waits, behind));
                    lag.kept_percent = lag.kept_percent.max(kept);
                    let of = (Arc::clone(&lag.group), log.id());
                    let going = going_on.entry(of).or_default();
                    going.seen = second;
                    let position = (stand.committed, stand.done);
                    let still = going.progress.note(second, position, waits > 0);
                    lag.still_seconds = lag.still_seconds.max(still);
                }
                lag.compare(&came);
                all.push(lag);
            }
        }
        // Of what nobody consumes any more nothing is to be known.
        ends.retain(|log, _| noted.contains(log));
        going_on.retain(|_, going| going.seen == second);
        *self.now.lock() = Arc::new(all);
    }
}

/// How much of what a log keeps is not committed, if it does not keep all.
fn kept_percent(
    log: &Log,
    options: &LogOptions,
    (waits, behind): (i64, Option<Behind>),
) -> Option<i64> {
    let by_time = options.retention_ms.map(|keeps| {
        let behind = behind.filter(|_| waits > 0).map_or(0, Behind::millis);
        behind.saturating_mul(100) / keeps.max(1)
    });
    let by_size = options.retention_bytes.map(|keeps| {
        let status = log.status();
        let messages = u128::try_from(status.end - status.start).unwrap_or(0).max(1);
        let waits = u128::try_from(waits).unwrap_or(0);
        let percent = u128::from(status.bytes) * waits * 100 / messages / u128::from(keeps.max(1));
        i64::try_from(percent).unwrap_or(i64::MAX)
    });
    by_time.max(by_size)
}

impl GroupLag {
    /// Looks whether one partition gets much more than the others, by what came to each.
    fn compare(&mut self, came: &[i64]) {
        if came.len() != self.partitions.len() {
            return;
        }
        self.hot =
            Hot::of(came).and_then(|hot| Some((self.partitions.get(hot.index)?.partition, hot)));
    }

    /// How long ago the first message came that is not committed, in milliseconds: in the partition that gets much more than
    /// the others, and in the middle one of these.
    pub fn hot_behind(&self) -> Option<(Millis, Millis)> {
        let (hot, _) = self.hot?;
        let millis = |one: &PartitionLag| one.behind.map_or(0, Behind::millis);
        let own = self.partitions.iter().find(|one| one.partition == hot)?;
        let others = self.partitions.iter().filter(|one| one.partition != hot);
        let mut others: Vec<_> = others.map(millis).collect();
        others.sort_unstable();
        Some((millis(own), others.get(others.len() / 2).copied().unwrap_or(0)))
    }

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
