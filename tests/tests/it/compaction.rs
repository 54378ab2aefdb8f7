//! A compacted topic that is written anew while the broker is killed again and again: in the end
//! it holds the newest value of each key, and little else.

use tests::{Broker, PATIENCE, Python, Script, Serve, record_figure};

use crate::chance::{Chance, random_seed, setting};

const TOPIC: &str = "compacted";

#[test]
fn a_compacted_topic_keeps_the_newest_value_of_each_key_whenever_the_broker_is_killed() {
    let rounds: u32 = setting("ENTREPOT_COMPACTION_ROUNDS").unwrap_or(6);
    let seed = setting("ENTREPOT_COMPACTION_SEED").unwrap_or_else(random_seed);
    println!("{rounds} rounds; ENTREPOT_COMPACTION_SEED={seed}");
    let mut delays = Chance::new(seed);

    let mut broker = Serve::configured("server.properties", |home, kafka, zookeeper| {
        format!(
            "listeners=PLAINTEXT://127.0.0.1:{kafka}\nzookeeper.connect=127.0.0.1:{zookeeper}\n\
             log.dirs={}\nlog.cleaner.backoff.ms=20\n",
            home.join("data").display()
        )
    })
    .start();
    let server = broker.kafka();
    let args: [&dyn AsRef<std::ffi::OsStr>; 2] = [&server, &TOPIC];
    let Some(mut writer) = Script::start(Python::Confluent, "compaction_write", &args) else {
        return;
    };
    let refused = writer.event("refused", PATIENCE);
    assert_eq!(refused["errors"], serde_json::json!(["INVALID_RECORD"]));
    for round in 0..rounds {
        // Not before it takes records again.
        writer.event("progress", PATIENCE);
        broker.lives_for(delays.up_to(3000));
        broker.kill();
        broker.restart();
        println!("round {round} done");
    }
    let events = writer.finish(PATIENCE * 3);
    let written = events.last().expect("an event");
    assert_eq!(written["left"], 0);

    let read = read(&broker);
    assert_eq!(read["valid"], written["valid"]);
    let keys = read["valid"].as_object().expect("an object").len();
    assert_eq!(read["values"], keys, "each key's value is there once");
    let [sent, high] = [&written["sent"], &read["high"]].map(|n| n.as_i64().expect("a number"));
    assert!(high > sent, "offsets stay: {high} of {sent}");
    assert_eq!(read["low"], 0, "nothing went by its age");

    broker.kill();
    broker.restart();
    let again = self::read(&broker);
    assert_eq!(again["valid"], written["valid"]);
    assert_eq!(again["high"], high, "nothing was added");
    record_figure("compaction_sent", sent);
    record_figure("compaction_kept", keys);
}

fn read(broker: &Broker) -> serde_json::Value {
    let (server, seconds) = (broker.kafka(), "60");
    let args: [&dyn AsRef<std::ffi::OsStr>; 3] = [&server, &TOPIC, &seconds];
    let events = Script::run(Python::Confluent, "compaction_read", &args, PATIENCE * 3);
    events.expect("it was there").pop().expect("an event")
}
