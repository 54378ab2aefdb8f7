//! The records inside a batch: `length, attributes, timestampDelta, offsetDelta, key, value,
//! headers`, every number a zigzag varint.

use base::{Millis, Offset};
use bytes::{Buf, Bytes, BytesMut};

use super::header::HEADER_BYTES;
use super::{Batch, BatchError, Compression};

/// One record. Key, value and headers are slices of the batch, not copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its position in the partition.
    pub offset: Offset,
    /// Milliseconds since the epoch; the broker's time where the batch says so.
    pub timestamp: Millis,
    /// Absent is not the same as empty.
    pub key: Option<Bytes>,
    /// Absent is a deletion mark (tombstone) in a compacted topic.
    pub value: Option<Bytes>,
    /// In order, duplicates included.
    pub headers: RecordHeaders,
}

impl Record {
    /// Bytes of its key, value and headers.
    pub fn size(&self) -> usize {
        let length = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        length(&self.key) + length(&self.value) + self.headers.bytes.len()
    }

    /// The same in memory of its own: a slice keeps all of its batch, and what that was read with.
    #[must_use]
    pub fn detached(&self) -> Self {
        let mut all = BytesMut::with_capacity(self.size());
        let parts = [self.key.as_ref(), self.value.as_ref(), Some(&self.headers.bytes)];
        parts.into_iter().flatten().for_each(|part| all.extend_from_slice(part));
        let mut all = all.freeze();
        let mut take = |part: &Bytes| all.split_to(part.len());
        let (key, value) = (self.key.as_ref().map(&mut take), self.value.as_ref().map(&mut take));
        let bytes = take(&self.headers.bytes);
        Self { key, value, headers: RecordHeaders { bytes, ..self.headers }, ..*self }
    }
}

/// The headers of a record, read when they are asked for. A header takes two bytes at least: a list
/// of them would take 36 times the memory of the batch, and batches unpack to a lot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordHeaders {
    /// As they stand in the record, checked.
    bytes: Bytes,
    count: usize,
}

impl RecordHeaders {
    /// Takes the headers that end a record.
    fn take(body: &mut Bytes) -> Result<Self, BatchError> {
        let count = take_length(body)?;
        let bytes = body.clone();
        for _ in 0..count {
            take_header(body)?;
        }
        let taken = bytes.len() - body.len();
        Ok(Self { bytes: bytes.slice(..taken), count })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = RecordHeader> {
        let mut rest = self.bytes.clone();
        // Checked when they were taken: there are as many as there are.
        (0..self.count).map_while(move |_| take_header(&mut rest).ok())
    }
}

fn take_header(from: &mut Bytes) -> Result<RecordHeader, BatchError> {
    let length = take_length(from)?;
    let key = take_bytes(from, length)?;
    Ok(RecordHeader { key, value: take_nullable(from)? })
}

/// One header of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    /// Its name, UTF-8 by specification but kept as the bytes that were sent.
    pub key: Bytes,
    /// Absent is not the same as empty.
    pub value: Option<Bytes>,
}

const MALFORMED: BatchError = BatchError::Malformed("a record's lengths do not add up");

/// Iterates over a batch's records; ends after the first error.
#[derive(Debug)]
pub struct Records {
    rest: Bytes,
    left: i32,
    base_offset: Offset,
    base_timestamp: Millis,
    /// The broker's time for all records, where the batch says so.
    append_time: Option<Millis>,
    /// Most bytes of a record, its length aside.
    bytes_max: usize,
}

/// Most bytes of a record's length in front of it.
const LENGTH_BYTES_MAX: usize = 5;

impl Records {
    /// The bound counts where the batch is compressed.
    pub(super) fn of(batch: &Batch, bytes_max: usize) -> Result<Self, BatchError> {
        let header = batch.header();
        let packed = batch.bytes().slice(HEADER_BYTES..);
        let codec = header.compression()?;
        let bytes_max = if codec == Compression::None { usize::MAX } else { bytes_max };
        let count = usize::try_from(header.count).unwrap_or(0);
        let most = bytes_max.saturating_add(LENGTH_BYTES_MAX).saturating_mul(count.max(1));
        Ok(Self {
            rest: codec.decompress_to(most, &packed)?,
            bytes_max,
            left: header.count,
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            append_time: header.is_log_append_time().then_some(header.max_timestamp),
        })
    }

    /// The next record together with its bytes, length included.
    pub(crate) fn next_with_bytes(&mut self) -> Option<Result<(Record, Bytes), BatchError>> {
        let all = self.rest.clone();
        let record = self.next()?;
        let length = all.len() - self.rest.len();
        Some(record.map(|record| (record, all.slice(..length))))
    }

    fn read(&mut self) -> Result<Record, BatchError> {
        let length = take_length(&mut self.rest)?;
        if length > self.bytes_max {
            return Err(BatchError::RecordTooLarge { size: length, limit: self.bytes_max });
        }
        let mut body = take_bytes(&mut self.rest, length)?;
        take_bytes(&mut body, 1)?; // attributes: unused
        let timestamp_delta = take_varint(&mut body)?;
        let offset_delta = take_varint(&mut body)?;
        let key = take_nullable(&mut body)?;
        let value = take_nullable(&mut body)?;
        let headers = RecordHeaders::take(&mut body)?;
        if !body.is_empty() {
            return Err(MALFORMED);
        }
        let timestamp = self.base_timestamp.wrapping_add(timestamp_delta);
        Ok(Record {
            offset: self.base_offset.wrapping_add(offset_delta),
            timestamp: self.append_time.unwrap_or(timestamp),
            key,
            value,
            headers,
        })
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let record = self.read();
        if record.is_err() {
            self.left = 0;
        }
        Some(record)
    }
}

/// Checks that uncompressed records are as many as the header says and fill the batch exactly,
/// without looking inside them.
pub(super) fn check_lengths(records: &Bytes, count: i32) -> Result<(), BatchError> {
    let mut rest = records.as_ref();
    for _ in 0..count {
        let length = take_length(&mut rest)?;
        rest = rest.get(length..).ok_or(MALFORMED)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(MALFORMED) }
}

/// Whether the first of uncompressed records has headers; what cannot be read has none.
pub(super) fn begins_with_headers(mut records: &[u8]) -> bool {
    fn count(rest: &mut &[u8]) -> Result<usize, BatchError> {
        take_length(rest)?;
        *rest = rest.get(1..).ok_or(MALFORMED)?; // attributes: unused
        take_varint(rest)?;
        take_varint(rest)?;
        for _key_and_value in 0..2 {
            let length = usize::try_from(take_varint(rest)?.max(0)).map_err(|_| MALFORMED)?;
            *rest = rest.get(length..).ok_or(MALFORMED)?;
        }
        take_length(rest)
    }
    count(&mut records).is_ok_and(|count| count > 0)
}

pub(super) fn take_bytes(from: &mut Bytes, length: usize) -> Result<Bytes, BatchError> {
    if length > from.len() {
        return Err(MALFORMED);
    }
    Ok(from.split_to(length))
}

fn take_nullable(from: &mut Bytes) -> Result<Option<Bytes>, BatchError> {
    match take_varint(from)? {
        -1 => Ok(None),
        length => {
            let length = usize::try_from(length).map_err(|_| MALFORMED)?;
            take_bytes(from, length).map(Some)
        }
    }
}

pub(super) fn take_length(from: &mut impl Buf) -> Result<usize, BatchError> {
    usize::try_from(take_varint(from)?).map_err(|_| MALFORMED)
}

/// A zigzag varint of up to ten bytes.
pub(super) fn take_varint(from: &mut impl Buf) -> Result<i64, BatchError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        if !from.has_remaining() {
            return Err(MALFORMED);
        }
        let byte = from.get_u8();
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
        }
    }
    Err(MALFORMED)
}
