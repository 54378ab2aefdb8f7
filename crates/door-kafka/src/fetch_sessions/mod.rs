//! Fetch sessions (KIP-227): a client says once which partitions it reads, then only what changes.
//!
//! This is the cache of sessions, with Kafka's rules: so many slots; a session that was not used
//! for two minutes makes room for any other, one that is older than that for a larger one. A client
//! without a session sends and gets everything each time.
//!
//! Beyond Kafka's rules, sessions are bounded by their partitions, too, and one that nobody used for
//! ten minutes goes at the next chance: what it holds would stay for ever.

mod session;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use base::{Millis, Random};
use parking_lot::Mutex;

pub(crate) use session::{Session, Told, TopicKey};

use crate::wire::ErrorCode;

/// Unused for so long, a session may be replaced by any other; after so long, by a larger one.
const EVICTABLE_AFTER: Millis = 120_000;
/// Unused for so long, a session goes.
const FORGOTTEN_AFTER: Millis = 600_000;
/// Partitions of all sessions together. Each takes some 300 bytes.
const PARTITIONS_MAX: usize = 500_000;
/// No session.
pub(crate) const NONE: i32 = 0;
/// The number of a session's first request.
pub(crate) const FIRST: i32 = 0;
/// Of a request that ends a session, or stands for itself.
pub(crate) const LAST: i32 = -1;

/// All sessions of the door.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    slots: usize,
    random: Arc<dyn Random>,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    entries: HashMap<i32, Entry>,
    /// Of all entries.
    partitions: usize,
}

#[derive(Debug)]
struct Entry {
    /// `None` while a request works on it.
    session: Option<Box<Session>>,
    /// The number that the next request must have.
    epoch: i32,
    by_id: bool,
    partitions: usize,
    created: Millis,
    used: Millis,
}

impl Cache {
    fn remove(&mut self, id: i32) {
        if let Some(entry) = self.entries.remove(&id) {
            self.partitions -= entry.partitions;
        }
    }

    /// Makes room for a session with so many partitions, if the rules allow it.
    fn evict(&mut self, partitions: usize, now: Millis) -> bool {
        let unused = self.entries.iter().min_by_key(|(_, entry)| entry.used);
        let stale = unused.filter(|(_, entry)| now - entry.used > EVICTABLE_AFTER);
        let settled = self.entries.iter().filter(|(_, e)| now - e.created > EVICTABLE_AFTER);
        let smallest = settled.min_by_key(|(_, entry)| entry.partitions);
        let smaller = smallest.filter(|(_, entry)| entry.partitions < partitions);
        let Some(id) = stale.or(smaller).map(|(id, _)| *id) else { return false };
        self.remove(id);
        true
    }

    fn forget_unused(&mut self, now: Millis) {
        let unused = self.entries.iter().filter(|(_, e)| now - e.used > FORGOTTEN_AFTER);
        for id in unused.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.remove(id);
        }
    }
}

impl FetchSessions {
    /// A cache for at most so many sessions; 0 for none.
    pub(crate) fn new(slots: usize, random: Arc<dyn Random>) -> Self {
        Self { slots, random, cache: Mutex::default() }
    }

    /// Keeps a new session; returns its id, or [`NONE`] where there is no room.
    pub(crate) fn open(&self, session: Session, now: Millis) -> i32 {
        let mut cache = self.cache.lock();
        let partitions = session.len();
        if self.slots == 0 || partitions == 0 {
            return NONE;
        }
        if cache.entries.len() >= self.slots || cache.partitions + partitions > PARTITIONS_MAX {
            cache.forget_unused(now);
        }
        if cache.partitions + partitions > PARTITIONS_MAX
            || cache.entries.len() >= self.slots && !cache.evict(partitions, now)
        {
            return NONE;
        }
        let mut id = i32::try_from(self.random.next_u128() >> 97).unwrap_or(i32::MAX);
        while id == NONE || cache.entries.contains_key(&id) {
            id = id.checked_add(1).unwrap_or(1);
        }
        let (by_id, epoch) = (session.by_id(), next(FIRST));
        let session = Some(Box::new(session));
        let entry = Entry { session, epoch, by_id, partitions, created: now, used: now };
        cache.partitions += partitions;
        cache.entries.insert(id, entry);
        id
    }

    /// Ends a session, if there is one of this id.
    pub(crate) fn close(&self, id: i32) {
        self.cache.lock().remove(id);
    }

    /// Takes a session for its next request. `by_id`: the request names topics by their ids.
    pub(crate) fn take(
        self: &Arc<Self>,
        id: i32,
        epoch: i32,
        by_id: bool,
        now: Millis,
    ) -> Result<Taken, ErrorCode> {
        let mut cache = self.cache.lock();
        let entry = cache.entries.get_mut(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if entry.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if entry.by_id != by_id {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        // Its former request is not answered yet: this one is out of order.
        let session = entry.session.take().ok_or(ErrorCode::InvalidFetchSessionEpoch)?;
        (entry.epoch, entry.used) = (next(epoch), now);
        Ok(Taken { sessions: Arc::clone(self), id, session: Some(session) })
    }

    fn put_back(&self, id: i32, session: Box<Session>) {
        let mut cache = self.cache.lock();
        let Some(entry) = cache.entries.get_mut(&id) else { return };
        let (former, partitions) = (entry.partitions, session.len());
        (entry.partitions, entry.session) = (partitions, Some(session));
        cache.partitions = cache.partitions - former + partitions;
        if partitions == 0 || cache.partitions > PARTITIONS_MAX {
            cache.remove(id);
        }
    }
}

/// The number of the request after this one; never that of a first or last request again.
fn next(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

/// A session while a request works on it. One whose request is given up is gone: nobody knows what
/// its client was told.
pub(crate) struct Taken {
    sessions: Arc<FetchSessions>,
    id: i32,
    session: Option<Box<Session>>,
}

impl Taken {
    pub(crate) fn session(&mut self) -> Option<&mut Session> {
        self.session.as_deref_mut()
    }

    /// Keeps it for the next request; returns its id, or [`NONE`] if nothing is left in it.
    pub(crate) fn put_back(mut self) -> i32 {
        let Some(session) = self.session.take() else { return NONE };
        let id = if session.len() == 0 { NONE } else { self.id };
        self.sessions.put_back(self.id, session);
        id
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.session.is_some() {
            self.sessions.close(self.id);
        }
    }
}
