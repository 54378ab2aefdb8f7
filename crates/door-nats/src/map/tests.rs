use broker::{Message, Original, Properties};
use bytes::Bytes;

use super::{NAMES, correlated, error, header_block, reply_name, take_headers};

fn taken(block: &'static [u8]) -> Message {
    let mut message = Message::default();
    take_headers(&Bytes::from_static(block), &mut message);
    message
}

#[test]
fn a_header_block_crosses_as_headers_and_properties_and_comes_back_as_it_was() {
    let block = b"NATS/1.0\r\nA: 1\r\nContent-Type: text/plain\r\na:2\r\nA: 1\r\n\
                  correlation-id: c1\r\nPriority: 7\r\nExpires-At: 99\r\n\r\n";
    let mut message = taken(block);
    let headers: Vec<_> =
        message.headers.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
    let expected = [(&b"A"[..], &b"1"[..]), (b"a", b"2"), (b"A", b"1")];
    assert_eq!(headers, expected.map(|(name, value)| (name, Some(value))));
    assert_eq!(message.properties.content_type.as_deref(), Some(&b"text/plain"[..]));
    assert_eq!(message.properties.correlation_id.as_deref(), Some(&b"c1"[..]));
    assert_eq!(message.properties.priority, Some(7));
    assert_eq!(message.properties.expires_at, Some(99));
    let mut made = Vec::new();
    assert_eq!(header_block(&message, &mut made), Some(&block[..]));
    // For who has only what crosses.
    message.original = Some(Original { door: 1, bytes: Bytes::from_static(b"another door's") });
    let crossed = header_block(&message, &mut made).expect("a block").to_vec();
    let again = taken(Bytes::from(crossed).to_vec().leak());
    assert_eq!((again.headers, again.properties), (message.headers, message.properties));
}

#[test]
fn what_cannot_be_written_in_a_header_is_left_out() {
    let mut message = Message::default();
    let field = |name: &'static str, value: &'static str| {
        (Bytes::from_static(name.as_bytes()), Some(Bytes::from_static(value.as_bytes())))
    };
    message.headers = vec![field("a b", "1"), field("ok", "1\r\nInjected: 2"), field("", "x")];
    message.headers.push((Bytes::from_static(b"absent"), None));
    let mut made = Vec::new();
    assert_eq!(header_block(&message, &mut made), Some(&b"NATS/1.0\r\nabsent: \r\n\r\n"[..]));
    assert_eq!(header_block(&Message::default(), &mut made), None);
}

#[test]
fn a_correlation_id_goes_into_the_reply_subject_and_comes_out_of_it() {
    let reply = NAMES.subject(b"answers.here").expect("a subject");
    let with = |id: &'static [u8]| Message {
        properties: Properties {
            correlation_id: Some(Bytes::from_static(id)),
            ..Properties::default()
        },
        ..Message::default()
    };
    assert_eq!(reply_name(&reply, &Message::default()), b"answers.here");
    assert_eq!(reply_name(&reply, &with(b"")), b"answers.here");
    let ours = taken(b"NATS/1.0\r\nCorrelation-Id: 1\r\n\r\n");
    assert_eq!(reply_name(&reply, &ours), b"answers.here", "between NATS clients nothing changes");
    let name = reply_name(&reply, &with(b"\x00id.*>"));
    assert!(crate::wire::subject::is_literal(&name));
    let (id, rest) = correlated(&name).expect("one of ours");
    assert_eq!((&id[..], rest), (&b"\x00id.*>"[..], &b"answers.here"[..]));
    for other in [&b"_R_"[..], b"_R_.0", b"_R_.0g.a", b"_R_.abc.a", b"a.b", b"_INBOX.1"] {
        assert_eq!(correlated(other), None, "{}", other.escape_ascii());
    }
}

#[test]
fn errors_name_the_subject_as_clients_expect() {
    assert_eq!(error::publish(b"a.b"), "Permissions Violation for Publish to \"a.b\"");
    assert_eq!(
        error::subscribe(b"a.*", Some(b"q")),
        "Permissions Violation for Subscription to \"a.*\" using queue \"q\""
    );
}
