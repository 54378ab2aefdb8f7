//! The value of a consumer group's own state; its members are stored one by one.

use base::Millis;
use bytes::{BufMut, Bytes, BytesMut};

use super::RecordError;
use super::wire::{Reader, put_text};
use crate::Name;

const VERSION: u8 = 1;

/// A consumer group, without its members.
///
/// | bytes | field |
/// |---|---|
/// | u8 | version, 1 |
/// | i32 | group epoch |
/// | i32 | epoch of the target assignment |
/// | i64 | when members last came to or went from the group, ms |
/// | text | the assignor that made the target assignment |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerGroupValue {
    /// Grows with every change of the members or of what they subscribe to.
    pub epoch: i32,
    /// The group epoch that the target assignment was made for.
    pub target_epoch: i32,
    /// When members last came or went.
    pub changed_at: Millis,
    /// The assignor that made the target assignment.
    pub assignor: Name,
}

impl ConsumerGroupValue {
    /// The value's bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(32 + self.assignor.len());
        out.put_u8(VERSION);
        out.put_i32(self.epoch);
        out.put_i32(self.target_epoch);
        out.put_i64(self.changed_at);
        put_text(&mut out, &self.assignor);
        out.freeze()
    }

    /// Reads a value.
    ///
    /// # Errors
    /// When the bytes are not a value that [`Self::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let value = Self {
            epoch: reader.i32()?,
            target_epoch: reader.i32()?,
            changed_at: reader.i64()?,
            assignor: reader.text()?,
        };
        reader.end()?;
        Ok(value)
    }
}
