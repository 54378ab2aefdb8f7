use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::batch::{HEADER_BYTES, header};

const CODECS: [Compression; 4] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4];
const FORMATS: [Format; 2] = [Format::V0, Format::V1];

/// Timestamp, key, value.
type Plain = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// The messages of `golden.txt`.
fn golden_messages() -> Vec<Plain> {
    let bytes = |text: &str| Some(text.as_bytes().to_vec());
    vec![
        (1000, bytes("k"), bytes("v")),
        (1001, None, bytes("")),
        (1002, bytes(""), None),
        (999, bytes("key-three"), Some("value-three ".repeat(6).into_bytes())),
    ]
}

/// The lines of `golden.txt`: name, format, codec, set.
fn golden() -> impl Iterator<Item = (&'static str, Format, Compression, Bytes)> {
    let lines = include_str!("golden.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let (name, hex) = line.split_once(' ').unwrap();
        let format = if name.contains("-v0-") { Format::V0 } else { Format::V1 };
        let codec = name.rsplit('-').next().unwrap().replace("plain", "none");
        let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        let set: Vec<u8> = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
        (name, format, Compression::from_name(&codec).unwrap(), set.into())
    })
}

fn batch(codec: Compression, records: &[Plain]) -> Batch {
    let mut builder = BatchBuilder::new(codec);
    for (timestamp, key, value) in records {
        let (key, value) = (key.as_deref(), value.as_deref());
        builder.push(&NewRecord {
            timestamp: *timestamp,
            key,
            value,
            headers: &[(b"dropped", None)],
        });
    }
    builder.build().unwrap()
}

/// The batch with these changes to its header and a right checksum.
fn changed(batch: &Batch, base_offset: i64, attributes: i16) -> Batch {
    let mut bytes = batch.bytes().to_vec();
    bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
    let attributes = batch.header().attributes | attributes;
    bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
    let crc = header::checksum(&bytes);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Batch::parse(bytes.into()).unwrap()
}

fn down(format: Format, from: i64, max_bytes: usize, batch: &Batch) -> Bytes {
    let mut converter = DownConverter::new(format, from, max_bytes);
    converter.push(batch).unwrap();
    converter.finish()
}

fn messages(set: &Bytes) -> Vec<Message> {
    Messages::of(set.clone()).map(Result::unwrap).collect()
}

fn plain(batch: &Batch) -> Vec<Plain> {
    let bytes = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.to_vec());
    let records = batch.records().unwrap().map(Result::unwrap);
    records.map(|r| (r.timestamp, bytes(r.key), bytes(r.value))).collect()
}

/// What is left of a record in a format.
fn as_in(format: Format, records: &[Plain]) -> Vec<Plain> {
    let time = |time| if format == Format::V0 { NO_TIMESTAMP } else { time };
    records.iter().cloned().map(|(t, key, value)| (time(t), key, value)).collect()
}

#[test]
fn what_old_clients_write_becomes_one_batch() {
    assert_eq!(golden().count(), 16);
    for (name, format, codec, set) in golden() {
        let batch = up_convert(&set).unwrap();
        batch.check_produced().unwrap();
        assert_eq!(batch.header().compression(), Ok(codec), "{name}");
        assert_eq!(plain(&batch), as_in(format, &golden_messages()), "{name}");
    }
}

#[test]
fn what_old_clients_read_is_what_they_write() {
    for (name, format, codec, set) in golden() {
        let ours = down(format, 0, usize::MAX, &batch(codec, &golden_messages()));
        assert_eq!(messages(&ours).len(), 4, "{name}");
        if codec == Compression::None {
            assert_eq!(ours, set, "{name}: the same bytes");
        }
        if codec == Compression::Lz4 && format == Format::V0 {
            // The frame's header in the wrapper: with the same flags the same wrong checksum.
            let frame = |set: &Bytes| {
                let at = set.windows(4).position(|w| w == b"\x04\x22\x4d\x18").unwrap();
                set.slice(at..at + 7)
            };
            assert_eq!(frame(&ours), frame(&set), "{name}");
        }
    }
}

#[test]
fn offsets_are_those_of_the_log_inside_and_outside_of_wrappers() {
    let records = golden_messages();
    for (format, codec) in FORMATS.iter().flat_map(|f| CODECS.map(|c| (*f, c))) {
        let batch = changed(&batch(codec, &records), 700, 0);
        for from in 698..704 {
            let set = down(format, from, usize::MAX, &batch);
            let offsets: Vec<_> = messages(&set).iter().map(|m| m.offset).collect();
            assert_eq!(offsets, (from.max(700)..704).collect::<Vec<_>>(), "{format:?} {codec:?}");
        }
        assert!(down(format, 704, usize::MAX, &batch).is_empty());
    }
}

#[test]
fn a_wrapper_counts_as_its_format_does() {
    let batch = changed(&batch(Compression::Gzip, &golden_messages()), 700, 0);
    for (format, first_inside) in [(Format::V0, 700), (Format::V1, 0)] {
        let set = down(format, 0, usize::MAX, &batch);
        assert_eq!(set[..8], 703_i64.to_be_bytes(), "a wrapper has its last message's offset");
        let value = set.slice(format.overhead()..);
        let inside = Compression::Gzip.decompress(&value).unwrap();
        assert_eq!(inside[..8], i64::to_be_bytes(first_inside), "{format:?}");
    }
}

#[test]
fn a_brokers_time_is_told_as_such_and_not_taken_from_a_producer() {
    const LOG_APPEND_TIME: i16 = 1 << 3;
    for codec in CODECS {
        let batch = changed(&batch(codec, &golden_messages()), 0, LOG_APPEND_TIME);
        let set = down(Format::V1, 0, usize::MAX, &batch);
        // The time of all is the batch's largest timestamp.
        assert!(messages(&set).iter().all(|m| m.append_time && m.timestamp == 1002), "{codec:?}");
        assert!(matches!(up_convert(&set), Err(BatchError::Malformed(_))), "{codec:?}");
        let set = down(Format::V0, 0, usize::MAX, &batch);
        assert!(messages(&set).iter().all(|m| !m.append_time && m.timestamp == NO_TIMESTAMP));
    }
}

#[test]
fn markers_are_skipped_and_zstd_is_refused() {
    const CONTROL: i16 = 1 << 5;
    let marker = changed(&batch(Compression::None, &golden_messages()), 0, CONTROL);
    let mut converter = DownConverter::new(Format::V1, 0, usize::MAX);
    converter.push(&marker).unwrap();
    assert!(converter.is_empty() && !converter.is_full());
    converter.push(&changed(&batch(Compression::None, &golden_messages()), 4, 0)).unwrap();
    let zstd = changed(&batch(Compression::Zstd, &golden_messages()), 8, 0);
    assert_eq!(converter.push(&zstd), Err(DownConvertError::Zstd));
    let offsets: Vec<_> = messages(&converter.finish()).iter().map(|m| m.offset).collect();
    assert_eq!(offsets, [4, 5, 6, 7]);
}

#[test]
fn no_more_bytes_than_asked_for_but_at_least_one_message() {
    let records: Vec<Plain> = (0..100).map(|n| (n, None, Some(vec![7; 1000]))).collect();
    for (format, codec) in FORMATS.iter().flat_map(|f| CODECS.map(|c| (*f, c))) {
        let batch = batch(codec, &records);
        for max_bytes in [0, 1, 1100, 5000, 20_000] {
            let (mut from, mut rounds) = (0, 0);
            while from < 100 {
                let mut converter = DownConverter::new(format, from, max_bytes);
                converter.push(&batch).unwrap();
                let full = converter.is_full();
                let set = converter.finish();
                let read = messages(&set);
                let one = read.len() == 1;
                assert!(set.len() <= max_bytes || one, "{format:?} {codec:?} {}", set.len());
                assert_eq!(read[0].offset, from);
                from = read.last().unwrap().offset + 1;
                assert_eq!(full, from < 100);
                rounds += 1;
            }
            assert!(rounds > 1 || codec != Compression::None);
        }
    }
}

#[test]
fn a_large_batch_becomes_several_wrappers() {
    let records: Vec<Plain> = (0..50).map(|n| (n, None, Some(vec![7; 100_000]))).collect();
    let set = down(Format::V1, 0, usize::MAX, &batch(Compression::Gzip, &records));
    assert_eq!(messages(&set).len(), 50);
    let (mut rest, mut wrappers) = (&set[..], 0);
    while !rest.is_empty() {
        let size = i32::from_be_bytes(*rest[8..].first_chunk().unwrap());
        rest = &rest[FRAME + size as usize..];
        wrappers += 1;
    }
    assert_eq!(wrappers, 5, "ten messages fit into one");
}

/// A message of v1 with a right checksum.
fn message(offset: i64, attributes: u8, value: &[u8]) -> Vec<u8> {
    let mut body = vec![1, attributes];
    body.extend(5_i64.to_be_bytes());
    body.extend((-1_i32).to_be_bytes());
    body.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
    body.extend(value);
    let mut whole = offset.to_be_bytes().to_vec();
    whole.extend(i32::try_from(body.len() + 4).unwrap().to_be_bytes());
    whole.extend(checksum(&body).to_be_bytes());
    whole.extend(body);
    whole
}

#[test]
fn what_is_no_message_set_is_refused() {
    let malformed = |set: Vec<u8>| {
        let error = up_convert(&set.into()).unwrap_err();
        assert!(matches!(error, BatchError::Malformed(_)), "{error}");
    };
    malformed(Vec::new());
    let gzip = |plain: &[u8]| Compression::Gzip.compress(plain).unwrap();
    let nested = message(0, 1, &gzip(&message(0, 1, &gzip(&message(0, 0, b"v")))));
    malformed(nested);
    malformed(message(0, 1, &gzip(b"")));
    malformed(message(0, 1, &gzip(b"nothing like a message")));
    malformed(batch(Compression::None, &golden_messages()).bytes().to_vec());
    let zstd = Compression::Zstd.compress(&message(0, 0, b"v")).unwrap();
    assert!(matches!(up_convert(&message(0, 4, &zstd).into()), Err(BatchError::Compression(_))));
    let mut cut = message(0, 0, b"v");
    cut.extend(message(1, 0, b"value").split_last().unwrap().1);
    assert_eq!(up_convert(&cut.into()).unwrap_err(), BatchError::Truncated);
}

#[test]
fn every_flipped_bit_is_found() {
    for (name, .., set) in golden() {
        // Of the first message, which is all there is where it is a wrapper. Its offset means
        // nothing in a produced set.
        let size = i32::from_be_bytes(*set[8..].first_chunk().unwrap()) as usize;
        for (at, bit) in (8..FRAME + size).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut damaged = set.to_vec();
            damaged[at] ^= 1 << bit;
            assert!(up_convert(&damaged.into()).is_err(), "{name}: bit {bit} of byte {at}");
        }
    }
}

#[test]
fn small_sets_that_unpack_to_too_much_are_refused() {
    const PART: usize = 100 * 1024 * 1024;
    let large = message(0, 0, &vec![0; PART]);
    for (codec, bits) in [(Compression::Gzip, 1), (Compression::Lz4, 3)] {
        let wrapper = message(0, bits, &codec.compress(&large).unwrap());
        assert!(wrapper.len() < PART / 100);
        let sets = [wrapper.repeat(3), {
            let inside = large.repeat(3);
            message(0, bits, &codec.compress(&inside).unwrap())
        }];
        for set in sets {
            let error = Messages::of(set.into()).find_map(Result::err).unwrap();
            assert!(matches!(error, BatchError::TooLarge(_)), "{codec:?}: {error}");
        }
    }
}

fn records() -> impl Strategy<Value = Vec<Plain>> {
    let bytes = |most| prop::option::of(prop::collection::vec(any::<u8>(), 0..most));
    let timestamp = prop_oneof![Just(-1), 0..i64::from(u32::MAX)];
    prop::collection::vec((timestamp, bytes(30), bytes(200)), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn all_but_headers_survives_the_way_down_and_up(
        records in records(), codec in 0..4_usize, old in 0..2_usize, base in 0..1_i64 << 60,
    ) {
        let (codec, format) = (CODECS[codec], FORMATS[old]);
        let batch = changed(&batch(codec, &records), base, 0);
        let set = down(format, base, usize::MAX, &batch);
        let offsets: Vec<_> = messages(&set).iter().map(|m| m.offset).collect();
        prop_assert_eq!(offsets, (base..).take(records.len()).collect::<Vec<_>>());
        let back = up_convert(&set).unwrap();
        prop_assert_eq!(back.header().compression(), Ok(codec));
        prop_assert_eq!(plain(&back), as_in(format, &records));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = up_convert(&Bytes::from(bytes.clone()));
        for codec in 0..8 {
            // Past the checksum, into the codecs.
            let _ = up_convert(&message(0, codec, &bytes).into());
        }
        let _ = lz4::decompress(&bytes.into());
    }

    #[test]
    fn damage_inside_a_wrapper_never_panics(
        which in 0..16_usize, at in any::<prop::sample::Index>(), to in any::<u8>(),
    ) {
        let (_, format, codec, set) = golden().nth(which).unwrap();
        let mut inside = if codec == Compression::None {
            set.to_vec()
        } else {
            decompress(codec, &set.slice(format.overhead()..)).unwrap().to_vec()
        };
        let at = at.index(inside.len());
        inside[at] = to;
        let _ = up_convert(&inside.clone().into());
        let _ = up_convert(&message(9, 1, &Compression::Gzip.compress(&inside).unwrap()).into());
    }

    /// Compressed batches are stored unopened, so what is in them may be anything.
    #[test]
    fn stored_rubbish_never_panics(rubbish in prop::collection::vec(any::<u8>(), 0..100), codec in 1..5_i16) {
        let mut bytes = batch(Compression::None, &golden_messages()).bytes().to_vec();
        bytes.truncate(HEADER_BYTES);
        bytes.extend(rubbish);
        let length = i32::try_from(bytes.len() - header::LOG_OVERHEAD).unwrap();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[21..23].copy_from_slice(&codec.to_be_bytes());
        let crc = header::checksum(&bytes);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let batch = Batch::parse(bytes.into()).unwrap();
        let _ = DownConverter::new(Format::V1, 0, 1000).push(&batch);
    }
}
