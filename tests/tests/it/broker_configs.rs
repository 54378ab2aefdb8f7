//! The broker's own configuration is changed while it runs, by a client that is no part of it.

use std::ffi::OsStr;
use std::io::Read;
use std::net::TcpStream;
use std::time::Instant;

use serde_json::{Value, json};
use tests::{Broker, PATIENCE, Python, Script, Serve};

/// Where values come from, as the client numbers it.
const CHANGED: i64 = 2;
const DEFAULT: i64 = 5;

fn start(broker: &Broker, what: &str) -> Option<Script> {
    let server = broker.kafka();
    let args: [&dyn AsRef<OsStr>; 2] = [&server, &what];
    Script::start(Python::Confluent, "broker_configs", &args)
}

fn shown(value: &str, source: i64) -> Value {
    json!({ "broker": [value, source], "topic": [value, source] })
}

#[test]
fn what_a_client_changes_counts_at_once_and_stays_when_the_broker_is_killed() {
    let mut broker = Serve::new().start();
    let Some(mut script) = start(&broker, "change") else { return };
    let before = script.event("before", PATIENCE);
    assert_eq!(before["shown"], shown("1048588", DEFAULT), "{before}");
    assert_eq!(before["plain"], Value::Null, "{before}");
    let changed = script.event("changed", PATIENCE);
    assert_eq!(changed["shown"], shown("20000", CHANGED), "{changed}");
    assert_eq!(changed["plain"], "MSG_SIZE_TOO_LARGE", "{changed}");
    assert_eq!(changed["own"], Value::Null, "it has its own bound: {changed}");
    let refused = script.event("refused", PATIENCE);
    for (which, said) in [
        ("fixed", "Cannot update these configs dynamically: [num.partitions]"),
        ("value", "message.max.bytes"),
        ("unknown", "Cannot update these configs dynamically: [no.such.key]"),
    ] {
        assert_eq!(refused[which][0], "INVALID_REQUEST", "{refused}");
        assert!(refused[which][1].as_str().is_some_and(|text| text.contains(said)), "{refused}");
    }
    let tried = script.event("tried", PATIENCE);
    assert_eq!(tried["shown"], json!(["604800000", DEFAULT]), "{tried}");
    script.finish(PATIENCE);

    broker.kill();
    broker.restart();
    let mut script = start(&broker, "after").expect("it was there");
    let after = script.event("after", PATIENCE);
    assert_eq!(after["shown"], shown("20000", CHANGED), "{after}");
    assert_eq!(after["plain"], "MSG_SIZE_TOO_LARGE", "{after}");
    let deleted = script.event("deleted", PATIENCE);
    assert_eq!(deleted["shown"], shown("1048588", DEFAULT), "{deleted}");
    assert_eq!(deleted["plain"], Value::Null, "{deleted}");

    script.event("bounded", PATIENCE);
    // The client has some connections, too, so at most six of twenty may stay.
    let deadline = Instant::now() + PATIENCE;
    // poll: the bound counts a moment after the answer; until the deadline.
    loop {
        let closed = closed_of(&broker, 20);
        if closed >= 14 {
            break;
        }
        assert!(Instant::now() < deadline, "{closed} of 20 connections were closed");
    }
    script.finish(PATIENCE);
}

/// How many of so many new connections the broker closes.
fn closed_of(broker: &Broker, count: usize) -> usize {
    let connect = |_| TcpStream::connect(broker.kafka()).expect("the listener accepts");
    let connections: Vec<_> = (0..count).map(connect).collect();
    connections.iter().filter(|stream| is_closed(stream)).count()
}

/// Whether the broker closes a connection on which nothing is said, soon.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE / 20)).expect("a time-out can be set");
    match stream.read(&mut [0]) {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}
