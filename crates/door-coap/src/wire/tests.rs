//! The wire formats: golden bytes, and that what is written is read as the same.

use proptest::prelude::*;

use super::block::{Block, Size};
use super::code::Code;
use super::datagram::{Datagram, Kind, empty, put_header};
use super::frame::{self, Header};
use super::number;
use super::option::{OPTIONS_MAX, Options, Writer, uint};
use super::{Token, WireError};

fn token(bytes: &[u8]) -> Token {
    Token::new(bytes).expect("short enough")
}

/// Figure 16 of RFC 7252: a confirmable GET of `/temperature`, and its answer.
#[test]
fn the_exchange_of_the_rfc_is_read() {
    let request = b"\x40\x01\x7d\x34\xbbtemperature";
    let read = Datagram::decode(request).expect("a message");
    assert_eq!((read.kind, read.id, read.message.code), (Kind::Con, 0x7d34, Code::GET));
    let options: Vec<_> = read.message.options.iter().collect();
    assert_eq!(options, [(number::URI_PATH, &b"temperature"[..])]);
    assert!(read.message.payload.is_empty());
    let answer = b"\x60\x45\x7d\x34\xff22.3 C";
    let read = Datagram::decode(answer).expect("a message");
    assert_eq!((read.kind, read.message.code), (Kind::Ack, Code::CONTENT));
    assert_eq!(read.message.payload, b"22.3 C");
    let mut out = Vec::new();
    put_header(Kind::Ack, Code::CONTENT, 0x7d34, Token::default(), &mut out);
    Writer::new(&mut out).payload(b"22.3 C");
    assert_eq!(out, answer);
}

#[test]
fn what_is_no_message_is_told_apart() {
    let cases: [(&[u8], WireError); 12] = [
        (b"", WireError::Short),
        (b"\x40\x01\0", WireError::Short),
        (b"\x80\x01\0\0", WireError::Version(2)),
        (b"\x00\x01\0\0", WireError::Version(0)),
        (b"\x49\x01\x00\x00123456789", WireError::Token(9)),
        (b"\x4f\x01\0\0", WireError::Token(15)),
        (b"\x44\x01\0\0abc", WireError::Short),
        (b"\x41\x00\0\0a", WireError::NotEmpty),
        (b"\x40\x00\0\0\xff1", WireError::NotEmpty),
        (b"\x40\x01\0\0\xff", WireError::NoPayload),
        (b"\x40\x01\0\0\xf0", WireError::Option),
        (b"\x40\x01\0\0\xb5abcd", WireError::Short),
    ];
    for (bytes, wanted) in cases {
        assert_eq!(Datagram::decode(bytes), Err(wanted), "{}", bytes.escape_ascii());
    }
    // Numbers end at 65535, lengths with the message.
    for bytes in [&b"\x40\x01\0\0\xe0\xff\xff"[..], b"\x40\x01\0\0\xe0\xfe\xf2\x10"] {
        assert_eq!(Datagram::decode(bytes), Err(WireError::Option));
    }
    let highest = b"\x40\x01\0\0\xe0\xfe\xf2";
    let read = Datagram::decode(highest).expect("the highest number");
    assert_eq!(read.message.options.iter().next(), Some((u16::MAX, &b""[..])));
    let many = [b"\x40\x01\0\0".to_vec(), vec![0x10; OPTIONS_MAX + 1]].concat();
    assert_eq!(Datagram::decode(&many), Err(WireError::TooManyOptions));
    assert!(Datagram::decode(&many[..many.len() - 1]).is_ok());
}

#[test]
fn what_cannot_be_read_can_be_rejected_if_it_has_a_number() {
    assert_eq!(Datagram::peek(b"\x49\x01\x12\x34"), Some((Kind::Con, 0x1234)));
    assert_eq!(Datagram::peek(b"\x79\x01\x12\x34"), Some((Kind::Rst, 0x1234)));
    assert_eq!(Datagram::peek(b"\x89\x01\x12\x34"), None, "of another version");
    assert_eq!(Datagram::peek(b"\x49\x01\x12"), None);
    assert_eq!(empty(Kind::Rst, 0x1234), *b"\x70\x00\x12\x34");
}

#[test]
fn frames_have_lengths_of_four_widths() {
    for length in [0, 12, 13, 268, 269, 65_804, 65_805, 70_000] {
        // An option of no number and no length that nobody knows, again and again, would be too many; a payload is not.
        let body =
            if length == 0 { Vec::new() } else { [vec![0xff], vec![7; length - 1]].concat() };
        let body = if length == 1 { Vec::new() } else { body };
        let mut out = Vec::new();
        frame::put(Code::CONTENT, token(b"tok"), &body, &mut out);
        let header = Header::decode(&out, usize::MAX).expect("good").expect("all of it");
        assert_eq!(header.total(), out.len(), "{length}");
        let message = header.message(&out).expect("a message");
        assert_eq!((message.code, message.token), (Code::CONTENT, token(b"tok")));
        assert_eq!(message.payload.len(), body.len().saturating_sub(1));
        for cut in 0..out.len().min(6) {
            let read = Header::decode(&out[..cut], usize::MAX).expect("as far as it goes");
            assert!(read.is_none_or(|header| header.message(&out[..cut]).is_err()));
        }
        let too_large = Header::decode(&out, out.len() - 1);
        assert_eq!(too_large, Err(WireError::TooLarge(out.len())));
    }
    // The message of RFC 8323, figure 5 and 6: an empty one, and one with a token of a byte.
    assert_eq!(Header::decode(b"\x01\x43\x7f", 100).expect("good").expect("all").total(), 3);
    assert_eq!(Header::decode(b"\x09\x43", 100), Err(WireError::Token(9)));
    assert_eq!(
        Header::decode(b"\xf0\xff\xff\xff\xff\x43", usize::MAX),
        Err(WireError::TooLarge(usize::MAX))
    );
}

#[test]
fn pieces_are_counted_in_their_own_size() {
    let block = Block::from_value(0x1e);
    assert_eq!((block.number, block.more, block.size), (1, true, Size::LARGEST));
    assert_eq!(block.offset(), 1024);
    assert_eq!(Block::from_value(0x0f).size, Size::BERT);
    assert_eq!(Size::BERT.within(usize::MAX), Size::LARGEST);
    assert_eq!(Size::LARGEST.within(600).unit(), 512);
    assert_eq!(Size::SMALLEST.within(1024), Size::SMALLEST);
    assert_eq!(Size::LARGEST.within(3), Size::SMALLEST);
}

/// Options in the order of their numbers, as somebody may send them.
fn options() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    let value = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..20),
        1 => prop::collection::vec(any::<u8>(), 260..300),
    ];
    let one = (prop_oneof![any::<u16>(), 0..300_u16], value);
    prop::collection::vec(one, 0..12).prop_map(|mut all| {
        all.sort_by_key(|(number, _)| *number);
        all
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(
        (kind, code, id) in (0..4_u8, 1..=255_u8, any::<u16>()),
        bytes in prop::collection::vec(any::<u8>(), 0..=8),
        options in options(),
        payload in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let kind = [Kind::Con, Kind::Non, Kind::Ack, Kind::Rst][usize::from(kind)];
        let mut body = Vec::new();
        let mut writer = Writer::new(&mut body);
        options.iter().for_each(|(number, value)| writer.option(*number, value));
        writer.payload(&payload);
        let mut out = Vec::new();
        put_header(kind, Code(code), id, token(&bytes), &mut out);
        out.extend_from_slice(&body);
        let read = Datagram::decode(&out).expect("a message");
        prop_assert_eq!((read.kind, read.id, read.message.code), (kind, id, Code(code)));
        prop_assert_eq!(read.message.token.as_bytes(), &bytes[..]);
        let same = options.iter().map(|(number, value)| (*number, &value[..]));
        prop_assert!(read.message.options.iter().eq(same));
        prop_assert_eq!(read.message.payload, &payload[..]);
        let (mut in_stream, mut in_web) = (Vec::new(), Vec::new());
        frame::put(Code(code), token(&bytes), &body, &mut in_stream);
        frame::put_web(Code(code), token(&bytes), &body, &mut in_web);
        let header = Header::decode(&in_stream, 1 << 20).expect("good").expect("all of it");
        prop_assert_eq!(header.message(&in_stream), Ok(read.message));
        prop_assert_eq!(frame::decode_web(&in_web), Ok(read.message));
    }

    #[test]
    fn whatever_comes_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(read) = Datagram::decode(&bytes) {
            let (options, payload) = (read.message.options, read.message.payload);
            let again = Options::decode(options.as_bytes()).expect("the same");
            prop_assert!(again.0.iter().eq(options.iter()));
            // Nothing is lost: options, payload, and what is around them.
            let marker = usize::from(!payload.is_empty());
            let token = read.message.token.as_bytes().len();
            prop_assert_eq!(4 + token + options.as_bytes().len() + marker + payload.len(), bytes.len());
        }
        let _ = frame::decode_web(&bytes);
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be(value in any::<u32>()) {
        let mut out = Vec::new();
        Writer::new(&mut out).uint(number::MAX_AGE, value);
        let (options, _) = Options::decode(&out).expect("an option");
        let bytes = options.all(number::MAX_AGE).next().expect("the option");
        prop_assert_eq!(uint(bytes), Some(value));
        prop_assert!(bytes.first() != Some(&0));
    }

    #[test]
    fn blocks_come_back(value in 0..1_u32 << 24) {
        prop_assert_eq!(Block::from_value(value).value(), value);
    }
}
