//! One round of compaction of one log.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::{Millis, Offset};
use bytes::Bytes;

use super::handover::Made;
use super::keys::Keys;
use super::sift::{Followed, Sieve, Sifted};
use super::work::Work;
use super::{Pace, Stop};
use crate::batch::{Batch, BatchHeader};
use crate::segment::{BatchReader, Segment, SegmentFiles, SegmentWriter};
use crate::shared::Shared;

/// A round about to begin.
pub(super) struct Round<'a> {
    pub(super) shared: &'a Shared,
    pub(super) files: &'a SegmentFiles,
    pub(super) pace: &'a mut Pace,
    pub(super) now: Millis,
    pub(super) work: Work,
}

/// What a round did.
#[derive(Debug, Default)]
#[allow(dead_code, reason = "shown in the log")]
pub(super) struct Report {
    /// Everything below is compacted.
    next: Offset,
    segments: usize,
    bytes_before: u64,
    bytes_after: u64,
}

impl Round<'_> {
    pub(super) fn run(mut self, table_bytes: usize) -> Result<Report, Stop> {
        let (keys, known_to) = self.gather_keys(table_bytes)?;
        let log = Arc::clone(&self.work.log);
        // What lies behind the table's reach waits for the next round.
        let segments = std::mem::take(&mut self.work.segments);
        let count = segments.partition_point(|segment| segment.base < known_to);
        let segments = segments.get(..count).unwrap_or_default();
        let last = segments.last().copied();
        let mut sieve = Sieve {
            log: &log,
            keys: &keys,
            known_to,
            start: self.work.start,
            now: self.now,
            delete_retention_ms: self.work.compaction.delete_retention_ms,
            followed: Followed::new(&self.work.aborted),
        };
        let mut report = Report { next: known_to, ..Report::default() };
        for group in groups(segments, self.work.segment_bytes) {
            report.segments += group.len();
            let before: u64 = group.iter().map(|segment| segment.bytes).sum();
            report.bytes_before += before;
            let is_last = last.is_some_and(|last| group.last().is_some_and(|own| own.is(&last)));
            let new = match self.rewrite(&mut sieve, group, is_last)? {
                Rewritten::Same => {
                    report.bytes_after += before;
                    continue;
                }
                Rewritten::Nothing => None,
                Rewritten::Segment(segment) => Some(segment),
            };
            report.bytes_after += new.map_or(0, |segment| segment.bytes);
            let (id, log, old) = (log.id(), Arc::clone(&log), group.to_vec());
            let gone = std::mem::take(&mut sieve.followed.gone);
            if !self.hand_over(Made::Segment { log, old, new, gone }) {
                new.iter().for_each(|segment| self.files.remove(id, segment));
                return Err(Stop::Abandoned);
            }
        }
        let done = self.hand_over(Made::Round { log, next: known_to });
        if done { Ok(report) } else { Err(Stop::Abandoned) }
    }

    fn hand_over(&self, made: Made) -> bool {
        self.shared.handover.offer(made, self.shared)
    }

    /// The newest offset of each key in what is new, up to the end or as far as the table reaches.
    fn gather_keys(&mut self, table_bytes: usize) -> Result<(Keys, Offset), Stop> {
        let log = Arc::clone(&self.work.log);
        let new_from = self.work.new_from;
        let fresh: Vec<_> =
            self.work.segments.iter().filter(|segment| segment.next > new_from).copied().collect();
        let mut records = 0;
        for segment in &fresh {
            self.check_on()?;
            self.files.scan(log.id(), segment, segment.start(), |header| {
                records += u64::try_from(header.count).unwrap_or(0);
                false
            })?;
        }
        let mut keys = Keys::new(records, table_bytes)?;
        let mut followed = Followed::new(&self.work.aborted);
        let mut known_to = new_from;
        for segment in &fresh {
            let mut reader = self.files.batches(log.id(), segment, segment.bytes)?;
            while let Some((header, bytes)) = reader.next()? {
                self.check_on()?;
                self.pace.count(bytes.len(), self.shared);
                if header.next_offset() <= new_from {
                    continue;
                }
                if let Some(full_at) = put_batch(&mut keys, &mut followed, new_from, header, bytes)?
                {
                    return Ok((keys, full_at));
                }
                known_to = header.next_offset();
            }
            known_to = known_to.max(segment.next);
        }
        Ok((keys, known_to))
    }

    /// Writes what stays of a group into one segment.
    fn rewrite(
        &mut self,
        sieve: &mut Sieve<'_>,
        group: &[Segment],
        is_last: bool,
    ) -> Result<Rewritten, Stop> {
        let (Some(first), Some(newest)) = (group.first(), group.last()) else {
            return Ok(Rewritten::Same);
        };
        let log = sieve.log.id();
        let generation = group.iter().map(|segment| segment.generation).max().unwrap_or(0);
        let new = Segment {
            generation: generation.saturating_add(1),
            ..Segment::new(first.base, newest.created_at)
        };
        let mut output = Output { writer: None, new, files: self.files, log };
        if group.len() > 1 {
            output.begin()?;
        }
        let written = self.write_group(sieve, group, is_last, &mut output);
        let finished = written.and_then(|()| output.finish(newest.next).map_err(Stop::from));
        if !matches!(finished, Ok(Rewritten::Segment(_) | Rewritten::Same)) {
            self.files.remove(log, &new);
        }
        finished
    }

    fn write_group(
        &mut self,
        sieve: &mut Sieve<'_>,
        group: &[Segment],
        is_last: bool,
        output: &mut Output<'_>,
    ) -> Result<(), Stop> {
        for (number, segment) in group.iter().enumerate() {
            let mut reader = self.files.batches(output.log, segment, segment.bytes)?;
            loop {
                self.check_on()?;
                let position = reader.position();
                let Some((_, bytes)) = reader.next()? else { break };
                self.pace.count(bytes.len(), self.shared);
                let batch = verified(bytes)?;
                let is_end =
                    is_last && number + 1 == group.len() && reader.position() == segment.bytes;
                let sifted = sieve.sift(&batch, is_end)?;
                if !matches!(sifted, Sifted::Whole) && output.writer.is_none() {
                    // The first change in this segment: what came before it is copied.
                    output.begin()?;
                    output.copy(self.files.batches(output.log, segment, position)?)?;
                }
                match &sifted {
                    Sifted::Gone => {}
                    Sifted::Whole => output.push(&batch)?,
                    Sifted::New(batch) => {
                        self.pace.count(batch.bytes().len(), self.shared);
                        output.push(batch)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Fails if the work is not wanted any more.
    fn check_on(&self) -> Result<(), Stop> {
        let unwanted = self.shared.stopping.load(Ordering::Acquire) || self.work.log.is_deleted();
        if unwanted { Err(Stop::Abandoned) } else { Ok(()) }
    }
}

/// What became of a group of segments.
#[derive(Debug)]
enum Rewritten {
    /// There was nothing to change.
    Same,
    /// Nothing is left of it.
    Nothing,
    Segment(Segment),
}

/// The segment that is written, if one is.
struct Output<'a> {
    writer: Option<SegmentWriter>,
    new: Segment,
    files: &'a SegmentFiles,
    log: base::LogId,
}

impl Output<'_> {
    fn begin(&mut self) -> io::Result<()> {
        self.writer = Some(self.files.writer(self.log, self.new)?);
        Ok(())
    }

    fn push(&mut self, batch: &Batch) -> io::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.push(batch.header(), batch.bytes().clone())
    }

    fn copy(&mut self, mut from: BatchReader) -> io::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        while let Some((header, bytes)) = from.next()? {
            writer.push(&header, bytes)?;
        }
        Ok(())
    }

    /// Makes it durable. It counts up to the offset that the old segments counted to.
    fn finish(self, next: Offset) -> io::Result<Rewritten> {
        let Some(writer) = self.writer else { return Ok(Rewritten::Same) };
        let written = writer.finish()?;
        if written.segment.bytes == 0 {
            return Ok(Rewritten::Nothing);
        }
        for file in &written.files {
            file.sync_data()?;
        }
        self.files.disk.sync_dir(&self.files.log_dir(self.log))?;
        Ok(Rewritten::Segment(Segment { next, ..written.segment }))
    }
}

/// Puts a batch's keys into the table. Returns the offset up to which there was room, if there was
/// not enough.
fn put_batch(
    keys: &mut Keys,
    followed: &mut Followed,
    new_from: Offset,
    header: BatchHeader,
    bytes: Bytes,
) -> io::Result<Option<Offset>> {
    let batch = verified(bytes)?;
    if header.is_control() {
        followed.marker(&header, crate::batch::marker(batch.bytes()));
        return Ok(None);
    }
    if followed.data(&header) {
        return Ok(None); // taken back: it supersedes nothing
    }
    let Ok(records) = batch.records() else { return Ok(None) };
    // One that cannot be unpacked is kept as it is, all of it; so none of it may count.
    let Ok(records) = records.collect::<Result<Vec<_>, _>>() else { return Ok(None) };
    for record in records.iter().filter(|record| record.offset >= new_from) {
        if let Some(key) = &record.key
            && !keys.put(key, record.offset)
        {
            return Ok(Some(record.offset));
        }
    }
    Ok(None)
}

fn verified(bytes: Bytes) -> io::Result<Batch> {
    Batch::parse(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Segments that follow each other and together are no larger than one may be.
fn groups(mut segments: &[Segment], bytes_max: u64) -> impl Iterator<Item = &[Segment]> {
    // Index entries hold positions in 32 bits.
    let bytes_max = bytes_max.min(u64::from(u32::MAX));
    std::iter::from_fn(move || {
        let mut bytes = 0u64;
        let fits = |segment: &&Segment| {
            bytes = bytes.saturating_add(segment.bytes);
            bytes <= bytes_max
        };
        let count = segments.iter().take_while(fits).count().max(1);
        let (group, rest) = segments.split_at_checked(count)?;
        segments = rest;
        Some(group)
    })
}
