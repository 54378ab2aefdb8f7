//! At the HTTP door.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::{Broker, PATIENCE, Serve};

use super::{Bystander, MIB, Memory, assert_peak, connect, is_closed, last_words};
use crate::http::ask_at;

/// More than any body may have.
const TOO_LARGE: usize = 64 << 20;

/// What all requests together may have, where a test bounds them.
const ROOM: u64 = 32 * MIB;

const MESSAGES: &str = "/api/v1/topics/t/messages";

/// What a client says of itself that opens a WebSocket.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn open(broker: &Broker) -> TcpStream {
    connect(&format!("127.0.0.1:{}", broker.http()))
}

/// A broker that has the topic `t`.
fn start(serve: Serve) -> Broker {
    let broker = serve.start();
    let made = ask_at(broker.http(), "POST", "/api/v1/topics", r#"{"name": "t"}"#);
    assert_eq!(made.0, 200, "{}", made.1);
    broker
}

/// The status code that a request is answered with; 0 if the connection ends without an answer. What the broker does
/// not read of it is no error.
fn status(broker: &Broker, request: &[u8]) -> u16 {
    let mut stream = open(broker);
    let _cut = stream.write_all(request);
    let words = last_words(&stream).expect("the connection ends");
    let words = String::from_utf8_lossy(&words);
    words.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// A request that publishes this.
fn publish(more: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {MESSAGES} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/json\r\n\
         {more}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Somebody else is answered, and the whole broker goes on.
fn goes_on(broker: &Broker, bystander: &Bystander) {
    bystander.goes_on();
    assert_eq!(ask_at(broker.http(), "GET", "/readyz", "").0, 200);
}

#[test]
fn heads_are_bounded_and_so_is_their_time() {
    let broker = start(Serve::new());
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let begun = Instant::now();
    let heads: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = open(&broker);
            stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").unwrap();
            stream.write_all(&[b'x'; 30 << 10]).unwrap();
            stream
        })
        .collect();
    let fields = "X: y\r\n".repeat(101);
    for (bad, codes) in [
        (format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(64 << 10)), &[0, 414, 431][..]),
        (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(64 << 10)), &[0, 431]),
        (format!("GET / HTTP/1.1\r\n{fields}\r\n"), &[431]),
        ("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_owned(), &[400]),
        ("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(), &[400]),
        ("\0\0\0\x10garbage\r\n\r\n".to_owned(), &[400]),
    ] {
        let code = status(&broker, bad.as_bytes());
        assert!(codes.contains(&code), "{code} for {}", &bad[..bad.len().min(80)].escape_debug());
    }
    goes_on(&broker, &bystander);
    assert_peak(&broker, before, 300 * 64 * 1024 + 24 * MIB, "300 heads that do not end");
    for stream in &heads {
        while !is_closed(stream) {
            assert!(begun.elapsed() < PATIENCE * 3, "a head that does not end is waited for");
        }
    }
    goes_on(&broker, &bystander);
    bystander.finish();
}

#[test]
fn bodies_are_bounded_each_and_together() {
    let set = format!("queued.max.request.bytes={ROOM}");
    let broker = start(Serve::new().arg("--set").arg(set));
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let head = format!("POST {MESSAGES} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n");
    let announced = format!("{head}Content-Length: {TOO_LARGE}\r\n\r\n");
    assert_eq!(status(&broker, announced.as_bytes()), 413);
    let chunk = [&b"100000\r\n"[..], &vec![b' '; 1 << 20], b"\r\n"].concat();
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let code = status(&broker, &[chunked.as_bytes(), &chunk.repeat(TOO_LARGE >> 20)].concat());
    // What it does not read may take the answer with it, as TCP is.
    assert!(code == 413 || code == 0, "{code}");
    let mut senders: Vec<_> = (0..400).map(|_| open(&broker)).collect();
    for stream in &mut senders {
        // The broker stops reading some day.
        stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let _cut = stream.write_all(format!("{head}Content-Length: 1000000\r\n\r\n").as_bytes());
        let _cut = stream.write_all(&vec![b' '; 999_999]);
    }
    goes_on(&broker, &bystander);
    // Buffers double, so that each may have twice what it claimed, and half as much may be what the allocator keeps of
    // the smaller ones. All that was sent would be twice the bound.
    assert_peak(&broker, before, 3 * ROOM + 96 * MIB, "400 times a megabyte of a body");
    drop(senders);
    let message = br#"{"messages": [{"value": "still here"}]}"#;
    assert_eq!(status(&broker, &publish("", message)), 200);
    bystander.finish();
}

#[test]
fn json_is_no_bomb() {
    let broker = start(Serve::new());
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    // Nearly as much as a body may have.
    let size = 16_000_000;
    let filled = |each: &str| {
        let all = each.repeat(size / each.len());
        format!(r#"{{"messages":[{}]}}"#, all.trim_end_matches(','))
    };
    for bomb in [
        filled("{},"),
        filled("[],"),
        filled(r#"{"value":"a"},"#),
        filled("0,"),
        "[".repeat(size),
        r#"{"messages":"#.repeat(size / 12),
        r#"{"messages":[{"value_base64":"!"}]}"#.to_owned(),
        r#"{"messages":[{"value":"a","value_base64":"YQ=="}]}"#.to_owned(),
        "\u{feff}{}".to_owned(),
    ] {
        let code = status(&broker, &publish("", bomb.as_bytes()));
        assert!((400..500).contains(&code), "{code} for {}", &bomb[..bomb.len().min(40)]);
    }
    goes_on(&broker, &bystander);
    // The body, which was put together, and what was read of it.
    assert_peak(&broker, before, 96 * MIB, "JSON of many small values");
    bystander.finish();
}

/// Who follows a topic and does not read is sent no more than fits, and is left behind.
#[test]
fn followers_who_do_not_read_cost_little() {
    let broker = start(Serve::new());
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let follow = format!(
        "GET {MESSAGES}?rate=10000 HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n"
    );
    let socket =
        format!("GET /api/v1/topics/t/socket?follow=true HTTP/1.1\r\nHost: h\r\n{UPGRADE}\r\n");
    let mut silent = Vec::new();
    for (request, code) in [(&follow, "200"), (&socket, "101")] {
        for _ in 0..20 {
            let mut stream = open(&broker);
            stream.write_all(request.as_bytes()).unwrap();
            let mut first = [0; 12];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(&first[9..], code.as_bytes());
            silent.push(stream);
        }
    }
    let value = "x".repeat(100_000);
    let body = format!(r#"{{"messages": [{{"value": "{value}"}}]}}"#);
    // More than all their sockets hold.
    for _ in 0..600 {
        assert_eq!(status(&broker, &publish("", body.as_bytes())), 200);
    }
    goes_on(&broker, &bystander);
    // Some messages each, and the end of the log, which is in memory.
    assert_peak(&broker, before, 40 * 4 * MIB + 128 * MIB, "followers who do not read");
    drop(silent);
    bystander.finish();
}

#[test]
fn frames_of_a_websocket_are_not_believed() {
    let broker = start(Serve::new());
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let request = format!("GET /api/v1/topics/t/socket HTTP/1.1\r\nHost: h\r\n{UPGRADE}\r\n");
    let upgraded = || {
        let mut stream = open(&broker);
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", head.escape_ascii());
        stream
    };
    // The beginning of a text of a megabyte.
    let announced = [&[0x81, 0xff][..], &(1_u64 << 20).to_be_bytes(), &[0; 4], b"{"].concat();
    let waiting: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = upgraded();
            stream.write_all(&announced).unwrap();
            stream
        })
        .collect();
    for bad in [
        // Longer than a message may be, than anything can be; without a mask; a reserved bit; a kind that is none; a
        // ping that is too long; text that is none.
        [&[0x81, 0xff][..], &(1_u64 << 30).to_be_bytes(), &[0; 4]].concat(),
        [&[0x81, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat(),
        vec![0x81, 1, b'a'],
        vec![0xc1, 0x80, 0, 0, 0, 0],
        vec![0x83, 0x80, 0, 0, 0, 0],
        vec![0x89, 0xfe, 0, 200, 0, 0, 0, 0],
        vec![0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe],
    ] {
        let mut stream = upgraded();
        stream.write_all(&bad).unwrap();
        assert!(is_closed(&stream), "{bad:?}");
    }
    goes_on(&broker, &bystander);
    assert_peak(&broker, before, 200 * 64 * 1024 + 24 * MIB, "announced messages");
    drop(waiting);
    bystander.finish();
}

#[test]
fn who_is_not_known_costs_little_and_learns_nothing() {
    let sets = [
        "http.security=SASL_PLAINTEXT",
        "login.mechanisms=PLAIN",
        "login.plain_users=user_root=\"secret\"",
    ];
    let broker = sets.iter().fold(Serve::new(), |serve, set| serve.arg("--set").arg(*set)).start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let huge = "QUFB".repeat(7 << 10);
    for wrong in ["Basic cm9vdDp3cm9uZw==", "Basic cm9vdA==", "Basic !!!", "Bearer x", "", &huge] {
        for path in ["/metrics", "/api/v1/topics", "/api/v1/state", "/api/v1/topics/none/messages"]
        {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: {wrong}\r\n\r\n"
            );
            assert_eq!(
                status(&broker, request.as_bytes()),
                401,
                "{path} {}",
                &wrong[..wrong.len().min(30)]
            );
        }
    }
    let guess =
        "GET /api/v1/topics HTTP/1.1\r\nHost: h\r\nAuthorization: Basic cm9vdDp3cm9uZw==\r\n\r\n";
    let flood: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = open(&broker);
            stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
            let _cut = stream.write_all(guess.repeat(1_000).as_bytes());
            stream
        })
        .collect();
    goes_on(&broker, &bystander);
    assert_peak(&broker, before, 100 * 128 * 1024 + 32 * MIB, "a flood of guesses");
    drop(flood);
    bystander.finish();
}
