//! What can go wrong: each is done by clients alone, and something that the broker's diagnosis knows.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use clap::ValueEnum;

use super::link::Link;
use super::{AGAIN, Stage, TOPIC, nats};

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Fault {
    /// The group that reads the topic stays, and reads nothing any more
    StoppedGroup,
    /// A subscriber does not read what it asked for
    SlowReader,
    /// Clients say what is no MQTT
    BrokenClients,
    /// Clients connect again and again
    RestlessClients,
}

/// Bytes of a message that is sent to a reader who does not read, and of all in one go: more than is kept for it.
const LARGE: usize = 64 * 1024;
const LARGE_AT_ONCE: usize = 2048;

impl Fault {
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::StoppedGroup => "the group stops reading",
            Self::SlowReader => "a subscriber reads nothing",
            Self::BrokenClients => "clients say what is no MQTT",
            Self::RestlessClients => "clients connect again and again",
        }
    }

    /// Starts who does it, if that is not done by those who run already.
    pub(super) fn start(self, stage: &Arc<Stage>) -> Option<JoinHandle<()>> {
        let once = match self {
            Self::StoppedGroup => return None,
            Self::SlowReader => slow_reader,
            Self::BrokenClients => broken_client,
            Self::RestlessClients => restless_client,
        };
        let stage = Arc::clone(stage);
        Some(std::thread::spawn(move || {
            while !stage.is_over() {
                if !stage.is_faulty() {
                    std::thread::sleep(Duration::from_millis(50));
                } else if let Err(error) = once(&stage) {
                    eprintln!("the fault: {error}; trying again");
                    std::thread::sleep(AGAIN);
                }
            }
        }))
    }
}

fn address<'a>(stage: &'a Stage, door: &str) -> io::Result<&'a str> {
    let missing = || io::Error::other(format!("the {door} door is closed, or asks for a login"));
    stage.doors.get(door).map(String::as_str).ok_or_else(missing)
}

/// Subscribes, is sent more than its due, and goes away.
fn slow_reader(stage: &Stage) -> io::Result<()> {
    let address = address(stage, "nats")?;
    // Not what is kept in the topic.
    let subject = format!("{TOPIC}-large");
    let mut reader = nats::open(address, "demo slow reader")?;
    reader.say(format!("SUB {subject} 1\r\nPING\r\n").as_bytes())?;
    reader.until(b'\n')?;
    let mut sender = nats::open(address, "demo fast sender")?;
    let mut message = format!("PUB {subject} {LARGE}\r\n").into_bytes();
    message.resize(message.len() + LARGE, b'x');
    message.extend(b"\r\n");
    for _ in 0..LARGE_AT_ONCE {
        sender.say(&message)?;
    }
    sender.say(b"PING\r\n")?;
    sender.until(b'\n')?;
    std::thread::sleep(AGAIN);
    Ok(())
}

/// Says something else than MQTT, and waits to be shown out.
fn broken_client(stage: &Stage) -> io::Result<()> {
    let mut link = Link::open(address(stage, "mqtt")?)?;
    // Neither a packet's kind nor a length.
    link.say(&[0xff; 8])?;
    // The door says nothing, and ends it.
    drop(link.until(b'\n'));
    std::thread::sleep(Duration::from_millis(500));
    Ok(())
}

/// Connects, is welcomed, and goes away: some hundred times in five seconds.
fn restless_client(stage: &Stage) -> io::Result<()> {
    let mut link = nats::open(address(stage, "nats")?, "demo restless client")?;
    link.say(b"PING\r\n")?;
    link.until(b'\n')?;
    std::thread::sleep(Duration::from_millis(50));
    Ok(())
}
