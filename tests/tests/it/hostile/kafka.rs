//! At the Kafka door.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use tests::{Broker, Faults, Misbehave, PATIENCE, Serve};

use super::bombs::{Records, produce};
use super::{
    Bystander, MIB, Memory, ask, assert_peak, connect, frame, is_closed, last_words, metadata,
    request,
};

/// The largest request that is taken, as configured by default.
const REQUEST_BYTES_MAX: u32 = 100 << 20;

/// Frames that announce as much as they may, and send next to nothing.
#[test]
fn an_announced_length_is_not_believed() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let connections: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = connect(&broker.kafka());
            stream.write_all(&REQUEST_BYTES_MAX.to_be_bytes()).unwrap();
            stream.write_all(&[0; 100]).unwrap();
            stream
        })
        .collect();
    bystander.goes_on();
    // 64 KiB a connection: its buffer has eight, its task some, a test build more.
    assert_peak(&broker, before, 200 * 64 * 1024 + 16 * MIB, "200 frames of 100 MiB announced");
    drop(connections);
    bystander.finish();
}

/// Requests that have begun to arrive and never end: bounded together, and who has one that does
/// end gets it through, if others have to go for it.
#[test]
fn requests_that_never_end_are_bounded_together() {
    let broker = Serve::new()
        .arg("--set")
        .arg("socket.request.max.bytes=33554432")
        .arg("--set")
        .arg("queued.max.request.bytes=67108864")
        .start();
    let bystander = Bystander::of(&broker);
    ask(&mut connect(&broker.kafka()), &metadata("large")).unwrap();
    let before = Memory::of(&broker);
    let senders: Vec<_> = (0..100)
        .map(|_| {
            let address = broker.kafka();
            std::thread::spawn(move || {
                let mut stream = connect(&address);
                // The broker stops reading some day.
                stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
                stream.write_all(&(32_u32 << 20).to_be_bytes()).unwrap();
                let part = vec![7; 64 << 10];
                let _ = (0..128).try_for_each(|_| stream.write_all(&part));
                stream
            })
        })
        .collect();
    let streams: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    bystander.goes_on();
    // Buffers double, so that each may have twice what it claimed. All would have 800 MiB.
    assert_peak(&broker, before, 2 * 64 * MIB + 64 * MIB, "100 times 8 MiB of a request");
    // The topic may not be there yet.
    let records = Records::one(&vec![7; 1_000_000]).batch(0, 0);
    let question = produce(3, "large", &records);
    let begun = Instant::now();
    let mut producer = connect(&broker.kafka());
    while super::bombs::error(&ask(&mut producer, &question).unwrap(), "large") != 0 {
        assert!(begun.elapsed() < PATIENCE * 3, "it is not stored");
    }
    assert!(broker.log().contains("others wait for the memory"), "some had to go");
    bystander.goes_on();
    drop(streams);
    bystander.finish();
}

/// A request that is larger than allowed, or of no length at all, costs its connection.
#[test]
fn a_request_beyond_the_limit_is_refused_at_once() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    for length in [REQUEST_BYTES_MAX + 1, i32::MAX as u32, u32::MAX, 1 << 31] {
        let mut stream = connect(&broker.kafka());
        stream.write_all(&length.to_be_bytes()).unwrap();
        assert!(is_closed(&stream), "a frame of {length} bytes");
    }
    // Bytes that are none of the protocol's.
    for text in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"] {
        let mut stream = connect(&broker.kafka());
        stream.write_all(text).unwrap();
        assert!(is_closed(&stream), "{text:?}");
    }
    // Requests that cannot be read: unknown, cut short, with more elements than bytes.
    let bodies: [&[u8]; 3] = [
        b"\x7f\xff\0\0\0\0\0\x09\xff\xff",
        b"\0",
        b"\0\x03\0\x01\0\0\0\x09\xff\xff\x7f\xff\xff\xff",
    ];
    for body in bodies {
        let mut stream = connect(&broker.kafka());
        stream.write_all(&frame(body)).unwrap();
        assert!(is_closed(&stream), "{body:?}");
    }
    assert_peak(&broker, before, 32 * MIB, "requests that are none");
    bystander.finish();
}

/// Arrays of as many elements as may be, each of the least bytes.
#[test]
fn arrays_of_many_small_elements_are_bounded() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    // Metadata 1 with a million topics of no name: more than a request may have.
    let count = 1_000_000_u32;
    let mut body = count.to_be_bytes().to_vec();
    body.resize(4 + 2 * 1_000_000, 0);
    let mut stream = connect(&broker.kafka());
    stream.write_all(&request(3, 1, &body)).unwrap();
    assert!(is_closed(&stream), "a million topics");
    // OffsetFetch 1 with as many partitions as a request may have: answered, one at a time.
    let count = 200_000_u32;
    let mut body = b"\0\x01g\0\0\0\x01\0\x01t".to_vec();
    body.extend(count.to_be_bytes());
    body.resize(body.len() + 4 * 200_000, 0);
    let question = request(9, 1, &body);
    let mut streams: Vec<_> = (0..8).map(|_| connect(&broker.kafka())).collect();
    for stream in &mut streams {
        stream.write_all(&question).unwrap();
    }
    for stream in &mut streams {
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[4..], [0, 0, 0, 9]);
    }
    // 32 MiB each: of an element, the request takes 4 bytes, the answer some 100 in memory.
    assert_peak(&broker, before, 8 * 48 * MIB + 32 * MIB, "8 times 200,000 elements");
    bystander.finish();
}

/// A request byte by byte is a request; one that never ends is nobody's business but its client's.
#[test]
fn slow_clients_hold_nobody_up() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let question = metadata("slow");
    let mut streams: Vec<_> = (0..100).map(|_| connect(&broker.kafka())).collect();
    for byte in &question[..question.len() - 1] {
        for stream in &mut streams {
            stream.set_nodelay(true).unwrap();
            stream.write_all(&[*byte]).unwrap();
        }
    }
    bystander.goes_on();
    // Half of them end their request, and are answered; the others never do.
    let last = question[question.len() - 1];
    for stream in &mut streams[..50] {
        let answer = ask(stream, &[last]).unwrap();
        assert_eq!(answer[..4], [0, 0, 0, 9]);
    }
    assert_peak(&broker, before, 100 * 64 * 1024 + 16 * MIB, "100 slow clients");
    bystander.finish();
}

const LOGINS: &str = "\
log.dirs=HOME/data
listener.security.protocol.map=CLIENTS:SASL_PLAINTEXT,OPEN:PLAINTEXT,TLS:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
listener.name.clients.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_root=\"secret\";
";

/// Who has not logged in gets little and not for long.
#[test]
fn before_login_requests_are_small_and_time_is_short() {
    let guarded = tests::free_port();
    let serve = Serve::configured("server.properties", |home, kafka, zookeeper| {
        LOGINS.replace("HOME", &home.display().to_string())
            + &format!(
                "listeners=OPEN://127.0.0.1:{kafka},CLIENTS://127.0.0.1:{guarded}\n\
                 zookeeper.connect=localhost:{zookeeper}\n"
            )
    });
    let broker = serve.start();
    let guarded = format!("127.0.0.1:{guarded}");
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    // More than 512 KiB, which is what a login may take.
    let mut stream = connect(&guarded);
    stream.write_all(&(600_u32 << 10).to_be_bytes()).unwrap();
    assert!(is_closed(&stream), "a large request before login");
    // At once, and not only because there was no login.
    broker.says("frame of 614400 bytes, at most 524288");
    // What is for those who are in.
    let mut stream = connect(&guarded);
    stream.write_all(&metadata("secret")).unwrap();
    assert_eq!(last_words(&stream), Some(Vec::new()), "a request before login");
    // A flood of what may be asked before: each is answered, or the connection ends.
    let mut flood: Vec<_> = (0..50).map(|_| connect(&guarded)).collect();
    let questions = request(18, 0, &[]).repeat(200);
    for stream in &mut flood {
        // It reads nothing, so the broker stops reading some day; that is no fault of this test's.
        stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let _ = stream.write_all(&questions);
    }
    bystander.goes_on();
    // Half a request, byte by byte: over after half a minute.
    let mut slow: Vec<_> = (0..20).map(|_| connect(&guarded)).collect();
    for stream in &mut slow {
        stream.write_all(&(100_u32 << 10).to_be_bytes()).unwrap();
    }
    let begun = Instant::now();
    let mut ended = 0;
    while ended < slow.len() {
        assert!(begun.elapsed() < PATIENCE * 3, "{ended} of them were closed");
        ended = slow.iter_mut().filter_map(|stream| stream.write_all(&[0]).err()).count();
        std::thread::sleep(Duration::from_millis(500)); // poll: for the end, three PATIENCEs
    }
    assert_peak(&broker, before, 48 * MIB, "floods and slow clients before login");
    bystander.finish();
}

/// TLS handshakes that never end.
#[test]
fn slow_handshakes_are_given_up() {
    let broker = Serve::new().arg("--secure").start();
    let before = Memory::of(&broker);
    let mut slow: Vec<_> = (0..100).map(|_| connect(&broker.kafka())).collect();
    // The front of a ClientHello of 512 bytes, of which the rest comes byte by byte.
    for stream in &mut slow {
        stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
    }
    let begun = Instant::now();
    let mut ended = 0;
    while ended < slow.len() {
        assert!(begun.elapsed() < PATIENCE * 3, "{ended} of them were closed");
        ended = slow.iter_mut().filter_map(|stream| stream.write_all(&[0]).err()).count();
        std::thread::sleep(Duration::from_millis(500)); // poll: for the end, three PATIENCEs
    }
    assert_peak(&broker, before, 100 * 128 * 1024 + 16 * MIB, "100 slow handshakes");
    // Somebody who is faster gets an answer: an alert, for it speaks no TLS.
    let mut stream = connect(&broker.kafka());
    stream.write_all(b"no TLS at all, and long enough to tell").unwrap();
    assert!(is_closed(&stream));
}

/// Bytes of a partition's files.
fn stored(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let bytes = |path: &Path| match std::fs::metadata(path) {
        Ok(about) if about.is_dir() => stored(path),
        Ok(about) if path.extension().is_some_and(|kind| kind == "log") => about.len(),
        _ => 0,
    };
    entries.filter_map(|entry| Some(bytes(&entry.ok()?.path()))).sum()
}

/// 48 MiB in a topic, in segments.
fn filled(broker: &Broker) {
    let mut stream = connect(&broker.kafka());
    ask(&mut stream, &metadata("large")).unwrap();
    let records = Records::one(&vec![7; 1_000_000]).batch(0, 0);
    let question = produce(3, "large", &records);
    let begun = Instant::now();
    let mut written = 0;
    while stored(&broker.home().join("data/segments")) < 48 * MIB {
        assert!(begun.elapsed() < PATIENCE * 3, "{written} batches, and not in segments");
        if written < 80 {
            let answer = ask(&mut stream, &question).unwrap();
            // The topic may not be there yet.
            let is_stored = super::bombs::error(&answer, "large") == 0;
            written += u32::from(is_stored);
        }
        std::thread::sleep(Duration::from_millis(20)); // poll: for the flusher, bounded by three PATIENCEs
    }
}

/// Fetch 4 of all of a topic's partition 0, as much as is to be had.
fn fetch(topic: &str) -> Vec<u8> {
    let mut body = vec![0xff, 0xff, 0xff, 0xff];
    body.extend([0, 0, 0, 100, 0, 0, 0, 1]);
    body.extend((100_u32 << 20).to_be_bytes());
    body.extend([0, 0, 0, 0, 1]);
    body.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
    body.extend(topic.as_bytes());
    body.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    body.extend([0; 8]);
    body.extend((100_u32 << 20).to_be_bytes());
    request(1, 4, &body)
}

/// Consumers that ask for all there is, many times over, and never read it.
#[test]
fn consumers_that_do_not_read_are_bounded_together() {
    let broker = Serve::new().start();
    filled(&broker);
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let questions = fetch("large").repeat(16);
    let streams: Vec<TcpStream> = (0..60)
        .map(|_| {
            let mut stream = connect(&broker.kafka());
            stream.write_all(&questions).unwrap();
            stream
        })
        .collect();
    bystander.goes_on();
    // Somebody who reads gets records all the while, a batch at a time if need be.
    let mut reader = connect(&broker.kafka());
    for _ in 0..5 {
        let answer = ask(&mut reader, &fetch("large")).unwrap();
        assert!(answer.len() > 1_000_000, "{} bytes", answer.len());
    }
    bystander.goes_on();
    // 256 MiB of what was read from disk may wait for all; then a batch of 1 MB each; and the
    // allocator keeps some of what it gave.
    assert_peak(&broker, before, (256 + 60 + 160) * MIB, "60 consumers that ask for 48 MiB each");
    drop(streams);
    bystander.finish();
}

/// Producers that send faster than the disk takes it, and never read what became of it.
#[test]
fn producers_that_do_not_read_are_bounded() {
    let (serve, disk) = Faults::prepare(Serve::new());
    let broker = serve.start();
    let bystander = Bystander::of(&broker);
    ask(&mut connect(&broker.kafka()), &metadata("pushed")).unwrap();
    disk.set(Misbehave { sync_delay_ms: 3_000, ..Misbehave::default() });
    let before = Memory::of(&broker);
    let records = Records::one(&vec![7; 100_000]).batch(0, 0);
    let question = produce(3, "pushed", &records);
    let senders: Vec<_> = (0..16)
        .map(|_| {
            let (address, question) = (broker.kafka(), question.clone());
            std::thread::spawn(move || {
                let mut stream = connect(&address);
                // The broker stops reading some day, until the disk goes on.
                stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
                let sent = (0..500).take_while(|_| stream.write_all(&question).is_ok()).count();
                (sent, stream)
            })
        })
        .collect();
    let sent: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    assert!(sent.iter().any(|(count, _)| *count < 500), "it read all that it was sent");
    disk.set(Misbehave::default());
    bystander.goes_on();
    // Of each connection's requests 64 may wait for the disk, and the tail of the log is in memory
    // until it is in segments. All would have 800 MB.
    assert_peak(&broker, before, 16 * 8 * MIB + 160 * MIB, "800 MB from 16 producers");
    drop(sent);
    bystander.finish();
}
