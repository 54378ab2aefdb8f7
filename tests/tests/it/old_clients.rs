//! Clients of the age before record batches: kafka-python 1.3.5, asking the broker what it is, and
//! told that it is of Kafka 0.8, 0.9 and 0.10.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::{PATIENCE, Python, Script, Serve};

/// What the clients believe their broker to be, and the compressions that they then know.
const VERSIONS: [(&str, &str); 6] = [
    ("0.8.1", "none,gzip,snappy"),
    ("0.8.2", "none,gzip,snappy,lz4"),
    ("0.9", "none,gzip,snappy,lz4"),
    ("0.10.0", "none,gzip,snappy,lz4"),
    ("0.10.1", "none,gzip,snappy,lz4"),
    ("auto", "none,gzip,snappy,lz4"),
];

/// Message sets have no time before Kafka 0.10.
fn is_timed(version: &str) -> bool {
    version == "auto" || version.starts_with("0.10")
}

#[test]
fn old_and_new_clients_read_what_the_other_wrote() {
    let broker = Serve::new().start();
    let server = broker.kafka();
    let mut sent = Vec::new();
    let old = VERSIONS.map(|(version, codecs)| (Python::Kafka0, version, codecs));
    let new = (Python::Kafka3, "auto", "none,gzip,snappy,lz4");
    for (python, version, codecs) in old.into_iter().chain([new]) {
        let name = format!("{python:?} {version}");
        let args: [&dyn AsRef<std::ffi::OsStr>; 6] =
            [&"send", &server, &"exchange", &version, &name, &codecs];
        let Some(events) = Script::run(python, "exchange_old", &args, PATIENCE) else { return };
        assert_eq!(events.len(), 24 * codecs.split(',').count());
        sent.extend(events);
    }
    let offsets: Vec<_> = sent.iter().map(|message| message["offset"].as_u64().unwrap()).collect();
    assert_eq!(offsets, (0..).take(sent.len()).collect::<Vec<_>>());
    let count = sent.len().to_string();
    for (python, version) in
        old.map(|(python, version, _)| (python, version)).into_iter().chain([(new.0, new.1)])
    {
        let args: [&dyn AsRef<std::ffi::OsStr>; 5] =
            [&"read", &server, &"exchange", &version, &count];
        let read = Script::run(python, "exchange_old", &args, PATIENCE).expect("it was there");
        let expected: Vec<Value> = sent.iter().map(|message| as_read(message, version)).collect();
        assert_eq!(read, expected, "as {python:?} {version} reads them");
    }
}

/// A message without time has -1; a reader of message sets without time has none.
fn as_read(message: &Value, version: &str) -> Value {
    let mut message = message.clone();
    let time = &mut message["timestamp"];
    if !is_timed(version) {
        *time = Value::Null;
    } else if time.is_null() {
        *time = json!(-1);
    }
    message
}

#[test]
fn zstd_is_refused_to_those_who_cannot_know_it() {
    let broker = Serve::new().start();
    let server = broker.kafka();
    let args: [&dyn AsRef<std::ffi::OsStr>; 6] =
        [&"send", &server, &"modern", &"auto", &"new", &"none,zstd"];
    let Some(sent) = Script::run(Python::Kafka3, "exchange_old", &args, PATIENCE) else { return };
    // What came before it is read.
    let args: [&dyn AsRef<std::ffi::OsStr>; 5] = [&"read", &server, &"modern", &"0.9", &"24"];
    let Some(read) = Script::run(Python::Kafka0, "exchange_old", &args, PATIENCE) else { return };
    let expected: Vec<Value> = sent[..24].iter().map(|message| as_read(message, "0.9")).collect();
    assert_eq!(read, expected);
}

#[test]
fn old_clients_share_a_group() {
    let broker = Serve::new().start();
    let server = broker.kafka();
    let made = broker.entrepot(&["topic", "create", "shared", "--partitions", "4"]);
    assert!(made.status.success(), "{made:?}");
    let member = |version: &'static str| {
        let args: [&dyn AsRef<std::ffi::OsStr>; 4] = [&server, &"shared", &"group", &version];
        Script::start(Python::Kafka0, "group_old", &args)
    };
    let Some(mut first) = member("0.9") else { return };
    let all: BTreeSet<u64> = (0..4).collect();
    wait_for(&mut first, &all);
    let mut second = member("auto").expect("it was there");
    let halves = [assigned(&mut first, 2), assigned(&mut second, 2)];
    assert_eq!(halves[0].union(&halves[1]).copied().collect::<BTreeSet<_>>(), all);
    second.finish(PATIENCE);
    wait_for(&mut first, &all);
    let args: [&dyn AsRef<std::ffi::OsStr>; 6] =
        [&"send", &server, &"shared", &"0.9", &"sender", &"gzip"];
    Script::run(Python::Kafka0, "exchange_old", &args, PATIENCE).expect("it was there");
    loop {
        let committed = first.event("committed", PATIENCE);
        if committed["offsets"]["0"] == 24 {
            break;
        }
    }
    let read = first.finish(PATIENCE);
    assert_eq!(read.iter().filter(|event| event["event"] == "message").count(), 24);
    // Another of the age before group membership goes on from there.
    let args: [&dyn AsRef<std::ffi::OsStr>; 3] = [&server, &"shared", &"group"];
    let events =
        Script::run(Python::Kafka3, "group_offsets", &args, PATIENCE).expect("it was there");
    assert_eq!(events[0]["committed"]["0"], 24);
}

/// Waits until a member has so many partitions.
fn assigned(member: &mut Script, count: usize) -> BTreeSet<u64> {
    loop {
        let event = member.event("assigned", PATIENCE);
        let partitions: BTreeSet<_> =
            event["partitions"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        if partitions.len() == count {
            return partitions;
        }
    }
}

fn wait_for(member: &mut Script, partitions: &BTreeSet<u64>) {
    assert_eq!(assigned(member, partitions.len()), *partitions);
}
