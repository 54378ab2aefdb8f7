use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::frame::{self, Head, Kind, unmask};
use super::handshake::{self, Refusal};
use super::{WebSocket, WebSocketOptions, accept};
use crate::CloseReason;

/// The request of RFC 6455, section 1.3, with a line put in or replaced.
fn request(line: &str) -> String {
    let mut lines: Vec<&str> = vec![
        "Host: server.example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Origin: http://example.com",
        "Sec-WebSocket-Protocol: chat, superchat",
        "Sec-WebSocket-Version: 13",
    ];
    let name = line.split(':').next().unwrap_or_default();
    lines.retain(|other| !other.starts_with(name) || name.is_empty());
    lines.push(line);
    format!("GET /chat HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n").trim_end())
}

#[test]
fn the_example_of_the_rfc_is_answered_as_it_says() {
    assert_eq!(handshake::accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let options =
        WebSocketOptions { protocols: vec!["superchat".into()], ..WebSocketOptions::default() };
    let response = handshake::answer(request("X: y").as_bytes(), &options).expect("agreed");
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
    assert!(response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert!(response.contains("Sec-WebSocket-Protocol: superchat\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\n"));
    let none = handshake::answer(request("X: y").as_bytes(), &WebSocketOptions::default());
    assert!(!none.expect("agreed").contains("Sec-WebSocket-Protocol"), "no subprotocol is common");
}

#[test]
fn a_request_that_is_not_in_order_is_refused_with_the_status_for_it() {
    let refused = |line: &str| {
        let options = WebSocketOptions {
            origins: vec!["http://example.com".into()],
            ..WebSocketOptions::default()
        };
        handshake::answer(request(line).as_bytes(), &options).expect_err(line)
    };
    assert!(matches!(refused("Upgrade: h2c"), Refusal::Bad(_)));
    assert!(matches!(refused("Connection: keep-alive"), Refusal::Bad(_)));
    assert!(matches!(refused("Sec-WebSocket-Key: c2hvcnQ="), Refusal::Bad(_)));
    assert_eq!(refused("Sec-WebSocket-Version: 8"), Refusal::Version);
    assert_eq!(refused("Origin: http://elsewhere.example"), Refusal::Origin);
    assert!(Refusal::Version.response().contains("Sec-WebSocket-Version: 13"));
    let get = request("").replace("GET", "POST");
    assert!(handshake::answer(get.as_bytes(), &WebSocketOptions::default()).is_err());
    assert!(handshake::answer(b"\xff\xfe\r\n\r\n", &WebSocketOptions::default()).is_err());
}

/// A frame as a client sends it.
fn masked(kind: u8, is_last: bool, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![kind | if is_last { 0x80 } else { 0 }];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | u8::try_from(length).expect("short")),
        length => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(length).expect("short").to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    let mut payload = payload.to_vec();
    unmask(&mut payload, mask, 0);
    frame.extend_from_slice(&payload);
    frame
}

#[test]
fn the_frames_of_the_rfc_are_read() {
    let bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    let (head, taken) = Head::parse(&bytes).expect("a head").expect("all of it");
    assert_eq!((head.kind, head.length, taken), (Kind::Text, 5, 6));
    for pieces in [1, 2, 5] {
        let mut payload = bytes[6..].to_vec();
        for (index, piece) in payload.chunks_mut(pieces).enumerate() {
            unmask(piece, head.mask, (index * pieces) as u64);
        }
        assert_eq!(payload, b"Hello");
    }
    for cut in 0..6 {
        assert_eq!(Head::parse(&bytes[..cut]), Ok(None));
    }
    for bad in
        [&[0xc1, 0x80][..], &[0x83, 0x80], &[0x81, 0x05], &[0x09, 0x80], &[0x89, 0xfe, 0, 126]]
    {
        assert!(Head::parse(bad).is_err(), "{bad:?}");
    }
    let mut out = Vec::new();
    frame::encode(Kind::Binary, &[7; 300], &mut out);
    assert_eq!(&out[..4], [0x82, 126, 1, 44]);
}

async fn open(options: WebSocketOptions) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (mut client, server) = duplex(1 << 20);
    // What follows the request at once is not lost.
    let first = [request("").as_bytes(), &masked(2, true, b"early ")].concat();
    client.write_all(&first).await.expect("written");
    let socket = accept(server, &options).await.expect("accepted");
    let mut response = vec![0; 1024];
    let count = client.read(&mut response).await.expect("a response");
    assert!(response[..count].starts_with(b"HTTP/1.1 101 "));
    (socket, client)
}

#[tokio::test]
async fn frames_become_a_stream_and_what_is_written_becomes_frames() {
    let (mut socket, mut client) = open(WebSocketOptions::default()).await;
    client.write_all(&masked(2, false, b"one ")).await.expect("written");
    client.write_all(&masked(9, true, b"ping!")).await.expect("written");
    client.write_all(&masked(0, false, b"")).await.expect("written");
    client.write_all(&masked(0, true, &[b'x'; 200])).await.expect("written");
    client.write_all(&masked(8, true, &[0x03, 0xe8])).await.expect("written");
    let mut read = Vec::new();
    socket.read_to_end(&mut read).await.expect("the end");
    assert_eq!(read, [b"early one ", &[b'x'; 200][..]].concat());
    let mut answers = vec![0; 11];
    client.read_exact(&mut answers).await.expect("answers");
    assert_eq!(answers, [&[0x8a, 5][..], b"ping!", &[0x88, 2, 0x03, 0xe8]].concat());
}

#[tokio::test]
async fn a_large_write_goes_out_in_frames_of_bounded_size() {
    let (mut socket, mut client) = open(WebSocketOptions::default()).await;
    let payload: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    socket.write_all(&payload).await.expect("written");
    socket.shutdown().await.expect("shut down");
    drop(socket);
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.expect("the end");
    let (mut rest, mut joined, mut frames) = (&bytes[..], Vec::new(), 0);
    while let [0x82, length, after @ ..] = rest {
        let (length, after) = match length {
            127 => (u64::from_be_bytes(after[..8].try_into().expect("eight")), &after[8..]),
            126 => (u64::from(u16::from_be_bytes([after[0], after[1]])), &after[2..]),
            short => (u64::from(*short), after),
        };
        let length = usize::try_from(length).expect("short");
        assert!(length <= 64 * 1024, "{length}");
        joined.extend_from_slice(&after[..length]);
        rest = &after[length..];
        frames += 1;
    }
    assert!(joined == payload, "something is missing or changed");
    assert_eq!(frames, 4);
    assert_eq!(rest, [0x88, 2, 0x03, 0xe8]);
}

#[tokio::test]
async fn what_is_no_frame_ends_the_connection_and_the_client_is_told() {
    for bad in [&[0x82, 0x01, 0][..], &masked(0, true, b"x"), &masked(1, true, b"text")] {
        let (mut socket, mut client) = open(WebSocketOptions::default()).await;
        client.write_all(bad).await.expect("written");
        let mut read = Vec::new();
        assert!(socket.read_to_end(&mut read).await.is_err(), "{bad:?}");
        drop(socket);
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.expect("the end");
        assert_eq!(&told[..2], [0x88, 2], "{bad:?}");
    }
    let options = WebSocketOptions { accepts_text: true, ..WebSocketOptions::default() };
    let (mut socket, mut client) = open(options).await;
    client.write_all(&masked(1, true, b"text")).await.expect("written");
    drop(client);
    let mut read = Vec::new();
    socket.read_to_end(&mut read).await.expect("the end");
    assert_eq!(read, b"early text");
}

#[tokio::test]
async fn delimited_messages_have_their_lengths_in_front() {
    let options = WebSocketOptions { delimited: true, ..WebSocketOptions::default() };
    let (mut socket, mut client) = open(options).await;
    // One in a frame, an empty one, one in three frames with a ping between, a large one.
    for frame in [
        masked(2, true, b"one"),
        masked(2, true, b""),
        masked(2, false, b"th"),
        masked(9, true, b"ping!"),
        masked(0, false, b""),
        masked(0, true, b"ree"),
        masked(2, true, &[b'x'; 300]),
    ] {
        client.write_all(&frame).await.expect("written");
    }
    let mut read = vec![0; 10 + 7 + 4 + 9 + 304];
    socket.read_exact(&mut read).await.expect("all of them");
    let large = [&b"\0\0\x01\x2c"[..], &[b'x'; 300]].concat();
    let wanted = [&b"\0\0\0\x06early \0\0\0\x03one\0\0\0\0\0\0\0\x05three"[..], &large].concat();
    assert_eq!(read, wanted);
    // What is written in whatever pieces goes out as messages.
    for piece in [&b"\0\0"[..], b"\0\x02ab\0\0\0\x01", b"c", b"\0\0\0\0"] {
        socket.write_all(piece).await.expect("written");
    }
    socket.flush().await.expect("flushed");
    let mut out = vec![0; 7 + 4 + 3 + 2];
    client.read_exact(&mut out).await.expect("messages");
    assert_eq!(
        out,
        [&[0x8a, 5][..], b"ping!", &[0x82, 2], b"ab", &[0x82, 1], b"c", &[0x82, 0]].concat()
    );
    client.write_all(&masked(2, false, &[0; 60_000])).await.expect("written");
    client.write_all(&masked(0, true, &[0; 6_000])).await.expect("written");
    let mut rest = Vec::new();
    assert!(socket.read_to_end(&mut rest).await.is_err(), "in pieces there is a limit");
}

#[tokio::test]
async fn pings_without_end_cost_no_memory() {
    let (mut client, server) = duplex(256);
    let asked = request("");
    let options = WebSocketOptions::default();
    let (socket, ()) = tokio::join!(accept(server, &options), async {
        client.write_all(asked.as_bytes()).await.expect("written");
        let mut response = vec![0; 1024];
        let mut seen = 0;
        while !response[..seen].ends_with(b"\r\n\r\n") {
            seen += client.read(&mut response[seen..]).await.expect("a response");
        }
    });
    let mut socket = socket.expect("accepted");
    let (from, mut to) = tokio::io::split(client);
    // The client never reads, so the pongs do not get out.
    let pinging = tokio::spawn(async move {
        for _ in 0..1000 {
            to.write_all(&masked(9, true, &[1; 100])).await.expect("written");
        }
        to.write_all(&masked(2, true, b"!")).await.expect("written");
    });
    let mut byte = [0];
    socket.read_exact(&mut byte).await.expect("a byte");
    pinging.await.expect("all written");
    assert!(socket.output.len() + socket.pong.as_ref().map_or(0, Vec::len) < 1024);
    drop(from);
}

#[tokio::test]
async fn a_request_without_end_is_given_up() {
    let (mut client, server) = duplex(1 << 20);
    client.write_all(&[b'x'; 20_000]).await.expect("written");
    let refused = accept(server, &WebSocketOptions::default()).await.expect_err("too long");
    assert!(matches!(refused, CloseReason::Handshake(_)), "{refused}");
}
