//! NATS: a sensor, and one that listens to all of them.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::link::{Link, is_late, unexpected};
use super::publisher::{Publisher, subject};
use super::{AGAIN, Stage, TOPIC};

/// What the listener has read.
pub(super) const READ: &str = "read by a NATS subscriber";

pub(super) struct Sensor(Link);

/// A connection that has introduced itself.
pub(super) fn open(address: &str, name: &str) -> io::Result<Link> {
    let mut link = Link::open(address)?;
    let info = link.until(b'\n')?;
    if !info.starts_with(b"INFO ") {
        return Err(unexpected("INFO was expected", &info));
    }
    let options = format!(
        "CONNECT {{\"verbose\":false,\"pedantic\":false,\"name\":\"{name}\",\"lang\":\"entrepot\",\"version\":\"1\",\"protocol\":1}}\r\n"
    );
    link.say(options.as_bytes())?;
    Ok(link)
}

impl Sensor {
    pub(super) fn open(address: &str) -> io::Result<Self> {
        open(address, "demo sensor").map(Self)
    }
}

impl Publisher for Sensor {
    fn publish(&mut self, reading: &str) -> io::Result<()> {
        let (subject, length) = (subject("nats", '.'), reading.len());
        self.0.say(format!("PUB {subject} {length}\r\n{reading}\r\nPING\r\n").as_bytes())?;
        loop {
            let line = self.0.until(b'\n')?;
            match line.trim_ascii() {
                b"PONG" => return Ok(()),
                b"PING" => self.0.say(b"PONG\r\n")?,
                _ => return Err(unexpected("PONG was expected", &line)),
            }
        }
    }
}

/// Starts the one that listens, if the door is open.
pub(super) fn start(stage: &Arc<Stage>) -> Option<JoinHandle<()>> {
    let address = stage.doors.get("nats")?.clone();
    let stage = Arc::clone(stage);
    Some(std::thread::spawn(move || {
        while !stage.is_over() {
            if let Err(error) = listen(&stage, &address) {
                eprintln!("nats: {error}; trying again");
                std::thread::sleep(AGAIN);
            }
        }
    }))
}

fn listen(stage: &Stage, address: &str) -> io::Result<()> {
    let mut link = open(address, "demo listener")?;
    link.say(format!("SUB {TOPIC}.> 1\r\n").as_bytes())?;
    link.be_patient(AGAIN)?;
    while !stage.is_over() {
        let line = match link.until(b'\n') {
            Err(error) if is_late(&error) => continue,
            line => line?,
        };
        let words: Vec<&[u8]> = line.trim_ascii().split(|byte| *byte == b' ').collect();
        match words.as_slice() {
            [b"PING"] => link.say(b"PONG\r\n")?,
            [b"MSG" | b"HMSG", .., length] => {
                let length = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok());
                let length: usize = length.ok_or_else(|| unexpected("a length", &line))?;
                link.take(length + 2)?;
                stage.count(READ, 1);
            }
            [word, ..] if word.starts_with(b"-ERR") => return Err(unexpected("an error", &line)),
            _ => {}
        }
    }
    Ok(())
}
