//! One message at every door: with other people's clients here, and with every pair of doors in [`matrix`].

mod exact;
mod kafka;
mod matrix;

use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tests::{Broker, PATIENCE, Process, Python, Script, Serve, root, tool};

use crate::mqtt::{mosquitto, publish};
use kafka::{Kafka, Record};

/// Where messages come in and go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Kafka,
    /// That of Kafka, for a client that asks ZooKeeper where it is.
    ZooKeeper,
    Mqtt5,
    Mqtt311,
    Nats,
    Amqp,
    Stomp,
    Grpc,
    Coap,
    Http,
}

/// In milliseconds since the epoch.
#[allow(clippy::disallowed_methods, reason = "the clock that the broker under test has, too")]
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// The clients that a test needs, installed.
struct Tools {
    node: PathBuf,
    go: PathBuf,
}

impl Tools {
    /// `None` when one is not to be had here.
    fn find() -> Option<Self> {
        for python in [Python::Kafka3, Python::Paho, Python::Nats] {
            python.interpreter()?;
        }
        tool("mosquitto")?;
        Some(Self { node: tool("suite-mqttjs")?, go: tool("suite-nats-go")? })
    }

    /// A client of nats.go: `subscribe`, `respond` or `ask`.
    fn nats_go(&self, broker: &Broker, role: &str, subject: &str) -> Script {
        let mut command = Command::new(self.go.join("client"));
        command.args([&format!("nats://{}", broker.nats()), role, subject]);
        Script::of(&format!("nats.go {role}"), &mut command)
    }

    fn mqttjs(&self, broker: &Broker, topic: &str, version: u8) -> Script {
        let mut command = Command::new("node");
        command.arg(root().join("tests/suites/mqttjs/subscribe.js"));
        command.args([topic, &version.to_string()]);
        command.env("NODE_PATH", self.node.join("node_modules"));
        command.env("MQTT", format!("mqtt://127.0.0.1:{}", broker.mqtt()));
        Script::of(&format!("mqtt.js {version}"), &mut command)
    }
}

fn nats_py(broker: &Broker, role: &str, subject: &str) -> Script {
    let url = format!("nats://{}", broker.nats());
    Script::start(Python::Nats, "everywhere_nats", &[&url, &role, &subject]).expect("it was found")
}

fn paho(broker: &Broker, role: &str, topic: &str, more: &[&str]) -> Script {
    let port = broker.mqtt().to_string();
    let mut args: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&port, &role, &topic];
    args.extend(more.iter().map(|arg| arg as &dyn AsRef<std::ffi::OsStr>));
    Script::start(Python::Paho, "everywhere_paho", &args).expect("it was found")
}

/// Everybody who listens, each in a process of its own.
struct Listeners {
    mosquitto: Vec<(&'static str, Process, usize)>,
    /// Of MQTT 5, of older MQTT, and of NATS: what they are told is not the same.
    scripts: Vec<(Door, Script)>,
}

impl Listeners {
    fn start(broker: &Broker, tools: &Tools) -> Self {
        let topic = "sensors/+/temp";
        let mosquitto = ["mqttv31", "mqttv311", "mqttv5"].map(|version| {
            let args = ["-d", "-V", version, "-q", "1", "-t", topic, "-F", ">%t %p"];
            let mut command = mosquitto("mosquitto_sub", broker, &args).expect("it was found");
            let process = Process::start("mosquitto_sub", &mut command);
            let subscribed = |line: &str| line.starts_with("Subscribed").then_some(());
            let (_, next, _) = process.wait_for("SUBACK", 0, PATIENCE, subscribed);
            (version, process, next)
        });
        let mut scripts = vec![
            (Door::Nats, nats_py(broker, "subscribe", "sensors.*.temp")),
            (Door::Nats, tools.nats_go(broker, "subscribe", "sensors.*.temp")),
            (Door::Mqtt5, paho(broker, "subscribe", topic, &[])),
            (Door::Mqtt311, paho(broker, "subscribe", topic, &["3.1.1"])),
            (Door::Mqtt5, tools.mqttjs(broker, topic, 5)),
            (Door::Mqtt311, tools.mqttjs(broker, topic, 4)),
        ];
        for (_, script) in &mut scripts {
            script.event("ready", PATIENCE);
        }
        Self { mosquitto: mosquitto.into(), scripts }
    }

    /// Asserts that each of them gets this next.
    fn all_get(&mut self, room: &str, text: &str, header: Option<(&str, &str)>) {
        for (version, process, next) in &mut self.mosquitto {
            let line = |line: &str| line.strip_prefix('>').map(str::to_owned);
            let (line, after, _) = process.wait_for("a message", *next, PATIENCE, line);
            assert_eq!(line, format!("sensors/{room}/temp {text}"), "{version}");
            *next = after;
        }
        for (door, script) in &mut self.scripts {
            let told = script.event("message", PATIENCE);
            let separator = if *door == Door::Nats { "." } else { "/" };
            let subject = ["sensors", room, "temp"].join(separator);
            assert_eq!(
                (&told["subject"], &told["text"]),
                (&json!(subject), &json!(text)),
                "{told}"
            );
            let Some((name, value)) = header.filter(|_| *door != Door::Mqtt311) else { continue };
            assert!(has_header(&told["headers"], name, value), "{door:?}: {told}");
        }
    }
}

/// Libraries give headers as lists of pairs, or maps of values or of lists of these.
fn has_header(headers: &Value, name: &str, value: &str) -> bool {
    match headers {
        Value::Array(pairs) => pairs.contains(&json!([name, value])),
        map => [json!(value), json!([value])].contains(&map[name]),
    }
}

/// The example of the first page: a sensor speaks MQTT, and everybody hears it in their own way.
#[test]
fn one_message_crosses_every_door() {
    let mut broker = Serve::new().start();
    let Some(tools) = Tools::find() else { return };
    let mut listeners = Listeners::start(&broker, &tools);
    // Nobody keeps it yet; all who listen have it at once.
    publish(&broker, &["-t", "sensors/room1/temp", "-m", "20.0"]);
    listeners.all_get("room1", "20.0", None);
    let create = ["topic", "create", "telemetry", "--bind", "sensors.>"];
    assert!(broker.entrepot(&create).status.success());
    publish(&broker, &["-t", "sensors/room1/temp", "-m", "21.5"]);
    listeners.all_get("room1", "21.5", None);
    let user = ["-D", "publish", "user-property", "unit", "C"];
    let content = ["-D", "publish", "content-type", "text/plain"];
    let said = ["-V", "5", "-q", "1", "-t", "sensors/room1/temp", "-m", "22.5"];
    publish(&broker, &[&said[..], &user, &content].concat());
    listeners.all_get("room1", "22.5", Some(("unit", "C")));
    let mut kafka = Kafka::python(&broker).expect("it was found");
    let records = kafka.read("telemetry");
    assert_eq!(values(&records), ["21.5", "22.5"], "what came since the topic is there, once each");
    for record in &records {
        assert_eq!(record.key.as_deref(), Some(&b"sensors.room1.temp"[..]));
    }
    assert_eq!(records[1].header("unit").as_deref(), Some("C"));
    assert_eq!(records[1].header("content-type").as_deref(), Some("text/plain"));
    // A copy that nobody sees would be in another topic.
    let listed = broker.entrepot(&["topic", "list"]).stdout;
    assert!(listed.contains("telemetry") && !listed.contains("sensors"), "{listed}");
    broker.kill();
    broker.restart();
    assert_eq!(kafka.read("telemetry"), records, "it was on the disk");
}

/// The other way round.
#[test]
fn a_record_of_kafka_reaches_every_subscriber() {
    let broker = Serve::new().start();
    let Some(tools) = Tools::find() else { return };
    let create = ["topic", "create", "telemetry", "--bind", "sensors.>"];
    assert!(broker.entrepot(&create).status.success());
    let mut listeners = Listeners::start(&broker, &tools);
    let mut kafka = Kafka::python(&broker).expect("it was found");
    for (room, text) in [("room1", "1"), ("room2", "2"), ("room1", "3")] {
        let record = Record {
            key: Some(format!("sensors.{room}.temp").into_bytes()),
            value: Some(text.as_bytes().to_vec()),
            headers: vec![("unit".to_owned(), Some(b"C".to_vec()))],
            timestamp: None,
        };
        kafka.send("telemetry", &record);
        listeners.all_get(room, text, Some(("unit", "C")));
    }
    assert_eq!(kafka.read("telemetry").len(), 3, "each is there once");
}

/// Those who ask by one protocol are answered by another, each with its own way of saying where to.
#[test]
fn a_request_of_one_protocol_is_answered_by_another() {
    let broker = Serve::new().start();
    let Some(tools) = Tools::find() else { return };
    {
        let mut responder = paho(&broker, "respond", "service/double", &[]);
        responder.event("ready", PATIENCE);
        for mut asker in [
            nats_py(&broker, "ask", "service.double"),
            tools.nats_go(&broker, "ask", "service.double"),
        ] {
            assert_eq!(asker.event("answer", PATIENCE)["text"], "42");
        }
    }
    for mut responder in [
        nats_py(&broker, "respond", "service.double"),
        tools.nats_go(&broker, "respond", "service.double"),
    ] {
        responder.event("ready", PATIENCE);
        let mut asker = paho(&broker, "ask", "answers/mine", &["service/double"]);
        let answer = asker.event("answer", PATIENCE);
        assert_eq!(answer["text"], "42");
        assert_eq!(answer["correlation"], "\u{0}no. 7\u{ff}", "the asker's own word is repeated");
        let ask = ["-V", "5", "-t", "service/double", "-e", "answers/rr", "-m", "21"];
        let mut asks = mosquitto("mosquitto_rr", &broker, &ask).expect("it was found");
        let asks = Process::start("mosquitto_rr", &mut asks);
        asks.wait_for("the answer", 0, PATIENCE, |line| (line == "42").then_some(()));
    }
}

fn values(records: &[Record]) -> Vec<String> {
    let value = |record: &Record| String::from_utf8(record.value.clone().unwrap()).unwrap();
    records.iter().map(value).collect()
}
