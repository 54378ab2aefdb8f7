//! Markers: the control records that end a transaction in a partition.
//!
//! Key: version i16 (0), type i16 (0 abort, 1 commit). Value: version i16 (0), coordinator epoch
//! i32. (Source: the control batches chapter of Kafka's message format.)

use base::Millis;
use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::build::length_prefixed_record;
use super::header::{HEADER_BYTES, LOG_OVERHEAD, checksum};
use super::{Batch, BatchBuilder, BatchError};

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// Its records are to be dropped.
    Abort,
    /// Its records count.
    Commit,
}

/// Attributes of a marker's batch: transactional, control.
const ATTRIBUTES: i16 = 0b11_0000;

impl BatchBuilder {
    /// A batch of one marker.
    ///
    /// # Errors
    /// None that can happen.
    pub fn marker(
        producer: i64,
        epoch: i16,
        marker: Marker,
        timestamp: Millis,
    ) -> Result<Batch, BatchError> {
        let key = [0, 0, 0, u8::from(marker == Marker::Commit)];
        let record = length_prefixed_record(&key, &[0; 6]);
        let mut batch = BytesMut::with_capacity(HEADER_BYTES + record.len());
        batch.put_i64(0);
        let length = i32::try_from(HEADER_BYTES - LOG_OVERHEAD + record.len());
        batch.put_i32(length.map_err(|_| BatchError::Malformed("a marker is small"))?);
        batch.put_i32(0);
        batch.put_i8(2);
        batch.put_u32(0);
        batch.put_i16(ATTRIBUTES);
        batch.put_i32(0);
        batch.put_i64(timestamp);
        batch.put_i64(timestamp);
        batch.put_i64(producer);
        batch.put_i16(epoch);
        batch.put_i32(-1);
        batch.put_i32(1);
        batch.put_slice(&record);
        let crc = checksum(&batch);
        if let Some(mut field) = batch.get_mut(17..21) {
            field.put_u32(crc);
        }
        Batch::parse(batch.freeze())
    }
}

/// What a control batch says; `None` if it is no marker.
pub(crate) fn marker(batch: &[u8]) -> Option<Marker> {
    let batch = Batch::parse(Bytes::copy_from_slice(batch)).ok()?;
    let record = batch.records().ok()?.next()?.ok()?;
    let mut key = record.key?;
    if key.try_get_i16().ok()? != 0 {
        return None;
    }
    match key.try_get_i16().ok()? {
        0 => Some(Marker::Abort),
        1 => Some(Marker::Commit),
        _ => None,
    }
}
