//! An AMQP client that publishes to the space of subjects and listens to it.

use std::io::{Read, Write};
use std::net::TcpStream;

use door_amqp::wire::PROTOCOL_HEADER;
use door_amqp::wire::frame::{Frame, Kind, Parsed, parse, put_content, put_method};
use door_amqp::wire::method::{
    Arguments, BasicConsume, BasicPublish, ChannelOpen, ConfirmSelect, ConnectionOpen,
    ConnectionStartOk, ConnectionTuneOk, Method, QueueBind, QueueDeclare,
};
use door_amqp::wire::properties::{ContentHeader, Properties};
use door_amqp::wire::reader::{Long, Short};

use super::connect;

/// As the broker has it, unless configured.
const FRAME_MAX: u32 = 128 * 1024;
/// The only channel.
const CHANNEL: u16 = 1;
const EXCHANGE: Short<'static> = Short(b"amq.topic");
const QUEUE: Short<'static> = Short(b"listener");

/// A connected client.
pub(crate) struct Amqp {
    stream: TcpStream,
    input: Vec<u8>,
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Delivery {
    pub(crate) key: String,
    /// Flags and values, for [`Properties::decode`].
    pub(crate) properties: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Amqp {
    /// Connects, and opens a channel on which publishing is confirmed.
    pub(crate) fn connect(port: u16) -> Self {
        let stream = connect(&format!("127.0.0.1:{port}"));
        let mut client = Self { stream, input: Vec::new() };
        client.stream.write_all(&PROTOCOL_HEADER).unwrap();
        client.until("connection.start");
        let login = ConnectionStartOk {
            mechanism: Short(b"PLAIN"),
            response: Long(b"\0guest\0guest"),
            locale: Short(b"en_US"),
            ..ConnectionStartOk::default()
        };
        client.say(0, &login);
        client.until("connection.tune");
        client.say(0, &ConnectionTuneOk { channel_max: 1, frame_max: FRAME_MAX, heartbeat: 0 });
        client.say(0, &ConnectionOpen { virtual_host: Short(b"/"), ..ConnectionOpen::default() });
        client.until("connection.open_ok");
        client.say(CHANNEL, &ChannelOpen::default());
        client.until("channel.open_ok");
        client.say(CHANNEL, &ConfirmSelect::default());
        client.until("confirm.select_ok");
        client
    }

    fn say<M: Arguments>(&mut self, channel: u16, method: &M) {
        let mut out = Vec::new();
        put_method(channel, method, &mut out);
        self.stream.write_all(&out).unwrap();
    }

    fn until(&mut self, answer: &str) {
        self.frame(|frame| {
            let method = Method::decode(frame.payload).unwrap();
            assert_eq!(method.name(), answer, "{method:?}");
        });
    }

    /// Listens to what is published with a key that the pattern matches.
    pub(crate) fn subscribe(&mut self, pattern: &str) {
        let queue = QueueDeclare { queue: QUEUE, exclusive: true, ..QueueDeclare::default() };
        self.say(CHANNEL, &queue);
        self.until("queue.declare_ok");
        let (routing_key, exchange) = (Short(pattern.as_bytes()), EXCHANGE);
        self.say(CHANNEL, &QueueBind { queue: QUEUE, exchange, routing_key, ..Default::default() });
        self.until("queue.bind_ok");
        let consume = BasicConsume { queue: QUEUE, no_ack: true, ..BasicConsume::default() };
        self.say(CHANNEL, &consume);
        self.until("basic.consume_ok");
    }

    /// Publishes; the broker has the message when this returns.
    pub(crate) fn publish(&mut self, key: &str, properties: &Properties<'_>, payload: &[u8]) {
        let publish = BasicPublish {
            exchange: EXCHANGE,
            routing_key: Short(key.as_bytes()),
            ..BasicPublish::default()
        };
        let (mut encoded, mut out) = (Vec::new(), Vec::new());
        properties.encode(&mut encoded);
        put_content((CHANNEL, FRAME_MAX), &publish, &encoded, payload, &mut out);
        self.stream.write_all(&out).unwrap();
        self.until("basic.ack");
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Delivery {
        let key = self.frame(|frame| match Method::decode(frame.payload).unwrap() {
            Method::BasicDeliver(deliver) => String::from_utf8(deliver.routing_key.to_vec()),
            other => panic!("a delivery was due, and {other:?} came"),
        });
        let (size, properties) = self.frame(|frame| {
            let header = ContentHeader::decode(frame.payload).unwrap();
            (usize::try_from(header.body_bytes).unwrap(), header.properties.to_vec())
        });
        let mut payload = Vec::new();
        while payload.len() < size {
            self.frame(|frame| payload.extend_from_slice(frame.payload));
        }
        Delivery { key: key.unwrap(), properties, payload }
    }

    /// Takes the next frame.
    fn frame<T>(&mut self, take: impl FnOnce(&Frame<'_>) -> T) -> T {
        loop {
            if let Parsed::Frame(frame, size) = parse(&self.input, FRAME_MAX).unwrap() {
                assert_ne!(frame.kind, Kind::Heartbeat, "there are none");
                let taken = take(&frame);
                self.input.drain(..size);
                return taken;
            }
            let mut buffer = [0; 65_536];
            let count = self.stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the connection ended");
            self.input.extend_from_slice(&buffer[..count]);
        }
    }
}
