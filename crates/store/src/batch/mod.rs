//! Record batches: the unit on disk and on the wire, Kafka's RecordBatch v2, kept verbatim.
//!
//! Layout (all integers big-endian; source: the message format chapter of Kafka's documentation):
//!
//! ```text
//!  0 baseOffset i64        27 baseTimestamp i64    57 recordCount i32
//!  8 batchLength i32       35 maxTimestamp i64     61 records …
//! 12 leaderEpoch i32       43 producerId i64
//! 16 magic i8 (2)          51 producerEpoch i16
//! 17 crc u32 (CRC-32C of everything from 21 on)
//! 21 attributes i16        53 baseSequence i32
//! 23 lastOffsetDelta i32
//! ```
//!
//! `baseOffset` and `leaderEpoch` lie outside the checksum, so a broker stamps them in place.

mod build;
mod compression;
mod header;
mod marker;
pub mod old;
mod records;
mod rewrite;

pub use build::{BatchBuilder, NewRecord};
pub use compression::Compression;
pub(crate) use header::sequence_after_last;
pub use header::{Batch, BatchError, BatchHeader, HEADER_BYTES};
pub use marker::Marker;
pub(crate) use marker::marker;
pub use records::{Record, RecordHeader, RecordHeaders, Records};

/// Producer id of a batch whose producer is not idempotent.
pub const NO_PRODUCER: i64 = -1;

#[cfg(test)]
mod tests;
