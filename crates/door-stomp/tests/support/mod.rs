//! A broker in a temporary folder with a STOMP listener on a free port, and a client of raw frames.

use std::sync::Arc;

use broker::Broker;
use door::ListenerHandle;
pub use door::testing::HANG;
use door::testing::listen;
use door_stomp::{StompDoor, StompDoorOptions};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a client says first.
pub const HELLO: &str = "CONNECT\naccept-version:1.0,1.1,1.2\nhost:/\n\n\0";

pub struct Fixture {
    _dir: TempDir,
    pub broker: Broker,
    pub door: Arc<StompDoor>,
    pub listener: ListenerHandle,
}

impl Fixture {
    pub async fn start() -> Self {
        Self::with(StompDoorOptions::default()).await
    }

    pub async fn with(options: StompDoorOptions) -> Self {
        let dir = TempDir::new().unwrap();
        let (broker, _) = broker::testing::start(dir.path(), |_| {}).await;
        let door = Arc::new(StompDoor::new(broker.clone(), options));
        let listener = listen("STOMP", Arc::clone(&door) as _);
        Self { _dir: dir, broker, door, listener }
    }

    /// A client that has said nothing yet.
    pub async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.listener.local_address()).await.unwrap();
        Client { stream, seen: Vec::new() }
    }

    /// A client that is in.
    pub async fn client(&self) -> Client {
        let mut client = self.connect().await;
        client.write(HELLO).await;
        assert_eq!(client.next().await.command, "CONNECTED");
        client
    }
}

/// A frame as it is read, nothing unescaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub command: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    /// The value of a header; empty where it is not there.
    pub fn get(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Speaks in frames, and reads them one by one.
pub struct Client {
    pub stream: TcpStream,
    seen: Vec<u8>,
}

impl Client {
    pub async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends a frame: command and headers as lines.
    pub async fn say(&mut self, lines: &str, body: &str) {
        self.write(&format!("{lines}\n\n{body}\0\n")).await;
    }

    /// Sends a frame, and waits until it is done.
    pub async fn do_this(&mut self, lines: &str, body: &str) {
        self.say(&format!("{lines}\nreceipt:done"), body).await;
        let told = self.next().await;
        assert_eq!((&told.command[..], told.get("receipt-id")), ("RECEIPT", "done"), "{told:?}");
    }

    async fn more(&mut self) -> usize {
        let read = tokio::time::timeout(HANG, self.stream.read_buf(&mut self.seen)).await;
        read.unwrap_or_else(|_| panic!("only {}", self.seen.escape_ascii())).unwrap_or(0)
    }

    /// The next frame.
    pub async fn next(&mut self) -> Seen {
        loop {
            let beats = self.seen.iter().take_while(|byte| **byte == b'\n').count();
            self.seen.drain(..beats);
            // Bodies here have no zero bytes.
            if let Some(end) = self.seen.iter().position(|byte| *byte == 0) {
                let frame: Vec<u8> = self.seen.drain(..=end).take(end).collect();
                return read(&String::from_utf8(frame).unwrap());
            }
            assert!(self.more().await > 0, "closed after {}", self.seen.escape_ascii());
        }
    }

    /// What comes until the broker closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        std::mem::take(&mut self.seen)
    }

    /// The error that ends the connection: what it is, and the particulars.
    pub async fn error(&mut self) -> (String, String) {
        let told = self.next().await;
        assert_eq!(told.command, "ERROR", "{told:?}");
        let rest = self.rest().await;
        assert!(rest.iter().all(|byte| *byte == b'\n'), "{}", rest.escape_ascii());
        (told.get("message").to_owned(), told.body)
    }
}

fn read(text: &str) -> Seen {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let command = lines.next().unwrap_or_default().to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_owned(), value.to_owned())
    };
    Seen { command, headers: lines.map(header).collect(), body: body.to_owned() }
}
