//! When each lease ends. The leases themselves are on disk; their deadlines are not, so that a
//! restart gives each its whole time again: its holder could not keep it alive meanwhile.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Millis};

use crate::LeaseId;

/// How long after a failed attempt to end a lease the next one follows.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Leases {
    clock: Arc<dyn Clock>,
    seen: Millis,
    /// Milliseconds that passed by the clock; stands still while the clock goes backwards.
    elapsed: u64,
    table: HashMap<LeaseId, Entry>,
    /// Deadlines in `elapsed` time, of all leases that are not ending.
    due: BTreeSet<(u64, LeaseId)>,
}

#[derive(Debug)]
struct Entry {
    ttl: Duration,
    deadline: u64,
    /// Its end is being committed: it can no longer be kept alive or put with.
    ending: bool,
}

impl Leases {
    pub(super) fn new(clock: Arc<dyn Clock>, stored: Vec<(LeaseId, Duration)>) -> Self {
        let seen = clock.now();
        let mut leases =
            Self { clock, seen, elapsed: 0, table: HashMap::new(), due: BTreeSet::new() };
        for (id, ttl) in stored {
            leases.start(id, ttl);
        }
        leases
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Starts a lease's time, for the first time or anew.
    pub(super) fn start(&mut self, id: LeaseId, ttl: Duration) {
        self.forget(id);
        let deadline = self.after(ttl);
        self.table.insert(id, Entry { ttl, deadline, ending: false });
        self.due.insert((deadline, id));
    }

    /// Starts a lease's time anew and says how long it is, unless it has ended.
    pub(super) fn keep_alive(&mut self, id: LeaseId) -> Option<Duration> {
        let now = self.now();
        let entry = self.table.get(&id).filter(|entry| !entry.ending && entry.deadline > now)?;
        let ttl = entry.ttl;
        self.start(id, ttl);
        Some(ttl)
    }

    pub(super) fn is_alive(&self, id: LeaseId) -> bool {
        self.table.get(&id).is_some_and(|entry| !entry.ending)
    }

    /// Marks a lease as ending until it is forgotten or revived. False if there is none.
    pub(super) fn end(&mut self, id: LeaseId) -> bool {
        let Some(entry) = self.table.get_mut(&id).filter(|entry| !entry.ending) else {
            return false;
        };
        entry.ending = true;
        self.due.remove(&(entry.deadline, id));
        true
    }

    /// Marks all leases that are due as ending and returns them, the longest overdue first.
    pub(super) fn end_due(&mut self) -> Vec<LeaseId> {
        let now = self.now();
        let due = self.due.iter().take_while(|(deadline, _)| *deadline <= now);
        let ids: Vec<LeaseId> = due.map(|(_, id)| *id).collect();
        ids.into_iter().filter(|id| self.end(*id)).collect()
    }

    /// The lease's end is committed.
    pub(super) fn forget(&mut self, id: LeaseId) {
        if let Some(entry) = self.table.remove(&id) {
            self.due.remove(&(entry.deadline, id));
        }
    }

    /// The lease's end could not be committed: it lives on, and its end is tried again.
    pub(super) fn revive(&mut self, id: LeaseId) {
        let soonest = self.after(RETRY);
        if let Some(entry) = self.table.get_mut(&id).filter(|entry| entry.ending) {
            entry.ending = false;
            entry.deadline = entry.deadline.max(soonest);
            self.due.insert((entry.deadline, id));
        }
    }

    /// Time until the next lease is due.
    pub(super) fn next_due(&mut self) -> Option<Duration> {
        let now = self.now();
        let (deadline, _) = self.due.first()?;
        Some(Duration::from_millis(deadline.saturating_sub(now)))
    }

    fn after(&mut self, time: Duration) -> u64 {
        self.now().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    fn now(&mut self) -> u64 {
        let seen = self.clock.now();
        self.elapsed += u64::try_from(seen.saturating_sub(self.seen)).unwrap_or(0);
        self.seen = seen;
        self.elapsed
    }
}
