//! Golden bytes from the specifications and from clients, and what must be refused.

use proptest::prelude::*;

use super::ack::Ack;
use super::close::{Auth, Disconnect, encode_disconnect};
use super::connack::{Connack, ConnackProperties};
use super::connect::{Connect, ConnectProperties, Protocol, ProtocolError, Will};
use super::header::{Header, Kind};
use super::name::{SharedFilter, check_filter, check_topic};
use super::publish::{self, MessageProperties, Outgoing, OutgoingProperties, Publish};
use super::reader::Reader;
use super::reason::Reason;
use super::subscribe::{
    Options, RetainHandling, Subscribe, Unsubscribe, encode_suback, encode_unsuback,
};
use super::{Version, WireError};

const VERSIONS: [Version; 3] = [Version::V3, Version::V4, Version::V5];

/// A text as a field.
fn field(text: &[u8]) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat()
}

fn connect(body: &[u8]) -> Result<(Protocol, Connect<'_>), ProtocolError> {
    let mut reader = Reader::new(body);
    let protocol = Protocol::decode(&mut reader)?;
    Ok((protocol, Connect::decode(protocol.version, &mut reader)?))
}

#[test]
fn a_header_says_how_long_the_packet_is() {
    let header = |bytes: &[u8]| Header::decode(bytes, 1 << 20);
    assert_eq!(header(b""), Ok(None));
    assert_eq!(header(b"\x30"), Ok(None));
    assert_eq!(header(b"\x30\x80\x80"), Ok(None), "the length goes on");
    let publish = Header { kind: Kind::Publish, flags: 0xb, size: 3, remaining: 321 };
    assert_eq!(header(b"\x3b\xc1\x02more"), Ok(Some(publish)));
    assert_eq!(publish.total(), 324);
    for bytes in [&b"\x00\x00"[..], b"\x10\x80\x80\x80\x80"] {
        assert!(matches!(header(bytes), Err(WireError::Malformed(_))), "{bytes:?}");
    }
    for bytes in [b"\x11\x00", b"\x60\x02", b"\xc1\x00"] {
        let header = header(bytes).unwrap().unwrap();
        assert!(matches!(header.check(Version::V4), Err(WireError::Malformed(_))), "{bytes:?}");
    }
    let released_again = header(b"\x6a\x02").unwrap().unwrap();
    assert!(released_again.check(Version::V4).is_err());
    assert_eq!(released_again.check(Version::V3), Ok(()), "as was allowed then");
    assert_eq!(header(b"\x30\xff\xff\xff\x7f"), Err(WireError::TooLarge(268_435_460)));
}

#[test]
fn the_connect_of_an_old_client_is_read() {
    let body = [
        &field(b"MQTT")[..],
        b"\x04\xf6\x00\x3c",
        &field(b"client"),
        &field(b"will/topic"),
        &field(b"gone"),
        &field(b"user"),
        &field(b"word"),
    ]
    .concat();
    let (protocol, connect) = connect(&body).unwrap();
    assert_eq!(protocol, Protocol { version: Version::V4, is_bridge: false });
    let will = Will {
        topic: "will/topic",
        payload: b"gone",
        qos: 2,
        retain: true,
        delay: 0,
        properties: MessageProperties::default(),
    };
    let expected = Connect {
        clean_start: true,
        keep_alive: 60,
        client_id: "client",
        will: Some(will),
        user: Some("user"),
        password: Some(b"word"),
        properties: ConnectProperties::default(),
    };
    assert_eq!(connect, expected);
}

#[test]
fn the_connect_of_a_new_client_is_read() {
    let body = [
        &field(b"MQTT")[..],
        b"\x05\x04\x00\x00",
        b"\x25\x11\x00\x00\x00\x0a\x21\x00\x14\x27\x00\x00\x01\x00\x22\x00\x05\x19\x01\x17\x00",
        b"\x26\x00\x01a\x00\x01b\x15\x00\x03abc\x16\x00\x01x",
        &field(b""),
        b"\x10\x18\x00\x00\x00\x07\x02\x00\x00\x00\x09\x03\x00\x03a/b",
        &field(b"w"),
        &field(b""),
    ]
    .concat();
    let (protocol, connect) = connect(&body).unwrap();
    assert_eq!(protocol.version, Version::V5);
    let expected = ConnectProperties {
        session_expiry: Some(10),
        receive_max: Some(20),
        packet_bytes_max: Some(256),
        topic_alias_max: 5,
        wants_response_info: true,
        no_problem_info: true,
        auth_method: Some("abc"),
        auth_data: Some(b"x"),
    };
    assert_eq!(connect.properties, expected);
    let will = connect.will.unwrap();
    assert_eq!((will.delay, will.properties.expiry), (7, Some(9)));
    assert_eq!(will.properties.kept().concat(), b"\x03\x00\x03a/b");
    assert_eq!(connect.client_id, "");
}

#[test]
fn what_is_no_connect_is_refused() {
    let refused = |body: Vec<u8>| connect(&body).unwrap_err();
    let start = |level: u8, flags: u8| [&field(b"MQTT")[..], &[level, flags, 0, 0]].concat();
    assert_eq!(refused(start(6, 2)), ProtocolError::Version);
    assert_eq!(refused([&field(b"MQIsdp")[..], b"\x04\x02"].concat()), ProtocolError::Version);
    let protocol = |why| ProtocolError::Wire(WireError::Protocol(why));
    assert_eq!(refused([&field(b"MQTS")[..], b"\x04\x02"].concat()), protocol("not MQTT"));
    let flags = [(4, 3), (4, 0x1c | 2), (4, 0x0a), (4, 0x22), (4, 0x42), (5, 0x1c)];
    for (level, flags) in flags {
        let body = [start(level, flags), vec![0; 20]].concat();
        assert!(matches!(refused(body), ProtocolError::Wire(_)), "{level} {flags:x}");
    }
    let trailing = [start(4, 2), field(b"a"), vec![0]].concat();
    let malformed = |why| ProtocolError::Wire(WireError::Malformed(why));
    assert_eq!(refused(trailing), malformed("bytes after its end"));
    assert_eq!(
        refused([start(4, 2), field(b"a\0")].concat()),
        malformed("the character zero in a text")
    );
    assert_eq!(refused([start(4, 2), field(b"\xc0\x80")].concat()), malformed("no UTF-8"));
    let twice = [start(5, 2), b"\x0a\x11\0\0\0\0\x11\0\0\0\0".to_vec(), field(b"")].concat();
    assert_eq!(refused(twice), protocol("a property twice"));
    let no_method = [start(5, 2), b"\x04\x16\0\x01a".to_vec(), field(b"")].concat();
    assert_eq!(refused(no_method), protocol("authentication data without a method"));
}

#[test]
fn a_bridge_says_that_it_is_one() {
    let body = [&field(b"MQIsdp")[..], b"\x83\x02\x00\x00", &field(b"b")].concat();
    let expected = Protocol { version: Version::V3, is_bridge: true };
    assert_eq!(connect(&body).unwrap().0, expected);
}

#[test]
fn a_message_is_read_and_written() {
    let body = [&field(b"a/b")[..], b"\x00\x07payload"].concat();
    for version in [Version::V3, Version::V4] {
        let publish = Publish::decode(version, 0b1011, &body).unwrap();
        assert_eq!((publish.dup, publish.qos, publish.retain), (true, 1, true));
        assert_eq!((publish.topic, publish.packet_id), ("a/b", 7));
        assert_eq!(publish.payload, b"payload");
    }
    let mut out = Vec::new();
    let properties = OutgoingProperties {
        alias: Some(3),
        expiry: Some(5),
        subscription_ids: &[300],
        kept: b"\x26\0\x01k\0\x01v",
    };
    let outgoing = Outgoing {
        qos: 1,
        dup: true,
        retain: true,
        topic: b"a/b",
        packet_id: 7,
        payload: b"payload",
        properties,
    };
    outgoing.encode(Version::V4, &mut out);
    assert_eq!(out, [b"\x3b\x0e", &body[..]].concat());
    out.clear();
    outgoing.encode(Version::V5, &mut out);
    let expected = b"\x3b\x21\x00\x03a/b\x00\x07\x12\x23\0\x03\x02\0\0\0\x05\x0b\xac\x02\x26\0\x01k\0\x01vpayload";
    assert_eq!(out, expected);
    assert_eq!(outgoing.size(Version::V5), out.len());
}

#[test]
fn properties_of_a_message_are_passed_on_as_they_were() {
    let block = b"\x26\0\x01a\0\x011\x23\0\x07\x03\0\x01t\x02\0\0\0\x09\x26\0\x01a\0\x012\x01\x01";
    let body = [&field(b"t")[..], &[u8::try_from(block.len()).unwrap()], block, b"p"].concat();
    let publish = Publish::decode(Version::V5, 0, &body).unwrap();
    assert_eq!(publish.alias, Some(7));
    assert_eq!(publish.properties.expiry, Some(9));
    assert_eq!(publish.properties.content_type, Some("t"));
    assert!(publish.properties.is_text);
    let kept = publish.properties.kept().concat();
    assert_eq!(kept, b"\x26\0\x01a\0\x011\x03\0\x01t\x26\0\x01a\0\x012\x01\x01");
    let pairs: Vec<_> = publish::user_properties(&kept).collect();
    assert_eq!(pairs, [("a", "1"), ("a", "2")]);
    assert_eq!(publish::check_kept(&kept).unwrap().kept(), [&kept[..]]);
}

#[test]
fn what_is_no_message_is_refused() {
    let read = |flags, body: &[u8]| Publish::decode(Version::V5, flags, body).unwrap_err();
    let named = |rest: &[u8]| [&field(b"t")[..], rest].concat();
    assert_eq!(read(0b0110, &named(b"\0\x01\0")), WireError::Malformed("QoS 3"));
    assert_eq!(read(0b1000, &named(b"\0")), WireError::Malformed("a duplicate of QoS 0"));
    let zero = WireError::Malformed("zero as the number of a packet");
    assert_eq!(read(0b0010, &named(b"\0\0\0")), zero);
    assert_eq!(read(0, b"\0\0\0"), WireError::TopicName, "no topic, no alias");
    assert_eq!(read(0, &[&field(b"a/#")[..], b"\0"].concat()), WireError::TopicName);
    let unknown = WireError::Malformed("an unknown property");
    assert_eq!(read(0, &named(b"\x02\x7f\0")), unknown);
    let foreign = WireError::Malformed("a property that does not belong there");
    assert_eq!(read(0, &named(b"\x02\x0b\x01")), foreign, "a subscription's number");
    let neither = WireError::Protocol("neither zero nor one");
    assert_eq!(read(0, &named(b"\x02\x01\x02")), neither);
    assert_eq!(read(0, &named(b"\x05\x01\x01")), WireError::Malformed("it ends too early"));
    let empty = Publish::decode(Version::V4, 0, b"\0\0").unwrap_err();
    assert_eq!(empty, WireError::TopicName);
}

#[test]
fn steps_of_a_delivery_are_read_and_written() {
    let read = |body: &[u8]| Ack::decode(Version::V5, body);
    let ack = |reason| Ok(Ack { packet_id: 258, reason });
    assert_eq!(read(b"\x01\x02"), ack(Reason::SUCCESS));
    assert_eq!(read(b"\x01\x02\x10"), ack(Reason::NO_MATCHING_SUBSCRIBERS));
    assert_eq!(read(b"\x01\x02\x97\x04\x1f\0\x01a"), ack(Reason::QUOTA_EXCEEDED));
    for body in
        [&b"\x01"[..], b"\0\0", b"\x01\x02\0\0\0", b"\x01\x02\0\x01", b"\x01\x02\0\x05\x02\0\0\0\0"]
    {
        assert!(read(body).is_err(), "{body:?}");
    }
    assert!(Ack::decode(Version::V4, b"\x01\x02\0").is_err(), "3.1.1 knows no reasons");
    let written = |kind, version, reason| {
        let mut out = Vec::new();
        Ack { packet_id: 258, reason }.encode(kind, version, &mut out);
        out
    };
    assert_eq!(written(Kind::Puback, Version::V4, Reason::QUOTA_EXCEEDED), b"\x40\x02\x01\x02");
    assert_eq!(written(Kind::Pubrel, Version::V5, Reason::SUCCESS), b"\x62\x02\x01\x02");
    let not_found = written(Kind::Pubcomp, Version::V5, Reason::PACKET_ID_NOT_FOUND);
    assert_eq!(not_found, b"\x70\x03\x01\x02\x92");
}

#[test]
fn subscriptions_are_read() {
    let body = [
        &b"\0\x09\x03\x0b\xac\x02"[..],
        &field(b"a/+"),
        b"\x2d",
        &field(b"$share/g/a/#"),
        b"\x02",
        &field(b"a/b#"),
        b"\0",
    ]
    .concat();
    let subscribe = Subscribe::decode(Version::V5, &body).unwrap();
    assert_eq!((subscribe.packet_id, subscribe.subscription_id), (9, Some(300)));
    let filters: Vec<_> = subscribe.filters().collect();
    let options = Options {
        qos: 1,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    assert_eq!(filters[0], ("a/+", Ok(SharedFilter { group: None, filter: "a/+" }), options));
    let shared = SharedFilter { group: Some("g"), filter: "a/#" };
    assert_eq!(filters[1].1, Ok(shared));
    assert_eq!(filters[1].2.qos, 2);
    assert_eq!(filters[2].1, Err(WireError::TopicFilter));
    assert_eq!(filters.len(), 3);

    let body = [&b"\0\x01"[..], &field(b"a"), &field(b"b")].concat();
    let unsubscribe = Unsubscribe::decode(Version::V4, &body).unwrap();
    assert_eq!(unsubscribe.filters().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn what_is_no_subscription_is_refused() {
    let read = |version, rest: &[u8]| {
        let start: &[u8] = if version == Version::V5 { b"\0\x01\0" } else { b"\0\x01" };
        Subscribe::decode(version, &[start, rest].concat()).map(|_| ()).unwrap_err()
    };
    for version in VERSIONS {
        assert_eq!(read(version, b""), WireError::Protocol("no filter"));
        let options = WireError::Malformed("the options of a subscription");
        assert_eq!(read(version, &[&field(b"a")[..], b"\x03"].concat()), options);
        assert_eq!(read(version, &[&field(b"a")[..], b"\x80"].concat()), options);
    }
    let options = WireError::Malformed("the options of a subscription");
    assert_eq!(read(Version::V4, &[&field(b"a")[..], b"\x04"].concat()), options);
    let handling = WireError::Malformed("retain handling 3");
    assert_eq!(read(Version::V5, &[&field(b"a")[..], b"\x30"].concat()), handling);
    let shared = WireError::Protocol("a shared subscription with no-local");
    assert_eq!(read(Version::V5, &[&field(b"$share/g/a")[..], b"\x04"].concat()), shared);
    assert!(Subscribe::decode(Version::V5, b"\0\x01\x02\x0b\x00\0\x01a\0").is_err(), "number zero");
    assert!(Unsubscribe::decode(Version::V4, b"\0\x01").is_err());
    assert!(Unsubscribe::decode(Version::V4, b"\0\0\0\x01a").is_err());
}

#[test]
fn answers_are_written() {
    let reasons = [Reason(2), Reason::NOT_AUTHORIZED];
    let mut out = Vec::new();
    encode_suback(Version::V4, 1, &reasons, &mut out);
    encode_suback(Version::V5, 1, &reasons, &mut out);
    encode_unsuback(Version::V4, 1, &reasons, &mut out);
    encode_unsuback(Version::V5, 1, &[Reason::NO_SUBSCRIPTION], &mut out);
    encode_disconnect(Reason::TAKEN_OVER, None, &mut out);
    encode_disconnect(Reason::TAKEN_OVER, Some("x"), &mut out);
    let expected: [&[u8]; 6] = [
        b"\x90\x04\0\x01\x02\x80",
        b"\x90\x05\0\x01\0\x02\x87",
        b"\xb0\x02\0\x01",
        b"\xb0\x04\0\x01\0\x11",
        b"\xe0\x01\x8e",
        b"\xe0\x06\x8e\x04\x1f\0\x01x",
    ];
    assert_eq!(out, expected.concat());
    out.clear();
    Connack { session_present: true, code: 0, properties: None }.encode(&mut out);
    let properties = ConnackProperties {
        receive_max: Some(20),
        assigned_client_id: Some("ab"),
        ..ConnackProperties::default()
    };
    Connack { session_present: false, code: 0, properties: Some(properties) }.encode(&mut out);
    assert_eq!(out, b"\x20\x02\x01\0\x20\x0b\0\0\x08\x12\0\x02ab\x21\0\x14");
}

#[test]
fn goodbyes_and_logins_are_read() {
    let read = |body: &[u8]| Disconnect::decode(Version::V5, body);
    let goodbye = |reason, session_expiry| Ok(Disconnect { reason, session_expiry });
    assert_eq!(read(b""), goodbye(Reason::SUCCESS, None));
    assert_eq!(read(b"\x04"), goodbye(Reason::WITH_WILL, None));
    assert_eq!(read(b"\0\x05\x11\0\0\0\x09"), goodbye(Reason::SUCCESS, Some(9)));
    assert!(read(b"\0\x03\x1c\0\0").is_err(), "only a server names another");
    assert!(Disconnect::decode(Version::V4, b"\0").is_err());
    let auth = Auth { reason: Reason::CONTINUE, method: Some("m"), data: Some(b"d") };
    let mut out = Vec::new();
    auth.encode(&mut out);
    assert_eq!(out, b"\xf0\x0a\x18\x08\x15\0\x01m\x16\0\x01d");
    assert_eq!(Auth::decode(&out[2..]), Ok(auth));
    let empty = Auth { reason: Reason::SUCCESS, method: None, data: None };
    assert_eq!(Auth::decode(b""), Ok(empty));
}

#[test]
fn names_and_filters_are_told_apart() {
    for name in ["a", "/", "a/b", "$SYS/x", " ", "a//b/"] {
        assert_eq!(check_topic(name), Ok(()), "{name:?}");
        assert_eq!(check_filter(name), Ok(()), "{name:?}");
    }
    for filter in ["#", "+", "a/#", "+/+/#", "/+", "a/+/b"] {
        assert_eq!(check_filter(filter), Ok(()), "{filter:?}");
        assert_eq!(check_topic(filter), Err(WireError::TopicName), "{filter:?}");
    }
    for filter in ["", "a#", "#/a", "a/#/b", "a+", "+a", "a/b+/c", "##"] {
        assert_eq!(check_filter(filter), Err(WireError::TopicFilter), "{filter:?}");
    }
    let bad = ["$share/", "$share/g", "$share//a", "$share/g/", "$share/+/a", "$share/g/a#"];
    for filter in bad {
        assert_eq!(SharedFilter::parse(filter), Err(WireError::TopicFilter), "{filter:?}");
    }
    let many = "/".repeat(201);
    assert!(matches!(check_topic(&many), Err(WireError::Protocol(_))));
    assert_eq!(check_topic(&many[1..]), Ok(()));
    let plain = SharedFilter { group: None, filter: "$share" };
    assert_eq!(SharedFilter::parse("$share"), Ok(plain), "that is a topic like others");
    let empty_levels = SharedFilter { group: Some("g"), filter: "/" };
    assert_eq!(SharedFilter::parse("$share/g//"), Ok(empty_levels));
}

proptest! {
    #[test]
    fn no_bytes_break_a_decoder(kind in 0_u8..16, body in proptest::collection::vec(any::<u8>(), 0..64)) {
        for version in VERSIONS {
            let _ = Publish::decode(version, kind, &body);
            let _ = Ack::decode(version, &body);
            let _ = Subscribe::decode(version, &body).map(|list| list.filters().count());
            let _ = Unsubscribe::decode(version, &body).map(|list| list.filters().count());
            let _ = Disconnect::decode(version, &body);
            let _ = Connect::decode(version, &mut Reader::new(&body));
        }
        let _ = Auth::decode(&body);
        let _ = connect(&body);
    }

    #[test]
    fn lengths_are_read_as_they_are_written(length in 0_usize..=super::header::REMAINING_MAX) {
        let mut out = vec![0x30];
        super::writer::varint(&mut out, length);
        prop_assert_eq!(out.len(), 1 + super::writer::varint_len(length));
        let header = Header::decode(&out, usize::MAX).unwrap().unwrap();
        prop_assert_eq!((header.size, header.remaining), (out.len(), length));
    }
}
