//! At the STOMP door.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tests::{Broker, PATIENCE, Serve};

use super::{Bystander, MIB, Memory, assert_peak, connect, is_closed, last_words};
use crate::wires::stomp::Stomp;

/// The largest body that is taken.
const BODY_BYTES_MAX: usize = 4 << 20;

fn open(broker: &Broker) -> TcpStream {
    connect(&format!("127.0.0.1:{}", broker.stomp()))
}

/// A client that is in.
fn client(broker: &Broker) -> TcpStream {
    let mut stream = open(broker);
    stream.write_all(b"CONNECT\naccept-version:1.2\nhost:/\n\n\0").unwrap();
    answered(&mut stream, b"\0\n");
    stream
}

/// Reads until this comes.
fn answered(stream: &mut TcpStream, end: &[u8]) {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while !seen.ends_with(end) {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "closed after {}", seen.escape_ascii());
        seen.extend_from_slice(&buffer[..count]);
    }
}

/// Asserts that the broker says what is wrong, and closes.
fn is_refused(stream: &TcpStream, what: &str) {
    let words = last_words(stream).unwrap_or_else(|| panic!("it is not closed: {what}"));
    let words = String::from_utf8_lossy(&words);
    assert!(words.starts_with("ERROR\nmessage:"), "{what}: {words}");
}

#[test]
fn an_announced_body_is_not_believed() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let mut waiting = Vec::new();
    for _ in 0..300 {
        let mut stream = client(&broker);
        let head =
            format!("SEND\ndestination:/queue/q\ncontent-length:{BODY_BYTES_MAX}\n\nonly this");
        stream.write_all(head.as_bytes()).unwrap();
        waiting.push(stream);
    }
    let send = |header: &str| format!("SEND\ndestination:/queue/q\n{header}\n\n");
    for bad in [
        send(&format!("content-length:{}", BODY_BYTES_MAX + 1)),
        send("content-length:99999999999999999999999"),
        send("content-length:-1"),
        send("content-length:1") + "no zero byte there",
        send("no colon"),
        send(":no name"),
        send("a:no \\t escape"),
        send(&"a:b\n".repeat(300)),
        format!("SEND\n{}", "a".repeat(70_000)),
        "A".repeat(1000),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "\u{10}garbage".to_owned(),
    ] {
        let mut stream = client(&broker);
        stream.write_all(bad.as_bytes()).unwrap();
        is_refused(&stream, &bad[..bad.len().min(100)].escape_debug().to_string());
    }
    assert_peak(&broker, before, 300 * 64 * 1024 + 24 * MIB, "announced bodies");
    bystander.finish();
}

/// Who is not in has little room, and not for long.
#[test]
fn before_login_frames_are_small_and_time_is_short() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let connect = |header: &str| format!("CONNECT\naccept-version:1.2\n{header}\n\n\0");
    for bad in [
        connect(&format!("login:{}", "x".repeat(10_000))),
        connect(&"a:b\n".repeat(100)),
        connect("content-length:2000"),
        "SEND\ndestination:/queue/q\n\nhello\0".to_owned(),
        "BEGIN\ntransaction:t\n\n\0".to_owned(),
        format!("STOMP\n{}", "x".repeat(10_000)),
    ] {
        let mut stream = open(&broker);
        stream.write_all(bad.as_bytes()).unwrap();
        is_refused(&stream, &bad[..bad.len().min(100)].escape_debug().to_string());
    }
    // A frame that never ends, and not a word.
    let mut slow = open(&broker);
    slow.write_all(b"CONNECT\naccept-version:").unwrap();
    let silent = open(&broker);
    for stream in [&slow, &silent] {
        assert!(is_closed(stream), "it does not say who it is");
    }
    assert_peak(&broker, before, 24 * MIB, "strangers");
    bystander.finish();
}

/// What subscribers do not read stays in the queue, and is there when they do.
#[test]
fn subscribers_who_do_not_read_cost_little_and_stay() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let mut writer = Stomp::connect(broker.stomp()).unwrap();
    let queue: &[u8] = b"/queue/loud";
    // So that the queue's topic is there.
    writer.do_this("SEND", &[("destination", queue)], b"first").unwrap();
    let before = Memory::of(&broker);
    let mut silent: Vec<_> = (0..10)
        .map(|_| {
            let mut stream = client(&broker);
            stream.write_all(b"SUBSCRIBE\nid:0\ndestination:/queue/loud\nreceipt:r\n\n\0").unwrap();
            stream
        })
        .collect();
    let body = vec![b'x'; 65_536];
    // More than the sockets and their bounds together hold.
    for _ in 0..1_600 {
        writer.say("SEND", &[("destination", queue)], &body).unwrap();
    }
    writer.do_this("SEND", &[("destination", b"/queue/quiet")], b"hi").unwrap();
    let mut reader = Stomp::connect(broker.stomp()).unwrap();
    reader.do_this("SUBSCRIBE", &[("id", b"0"), ("destination", b"/queue/quiet")], b"").unwrap();
    assert_eq!(reader.message().unwrap().body, b"hi");
    // Two megabytes each, and the end of the log, which is in memory.
    assert_peak(&broker, before, 10 * 2 * MIB + 128 * MIB, "subscribers who do not read");
    // One of them reads after all: much more than waited for it.
    let mut left = 32 << 20;
    let mut buffer = vec![0; 1 << 20];
    let awake = &mut silent[0];
    while left > 0 {
        let count = awake.read(&mut buffer).unwrap();
        assert!(count > 0, "it is cut off");
        left -= count.min(left);
    }
    bystander.finish();
}

/// Who asks and does not read the answers is not read from.
#[test]
fn who_does_not_read_the_answers_is_not_read_from() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let (receipt, mut closed) = ("r".repeat(1000), 0);
    let frames = format!("BEGIN\ntransaction:t\nreceipt:{receipt}\n\n\0ABORT\ntransaction:t\n\n\0");
    let mut flood: Vec<_> = (0..20).map(|_| client(&broker)).collect();
    for stream in &mut flood {
        // The broker stops reading some day.
        stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let frames = frames.repeat(1000);
        closed +=
            usize::from((0..64).try_for_each(|_| stream.write_all(frames.as_bytes())).is_err());
    }
    assert_eq!(closed, flood.len(), "all of them are held back");
    bystander.goes_on();
    assert_peak(&broker, before, 20 * 4 * MIB + 24 * MIB, "answers that nobody reads");
    bystander.finish();
}

/// Subscriptions to topics have queues of their own, which go with the connection.
#[test]
fn many_subscriptions_end_with_their_connection() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let subscribe = |round: usize, number: usize| {
        format!("SUBSCRIBE\nid:{number}\ndestination:/topic/round.{round}.*.{number}\n\n\0")
    };
    let mut before = None;
    for round in 0..5 {
        let mut client = Stomp::connect(broker.stomp()).unwrap();
        let frames: String = (0..1000).map(|number| subscribe(round, number)).collect();
        client.write(frames.as_bytes()).unwrap();
        client.do_this("BEGIN", &[("transaction", b"t")], b"").unwrap();
        client.do_this("SEND", &[("destination", b"/topic/round.0.x.999")], b"hi").unwrap();
        if round == 0 {
            assert_eq!(client.message().unwrap().body, b"hi");
        }
        client.do_this("DISCONNECT", &[], b"").unwrap();
        before.get_or_insert_with(|| Memory::of(&broker));
    }
    // All five of them at a time would take five times as much.
    assert_peak(&broker, before.unwrap(), 24 * MIB, "subscriptions that are over");
    let mut stream = client(&broker);
    let many: String =
        (0..10_001).map(|n| format!("SUBSCRIBE\nid:{n}\ndestination:/queue/q\n\n\0")).collect();
    stream.set_read_timeout(Some(PATIENCE * 2)).unwrap();
    stream.write_all(many.as_bytes()).unwrap();
    is_refused(&stream, "too many subscriptions");
    bystander.finish();
}
