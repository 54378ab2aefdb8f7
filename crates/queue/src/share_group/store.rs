//! The bytes of a share group in the journal.

use bytes::{BufMut, Bytes, BytesMut};

use crate::Name;
use crate::record::wire::{Reader, put_text};
use crate::record::{Record, RecordError};

const VERSION: u8 = 1;
/// Beside the kinds of keys of `crate::record` and `crate::shared`.
const KIND_SHARE_GROUP: u8 = 34;

/// That a group exists. Key: `u8` version 1, `u8` kind 34, text group. Value: `u8` version 1, `i32`
/// group epoch. Without a value the group is deleted.
pub(super) fn record(group: &Name, epoch: Option<i32>) -> Record {
    let mut key = BytesMut::with_capacity(6 + group.len());
    key.put_u8(VERSION);
    key.put_u8(KIND_SHARE_GROUP);
    put_text(&mut key, group);
    let value = epoch.map(|epoch| {
        let mut value = BytesMut::with_capacity(5);
        value.put_u8(VERSION);
        value.put_i32(epoch);
        value.freeze()
    });
    Record { key: key.freeze(), value }
}

/// The group that a key names; `None` for a key of another kind.
pub(super) fn decode_key(bytes: &[u8]) -> Result<Option<Name>, RecordError> {
    let mut reader = Reader::new(bytes, VERSION)?;
    if reader.u8()? != KIND_SHARE_GROUP {
        return Ok(None);
    }
    let group = reader.text()?;
    reader.end()?;
    Ok(Some(group))
}

pub(super) fn decode(value: &Bytes) -> Result<i32, RecordError> {
    let mut reader = Reader::new(value, VERSION)?;
    let epoch = reader.i32()?;
    reader.end()?;
    Ok(epoch)
}
