use std::sync::Arc;

use base::Subject;
use broker::queues::{DeliveryId, Origin};

use super::*;
use crate::wire::reply::Reply;

fn delivered(message: Message, deliveries: u32) -> Delivered {
    let id = DeliveryId::default();
    Delivered {
        id,
        origin: Origin::Queue,
        message: Arc::new(message),
        deliveries,
        at: 0,
        offset: None,
    }
}

fn encoded(properties: &Properties<'_>) -> Bytes {
    let mut out = Vec::new();
    properties.encode(&mut out);
    out.into()
}

fn received(properties: &Properties<'_>) -> Message {
    let raw = encoded(properties);
    let own = Properties::decode(&raw).unwrap();
    message(&own, (raw.clone(), Bytes::new()), PublisherId(1), || 1000).unwrap()
}

#[test]
fn between_its_own_clients_properties_are_what_they_were() {
    let headers = TableBuf::default().with(b"a", Value::I8(1)).with(b"a", Value::Void);
    let properties = Properties {
        headers: Some(headers.table()),
        user_id: Some(Short(b"me")),
        ..Properties::default()
    };
    let message = received(&properties);
    assert_eq!(super::properties(&delivered(message, 3), false), &encoded(&properties)[..]);
}

#[test]
fn what_others_have_a_word_for_crosses() {
    let inner = TableBuf::default().with(b"x", Value::Bool(true)).with(b"y", Value::String(b"q\""));
    let mut array = ArrayBuf::default();
    array.push(Value::I32(1));
    array.push(Value::F64(1.5));
    let headers = TableBuf::default()
        .with(b"text", Value::String(b"t"))
        .with(b"number", Value::I64(-5))
        .with(b"table", Value::Table(inner.table()))
        .with(b"array", Value::Array(array.array()))
        .with(b"none", Value::Void);
    let message = received(&Properties {
        content_type: Some(Short(b"text/plain")),
        headers: Some(headers.table()),
        delivery_mode: Some(2),
        priority: Some(4),
        correlation_id: Some(Short(b"c")),
        expiration: Some(Short(b"500")),
        timestamp: Some(7),
        message_id: Some(Short(b"m")),
        kind: Some(Short(b"order")),
        user_id: Some(Short(b"alice")),
        ..Properties::default()
    });
    let text: Vec<_> = message
        .headers
        .iter()
        .map(|(name, value)| {
            let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
            (text(name), value.as_ref().map(text))
        })
        .collect();
    let wanted = [
        ("text", Some("t")),
        ("number", Some("-5")),
        ("table", Some(r#"{"x":true,"y":"q\""}"#)),
        ("array", Some("[1,1.5]")),
        ("none", None),
        ("message-id", Some("m")),
        ("type", Some("order")),
    ];
    assert_eq!(text, wanted.map(|(name, value)| (name.to_owned(), value.map(str::to_owned))));
    assert_eq!((message.timestamp, message.guaranteed), (Some(7000), true));
    let of = &message.properties;
    assert_eq!((of.expires_at, of.priority), (Some(1500), Some(4)));
    assert_eq!(of.correlation_id.as_deref(), Some(&b"c"[..]));
    assert_eq!(of.user.as_deref(), Some(&b"alice"[..]));
}

#[test]
fn a_message_of_another_door_has_what_that_said() {
    let header = |name: &'static str, value: &'static [u8]| {
        (Bytes::from_static(name.as_bytes()), Some(Bytes::from_static(value)))
    };
    let message = Message {
        headers: vec![
            header("type", b"first"),
            header("app-id", b"shop"),
            header("message-id", b"no text: \xff"),
            header("type", b"last"),
            header("user-id", b"forged"),
            header("h", b"v"),
        ],
        timestamp: Some(7999),
        properties: CoreProperties {
            content_type: Some(Bytes::from_static(b"t")),
            reply_to: Some(Subject::from_levels(["a", "b"])),
            correlation_id: Some(vec![b'c'; 300].into()),
            expires_at: Some(5000),
            priority: Some(1),
            user: Some(Bytes::from_static(b"alice")),
        },
        ..Message::default()
    };
    let delivered = Delivered { at: 1000, ..delivered(message, 0) };
    let made = properties(&delivered, true);
    let read = Properties::decode(&made).unwrap();
    let headers = read.headers.unwrap();
    assert_eq!(headers.get(b"h"), Some(Value::String(b"v")));
    assert_eq!(headers.get(REPLY_TO_TOPIC), Some(Value::String(b"a.b")));
    assert_eq!(headers.get(CORRELATION_ID), Some(Value::Bytes(&[b'c'; 300])));
    assert_eq!((read.correlation_id, read.timestamp, read.priority), (None, Some(7), Some(1)));
    assert_eq!(read.expiration, Some(Short(b"4000")));
    assert_eq!((read.kind, read.app_id), (Some(Short(b"last")), Some(Short(b"shop"))));
    assert_eq!((read.message_id, read.user_id), (None, Some(Short(b"alice"))));
    let names: Vec<_> = headers.entries().map(|(name, _)| name).collect();
    let kept: [&[u8]; 4] = [b"type", b"message-id", b"user-id", b"h"];
    assert_eq!(names[..4], kept);
}

#[test]
fn what_became_of_a_message_is_told_newest_first() {
    let old = TableBuf::default()
        .with(b"own", Value::I32(1))
        .with(b"x-death", Value::String(b"forged"))
        .with(b"x-delivery-count", Value::I32(99));
    let mut message = received(&Properties {
        headers: Some(old.table()),
        expiration: Some(Short(b"500")),
        ..Properties::default()
    });
    let death = |queue: &'static [u8], reason, count| Death {
        queue: Bytes::from_static(queue),
        reason,
        count,
        time: 5000,
        exchange: Bytes::from_static(b"x"),
        keys: vec![Bytes::from_static(b"k")],
    };
    message.deaths =
        vec![death(b"b", DeathReason::Rejected, 2), death(b"a", DeathReason::Expired, 1)];
    let delivered = delivered(message, 4);
    let made = properties(&delivered, true);
    let read = Properties::decode(&made).unwrap();
    assert_eq!(read.expiration, None);
    let headers = read.headers.unwrap();
    assert_eq!(headers.get(b"own"), Some(Value::I32(1)));
    assert_eq!(headers.get(b"x-delivery-count"), Some(Value::I64(4)));
    assert_eq!(headers.get(b"x-first-death-queue"), Some(Value::String(b"a")));
    assert_eq!(headers.get(b"x-last-death-reason"), Some(Value::String(b"rejected")));
    let Some(Value::Array(all)) = headers.get(b"x-death") else { panic!("no list") };
    let all: Vec<_> = all.values().collect();
    let [Value::Table(last), Value::Table(first)] = all[..] else { panic!("{all:?}") };
    assert_eq!(last.get(b"count"), Some(Value::I64(2)));
    assert_eq!(last.get(b"time"), Some(Value::Timestamp(5)));
    assert_eq!(first.get(b"original-expiration"), Some(Value::String(b"500")));
    assert_eq!(last.get(b"original-expiration"), None);
}

#[test]
fn numbers_are_compared_whatever_their_size() {
    assert_eq!(header_value(&Value::I8(5)), header_value(&Value::I64(5)));
    assert_eq!(header_value(&Value::F32(0.5)), header_value(&Value::F64(0.5)));
    assert_ne!(header_value(&Value::I32(1)), header_value(&Value::String(b"1")));
    assert_ne!(header_value(&Value::I32(1)), header_value(&Value::Bool(true)));
}

#[test]
fn further_keys_are_texts_and_those_of_bcc_stay_here() {
    let mut keys = ArrayBuf::default();
    keys.push(Value::String(b"k"));
    let headers = TableBuf::default()
        .with(b"CC", Value::Array(keys.array()))
        .with(b"BCC", Value::Array(keys.array()));
    let properties = Properties { headers: Some(headers.table()), ..Properties::default() };
    assert_eq!(extra_keys(&properties, 2).unwrap(), ["k", "k"]);
    assert_eq!(extra_keys(&properties, 1).unwrap_err().reply, Reply::PreconditionFailed);
    let told = without_bcc(&properties).unwrap();
    let told = Properties::decode(&told).unwrap().headers.unwrap();
    assert_eq!(told.entries().map(|(name, _)| name).collect::<Vec<_>>(), [b"CC"]);
    let wrong = TableBuf::default().with(b"CC", Value::String(b"k"));
    let properties = Properties { headers: Some(wrong.table()), ..Properties::default() };
    assert!(extra_keys(&properties, 2).is_err());
    assert_eq!(without_bcc(&properties), None);
}

#[test]
fn an_expiration_is_digits() {
    assert_eq!(expiration(b"0"), Ok(0));
    for text in [&b"-1"[..], b"", b"1s", b"99999999999", b"1.5"] {
        assert!(expiration(text).is_err(), "{}", text.escape_ascii());
    }
}
