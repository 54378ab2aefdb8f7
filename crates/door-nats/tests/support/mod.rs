//! A broker in a temporary folder with a NATS listener on a free port, and a client of raw lines.

use std::net::SocketAddr;
use std::sync::Arc;

use broker::{Broker, BrokerOptions};
use door::ListenerHandle;
pub use door::testing::HANG;
use door::testing::listen;
use door_nats::{NatsDoor, NatsDoorOptions};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Fixture {
    _dir: TempDir,
    pub broker: Broker,
    pub door: Arc<NatsDoor>,
    pub listener: ListenerHandle,
}

impl Fixture {
    pub async fn start() -> Self {
        Self::with(NatsDoorOptions::default(), |_| {}).await
    }

    pub async fn with(options: NatsDoorOptions, change: impl FnOnce(&mut BrokerOptions)) -> Self {
        let dir = TempDir::new().unwrap();
        let (broker, _) = broker::testing::start(dir.path(), change).await;
        let door = Arc::new(NatsDoor::new(broker.clone(), options));
        let listener = listen("NATS", Arc::clone(&door) as _);
        Self { _dir: dir, broker, door, listener }
    }

    /// A client that has said nothing yet, and its `INFO`.
    pub async fn connect(&self) -> (Client, serde_json::Value) {
        Client::connect(self.listener.local_address()).await
    }

    /// A client that has said `CONNECT` with these options.
    pub async fn client(&self, options: &str) -> Client {
        let (mut client, _) = self.connect().await;
        client.say(&format!("CONNECT {options}\r\nPING\r\n")).await;
        client.expect("PONG\r\n").await;
        client
    }

    /// One as the libraries have them.
    pub async fn usual(&self) -> Client {
        let options = r#"{"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"protocol":1}"#;
        self.client(options).await
    }
}

/// Speaks in lines, and reads exactly what it expects.
pub struct Client {
    pub stream: TcpStream,
    seen: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> (Self, serde_json::Value) {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut client = Self { stream, seen: Vec::new() };
        let line = client.line().await;
        let json = line.strip_prefix("INFO ").expect("it comes first");
        (client, serde_json::from_str(json).unwrap())
    }

    pub async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    async fn more(&mut self) -> usize {
        let read = tokio::time::timeout(HANG, self.stream.read_buf(&mut self.seen)).await;
        read.unwrap_or_else(|_| panic!("only {:?}", String::from_utf8_lossy(&self.seen)))
            .unwrap_or(0)
    }

    /// The next line, without its end.
    pub async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.seen.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8(self.seen[..end].to_vec()).unwrap();
                self.seen.drain(..end + 2);
                return line;
            }
            assert!(self.more().await > 0, "closed after {:?}", self.seen);
        }
    }

    /// Reads as much as this, which must be this.
    pub async fn expect(&mut self, text: &str) {
        while self.seen.len() < text.len() && self.more().await > 0 {}
        let seen = String::from_utf8_lossy(&self.seen[..self.seen.len().min(text.len())]);
        assert_eq!(seen, text);
        self.seen.drain(..text.len());
    }

    /// Asserts that nothing came before the answer to a ping.
    pub async fn expect_nothing(&mut self) {
        self.say("PING\r\n").await;
        self.expect("PONG\r\n").await;
    }

    /// Asserts that the broker says this and closes.
    pub async fn expect_end(&mut self, text: &str) {
        while self.more().await > 0 {}
        assert_eq!(String::from_utf8_lossy(&self.seen), text);
    }
}
