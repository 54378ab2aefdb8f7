//! Moves the logs' tails into segments, enforces retention, and writes the checkpoint. One
//! background thread; nothing waits for it unless the tail grows too large.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::disk::{Disk, File, Folder};
use base::planted::{self, Bug};
use base::{Clock, LogId, Offset};

use crate::checkpoint::Checkpoint;
use crate::compaction::Made;
use crate::health::{Part, is_full, is_shortage};
use crate::log::Log;
use crate::options::StoreOptions;
use crate::segment::{Segment, SegmentFiles, WrittenSegment};
use crate::shared::{CommittedFrame, Shared};

/// More files than this are synced with one `syncfs`, which syncs the whole file system once.
const SYNC_EACH_MAX: usize = 32;
/// Pause after a failed flush, and longest time without looking for work.
const RETRY: Duration = Duration::from_secs(1);

pub(crate) struct Flusher {
    pub(crate) shared: Arc<Shared>,
    pub(crate) files: Arc<SegmentFiles>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Frames below this are in segments, and the logs' states say so; what the next checkpoint
    /// says. The one on disk may be older.
    pub(crate) flushed: u64,
    /// Segments that no log has any more, but the checkpoint on disk may still name.
    pub(crate) expired: Vec<(LogId, Segment)>,
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
        let _guard = PoisonOnPanic(Arc::clone(&self.shared), "the flusher");
        sweep(&self.files, &self.shared);
        self.shared.swept.store(true, Ordering::Release);
        let threads = self.shared.options.threads.clone();
        let mut next_retention = threads.instant() + self.shared.options.retention_interval;
        loop {
            let frames = self.shared.take_frames(self.shared.options.retention_interval.min(RETRY));
            let done = frames.is_empty() && self.shared.stopping.load(Ordering::Acquire);
            if !frames.is_empty() && !self.flush_timed(frames) {
                if self.shared.stopping.load(Ordering::Acquire) {
                    return; // the write-ahead log still has everything
                }
                // What expires may make the room that is missing.
                self.enforce_retention();
                threads.sleep(RETRY);
            }
            self.install_compacted();
            self.remove_deleted();
            if done {
                return;
            }
            if threads.instant() >= next_retention {
                self.enforce_retention();
                next_retention = threads.instant() + self.shared.options.retention_interval;
            }
        }
    }

    fn flush_timed(&mut self, frames: Vec<CommittedFrame>) -> bool {
        let shared = Arc::clone(&self.shared);
        let begun = shared.options.threads.instant();
        let flushed = self.flush(frames);
        let took = shared.options.threads.instant().saturating_duration_since(begun);
        match flushed {
            true => shared.figures.flush_time.record_time(took),
            false => shared.figures.flush_failures.add(1),
        }
        flushed
    }

    /// Returns whether it succeeded. Where not, it is tried again.
    pub(crate) fn flush(&mut self, frames: Vec<CommittedFrame>) -> bool {
        let next = frames.last().map_or(self.flushed, |frame| frame.sequence + 1);
        let moved = self.move_to_segments(&frames).and_then(|written| {
            for Written { log, segments, next } in written {
                log.flushed(&segments, next);
            }
            // From here on this is what the logs' states say, even if this checkpoint fails and
            // a later one is written for another reason.
            self.flushed = next;
            self.checkpoint()
        });
        match moved {
            Ok(()) => {
                self.shared.health.set_full(Part::Segments, false);
                self.shared.frames_done();
                true
            }
            Err(error) => {
                if is_full(&error) {
                    self.shared.health.set_full(Part::Segments, true);
                } else if is_shortage(&error) {
                    tracing::warn!(%error, "cannot write segments");
                } else {
                    self.shared.health.poison("writing segments", &error);
                }
                self.shared.frames_failed(frames);
                false
            }
        }
    }

    fn move_to_segments(&self, frames: &[CommittedFrame]) -> io::Result<Vec<Written>> {
        let mut ends: BTreeMap<LogId, (&Arc<Log>, Offset)> = BTreeMap::new();
        for (log, next) in frames.iter().flat_map(|frame| &frame.logs) {
            let (_, end) = ends.entry(log.id()).or_insert((log, *next));
            *end = (*end).max(*next);
        }
        let mut sync = Sync::new(&self.shared.options)?;
        let mut all = Vec::with_capacity(ends.len());
        for (log, next) in ends.into_values().filter(|(log, _)| !log.is_deleted()) {
            let segments = self.write_log(log, next, &mut sync)?;
            all.push(Written { log: Arc::clone(log), segments, next });
        }
        sync.finish()?;
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
                    || now.saturating_sub(segment.created_at) >= options.segment_age_max()
                    // Index entries hold positions in 32 bits.
                    || segment.bytes + more as u64 > u64::from(u32::MAX))
        };
        let begin = |base: Offset| self.files.writer(log.id(), Segment::new(base, now));
        let base = first.header.base_offset;
        let mut writer = match log.last_segment() {
            None => begin(base)?,
            // A compacted one is complete.
            Some(last) if last.generation > 0 => begin(base)?,
            Some(last) => match self.files.writer(log.id(), last) {
                Err(error) if is_lost(&error) => {
                    tracing::error!(log = %log.id(), base = last.base, %error, "segment damaged");
                    begin(base)?
                }
                other => other?,
            },
        };
        let mut written = Vec::new();
        for batch in &batches {
            if is_full(&writer.segment, batch.bytes.len()) {
                written.push(sync.add(writer.finish()?, self.files.log_dir(log.id())));
                writer = begin(batch.header.base_offset)?;
            }
            writer.push(&batch.header, batch.bytes.clone())?;
        }
        let paused = self.files.pause(log.id(), writer)?;
        written.push(sync.add(paused, self.files.log_dir(log.id())));
        Ok(written)
    }

    /// Puts what the cleaner compacted in the place of what it was made from. From this checkpoint
    /// on a start finds the new segment, before it the old ones; never some of both.
    fn install_compacted(&mut self) {
        let Some(made) = self.shared.handover.take() else { return };
        let (log, installed) = match made {
            Made::Segment { log, old, new, gone } => {
                let installed = log.replace(&old, new, &gone);
                let replaced = old.into_iter().filter(|_| installed);
                self.expired.extend(replaced.map(|segment| (log.id(), segment)));
                (log, installed)
            }
            Made::Round { log, next } => {
                log.compacted(next);
                (log, true)
            }
        };
        if installed && let Err(error) = self.checkpoint() {
            let log = log.id();
            tracing::warn!(%log, %error, "cannot write the checkpoint; compacted segments stay");
        }
        self.shared.handover.answer(installed);
    }

    /// Writes the checkpoint; then nothing needs what it no longer names.
    pub(crate) fn checkpoint(&mut self) -> io::Result<()> {
        let (logs, deleted) = {
            let logs = self.shared.logs.read();
            let deleted = self.shared.deleted.lock().clone();
            (logs.values().cloned().collect::<Vec<_>>(), deleted)
        };
        let expired = self.clock.now().saturating_sub(self.shared.producer_expiry_ms());
        for log in &logs {
            log.producers.lock().expire(expired);
        }
        let mentioned = deleted.iter().filter(|deleted| deleted.below > self.flushed);
        let mentioned = mentioned.map(|deleted| (deleted.id, deleted.below)).collect();
        let StoreOptions { disk, dir, .. } = &self.shared.options;
        Checkpoint::of(self.flushed, mentioned, &logs).write(disk, dir)?;
        self.shared.flushed.store(self.flushed, Ordering::Release);
        for (log, segment) in self.expired.drain(..) {
            tracing::debug!(%log, base = segment.base, "segment removed");
            self.files.remove(log, &segment);
        }
        for deleted in deleted.iter().filter(|deleted| !deleted.removed) {
            self.files.remove_log(deleted.id);
        }
        let removed = |id: LogId| deleted.iter().any(|deleted| deleted.id == id);
        self.shared.deleted.lock().retain_mut(|deleted| {
            deleted.removed |= removed(deleted.id);
            !(deleted.removed && deleted.below <= self.flushed)
        });
        Ok(())
    }

    /// Has the folders of deleted logs removed; here, so that no flush makes one anew meanwhile.
    fn remove_deleted(&mut self) {
        if self.shared.deleted.lock().iter().all(|deleted| deleted.removed) {
            return;
        }
        if let Err(error) = self.checkpoint() {
            tracing::warn!(%error, "cannot write the checkpoint; deleted logs stay for now");
        }
    }

    fn enforce_retention(&mut self) {
        let now = self.clock.now();
        let logs: Vec<_> = self.shared.logs.read().values().cloned().collect();
        for log in logs {
            let expired = log.expire(now);
            self.shared.figures.segments_expired.add_len(expired.len());
            let expired = expired.into_iter();
            self.expired.extend(expired.map(|segment| (log.id(), segment)));
        }
        if self.expired.is_empty() {
            return;
        }
        // The checkpoint must never name a file that is gone.
        if let Err(error) = self.checkpoint() {
            tracing::warn!(%error, "cannot write the checkpoint; expired segments stay for now");
        }
    }
}

/// The file is not what it was when it was last written and synced.
fn is_lost(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
}

/// Removes what a stop in the middle left behind: folders of logs that were deleted, segments that
/// had expired or were not finished. Says what is missing.
fn sweep(files: &SegmentFiles, shared: &Shared) {
    let logs: HashMap<_, _> = shared.logs.read().iter().map(|(id, l)| (*id, l.clone())).collect();
    let known = |id: LogId| logs.get(&id).map(|log| log.with_state(|state| state.segments.clone()));
    if let Err(error) = files.sweep(known) {
        tracing::warn!(%error, "cannot look for files that are left over");
    }
}

/// A thread that panics takes the store with it: half of what it was doing may be done.
pub(crate) struct PoisonOnPanic(pub(crate) Arc<Shared>, pub(crate) &'static str);

impl Drop for PoisonOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.health.poison(self.1, &io::Error::other("panicked"));
        }
    }
}

/// Files whose content must reach the disk before the checkpoint may say so.
struct Sync {
    files: Vec<Arc<File>>,
    /// Too many files were written to sync one by one.
    all: bool,
    dirs: Vec<PathBuf>,
    /// The data folder, opened before anything is written: then it is told of errors that the
    /// operating system meets at any time after.
    root: Folder,
    disk: Disk,
}

impl Sync {
    fn new(options: &StoreOptions) -> io::Result<Self> {
        let (disk, root) = (options.disk.clone(), options.disk.open_dir(&options.dir)?);
        Ok(Self { files: Vec::new(), all: false, dirs: Vec::new(), root, disk })
    }

    fn add(&mut self, written: WrittenSegment, log_dir: PathBuf) -> Segment {
        let WrittenSegment { segment, files, made } = written;
        self.files.extend(files);
        if self.files.len() > SYNC_EACH_MAX {
            self.all = true;
            self.files.clear();
        }
        if made {
            self.dirs.push(log_dir);
        }
        segment
    }

    fn finish(self) -> io::Result<()> {
        if planted::is(Bug::SegmentsNotSynced) {
            return Ok(());
        }
        if self.all || self.dirs.len() > SYNC_EACH_MAX {
            return self.root.sync_file_system();
        }
        for file in &self.files {
            file.sync_data()?;
        }
        for log_dir in &self.dirs {
            self.disk.sync_dir(log_dir)?;
            // The folder may be new, too.
            log_dir.parent().map_or(Ok(()), |parent| self.disk.sync_dir(parent))?;
        }
        Ok(())
    }
}
