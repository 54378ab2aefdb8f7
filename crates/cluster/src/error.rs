//! What can go wrong with the metadata store.

use std::path::PathBuf;

use base::ErrorKind;

use crate::{LeaseId, Revision};

/// A failed call to a [`crate::MetaStore`]. Clones, since one failed commit fails every
/// transaction that shared it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetaError {
    /// The request breaks a limit or a rule; it was not carried out.
    #[error("invalid request to the metadata store: {0}")]
    Invalid(String),
    /// The lease never existed, was revoked or has expired. A transaction that names it was not
    /// carried out.
    #[error("lease {0} does not exist or has expired")]
    LeaseNotFound(LeaseId),
    /// Another process has the store open.
    #[error("the metadata store is in use by another process ({})", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The disk is full. The request was not carried out and can be retried once there is space.
    #[error("no space left for the metadata store: {0}")]
    Full(String),
    /// The device failed. Where a commit failed, nothing of it is visible, but it may be found
    /// carried out after a restart.
    #[error("metadata store failed while {doing}: {detail}")]
    Io {
        /// What was attempted, to be read after "while".
        doing: &'static str,
        /// The system's words.
        detail: String,
    },
    /// An earlier commit failed in a way that leaves it unknown what is on the disk. The store
    /// takes no more writes until it is opened anew; reads go on from memory.
    #[error("the metadata store is read-only since a failed commit, restart to recover: {0}")]
    Poisoned(String),
    /// What is stored cannot be read back as it was written.
    #[error("the metadata store is corrupt: {0}")]
    Corrupt(String),
    /// The store is shut down. The request was not carried out.
    #[error("the metadata store is closed")]
    Closed,
}

impl MetaError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::LeaseNotFound(_) => ErrorKind::NotFound,
            Self::Locked { .. } => ErrorKind::Conflict,
            Self::Full(_) | Self::Closed => ErrorKind::Unavailable,
            Self::Io { .. } | Self::Poisoned(_) => ErrorKind::Storage,
            Self::Corrupt(_) => ErrorKind::Corrupt,
        }
    }
}

/// Why a watch ended. The watcher must read the range again and watch from there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The watch asked for changes older than those still kept.
    #[error("changes before revision {oldest} are compacted")]
    Compacted {
        /// The oldest revision that can still be watched from.
        oldest: Revision,
    },
    /// The watcher fell so far behind that the next changes are no longer kept.
    #[error("the watcher is too slow: changes before revision {oldest} are compacted")]
    Lagged {
        /// The oldest revision that can still be watched from.
        oldest: Revision,
    },
    /// The store is shut down.
    #[error("the metadata store is closed")]
    Closed,
}

impl WatchError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Compacted { .. } | Self::Lagged { .. } => ErrorKind::Conflict,
            Self::Closed => ErrorKind::Unavailable,
        }
    }
}
