//! What can go wrong, by operation.

use std::io;
use std::path::PathBuf;

use base::{ErrorKind, Offset};

/// Why a data folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system refused something.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Another process holds the folder.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// Written by a version that this one does not know.
    #[error("{}: format version {found} is not known to this program", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version that it names.
        found: u16,
    },
    /// Data that was on stable storage can no longer be read.
    #[error("{}: damaged at byte {position}: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// What is wrong.
        detail: String,
    },
}

impl OpenError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } => ErrorKind::Storage,
            Self::InUse { .. } => ErrorKind::Conflict,
            Self::Version { .. } => ErrorKind::Invalid,
            Self::Damaged { .. } => ErrorKind::Corrupt,
        }
    }

    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// Why batches were not appended. Nothing of the failed entry is visible, now or later, except
/// after [`AppendError::Failed`], where a crash decides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The log was deleted, or never existed.
    #[error("no such log")]
    NotFound,
    /// The idempotent producer's sequence number leaves a gap.
    #[error("producer {producer}: sequence {found} where {expected} was expected")]
    OutOfOrder {
        /// Producer id.
        producer: i64,
        /// First sequence number of the batch.
        found: i32,
        /// The one that would have continued.
        expected: i32,
    },
    /// A newer instance of this producer has taken over.
    #[error("producer {producer}: epoch {found} is older than {current}")]
    Fenced {
        /// Producer id.
        producer: i64,
        /// The batch's epoch.
        found: i16,
        /// The epoch of the newer instance.
        current: i16,
    },
    /// The disk is full. Appending goes on by itself once there is room.
    #[error("no space left for the log")]
    DiskFull,
    /// The disk failed; the broker acknowledges nothing more until it is restarted. (Where the
    /// process is short of file descriptors or memory, only until it no longer is; then nothing
    /// was written, and [`crate::Store::health`] stays good.)
    #[error("storage failed: {0}")]
    Failed(String),
    /// The broker is stopping.
    #[error("the log is closed")]
    Closed,
}

impl AppendError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::OutOfOrder { .. } => ErrorKind::Invalid,
            Self::Fenced { .. } => ErrorKind::Conflict,
            Self::DiskFull | Self::Closed => ErrorKind::Unavailable,
            Self::Failed(_) => ErrorKind::Storage,
        }
    }
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No record has this offset: it was deleted, or is not written yet.
    #[error("offset {offset} is outside of {start}..{end}")]
    OutOfRange {
        /// The offset asked for.
        offset: Offset,
        /// First offset of the log.
        start: Offset,
        /// Offset that the next record will get.
        end: Offset,
    },
    /// The records at this offset are damaged; they lie in the quarantine folder.
    #[error("the records from offset {from} to {to} are damaged")]
    Damaged {
        /// First damaged offset.
        from: Offset,
        /// First offset after the damage.
        to: Offset,
    },
    /// The operating system refused.
    #[error("reading the log: {0}")]
    Io(#[from] io::Error),
}

impl ReadError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::OutOfRange { .. } => ErrorKind::Invalid,
            Self::Damaged { .. } => ErrorKind::Corrupt,
            Self::Io(_) => ErrorKind::Storage,
        }
    }
}
