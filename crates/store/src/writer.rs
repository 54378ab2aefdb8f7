//! The lane's single writer: assigns offsets, gathers what waits into one frame, makes it durable
//! with one sync, then publishes and acknowledges.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::limits::{APPEND_QUEUE_MAX, FRAME_BYTES_MAX};
use base::planted::{self, Bug};
use base::{Clock, LogId, Offset};
use bytes::Bytes;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use crate::batch::{Batch, BatchHeader};
use crate::error::AppendError;
use crate::flusher::PoisonOnPanic;
use crate::frame::{FrameHeader, FrameWriter, RunKind, size_on_disk};
use crate::gather::Gather;
use crate::health::{Part, is_full, is_shortage};
use crate::log::{Log, TailBatch};
use crate::options::Durability;
use crate::producers::Verdict;
use crate::shared::{CommittedFrame, Shared};
use crate::sink::CommitSink;

/// What to do to one log.
#[derive(Debug)]
pub(crate) enum Change {
    Append { batches: Vec<Batch>, epoch: i32 },
    Trim { before: Offset },
}

/// Where an append landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub base: Offset,
    /// First offset of the log.
    pub start: Offset,
}

pub(crate) type Outcome = Result<Appended, AppendError>;

/// Changes that are acknowledged together.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) entries: Vec<(Arc<Log>, Change)>,
    pub(crate) reply: oneshot::Sender<Vec<Outcome>>,
}

impl Request {
    /// Upper bounds: runs, and bytes of data.
    fn size(&self) -> (usize, usize) {
        let data = self.entries.iter().map(|(_, change)| match change {
            Change::Append { batches, .. } => batches.iter().map(|b| b.bytes().len()).sum(),
            Change::Trim { .. } => 0,
        });
        (self.entries.len(), data.sum())
    }
}

/// One log's part of the frame that is being made.
struct PlannedRun {
    log: Arc<Log>,
    kind: RunKind,
    durability: Durability,
    base: Offset,
    next: Offset,
    batches: Vec<(Batch, Offset, i32)>,
}

/// A request whose outcome is known but not yet durable.
struct Waiting {
    reply: oneshot::Sender<Vec<Outcome>>,
    outcomes: Vec<Outcome>,
    durability: Durability,
}

/// A run written into the frame: its place there becomes the log's tail.
struct WrittenRun {
    log: Arc<Log>,
    kind: RunKind,
    durability: Durability,
    next: Offset,
    batches: Vec<(BatchHeader, Range<usize>)>,
}

/// What the writer is sent.
pub(crate) enum Message {
    Request(Request),
    /// Finish what came before, take no more.
    Stop,
}

/// Requests that go into one frame.
#[derive(Default)]
struct Group {
    requests: Vec<Request>,
    runs: usize,
    /// Bytes.
    data: usize,
}

impl Group {
    fn add(&mut self, request: Request) {
        let (runs, data) = request.size();
        self.runs += runs;
        self.data += data;
        self.requests.push(request);
    }
}

pub(crate) struct Writer {
    pub(crate) queue: mpsc::Receiver<Message>,
    pub(crate) sink: Box<dyn CommitSink>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sequence: u64,
    /// Frames below this are on stable storage.
    pub(crate) synced: u64,
    /// The last attempt to make room in the sink found the disk full.
    pub(crate) sink_full: bool,
    pub(crate) gather: Gather,
}

impl Writer {
    /// Runs until told to stop, or until every handle of the store is gone.
    pub(crate) fn run(mut self) {
        let _guard = PoisonOnPanic(Arc::clone(&self.shared), "the writer");
        while let Some(Message::Request(first)) = self.receive() {
            let mut group = Group::default();
            group.add(first);
            let mut stop = self.take_waiting(&mut group);
            if !stop && !self.shared.options.threads.are_simulated() {
                self.gather.wait(&self.shared.bell, group.requests.len());
                stop = self.take_waiting(&mut group);
            }
            let (begun, count) = (self.shared.options.threads.instant(), group.requests.len());
            self.commit(group.requests, size_on_disk(group.runs, group.data));
            let took = self.shared.options.threads.instant().saturating_duration_since(begun);
            self.shared.figures.commit_time.record_time(took);
            self.shared.bell.taken(self.gather.taken_so_far());
            self.gather.answered(count + self.queue.len(), took);
            if stop {
                break;
            }
        }
    }

    /// Takes what waits, as far as one frame has room; whether it is the writer's end.
    fn take_waiting(&mut self, group: &mut Group) -> bool {
        while group.data < FRAME_BYTES_MAX
            && group.requests.len() < APPEND_QUEUE_MAX
            && let Ok(message) = self.queue.try_recv()
        {
            self.gather.taken();
            let Message::Request(request) = message else { return true };
            group.add(request);
        }
        false
    }

    /// The next message. Blocks.
    fn receive(&mut self) -> Option<Message> {
        self.gather.taken();
        loop {
            match self.queue.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.shared.arrived.wait_simulated() => {}
                Err(TryRecvError::Empty) => return self.queue.blocking_recv(),
            }
        }
    }

    fn commit(&mut self, requests: Vec<Request>, bytes: usize) {
        if let Err(error) = self.make_room(bytes) {
            self.shared.figures.append_failures.add_len(requests.len());
            for request in requests {
                let outcomes = vec![Err(error.clone()); request.entries.len()];
                // Nobody listens any more: the connection is gone. The same below.
                let _ = request.reply.send(outcomes);
            }
            return;
        }
        let (mut plan, count) = (Plan::default(), requests.len());
        let now = self.clock.now();
        let waiting: Vec<Waiting> =
            requests.into_iter().map(|request| plan.add_request(request, now)).collect();
        if plan.runs.is_empty() {
            // Refused, or stored before: then it must be as durable as is asked for now.
            let strict = waiting.iter().any(|waiting| waiting.durability == Durability::Fsync);
            if strict && self.synced < self.sequence {
                if let Err(error) = self.sync() {
                    return self.fail("syncing the log", &error, waiting);
                }
                self.synced = self.sequence;
            }
            acknowledge(waiting, None);
            return;
        }
        // No less than what the runs ask for, and maybe more: see above.
        let strictest = waiting.iter().map(|waiting| waiting.durability).max();
        let header = FrameHeader {
            sequence: self.sequence,
            incarnation: self.sink.incarnation(),
            synced: self.synced,
            written_at: now,
        };
        let records = plan.records();
        let (frame, runs) = plan.encode(&header);
        let logs = runs.iter().map(|run| (Arc::clone(&run.log), run.next)).collect();
        let committed = CommittedFrame { sequence: self.sequence, logs, bytes: frame.len() };
        self.sequence += 1;
        self.shared.next_sequence.store(self.sequence, Ordering::SeqCst);

        let (waiting, runs) = publish_up_to(Durability::Memory, &frame, runs, waiting);
        if let Err(error) = self.write(header.sequence, &frame) {
            return self.fail("writing the log", &error, waiting);
        }
        let early = planted::is(Bug::AckBeforeSync);
        let reached = if early { Durability::Fsync } else { Durability::Os };
        let (waiting, runs) = publish_up_to(reached, &frame, runs, waiting);
        if strictest == Some(Durability::Fsync) {
            if let Err(error) = self.sync() {
                return self.fail("syncing the log", &error, waiting);
            }
            self.synced = self.sequence;
        }
        // Before it is acknowledged: who heard that it is stored finds it counted.
        let figures = &self.shared.figures;
        figures.appends.add_len(count);
        figures.records.add(records);
        figures.frames.add(1);
        figures.wal_bytes.add_len(frame.len());
        figures.frame_bytes.record(frame.len() as u64);
        publish_up_to(Durability::Fsync, &frame, runs, waiting);
        self.shared.committed(committed);
        self.sink.release(self.shared.flushed.load(Ordering::Acquire));
    }

    fn write(&mut self, sequence: u64, frame: &Bytes) -> std::io::Result<()> {
        let begun = self.shared.options.threads.instant();
        let written = self.sink.write(sequence, frame);
        let took = self.shared.options.threads.instant().saturating_duration_since(begun);
        self.shared.figures.write_time.record_time(took);
        written
    }

    fn sync(&mut self) -> std::io::Result<()> {
        let begun = self.shared.options.threads.instant();
        let synced = self.sink.sync();
        let took = self.shared.options.threads.instant().saturating_duration_since(begun);
        self.shared.figures.sync_time.record_time(took);
        synced
    }

    /// Waits until memory and the sink have room for a frame of this size.
    fn make_room(&mut self, bytes: usize) -> Result<(), AppendError> {
        self.shared.health.check()?;
        self.shared.wait_for_tail_room()?;
        let Err(error) = self.sink.reserve(self.sequence, bytes) else {
            if std::mem::take(&mut self.sink_full) {
                self.shared.health.set_full(Part::Log, false);
            }
            return Ok(());
        };
        if is_full(&error) {
            self.sink_full = true;
            self.shared.health.set_full(Part::Log, true);
            return Err(AppendError::DiskFull);
        }
        if is_shortage(&error) {
            tracing::warn!(%error, "cannot make a log file");
            return Err(AppendError::Failed(error.to_string()));
        }
        self.shared.health.poison("making a log file", &error);
        Err(AppendError::Failed(error.to_string()))
    }

    fn fail(&self, what: &str, error: &std::io::Error, waiting: Vec<Waiting>) {
        self.shared.health.poison(what, error);
        self.shared.figures.append_failures.add_len(waiting.len());
        acknowledge(waiting, self.shared.health.check().err().as_ref());
    }
}

/// The frame that is being made.
#[derive(Default)]
struct Plan {
    runs: Vec<PlannedRun>,
    by_log: HashMap<LogId, PlannedLog>,
    data: usize,
}

/// What a frame means to one log.
struct PlannedLog {
    /// Asked for once a frame: all that a frame does to a log happens at the same time, and is
    /// acknowledged then, even if the log's options change meanwhile.
    durability: Durability,
    /// The run that appends to it.
    run: Option<usize>,
}

impl Plan {
    fn add_request(&mut self, request: Request, now: base::Millis) -> Waiting {
        let mut durability = Durability::Memory;
        let mut outcomes = Vec::with_capacity(request.entries.len());
        for (log, change) in request.entries {
            durability = durability.max(self.log(&log).durability);
            outcomes.push(if log.is_deleted() {
                Err(AppendError::NotFound)
            } else {
                match change {
                    Change::Append { batches, epoch } => self.append(&log, batches, epoch, now),
                    Change::Trim { before } => Ok(self.trim(log, before)),
                }
            });
        }
        Waiting { reply: request.reply, outcomes, durability }
    }

    fn log(&mut self, log: &Arc<Log>) -> &mut PlannedLog {
        self.by_log
            .entry(log.id())
            .or_insert_with(|| PlannedLog { durability: log.options().durability, run: None })
    }

    /// The run that appends to this log, begun if there is none.
    fn run(&mut self, log: &Arc<Log>) -> &mut PlannedRun {
        let begun = self.runs.len();
        let planned = self.log(log);
        let durability = planned.durability;
        let number = *planned.run.get_or_insert(begun);
        if number == begun {
            let end = log.end();
            self.runs.push(PlannedRun {
                log: Arc::clone(log),
                kind: RunKind::Append,
                durability,
                base: end,
                next: end,
                batches: Vec::new(),
            });
        }
        #[allow(clippy::indexing_slicing, reason = "a log's run is a number of one of the runs")]
        &mut self.runs[number]
    }

    /// Offset that the next record of this log gets.
    fn end(&self, log: &Log) -> Offset {
        let planned = self.by_log.get(&log.id()).and_then(|planned| planned.run);
        planned.and_then(|run| self.runs.get(run)).map_or_else(|| log.end(), |run| run.next)
    }

    /// All of the batches, or none.
    fn append(
        &mut self,
        log: &Arc<Log>,
        batches: Vec<Batch>,
        epoch: i32,
        now: base::Millis,
    ) -> Outcome {
        let start = log.range().start;
        let end = self.end(log);
        let mut base = None;
        let verdicts = log.producers.lock().admit(&batches, end, now)?;
        for (batch, verdict) in batches.into_iter().zip(verdicts) {
            if let Verdict::Duplicate(stored) = verdict {
                base = base.or(Some(stored));
                continue;
            }
            self.data += batch.bytes().len();
            let run = self.run(log);
            let offset = run.next;
            run.next = offset + batch.header().offsets();
            run.batches.push((batch, offset, epoch));
            base = base.or(Some(offset));
        }
        Ok(Appended { base: base.unwrap_or(end), start })
    }

    fn trim(&mut self, log: Arc<Log>, before: Offset) -> Appended {
        let range = log.range();
        // Not `clamp`, which panics if the bounds are the wrong way round.
        let before = before.max(range.start).min(range.end);
        let durability = self.log(&log).durability;
        let kind = RunKind::Trim;
        self.runs.push(PlannedRun {
            log,
            kind,
            durability,
            base: before,
            next: before,
            batches: vec![],
        });
        Appended { base: before, start: before }
    }

    /// Records that it appends.
    fn records(&self) -> u64 {
        let appends = self.runs.iter().filter(|run| run.kind == RunKind::Append);
        appends.map(|run| run.next.abs_diff(run.base)).sum()
    }

    /// Writes the frame. What was planned is now at known places in it.
    fn encode(self, header: &FrameHeader) -> (Bytes, Vec<WrittenRun>) {
        let mut frame = FrameWriter::new(self.runs.len(), self.data);
        let mut written = Vec::with_capacity(self.runs.len());
        for run in self.runs {
            frame.begin_run(run.log.id(), run.kind, run.base, run.next);
            let place = |(batch, offset, epoch): (Batch, Offset, i32)| {
                let range = frame.batch(batch.bytes(), offset, epoch);
                let header =
                    BatchHeader { base_offset: offset, leader_epoch: epoch, ..*batch.header() };
                (header, range)
            };
            let batches = run.batches.into_iter().map(place).collect();
            let PlannedRun { log, kind, durability, next, .. } = run;
            written.push(WrittenRun { log, kind, durability, next, batches });
        }
        (frame.finish(header), written)
    }
}

/// Publishes the runs, and acknowledges the requests, that need no more than `reached`. Returns
/// the others.
fn publish_up_to(
    reached: Durability,
    frame: &Bytes,
    runs: Vec<WrittenRun>,
    waiting: Vec<Waiting>,
) -> (Vec<Waiting>, Vec<WrittenRun>) {
    let (ready, later): (Vec<_>, Vec<_>) =
        runs.into_iter().partition(|run| run.durability <= reached);
    for run in ready {
        match run.kind {
            RunKind::Trim => run.log.trim(run.next),
            RunKind::Append => run.log.publish(
                run.batches
                    .into_iter()
                    .map(|(header, range)| TailBatch { header, bytes: frame.slice(range) }),
            ),
        }
    }
    let (ready, waiting): (Vec<_>, Vec<_>) =
        waiting.into_iter().partition(|waiting| waiting.durability <= reached);
    acknowledge(ready, None);
    (waiting, later)
}

/// Answers requests, with `error` in place of what would have been success.
fn acknowledge(waiting: Vec<Waiting>, error: Option<&AppendError>) {
    for Waiting { reply, outcomes, .. } in waiting {
        let outcomes = match error {
            None => outcomes,
            Some(error) => outcomes.into_iter().map(|o| o.and(Err(error.clone()))).collect(),
        };
        let _ = reply.send(outcomes);
    }
}
