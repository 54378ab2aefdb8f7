//! At RabbitMQ's management API.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::{Broker, PATIENCE, Serve};

use super::{Bystander, MIB, Memory, assert_peak, connect, is_closed, last_words};

/// The largest body that is taken.
const BODY_BYTES_MAX: usize = 16 << 20;

/// What all requests together may have, where a test bounds them.
const ROOM: u64 = 64 * MIB;

fn open(broker: &Broker) -> TcpStream {
    connect(&format!("127.0.0.1:{}", broker.management()))
}

/// A request with a body, whose connection ends with the answer.
fn request(method: &str, path: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} /api/{path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{more}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
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

/// Somebody else is answered, and the whole broker goes on.
fn goes_on(broker: &Broker, bystander: &Bystander) {
    bystander.goes_on();
    assert_eq!(status(broker, &request("GET", "overview", "", b"")), 200);
}

#[test]
fn heads_are_bounded_and_so_is_their_time() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let begun = Instant::now();
    let heads: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = open(&broker);
            stream.write_all(b"GET /api/overview HTTP/1.1\r\nX: ").unwrap();
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
        ("GET / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n".to_owned(), &[400]),
        ("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(), &[400]),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), &[0, 400]),
        ("\0\0\0\x10garbage\r\n\r\n".to_owned(), &[400]),
    ] {
        let code = status(&broker, bad.as_bytes());
        assert!(codes.contains(&code), "{code} for {}", &bad[..bad.len().min(80)].escape_debug());
    }
    goes_on(&broker, &bystander);
    // 64 KiB a connection: its buffer has 32, its task some, a test build more.
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
    let broker = Serve::new().arg("--set").arg(format!("queued.max.request.bytes={ROOM}")).start();
    let bystander = Bystander::of(&broker);
    goes_on(&broker, &bystander);
    let before = Memory::of(&broker);
    let path = "/api/queues/%2F/q HTTP/1.1\r\nHost: h\r\n";
    // Too large, by what is announced, or by what comes.
    let announced = format!("PUT {path}Content-Length: {}\r\n\r\n", BODY_BYTES_MAX + 1);
    assert_eq!(status(&broker, announced.as_bytes()), 413);
    let chunk = [&b"100000\r\n"[..], &vec![b' '; 1 << 20], b"\r\n"].concat();
    let chunked = format!("PUT {path}Transfer-Encoding: chunked\r\n\r\n");
    let chunks = [chunked.as_bytes(), &chunk.repeat(17)].concat();
    let code = status(&broker, &chunks);
    // What it does not read may take the answer with it, as TCP is.
    assert!(code == 413 || code == 0, "{code}");
    for bad in ["fffffffffffffffff\r\n", "-1\r\n", "zz\r\n"] {
        assert_eq!(status(&broker, format!("{chunked}{bad}").as_bytes()), 400, "{bad:?}");
    }
    // Bodies that never end: all would have 800 MiB.
    let head = format!("PUT {path}Content-Length: {BODY_BYTES_MAX}\r\n\r\n");
    let senders: Vec<_> = (0..100)
        .map(|_| {
            let (mut stream, head) = (open(&broker), head.clone());
            std::thread::spawn(move || {
                // The broker stops reading some day.
                stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
                let part = vec![b' '; 64 << 10];
                let _cut = stream.write_all(head.as_bytes());
                let _cut = (0..128).try_for_each(|_| stream.write_all(&part));
                stream
            })
        })
        .collect();
    let streams: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    goes_on(&broker, &bystander);
    // Buffers double, so that each may have twice what it claimed; each has 16 KiB that nobody counts.
    assert_peak(&broker, before, 2 * ROOM + 64 * MIB, "100 times 8 MiB of a body");
    // One that ends gets through, if others have to go for it.
    let mut large = br#"{"durable":true,"arguments":{}}"#.to_vec();
    large.resize(BODY_BYTES_MAX, b' ');
    assert_eq!(status(&broker, &request("PUT", "queues/%2F/q", "", &large)), 201);
    assert!(broker.log().contains("others wait for the memory"), "some had to go");
    drop(streams);
    bystander.finish();
}

#[test]
fn json_is_no_bomb() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    goes_on(&broker, &bystander);
    let before = Memory::of(&broker);
    let filled = |open: &str, each: &str, close: &str| {
        let count = (BODY_BYTES_MAX - open.len() - close.len()) / each.len();
        let all = each.repeat(count);
        format!("{open}{}{close}", all.trim_end_matches(','))
    };
    for (path, bomb) in [
        ("definitions", filled(r#"{"queues":["#, "{},", "]}")),
        ("definitions", filled(r#"{"queues":["#, "[0],", "]}")),
        ("definitions", filled(r#"{"queues":["#, r#"{"":0},"#, "]}")),
        (
            "exchanges/%2F/amq.default/publish",
            filled(r#"{"properties":{"headers":{"h":["#, "0,", "]}}}"),
        ),
        ("exchanges/%2F/amq.default/publish", "[".repeat(BODY_BYTES_MAX)),
        ("exchanges/%2F/amq.default/publish", r#"{"a":"#.repeat(BODY_BYTES_MAX / 5)),
    ] {
        let code = status(&broker, &request("POST", path, "", bomb.as_bytes()));
        assert_eq!(code, 400, "{path} {}", &bomb[..40]);
    }
    goes_on(&broker, &bystander);
    // A body, and what it is when it is read.
    assert_peak(&broker, before, 96 * MIB, "JSON of many small values");
    bystander.finish();
}

#[test]
fn who_is_not_known_costs_little_and_learns_nothing() {
    let sets = [
        "amqp.security=SASL_PLAINTEXT",
        "login.mechanisms=PLAIN",
        "login.plain_users=user_root=\"secret\"",
    ];
    let broker = sets.iter().fold(Serve::new(), |serve, set| serve.arg("--set").arg(*set)).start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let authorized = |value: &str| format!("Authorization: {value}\r\n");
    // root:secret, root:wrong, nobody:secret, no colon, not Base64, not UTF-8.
    let right = authorized("Basic cm9vdDpzZWNyZXQ=");
    let huge = "QUFB".repeat(7 << 10);
    for wrong in [
        "Basic cm9vdDp3cm9uZw==",
        "Basic bm9ib2R5OnNlY3JldA==",
        "Basic cm9vdA==",
        "Basic !!!",
        "Basic /////w==",
        "Bearer cm9vdDpzZWNyZXQ=",
        "",
        &format!("Basic {huge}"),
    ] {
        for (method, path, body) in [
            ("GET", "overview", &b""[..]),
            ("GET", "no/such/thing", b""),
            ("PUT", "queues/%2F/q", b"{}"),
            ("POST", "definitions", b"not json"),
        ] {
            let code = status(&broker, &request(method, path, &authorized(wrong), body));
            assert_eq!(code, 401, "{method} {path} {wrong}");
        }
    }
    assert_eq!(status(&broker, &request("GET", "overview", "", b"")), 401);
    assert_eq!(status(&broker, &request("GET", "queues/%2F/q", &right, b"")), 404, "none was made");
    // A flood of guesses, each of a connection of its own, and of as many as it likes.
    let guess =
        "GET /api/whoami HTTP/1.1\r\nHost: h\r\nAuthorization: Basic cm9vdDp3cm9uZw==\r\n\r\n";
    let flood: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = open(&broker);
            stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
            let _cut = stream.write_all(guess.repeat(1_000).as_bytes());
            stream
        })
        .collect();
    bystander.goes_on();
    assert_eq!(status(&broker, &request("GET", "overview", &right, b"")), 200);
    assert_peak(&broker, before, 100 * 128 * 1024 + 32 * MIB, "a flood of guesses");
    drop(flood);
    bystander.finish();
}

#[test]
fn answers_that_nobody_reads_are_bounded() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let payload = "x".repeat(4 << 20);
    let message = format!(r#"{{"routing_key":"q","payload":"{payload}","properties":{{}}}}"#);
    assert_eq!(status(&broker, &request("PUT", "queues/%2F/q", "", b"{}")), 201);
    let publish = request("POST", "exchanges/%2F/amq.default/publish", "", message.as_bytes());
    assert_eq!(status(&broker, &publish), 200);
    goes_on(&broker, &bystander);
    let before = Memory::of(&broker);
    let look = br#"{"count":1,"ackmode":"ack_requeue_true","encoding":"auto"}"#;
    let question = format!(
        "POST /api/queues/%2F/q/get HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{}",
        look.len(),
        std::str::from_utf8(look).unwrap()
    );
    let mut streams: Vec<_> = (0..10).map(|_| open(&broker)).collect();
    for stream in &mut streams {
        // It reads nothing, so that the broker stops reading some day.
        stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let _cut = stream.write_all(question.repeat(100).as_bytes());
    }
    // The answer to the first has begun: its status is there.
    for stream in &mut streams {
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    goes_on(&broker, &bystander);
    // Not the 400 MiB of a hundred answers: the one that is being written, and one behind it.
    assert_peak(&broker, before, 10 * 16 * MIB + 32 * MIB, "answers that nobody reads");
    bystander.finish();
}
