//! LZ4 as clients of the old formats write it: the frame's header checksum also covers the magic
//! number before the header, which it should not (KAFKA-3160). Clients of 0.8 and 0.9 write it so
//! and insist on it; those of 0.10 write what is right in v1 and know both.

use std::io::Read;

use base::limits::BATCH_UNPACKED_BYTES_MAX;
use bytes::Bytes;

use crate::batch::BatchError;
use crate::batch::compression::read_bounded;

/// Bytes of the magic number in front.
const MAGIC: usize = 4;
/// Flags that make the header longer: the content's size, a dictionary's id.
const CONTENT_SIZE: u8 = 1 << 3;
const DICTIONARY: u8 = 1;

/// Where the header checksum stands, a single byte: after the flags and what they announce.
fn checksum_at(frame: &[u8]) -> Option<usize> {
    let flags = *frame.get(MAGIC)?;
    let size = if flags & CONTENT_SIZE != 0 { 8 } else { 0 };
    let dictionary = if flags & DICTIONARY != 0 { 4 } else { 0 };
    Some(MAGIC + 2 + size + dictionary)
}

/// Decompresses a frame whatever its header checksum: the message around it has one of its own.
pub(super) fn decompress(packed: &Bytes) -> Result<Bytes, BatchError> {
    let cut = BatchError::Compression("the lz4 frame is cut short");
    let at = checksum_at(packed).ok_or(cut)?;
    let (before, rest) = packed.split_at_checked(at).ok_or(cut)?;
    let (_, after) = rest.split_first().ok_or(cut)?;
    let right = [checksum_of(before.get(MAGIC..).unwrap_or_default())];
    let frame = before.chain(right.as_slice()).chain(after);
    read_bounded(BATCH_UNPACKED_BYTES_MAX, lz4_flex::frame::FrameDecoder::new(frame))
}

/// Gives a frame of our own the checksum that old clients insist on.
pub(super) fn with_old_checksum(frame: &mut [u8]) {
    let Some(at) = checksum_at(frame) else { return };
    let old = checksum_of(frame.get(..at).unwrap_or_default());
    if let Some(checksum) = frame.get_mut(at) {
        *checksum = old;
    }
}

/// The checksum of a frame's header: the second byte of its XXH32.
fn checksum_of(header: &[u8]) -> u8 {
    let [.., second, _] = xxh32(header).to_be_bytes();
    second
}

const PRIMES: [u32; 5] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f, 0x1656_67b1];

/// XXH32 with seed 0 (source: the xxHash specification). A header is at most 18 bytes long.
fn xxh32(bytes: &[u8]) -> u32 {
    let [p1, p2, p3, p4, p5] = PRIMES;
    let round = |lane: u32, word: u32| {
        lane.wrapping_add(word.wrapping_mul(p2)).rotate_left(13).wrapping_mul(p1)
    };
    let mut stripes = bytes.chunks_exact(16);
    let mut lanes = [p1.wrapping_add(p2), p2, 0, 0_u32.wrapping_sub(p1)];
    for stripe in stripes.by_ref() {
        for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks().0) {
            *lane = round(*lane, u32::from_le_bytes(*word));
        }
    }
    let mut hash = if bytes.len() < 16 {
        p5
    } else {
        let turned = lanes.iter().zip([1, 7, 12, 18]).map(|(lane, by)| lane.rotate_left(by));
        turned.fold(0, u32::wrapping_add)
    };
    hash = hash.wrapping_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    let (words, rest) = stripes.remainder().as_chunks();
    for word in words {
        let word = u32::from_le_bytes(*word);
        hash = hash.wrapping_add(word.wrapping_mul(p3)).rotate_left(17).wrapping_mul(p4);
    }
    for byte in rest {
        hash = hash.wrapping_add(u32::from(*byte).wrapping_mul(p5)).rotate_left(11);
        hash = hash.wrapping_mul(p1);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(p2);
    hash = (hash ^ (hash >> 13)).wrapping_mul(p3);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the reference implementation (python-xxhash).
    #[test]
    fn xxh32_is_the_real_one() {
        assert_eq!(xxh32(b""), 0x02cc_5d05);
        assert_eq!(xxh32(b"abc"), 0x32d1_53ff);
        assert_eq!(xxh32(b"0123456789abcdef01"), 0xa531_44f3);
    }
}
