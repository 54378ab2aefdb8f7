//! The bytes of a transactional id in the journal.

use base::Millis;
use bytes::{BufMut, Bytes, BytesMut};

use super::types::{TxnPartition, TxnProducer, TxnState};
use crate::Name;
use crate::record::wire::{Reader, put_bytes, put_len, put_optional_time, put_text};
use crate::record::{OffsetKey, OffsetValue, Record, RecordError};

const VERSION: u8 = 1;
/// Beside the kinds of keys of `crate::record`.
pub(crate) const KIND_TRANSACTION: u8 = 16;

/// A transactional id, as it is stored.
///
/// Key: `u8` version 1, `u8` kind 16, text id. Value:
///
/// | bytes | field |
/// |---|---|
/// | u8 | version, 1 |
/// | i64, i16 | producer id and epoch |
/// | i64 | time-out, ms |
/// | u8 | state: 0 empty, 1 ongoing, 2 committed, 3 aborted |
/// | i64 | when the open transaction began, ms; the smallest number when none is |
/// | i64 | when it was last used, ms |
/// | u32, then text and i32 each | partitions |
/// | u32, then bytes and bytes each | offsets: an encoded [`OffsetKey`] and [`OffsetValue`] |
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TxnValue {
    pub(crate) producer: TxnProducer,
    pub(crate) timeout: Millis,
    pub(crate) state: TxnState,
    pub(crate) started_at: Option<Millis>,
    pub(crate) used_at: Millis,
    pub(crate) partitions: Vec<TxnPartition>,
    pub(crate) offsets: Vec<(OffsetKey, OffsetValue)>,
}

/// The key's bytes.
pub(crate) fn encode_key(id: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(6 + id.len());
    out.put_u8(VERSION);
    out.put_u8(KIND_TRANSACTION);
    put_text(&mut out, id);
    out.freeze()
}

/// The transactional id that a key names; `None` for a key of another kind.
pub(crate) fn decode_key(bytes: &[u8]) -> Result<Option<Name>, RecordError> {
    let mut reader = Reader::new(bytes, VERSION)?;
    if reader.u8()? != KIND_TRANSACTION {
        return Ok(None);
    }
    let id = reader.text()?;
    reader.end()?;
    Ok(Some(id))
}

impl TxnValue {
    pub(crate) fn record(&self, id: &str) -> Record {
        Record { key: encode_key(id), value: Some(self.encode()) }
    }

    fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(VERSION);
        out.put_i64(self.producer.id);
        out.put_i16(self.producer.epoch);
        out.put_i64(self.timeout);
        out.put_u8(match self.state {
            TxnState::Empty => 0,
            TxnState::Ongoing => 1,
            TxnState::Committed => 2,
            TxnState::Aborted => 3,
        });
        put_optional_time(&mut out, self.started_at);
        out.put_i64(self.used_at);
        put_len(&mut out, self.partitions.len());
        for partition in &self.partitions {
            put_text(&mut out, &partition.topic);
            out.put_i32(partition.partition);
        }
        put_len(&mut out, self.offsets.len());
        for (key, value) in &self.offsets {
            put_bytes(&mut out, &key.encode());
            put_bytes(&mut out, &value.encode());
        }
        out.freeze()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let producer = TxnProducer { id: reader.i64()?, epoch: reader.i16()? };
        let timeout = reader.i64()?;
        let state = match reader.u8()? {
            0 => TxnState::Empty,
            1 => TxnState::Ongoing,
            2 => TxnState::Committed,
            3 => TxnState::Aborted,
            state => return Err(RecordError::UnknownKind(state)),
        };
        let started_at = reader.optional_time()?;
        let used_at = reader.i64()?;
        // Counts are not believed: nothing is reserved for them, and each element is read.
        let mut partitions = Vec::new();
        for _ in 0..reader.u32()? {
            partitions.push(TxnPartition { topic: reader.text()?, partition: reader.i32()? });
        }
        let mut offsets = Vec::new();
        for _ in 0..reader.u32()? {
            let crate::record::Key::Offset(key) = crate::record::Key::decode(&reader.bytes()?)?
            else {
                return Err(RecordError::Inconsistent);
            };
            offsets.push((key, OffsetValue::decode(&reader.bytes()?)?));
        }
        reader.end()?;
        Ok(Self { producer, timeout, state, started_at, used_at, partitions, offsets })
    }
}
