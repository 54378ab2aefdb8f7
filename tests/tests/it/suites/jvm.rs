//! What runs on the Java virtual machine: programs of ours that use a client as its users do.
//! Its packages bring no tests that would run against a broker that is there already.

use std::time::Duration;

use tests::{Broker, Java, PATIENCE, Script, Serve, Suite};

use super::note_event;

/// A check of ours fails by itself after 8 minutes; several run at a time.
const CHECK: Duration = PATIENCE.saturating_mul(9);

/// A broker whose consumer groups move on sooner than after five seconds. It has access rules, and
/// none that keeps the programs from anything.
fn serve() -> Serve {
    let serve = Serve::new().env("ENTREPOT_GROUP__CONSUMER_HEARTBEAT_INTERVAL_MS", "500");
    let serve = serve.arg("--set").arg("security.authorize=true");
    serve.arg("--set").arg("security.super_users=User:ANONYMOUS")
}

#[test]
fn the_java_clients_keep_their_promises() {
    run("kafka-clients", "clients", "Clients", "kafka-clients");
}

#[test]
fn kafka_streams_counts_exactly() {
    run("kafka-streams", "clients", "Streaming", "kafka-streams");
}

#[test]
fn the_tools_of_kafka_work() {
    run("kafka-tools", "tools", "Tools", "kafka-tools");
}

#[test]
fn kafka_connect_moves_every_line() {
    run("kafka-connect", "tools", "Connect", "connect-runtime");
}

#[test]
fn flink_counts_exactly() {
    run("flink-connector-kafka", "flink", "Flinks", "flink-connector-kafka");
}

#[test]
fn spark_counts_exactly() {
    run("spark-sql-kafka", "spark", "Sparks", "spark-sql-kafka-0-10_2.13");
}

#[test]
fn the_java_client_of_rabbitmq_keeps_its_promises() {
    run_at("amqp-client", "amqp", "RabbitClient", "amqp-client", amqp);
}

#[test]
fn a_spring_application_for_rabbitmq_runs() {
    run_at("spring-rabbit", "amqp", "Springs", "spring-rabbit", amqp);
}

fn amqp(broker: &Broker) -> String {
    format!("127.0.0.1:{}", broker.amqp())
}

/// Runs a program of `tests/java/<folder>` as the suite of a client, whose release is that of a
/// library.
fn run(client: &str, folder: &str, program: &str, library: &str) {
    run_at(client, folder, program, library, Broker::kafka);
}

/// The same for a client that comes by another door.
fn run_at(client: &str, folder: &str, program: &str, library: &str, door: fn(&Broker) -> String) {
    let Some(java) = Java::compiled(folder) else { return };
    let mut broker = serve().start();
    let mut suite = Suite::new(client, &java.version(library));
    note(&mut suite, java.start(program, &[&door(&broker)]), &mut broker);
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
