use std::collections::BTreeMap;
use std::sync::Arc;

use base::Filter;
use base::subject::TEXT;
use bytes::Bytes;
use parking_lot::Mutex;

use super::*;
use crate::Broker;
use crate::message::Message;
use crate::tests::{Fixture, batches};

/// Remembers what it is given.
#[derive(Debug, Default)]
struct Inbox {
    got: Mutex<Vec<(Vec<u64>, String, String)>>,
    refuses: bool,
}

impl Subscriber for Inbox {
    fn deliver(&self, tags: &[u64], delivery: &Delivery<'_>) -> Accepted {
        if self.refuses {
            return Accepted::No;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let value = delivery.message.value.as_deref().map(text).unwrap_or_default();
        let mut tags = tags.to_vec();
        tags.sort_unstable();
        self.got.lock().push((tags, text(delivery.name(&TEXT)), value));
        Accepted::Yes
    }
}

impl Inbox {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    fn take(&self) -> Vec<(Vec<u64>, String, String)> {
        std::mem::take(&mut self.got.lock())
    }

    fn values(&self) -> Vec<String> {
        self.take().into_iter().map(|(_, _, value)| value).collect()
    }
}

fn filter(text: &str) -> Filter {
    TEXT.filter(text.as_bytes()).unwrap()
}

fn message(value: &str) -> Message {
    Message { value: Some(Bytes::copy_from_slice(value.as_bytes())), ..Message::default() }
}

/// A client with one identity.
struct Client<'a> {
    broker: &'a Broker,
    cache: RouteCache,
    id: PublisherId,
}

impl<'a> Client<'a> {
    fn new(broker: &'a Broker) -> Self {
        Self { broker, cache: broker.new_route_cache(&TEXT), id: broker.new_publisher() }
    }

    /// Publishes to a subject that no topic keeps; returns how many got it.
    fn publish(&mut self, subject: &str, value: &str) -> usize {
        let mut batch = Batch::default();
        let routed = self.put(subject, value, &mut batch);
        assert_eq!(routed.stored, None);
        routed.receivers
    }

    fn put(&mut self, subject: &str, value: &str, batch: &mut Batch) -> Routed {
        let route = self.cache.find(self.broker, subject.as_bytes(), |_| true).unwrap();
        let message = Message { publisher: self.id, ..message(value) };
        self.broker.route(route, &message, batch).unwrap()
    }

    fn subscribe(&self, to: &str, inbox: &Arc<Inbox>, tag: u64) -> Subscription {
        let options = SubscribeOptions { publisher: self.id, ..SubscribeOptions::default() };
        self.broker.subscribe(filter(to), Arc::clone(inbox) as _, tag, options).unwrap()
    }

    fn join(&self, to: &str, group: &str, inbox: &Arc<Inbox>, merges: bool) -> Subscription {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let group = Group { name: bytes(group), merges, member: Bytes::new(), weight: 1 };
        let options = SubscribeOptions {
            publisher: self.id,
            group: Some(group),
            ..SubscribeOptions::default()
        };
        self.broker.subscribe(filter(to), Arc::clone(inbox) as _, 0, options).unwrap()
    }
}

#[tokio::test]
async fn who_is_there_gets_it_at_once_and_who_left_does_not() {
    let fixture = Fixture::start().await;
    let mut publisher = Client::new(&fixture.broker);
    let (one, two) = (Client::new(&fixture.broker), Client::new(&fixture.broker));
    let (first, second) = (Inbox::new(), Inbox::new());
    assert_eq!(publisher.publish("a.b", "nobody"), 0);
    let subscription = one.subscribe("a.*", &first, 7);
    let _other = two.subscribe("a.b", &second, 8);
    assert_eq!(publisher.publish("a.b", "both"), 2);
    assert_eq!(publisher.publish("a.c", "one"), 1);
    drop(subscription);
    assert_eq!(publisher.publish("a.b", "second"), 1);
    assert_eq!(publisher.publish("a.c", "nobody"), 0);
    let got = |tag, subject: &str, value: &str| (vec![tag], subject.to_owned(), value.to_owned());
    assert_eq!(first.take(), [got(7, "a.b", "both"), got(7, "a.c", "one")]);
    assert_eq!(second.take(), [got(8, "a.b", "both"), got(8, "a.b", "second")]);
}

#[tokio::test]
async fn overlapping_subscriptions_of_one_are_told_together() {
    let fixture = Fixture::start().await;
    let mut client = Client::new(&fixture.broker);
    let inbox = Inbox::new();
    let _all = client.subscribe(">", &inbox, 1);
    let _one = client.subscribe("a.b", &inbox, 2);
    assert_eq!(client.publish("a.b", "x"), 1);
    assert_eq!(inbox.take(), [(vec![1, 2], "a.b".to_owned(), "x".to_owned())]);
    // One of them does not want what it publishes itself.
    let options =
        SubscribeOptions { publisher: client.id, no_echo: true, group: None, session: None };
    let subscribe = client.broker.subscribe(filter("*.b"), Arc::clone(&inbox) as _, 3, options);
    let _quiet = subscribe.unwrap();
    assert_eq!(client.publish("a.b", "own"), 1);
    assert_eq!(Client::new(&fixture.broker).publish("a.b", "other"), 1);
    let tags: Vec<_> = inbox.take().into_iter().map(|(tags, ..)| tags).collect();
    assert_eq!(tags, [vec![1, 2], vec![1, 2, 3]]);
}

#[tokio::test]
async fn who_wants_no_echo_gets_what_others_publish() {
    let fixture = Fixture::start().await;
    let (mut own, mut other) = (Client::new(&fixture.broker), Client::new(&fixture.broker));
    let inbox = Inbox::new();
    let options = SubscribeOptions { publisher: own.id, no_echo: true, group: None, session: None };
    let _subscription =
        fixture.broker.subscribe(filter("a"), Arc::clone(&inbox) as _, 1, options).unwrap();
    assert_eq!((own.publish("a", "own"), other.publish("a", "other")), (0, 1));
    assert_eq!(inbox.values(), ["other"]);
}

#[tokio::test]
async fn of_a_group_one_gets_it_and_another_if_that_one_cannot() {
    let fixture = Fixture::start().await;
    let mut client = Client::new(&fixture.broker);
    let inboxes: Vec<_> = (0..3).map(|_| Inbox::new()).collect();
    let mut members: Vec<_> =
        inboxes.iter().map(|inbox| client.join("jobs.*", "workers", inbox, true)).collect();
    for number in 0..30 {
        assert_eq!(client.publish("jobs.x", &number.to_string()), 1);
    }
    assert_eq!(inboxes.iter().map(|inbox| inbox.values().len()).collect::<Vec<_>>(), [10; 3]);
    // Another filter, but the same group; and one that is a group by itself.
    let (wide, own) = (Inbox::new(), Inbox::new());
    members.push(client.join("jobs.>", "workers", &wide, true));
    members.push(client.join("jobs.x", "workers", &own, false));
    for number in 0..40 {
        assert_eq!(client.publish("jobs.x", &number.to_string()), 2);
    }
    assert_eq!((wide.values().len(), own.values().len()), (10, 40));
    drop(members);
    assert_eq!(client.publish("jobs.x", "nobody"), 0);
    assert!(fixture.broker.inner.live.groups.is_empty());

    let (broken, works) = (Arc::new(Inbox { refuses: true, ..Inbox::default() }), Inbox::new());
    let _broken = client.join("jobs.x", "workers", &broken, true);
    assert_eq!(client.publish("jobs.x", "lost"), 0);
    let _works = client.join("jobs.x", "workers", &works, true);
    for number in 0..4 {
        assert_eq!(client.publish("jobs.x", &number.to_string()), 1);
    }
    assert_eq!(works.values(), ["0", "1", "2", "3"]);
}

#[tokio::test]
async fn what_a_topic_keeps_is_stored_once_with_its_subject_as_key() {
    let fixture = Fixture::start().await;
    let telemetry = fixture.topic("telemetry", 3, &[("entrepot.bind", "sensors.> meters.*")]).await;
    let own = fixture.topic("sensors.room", 1, &[]).await;
    let mut client = Client::new(&fixture.broker);
    let mut batch = Batch::default();
    let subjects = ["sensors.room", "sensors.room.temp", "meters.7", "meters.7.a", "telemetry"];
    let stored: Vec<_> =
        subjects.map(|subject| client.put(subject, subject, &mut batch).stored).to_vec();
    assert_eq!(stored, [Some(0), Some(1), Some(2), None, None]);
    let outcomes = fixture.broker.store(batch).await.done().await;
    assert_eq!(outcomes, vec![Ok(()); 3]);

    let mut keys = BTreeMap::new();
    for partition in 0..3 {
        for batch in batches(&telemetry, partition) {
            for record in batch.records().unwrap().map(Result::unwrap) {
                keys.insert(record.key.unwrap(), (record.value.unwrap(), record.headers.len()));
            }
        }
    }
    let kept: Vec<_> = keys.keys().map(|key| std::str::from_utf8(key).unwrap()).collect();
    assert_eq!(kept, ["meters.7", "sensors.room", "sensors.room.temp"]);
    assert!(keys.iter().all(|(key, (value, _))| key == value));
    let copies = batches(&own, 0).len();
    assert_eq!(copies, 1, "a topic keeps what is published to its own name");
    let marked = keys["sensors.room".as_bytes()].1
        + batches(&own, 0)[0].records().unwrap().map(|r| r.unwrap().headers.len()).sum::<usize>();
    assert_eq!(marked, 1, "one of the two says that it is the other's copy");

    // What is set on a topic counts for the next message, in a cache that knows the subject, too.
    let bind = |set: &mut BTreeMap<String, String>| {
        set.insert("entrepot.bind".to_owned(), "meters.7.a".to_owned());
    };
    fixture.broker.set_topic_config("telemetry", bind).await.unwrap();
    let mut batch = Batch::default();
    assert_eq!(client.put("meters.7.a", "x", &mut batch).stored, Some(0));
    assert_eq!(client.put("meters.7", "x", &mut batch).stored, None);
    fixture.broker.delete_topic("telemetry", None).await.unwrap();
    assert_eq!(client.put("meters.7.a", "x", &mut batch).stored, None);
}

#[tokio::test]
async fn a_topic_that_is_being_changed_keeps_a_message_once() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("a", 1, &[]).await;
    // As it is for a moment: the new one is there, and the old one still is.
    fixture.broker.inner.live.bindings.insert(&filter("a"), Bound(Arc::clone(&topic)), None);
    let route = fixture.broker.find_route(TEXT.subject(b"a").unwrap());
    assert_eq!(route.topics().len(), 1);
}

#[tokio::test]
async fn a_topic_that_does_not_take_a_message_keeps_it_from_everybody() {
    let fixture = Fixture::start().await;
    fixture.topic("small", 1, &[("max.message.bytes", "200")]).await;
    let mut cache = fixture.broker.new_route_cache(&TEXT);
    let route = Arc::clone(cache.find(&fixture.broker, b"small", |_| true).unwrap());
    let mut batch = Batch::default();
    let large = message(&"x".repeat(300));
    let refused = fixture.broker.route(&route, &large, &mut batch).unwrap_err();
    assert!(matches!(refused, crate::ProduceError::TooLarge { limit: 200, .. }));
    assert!(batch.is_empty());
    assert!(fixture.broker.route(&route, &message("x"), &mut batch).is_ok());
    assert_eq!(fixture.broker.store(batch).await.done().await, [Ok(())]);
}

#[tokio::test]
async fn access_is_asked_again_when_rules_change() {
    let fixture = Fixture::start().await;
    let mut cache = fixture.broker.new_route_cache(&TEXT);
    let mut asked = 0;
    for _ in 0..3 {
        let route = cache.find(&fixture.broker, b"a.b", |_| {
            asked += 1;
            asked > 1
        });
        assert_eq!(route.unwrap().is_allowed(), asked > 1);
    }
    assert_eq!(asked, 1);
    fixture.broker.inner.live.access_changed();
    let route = cache.find(&fixture.broker, b"a.b", |_| true).unwrap();
    assert!(route.is_allowed());
    assert!(cache.find(&fixture.broker, b"a..b", |_| true).is_err());
}

mod dispatch;
mod tails;
