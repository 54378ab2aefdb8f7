//! The partitioned log: batches, frames, the write-ahead log, segments, recovery, retention.
//!
//! The way of a batch: [`Store::append`] hands it to the lane's single writer (`writer.rs`), which
//! assigns its offset, copies it into a frame (`frame.rs`), makes the frame durable (`wal/`) and
//! publishes it in its [`Log`]. The flusher (`flusher.rs`) later moves it to a segment
//! (`segment.rs`) and records that in the checkpoint (`checkpoint.rs`). The cleaner (`compaction/`)
//! rewrites segments of logs of which only the newest record of each key is wanted. A start reads the
//! checkpoint, then the frames after it (`recovery.rs`).

pub mod batch;
mod blocking;
mod checkpoint;
mod compaction;
mod disk_space;
mod error;
mod figures;
mod flusher;
mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod gather;
mod health;
mod log;
mod options;
mod producers;
mod recovery;
mod segment;
mod shared;
mod signal;
mod sink;
mod store;
mod transactions;
mod wal;
mod writer;

pub use disk_space::DiskSpace;
pub use error::{AppendError, OpenError, ReadError};
pub use log::{Log, LogStatus, ReadBatches, Seen};
pub use options::{
    CleanerOptions, Compaction, Durability, KEY_BYTES, LogOptions, StoreOptions, Tuning,
};
pub use producers::ProducerStatus;
pub use recovery::Recovered;
pub use signal::{News, Signal, Watching};
pub use sink::CommitSink;
pub use store::{Append, Pending, Store};
pub use transactions::Aborted;
pub use writer::Appended;

pub(crate) use batch::sequence_after_last as batch_sequence_after;
