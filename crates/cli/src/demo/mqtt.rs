//! MQTT 3.1.1: a sensor that publishes with QoS 1.

use std::io;

use super::link::{Link, unexpected};
use super::publisher::{Publisher, subject};

pub(super) struct Sensor {
    link: Link,
    id: u16,
}

/// What follows the length in `CONNECT` of a client without a session, which is silent for a minute at most.
const CONNECT: &[u8] = b"\0\x04MQTT\x04\x02\0\x3c";
/// `CONNACK`: welcome, and there is no session.
const CONNACK: &[u8] = b"\x20\x02\0\0";

impl Sensor {
    pub(super) fn open(address: &str) -> io::Result<Self> {
        let mut link = Link::open(address)?;
        // There may be another demonstration, and a name is one client's.
        link.say(&connect(&format!("demo-sensor-{}", std::process::id())))?;
        let answer = link.take(CONNACK.len())?;
        if answer != CONNACK {
            return Err(unexpected("CONNACK was expected", &answer));
        }
        Ok(Self { link, id: 0 })
    }
}

impl Publisher for Sensor {
    fn publish(&mut self, reading: &str) -> io::Result<()> {
        self.id = if self.id == u16::MAX { 1 } else { self.id + 1 };
        let id = self.id.to_be_bytes();
        self.link.say(&publish(&subject("mqtt", '/'), id, reading.as_bytes()))?;
        let answer = self.link.take(4)?;
        match answer == [0x40, 2, id[0], id[1]] {
            true => Ok(()),
            false => Err(unexpected("PUBACK was expected", &answer)),
        }
    }
}

/// `CONNECT` of a client of this name, which is short.
fn connect(name: &str) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let rest = u8::try_from(CONNECT.len() + 2 + name.len()).unwrap_or(u8::MAX);
    [&[0x10, rest], CONNECT, &[0, length], name.as_bytes()].concat()
}

/// `PUBLISH` with QoS 1.
fn publish(topic: &str, id: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(topic.len()).unwrap_or(u16::MAX);
    let mut packet = vec![0x32];
    let mut rest = 2 + topic.len() + 2 + payload.len();
    loop {
        // Seven bits a byte, the lowest first (MQTT 3.1.1 §2.2.3).
        let more = rest >= 128;
        packet.push(u8::try_from(rest % 128).unwrap_or_default() | if more { 128 } else { 0 });
        rest /= 128;
        if !more {
            break;
        }
    }
    packet.extend(length.to_be_bytes());
    packet.extend(topic.as_bytes());
    packet.extend(id);
    packet.extend(payload);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_as_the_standard_has_them() {
        assert_eq!(publish("a/b", [0, 7], b"x"), b"\x32\x08\0\x03a/b\0\x07x");
        let long = publish("t", [0, 1], &[0; 200]);
        assert_eq!(&long[..3], [0x32, 0xcd, 0x01], "205 bytes follow");
        assert_eq!(connect("ab"), b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02ab");
    }
}
