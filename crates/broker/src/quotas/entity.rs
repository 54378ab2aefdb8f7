//! Whom a quota is for, and what it bounds.

use std::sync::Arc;

/// What a quota bounds, by the name that tools use for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaKind {
    /// Bytes published, a second.
    PublishBytes,
    /// Bytes read, a second.
    ReadBytes,
    /// Time that requests are worked on, in percent of one processor.
    RequestTime,
    /// Partitions created and deleted, a second.
    Mutations,
    /// New connections, a second.
    Connections,
}

impl QuotaKind {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::PublishBytes,
        Self::ReadBytes,
        Self::RequestTime,
        Self::Mutations,
        Self::Connections,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PublishBytes => "producer_byte_rate",
            Self::ReadBytes => "consumer_byte_rate",
            Self::RequestTime => "request_percentage",
            Self::Mutations => "controller_mutation_rate",
            Self::Connections => "connection_creation_rate",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// Whether it is for addresses; if not, it is for users and clients.
    pub fn is_for_addresses(self) -> bool {
        self == Self::Connections
    }

    /// Whether only whole numbers are meant.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::PublishBytes | Self::ReadBytes | Self::Connections)
    }
}

/// A name, or all that have no quota of their own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// Whoever has none of their own.
    Default,
    /// This one.
    Named(Arc<str>),
}

/// Whom a quota is for: a user, a client, a client of a user, or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Entity {
    /// The user.
    pub user: Option<Name>,
    /// The client, by the name that it gives itself.
    pub client: Option<Name>,
    /// The address.
    pub ip: Option<Name>,
}
