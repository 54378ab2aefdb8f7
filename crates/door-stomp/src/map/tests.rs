use std::sync::Arc;

use base::Subject;
use broker::Death;
use broker::queues::{DeliveryId, Origin};
use proptest::prelude::*;

use super::*;
use crate::wire::Version;
use crate::wire::parse::{Bounds, Looked, Parsed, parse};

const BOUNDS: Bounds =
    Bounds { headers_max: 100, head_bytes_max: 1 << 16, body_bytes_max: 1 << 16 };

fn sent(lines: &str) -> Message {
    let headers = Headers::kept(lines.as_bytes());
    message(headers, Bytes::from_static(b"hello"), (PublisherId(7), None), || 1000).unwrap()
}

fn delivered(message: Message) -> Delivered {
    let (id, origin) = (DeliveryId::default(), Origin::Queue);
    Delivered { id, origin, message: Arc::new(message), deliveries: 0, at: 0, offset: None }
}

/// What a client would read: the headers, as text, and the body. Written as a `SEND`, which is parsed here.
fn read(message: Message, version: Version) -> (Vec<(String, String)>, Vec<u8>) {
    let mut out = Vec::new();
    put(&delivered(message), Writer::begin("SEND", version, &mut out));
    let Ok(Parsed::Frame(frame, _)) = parse(&out, version, &BOUNDS, &mut Looked::default()) else {
        panic!("no frame: {}", out.escape_ascii());
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = frame.headers.iter().map(|(name, value)| (text(&name), text(&value)));
    (headers.collect(), frame.body.to_vec())
}

fn lines(message: Message) -> Vec<String> {
    let (headers, _) = read(message, Version::V1_2);
    headers.into_iter().map(|(name, value)| format!("{name}:{value}")).collect()
}

#[test]
fn headers_become_what_other_protocols_have_words_for() {
    let message = sent(
        "destination:/queue/q\nreceipt:1\ncontent-type:text/plain\ncorrelation-id:c\npriority:4\n\
         timestamp:9\nexpiration:500\npersistent:true\nreply-to:/topic/a.b\nmine:1\nmine:2\n\
         user-id:alice\namqp-message-id:m\ntype:order\n",
    );
    let of = &message.properties;
    assert_eq!(of.content_type.as_deref(), Some(&b"text/plain"[..]));
    assert_eq!(of.correlation_id.as_deref(), Some(&b"c"[..]));
    assert_eq!((of.priority, of.expires_at, message.timestamp), (Some(4), Some(1500), Some(9000)));
    assert_eq!(of.reply_to, Some(Subject::from_levels(["a", "b"])));
    assert!(message.guaranteed);
    assert_eq!(of.user.as_deref(), Some(&b"alice"[..]));
    let header = |name: &'static str, value: &'static str| {
        (Bytes::from_static(name.as_bytes()), Some(Bytes::from_static(value.as_bytes())))
    };
    let wanted = [("mine", "1"), ("mine", "2"), ("message-id", "m"), ("type", "order")];
    assert_eq!(message.headers, wanted.map(|(name, value)| header(name, value)));
}

#[test]
fn an_answer_goes_to_the_address_that_the_broker_gave() {
    let headers = Headers::kept(b"reply-to:/temp-queue/a\n");
    let to = Some(&b"/reply-queue/amq.gen-1"[..]);
    let message = message(headers, Bytes::new(), (PublisherId(7), to), || 0).unwrap();
    assert_eq!(lines(message), ["reply-to:/reply-queue/amq.gen-1", "content-length:0"]);
}

#[test]
fn what_is_no_time_is_refused() {
    for text in ["soon", "-1", "4294967296"] {
        let line = format!("expiration:{text}\n");
        let headers = Headers::kept(line.as_bytes());
        let fault = message(headers, Bytes::new(), (PublisherId(7), None), || 0).unwrap_err();
        assert_eq!(fault.message, "precondition_failed", "{text}");
    }
}

#[test]
fn a_message_of_another_door_has_its_words() {
    let mut foreign = sent("content-type:text/plain\nmine:1\nack:x\n");
    foreign.original = Some(Original { door: 1, bytes: Bytes::from_static(b"something else") });
    foreign.properties.reply_to = Some(Subject::from_levels(["a", "b/c"]));
    foreign.headers.push((Bytes::from_static(b"subscription"), None));
    foreign.headers.push((Bytes::from_static(b"none"), None));
    foreign.headers.push((Bytes::from_static(b"message-id"), Some(Bytes::from_static(b"m"))));
    foreign.headers.push((Bytes::from_static(b"user-id"), Some(Bytes::from_static(b"forged"))));
    foreign.properties.user = Some(Bytes::from_static(b"alice"));
    foreign.properties.expires_at = Some(500);
    // Clients would see a frame end, or no text.
    for bytes in [&b"\0MESSAGE"[..], b"\xff"] {
        foreign.headers.push((Bytes::from_static(b"bad"), Some(Bytes::from_static(bytes))));
        foreign.headers.push((Bytes::from_static(bytes), Some(Bytes::from_static(b"bad"))));
        foreign.properties.correlation_id = Some(Bytes::from_static(bytes));
    }
    assert_eq!(
        lines(foreign),
        [
            "content-type:text/plain",
            "user-id:alice",
            "expiration:500",
            "reply-to:/topic/a.b%2Fc",
            "mine:1",
            "none:",
            "amqp-message-id:m",
            "content-length:5"
        ]
    );
}

#[test]
fn a_dead_letter_says_where_it_died_and_has_no_time_left_to_die_of() {
    let mut message = sent("expiration:500\nmine:1\nx-last-death-queue:old\n");
    message.deaths = vec![Death {
        queue: Bytes::from_static(b"q"),
        reason: DeathReason::Expired,
        count: 1,
        time: 5,
        exchange: Bytes::new(),
        keys: vec![Bytes::from_static(b"q")],
    }];
    let told = lines(message);
    assert!(!told.iter().any(|line| line.starts_with("expiration")), "{told:?}");
    assert!(told.contains(&"mine:1".to_owned()), "{told:?}");
    let of_queue = told.iter().filter(|line| line.starts_with("x-last-death-queue"));
    assert_eq!(of_queue.collect::<Vec<_>>(), ["x-last-death-queue:q"]);
    assert!(told.contains(&"x-first-death-reason:expired".to_owned()), "{told:?}");
}

#[test]
fn what_is_read_of_a_stream_says_where_it_is() {
    let message = sent("x-stream-offset:99\nmine:1\n");
    let mut out = Vec::new();
    let delivered = Delivered { offset: Some(7), ..delivered(message) };
    put(&delivered, Writer::begin("MESSAGE", Version::V1_2, &mut out));
    let told = String::from_utf8(out).unwrap();
    assert!(told.starts_with("MESSAGE\nmine:1\nx-stream-offset:7\n"), "{told}");
}

proptest! {
    #[test]
    fn what_was_sent_comes_back_exactly(
        headers in proptest::collection::vec(("[^\0]{1,6}", "[^\0]{0,6}"), 0..6),
        body in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        // Those that mean something have tests of their own.
        let headers: Vec<(String, String)> = headers
            .into_iter()
            .map(|(name, value)| (format!("h{name}"), value))
            .collect();
        let mut kept = Vec::new();
        for (name, value) in &headers {
            put_line(name.as_bytes(), value.as_bytes(), &mut kept);
        }
        let payload = Bytes::from(body.clone());
        let message = message(Headers::kept(&kept), payload, (PublisherId(7), None), || 0).unwrap();
        let (mut told, read_body) = read(message, Version::V1_2);
        let length = told.pop().map(|(name, _)| name);
        prop_assert_eq!(length.as_deref(), Some("content-length"));
        prop_assert_eq!(told, headers);
        prop_assert_eq!(read_body, body);
    }
}
