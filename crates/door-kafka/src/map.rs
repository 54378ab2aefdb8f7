//! The broker's words in Kafka's: errors to codes, listeners to addresses.

use base::{ErrorKind, PasswordHash};
use broker::metadata::{BrokerInfo, Endpoint};
use broker::queue::GroupError;
use broker::queue::shared::SharedError;
use broker::queue::transactions::TxnError;
use broker::store::batch::BatchError;
use broker::store::{AppendError, ReadError};
use broker::{
    FetchError, GroupConfigError, MarkerError, MetaError, ProduceError, RefusedRecord, TakeError,
    TopicError, TrimError, UserError,
};

use crate::wire::ErrorCode;

pub(crate) mod access;
pub(crate) use access::operations;

/// What every broker may do with every topic: the bits of the operations by their codes (read,
/// write, create, delete, alter, describe, describe and alter configuration).
pub(crate) const TOPIC_OPERATIONS: i32 = bits(&[3, 4, 5, 6, 7, 8, 10, 11]);
/// The same for the cluster (create, alter, describe, act for it, configuration, idempotent write).
pub(crate) const CLUSTER_OPERATIONS: i32 = bits(&[5, 7, 8, 9, 10, 11, 12]);
/// The same for a group (read, delete, describe).
pub(crate) const GROUP_OPERATIONS: i32 = bits(&[3, 6, 8]);
/// "Not asked for."
pub(crate) const NO_OPERATIONS: i32 = i32::MIN;

const fn bits(operations: &[u32]) -> i32 {
    let mut bits = 0;
    let mut index = 0;
    while index < operations.len() {
        #[allow(clippy::indexing_slicing, reason = "evaluated at compile time, in bounds")]
        let operation = operations[index];
        bits |= 1 << operation;
        index += 1;
    }
    bits
}

/// The address to tell a client that came through the listener of this name.
pub(crate) fn endpoint<'a>(broker: &'a BrokerInfo, listener: &str) -> Option<&'a Endpoint> {
    let same = broker.endpoints.iter().find(|endpoint| endpoint.listener == listener);
    same.or_else(|| broker.endpoints.first())
}

pub(crate) fn group_error(error: GroupError) -> ErrorCode {
    match error {
        GroupError::Loading => ErrorCode::CoordinatorLoadInProgress,
        GroupError::NotAvailable => ErrorCode::CoordinatorNotAvailable,
        GroupError::InvalidGroup => ErrorCode::InvalidGroupId,
        GroupError::TooLarge => ErrorCode::InvalidRequest,
        GroupError::LimitReached | GroupError::GroupFull => ErrorCode::GroupMaxSizeReached,
        GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        GroupError::UnknownMember => ErrorCode::UnknownMemberId,
        GroupError::MemberIdRequired => ErrorCode::MemberIdRequired,
        GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
        GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        GroupError::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
        GroupError::FencedInstance => ErrorCode::FencedInstanceId,
        GroupError::FencedEpoch => ErrorCode::FencedMemberEpoch,
        GroupError::StaleEpoch => ErrorCode::StaleMemberEpoch,
        GroupError::UnreleasedInstance => ErrorCode::UnreleasedInstanceId,
        GroupError::UnsupportedAssignor => ErrorCode::UnsupportedAssignor,
        GroupError::InvalidPattern => ErrorCode::InvalidRegularExpression,
        GroupError::InvalidHeartbeat => ErrorCode::InvalidRequest,
        GroupError::NotEmpty => ErrorCode::NonEmptyGroup,
        GroupError::NotFound => ErrorCode::GroupIdNotFound,
        GroupError::NoteTooLarge => ErrorCode::OffsetMetadataTooLarge,
        GroupError::InvalidTopic => ErrorCode::UnknownTopicOrPartition,
        GroupError::Subscribed => ErrorCode::GroupSubscribedToTopic,
    }
}

/// The code for an outcome: 0, or the error's.
pub(crate) fn group_code(outcome: Result<(), GroupError>) -> i16 {
    outcome.map_or_else(group_error, |()| ErrorCode::None).number()
}

/// `knows_fenced`: the client knows the error that is only about transactions (KIP-588).
pub(crate) fn txn_error(error: TxnError, knows_fenced: bool) -> ErrorCode {
    match error {
        TxnError::Loading => ErrorCode::CoordinatorLoadInProgress,
        TxnError::NotAvailable | TxnError::LimitReached => ErrorCode::CoordinatorNotAvailable,
        TxnError::InvalidId => ErrorCode::InvalidRequest,
        TxnError::InvalidTimeout => ErrorCode::InvalidTransactionTimeout,
        TxnError::UnknownProducer => ErrorCode::InvalidProducerIdMapping,
        TxnError::Fenced if knows_fenced => ErrorCode::ProducerFenced,
        TxnError::Fenced => ErrorCode::InvalidProducerEpoch,
        TxnError::InvalidState => ErrorCode::InvalidTxnState,
        TxnError::Concurrent => ErrorCode::ConcurrentTransactions,
        TxnError::NotFound => ErrorCode::TransactionalIdNotFound,
    }
}

pub(crate) fn txn_code(outcome: Result<(), TxnError>, knows_fenced: bool) -> ErrorCode {
    outcome.err().map_or(ErrorCode::None, |error| txn_error(error, knows_fenced))
}

pub(crate) fn meta_error(error: &MetaError) -> ErrorCode {
    kind_error(error.kind())
}

/// The code for a failed change of the cluster's metadata.
pub(crate) fn kind_error(kind: ErrorKind) -> ErrorCode {
    match kind {
        ErrorKind::Invalid => ErrorCode::InvalidRequest,
        ErrorKind::Unavailable | ErrorKind::Conflict | ErrorKind::NotFound => {
            ErrorCode::RequestTimedOut
        }
        ErrorKind::Corrupt | ErrorKind::Storage => ErrorCode::KafkaStorageError,
    }
}

pub(crate) fn topic_error(error: &TopicError) -> ErrorCode {
    match error {
        TopicError::Name(_) | TopicError::Internal(_) => ErrorCode::InvalidTopicException,
        TopicError::Exists(_) => ErrorCode::TopicAlreadyExists,
        TopicError::NotFound(_) => ErrorCode::UnknownTopicOrPartition,
        TopicError::Partitions(_) => ErrorCode::InvalidPartitions,
        TopicError::Config(_) => ErrorCode::InvalidConfig,
        TopicError::DeletionDisabled => ErrorCode::TopicDeletionDisabled,
        TopicError::Meta(error) => meta_error(error),
    }
}

fn append_error(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::NotFound => ErrorCode::UnknownTopicOrPartition,
        AppendError::OutOfOrder { .. } => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::Fenced { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::DiskFull | AppendError::Failed(_) => ErrorCode::KafkaStorageError,
        AppendError::Closed => ErrorCode::NotLeaderOrFollower,
    }
}

pub(crate) fn produce_error(error: &ProduceError) -> ErrorCode {
    match error {
        ProduceError::NoPartition => ErrorCode::UnknownTopicOrPartition,
        ProduceError::Internal => ErrorCode::InvalidTopicException,
        ProduceError::TimestampType => ErrorCode::InvalidTimestamp,
        ProduceError::Records(refused) if refused.iter().any(RefusedRecord::is_about_time) => {
            ErrorCode::InvalidTimestamp
        }
        ProduceError::Records(_) => ErrorCode::InvalidRecord,
        ProduceError::Full | ProduceError::Refused => ErrorCode::PolicyViolation,
        ProduceError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        ProduceError::Append(error) => append_error(error),
        ProduceError::Transaction(error) => txn_error(*error, false),
        ProduceError::Batch(error) => batch_error(error),
    }
}

pub(crate) fn batch_error(error: &BatchError) -> ErrorCode {
    match error {
        BatchError::Checksum | BatchError::Truncated => ErrorCode::CorruptMessage,
        BatchError::Magic(_) => ErrorCode::UnsupportedForMessageFormat,
        BatchError::Compression(_) => ErrorCode::UnsupportedCompressionType,
        BatchError::Malformed(_) | BatchError::TooLarge(_) | BatchError::RecordTooLarge { .. } => {
            ErrorCode::InvalidRecord
        }
    }
}

pub(crate) fn fetch_error(error: &FetchError) -> ErrorCode {
    match error {
        FetchError::NoPartition => ErrorCode::UnknownTopicOrPartition,
        FetchError::Read(ReadError::OutOfRange { .. }) => ErrorCode::OffsetOutOfRange,
        FetchError::Read(ReadError::Damaged { .. } | ReadError::Io(_)) => {
            ErrorCode::KafkaStorageError
        }
    }
}

pub(crate) fn group_config_error(error: &GroupConfigError) -> ErrorCode {
    match error {
        GroupConfigError::Name => ErrorCode::InvalidRequest,
        GroupConfigError::Config(_) => ErrorCode::InvalidConfig,
        GroupConfigError::Meta(error) => meta_error(error),
    }
}

pub(crate) fn shared_error(error: SharedError) -> ErrorCode {
    match error {
        SharedError::NotOpen => ErrorCode::UnknownTopicOrPartition,
        SharedError::NotHeld => ErrorCode::InvalidRecordState,
        SharedError::InvalidOffsets => ErrorCode::InvalidRequest,
        SharedError::NotAvailable | SharedError::LimitReached => ErrorCode::CoordinatorNotAvailable,
    }
}

pub(crate) fn take_error(error: &TakeError) -> ErrorCode {
    match error {
        TakeError::Fetch(error) => fetch_error(error),
        TakeError::Shared(error) => shared_error(*error),
    }
}

pub(crate) fn marker_error(error: &MarkerError) -> ErrorCode {
    match error {
        MarkerError::NoPartition => ErrorCode::UnknownTopicOrPartition,
        MarkerError::NoProducer => ErrorCode::InvalidRequest,
        MarkerError::Fenced { .. } => ErrorCode::InvalidProducerEpoch,
        MarkerError::Append(error) => append_error(error),
    }
}

pub(crate) fn trim_error(error: &TrimError) -> ErrorCode {
    match error {
        TrimError::NoPartition => ErrorCode::UnknownTopicOrPartition,
        TrimError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        TrimError::Append(error) => append_error(error),
    }
}

pub(crate) fn user_error(error: &UserError) -> ErrorCode {
    match error {
        UserError::Name | UserError::Credential(_) => ErrorCode::UnacceptableCredential,
        UserError::NotFound => ErrorCode::ResourceNotFound,
        UserError::TooMany => ErrorCode::PolicyViolation,
        UserError::Meta(error) => meta_error(error),
    }
}

/// The number of a mechanism that proves a password, by its hash (KIP-554).
pub(crate) fn mechanism_code(hash: PasswordHash) -> i8 {
    match hash {
        PasswordHash::Sha256 => 1,
        PasswordHash::Sha512 => 2,
    }
}

/// The hash of the mechanism with this number.
pub(crate) fn mechanism_hash(code: i8) -> Option<PasswordHash> {
    PasswordHash::ALL.into_iter().find(|hash| mechanism_code(*hash) == code)
}
