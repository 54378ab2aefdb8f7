//! A frame: what one group commit wrote. Byte for byte in `docs/formats/wal.md`.
//!
//! ```text
//!  0 magic "ENFR"           32 synced u64: frames below are on stable storage
//!  4 header crc u32         40 written at i64, ms
//!  8 data crc u32           48 length u32, without padding
//! 12 version u16, flags u16 52 number of runs u32
//! 16 sequence u64           56 reserved
//! 24 incarnation u64        64 index: one entry of 48 bytes a run, then the runs' bytes
//! ```
//!
//! Frames start at multiples of [`ALIGN`], so that rewriting the page under a torn frame can never
//! hurt the committed one before it.

use base::{LogId, Millis, Offset};
use bytes::{Buf, BufMut, Bytes};

/// Frames begin at multiples of this many bytes.
pub(crate) const ALIGN: usize = 4096;
const MAGIC: &[u8; 4] = b"ENFR";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 64;
const RUN_BYTES: usize = 48;
/// The header checksum covers everything from here to the end of the index.
const CHECKED_FROM: usize = 8;

/// What a run does to its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunKind {
    /// Adds batches.
    Append,
    /// Deletes the records before `base`.
    Trim,
}

/// One log's part of a frame: contiguous batches, contiguous offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) log: LogId,
    pub(crate) kind: RunKind,
    pub(crate) base: Offset,
    /// Offset after the run's last record.
    pub(crate) next: Offset,
    /// Where its bytes begin, from the frame's start.
    pub(crate) position: usize,
    pub(crate) length: usize,
}

/// The numbers that tie a frame into its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) sequence: u64,
    pub(crate) incarnation: u64,
    pub(crate) synced: u64,
    pub(crate) written_at: Millis,
}

/// A frame read back.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) header: FrameHeader,
    pub(crate) runs: Vec<Run>,
    /// Without padding.
    pub(crate) bytes: Bytes,
    /// The header and index are whole, but the runs' bytes are not what was written.
    pub(crate) data_damaged: bool,
}

/// What a frame's first bytes say, unverified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peeked {
    pub(crate) sequence: u64,
    pub(crate) incarnation: u64,
    /// Without padding.
    pub(crate) length: usize,
}

impl Peeked {
    /// `None` if they begin no frame.
    pub(crate) fn of(first: &[u8]) -> Option<Self> {
        if first.len() < HEADER_BYTES || !first.starts_with(MAGIC) {
            return None;
        }
        let mut numbers = first.get(16..32)?;
        let mut length = first.get(48..52)?;
        Some(Self {
            sequence: numbers.get_u64(),
            incarnation: numbers.get_u64(),
            length: length.get_u32() as usize,
        })
        .filter(|peeked| peeked.length >= HEADER_BYTES)
    }
}

/// Why there is no frame at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoFrame {
    /// Something else, or half a frame.
    Torn,
    /// A frame of a format that this program does not know.
    Version(u16),
}

/// Bytes that a frame with these contents takes on disk, padding included.
pub(crate) fn size_on_disk(runs: usize, data: usize) -> usize {
    (HEADER_BYTES + runs * RUN_BYTES + data).next_multiple_of(ALIGN)
}

/// Writes a frame: reserves the header and index, takes the data, then fills in the front.
///
/// The frame begins at a multiple of [`ALIGN`] in memory, too, so that it can be written past the
/// system's cache.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    /// The frame, behind what comes before that multiple.
    bytes: Vec<u8>,
    /// Where the frame begins in it.
    start: usize,
    runs: Vec<Run>,
    index_end: usize,
}

impl FrameWriter {
    pub(crate) fn new(runs: usize, data: usize) -> Self {
        let mut bytes: Vec<u8> = Vec::with_capacity(size_on_disk(runs, data) + ALIGN);
        let address = bytes.as_ptr().addr();
        let start = address.next_multiple_of(ALIGN) - address;
        let index_end = HEADER_BYTES + runs * RUN_BYTES;
        bytes.resize(start + index_end, 0);
        Self { bytes, start, runs: Vec::with_capacity(runs), index_end }
    }

    /// Bytes of the frame so far.
    fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Starts the next run; what is appended until the next call belongs to it.
    pub(crate) fn begin_run(&mut self, log: LogId, kind: RunKind, base: Offset, next: Offset) {
        self.runs.push(Run { log, kind, base, next, position: self.len(), length: 0 });
    }

    /// Appends a batch to the current run, stamping its offset and epoch into the copy. Returns
    /// where in the frame it lies.
    pub(crate) fn batch(
        &mut self,
        batch: &[u8],
        base: Offset,
        epoch: i32,
    ) -> std::ops::Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(batch);
        if let Some(mut field) = self.bytes.get_mut(start..start + 8) {
            field.put_i64(base);
        }
        if let Some(mut field) = self.bytes.get_mut(start + 12..start + 16) {
            field.put_i32(epoch);
        }
        if let Some(run) = self.runs.last_mut() {
            run.length += batch.len();
        }
        start - self.start..self.len()
    }

    /// The finished frame, padded.
    pub(crate) fn finish(mut self, header: &FrameHeader) -> Bytes {
        let (start, length) = (self.start, self.len());
        let data_crc = crc(self.bytes.get(start + self.index_end..).unwrap_or_default());
        let mut front = Vec::with_capacity(self.index_end);
        front.put_slice(MAGIC);
        front.put_u32(0);
        front.put_u32(data_crc);
        front.put_u16(VERSION);
        front.put_u16(0);
        front.put_u64(header.sequence);
        front.put_u64(header.incarnation);
        front.put_u64(header.synced);
        front.put_i64(header.written_at);
        front.put_u32(as_u32(length));
        front.put_u32(as_u32(self.runs.len()));
        front.put_u64(0);
        for run in &self.runs {
            front.put_u64(run.log.0);
            front.put_i64(run.base);
            front.put_i64(run.next);
            front.put_u64(0);
            front.put_u32(as_u32(run.position));
            front.put_u32(as_u32(run.length));
            front.put_u32(match run.kind {
                RunKind::Append => 0,
                RunKind::Trim => 1,
            });
            front.put_u32(0);
        }
        let header_crc = crc(front.get(CHECKED_FROM..).unwrap_or_default());
        if let Some(mut field) = front.get_mut(4..8) {
            field.put_u32(header_crc);
        }
        if let Some(space) = self.bytes.get_mut(start..start + self.index_end) {
            space.copy_from_slice(&front);
        }
        self.bytes.resize(start + length.next_multiple_of(ALIGN), 0);
        Bytes::from(self.bytes).slice(start..)
    }
}

impl Frame {
    /// Bytes that it takes on disk, padding included.
    pub(crate) fn size_on_disk(&self) -> u64 {
        (self.bytes.len() as u64).next_multiple_of(ALIGN as u64)
    }

    /// Decodes one frame of exactly `bytes`.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, NoFrame> {
        if Peeked::of(bytes).map(|peeked| peeked.length) != Some(bytes.len()) {
            return Err(NoFrame::Torn);
        }
        let mut front = bytes.clone();
        front.advance(4);
        let header_crc = front.get_u32();
        let data_crc = front.get_u32();
        let version = front.get_u16();
        front.advance(2);
        let header = FrameHeader {
            sequence: front.get_u64(),
            incarnation: front.get_u64(),
            synced: front.get_u64(),
            written_at: front.get_i64(),
        };
        front.advance(4);
        let count = front.get_u32() as usize;
        front.advance(8);
        let index_end = count
            .checked_mul(RUN_BYTES)
            .and_then(|index| index.checked_add(HEADER_BYTES))
            .filter(|end| *end <= bytes.len())
            .ok_or(NoFrame::Torn)?;
        if crc(bytes.get(CHECKED_FROM..index_end).unwrap_or_default()) != header_crc {
            return Err(NoFrame::Torn);
        }
        if version != VERSION {
            return Err(NoFrame::Version(version));
        }
        let runs = (0..count)
            .map(|_| decode_run(&mut front, index_end, bytes.len()))
            .collect::<Option<Vec<_>>>()
            .ok_or(NoFrame::Torn)?;
        let data_damaged = crc(bytes.get(index_end..).unwrap_or_default()) != data_crc;
        Ok(Self { header, runs, bytes: bytes.clone(), data_damaged })
    }
}

fn decode_run(from: &mut Bytes, data_from: usize, frame_end: usize) -> Option<Run> {
    let log = LogId(from.get_u64());
    let base = from.get_i64();
    let next = from.get_i64();
    from.advance(8);
    let position = from.get_u32() as usize;
    let length = from.get_u32() as usize;
    let kind = match from.get_u32() {
        0 => RunKind::Append,
        1 => RunKind::Trim,
        _ => return None,
    };
    from.advance(4);
    let inside = position >= data_from && position.checked_add(length)? <= frame_end;
    inside.then_some(Run { log, kind, base, next, position, length })
}

pub(crate) fn crc(bytes: &[u8]) -> u32 {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(crc).unwrap_or(0)
}

/// Frames are bounded far below 4 GiB by the limits page.
fn as_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
