//! Where dead messages go.

use super::exchanges::exchange_spec;
use super::*;

fn to(exchange: &str, key: Option<&str>) -> Option<DeadLetterTo> {
    Some(DeadLetterTo { exchange: bytes(exchange), key: key.map(bytes) })
}

/// The only message that comes into a queue.
pub(super) async fn letter(fixture: &Fixture, name: &str) -> Delivered {
    let queue = fixture.broker.queue(&queue_name(name)).unwrap();
    until("a dead letter", || queue.counts().ready == 1).await;
    let holder = fixture.broker.new_holder(0);
    let (letter, left) = queue.get(&holder, false).await.unwrap().unwrap();
    assert_eq!(left, 0);
    accept(&holder, std::slice::from_ref(&letter));
    letter
}

#[tokio::test]
async fn dead_letters_tell_where_they_died_and_why() {
    let fixture = Fixture::start().await;
    fixture.exchange("x", ExchangeKind::Direct).await;
    fixture.queue("graves", &durable()).await;
    let settings = QueueSettings {
        dead_letter: to("", Some("graves")),
        deliveries_max: Some(0),
        ..QueueSettings::default()
    };
    for (name, spec) in ["d", "t"].into_iter().zip(both(&settings)) {
        let queue = fixture.queue(name, &spec).await;
        fixture.bind("x", name, name).await;
        let holder = fixture.broker.new_holder(0);
        for (settlement, reason) in
            [(Settlement::Reject, DeathReason::Rejected), (BACK, DeathReason::TooManyDeliveries)]
        {
            fixture.send("x", name, message("a")).await.unwrap();
            let (one, _) = queue.get(&holder, false).await.unwrap().unwrap();
            holder.settle(&[(one.id, settlement)]);
            let letter = letter(&fixture, "graves").await;
            let death = &letter.message.deaths[0];
            assert_eq!((&death.queue[..], death.reason), (name.as_bytes(), reason));
            assert_eq!((death.count, &death.exchange[..]), (1, &b"x"[..]));
            assert_eq!(death.keys, [bytes(name)]);
            assert_eq!(letter.message.value, Some(bytes("a")));
            assert_eq!(letter.origin, Origin::Queue);
            until("it is done with", || queue.counts() == QueueCounts::default()).await;
        }
    }
}

#[tokio::test]
async fn a_dead_letter_has_all_keys_that_it_was_published_with() {
    let fixture = Fixture::start().await;
    fixture.exchange("x", ExchangeKind::Direct).await;
    fixture.queue("graves", &durable()).await;
    fixture.bind("x", "graves", "other").await;
    fixture.bind("x", "graves", "new").await;
    for (round, key) in [None, Some("new")].into_iter().enumerate() {
        let settings = QueueSettings { dead_letter: to("x", key), ..QueueSettings::default() };
        for (kind, spec) in ["d", "t"].into_iter().zip(both(&settings)) {
            let name = format!("{kind}{round}");
            let queue = fixture.queue(&name, &spec).await;
            let further_keys = vec![bytes("other"), bytes("third")];
            let sent = Message { further_keys: further_keys.clone(), ..message("a") };
            fixture.send("", &name, sent).await.unwrap();
            let holder = fixture.broker.new_holder(0);
            let (one, _) = queue.get(&holder, false).await.unwrap().unwrap();
            assert_eq!((&one.origin, &one.message.further_keys), (&Origin::Queue, &further_keys));
            holder.settle(&[(one.id, Settlement::Reject)]);
            let letter = letter(&fixture, "graves").await;
            let keys = [name.as_str(), "other", "third"].map(bytes);
            assert_eq!(letter.message.deaths[0].keys, keys);
            // Its queue has another key for it, and that alone.
            let (key, left) = match key {
                Some(key) => (bytes(key), Vec::new()),
                None => (bytes(&name), further_keys),
            };
            assert_eq!(letter.origin, Origin::Exchange { exchange: bytes("x"), key });
            assert_eq!(letter.message.further_keys, left);
        }
    }
}

#[tokio::test]
async fn what_waits_too_long_dies() {
    let fixture = Fixture::start().await;
    fixture.queue("graves", &durable()).await;
    let settings = QueueSettings {
        dead_letter: to("", Some("graves")),
        message_ttl: Some(20),
        ..QueueSettings::default()
    };
    for (name, spec) in ["d", "t"].into_iter().zip(both(&settings)) {
        fixture.queue(name, &spec).await;
        fixture.fill(name, &["a"]).await;
        let letter = letter(&fixture, "graves").await;
        assert_eq!(letter.message.deaths[0].reason, DeathReason::Expired);
    }
    let settings = QueueSettings { message_ttl: None, ..settings };
    for (name, spec) in ["d2", "t2"].into_iter().zip(both(&settings)) {
        let queue = fixture.queue(name, &spec).await;
        fixture.fill(name, &["stays"]).await;
        let expires_at = Some(fixture.broker.now() + 20);
        let properties = Properties { expires_at, ..Properties::default() };
        fixture.send("", name, Message { properties, ..message("b") }).await.unwrap();
        let holder = fixture.broker.new_holder(0);
        let (first, _) = queue.get(&holder, false).await.unwrap().unwrap();
        assert_eq!(values(&[first]), ["stays"]);
        let letter = letter(&fixture, "graves").await;
        assert_eq!(letter.message.properties.expires_at, None, "it is not over there, too");
    }
}

#[tokio::test]
async fn what_may_not_wait_at_all_is_for_who_is_there_for_it() {
    let fixture = Fixture::start().await;
    fixture.queue("graves", &durable()).await;
    let settings = QueueSettings {
        dead_letter: to("", Some("graves")),
        message_ttl: Some(0),
        ..QueueSettings::default()
    };
    for (name, spec) in ["d", "t"].into_iter().zip(both(&settings)) {
        let queue = fixture.queue(name, &spec).await;
        let dies = async |value: &str| {
            let letter = letter(&fixture, "graves").await;
            assert_eq!(letter.message.deaths[0].reason, DeathReason::Expired);
            assert_eq!(values(&[letter]), [value]);
        };
        fixture.fill(name, &["nobody is there"]).await;
        let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
        assert!(queue.get(&holder, false).await.unwrap().is_none());
        let two = ConsumeOptions { prefetch: 2, ..options(&sink) };
        let _consumer = queue.consume(&holder, two).unwrap();
        dies("nobody is there").await;
        fixture.fill(name, &["a", "b"]).await;
        let got = sink.take(2).await;
        assert_eq!(counts(&got), [("a".into(), 0), ("b".into(), 0)], "{name}");
        fixture.fill(name, &["no room"]).await;
        dies("no room").await;
        holder.settle(&[(got[0].id, BACK)]);
        dies("a").await;
        accept(&holder, &got[1..]);
        fixture.fill(name, &["c"]).await;
        let got = sink.take(1).await;
        assert_eq!(values(&got), ["c"]);
        assert_eq!(queue.counts(), tally(0, 1, 1));
        // Else it comes back with its holder's end, and is a letter, too.
        accept(&holder, &got);
    }
    // A message may say so of itself, and a queue in memory is the same.
    let queue = fixture.queue("plain", &QueueSpec::default()).await;
    let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
    let now = || {
        let expires_at = Some(fixture.broker.now());
        Message { properties: Properties { expires_at, ..Properties::default() }, ..message("x") }
    };
    fixture.send("", "plain", now()).await.unwrap();
    until("it is gone", || queue.counts().ready == 0).await;
    let _consumer = queue.consume(&holder, options(&sink)).unwrap();
    fixture.send("", "plain", now()).await.unwrap();
    assert_eq!(sink.take(1).await.len(), 1);
}

#[tokio::test]
async fn what_is_too_many_dies_and_what_is_refused_may() {
    let fixture = Fixture::start().await;
    fixture.queue("graves", &durable()).await;
    for (overflow, dead) in [(Overflow::DropHead, "a"), (Overflow::RejectDeadLetter, "b")] {
        let settings = QueueSettings {
            dead_letter: to("", Some("graves")),
            length_max: Some(1),
            overflow: Some(overflow),
            ..QueueSettings::default()
        };
        let names = [format!("d{dead}"), format!("t{dead}")];
        for (name, spec) in names.iter().zip(both(&settings)) {
            let queue = fixture.queue(name, &spec).await;
            fixture.fill(name, &["a"]).await;
            let sent = send_dead(&fixture, name, "b").await;
            assert_eq!(sent.is_err(), overflow == Overflow::RejectDeadLetter);
            let letter = letter(&fixture, "graves").await;
            assert_eq!(values(std::slice::from_ref(&letter)), [dead]);
            assert_eq!(letter.message.deaths[0].reason, DeathReason::TooMany);
            assert_eq!(queue.counts().ready, 1);
        }
    }
}

/// Publishes; what comes of a refusal is stored, too.
async fn send_dead(fixture: &Fixture, queue: &str, value: &str) -> Result<Routed, ProduceError> {
    let mut routes = fixture.broker.new_exchange_routes(Bytes::new());
    let route = routes.find(&fixture.broker, b"", queue.as_bytes(), &[], Vec::new).unwrap();
    let mut batch = Batch::default();
    let routed = fixture.broker.route_to_queues(&route, &message(value), &mut batch);
    let stored = fixture.broker.store(batch).await.done().await;
    assert!(stored.iter().all(Result::is_ok));
    routed
}

#[tokio::test]
async fn a_message_that_goes_round_is_dropped_unless_it_was_rejected() {
    let fixture = Fixture::start().await;
    let ttl = |key| QueueSettings {
        dead_letter: to("", Some(key)),
        message_ttl: Some(5),
        ..QueueSettings::default()
    };
    let one = fixture.queue("one", &with(ttl("two"))).await;
    let two = fixture.queue("two", &with(ttl("one"))).await;
    fixture.fill("one", &["round"]).await;
    let log = |name: &str| fixture.broker.topic(name).unwrap().log(0).unwrap().range();
    until("it came into the other", || log("two").end == 1).await;
    let is_empty = |queue: &Arc<Queue>| {
        let has_dead = queue.state.lock().lanes.iter().any(|lane| lane.ledger.has_dead());
        queue.counts() == QueueCounts::default() && !has_dead
    };
    until("it is nowhere any more", || is_empty(&one) && is_empty(&two)).await;
    assert_eq!(log("one").end, 1, "it did not come back");
    let settings = QueueSettings { dead_letter: to("", Some("again")), ..QueueSettings::default() };
    let again = fixture.queue("again", &with(settings)).await;
    fixture.fill("again", &["x"]).await;
    let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
    let _consumer = again.consume(&holder, options(&sink)).unwrap();
    for count in 0..3 {
        let got = sink.take(1).await;
        let deaths = got[0].message.deaths.first().map_or(0, |death| death.count);
        assert_eq!(deaths, count, "rejecting sends it round as often as one likes");
        holder.settle(&[(got[0].id, Settlement::Reject)]);
    }
}

#[tokio::test]
async fn dead_letters_that_a_restart_comes_before_are_not_lost() {
    let fixture = Fixture::start().await;
    let settings = QueueSettings { dead_letter: to("late", None), ..QueueSettings::default() };
    let queue = fixture.queue("q", &with(settings)).await;
    fixture.fill("q", &["a"]).await;
    let holder = fixture.broker.new_holder(0);
    let (one, _) = queue.get(&holder, false).await.unwrap().unwrap();
    // As if whoever takes them there had been too late.
    queue.state.lock().is_burying = true;
    holder.settle(&[(one.id, Settlement::Reject)]);
    holder.settled().await.unwrap();
    let name = ExchangeName { space: Bytes::new(), name: bytes("late") };
    fixture.broker.declare_exchange(&name, &exchange_spec(ExchangeKind::Fanout)).await.unwrap();
    fixture.queue("graves", &durable()).await;
    fixture.bind("late", "graves", "").await;
    drop((queue, holder));
    let fixture = fixture.restart().await;
    assert_eq!(values(&[letter(&fixture, "graves").await]), ["a"]);
}
