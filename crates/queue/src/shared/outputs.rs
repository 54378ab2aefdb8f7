//! What the engine wants done.

use base::Offset;

use super::types::{PartitionKey, SharedError, Why};
use crate::record::Record;
use crate::{Name, Ticket};

/// One thing for the caller to do. `T` is the caller's own token for somebody who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharedOutput<T> {
    /// Answer the one who waits. Every token that went in comes out exactly once.
    Reply {
        /// The token given with the request.
        to: T,
        /// The answer.
        response: SharedResponse,
    },
    /// Append these records to the journal, in this order and after those of earlier outputs, then
    /// call [`super::Subscriptions::persisted`] once.
    Persist {
        /// What to give back.
        ticket: Ticket,
        /// At least one record.
        records: Vec<Record>,
    },
    /// Whoever waits for records of this subscription had better look again.
    Wake {
        /// The subscription's name.
        subscription: Name,
    },
    /// Copy these records to where dead letters go, then call [`super::Subscriptions::buried`].
    Bury(DeadLetter),
}

/// The answer to a request that had to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharedResponse {
    /// To [`super::Subscriptions::open`], [`super::Subscriptions::reset`] and
    /// [`super::Subscriptions::delete`].
    Written(Result<(), SharedError>),
    /// To [`super::Subscriptions::acknowledge`]: one outcome per partition, in the request's order.
    Acknowledged(Vec<Result<(), SharedError>>),
}

/// Records that nobody gets any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where they are.
    pub key: PartitionKey,
    /// The first of them.
    pub first: Offset,
    /// The last of them.
    pub last: Offset,
    /// Why.
    pub why: Why,
    /// How often they were delivered.
    pub deliveries: u16,
}
