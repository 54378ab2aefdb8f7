//! A broker in a temporary folder with a Kafka listener on a free port, and a client of raw
//! requests.

use std::sync::Arc;
use std::time::Duration;

use base::{Credential, PasswordHash, SystemClock, SystemRandom};
use broker::metadata::Endpoint;
use broker::store::Store;
use broker::{Broker, BrokerOptions};
use bytes::{Bytes, BytesMut};
use door::sasl::jwt::{TokenOptions, Tokens, Trust};
use door::sasl::{LoginContext, LoginOptions, Logins, Users};
pub use door::testing::HANG;
use door::testing::bind;
use door::{ConnectionLimit, ListenerHandle};
use door_kafka::wire::{RequestMessage, decode_response, encode_request};
use door_kafka::{KafkaDoor, KafkaDoorOptions};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Fixture {
    pub dir: TempDir,
    pub broker: Broker,
    pub door: Arc<KafkaDoor>,
    pub store: Arc<Store>,
    listener: ListenerHandle,
}

impl Fixture {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut BrokerOptions)) -> Self {
        Self::open(TempDir::new().unwrap(), change).await
    }

    /// Stops the broker and starts it again on the same folder.
    pub async fn restart(self) -> Self {
        let Self { dir, broker, store, listener, door } = self;
        drop(door);
        listener.stop(HANG).await;
        broker.stop().await;
        drop(broker);
        tokio::task::spawn_blocking(move || store.close()).await.unwrap();
        Self::open(dir, |_| {}).await
    }

    async fn open(dir: TempDir, change: impl FnOnce(&mut BrokerOptions)) -> Self {
        let listener = bind("PLAINTEXT");
        let address = listener.local_address();
        let configure = |options: &mut BrokerOptions| {
            options.endpoints = vec![Endpoint {
                listener: "PLAINTEXT".into(),
                security: "PLAINTEXT".into(),
                host: address.ip().to_string(),
                port: address.port(),
            }];
            options.groups.initial_rebalance_delay = 0;
            change(options);
        };
        let (broker, store) = broker::testing::start(dir.path(), configure).await;
        let door = Arc::new(KafkaDoor::new(broker.clone(), KafkaDoorOptions::default()));
        let listener = listener.run(Arc::clone(&door) as _, ConnectionLimit::default());
        Self { dir, broker, door, store, listener }
    }

    pub async fn client(&self) -> Client {
        Client::connect(&self.listener).await
    }

    /// Another listener on which one must log in.
    pub fn listen(&self, options: LoginOptions) -> ListenerHandle {
        let tokens = Tokens::new(TokenOptions::new(Trust::Anybody)).unwrap();
        let context = LoginContext {
            users: Arc::new(BrokerUsers(self.broker.clone())),
            tokens: Some(Arc::new(tokens)),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            secret: [7; 32],
        };
        let listener = bind("SASL").with_logins(Arc::new(Logins::new(options, context)));
        listener.run(Arc::clone(&self.door) as _, ConnectionLimit::default())
    }

    /// Connections open now.
    pub fn connections(&self) -> u64 {
        self.listener.stats().snapshot().open
    }

    /// Makes a topic with one partition, or so many.
    pub async fn topic(&self, name: &str, partitions: i32) -> [u8; 16] {
        let new = broker::NewTopic {
            name: name.to_owned(),
            partitions: Some(partitions),
            ..broker::NewTopic::default()
        };
        self.broker.create_topic(new).await.unwrap().id.to_bytes()
    }
}

/// The users that the broker knows.
#[derive(Debug)]
struct BrokerUsers(Broker);

impl Users for BrokerUsers {
    fn credential(&self, name: &str, hash: PasswordHash) -> Option<Credential> {
        self.0.metadata().users.get(name)?.credentials.get(&hash).cloned()
    }

    fn some_name(&self, _: u64) -> Option<String> {
        None
    }
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    buffer: BytesMut,
    correlation: i32,
}

impl Client {
    pub async fn connect(listener: &ListenerHandle) -> Self {
        let stream = TcpStream::connect(listener.local_address()).await.unwrap();
        Self { stream, buffer: BytesMut::new(), correlation: 0 }
    }

    pub async fn call<R: RequestMessage>(&mut self, request: &R, version: i16) -> R::Response {
        let sent = self.send(request, version).await;
        let (correlation, response) = self.receive::<R>(version).await.expect("a response");
        assert_eq!(correlation, sent, "responses come in the order of the requests");
        response
    }

    pub async fn send<R: RequestMessage>(&mut self, request: &R, version: i16) -> i32 {
        self.correlation += 1;
        let frame = encode_request(request, version, self.correlation, Some("test")).unwrap();
        self.write(&frame).await;
        self.correlation
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// `None` when the connection was closed instead.
    pub async fn receive<R: RequestMessage>(&mut self, version: i16) -> Option<(i32, R::Response)> {
        let frame = self.frame().await?;
        Some(decode_response::<R>(frame, version).expect("a response that can be read"))
    }

    /// The next frame without its length.
    pub async fn frame(&mut self) -> Option<Bytes> {
        let reading = async {
            loop {
                if let Some(length) = self.buffer.first_chunk::<4>() {
                    let whole = 4 + usize::try_from(u32::from_be_bytes(*length)).unwrap();
                    if self.buffer.len() >= whole {
                        return Some(self.buffer.split_to(whole).freeze().slice(4..));
                    }
                }
                match self.stream.read_buf(&mut self.buffer).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        };
        tokio::time::timeout(HANG, reading).await.expect("no hang")
    }

    pub async fn shutdown(&mut self) {
        self.stream.shutdown().await.unwrap();
    }
}

/// Waits until something that happens soon has happened.
pub async fn eventually(mut check: impl FnMut() -> bool) {
    let waiting = async {
        while !check() {
            tokio::time::sleep(Duration::from_millis(5)).await; // poll: bounded by the time-out here
        }
    };
    tokio::time::timeout(HANG, waiting).await.expect("happens at last");
}
