//! Messages through the MQTT door: mosquitto's programs, paho, and what crosses between versions.

use std::process::Command;
use std::time::Duration;

use tests::{Broker, PATIENCE, Process, Python, Script, Serve, tool};

use crate::wires::mqtt::{Mqtt, Version};

/// Programs with many parts take their time on a busy machine.
const LONG: Duration = Duration::from_secs(240);

/// One of mosquitto's programs. `None` when they are not to be had here.
pub(crate) fn mosquitto(program: &str, broker: &Broker, args: &[&str]) -> Option<Command> {
    // It would keep back what it prints until it ends.
    let mut command = Command::new("stdbuf");
    command.arg("-oL").arg(tool("mosquitto")?.join("bin").join(program));
    command.args(["-h", "127.0.0.1", "-p", &broker.mqtt().to_string()]).args(args);
    Some(command)
}

pub(crate) fn publish(broker: &Broker, args: &[&str]) {
    let Some(mut command) = mosquitto("mosquitto_pub", broker, args) else { return };
    let exit = Process::start("mosquitto_pub", &mut command).exit(PATIENCE);
    assert!(exit.status.success(), "{args:?}: {}", exit.stderr);
}

/// Starts a subscriber and waits until it has subscribed.
fn subscribe(broker: &Broker, args: &[&str]) -> Option<Process> {
    let args = [&["-d"], args].concat();
    let process = Process::start("mosquitto_sub", &mut mosquitto("mosquitto_sub", broker, &args)?);
    process.wait_for("SUBACK", 0, PATIENCE, |line| line.starts_with("Subscribed").then_some(()));
    Some(process)
}

/// What a subscriber was sent, in the format that it was given: lines that begin with `>`.
fn messages(process: Process) -> Vec<String> {
    let exit = process.exit(PATIENCE);
    let lines = exit.stdout.lines().filter_map(|line| line.strip_prefix('>'));
    lines.map(str::to_owned).collect()
}

#[test]
fn mosquittos_clients_of_every_version_reach_each_other() {
    let broker = Serve::new().start();
    let versions = ["mqttv31", "mqttv311", "mqttv5"];
    let mut subscribers = Vec::new();
    for version in versions {
        let args = ["-V", version, "-q", "2", "-t", "sensors/+/temp", "-C", "9", "-F", ">%q %t %p"];
        let Some(subscriber) = subscribe(&broker, &args) else { return };
        subscribers.push(subscriber);
    }
    let mut expected = Vec::new();
    for version in versions {
        for qos in ["0", "1", "2"] {
            let text = format!("{version}-{qos}");
            publish(&broker, &["-V", version, "-q", qos, "-t", "sensors/room1/temp", "-m", &text]);
            expected.push(format!("{qos} sensors/room1/temp {text}"));
        }
    }
    for subscriber in subscribers {
        assert_eq!(messages(subscriber), expected);
    }
}

#[test]
fn mosquittos_request_is_answered() {
    let broker = Serve::new().start();
    let args = ["-V", "5", "-t", "service", "-C", "1", "-F", ">%R %D %p"];
    let Some(service) = subscribe(&broker, &args) else { return };
    let ask = ["-V", "5", "-t", "service", "-e", "answers", "-m", "question"];
    let Some(mut asks) = mosquitto("mosquitto_rr", &broker, &ask) else { return };
    let asks = Process::start("mosquitto_rr", &mut asks);
    assert_eq!(messages(service).len(), 1);
    publish(&broker, &["-V", "5", "-q", "1", "-t", "answers", "-m", "answer"]);
    asks.wait_for("the answer", 0, PATIENCE, |line| (line == "answer").then_some(()));
}

#[test]
fn paho_finds_what_it_expects() {
    let broker = Serve::new().start();
    let port = broker.mqtt().to_string();
    let Some(events) = Script::run(Python::Paho, "mqtt_paho", &[&port], LONG) else { return };
    let parts: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    let expected = [
        "exchange",
        "many",
        "options",
        "properties",
        "request",
        "wills",
        "shared",
        "nobody",
        "sessions",
    ];
    assert_eq!(parts, expected);
}

#[test]
fn what_is_retained_waits_for_later_subscribers_and_survives_a_crash() {
    let mut broker = Serve::new().start();
    let retain = |topic: &str, args: &[&str]| {
        publish(&broker, &[&["-V", "5", "-q", "1", "-r", "-t", topic], args].concat());
    };
    retain("kept/a", &["-m", "first"]);
    retain("kept/a", &["-m", "second"]);
    retain("kept/b", &["-m", "b", "-D", "publish", "user-property", "k", "v"]);
    retain("kept/cleared", &["-m", "x"]);
    retain("kept/cleared", &["-n"]);
    for crashed in [false, true] {
        let args = ["-V", "5", "-t", "kept/#", "-q", "1", "-C", "2", "-F", ">%r %q %t %p %P"];
        let Some(mut command) = mosquitto("mosquitto_sub", &broker, &args) else { return };
        let seen = messages(Process::start("mosquitto_sub", &mut command));
        assert_eq!(seen, ["1 1 kept/a second ", "1 1 kept/b b k:v"], "crashed: {crashed}");
        if !crashed {
            broker.kill();
            broker.restart();
        }
    }
}

#[test]
fn a_topic_keeps_what_is_acknowledged_and_sends_what_others_write() {
    let mut broker = Serve::new().start();
    let create = ["topic", "create", "telemetry", "--bind", "sensors.>"];
    assert!(broker.entrepot(&create).status.success());
    let args = ["-V", "5", "-q", "2", "-t", "sensors/#", "-C", "4", "-F", ">%q %t %p"];
    let Some(subscriber) = subscribe(&broker, &args) else { return };
    for qos in ["0", "1", "2"] {
        publish(&broker, &["-q", qos, "-t", "sensors/room1/temp", "-m", qos]);
    }
    // A record of another protocol has the topic's name, or its key if that is a subject of the topic.
    let mut producer = Process::start("entrepot produce", &mut produce(&broker, "telemetry"));
    producer.say("sensors.room2.temp\t22");
    assert!(producer.exit(PATIENCE).status.success());
    let seen = messages(subscriber);
    let expected = ["0 sensors/room1/temp 0", "1 sensors/room1/temp 1", "2 sensors/room1/temp 2"];
    assert_eq!(seen[..3], expected);
    assert_eq!(seen[3], "1 sensors/room2/temp 22");
    broker.kill();
    broker.restart();
    let consume = ["consume", "telemetry", "--offset", "earliest", "--max", "4"];
    let kept = broker.entrepot(&consume).stdout;
    for text in ["1", "2", "22"] {
        assert!(kept.lines().any(|line| line.ends_with(text)), "{text} is not in {kept:?}");
    }
}

/// A client need not wait until it is let in (5.0 §3.1.4), and paho does not.
#[test]
fn what_is_said_together_with_connect_is_heard() {
    let broker = Serve::new().start();
    for version in [Version::V311, Version::V5] {
        let mut hasty = Mqtt::connect_and_subscribe(broker.mqtt(), version, "hasty/#");
        hasty.publish("hasty/a", &[], b"x");
        assert_eq!(hasty.message().topic, "hasty/a");
    }
}

/// `entrepot produce`, which reads lines of key and value.
fn produce(broker: &Broker, topic: &str) -> Command {
    let mut command = Command::new(tests::binary());
    command.args(["produce", topic, "--key-separator", "\t", "--broker", &broker.kafka()]);
    command.current_dir(broker.home()).env("HOME", broker.home());
    command
}
