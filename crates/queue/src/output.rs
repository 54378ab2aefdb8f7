//! What the coordinator wants done, and the answers to those who wait.

use crate::GroupError;
use crate::consumer_group::Heartbeat;
use crate::group::{JoinRefused, Joined, Synced};
use crate::record::Record;

/// One thing for the caller to do. `T` is the caller's own token for somebody who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output<T> {
    /// Answer the one who waits. Every token that went in comes out exactly once.
    Reply {
        /// The token given with the request.
        to: T,
        /// The answer.
        response: Response,
    },
    /// Append these records to the journal, in this order and after those of earlier outputs, then
    /// call [`crate::Coordinator::persisted`] once. Each record stands for itself, so one output
    /// may be split over several appends.
    Persist {
        /// What to give back to [`crate::Coordinator::persisted`].
        ticket: Ticket,
        /// At least one record.
        records: Vec<Record>,
    },
}

/// The answer to a request that may have had to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// To [`crate::Coordinator::join`].
    Join(Result<Joined, JoinRefused>),
    /// To [`crate::Coordinator::sync`].
    Sync(Result<Synced, GroupError>),
    /// To [`crate::Coordinator::consumer_heartbeat`].
    Heartbeat(Result<Heartbeat, GroupError>),
    /// To [`crate::Coordinator::commit`]: one result per offset, in the request's order.
    Commit(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// To [`crate::Coordinator::delete_offsets`]: one result per partition, in the request's order.
    DeleteOffsets(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// To [`crate::Coordinator::delete_group`].
    DeleteGroup(Result<(), GroupError>),
}

/// Names one [`Output::Persist`]. Later ones compare greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ticket(pub(crate) u64);

/// What became of an [`Output::Persist`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persisted {
    /// All of its records are on stable storage.
    Durable,
    /// Some of them may not be.
    Failed,
}

/// Collects outputs and numbers tickets; one for the whole coordinator, so that the order of
/// outputs is the order of events.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    outputs: Vec<Output<T>>,
    last: Ticket,
}

impl<T> Outbox<T> {
    pub(crate) fn new() -> Self {
        Self { outputs: Vec::new(), last: Ticket::default() }
    }

    pub(crate) fn reply(&mut self, to: T, response: Response) {
        self.outputs.push(Output::Reply { to, response });
    }

    /// The number of the next persist; use it with [`Self::persist`] at once.
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.last = Ticket(self.last.0 + 1);
        self.last
    }

    pub(crate) fn persist(&mut self, ticket: Ticket, records: Vec<Record>) {
        debug_assert!(!records.is_empty(), "nothing to persist");
        self.outputs.push(Output::Persist { ticket, records });
    }

    pub(crate) fn take(&mut self) -> Vec<Output<T>> {
        std::mem::take(&mut self.outputs)
    }
}
