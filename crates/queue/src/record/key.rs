//! Keys.

use bytes::{BufMut, Bytes, BytesMut};

use super::RecordError;
use super::wire::{Reader, put_text};
use crate::Name;

const VERSION: u8 = 1;
const KIND_GROUP: u8 = 1;
const KIND_OFFSET: u8 = 2;

/// What a record is about.
///
/// | bytes | group | offset |
/// |---|---|---|
/// | u8 | version, 1 | version, 1 |
/// | u8 | kind, 1 | kind, 2 |
/// | text | group | group |
/// | text | | topic |
/// | i32 | | partition |
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The state of a group, by its name.
    Group(Name),
    /// A committed offset.
    Offset(OffsetKey),
}

/// Names a committed offset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OffsetKey {
    /// The group that committed it.
    pub group: Name,
    /// The topic's name.
    pub topic: Name,
    /// The partition's number.
    pub partition: i32,
}

impl Key {
    /// The key's bytes.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Group(group) => encode_group_key(group),
            Self::Offset(key) => key.encode(),
        }
    }

    /// Reads a key.
    ///
    /// # Errors
    /// When the bytes are not a key that [`Self::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let key = match reader.u8()? {
            KIND_GROUP => Self::Group(reader.text()?),
            KIND_OFFSET => Self::Offset(OffsetKey {
                group: reader.text()?,
                topic: reader.text()?,
                partition: reader.i32()?,
            }),
            kind => return Err(RecordError::UnknownKind(kind)),
        };
        reader.end()?;
        Ok(key)
    }
}

pub(crate) fn encode_group_key(group: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(6 + group.len());
    out.put_u8(VERSION);
    out.put_u8(KIND_GROUP);
    put_text(&mut out, group);
    out.freeze()
}

impl OffsetKey {
    /// The key's bytes, as of [`Key::encode`].
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(14 + self.group.len() + self.topic.len());
        out.put_u8(VERSION);
        out.put_u8(KIND_OFFSET);
        put_text(&mut out, &self.group);
        put_text(&mut out, &self.topic);
        out.put_i32(self.partition);
        out.freeze()
    }
}
