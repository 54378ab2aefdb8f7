//! Why a group refuses a request.

use base::ErrorKind;
use thiserror::Error;

/// Why a group, or its committed offsets, refuse a request. One variant per thing that a client
/// does differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum GroupError {
    /// The journal is still being replayed: ask again soon.
    #[error("the coordinator is still reading its journal")]
    Loading,
    /// The group cannot answer now (its journal failed, or it is just being deleted): find the
    /// coordinator again and retry.
    #[error("the coordinator cannot answer now")]
    NotAvailable,
    /// The group's name is empty or too long.
    #[error("the group's name is empty or too long")]
    InvalidGroup,
    /// A name or the data of a member is larger than the limits allow.
    #[error("a name, a subscription or an assignment is too large")]
    TooLarge,
    /// The broker holds as many groups, members or offsets as its limits allow.
    #[error("the limit on groups, members or committed offsets of this broker is reached")]
    LimitReached,
    /// The session timeout is outside of the configured range.
    #[error("the session timeout is outside of the allowed range")]
    InvalidSessionTimeout,
    /// The member is not in the group (any more): join again with an empty member id.
    #[error("the group has no such member")]
    UnknownMember,
    /// Join again with the member id that comes with this error (KIP-394).
    #[error("join again with the member id given")]
    MemberIdRequired,
    /// The generation named is not the current one: join again.
    #[error("not the group's current generation")]
    IllegalGeneration,
    /// The group is rebalancing: join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// The member shares no assignment protocol, or not the protocol type, with the group.
    #[error("no protocol in common with the group")]
    InconsistentProtocol,
    /// The group has as many members as it may have (KIP-389).
    #[error("the group is full")]
    GroupFull,
    /// Another member has taken over this instance id (KIP-345): stop.
    #[error("another member has taken over this instance id")]
    FencedInstance,
    /// The member's epoch is not the one that the group knows: give up all partitions and join
    /// again (KIP-848).
    #[error("the member's epoch is not the group's: it has to join again")]
    FencedEpoch,
    /// The epoch named is not the member's present one: ask again after the next heartbeat
    /// (KIP-848).
    #[error("the member's epoch has changed")]
    StaleEpoch,
    /// Another member holds the instance id and has not left (KIP-848).
    #[error("another member still holds this instance id")]
    UnreleasedInstance,
    /// There is no such assignor.
    #[error("no such assignor; there are: uniform, range")]
    UnsupportedAssignor,
    /// The pattern of topic names cannot be read, or is too large.
    #[error("the pattern of topic names is not a regular expression (RE2) or is too large")]
    InvalidPattern,
    /// A heartbeat lacks what it must have, or has what it must not have.
    #[error("the heartbeat lacks a field that it must have, or a field has an impossible value")]
    InvalidHeartbeat,
    /// The group has members, and what was asked needs one without.
    #[error("the group is not empty")]
    NotEmpty,
    /// There is no such group.
    #[error("no such group")]
    NotFound,
    /// The note that comes with an offset is too long.
    #[error("the note of the committed offset is too long")]
    NoteTooLarge,
    /// The topic's name or the partition's number cannot exist.
    #[error("no such topic or partition")]
    InvalidTopic,
    /// A live member subscribes to the topic, so its offsets stay.
    #[error("a member of the group subscribes to the topic")]
    Subscribed,
}

impl GroupError {
    /// What the caller should do about it.
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::Loading | Self::NotAvailable | Self::LimitReached | Self::RebalanceInProgress => {
                ErrorKind::Unavailable
            }
            Self::InvalidGroup
            | Self::TooLarge
            | Self::InvalidSessionTimeout
            | Self::InconsistentProtocol
            | Self::NoteTooLarge
            | Self::UnsupportedAssignor
            | Self::InvalidPattern
            | Self::InvalidHeartbeat
            | Self::InvalidTopic => ErrorKind::Invalid,
            Self::UnknownMember | Self::NotFound => ErrorKind::NotFound,
            Self::MemberIdRequired
            | Self::IllegalGeneration
            | Self::GroupFull
            | Self::FencedInstance
            | Self::FencedEpoch
            | Self::StaleEpoch
            | Self::UnreleasedInstance
            | Self::NotEmpty
            | Self::Subscribed => ErrorKind::Conflict,
        }
    }
}
