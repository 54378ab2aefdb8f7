use std::sync::Arc;

use base::subject::TEXT;
use base::{Filter, ManualClock};
use proptest::prelude::*;

use super::*;
use crate::live::{Batch, Routed};
use crate::message::Properties;
use crate::tests::Fixture;

fn filter(text: &str) -> Filter {
    TEXT.filter(text.as_bytes()).unwrap()
}

fn want(options: &'static str) -> Interest {
    Interest { options: options.into(), no_echo: false }
}

fn message(value: &str) -> Message {
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    Message { value, guaranteed: true, ..Message::default() }
}

async fn open(fixture: &Fixture, id: &'static str) -> (Session, bool) {
    let publisher = fixture.broker.new_publisher();
    fixture.broker.open_session(id.into(), publisher).await.unwrap()
}

/// Publishes; durable when it returns.
async fn publish(fixture: &Fixture, subject: &str, message: Message) -> Routed {
    let route = fixture.broker.find_route(TEXT.subject(subject.as_bytes()).unwrap());
    let mut batch = Batch::default();
    let routed = fixture.broker.route(&route, &message, &mut batch).unwrap();
    let outcomes = fixture.broker.store(batch).await.done().await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    routed
}

/// Takes messages until there are this many.
async fn take(session: &Session, count: usize) -> Vec<Waiting> {
    let mut all = Vec::new();
    while all.len() < count {
        let woken = session.woken();
        let more = session.next(100, 0).await.unwrap();
        if more.is_empty() {
            woken.notified().await;
        }
        all.extend(more);
    }
    all
}

fn values(of: &[Waiting]) -> Vec<(String, String)> {
    let value = |one: &Waiting| {
        let value = String::from_utf8_lossy(one.message.value.as_deref().unwrap()).into_owned();
        (one.subject.to_string(), value)
    };
    of.iter().map(value).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[tokio::test]
async fn what_came_while_nobody_was_there_waits_over_a_restart() {
    let fixture = Fixture::start().await;
    let (session, was_there) = open(&fixture, "s").await;
    assert!(!was_there);
    assert!(session.subscribe(filter("a.*"), want("qos1")).await.unwrap());
    assert!(!session.subscribe(filter("a.*"), want("qos2")).await.unwrap());
    session.subscribe(filter("gone"), want("")).await.unwrap();
    assert!(session.unsubscribe(&filter("gone")).await.unwrap());
    assert!(!session.unsubscribe(&filter("gone")).await.unwrap());
    session.put_state("what the door says".into()).await.unwrap();
    drop(session);
    let routed = publish(&fixture, "a.1", message("one")).await;
    assert_eq!(routed, Routed { receivers: 1, stored: Some(0) });
    let unsure = Message { guaranteed: false, ..message("unsure") };
    assert!(publish(&fixture, "a.1", unsure).await.is_lost(), "nobody is there");
    assert!(publish(&fixture, "gone", message("x")).await.is_lost());

    let fixture = fixture.restart().await;
    publish(&fixture, "a.2", message("two")).await;
    let (session, was_there) = open(&fixture, "s").await;
    assert!(was_there);
    assert_eq!(session.subscriptions(), [(filter("a.*"), want("qos2"))]);
    assert_eq!(session.state(), "what the door says");
    let all = take(&session, 2).await;
    assert_eq!(values(&all), pairs(&[("a.1", "one"), ("a.2", "two")]));
    assert_eq!(all.iter().map(|one| one.again).collect::<Vec<_>>(), [true, false]);
    assert!(session.next(9, 0).await.unwrap().is_empty(), "taken, but not settled");

    // Another connection: what was not settled comes again.
    session.settle(&[all[0].handle]);
    let (session, _) = open(&fixture, "s").await;
    let again = take(&session, 1).await;
    assert_eq!((values(&again), again[0].again), (pairs(&[("a.2", "two")]), true));
}

#[tokio::test]
async fn what_is_settled_does_not_come_back_after_a_restart() {
    let fixture = Fixture::start().await;
    let (session, _) = open(&fixture, "s").await;
    let (other, _) = open(&fixture, "other").await;
    session.subscribe(filter(">"), want("")).await.unwrap();
    other.subscribe(filter("x"), want("")).await.unwrap();
    for number in 0..6 {
        publish(&fixture, "x", message(&number.to_string())).await;
    }
    let all = take(&session, 6).await;
    session.settle(&[all[0].handle, all[1].handle, all[4].handle]);
    // Written down a little later, and before the next change of the same kind.
    let is_dirty = || session.inside.body.lock().is_dirty;
    while is_dirty() {
        tokio::task::yield_now().await;
    }
    session.put_state("after".into()).await.unwrap();
    let fixture = fixture.restart().await;
    let (session, _) = open(&fixture, "s").await;
    assert_eq!(values(&take(&session, 3).await), pairs(&[("x", "2"), ("x", "3"), ("x", "5")]));
    let (other, _) = open(&fixture, "other").await;
    assert_eq!(take(&other, 6).await.len(), 6, "what one has settled still waits for others");
}

#[tokio::test]
async fn a_session_that_is_deleted_or_expired_is_gone_with_its_messages() {
    let clock = ManualClock::at(1_700_000_000_000);
    let fixture = Fixture::with(|options| options.clock = Arc::new(clock.clone())).await;
    let (session, _) = open(&fixture, "s").await;
    session.subscribe(filter("a"), want("")).await.unwrap();
    publish(&fixture, "a", message("x")).await;
    session.delete().await.unwrap();
    assert!(matches!(session.put_state("x".into()).await, Err(SessionError::Gone)));
    assert!(publish(&fixture, "a", message("x")).await.is_lost());
    let (session, was_there) = open(&fixture, "s").await;
    assert!(!was_there && session.subscriptions().is_empty() && session.waiting() == 0);
    session.expire_at(Some(fixture.broker.now() + 10)).await.unwrap();
    clock.advance(11);
    fixture.broker.inner.sessions.sweep(fixture.broker.now()).await;
    assert_eq!(fixture.broker.session_count(), 0);
    let fixture = fixture.restart().await;
    assert!(fixture.broker.find_session(b"s").is_none());
}

#[tokio::test]
async fn one_message_for_many_sessions_is_stored_once_and_trimmed_when_all_have_it() {
    let fixture = Fixture::start().await;
    let mut sessions = Vec::new();
    for id in ["a", "b", "c"] {
        let (session, _) = open(&fixture, id).await;
        session.subscribe(filter("x.>"), want("")).await.unwrap();
        session.subscribe(filter("x.1"), want("")).await.unwrap();
        sessions.push(session);
    }
    let routed = publish(&fixture, "x.1", message("v")).await;
    assert_eq!(routed.receivers, 3, "each once, however many of its filters match");
    let queue = Arc::clone(fixture.broker.inner.sessions.queue());
    assert_eq!(queue.range(), 0..1);
    for (number, session) in sessions.iter().enumerate() {
        let all = take(session, 1).await;
        fixture.broker.inner.sessions.sweep(0).await;
        assert_eq!(queue.range(), 0..1, "{number} are not done");
        session.settle(&[all[0].handle]);
    }
    fixture.broker.inner.sessions.sweep(0).await;
    assert_eq!(queue.range(), 1..1);
}

#[tokio::test]
async fn nobody_gets_his_own_who_does_not_want_it_and_what_expired_is_left_out() {
    let fixture = Fixture::start().await;
    let publisher = fixture.broker.new_publisher();
    let (session, _) = fixture.broker.open_session("s".into(), publisher).await.unwrap();
    let quiet = Interest { no_echo: true, ..Interest::default() };
    session.subscribe(filter("a"), quiet).await.unwrap();
    assert!(publish(&fixture, "a", Message { publisher, ..message("own") }).await.is_lost());
    let properties = Properties { expires_at: Some(5), ..Properties::default() };
    publish(&fixture, "a", Message { properties, ..message("old") }).await;
    publish(&fixture, "a", message("other")).await;
    while session.waiting() < 2 {
        session.woken().notified().await;
    }
    let all = session.next(9, 5).await.unwrap();
    assert_eq!(values(&all), pairs(&[("a", "other")]));
    assert_eq!(session.waiting(), 1);
}

#[tokio::test]
async fn a_message_that_a_topic_keeps_waits_for_sessions_too() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("a", 1, &[]).await;
    let (session, _) = open(&fixture, "s").await;
    session.subscribe(filter("a"), want("")).await.unwrap();
    let routed = publish(&fixture, "a", message("x")).await;
    assert_eq!((routed.receivers, routed.stored), (1, Some(0)));
    assert_eq!(values(&take(&session, 1).await), pairs(&[("a", "x")]));
    let batch = &crate::tests::batches(&topic, 0)[0];
    let record = batch.records().unwrap().next().unwrap().unwrap();
    let kept = Message::from_record(&record);
    assert!(kept.guaranteed && kept.headers.is_empty(), "whoever listens as well is told so");
}

fn stored() -> impl Strategy<Value = Stored> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    let filters = prop::sample::select(vec!["a", "a.*", ">", "*.b", "a./.b", "*"]);
    prop_oneof![
        (bytes(), prop::option::of(0..i64::MAX))
            .prop_map(|(id, expires_at)| Stored::Session { id, expires_at }),
        bytes().prop_map(Stored::State),
        (filters, any::<bool>(), any::<bool>(), bytes()).prop_map(
            |(text, skips, no_echo, options)| {
                let filter = filter(text).skipping_hidden(skips);
                Stored::Filter(filter, Interest { options, no_echo })
            }
        ),
        (any::<i64>(), prop::collection::vec(any::<i64>(), 0..9))
            .prop_map(|(floor, above)| Stored::Settled { floor, above }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_down_is_read_back(number: u64, stored in stored()) {
        let (key, value) = stored.encode(number);
        prop_assert_eq!(Stored::decode(&key, value.unwrap()), Some((number, stored)));
    }

    #[test]
    fn what_is_no_record_is_none(key: Vec<u8>, value: Vec<u8>) {
        let _ = Stored::decode(&key.into(), value.into());
    }
}
