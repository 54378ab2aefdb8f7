//! Opening a data folder: the checkpoint, then the frames after it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::disk::{Disk, Open};
use base::planted::{self, Bug};
use base::{LogId, Offset};
use bytes::Bytes;

use crate::batch::{Batch, BatchHeader};
use crate::checkpoint::{Checkpoint, LogCheckpoint};
use crate::error::OpenError;
use crate::frame::{Frame, Run, RunKind};
use crate::log::{Log, State, TailBatch};
use crate::options::LogOptions;
use crate::segment::SegmentFiles;
use crate::shared::{CommittedFrame, Deleted};
use crate::wal::{Replay, first_file_name, replay};

/// What a start found, for the log and for tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Logs that exist.
    pub logs: usize,
    /// Frames read back from the write-ahead log.
    pub frames: u64,
    /// Where the log ended in half a frame, which was never acknowledged.
    pub torn: Option<(PathBuf, u64)>,
    /// Ranges of records whose bytes were damaged; they lie in the quarantine folder.
    pub damaged: Vec<(LogId, Range<Offset>)>,
}

/// The state read back from a data folder.
pub(crate) struct Recovery {
    pub(crate) logs: BTreeMap<LogId, Arc<Log>>,
    pub(crate) deleted: Vec<Deleted>,
    pub(crate) replay: Replay,
    /// First sequence number that is not in segments.
    pub(crate) flushed: u64,
    /// Frames read back, which wait for segments again.
    pub(crate) frames: Vec<CommittedFrame>,
    pub(crate) report: Recovered,
}

pub(crate) fn recover(
    disk: &Disk,
    dir: &Path,
    files: &Arc<SegmentFiles>,
) -> Result<Recovery, OpenError> {
    let checkpoint = match Checkpoint::read(disk, dir)? {
        Some(checkpoint) => {
            // It may have been put in its place only, and the next step is to give up what the one
            // before it needs.
            disk.sync_dir(dir).map_err(OpenError::io("syncing", dir))?;
            checkpoint
        }
        None => {
            refuse_without_checkpoint(disk, dir)?;
            Checkpoint::default()
        }
    };
    let deleted = checkpoint.deleted.iter().copied().collect();
    let mut builder = Builder {
        dir,
        files,
        deleted,
        logs: BTreeMap::new(),
        frames: Vec::new(),
        damaged: Vec::new(),
    };
    for log in checkpoint.logs {
        builder.restore(log);
    }
    let from = checkpoint.sequence + u64::from(planted::is(Bug::RecoveryOffByOne));
    let replay = replay(disk, &dir.join("wal"), from, |path, position, frame| {
        builder.apply(path, position, &frame)
    })?;
    let Builder { logs, frames, damaged, .. } = builder;
    let deleted = checkpoint.deleted.into_iter();
    let deleted = deleted.map(|(id, below)| Deleted { id, below, removed: true }).collect();
    let report = Recovered {
        logs: logs.len(),
        frames: replay.next_sequence - checkpoint.sequence,
        torn: replay.torn.clone(),
        damaged,
    };
    Ok(Recovery { logs, deleted, replay, flushed: checkpoint.sequence, frames, report })
}

struct Builder<'a> {
    dir: &'a Path,
    files: &'a Arc<SegmentFiles>,
    /// Frames below the number are not for this log any more.
    deleted: HashMap<LogId, u64>,
    logs: BTreeMap<LogId, Arc<Log>>,
    frames: Vec<CommittedFrame>,
    damaged: Vec<(LogId, Range<Offset>)>,
}

impl Builder<'_> {
    fn restore(&mut self, from: LogCheckpoint) {
        let LogCheckpoint { id, start, end, compacted, segments, damaged, .. } = from;
        let (producers, transactions) = (from.producers, from.transactions);
        let (tail, flushed) = (VecDeque::new(), end);
        let losses = 0;
        #[rustfmt::skip]
        let state = State {
            start, end, flushed, compacted, segments, damaged, transactions, tail, losses,
        };
        let log = Log::new(id, Arc::clone(self.files), until_opened(), state);
        log.producers.lock().known.extend(producers);
        self.logs.insert(id, Arc::new(log));
    }

    fn log(&mut self, id: LogId) -> Arc<Log> {
        let files = self.files;
        let new = || Arc::new(Log::new(id, Arc::clone(files), until_opened(), State::default()));
        Arc::clone(self.logs.entry(id).or_insert_with(new))
    }

    fn apply(&mut self, path: &Path, position: u64, frame: &Frame) -> Result<(), OpenError> {
        let mut touched = Vec::with_capacity(frame.runs.len());
        for run in &frame.runs {
            if self.deleted.get(&run.log).is_some_and(|below| frame.header.sequence < *below) {
                continue;
            }
            let log = self.log(run.log);
            match run.kind {
                RunKind::Trim => log.trim(run.base),
                RunKind::Append => {
                    if log.end() != run.base {
                        let detail = format!(
                            "log {} ends at offset {}, but the frame continues it at {}",
                            run.log,
                            log.end(),
                            run.base
                        );
                        let path = path.to_path_buf();
                        return Err(OpenError::Damaged { path, position, detail });
                    }
                    self.append(&log, run, frame)?;
                }
            }
            touched.push((log, run.next));
        }
        let bytes = frame.bytes.len();
        self.frames.push(CommittedFrame { sequence: frame.header.sequence, logs: touched, bytes });
        Ok(())
    }

    fn append(&mut self, log: &Log, run: &Run, frame: &Frame) -> Result<(), OpenError> {
        let mut rest = frame.bytes.slice(run.position..run.position + run.length);
        let mut expected = run.base;
        let mut whole = Vec::new();
        while expected < run.next {
            let offsets = expected..run.next;
            let batch = plausible(&rest, &offsets).filter(|header| {
                let verify = || Batch::parse(rest.slice(..header.size)).is_ok();
                header.base_offset == expected && (!frame.data_damaged || verify())
            });
            let Some(header) = batch else {
                let (length, next) = next_whole(&rest, &offsets);
                self.quarantine(log, expected..next, &rest.split_to(length))?;
                expected = next;
                continue;
            };
            let bytes = rest.split_to(header.size);
            expected = header.next_offset();
            let written_at = frame.header.written_at;
            if header.is_control() {
                log.producers.lock().mark(&header, written_at);
            } else if header.is_idempotent() {
                log.producers.lock().record(&header, header.base_offset, written_at);
            }
            whole.push(TailBatch { header, bytes });
        }
        log.publish(whole);
        log.with_state_mut(|state| state.end = run.next);
        Ok(())
    }

    /// Keeps damaged bytes aside and marks their offsets, so that readers are told.
    fn quarantine(
        &mut self,
        log: &Log,
        range: Range<Offset>,
        bytes: &Bytes,
    ) -> Result<(), OpenError> {
        let dir = self.dir.join("quarantine");
        let path = dir.join(format!("{}-{:020}.damaged", log.id(), range.start));
        tracing::error!(log = %log.id(), ?range, path = %path.display(), "damaged records");
        let disk = &self.files.disk;
        disk.create_dir_all(&dir).map_err(OpenError::io("making", &dir))?;
        disk.open(&path, Open::Anew)
            .and_then(|file| file.write_all_at(bytes, 0))
            .map_err(OpenError::io("writing", &path))?;
        log.with_state_mut(|state| state.damaged.push(range.clone()));
        self.damaged.push((log.id(), range));
        Ok(())
    }
}

/// Options of a log that the broker has not opened yet: nothing may be deleted by others than its
/// own.
fn until_opened() -> LogOptions {
    LogOptions { retention_ms: None, retention_bytes: None, ..LogOptions::default() }
}

/// Without a checkpoint there are no segments yet, and the write-ahead log goes back to the very
/// first frame. Anything else means that the checkpoint was lost, and with it what the segments
/// hold.
fn refuse_without_checkpoint(disk: &Disk, dir: &Path) -> Result<(), OpenError> {
    let path = dir.join("checkpoint");
    let holds = |part: &str| {
        let part = dir.join(part);
        disk.read_dir(&part).map_err(OpenError::io("reading", part))
    };
    let files = holds("wal")?;
    let from_the_first = files.iter().any(|path| path.ends_with(first_file_name()));
    if from_the_first || (files.is_empty() && holds("segments")?.is_empty()) {
        return Ok(());
    }
    let detail = "it is missing, but there are records that only it says where to find".to_owned();
    Err(OpenError::Damaged { path, position: 0, detail })
}

/// The header of the batch that `bytes` begins with, if it can be one of these.
fn plausible(bytes: &[u8], offsets: &Range<Offset>) -> Option<BatchHeader> {
    let header = BatchHeader::decode(bytes).ok()?;
    let fits = header.size <= bytes.len() && header.last_offset_delta >= 0;
    (fits && offsets.contains(&header.base_offset) && header.next_offset() <= offsets.end)
        .then_some(header)
}

/// How far the damage at the front of `bytes` reaches: bytes and offset of the next whole batch,
/// or of the end.
fn next_whole(bytes: &Bytes, offsets: &Range<Offset>) -> (usize, Offset) {
    let later = offsets.start + 1..offsets.end;
    let whole = |at: usize| {
        let header = plausible(bytes.get(at..)?, &later)?;
        let batch = Batch::parse(bytes.slice(at..at + header.size)).ok()?;
        Some((at, batch.header().base_offset))
    };
    // Where the damaged batch says that it ends; else the first that can be found.
    let said = BatchHeader::decode(bytes).ok().and_then(|header| whole(header.size));
    let found = said.or_else(|| (1..bytes.len()).find_map(whole));
    found.unwrap_or((bytes.len(), offsets.end))
}

#[cfg(test)]
mod tests;
