//! Who publishes: one thread for each door.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use serde_json::json;

use super::{AGAIN, Stage, TOPIC, amqp, coap, kafka, mqtt, nats, stomp};

/// Publishes over one protocol.
pub(super) trait Publisher {
    /// Sends a reading to its subject, or a topic; returns when it has arrived, as far as the protocol tells.
    fn publish(&mut self, reading: &str) -> io::Result<()>;
}

type Open = fn(&Stage, &str) -> io::Result<Box<dyn Publisher>>;

/// Each door, and how it is opened, given its address.
pub(super) const PARTS: [(&str, Open); 7] = [
    ("amqp", |_, address| Ok(Box::new(amqp::Jobs::open(address)?))),
    ("coap", |_, address| Ok(Box::new(coap::Sensor::open(address)?))),
    ("http", |stage, _| Ok(Box::new(Http(stage.http.clone())))),
    ("kafka", |stage, _| Ok(Box::new(kafka::Sender::open(stage)?))),
    ("mqtt", |_, address| Ok(Box::new(mqtt::Sensor::open(address)?))),
    ("nats", |_, address| Ok(Box::new(nats::Sensor::open(address)?))),
    ("stomp", |_, address| Ok(Box::new(stomp::Sensor::open(address)?))),
];

/// The subject of a door's readings, with this between its levels.
pub(super) fn subject(door: &str, separator: char) -> String {
    format!("{TOPIC}.{door}").replace('.', &separator.to_string())
}

pub(super) fn start(stage: &Arc<Stage>) -> Vec<JoinHandle<()>> {
    let mut threads = Vec::new();
    for (door, open) in PARTS {
        let Some(address) = stage.doors.get(door).cloned() else {
            eprintln!("the {door} door is closed, or asks for a login: left out");
            continue;
        };
        let stage = Arc::clone(stage);
        threads.push(std::thread::spawn(move || {
            while !stage.is_over() {
                let ended = open(&stage, &address).and_then(|to| run(&stage, door, to));
                if let Err(error) = ended {
                    eprintln!("{door}: {error}; trying again");
                    std::thread::sleep(AGAIN);
                }
            }
        }));
    }
    threads
}

fn run(stage: &Stage, door: &'static str, mut to: Box<dyn Publisher>) -> io::Result<()> {
    // A temperature that goes up and down, so that the numbers have a shape.
    for number in 0_u64.. {
        if stage.is_over() {
            break;
        }
        let step = number % 40;
        let tenths = 200 + if step < 20 { step } else { 40 - step };
        let celsius = format!("{}.{}", tenths / 10, tenths % 10);
        to.publish(&json!({ "sensor": door, "number": number, "celsius": celsius }).to_string())?;
        stage.count(door, 1);
        std::thread::sleep(stage.pause);
    }
    Ok(())
}

/// The HTTP door.
struct Http(crate::client::management::Management);

impl Publisher for Http {
    fn publish(&mut self, reading: &str) -> io::Result<()> {
        let body = json!({ "messages": [{ "key": "http", "value": reading }] }).to_string();
        let answer = self.0.send("POST", &format!("v1/topics/{TOPIC}/messages"), &body);
        let answer = answer.map_err(io::Error::other)?;
        answer.refused(TOPIC).map_or(Ok(()), |error| Err(io::Error::other(error)))
    }
}
