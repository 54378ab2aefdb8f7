//! Connections, many of them.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::{Broker, Serve};

use super::{Bystander, MIB, Memory, ask, connect, is_closed, metadata};
use crate::mqtt_client::{Line, SUBACK};

/// What an idle MQTT client may take, in bytes.
const IDLE_MQTT_BYTES_MAX: u64 = 3_000;

/// Raises the limit of open files to what the system allows, and says how many that is.
fn open_files_max() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Nofile, raised).unwrap();
    limit.maximum.unwrap_or(u64::MAX)
}

fn connections(broker: &Broker, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| connect(&broker.kafka())).collect()
}

/// Connections that have said nothing, and such that have asked something once.
#[test]
fn five_thousand_idle_connections_take_little_memory() {
    let files = open_files_max();
    let count = 5_000.min(usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(500));
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let mut open = connections(&broker, count);
    bystander.goes_on();
    // The last one is served: the broker has accepted all.
    for stream in open.iter_mut().rev().take(count / 2) {
        ask(stream, &metadata("idle")).unwrap();
    }
    let after = Memory::of(&broker);
    let each = after.now.saturating_sub(before.now) / count as u64;
    eprintln!("{count} idle connections take {each} bytes each");
    // Its task has all that a session may need; a test build's is several times a release's. What
    // it must not have is a buffer.
    assert!(each <= 24 * 1024, "an idle connection takes {each} bytes");
    bystander.finish();
    drop(open);
}

#[test]
fn idle_connections_are_closed_when_their_time_is_over() {
    let broker = Serve::new().arg("--set").arg("connections.max.idle.ms=1000").start();
    let bystander = Bystander::of(&broker);
    for stream in connections(&broker, 300) {
        assert!(is_closed(&stream), "an idle connection");
    }
    bystander.finish();
}

#[test]
fn connections_beyond_the_limit_are_closed_and_others_stay() {
    let broker = Serve::new().arg("--set").arg("max.connections=50").start();
    let bystander = Bystander::of(&broker);
    let mut inside: Vec<_> = connections(&broker, 49);
    for stream in &mut inside {
        ask(stream, &metadata("inside")).unwrap();
    }
    for stream in connections(&broker, 200) {
        assert!(is_closed(&stream), "one too many");
    }
    for stream in &mut inside {
        ask(stream, &metadata("inside")).unwrap();
    }
    assert!(broker.log().contains("too many are open"), "it is told");
    // Who leaves makes room; when, the broker says.
    drop(inside);
    let served = (0..200).any(|_| ask(&mut connect(&broker.kafka()), &metadata("in")).is_ok());
    assert!(served, "there is room again");
    let Memory { peak, .. } = Memory::of(&broker);
    assert!(peak < 200 * MIB, "{} MiB", peak / MIB);
    bystander.finish();
}

/// Clients of NATS that have introduced themselves and listen to something, as most do most of the time.
#[test]
fn thousands_of_idle_nats_clients_take_little_memory() {
    let files = open_files_max();
    let count = 5_000.min(usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(500));
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let open: Vec<TcpStream> = (0..count)
        .map(|number| {
            let mut stream = connect(&broker.nats());
            let hello = format!("CONNECT {{\"verbose\":false}}\r\nSUB idle.{number} 1\r\nPING\r\n");
            stream.write_all(hello.as_bytes()).unwrap();
            stream
        })
        .collect();
    for mut stream in &open {
        let (mut seen, mut buffer) = (Vec::new(), [0; 1024]);
        while !seen.ends_with(b"PONG\r\n") {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "closed after {}", seen.escape_ascii());
            seen.extend_from_slice(&buffer[..count]);
        }
    }
    let after = Memory::of(&broker);
    let each = after.now.saturating_sub(before.now) / count as u64;
    eprintln!("{count} idle NATS clients take {each} bytes each");
    assert!(each <= 16 * 1024, "an idle NATS client takes {each} bytes");
    bystander.finish();
}

/// Clients of MQTT that have introduced themselves and subscribe to something, as most do most of the time.
#[test]
fn ten_thousand_idle_mqtt_clients_take_little_memory() {
    let files = open_files_max();
    let count = 10_000.min(usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(500));
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let port = broker.mqtt();
    let mut open: Vec<Line> = (0..count)
        .map(|number| {
            let (mut line, _) = Line::open(port, &format!("idle-{number}"), true).unwrap();
            line.subscribe(&format!("idle/{number}"), 0).unwrap();
            line
        })
        .collect();
    for line in &mut open {
        assert_eq!(line.wait().unwrap().kind(), SUBACK);
    }
    let after = Memory::of(&broker);
    let each = after.now.saturating_sub(before.now) / count as u64;
    eprintln!("{count} idle MQTT clients take {each} bytes each");
    // 30 MB together. A test build takes as much as a release: what counts is the size of futures.
    assert!(each <= IDLE_MQTT_BYTES_MAX, "an idle MQTT client takes {each} bytes");
    bystander.finish();
}
