//! Opening a data folder: the checkpoint, then the frames after it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{LogId, Offset};
use bytes::Bytes;

use crate::batch::{Batch, BatchHeader, NO_PRODUCER};
use crate::checkpoint::{Checkpoint, LogCheckpoint};
use crate::error::OpenError;
use crate::frame::{Frame, Run, RunKind};
use crate::log::{Log, State, TailBatch};
use crate::options::LogOptions;
use crate::segment::SegmentFiles;
use crate::shared::CommittedFrame;
use crate::wal::{Replay, replay};

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
    pub damaged: Vec<(LogId, std::ops::Range<Offset>)>,
}

/// The state read back from a data folder.
pub(crate) struct Recovery {
    pub(crate) logs: HashMap<LogId, Arc<Log>>,
    pub(crate) replay: Replay,
    /// First sequence number that is not in segments.
    pub(crate) flushed: u64,
    /// Frames read back, which wait for segments again.
    pub(crate) frames: Vec<CommittedFrame>,
    pub(crate) report: Recovered,
}

pub(crate) fn recover(dir: &Path, files: &Arc<SegmentFiles>) -> Result<Recovery, OpenError> {
    let checkpoint = Checkpoint::read(dir)?;
    let mut builder =
        Builder { dir, files, logs: HashMap::new(), frames: Vec::new(), damaged: Vec::new() };
    for log in checkpoint.logs {
        builder.restore(log);
    }
    let replay = replay(&dir.join("wal"), checkpoint.sequence, |path, position, frame| {
        builder.apply(path, position, &frame)
    })?;
    let Builder { logs, frames, damaged, .. } = builder;
    sweep(&dir.join("segments"), &logs).map_err(OpenError::io("sweeping", dir.join("segments")))?;
    let report = Recovered {
        logs: logs.len(),
        frames: replay.next_sequence - checkpoint.sequence,
        torn: replay.torn.clone(),
        damaged,
    };
    Ok(Recovery { logs, replay, flushed: checkpoint.sequence, frames, report })
}

struct Builder<'a> {
    dir: &'a Path,
    files: &'a Arc<SegmentFiles>,
    logs: HashMap<LogId, Arc<Log>>,
    frames: Vec<CommittedFrame>,
    damaged: Vec<(LogId, std::ops::Range<Offset>)>,
}

impl Builder<'_> {
    fn restore(&mut self, from: LogCheckpoint) {
        let LogCheckpoint { id, start, end, segments, damaged, producers } = from;
        let state = State { start, end, segments, damaged, ..State::default() };
        // The real options follow when the broker opens the log.
        let log = Log::new(id, Arc::clone(self.files), LogOptions::default(), state);
        log.producers.lock().known.extend(producers);
        self.logs.insert(id, Arc::new(log));
    }

    fn log(&mut self, id: LogId) -> Arc<Log> {
        let files = self.files;
        let new =
            || Arc::new(Log::new(id, Arc::clone(files), LogOptions::default(), State::default()));
        Arc::clone(self.logs.entry(id).or_insert_with(new))
    }

    fn apply(&mut self, path: &Path, position: u64, frame: &Frame) -> Result<(), OpenError> {
        let mut touched = Vec::with_capacity(frame.runs.len());
        for run in &frame.runs {
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
            let Some(header) = plausible(&rest, expected, run.next) else {
                self.quarantine(log, expected..run.next, &rest)?;
                break;
            };
            let bytes = rest.split_to(header.size);
            expected = header.next_offset();
            if frame.data_damaged && Batch::parse(bytes.clone()).is_err() {
                self.quarantine(log, header.base_offset..expected, &bytes)?;
                continue;
            }
            if header.producer_id != NO_PRODUCER {
                let mut producers = log.producers.lock();
                producers.record(&header, header.base_offset, frame.header.written_at);
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
        range: std::ops::Range<Offset>,
        bytes: &Bytes,
    ) -> Result<(), OpenError> {
        let dir = self.dir.join("quarantine");
        let path = dir.join(format!("{}-{:020}.damaged", log.id(), range.start));
        tracing::error!(log = %log.id(), ?range, path = %path.display(), "damaged records");
        fs::create_dir_all(&dir).map_err(OpenError::io("making", &dir))?;
        fs::write(&path, bytes).map_err(OpenError::io("writing", &path))?;
        log.with_state_mut(|state| state.damaged.push(range.clone()));
        self.damaged.push((log.id(), range));
        Ok(())
    }
}

/// The header of the batch that `bytes` begins with, if it can be the one expected.
fn plausible(bytes: &Bytes, expected: Offset, end: Offset) -> Option<BatchHeader> {
    let header = BatchHeader::decode(bytes).ok()?;
    let fits = header.size <= bytes.len() && header.last_offset_delta >= 0;
    (fits && header.base_offset == expected && header.next_offset() <= end).then_some(header)
}

/// Removes folders of logs that no longer exist: deleted, but the machine stopped before they went.
fn sweep(segments: &Path, logs: &HashMap<LogId, Arc<Log>>) -> io::Result<()> {
    for entry in fs::read_dir(segments)? {
        let entry = entry?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| u64::from_str_radix(name, 16).ok()).map(LogId);
        if id.is_some_and(|id| !logs.contains_key(&id)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
