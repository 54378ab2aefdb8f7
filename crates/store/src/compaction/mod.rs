//! Compaction: of the records with one key the newest is kept, the others go.
//!
//! A thread of its own looks for the log that is most in need (`work.rs`) and rewrites it in a round
//! (`round.rs`): it gathers the newest offset of every key that was added since the last round
//! (`keys.rs`), then goes through all segments from the first on and leaves out what that supersedes,
//! what belongs to aborted transactions, and what was deleted long enough ago (`sift.rs`). Segments
//! are replaced one group at a time by the flusher (`handover.rs`), which alone writes the
//! checkpoint: a crash finds the old files or the new one. They are replaced in their order, so an
//! older record never outlives the deletion mark that it was deleted by.
//!
//! The segment that records are added to, and everything from the oldest open transaction on, is
//! left alone. Offsets stay; where records were there are gaps.

mod handover;
mod keys;
mod round;
mod sift;
mod work;

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base::{Clock, LogId};

pub(crate) use handover::{Handover, Made};

use crate::health::{is_full, is_shortage};
use crate::segment::SegmentFiles;
use crate::shared::Shared;
use round::Round;
use work::Work;

/// The thread that compacts logs.
pub(crate) struct Cleaner {
    shared: Arc<Shared>,
    files: Arc<SegmentFiles>,
    clock: Arc<dyn Clock>,
    /// Logs that cannot be compacted, because what they hold is damaged or cannot be written. Tried
    /// again after a restart.
    failed: HashSet<LogId>,
    pace: Pace,
}

/// Why a round ended early. What it had replaced by then stays replaced.
#[derive(Debug)]
enum Stop {
    /// The store is closing, or the log was deleted or changed meanwhile.
    Abandoned,
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Cleaner {
    pub(crate) fn new(
        shared: Arc<Shared>,
        files: Arc<SegmentFiles>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { shared, files, clock, failed: HashSet::new(), pace: Pace::default() }
    }

    /// Runs until the store stops.
    pub(crate) fn run(mut self) {
        if !self.shared.cleaner().enabled {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let backoff = || shared.cleaner().backoff;
        while !shared.handover.rest(backoff, &shared.stopping) {
            // Not before the flusher has removed what the run before left half done: that may have
            // the name of what we make.
            while self.shared.swept.load(Ordering::Acquire)
                && self.shared.health.check().is_ok()
                && let Some(work) = self.most_in_need()
            {
                if !self.compact(work) {
                    break;
                }
            }
        }
    }

    /// The log of which the largest part is new, those first that wait for too long.
    fn most_in_need(&self) -> Option<Work> {
        let logs: Vec<_> = self.shared.logs.read().values().cloned().collect();
        let now = self.clock.now();
        let candidates = logs.into_iter().filter(|log| !self.failed.contains(&log.id()));
        let due = candidates.filter_map(|log| Work::due(&log, now));
        due.max_by(|a, b| a.urgency().total_cmp(&b.urgency()))
    }

    /// Returns whether to go on with others at once.
    fn compact(&mut self, work: Work) -> bool {
        let log = Arc::clone(&work.log);
        let id = log.id();
        let table = self.shared.cleaner().table_bytes;
        let round = Round {
            shared: &self.shared,
            files: &self.files,
            pace: &mut self.pace,
            now: self.clock.now(),
            work,
        };
        let threads = self.shared.options.threads.clone();
        let begun = threads.instant();
        let stop = match round.run(table) {
            Ok(report) => {
                tracing::debug!(log = %id, ?report, took = ?(threads.instant() - begun), "compacted");
                return !self.shared.stopping.load(Ordering::Acquire);
            }
            Err(stop) => stop,
        };
        if log.is_deleted() {
            // The flusher has done so already, but we may have made a file since.
            self.files.remove_log(id);
            return true;
        }
        match stop {
            Stop::Abandoned => tracing::debug!(log = %id, "compaction abandoned"),
            Stop::Io(error) if is_full(&error) || is_shortage(&error) => {
                tracing::warn!(log = %id, %error, "cannot compact; will try again");
            }
            Stop::Io(error) => {
                tracing::error!(log = %id, %error, "cannot compact; the log stays as it is");
                self.failed.insert(id);
                return true;
            }
        }
        false
    }
}

/// Keeps the cleaner to so many bytes a second.
#[derive(Debug, Default)]
struct Pace {
    begun: Option<Instant>,
    bytes: u64,
}

impl Pace {
    /// Counts bytes, and rests where there were too many; ends early if the store stops.
    fn count(&mut self, bytes: usize, shared: &Shared) {
        let limit = || shared.cleaner().bytes_per_second;
        if limit().is_none() {
            return;
        }
        let threads = &shared.options.threads;
        let begun = *self.begun.get_or_insert_with(|| threads.instant());
        let elapsed = || threads.instant().saturating_duration_since(begun);
        self.bytes += bytes as u64;
        let (bytes, spent) = (self.bytes, elapsed());
        // Asked again while it rests: the limit may be raised meanwhile.
        let left = || {
            let due = |limit: u64| bytes.saturating_mul(1000) / limit.max(1);
            Duration::from_millis(limit().map_or(0, due)).saturating_sub(spent)
        };
        if !left().is_zero() {
            shared.handover.rest(left, &shared.stopping);
        }
        // Anew every second, so that a long rest is not made up for by a burst.
        if elapsed() > Duration::from_secs(1) {
            (self.begun, self.bytes) = (None, 0);
        }
    }
}
