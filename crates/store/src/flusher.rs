//! Moves the logs' tails into segments, enforces retention, and writes the checkpoint. One
//! background thread; nothing waits for it unless the tail grows too large.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base::{Clock, LogId, Offset};

use crate::checkpoint::Checkpoint;
use crate::log::Log;
use crate::segment::{Segment, SegmentFiles, sync_dir};
use crate::shared::{CommittedFrame, Shared};

/// More files than this are synced with one `syncfs`, which syncs the whole file system once.
const SYNC_EACH_MAX: usize = 32;
/// Pause after a failed flush, and longest time without looking for work.
const RETRY: Duration = Duration::from_secs(1);

pub(crate) struct Flusher {
    pub(crate) shared: Arc<Shared>,
    pub(crate) files: Arc<SegmentFiles>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Frames below this are in segments.
    pub(crate) flushed: u64,
}

/// What a flush wrote for one log.
struct Written {
    log: Arc<Log>,
    segments: Vec<Segment>,
    next: Offset,
}

impl Flusher {
    /// Runs until the store stops; what waits is flushed first.
    pub(crate) fn run(mut self) {
        let mut next_retention = Instant::now() + self.shared.options.retention_interval;
        loop {
            let frames = self.shared.take_frames(self.shared.options.retention_interval.min(RETRY));
            if frames.is_empty() && self.shared.stopping.load(Ordering::Acquire) {
                return;
            }
            if !frames.is_empty() && !self.flush(frames) {
                if self.shared.stopping.load(Ordering::Acquire) {
                    return; // the write-ahead log still has everything
                }
                std::thread::sleep(RETRY);
            }
            self.remove_deleted();
            if Instant::now() >= next_retention {
                self.enforce_retention();
                next_retention = Instant::now() + self.shared.options.retention_interval;
            }
        }
    }

    /// Returns whether it succeeded. Where not, nothing counts, and it is tried again.
    fn flush(&mut self, frames: Vec<CommittedFrame>) -> bool {
        let next = frames.last().map_or(self.flushed, |frame| frame.sequence + 1);
        match self.move_to_segments(&frames).and_then(|written| {
            for Written { log, segments, next } in written {
                log.flushed(&segments, next);
            }
            self.checkpoint(next)
        }) {
            Ok(()) => {
                self.flushed = next;
                self.shared.flushed.store(next, Ordering::Release);
                self.shared.health.set_full(false);
                self.shared.frames_done();
                true
            }
            Err(error) => {
                if crate::health::is_full(&error) {
                    self.shared.health.set_full(true);
                } else {
                    self.shared.health.poison("writing segments", &error);
                }
                self.shared.frames_failed(frames);
                false
            }
        }
    }

    fn move_to_segments(&self, frames: &[CommittedFrame]) -> io::Result<Vec<Written>> {
        let mut ends: HashMap<LogId, (&Arc<Log>, Offset)> = HashMap::new();
        for (log, next) in frames.iter().flat_map(|frame| &frame.logs) {
            let (_, end) = ends.entry(log.id()).or_insert((log, *next));
            *end = (*end).max(*next);
        }
        let mut sync = Sync::default();
        let mut all = Vec::with_capacity(ends.len());
        for (log, next) in ends.into_values().filter(|(log, _)| !log.is_deleted()) {
            let segments = self.write_log(log, next, &mut sync)?;
            all.push(Written { log: Arc::clone(log), segments, next });
        }
        sync.finish(&self.shared.options.dir)?;
        Ok(all)
    }

    /// Writes one log's tail up to `next`; returns the segments that it wrote to.
    fn write_log(&self, log: &Arc<Log>, next: Offset, sync: &mut Sync) -> io::Result<Vec<Segment>> {
        let batches = log.tail_before(next);
        let Some(first) = batches.first() else { return Ok(Vec::new()) };
        let options = log.options();
        let now = self.clock.now();
        let is_full = |segment: &Segment, more: usize| {
            segment.bytes > 0
                && (segment.bytes + more as u64 > options.segment_bytes
                    || now.saturating_sub(segment.created_at) >= options.segment_ms
                    // Index entries hold offsets and positions in 32 bits.
                    || next - segment.base > Offset::from(u32::MAX)
                    || segment.bytes + more as u64 > u64::from(u32::MAX))
        };
        let last =
            log.last_segment().unwrap_or_else(|| Segment::new(first.header.base_offset, now));
        let mut writer = self.files.writer(log.id(), last)?;
        let mut written = Vec::new();
        let mut is_new = last.bytes == 0;
        for batch in &batches {
            if is_full(&writer.segment, batch.bytes.len()) {
                let (segment, files) = writer.finish()?;
                sync.add(files);
                written.push(segment);
                writer =
                    self.files.writer(log.id(), Segment::new(batch.header.base_offset, now))?;
                is_new = true;
            }
            writer.push(&batch.header, &batch.bytes);
        }
        let (segment, files) = writer.finish()?;
        sync.add(files);
        written.push(segment);
        if is_new {
            sync.dirs.push(self.files.log_dir(log.id()));
        }
        Ok(written)
    }

    fn checkpoint(&self, sequence: u64) -> io::Result<()> {
        let logs: Vec<_> = self.shared.logs.read().values().cloned().collect();
        let now = self.clock.now();
        for log in &logs {
            log.producers.lock().expire(now.saturating_sub(self.shared.options.producer_expiry_ms));
        }
        Checkpoint::of(sequence, &logs).write(&self.shared.options.dir)
    }

    /// Removes the folders of deleted logs; here, so that no flush makes one anew meanwhile.
    fn remove_deleted(&self) {
        let deleted = std::mem::take(&mut *self.shared.deleted.lock());
        if deleted.is_empty() {
            return;
        }
        if let Err(error) = self.checkpoint(self.flushed) {
            tracing::warn!(%error, "cannot write the checkpoint; deleted logs stay for now");
            self.shared.deleted.lock().extend(deleted);
            return;
        }
        for log in deleted {
            self.files.remove_log(log);
        }
    }

    fn enforce_retention(&self) {
        let now = self.clock.now();
        let logs: Vec<_> = self.shared.logs.read().values().cloned().collect();
        let expired: Vec<_> = logs
            .iter()
            .map(|log| (log.id(), log.expire(now)))
            .filter(|(_, e)| !e.is_empty())
            .collect();
        if expired.is_empty() {
            return;
        }
        // The checkpoint first: it must never name a file that is gone.
        if let Err(error) = self.checkpoint(self.flushed) {
            tracing::warn!(%error, "cannot write the checkpoint; expired segments stay for now");
            return;
        }
        for (log, segment) in
            expired.iter().flat_map(|(log, all)| all.iter().map(move |s| (log, s)))
        {
            tracing::debug!(%log, base = segment.base, "segment expired");
            self.files.remove(*log, segment.base);
        }
    }
}

/// Files whose content must reach the disk before the checkpoint may say so.
#[derive(Default)]
struct Sync {
    files: Vec<File>,
    /// Too many files were written to keep them all open until the end.
    all: bool,
    dirs: Vec<std::path::PathBuf>,
}

impl Sync {
    fn add(&mut self, files: Vec<File>) {
        self.files.extend(files);
        if self.files.len() > SYNC_EACH_MAX {
            self.all = true;
            self.files.clear();
        }
    }

    fn finish(self, dir: &std::path::Path) -> io::Result<()> {
        if self.all || self.dirs.len() > SYNC_EACH_MAX {
            return rustix::fs::syncfs(File::open(dir)?).map_err(io::Error::from);
        }
        for file in &self.files {
            file.sync_data()?;
        }
        for log_dir in &self.dirs {
            sync_dir(log_dir)?;
            sync_dir(log_dir.parent().unwrap_or(dir))?;
        }
        Ok(())
    }
}
