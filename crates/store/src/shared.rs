//! What the store's handle, its writer and its flusher share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base::threads::Condition;
use base::{LogId, Offset};
use parking_lot::{Mutex, RwLock};

use crate::compaction::Handover;
use crate::error::AppendError;
use crate::figures::Figures;
use crate::gather::Bell;
use crate::health::Health;
use crate::log::Log;
use crate::options::{CleanerOptions, StoreOptions, Tuning};

/// A log that was deleted, until nothing on disk mentions it any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deleted {
    pub(crate) id: LogId,
    /// Only frames below this may mention it.
    pub(crate) below: u64,
    /// Its folder is gone.
    pub(crate) removed: bool,
}

/// A frame whose batches wait in the logs' tails to be moved to segments.
#[derive(Debug)]
pub(crate) struct CommittedFrame {
    pub(crate) sequence: u64,
    /// Each log that it touched, and that log's end after it.
    pub(crate) logs: Vec<(Arc<Log>, Offset)>,
    pub(crate) bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: StoreOptions,
    /// What of the options was changed since.
    tuning: Mutex<Tuning>,
    pub(crate) health: Health,
    pub(crate) logs: RwLock<BTreeMap<LogId, Arc<Log>>>,
    /// Frames below this are in segments.
    pub(crate) flushed: AtomicU64,
    pub(crate) stopping: AtomicBool,
    /// Files that a run before left behind are gone; new ones may be made.
    pub(crate) swept: AtomicBool,
    /// What the cleaner made, on its way to the flusher.
    pub(crate) handover: Handover,
    /// Sequence number of the next frame.
    pub(crate) next_sequence: AtomicU64,
    /// Logs that were deleted not long ago. Locked after `logs`.
    pub(crate) deleted: Mutex<Vec<Deleted>>,
    backlog: Mutex<Backlog>,
    /// Tells the flusher that there is work, and the writer that there is room.
    changed: Condition,
    /// Tells the writer that enough messages have come.
    pub(crate) bell: Bell,
    /// Tells the writer, in a simulation, that there is a message.
    pub(crate) arrived: Condition,
    pub(crate) figures: Figures,
}

#[derive(Debug, Default)]
struct Backlog {
    frames: VecDeque<CommittedFrame>,
    bytes: usize,
    /// Taken by the flusher, not yet in segments.
    in_work: usize,
    flush_now: bool,
}

impl Shared {
    pub(crate) fn new(options: StoreOptions, flushed: u64, next_sequence: u64) -> Self {
        let threads = &options.threads;
        Self {
            handover: Handover::new(threads),
            changed: Condition::new(threads),
            arrived: Condition::new(threads),
            bell: Bell::default(),
            figures: Figures::default(),
            options,
            tuning: Mutex::default(),
            health: Health::default(),
            logs: RwLock::default(),
            flushed: AtomicU64::new(flushed),
            next_sequence: AtomicU64::new(next_sequence),
            stopping: AtomicBool::new(false),
            swept: AtomicBool::new(false),
            deleted: Mutex::default(),
            backlog: Mutex::default(),
        }
    }

    /// Changes what can be changed of the options.
    pub(crate) fn tune(&self, tuning: Tuning) {
        *self.tuning.lock() = tuning;
        // It may rest for longer than it now should.
        self.handover.wake();
    }

    /// How logs are compacted, now.
    pub(crate) fn cleaner(&self) -> CleanerOptions {
        let (options, tuning) = (self.options.cleaner, *self.tuning.lock());
        CleanerOptions {
            enabled: options.enabled,
            backoff: tuning.cleaner_backoff.unwrap_or(options.backoff),
            table_bytes: tuning.cleaner_table_bytes.unwrap_or(options.table_bytes),
            bytes_per_second: tuning.cleaner_bytes_per_second.unwrap_or(options.bytes_per_second),
        }
    }

    /// Producers unheard of for so long are forgotten, in milliseconds.
    pub(crate) fn producer_expiry_ms(&self) -> i64 {
        self.tuning.lock().producer_expiry_ms.unwrap_or(self.options.producer_expiry_ms)
    }

    /// Adds a frame to what waits for segments.
    pub(crate) fn committed(&self, frame: CommittedFrame) {
        let mut backlog = self.backlog.lock();
        backlog.bytes += frame.bytes;
        backlog.frames.push_back(frame);
        // The first frame starts the flusher's timer, the last one fills the measure.
        if backlog.frames.len() == 1 || backlog.bytes >= self.options.flush_bytes {
            self.changed.notify();
        }
    }

    /// Bytes that wait for segments, or are on their way there.
    pub(crate) fn tail_bytes(&self) -> usize {
        let backlog = self.backlog.lock();
        backlog.bytes + backlog.in_work
    }

    /// Waits while too much waits for segments. Fails when that will not change by itself.
    pub(crate) fn wait_for_tail_room(&self) -> Result<(), AppendError> {
        let mut backlog = self.backlog.lock();
        while backlog.bytes + backlog.in_work >= self.options.tail_bytes_max {
            self.health.check()?;
            if self.health.is_full() {
                return Err(AppendError::DiskFull);
            }
            backlog.flush_now = true;
            self.changed.notify();
            self.changed.wait_for(&mut backlog, Duration::from_secs(1));
        }
        Ok(())
    }

    /// Waits until it is time to flush, then takes all frames. Empty when the deadline `idle`
    /// passed without any, or when the store stops.
    pub(crate) fn take_frames(&self, idle: Duration) -> Vec<CommittedFrame> {
        let mut backlog = self.backlog.lock();
        let stopping = || self.stopping.load(Ordering::Acquire);
        if backlog.frames.is_empty() && !stopping() && !backlog.flush_now {
            self.changed.wait_for(&mut backlog, idle);
        }
        if backlog.frames.is_empty() {
            backlog.flush_now = false;
            return Vec::new();
        }
        let due = |backlog: &mut Backlog| {
            backlog.bytes < self.options.flush_bytes && !backlog.flush_now && !stopping()
        };
        self.changed.wait_while_for(&mut backlog, due, self.options.flush_after);
        backlog.flush_now = false;
        backlog.in_work = std::mem::take(&mut backlog.bytes);
        std::mem::take(&mut backlog.frames).into()
    }

    /// The frames taken last are in segments.
    pub(crate) fn frames_done(&self) {
        self.backlog.lock().in_work = 0;
        self.changed.notify();
    }

    /// The frames taken last could not be moved; they are taken again next time.
    pub(crate) fn frames_failed(&self, frames: Vec<CommittedFrame>) {
        let mut backlog = self.backlog.lock();
        backlog.bytes += std::mem::take(&mut backlog.in_work);
        backlog.flush_now = true;
        for frame in frames.into_iter().rev() {
            backlog.frames.push_front(frame);
        }
    }

    /// Makes the flusher look up from its wait, and flush what there is.
    pub(crate) fn wake(&self) {
        self.backlog.lock().flush_now = true;
        self.changed.notify();
    }
}
