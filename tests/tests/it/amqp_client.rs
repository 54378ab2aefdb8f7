//! A small client of AMQP 0-9-1 that does what it is told, for tests that must know what it was told, and when.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use door_amqp::wire::PROTOCOL_HEADER;
use door_amqp::wire::frame::{Frame, Kind, Parsed, parse, put_content, put_method};
use door_amqp::wire::method::{
    Arguments, BasicPublish, ChannelClose, ChannelOpen, ConnectionClose, ConnectionOpen,
    ConnectionStartOk, ConnectionTuneOk, Method, QueueDeclare,
};
use door_amqp::wire::properties::{ContentHeader, Properties};
use door_amqp::wire::reader::{Long, Short};
use door_amqp::wire::table::TableBuf;
use tests::PATIENCE;

/// How long a look for what comes next takes.
const LOOK: Duration = Duration::from_millis(20);

/// As the broker has it, unless configured.
const FRAME_MAX: u32 = 128 * 1024;
/// The only channel.
const CHANNEL: u16 = 1;

/// The connection is gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl From<std::io::Error> for Gone {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Messages were stored: this one, or all up to it.
    Confirmed {
        tag: u64,
        multiple: bool,
    },
    Delivered(Delivery),
    /// A queue is declared and has so many messages that nobody has.
    Declared(u32),
    /// Any other method, by its name.
    Done(&'static str),
}

/// A message for a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Delivery {
    pub(crate) consumer: String,
    pub(crate) tag: u64,
    pub(crate) redelivered: bool,
    pub(crate) payload: Vec<u8>,
    /// Bytes of the payload when it is whole.
    size: usize,
}

/// A connection with one channel.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    input: Vec<u8>,
    events: VecDeque<Event>,
    /// A message that is not all there.
    partial: Option<Delivery>,
}

impl Line {
    /// Connects, and opens the channel.
    pub(crate) fn open(port: u16) -> Result<Self, Gone> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut line = Self { stream, input: Vec::new(), events: VecDeque::new(), partial: None };
        line.stream.write_all(&PROTOCOL_HEADER)?;
        line.until("connection.start")?;
        let login = ConnectionStartOk {
            mechanism: Short(b"PLAIN"),
            response: Long(b"\0guest\0guest"),
            locale: Short(b"en_US"),
            ..ConnectionStartOk::default()
        };
        line.say(0, &login)?;
        line.until("connection.tune")?;
        line.say(0, &ConnectionTuneOk { channel_max: 1, frame_max: FRAME_MAX, heartbeat: 0 })?;
        line.say(0, &ConnectionOpen { virtual_host: Short(b"/"), ..ConnectionOpen::default() })?;
        line.until("connection.open_ok")?;
        line.ask(&ChannelOpen::default(), "channel.open_ok")?;
        Ok(line)
    }

    /// Sends a method on the channel.
    pub(crate) fn send<M: Arguments>(&mut self, method: &M) -> Result<(), Gone> {
        self.say(CHANNEL, method)
    }

    fn say<M: Arguments>(&mut self, channel: u16, method: &M) -> Result<(), Gone> {
        let mut out = Vec::new();
        put_method(channel, method, &mut out);
        Ok(self.stream.write_all(&out)?)
    }

    /// Sends a method, and waits for the answer of this name. Nothing else may come.
    pub(crate) fn ask<M: Arguments>(&mut self, method: &M, answer: &str) -> Result<(), Gone> {
        self.send(method)?;
        self.until(answer)
    }

    fn until(&mut self, answer: &str) -> Result<(), Gone> {
        match self.wait()? {
            Event::Done(name) if name == answer => Ok(()),
            other => panic!("{answer} was due, and {other:?} came"),
        }
    }

    /// Declares a durable queue; how many messages it has that nobody has.
    pub(crate) fn declare(&mut self, queue: &str, arguments: &TableBuf) -> Result<u32, Gone> {
        self.send(&QueueDeclare {
            queue: Short(queue.as_bytes()),
            durable: true,
            arguments: arguments.table(),
            ..QueueDeclare::default()
        })?;
        match self.wait()? {
            Event::Declared(count) => Ok(count),
            other => panic!("an answer to a declaration was due, and {other:?} came"),
        }
    }

    /// Publishes a persistent message to a queue.
    pub(crate) fn publish(&mut self, queue: &str, payload: &[u8]) -> Result<(), Gone> {
        let publish = BasicPublish { routing_key: Short(queue.as_bytes()), ..Default::default() };
        let mut properties = Vec::new();
        Properties { delivery_mode: Some(2), ..Properties::default() }.encode(&mut properties);
        let mut out = Vec::new();
        put_content((CHANNEL, FRAME_MAX), &publish, &properties, payload, &mut out);
        Ok(self.stream.write_all(&out)?)
    }

    /// Leaves as one should, without consumers: when this returns, the broker has given back what the channel had.
    pub(crate) fn leave(mut self) -> Result<(), Gone> {
        let close = ChannelClose { reply_code: 200, ..ChannelClose::default() };
        self.ask(&close, "channel.close_ok")?;
        // Its answer comes when the broker is done with that, which it need not be when it says so.
        self.ask(&ChannelOpen::default(), "channel.open_ok")?;
        self.say(0, &ConnectionClose { reply_code: 200, ..ConnectionClose::default() })?;
        self.until("connection.close_ok")
    }

    /// What comes next.
    fn wait(&mut self) -> Result<Event, Gone> {
        let mut looks = PATIENCE.as_millis() / LOOK.as_millis();
        loop {
            if let Some(event) = self.look()? {
                return Ok(event);
            }
            looks -= 1;
            assert!(looks > 0, "nothing came");
        }
    }

    /// What comes next, if it comes soon.
    pub(crate) fn look(&mut self) -> Result<Option<Event>, Gone> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Gone),
                Ok(count) => {
                    self.input.extend_from_slice(&buffer[..count]);
                    self.take_apart();
                }
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

    /// Makes events of the whole frames that are there.
    fn take_apart(&mut self) {
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while let Parsed::Frame(frame, size) = parse(rest, FRAME_MAX).expect("a frame") {
            self.heard(&frame);
            rest = &rest[size..];
        }
        self.input = rest.to_vec();
    }

    fn heard(&mut self, frame: &Frame<'_>) {
        match frame.kind {
            Kind::Method => {
                let method = Method::decode(frame.payload).expect("a method");
                self.heard_method(&method);
            }
            Kind::Header => {
                let header = ContentHeader::decode(frame.payload).expect("a header");
                let partial = self.partial.as_mut().expect("a delivery before its header");
                partial.size = usize::try_from(header.body_bytes).unwrap();
                assert!(partial.size > 0, "these tests send no empty messages");
            }
            Kind::Body => {
                let mut partial = self.partial.take().expect("a delivery before its payload");
                partial.payload.extend_from_slice(frame.payload);
                if partial.payload.len() < partial.size {
                    self.partial = Some(partial);
                } else {
                    self.events.push_back(Event::Delivered(partial));
                }
            }
            Kind::Heartbeat => {}
        }
    }

    fn heard_method(&mut self, method: &Method<'_>) {
        self.events.push_back(match method {
            Method::BasicDeliver(deliver) => {
                self.partial = Some(Delivery {
                    consumer: String::from_utf8_lossy(&deliver.consumer_tag).into_owned(),
                    tag: deliver.delivery_tag,
                    redelivered: deliver.redelivered,
                    ..Delivery::default()
                });
                return;
            }
            Method::BasicAck(ack) => {
                Event::Confirmed { tag: ack.delivery_tag, multiple: ack.multiple }
            }
            Method::QueueDeclareOk(declared) => Event::Declared(declared.message_count),
            Method::ConnectionClose(_) | Method::ChannelClose(_) => {
                panic!("the broker refuses something: {method:?}")
            }
            other => Event::Done(other.name()),
        });
    }
}
