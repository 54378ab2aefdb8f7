//! Who publishes: one thread for each door.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use serde_json::json;

use super::link::{Link, unexpected};
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
    ("http", |_, address| {
        let link = Link::open(address)?;
        Ok(Box::new(Http { link, address: address.to_owned() }))
    }),
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

/// The HTTP door, over one connection (RFC 9112): one for each message would be one of the faults.
struct Http {
    link: Link,
    address: String,
}

impl Publisher for Http {
    fn publish(&mut self, reading: &str) -> io::Result<()> {
        let body = json!({ "messages": [{ "key": "http", "value": reading }] }).to_string();
        let (host, length) = (&self.address, body.len());
        let request = format!(
            "POST /api/v1/topics/{TOPIC}/messages HTTP/1.1\r\nHost: {host}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.link.say(request.as_bytes())?;
        let status = self.link.until(b'\n')?;
        let mut length = 0;
        loop {
            let line = self.link.until(b'\n')?;
            let line = String::from_utf8_lossy(&line).trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let body = self.link.take(length)?;
        match status.starts_with(b"HTTP/1.1 2") {
            true => Ok(()),
            false => Err(unexpected("it was refused", &[status, body].concat())),
        }
    }
}
