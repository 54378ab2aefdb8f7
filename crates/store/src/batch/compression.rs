//! The four codecs of the batch format. Decompression is bounded: a batch that unpacks to more
//! than the limit is refused, however small it was.

use std::io::{Read, Write};

use base::limits::BATCH_UNPACKED_BYTES_MAX;
use bytes::Bytes;

use super::BatchError;

/// Marks snappy data framed as `snappy-java` frames it (the Java client's form), followed by two
/// version numbers; blocks of `length u32, raw snappy` follow.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER: usize = 16;

/// How a batch's records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy, raw or in the Java client's block framing.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// From the three bits of the batch attributes.
    pub(crate) fn from_bits(bits: i16) -> Result<Self, BatchError> {
        match bits {
            0 => Ok(Self::None),
            1 => Ok(Self::Gzip),
            2 => Ok(Self::Snappy),
            3 => Ok(Self::Lz4),
            4 => Ok(Self::Zstd),
            _ => Err(BatchError::Compression("unknown codec")),
        }
    }

    /// As the three bits of the batch attributes.
    pub(crate) fn bits(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The codec of this name, as configuration spells it.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "gzip" => Some(Self::Gzip),
            "snappy" => Some(Self::Snappy),
            "lz4" => Some(Self::Lz4),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Compresses `plain`.
    pub fn compress(self, plain: &[u8]) -> Result<Vec<u8>, BatchError> {
        self.compress_at(None, plain)
    }

    /// Compresses `plain` at a level of the codec, where it has several (gzip: 1 to 9, zstd: up to
    /// 22); `None` is the codec's own choice.
    pub fn compress_at(self, level: Option<i32>, plain: &[u8]) -> Result<Vec<u8>, BatchError> {
        let failed = |_| BatchError::Compression("the codec failed");
        match self {
            Self::None => Ok(plain.to_vec()),
            Self::Gzip => {
                let level = level.and_then(|level| u32::try_from(level).ok());
                let level = level.map_or_else(flate2::Compression::default, |level| {
                    flate2::Compression::new(level.min(9))
                });
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(plain).map_err(failed)?;
                encoder.finish().map_err(failed)
            }
            Self::Snappy => xerial_compress(plain),
            Self::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(plain).map_err(failed)?;
                encoder.finish().map_err(|_| BatchError::Compression("the codec failed"))
            }
            Self::Zstd => zstd::encode_all(plain, level.unwrap_or(0)).map_err(failed),
        }
    }

    /// Decompresses `packed`, to at most the limit.
    pub fn decompress(self, packed: &Bytes) -> Result<Bytes, BatchError> {
        self.decompress_to(BATCH_UNPACKED_BYTES_MAX, packed)
    }

    /// Decompresses `packed`, to at most so many bytes, and to no more than the limit.
    pub(super) fn decompress_to(self, most: usize, packed: &Bytes) -> Result<Bytes, BatchError> {
        let most = most.min(BATCH_UNPACKED_BYTES_MAX);
        match self {
            Self::None => Ok(packed.clone()),
            Self::Gzip => read_bounded(most, flate2::read::MultiGzDecoder::new(packed.as_ref())),
            Self::Snappy => snappy_decompress(most, packed).map(Bytes::from),
            Self::Lz4 => read_bounded(most, lz4_flex::frame::FrameDecoder::new(packed.as_ref())),
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::new(packed.as_ref());
                read_bounded(most, decoder.map_err(|_| BatchError::Compression("not zstd"))?)
            }
        }
    }
}

/// Reads to the end, or to the limit.
pub(super) fn read_bounded(most: usize, reader: impl Read) -> Result<Bytes, BatchError> {
    let mut plain = Vec::new();
    reader
        .take((most as u64).saturating_add(1))
        .read_to_end(&mut plain)
        .map_err(|_| BatchError::Compression("the compressed data is damaged"))?;
    if plain.len() > most {
        return Err(BatchError::TooLarge(most));
    }
    Ok(plain.into())
}

/// What a snappy block unpacks to, at most, for each byte of it: its shortest element that copies 64
/// bytes takes three.
const SNAPPY_RATIO_MAX: usize = 22;

/// One raw snappy block; its length stands in front, so it is checked before it is allocated.
fn snappy_block(most: usize, packed: &[u8], already: usize) -> Result<Vec<u8>, BatchError> {
    let damaged = |_| BatchError::Compression("the snappy data is damaged");
    let length = snap::raw::decompress_len(packed).map_err(damaged)?;
    if length.saturating_add(already) > most {
        return Err(BatchError::TooLarge(most));
    }
    if length > packed.len().saturating_mul(SNAPPY_RATIO_MAX) {
        return Err(BatchError::Compression("the snappy data is damaged"));
    }
    snap::raw::Decoder::new().decompress_vec(packed).map_err(damaged)
}

fn snappy_decompress(most: usize, packed: &[u8]) -> Result<Vec<u8>, BatchError> {
    if !packed.starts_with(XERIAL_MAGIC) {
        return snappy_block(most, packed, 0);
    }
    let cut = BatchError::Compression("the snappy framing is cut short");
    let mut rest = packed.get(XERIAL_HEADER..).ok_or(cut)?;
    let mut plain = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (block, after) = after.split_at_checked(length).ok_or(cut)?;
        plain.extend_from_slice(&snappy_block(most, block, plain.len())?);
        rest = after;
    }
    if rest.is_empty() { Ok(plain) } else { Err(cut) }
}

/// Compresses as the Java client does, which every client reads.
fn xerial_compress(plain: &[u8]) -> Result<Vec<u8>, BatchError> {
    const BLOCK: usize = 32 * 1024;
    let mut packed = XERIAL_MAGIC.to_vec();
    packed.extend_from_slice(&1u32.to_be_bytes());
    packed.extend_from_slice(&1u32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in plain.chunks(BLOCK) {
        let block =
            encoder.compress_vec(block).map_err(|_| BatchError::Compression("the codec failed"))?;
        let length = u32::try_from(block.len())
            .map_err(|_| BatchError::Compression("the block is too large"))?;
        packed.extend_from_slice(&length.to_be_bytes());
        packed.extend_from_slice(&block);
    }
    Ok(packed)
}
