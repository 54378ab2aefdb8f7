use proptest::prelude::*;

use super::connect::ConnectOptions;
use super::encode::{Outbound, decimal};
use super::headers::{Block, fields, is_writable};
use super::info::Info;
use super::parse::{Bounds, Line, Op, ParseError, Parsed, Publish, parse};
use super::{nkey, subject};

const BOUNDS: Bounds = Bounds { control_line_bytes_max: 4096, payload_bytes_max: 1 << 20 };

/// All operations of a stream, and what is left of it. What a line that came before makes of it is the same.
fn all(mut bytes: &[u8]) -> Result<(Vec<Op<'_>>, usize), ParseError> {
    let mut ops = Vec::new();
    let mut line: Option<Line<'_>> = None;
    loop {
        if bytes.is_empty() {
            return Ok((ops, 0));
        }
        let parsed = parse(bytes, &BOUNDS);
        if let Some((publish, used)) = line.and_then(|line| line.again(bytes)) {
            assert_eq!(parsed, Ok(Parsed::Op(Op::Publish(publish), used)));
        }
        match parsed? {
            Parsed::Op(op, used) => {
                if let Op::Publish(publish) = &op {
                    line = Line::of(bytes, publish, used);
                }
                ops.push(op);
                bytes = &bytes[used..];
            }
            Parsed::More(wanted) => {
                assert!(wanted > bytes.len(), "{wanted} are there");
                return Ok((ops, bytes.len()));
            }
        }
    }
}

fn one(bytes: &[u8]) -> Op<'_> {
    let (ops, left) = all(bytes).expect("an operation");
    assert_eq!((ops.len(), left), (1, 0), "{}", bytes.escape_ascii());
    ops[0]
}

fn message<'a>(
    subject: &'a str,
    reply: Option<&'a str>,
    headers: Option<&'a str>,
    payload: &'a str,
) -> Op<'a> {
    Op::Publish(Publish {
        subject: subject.as_bytes(),
        reply: reply.map(str::as_bytes),
        headers: headers.map(str::as_bytes),
        payload: payload.as_bytes(),
    })
}

#[test]
fn a_line_that_comes_again_is_read_once() {
    let first: &[u8] = b"PUB a.b 2\r\nhi\r\n";
    let Ok(Parsed::Op(Op::Publish(publish), used)) = parse(first, &BOUNDS) else {
        panic!("it is a message")
    };
    let line = Line::of(first, &publish, used).expect("a plain one");
    let again = |bytes: &'static [u8]| line.again(bytes).map(|(one, used)| (one.payload, used));
    assert_eq!(again(b"PUB a.b 2\r\nho\r\nPUB"), Some((&b"ho"[..], first.len())));
    for other in [
        &b"PUB a.b 2\r\nho\r"[..],
        b"PUB a.b 2\r\nhoho",
        b"PUB a.b 20\r\nhohohohohohohohohoho\r\n",
        b"PUB a.c 2\r\nho\r\n",
        b"",
    ] {
        assert_eq!(again(other), None, "{}", other.escape_ascii());
    }
    let asks: &[u8] = b"PUB a.b c 2\r\nhi\r\n";
    let Ok(Parsed::Op(Op::Publish(publish), used)) = parse(asks, &BOUNDS) else {
        panic!("it is a message")
    };
    assert!(Line::of(asks, &publish, used).is_none(), "another answer is wanted each time");
}

/// The examples of the protocol's documentation.
#[test]
fn the_documented_lines_are_understood() {
    assert_eq!(one(b"PUB FOO 11\r\nHello NATS!\r\n"), message("FOO", None, None, "Hello NATS!"));
    assert_eq!(
        one(b"PUB FRONT.DOOR JOKE.22 11\r\nKnock Knock\r\n"),
        message("FRONT.DOOR", Some("JOKE.22"), None, "Knock Knock")
    );
    assert_eq!(one(b"PUB NOTIFY 0\r\n\r\n"), message("NOTIFY", None, None, ""));
    let head = "NATS/1.0\r\nBar: Baz\r\n\r\n";
    assert_eq!(
        one(b"HPUB FOO 22 33\r\nNATS/1.0\r\nBar: Baz\r\n\r\nHello NATS!\r\n"),
        message("FOO", None, Some(head), "Hello NATS!")
    );
    assert_eq!(
        one(b"HPUB FRONT.DOOR JOKE.22 22 22\r\nNATS/1.0\r\nBar: Baz\r\n\r\n\r\n"),
        message("FRONT.DOOR", Some("JOKE.22"), Some(head), "")
    );
    assert_eq!(one(b"SUB FOO 1\r\n"), Op::Subscribe { subject: b"FOO", queue: None, sid: b"1" });
    assert_eq!(
        one(b"SUB BAR G1 44\r\n"),
        Op::Subscribe { subject: b"BAR", queue: Some(b"G1"), sid: b"44" }
    );
    assert_eq!(one(b"UNSUB 1\r\n"), Op::Unsubscribe { sid: b"1", max: None });
    assert_eq!(one(b"UNSUB 1 5\r\n"), Op::Unsubscribe { sid: b"1", max: Some(5) });
    assert_eq!(one(b"PING\r\n"), Op::Ping);
    assert_eq!(one(b"PONG\r\n"), Op::Pong);
    assert_eq!(one(b"CONNECT {\"verbose\":false}\r\n"), Op::Connect(b"{\"verbose\":false}"));
}

#[test]
fn verbs_have_any_case_and_fields_any_blanks() {
    assert_eq!(one(b"pub \t a.b\t 2\nhi\r\n"), message("a.b", None, None, "hi"));
    assert_eq!(one(b"hPuB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n").name(), "publish");
    assert_eq!(
        one(b"sub  a   q\t7 \r\n"),
        Op::Subscribe { subject: b"a", queue: Some(b"q"), sid: b"7" }
    );
    assert_eq!(one(b"ping\n"), Op::Ping);
    assert_eq!(one(b"+ok\r\n"), Op::Nothing);
    assert_eq!(one(b"-err 'gone'\r\n"), Op::Error(b"'gone'"));
    assert_eq!(one(b"INFO {}\r\n"), Op::Nothing);
    assert_eq!(one(b"connect\t{}\r\n"), Op::Connect(b"{}"));
}

#[test]
fn what_is_none_is_refused_as_soon_as_it_shows() {
    for bad in [
        &b"\r\n"[..],
        b"X",
        b"PUX",
        b"PUBX",
        b"PUB\r\n",
        b"PUB a\r\n",
        b"PUB a b c 1\r\n",
        b"PUB a x\r\n",
        b"PUB a -1\r\n",
        b"PUB a 1x\r\n",
        b"PUB a 2\r\nhi!",
        b"PUB a 2\r\nhi\rX",
        b"HPUB a 2\r\n",
        b"HPUB a 3 2\r\n",
        b"SUB\r\n",
        b"SUB a\r\n",
        b"SUB a b c d\r\n",
        b"UNSUB \r\n",
        b"UNSUB 1 2 3\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
    ] {
        assert_eq!(all(bad), Err(ParseError::Unknown), "{}", bad.escape_ascii());
    }
}

#[test]
fn lengths_are_bounded_before_anything_is_awaited() {
    assert_eq!(all(b"PUB a 1048577\r\n"), Err(ParseError::Payload));
    assert_eq!(all(b"PUB a 99999999999999999999\r\n"), Err(ParseError::Payload));
    assert_eq!(all(b"HPUB a 1 1048577\r\n"), Err(ParseError::Payload));
    assert_eq!(parse(b"PUB a 1048576\r\n", &BOUNDS), Ok(Parsed::More(15 + 1_048_576 + 2)));
    let line = |length: usize| [b"SUB ", &vec![b'a'; length][..], b" 1\r\n"].concat();
    assert_eq!(all(&line(4000)).map(|(ops, _)| ops.len()), Ok(1));
    assert_eq!(all(&line(4096)), Err(ParseError::ControlLine));
    // Without an end, too.
    assert_eq!(all(&[b'a'; 5000].map(|_| b' ')), Err(ParseError::Unknown));
    let endless = [b"SUB ", &[b'a'; 5000][..]].concat();
    assert_eq!(all(&endless), Err(ParseError::ControlLine));
}

impl Op<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Publish(_) => "publish",
            _ => "other",
        }
    }
}

#[test]
fn header_fields_are_read_in_order_with_their_duplicates() {
    let block = b"NATS/1.0 503 No Responders\r\nA:1\r\na:  2 \r\nA: 1\r\nno field\r\n: x\r\nB:\r\n\r\nC: 9\r\n";
    let read: Vec<_> = fields(block).collect();
    let expected: [(&[u8], &[u8]); 4] = [(b"A", b"1"), (b"a", b"2"), (b"A", b"1"), (b"B", b"")];
    assert_eq!(read, expected);
    assert_eq!(fields(b"HTTP/1.0\r\nA: 1\r\n\r\n").count(), 0);
    assert_eq!(fields(b"").count(), 0);
}

#[test]
fn subjects_and_filters_are_told_apart() {
    for name in ["a", "a.b", "$SYS.x", "a*.b>", "ü.x", "_INBOX.1.2", "a/b"] {
        assert!(subject::is_literal(name.as_bytes()), "{name}");
        assert!(subject::is_filter(name.as_bytes()), "{name}");
    }
    for name in ["*", ">", "a.*", "a.*.c", "a.>", "*.>"] {
        assert!(!subject::is_literal(name.as_bytes()), "{name}");
        assert!(subject::is_filter(name.as_bytes()), "{name}");
    }
    for name in ["", ".", "a.", ".a", "a..b", "a.>.b", ">.a", "a b", "a\tb"] {
        assert!(!subject::is_literal(name.as_bytes()), "{name}");
        assert!(!subject::is_filter(name.as_bytes()), "{name}");
    }
}

#[test]
fn a_filter_matches_level_by_level() {
    for (filter, name) in
        [("a", "a"), ("a.*", "a.b"), ("*.b", "a.b"), (">", "a.b"), ("a.>", "a.b.c"), ("*", "x")]
    {
        assert!(subject::matches(filter.as_bytes(), name.as_bytes()), "{filter} {name}");
    }
    for (filter, name) in
        [("a", "b"), ("a", "a.b"), ("a.*", "a"), ("a.>", "a"), ("*", "a.b"), ("a.b", "a")]
    {
        assert!(!subject::matches(filter.as_bytes(), name.as_bytes()), "{filter} {name}");
    }
}

#[test]
fn connect_has_the_documented_defaults_and_ignores_what_it_does_not_know() {
    let options = ConnectOptions::decode(b"{}").expect("empty");
    assert!(options.verbose && options.pedantic && options.echo);
    assert!(!options.headers && !options.no_responders);
    assert_eq!(ConnectOptions::decode(b"{\"user\":null}").expect("none").user, "");
    let options = ConnectOptions::decode(
        br#"{"verbose":false,"pedantic":false,"echo":false,"headers":true,"no_responders":true,
            "lang":"go","version":"1.52","protocol":1,"user":"u","pass":"p","new":{"a":[1]}}"#,
    )
    .expect("full");
    assert!(!options.verbose && !options.echo && options.headers && options.no_responders);
    assert_eq!((options.user.as_str(), options.pass.as_str()), ("u", "p"));
    for bad in [&b""[..], b"{", b"[]", b"{\"verbose\":1}", b"{\"user\":1}", b"\xff"] {
        assert!(ConnectOptions::decode(bad).is_none(), "{}", bad.escape_ascii());
    }
}

#[test]
fn info_leaves_out_what_is_not_so() {
    let mut out = Vec::new();
    let info = Info { version: "2.15.1", proto: 1, max_payload: 1 << 20, ..Info::default() };
    info.encode(&mut out);
    let text = String::from_utf8(out).expect("text");
    assert!(text.starts_with("INFO {\"server_id\":\"\"") && text.ends_with("}\r\n"), "{text}");
    for absent in ["auth_required", "tls_required", "ldm", "nonce", "jetstream"] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
}

/// A key made by the nkeys library of Go, from its documentation.
#[test]
fn a_users_key_is_read_and_no_other() {
    let key = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    assert!(nkey::decode_user(key).is_some());
    let wrong_crc = key.replace("NF4", "NF5");
    let account = "ACSKAFQQTQJZDJPDSMT5DHCEJSZB3BCTJYJB4XR6TT6FGVJAEZWZEYPP";
    let lower = key.to_lowercase();
    for bad in ["", "U", &key[1..], &wrong_crc, account, &lower, &format!("{key}A")] {
        assert_eq!(nkey::decode_user(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn nothing_breaks_the_parser_and_pieces_are_like_the_whole(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        lines in prop::collection::vec(line(), 0..6),
        garbage in any::<bool>(),
    ) {
        let mut stream = lines.concat();
        if garbage {
            stream.extend_from_slice(&bytes);
        }
        let whole = all(&stream);
        // As it is when the bytes come one by one: what was an error stays one, and what was an
        // operation stays that.
        let mut at = 0;
        let mut ops = Vec::new();
        let mut failed = None;
        for end in 1..=stream.len() {
            while at < end && failed.is_none() {
                match parse(&stream[at..end], &BOUNDS) {
                    Ok(Parsed::Op(op, used)) => {
                        ops.push(op);
                        at += used;
                    }
                    Ok(Parsed::More(_)) => break,
                    Err(error) => failed = Some(error),
                }
            }
        }
        match (whole, failed) {
            (Ok((all, left)), None) => {
                prop_assert_eq!(all, ops);
                prop_assert_eq!(left, stream.len() - at);
            }
            (Err(error), Some(failed)) => prop_assert_eq!(error, failed),
            (whole, failed) => prop_assert!(false, "{whole:?} at once, {failed:?} in pieces"),
        }
    }

    #[test]
    fn what_is_encoded_for_a_subscriber_has_the_lengths_that_it_names(
        subject in "[a-z.]{1,20}",
        reply in prop::option::of("[a-z.]{1,9}"),
        names in prop::option::of(prop::collection::vec("[A-Za-z-]{1,9}", 0..4)),
        payload in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let headers = names.map(|names| {
            let mut block = Vec::new();
            let mut open = Block::begin(&mut block);
            names.iter().for_each(|name| open.field(name.as_bytes(), b"v"));
            open.end();
            block
        });
        let outbound = Outbound {
            subject: subject.as_bytes(),
            reply: reply.as_deref().map(str::as_bytes),
            headers: headers.as_deref(),
            payload: &payload,
        };
        let mut out = Vec::new();
        outbound.encode(b"12", &mut out);
        prop_assert!(out.len() <= outbound.bytes_max(b"12"));
        // It reads like what a client sends, but for the verb and the subscription.
        let text = out.strip_suffix(b"\r\n").expect("an end");
        let line_end = text.windows(2).position(|two| two == b"\r\n").expect("a line");
        let body = &text[line_end + 2..];
        let total: usize = headers.as_ref().map_or(0, Vec::len) + payload.len();
        prop_assert_eq!(body.len(), total);
        let line = String::from_utf8(text[..line_end].to_vec()).expect("text");
        prop_assert!(line.ends_with(&format!(" {total}")), "{}", line);
    }

    #[test]
    fn decimals_are_those_of_the_library(number in any::<u64>()) {
        let mut out = Vec::new();
        decimal(number, &mut out);
        prop_assert_eq!(out, number.to_string().into_bytes());
    }

    #[test]
    fn a_field_that_can_be_written_is_read_back(name in "\\PC{0,8}", value in "\\PC{0,8}") {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        if is_writable(name, value) {
            let mut out = Vec::new();
            let mut block = Block::with_status(b"100", &mut out);
            block.field(name, value);
            block.end();
            prop_assert_eq!(fields(&out).collect::<Vec<_>>(), vec![(name, value)]);
        }
    }
}

/// A line that a client may send, most of them good ones.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop::collection::vec(any::<u8>(), 0..30);
    prop_oneof![
        Just(b"PING\r\n".to_vec()),
        Just(b"pong\n".to_vec()),
        Just(b"SUB a.* q 1\r\n".to_vec()),
        Just(b"UNSUB 1 2\r\n".to_vec()),
        Just(b"CONNECT {}\r\n".to_vec()),
        Just(b"-ERR 'x'\r\n".to_vec()),
        prop::array::uniform2(any::<u8>())
            .prop_map(|two| { [b"PUB a.b 2\r\n", &two[..], b"\r\n"].concat() }),
        payload.clone().prop_map(|payload| {
            let mut line = format!("PUB a.b {}\r\n", payload.len()).into_bytes();
            line.extend_from_slice(&payload);
            line.extend_from_slice(b"\r\n");
            line
        }),
        payload.prop_map(|payload| {
            let mut line = format!("hpub a r {} {}\r\n", 12, 12 + payload.len()).into_bytes();
            line.extend_from_slice(b"NATS/1.0\r\n\r\n");
            line.extend_from_slice(&payload);
            line.extend_from_slice(b"\r\n");
            line
        }),
    ]
}
