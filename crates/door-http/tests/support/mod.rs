//! A broker in a temporary folder with an HTTP listener on a free port.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base::{BrokerId, SystemClock, SystemRandom};
use broker::store::{Store, StoreOptions};
use broker::{Broker, BrokerOptions};
use door::{ConnectionLimit, Listener, ListenerHandle, ListenerOptions};
use door_http::{HttpDoor, HttpDoorOptions};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything here takes; only a hang gets there.
pub const HANG: Duration = Duration::from_secs(30);

pub struct Fixture {
    _dir: TempDir,
    pub broker: Broker,
    pub door: Arc<HttpDoor>,
    pub listener: ListenerHandle,
}

/// What was answered.
pub struct Answered {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answered {
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

impl Fixture {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut BrokerOptions)) -> Self {
        let dir = TempDir::new().unwrap();
        let broker = broker(&dir, change).await;
        let door = Arc::new(HttpDoor::new(broker.clone(), HttpDoorOptions::default()));
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener::bind(&ListenerOptions::new("HTTP", loopback)).unwrap();
        let listener = listener.with_observe(Arc::clone(broker.observe()));
        let listener = listener.run(Arc::clone(&door) as _, ConnectionLimit::default());
        Self { _dir: dir, broker, door, listener }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.listener.local_address()).await.unwrap()
    }

    /// Asks with these lines in the head, and this body.
    pub async fn raw(&self, method: &str, path: &str, head: &str, body: &str) -> Answered {
        let mut stream = self.connect().await;
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{head}\
             Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(HANG, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answered { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    pub async fn get(&self, path: &str) -> Json {
        let answered = self.raw("GET", path, "", "").await;
        assert_eq!(answered.status, 200, "{path}: {}", answered.body);
        answered.json()
    }

    pub async fn send(&self, method: &str, path: &str, body: &Json) -> Answered {
        self.raw(method, path, "Content-Type: application/json\r\n", &body.to_string()).await
    }
}

/// What a stream sends, read line by line.
pub struct Stream {
    stream: TcpStream,
    seen: Vec<u8>,
}

impl Stream {
    pub async fn open(fixture: &Fixture, path: &str, head: &str) -> Self {
        let mut stream = fixture.connect().await;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n{head}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, seen: Vec::new() }
    }

    /// Reads until this was sent; returns all so far.
    pub async fn until(&mut self, text: &str) -> String {
        loop {
            let seen = String::from_utf8_lossy(&self.seen).into_owned();
            if seen.contains(text) {
                return seen;
            }
            let read = timeout(HANG, self.stream.read_buf(&mut self.seen)).await;
            let read = read.unwrap_or_else(|_| panic!("no {text:?} in {seen:?}")).unwrap();
            assert!(read > 0, "it ended without {text:?}: {seen:?}");
        }
    }

    /// What was sent so far.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Reads a little more, if there is more at once.
    pub async fn more(&mut self) {
        let reading = self.stream.read_buf(&mut self.seen);
        if let Ok(read) = timeout(Duration::from_millis(100), reading).await {
            assert!(read.unwrap() > 0, "it ended: {}", self.seen());
        }
    }

    /// Reads to the end.
    pub async fn end(mut self) -> String {
        timeout(HANG, self.stream.read_to_end(&mut self.seen)).await.unwrap().unwrap();
        String::from_utf8_lossy(&self.seen).into_owned()
    }
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
