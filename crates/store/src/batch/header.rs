//! The 61 bytes that stand before a batch's records, and the checks a batch must pass to be stored.

use base::{ErrorKind, Millis, Offset};
use bytes::{Buf, BufMut, Bytes};

use super::compression::Compression;
use super::records;

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 61;
/// Bytes before the part that `batchLength` counts.
pub(crate) const LOG_OVERHEAD: usize = 12;
/// Where the checksummed part begins.
const CHECKED_FROM: usize = 21;
/// Where the checksum stands.
const CHECKSUM_AT: std::ops::Range<usize> = 17..21;
/// `magic` of the only format that is stored.
const MAGIC: i8 = 2;

const COMPRESSION_MASK: i16 = 0b0000_0111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
/// The base timestamp is the time at which deletion marks, or a spent marker, may go (KIP-534).
const DELETE_HORIZON: i16 = 1 << 6;
/// The base timestamp of a batch that has lost all of its records.
const NO_TIMESTAMP: Millis = -1;

/// Why bytes are not a batch that can be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than the header says, or than a header needs.
    #[error("the batch is cut short")]
    Truncated,
    /// A message format other than v2.
    #[error("message format version {0} is not supported, only 2 is")]
    Magic(i8),
    /// The checksum does not match: the bytes were damaged on their way.
    #[error("the batch's checksum is wrong")]
    Checksum,
    /// Lengths, counts or flags contradict each other.
    #[error("the batch contradicts itself: {0}")]
    Malformed(&'static str),
    /// Compressed with something unknown, or not decompressible.
    #[error("the batch cannot be decompressed: {0}")]
    Compression(&'static str),
    /// Decompresses to more than is allowed.
    #[error("the batch unpacks to more than {0} bytes")]
    TooLarge(usize),
    /// A record of a compressed batch is larger than its topic takes.
    #[error("a record has {size} bytes, unpacked, and may have {limit}")]
    RecordTooLarge {
        /// Its bytes.
        size: usize,
        /// How many it may have.
        limit: usize,
    },
}

impl BatchError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Checksum | Self::Truncated => ErrorKind::Corrupt,
            _ => ErrorKind::Invalid,
        }
    }
}

/// A batch's header, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Bytes of the whole batch, this header included.
    pub size: usize,
    /// Epoch of the owner that stored it.
    pub leader_epoch: i32,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Compression, timestamp type, and whether transactional or control.
    pub attributes: i16,
    /// Offset of the last record, counted from the first.
    pub last_offset_delta: i32,
    /// Timestamp that the records' deltas count from.
    pub base_timestamp: Millis,
    /// Largest timestamp in the batch.
    pub max_timestamp: Millis,
    /// Idempotent producer's id, or -1.
    pub producer_id: i64,
    /// That producer's epoch, or -1.
    pub producer_epoch: i16,
    /// That producer's sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// Records in the batch.
    pub count: i32,
}

impl BatchHeader {
    /// Decodes a header. Checks only that the bytes can be one; [`Batch::parse`] checks the rest.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, BatchError> {
        if bytes.len() < HEADER_BYTES {
            return Err(BatchError::Truncated);
        }
        let base_offset = bytes.get_i64();
        let length = bytes.get_i32();
        let leader_epoch = bytes.get_i32();
        let magic = bytes.get_i8();
        if magic != MAGIC {
            return Err(BatchError::Magic(magic));
        }
        let size = usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_add(LOG_OVERHEAD))
            .filter(|size| *size >= HEADER_BYTES)
            .ok_or(BatchError::Malformed("its length is shorter than its header"))?;
        Ok(Self {
            base_offset,
            size,
            leader_epoch,
            crc: bytes.get_u32(),
            attributes: bytes.get_i16(),
            last_offset_delta: bytes.get_i32(),
            base_timestamp: bytes.get_i64(),
            max_timestamp: bytes.get_i64(),
            producer_id: bytes.get_i64(),
            producer_epoch: bytes.get_i16(),
            base_sequence: bytes.get_i32(),
            count: bytes.get_i32(),
        })
    }

    /// The batch of this header and these records, packed already; size and checksum follow from
    /// them.
    pub(super) fn encode(&self, packed: &[u8]) -> Result<Bytes, BatchError> {
        Ok(self.complete(with_room(packed))?.bytes)
    }

    /// Puts this header into the room in front of records, which must be as many as it says; size
    /// and checksum follow from them.
    pub(super) fn complete(&self, mut batch: Vec<u8>) -> Result<Batch, BatchError> {
        let size = batch.len();
        let length = i32::try_from(size.saturating_sub(LOG_OVERHEAD))
            .map_err(|_| BatchError::Malformed("the batch is larger than 2 GiB"))?;
        let mut room = batch.get_mut(..HEADER_BYTES).ok_or(BatchError::Truncated)?;
        room.put_i64(self.base_offset);
        room.put_i32(length);
        room.put_i32(self.leader_epoch);
        room.put_i8(MAGIC);
        room.put_u32(0); // checksum: below
        room.put_i16(self.attributes);
        room.put_i32(self.last_offset_delta);
        room.put_i64(self.base_timestamp);
        room.put_i64(self.max_timestamp);
        room.put_i64(self.producer_id);
        room.put_i16(self.producer_epoch);
        room.put_i32(self.base_sequence);
        room.put_i32(self.count);
        let crc = checksum(&batch);
        if let Some(mut field) = batch.get_mut(CHECKSUM_AT) {
            field.put_u32(crc);
        }
        Ok(Batch { header: Self { size, crc, ..*self }, bytes: batch.into() })
    }

    /// As it is once all records are gone: it goes on telling which offsets and sequence numbers
    /// there were.
    pub(super) fn emptied(&self) -> Self {
        Self {
            attributes: self.attributes & !(COMPRESSION_MASK | DELETE_HORIZON),
            base_timestamp: NO_TIMESTAMP,
            count: 0,
            ..*self
        }
    }

    /// As it is with the broker's time for all records.
    pub(super) fn with_append_time(&self, time: Millis) -> Self {
        Self { attributes: self.attributes | LOG_APPEND_TIME, max_timestamp: time, ..*self }
    }

    /// As it is with its records packed by this codec.
    pub(super) fn with_codec(&self, codec: Compression) -> Self {
        Self { attributes: self.attributes & !COMPRESSION_MASK | codec.bits(), ..*self }
    }

    /// As it is with this time after which its deletion marks may go.
    pub(super) fn with_delete_horizon(&self, horizon: Millis) -> Self {
        Self { attributes: self.attributes | DELETE_HORIZON, base_timestamp: horizon, ..*self }
    }

    /// When the deletion marks in it, or the marker that it is, may go (KIP-534). Set when they are
    /// first compacted.
    pub fn delete_horizon(&self) -> Option<Millis> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Offset of the last record. What a peer or a disk says may be past any: that is the largest there is.
    pub fn last_offset(&self) -> Offset {
        self.base_offset.saturating_add(Offset::from(self.last_offset_delta))
    }

    /// Offset after the last record.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().saturating_add(1)
    }

    /// Offsets that the batch takes.
    pub(crate) fn offsets(&self) -> Offset {
        Offset::from(self.last_offset_delta) + 1
    }

    /// Sent by a producer that numbers its batches.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.producer_id >= 0
    }

    /// Sequence number of the last record (wraps to 0 after `i32::MAX`).
    pub fn last_sequence(&self) -> i32 {
        sequence_after(self.base_sequence, self.last_offset_delta)
    }

    /// How the records are compressed.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        Compression::from_bits(self.attributes & COMPRESSION_MASK)
    }

    /// Timestamps were set by the broker, not by the producer.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// A marker of the broker's own, not data.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }
}

/// `sequence + by`, as idempotent producers count: 0 follows `i32::MAX`.
pub(crate) fn sequence_after(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).unwrap_or(0)
}

/// Records, packed already, behind room for a header.
pub(super) fn with_room(packed: &[u8]) -> Vec<u8> {
    let mut batch = Vec::with_capacity(HEADER_BYTES + packed.len());
    batch.resize(HEADER_BYTES, 0);
    batch.extend_from_slice(packed);
    batch
}

/// The checksum of a batch's bytes from the attributes on.
pub(crate) fn checksum(batch: &[u8]) -> u32 {
    let checked = batch.get(CHECKED_FROM..).unwrap_or_default();
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, checked);
    // The algorithm is 32 bits wide; the library returns all widths as u64.
    u32::try_from(crc).unwrap_or(0)
}

/// One whole batch whose checksum and header have been verified.
#[derive(Debug, Clone)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    /// Takes one batch off the front of `bytes`, verifying its checksum, its counts and, where it
    /// is not compressed, that its records have the lengths they claim. Compressed records pass
    /// unopened.
    pub fn take(bytes: &mut Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::decode(bytes)?;
        if header.size > bytes.len() {
            return Err(BatchError::Truncated);
        }
        // The log's offsets are counted with it.
        if header.last_offset_delta < 0 {
            return Err(BatchError::Malformed("its last offset lies before its first"));
        }
        let bytes = bytes.split_to(header.size);
        if checksum(&bytes) != header.crc {
            return Err(BatchError::Checksum);
        }
        if header.compression()? == Compression::None && !header.is_control() {
            records::check_lengths(&bytes.slice(HEADER_BYTES..), header.count)?;
        }
        Ok(Self { header, bytes })
    }

    /// Takes exactly one batch; bytes after it are an error.
    pub fn parse(mut bytes: Bytes) -> Result<Self, BatchError> {
        let batch = Self::take(&mut bytes)?;
        if bytes.is_empty() {
            Ok(batch)
        } else {
            Err(BatchError::Malformed("bytes follow the batch"))
        }
    }

    /// What a client may store: at least one record, numbered without gaps, no control records.
    pub fn check_produced(&self) -> Result<(), BatchError> {
        let header = &self.header;
        if header.is_control() {
            return Err(BatchError::Malformed("only a broker writes control records"));
        }
        if header.count <= 0 || header.last_offset_delta != header.count - 1 {
            return Err(BatchError::Malformed("its record count and last offset disagree"));
        }
        if header.producer_id >= 0 && (header.producer_epoch < 0 || header.base_sequence < 0) {
            return Err(BatchError::Malformed("an idempotent producer without epoch or sequence"));
        }
        Ok(())
    }

    /// The decoded header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch, header included.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether its first record has headers, as far as that can be seen without unpacking: cheap.
    pub fn begins_with_headers(&self) -> bool {
        self.header.compression() == Ok(Compression::None)
            && records::begins_with_headers(self.bytes.get(HEADER_BYTES..).unwrap_or_default())
    }

    /// The batch's records, decompressed where needed.
    pub fn records(&self) -> Result<records::Records, BatchError> {
        records::Records::of(self, usize::MAX)
    }

    /// The batch's records, none of which may have more than so many bytes if the batch is
    /// compressed: no more of it is unpacked than records of that size can take. The record that
    /// is larger is an error.
    pub fn records_within(&self, bytes_max: usize) -> Result<records::Records, BatchError> {
        records::Records::of(self, bytes_max)
    }
}

/// The sequence number that continues after `last`.
pub(crate) fn sequence_after_last(last: i32) -> i32 {
    sequence_after(last, 1)
}
