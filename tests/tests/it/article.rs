//! The article's examples, as they stand, on the default ports and with no configuration.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tests::{PATIENCE, Process, Python, Script, Serve, default_ports, kcat};

#[test]
fn kafka_python_3_sends_and_a_waiting_consumer_prints_it() {
    hello_world(Python::Kafka3);
}

#[test]
fn kafka_python_1_sends_and_a_waiting_consumer_prints_it() {
    hello_world(Python::Kafka1);
}

fn hello_world(python: Python) {
    let _turn = default_ports();
    let _broker = Serve::plain().start();
    // Sent before the consumer starts, so it must not be printed.
    if Script::run(python, "article_producer", &[], PATIENCE).is_none() {
        return;
    }
    let Some(mut consumer) = Script::start(python, "article_consumer", &[]) else { return };
    let ready = consumer.event("ready", PATIENCE);
    assert_eq!(ready["early"], json!([]), "what was sent earlier is not printed");
    assert_eq!(ready["positions"], json!({"0": 1}), "one partition, one message so far");
    Script::run(python, "article_producer", &[], PATIENCE).expect("it ran before");
    let message = consumer.event("message", PATIENCE);
    assert_eq!(message, json!({"event": "message", "value": "Hello, World!", "offset": 1}));
    let events = consumer.finish(PATIENCE);
    let messages = events.iter().filter(|event| event["event"] == "message").count();
    assert_eq!(messages, 1, "{events:?}");
}

#[test]
fn kafka_python_3_deals_keyed_messages_in_turn() {
    round_robin(Python::Kafka3);
}

#[test]
fn kafka_python_1_deals_keyed_messages_in_turn_with_its_own_partitioner() {
    round_robin(Python::Kafka1);
}

fn round_robin(python: Python) {
    let _turn = default_ports();
    let _broker = Serve::plain().start();
    let Some(events) = Script::run(python, "article_round_robin", &[], PATIENCE) else { return };
    let partitions: Vec<i64> = numbers(&events.last().expect("an event")["partitions"]);
    assert_eq!(partitions.len(), 9);
    for turn in partitions.chunks(3) {
        let mut turn = turn.to_vec();
        turn.sort_unstable();
        assert_eq!(turn, [0, 1, 2], "every partition once a turn: {partitions:?}");
    }
}

fn numbers(value: &Value) -> Vec<i64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
}

#[test]
fn kazoo_finds_the_broker_with_kafka_python_3_beside_it() {
    zookeeper(Python::Kafka3);
}

#[test]
fn kazoo_finds_the_broker_with_kafka_python_1_beside_it() {
    zookeeper(Python::Kafka1);
}

fn zookeeper(python: Python) {
    let _turn = default_ports();
    let _broker = Serve::plain().start();
    let Some(events) = Script::run(python, "article_zookeeper", &[], PATIENCE) else { return };
    let listed = events.iter().find(|event| event["event"] == "brokers").expect("a list");
    assert_eq!(listed["plain"], json!(["0"]));
    assert_eq!(listed["with_data"], json!(["0"]));
    let broker = events.iter().find(|event| event["event"] == "broker").expect("a broker");
    let data: Value = serde_json::from_str(broker["data"].as_str().expect("text")).expect("JSON");
    assert_eq!(data["port"], 9092, "{data}");
    assert!(data["host"].as_str().is_some_and(|host| !host.is_empty()), "{data}");
    assert!(data["endpoints"][0].as_str().is_some_and(|e| e.starts_with("PLAINTEXT://")), "{data}");
    assert_eq!(broker["ephemeral"], true, "a broker's node lives as long as the broker");
}

#[test]
fn confluent_kafka_sends_and_receives() {
    let _turn = default_ports();
    let _broker = Serve::plain().start();
    let Some(events) = Script::run(Python::Confluent, "article_confluent", &[], PATIENCE) else {
        return;
    };
    assert_eq!(events[0], json!({"event": "sent", "error": null, "offset": 0}));
    assert_eq!(events[1], json!({"event": "message", "value": "Hello, World!", "key": "k"}));
}

#[test]
fn kcat_sends_and_a_waiting_kcat_prints_it() {
    let _turn = default_ports();
    let broker = Serve::plain().start();
    let Some(_) = kcat() else { return };
    send(broker.home(), &["-t", "test"], "before\n");
    // Told to wait at the end, kcat says when it is there.
    let mut follow = kcat().expect("it was there");
    follow.args(["-b", "localhost:9092", "-C", "-t", "test", "-o", "end", "-c", "1"]);
    let follow = Process::start("kcat -C", &mut follow);
    let at_end = |line: &str| line.contains("Reached end of topic test [0]").then_some(());
    follow.wait_for("the end of the topic", 0, PATIENCE, at_end);
    send(broker.home(), &["-t", "test"], "Hello, World!\n");
    let exit = follow.exit(PATIENCE);
    assert!(exit.status.success(), "{exit:?}");
    assert_eq!(exit.stdout, "Hello, World!\n");
}

#[test]
fn kcat_sends_with_every_compression_and_a_group_reads_all() {
    let _turn = default_ports();
    let broker = Serve::plain().start();
    let Some(_) = kcat() else { return };
    let mut wanted = BTreeMap::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        // Long enough that compressing it is worth it to the client.
        let lines: Vec<String> = (0..200).map(|n| format!("{codec}-{n}")).collect();
        let text: String = lines.iter().map(|line| format!("key of {line}:{line}\n")).collect();
        send(broker.home(), &["-t", "packed", "-K:", "-z", codec], &text);
        wanted.extend(lines.into_iter().map(|line| (line.clone(), format!("key of {line}"))));
    }
    let mut group = kcat().expect("it was there");
    group.args(["-b", "localhost:9092", "-G", "readers", "-q", "-e", "-K:"]);
    group.args(["-X", "auto.offset.reset=earliest", "packed"]);
    let exit = Process::start("kcat -G", &mut group).exit(PATIENCE);
    assert!(exit.status.success(), "{exit:?}");
    let read: BTreeMap<String, String> = exit
        .stdout
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (value.to_owned(), key.to_owned()))
        .collect();
    assert_eq!(read, wanted);
    assert_eq!(exit.stdout.lines().count(), wanted.len(), "each once");
}

/// Sends each line as a message through kcat.
fn send(home: &Path, args: &[&str], lines: &str) {
    let file = home.join("lines.txt");
    std::fs::File::create(&file).unwrap().write_all(lines.as_bytes()).unwrap();
    let mut command: Command = kcat().expect("checked by the caller");
    command.args(["-b", "localhost:9092", "-P", "-X", "acks=all"]).args(args);
    command.arg("-l").arg(&file);
    let exit = Process::start("kcat -P", &mut command).exit(PATIENCE);
    assert!(exit.status.success(), "{exit:?}");
}
