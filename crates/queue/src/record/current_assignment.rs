//! The value of what a member of a consumer group owns at present.

use bytes::{BufMut, Bytes, BytesMut};

use super::wire::Reader;
use super::{RecordError, partitions};
use crate::consumer_group::{MemberState, Partitions};

const VERSION: u8 = 1;
const STABLE: u8 = 0;
const UNREVOKED: u8 = 1;
const UNRELEASED: u8 = 2;

/// How far a member has come on its way to the target assignment.
///
/// | bytes | field |
/// |---|---|
/// | u8 | version, 1 |
/// | i32 | member epoch; -2 while a static member is away |
/// | i32 | member epoch before that one |
/// | u8 | state: 0 stable, 1 has partitions to give back, 2 waits for partitions of others |
/// | partitions | what it may use |
/// | partitions | what it has been asked to give back, and has not |
///
/// *partitions* are a `u32` number of topics, and for each its id (16 bytes), a `u32` number of
/// partitions and so many `i32`; topics and partitions in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentAssignmentValue {
    /// The member's epoch.
    pub epoch: i32,
    /// The one before.
    pub previous_epoch: i32,
    /// What it does or waits for.
    pub state: MemberState,
    /// What it may use.
    pub assigned: Partitions,
    /// What it is to give back.
    pub revoking: Partitions,
}

impl CurrentAssignmentValue {
    /// The value's bytes.
    pub fn encode(&self) -> Bytes {
        let partitions = self.assigned.len() + self.revoking.len();
        let mut out = BytesMut::with_capacity(32 + partitions * 8);
        out.put_u8(VERSION);
        out.put_i32(self.epoch);
        out.put_i32(self.previous_epoch);
        out.put_u8(match self.state {
            MemberState::Stable => STABLE,
            MemberState::Unrevoked => UNREVOKED,
            MemberState::Unreleased => UNRELEASED,
        });
        partitions::put(&mut out, &self.assigned);
        partitions::put(&mut out, &self.revoking);
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
            previous_epoch: reader.i32()?,
            state: match reader.u8()? {
                STABLE => MemberState::Stable,
                UNREVOKED => MemberState::Unrevoked,
                UNRELEASED => MemberState::Unreleased,
                _ => return Err(RecordError::Inconsistent),
            },
            assigned: partitions::read(&mut reader)?,
            revoking: partitions::read(&mut reader)?,
        };
        reader.end()?;
        Ok(value)
    }
}
