//! What is in topics is delivered live, however it came there.

use std::time::Duration;

use store::batch::{BatchBuilder, Compression, Marker, NewRecord};

use super::*;

impl Inbox {
    /// Waits until this many came.
    async fn wait(&self, count: usize) -> Vec<(Vec<u64>, String, String)> {
        let begin = tokio::time::Instant::now();
        while self.got.lock().len() < count && begin.elapsed() < Duration::from_secs(60) {
            tokio::time::sleep(Duration::from_millis(2)).await; // poll: another task delivers; 60 s
        }
        self.take()
    }
}

/// Appends records as producers of batches do.
async fn produce(fixture: &Fixture, topic: &str, records: &[(Option<&str>, &str)]) {
    produce_as(fixture, topic, records, None).await;
}

/// In an open transaction of this producer, if there is one.
async fn produce_as(
    fixture: &Fixture,
    topic: &str,
    records: &[(Option<&str>, &str)],
    producer: Option<i64>,
) {
    let mut batch = BatchBuilder::new(Compression::Lz4);
    for (key, value) in records {
        let key = key.map(str::as_bytes);
        batch.push(&NewRecord { key, value: Some(value.as_bytes()), ..NewRecord::default() });
    }
    let mut bytes = batch.build().unwrap().bytes().to_vec();
    if let Some(producer) = producer {
        bytes[22] |= 1 << 4;
        bytes[43..51].copy_from_slice(&producer.to_be_bytes());
        bytes[51..57].copy_from_slice(&[0, 0, 0, 0, 0, 0]);
        let crc = crc(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    let topic = fixture.broker.topic(topic).unwrap();
    let append = store::Append {
        log: Arc::clone(topic.log(0).unwrap()),
        batches: vec![store::batch::Batch::parse(bytes.into()).unwrap()],
        epoch: 0,
    };
    let outcomes = fixture.broker.inner.store.append(vec![append]).await.unwrap().await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

/// CRC-32C, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

fn got(tag: u64, subject: &str, value: &str) -> (Vec<u64>, String, String) {
    (vec![tag], subject.to_owned(), value.to_owned())
}

#[tokio::test]
async fn records_reach_who_listens_to_their_topic() {
    let fixture = Fixture::start().await;
    fixture.topic("orders.new", 1, &[]).await;
    let client = Client::new(&fixture.broker);
    let inbox = Inbox::new();
    produce(&fixture, "orders.new", &[(None, "before")]).await;
    let subscription = client.subscribe("orders.*", &inbox, 7);
    produce(&fixture, "orders.new", &[(None, "one"), (Some("key"), "two")]).await;
    produce(&fixture, "orders.new", &[(Some("orders.other"), "three")]).await;
    let all = inbox.wait(3).await;
    let expected = ["one", "two", "three"].map(|value| got(7, "orders.new", value));
    assert_eq!(all, expected, "in order, all about the topic: it keeps nothing else");
    drop(subscription);
    assert!(fixture.broker.inner.live.tails.is_empty(), "nobody listens, nobody reads");
    // One that is made while somebody listens.
    let _subscription = client.subscribe("*.late", &inbox, 8);
    fixture.topic("made.late", 2, &[]).await;
    produce(&fixture, "made.late", &[(None, "first")]).await;
    assert_eq!(inbox.wait(1).await, [got(8, "made.late", "first")]);
}

#[tokio::test]
async fn a_key_that_is_a_subject_of_the_topic_is_the_subject() {
    let fixture = Fixture::start().await;
    fixture.topic("telemetry", 1, &[("entrepot.bind", "sensors.>")]).await;
    let mut client = Client::new(&fixture.broker);
    let (rooms, all) = (Inbox::new(), Inbox::new());
    let other = Client::new(&fixture.broker);
    let _rooms = client.subscribe("sensors.*.temp", &rooms, 1);
    let _all = other.subscribe("telemetry", &all, 2);
    let records = [(Some("sensors.1.temp"), "a"), (Some("meters.1"), "b"), (None, "c")];
    produce(&fixture, "telemetry", &records).await;
    let mut batch = Batch::default();
    let routed = client.put("sensors.2.temp", "d", &mut batch);
    assert_eq!((routed.receivers, routed.stored), (1, Some(0)));
    assert!(rooms.got.lock().len() < 2, "not before it is stored");
    assert_eq!(fixture.broker.store(batch).await.done().await, [Ok(())]);
    assert_eq!(rooms.wait(2).await, [got(1, "sensors.1.temp", "a"), got(1, "sensors.2.temp", "d")]);
    assert_eq!(all.wait(2).await, [got(2, "telemetry", "b"), got(2, "telemetry", "c")]);
}

#[tokio::test]
async fn what_several_topics_keep_is_delivered_once_and_without_echo() {
    let fixture = Fixture::start().await;
    fixture.topic("a", 1, &[("entrepot.bind", "x.> y")]).await;
    fixture.topic("b", 1, &[("entrepot.bind", "x.*")]).await;
    let mut client = Client::new(&fixture.broker);
    let (inbox, own) = (Inbox::new(), Inbox::new());
    let _all = Client::new(&fixture.broker).subscribe(">", &inbox, 1);
    let options =
        SubscribeOptions { publisher: client.id, no_echo: true, group: None, session: None };
    let _own = fixture.broker.subscribe(filter("x.>"), Arc::clone(&own) as _, 2, options).unwrap();
    let mut batch = Batch::default();
    for number in 0..50 {
        client.put("x.1", &number.to_string(), &mut batch);
    }
    client.put("y", "last", &mut batch);
    let outcomes = fixture.broker.store(batch).await.done().await;
    assert_eq!(outcomes, vec![Ok(()); 51]);
    let mut other = Client::new(&fixture.broker);
    let mut batch = Batch::default();
    other.put("x.1", "other", &mut batch);
    assert_eq!(fixture.broker.store(batch).await.done().await, [Ok(())]);
    let all = inbox.wait(52).await;
    assert_eq!(all.len(), 52);
    assert!(all.iter().filter(|(_, subject, _)| subject == "x.1").count() == 51);
    assert_eq!(own.wait(1).await, [got(2, "x.1", "other")]);
}

#[tokio::test]
async fn transactions_are_delivered_when_they_are_committed_and_aborted_ones_never() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1, &[]).await;
    let inbox = Inbox::new();
    let _subscription = Client::new(&fixture.broker).subscribe("t", &inbox, 1);
    produce_as(&fixture, "t", &[(None, "aborted")], Some(5)).await;
    produce_as(&fixture, "t", &[(None, "committed")], Some(6)).await;
    produce(&fixture, "t", &[(None, "plain")]).await;
    assert_eq!(inbox.got.lock().len(), 0, "the first may be taken back yet");
    let topic = fixture.broker.topic("t").unwrap();
    for (producer, marker) in [(5, Marker::Abort), (6, Marker::Commit)] {
        let marker = BatchBuilder::marker(producer, 0, marker, 0).unwrap();
        let log = Arc::clone(topic.log(0).unwrap());
        let append = store::Append { log, batches: vec![marker], epoch: 0 };
        fixture.broker.inner.store.append(vec![append]).await.unwrap().await;
    }
    produce(&fixture, "t", &[(None, "end")]).await;
    assert_eq!(inbox.wait(3).await, ["committed", "plain", "end"].map(|v| got(1, "t", v)));
}

#[tokio::test]
async fn who_subscribes_to_what_is_behind_gets_what_comes_later() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("t", 1, &[]).await;
    let (first, second) = (Inbox::new(), Inbox::new());
    let (one, two) = (Client::new(&fixture.broker), Client::new(&fixture.broker));
    let _first = one.subscribe("t", &first, 1);
    // On this one thread the tail does not run between these two.
    let append = |value: &'static str| {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(&NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() });
        let log = Arc::clone(topic.log(0).unwrap());
        store::Append { log, batches: vec![batch.build().unwrap()], epoch: 0 }
    };
    let pending = fixture.broker.inner.store.append(vec![append("before")]).await.unwrap();
    while topic.log(0).unwrap().range().end == 0 {
        std::thread::yield_now();
    }
    let _second = two.subscribe("t", &second, 2);
    drop(pending);
    produce(&fixture, "t", &[(None, "after")]).await;
    assert_eq!(second.wait(1).await, [got(2, "t", "after")]);
    assert_eq!(first.wait(2).await, [got(1, "t", "before"), got(1, "t", "after")]);
}

#[tokio::test]
async fn partitions_that_are_added_are_read_too() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1, &[("entrepot.bind", "x.*")]).await;
    let inbox = Inbox::new();
    let mut client = Client::new(&fixture.broker);
    let _subscription = Client::new(&fixture.broker).subscribe("x.*", &inbox, 1);
    fixture.broker.create_partitions("t", 8).await.unwrap();
    let mut batch = Batch::default();
    for number in 0..40 {
        client.put(&format!("x.{number}"), "v", &mut batch);
    }
    fixture.broker.store(batch).await.done().await;
    assert_eq!(inbox.wait(40).await.len(), 40);
}

/// Where there are thousands of topics, who listens to all of them has no list of their own.
#[tokio::test]
async fn who_has_the_same_filter_shares_what_it_needs_of_the_topics() {
    let fixture = Fixture::start().await;
    for number in 0..5 {
        fixture.topic(&format!("t{number}"), 1, &[]).await;
    }
    let inboxes = [(); 3].map(|()| Inbox::new());
    let listen = |inbox| Client::new(&fixture.broker).subscribe(">", inbox, 1);
    let mut all: Vec<_> = inboxes.iter().map(listen).collect();
    let counts = || fixture.broker.inner.live.tails.counts();
    assert_eq!(counts(), (5, 1));
    // A topic that comes later is heard by all, and counted by who comes after it.
    fixture.topic("late", 1, &[]).await;
    let (newest, client) = (Inbox::new(), Client::new(&fixture.broker));
    all.push(client.subscribe(">", &newest, 2));
    all.push(client.subscribe("t1", &newest, 3));
    assert_eq!(counts(), (6, 2));
    produce(&fixture, "late", &[(None, "x")]).await;
    produce(&fixture, "t1", &[(None, "y")]).await;
    for inbox in &inboxes {
        let mut values: Vec<_> = inbox.wait(2).await.into_iter().map(|(.., value)| value).collect();
        values.sort_unstable();
        assert_eq!(values, ["x", "y"]);
    }
    all.remove(0);
    assert_eq!(counts().1, 2, "others still use it");
    drop(all);
    assert_eq!(counts().1, 0);
}
