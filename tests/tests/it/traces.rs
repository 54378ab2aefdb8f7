//! A message that asks for it is followed hop by hop, whatever doors it comes and goes by.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tests::{Broker, PATIENCE, Serve};

use crate::http::ask_at;
use crate::wires::amqp::Amqp;
use crate::wires::mqtt::{Mqtt, Property, Version};
use crate::wires::nats::{self, Nats};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn parent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{SPAN}-{flags}")
}

/// What is known of a trace; none, where nothing is.
fn spans(broker: &Broker, trace: &str) -> Vec<Json> {
    let (status, body) = ask_at(broker.http(), "GET", &format!("/api/v1/traces/{trace}"), "");
    if status == 404 {
        return Vec::new();
    }
    assert_eq!(status, 200, "{body}");
    let told: Json = serde_json::from_str(&body).unwrap();
    told["spans"].as_array().unwrap().clone()
}

/// The same, once there are so many steps and all are over.
fn spans_when(broker: &Broker, trace: &str, count: usize) -> Vec<Json> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let spans = spans(broker, trace);
        let are_over = spans.iter().all(|span| span["taken_us"].is_number());
        if spans.len() >= count && are_over {
            return spans;
        }
        assert!(Instant::now() < deadline, "not {count}: {spans:#?}");
        sleep(Duration::from_millis(20)); // poll: steps that are written after a client has its message, bounded by the deadline
    }
}

/// Each step as `step door destination`, and the same of what it is part of.
fn told(spans: &[Json]) -> Vec<(String, String)> {
    let text = |span: &Json, name: &str| span[name].as_str().unwrap_or("-").to_owned();
    let name =
        |span: &Json| [text(span, "step"), text(span, "door"), text(span, "destination")].join(" ");
    let of = |span: &Json| {
        let parent = spans.iter().find(|one| one["span_id"] == span["parent_id"]);
        (name(span), parent.map_or_else(|| text(span, "parent_id"), name))
    };
    let mut told: Vec<_> = spans.iter().map(of).collect();
    // Who of several consumers is first is chance.
    told.sort();
    told
}

fn expected(lines: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut all: Vec<_> = lines.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    all.sort();
    all
}

#[test]
fn a_message_is_followed_from_door_to_door() {
    let broker = Serve::new().start();
    let create = ["topic", "create", "kept", "--bind", "m.>", "--partitions", "1"];
    assert!(broker.entrepot(&create).status.success());
    let mut nats = Nats::connect(&broker.nats());
    nats.subscribe("m.>");
    let mut amqp = Amqp::connect(broker.amqp());
    amqp.subscribe("m.#");
    let mut mqtt = Mqtt::connect(broker.mqtt(), Version::V5);
    let traced = |trace: &str, flags: &str| {
        vec![Property::User("traceparent".to_owned(), parent(trace, flags))]
    };
    let other = "00000000000000000000000000000001";
    mqtt.publish("m/a/b", &traced(other, "00"), b"not sampled");
    mqtt.publish("m/a/b", &traced(TRACE, "01"), b"sampled");
    for _ in 0..2 {
        let headers = nats::fields(&nats.message().headers.unwrap());
        let (name, value) = &headers[0];
        assert_eq!(name, "traceparent");
        assert!(value.ends_with(b"-01") || value.ends_with(b"-00"), "to the byte: {headers:?}");
        amqp.message();
    }
    let read = broker.entrepot(&["consume", "kept", "--offset", "earliest", "-n", "2"]);
    assert!(read.stdout.contains("sampled"), "{read:?}");
    let spans = spans_when(&broker, TRACE, 5);
    let lines = expected(&[
        ("receive mqtt m.a.b", SPAN),
        ("store - kept", "receive mqtt m.a.b"),
        ("deliver nats m.a.b", "store - kept"),
        ("deliver amqp listener", "receive mqtt m.a.b"),
        ("deliver kafka kept", "store - kept"),
    ]);
    assert_eq!(told(&spans)[..], lines[..], "{spans:#?}");
    let receive = &spans[0];
    assert_eq!(receive["step"], "receive", "the first comes first");
    assert_eq!(receive["message_id"], SPAN);
    assert!(receive["client"].as_str().is_some_and(|name| !name.is_empty()), "{receive}");
    let store = spans.iter().find(|span| span["step"] == "store").unwrap();
    assert_eq!((&store["partition"], &store["offset"]), (&0.into(), &1.into()));
    for span in &spans {
        assert!(span["start_us"].as_i64() >= receive["start_us"].as_i64(), "{spans:#?}");
    }
    assert!(self::spans(&broker, other).is_empty(), "what is not sampled is not followed");
    as_commands_have_it(&broker);
}

/// The same by the command.
fn as_commands_have_it(broker: &Broker) {
    let at = format!("127.0.0.1:{}", broker.http());
    let shown = broker.entrepot(&["trace", TRACE, "--http", &at]);
    let lines: Vec<_> = shown.stdout.lines().collect();
    assert!(lines[0].starts_with(&format!("trace {TRACE}, from 2")), "{shown:?}");
    assert!(lines[1].contains(" ms  receive m.a.b from mqtt 127.0.0.1:"), "{shown:?}");
    assert!(lines[2].contains(" ms    store kept [0] at 1, "), "{shown:?}");
    let deliveries = lines.iter().filter(|line| line.contains(" ms      deliver "));
    assert_eq!(deliveries.count(), 2, "{shown:?}");
    assert!(
        lines.iter().any(|line| line.contains(" ms    deliver listener to amqp ")),
        "{shown:?}"
    );
    let by_topic = broker.entrepot(&["trace", "kept", "--http", &at]);
    assert_eq!(by_topic.stdout, shown.stdout);
    let json = broker.entrepot(&["trace", "kept", "--http", &at, "-o", "json"]);
    let json: Json = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json[0].as_array().map(Vec::len), Some(5), "{json}");
    let none = broker.entrepot(&["trace", "elsewhere", "--http", &at]);
    assert!(none.status.success() && none.stdout.starts_with("no message is followed"), "{none:?}");
    let unknown = broker.entrepot(&["trace", &"1".repeat(32), "--http", &at]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
}

#[test]
fn records_of_batches_are_followed_too() {
    let broker = Serve::new().start();
    let header = format!("traceparent={}", parent(TRACE, "01"));
    let sent = broker.entrepot(&["produce", "orders", "a", "b", "-H", &header]);
    assert!(sent.status.success(), "{sent:?}");
    let read = ask_at(broker.http(), "GET", "/api/v1/topics/orders/messages?limit=2", "");
    assert_eq!(read.0, 200);
    let read = broker.entrepot(&["consume", "orders", "--offset", "earliest", "-n", "2"]);
    assert_eq!(read.stdout, "a\nb\n", "{read:?}");
    let spans = spans_when(&broker, TRACE, 6);
    let offsets: Vec<_> = spans
        .iter()
        .filter(|span| span["step"] == "store")
        .map(|span| span["offset"].as_i64().unwrap())
        .collect();
    assert_eq!(offsets, [0, 1], "{spans:#?}");
    let delivered =
        spans.iter().filter(|span| span["step"] == "deliver" && span["door"] == "kafka");
    for span in delivered {
        let store = spans.iter().find(|one| one["span_id"] == span["parent_id"]).unwrap();
        assert_eq!((&store["step"], &store["offset"]), (&"store".into(), &span["offset"]));
    }
    // A trace of which nothing is known, and what is none.
    let ask = |path: &str| ask_at(broker.http(), "GET", path, "").0;
    assert_eq!(ask(&format!("/api/v1/traces/{}", "1".repeat(32))), 404);
    assert_eq!(ask("/api/v1/traces/orders"), 400);
    let (status, body) = ask_at(broker.http(), "GET", "/api/v1/traces?destination=orders", "");
    let page: Json = serde_json::from_str(&body).unwrap();
    assert_eq!((status, page["spans"].as_array().map(Vec::len)), (200, Some(spans.len())));
}

#[test]
fn a_broker_that_is_told_so_follows_nothing() {
    let broker = Serve::new().arg("--set").arg("observe.trace=false").start();
    let header = format!("traceparent={}", parent(TRACE, "01"));
    let sent = broker.entrepot(&["produce", "orders", "a", "-H", &header]);
    assert!(sent.status.success(), "{sent:?}");
    assert!(spans(&broker, TRACE).is_empty());
}

/// Takes one request of a collector's client: its head, and its body.
fn taken(collector: &TcpListener) -> (String, Vec<u8>) {
    let (mut stream, _) = collector.accept().expect("the broker connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("it has one");
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).expect("it sends");
        assert!(count > 0, "it ended early: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&chunk[..count]);
        let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|length| length.parse().ok()).expect("a length");
        if read.len() >= end + 4 + length {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("it reads");
            return (head, read.split_off(end + 4));
        }
    }
}

#[test]
fn a_collector_is_told_of_each_step() {
    let collector = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = collector.local_addr().expect("it is bound").port();
    let broker = Serve::new()
        .arg("--set")
        .arg(format!("observe.otlp_endpoint=http://127.0.0.1:{port}"))
        .arg("--set")
        .arg("observe.otlp_headers=api-key=secret")
        .start();
    let header = format!("traceparent={}", parent(TRACE, "01"));
    let sent = broker.entrepot(&["produce", "orders", "a", "-H", &header]);
    assert!(sent.status.success(), "{sent:?}");
    let id = u128::from_str_radix(TRACE, 16).expect("hexadecimal").to_be_bytes();
    let has = |body: &[u8], part: &[u8]| body.windows(part.len()).any(|known| known == part);
    // It waits for requests until the process ends; nobody waits for it.
    let (to, requests) = mpsc::sync_channel(16);
    thread::spawn(move || while to.send(taken(&collector)).is_ok() {});
    // What is over at different times may come in requests of their own.
    let mut wanted = vec!["receive orders", "store orders"];
    while !wanted.is_empty() {
        let (head, body) = requests.recv_timeout(PATIENCE).expect("the collector is told");
        assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
        assert!(head.contains("api-key: secret"), "{head}");
        assert!(has(&body, &id), "{body:?}");
        wanted.retain(|name| !has(&body, name.as_bytes()));
    }
}
