//! Real input: 336,776 flights of a public table, sent keyed by carrier, read by a group of three
//! that loses a member half-way; then read again after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::{Broker, PATIENCE, Python, Script, Serve, flights_table, record_figure};

use crate::notes::{self, number};

const TOPIC: &str = "flights";
const ROWS: usize = 336_776;
const CARRIERS: u64 = 16;
const PARTITIONS: i64 = 6;

/// How long sending and reading the whole table may take.
const WHOLE: Duration = Duration::from_secs(300);

/// What makes a row itself: its carrier, its number among the carrier's rows, its checksum.
type Row = (String, i64, String);

/// Every row by its place: partition and offset.
type Log = BTreeMap<(i64, i64), Row>;

#[test]
fn every_row_arrives_in_order_though_a_member_dies_and_the_broker_restarts() {
    let Some(table) = flights_table() else { return };
    let mut broker = Serve::new().start();
    let server = broker.kafka();
    let sent_notes = broker.home().join("sent");
    let args: [&dyn AsRef<std::ffi::OsStr>; 4] = [&server, &TOPIC, &table, &sent_notes];
    let Some(mut producer) = Script::start(Python::Kafka3, "flights_produce", &args) else {
        return;
    };
    producer.event("created", PATIENCE);
    let mut members = join(&broker);

    let begun = Instant::now();
    producer.say("go");
    let killed = kill_half_way(&mut members);
    let done = producer.event("done", WHOLE);
    producer.finish(PATIENCE);
    assert_eq!((&done["rows"], &done["keys"]), (&Value::from(ROWS), &Value::from(CARRIERS)));
    let ends = offsets(&done["ends"]);
    wait_until_read(&members, killed, &ends);
    record_figure("flights_seconds", begun.elapsed().as_secs());
    for (index, member) in members.into_iter().enumerate() {
        if index != killed {
            member.finish(PATIENCE);
        }
    }

    let sent = log(&sent_notes);
    assert_eq!(sent.len(), ROWS, "every row has a place of its own");
    check_log(&sent, &ends);
    let read = (0..3).map(|n| broker.home().join(format!("read-{n}")));
    check_group(&read.collect::<Vec<_>>(), &sent);
    check_committed(&broker, &ends);

    broker.stop();
    broker.restart();
    check_committed(&broker, &ends);
    assert_eq!(read_from_start(&broker, &ends), sent, "the same after a restart");
}

/// Starts the three members one after the other, and waits until each has two partitions.
fn join(broker: &Broker) -> Vec<Script> {
    let mut members: Vec<Script> =
        (0..3).map(|n| consume(broker, "group", &format!("read-{n}"))).collect();
    for member in &mut members {
        loop {
            let assigned = member.event("assigned", PATIENCE);
            if assigned["partitions"].as_array().map(Vec::len) == Some(2) {
                break;
            }
        }
    }
    members
}

fn consume(broker: &Broker, group: &str, notes: &str) -> Script {
    let (server, notes) = (broker.kafka(), broker.home().join(notes));
    let args: [&dyn AsRef<std::ffi::OsStr>; 4] = [&server, &TOPIC, &group, &notes];
    Script::start(Python::Kafka3, "flights_consume", &args).expect("its Python was there")
}

/// Waits until the group has read half of the rows and kills the member that read most.
fn kill_half_way(members: &mut [Script]) -> usize {
    loop {
        let mut counts = Vec::new();
        for member in members.iter_mut() {
            let progress = member.event("progress", PATIENCE);
            counts.push(progress["count"].as_u64().expect("a number"));
        }
        if counts.iter().sum::<u64>() >= ROWS as u64 / 2 {
            let busiest = (0..3).max_by_key(|n| counts[*n]).expect("three members");
            members[busiest].kill();
            return busiest;
        }
    }
}

/// Waits until the members that are left stand at the end of every partition.
fn wait_until_read(members: &[Script], killed: usize, ends: &BTreeMap<i64, i64>) {
    let deadline = Instant::now() + WHOLE;
    loop {
        let mut at = BTreeMap::new();
        for (_, member) in members.iter().enumerate().filter(|(index, _)| *index != killed) {
            let events = member.events();
            let last = events.iter().rev().find(|event| event["event"] == "progress");
            at.extend(last.map(|event| offsets(&event["positions"])).unwrap_or_default());
        }
        if ends.iter().all(|(partition, end)| at.get(partition) == Some(end)) {
            return;
        }
        assert!(Instant::now() < deadline, "the group stands at {at:?}, the ends are {ends:?}");
        std::thread::sleep(Duration::from_millis(100)); // poll: positions, bounded by WHOLE
    }
}

fn offsets(value: &Value) -> BTreeMap<i64, i64> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(partition, offset)| (number(partition), offset.as_i64().unwrap_or(-1))).collect()
}

/// A file of notes as rows by place; a place noted twice must hold the same row.
fn log(path: &Path) -> Log {
    let mut log = Log::new();
    for fields in notes::read(path).iter().filter(|fields| fields.len() == 5) {
        let (at, row) = place(fields);
        let before = log.insert(at, row.clone());
        assert!(before.is_none_or(|before| before == row), "{at:?} holds two rows");
    }
    log
}

fn place(fields: &[String]) -> ((i64, i64), Row) {
    let [partition, offset, key, row_number, checksum] = fields else {
        panic!("not a note: {fields:?}");
    };
    let row = (key.clone(), number(row_number), checksum.clone());
    ((number(partition), number(offset)), row)
}

/// Offsets without gaps from 0 to the end, each carrier in one partition and in order.
fn check_log(log: &Log, ends: &BTreeMap<i64, i64>) {
    assert!(ends.keys().all(|partition| (0..PARTITIONS).contains(partition)));
    let mut next: BTreeMap<i64, i64> = BTreeMap::new();
    let mut carriers: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for ((partition, offset), (key, row_number, _)) in log {
        let expected = next.entry(*partition).or_default();
        assert_eq!(offset, expected, "partition {partition} has a gap");
        *expected += 1;
        let (home, row_next) = carriers.entry(key).or_insert((*partition, 0));
        assert_eq!(home, partition, "{key} is spread over partitions");
        assert_eq!(row_number, row_next, "{key} is out of order");
        *row_next += 1;
    }
    assert_eq!(next, *ends);
}

/// Every row was read at least once, as it was sent; and each member read each partition without
/// a gap from the moment it was given it.
fn check_group(files: &[std::path::PathBuf], sent: &Log) {
    let mut read = BTreeSet::new();
    for file in files {
        let mut next: BTreeMap<i64, i64> = BTreeMap::new();
        for fields in notes::read(file) {
            if fields.len() != 5 {
                // Partitions changed hands, or the killed member's last line is torn.
                next.clear();
                continue;
            }
            // A killed member's last note may be cut in its last field.
            let ((partition, offset), row) = place(&fields);
            let expected = next.insert(partition, offset + 1).unwrap_or(offset);
            assert_eq!(offset, expected, "{file:?} skipped in partition {partition}");
            if sent.get(&(partition, offset)) == Some(&row) {
                read.insert((partition, offset));
            } else {
                let last = notes::read(file).last() == Some(&fields);
                assert!(last, "{file:?} read at {partition}:{offset} what was never sent: {row:?}");
            }
        }
    }
    assert_eq!(read.len(), sent.len(), "rows that nobody read");
}

fn check_committed(broker: &Broker, ends: &BTreeMap<i64, i64>) {
    let server = broker.kafka();
    let args: [&dyn AsRef<std::ffi::OsStr>; 3] = [&server, &TOPIC, &"group"];
    let events = Script::run(Python::Kafka3, "group_offsets", &args, PATIENCE).expect("there");
    let of = |kind: &str| offsets(&events[0][kind]);
    let full = |mut given: BTreeMap<i64, i64>| {
        // A partition to which no carrier hashes: nothing read, nothing to commit.
        given.retain(|partition, offset| ends.contains_key(partition) || *offset > 0);
        given
    };
    assert_eq!(full(of("ends")), *ends);
    assert_eq!(full(of("committed")), *ends, "committed is where the log ends");
    assert!(of("begins").values().all(|offset| *offset == 0));
}

fn read_from_start(broker: &Broker, ends: &BTreeMap<i64, i64>) -> Log {
    let alone = consume(broker, "", "read-again");
    let members = [alone];
    wait_until_read(&members, usize::MAX, ends);
    for member in members {
        member.finish(PATIENCE);
    }
    log(&broker.home().join("read-again"))
}
