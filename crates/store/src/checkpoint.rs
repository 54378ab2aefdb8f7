//! The checkpoint: which frames are in segments, and what every log looked like then. One file,
//! replaced as a whole, so that a start reads one file however many logs there are. Byte for byte
//! in `docs/formats/checkpoint.md`.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use base::disk::{Disk, Open};
use base::planted::{self, Bug};
use base::{LogId, Offset};
use bytes::{Buf, BufMut, Bytes};

use crate::error::OpenError;
use crate::frame::crc;
use crate::log::Log;
use crate::producers::{Producer, Sent};
use crate::segment::Segment;
use crate::transactions::{Aborted, Transactions};

const MAGIC: &[u8; 4] = b"ENCP";
const VERSION: u16 = 2;
/// Before logs were compacted: without generations, and without how far that went.
const BEFORE_COMPACTION: u16 = 1;
const NAME: &str = "checkpoint";

/// What a checkpoint says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Checkpoint {
    /// Frames below this sequence number are in segments.
    pub(crate) sequence: u64,
    /// Deleted logs that frames from `sequence` on may still mention: the frames below a number
    /// are not to be replayed for them.
    pub(crate) deleted: Vec<(LogId, u64)>,
    pub(crate) logs: Vec<LogCheckpoint>,
}

/// One log in a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogCheckpoint {
    pub(crate) id: LogId,
    pub(crate) start: Offset,
    /// Offset after the last record that is in a segment.
    pub(crate) end: Offset,
    /// Everything below was compacted.
    pub(crate) compacted: Offset,
    pub(crate) segments: Vec<Segment>,
    pub(crate) damaged: Vec<Range<Offset>>,
    pub(crate) producers: Vec<(i64, Producer)>,
    pub(crate) transactions: Transactions,
}

impl Checkpoint {
    pub(crate) fn of(sequence: u64, deleted: Vec<(LogId, u64)>, logs: &[Arc<Log>]) -> Self {
        let mut logs: Vec<_> = logs.iter().map(|log| LogCheckpoint::of(log)).collect();
        logs.sort_unstable_by_key(|log| log.id);
        Self { sequence, deleted, logs }
    }

    /// Replaces the checkpoint in `dir`.
    pub(crate) fn write(&self, disk: &Disk, dir: &Path) -> io::Result<()> {
        let temporary = dir.join("checkpoint.tmp");
        let file = disk.open(&temporary, Open::Anew)?;
        file.write_all_at(&self.encode(), 0)?;
        file.sync_all()?;
        disk.rename(&temporary, &dir.join(NAME))?;
        disk.sync_dir(dir)
    }

    /// The checkpoint in `dir`; `None` if there is none.
    pub(crate) fn read(disk: &Disk, dir: &Path) -> Result<Option<Self>, OpenError> {
        let path = dir.join(NAME);
        let bytes = match disk.read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => Bytes::from(other.map_err(OpenError::io("reading", &path))?),
        };
        Self::parse(&path, &bytes).map(Some)
    }

    /// The checkpoint that these bytes are; `path` is where they came from.
    pub(crate) fn parse(path: &Path, bytes: &Bytes) -> Result<Self, OpenError> {
        let damaged = |detail: &str| OpenError::Damaged {
            path: path.to_owned(),
            position: 0,
            detail: detail.to_owned(),
        };
        let mut from = bytes.clone();
        if from.len() < 24 || !from.starts_with(MAGIC) {
            return Err(damaged("it is not a checkpoint"));
        }
        from.advance(4);
        if from.get_u32() != crc(bytes.get(8..).unwrap_or_default()) {
            return Err(damaged("its checksum is wrong"));
        }
        let version = from.get_u16();
        if ![BEFORE_COMPACTION, VERSION].contains(&version) {
            return Err(OpenError::Version { path: path.to_owned(), found: version });
        }
        from.advance(2);
        Self::decode(from, version).ok_or_else(|| damaged("it contradicts itself"))
    }

    fn encode(&self) -> Vec<u8> {
        let mut to = Vec::with_capacity(64 + self.logs.len() * 96);
        to.put_slice(MAGIC);
        to.put_u32(0);
        to.put_u16(VERSION);
        to.put_u16(0);
        to.put_u64(self.sequence);
        put_count(&mut to, self.deleted.len());
        for (id, below) in &self.deleted {
            to.put_u64(id.0);
            to.put_u64(*below);
        }
        put_count(&mut to, self.logs.len());
        for log in &self.logs {
            log.encode(&mut to);
        }
        let checksum = crc(to.get(8..).unwrap_or_default());
        if let Some(mut field) = to.get_mut(4..8) {
            field.put_u32(checksum);
        }
        to
    }

    fn decode(mut from: Bytes, version: u16) -> Option<Self> {
        let sequence = from.try_get_u64().ok()?;
        let deleted = take_all(&mut from, |from| {
            Some((LogId(from.try_get_u64().ok()?), from.try_get_u64().ok()?))
        })?;
        let logs = take_all(&mut from, |from| LogCheckpoint::decode(from, version))?;
        from.is_empty().then_some(Self { sequence, deleted, logs })
    }
}

impl LogCheckpoint {
    fn of(log: &Log) -> Self {
        let mut checkpoint = log.with_state(|state| Self {
            id: log.id(),
            // The frames that follow may be lost, and with them what was to be deleted.
            start: state.start.min(state.flushed),
            end: state.flushed,
            compacted: state.compacted,
            segments: state.segments.clone(),
            damaged: state.damaged.iter().filter(|r| r.start < state.flushed).cloned().collect(),
            producers: Vec::new(),
            transactions: state.transactions.as_of(state.flushed),
        });
        // Only what is in segments: a batch that is remembered but then lost in a crash would be
        // taken for a duplicate when its producer sends it again. The rest comes from replay.
        let end = checkpoint.end;
        let stored = |(id, producer): (&i64, &Producer)| {
            let mut producer = producer.clone();
            // One that is known by a marker alone is fenced by it, and that must stay.
            let marked = producer.sent.is_empty();
            producer.sent.retain(|sent| sent.base_offset < end);
            (marked || !producer.sent.is_empty()).then_some((*id, producer))
        };
        checkpoint.producers = log.producers.lock().known.iter().filter_map(stored).collect();
        checkpoint.producers.sort_unstable_by_key(|(id, _)| *id);
        if planted::is(Bug::ProducersForgotten) {
            checkpoint.producers.clear();
        }
        checkpoint
    }

    fn encode(&self, to: &mut Vec<u8>) {
        to.put_u64(self.id.0);
        to.put_i64(self.start);
        to.put_i64(self.end);
        to.put_i64(self.compacted);
        put_count(to, self.segments.len());
        for segment in &self.segments {
            to.put_i64(segment.base);
            to.put_i64(segment.next);
            to.put_u64(segment.bytes);
            to.put_u64(segment.index_bytes);
            to.put_u64(segment.since_index);
            to.put_i64(segment.max_timestamp);
            to.put_i64(segment.created_at);
            to.put_u32(segment.generation);
        }
        put_count(to, self.damaged.len());
        for range in &self.damaged {
            to.put_i64(range.start);
            to.put_i64(range.end);
        }
        put_count(to, self.producers.len());
        for (id, producer) in &self.producers {
            to.put_i64(*id);
            to.put_i16(producer.epoch);
            to.put_i64(producer.last_seen);
            put_count(to, producer.sent.len());
            for sent in &producer.sent {
                to.put_i32(sent.first_sequence);
                to.put_i32(sent.last_sequence);
                to.put_i64(sent.base_offset);
            }
        }
        put_count(to, self.transactions.open.len());
        for (producer, first) in &self.transactions.open {
            to.put_i64(*producer);
            to.put_i64(*first);
        }
        put_count(to, self.transactions.aborted.len());
        for aborted in &self.transactions.aborted {
            to.put_i64(aborted.producer);
            to.put_i64(aborted.first);
            to.put_i64(aborted.last);
        }
    }

    fn decode(from: &mut Bytes, version: u16) -> Option<Self> {
        let log = Self {
            id: LogId(from.try_get_u64().ok()?),
            start: from.try_get_i64().ok()?,
            end: from.try_get_i64().ok()?,
            compacted: if version == BEFORE_COMPACTION { 0 } else { from.try_get_i64().ok()? },
            segments: take_all(from, |from| take_segment(from, version))?,
            damaged: take_all(from, |from| {
                Some(from.try_get_i64().ok()?..from.try_get_i64().ok()?)
            })?,
            producers: take_all(from, take_producer)?,
            transactions: take_transactions(from)?,
        };
        log.is_sound().then_some(log)
    }

    /// Whether its segments follow each other, and are no larger together than disks are: who reads them relies on it.
    fn is_sound(&self) -> bool {
        let follow = |before: &Segment, after: &Segment| {
            before.base < after.base && before.next <= after.base
        };
        let follow = self.segments.is_sorted_by(follow);
        let sizes = self.segments.iter().flat_map(|segment| [segment.bytes, segment.index_bytes]);
        let total = sizes.fold(0, u64::saturating_add);
        let forward = self.segments.iter().all(|segment| segment.base <= segment.next);
        follow && forward && i64::try_from(total).is_ok()
    }
}

fn take_segment(from: &mut Bytes, version: u16) -> Option<Segment> {
    Some(Segment {
        base: from.try_get_i64().ok()?,
        next: from.try_get_i64().ok()?,
        bytes: from.try_get_u64().ok()?,
        index_bytes: from.try_get_u64().ok()?,
        since_index: from.try_get_u64().ok()?,
        max_timestamp: from.try_get_i64().ok()?,
        created_at: from.try_get_i64().ok()?,
        generation: if version == BEFORE_COMPACTION { 0 } else { from.try_get_u32().ok()? },
    })
}

fn take_transactions(from: &mut Bytes) -> Option<Transactions> {
    let open = take_all(from, |from| Some((from.try_get_i64().ok()?, from.try_get_i64().ok()?)))?;
    let aborted = take_all(from, |from| {
        Some(Aborted {
            producer: from.try_get_i64().ok()?,
            first: from.try_get_i64().ok()?,
            last: from.try_get_i64().ok()?,
        })
    })?;
    Some(Transactions { open: open.into_iter().collect(), aborted, ..Transactions::default() })
}

fn take_producer(from: &mut Bytes) -> Option<(i64, Producer)> {
    let id = from.try_get_i64().ok()?;
    let epoch = from.try_get_i16().ok()?;
    let last_seen = from.try_get_i64().ok()?;
    let sent = take_all(from, |from| {
        Some(Sent {
            first_sequence: from.try_get_i32().ok()?,
            last_sequence: from.try_get_i32().ok()?,
            base_offset: from.try_get_i64().ok()?,
        })
    })?;
    Some((id, Producer { epoch, last_seen, sent: VecDeque::from(sent) }))
}

fn put_count(to: &mut Vec<u8>, count: usize) {
    to.put_u32(u32::try_from(count).unwrap_or(u32::MAX));
}

/// The least that an element of a list takes, in bytes.
const ELEMENT_BYTES_MIN: usize = 16;

/// A counted list. The count is not believed: each element takes some bytes at least.
fn take_all<T>(from: &mut Bytes, mut one: impl FnMut(&mut Bytes) -> Option<T>) -> Option<Vec<T>> {
    let count = from.try_get_u32().ok()? as usize;
    let mut all = Vec::with_capacity(count.min(from.len() / ELEMENT_BYTES_MIN));
    for _ in 0..count {
        all.push(one(from)?);
    }
    Some(all)
}

#[cfg(test)]
mod tests;
