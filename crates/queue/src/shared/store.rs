//! The bytes of a partition of a subscription in the journal.

use base::TopicId;
use bytes::{BufMut, Bytes, BytesMut};

use super::partition::Delta;
use super::runs::{Run, State};
use super::types::{PartitionKey, Why};
use crate::record::wire::{Reader, put_len, put_text};
use crate::record::{Record, RecordError};

const VERSION: u8 = 1;
/// Beside the kinds of keys of `crate::record`.
const KIND_PARTITION: u8 = 32;
const KIND_DELTA: u8 = 33;

const AVAILABLE: u8 = 0;
const DONE: u8 = 1;
const REJECTED: u8 = 2;
const TOO_MANY_DELIVERIES: u8 = 3;
const EXPIRED: u8 = 4;
const TOO_MANY: u8 = 5;
const DELAYED: u8 = 6;

/// Writes a partition's whole state, or a delta.
///
/// Key: `u8` version 1, `u8` kind (32 the whole state, 33 a delta), text subscription, 16 bytes
/// topic id, `i32` partition. The whole state replaces what was there, and without a value the
/// partition is deleted. Deltas apply to what was there, in order; applying one again, with all
/// that follow it, changes nothing.
///
/// | bytes | field |
/// |---|---|
/// | u8 | version, 1 |
/// | i64 | start offset: all before is done |
/// | u32 | number of runs, and for each: |
/// | i64, i64 | first and last offset |
/// | u8 | state: 0 available, 1 done, 2 dead because rejected, 3 dead because delivered too often, 4 dead because it waited too long, 5 dead because there were too many, 6 available later |
/// | u16 | how often it was delivered; 0 for what is done |
/// | i64 | from when on, in state 6 only |
pub(super) fn record(key: &PartitionKey, delta: &Delta) -> Record {
    let kind = if delta.whole { KIND_PARTITION } else { KIND_DELTA };
    Record { key: encode_key(key, kind), value: Some(encode(delta)) }
}

/// Deletes a partition's state.
pub(super) fn tombstone(key: &PartitionKey) -> Record {
    Record { key: encode_key(key, KIND_PARTITION), value: None }
}

fn encode_key(key: &PartitionKey, kind: u8) -> Bytes {
    let mut out = BytesMut::with_capacity(26 + key.subscription.len());
    out.put_u8(VERSION);
    out.put_u8(kind);
    put_text(&mut out, &key.subscription);
    out.put_slice(&key.topic.to_bytes());
    out.put_i32(key.partition);
    out.freeze()
}

/// The partition that a key names, and whether it stands for the whole state; `None` for a key of
/// another kind.
pub(super) fn decode_key(bytes: &[u8]) -> Result<Option<(PartitionKey, bool)>, RecordError> {
    let mut reader = Reader::new(bytes, VERSION)?;
    let whole = match reader.u8()? {
        KIND_PARTITION => true,
        KIND_DELTA => false,
        _ => return Ok(None),
    };
    let subscription = reader.text()?;
    let (high, low) = (reader.i64()?.cast_unsigned(), reader.i64()?.cast_unsigned());
    let topic = TopicId(u128::from(high) << 64 | u128::from(low));
    let key = PartitionKey { subscription, topic, partition: reader.i32()? };
    reader.end()?;
    Ok(Some((key, whole)))
}

fn encode(delta: &Delta) -> Bytes {
    let mut out = BytesMut::with_capacity(13 + 19 * delta.runs.len());
    out.put_u8(VERSION);
    out.put_i64(delta.start);
    put_len(&mut out, delta.runs.len());
    for Run { first, last, state } in &delta.runs {
        out.put_i64(*first);
        out.put_i64(*last);
        let (code, deliveries) = match state {
            State::Available(deliveries) | State::Acquired { deliveries, .. } => {
                (AVAILABLE, *deliveries)
            }
            State::Delayed { deliveries, .. } => (DELAYED, *deliveries),
            State::Done => (DONE, 0),
            State::Dead(why, deliveries) => (dead_code(*why), *deliveries),
        };
        out.put_u8(code);
        out.put_u16(deliveries);
        if let State::Delayed { until, .. } = state {
            out.put_i64(*until);
        }
    }
    out.freeze()
}

fn dead_code(why: Why) -> u8 {
    match why {
        Why::Rejected => REJECTED,
        Why::TooManyDeliveries => TOO_MANY_DELIVERIES,
        Why::Expired => EXPIRED,
        Why::TooMany => TOO_MANY,
    }
}

pub(super) fn decode(bytes: &[u8], whole: bool) -> Result<Delta, RecordError> {
    let mut reader = Reader::new(bytes, VERSION)?;
    let start = reader.i64()?;
    let mut runs = Vec::new();
    let mut next = 0;
    // The count is not believed: nothing is reserved for it, and each run is read.
    for _ in 0..reader.u32()? {
        let (first, last) = (reader.i64()?, reader.i64()?);
        if first < next || last < first || last == i64::MAX {
            return Err(RecordError::Inconsistent);
        }
        next = last + 1;
        let state = reader.u8()?;
        let deliveries = reader.i16()?.cast_unsigned();
        let state = match state {
            AVAILABLE => State::Available(deliveries),
            DONE => State::Done,
            REJECTED => State::Dead(Why::Rejected, deliveries),
            TOO_MANY_DELIVERIES => State::Dead(Why::TooManyDeliveries, deliveries),
            EXPIRED => State::Dead(Why::Expired, deliveries),
            TOO_MANY => State::Dead(Why::TooMany, deliveries),
            DELAYED => State::Delayed { until: reader.i64()?, deliveries },
            state => return Err(RecordError::UnknownKind(state)),
        };
        runs.push(Run { first, last, state });
    }
    reader.end()?;
    if start < 0 {
        return Err(RecordError::Inconsistent);
    }
    Ok(Delta { whole, start, runs })
}
