//! Requests about transactions, and what they answer.

use base::{ErrorKind, Millis};
use thiserror::Error;

use crate::record::{OffsetKey, OffsetValue, Record};
use crate::{Name, Ticket};

/// Why a transaction refuses a request. One variant per thing that a client does differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum TxnError {
    /// The journal is still being replayed: ask again soon.
    #[error("the coordinator is still reading its journal")]
    Loading,
    /// The coordinator cannot store anything now: retry.
    #[error("the coordinator cannot answer now")]
    NotAvailable,
    /// The transaction's name is empty or too long.
    #[error("the transactional id is empty or too long")]
    InvalidId,
    /// The time-out is not positive, or longer than allowed.
    #[error("the transaction time-out is outside of the allowed range")]
    InvalidTimeout,
    /// The producer id is not the one of this transactional id.
    #[error("the producer id does not belong to the transactional id")]
    UnknownProducer,
    /// A newer instance of the producer has taken over: stop.
    #[error("a newer instance of this producer has taken over")]
    Fenced,
    /// The request does not fit the transaction's state.
    #[error("the transaction is not in a state for this")]
    InvalidState,
    /// Too many requests wait for this transaction: retry.
    #[error("the transaction is busy with an earlier request")]
    Concurrent,
    /// The broker holds as many transactional ids as its limits allow.
    #[error("the limit on transactional ids of this broker is reached")]
    LimitReached,
    /// There is no such transactional id.
    #[error("no such transactional id")]
    NotFound,
}

impl TxnError {
    /// What the caller should do about it.
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::Loading | Self::NotAvailable | Self::Concurrent | Self::LimitReached => {
                ErrorKind::Unavailable
            }
            Self::InvalidId | Self::InvalidTimeout | Self::InvalidState => ErrorKind::Invalid,
            Self::UnknownProducer | Self::NotFound => ErrorKind::NotFound,
            Self::Fenced => ErrorKind::Conflict,
        }
    }
}

/// Settings of all transactions of a broker. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnConfig {
    /// Longest time-out that a producer may ask for (`transaction.max.timeout.ms`).
    pub timeout_max: Millis,
    /// A transactional id that is not used for so long is forgotten
    /// (`transactional.id.expiration.ms`).
    pub id_expiry: Millis,
    /// Most transactional ids.
    pub ids_max: usize,
    /// Requests that wait for one transaction; more are refused.
    pub waiting_max: usize,
}

impl Default for TxnConfig {
    fn default() -> Self {
        Self {
            timeout_max: 15 * 60 * 1000,
            id_expiry: 7 * 24 * 60 * 60 * 1000,
            ids_max: 100_000,
            waiting_max: 64,
        }
    }
}

/// Who produces: an identity that the broker gave out, and the instance of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnProducer {
    /// The identity.
    pub id: i64,
    /// Grows with each instance that takes over; the older ones are fenced.
    pub epoch: i16,
}

/// A partition that takes part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnPartition {
    /// The topic's name.
    pub topic: Name,
    /// The partition's number.
    pub partition: i32,
}

/// Asks for a transactional id's producer, fencing the instance before. Ends a transaction that it
/// left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitTxn {
    /// The transactional id.
    pub id: Name,
    /// A transaction that takes longer than this is aborted, in milliseconds.
    pub timeout: Millis,
    /// What the client believes to be, if it goes on after an error (KIP-360).
    pub claimed: Option<TxnProducer>,
    /// A producer identity that was never used, for when one is needed.
    pub fresh: i64,
}

/// Asks to end a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndTxn {
    /// The transactional id.
    pub id: Name,
    /// The instance that ends it.
    pub producer: TxnProducer,
    /// Whether what it wrote becomes visible.
    pub commit: bool,
    /// Whether the instance gets a new epoch by it, so that nothing that it sent before can come
    /// late (KIP-890). A fresh producer identity for when the epochs are used up.
    pub renew: Option<i64>,
}

/// A transaction has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The instance's identity and epoch from now on.
    pub producer: TxnProducer,
}

/// Where a transactional id is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TxnState {
    /// It never had a transaction.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// The last one was committed.
    Committed,
    /// The last one was aborted.
    Aborted,
}

impl TxnState {
    /// The state's name, as admin tools show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::Committed => "CompleteCommit",
            Self::Aborted => "CompleteAbort",
        }
    }
}

/// The end of a transaction, as a partition is told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// Where it goes.
    pub partition: TxnPartition,
    /// Whose transaction. Batches of a lower epoch are refused after it.
    pub producer: TxnProducer,
    /// Whether what was written becomes visible.
    pub commit: bool,
}

/// One thing for the caller to do. `T` is its token for somebody who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxnOutput<T> {
    /// Answer the one who waits. Every token that went in comes out exactly once.
    Reply {
        /// The token given with the request.
        to: T,
        /// The answer.
        response: TxnResponse,
    },
    /// Append all of this as one atomic write, in the order of outputs, then call
    /// [`super::Transactions::persisted`] once.
    Persist {
        /// What to give back.
        ticket: Ticket,
        /// For the journal.
        records: Vec<Record>,
        /// For the partitions' logs. Those of partitions that no longer exist are left out.
        markers: Vec<Marker>,
        /// Offsets that are committed with it, for the journal of the groups.
        offsets: Vec<(OffsetKey, OffsetValue)>,
    },
}

/// The answer to a request that may have had to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxnResponse {
    /// To [`super::Transactions::init`].
    Init(Result<TxnProducer, TxnError>),
    /// To [`super::Transactions::add_partitions`], [`super::Transactions::add_group`] and
    /// [`super::Transactions::add_offsets`].
    Added(Result<(), TxnError>),
    /// To [`super::Transactions::end`].
    Ended(Result<Ended, TxnError>),
}

/// A transactional id, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnDescription {
    /// The transactional id.
    pub id: Name,
    /// Where it is in its life.
    pub state: TxnState,
    /// Its producer.
    pub producer: TxnProducer,
    /// Its time-out, in milliseconds.
    pub timeout: Millis,
    /// When the open transaction began.
    pub started_at: Option<Millis>,
    /// The partitions of the open transaction.
    pub partitions: Vec<TxnPartition>,
}
