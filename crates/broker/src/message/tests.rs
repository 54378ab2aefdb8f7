use base::Subject;
use base::subject::{Escape, Rules, TEXT};
use bytes::Bytes;
use store::batch::{BatchBuilder, Compression, NewRecord, Record};

use super::record::*;
use super::*;

fn record(message: &NewMessage) -> Record {
    let headers: Vec<_> =
        message.headers.iter().map(|(name, value)| (name.as_ref(), value.as_deref())).collect();
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(&NewRecord {
        timestamp: message.timestamp,
        key: message.key.as_deref(),
        value: message.value.as_deref(),
        headers: &headers,
    });
    let batch = batch.build().unwrap();
    batch.records().unwrap().next().unwrap().unwrap()
}

#[test]
fn a_message_joins_a_trace_unless_it_says_of_which_it_is() {
    let trace = [(bytes("traceparent"), Some(bytes("theirs"))), (bytes("tracestate"), None)];
    let mut message = Message::default();
    message.join_trace(&trace);
    assert_eq!(message.headers, trace);
    let own = vec![(bytes("Traceparent"), Some(bytes("mine")))];
    let mut message = Message { headers: own.clone(), ..Message::default() };
    message.join_trace(&trace);
    assert_eq!(message.headers, own);
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn full() -> Message {
    Message {
        key: None,
        value: Some(bytes("21.5")),
        headers: vec![
            (bytes("b"), Some(bytes("2"))),
            (bytes("a"), Some(bytes(""))),
            (bytes("b"), None),
            (bytes("traceparent"), Some(bytes("00-1-2-01"))),
        ],
        timestamp: Some(1_700_000_000_123),
        properties: Properties {
            content_type: Some(bytes("text/plain")),
            reply_to: Some(Subject::from_levels(["answers", "to.me", ""])),
            correlation_id: Some(bytes("\0any bytes")),
            expires_at: Some(1_700_000_060_000),
            priority: Some(9),
            user: Some(bytes("alice")),
        },
        original: Some(Original { door: 3, bytes: bytes("\x01\x00whatever") }),
        guaranteed: true,
        publisher: PublisherId(5),
        via: Some(Via { exchange: bytes("x"), key: bytes("") }),
        further_keys: vec![bytes("other"), bytes("")],
        deaths: vec![Death {
            queue: bytes("q"),
            reason: DeathReason::TooMany,
            count: 3,
            time: 4,
            exchange: bytes(""),
            keys: vec![bytes("k"), bytes("")],
        }],
    }
}

#[test]
fn a_message_comes_back_from_its_record() {
    let message = full();
    let record = record(&message.to_record(Some(&bytes("sensors.room")), 9));
    assert_eq!(record.key, Some(bytes("sensors.room")));
    let back = Message::from_record(&record);
    assert_eq!(back.value, message.value);
    assert_eq!(back.headers, message.headers, "in order, duplicates and absent values too");
    assert_eq!(back.timestamp, message.timestamp);
    assert_eq!(back.properties, message.properties);
    assert_eq!((back.via, back.deaths), (message.via, message.deaths));
    assert_eq!(back.further_keys, message.further_keys);
    assert_eq!(back.original, message.original);
    assert_eq!(back.publisher, PublisherId::default(), "who is not there any more has no echo");
}

#[test]
fn properties_are_plain_headers_for_who_knows_nothing_of_them() {
    let record = full().to_record(None, 9);
    assert_eq!(record.key, None);
    let text = |name: &str| {
        let found = record.headers.iter().find(|(key, _)| key == name)?;
        found.1.as_ref().map(|value| String::from_utf8_lossy(value).into_owned())
    };
    assert_eq!(text("content-type").as_deref(), Some("text/plain"));
    assert_eq!(text("reply-to").as_deref(), Some("answers.to//me./"));
    assert_eq!(text("expires-at").as_deref(), Some("1700000060000"));
    assert_eq!(text("priority").as_deref(), Some("9"));
    let none = Message { value: Some(bytes("x")), ..Message::default() }.to_record(None, 9);
    assert_eq!((none.headers, none.timestamp), (vec![], 9), "nothing is there that was not sent");
}

#[test]
fn the_original_is_read_by_its_own_door_alone() {
    let three = Escape::new(Rules { slot: 3, ..*TEXT.rules() });
    let original = full().original.unwrap();
    assert!(original.of(&three).is_some());
    assert!(original.of(&TEXT).is_none());
}

#[test]
fn headers_that_are_no_properties_stay_headers() {
    let message = Message {
        headers: vec![
            (bytes("content-type"), Some(bytes("mine"))),
            (bytes("Content-Type"), Some(bytes("other"))),
        ],
        properties: Properties { content_type: Some(bytes("real")), ..Properties::default() },
        ..Message::default()
    };
    let back = Message::from_record(&record(&message.to_record(None, 9)));
    assert_eq!(back.properties.content_type, Some(bytes("real")));
    assert_eq!(back.headers, message.headers);
    let odd = Message {
        headers: vec![
            (bytes("reply-to"), Some(bytes("not a subject"))),
            (bytes("priority"), None),
            (bytes(FURTHER_KEYS), Some(bytes("\0\0\0\x05four"))),
        ],
        ..Message::default()
    };
    let back = Message::from_record(&record(&odd.to_record(None, 9)));
    assert_eq!(back.properties, Properties::default());
    assert_eq!(back.further_keys, Vec::<Bytes>::new());
    assert_eq!(back.headers, odd.headers);
}

#[test]
fn what_readers_trust_is_not_a_publisher_s_header() {
    let forged = Message {
        headers: [USER, ORIGINAL, "mine"].map(|name| (bytes(name), Some(bytes("\x02x")))).into(),
        ..Message::default()
    };
    let back = Message::from_record(&record(&forged.to_record(None, 9)));
    assert_eq!((back.properties.user, back.original), (None, None));
    assert_eq!(back.headers, [(bytes("mine"), Some(bytes("\x02x")))]);
}

#[test]
fn the_page_of_messages_names_every_header() {
    let page = include_str!("../../../../docs/messages.md");
    for name in [
        CONTENT_TYPE,
        REPLY_TO,
        CORRELATION_ID,
        EXPIRES_AT,
        PRIORITY,
        ORIGINAL,
        COPY,
        PUBLISHER,
        USER,
        EXCHANGE,
        ROUTING_KEY,
        FURTHER_KEYS,
        DEATHS,
    ] {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}
