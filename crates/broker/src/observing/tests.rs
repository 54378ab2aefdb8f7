use std::time::Duration;

use base::subject::TEXT;
use base::{Principal, Subject};
use bytes::Bytes;
use observe::state::{NodeKind, Scope};
use observe::{Key, Said, Value, kinds};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::access::Operation;
use crate::live::{Accepted, Batch, Delivery, SubscribeOptions, Subscriber};
use crate::tests::Fixture;
use crate::{BrowseLimits, Message, TopicError};

/// Longer than anything here takes; only a hang gets there.
const HANG: Duration = Duration::from_secs(60);

const LIMITS: BrowseLimits = BrowseLimits { messages: 100, bytes: 1 << 20, wait: HANG };

fn message(value: &'static str) -> Message {
    Message { value: Some(value.into()), ..Message::default() }
}

/// The value of a series without labels, or with these.
fn value(broker: &Broker, family: &str, labels: &[&str]) -> Option<Value> {
    let all = broker.observe().registry.gather(&|known| known.name == family);
    let series = all.into_iter().flat_map(|gathered| gathered.series);
    let same = |known: &[Arc<str>]| known.iter().map(AsRef::as_ref).eq(labels.iter().copied());
    series.into_iter().find(|(known, _)| same(known)).map(|(_, value)| value)
}

#[tokio::test]
async fn what_is_stored_is_counted() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("t", 2, &[]).await;
    let before = value(&fixture.broker, "entrepot_store_appended_records_total", &[]);
    fixture.broker.publish(&topic, &[message("a"), message("b")]).await.unwrap();
    let count = |value| match value {
        Some(Value::Counter(count)) => count,
        other => panic!("{other:?}"),
    };
    let after = value(&fixture.broker, "entrepot_store_appended_records_total", &[]);
    assert_eq!(count(after) - count(before), 2);
    let Some(Value::Histogram(syncs)) =
        value(&fixture.broker, "entrepot_store_sync_duration_seconds", &[])
    else {
        panic!("syncs are measured")
    };
    assert!(syncs.count() > 0);
    assert_eq!(value(&fixture.broker, "entrepot_partitions", &[]), Some(Value::Gauge(2)));
    assert_eq!(value(&fixture.broker, "entrepot_healthy", &[]), Some(Value::Gauge(1)));
}

/// Later than any in which the broker looks by itself.
const SECOND: u64 = 1 << 40;

#[tokio::test]
async fn a_group_is_behind_by_what_it_has_not_committed() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("t", 1, &[]).await;
    fixture.broker.publish(&topic, &[message("a"), message("b"), message("c")]).await.unwrap();
    fixture.commit("t", 1, 1, "").await;
    let inner = &fixture.broker.inner;
    inner.lags.look(inner, SECOND, 1_000_000);
    let lags = fixture.broker.group_lags();
    assert_eq!((&*lags[0].group, &*lags[0].topic, lags[0].messages), ("g", "t", 2));
    assert_eq!(lags[0].lost(), 0);
    let labels = ["g", "t"];
    let lag = value(&fixture.broker, "entrepot_group_lag_messages", &labels);
    assert_eq!(lag, Some(Value::Gauge(2)));
    // It does not go on.
    inner.lags.look(inner, SECOND + 7, 1_007_000);
    let still = fixture.broker.group_lags()[0].still_seconds - lags[0].still_seconds;
    assert_eq!(still, 7);
    // It has all.
    fixture.commit("t", 1, 3, "").await;
    inner.lags.look(inner, SECOND + 8, 2_000_000);
    let lag = fixture.broker.group_lags()[0].clone();
    assert_eq!((lag.messages, lag.behind_ms, lag.still_seconds), (0, Some(0), 0));
    // What was deleted before it was committed is lost.
    fixture.commit("t", 1, 1, "").await;
    fixture.broker.trim(&topic, 0, Some(2)).await.unwrap();
    inner.lags.look(inner, SECOND + 9, 3_000_000);
    let lag = fixture.broker.group_lags()[0].clone();
    assert_eq!((lag.messages, lag.lost()), (1, 1));
}

#[tokio::test]
async fn a_group_is_behind_by_a_part_of_what_its_topic_keeps() {
    let fixture = Fixture::start().await;
    let all = [message("a"), message("b"), message("c"), message("d")];
    for (name, config) in
        [("time", ("retention.ms", "100000")), ("size", ("retention.bytes", "400"))]
    {
        let topic = fixture.topic(name, 1, &[config]).await;
        fixture.broker.publish(&topic, &all).await.unwrap();
        fixture.commit(name, 1, 1, "").await;
    }
    let all_kept = fixture.topic("all", 1, &[("retention.ms", "-1")]).await;
    fixture.broker.publish(&all_kept, &all).await.unwrap();
    fixture.commit("all", 1, 1, "").await;
    let inner = &fixture.broker.inner;
    let kept = |name: &str| {
        let lags = fixture.broker.group_lags();
        lags.iter().find(|lag| &*lag.topic == name).unwrap().kept_percent
    };
    inner.lags.look(inner, SECOND, 1_000_000);
    assert_eq!((kept("time"), kept("all")), (Some(0), None));
    inner.lags.look(inner, SECOND + 85, 1_085_000);
    assert_eq!((kept("time"), kept("all")), (Some(85), None));
    let bytes = fixture.broker.topic("size").unwrap().logs[0].status().bytes;
    assert_eq!(kept("size"), Some(i64::try_from(bytes).unwrap() * 3 / 4 * 100 / 400));
    let node = fixture.broker.state(&Scope::of([NodeKind::Group]));
    let node = node.get(NodeKind::Group, "g").unwrap();
    assert_eq!((node.number("kept_percent"), node.text("kept_topic")), (Some(85), Some("time")));
    // Who has all loses nothing.
    fixture.commit("time", 1, 4, "").await;
    inner.lags.look(inner, SECOND + 86, 1_086_000);
    assert_eq!(kept("time"), Some(0));
}

#[tokio::test]
async fn a_partition_that_gets_much_more_than_others_is_known() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("t", 4, &[]).await;
    fixture.commit("t", 4, 0, "").await;
    let inner = &fixture.broker.inner;
    inner.lags.look(inner, SECOND, 1_000_000);
    let same = Message { key: Some("same".into()), ..message("a") };
    fixture.broker.publish(&topic, &vec![same; 1200]).await.unwrap();
    inner.lags.look(inner, SECOND + 100, 1_100_000);
    assert_eq!(fixture.broker.group_lags()[0].hot, None, "it was not watched for long enough");
    inner.lags.look(inner, SECOND + 300, 1_300_000);
    let (partition, hot) = fixture.broker.group_lags()[0].hot.unwrap();
    assert_eq!((hot.percent, hot.usual_percent), (100, 0));
    assert_eq!(topic.logs[usize::try_from(partition).unwrap()].range().end, 1200);
    let node = fixture.broker.state(&Scope::of([NodeKind::Group]));
    let node = node.get(NodeKind::Group, "g").unwrap();
    assert_eq!(node.number("hot_partition"), Some(i64::from(partition)));
    let behind = ["hot_behind_ms", "hot_others_behind_ms"].map(|name| node.number(name));
    assert!(behind[0].is_some_and(|own| (200_000..=300_000).contains(&own)), "{behind:?}");
    assert_eq!(behind[1], Some(0));
}

#[tokio::test]
async fn what_there_is_hangs_together() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("t", 2, &[("retention.ms", "1000")]).await;
    fixture.broker.publish(&topic, &[message("a")]).await.unwrap();
    fixture.commit("t", 2, 0, "").await;
    fixture.broker.inner.lags.look(&fixture.broker.inner, SECOND, 1_000_000);
    let graph = fixture.broker.state(&Scope::all());
    let node = graph.get(NodeKind::Topic, "t").unwrap();
    assert_eq!((node.number("partitions"), node.number("retention_ms")), (Some(2), Some(1000)));
    assert_eq!(graph.totals[&NodeKind::Partition], 2);
    let edges = graph.edges.iter().map(|edge| format!("{} {} {}", edge.from, edge.does, edge.to));
    let edges: Vec<_> = edges.collect();
    assert!(edges.contains(&"partition/t/1 of topic/t".to_owned()), "{edges:?}");
    assert!(edges.contains(&"group/g consumes topic/t".to_owned()), "{edges:?}");
    let store = graph.of_kind(NodeKind::Store).next().unwrap();
    assert_eq!(store.facts["healthy"], true.into());
    let page = Scope { offset: 1, limit: 1, ..Scope::of([NodeKind::Partition]) };
    let page = fixture.broker.state(&page);
    assert_eq!(page.nodes.len(), 1);
    assert_eq!((&*page.nodes[0].id.name, page.totals[&NodeKind::Partition]), ("t/1", 2));
}

#[tokio::test]
async fn events_are_records_of_a_topic_that_nobody_else_writes() {
    let fixture = Fixture::start().await;
    let broker = &fixture.broker;
    broker.begin_observing(ObserveOptions {
        watch: false,
        events_topic: true,
        ..Default::default()
    });
    broker.observe().events.tell(&kinds::STARTED, None, || Said::new("ready").with("in", &5));
    let mut metadata = broker.watch_metadata();
    let made = metadata.wait_for(|metadata| metadata.topics.contains_key(EVENTS_TOPIC));
    timeout(HANG, made).await.unwrap().unwrap();
    let topic = broker.topic(EVENTS_TOPIC).unwrap();
    assert!(topic.topic.internal);
    assert_eq!(broker.metadata().listed().count(), 0, "it is told to who names it");
    let browsed = timeout(HANG, broker.browse(&topic, 0, 0, LIMITS)).await.unwrap().unwrap();
    let told = &browsed.found[0].message;
    assert_eq!(told.key.as_deref(), Some(&b"broker.started"[..]));
    let event: serde_json::Value = serde_json::from_slice(told.value.as_deref().unwrap()).unwrap();
    assert_eq!((&event["text"], &event["fields"]["in"]), (&"ready".into(), &"5".into()));
    let refused = broker.publish(&topic, &[message("mine")]).await;
    assert!(matches!(refused, Err(crate::ProduceError::Internal)));
    assert!(matches!(broker.delete_topic(EVENTS_TOPIC, None).await, Err(TopicError::Internal(_))));
}

#[tokio::test]
async fn it_looks_at_itself_and_remembers() {
    let fixture = Fixture::start().await;
    let broker = &fixture.broker;
    broker.begin_observing(ObserveOptions {
        watch: true,
        events_topic: false,
        ..Default::default()
    });
    let key = Key::new("entrepot_topics", []);
    let seen = async {
        while broker.observe().history.last(&key).is_none() {
            tokio::task::yield_now().await; // poll: until somebody has looked, bounded by HANG
        }
    };
    timeout(HANG, seen).await.unwrap();
    assert!(broker.incidents().is_empty(), "{:?}", broker.incidents());
}

#[tokio::test]
async fn messages_are_looked_at_without_being_consumed() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("t", 1, &[]).await;
    let broker = &fixture.broker;
    broker.publish(&topic, &[message("a"), message("b"), message("c")]).await.unwrap();
    let limits = BrowseLimits { messages: 2, ..LIMITS };
    let browsed = broker.browse(&topic, 0, 0, limits).await.unwrap();
    let values: Vec<_> = browsed.found.iter().map(|found| found.message.value.clone()).collect();
    assert_eq!(values, [Some("a".into()), Some("b".into())]);
    assert_eq!((browsed.next, browsed.start, browsed.end), (2, 0, 3));
    let rest = broker.browse(&topic, 0, browsed.next, limits).await.unwrap();
    assert_eq!((rest.found.len(), rest.next), (1, 3));
    // Who waits is told when something comes.
    let waiting = broker.browse(&topic, 0, 3, LIMITS);
    let publishing = async { broker.publish(&topic, &[message("d")]).await };
    let (found, published) =
        timeout(HANG, async { tokio::join!(waiting, publishing) }).await.unwrap();
    published.unwrap();
    assert_eq!(found.unwrap().found[0].offset, 3);
    let none = BrowseLimits { wait: Duration::ZERO, ..LIMITS };
    assert_eq!(broker.browse(&topic, 0, 4, none).await.unwrap().found.len(), 0);
    assert!(broker.browse(&topic, 0, 99, none).await.is_err(), "behind the end");
    assert!(broker.browse(&topic, 1, 0, none).await.is_err(), "no such partition");
}

/// Remembers names and values.
#[derive(Debug)]
struct Ear(mpsc::Sender<(String, Bytes)>);

impl Subscriber for Ear {
    fn deliver(&self, _: &[u64], delivery: &Delivery<'_>) -> Accepted {
        let value = delivery.message.value.clone().unwrap_or_default();
        let name = String::from_utf8_lossy(delivery.name(&TEXT)).into_owned();
        self.0.try_send((name, value)).map_or(Accepted::No, |()| Accepted::Yes)
    }
}

#[tokio::test]
async fn events_are_said_to_who_listens_and_nobody_else_can_say_them() {
    let fixture = Fixture::start().await;
    let broker = &fixture.broker;
    let tell = |text: &str| {
        broker.observe().events.tell(&kinds::STARTED, None, || Said::new(text.to_owned()));
    };
    tell("before");
    let listen = |to: &str| {
        let (ear, heard) = mpsc::channel(9);
        let filter = TEXT.filter(to.as_bytes()).unwrap().skipping_hidden(true);
        let options = SubscribeOptions::default();
        (broker.subscribe(filter, Arc::new(Ear(ear)), 0, options).unwrap(), heard)
    };
    let (_own, mut heard) = listen("$events.broker.*");
    let (_all, mut all) = listen(">");
    broker.begin_observing(ObserveOptions {
        watch: false,
        events_topic: false,
        ..Default::default()
    });
    // It begins with what comes next, whenever it begins.
    let (name, value) = loop {
        tell("now");
        tokio::task::yield_now().await; // poll: until it has begun, bounded by the pace of events
        if let Ok(one) = heard.try_recv() {
            break one;
        }
    };
    assert_eq!(name, "$events.broker.started");
    let event: serde_json::Value = serde_json::from_slice(&value).unwrap();
    assert_eq!(event["text"], "now");
    assert!(all.try_recv().is_err(), "hidden from who asks for everything");
    let subject = Subject::from_levels(["$events", "broker", "started"]);
    let route = broker.find_route(subject.clone());
    let routed = broker.route(&route, &message("mine"), &mut Batch::default());
    assert!(matches!(routed, Err(crate::ProduceError::Internal)), "{routed:?}");
    let actor = broker.actor(Principal::anonymous(), "127.0.0.1".into());
    assert!(actor.may_subject(Operation::Read, &subject));
    assert!(!actor.may_subject(Operation::Write, &subject));
}
