//! What runs on the Java virtual machine: programs of ours that use a client as its users do.
//! Its packages bring no tests that would run against a broker that is there already.

use std::time::Duration;

use tests::{Broker, Java, PATIENCE, Script, Serve, Suite};

use super::note_event;

/// A check of ours fails by itself after 150 seconds; several run at a time.
const CHECK: Duration = PATIENCE.saturating_mul(3);

/// A broker whose consumer groups move on sooner than after five seconds.
fn serve() -> Serve {
    Serve::new().env("ENTREPOT_GROUP__CONSUMER_HEARTBEAT_INTERVAL_MS", "500")
}

#[test]
fn the_java_clients_keep_their_promises() {
    let Some(java) = Java::compiled("clients") else { return };
    let mut broker = serve().start();
    let mut suite = Suite::new("kafka-clients", &java.version("kafka-clients"));
    note(&mut suite, java.start("Clients", &[&broker.kafka()]), &mut broker);
    suite.check();
}

#[test]
fn the_tools_of_kafka_work() {
    let Some(java) = Java::compiled("tools") else { return };
    let mut broker = serve().start();
    let mut suite = Suite::new("kafka-tools", &java.version("kafka-tools"));
    note(&mut suite, java.start("Tools", &[&broker.kafka()]), &mut broker);
    suite.check();
}

#[test]
fn kafka_connect_moves_every_line() {
    let Some(java) = Java::compiled("tools") else { return };
    let mut broker = serve().start();
    let mut suite = Suite::new("kafka-connect", &java.version("connect-runtime"));
    note(&mut suite, java.start("Connect", &[&broker.kafka()]), &mut broker);
    suite.check();
}

/// Notes what the checks of a program did, and does to the broker what they ask for.
fn note(suite: &mut Suite, mut program: Script, broker: &mut Broker) {
    loop {
        let event = program.any_event(CHECK);
        match event["event"].as_str() {
            Some("test") => note_event(suite, &event),
            Some("broker") => {
                assert_eq!(event["do"], "restart", "{event}");
                broker.kill();
                broker.restart();
                program.say("done");
            }
            Some("end") => break,
            _ => panic!("what is {event}?"),
        }
    }
    program.finish(PATIENCE);
}
