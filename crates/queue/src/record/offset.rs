//! The value of a committed offset.

use base::{Millis, Offset};
use bytes::{BufMut, Bytes, BytesMut};

use super::RecordError;
use super::wire::{Reader, put_optional_time, put_text};
use crate::Name;

const VERSION: u8 = 1;

/// A committed offset.
///
/// | bytes | field |
/// |---|---|
/// | u8 | version, 1 |
/// | i64 | offset |
/// | i32 | leader epoch |
/// | i64 | time of the commit, ms |
/// | i64 | expiry time asked for, ms; the smallest number when none |
/// | text | note |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetValue {
    /// The next offset that the group will read.
    pub offset: Offset,
    /// The leader epoch of the last record read; -1 when the client did not say.
    pub leader_epoch: i32,
    /// The client's note.
    pub note: Name,
    /// When it was committed.
    pub committed_at: Millis,
    /// When it expires, if the client asked for a retention of its own.
    pub expires_at: Option<Millis>,
}

impl OffsetValue {
    /// The value's bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(33 + self.note.len());
        out.put_u8(VERSION);
        out.put_i64(self.offset);
        out.put_i32(self.leader_epoch);
        out.put_i64(self.committed_at);
        put_optional_time(&mut out, self.expires_at);
        put_text(&mut out, &self.note);
        out.freeze()
    }

    /// Reads a value.
    ///
    /// # Errors
    /// When the bytes are not a value that [`Self::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let offset = reader.i64()?;
        let leader_epoch = reader.i32()?;
        let committed_at = reader.i64()?;
        let expires_at = reader.optional_time()?;
        let note = reader.text()?;
        reader.end()?;
        Ok(Self { offset, leader_epoch, note, committed_at, expires_at })
    }
}
