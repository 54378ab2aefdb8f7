//! Filters without wildcards, by their subject.

use std::collections::HashMap;

use base::{Filter, Subject};
use parking_lot::RwLock;

use crate::hash::Seeded;
use crate::node::{Found, Lists};
use crate::{Group, Key, Subscribed};

/// Enough that a table which grows, and is copied for that, stops few for a short time.
const SHARDS: usize = 256;

type Shard<S> = HashMap<Subject, Lists<S>, Seeded>;

#[derive(Debug)]
pub(crate) struct Exact<S> {
    shards: Box<[RwLock<Shard<S>>]>,
    seed: Seeded,
}

impl<S: Subscribed> Exact<S> {
    pub(crate) fn new(seed: Seeded) -> Self {
        let shard = |_| RwLock::new(HashMap::with_hasher(seed));
        Self { shards: (0..SHARDS).map(shard).collect(), seed }
    }

    fn shard(&self, subject: &Subject) -> Option<&RwLock<Shard<S>>> {
        let hash = self.seed.of(subject.as_bytes()) >> 32;
        self.shards.get(usize::try_from(hash).unwrap_or_default() % SHARDS)
    }

    pub(crate) fn insert(&self, subject: Subject, id: u64, item: S, group: Option<&Group>) -> u32 {
        let Some(shard) = self.shard(&subject) else { return 0 };
        let filter = Filter::exact(&subject);
        shard.write().entry(subject).or_default().insert(&filter, id, item, group)
    }

    pub(crate) fn remove(&self, subject: &Subject, key: Key, group: Option<&Group>) -> Option<S> {
        let mut shard = self.shard(subject)?.write();
        let lists = shard.get_mut(subject)?;
        let removed = lists.remove(key, group);
        let gone = if lists.is_empty() { shard.remove_entry(subject) } else { None };
        drop(shard);
        // Without the lock: to give memory back may take long.
        drop(gone);
        removed
    }

    pub(crate) fn find(&self, subject: &Subject, found: &mut Found<S>) {
        let Some(shard) = self.shard(subject) else { return };
        if let Some(lists) = shard.read().get(subject) {
            lists.find(found);
        }
    }
}
