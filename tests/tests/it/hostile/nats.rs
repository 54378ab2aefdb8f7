//! At the NATS door.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::{Broker, PATIENCE, Serve};

use super::{Bystander, MIB, Memory, assert_peak, connect, is_closed};

/// The largest payload that is taken.
const PAYLOAD_BYTES_MAX: usize = 1_048_576;

/// A client that has been answered.
fn client(broker: &Broker) -> TcpStream {
    let mut stream = connect(&broker.nats());
    stream.write_all(b"CONNECT {\"verbose\":false}\r\n").unwrap();
    answered(&mut stream);
    stream
}

/// Asks for a sign of life, and reads until it comes.
fn answered(stream: &mut TcpStream) {
    stream.write_all(b"PING\r\n").unwrap();
    let mut seen = Vec::new();
    let mut byte = [0; 4096];
    while !seen.ends_with(b"PONG\r\n") {
        let count = stream.read(&mut byte).unwrap();
        assert!(count > 0, "closed after {}", seen.escape_ascii());
        seen.extend_from_slice(&byte[..count]);
    }
}

#[test]
fn an_announced_payload_is_not_believed() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let mut waiting = Vec::new();
    for _ in 0..300 {
        let mut stream = client(&broker);
        stream.write_all(format!("PUB a {PAYLOAD_BYTES_MAX}\r\nonly this").as_bytes()).unwrap();
        waiting.push(stream);
    }
    for bad in [
        format!("PUB a {}\r\n", PAYLOAD_BYTES_MAX + 1),
        "PUB a 99999999999999999999999\r\n".to_owned(),
        "HPUB a 1 4294967296\r\n".to_owned(),
        format!("SUB {} 1\r\n", "a".repeat(10_000)),
        "\0\0\0\x10garbage".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
    ] {
        let mut stream = client(&broker);
        stream.write_all(bad.as_bytes()).unwrap();
        assert!(is_closed(&stream), "{}", bad.escape_debug());
    }
    assert_peak(&broker, before, 300 * 64 * 1024 + 24 * MIB, "announced payloads");
    bystander.finish();
}

#[test]
fn subscribers_who_do_not_read_cost_little_and_are_cut_off() {
    let pending = 4 * MIB;
    let set = format!("nats.max_pending_bytes={pending}");
    let broker = Serve::new().arg("--set").arg(set).start();
    let bystander = Bystander::of(&broker);
    let mut reader = client(&broker);
    reader.write_all(b"SUB quiet 1\r\n").unwrap();
    answered(&mut reader);
    let before = Memory::of(&broker);
    let mut dead: Vec<_> = (0..10).map(|_| client(&broker)).collect();
    for stream in &mut dead {
        stream.write_all(b"SUB loud 1\r\n").unwrap();
        answered(stream);
    }
    let mut writer = client(&broker);
    let message = [&b"PUB loud 65536\r\n"[..], &[b'x'; 65_536], b"\r\n"].concat();
    // More than the sockets and the bound together hold.
    for _ in 0..1_600 {
        writer.write_all(&message).unwrap();
    }
    answered(&mut writer);
    writer.write_all(b"PUB quiet 2\r\nhi\r\n").unwrap();
    let mut got = [0; 19];
    reader.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"MSG quiet 1 2\r\nhi\r\n");
    for stream in &dead {
        assert!(is_closed(stream), "one that does not read is kept");
    }
    // Each may have its bound waiting, and once more what is being written.
    assert_peak(&broker, before, 10 * 2 * pending + 24 * MIB, "subscribers who do not read");
    bystander.finish();
}

#[test]
fn many_subscriptions_end_with_their_connection() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let mut last = 0;
    let before = Memory::of(&broker);
    for round in 0..5 {
        let mut stream = client(&broker);
        let mut lines = String::new();
        for number in 0..50_000 {
            lines.push_str(&format!("SUB round.{round}.*.{number} {number}\r\n"));
        }
        stream.write_all(lines.as_bytes()).unwrap();
        answered(&mut stream);
        drop(stream);
        last = round;
    }
    let mut stream = client(&broker);
    stream.write_all(format!("PUB round.{last}.x.1 0\r\n\r\n").as_bytes()).unwrap();
    answered(&mut stream);
    // A round takes some 50 MiB; five of them at a time would take five times that.
    assert_peak(&broker, before, 150 * MIB, "subscriptions");
    bystander.finish();
}

/// Messages that have begun to arrive and never end: bounded together, and who has one that does end gets it through,
/// if others have to go for it.
#[test]
fn messages_that_never_end_are_bounded_together() {
    let settings = [
        "nats.max_payload_bytes=33554432",
        "socket.request.max.bytes=33554432",
        "queued.max.request.bytes=67108864",
    ];
    let broker =
        settings.iter().fold(Serve::new(), |serve, set| serve.arg("--set").arg(*set)).start();
    let bystander = Bystander::of(&broker);
    let mut reader = client(&broker);
    reader.write_all(b"SUB large 1\r\n").unwrap();
    answered(&mut reader);
    let before = Memory::of(&broker);
    let senders: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = client(&broker);
            std::thread::spawn(move || {
                // The broker stops reading some day.
                stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
                stream.write_all(b"PUB large 33554432\r\n").unwrap();
                let part = vec![7; 64 << 10];
                let _ = (0..128).try_for_each(|_| stream.write_all(&part));
                stream
            })
        })
        .collect();
    let streams: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    bystander.goes_on();
    // Buffers double, so that each may have twice what it claimed. All would have 320 MiB.
    assert_peak(&broker, before, 2 * 64 * MIB + 64 * MIB, "40 times 8 MiB of a message");
    let size = 8 << 20;
    let message =
        [format!("PUB large {size}\r\n").as_bytes(), &vec![b'x'; size], b"\r\nPING\r\n"].concat();
    // The room is taken by those who do not go on; some are shown out. Perhaps this one, too, who comes again.
    let address = broker.nats();
    let writing = std::thread::spawn(move || {
        let begun = Instant::now();
        while !is_taken(&address, &message) {
            assert!(begun.elapsed() < PATIENCE * 3, "it is not taken");
        }
    });
    reader.set_read_timeout(Some(PATIENCE * 3)).unwrap();
    let mut got = vec![0; format!("MSG large 1 {size}\r\n").len() + size + 2];
    reader.read_exact(&mut got).unwrap();
    assert!(got.starts_with(b"MSG large 1 8388608\r\nxxx"), "{}", got[..40].escape_ascii());
    writing.join().unwrap();
    assert!(broker.log().contains("others wait for the memory"), "some had to go");
    drop(streams);
    bystander.finish();
}

/// Whether a message was handled: the sign of life that is asked for behind it comes.
fn is_taken(address: &str, message: &[u8]) -> bool {
    let mut stream = connect(address);
    stream.set_write_timeout(Some(PATIENCE * 3)).unwrap();
    stream.set_read_timeout(Some(PATIENCE * 3)).unwrap();
    if stream
        .write_all(b"CONNECT {\"verbose\":false}\r\n")
        .and_then(|()| stream.write_all(message))
        .is_err()
    {
        return false;
    }
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while !seen.ends_with(b"PONG\r\n") {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => seen.extend_from_slice(&buffer[..count]),
            _ => return false,
        }
    }
    true
}
