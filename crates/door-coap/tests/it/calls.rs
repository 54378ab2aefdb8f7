//! A request that somebody else answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::subject::TEXT;
use broker::live::{Accepted, Batch, Delivery, Group, SubscribeOptions, Subscriber};
use broker::{Broker, Message};
use bytes::Bytes;
use coap_lite::{CoapOption, RequestType};
use door_coap::CoapDoorOptions;

use crate::support::{Fixture, code, option, packet, with};

/// Answers at once, or never.
#[derive(Debug)]
struct Responder {
    broker: Broker,
    answers: bool,
}

impl Subscriber for Responder {
    fn deliver(&self, _tags: &[u64], delivery: &Delivery<'_>) -> Accepted {
        let reply_to = delivery.message.properties.reply_to.clone().expect("an answer is wanted");
        if self.answers {
            let asked = delivery.message.value.clone().unwrap_or_default();
            let value = Some(Bytes::from([b"re: ", &asked[..]].concat()));
            let route = self.broker.find_route(reply_to);
            let message = Message { value, ..Message::default() };
            self.broker.route(&route, &message, &mut Batch::default()).unwrap();
        }
        Accepted::Yes
    }
}

async fn ask(answers: bool) -> coap_lite::Packet {
    let request_timeout = std::time::Duration::from_millis(if answers { 30_000 } else { 20 });
    let fixture = Fixture::with(CoapDoorOptions { request_timeout, ..Default::default() }).await;
    let broker = fixture.broker.clone();
    let responder = Arc::new(Responder { broker: broker.clone(), answers });
    let group = Group { name: "workers".into(), merges: true, member: Bytes::new(), weight: 1 };
    let publisher = broker.new_publisher();
    let options = SubscribeOptions { publisher, group: Some(group), ..Default::default() };
    let filter = TEXT.filter(b"svc.*").unwrap();
    let _subscription = broker.subscribe(filter, responder, 0, options).unwrap();
    let mut client = fixture.client().await;
    let mut post = packet(RequestType::Post, "svc/echo");
    post.payload = b"hello".to_vec();
    client.ask(post).await
}

#[tokio::test]
async fn a_request_is_answered_by_a_responder() {
    let answer = ask(true).await;
    assert_eq!((code(&answer).as_str(), &answer.payload[..]), ("2.04", &b"re: hello"[..]));
}

#[tokio::test]
async fn a_responder_that_says_nothing_is_told_of() {
    assert_eq!(code(&ask(false).await), "5.04");
}

#[tokio::test]
async fn without_a_responder_a_post_publishes() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let mut post = packet(RequestType::Post, "svc/echo");
    post.payload = b"hello".to_vec();
    assert_eq!(code(&client.ask(post).await), "2.01");
    assert_eq!(client.get("svc/echo").await.payload, b"hello");
}

#[tokio::test]
async fn a_request_reaches_its_responder_once_though_its_client_must_show_where_it_is() {
    let fixture = Fixture::with(CoapDoorOptions { echo: true, ..Default::default() }).await;
    let broker = fixture.broker.clone();
    let responder = Arc::new(Counting { broker: broker.clone(), count: AtomicUsize::new(0) });
    let group = Group { name: "workers".into(), merges: true, member: Bytes::new(), weight: 1 };
    let publisher = broker.new_publisher();
    let options = SubscribeOptions { publisher, group: Some(group), ..Default::default() };
    let filter = TEXT.filter(b"svc.*").unwrap();
    let subscriber = Arc::clone(&responder) as _;
    let _subscription = broker.subscribe(filter, subscriber, 0, options).unwrap();
    let mut client = fixture.client().await;
    let post = packet(RequestType::Post, "svc/long");
    let refused = client.ask(post.clone()).await;
    assert_eq!(code(&refused), "4.01");
    let echo = option(&refused, CoapOption::Unknown(252)).expect("a value to return");
    let answer = client.ask(with(post, CoapOption::Unknown(252), &echo)).await;
    assert_eq!((code(&answer).as_str(), answer.payload.len()), ("2.04", 900));
    assert_eq!(responder.count.load(Ordering::Relaxed), 1);
}

/// Answers at length, and counts.
#[derive(Debug)]
struct Counting {
    broker: Broker,
    count: AtomicUsize,
}

impl Subscriber for Counting {
    fn deliver(&self, _tags: &[u64], delivery: &Delivery<'_>) -> Accepted {
        self.count.fetch_add(1, Ordering::Relaxed);
        let reply_to = delivery.message.properties.reply_to.clone().expect("an answer is wanted");
        let route = self.broker.find_route(reply_to);
        let message = Message { value: Some(vec![7; 900].into()), ..Message::default() };
        self.broker.route(&route, &message, &mut Batch::default()).unwrap();
        Accepted::Yes
    }
}
