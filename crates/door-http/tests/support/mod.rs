//! A broker in a temporary folder with an HTTP listener on a free port.

use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, BrokerOptions};
pub use door::testing::HANG;
use door::testing::bind;
use door::{ConnectionLimit, ListenerHandle};
use door_http::{HttpDoor, HttpDoorOptions};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

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
        let (broker, _) = broker::testing::start(dir.path(), change).await;
        let door = Arc::new(HttpDoor::new(broker.clone(), HttpDoorOptions::default()));
        let listener = bind("HTTP").with_observe(Arc::clone(broker.observe()));
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
