//! Names, properties, and what becomes of messages that cross.

use base::Subject;
use base::subject::TEXT;
use proptest::prelude::*;

use super::*;

fn text_of(topic: &str) -> String {
    let subject = NAMES.subject(topic.as_bytes()).unwrap();
    String::from_utf8(TEXT.name(&subject).to_vec()).unwrap()
}

#[test]
fn topics_have_the_names_that_others_give_them() {
    for (topic, text) in [
        ("sensors/room1/temp", "sensors.room1.temp"),
        ("a.b/c", "a//b.c"),
        ("/a", "/.a"),
        ("a/", "a./"),
        ("a//b", "a./.b"),
    ] {
        assert_eq!(text_of(topic), text, "{topic}");
    }
}

#[test]
fn control_characters_are_written_out_and_not_taken() {
    for byte in (0..0x20).chain([0x7f]) {
        let subject = Subject::from_levels([b"a".as_slice(), &[b'b', byte]]);
        let name = NAMES.name(&subject);
        assert_eq!(name, format!("a/b%{byte:02X}"));
        assert_eq!(NAMES.subject(&name), Ok(subject));
        assert!(
            NAMES.subject(&[b'a', byte]).is_err()
                && filter(&format!("{}/#", char::from(byte))).is_err()
        );
    }
}

#[test]
fn filters_match_as_they_should() {
    let matches = |name: &str, topic: &str| {
        filter(name).unwrap().matches(&NAMES.subject(topic.as_bytes()).unwrap())
    };
    assert!(matches("a/#", "a"), "its parent, too");
    assert!(matches("a/#", "a/b/c"));
    assert!(matches("+/+", "/finance"));
    assert!(matches("/+", "/finance"));
    assert!(!matches("+", "/finance"));
    assert!(matches("a/+", "a/"));
    assert!(!matches("a/+", "a"));
    assert!(!matches("#", "$SYS/x"));
    assert!(!matches("+/x", "$SYS/x"));
    assert!(matches("$SYS/#", "$SYS/x"));
    assert!(matches("A/b", "A/b") && !matches("A/b", "a/b"));
}

#[test]
fn some_topics_are_not_for_clients() {
    for topic in ["$SYS", "$SYS/broker/uptime", "$SYS/broker/connection/a", "$share/g/a"] {
        assert!(is_reserved(topic), "{topic}");
    }
    for topic in ["a", "$", "$other", "SYS", "$SYS/broker/connection/a/state"] {
        assert!(!is_reserved(topic), "{topic}");
    }
}

#[test]
fn a_message_of_another_protocol_has_the_properties_that_can_be_said() {
    let message = Message {
        value: Some(Bytes::from_static(b"v")),
        headers: vec![
            (Bytes::from_static(b"a"), Some(Bytes::from_static(b"1"))),
            (Bytes::from_static(b"a"), Some(Bytes::from_static(b"2"))),
            (Bytes::from_static(b"binary"), Some(Bytes::from_static(b"\xff"))),
            (Bytes::from_static(b"absent"), None),
        ],
        properties: Properties {
            content_type: Some(Bytes::from_static(b"text/plain")),
            reply_to: NAMES.subject(b"answers/1").ok(),
            correlation_id: Some(Bytes::from_static(b"\x00\x01")),
            ..Properties::default()
        },
        ..Message::default()
    };
    let received = Received::new(b"t", &message, true);
    assert_eq!(received.published, Published { qos: 1, retain: false });
    let properties = crate::wire::publish::check_kept(&received.kept).unwrap();
    assert_eq!(properties.content_type, Some("text/plain"));
    assert_eq!(properties.response_topic, Some("answers/1"));
    assert_eq!(properties.correlation, Some(&b"\x00\x01"[..]));
    let pairs: Vec<_> = user_properties(&received.kept).collect();
    assert_eq!(pairs, [("a", "1"), ("a", "2"), ("absent", "")]);
    assert_eq!(Received::new(b"t", &message, false).published.qos, 0);
}

fn topic() -> impl Strategy<Value = String> {
    // What has a meaning somewhere, and anything else.
    let special = r"[a./%$*>/ 2FxX#]{1,12}";
    prop_oneof![special, "\\PC{1,12}"]
        .prop_filter("a topic", |topic| !topic.contains(['+', '#', '\0']) && !topic.is_empty())
}

proptest! {
    #[test]
    fn every_topic_comes_back_as_it_was(topic in topic()) {
        let subject = NAMES.subject(topic.as_bytes()).unwrap();
        prop_assert_eq!(NAMES.name(&subject), topic.as_bytes());
        // Through the names of others, too.
        let text = TEXT.name(&subject);
        prop_assert_eq!(TEXT.subject(&text).unwrap(), subject);
    }

    #[test]
    fn every_subject_has_a_topic(levels in proptest::collection::vec(any::<Vec<u8>>(), 1..4)) {
        let subject = Subject::from_levels(levels.iter().map(Vec::as_slice));
        let topic = NAMES.name(&subject);
        prop_assert!(std::str::from_utf8(&topic).is_ok());
        prop_assert_eq!(NAMES.subject(&topic).unwrap(), subject);
    }
}
