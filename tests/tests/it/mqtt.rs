//! Messages through the MQTT door: mosquitto's programs, paho, and what crosses between versions.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::process::Command;
use std::time::{Duration, Instant};

use tests::{Broker, PATIENCE, Process, Python, Script, Serve, tool};

use crate::mqtt_client::{Line, Publisher, SUBACK, Subscriber};
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
fn events_are_messages_to_whoever_subscribes_at_any_door() {
    let broker = Serve::new().start();
    let mut nats = TcpStream::connect(broker.nats()).expect("it listens");
    nats.set_read_timeout(Some(PATIENCE)).unwrap();
    nats.write_all(b"CONNECT {}\r\nSUB $events.topic.* 1\r\nPING\r\n").unwrap();
    let mut until = |what: &str| {
        let mut seen = String::new();
        while !seen.contains(what) {
            let mut some = [0; 4096];
            let count = nats.read(&mut some).expect("it comes in time");
            assert!(count > 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&some[..count]));
        }
        seen
    };
    until("PONG");
    let args = ["-t", "$events/topic/#", "-t", "#", "-C", "1", "-F", ">%q %t %p"];
    let Some(subscriber) = subscribe(&broker, &args) else { return };
    assert!(broker.entrepot(&["topic", "create", "of-the-day"]).status.success());
    let seen = until("of-the-day");
    assert!(seen.contains("MSG $events.topic.changed 1 "), "{seen}");
    let seen = messages(subscriber);
    assert!(seen[0].starts_with("0 $events/topic/changed {\"number\":"), "{seen:?}");
    // Nobody else can say that something happened.
    let args = ["-V", "5", "-q", "1", "-t", "$events/topic/changed", "-m", "x"];
    let Some(mut forger) = mosquitto("mosquitto_pub", &broker, &args) else { return };
    let exit = Process::start("mosquitto_pub", &mut forger).exit(PATIENCE);
    let said = exit.stdout + &exit.stderr;
    assert!(said.to_lowercase().contains("not authorized"), "{said}");
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

/// One that says everything in one breath, good-bye too, is answered all the same.
#[test]
fn who_leaves_at_once_still_gets_the_answers() {
    let broker = Serve::new().start();
    let mut stream = TcpStream::connect(("127.0.0.1", broker.mqtt())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let connect = b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a";
    let subscribe = b"\x82\x06\0\x01\0\x01a\0";
    stream.write_all(&[&connect[..], subscribe, b"\xe0\0"].concat()).unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    assert_eq!(answers, b"\x20\x02\0\0\x90\x03\0\x01\0");
}

/// `entrepot produce`, which reads lines of key and value.
fn produce(broker: &Broker, topic: &str) -> Command {
    let mut command = Command::new(tests::binary());
    command.args(["produce", topic, "--key-separator", "\t", "--broker", &broker.kafka()]);
    command.current_dir(broker.home()).env("HOME", broker.home());
    command
}

/// A member of a shared subscription.
fn member(broker: &Broker, id: &str, clean: bool) -> Line {
    let (mut line, _) = Line::open(broker.mqtt(), id, clean).unwrap();
    line.subscribe("$share/workers/jobs", 1).unwrap();
    assert_eq!(line.wait().unwrap().kind(), SUBACK);
    line
}

/// Publishes one message and waits until it is acknowledged.
fn job(line: &mut Line, publisher: &mut Publisher, number: u32) {
    publisher.publish(line, "jobs", &number.to_string()).unwrap();
    while !publisher.is_idle() {
        let heard = line.wait().unwrap();
        publisher.heard(line, &heard).unwrap();
    }
}

/// Publishes these one after the other.
fn jobs(broker: &Broker, numbers: Range<u32>) {
    let (mut line, _) = Line::open(broker.mqtt(), "publisher", true).unwrap();
    let mut publisher = Publisher::new(1, false);
    numbers.for_each(|number| job(&mut line, &mut publisher, number));
}

#[test]
fn a_group_that_goes_by_what_is_in_flight_gives_more_to_who_acknowledges() {
    let broker = Serve::new().start();
    let set = ["group", "alter", "workers", "--set", "entrepot.dispatch.policy=least-in-flight"];
    assert!(broker.entrepot(&set).status.success());
    let (mut line, _) = Line::open(broker.mqtt(), "publisher", true).unwrap();
    let mut publisher = Publisher::new(1, false);
    for clean in [true, false] {
        let slow = member(&broker, "slow", clean);
        let mut fast = member(&broker, "fast", clean);
        let mut session = Subscriber::default();
        for number in 0..30 {
            job(&mut line, &mut publisher, number);
            while let Some(heard) = fast.look().unwrap() {
                session.heard(&mut fast, &heard).unwrap();
            }
        }
        // The slow one never acknowledges: it gets the first, and those for which the other's acknowledgement was late.
        assert!(session.got.len() >= 20, "clean: {clean}, {} of 30", session.got.len());
        drop((slow, fast));
    }
}

/// With sessions that outlive their connections, too: what their members take is measured from their queues.
#[test]
fn a_group_that_goes_by_how_long_answers_take_gives_more_to_who_is_fast() {
    let broker = Serve::new().start();
    let set = ["group", "alter", "workers", "--set", "entrepot.dispatch.policy=shortest-response"];
    assert!(broker.entrepot(&set).status.success());
    let (mut line, _) = Line::open(broker.mqtt(), "publisher", true).unwrap();
    let mut publisher = Publisher::new(1, false);
    for clean in [true, false] {
        let mut slow = member(&broker, "slow", clean);
        let mut fast = member(&broker, "fast", clean);
        let (mut of_slow, mut of_fast) = (Subscriber::default(), Subscriber::default());
        for number in 0..40 {
            job(&mut line, &mut publisher, number);
            // What the fast one does not get the other one acknowledges only when this look is over.
            match fast.look().unwrap() {
                Some(heard) => of_fast.heard(&mut fast, &heard).unwrap(),
                None => {
                    let heard = slow.wait().unwrap();
                    of_slow.heard(&mut slow, &heard).unwrap();
                }
            }
        }
        let got = (of_fast.got.len(), of_slow.got.len());
        assert_eq!(got.0 + got.1, 40, "clean: {clean}, {got:?}");
        assert!(got.0 >= 32, "clean: {clean}, {got:?}");
        drop((slow, fast));
    }
}

#[test]
fn what_a_group_gets_while_nobody_is_there_waits_for_one_of_them() {
    let mut broker = Serve::new().start();
    let members = ["one", "two"];
    members.iter().for_each(|id| member(&broker, id, false).leave());
    // That they left is written down in the broker's time; one of whom it is not yet may get more of these.
    jobs(&broker, 0..10);
    broker.kill();
    broker.restart();
    // Nobody has come since.
    jobs(&broker, 10..20);
    broker.kill();
    broker.restart();
    let mut lines = members.map(|id| {
        let (line, was_there) = Line::open(broker.mqtt(), id, false).unwrap();
        assert!(was_there);
        (line, Subscriber::default())
    });
    let begun = Instant::now();
    while lines.iter().map(|(_, session)| session.got.len()).sum::<usize>() < 20 {
        assert!(begun.elapsed() < PATIENCE, "{lines:?}");
        for (line, session) in &mut lines {
            while let Some(heard) = line.look().unwrap() {
                session.heard(line, &heard).unwrap();
            }
        }
    }
    let got = lines.map(|(_, session)| {
        let numbers = session.got.into_iter().map(|(_, number)| number.parse::<u32>().unwrap());
        numbers.collect::<Vec<_>>()
    });
    for numbers in &got {
        assert_eq!(numbers.iter().filter(|number| **number >= 10).count(), 5, "{got:?}");
    }
    let mut all = got.concat();
    all.sort_unstable();
    assert_eq!(all, (0..20).collect::<Vec<_>>());
}

#[test]
fn what_the_broker_says_of_itself_is_there_for_who_asks() {
    let broker = Serve::new().arg("--set").arg("mqtt.sys_interval=1").start();
    let (mut line, _) = Line::open(broker.mqtt(), "watcher", true).unwrap();
    line.subscribe("#", 0).unwrap();
    line.subscribe("$SYS/broker/#", 1).unwrap();
    let mut session = Subscriber::default();
    let mut seen = BTreeMap::new();
    let wanted = [
        "version",
        "uptime",
        "clients/connected",
        "clients/total",
        "subscriptions/count",
        "retained messages/count",
        "messages/received",
        "publish/messages/sent",
        "bytes/sent",
        "load/messages/received/1min",
        "load/connections/15min",
    ];
    while !wanted.iter().all(|name| seen.contains_key(&format!("$SYS/broker/{name}"))) {
        let heard = line.wait().unwrap();
        session.heard(&mut line, &heard).unwrap();
        seen.extend(session.got.drain(..));
    }
    assert!(seen.keys().all(|topic| topic.starts_with("$SYS/")), "{seen:?}");
    assert_eq!(seen["$SYS/broker/clients/connected"], "1");
    assert!(seen["$SYS/broker/version"].starts_with("entrepot version "));
    // They change.
    let first = seen["$SYS/broker/uptime"].clone();
    while seen["$SYS/broker/uptime"] == first {
        let heard = line.wait().unwrap();
        session.heard(&mut line, &heard).unwrap();
        seen.extend(session.got.drain(..));
    }
    // A new subscription is told at once what it is.
    let (mut other, _) = Line::open(broker.mqtt(), "other", true).unwrap();
    other.subscribe("$SYS/broker/version", 0).unwrap();
    let mut session = Subscriber::default();
    while session.got.is_empty() {
        let heard = other.wait().unwrap();
        session.heard(&mut other, &heard).unwrap();
        assert!(heard.kind() != 3 || heard.first & 1 == 1, "it is retained");
    }
}

#[test]
fn what_kafka_producers_write_waits_for_sessions_that_are_away() {
    let mut broker = Serve::new().start();
    let create = ["topic", "create", "telemetry", "--bind", "sensors.>"];
    assert!(broker.entrepot(&create).status.success());
    let (mut line, _) = Line::open(broker.mqtt(), "away", false).unwrap();
    line.subscribe("sensors/#", 2).unwrap();
    assert_eq!(line.wait().unwrap().kind(), SUBACK);
    line.leave();
    for crashed in [false, true] {
        let mut producer = Process::start("entrepot produce", &mut produce(&broker, "telemetry"));
        producer.say(&format!("sensors.room2.temp\t{crashed}"));
        assert!(producer.exit(PATIENCE).status.success());
        if !crashed {
            broker.kill();
            broker.restart();
        }
    }
    let (mut line, was_there) = Line::open(broker.mqtt(), "away", false).unwrap();
    assert!(was_there);
    let mut session = Subscriber::default();
    while session.got.len() < 2 {
        let heard = line.wait().unwrap();
        session.heard(&mut line, &heard).unwrap();
    }
    let topic = || "sensors/room2/temp".to_owned();
    assert_eq!(session.got, [(topic(), "false".to_owned()), (topic(), "true".to_owned())]);
}
