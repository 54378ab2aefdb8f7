use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

fn one_record(codec: Compression, value: &[u8]) -> Batch {
    let mut builder = BatchBuilder::new(codec);
    builder.push(&NewRecord {
        timestamp: 1_700_000_000_000,
        key: Some(b"k"),
        value: Some(value),
        headers: &[(b"h", Some(b"1")), (b"h", None), (b"h", Some(b""))],
    });
    builder.build().unwrap()
}

#[test]
fn a_record_comes_back_as_it_was_with_every_codec() {
    for codec in CODECS {
        let batch = one_record(codec, b"Hello, World!");
        let records: Vec<_> = batch.records().unwrap().map(Result::unwrap).collect();
        assert_eq!(records.len(), 1);
        let record = &records[0];
        assert_eq!(record.key.as_deref(), Some(&b"k"[..]));
        assert_eq!(record.value.as_deref(), Some(&b"Hello, World!"[..]));
        assert_eq!(record.timestamp, 1_700_000_000_000);
        let headers: Vec<_> = record.headers.iter().map(|header| header.value).collect();
        let values = [Some(Bytes::from("1")), None, Some(Bytes::new())];
        assert_eq!(headers, values, "order and duplicates kept");
    }
}

#[test]
fn whether_its_first_record_has_headers_is_seen_without_unpacking() {
    for codec in CODECS {
        let is_plain = codec == Compression::None;
        assert_eq!(one_record(codec, b"value").begins_with_headers(), is_plain);
    }
    for (key, value) in [(None, None), (Some(&b"k"[..]), Some(&[0; 300][..]))] {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(&NewRecord { timestamp: 1, key, value, headers: &[] });
        builder.push(&NewRecord { timestamp: 1, key, value, headers: &[(b"h", None)] });
        assert!(!builder.build().unwrap().begins_with_headers());
    }
}

/// The bytes of a batch as a Kafka client writes it (kafka-python 3.0.12, one record, key `k`,
/// value `v`, timestamp 1): the layout is theirs, not only ours.
#[test]
fn a_foreign_batch_is_understood() {
    let hex = include_str!("golden_batch.hex").trim();
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
        .collect();
    let batch = Batch::parse(Bytes::from(bytes)).unwrap();
    batch.check_produced().unwrap();
    let record = batch.records().unwrap().next().unwrap().unwrap();
    assert_eq!(
        (record.key.as_deref(), record.value.as_deref()),
        (Some(&b"k"[..]), Some(&b"v"[..]))
    );
    assert_eq!(record.timestamp, 1);
}

#[test]
fn every_flipped_bit_after_the_epoch_is_found() {
    let batch = one_record(Compression::None, b"value");
    for at in 16..batch.bytes().len() {
        for bit in 0..8 {
            let mut damaged = batch.bytes().to_vec();
            damaged[at] ^= 1 << bit;
            assert!(Batch::parse(Bytes::from(damaged)).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn offset_and_epoch_can_be_stamped_without_a_new_checksum() {
    let batch = one_record(Compression::Lz4, b"value");
    let mut bytes = batch.bytes().to_vec();
    bytes[..8].copy_from_slice(&77i64.to_be_bytes());
    bytes[12..16].copy_from_slice(&5i32.to_be_bytes());
    let stamped = Batch::parse(Bytes::from(bytes)).unwrap();
    assert_eq!((stamped.header().base_offset, stamped.header().leader_epoch), (77, 5));
}

#[test]
fn a_small_batch_that_unpacks_to_too_much_is_refused() {
    let bomb = vec![0u8; base::limits::BATCH_UNPACKED_BYTES_MAX + 1];
    for codec in [Compression::Gzip, Compression::Zstd] {
        let packed = Bytes::from(codec.compress(&bomb).unwrap());
        let error = codec.decompress(&packed).unwrap_err();
        assert!(matches!(error, BatchError::TooLarge(_)), "{codec:?}: {error}");
    }
    // Snappy says its size in front: a lie must not be believed.
    let lie = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
    assert!(matches!(Compression::Snappy.decompress(&lie), Err(BatchError::TooLarge(_))));
}

#[test]
fn a_compressed_batch_is_unpacked_no_further_than_its_records_may_be_large() {
    let large = vec![7u8; 100_000];
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let batch = one_record(codec, &large);
        // Beside the value: attributes and deltas 3, the key 2, the value's length 3, headers 11.
        let bytes = large.len() + 19;
        assert_eq!(batch.records_within(bytes).unwrap().count(), 1, "{codec:?}");
        let record = batch.records_within(bytes - 1).unwrap().next().unwrap();
        let error = BatchError::RecordTooLarge { size: bytes, limit: bytes - 1 };
        assert_eq!(record.unwrap_err(), error, "{codec:?}");
        let error = batch.records_within(1_000).unwrap_err();
        assert_eq!(error, BatchError::TooLarge(1_005), "{codec:?}: it is not unpacked to the end");
    }
    let plain = one_record(Compression::None, &large);
    assert_eq!(plain.records_within(1).unwrap().filter(Result::is_ok).count(), 1, "not packed");
}

#[test]
fn sequences_wrap_to_zero() {
    assert_eq!(header::sequence_after(i32::MAX, 1), 0);
    assert_eq!(header::sequence_after(i32::MAX - 1, 3), 1);
    assert_eq!(header::sequence_after(5, 2), 7);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn records_round_trip(
        records in prop::collection::vec((
            any::<i32>(),
            prop::option::of(prop::collection::vec(any::<u8>(), 0..50)),
            prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
            prop::collection::vec((prop::collection::vec(any::<u8>(), 0..10),
                prop::option::of(prop::collection::vec(any::<u8>(), 0..10))), 0..4),
        ), 1..20),
        codec in 0usize..5,
    ) {
        let mut builder = BatchBuilder::new(CODECS[codec]);
        for (timestamp, key, value, headers) in &records {
            let headers: Vec<_> =
                headers.iter().map(|(k, v)| (k.as_slice(), v.as_deref())).collect();
            builder.push(&NewRecord {
                timestamp: i64::from(*timestamp), key: key.as_deref(), value: value.as_deref(),
                headers: &headers,
            });
        }
        let batch = builder.build().unwrap();
        batch.check_produced().unwrap();
        let parsed = Batch::parse(batch.bytes().clone()).unwrap();
        prop_assert_eq!(parsed.header(), batch.header());
        let back: Vec<_> = batch.records().unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(back.len(), records.len());
        for (index, (record, (timestamp, key, value, headers))) in back.iter().zip(&records).enumerate() {
            prop_assert_eq!(record.offset, i64::try_from(index).unwrap());
            prop_assert_eq!(record.timestamp, i64::from(*timestamp));
            prop_assert_eq!(record.key.as_deref(), key.as_deref());
            prop_assert_eq!(record.value.as_deref(), value.as_deref());
            prop_assert_eq!(record.headers.len(), headers.len());
            let read: Vec<_> = record.headers.iter().map(|h| (h.key.to_vec(), h.value)).collect();
            let put = headers.iter().map(|(k, v)| (k.clone(), v.clone().map(Bytes::from)));
            prop_assert_eq!(read, put.collect::<Vec<_>>());
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Batch::parse(Bytes::from(bytes.clone()));
        for codec in CODECS {
            let _ = codec.decompress(&Bytes::from(bytes.clone()));
        }
    }

    #[test]
    fn damaged_records_never_panic(at in 61usize..200, to in any::<u8>()) {
        // The checksum would refuse this; the record reader must not rely on it.
        let batch = one_record(Compression::None, &[7; 100]);
        let mut bytes = batch.bytes().to_vec();
        let at = at.min(bytes.len() - 1);
        bytes[at] = to;
        let mut rest = Bytes::from(bytes);
        let crc = header::checksum(&rest);
        let mut fixed = rest.split_to(rest.len()).to_vec();
        fixed[17..21].copy_from_slice(&crc.to_be_bytes());
        if let Ok(batch) = Batch::parse(Bytes::from(fixed)) {
            let _ = batch.records().unwrap().count();
        }
    }
}
