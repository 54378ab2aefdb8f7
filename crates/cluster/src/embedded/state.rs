//! The mirror: what is committed, in memory, with the recent past for watchers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::overlay::Overlay;
use crate::{Change, KeyValue, LeaseId, RangeResponse, Revision, WatchBatch};

/// What a change costs in the history beside its key and value: the structures around them.
const CHANGE_OVERHEAD_BYTES: usize = 160;

#[derive(Debug)]
pub(super) struct State {
    pub(super) revision: Revision,
    keys: BTreeMap<Bytes, KeyValue>,
    /// Which keys go with which lease.
    by_lease: BTreeSet<(LeaseId, Bytes)>,
    history: History,
}

/// The latest revisions' changes: exactly one entry for each revision, the last one being the
/// state's.
#[derive(Debug)]
struct History {
    entries: VecDeque<Arc<WatchBatch>>,
    bytes: usize,
    revisions_max: usize,
    bytes_max: usize,
}

/// What a watcher that wants revision `n` next gets.
#[derive(Debug)]
pub(super) enum Upcoming {
    Batch(WatchBatch),
    /// Nothing up to this revision.
    Nothing(Revision),
    /// The next changes are no longer kept.
    Gone {
        oldest: Revision,
    },
}

impl State {
    pub(super) fn new(
        revision: Revision,
        kvs: Vec<KeyValue>,
        revisions_max: usize,
        bytes_max: usize,
    ) -> Self {
        let leased = kvs.iter().filter_map(|kv| Some((kv.lease?, kv.key.clone())));
        let by_lease = leased.collect();
        let keys = kvs.into_iter().map(|kv| (kv.key.clone(), kv)).collect();
        let history = History { entries: VecDeque::new(), bytes: 0, revisions_max, bytes_max };
        Self { revision, keys, by_lease, history }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&KeyValue> {
        self.keys.get(key)
    }

    pub(super) fn with_prefix<'a>(
        &'a self,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = &'a KeyValue> {
        self.starting_at(prefix, prefix)
    }

    fn starting_at<'a>(
        &'a self,
        from: &'a [u8],
        prefix: &'a [u8],
    ) -> impl Iterator<Item = &'a KeyValue> {
        self.keys
            .range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
            .map(|(_, kv)| kv)
            .take_while(move |kv| kv.key.starts_with(prefix))
    }

    pub(super) fn of_lease(&self, lease: LeaseId) -> impl Iterator<Item = &Bytes> {
        self.by_lease
            .range((lease, Bytes::new())..)
            .take_while(move |(of, _)| *of == lease)
            .map(|(_, key)| key)
    }

    pub(super) fn range(&self, prefix: &[u8], limit: usize, from: &[u8]) -> RangeResponse {
        let limit = if limit == 0 { usize::MAX } else { limit };
        let mut found = self.starting_at(from.max(prefix), prefix);
        let kvs: Vec<_> = found.by_ref().take(limit).cloned().collect();
        RangeResponse { revision: self.revision, kvs, more: found.next().is_some() }
    }

    /// Takes over what was committed.
    pub(super) fn apply(&mut self, overlay: Overlay) {
        for (key, kv) in overlay.keys {
            let before = match kv {
                Some(kv) => {
                    if let Some(lease) = kv.lease {
                        self.by_lease.insert((lease, key.clone()));
                    }
                    let lease = kv.lease;
                    self.keys.insert(key.clone(), kv).filter(|before| before.lease != lease)
                }
                None => self.keys.remove(&key),
            };
            if let Some(lease) = before.and_then(|kv| kv.lease) {
                self.by_lease.remove(&(lease, key));
            }
        }
        self.revision = overlay.revision;
        for batch in overlay.batches {
            self.history.push(batch);
        }
    }

    pub(super) fn upcoming(&self, next: Revision, prefix: &[u8]) -> Upcoming {
        let oldest = self.revision + 1 - self.history.entries.len() as u64;
        if next < oldest {
            return Upcoming::Gone { oldest };
        }
        // Past the end when the watch starts in the future.
        let skip = usize::try_from(next - oldest).unwrap_or(usize::MAX);
        for batch in self.history.entries.iter().skip(skip) {
            let mut changes = batch.changes.iter().filter(|c| c.key().starts_with(prefix));
            if let Some(first) = changes.next() {
                let changes = std::iter::once(first).chain(changes).cloned().collect();
                return Upcoming::Batch(WatchBatch { revision: batch.revision, changes });
            }
        }
        Upcoming::Nothing(self.revision)
    }
}

impl History {
    fn push(&mut self, batch: WatchBatch) {
        self.bytes += cost(&batch);
        self.entries.push_back(Arc::new(batch));
        while self.entries.len() > self.revisions_max || self.bytes > self.bytes_max {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= cost(&oldest);
        }
    }
}

fn cost(batch: &WatchBatch) -> usize {
    let bytes = |change: &Change| match change {
        Change::Put(kv) => kv.key.len() + kv.value.len(),
        Change::Delete { key } => key.len(),
    };
    batch.changes.iter().map(|change| CHANGE_OVERHEAD_BYTES + bytes(change)).sum()
}
