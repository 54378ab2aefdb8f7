//! A broker in a temporary folder with an AMQP listener on a free port, and a client of raw frames.

use std::sync::Arc;

use broker::{Broker, BrokerOptions};
use door::ListenerHandle;
pub use door::testing::HANG;
use door::testing::listen;
use door_amqp::wire::PROTOCOL_HEADER;
use door_amqp::wire::frame::{OVERHEAD, Parsed, parse, put_content, put_method};
use door_amqp::wire::method::{
    Arguments, BasicPublish, ChannelOpen, ConnectionOpen, ConnectionStartOk, ConnectionTuneOk,
    Method,
};
use door_amqp::wire::reader::{Long, Short};
use door_amqp::{AmqpDoor, AmqpDoorOptions};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const FRAME_MAX: u32 = 131_072;

pub struct Fixture {
    _dir: TempDir,
    pub broker: Broker,
    pub door: Arc<AmqpDoor>,
    pub listener: ListenerHandle,
}

impl Fixture {
    pub async fn start() -> Self {
        Self::with(AmqpDoorOptions::default(), |_| {}).await
    }

    pub async fn with(options: AmqpDoorOptions, change: impl FnOnce(&mut BrokerOptions)) -> Self {
        let dir = TempDir::new().unwrap();
        let (broker, _) = broker::testing::start(dir.path(), change).await;
        let door = Arc::new(AmqpDoor::new(broker.clone(), options));
        let listener = listen("AMQP", Arc::clone(&door) as _);
        Self { _dir: dir, broker, door, listener }
    }

    /// A client that has said nothing yet.
    pub async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.listener.local_address()).await.unwrap();
        Client { stream, seen: Vec::new() }
    }

    /// A client whose connection is open.
    pub async fn client(&self) -> Client {
        let mut client = self.connect().await;
        client.write(&hello(0)).await;
        assert_eq!(client.next().await, "0 connection.start");
        assert_eq!(client.next().await, "0 connection.tune");
        assert_eq!(client.next().await, "0 connection.open_ok");
        client
    }

    /// A client with a channel.
    pub async fn channel(&self) -> Client {
        let mut client = self.client().await;
        client.say(1, &ChannelOpen::default()).await;
        assert_eq!(client.next().await, "1 channel.open_ok");
        client
    }
}

/// All that a client says before its connection is open.
pub fn hello(heartbeat: u16) -> Vec<u8> {
    let mut out = PROTOCOL_HEADER.to_vec();
    let start_ok = ConnectionStartOk {
        mechanism: Short(b"PLAIN"),
        response: Long(b"\0guest\0guest"),
        locale: Short(b"en_US"),
        ..ConnectionStartOk::default()
    };
    put_method(0, &start_ok, &mut out);
    let tune_ok = ConnectionTuneOk { channel_max: 2047, frame_max: FRAME_MAX, heartbeat };
    put_method(0, &tune_ok, &mut out);
    put_method(0, &ConnectionOpen { virtual_host: Short(b"/"), ..Default::default() }, &mut out);
    out
}

/// Speaks in frames, and reads them one by one.
pub struct Client {
    pub stream: TcpStream,
    seen: Vec<u8>,
}

impl Client {
    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub async fn say<M: Arguments>(&mut self, channel: u16, method: &M) {
        let mut out = Vec::new();
        put_method(channel, method, &mut out);
        self.write(&out).await;
    }

    pub async fn publish(&mut self, queue: &str, payload: &[u8], mandatory: bool) {
        let publish =
            BasicPublish { routing_key: Short(queue.as_bytes()), mandatory, ..Default::default() };
        let mut out = Vec::new();
        put_content((1, FRAME_MAX), &publish, &[], payload, &mut out);
        self.write(&out).await;
    }

    async fn more(&mut self) -> usize {
        let read = tokio::time::timeout(HANG, self.stream.read_buf(&mut self.seen)).await;
        read.unwrap_or_else(|_| panic!("only {:?}", self.seen)).unwrap_or(0)
    }

    /// The next frame, as text: its channel, and what is in it.
    pub async fn next(&mut self) -> String {
        loop {
            if let Ok(Parsed::Frame(frame, used)) = parse(&self.seen, FRAME_MAX) {
                assert_eq!(used, frame.payload.len() + OVERHEAD);
                let what = match Method::decode(frame.payload) {
                    Ok(method) if frame.kind as u8 == 1 => told(&method),
                    _ => format!("{:?} {}", frame.kind, frame.payload.escape_ascii()),
                };
                let text = format!("{} {what}", frame.channel);
                self.seen.drain(..used);
                return text;
            }
            assert!(self.more().await > 0, "closed after {:?}", self.seen);
        }
    }

    /// What comes until the broker closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        std::mem::take(&mut self.seen)
    }
}

/// A method by its name, and what tests look at.
fn told(method: &Method<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let more = match method {
        Method::ConnectionClose(close) => {
            format!(" {} {}", close.reply_code, text(&close.reply_text))
        }
        Method::ChannelClose(close) => format!(" {} {}", close.reply_code, text(&close.reply_text)),
        Method::BasicAck(ack) => format!(" {} {}", ack.delivery_tag, ack.multiple),
        Method::BasicDeliver(deliver) => {
            format!(" {} {}", deliver.delivery_tag, deliver.redelivered)
        }
        Method::BasicReturn(returned) => format!(" {}", returned.reply_code),
        Method::QueueDeclareOk(declared) => format!(" {}", declared.message_count),
        _ => String::new(),
    };
    format!("{}{more}", method.name())
}
