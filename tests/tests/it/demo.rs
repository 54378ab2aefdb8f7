//! `entrepot demo`: traffic through every door, and a fault that the broker explains.

use std::process::Command;
use std::time::Duration;

use tests::{Broker, Process, Serve, binary};

/// A fault's rule may want to see it for a minute, on a busy machine.
const LONG: Duration = Duration::from_secs(180);

/// The doors, and who reads.
const PARTS: [&str; 9] = [
    "amqp ",
    "coap ",
    "http ",
    "kafka ",
    "mqtt ",
    "nats ",
    "stomp ",
    "read by a Kafka group ",
    "read by a NATS subscriber ",
];

fn demo(broker: &Broker, args: &[&str]) -> Process {
    let mut command = Command::new(binary());
    command.arg("demo").args(["--server", &broker.kafka()]).args(args);
    command.args(["--http", &format!("127.0.0.1:{}", broker.http())]);
    Process::start("entrepot demo", &mut command)
}

#[test]
fn every_door_has_traffic_and_what_goes_wrong_is_explained() {
    let broker = Serve::new().start();
    let demo_of = |fault| demo(&broker, &["--fault", fault]);
    let broken = demo_of("broken-clients");
    let told = |line: &str| PARTS.iter().all(|part| line.contains(part)).then_some(());
    broken.wait_for("all doors", 0, LONG, told);
    let found = |rule: &'static str| move |line: &str| line.starts_with(rule).then_some(());
    broken.wait_for("the fault", 0, LONG, found("found  W302 listener/MQTT"));
    let log = broken.log();
    assert!(!log.contains("trying again") && !log.contains("left out"), "{log}");
    drop(broken);
    // The others at once; a broker does not mind two demonstrations.
    let (slow, restless) = (demo_of("slow-reader"), demo_of("restless-clients"));
    slow.wait_for("the slow reader", 0, LONG, found("found  W306"));
    restless.wait_for("the restless clients", 0, LONG, found("found  W304"));
    drop((slow, restless));
    let stopped = demo_of("stopped-group");
    stopped.wait_for("the stopped group", 0, LONG, found("found  W401 group/demo.dashboard"));
}

#[test]
fn it_ends_by_itself_and_what_it_left_is_taken_away() {
    let broker = Serve::new().start();
    let ended = demo(&broker, &["--for", "1", "--rate", "50"]).exit(LONG);
    assert!(ended.status.success(), "{ended:?}");
    let listed = || broker.entrepot(&["topic", "list"]).stdout;
    assert!(listed().contains("demo.readings"), "{}", listed());
    for _ in 0..2 {
        let clean = demo(&broker, &["--clean"]).exit(LONG);
        assert!(clean.status.success(), "{clean:?}");
        assert!(!listed().contains("demo"), "{}", listed());
    }
}
