//! Records, as producers pack them.

use bytes::{BufMut, Bytes};
use store::batch::old::{DownConvertError, DownConverter, Format, Messages, up_convert};
use store::batch::{Batch, BatchError, Compression, HEADER_BYTES};
use store::fuzz;

/// What stands after the first byte is compressed first, with the codec that its low bits name.
const PACK: u8 = 1 << 3;
/// Checksums are left as they are.
const AS_IT_IS: u8 = 1 << 4;
/// The wrapper is of format v1.
const NEWER: u8 = 1 << 5;
/// Most bytes of a converted set.
const SET_BYTES_MAX: usize = 1 << 20;

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

fn codec(flags: u8) -> (u8, Compression) {
    let number = (flags & 7) % 5;
    (number, CODECS[usize::from(number)])
}

/// A byte of flags, and a batch.
pub(super) fn batch(input: &[u8]) {
    let Some((flags, bytes)) = input.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if flags & PACK != 0 && bytes.len() >= HEADER_BYTES {
        let (number, codec) = codec(*flags);
        let packed = codec.compress(&bytes[HEADER_BYTES..]).expect("memory does not fail");
        bytes.truncate(HEADER_BYTES);
        bytes.extend(packed);
        bytes[22] = bytes[22] & !7 | number;
    }
    if flags & AS_IT_IS == 0 {
        fuzz::seal_batch(&mut bytes);
    }
    if let Ok(batch) = Batch::parse(bytes.into()) {
        let _ = use_batch(&batch);
    }
}

/// Everything that is done with a batch.
fn use_batch(batch: &Batch) -> Result<(), BatchError> {
    let _ = batch.check_produced();
    let records = batch.records()?.take_while(Result::is_ok).count();
    let stamped = batch.with_append_time(1_000)?;
    assert_eq!(stamped.records()?.take_while(Result::is_ok).count(), records);
    for codec in CODECS {
        // What is not compressed is checked, and may turn out to be malformed.
        let Ok(repacked) = batch.repacked(codec, Some(1)) else { continue };
        assert_eq!(repacked.records()?.take_while(Result::is_ok).count(), records, "{codec:?}");
    }
    for format in [Format::V0, Format::V1] {
        let from = batch.header().base_offset;
        let mut converter = DownConverter::new(format, from, SET_BYTES_MAX);
        match converter.push(batch) {
            Ok(()) | Err(DownConvertError::Batch(_)) => {}
            Err(DownConvertError::Zstd) => continue,
        }
        let set = converter.finish();
        assert!(Messages::of(set).all(|message| message.is_ok()), "a set of our own is readable");
    }
    fuzz::rewrite(batch)
}

/// A byte of flags, and a message set.
pub(super) fn message_set(input: &[u8]) {
    let Some((flags, set)) = input.split_first() else { return };
    let mut set = set.to_vec();
    if flags & AS_IT_IS == 0 {
        seal_messages(&mut set);
    }
    if flags & PACK != 0 {
        set = wrapped(*flags, &set);
    }
    let set = Bytes::from(set);
    let readable = Messages::of(set.clone()).take_while(Result::is_ok).count();
    if let Ok(batch) = up_convert(&set) {
        let records = batch.records().expect("we packed it");
        assert_eq!(records.take_while(Result::is_ok).count(), readable);
        let _ = batch.check_produced();
    }
}

/// Sets the checksum of each message that lies whole in the set.
fn seal_messages(set: &mut [u8]) {
    let mut rest = set;
    while let Some((front, after)) = rest.split_first_chunk_mut::<12>() {
        let [.., a, b, c, d] = *front;
        let size = usize::try_from(i32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let Some((message, after)) = after.split_at_mut_checked(size) else { return };
        if let Some((checksum, body)) = message.split_first_chunk_mut::<4>() {
            *checksum = fuzz::message_checksum(body).to_be_bytes();
        }
        rest = after;
    }
}

/// The set in a message of its own, compressed.
fn wrapped(flags: u8, set: &[u8]) -> Vec<u8> {
    let (number, codec) = codec(flags);
    let packed = codec.compress(set).expect("memory does not fail");
    let mut body = Vec::new();
    if flags & NEWER == 0 {
        body.put_slice(&[0, number]);
    } else {
        body.put_slice(&[1, number]);
        body.put_i64(1_000);
    }
    body.put_i32(-1);
    body.put_i32(i32::try_from(packed.len()).expect("inputs are small"));
    body.put_slice(&packed);
    let mut message = Vec::new();
    message.put_i64(7);
    message.put_i32(i32::try_from(body.len() + 4).expect("inputs are small"));
    message.put_u32(fuzz::message_checksum(&body));
    message.extend(body);
    message
}

/// The codec's number, and compressed bytes.
pub(super) fn codec_bytes(input: &[u8]) {
    let Some((number, packed)) = input.split_first() else { return };
    let (_, codec) = codec(*number);
    if let Ok(plain) = codec.decompress(&Bytes::copy_from_slice(packed)) {
        let packed = codec.compress(&plain).expect("memory does not fail");
        assert_eq!(codec.decompress(&packed.into()).as_ref(), Ok(&plain), "{codec:?}");
    }
}
