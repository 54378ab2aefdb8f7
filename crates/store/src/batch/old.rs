//! Message sets: formats v0 and v1, which came before record batches and are still what clients of
//! that age write and read. They are never stored; they are converted on their way in and out.
//!
//! A set is messages one after the other (all integers big-endian; source: the message format
//! chapters of Kafka's documentation, KIP-31 and KIP-32):
//!
//! ```text
//!  0 offset i64        17 attributes i8: codec in bits 0-2, bit 3: the broker's time (v1)
//!  8 size i32          18 timestamp i64 (v1 only)
//! 12 crc u32           .. key: length i32 (-1: null), bytes
//! 16 magic i8 (0, 1)   .. value, likewise
//! ```
//!
//! `crc` is CRC-32 (IEEE) of everything after it. Compressed messages are a set in the value of
//! another message, the wrapper, whose offset is that of the last of them. Inside, v0 counts
//! offsets as outside, v1 counts them from anywhere.

mod down;
mod lz4;
mod read;

use base::Offset;
use bytes::Bytes;

pub use down::{DownConvertError, DownConverter};
pub use read::{Message, Messages};

use super::{Batch, BatchBuilder, BatchError, Compression, NewRecord};

/// The timestamp of a message that has none.
pub const NO_TIMESTAMP: i64 = -1;

/// Bytes of a message besides key and value, in v0.
const OVERHEAD: usize = 26;
/// Bytes before the part that `size` counts.
const FRAME: usize = 12;

/// A format before record batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Without timestamps (0.8 and 0.9).
    V0,
    /// With timestamps, and relative offsets inside wrappers (0.10).
    V1,
}

impl Format {
    fn magic(self) -> i8 {
        match self {
            Self::V0 => 0,
            Self::V1 => 1,
        }
    }

    /// Bytes of a message besides key and value.
    fn overhead(self) -> usize {
        match self {
            Self::V0 => OVERHEAD,
            Self::V1 => OVERHEAD + size_of::<i64>(),
        }
    }
}

/// Makes one record batch of a produced message set. The messages are numbered anew, and compressed
/// together as the first compressed one of them was. Messages of v0 get [`NO_TIMESTAMP`].
///
/// # Errors
/// When the set is damaged, cut short or empty, when it unpacks to too much, or when a message
/// claims to bear the broker's time.
pub fn up_convert(set: &Bytes) -> Result<Batch, BatchError> {
    let mut builder = BatchBuilder::new(read::compression(set)?);
    for message in Messages::of(set.clone()) {
        let message = message?;
        if message.append_time {
            return Err(BatchError::Malformed("only a broker stamps the time of appending"));
        }
        builder.push(&NewRecord {
            timestamp: message.timestamp,
            key: message.key.as_deref(),
            value: message.value.as_deref(),
            headers: &[],
        });
    }
    builder.build()
}

/// CRC-32 as in IEEE 802.3.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes);
    // The algorithm is 32 bits wide; the library returns all widths as u64.
    u32::try_from(crc).unwrap_or(0)
}

/// Decompresses the value of a wrapper.
fn decompress(codec: Compression, packed: &Bytes) -> Result<Bytes, BatchError> {
    match codec {
        // Zstd is younger than these formats (KIP-110).
        Compression::Zstd => Err(BatchError::Compression("unknown codec")),
        Compression::Lz4 => lz4::decompress(packed),
        codec => codec.decompress(packed),
    }
}

/// Compresses a set for the value of a wrapper.
fn compress(codec: Compression, format: Format, set: &[u8]) -> Result<Vec<u8>, BatchError> {
    let mut packed = codec.compress(set)?;
    if codec == Compression::Lz4 && format == Format::V0 {
        lz4::with_old_checksum(&mut packed);
    }
    Ok(packed)
}

/// `offset + by`, for offsets that a peer made up.
fn shifted(offset: Offset, by: Offset) -> Offset {
    offset.wrapping_add(by)
}

#[cfg(test)]
mod tests;
