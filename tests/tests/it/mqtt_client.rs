//! A small client of MQTT 3.1.1 that keeps its session as the specification has it, and does what it is told: for tests
//! that must know what it was told, and when.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tests::PATIENCE;

/// How long a look for the next packet takes.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
const PUBCOMP: u8 = 7;
pub(crate) const SUBACK: u8 = 9;

/// The connection is gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl From<std::io::Error> for Gone {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

/// A packet with its first byte and what is behind its length.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) first: u8,
    pub(crate) body: Vec<u8>,
}

impl Packet {
    pub(crate) fn kind(&self) -> u8 {
        self.first >> 4
    }

    fn id(&self) -> u16 {
        u16::from_be_bytes([self.body[0], self.body[1]])
    }
}

/// A packet's bytes.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest % 128).unwrap();
        rest /= 128;
        out.push(if rest > 0 { low | 128 } else { low });
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

/// Bytes with their length in front.
pub(crate) fn text(bytes: &str) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes(), bytes.as_bytes()].concat()
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Line {
    /// Connects; with whether the session was there.
    pub(crate) fn open(port: u16, id: &str, clean: bool) -> Result<(Self, bool), Gone> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut line = Self { stream, input: Vec::new() };
        let flags = if clean { 2 } else { 0 };
        let body = [&text("MQTT")[..], &[4, flags, 0, 0], &text(id)].concat();
        line.send(&packet(0x10, &body))?;
        let answer = line.wait()?;
        assert_eq!((answer.kind(), answer.body[1]), (CONNACK, 0), "{id} is let in");
        Ok((line, answer.body[0] == 1))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        Ok(self.stream.write_all(bytes)?)
    }

    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) -> Result<(), Gone> {
        let body = [&[0, 1][..], &text(filter), &[qos]].concat();
        self.send(&packet(0x82, &body))
    }

    /// Leaves as one should, and waits until the broker has seen it.
    pub(crate) fn leave(mut self) {
        self.send(&packet(0xe0, &[])).unwrap();
        while self.look().is_ok() {}
    }

    /// The next packet.
    pub(crate) fn wait(&mut self) -> Result<Packet, Gone> {
        let mut looks = PATIENCE.as_millis() / LOOK.as_millis();
        loop {
            if let Some(packet) = self.look()? {
                return Ok(packet);
            }
            looks -= 1;
            assert!(looks > 0, "nothing came");
        }
    }

    /// The next packet, if it comes soon.
    pub(crate) fn look(&mut self) -> Result<Option<Packet>, Gone> {
        loop {
            if let Some(packet) = self.take() {
                return Ok(Some(packet));
            }
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Gone),
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone),
            }
        }
    }

    fn take(&mut self) -> Option<Packet> {
        let (mut length, mut at) = (0, 1);
        loop {
            let byte = *self.input.get(at)?;
            length |= usize::from(byte & 127) << (7 * (at - 1));
            at += 1;
            if byte & 128 == 0 {
                break;
            }
        }
        if self.input.len() < at + length {
            return None;
        }
        let rest = self.input.split_off(at + length);
        let whole = std::mem::replace(&mut self.input, rest);
        Some(Packet { first: whole[0], body: whole[at..].to_vec() })
    }
}

/// A publisher's session: what is not acknowledged is sent again, as it was.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) window: usize,
    /// Messages by their identifiers, in the order in which they were sent, and whether they were received.
    in_flight: BTreeMap<u64, (u16, Vec<u8>, bool)>,
    sent: u64,
}

impl Publisher {
    pub(crate) fn new(qos: u8, retain: bool) -> Self {
        Self { qos, retain, window: 20, in_flight: BTreeMap::new(), sent: 0 }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.in_flight.len() < self.window
    }

    /// After it has come back: everything again.
    pub(crate) fn resume(&self, line: &mut Line) -> Result<(), Gone> {
        for (id, body, is_received) in self.in_flight.values() {
            match is_received {
                true => line.send(&packet(0x62, &id.to_be_bytes()))?,
                false => line.send(&packet(self.first() | 8, body))?,
            }
        }
        Ok(())
    }

    fn first(&self) -> u8 {
        PUBLISH << 4 | self.qos << 1 | u8::from(self.retain)
    }

    pub(crate) fn publish(
        &mut self,
        line: &mut Line,
        topic: &str,
        payload: &str,
    ) -> Result<(), Gone> {
        let id = u16::try_from(self.sent % 1000).unwrap() + 1;
        let body = [&text(topic)[..], &id.to_be_bytes(), payload.as_bytes()].concat();
        let whole = packet(self.first(), &body);
        self.in_flight.insert(self.sent, (id, body, false));
        self.sent += 1;
        line.send(&whole)
    }

    /// Takes an acknowledgement; whether a message is done with.
    pub(crate) fn heard(&mut self, line: &mut Line, heard: &Packet) -> Result<bool, Gone> {
        let id = heard.id();
        let found = self.in_flight.iter_mut().find(|(_, (known, ..))| *known == id);
        let Some((number, flight)) = found.map(|(number, flight)| (*number, flight)) else {
            if heard.kind() == PUBREC {
                line.send(&packet(0x62, &id.to_be_bytes()))?;
            }
            return Ok(false);
        };
        match heard.kind() {
            PUBREC => {
                flight.2 = true;
                line.send(&packet(0x62, &id.to_be_bytes()))?;
                Ok(false)
            }
            kind => {
                assert_eq!(kind, if self.qos == 1 { PUBACK } else { PUBCOMP });
                self.in_flight.remove(&number);
                Ok(true)
            }
        }
    }
}

/// A subscriber's session.
#[derive(Debug, Default)]
pub(crate) struct Subscriber {
    /// Received with QoS 2, and not released.
    received: HashSet<u16>,
    /// Messages: topic and payload.
    pub(crate) got: VecDeque<(String, String)>,
}

impl Subscriber {
    /// Takes a packet, and answers it.
    pub(crate) fn heard(&mut self, line: &mut Line, heard: &Packet) -> Result<(), Gone> {
        if heard.kind() == PUBREL {
            self.received.remove(&heard.id());
            return line.send(&packet(PUBCOMP << 4, &heard.id().to_be_bytes()));
        }
        if heard.kind() != PUBLISH {
            return Ok(());
        }
        let (length, rest) = heard.body.split_at(2);
        let length = usize::from(u16::from_be_bytes(length.try_into().unwrap()));
        let (topic, mut rest) = rest.split_at(length);
        let qos = heard.first >> 1 & 3;
        let id = (qos > 0).then(|| u16::from_be_bytes([rest[0], rest[1]]));
        if id.is_some() {
            rest = &rest[2..];
        }
        // Before it is acknowledged: what was received has arrived, even if the answer does not.
        if qos < 2 || id.is_none_or(|id| self.received.insert(id)) {
            let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            self.got.push_back((said(topic), said(rest)));
        }
        if let Some(id) = id {
            let kind = if qos == 1 { PUBACK } else { PUBREC };
            line.send(&packet(kind << 4, &id.to_be_bytes()))?;
        }
        Ok(())
    }
}
