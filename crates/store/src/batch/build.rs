//! Writing batches, for everything that does not arrive as one.

use base::Millis;
use bytes::{BufMut, BytesMut};

use super::header::with_room;
use super::{Batch, BatchError, BatchHeader, Compression, HEADER_BYTES, NO_PRODUCER};

/// A record to be written. All parts are borrowed; building copies them once.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewRecord<'a> {
    /// Milliseconds since the epoch.
    pub timestamp: Millis,
    /// Absent is not the same as empty.
    pub key: Option<&'a [u8]>,
    /// Absent is a deletion mark.
    pub value: Option<&'a [u8]>,
    /// In order; duplicates are kept.
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// Gathers records into one batch, its offsets counted from 0 until a log stamps them.
#[derive(Debug)]
pub struct BatchBuilder {
    compression: Compression,
    /// Room for the header, and the records behind it. Empty before the first.
    batch: Vec<u8>,
    count: i32,
    base_timestamp: Millis,
    max_timestamp: Millis,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new(compression: Compression) -> Self {
        Self { compression, batch: Vec::new(), count: 0, base_timestamp: 0, max_timestamp: 0 }
    }

    /// Bytes of the records so far, before compression.
    pub fn len(&self) -> usize {
        self.batch.len().saturating_sub(HEADER_BYTES)
    }

    /// No record yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a record after the others.
    pub fn push(&mut self, record: &NewRecord<'_>) {
        if self.count == 0 {
            self.batch.resize(HEADER_BYTES, 0);
            self.base_timestamp = record.timestamp;
            self.max_timestamp = record.timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        let time = record.timestamp.wrapping_sub(self.base_timestamp);
        let number = i64::from(self.count);
        let headers = record
            .headers
            .iter()
            .map(|(key, value)| varint_bytes(length(key)) + key.len() + nullable_bytes(*value));
        let size = 1
            + varint_bytes(time)
            + varint_bytes(number)
            + nullable_bytes(record.key)
            + nullable_bytes(record.value)
            + varint_bytes(length(record.headers))
            + headers.sum::<usize>();
        let to = &mut self.batch;
        let length_in_front = i64::try_from(size).unwrap_or(i64::MAX);
        to.reserve(varint_bytes(length_in_front) + size);
        put_varint(to, length_in_front);
        to.put_i8(0);
        put_varint(to, time);
        put_varint(to, number);
        put_nullable(to, record.key);
        put_nullable(to, record.value);
        put_varint(to, length(record.headers));
        for (key, value) in record.headers {
            put_varint(to, length(key));
            to.put_slice(key);
            put_nullable(to, *value);
        }
        self.count += 1;
    }

    /// The finished batch. An empty one is an error.
    pub fn build(self) -> Result<Batch, BatchError> {
        if self.count == 0 {
            return Err(BatchError::Malformed("a batch holds at least one record"));
        }
        let header = BatchHeader {
            base_offset: 0,  // stamped by the log
            leader_epoch: 0, // likewise
            attributes: self.compression.bits(),
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: NO_PRODUCER,
            producer_epoch: -1,
            base_sequence: -1,
            count: self.count,
            size: 0,
            crc: 0,
        };
        let batch = match self.compression {
            Compression::None => self.batch,
            codec => {
                let records = self.batch.get(HEADER_BYTES..).unwrap_or_default();
                with_room(&codec.compress(records)?)
            }
        };
        header.complete(batch)
    }
}

fn length<T>(of: &[T]) -> i64 {
    i64::try_from(of.len()).unwrap_or(i64::MAX)
}

/// Bytes that a number takes.
fn varint_bytes(value: i64) -> usize {
    let bits = u64::BITS - ((value << 1) ^ (value >> 63)).leading_zeros();
    bits.div_ceil(7).max(1) as usize
}

/// Bytes that bytes take, their length included.
fn nullable_bytes(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_bytes(length(bytes)) + bytes.len())
}

fn put_nullable(to: &mut impl BufMut, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(to, -1),
        Some(bytes) => {
            put_varint(to, length(bytes));
            to.put_slice(bytes);
        }
    }
}

pub(super) fn put_varint(to: &mut impl BufMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        to.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    to.put_u8((rest & 0x7f) as u8);
}

/// One record at offset 0 and the batch's base time, its length in front.
pub(super) fn length_prefixed_record(key: &[u8], value: &[u8]) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_i8(0);
    put_varint(&mut body, 0);
    put_varint(&mut body, 0);
    put_nullable(&mut body, Some(key));
    put_nullable(&mut body, Some(value));
    put_varint(&mut body, 0);
    let mut record = BytesMut::with_capacity(body.len() + 2);
    put_varint(&mut record, length(&body));
    record.put_slice(&body);
    record
}
