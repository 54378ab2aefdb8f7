//! Bugs put in on purpose, to see whether the simulation finds them: each is one of a kind that
//! brokers have had. They are there only with the feature `planted`, which nothing that is shipped
//! has; without it [`is`] is a constant `false`, and the compiler takes the bug out.

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// Appends are acknowledged when they are written, before they are synced.
    AckBeforeSync = 1,
    /// An error of syncing the write-ahead log is lost.
    LostSyncError,
    /// Recovery begins one frame too late.
    RecoveryOffByOne,
    /// The checkpoint is written before the segments that it names are synced.
    SegmentsNotSynced,
    /// A new file of the write-ahead log is synced, its folder's entry is not.
    FolderNotSynced,
    /// Changes of the metadata are acknowledged before they are synced.
    MetadataNotSynced,
    /// Acknowledgements of shared subscriptions are answered without being journalled.
    DoubleRedelivery,
    /// Checkpoints leave out what makes producers idempotent.
    ProducersForgotten,
    /// Readers of committed records are not told which transactions were aborted.
    AbortedShown,
    /// Compaction keeps older records of a key and drops the newest.
    OlderKept,
}

/// All of them.
pub const ALL: [Bug; 10] = [
    Bug::AckBeforeSync,
    Bug::LostSyncError,
    Bug::RecoveryOffByOne,
    Bug::SegmentsNotSynced,
    Bug::FolderNotSynced,
    Bug::MetadataNotSynced,
    Bug::DoubleRedelivery,
    Bug::ProducersForgotten,
    Bug::AbortedShown,
    Bug::OlderKept,
];

#[cfg(feature = "planted")]
static CHOSEN: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Whether this bug is in.
#[cfg(feature = "planted")]
pub fn is(bug: Bug) -> bool {
    CHOSEN.load(std::sync::atomic::Ordering::Relaxed) == bug as u8
}

/// Whether this bug is in.
#[cfg(not(feature = "planted"))]
pub const fn is(_: Bug) -> bool {
    false
}

/// Puts one bug into this process, or none.
#[cfg(feature = "planted")]
pub fn choose(bug: Option<Bug>) {
    CHOSEN.store(bug.map_or(0, |bug| bug as u8), std::sync::atomic::Ordering::Relaxed);
}
