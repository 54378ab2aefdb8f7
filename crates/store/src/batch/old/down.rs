//! Record batches to message sets, for consumers that know nothing newer.

use base::{Millis, Offset};
use bytes::{BufMut, Bytes, BytesMut};

use super::{FRAME, Format, checksum, compress};
use crate::batch::{Batch, BatchError, Compression, Record, RecordHeaders};

/// Most bytes of messages in one wrapper before compression. A batch that unpacks to more becomes
/// several wrappers, which bounds what is held in memory.
const WRAPPER_BYTES_MAX: usize = 1024 * 1024;

/// The attribute of a message whose timestamp a broker set.
const APPEND_TIME: i8 = 1 << 3;

/// Why a batch has no form in an old format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DownConvertError {
    /// The old formats have no such codec, and what is in them was not meant to be unpacked.
    #[error("the batch is compressed with zstd, which the client cannot know")]
    Zstd,
    /// The batch cannot be read.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// Turns batches into one message set. Headers are dropped, and so are the broker's own markers;
/// compressed batches stay compressed.
#[derive(Debug)]
pub struct DownConverter {
    format: Format,
    from: Offset,
    max_bytes: usize,
    set: BytesMut,
    full: bool,
}

/// What the messages of one batch have in common.
struct Common {
    codec: Compression,
    append_time: bool,
}

/// Messages on their way into one wrapper.
#[derive(Default)]
struct Inside {
    set: BytesMut,
    first: Offset,
    last: Offset,
    max_timestamp: Millis,
}

impl DownConverter {
    /// Begins a set of at most `max_bytes`, whose first message may be larger, with the messages
    /// from the offset `from` on.
    pub fn new(format: Format, from: Offset, max_bytes: usize) -> Self {
        Self { format, from, max_bytes, set: BytesMut::new(), full: false }
    }

    /// Whether nothing more fits.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// No message yet.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// The set, made of whole messages.
    pub fn finish(self) -> Bytes {
        self.set.freeze()
    }

    /// Adds the messages of a batch, as many as fit.
    ///
    /// # Errors
    /// When the batch cannot be converted. What was added before stays.
    pub fn push(&mut self, batch: &Batch) -> Result<(), DownConvertError> {
        let header = batch.header();
        if self.full || header.is_control() || header.last_offset() < self.from {
            return Ok(());
        }
        let codec = header.compression()?;
        if codec == Compression::Zstd {
            return Err(DownConvertError::Zstd);
        }
        let common = Common { codec, append_time: header.is_log_append_time() };
        let mut inside = Inside::default();
        for record in batch.records()? {
            let record = record?;
            if record.offset < self.from {
                continue;
            }
            if codec == Compression::None {
                self.add_plain(&record, &common);
            } else {
                self.add_inside(&mut inside, &record, &common)?;
            }
            if self.full {
                return Ok(());
            }
        }
        self.close(&mut inside, &common)
    }

    /// Whether so many bytes more may go out; if not, nothing more may.
    fn fits(&mut self, bytes: usize) -> bool {
        self.full = !self.set.is_empty() && self.set.len() + bytes > self.max_bytes;
        !self.full
    }

    fn add_plain(&mut self, record: &Record, common: &Common) {
        if self.fits(size(self.format, record)) {
            let attributes = common.attributes(Compression::None);
            put(&mut self.set, self.format, record.offset, record.timestamp, attributes, record);
        }
    }

    fn add_inside(
        &mut self,
        inside: &mut Inside,
        record: &Record,
        common: &Common,
    ) -> Result<(), DownConvertError> {
        let limit = WRAPPER_BYTES_MAX.min(self.max_bytes);
        if !inside.set.is_empty() && inside.set.len() + size(self.format, record) > limit {
            self.close(inside, common)?;
            if self.full {
                return Ok(());
            }
        }
        if inside.set.is_empty() {
            inside.first = record.offset;
            inside.max_timestamp = record.timestamp;
        }
        inside.last = record.offset;
        inside.max_timestamp = inside.max_timestamp.max(record.timestamp);
        let offset = match self.format {
            Format::V0 => record.offset,
            Format::V1 => record.offset.wrapping_sub(inside.first),
        };
        let attributes = common.attributes(Compression::None);
        put(&mut inside.set, self.format, offset, record.timestamp, attributes, record);
        Ok(())
    }

    /// Packs what is inside into a wrapper.
    fn close(&mut self, inside: &mut Inside, common: &Common) -> Result<(), DownConvertError> {
        let inside = std::mem::take(inside);
        if inside.set.is_empty() {
            return Ok(());
        }
        let packed = compress(common.codec, self.format, &inside.set)?;
        let wrapper = Record {
            offset: inside.last,
            timestamp: inside.max_timestamp,
            key: None,
            value: Some(packed.into()),
            headers: RecordHeaders::default(),
        };
        if self.fits(size(self.format, &wrapper)) {
            let attributes = common.attributes(common.codec);
            put(
                &mut self.set,
                self.format,
                wrapper.offset,
                wrapper.timestamp,
                attributes,
                &wrapper,
            );
        }
        Ok(())
    }
}

impl Common {
    fn attributes(&self, codec: Compression) -> i8 {
        let codec = i8::try_from(codec.bits()).unwrap_or(0);
        if self.append_time { codec | APPEND_TIME } else { codec }
    }
}

/// Bytes of a record's message.
fn size(format: Format, record: &Record) -> usize {
    let length = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
    format.overhead() + length(&record.key) + length(&record.value)
}

/// Writes a message: key and value of `record` with this offset, timestamp and these attributes.
fn put(
    set: &mut BytesMut,
    format: Format,
    offset: Offset,
    timestamp: Millis,
    attributes: i8,
    record: &Record,
) {
    set.reserve(size(format, record));
    set.put_i64(offset);
    // A record comes from a batch, whose size is an i32, and is not much larger here.
    set.put_i32(i32::try_from(size(format, record) - FRAME).unwrap_or(i32::MAX));
    let crc_at = set.len();
    set.put_u32(0);
    set.put_i8(format.magic());
    // v0 has no timestamps, so nobody set them.
    set.put_i8(if format == Format::V0 { attributes & !APPEND_TIME } else { attributes });
    if format == Format::V1 {
        set.put_i64(timestamp);
    }
    put_nullable(set, record.key.as_deref());
    put_nullable(set, record.value.as_deref());
    let body_at = crc_at + size_of::<u32>();
    let crc = checksum(set.get(body_at..).unwrap_or_default());
    if let Some(field) = set.get_mut(crc_at..body_at) {
        field.copy_from_slice(&crc.to_be_bytes());
    }
}

fn put_nullable(set: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        None => set.put_i32(-1),
        Some(bytes) => {
            set.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
            set.put_slice(bytes);
        }
    }
}
