//! One partition's log: older records in segments, the newest in memory until they are moved there.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use base::limits::FRAME_BYTES_MAX;
use base::{LogId, Millis, Offset};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::batch::{Batch, BatchError, BatchHeader};
use crate::blocking::blocking;
use crate::error::ReadError;
use crate::options::LogOptions;
use crate::producers::{ProducerStatus, Producers};
use crate::segment::{Segment, SegmentFiles};
use crate::signal::{News, Signal, Signals, Watching};
use crate::transactions::{Aborted, Transactions};

/// One log. Shared: one writer thread appends, one flusher moves the tail to segments, anybody
/// reads.
#[derive(Debug)]
pub struct Log {
    id: LogId,
    files: Arc<SegmentFiles>,
    state: RwLock<State>,
    options: RwLock<LogOptions>,
    pub(crate) producers: Mutex<Producers>,
    signals: Signals,
    deleted: AtomicBool,
}

/// How far a log went in the eyes of a reader. The offsets may be of different moments: a log that is not at all of them
/// has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Where it began.
    pub start: Offset,
    /// Where it ended.
    pub end: Offset,
    /// Where it ended for readers of committed records.
    pub stable: Offset,
}

/// A batch that is not in a segment yet.
#[derive(Debug, Clone)]
pub(crate) struct TailBatch {
    pub(crate) header: BatchHeader,
    /// A slice of the frame that it was written with.
    pub(crate) bytes: Bytes,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// First offset that may be read.
    pub(crate) start: Offset,
    /// Offset that the next record gets; everything below is readable.
    pub(crate) end: Offset,
    pub(crate) segments: Vec<Segment>,
    pub(crate) tail: VecDeque<TailBatch>,
    /// Everything below is in segments, or damaged, or deleted.
    pub(crate) flushed: Offset,
    /// Everything below was compacted, each key with all that came before it.
    pub(crate) compacted: Offset,
    /// Offsets whose records were damaged on disk, in order.
    pub(crate) damaged: Vec<Range<Offset>>,
    pub(crate) transactions: Transactions,
    /// Counts the times that records and what is known of their transactions went.
    pub(crate) losses: u64,
}

/// What a read returned.
#[derive(Debug, Clone, Default)]
pub struct ReadBatches {
    /// Whole batches, one after the other; the first may begin before the offset asked for.
    pub slices: Vec<Bytes>,
    /// First offset of the log.
    pub start: Offset,
    /// Offset that the next record will get (the high watermark).
    pub end: Offset,
    /// The aborted transactions with records among these: exactly those, since a reader drops what a
    /// producer sent from there to the marker.
    pub aborted: Vec<Aborted>,
}

impl ReadBatches {
    /// Bytes of all slices.
    pub fn len(&self) -> usize {
        self.slices.iter().map(Bytes::len).sum()
    }

    /// Offset after the last record, if there is any.
    pub fn next_offset(&self) -> Option<Offset> {
        let mut rest = self.slices.iter().rev().find(|slice| !slice.is_empty())?.as_ref();
        let mut next = None;
        while let Ok(header) = BatchHeader::decode(rest) {
            next = Some(header.next_offset());
            rest = rest.get(header.size..).unwrap_or_default();
        }
        next
    }

    /// Nothing was there (yet).
    pub fn is_empty(&self) -> bool {
        self.slices.iter().all(Bytes::is_empty)
    }

    /// The batches, decoded. Where one is so damaged that it is not known where the next begins, nothing follows it in its slice.
    pub fn batches(&self) -> impl Iterator<Item = Result<Batch, BatchError>> {
        self.slices.iter().cloned().flat_map(|mut slice| {
            std::iter::from_fn(move || {
                let before = slice.len();
                let batch = (before > 0).then(|| Batch::take(&mut slice))?;
                if slice.len() == before {
                    slice.clear();
                }
                Some(batch)
            })
        })
    }
}

/// Where a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStatus {
    /// First offset that may be read.
    pub start: Offset,
    /// Offset that the next record gets.
    pub end: Offset,
    /// Bytes stored, in segments and waiting for them.
    pub bytes: u64,
    /// Number of segments.
    pub segments: usize,
    /// Everything below this offset was compacted, if the log is one that is.
    pub compacted: Offset,
}

impl Log {
    pub(crate) fn new(
        id: LogId,
        files: Arc<SegmentFiles>,
        options: LogOptions,
        state: State,
    ) -> Self {
        Self {
            id,
            files,
            state: RwLock::new(state),
            options: RwLock::new(options),
            producers: Mutex::default(),
            signals: Signals::default(),
            deleted: AtomicBool::new(false),
        }
    }

    /// Its identity.
    pub fn id(&self) -> LogId {
        self.id
    }

    /// How it keeps its records.
    pub fn options(&self) -> LogOptions {
        *self.options.read()
    }

    /// Changes how it keeps its records, from the next append on.
    pub fn set_options(&self, options: LogOptions) {
        *self.options.write() = options;
    }

    /// First offset that may be read, and the offset that the next record gets.
    pub fn range(&self) -> Range<Offset> {
        let state = self.state.read();
        state.start..state.end
    }

    /// Everything below this offset is committed, aborted, or never was in a transaction: where
    /// readers of committed records stop.
    pub fn stable_end(&self) -> Offset {
        let state = self.state.read();
        state.transactions.stable(state.end)
    }

    /// The producers with open transactions, and the offsets of their first records.
    pub fn open_transactions(&self) -> Vec<(i64, Offset)> {
        let state = self.state.read();
        state.transactions.open.iter().map(|(producer, first)| (*producer, *first)).collect()
    }

    /// The producers that it remembers, by their ids.
    pub fn producers(&self) -> Vec<ProducerStatus> {
        let open = self.state.read().transactions.open.clone();
        self.producers.lock().describe(&open)
    }

    /// The newest epoch of a producer, if it is remembered.
    pub fn producer_epoch(&self, id: i64) -> Option<i16> {
        self.producers.lock().known.get(&id).map(|producer| producer.epoch)
    }

    /// Where it stands.
    pub fn status(&self) -> LogStatus {
        let state = self.state.read();
        let stored: u64 = state.segments.iter().map(|segment| segment.bytes).sum();
        let waiting: usize = state.tail.iter().map(|batch| batch.bytes.len()).sum();
        LogStatus {
            start: state.start,
            end: state.end,
            bytes: stored + waiting as u64,
            segments: state.segments.len(),
            compacted: state.compacted,
        }
    }

    /// Does work on this log, such as reading it, on a thread that may block.
    ///
    /// # Errors
    /// When the work panicked, or the runtime is shutting down.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> std::io::Result<T> {
        let log = Arc::clone(self);
        blocking(&self.files.disk, move || work(&log)).await
    }

    /// Calls `signal` whenever records are added, until the returned guard is dropped. Ask for the
    /// range after this, not before: what is added in between would be missed.
    pub fn watch(self: &Arc<Self>, signal: &Signal) -> Watching {
        self.signals.add(Arc::clone(self), signal)
    }

    /// Tells `news` of the next change (records added or deleted, the log itself deleted) under this
    /// key, until the returned guard is dropped; at once where it is not as it was `seen` any more.
    pub fn watch_once(self: &Arc<Self>, seen: &Seen, news: &Arc<News>, key: usize) -> Watching {
        let watching = self.signals.add_once(Arc::clone(self), news, key);
        // After it is on: what came in between told nobody.
        if self.seen() != *seen || self.is_deleted() {
            news.tell(key);
        }
        watching
    }

    fn seen(&self) -> Seen {
        let state = self.state.read();
        let stable = state.transactions.stable(state.end);
        Seen { start: state.start, end: state.end, stable }
    }

    pub(crate) fn signals(&self) -> &Signals {
        &self.signals
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::SeqCst)
    }

    pub(crate) fn delete(&self) {
        self.deleted.store(true, Ordering::SeqCst);
        self.signals.wake();
    }

    /// Reads whole batches from `offset` on: at most `max_bytes`, but at least one batch if there
    /// is one. Stops before offset `until`. Returns `None` where the answer would need the disk;
    /// then call [`Log::read`] from a thread that may block.
    pub fn read_memory(
        &self,
        offset: Offset,
        max_bytes: usize,
        until: Offset,
    ) -> Result<Option<ReadBatches>, ReadError> {
        let state = self.state.read();
        state.check(offset)?;
        if offset < state.tail_start() {
            return Ok(None);
        }
        let until = state.until(offset, until);
        let (start, end) = (state.start, state.end);
        let mut read = ReadBatches { start, end, ..ReadBatches::default() };
        let first = state.tail.partition_point(|batch| batch.header.next_offset() <= offset);
        let (mut total, mut next) = (0, offset);
        for batch in state.tail.range(first..) {
            let fits = total == 0 || total + batch.bytes.len() <= max_bytes;
            if !fits || batch.header.base_offset >= until {
                break;
            }
            total += batch.bytes.len();
            read.slices.push(batch.bytes.clone());
            next = batch.header.next_offset();
        }
        read.aborted = state.transactions.aborted_in(&(offset..next));
        Ok(Some(read))
    }

    /// As [`Log::read_memory`], from disk where needed. Blocks. Reads at most
    /// [`base::limits::FRAME_BYTES_MAX`] at once, whatever is asked for, but always a whole batch.
    pub fn read(
        &self,
        mut offset: Offset,
        max_bytes: usize,
        until: Offset,
    ) -> Result<ReadBatches, ReadError> {
        let max_bytes = max_bytes.min(FRAME_BYTES_MAX);
        loop {
            if let Some(read) = self.read_memory(offset, max_bytes, until)? {
                return Ok(read);
            }
            let (segments, tail, range, until, losses) = {
                let state = self.state.read();
                // Again: retention may have been here, and what is left begins later.
                state.check(offset)?;
                let segments = state.segments_from(offset);
                let until = state.until(offset, until);
                let range = state.start..state.end;
                (segments, state.tail_start(), range, until, state.losses)
            };
            let mut read = Ok(None);
            for segment in &segments {
                read = self.read_segment(segment, offset, max_bytes, until);
                if !matches!(read, Ok(None)) {
                    break;
                }
            }
            match read {
                Ok(Some(bytes)) => {
                    let slices = if bytes.is_empty() { Vec::new() } else { vec![bytes] };
                    let (start, end) = (range.start, range.end);
                    let mut read = ReadBatches { slices, start, end, ..ReadBatches::default() };
                    let next = read.next_offset().unwrap_or(offset);
                    let state = self.state.read();
                    // Else what was read may be of a transaction that is forgotten by now.
                    if state.losses == losses {
                        read.aborted = state.transactions.aborted_in(&(offset..next));
                        return Ok(read);
                    }
                }
                // A gap: what follows it was in memory when we looked.
                Ok(None) => offset = tail.max(offset),
                Err(error) if self.has_moved_on(&error, &segments) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether an error only says that one of these segments was deleted, or replaced by one that
    /// is compacted, since they were looked up: then look again. One that still counts as there is
    /// lost.
    fn has_moved_on(&self, error: &std::io::Error, segments: &[Segment]) -> bool {
        let state = self.state.read();
        let is_there = |segment: &Segment| {
            let at = state.segments.binary_search_by_key(&segment.base, |now| now.base);
            at.is_ok_and(|at| state.segments.get(at).is_some_and(|now| now.is(segment)))
        };
        error.kind() == std::io::ErrorKind::NotFound && !segments.iter().all(is_there)
    }

    /// As [`Self::read_from`], and measures it.
    fn read_segment(
        &self,
        segment: &Segment,
        offset: Offset,
        max_bytes: usize,
        until: Offset,
    ) -> std::io::Result<Option<Bytes>> {
        let begun = Instant::now();
        let read = self.read_from(segment, offset, max_bytes, until);
        if let Ok(Some(bytes)) = &read {
            self.files.reads.time.record_time(begun.elapsed());
            self.files.reads.bytes.add_len(bytes.len());
        }
        read
    }

    /// `None` if the segment has nothing at or after `offset`.
    fn read_from(
        &self,
        segment: &Segment,
        offset: Offset,
        max_bytes: usize,
        until: Offset,
    ) -> std::io::Result<Option<Bytes>> {
        match self.files.find_offset(self.id, segment, offset)? {
            None => Ok(None),
            // Reads stop before damage that is known, and what was compacted is in other segments:
            // here nothing is left out.
            Some(found)
                if segment.generation == 0
                    && found.header.base_offset > offset.max(segment.base) =>
            {
                Err(std::io::ErrorKind::InvalidData.into())
            }
            Some(found) => self.files.read(self.id, segment, found, max_bytes, until).map(Some),
        }
    }

    /// The first record with a timestamp of `time` or later: its offset and timestamp. Blocks.
    pub fn find_time(&self, time: Millis) -> Result<Option<(Offset, Millis)>, ReadError> {
        loop {
            // Both at once: the flusher moves batches from one to the other.
            let (start, segments, tail) = {
                let state = self.state.read();
                let tail = state.tail.iter().filter(|batch| batch.header.max_timestamp >= time);
                let tail: Vec<_> = tail.map(|batch| batch.bytes.clone()).collect();
                (state.start, state.segments_from(state.start), tail)
            };
            match self.find_time_in(start, &segments, tail, time) {
                Err(ReadError::Io(error)) if self.has_moved_on(&error, &segments) => {}
                other => return other,
            }
        }
    }

    fn find_time_in(
        &self,
        start: Offset,
        segments: &[Segment],
        tail: Vec<Bytes>,
        time: Millis,
    ) -> Result<Option<(Offset, Millis)>, ReadError> {
        for segment in segments.iter().filter(|segment| segment.max_timestamp >= time) {
            let mut from = self.files.before_time(self.id, segment, time)?;
            // More than one batch may have to be opened: the start may lie behind the first, and
            // a compressed batch's header can promise more than it holds.
            let late = |header: &BatchHeader| header.max_timestamp >= time;
            while let Some(found) = self.files.scan(self.id, segment, from, late)? {
                let bytes = self.files.read(self.id, segment, found, 0, Offset::MAX)?;
                if let Some(hit) = first_at(bytes, start, time)? {
                    return Ok(Some(hit));
                }
                from = found.next;
            }
        }
        for bytes in tail {
            if let Some(hit) = first_at(bytes, start, time)? {
                return Ok(Some(hit));
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp: its offset and timestamp. Blocks.
    pub fn find_latest_time(&self) -> Result<Option<(Offset, Millis)>, ReadError> {
        loop {
            // All at once: the flusher moves batches from the tail to segments.
            let (start, segments, waiting, cut) = {
                let state = self.state.read();
                let start = state.start;
                let waiting = state.tail.iter().filter(|batch| batch.header.base_offset >= start);
                let waiting = waiting.map(|batch| batch.header.max_timestamp).max();
                let cut = state.tail.iter().find(|batch| {
                    batch.header.base_offset < start && start < batch.header.next_offset()
                });
                let cut = cut.map(|batch| batch.bytes.clone());
                (start, state.segments_from(start), waiting, cut)
            };
            match self.largest_time(start, &segments) {
                Err(ReadError::Io(error)) if self.has_moved_on(&error, &segments) => {}
                stored => {
                    let cut = cut.map_or(Ok(None), |cut| latest(cut, start))?;
                    let largest = stored?.max(waiting).max(cut);
                    return largest.map_or(Ok(None), |time| self.find_time(time));
                }
            }
        }
    }

    /// The largest timestamp in segments, at `start` or later.
    fn largest_time(
        &self,
        start: Offset,
        segments: &[Segment],
    ) -> Result<Option<Millis>, ReadError> {
        // Its largest timestamp may be that of a record that was deleted.
        let first = segments.first().filter(|segment| segment.base < start);
        let whole = segments.iter().skip(usize::from(first.is_some()));
        // Nothing but batches that lost their records have no time.
        let timed = whole.map(|segment| segment.max_timestamp).filter(|time| *time != Millis::MIN);
        let mut largest = timed.max();
        if let Some(segment) = first {
            let mut from = segment.start();
            let kept = |header: &BatchHeader| header.next_offset() > start && header.count > 0;
            while let Some(found) = self.files.scan(self.id, segment, from, kept)? {
                largest = largest.max(if found.header.base_offset < start {
                    latest(self.files.read(self.id, segment, found, 0, Offset::MAX)?, start)?
                } else {
                    Some(found.header.max_timestamp)
                });
                from = found.next;
            }
        }
        Ok(largest)
    }

    // What follows is for the writer and the flusher.

    pub(crate) fn end(&self) -> Offset {
        self.state.read().end
    }

    /// Makes batches readable, and wakes who waits for them.
    pub(crate) fn publish(&self, batches: impl IntoIterator<Item = TailBatch>) {
        {
            let mut state = self.state.write();
            for batch in batches {
                state.end = batch.header.next_offset();
                state.transactions.observe(&batch.header, &batch.bytes);
                state.tail.push_back(batch);
            }
        }
        self.signals.wake();
    }

    /// Deletes the records before `before`. Whole segments go at the next retention run.
    pub(crate) fn trim(&self, before: Offset) {
        {
            let mut state = self.state.write();
            state.start = state.start.max(before.min(state.end));
        }
        self.signals.wake();
    }

    /// Batches that are not in segments yet and end at or before `next`.
    pub(crate) fn tail_before(&self, next: Offset) -> Vec<TailBatch> {
        let state = self.state.read();
        let ready = state.tail.iter().take_while(|batch| batch.header.next_offset() <= next);
        ready.cloned().collect()
    }

    pub(crate) fn last_segment(&self) -> Option<Segment> {
        self.state.read().segments.last().copied()
    }

    /// The batches before `next` are in segments now.
    pub(crate) fn flushed(&self, written: &[Segment], next: Offset) {
        let mut state = self.state.write();
        for segment in written {
            match state.segments.last_mut() {
                Some(last) if last.is(segment) => *last = *segment,
                _ => state.segments.push(*segment),
            }
        }
        state.flushed = state.flushed.max(next);
        state.transactions.flushed(next);
        while state.tail.front().is_some_and(|batch| batch.header.next_offset() <= next) {
            state.tail.pop_front();
        }
        if state.tail.is_empty() {
            state.tail = VecDeque::new();
        }
    }

    /// Forgets segments that retention, or a trim, no longer keeps; returns them.
    pub(crate) fn expire(&self, now: Millis) -> Vec<Segment> {
        let options = self.options();
        let mut state = self.state.write();
        let mut excess = options.retention_bytes.map_or(0, |limit| {
            state.segments.iter().map(|s| s.bytes).sum::<u64>().saturating_sub(limit)
        });
        let mut expired = Vec::new();
        while let Some(first) = state.segments.first().copied() {
            // Without timestamps (they are negative then) a segment's own age decides.
            let aged = || first.created_at.saturating_add(options.segment_ms);
            let newest = first.newest().unwrap_or_else(aged);
            let too_old =
                options.retention_ms.is_some_and(|keep| newest < now.saturating_sub(keep));
            let too_much = excess >= first.bytes && state.segments.len() > 1;
            if !(too_old || too_much || first.next <= state.start) {
                break;
            }
            excess = excess.saturating_sub(first.bytes);
            state.segments.remove(0);
            state.start = state.start.max(first.next);
            expired.push(first);
        }
        let start = state.start;
        state.damaged.retain(|range| range.end > start);
        if state.transactions.trim(start) || !expired.is_empty() {
            state.losses += 1;
        }
        drop(state);
        if !expired.is_empty() {
            self.signals.wake();
        }
        expired
    }

    /// Puts one segment, or none, in the place of several that follow each other, and forgets these
    /// aborted transactions, of which no record is left then. Does nothing and returns `false` if the
    /// segments are no longer what they were.
    pub(crate) fn replace(&self, old: &[Segment], new: Option<Segment>, gone: &[Aborted]) -> bool {
        let mut state = self.state.write();
        let at = old.first().and_then(|first| state.segments.iter().position(|s| s == first));
        let Some(at) = at.filter(|_| !self.is_deleted()) else { return false };
        if state.segments.get(at..at + old.len()) != Some(old) {
            return false;
        }
        state.segments.splice(at..at + old.len(), new);
        // Together with their markers: a transaction that is told without its marker would take what
        // its producer sent later with it.
        state.transactions.aborted.retain(|aborted| !gone.contains(aborted));
        state.losses += 1;
        true
    }

    /// Everything before `next` is compacted.
    pub(crate) fn compacted(&self, next: Offset) {
        let mut state = self.state.write();
        state.compacted = state.compacted.max(next);
    }

    pub(crate) fn with_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read())
    }

    pub(crate) fn with_state_mut<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write())
    }
}

impl State {
    /// First offset that is in memory.
    fn tail_start(&self) -> Offset {
        self.tail.front().map_or(self.end, |batch| batch.header.base_offset)
    }

    fn check(&self, offset: Offset) -> Result<(), ReadError> {
        if offset < self.start || offset > self.end {
            return Err(ReadError::OutOfRange { offset, start: self.start, end: self.end });
        }
        match self.damaged.iter().find(|range| range.contains(&offset)) {
            Some(range) => Err(ReadError::Damaged { from: range.start, to: range.end }),
            None => Ok(()),
        }
    }

    /// Reads from `offset` stop before the next damage, so that nobody reads past it unawares.
    fn until(&self, offset: Offset, until: Offset) -> Offset {
        let damage = self.damaged.iter().map(|range| range.start).find(|start| *start > offset);
        damage.map_or(until, |start| start.min(until))
    }

    fn segments_from(&self, offset: Offset) -> Vec<Segment> {
        let first = self.segments.partition_point(|segment| segment.next <= offset);
        self.segments.get(first..).unwrap_or_default().to_vec()
    }
}

/// The batch's records from offset `start` on: offset and timestamp.
fn times(
    mut bytes: Bytes,
    start: Offset,
) -> Result<impl Iterator<Item = Result<(Offset, Millis), ReadError>>, ReadError> {
    let damaged = |error: BatchError| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    let batch = Batch::take(&mut bytes).map_err(damaged)?;
    let records = batch.records().map_err(damaged)?;
    let times = records.map(move |record| {
        let record = record.map_err(damaged)?;
        Ok((record.offset, record.timestamp))
    });
    Ok(times.filter(move |time| time.as_ref().map_or(true, |(offset, _)| *offset >= start)))
}

/// The first record at `start` or later with a timestamp of `time` or later.
fn first_at(
    bytes: Bytes,
    start: Offset,
    time: Millis,
) -> Result<Option<(Offset, Millis)>, ReadError> {
    let mut late = times(bytes, start)?
        .filter(|record| record.as_ref().map_or(true, |(_, timestamp)| *timestamp >= time));
    late.next().transpose()
}

/// The largest timestamp at `start` or later.
fn latest(bytes: Bytes, start: Offset) -> Result<Option<Millis>, ReadError> {
    times(bytes, start)?.try_fold(None, |largest, record| Ok(largest.max(Some(record?.1))))
}
