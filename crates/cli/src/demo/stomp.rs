//! STOMP 1.2: a sensor that asks for receipts.

use std::io;

use super::link::{Link, unexpected};
use super::publisher::{Publisher, subject};

pub(super) struct Sensor {
    link: Link,
    number: u64,
}

impl Sensor {
    pub(super) fn open(address: &str) -> io::Result<Self> {
        let mut link = Link::open(address)?;
        link.say(b"CONNECT\naccept-version:1.2\nhost:/\n\n\0")?;
        expect(&mut link, "CONNECTED")?;
        Ok(Self { link, number: 0 })
    }
}

impl Publisher for Sensor {
    fn publish(&mut self, reading: &str) -> io::Result<()> {
        self.number += 1;
        let (to, length, number) = (subject("stomp", '.'), reading.len(), self.number);
        let frame = format!(
            "SEND\ndestination:/topic/{to}\ncontent-type:application/json\ncontent-length:{length}\n\
             receipt:{number}\n\n{reading}\0"
        );
        self.link.say(frame.as_bytes())?;
        expect(&mut self.link, "RECEIPT")
    }
}

/// The next frame must be this one. Line ends between frames are heart-beats.
fn expect(link: &mut Link, command: &str) -> io::Result<()> {
    let frame = link.until(0)?;
    match frame.trim_ascii_start().starts_with(command.as_bytes()) {
        true => Ok(()),
        false => Err(unexpected(&format!("{command} was expected"), &frame)),
    }
}
