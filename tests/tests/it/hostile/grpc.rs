//! At the gRPC door: frames of HTTP/2 that no client would send.

use std::io::{Read, Write};
use std::net::TcpStream;

use door_grpc::pb;
use prost::Message;
use tests::{Broker, PATIENCE, Serve};

use super::{Bystander, MIB, Memory, assert_peak, connect, is_closed, last_words};
use crate::wires::grpc::Grpc;

/// What a client says first, and settings that say nothing (RFC 9113, sections 3.4 and 6.5).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames (section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

/// The largest message that is taken.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field as a literal that nobody is to remember (RFC 7541, section 6.2.2).
fn field(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(0);
    for text in [name, value] {
        let mut length = text.len();
        if length < 127 {
            out.push(u8::try_from(length).unwrap());
        } else {
            out.push(127);
            length -= 127;
            while length >= 128 {
                out.push(u8::try_from(length % 128).unwrap() | 128);
                length /= 128;
            }
            out.push(u8::try_from(length).unwrap());
        }
        out.extend(text.as_bytes());
    }
}

/// The head of a call.
fn head(method: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let path = format!("/entrepot.v1.{method}");
    let fields =
        [(":method", "POST"), (":scheme", "http"), (":path", path.as_str()), (":authority", "h")];
    let fields =
        fields.into_iter().chain([("content-type", "application/grpc"), ("te", "trailers")]);
    fields.chain(more.iter().copied()).for_each(|(name, value)| field(name, value, &mut out));
    out
}

fn open(broker: &Broker) -> TcpStream {
    connect(&format!("127.0.0.1:{}", broker.grpc()))
}

/// A client that has said what clients say first.
fn client(broker: &Broker) -> TcpStream {
    let mut stream = open(broker);
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).unwrap();
    stream
}

/// The next frame: its kind, its flags, its stream, and what is in it.
fn next(stream: &mut TcpStream) -> std::io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    let number = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Ok((head[3], head[4], number, payload))
}

/// Reads until the broker says why it goes away, or closes.
fn is_sent_away(mut stream: TcpStream) -> bool {
    loop {
        match next(&mut stream) {
            Ok((GOAWAY, ..)) => return true,
            Ok(_) => {}
            Err(_) => return is_closed(&stream),
        }
    }
}

fn still_serves(broker: &Broker) {
    let message = pb::Message { subject: "a".to_owned(), ..pb::Message::default() };
    Grpc::connect(broker.grpc()).publish(message).unwrap().unwrap();
}

#[test]
fn an_announced_message_is_not_believed() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    still_serves(&broker);
    let before = Memory::of(&broker);
    let length = u32::try_from(MESSAGE_BYTES_MAX).unwrap().to_be_bytes();
    let begun = [&[0][..], &length, &[7; 1000]].concat();
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut stream = client(&broker);
        for call in 0..10 {
            let number = 2 * call + 1;
            stream.write_all(&frame(HEADERS, 4, number, &head("Publisher/Publish", &[]))).unwrap();
            stream.write_all(&frame(DATA, 0, number, &begun)).unwrap();
        }
        waiting.push(stream);
    }
    assert_peak(&broker, before, 1000 * 32 * 1024 + 24 * MIB, "announced messages");
    // One that is larger than what is taken is refused at once.
    let mut stream = client(&broker);
    stream.write_all(&frame(HEADERS, 4, 1, &head("Publisher/Publish", &[]))).unwrap();
    let length = u32::try_from(MESSAGE_BYTES_MAX + 1).unwrap().to_be_bytes();
    stream.write_all(&frame(DATA, 0, 1, &[&[0][..], &length].concat())).unwrap();
    loop {
        if let (HEADERS, flags, 1, _) = next(&mut stream).expect("an answer") {
            assert_eq!(flags & 1, 1, "the call is over");
            break;
        }
    }
    still_serves(&broker);
    bystander.finish();
}

#[test]
fn what_is_no_http_is_sent_away() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let call = head("Publisher/Publish", &[]);
    let bad: [(&str, Vec<u8>); 8] = [
        ("a frame that is too large", b"\xff\xff\xff\0\0\0\0\0\x01".to_vec()),
        ("data without a call", frame(DATA, 0, 1, b"x")),
        ("an even stream", frame(HEADERS, 4, 2, &call)),
        ("a ping of the wrong size", frame(PING, 0, 0, b"x")),
        ("settings of the wrong size", frame(SETTINGS, 0, 0, b"x")),
        ("fields that are not", frame(HEADERS, 4, 1, &[0xff; 100])),
        ("a continuation of nothing", frame(CONTINUATION, 4, 1, &call)),
        ("a window of nothing", frame(8, 0, 0, &[0; 4])),
    ];
    for (what, bytes) in bad {
        let mut stream = client(&broker);
        stream.write_all(&bytes).unwrap();
        assert!(is_sent_away(stream), "{what}");
    }
    for garbage in
        [&b"\x16\x03\x01garbage"[..], b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX"]
    {
        let mut stream = open(&broker);
        stream.write_all(garbage).unwrap();
        assert!(last_words(&stream).is_some(), "{}", garbage.escape_ascii());
    }
    // Fields without an end.
    let mut stream = client(&broker);
    stream.write_all(&frame(HEADERS, 0, 1, &call)).unwrap();
    let mut large = Vec::new();
    field("x", &"x".repeat(8000), &mut large);
    let mut is_over = false;
    for _ in 0..2000 {
        is_over |= stream.write_all(&frame(CONTINUATION, 0, 1, &large)).is_err();
        if is_over {
            break;
        }
    }
    assert!(is_over || is_sent_away(stream), "fields without an end");
    // Not a word, and half of one.
    let mut slow = open(&broker);
    slow.write_all(&PREFACE[..10]).unwrap();
    let silent = open(&broker);
    for stream in [&slow, &silent] {
        assert!(is_closed(stream), "it does not say what it speaks");
    }
    assert_peak(&broker, before, 24 * MIB, "what is no HTTP");
    still_serves(&broker);
    bystander.finish();
}

/// Begins calls and takes them back at once (CVE-2023-44487).
#[test]
fn calls_that_are_taken_back_at_once_cost_little() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    still_serves(&broker);
    let before = Memory::of(&broker);
    let call = head("Subscriber/Subscribe", &[]);
    let mut stream = client(&broker);
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    for number in (1..200_000).step_by(2) {
        let both = [frame(HEADERS, 4, number, &call), frame(RST_STREAM, 0, number, &[0, 0, 0, 8])];
        if stream.write_all(&both.concat()).is_err() {
            break;
        }
    }
    assert_peak(&broker, before, 32 * MIB, "calls that are taken back");
    still_serves(&broker);
    bystander.finish();
}

/// Little on the wire, and much in memory.
#[test]
fn a_message_of_many_parts_is_refused() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    still_serves(&broker);
    let before = Memory::of(&broker);
    // Two million messages of two bytes each; as headers of one message; packed.
    let empty = [0x0a, 0].repeat(2_000_000 - 10);
    let mut headers = vec![0x0a];
    let inner = [0x32, 0].repeat(1_900_000);
    prost::encoding::encode_varint(inner.len() as u64, &mut headers);
    headers.extend(inner);
    let packed = zstd::encode_all(&empty[..], 1).unwrap();
    assert!(packed.len() < 10_000);
    let bombs = [
        ("Publisher/PublishStream", &empty, None),
        ("Publisher/Publish", &headers, None),
        ("Publisher/PublishStream", &packed, Some("zstd")),
        ("Requests/Request", &headers, None),
    ];
    for (method, bytes, encoding) in bombs {
        let mut stream = client(&broker);
        let more: Vec<_> = encoding.iter().map(|encoding| ("grpc-encoding", *encoding)).collect();
        stream.write_all(&frame(HEADERS, 4, 1, &head(method, &more))).unwrap();
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        let message = [&[u8::from(encoding.is_some())][..], &length, bytes].concat();
        // As fast as the broker reads: it says with each window how much more may come.
        let (mut window, mut call_window, mut sent) = (65_535_usize, 65_535_usize, 0);
        loop {
            let piece = (message.len() - sent).min(16_384).min(window).min(call_window);
            if piece > 0 {
                let last = u8::from(sent + piece == message.len());
                stream.write_all(&frame(DATA, last, 1, &message[sent..sent + piece])).unwrap();
                (sent, window, call_window) = (sent + piece, window - piece, call_window - piece);
                continue;
            }
            let (kind, flags, number, payload) = next(&mut stream).expect("an answer");
            match kind {
                HEADERS if flags & 1 == 1 => break,
                8 => {
                    let more = u32::from_be_bytes(payload[..4].try_into().unwrap()) as usize;
                    match number {
                        0 => window += more,
                        _ => call_window += more,
                    }
                }
                SETTINGS if flags & 1 == 0 => {
                    // The first window of calls is another one than the standard's.
                    for setting in payload.chunks(6).filter(|setting| setting[..2] == [0, 4]) {
                        let first = u32::from_be_bytes(setting[2..].try_into().unwrap()) as usize;
                        call_window += first - 65_535;
                    }
                    stream.write_all(&frame(SETTINGS, 1, 0, &[])).unwrap();
                }
                _ => {}
            }
        }
    }
    assert_peak(&broker, before, 120 * MIB, "messages of many parts");
    // What is small enough is answered as what it is.
    let many =
        pb::PublishStreamRequest { messages: vec![pb::Message::default(); 1000], mandatory: false };
    assert_eq!(many.encode_to_vec().len(), 2000);
    still_serves(&broker);
    bystander.finish();
}

/// What a subscriber does not read is bounded, and costs others nothing.
#[test]
fn subscribers_who_do_not_read_are_cut_off() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let live = || {
        let live = pb::Live { filters: vec!["loud".to_owned()], ..pb::Live::default() };
        pb::listen_request::From::Live(live)
    };
    let mut silent = Vec::new();
    for _ in 0..10 {
        let mut client = Grpc::connect(broker.grpc());
        client.listen(live()).unwrap();
        silent.push(client);
    }
    let before = Memory::of(&broker);
    let mut publisher = Grpc::connect(broker.grpc());
    let payload = Some(vec![7; 64 * 1024].into());
    let loud = pb::Message { subject: "loud".to_owned(), payload, ..pb::Message::default() };
    let mut receivers = u32::MAX;
    for _ in 0..5000 {
        receivers = publisher.publish(loud.clone()).unwrap().unwrap().receivers;
        if receivers == 0 {
            break;
        }
    }
    assert_eq!(receivers, 0, "all are cut off");
    // A payload is one piece of memory for all; each has a socket's buffers.
    assert_peak(&broker, before, 64 * MIB, "subscribers who do not read");
    bystander.finish();
}
