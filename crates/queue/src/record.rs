//! The bytes of what is persisted: one key and one value per stored thing, one file each.
//!
//! The first byte of every key and value is its version, the second byte of a key says what it
//! is the key of. Numbers are big-endian. *text* and *bytes* are a `u32` length and so many bytes
//! (text in UTF-8); optional text has the length `0xffff_ffff` when absent. A record without a
//! value deletes its key. Decoding allocates no more than it was given, and refuses what it does
//! not know.

mod consumer_group;
mod consumer_member;
mod current_assignment;
mod group;
mod key;
mod offset;
mod partitions;
mod target_assignment;
pub(crate) mod wire;

#[cfg(test)]
mod tests;

use base::ErrorKind;
use bytes::Bytes;
use thiserror::Error;

pub use consumer_group::ConsumerGroupValue;
pub use consumer_member::ConsumerMemberValue;
pub use current_assignment::CurrentAssignmentValue;
pub use group::{GroupValue, MemberValue};
pub use key::{Key, MemberKey, OffsetKey};
pub use offset::OffsetValue;
pub use target_assignment::TargetAssignmentValue;

/// One record for the journal: the newest one of each key counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// An encoded [`Key`].
    pub key: Bytes,
    /// An encoded value of the key's kind; `None` deletes the key.
    pub value: Option<Bytes>,
}

/// Why a stored record cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum RecordError {
    /// It ends too early.
    #[error("the record ends too early")]
    Truncated,
    /// Bytes are left over at its end.
    #[error("the record has bytes left over at its end")]
    Trailing,
    /// A version that this program does not know: an older program than wrote it, or damage.
    #[error("unknown record version {0}")]
    UnknownVersion(u8),
    /// A kind of key that this program does not know.
    #[error("unknown kind of key {0}")]
    UnknownKind(u8),
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    NotText,
    /// A group that names a leader or a protocol that its members do not have.
    #[error("the group's members do not match its leader or protocol")]
    Inconsistent,
    /// The coordinator has been started; records come before that.
    #[error("records are restored before the start only")]
    Started,
}

impl RecordError {
    /// What the caller should do about it.
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::Started => ErrorKind::Invalid,
            _ => ErrorKind::Corrupt,
        }
    }
}

pub(crate) use key::encode_group_key;
