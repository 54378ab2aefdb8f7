//! When to look at what again.

use std::collections::BTreeSet;

use base::Millis;

use crate::Name;

/// Who is waiting for a time to come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A group whose rebalance phase ends.
    Phase(Name),
    /// A member, or an id handed out, of a group: its session may have ended.
    Member(Name, Name),
}

/// All timers, at most one per group and one per member or id handed out. Removed exactly, so that
/// members who come and go leave nothing behind.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Millis, Timer)>,
}

impl Timers {
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn next(&self) -> Option<Millis> {
        self.queue.first().map(|(at, _)| *at)
    }

    pub(crate) fn set(&mut self, at: Millis, timer: Timer) {
        self.queue.insert((at, timer));
    }

    pub(crate) fn remove(&mut self, at: Millis, timer: Timer) {
        let found = self.queue.remove(&(at, timer));
        debug_assert!(found, "a timer is known by its time");
    }

    /// The first timer that is due, with the time that it was set to.
    pub(crate) fn pop(&mut self, now: Millis) -> Option<(Millis, Timer)> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop_first()
    }
}

#[cfg(test)]
impl Timers {
    pub(crate) fn all(&self) -> &BTreeSet<(Millis, Timer)> {
        &self.queue
    }
}
