//! Counters of changes, so that what was found can be used again until a change that matters.

use std::sync::atomic::{AtomicU64, Ordering};

use base::{Filter, Subject};

use crate::hash::Seeded;

const FIRSTS: usize = 256;
const EXACTS: usize = 4096;

/// Filters without wildcards are counted by their subject, others by their first level; those that begin with a
/// wildcard matter to all subjects. So somebody who subscribes and unsubscribes all the time, as for
/// each answer to a request, makes nobody else look again.
#[derive(Debug)]
pub(crate) struct Stamps {
    all: AtomicU64,
    firsts: Box<[AtomicU64]>,
    exacts: Box<[AtomicU64]>,
}

impl Default for Stamps {
    fn default() -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self { all: AtomicU64::new(0), firsts: zeros(FIRSTS), exacts: zeros(EXACTS) }
    }
}

/// Where changes that matter to a subject are counted.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    first: usize,
    exact: usize,
}

impl Place {
    pub(crate) fn of(subject: &Subject, seed: Seeded) -> Self {
        let first = subject.raw_levels().next().unwrap_or_default();
        Self { first: slot(first, FIRSTS, seed), exact: slot(subject.as_bytes(), EXACTS, seed) }
    }
}

fn slot(bytes: &[u8], slots: usize, seed: Seeded) -> usize {
    usize::try_from(seed.of(bytes) % slots as u64).unwrap_or_default()
}

impl Stamps {
    pub(crate) fn changed(&self, filter: &Filter, seed: Seeded) {
        let counter = if filter.is_exact() {
            self.exacts.get(slot(filter.bytes(), EXACTS, seed))
        } else if filter.begins_with_wildcard() {
            Some(&self.all)
        } else {
            let first = filter.raw_steps().next().unwrap_or_default();
            self.firsts.get(slot(first, FIRSTS, seed))
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Release);
        }
    }

    /// Each counter only grows, so their sum is the same only if all are.
    pub(crate) fn read(&self, place: Place) -> u64 {
        let of = |counters: &[AtomicU64], at: usize| {
            counters.get(at).map_or(0, |counter| counter.load(Ordering::Acquire))
        };
        self.all.load(Ordering::Acquire)
            + of(&self.firsts, place.first)
            + of(&self.exacts, place.exact)
    }
}
