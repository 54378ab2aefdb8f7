//! Markers: the control records that end a transaction in a partition.
//!
//! Key: version i16 (0), type i16 (0 abort, 1 commit). Value: version i16 (0), coordinator epoch
//! i32. (Source: the control batches chapter of Kafka's message format.)

use base::Millis;
use bytes::{Buf, Bytes};

use super::build::length_prefixed_record;
use super::{Batch, BatchBuilder, BatchError, BatchHeader};

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
        let header = BatchHeader {
            base_offset: 0,
            leader_epoch: 0,
            attributes: ATTRIBUTES,
            last_offset_delta: 0,
            base_timestamp: timestamp,
            max_timestamp: timestamp,
            producer_id: producer,
            producer_epoch: epoch,
            base_sequence: -1,
            count: 1,
            size: 0,
            crc: 0,
        };
        Batch::parse(header.encode(&record)?)
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
