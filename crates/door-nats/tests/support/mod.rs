//! A broker in a temporary folder with a NATS listener on a free port, and a client of raw lines.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base::{BrokerId, SystemClock, SystemRandom};
use broker::store::{Store, StoreOptions};
use broker::{Broker, BrokerOptions};
use door::{ConnectionLimit, Listener, ListenerHandle, ListenerOptions};
use door_nats::{NatsDoor, NatsDoorOptions};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything here takes; only a hang gets there.
pub const HANG: Duration = Duration::from_secs(30);

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
        let broker = broker(&dir, change).await;
        let door = Arc::new(NatsDoor::new(broker.clone(), options));
        let listener = bind().run(Arc::clone(&door) as _, ConnectionLimit::default());
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

pub fn bind() -> Listener {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Listener::bind(&ListenerOptions::new("NATS", loopback)).unwrap()
}

pub async fn broker(dir: &TempDir, change: impl FnOnce(&mut BrokerOptions)) -> Broker {
    let mut options = options(dir.path().display().to_string());
    change(&mut options);
    let store = StoreOptions { wal_file_bytes: 1 << 20, ..StoreOptions::new(dir.path()) };
    let store = Arc::new(Store::open(store, Arc::new(SystemClock)).unwrap());
    let meta = dir.path().join("meta");
    std::fs::create_dir_all(&meta).unwrap();
    let meta = Arc::new(cluster::Embedded::open(&meta, cluster::Options::default()).unwrap());
    Broker::start(options, Arc::clone(&store), meta).await.unwrap()
}

fn options(data_dir: String) -> BrokerOptions {
    BrokerOptions {
        id: BrokerId(0),
        endpoints: Vec::new(),
        rack: None,
        data_dir,
        session_queue_bytes_max: 1 << 30,
        loggers: Arc::new(broker::loggers::NoLoggers),
        settings: Vec::new(),
        auto_create_topics: true,
        delete_topics: true,
        default_partitions: 1,
        topic_defaults: BTreeMap::new(),
        group_defaults: BTreeMap::new(),
        group_bounds: BTreeMap::new(),
        share_members_max: 200,
        dead_letter_prefix: "dlq.".into(),
        auto_create_dead_letter_topics: false,
        groups: broker::queue::Config::default(),
        transactions: broker::queue::transactions::TxnConfig::default(),
        access: broker::access::AccessOptions::default(),
        quotas: broker::quotas::QuotaOptions::default(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
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
