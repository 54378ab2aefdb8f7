//! SIGKILL under load, again and again: what was acknowledged is there, where it was said to be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tests::{Broker, PATIENCE, Python, Script, Serve, record_figure};

use crate::chance::{Chance, random_seed, setting};
use crate::notes::{self, number};

const TOPIC: &str = "survivors";
const PARTITIONS: i64 = 3;
const PRODUCERS: [(&str, &str); 2] = [("plain", "none"), ("packed", "lz4")];

#[test]
fn no_acknowledged_record_is_lost_whenever_the_broker_is_killed() {
    let rounds: u32 = setting("ENTREPOT_KILL_ROUNDS").unwrap_or(50);
    let seed = setting("ENTREPOT_KILL_SEED").unwrap_or_else(random_seed);
    // Shown when the test fails. The same seed kills after the same delays; what the broker is
    // doing then is up to the machine.
    println!("{rounds} rounds; ENTREPOT_KILL_SEED={seed}");
    let mut delays = Chance::new(seed);

    let mut broker = Serve::new().start();
    let Some(mut producers) = start_producers(&broker, &[]) else { return };
    let begun = Instant::now();
    for round in 0..rounds {
        for producer in &mut producers {
            wait_for_an_acknowledgement(producer);
        }
        broker.lives_for(delays.up_to(300));
        broker.kill();
        // Now and then killed again while it recovers.
        if round % 5 == 4 {
            broker.launch_again();
            broker.lives_for(delays.up_to(40));
            broker.kill();
        }
        broker.restart();
        println!("round {round} done after {:.1} s", begun.elapsed().as_secs_f64());
    }
    let sent = finish_producers(producers);
    println!("producers done after {:.1} s", begun.elapsed().as_secs_f64());
    check(&broker, &sent);
    // What a recovered broker then writes must survive a good stop as well.
    broker.stop();
    broker.restart();
    let records = check(&broker, &sent);
    record_figure("kill9_rounds", rounds);
    record_figure("kill9_records", records);
}

fn notes_of(broker: &Broker, producer: &str) -> PathBuf {
    broker.home().join(format!("acknowledged-{producer}"))
}

/// Creates the topic, with these options more, and starts the producers.
pub(crate) fn start_producers(broker: &Broker, options: &[&str]) -> Option<Vec<Script>> {
    let partitions = PARTITIONS.to_string();
    let create = ["topic", "create", TOPIC, "--partitions", &partitions];
    let created = broker.entrepot(&[&create, options].concat());
    assert!(created.status.success(), "{created:?}");
    let server = broker.kafka();
    let start = |(name, compression): &(&str, &str)| {
        let notes = notes_of(broker, name);
        let args: [&dyn AsRef<std::ffi::OsStr>; 5] = [&server, &TOPIC, name, compression, &notes];
        Script::start(Python::Confluent, "kill9_produce", &args)
    };
    PRODUCERS.iter().map(start).collect()
}

/// Waits for an acknowledgement that came after this call: the broker takes records again.
pub(crate) fn wait_for_an_acknowledgement(producer: &mut Script) {
    let count = |event: &serde_json::Value| event["acknowledged"].as_u64().unwrap_or(0);
    let last = producer.events().last().map_or(0, count);
    while count(&producer.event("progress", PATIENCE)) <= last {}
}

/// Ends the producers; returns how many messages each sent.
pub(crate) fn finish_producers(producers: Vec<Script>) -> BTreeMap<String, i64> {
    let mut sent = BTreeMap::new();
    for (producer, (name, _)) in producers.into_iter().zip(PRODUCERS) {
        let events = producer.finish(PATIENCE * 2);
        let done = events.last().expect("an event");
        assert_eq!(done["left"], 0, "everything sent was acknowledged in the end");
        assert_eq!(done["sent"], done["acknowledged"]);
        sent.insert(name.to_owned(), done["sent"].as_i64().expect("a number"));
    }
    sent
}

/// Reads the topic and compares; returns how many records it holds.
pub(crate) fn check(broker: &Broker, sent: &BTreeMap<String, i64>) -> usize {
    let log = read(broker);
    check_log(&log, sent);
    for name in sent.keys() {
        check_acknowledged(&notes_of(broker, name), &log);
    }
    log.values().map(Vec::len).sum()
}

/// The values of each partition, by offset.
fn read(broker: &Broker) -> BTreeMap<i64, Vec<String>> {
    let file = broker.home().join("read");
    let (server, partitions) = (broker.kafka(), PARTITIONS.to_string());
    let args: [&dyn AsRef<std::ffi::OsStr>; 4] = [&server, &TOPIC, &partitions, &file];
    Script::run(Python::Confluent, "kill9_consume", &args, PATIENCE * 3).expect("it was there");
    let mut log: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for fields in notes::read(&file) {
        let values = log.entry(number(&fields[0])).or_default();
        assert_eq!(number(&fields[1]), i64::try_from(values.len()).unwrap(), "offsets have a gap");
        values.push(fields[2].clone());
    }
    log
}

/// Nothing in the log that nobody sent.
fn check_log(log: &BTreeMap<i64, Vec<String>>, sent: &BTreeMap<String, i64>) {
    let filler = "x".repeat(80);
    for value in log.values().flatten() {
        let parts: Vec<&str> = value.split('-').collect();
        let [name, message, rest] = parts.as_slice() else { panic!("never sent: {value:?}") };
        let known = sent.get(*name).is_some_and(|count| (0..*count).contains(&number(message)));
        assert!(known && *rest == filler, "never sent: {value:?}");
    }
}

/// How many acknowledged records, of those noted so far, are not where they were said to be.
pub(crate) fn missing(broker: &Broker) -> usize {
    let log = read(broker);
    let noted = PRODUCERS.iter().flat_map(|(name, _)| notes::read(&notes_of(broker, name)));
    noted.filter(|fields| fields.len() == 3 && found(fields, &log) != Some(&fields[2])).count()
}

/// What stands where an acknowledgement said.
fn found<'a>(fields: &[String], log: &'a BTreeMap<i64, Vec<String>>) -> Option<&'a String> {
    let at = usize::try_from(number(&fields[1])).unwrap_or(usize::MAX);
    log.get(&number(&fields[0])).and_then(|values| values.get(at))
}

/// Everything acknowledged stands where the acknowledgement said.
fn check_acknowledged(file: &Path, log: &BTreeMap<i64, Vec<String>>) {
    for fields in notes::read(file) {
        let at = &fields[..2];
        assert_eq!(found(&fields, log), Some(&fields[2]), "acknowledged at {at:?}");
    }
}
