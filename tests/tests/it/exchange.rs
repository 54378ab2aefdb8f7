//! What one client wrote, every other reads whole: key, value, headers, time.

use serde_json::{Value, json};
use tests::{PATIENCE, Process, Python, Script, Serve, kcat};

const SENDERS: [(Python, &str, &str); 3] = [
    (Python::Kafka3, "exchange_kafka", "kafka3"),
    (Python::Kafka1, "exchange_kafka", "kafka1"),
    (Python::Confluent, "exchange_confluent", "confluent"),
];

#[test]
fn every_client_reads_what_every_other_wrote() {
    let broker = Serve::new().start();
    let server = broker.kafka();
    let mut wanted = Vec::new();
    for (offset, (python, script, name)) in SENDERS.into_iter().enumerate() {
        let args: [&dyn AsRef<std::ffi::OsStr>; 4] = [&"send", &server, &"exchange", &name];
        let Some(events) = Script::run(python, script, &args, PATIENCE) else { return };
        assert_eq!(events[0], json!({"event": "sent", "partition": 0, "offset": offset}));
        wanted.push(message(offset, name));
    }
    let count = wanted.len().to_string();
    for (python, script, name) in SENDERS {
        let args: [&dyn AsRef<std::ffi::OsStr>; 5] = [&"read", &server, &"exchange", &name, &count];
        let events = Script::run(python, script, &args, PATIENCE).expect("it was there");
        assert_eq!(events, wanted, "as {name} reads them");
    }
    let Some(mut command) = kcat() else { return };
    command.args(["-b", &server, "-C", "-q", "-e", "-J", "-t", "exchange"]);
    let exit = Process::start("kcat -J", &mut command).exit(PATIENCE);
    let read: Vec<Value> = exit.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(read.len(), wanted.len(), "{exit:?}");
    for (read, wanted) in read.iter().zip(&wanted) {
        assert_eq!(read["payload"], wanted["value"]);
        assert_eq!(read["key"], wanted["key"]);
        assert_eq!(read["ts"], wanted["timestamp"]);
        assert_eq!(read["headers"], json!(["from", wanted["value"], "empty", ""]));
    }
}

fn message(offset: usize, name: &str) -> Value {
    json!({
        "event": "message",
        "offset": offset,
        "key": format!("key of {name}"),
        "value": name,
        "headers": [["from", name], ["empty", ""]],
        "timestamp": 1_700_000_000_123_i64,
    })
}

#[test]
fn a_key_lands_in_the_same_partition_through_every_client() {
    let broker = Serve::new().start();
    let server = broker.kafka();
    let mut places = Vec::new();
    for (python, kind) in
        [(Python::Kafka3, "kafka"), (Python::Kafka1, "kafka"), (Python::Confluent, "confluent")]
    {
        let args: [&dyn AsRef<std::ffi::OsStr>; 2] = [&kind, &server];
        let Some(events) = Script::run(python, "placement", &args, PATIENCE) else { return };
        places.push(events[0]["partitions"].clone());
    }
    assert_eq!(places[0].as_array().map(Vec::len), Some(100));
    assert_eq!(places[0], places[1]);
    assert_eq!(places[0], places[2]);
}
