use std::sync::Arc;
use std::task::Poll;

use base::subject::TEXT;
use base::{Filter, ManualClock};
use proptest::prelude::*;

use super::*;
use crate::live::{
    Accepted, Batch, Delivery, Group, Routed, SubscribeOptions, Subscriber, Subscription,
};
use crate::message::{Message, Properties};
use crate::tests::Fixture;

fn filter(text: &str) -> Filter {
    TEXT.filter(text.as_bytes()).unwrap()
}

fn wanted(text: &str) -> Wanted {
    Wanted { filter: filter(text), group: None }
}

fn want(options: &'static str) -> Interest {
    Interest { options: options.into(), no_echo: false, waits: true }
}

fn message(value: &str) -> Message {
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    Message { value, guaranteed: true, ..Message::default() }
}

fn how(fixture: &Fixture) -> OpenSession {
    OpenSession { publisher: fixture.broker.new_publisher(), keep: None, anew: false }
}

async fn open(fixture: &Fixture, id: &'static str) -> (Session, bool) {
    fixture.broker.open_session(id.into(), how(fixture)).await.unwrap()
}

async fn subscribe(fixture: &Fixture, session: &Session, text: &str) -> bool {
    let wanted = vec![(wanted(text), want(""))];
    session.subscribe(&fixture.broker, wanted).await.unwrap()[0]
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
async fn take(session: &Session, count: usize) -> Vec<Taken> {
    let mut all = Vec::new();
    while all.len() < count {
        std::future::poll_fn(|cx| session.poll_waiting(cx)).await;
        all.extend(session.next(100, 0).await.unwrap());
    }
    all
}

fn values(of: &[Taken]) -> Vec<(String, String)> {
    let value = |one: &Taken| {
        let value = one.waiting.message.value.as_deref().unwrap();
        (one.waiting.subject.to_string(), String::from_utf8_lossy(value).into_owned())
    };
    of.iter().map(value).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

/// Until what was settled is written down.
async fn written_down(session: &Session) {
    let is_dirty = || session.inside.body.lock().is_dirty;
    while is_dirty() {
        tokio::task::yield_now().await;
    }
    // Written before this.
    session.put_state(session.state()).await.unwrap();
}

#[tokio::test]
async fn who_gives_up_while_its_session_is_opened_does_not_have_it() {
    let fixture = Fixture::start().await;
    let how = || OpenSession { keep: Some(1000), ..how(&fixture) };
    let (session, _) = fixture.broker.open_session("s".into(), how()).await.unwrap();
    loop {
        let mut opening = Box::pin(fixture.broker.open_session("s".into(), how()));
        let polled = std::future::poll_fn(|cx| Poll::Ready(opening.as_mut().poll(cx))).await;
        if polled.is_pending() {
            // The disk takes longer.
            break;
        }
    }
    assert!(!session.inside.is_online.load(Ordering::Relaxed));
    assert!(session.inside.body.lock().expires_at.is_some(), "its time goes on");
    // Another that came meanwhile has it.
    let mut opening = Box::pin(fixture.broker.open_session("s".into(), how()));
    let polled = std::future::poll_fn(|cx| Poll::Ready(opening.as_mut().poll(cx))).await;
    let (session, _) = fixture.broker.open_session("s".into(), how()).await.unwrap();
    drop((opening, polled));
    assert!(session.inside.is_online.load(Ordering::Relaxed));
    assert!(session.inside.body.lock().expires_at.is_none());
}

/// A consumer may acknowledge in any order; that nothing is given meanwhile ends when the first one is.
#[tokio::test]
async fn who_acknowledges_the_first_last_gets_more_again() {
    let fixture = Fixture::start().await;
    let (session, _) = open(&fixture, "s").await;
    subscribe(&fixture, &session, "a").await;
    let route = fixture.broker.find_route(TEXT.subject(b"a").unwrap());
    let mut batch = Batch::default();
    let count = queue::SETTLED_MAX + 1;
    for _ in 0..count {
        fixture.broker.route(&route, &message("x"), &mut batch).unwrap();
    }
    fixture.broker.store(batch).await.done().await;
    let all = take(&session, count).await;
    let handles: Vec<_> = all.iter().map(|one| one.waiting.handle).collect();
    session.settle(&handles[1..]);
    publish(&fixture, "a", message("more")).await;
    let waiting = session.clone();
    let waits = tokio::spawn(async move {
        std::future::poll_fn(|cx| waiting.poll_waiting(cx)).await;
    });
    tokio::task::yield_now().await;
    assert!(!waits.is_finished(), "too much is settled out of turn");
    session.settle(&handles[..1]);
    let patience = std::time::Duration::from_secs(20);
    tokio::time::timeout(patience, waits).await.expect("it is woken").unwrap();
    assert_eq!(values(&take(&session, 1).await), pairs(&[("a", "more")]));
}

#[tokio::test]
async fn what_came_while_nobody_was_there_waits_over_a_restart() {
    let fixture = Fixture::start().await;
    let (session, was_there) = open(&fixture, "s").await;
    assert!(!was_there);
    assert!(subscribe(&fixture, &session, "a.*").await);
    let again = vec![(wanted("a.*"), want("qos2")), (wanted("gone"), want(""))];
    assert_eq!(session.subscribe(&fixture.broker, again).await.unwrap(), [false, true]);
    let gone = [wanted("gone"), wanted("never")];
    assert_eq!(session.unsubscribe(&gone).await.unwrap(), [true, false]);
    session.put_state("what the door says".into()).await.unwrap();
    session.leave(0).await.unwrap();
    drop(session);
    let routed = publish(&fixture, "a.1", message("one")).await;
    assert_eq!(routed, Routed { receivers: 1, stored: Some(0), is_refused: false });
    let unsure = Message { guaranteed: false, ..message("unsure") };
    assert!(publish(&fixture, "a.1", unsure).await.is_lost(), "nobody is there");
    assert!(publish(&fixture, "gone", message("x")).await.is_lost());

    let fixture = fixture.restart().await;
    publish(&fixture, "a.2", message("two")).await;
    let (session, was_there) = open(&fixture, "s").await;
    assert!(was_there);
    assert_eq!(session.subscriptions(), [(wanted("a.*"), want("qos2"))]);
    assert_eq!(session.state(), "what the door says");
    let all = take(&session, 2).await;
    assert_eq!(values(&all), pairs(&[("a.1", "one"), ("a.2", "two")]));
    assert_eq!(all.iter().map(|one| one.again).collect::<Vec<_>>(), [false, false]);
    assert!(session.next(9, 0).await.unwrap().is_empty(), "taken, but not settled");

    // Another connection: what was not settled comes again.
    session.settle(&[all[0].waiting.handle]);
    let (session, _) = open(&fixture, "s").await;
    let again = take(&session, 1).await;
    assert_eq!((values(&again), again[0].again), (pairs(&[("a.2", "two")]), true));
}

#[tokio::test]
async fn what_is_settled_does_not_come_back_after_a_restart() {
    let fixture = Fixture::start().await;
    let (session, _) = open(&fixture, "s").await;
    let (other, _) = open(&fixture, "other").await;
    subscribe(&fixture, &session, ">").await;
    subscribe(&fixture, &other, "x").await;
    for number in 0..6 {
        publish(&fixture, "x", message(&number.to_string())).await;
    }
    let all = take(&session, 6).await;
    session.settle(&[0, 1, 4].map(|at: usize| all[at].waiting.handle));
    written_down(&session).await;
    let fixture = fixture.restart().await;
    let (session, _) = open(&fixture, "s").await;
    assert_eq!(values(&take(&session, 3).await), pairs(&[("x", "2"), ("x", "3"), ("x", "5")]));
    let (other, _) = open(&fixture, "other").await;
    assert_eq!(take(&other, 6).await.len(), 6, "what one has settled still waits for others");
}

#[tokio::test]
async fn a_state_is_written_with_the_message_and_with_what_was_settled_before_it() {
    let fixture = Fixture::start().await;
    let (session, _) = open(&fixture, "s").await;
    subscribe(&fixture, &session, "a").await;
    publish(&fixture, "a", message("settled")).await;
    let all = take(&session, 1).await;
    session.settle(&[all[0].waiting.handle]);
    let route = fixture.broker.find_route(TEXT.subject(b"a").unwrap());
    let mut batch = Batch::default();
    fixture.broker.route(&route, &message("two"), &mut batch).unwrap();
    assert_eq!(batch.push_state(session.clone(), "after two".into()), 1);
    let outcomes = fixture.broker.store(batch).await.done().await;
    assert!(outcomes.len() == 2 && outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let fixture = fixture.restart().await;
    let (session, _) = open(&fixture, "s").await;
    assert_eq!(session.state(), "after two");
    assert_eq!(values(&take(&session, 1).await), pairs(&[("a", "two")]));
}

#[tokio::test]
async fn a_session_that_is_deleted_or_expired_is_gone_with_its_messages() {
    let clock = ManualClock::at(1_700_000_000_000);
    let fixture = Fixture::with(|options| options.clock = Arc::new(clock.clone())).await;
    let (session, _) = open(&fixture, "s").await;
    subscribe(&fixture, &session, "a").await;
    publish(&fixture, "a", message("x")).await;
    session.delete().await.unwrap();
    assert!(matches!(session.put_state("x".into()).await, Err(SessionError::Gone)));
    assert!(publish(&fixture, "a", message("x")).await.is_lost());
    let brief = OpenSession { keep: Some(10), ..how(&fixture) };
    let (session, was_there) = fixture.broker.open_session("s".into(), brief).await.unwrap();
    assert!(!was_there && session.subscriptions().is_empty() && session.waiting() == 0);
    clock.advance(11);
    assert!(fixture.broker.has_session(b"s"), "it has a connection");
    session.leave(fixture.broker.now()).await.unwrap();
    clock.advance(9);
    assert!(fixture.broker.has_session(b"s"));
    clock.advance(1);
    assert!(!fixture.broker.has_session(b"s"), "before anybody has looked");
    fixture.broker.inner.sessions.sweep(fixture.broker.now()).await;
    assert_eq!(fixture.broker.session_count(), 0);
    let fixture = fixture.restart().await;
    assert!(!fixture.broker.has_session(b"s"));
}

#[tokio::test]
async fn the_time_of_a_session_runs_while_the_broker_is_down() {
    let clock = ManualClock::at(1_700_000_000_000);
    let fixture = Fixture::with(|options| options.clock = Arc::new(clock.clone())).await;
    for id in ["left", "open", "anew"] {
        let brief = OpenSession { keep: Some(100), ..how(&fixture) };
        let (session, _) = fixture.broker.open_session(id.into(), brief).await.unwrap();
        subscribe(&fixture, &session, "a").await;
        if id != "open" {
            session.leave(fixture.broker.now()).await.unwrap();
        }
    }
    clock.advance(100);
    let fixture = fixture.restart_with(|options| options.clock = Arc::new(clock.clone())).await;
    let (session, was_there) = open(&fixture, "anew").await;
    assert!(!was_there && session.subscriptions().is_empty());
    assert!(!fixture.broker.has_session(b"left"));
    assert!(fixture.broker.has_session(b"open"), "nobody knows when it was left");
    clock.advance(100);
    assert!(!fixture.broker.has_session(b"open"));
}

#[tokio::test]
async fn one_message_for_many_sessions_is_stored_once_and_trimmed_when_all_have_it() {
    let fixture = Fixture::start().await;
    let mut sessions = Vec::new();
    for id in ["a", "b", "c"] {
        let (session, _) = open(&fixture, id).await;
        subscribe(&fixture, &session, "x.>").await;
        subscribe(&fixture, &session, "x.1").await;
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
        session.settle(&[all[0].waiting.handle]);
    }
    fixture.broker.inner.sessions.sweep(0).await;
    assert_eq!(queue.range(), 1..1);
}

#[tokio::test]
async fn more_than_fits_into_memory_comes_in_order_and_once() {
    let fixture = Fixture::start().await;
    let (session, _) = open(&fixture, "s").await;
    let (other, _) = open(&fixture, "other").await;
    subscribe(&fixture, &session, "s").await;
    subscribe(&fixture, &other, "o").await;
    session.leave(0).await.unwrap();
    for round in 0..10 {
        let mut batch = Batch::default();
        for number in 0..50 {
            let text = format!("{}", round * 50 + number);
            for subject in ["s", "o"] {
                let route = fixture.broker.find_route(TEXT.subject(subject.as_bytes()).unwrap());
                fixture.broker.route(&route, &message(&text), &mut batch).unwrap();
            }
        }
        fixture.broker.store(batch).await.done().await;
    }
    take(&other, 500).await;
    assert_eq!(session.waiting(), 500, "all were given");
    assert!(session.inside.body.lock().queue.in_memory() < 100);
    for round in 0..3 {
        let (session, _) = open(&fixture, "s").await;
        let all = take(&session, 300).await;
        let expected: Vec<_> = (0..all.len()).map(|at| at.to_string()).collect();
        let texts: Vec<_> = values(&all).into_iter().map(|(_, value)| value).collect();
        assert_eq!(texts, expected, "round {round}");
        assert!(all.iter().all(|one| one.again == (round > 0)));
        session.leave(0).await.unwrap();
    }
    let (session, _) = open(&fixture, "s").await;
    let all = take(&session, 500).await;
    publish(&fixture, "s", message("last")).await;
    assert_eq!(values(&take(&session, 1).await), pairs(&[("s", "last")]));
    session.settle(&all.iter().map(|one| one.waiting.handle).collect::<Vec<_>>());
    assert_eq!(session.waiting(), 1);
}

#[tokio::test]
async fn a_session_with_too_much_gets_nothing_more_and_others_do() {
    let fixture = Fixture::start().await;
    let (session, _) = open(&fixture, "s").await;
    subscribe(&fixture, &session, "a").await;
    session.inside.waiting.store(QUEUED_MAX, Ordering::Relaxed);
    assert!(publish(&fixture, "a", message("x")).await.is_lost());
    assert_eq!(fixture.broker.session_messages_dropped(), 1);
    session.inside.waiting.store(QUEUED_MAX - 1, Ordering::Relaxed);
    assert!(!publish(&fixture, "a", message("x")).await.is_lost());
}

#[tokio::test]
async fn nobody_gets_his_own_who_does_not_want_it_and_what_expired_is_left_out() {
    let fixture = Fixture::start().await;
    let publisher = fixture.broker.new_publisher();
    let how = OpenSession { publisher, keep: None, anew: false };
    let (session, _) = fixture.broker.open_session("s".into(), how).await.unwrap();
    let quiet = Interest { no_echo: true, waits: true, ..Interest::default() };
    session.subscribe(&fixture.broker, vec![(wanted("a"), quiet)]).await.unwrap();
    assert!(publish(&fixture, "a", Message { publisher, ..message("own") }).await.is_lost());
    let properties = Properties { expires_at: Some(5), ..Properties::default() };
    publish(&fixture, "a", Message { properties, ..message("old") }).await;
    publish(&fixture, "a", message("other")).await;
    while session.waiting() < 2 {
        tokio::task::yield_now().await;
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
    subscribe(&fixture, &session, "a").await;
    let routed = publish(&fixture, "a", message("x")).await;
    assert_eq!((routed.receivers, routed.stored), (1, Some(0)));
    assert_eq!(values(&take(&session, 1).await), pairs(&[("a", "x")]));
    let batch = &crate::tests::batches(&topic, 0)[0];
    let record = batch.records().unwrap().next().unwrap().unwrap();
    let kept = Message::from_record(&record);
    assert!(kept.guaranteed && kept.headers.is_empty(), "whoever listens as well is told so");
}

#[tokio::test]
async fn what_others_write_into_a_topic_waits_once_over_a_restart() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("a", 1, &[]).await;
    let record = |value: &str| Message { guaranteed: false, ..message(value) };
    fixture.broker.publish(&topic, &[record("before")]).await.unwrap();
    let (session, _) = open(&fixture, "s").await;
    subscribe(&fixture, &session, "a").await;
    session.leave(0).await.unwrap();
    fixture.broker.publish(&topic, &[record("one")]).await.unwrap();
    while session.waiting() < 1 {
        tokio::task::yield_now().await;
    }
    publish(&fixture, "a", message("two")).await;
    let fixture = fixture.restart().await;
    let topic = fixture.broker.topic("a").unwrap();
    fixture.broker.publish(&topic, &[record("three")]).await.unwrap();
    let (session, _) = open(&fixture, "s").await;
    let expected = pairs(&[("a", "one"), ("a", "two"), ("a", "three")]);
    assert_eq!(values(&take(&session, 3).await), expected);
    assert_eq!(session.waiting(), 3);
}

/// Takes what it is given.
#[derive(Debug, Default)]
struct Inbox(Mutex<usize>);

impl Subscriber for Inbox {
    fn deliver(&self, _: &[u64], _: &Delivery<'_>) -> Accepted {
        *self.0.lock() += 1;
        Accepted::Yes
    }
}

fn listen(fixture: &Fixture, inbox: &Arc<Inbox>, session: Option<Session>) -> Subscription {
    let group = Group { name: "g".into(), merges: false, member: "".into(), weight: 1 };
    let publisher = fixture.broker.new_publisher();
    let options = SubscribeOptions { publisher, no_echo: false, group: Some(group), session };
    let inbox = Arc::clone(inbox) as Arc<dyn Subscriber>;
    fixture.broker.subscribe(filter("a"), inbox, 0, options).unwrap()
}

async fn share(fixture: &Fixture, id: &'static str) -> Session {
    let (session, _) = open(fixture, id).await;
    let wanted = Wanted { filter: filter("a"), group: Some("g".into()) };
    session.subscribe(&fixture.broker, vec![(wanted, want(""))]).await.unwrap();
    session
}

#[tokio::test]
async fn of_a_group_who_is_there_goes_first_and_if_nobody_is_it_waits_for_one() {
    for is_kept in [false, true] {
        let fixture = Fixture::start().await;
        if is_kept {
            fixture.topic("a", 1, &[]).await;
        }
        let (away, also_away) = (share(&fixture, "1").await, share(&fixture, "2").await);
        for number in 0..4 {
            publish(&fixture, "a", message(&number.to_string())).await;
        }
        while away.waiting() + also_away.waiting() < 4 {
            tokio::task::yield_now().await;
        }
        assert_eq!((away.waiting(), also_away.waiting()), (2, 2), "in turn");
        let all = take(&away, 2).await;
        assert_eq!(all[0].waiting.group.as_deref(), Some(&b"g"[..]));

        // One is there, and so is a subscriber without a session.
        let inbox = Arc::new(Inbox::default());
        let there = [listen(&fixture, &inbox, Some(away.clone())), listen(&fixture, &inbox, None)];
        for number in 0..4 {
            publish(&fixture, "a", message(&number.to_string())).await;
        }
        while away.waiting() < 4 || *inbox.0.lock() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!((also_away.waiting(), *inbox.0.lock()), (2, 2), "kept: {is_kept}");
        drop(there);
    }
}

fn stored() -> impl Strategy<Value = Stored> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    let filters = prop::sample::select(vec!["a", "a.*", ">", "*.b", "a./.b", "*"]);
    prop_oneof![
        (bytes(), [(); 3].map(|()| prop::option::of(0..i64::MAX))).prop_map(
            |(id, [expires_at, keep, sent])| Stored::Session { id, expires_at, keep, sent }
        ),
        bytes().prop_map(Stored::State),
        (filters, prop::option::of(bytes()), any::<[bool; 3]>(), bytes()).prop_map(
            |(text, group, [skips, no_echo, waits], options)| {
                let filter = filter(text).skipping_hidden(skips);
                Stored::Filter(Wanted { filter, group }, Interest { options, no_echo, waits })
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
    fn how_far_a_topic_was_forwarded_is_read_back(topic: u128, partition: i32, offset: i64) {
        let place = ((TopicId(topic), partition), offset);
        let (key, value) = forwarded_record(place);
        prop_assert_eq!(forward::decode(&key, &value.unwrap()), Some(place));
    }

    #[test]
    fn what_is_no_record_is_none(key: Vec<u8>, value: Vec<u8>) {
        let (key, value) = (Bytes::from(key), Bytes::from(value));
        let _ = forward::decode(&key, &value);
        let _ = Stored::decode(&key, value);
    }
}
