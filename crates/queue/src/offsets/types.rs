//! Requests about committed offsets, and what they answer.

use base::{Millis, Offset};

use crate::Name;

/// A committed offset, as it is stored.
pub type Committed = crate::record::OffsetValue;

/// Asks to commit offsets for a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRequest {
    /// The group's name. May be empty, for consumers that are no members of anything.
    pub group: Name,
    /// The member's id; empty for such consumers.
    pub member_id: Name,
    /// The instance id of a static member.
    pub instance_id: Option<Name>,
    /// The member's generation; negative for such consumers.
    pub generation: i32,
    /// How long to keep the offsets, in milliseconds from now; `None` for the configured retention
    /// after the group became empty. Asked for by old clients only.
    pub retention: Option<Millis>,
    /// What to commit. The caller has checked that the partitions exist.
    pub offsets: Vec<OffsetCommit>,
}

/// One offset to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommit {
    /// The topic's name.
    pub topic: Name,
    /// The partition's number.
    pub partition: i32,
    /// The next offset that the group will read.
    pub offset: Offset,
    /// The leader epoch of the last record read; -1 when the client does not say.
    pub leader_epoch: i32,
    /// The client's note, handed back with the offset.
    pub note: Name,
}

/// Asks to delete committed offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteOffsetsRequest {
    /// The group's name.
    pub group: Name,
    /// Topic and partition.
    pub partitions: Vec<(Name, i32)>,
}

/// A committed offset and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOffset {
    /// The topic's name.
    pub topic: Name,
    /// The partition's number.
    pub partition: i32,
    /// What is committed.
    pub committed: Committed,
}
