//! What a peer may send that is no message: nothing panics, nothing costs more than it should.

use base::limits::REQUEST_ELEMENTS_MAX;
use bytes::Bytes;
use proptest::prelude::*;

use super::unhex;
use crate::wire::fetch::FetchRequest;
use crate::wire::messages::{CASES, MetadataRequest};
use crate::wire::produce::ProduceRequest;
use crate::wire::sample::Sample;
use crate::wire::{Reader, RequestHeader, WireError};

/// Reads the bytes as every message by hand and by schema.
fn read_as_anything(bytes: &Bytes, version: i16) {
    for case in CASES {
        let version = case.min + version % (case.max - case.min + 1);
        let _ = (case.decode)(&mut Reader::new(bytes.clone()), version);
    }
    let _ = ProduceRequest::decode(&mut Reader::new(bytes.clone()), version % 14);
    let _ = FetchRequest::decode(&mut Reader::new(bytes.clone()), version % 19);
    let _ = RequestHeader::decode(&mut Reader::new(bytes.clone()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 0..30_i16) {
        read_as_anything(&bytes.into(), version);
    }

    /// Small bytes make small lengths, which lead deeper into a message.
    #[test]
    fn random_small_bytes(bytes in prop::collection::vec(0..4_u8, 0..200), version in 0..30_i16) {
        read_as_anything(&bytes.into(), version);
    }

    #[test]
    fn mutated_messages(seed: u64) {
        let mut s = Sample::new(seed);
        for case in CASES {
            let versions = (case.max - case.min + 1) as u64;
            let version = case.min + (s.next() % versions) as i16;
            let mut bytes = (case.sample)(&mut s, version).to_vec();
            for _ in 0..=s.next() % 3 {
                let place = s.next() as usize % bytes.len().max(1);
                let value = s.next();
                if let Some(byte) = bytes.get_mut(place) {
                    // A flipped bit, the sign bit of a length, or anything.
                    *byte = match value % 3 {
                        0 => *byte ^ (1 << (value % 8)),
                        1 => 0xff,
                        _ => (value >> 8) as u8,
                    };
                }
            }
            let _ = (case.decode)(&mut Reader::new(bytes.into()), version);
        }
    }
}

/// A message cut short is an error at every length: none is taken for a shorter one.
#[test]
fn truncated_messages() {
    let mut s = Sample::new(1);
    for case in CASES {
        for version in case.min..=case.max {
            let bytes = (case.sample)(&mut s, version);
            for length in 0..bytes.len() {
                let result = (case.decode)(&mut Reader::new(bytes.slice(..length)), version);
                assert!(result.is_err(), "{} v{version} cut to {length}", case.name);
            }
        }
    }
}

/// Four bytes that ask for two billion topics.
#[test]
fn a_huge_array_is_refused_before_it_is_allocated() {
    for hex in ["7fffffff", "00000001"] {
        let result = MetadataRequest::decode(&mut Reader::new(unhex(hex)), 1);
        assert!(matches!(result, Err(WireError::Truncated { left: 0, .. })), "{result:?}");
    }
    // The longest flexible length.
    let result = MetadataRequest::decode(&mut Reader::new(unhex("ffffffff0f00")), 9);
    assert!(matches!(result, Err(WireError::Truncated { left: 1, .. })), "{result:?}");
}

/// A frame as large as may be, full of elements of one byte: the budget ends it.
#[test]
fn a_large_frame_of_small_elements_is_refused() {
    let mut frame = vec![0; 8 + 2 * REQUEST_ELEMENTS_MAX];
    frame[..4].copy_from_slice(&(REQUEST_ELEMENTS_MAX as u32 + 1).to_be_bytes());
    let frame = Bytes::from(frame);
    let result = MetadataRequest::decode(&mut Reader::new(frame.clone()), 1);
    assert_eq!(result, Err(WireError::TooManyElements(REQUEST_ELEMENTS_MAX + 1)));
    let mut nested = Reader::with_elements(frame, 3 * REQUEST_ELEMENTS_MAX);
    assert!(MetadataRequest::decode(&mut nested, 1).is_ok(), "the budget is what refused it");
}

/// A topic with many partitions and many topics with few cost the same budget.
#[test]
fn nested_arrays_count_too() {
    // Produce v3: null transactional id, acks, timeout, then topics of an empty name each with
    // 1000 partitions of null records.
    let topics = REQUEST_ELEMENTS_MAX / 1000;
    let mut frame = unhex("ffff0001000003e8").to_vec();
    frame.extend((topics as u32).to_be_bytes());
    for _ in 0..topics {
        frame.extend(*b"\0\0\0\0\x03\xe8");
        frame.extend([0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff].repeat(1000));
    }
    let result = ProduceRequest::decode(&mut Reader::new(frame.into()), 3);
    assert_eq!(result, Err(WireError::TooManyElements(1000)));
}
