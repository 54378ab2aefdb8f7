use base::subject::TEXT;

use super::*;

fn message() -> pb::Message {
    let header = |name: &str, value: Option<&str>| pb::Header {
        name: name.to_owned(),
        value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
    };
    pb::Message {
        subject: "a.b".to_owned(),
        payload: Some(Bytes::new()),
        headers: vec![header("x", Some("1")), header("x", None), header("y", Some(""))],
        content_type: Some(String::new()),
        reply_to: Some("r.1".to_owned()),
        correlation_id: Some(Bytes::from_static(b"\x00\xff")),
        timestamp_ms: Some(-1),
        expires_at_ms: Some(5),
        priority: Some(0),
        ..pb::Message::default()
    }
}

#[test]
fn a_message_comes_back_as_it_was() {
    for message in [message(), pb::Message { subject: "a".to_owned(), ..Default::default() }] {
        let (to, taken) = take(Some(message.clone()), PublisherId::default()).unwrap();
        let To::Subject(subject) = to else { panic!("{to:?}") };
        assert_eq!(tell(&taken, Some(&Bytes::from(subject))), message);
    }
}

#[test]
fn a_message_goes_to_one_place() {
    let to = |subject: &str, topic: &str, queue: &str| {
        let (subject, topic, queue) = (subject.to_owned(), topic.to_owned(), queue.to_owned());
        let message = pb::Message { subject, topic, queue, ..pb::Message::default() };
        take(Some(message), PublisherId::default()).map(|(to, _)| to).map_err(|s| s.code())
    };
    assert_eq!(to("a", "", ""), Ok(To::Subject("a".to_owned())));
    assert_eq!(to("", "b", ""), Ok(To::Topic("b".to_owned())));
    assert_eq!(to("", "", "c"), Ok(To::Queue("c".to_owned())));
    for (subject, topic, queue) in [("", "", ""), ("a", "b", ""), ("", "b", "c"), ("a", "b", "c")] {
        assert_eq!(to(subject, topic, queue), Err(Code::InvalidArgument));
    }
}

#[test]
fn what_cannot_be_is_said_with_its_field() {
    let refused = |message: pb::Message| {
        let status = take(Some(message), PublisherId::default()).unwrap_err();
        let details = status.get_error_details();
        let request = details.bad_request().expect("a bad request");
        (status.code(), request.field_violations[0].field.clone())
    };
    let wrong = |field: &str| (Code::InvalidArgument, field.to_owned());
    let priority = pb::Message { priority: Some(256), ..message() };
    assert_eq!(refused(priority), wrong("message.priority"));
    let key = pb::Message { key: Some(Bytes::from_static(b"k")), ..message() };
    assert_eq!(refused(key), wrong("message.key"));
    let reply = pb::Message { reply_to: Some("a..b".to_owned()), ..message() };
    assert_eq!(refused(reply), wrong("message.reply_to"));
    let own_key = pb::Message { key: Some(Bytes::from_static(b"a.b")), ..message() };
    assert!(take(Some(own_key), PublisherId::default()).is_ok(), "as a stored one is told");
}

#[test]
fn subjects_are_text_in_utf_8() {
    let names = [("a.b", &b"a.b"[..]), ("/x", b"/x"), ("\u{e9}.b", "\u{e9}.b".as_bytes())];
    for (name, text) in names {
        assert_eq!(subject("s", name).unwrap(), TEXT.subject(text).unwrap(), "{name}");
    }
    let odd = Subject::from_levels([&b"a"[..], &[0xff]]);
    let name = NAMES.name(&odd);
    let name = std::str::from_utf8(&name).expect("UTF-8");
    assert_eq!(subject("s", name).unwrap(), odd, "{name}");
    // What text forbids, so that who subscribes by any door can name what was published.
    for blank in [b' ', b'\t', b'\r', b'\n', 0x0c, 0] {
        let odd = Subject::from_levels([&b"a"[..], &[blank]]);
        assert_eq!(NAMES.name(&odd), TEXT.name(&odd), "{blank}");
        assert!(subject("s", &format!("a.{}", char::from(blank))).is_err(), "{blank}");
    }
}
