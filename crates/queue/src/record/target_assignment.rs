//! The value of what a member of a consumer group is to own in the end.

use bytes::{BufMut, Bytes, BytesMut};

use super::wire::Reader;
use super::{RecordError, partitions};
use crate::consumer_group::Partitions;

const VERSION: u8 = 1;

/// A member's part of the group's target assignment.
///
/// | bytes | field |
/// |---|---|
/// | u8 | version, 1 |
/// | partitions | what it is to own |
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetAssignmentValue {
    /// What it is to own.
    pub partitions: Partitions,
}

impl TargetAssignmentValue {
    /// The value's bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(16 + self.partitions.len() * 8);
        out.put_u8(VERSION);
        partitions::put(&mut out, &self.partitions);
        out.freeze()
    }

    /// Reads a value.
    ///
    /// # Errors
    /// When the bytes are not a value that [`Self::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let value = Self { partitions: partitions::read(&mut reader)? };
        reader.end()?;
        Ok(value)
    }
}
