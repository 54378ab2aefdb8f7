//! How a log, and the store as a whole, behave. Values come from the topic's configuration.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::{Disk, Random, SystemRandom, Threads};

/// When an append to a log is acknowledged, and its records become visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// As soon as it is in the broker's memory; written with the next frame. Lost if the process
    /// dies at once.
    Memory,
    /// When the operating system has it. Survives the death of the process, not of the machine.
    Os,
    /// When it is on stable storage. The default.
    Fsync,
}

/// How one log keeps its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// When appends are acknowledged.
    pub durability: Durability,
    /// Records older than this may be deleted, in milliseconds; `None` keeps them for ever.
    pub retention_ms: Option<i64>,
    /// Oldest records may be deleted when the log is larger than this; `None` is no limit.
    pub retention_bytes: Option<u64>,
    /// A segment is closed when it is larger than this. Deletion works by whole segments.
    pub segment_bytes: u64,
    /// A segment is closed when it is older than this, in milliseconds.
    pub segment_ms: i64,
    /// Of records with the same key the newest is kept, and others may go; `None` keeps them all.
    pub compaction: Option<Compaction>,
}

/// How a log is compacted by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compaction {
    /// A record is not touched before it is this old, in milliseconds.
    pub min_lag_ms: i64,
    /// A record that is older than this makes the log due, in milliseconds.
    pub max_lag_ms: i64,
    /// Else the log is due when more than this part of it was added since, in millionths.
    pub dirty_ppm: u32,
    /// A deletion mark is kept this long after it was first compacted, in milliseconds, so that
    /// readers that began before see it.
    pub delete_retention_ms: i64,
}

impl LogOptions {
    /// How old a segment gets before it is closed: no older than records may get before they are
    /// compacted.
    pub(crate) fn segment_age_max(&self) -> i64 {
        let lag = self.compaction.map_or(i64::MAX, |compaction| compaction.max_lag_ms);
        self.segment_ms.min(lag.max(1))
    }
}

impl Default for LogOptions {
    fn default() -> Self {
        const DAY: i64 = 24 * 60 * 60 * 1000;
        Self {
            durability: Durability::Fsync,
            retention_ms: Some(7 * DAY),
            retention_bytes: None,
            segment_bytes: 1 << 30,
            segment_ms: 7 * DAY,
            compaction: None,
        }
    }
}

/// How the store works. The defaults suit one machine of any size.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The data folder; made if missing.
    pub dir: PathBuf,
    /// Size of one write-ahead log file. A frame larger than this gets a file of its own size.
    pub wal_file_bytes: u64,
    /// Records are moved from the write-ahead log to segments when this many bytes wait …
    pub flush_bytes: usize,
    /// … or when the oldest waits this long.
    pub flush_after: Duration,
    /// Records that wait for segments live in memory, too. At this many bytes appends wait.
    pub tail_bytes_max: usize,
    /// How often retention is enforced.
    pub retention_interval: Duration,
    /// How logs are compacted.
    pub cleaner: CleanerOptions,
    /// Idempotent producers unheard of for this long are forgotten, in milliseconds.
    pub producer_expiry_ms: i64,
    /// Where the folder is.
    pub disk: Disk,
    /// What the store's threads run on.
    pub threads: Threads,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

impl StoreOptions {
    /// The defaults, in this folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            wal_file_bytes: 32 << 20,
            flush_bytes: 16 << 20,
            flush_after: Duration::from_secs(5),
            tail_bytes_max: 40 << 20,
            retention_interval: Duration::from_secs(300),
            cleaner: CleanerOptions::default(),
            producer_expiry_ms: 24 * 60 * 60 * 1000,
            disk: Disk::System,
            threads: Threads::System,
            random: Arc::new(SystemRandom),
        }
    }
}

/// The thread that compacts logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanerOptions {
    /// Whether any log is compacted.
    pub enabled: bool,
    /// How long it rests when no log is due.
    pub backoff: Duration,
    /// Most bytes of memory for the table of a log's keys, [`KEY_BYTES`] each. A log with more new
    /// keys than fit is compacted in several rounds.
    pub table_bytes: usize,
    /// Most bytes that it reads and writes a second; `None` is no limit.
    pub bytes_per_second: Option<u64>,
}

/// What of the options is changed while the store is open; `None`: as it was opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tuning {
    /// [`CleanerOptions::backoff`].
    pub cleaner_backoff: Option<Duration>,
    /// [`CleanerOptions::table_bytes`]. Takes effect with the next round.
    pub cleaner_table_bytes: Option<usize>,
    /// [`CleanerOptions::bytes_per_second`].
    pub cleaner_bytes_per_second: Option<Option<u64>>,
    /// [`StoreOptions::producer_expiry_ms`].
    pub producer_expiry_ms: Option<i64>,
}

/// Bytes that a key takes in the cleaner's table, however long it is.
pub const KEY_BYTES: usize = 24;

impl Default for CleanerOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            backoff: Duration::from_secs(15),
            table_bytes: 128 << 20,
            bytes_per_second: None,
        }
    }
}
