//! Order by key: of each key one message at a time is out, the oldest. One that comes back holds the others of its key
//! back until it is done.
//!
//! A lane keeps an index of the messages that it has read ahead. What is behind those that wait is not read as long as
//! they are many, so a key that is stuck stops the others some thousand messages later, not the memory.

use std::collections::{BTreeSet, HashMap, HashSet};

use base::Offset;
use bytes::Bytes;

use super::lane::{Item, Lane};
use super::queue::State;
use super::types::Origin;

/// Messages of all lanes of such a queue that are read ahead, …
const AHEAD_MESSAGES: usize = 8192;
/// … and their bytes. Each lane has its part.
const AHEAD_BYTES: u64 = 4 << 20;
/// No lane has less than this.
const LANE_MESSAGES_MIN: usize = 64;
const LANE_BYTES_MIN: u64 = 64 * 1024;

impl Item {
    /// Its key: that of the record, or the routing key, or the subject. What was sent to the queue by its name, or with an
    /// empty key, has none.
    pub(super) fn key(&self) -> Option<Bytes> {
        let key = match (&self.message.key, &self.origin) {
            (Some(key), _) => key.clone(),
            (None, Origin::Exchange { key, .. }) => key.clone(),
            (None, Origin::Subject(subject)) => subject.bytes().clone(),
            (None, Origin::Queue) => return None,
        };
        (!key.is_empty()).then_some(key)
    }
}

/// What a lane knows of keys.
#[derive(Debug)]
pub(super) struct ByKey {
    /// Messages that were read and are available.
    waiting: HashMap<Bytes, BTreeSet<Offset>>,
    /// Keys of which a message is out, or comes back later.
    out: HashSet<Bytes>,
    /// What may be given away: the first of each key of which none is out, and what has no key.
    free: BTreeSet<Offset>,
    /// What came back, and is to be read again.
    back: BTreeSet<Offset>,
    /// What comes back later.
    delayed: BTreeSet<Offset>,
    /// All before was read, but for what came back.
    read_to: Offset,
    messages_max: usize,
    bytes_max: u64,
}

impl ByKey {
    /// Of one of so many lanes, which begins there.
    pub(super) fn new(start: Offset, lanes: usize) -> Self {
        let lanes = lanes.max(1);
        Self {
            waiting: HashMap::new(),
            out: HashSet::new(),
            free: BTreeSet::new(),
            back: BTreeSet::new(),
            delayed: BTreeSet::new(),
            read_to: start,
            messages_max: (AHEAD_MESSAGES / lanes).max(LANE_MESSAGES_MIN),
            bytes_max: (AHEAD_BYTES / lanes as u64).max(LANE_BYTES_MIN),
        }
    }

    /// Nothing is read any more. What is out, is.
    pub(super) fn forget_read(&mut self, start: Offset) {
        self.waiting.clear();
        self.free.clear();
        self.back.clear();
        self.read_to = start;
    }

    /// Whether more may be read ahead than this.
    pub(super) fn has_room(&self, (messages, bytes): (usize, u64)) -> bool {
        messages < self.messages_max && bytes < self.bytes_max
    }

    /// A message is available, and was read.
    pub(super) fn add(&mut self, at: Offset, item: &Item) {
        self.back.remove(&at);
        let Some(key) = item.key() else {
            self.free.insert(at);
            return;
        };
        let is_free = !self.out.contains(&key);
        let of_key = self.waiting.entry(key).or_default();
        if is_free && let Some(first) = of_key.first() {
            self.free.remove(first);
        }
        of_key.insert(at);
        if is_free && let Some(first) = of_key.first() {
            self.free.insert(*first);
        }
    }

    /// It is not available any more.
    pub(super) fn remove(&mut self, at: Offset, item: &Item) {
        self.free.remove(&at);
        let Some(key) = item.key() else { return };
        let Some(of_key) = self.waiting.get_mut(&key) else { return };
        of_key.remove(&at);
        match of_key.first() {
            None => drop(self.waiting.remove(&key)),
            Some(first) if !self.out.contains(&key) => drop(self.free.insert(*first)),
            Some(_) => {}
        }
    }

    /// A message of this key is out.
    fn hold(&mut self, key: &Bytes) {
        if self.out.insert(key.clone())
            && let Some(first) = self.waiting.get(key).and_then(BTreeSet::first)
        {
            self.free.remove(first);
        }
    }

    /// None is any more.
    fn release(&mut self, key: &Bytes) {
        if self.out.remove(key)
            && let Some(first) = self.waiting.get(key).and_then(BTreeSet::first)
        {
            self.free.insert(*first);
        }
    }

    /// What may be given away next.
    pub(super) fn first_free(&self) -> Option<Offset> {
        self.free.first().copied()
    }

    /// Messages came back, at once or later.
    pub(super) fn came_back(&mut self, offsets: impl Iterator<Item = Offset>, is_delayed: bool) {
        match is_delayed {
            true => self.delayed.extend(offsets),
            false => self.back.extend(offsets),
        }
    }

    /// What is not delayed any more, now that it is available.
    pub(super) fn ripe(&mut self, is_available: impl Fn(Offset) -> bool) -> Vec<Offset> {
        let ripe: Vec<_> = self.delayed.iter().copied().filter(|at| is_available(*at)).collect();
        for at in &ripe {
            self.delayed.remove(at);
        }
        ripe
    }

    fn is_delayed(&self, at: Offset) -> bool {
        self.delayed.contains(&at)
    }

    /// What came back and was not read again: the first such messages, as far as they follow each other.
    pub(super) fn lacks_back(
        &mut self,
        is_available: impl Fn(Offset) -> bool,
    ) -> Option<(Offset, Offset)> {
        loop {
            let first = *self.back.first()?;
            if is_available(first) {
                let mut next = first + 1;
                while self.back.contains(&next) {
                    next += 1;
                }
                return Some((first, next));
            }
            self.back.remove(&first);
        }
    }

    /// All before was read.
    pub(super) fn read_to(&mut self) -> &mut Offset {
        &mut self.read_to
    }

    /// All of these were read.
    pub(super) fn was_read(&mut self, from: Offset, to: Offset) {
        let read: Vec<_> = self.back.range(from..to).copied().collect();
        for at in read {
            self.back.remove(&at);
        }
        if from <= self.read_to {
            self.read_to = self.read_to.max(to);
        }
    }
}

impl State {
    /// A message is out: others of its key wait.
    pub(super) fn hold_key(&mut self, lane: u16, at: Offset, item: &Item) {
        if !self.lanes.iter().any(|lane| lane.by_key.is_some()) {
            return;
        }
        let Some(key) = item.key() else { return };
        self.lanes.iter_mut().filter_map(Lane::keys).for_each(|keys| keys.hold(&key));
        self.keys.insert((lane, at), key);
    }

    /// A message is not out any more. If it comes back later, others of its key wait for it.
    pub(super) fn release_key(&mut self, lane: u16, at: Offset) {
        let keys = self.lane(lane).and_then(Lane::keys);
        if keys.is_some_and(|keys| keys.is_delayed(at)) {
            return;
        }
        let Some(key) = self.keys.remove(&(lane, at)) else { return };
        self.lanes.iter_mut().filter_map(Lane::keys).for_each(|keys| keys.release(&key));
    }
}
