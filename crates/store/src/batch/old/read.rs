//! Reading message sets, wrappers opened on the way.

use base::limits::BATCH_UNPACKED_BYTES_MAX;
use base::{Millis, Offset};
use bytes::{Buf, Bytes};

use super::{FRAME, Format, NO_TIMESTAMP, checksum, decompress, shifted};
use crate::batch::{BatchError, Compression};

const COMPRESSION_MASK: i8 = 0b0000_0111;
const APPEND_TIME: i8 = 1 << 3;

const LENGTHS: BatchError = BatchError::Malformed("a message's lengths do not add up");

/// One message. Key and value are slices of the set, or of the unpacked wrapper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its position in the partition, as far as its writer knew it.
    pub offset: Offset,
    /// Milliseconds since the epoch, or [`NO_TIMESTAMP`].
    pub timestamp: Millis,
    /// The timestamp was set by a broker, not by the producer.
    pub append_time: bool,
    /// Absent is not the same as empty.
    pub key: Option<Bytes>,
    /// Absent is a deletion mark.
    pub value: Option<Bytes>,
}

/// A message as it stands in the set: plain, or a wrapper.
struct Raw {
    format: Format,
    codec: Compression,
    message: Message,
}

impl Raw {
    /// Takes the first message off a set and verifies its checksum.
    fn take(set: &mut Bytes) -> Result<Self, BatchError> {
        let (mut offset, mut size) = (set.as_ref(), set.get(8..).unwrap_or_default());
        let offset = offset.try_get_i64().map_err(|_| BatchError::Truncated)?;
        let size = size.try_get_i32().map_err(|_| BatchError::Truncated)?;
        let size = usize::try_from(size).map_err(|_| LENGTHS)?;
        if size > set.len() - FRAME {
            return Err(BatchError::Truncated);
        }
        set.advance(FRAME);
        let mut body = set.split_to(size);
        let crc = body.try_get_u32().map_err(|_| LENGTHS)?;
        let format = match body.first() {
            Some(0) => Format::V0,
            Some(1) => Format::V1,
            Some(_) => return Err(BatchError::Malformed("not a message of an old format")),
            None => return Err(LENGTHS),
        };
        if checksum(&body) != crc {
            return Err(BatchError::Checksum);
        }
        Self::decode(offset, format, body)
    }

    /// Reads what stands after the checksum.
    fn decode(offset: Offset, format: Format, mut body: Bytes) -> Result<Self, BatchError> {
        body.advance(1);
        let attributes = body.try_get_i8().map_err(|_| LENGTHS)?;
        let timestamp = match format {
            Format::V0 => NO_TIMESTAMP,
            Format::V1 => body.try_get_i64().map_err(|_| LENGTHS)?,
        };
        let key = take_nullable(&mut body)?;
        let value = take_nullable(&mut body)?;
        if !body.is_empty() {
            return Err(LENGTHS);
        }
        let append_time = format == Format::V1 && attributes & APPEND_TIME != 0;
        Ok(Self {
            format,
            codec: Compression::from_bits(i16::from(attributes & COMPRESSION_MASK))?,
            message: Message { offset, timestamp, append_time, key, value },
        })
    }
}

fn take_nullable(from: &mut Bytes) -> Result<Option<Bytes>, BatchError> {
    let length = from.try_get_i32().map_err(|_| LENGTHS)?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| LENGTHS)?;
    if length > from.len() {
        return Err(LENGTHS);
    }
    Ok(Some(from.split_to(length)))
}

/// The codec of the first wrapper in a set.
pub(super) fn compression(set: &Bytes) -> Result<Compression, BatchError> {
    let mut rest = set.clone();
    while !rest.is_empty() {
        let codec = Raw::take(&mut rest)?.codec;
        if codec != Compression::None {
            return Ok(codec);
        }
    }
    Ok(Compression::None)
}

/// Iterates over the messages of a set; ends after the first error. A set that was cut short, as
/// brokers of that age do it with a response, ends with [`BatchError::Truncated`].
#[derive(Debug)]
pub struct Messages {
    rest: Bytes,
    wrapper: Option<Wrapper>,
    /// Bytes that wrappers unpacked to so far.
    unpacked: usize,
}

/// A wrapper being read.
#[derive(Debug)]
struct Wrapper {
    rest: Bytes,
    format: Format,
    /// What to add to the offsets inside.
    shift: Offset,
    /// The broker's time for all messages inside, where the wrapper says so.
    append_time: Option<Millis>,
}

impl Messages {
    /// The messages of this set.
    pub fn of(set: Bytes) -> Self {
        Self { rest: set, wrapper: None, unpacked: 0 }
    }

    fn read(&mut self) -> Result<Option<Message>, BatchError> {
        if let Some(wrapper) = &mut self.wrapper {
            if !wrapper.rest.is_empty() {
                return wrapper.read().map(Some);
            }
            self.wrapper = None;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let raw = Raw::take(&mut self.rest)?;
        if raw.codec == Compression::None {
            return Ok(Some(raw.message));
        }
        let wrapper = self.wrapper.insert(Wrapper::open(raw)?);
        self.unpacked += wrapper.rest.len();
        if self.unpacked > BATCH_UNPACKED_BYTES_MAX {
            return Err(BatchError::TooLarge(BATCH_UNPACKED_BYTES_MAX));
        }
        wrapper.read().map(Some)
    }
}

impl Wrapper {
    fn open(raw: Raw) -> Result<Self, BatchError> {
        let Raw { format, codec, message } = raw;
        let packed = message.value.ok_or(BatchError::Malformed("a wrapper without content"))?;
        let rest = decompress(codec, &packed)?;
        let shift = match format {
            Format::V0 => 0,
            Format::V1 => shifted(message.offset, last_offset(&rest)?.wrapping_neg()),
        };
        let append_time = message.append_time.then_some(message.timestamp);
        Ok(Self { rest, format, shift, append_time })
    }

    fn read(&mut self) -> Result<Message, BatchError> {
        let raw = Raw::take(&mut self.rest)?;
        if raw.format != self.format || raw.codec != Compression::None {
            return Err(BatchError::Malformed("a message does not fit the wrapper around it"));
        }
        let Message { offset, timestamp, append_time, key, value } = raw.message;
        Ok(Message {
            offset: shifted(offset, self.shift),
            timestamp: self.append_time.unwrap_or(timestamp),
            append_time: append_time || self.append_time.is_some(),
            key,
            value,
        })
    }
}

/// The offset of a set's last message, found by hopping over the others.
fn last_offset(set: &[u8]) -> Result<Offset, BatchError> {
    let mut rest = set;
    loop {
        let offset = rest.try_get_i64().map_err(|_| LENGTHS)?;
        let size = rest.try_get_i32().map_err(|_| LENGTHS)?;
        let size = usize::try_from(size).map_err(|_| LENGTHS)?;
        rest = rest.get(size..).ok_or(LENGTHS)?;
        if rest.is_empty() {
            return Ok(offset);
        }
    }
}

impl Iterator for Messages {
    type Item = Result<Message, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = self.read();
        if message.is_err() {
            self.rest.clear();
            self.wrapper = None;
        }
        message.transpose()
    }
}
