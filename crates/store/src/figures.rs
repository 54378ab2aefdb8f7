//! What the store counts: per frame, never per record.

use std::sync::Arc;

use observe::{Collect, Counter, Histogram, Registry, Sink, families};

use crate::disk_space::DiskSpace;
use crate::shared::Shared;

/// What is counted where it happens.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Requests to the writer that were acknowledged …
    pub(crate) appends: Arc<Counter>,
    /// … and those that were not.
    pub(crate) append_failures: Arc<Counter>,
    pub(crate) records: Arc<Counter>,
    pub(crate) frames: Arc<Counter>,
    pub(crate) wal_bytes: Arc<Counter>,
    pub(crate) frame_bytes: Arc<Histogram>,
    pub(crate) write_time: Arc<Histogram>,
    pub(crate) sync_time: Arc<Histogram>,
    pub(crate) commit_time: Arc<Histogram>,
    pub(crate) flush_time: Arc<Histogram>,
    pub(crate) flush_failures: Arc<Counter>,
    pub(crate) segments_expired: Arc<Counter>,
}

/// What is read from disk for consumers.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    pub(crate) time: Arc<Histogram>,
    pub(crate) bytes: Arc<Counter>,
}

impl Reads {
    /// Shows all of it.
    pub(crate) fn show(&self, to: &Registry) {
        to.show_histogram(&families::READ_TIME, [], Arc::clone(&self.time));
        to.show_counter(&families::READ_BYTES, [], Arc::clone(&self.bytes));
    }
}

impl Figures {
    /// Shows all of it.
    pub(crate) fn show(&self, to: &Registry) {
        let counters = [
            (&families::APPENDS, &self.appends),
            (&families::APPEND_FAILURES, &self.append_failures),
            (&families::APPENDED_RECORDS, &self.records),
            (&families::FRAMES, &self.frames),
            (&families::WAL_BYTES, &self.wal_bytes),
            (&families::FLUSH_FAILURES, &self.flush_failures),
            (&families::SEGMENTS_EXPIRED, &self.segments_expired),
        ];
        for (family, counter) in counters {
            to.show_counter(family, [], Arc::clone(counter));
        }
        let histograms = [
            (&families::FRAME_BYTES, &self.frame_bytes),
            (&families::WRITE_TIME, &self.write_time),
            (&families::SYNC_TIME, &self.sync_time),
            (&families::COMMIT_TIME, &self.commit_time),
            (&families::FLUSH_TIME, &self.flush_time),
        ];
        for (family, histogram) in histograms {
            to.show_histogram(family, [], Arc::clone(histogram));
        }
    }
}

impl Collect for Shared {
    fn collect(&self, sink: &mut Sink<'_>) {
        sink.gauge(&families::HEALTHY, [], i64::from(self.health.check().is_ok()));
        sink.gauge(&families::DISK_FULL, [], i64::from(self.health.is_full()));
        sink.count(&families::TAIL_BYTES, [], self.tail_bytes());
        let waiting = self.bell.waiting();
        sink.gauge(&families::APPEND_QUEUE, [], i64::try_from(waiting).unwrap_or(i64::MAX));
        // A simulated folder has no disk; nor has one that was moved away.
        if let Ok(space) = DiskSpace::of(&self.options.dir) {
            let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
            sink.gauge(&families::DISK_FREE, [], bytes(space.free));
            sink.gauge(&families::DISK_SIZE, [], bytes(space.total));
        }
    }
}
