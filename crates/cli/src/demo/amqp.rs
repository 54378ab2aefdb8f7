//! AMQP 0-9-1: jobs that go through a queue. One client sends one, takes one, and acknowledges it.

use std::io;

use super::QUEUE;
use super::link::{Link, unexpected};
use super::publisher::Publisher;

pub(super) struct Jobs(Link);

/// Methods: their class and number.
const START: (u16, u16) = (10, 10);
const START_OK: (u16, u16) = (10, 11);
const TUNE: (u16, u16) = (10, 30);
const TUNE_OK: (u16, u16) = (10, 31);
const OPEN: (u16, u16) = (10, 40);
const OPEN_OK: (u16, u16) = (10, 41);
const CHANNEL_OPEN: (u16, u16) = (20, 10);
const CHANNEL_OPEN_OK: (u16, u16) = (20, 11);
const DECLARE: (u16, u16) = (50, 10);
const DECLARE_OK: (u16, u16) = (50, 11);
const CONSUME: (u16, u16) = (60, 20);
const CONSUME_OK: (u16, u16) = (60, 21);
const PUBLISH: (u16, u16) = (60, 40);
const DELIVER: (u16, u16) = (60, 60);
const ACK: (u16, u16) = (60, 80);

/// Kinds of frames.
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
const FRAME_END: u8 = 0xce;

/// One channel, frames of 64 KiB, no heart-beats: what we ask for, whatever the broker offers.
const LIMITS: [u8; 8] = [0, 1, 0, 1, 0, 0, 0, 0];

impl Jobs {
    pub(super) fn open(address: &str) -> io::Result<Self> {
        let mut link = Link::open(address)?;
        link.say(b"AMQP\0\0\x09\x01")?;
        let mut jobs = Self(link);
        jobs.expect(START)?;
        let login = [&[0; 4][..], &short("PLAIN"), &long(b"\0guest\0guest"), &short("en_US")];
        jobs.say(0, START_OK, &login.concat())?;
        jobs.expect(TUNE)?;
        jobs.say(0, TUNE_OK, &LIMITS)?;
        jobs.ask(0, OPEN, &[&short("/")[..], &[0, 0]].concat(), OPEN_OK)?;
        jobs.ask(1, CHANNEL_OPEN, &[0], CHANNEL_OPEN_OK)?;
        // Durable, gone with its consumer, without arguments.
        let declare = [&[0, 0][..], &short(QUEUE), &[0b1010], &[0; 4]].concat();
        jobs.ask(1, DECLARE, &declare, DECLARE_OK)?;
        let consume = [&[0, 0][..], &short(QUEUE), &short("demo"), &[0], &[0; 4]].concat();
        jobs.ask(1, CONSUME, &consume, CONSUME_OK)?;
        Ok(jobs)
    }

    fn say(&mut self, channel: u16, method: (u16, u16), arguments: &[u8]) -> io::Result<()> {
        let method = [method.0.to_be_bytes(), method.1.to_be_bytes()].concat();
        self.0.say(&frame(METHOD, channel, &[&method, arguments].concat()))
    }

    fn ask(
        &mut self,
        channel: u16,
        method: (u16, u16),
        arguments: &[u8],
        answer: (u16, u16),
    ) -> io::Result<()> {
        self.say(channel, method, arguments)?;
        self.expect(answer).map(drop)
    }

    /// The arguments of the next method, which must be this one. What comes of a message is passed over.
    fn expect(&mut self, wanted: (u16, u16)) -> io::Result<Vec<u8>> {
        loop {
            let (kind, payload) = self.frame()?;
            if kind != METHOD {
                continue;
            }
            let method = payload
                .first_chunk()
                .map(|[a, b, c, d]| (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])));
            match method {
                Some(method) if method == wanted => return Ok(payload[4..].to_vec()),
                // One of another run, before the answer to `basic.consume`: it is given back at the end.
                Some(DELIVER) => {}
                _ => return Err(unexpected("another method was expected", &payload)),
            }
        }
    }

    fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        loop {
            let head = self.0.take(7)?;
            let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
            let mut payload = self.0.take(length as usize + 1)?;
            if payload.pop() != Some(FRAME_END) {
                return Err(unexpected("a frame's end was expected", &head));
            }
            if head[0] != HEARTBEAT {
                return Ok((head[0], payload));
            }
        }
    }
}

impl Publisher for Jobs {
    fn publish(&mut self, job: &str) -> io::Result<()> {
        // To the default exchange: the queue's name is the routing key.
        self.say(1, PUBLISH, &[&[0, 0, 0][..], &short(QUEUE), &[0]].concat())?;
        let length = job.len() as u64;
        let flags = 0x9000_u16.to_be_bytes();
        // Content type, and delivery mode 2: it outlives the broker.
        let properties = [&flags[..], &short("application/json"), &[2]].concat();
        let header = [&[0, 60, 0, 0][..], &length.to_be_bytes(), &properties].concat();
        let message = [frame(HEADER, 1, &header), frame(BODY, 1, job.as_bytes())].concat();
        self.0.say(&message)?;
        let delivered = self.expect(DELIVER)?;
        // After the consumer's tag.
        let at = 1 + usize::from(delivered.first().copied().unwrap_or_default());
        let tag = delivered.get(at..at + 8).ok_or_else(|| unexpected("a tag", &delivered))?;
        self.say(1, ACK, &[tag, &[0]].concat())
    }
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let head = [&[kind][..], &channel.to_be_bytes(), &length].concat();
    [&head, payload, &[FRAME_END]].concat()
}

/// A short string.
fn short(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    [&[length], text.as_bytes()].concat()
}

/// A long string.
fn long(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_strings_are_as_the_standard_has_them() {
        assert_eq!(frame(METHOD, 1, b"ab"), b"\x01\0\x01\0\0\0\x02ab\xce");
        assert_eq!((short("ab"), long(b"ab")), (b"\x02ab".to_vec(), b"\0\0\0\x02ab".to_vec()));
    }
}
