//! The edges of the primitive types.

use bytes::Bytes;
use proptest::prelude::*;

use super::unhex;
use crate::wire::{ApiKey, ErrorCode, Reader, RequestHeader, Str, TaggedFields, WireError, Writer};

fn reader(hex: &str) -> Reader {
    Reader::new(unhex(hex))
}

#[test]
fn varints() {
    for (hex, value) in
        [("00", 0), ("7f", 127), ("8001", 128), ("ff7f", 16383), ("ffffffff0f", u32::MAX)]
    {
        assert_eq!(reader(hex).varint(), Ok(value));
        let mut w = Writer::default();
        w.varint(value);
        assert_eq!(w.finish(), unhex(hex));
    }
    assert_eq!(reader("ffffffff10").varint(), Err(WireError::LongVarint));
    assert_eq!(reader("808080808001").varint(), Err(WireError::LongVarint));
    assert!(matches!(reader("8080").varint(), Err(WireError::Truncated { .. })));
}

#[test]
fn lengths() {
    assert_eq!(reader("ffff").nullable_string(false), Ok(None));
    assert_eq!(reader("00").nullable_string(true), Ok(None));
    assert_eq!(reader("ffff").string(false), Err(WireError::UnexpectedNull));
    assert_eq!(reader("fffe").string(false), Err(WireError::BadLength(-2)));
    assert_eq!(reader("80000000").bytes(false), Err(WireError::BadLength(i32::MIN)));
    assert_eq!(reader("0001ff").string(false), Err(WireError::NotUtf8));
    assert_eq!(reader("0001ff").str(false), Err(WireError::NotUtf8));
    assert_eq!(reader("0002").string(false), Err(WireError::Truncated { needed: 2, left: 0 }));
    // 32,768 and one: one byte longer than any string.
    assert_eq!(reader("818002").string(true), Err(WireError::LongString(32768)));
    assert_eq!(reader("ffffffff").nullable_array(false, Reader::i8), Ok(None));
    assert_eq!(reader("fffffffe").array(false, Reader::i8), Err(WireError::BadLength(-2)));
    assert_eq!(reader("ff").nullable_struct(Reader::i8), Ok(None));
    assert_eq!(reader("0105").nullable_struct(Reader::i8), Ok(Some(5)));
}

#[test]
fn strings_that_no_reader_takes_are_not_written() {
    let long = "x".repeat(32768);
    for flexible in [false, true] {
        let mut w = Writer::default();
        assert_eq!(w.string(&long, flexible), Err(WireError::LongString(32768)));
        assert_eq!(w.string(&long[1..], flexible), Ok(()));
        assert_eq!(Reader::new(w.finish()).string(flexible).as_deref(), Ok(&long[1..]));
    }
}

#[test]
fn all_arrays_share_one_budget() {
    let mut r = Reader::with_elements(unhex("04010203040506").slice(..), 5);
    assert_eq!(r.array(true, Reader::i8), Ok(vec![1, 2, 3]));
    let mut r = Reader::with_elements(unhex("0401020304010203"), 5);
    assert_eq!(r.array(true, Reader::i8), Ok(vec![1, 2, 3]));
    assert_eq!(r.array(true, Reader::i8), Err(WireError::TooManyElements(3)));
}

#[test]
fn tagged_fields_stay_in_their_bounds() {
    let mut seen = Vec::new();
    let mut read = |hex: &str| {
        let mut r = reader(hex);
        let result = r.tagged_fields(|r, tag| {
            if tag == 1 {
                seen.push(r.i16()?);
            }
            Ok(tag == 1)
        });
        (result, r.remaining())
    };
    // An unknown tag is skipped, a known one read, and two bytes stay.
    assert_eq!(read("0200030102030102cafe0000"), (Ok(()), 2));
    // The known value is two bytes long, whatever its size says.
    assert_eq!(read("010103cafe00").0, Err(WireError::TagSize(1)));
    assert_eq!(read("010101cafe").0, Err(WireError::Truncated { needed: 2, left: 1 }));
    assert_eq!(read("0100ffff03").0, Err(WireError::Truncated { needed: 65535, left: 0 }));
    assert_eq!(read("914e").0, Err(WireError::TooManyTags(10001)));
    assert_eq!(seen, [-13570, -13570]);
}

#[test]
fn tags_are_counted() {
    let mut tags = TaggedFields::default();
    tags.add(0, |w| w.string("a", true)).unwrap();
    tags.add(300, |_| Ok(())).unwrap();
    let mut w = Writer::default();
    w.tagged_fields(&tags);
    assert_eq!(w.finish(), unhex("0200020261ac0200"));
}

#[test]
fn text_from_a_frame() {
    let text = Str::from("entrepôt");
    assert_eq!(text, "entrepôt");
    assert_eq!(text.as_str(), "entrepôt");
    assert_eq!(format!("{text} {text:?}"), "entrepôt \"entrepôt\"");
    assert_eq!(Str::try_from(Bytes::from_static(b"\xff")), Err(WireError::NotUtf8));
}

#[test]
fn headers() {
    // Version 1, version 2 with an unknown tag, an ApiVersions newer than ours.
    for (hex, api, version, client) in [
        ("00000003000000090002 6d65", ApiKey::Produce, 3, Some("me")),
        ("000000090000000900026d65010502abcd", ApiKey::Produce, 9, Some("me")),
        ("0012006300000009ffff00", ApiKey::ApiVersions, 99, None),
    ] {
        let mut r = reader(&hex.replace(' ', ""));
        let header = RequestHeader::decode(&mut r).unwrap();
        assert_eq!((header.api, header.version, header.correlation_id), (api, version, 9));
        assert_eq!(header.client_id.as_deref(), client);
        assert_eq!(r.remaining(), 0);
    }
    assert_eq!(
        RequestHeader::decode(&mut reader("0fff000000000001ffff")),
        Err(WireError::UnknownApi(4095))
    );
    assert!(matches!(RequestHeader::decode(&mut reader("00")), Err(WireError::Truncated { .. })));
    assert_eq!(ApiKey::ApiVersions.response_header_version(4), 0);
    assert_eq!(ApiKey::Metadata.response_header_version(8), 0);
    assert_eq!(ApiKey::Metadata.response_header_version(9), 1);
    assert_eq!(ApiKey::SaslHandshake.request_header_version(1), 1);
}

#[test]
fn error_codes_have_no_gap() {
    for (code, number) in ErrorCode::ALL.iter().zip(-1..) {
        assert_eq!(code.number(), number);
        assert_eq!(ErrorCode::from_number(number), Some(*code));
    }
    assert_eq!(ErrorCode::ALL.len(), 135);
    assert_eq!(ErrorCode::from_number(134), None);
    assert_eq!(ErrorCode::NotLeaderOrFollower.name(), "NOT_LEADER_OR_FOLLOWER");
    assert!(ErrorCode::NotLeaderOrFollower.is_retriable());
    assert!(!ErrorCode::ProducerFenced.is_retriable());
}

proptest! {
    #[test]
    fn any_text_and_bytes_come_back(text: String, bytes: Vec<u8>, flexible: bool) {
        let mut w = Writer::default();
        let bytes = Bytes::from(bytes);
        w.string(&text, flexible).unwrap();
        w.bytes(&bytes, flexible).unwrap();
        let mut r = Reader::new(w.finish());
        prop_assert_eq!(r.string(flexible).unwrap(), text);
        prop_assert_eq!(r.bytes(flexible).unwrap(), bytes);
    }
}

#[test]
fn null_is_for_versions_that_allow_it() {
    use crate::wire::messages::MetadataRequest;
    let null = unhex("ffffffff");
    assert_eq!(
        MetadataRequest::decode(&mut Reader::new(null.clone()), 0),
        Err(WireError::UnexpectedNull)
    );
    let all = MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(MetadataRequest::decode(&mut Reader::new(null), 1).as_ref(), Ok(&all));
    assert_eq!(all.encode(&mut Writer::default(), 0), Err(WireError::MissingField("Topics")));
    assert_eq!(
        all.encode(&mut Writer::default(), 99),
        Err(WireError::UnknownVersion { name: "MetadataRequest", version: 99 })
    );
}
