//! Keys.

use bytes::{BufMut, Bytes, BytesMut};

use super::RecordError;
use super::wire::{Reader, put_text};
use crate::Name;

const VERSION: u8 = 1;
const KIND_GROUP: u8 = 1;
const KIND_OFFSET: u8 = 2;
const KIND_CONSUMER_GROUP: u8 = 3;
const KIND_CONSUMER_MEMBER: u8 = 4;
const KIND_TARGET_ASSIGNMENT: u8 = 5;
const KIND_CURRENT_ASSIGNMENT: u8 = 6;

/// What a record is about.
///
/// | bytes | group | offset |
/// |---|---|---|
/// | u8 | version, 1 | version, 1 |
/// | u8 | kind, 1 | kind, 2 |
/// | text | group | group |
/// | text | | topic |
/// | i32 | | partition |
///
/// | bytes | consumer group | its member | target assignment | current assignment |
/// |---|---|---|---|---|
/// | u8 | version, 1 | version, 1 | version, 1 | version, 1 |
/// | u8 | kind, 3 | kind, 4 | kind, 5 | kind, 6 |
/// | text | group | group | group | group |
/// | text | | member id | member id | member id |
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The state of a classic group, by its name.
    Group(Name),
    /// A committed offset.
    Offset(OffsetKey),
    /// The state of a consumer group, by its name.
    ConsumerGroup(Name),
    /// What a member of a consumer group says about itself.
    ConsumerMember(MemberKey),
    /// What a member of a consumer group is to own in the end.
    TargetAssignment(MemberKey),
    /// What a member of a consumer group owns at present.
    CurrentAssignment(MemberKey),
}

/// Names a member of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberKey {
    /// The group's name.
    pub group: Name,
    /// The member's id.
    pub member_id: Name,
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
            Self::ConsumerGroup(group) => encode(KIND_CONSUMER_GROUP, group, None),
            Self::ConsumerMember(key) => key.encode(KIND_CONSUMER_MEMBER),
            Self::TargetAssignment(key) => key.encode(KIND_TARGET_ASSIGNMENT),
            Self::CurrentAssignment(key) => key.encode(KIND_CURRENT_ASSIGNMENT),
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
            KIND_CONSUMER_GROUP => Self::ConsumerGroup(reader.text()?),
            KIND_CONSUMER_MEMBER => Self::ConsumerMember(MemberKey::decode(&mut reader)?),
            KIND_TARGET_ASSIGNMENT => Self::TargetAssignment(MemberKey::decode(&mut reader)?),
            KIND_CURRENT_ASSIGNMENT => Self::CurrentAssignment(MemberKey::decode(&mut reader)?),
            kind => return Err(RecordError::UnknownKind(kind)),
        };
        reader.end()?;
        Ok(key)
    }
}

pub(crate) fn encode_group_key(group: &str) -> Bytes {
    encode(KIND_GROUP, group, None)
}

fn encode(kind: u8, group: &str, member_id: Option<&str>) -> Bytes {
    let mut out = BytesMut::with_capacity(10 + group.len() + member_id.map_or(0, str::len));
    out.put_u8(VERSION);
    out.put_u8(kind);
    put_text(&mut out, group);
    if let Some(member_id) = member_id {
        put_text(&mut out, member_id);
    }
    out.freeze()
}

impl MemberKey {
    fn encode(&self, kind: u8) -> Bytes {
        encode(kind, &self.group, Some(&self.member_id))
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        Ok(Self { group: reader.text()?, member_id: reader.text()? })
    }
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
