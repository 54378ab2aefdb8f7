//! What goes into the engine, and what comes out.

use std::ops::Range;

use base::{ErrorKind, Millis, Offset, TopicId};
use thiserror::Error;

use crate::Name;

/// Names a partition of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey {
    /// The subscription's name.
    pub subscription: Name,
    /// The topic's identity.
    pub topic: TopicId,
    /// The partition's number.
    pub partition: i32,
}

/// What holds for all subscriptions of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedConfig {
    /// Most partitions of all subscriptions together.
    pub partitions_max: usize,
    /// Acquisitions are written at least this often, in milliseconds.
    pub write_within: Millis,
    /// Leases are looked at this often at most, so one may last so much longer, in milliseconds.
    pub lease_grain: Millis,
}

impl Default for SharedConfig {
    fn default() -> Self {
        Self { partitions_max: 200_000, write_within: 1_000, lease_grain: 100 }
    }
}

/// What a subscription grants its consumers. May change from call to call; what is in flight keeps
/// the lease that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long a consumer may keep a record, in milliseconds.
    pub lease: Millis,
    /// How often a record is delivered at most.
    pub deliveries_max: u16,
    /// Most records from the start offset to the end.
    pub window_max: u32,
    /// Whether what nobody may have any more goes to a dead letter topic.
    pub dead_letters: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self { lease: 30_000, deliveries_max: 5, window_max: 2_000, dead_letters: false }
    }
}

/// Offsets that can be acquired at present: where to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// The first and, exclusive, the last. All between can be acquired.
    pub offsets: Range<Offset>,
}

/// What was read of a partition's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The offsets that the reading covered. What of them is in no batch does not exist (any more).
    pub covered: Range<Offset>,
    /// The batches that consumers may have, in order.
    pub batches: Vec<Range<Offset>>,
}

/// How much to acquire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Take {
    /// So many records, …
    pub records_max: usize,
    /// … not one more; else the batch in which that number is reached is taken to its end
    /// (KIP-1206).
    pub strict: bool,
}

/// Records that a consumer has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acquired {
    /// The first of them.
    pub first: Offset,
    /// The last of them.
    pub last: Offset,
    /// How many times each was delivered, this one included.
    pub deliveries: u16,
}

/// What a consumer says about a record that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// Done with it.
    Accept,
    /// Cannot do it now; somebody may try again.
    Release,
    /// Nobody will ever do it.
    Reject,
    /// Still at it: the lease begins anew (KIP-1222).
    Renew,
    /// There is no such record: its offset is a marker, or it was compacted away.
    Gap,
}

/// What a consumer says about some records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The first record.
    pub first: Offset,
    /// The last record.
    pub last: Offset,
    /// What becomes of them.
    pub disposition: Disposition,
}

/// Why a record is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// A consumer rejected it.
    Rejected,
    /// It was delivered as often as it may be, and came back each time.
    TooManyDeliveries,
    /// It waited too long.
    Expired,
    /// There were too many.
    TooMany,
}

/// Where a partition of a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The first record that is not done.
    pub start: Offset,
    /// The first record that was never acquired.
    pub end: Offset,
    /// Records between the two that are done.
    pub done: u64,
    /// Records that consumers have at present.
    pub acquired: u64,
    /// Runs of records that share a state; what the partition costs.
    pub runs: usize,
}

/// Why the engine refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum SharedError {
    /// The partition is not open (any more).
    #[error("the subscription has no such partition")]
    NotOpen,
    /// The caller does not have (all of) these records: its lease is over, or it never had them.
    #[error("the records are not held by this consumer (any more)")]
    NotHeld,
    /// Offsets that run backwards, overlap, or are negative.
    #[error("the offsets of the acknowledgement make no sense")]
    InvalidOffsets,
    /// It could not be written.
    #[error("the subscription's state could not be written")]
    NotAvailable,
    /// The broker has as many partitions of subscriptions as it may have.
    #[error("the limit on partitions of shared subscriptions of this broker is reached")]
    LimitReached,
}

impl SharedError {
    /// What the caller should do about it.
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::NotOpen => ErrorKind::NotFound,
            Self::NotHeld => ErrorKind::Conflict,
            Self::InvalidOffsets => ErrorKind::Invalid,
            Self::NotAvailable | Self::LimitReached => ErrorKind::Unavailable,
        }
    }
}
