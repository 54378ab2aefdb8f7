//! Who wants what: filters in one tree, whatever syntax they were written in, and the subscriptions that match a
//! subject. No disk, no sockets, no tasks.
//!
//! Filters without wildcards are found by one look-up; the others are kept in a tree of steps
//! (`tree.rs`) that is walked level by level, all branches at once. What was found is remembered for as long
//! as nothing that could change it has changed: [`Router::stamp`] tells, without a lock. A subscription is added or
//! removed in a time that does not depend on how many there are: nothing large is copied or moved while
//! others wait (`list.rs`).

mod cache;
mod exact;
mod hash;
mod list;
mod node;
mod stamps;
mod tree;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use base::{Filter, Subject};
use bytes::Bytes;
use parking_lot::RwLock;

pub use hash::Seeded;
pub use list::Chunk;
pub use stamps::Place;

/// What is subscribed: cloned where it is looked up, so it should be small.
pub trait Subscribed: Clone {
    /// Who it is. What one owner has is found together, in [`Matches::overlapping`], where more than one of
    /// its filters match.
    fn owner(&self) -> u64;
}

/// One of several subscriptions of which a message goes to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: Bytes,
    /// Members with other filters are of the same group, as far as those match; else each filter is a group by
    /// itself. Where both kinds meet at one filter, they are one group.
    pub merges: bool,
}

/// Identifies a subscription, for removing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    id: u64,
    /// Where in the list of its filter it is.
    chunk: u32,
}

/// What a subject matches.
#[derive(Debug, Clone)]
pub struct Matches<S> {
    /// Subscriptions that each get the message, in chunks that are shared with the router.
    pub chunks: Vec<Arc<Chunk<S>>>,
    /// Those of owners of whom more than one matches, one list an owner. They are not in the chunks.
    pub overlapping: Vec<Vec<S>>,
    /// Groups of which one member each gets it.
    pub groups: Vec<GroupMatch<S>>,
}

/// The members of a group that match.
#[derive(Debug, Clone)]
pub struct GroupMatch<S> {
    /// Its name.
    pub name: Bytes,
    /// The filter of its members, if each filter is a group by itself.
    pub filter: Option<Filter>,
    /// Never empty.
    pub members: Arc<[S]>,
}

impl<S> Matches<S> {
    /// Nobody.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.overlapping.is_empty() && self.groups.is_empty()
    }

    /// Every subscription that gets the message, but for groups; one of each owner.
    pub fn singles(&self) -> impl Iterator<Item = &S> {
        let chunks = self.chunks.iter().flat_map(|chunk| chunk.iter());
        chunks.chain(self.overlapping.iter().filter_map(|all| all.first()))
    }

    /// How many get a message: each owner once, each group once.
    pub fn receivers(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|chunk| chunk.len()).sum();
        chunks + self.overlapping.len() + self.groups.len()
    }
}

/// Subscriptions by their filters.
#[derive(Debug)]
pub struct Router<S> {
    exact: exact::Exact<S>,
    tree: RwLock<tree::Tree<S>>,
    stamps: stamps::Stamps,
    cache: cache::Cache<S>,
    seed: Seeded,
    next: AtomicU64,
    len: AtomicUsize,
}

impl<S: Subscribed> Default for Router<S> {
    fn default() -> Self {
        Self::new(Seeded::default())
    }
}

impl<S: Subscribed> Router<S> {
    /// Most steps of a filter. More would let one client make every other's messages slow.
    pub const STEPS_MAX: usize = 256;

    /// An empty router, whose tables are seeded with something that nobody can guess.
    pub fn new(seed: Seeded) -> Self {
        Self {
            exact: exact::Exact::new(seed),
            tree: RwLock::new(tree::Tree::new(seed)),
            stamps: stamps::Stamps::default(),
            cache: cache::Cache::new(seed),
            seed,
            next: AtomicU64::new(1),
            len: AtomicUsize::new(0),
        }
    }

    /// Adds a subscription. Who looks after this returned finds it. `None`: the filter has more steps than
    /// [`Router::STEPS_MAX`].
    pub fn insert(&self, filter: &Filter, item: S, group: Option<&Group>) -> Option<Key> {
        if filter.raw_steps().count() > Self::STEPS_MAX {
            return None;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let chunk = match filter.as_exact() {
            Some(subject) => self.exact.insert(subject, id, item, group),
            None => self.tree.write().insert(filter, id, item, group),
        };
        self.len.fetch_add(1, Ordering::Relaxed);
        self.changed(filter);
        Some(Key { id, chunk })
    }

    /// Removes a subscription; returns it, if it was there. What was found before may be held, and used, a little
    /// longer.
    pub fn remove(&self, filter: &Filter, key: Key, group: Option<&Group>) -> Option<S> {
        let removed = match filter.as_exact() {
            Some(subject) => {
                self.cache.forget(&subject);
                self.exact.remove(&subject, key, group)
            }
            None => {
                let gone = self.tree.write().remove(filter, key, group);
                gone.item
            }
        };
        self.len.fetch_sub(usize::from(removed.is_some()), Ordering::Relaxed);
        self.changed(filter);
        removed
    }

    /// How many subscriptions there are.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn changed(&self, filter: &Filter) {
        self.stamps.changed(filter, self.seed);
    }

    /// Where changes that matter to a subject are counted.
    pub fn place(&self, subject: &Subject) -> Place {
        Place::of(subject, self.seed)
    }

    /// Changes whenever what a subject at this place matches may have changed. Take it before looking, and compare it
    /// before using what was found.
    pub fn stamp(&self, place: Place) -> u64 {
        self.stamps.read(place)
    }

    /// What matches a subject, from memory if somebody asked before.
    pub fn matches(&self, subject: &Subject) -> Arc<Matches<S>> {
        let stamp = self.stamp(self.place(subject));
        if let Some(known) = self.cache.get(subject, stamp) {
            return known;
        }
        let found = Arc::new(self.find(subject));
        self.cache.put(subject, stamp, &found);
        found
    }

    /// What matches a subject, looked up anew.
    pub fn find(&self, subject: &Subject) -> Matches<S> {
        let mut found = node::Found::default();
        self.exact.find(subject, &mut found);
        self.tree.read().find(subject, &mut found);
        found.into_matches()
    }
}

#[cfg(test)]
mod tests;
