use proptest::prelude::*;

use super::Version;
use super::encode::Writer;
use super::parse::{Bounds, Command, Looked, ParseError, Parsed, parse};

const BOUNDS: Bounds = Bounds { headers_max: 4, head_bytes_max: 64, body_bytes_max: 32 };

fn read(input: &[u8], version: Version) -> Result<Parsed<'_>, ParseError> {
    parse(input, version, &BOUNDS, &mut Looked::default())
}

/// Command, headers as text, body, and what is left.
type Seen = (Command, Vec<(String, String)>, Vec<u8>, usize);

fn frame(input: &[u8], version: Version) -> Seen {
    match read(input, version) {
        Ok(Parsed::Frame(frame, used)) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let headers = frame.headers.iter().map(|(name, value)| (text(&name), text(&value)));
            (frame.command, headers.collect(), frame.body.to_vec(), input.len() - used)
        }
        other => panic!("no frame: {other:?}"),
    }
}

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_frame_ends_at_its_zero_byte_or_where_it_says() {
    let (command, of, body, rest) =
        frame(b"SEND\ndestination:/queue/a\n\nhello\0\n\n", Version::V1_2);
    assert_eq!((command, body, rest), (Command::Send, b"hello".to_vec(), 2));
    assert_eq!(of, headers(&[("destination", "/queue/a")]));
    let zeros = b"SEND\r\ncontent-length:3\r\n\r\n\0a\0\0";
    assert_eq!(frame(zeros, Version::V1_2).2, b"\0a\0");
    assert!(matches!(read(b"\n\r\n\nSEND", Version::V1_2), Ok(Parsed::Beats(4))));
}

#[test]
fn each_version_has_its_escapes() {
    let frame_of = |version| frame(b"ACK\nid: a\\cb\\\\ \n\n\0", version).1;
    assert_eq!(frame_of(Version::V1_0), headers(&[("id", "a\\cb\\\\")]));
    assert_eq!(frame_of(Version::V1_1), headers(&[("id", " a:b\\ ")]));
    let bad = b"ACK\nid:a\\t\n\n\0";
    assert_eq!(read(bad, Version::V1_2).err(), Some(ParseError::Escape));
    assert_eq!(read(b"ACK\nid:a\\\n\n\0", Version::V1_2).err(), Some(ParseError::Escape));
    assert_eq!(read(b"ACK\nid:a\\r\n\n\0", Version::V1_1).err(), Some(ParseError::Escape));
    assert_eq!(frame(b"ACK\nid:a\\r\n\n\0", Version::V1_2).1, headers(&[("id", "a\r")]));
    let connect = frame(b"STOMP\nlogin:a\\tb\n\n\0", Version::V1_2);
    assert_eq!(connect.1, headers(&[("login", "a\\tb")]), "nothing is escaped there");
}

#[test]
fn of_headers_with_one_name_the_first_counts() {
    let input = b"SEND\na:1\na:2\n\n\0";
    let Ok(Parsed::Frame(frame, _)) = read(input, Version::V1_2) else { panic!("no frame") };
    assert_eq!(frame.headers.get("a").as_deref(), Some(&b"1"[..]));
    assert_eq!(frame.headers.get("b"), None);
}

#[test]
fn what_is_no_frame_is_known_at_once_and_what_is_too_large_too() {
    let error = |input: &[u8]| read(input, Version::V1_2).err();
    assert_eq!(error(b"GET / HTTP/1.1\r\n"), Some(ParseError::Command));
    assert_eq!(error(b"GE"), Some(ParseError::Command), "before its line ends");
    assert_eq!(error(b"SEND\nno colon\n\n\0"), Some(ParseError::Header));
    assert_eq!(error(b"SEND\n:x\n\n\0"), Some(ParseError::Header));
    assert_eq!(error(b"SEND\na:b\0MESSAGE\n\n\0"), Some(ParseError::Header));
    assert_eq!(error(b"SEND\ncontent-length:-1\n\n\0"), Some(ParseError::Length));
    assert_eq!(error(b"SEND\ncontent-length:33\n\n"), Some(ParseError::BodyTooLong));
    assert_eq!(error(b"SEND\ncontent-length:1\n\nab"), Some(ParseError::End));
    assert_eq!(error(b"SEND\na:1\nb:1\nc:1\nd:1\ne:1\n\n\0"), Some(ParseError::TooManyHeaders));
    assert_eq!(error(&[b"SEND\na:", &[b'x'; 64][..]].concat()), Some(ParseError::HeadTooLong));
    assert_eq!(error(&[b"SEND\n\n", &[b'x'; 33][..]].concat()), Some(ParseError::BodyTooLong));
}

#[test]
fn the_newest_version_that_both_know_is_chosen() {
    assert_eq!(Version::best(None), Some(Version::V1_0));
    assert_eq!(Version::best(Some(b"1.0, 1.1")), Some(Version::V1_1));
    assert_eq!(Version::best(Some(b"2.0,1.2")), Some(Version::V1_2));
    assert_eq!(Version::best(Some(b"2.0")), None);
}

proptest! {
    #[test]
    fn a_frame_in_pieces_is_found_when_it_is_whole(cut in 0_usize..60, length in any::<bool>()) {
        let head = if length { "content-length:5\n" } else { "" };
        let input = format!("SEND\n{head}x:y\n\nhello\0");
        let (mut looked, whole) = (Looked::default(), input.len());
        let cut = cut.min(whole - 1);
        let before = parse(&input.as_bytes()[..cut], Version::V1_2, &BOUNDS, &mut looked);
        match before {
            Ok(Parsed::More(wanted)) => prop_assert!(wanted > cut && wanted <= whole),
            other => prop_assert!(false, "{other:?}"),
        }
        let found = parse(input.as_bytes(), Version::V1_2, &BOUNDS, &mut looked);
        let is_it = matches!(found, Ok(Parsed::Frame(frame, used)) if frame.body == b"hello" && used == whole);
        prop_assert!(is_it);
    }

    #[test]
    fn what_is_written_is_read_again(
        name in "[^\0]{1,8}", value in "[^\0]{0,8}", body in proptest::collection::vec(any::<u8>(), 0..32)
    ) {
        let mut out = Vec::new();
        Writer::begin("SEND", Version::V1_2, &mut out).header(name.as_bytes(), value.as_bytes()).body(&body);
        let bounds = Bounds { head_bytes_max: 1024, ..BOUNDS };
        let found = parse(&out, Version::V1_2, &bounds, &mut Looked::default());
        let Ok(Parsed::Frame(frame, used)) = found else { return Err(TestCaseError::fail("no frame")) };
        prop_assert_eq!(used, out.len() - 1, "and a line end");
        prop_assert_eq!(frame.body, &body[..]);
        let first = frame.headers.iter().next().map(|(name, value)| (name.into_owned(), value.into_owned()));
        prop_assert_eq!(first, Some((name.into_bytes(), value.into_bytes())));
    }

    #[test]
    fn no_bytes_make_it_panic(input in proptest::collection::vec(any::<u8>(), 0..100)) {
        for version in Version::ALL {
            let _ = read(&input, version).is_ok();
        }
    }
}
