use std::sync::LazyLock;

use broker::registry::Rule;
use bytes::Bytes;
use proptest::prelude::*;

use super::client::{self, Answer, Ask, Heard, Session};
use super::code::Code;
use super::connect::{ConnectRequest, ConnectResponse};
use super::jute::{Malformed, Reader, Writer};
use super::reply::{self, EventKind, ReplyHeader, Stat};
use super::request::{
    AclEntry, Auth, Create, MultiHeader, Read, RequestHeader, SetAcl, SetData, SetWatches,
    Versioned, WatchRequest,
};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.bytes().filter_map(|c| char::from(c).to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

// What kazoo 2.11 sends.

#[test]
fn kazoos_connect_request() {
    let hello = bytes(
        "000000000000000000000007000027100000000000001234000000103031323334353637383961626364656601",
    );
    let expected = ConnectRequest {
        last_zxid_seen: 7,
        timeout: 10_000,
        session: 0x1234,
        password: b"0123456789abcdef",
        has_read_only: true,
    };
    assert_eq!(ConnectRequest::decode(&hello), Ok(expected));
    let old = ConnectRequest { has_read_only: false, ..expected };
    assert_eq!(ConnectRequest::decode(&hello[..44]), Ok(old), "a client of before 3.4");
    assert_eq!(ConnectRequest::decode(&hello[..43]), Err(Malformed));
}

#[test]
fn kazoos_reads() {
    let exists = bytes("000000082f62726f6b65727301");
    let expected = Read { path: "/brokers", watch: true };
    assert_eq!(Read::decode(&mut Reader::new(&exists)), Ok(expected));
    let get_data = bytes("0000000b2f636f6e74726f6c6c657200");
    let expected = Read { path: "/controller", watch: false };
    assert_eq!(Read::decode(&mut Reader::new(&get_data)), Ok(expected));
    let sync = bytes("000000022f61");
    assert_eq!(Reader::new(&sync).text(), Ok("/a"));
}

#[test]
fn kazoos_writes() {
    let create = bytes(
        "000000042f612f620000000464617461000000010000001f00000005776f726c6400000006616e796f6e6500000003",
    );
    let open = AclEntry { permissions: 31, scheme: Some("world".into()), id: "anyone".into() };
    let (data, acl) = (Some(&b"data"[..]), vec![open]);
    let expected = Create { path: "/a/b", data, acl: acl.clone(), flags: 3, ttl: -1 };
    assert_eq!(Create::decode(&mut Reader::new(&create), false), Ok(expected));
    assert_eq!(Create::decode(&mut Reader::new(&create), true), Err(Malformed), "no ttl in it");
    let no_data =
        bytes("000000022f61ffffffff000000010000001f00000005776f726c6400000006616e796f6e6500000000");
    let expected = Create { path: "/a", data: None, acl: acl.clone(), flags: 0, ttl: -1 };
    assert_eq!(Create::decode(&mut Reader::new(&no_data), false), Ok(expected));
    let delete = bytes("000000022f61ffffffff");
    let expected = Versioned { path: "/a", version: -1 };
    assert_eq!(Versioned::decode(&mut Reader::new(&delete)), Ok(expected));
    let set_data = bytes("000000022f6100000002787900000005");
    let expected = SetData { path: "/a", data: Some(b"xy"), version: 5 };
    assert_eq!(SetData::decode(&mut Reader::new(&set_data)), Ok(expected));
    let set_acl =
        bytes("000000022f61000000010000001f00000005776f726c6400000006616e796f6e6500000002");
    let expected = SetAcl { path: "/a", acl, version: 2 };
    assert_eq!(SetAcl::decode(&mut Reader::new(&set_acl)), Ok(expected));
}

#[test]
fn kazoos_transaction() {
    let multi = bytes(
        "0000000d00ffffffff000000022f61ffffffff0000000200ffffffff000000022f6200000001ffffffff01ffffffff",
    );
    let mut reader = Reader::new(&multi);
    assert_eq!(MultiHeader::decode(&mut reader), Ok(MultiHeader { op: 13, done: false }));
    assert_eq!(Versioned::decode(&mut reader), Ok(Versioned { path: "/a", version: -1 }));
    assert_eq!(MultiHeader::decode(&mut reader), Ok(MultiHeader { op: 2, done: false }));
    assert_eq!(Versioned::decode(&mut reader), Ok(Versioned { path: "/b", version: 1 }));
    assert_eq!(MultiHeader::decode(&mut reader), Ok(MultiHeader { op: -1, done: true }));
    assert_eq!(reader.boolean(), Err(Malformed), "nothing is left");
}

#[test]
fn kazoos_credentials() {
    let auth = bytes("000000000000000664696765737400000007757365723a7077");
    let expected = Auth { scheme: "digest", credentials: b"user:pw" };
    assert_eq!(Auth::decode(&mut Reader::new(&auth)), Ok(expected));
}

// What ZooKeeper 3.8.0 answered to the same requests.

#[test]
fn connect_responses() {
    let mut out = Writer::default();
    ConnectResponse { timeout: 10_000, session: 0x1234, password: *b"0123456789abcdef" }
        .encode(true, &mut out);
    let expected = bytes(
        "00000025 00000000 00002710 0000000000001234 00000010 30313233343536373839616263646566 00",
    );
    assert_eq!(out.into_vec(), expected);
    let mut out = Writer::default();
    ConnectResponse::EXPIRED.encode(false, &mut out);
    let expected = [bytes("00000024 00000000 00000000 0000000000000000 00000010"), vec![0; 16]];
    assert_eq!(out.into_vec(), expected.concat());
}

#[test]
fn an_error_has_no_record() {
    let frame = ReplyHeader { xid: 1, zxid: 9, error: Code::NoNode.number() }.frame(b"record");
    assert_eq!(frame.into_vec(), bytes("00000010 00000001 0000000000000009 ffffff9b"));
    let frame = ReplyHeader { xid: 15, zxid: 9, error: 0 }.frame(b"\0\0\0\x05/nope");
    let expected = bytes("00000019 0000000f 0000000000000009 00000000 00000005 2f6e6f7065");
    assert_eq!(frame.into_vec(), expected);
}

#[test]
fn an_event() {
    let expected = bytes(
        "00000026 ffffffff ffffffffffffffff 00000000 00000003 00000003 0000000a 2f7a6f6f6b6565706572",
    );
    assert_eq!(reply::event(EventKind::DataChanged, "/zookeeper").into_vec(), expected);
}

#[test]
fn a_stat_has_its_fields_in_order() {
    let stat = Stat {
        czxid: 1,
        mzxid: 2,
        ctime: 3,
        mtime: 4,
        version: 5,
        cversion: 6,
        aversion: 11,
        ephemeral_owner: 7,
        data_length: 8,
        children: 9,
        pzxid: 10,
    };
    let mut out = Writer::default();
    stat.encode(&mut out);
    let expected = bytes(
        "0000000000000001 0000000000000002 0000000000000003 0000000000000004 00000005 00000006 \
         0000000b 0000000000000007 00000008 00000009 000000000000000a",
    );
    assert_eq!(out.into_vec(), expected);
}

#[test]
fn transaction_results() {
    let mut out = Writer::default();
    reply::multi_error(None, &mut out);
    reply::multi_error(Some(Code::BadVersion), &mut out);
    reply::multi_error(Some(Code::RuntimeInconsistency), &mut out);
    reply::multi_end(&mut out);
    let expected = bytes(
        "ffffffff 00 00000000 00000000 ffffffff 00 ffffff99 ffffff99 \
         ffffffff 00 fffffffe fffffffe ffffffff 01 ffffffff",
    );
    assert_eq!(out.into_vec(), expected);
}

#[test]
fn an_access_list() {
    let mut out = Writer::default();
    let rule = Rule { permissions: 1, scheme: "world".into(), id: "anyone".into() };
    reply::acl(&[rule], &mut out);
    let expected = bytes("00000001 00000001 00000005 776f726c64 00000006 616e796f6e65");
    assert_eq!(out.into_vec(), expected);
}

#[test]
fn a_made_up_count_is_refused_before_anything_is_allocated() {
    // Two billion texts of at least four bytes each, in eight bytes.
    let watches = bytes("0000000000000000 7fffffff 00000000 00000000");
    assert_eq!(SetWatches::decode(&mut Reader::new(&watches), false), Err(Malformed));
    let negative = bytes("ffffffff");
    assert_eq!(Reader::new(&negative).texts(), Err(Malformed));
    assert_eq!(Reader::new(&bytes("fffffffe")).buffer(), Err(Malformed));
    assert_eq!(Reader::new(&bytes("ffffffff")).buffer(), Ok(None));
    assert_eq!(Reader::new(&bytes("00000001ff")).string(), Err(Malformed), "not UTF-8");
}

/// Every decoder on the same bytes.
fn decode_all(bytes: &[u8]) {
    let reader = || Reader::new(bytes);
    let _ = ConnectRequest::decode(bytes);
    let _ = client::welcome(bytes);
    let _ = client::header(&mut reader());
    let _ = Ask::GetData { path: String::new(), watch: false }.answer(&mut reader());
    let _ = Ask::GetChildren { path: String::new() }.answer(&mut reader());
    let _ = RequestHeader::decode(&mut reader());
    let _ = Read::decode(&mut reader());
    let _ = Create::decode(&mut reader(), false);
    let _ = Create::decode(&mut reader(), true);
    let _ = Versioned::decode(&mut reader());
    let _ = SetData::decode(&mut reader());
    let _ = SetAcl::decode(&mut reader());
    let _ = WatchRequest::decode(&mut reader());
    let _ = Auth::decode(&mut reader());
    let _ = MultiHeader::decode(&mut reader());
    for has_persistent in [false, true] {
        if let Ok(watches) = SetWatches::decode(&mut reader(), has_persistent) {
            assert!(4 * watches.data.len() <= bytes.len());
        }
    }
}

/// Bytes that are more like requests than noise is: small numbers and texts, with some damage.
fn nearly_a_request() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        (-2_i32..9).prop_map(|int| int.to_be_bytes().to_vec()),
        "/[a-z/]{0,6}".prop_map(|text| {
            let length = u32::try_from(text.len()).unwrap();
            [&length.to_be_bytes(), text.as_bytes()].concat()
        }),
        any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_bytes_can_upset_a_decoder(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_all(&bytes);
    }

    #[test]
    fn nor_can_damaged_requests(bytes in nearly_a_request()) {
        decode_all(&bytes);
    }

    #[test]
    fn what_is_written_can_be_read(int: i32, long: i64, flag: bool, text: String, data: Option<Vec<u8>>) {
        let mut out = Writer::default();
        out.int(int);
        out.long(long);
        out.boolean(flag);
        out.text(&text);
        out.buffer(data.as_deref());
        let bytes = out.into_vec();
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(reader.int(), Ok(int));
        prop_assert_eq!(reader.long(), Ok(long));
        prop_assert_eq!(reader.boolean(), Ok(flag));
        prop_assert_eq!(reader.text(), Ok(&text[..]));
        prop_assert_eq!(reader.buffer(), Ok(data.as_deref()));
        prop_assert_eq!(reader.int(), Err(Malformed));
    }
}

// What a broker's registration sends and hears.

#[test]
fn what_a_client_sends_is_what_kazoo_sends() {
    let framed = |hex: &str| {
        let record = bytes(hex);
        [&u32::try_from(record.len()).unwrap().to_be_bytes()[..], &record].concat()
    };
    let session = Session { id: 0x1234, password: *b"0123456789abcdef" };
    let hello = client::hello(&session, 7, 10_000).into_vec();
    let expected = "00000000 0000000000000007 00002710 0000000000001234 00000010 30313233343536373839616263646566 00";
    assert_eq!(hello, framed(expected));
    static OPEN: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        vec![Rule { permissions: 31, scheme: "world".into(), id: "anyone".into() }]
    });
    let path = "/a".to_owned();
    let data = Some(Bytes::from_static(b"xy"));
    for (ask, expected) in [
        (
            Ask::Create { path: path.clone(), data, rules: &OPEN, ephemeral: true },
            "00000005 00000001 000000022f61 000000027879 00000001 0000001f 00000005776f726c64 00000006616e796f6e65 00000001",
        ),
        (Ask::Delete { path: path.clone() }, "00000005 00000002 000000022f61 ffffffff"),
        (
            Ask::SetData { path: path.clone(), data: None },
            "00000005 00000005 000000022f61 ffffffff ffffffff",
        ),
        (Ask::GetData { path: path.clone(), watch: true }, "00000005 00000004 000000022f61 01"),
        (Ask::GetChildren { path }, "00000005 00000008 000000022f61 00"),
        (Ask::Ping, "00000005 0000000b"),
        (
            Ask::Digest { credentials: Bytes::from_static(b"user:pw") },
            "00000005 00000064 00000000 00000006646967657374 00000007757365723a7077",
        ),
        (Ask::Close, "00000005 fffffff5"),
    ] {
        assert_eq!(ask.frame(5).into_vec(), framed(expected), "{ask:?}");
    }
}

#[test]
fn a_client_reads_what_is_written_to_it() {
    let mut out = Writer::default();
    let session = Session { id: 0x1234, password: *b"0123456789abcdef" };
    ConnectResponse { timeout: 10_000, session: session.id, password: session.password }
        .encode(true, &mut out);
    assert_eq!(client::welcome(&out.into_vec()[4..]), Ok(Some((session, 10_000))));
    let mut out = Writer::default();
    ConnectResponse::EXPIRED.encode(false, &mut out);
    assert_eq!(client::welcome(&out.into_vec()[4..]), Ok(None));
    assert_eq!(client::welcome(&[0; 16]), Err(Malformed));

    let stat = Stat { czxid: 1, ephemeral_owner: 7, data_length: 2, pzxid: 10, ..Stat::default() };
    let mut record = Writer::default();
    record.buffer(Some(b"xy"));
    stat.encode(&mut record);
    let frame = ReplyHeader { xid: 5, zxid: 9, error: 0 }.frame(record.as_slice()).into_vec();
    let mut reader = Reader::new(&frame[4..]);
    assert_eq!(client::header(&mut reader), Ok((9, Heard::Answer { xid: 5, error: 0 })));
    let ask = Ask::GetData { path: "/a".into(), watch: false };
    let expected = Answer::Data(Some(Bytes::from_static(b"xy")), stat);
    assert_eq!(ask.answer(&mut reader), Ok(expected));
    let children = bytes("00000002 0000000161 0000000162");
    let ask = Ask::GetChildren { path: "/a".into() };
    let expected = Answer::Children(vec!["a".into(), "b".into()]);
    assert_eq!(ask.answer(&mut Reader::new(&children)), Ok(expected));
    let many = bytes("7fffffff 00000000");
    assert_eq!(ask.answer(&mut Reader::new(&many)), Err(Malformed), "nothing is allocated");
    let event = reply::event(EventKind::Deleted, "/a").into_vec();
    assert_eq!(client::header(&mut Reader::new(&event[4..])), Ok((-1, Heard::Event)));
}
