//! Records through a client of Kafka: `tests/python/wire_kafka.py`.

use serde_json::{Value, json};
use tests::{Broker, PATIENCE, Python, Script};

/// Its producer and consumer.
pub(super) struct Kafka {
    script: Script,
    server: String,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Record {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
    /// In milliseconds since the epoch; the client's own time, if there is none.
    pub(super) timestamp: Option<i64>,
}

impl Kafka {
    /// kafka-python. `None` when it is not to be had here.
    pub(super) fn python(broker: &Broker) -> Option<Self> {
        Self::start(broker, Python::Kafka3, "kafka")
    }

    /// librdkafka, which can say more: headers without a value, and records without key and value.
    pub(super) fn confluent(broker: &Broker) -> Option<Self> {
        Self::start(broker, Python::Confluent, "confluent")
    }

    /// The same, at the address that is registered in ZooKeeper.
    pub(super) fn found(broker: &Broker) -> Option<Self> {
        let mut kazoo = Script::start(Python::Kafka3, "zookeeper_await", &[&broker.zookeeper()])?;
        kazoo.say("there /brokers/ids/0");
        let node = kazoo.event("there", PATIENCE);
        let data = node["data"].as_str().expect("text");
        let data: Value = serde_json::from_str(data).expect("what brokers register is JSON");
        let server = format!("{}:{}", data["host"].as_str().expect("a host"), data["port"]);
        Some(Self { server, ..Self::confluent(broker)? })
    }

    fn start(broker: &Broker, python: Python, client: &str) -> Option<Self> {
        let mut script = Script::start(python, "wire_kafka", &[&client])?;
        script.event("ready", PATIENCE);
        Some(Self { script, server: broker.kafka() })
    }

    /// Sends a record; it is acknowledged when this returns.
    pub(super) fn send(&mut self, topic: &str, record: &Record) {
        let headers: Vec<_> =
            record.headers.iter().map(|(name, value)| json!([name, text(value)])).collect();
        let command = json!({
            "do": "send", "server": self.server, "topic": topic, "key": text(&record.key),
            "value": text(&record.value), "headers": headers, "timestamp": record.timestamp,
        });
        self.script.say(&command.to_string());
        self.script.event("sent", PATIENCE);
    }

    /// All that a topic has, partition by partition.
    pub(super) fn read(&mut self, topic: &str) -> Vec<Record> {
        let command = json!({"do": "read", "server": self.server, "topic": topic});
        self.script.say(&command.to_string());
        let told = self.script.event("records", PATIENCE);
        let records = told["records"].as_array().expect("a list");
        let mut records: Vec<_> = records.iter().collect();
        records.sort_by_key(|record| record["partition"].as_i64());
        records.into_iter().map(Record::of).collect()
    }
}

impl Record {
    fn of(told: &Value) -> Self {
        let headers = told["headers"].as_array().expect("a list").iter();
        let headers = headers.map(|pair| {
            let name = pair[0].as_str().expect("a name").to_owned();
            (name, bytes(&pair[1]))
        });
        Self {
            key: bytes(&told["key"]),
            value: bytes(&told["value"]),
            headers: headers.collect(),
            timestamp: told["timestamp"].as_i64(),
        }
    }

    /// The last header of this name, as text.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().rfind(|(own, _)| own == name)?;
        found.1.as_ref().map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

/// Bytes as the script has them: a character each.
fn text(bytes: &Option<Vec<u8>>) -> Option<String> {
    bytes.as_ref().map(|bytes| bytes.iter().map(|byte| char::from(*byte)).collect())
}

fn bytes(text: &Value) -> Option<Vec<u8>> {
    let byte = |char| u8::try_from(u32::from(char)).expect("a byte each");
    text.as_str().map(|text| text.chars().map(byte).collect())
}
