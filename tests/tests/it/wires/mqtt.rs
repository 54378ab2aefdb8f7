//! An MQTT client of 3.1.1 or 5.0.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::connect;

/// A version of the protocol, as CONNECT has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V311 = 4,
    V5 = 5,
}

pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
pub(crate) const MESSAGE_EXPIRY: u8 = 0x02;
pub(crate) const CONTENT_TYPE: u8 = 0x03;
pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
pub(crate) const CORRELATION_DATA: u8 = 0x09;
pub(crate) const USER_PROPERTY: u8 = 0x26;

/// A property of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Property {
    /// A number of one byte, or of four.
    Number(u8, u32),
    /// Text or bytes.
    Bytes(u8, Vec<u8>),
    User(String, String),
}

/// A connected client.
pub(crate) struct Mqtt {
    stream: TcpStream,
    version: Version,
    packets: u16,
    /// Messages that came while something else was awaited.
    seen: VecDeque<Publish>,
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) qos: u8,
    pub(crate) properties: Vec<Property>,
    pub(crate) payload: Vec<u8>,
}

/// No two clients have the same name.
static CLIENTS: AtomicUsize = AtomicUsize::new(0);

impl Mqtt {
    pub(crate) fn connect(port: u16, version: Version) -> Self {
        let mut client = Self::open(port, version);
        let connect = client.hello();
        client.stream.write_all(&connect).unwrap();
        client.expect_connack();
        client
    }

    /// Subscribes with the same bytes that say hello.
    pub(crate) fn connect_and_subscribe(port: u16, version: Version, filter: &str) -> Self {
        let mut client = Self::open(port, version);
        let (connect, (id, subscribe)) = (client.hello(), client.subscription(filter));
        client.stream.write_all(&[connect, subscribe].concat()).unwrap();
        client.expect_connack();
        let answer = client.answer(0x90, id);
        assert_eq!(answer.last(), Some(&1), "SUBACK");
        client
    }

    fn open(port: u16, version: Version) -> Self {
        let stream = connect(&format!("127.0.0.1:{port}"));
        Self { stream, version, packets: 0, seen: VecDeque::new() }
    }

    fn hello(&self) -> Vec<u8> {
        let version = self.version;
        let name = format!("wire-{}", CLIENTS.fetch_add(1, Ordering::Relaxed));
        let mut body = text("MQTT");
        // A clean session; no keep alive.
        body.extend([version as u8, 2, 0, 0]);
        body.extend(version.block(&[]));
        body.extend(text(&name));
        packet(0x10, &body)
    }

    fn expect_connack(&mut self) {
        let (kind, answer) = self.packet();
        assert_eq!((kind, answer[1]), (0x20, 0), "CONNACK");
    }

    fn send(&mut self, first: u8, body: &[u8]) {
        self.stream.write_all(&packet(first, body)).unwrap();
    }

    /// The next packet: its first byte, and what follows the length.
    fn packet(&mut self) -> (u8, Vec<u8>) {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).unwrap();
        let first = byte[0];
        let (mut length, mut shift) = (0, 0);
        loop {
            self.stream.read_exact(&mut byte).unwrap();
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] < 0x80 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        (first, body)
    }

    fn next_packet_id(&mut self) -> [u8; 2] {
        self.packets += 1;
        self.packets.to_be_bytes()
    }

    /// Waits for a packet that answers the one with this number; what it says after that.
    fn answer(&mut self, kind: u8, id: [u8; 2]) -> Vec<u8> {
        loop {
            let (first, body) = self.packet();
            if first == kind && body[..2] == id {
                return body[2..].to_vec();
            }
            self.take(first, &body);
        }
    }

    fn take(&mut self, first: u8, body: &[u8]) {
        assert_eq!(first & 0xf0, 0x30, "a packet that was not asked for: {first:#x} {body:?}");
        let qos = first >> 1 & 3;
        let (topic, mut rest) = split(body);
        if qos > 0 {
            let (id, after) = rest.split_at(2);
            self.send(0x40, id);
            rest = after;
        }
        let mut properties = Vec::new();
        if self.version == Version::V5 {
            let (length, after) = number(rest);
            properties = Property::all(&after[..length]);
            rest = &after[length..];
        }
        let topic = String::from_utf8(topic.to_vec()).unwrap();
        self.seen.push_back(Publish { topic, qos, properties, payload: rest.to_vec() });
    }

    /// Subscribes with QoS 1; the broker has done so when this returns.
    pub(crate) fn subscribe(&mut self, filter: &str) {
        let (id, subscribe) = self.subscription(filter);
        self.stream.write_all(&subscribe).unwrap();
        let answer = self.answer(0x90, id);
        assert_eq!(answer.last(), Some(&1), "SUBACK");
    }

    fn subscription(&mut self, filter: &str) -> ([u8; 2], Vec<u8>) {
        let id = self.next_packet_id();
        let body = [&id[..], &self.version.block(&[]), &text(filter), &[1]].concat();
        (id, packet(0x82, &body))
    }

    /// Publishes with QoS 1, and waits until that is acknowledged.
    pub(crate) fn publish(&mut self, topic: &str, properties: &[Property], payload: &[u8]) {
        let id = self.next_packet_id();
        let body = [&text(topic)[..], &id, &self.version.block(properties), payload].concat();
        self.send(0x32, &body);
        let answer = self.answer(0x40, id);
        // That nobody listens, 5.0 is told.
        assert!(matches!(answer.first(), None | Some(0 | 0x10)), "PUBACK {answer:?}");
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Publish {
        loop {
            if let Some(message) = self.seen.pop_front() {
                return message;
            }
            let (first, body) = self.packet();
            self.take(first, &body);
        }
    }
}

impl Version {
    /// Properties with their length in front; nothing before 5.0.
    fn block(self, properties: &[Property]) -> Vec<u8> {
        if self == Self::V311 {
            assert!(properties.is_empty(), "3.1.1 has no properties");
            return Vec::new();
        }
        let bytes: Vec<u8> = properties.iter().flat_map(Property::encode).collect();
        [varint(bytes.len()), bytes].concat()
    }
}

impl Property {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Number(id @ PAYLOAD_FORMAT, value) => vec![*id, u8::try_from(*value).unwrap()],
            Self::Number(id, value) => [&[*id][..], &value.to_be_bytes()].concat(),
            Self::Bytes(id, bytes) => [&[*id][..], &binary(bytes)].concat(),
            Self::User(name, value) => [&[USER_PROPERTY][..], &text(name), &text(value)].concat(),
        }
    }

    fn all(mut rest: &[u8]) -> Vec<Self> {
        let mut all = Vec::new();
        while let Some((&id, after)) = rest.split_first() {
            let property;
            (property, rest) = match id {
                PAYLOAD_FORMAT => (Self::Number(id, after[0].into()), &after[1..]),
                MESSAGE_EXPIRY => {
                    let (value, after) = after.split_first_chunk().unwrap();
                    (Self::Number(id, u32::from_be_bytes(*value)), after)
                }
                CONTENT_TYPE | RESPONSE_TOPIC | CORRELATION_DATA => {
                    let (bytes, after) = split(after);
                    (Self::Bytes(id, bytes.to_vec()), after)
                }
                USER_PROPERTY => {
                    let (name, after) = split(after);
                    let (value, after) = split(after);
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    (Self::User(text(name), text(value)), after)
                }
                id => panic!("property {id:#x}"),
            };
            all.push(property);
        }
        all
    }
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first][..], &varint(body.len()), body].concat()
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = if number > 0x7f { 0x80 } else { 0 };
        bytes.push(u8::try_from(number & 0x7f).unwrap() | more);
        number >>= 7;
        if number == 0 {
            return bytes;
        }
    }
}

fn number(bytes: &[u8]) -> (usize, &[u8]) {
    let end = bytes.iter().position(|byte| *byte < 0x80).unwrap() + 1;
    let digits = bytes[..end].iter().rev();
    let value = digits.fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f));
    (value, &bytes[end..])
}

fn binary(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn text(text: &str) -> Vec<u8> {
    binary(text.as_bytes())
}

fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes.split_first_chunk().unwrap();
    rest.split_at(usize::from(u16::from_be_bytes(*length)))
}
