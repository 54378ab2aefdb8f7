//! A broker in a temporary folder with a gRPC listener on a free port, and generated clients.

use std::sync::Arc;

use broker::{Broker, BrokerOptions};
use door::ListenerHandle;
pub use door::testing::HANG;
use door::testing::listen;
use door_grpc::pb::publisher_client::PublisherClient;
use door_grpc::pb::requests_client::RequestsClient;
use door_grpc::pb::subscriber_client::SubscriberClient;
use door_grpc::pb::topics_client::TopicsClient;
use door_grpc::{GrpcDoor, GrpcDoorOptions, pb};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

pub struct Fixture {
    _dir: TempDir,
    pub broker: Broker,
    pub door: Arc<GrpcDoor>,
    pub listener: ListenerHandle,
}

impl Fixture {
    pub async fn start() -> Self {
        Self::with(GrpcDoorOptions::default()).await
    }

    pub async fn with(options: GrpcDoorOptions) -> Self {
        Self::of(options, |_| {}).await
    }

    /// One whose broker is not like the others.
    pub async fn of(options: GrpcDoorOptions, change: impl FnOnce(&mut BrokerOptions)) -> Self {
        let dir = TempDir::new().unwrap();
        let (broker, _) = broker::testing::start(dir.path(), change).await;
        let door = Arc::new(GrpcDoor::new(broker.clone(), options));
        let listener = listen("GRPC", Arc::clone(&door) as _);
        Self { _dir: dir, broker, door, listener }
    }

    /// A connection of its own.
    pub async fn connect(&self) -> Channel {
        connect(&self.listener).await
    }

    pub async fn topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let request = pb::CreateTopicRequest {
            name: name.to_owned(),
            partitions,
            config: config.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        };
        TopicsClient::new(self.connect().await).create_topic(request).await.unwrap();
    }

    pub async fn queue(&self, name: &str) {
        let request = pb::DeclareQueueRequest { name: name.to_owned(), ..Default::default() };
        TopicsClient::new(self.connect().await).declare_queue(request).await.unwrap();
    }

    /// Publishes messages, and waits until they are stored, or delivered.
    pub async fn publish(&self, messages: impl IntoIterator<Item = pb::Message>) {
        let mut client = PublisherClient::new(self.connect().await);
        for message in messages {
            let request = pb::PublishRequest { message: Some(message), mandatory: false };
            client.publish(request).await.unwrap();
        }
    }

    /// A subscription that is there.
    pub async fn subscribe(&self, from: pb::open::From, credit: u32) -> Subscribed {
        let subscribed = Subscribed::begin(self.connect().await, from, credit).await;
        let mut subscribed = subscribed;
        assert!(matches!(subscribed.next().await, Ok(Told::Opened(_))));
        subscribed
    }

    pub async fn live(&self, filters: &[&str]) -> Subscribed {
        let filters = filters.iter().map(|filter| filter.to_string()).collect();
        let live = pb::Live { filters, ..Default::default() };
        self.subscribe(pb::open::From::Live(live), 1000).await
    }

    /// Has a shared subscription begin with the first message of a topic.
    pub async fn begin_at_earliest(&self, subscription: &str) {
        let key = || "share.auto.offset.reset".to_owned();
        let set = self.broker.set_group_config(subscription, |config| {
            config.insert(key(), "earliest".to_owned());
        });
        set.await.unwrap();
    }

    pub async fn requests(&self) -> RequestsClient<Channel> {
        RequestsClient::new(self.connect().await)
    }
}

pub async fn connect(listener: &ListenerHandle) -> Channel {
    let url = format!("http://{}", listener.local_address());
    Endpoint::from_shared(url).unwrap().connect().await.unwrap()
}

pub use pb::subscribe_response::Response as Told;

/// Both ends of a subscription.
pub struct Subscribed {
    pub say: Option<mpsc::Sender<pb::SubscribeRequest>>,
    pub told: Streaming<pb::SubscribeResponse>,
    /// Deliveries of an answer that had several.
    left: std::collections::VecDeque<pb::Delivery>,
}

impl Subscribed {
    pub async fn begin(channel: Channel, from: pb::open::From, credit: u32) -> Self {
        let (say, said) = mpsc::channel(64);
        let open = pb::Open { from: Some(from), credit };
        let subscribed = Self {
            told: SubscriberClient::new(channel)
                .subscribe(ReceiverStream::new(said))
                .await
                .unwrap()
                .into_inner(),
            say: Some(say),
            left: Default::default(),
        };
        subscribed.say(pb::subscribe_request::Request::Open(open)).await;
        subscribed
    }

    pub async fn say(&self, request: pb::subscribe_request::Request) {
        let request = pb::SubscribeRequest { request: Some(request) };
        self.say.as_ref().unwrap().send(request).await.unwrap();
    }

    pub async fn settle(&self, ids: &[u64], action: pb::Action, confirm: u64) {
        let one = pb::Settlement { ids: ids.to_vec(), action: action.into(), delay_ms: 0 };
        let settle = pb::Settle { settlements: vec![one], confirm };
        self.say(pb::subscribe_request::Request::Settle(settle)).await;
    }

    pub async fn commit(&self, positions: &[(&str, i32, i64)], confirm: u64) {
        let position = |(topic, partition, offset): &(&str, i32, i64)| pb::Position {
            topic: topic.to_string(),
            partition: *partition,
            offset: *offset,
        };
        let positions = positions.iter().map(position).collect();
        self.say(pb::subscribe_request::Request::Commit(pb::Commit { positions, confirm })).await;
    }

    /// The next answer, or how the stream ended.
    pub async fn next(&mut self) -> Result<Told, tonic::Status> {
        let next = tokio::time::timeout(HANG, self.told.message()).await.expect("nothing comes");
        match next? {
            Some(answer) => Ok(answer.response.unwrap()),
            None => Err(tonic::Status::ok("the end")),
        }
    }

    /// The next message.
    pub async fn delivery(&mut self) -> pb::Delivery {
        loop {
            if let Some(delivery) = self.left.pop_front() {
                return delivery;
            }
            match self.next().await.unwrap() {
                Told::Deliveries(all) => self.left.extend(all.deliveries),
                other => panic!("{other:?} instead of a delivery"),
            }
        }
    }

    pub async fn payload(&mut self) -> String {
        let message = self.delivery().await.message.unwrap();
        String::from_utf8(message.payload.unwrap().to_vec()).unwrap()
    }

    pub async fn payloads(&mut self, count: usize) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.payload().await);
        }
        all
    }
}

pub fn subject(subject: &str, payload: &str) -> pb::Message {
    let payload = Some(payload.as_bytes().to_vec().into());
    pb::Message { subject: subject.to_owned(), payload, ..Default::default() }
}

pub fn topic(topic: &str, payload: &str) -> pb::Message {
    pb::Message { topic: topic.to_owned(), ..subject("", payload) }
}

pub fn queue(queue: &str, payload: &str) -> pb::Message {
    pb::Message { queue: queue.to_owned(), ..subject("", payload) }
}
