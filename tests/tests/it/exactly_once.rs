//! A topic is copied in transactions while the broker is killed again and again: every message
//! arrives once.

use tests::{PATIENCE, Python, Script, Serve, record_figure};

use crate::chance::{Chance, random_seed, setting};

const MESSAGES: usize = 20_000;

#[test]
fn each_message_is_copied_once_whenever_the_broker_is_killed() {
    let rounds: u32 = setting("ENTREPOT_EOS_ROUNDS").unwrap_or(25);
    let seed = setting("ENTREPOT_EOS_SEED").unwrap_or_else(random_seed);
    println!("{rounds} rounds; ENTREPOT_EOS_SEED={seed}");
    let mut delays = Chance::new(seed);

    let mut broker = Serve::new().start();
    for topic in ["source", "copy"] {
        let created = broker.entrepot(&["topic", "create", topic, "--partitions", "3"]);
        assert!(created.status.success(), "{created:?}");
    }
    let server = broker.kafka();
    let total = MESSAGES.to_string();
    let args: [&dyn AsRef<std::ffi::OsStr>; 4] = [&server, &"source", &"copy", &total];
    let Some(mut copier) = Script::start(Python::Confluent, "exactly_once", &args) else { return };
    for round in 0..rounds {
        // Killed while it works: not before it has got somewhere.
        copier.event("progress", PATIENCE);
        broker.lives_for(delays.up_to(150));
        broker.kill();
        broker.restart();
        println!("round {round} done");
    }
    let events = copier.finish(PATIENCE * 3);
    let done = events.last().expect("an event");
    println!("{done}");
    assert_eq!(done["distinct"], MESSAGES, "some were lost");
    assert_eq!(done["read"], MESSAGES, "some came twice");
    record_figure("exactly_once_rounds", rounds);
}
