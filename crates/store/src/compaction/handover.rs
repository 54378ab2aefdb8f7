//! How compacted segments get from the cleaner to the flusher, which puts them in their place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::Offset;
use base::threads::{Condition, Threads};
use parking_lot::Mutex;

use crate::log::Log;
use crate::segment::Segment;
use crate::shared::Shared;
use crate::transactions::Aborted;

/// What the cleaner made.
#[derive(Debug)]
pub(crate) enum Made {
    /// One segment, or none, in the place of several.
    Segment {
        log: Arc<Log>,
        /// They follow each other.
        old: Vec<Segment>,
        new: Option<Segment>,
        /// Aborted transactions of which no record is left, and whose markers are among `old`.
        gone: Vec<Aborted>,
    },
    /// The end of a round: everything before `next` is compacted.
    Round { log: Arc<Log>, next: Offset },
}

/// Holds one thing at a time.
#[derive(Debug)]
pub(crate) struct Handover {
    slot: Mutex<Slot>,
    changed: Condition,
    threads: Threads,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Free,
    Offered(Made),
    /// The flusher is at it.
    Taken,
    Answered(bool),
}

impl Handover {
    pub(crate) fn new(threads: &Threads) -> Self {
        let changed = Condition::new(threads);
        Self { slot: Mutex::default(), changed, threads: threads.clone() }
    }

    /// Has the log told what was made. Returns whether it was.
    pub(crate) fn offer(&self, made: Made, shared: &Shared) -> bool {
        *self.slot.lock() = Slot::Offered(made);
        shared.wake();
        let mut slot = self.slot.lock();
        loop {
            match &*slot {
                Slot::Answered(installed) => {
                    let installed = *installed;
                    *slot = Slot::Free;
                    return installed;
                }
                // The flusher may have looked for the last time.
                Slot::Offered(_) if shared.stopping.load(Ordering::Acquire) => {
                    *slot = Slot::Free;
                    return false;
                }
                _ => self.changed.wait(&mut slot),
            }
        }
    }

    /// What was offered, if anything was; to be answered.
    pub(crate) fn take(&self) -> Option<Made> {
        let mut slot = self.slot.lock();
        match std::mem::replace(&mut *slot, Slot::Taken) {
            Slot::Offered(made) => Some(made),
            other => {
                *slot = other;
                None
            }
        }
    }

    /// Says whether what was taken is in its place.
    pub(crate) fn answer(&self, installed: bool) {
        *self.slot.lock() = Slot::Answered(installed);
        self.changed.notify();
    }

    /// Makes who waits look whether the store stops, or was told to rest for less.
    pub(crate) fn wake(&self) {
        // With the lock, so that nobody has looked and does not wait yet.
        let _slot = self.slot.lock();
        self.changed.notify();
    }

    /// Rests for so long, which may change meanwhile, or until the store stops; returns whether it
    /// does.
    pub(crate) fn rest(&self, time: impl Fn() -> Duration, stopping: &AtomicBool) -> bool {
        let began = self.threads.instant();
        let mut slot = self.slot.lock();
        while !stopping.load(Ordering::Acquire) {
            let rested = self.threads.instant().saturating_duration_since(began);
            let left = time().saturating_sub(rested);
            if left.is_zero() || self.changed.wait_for(&mut slot, left) {
                return stopping.load(Ordering::Acquire);
            }
        }
        true
    }
}
