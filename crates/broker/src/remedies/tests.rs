use std::sync::Arc;

use bytes::Bytes;
use observe::diagnosis::{Incident, RULES};
use observe::families;
use observe::state::NodeKind;

use super::*;
use crate::broker::Inner;
use crate::policies::{Pattern, Policy, PolicyLayer, PolicyName, PolicySettings};
use crate::queues::{QueueKind, QueueName, QueueSpec};
use crate::tests::Fixture;
use crate::{Message, PublisherId};

/// Later than any second in which the broker looks by itself.
const SECOND: u64 = 1 << 40;

fn incident(rule: &str, about: &NodeId, since: Millis) -> Incident {
    let rule = RULES.iter().find(|known| known.id == rule).unwrap();
    Incident {
        rule: rule.id,
        severity: rule.severity,
        title: rule.title,
        about: about.clone(),
        cause: rule.cause,
        evidence: Vec::new(),
        because_of: Vec::new(),
        remedy: rule.remedy,
        since,
    }
}

/// This is wrong for long enough, and looked at.
async fn look(inner: &Arc<Inner>, wrong: &[(&str, &NodeId)]) {
    let since = inner.options.clock.now() - 60_000;
    let all = wrong.iter().map(|(rule, about)| incident(rule, about, since)).collect();
    *inner.incidents.lock() = Arc::new(all);
    step(inner).await;
}

fn states(broker: &Broker) -> Vec<RemedyState> {
    broker.remedies().1.iter().map(|remedy| remedy.state).collect()
}

/// A disk of 100 KB of which so many KB are free.
fn disk(inner: &Inner, free: i64) {
    let registry = observe::Registry::default();
    registry.gauge(&families::DISK_SIZE, []).set(100_000);
    registry.gauge(&families::DISK_FREE, []).set(free * 1000);
    let history = &inner.observe.history;
    history.record(SECOND.max(history.now() + 1), &registry.gather(&|_| true));
}

/// Group `g` is 85 of 100 seconds behind in topic `t`.
async fn late(fixture: &Fixture) -> NodeId {
    let topic = fixture.topic("t", 1, &[("retention.ms", "100000")]).await;
    let message = Message { value: Some("a".into()), ..Message::default() };
    fixture.broker.publish(&topic, &[message.clone(), message]).await.unwrap();
    fixture.commit("t", 1, 1, "").await;
    let inner = &fixture.broker.inner;
    inner.lags.look(inner, SECOND, 1_000_000);
    inner.lags.look(inner, SECOND + 85, 1_085_000);
    disk(inner, 60);
    NodeId::new(NodeKind::Group, "g")
}

fn retention(broker: &Broker) -> Option<String> {
    broker.topic("t").unwrap().topic.config.get("retention.ms").cloned()
}

#[tokio::test]
async fn what_is_suggested_is_done_and_undone_when_somebody_says_so() {
    let fixture = Fixture::start().await;
    let (broker, inner) = (&fixture.broker, &fixture.broker.inner);
    let group = late(&fixture).await;
    look(inner, &[("E408", &group)]).await;
    assert_eq!(states(broker), [], "it only says what is wrong");
    inner.remedies.set_mode(RemedyMode::Suggest);
    *inner.incidents.lock() =
        Arc::new(vec![incident("E408", &group, inner.options.clock.now() - 9_000)]);
    step(inner).await;
    assert_eq!(states(broker), [], "it may be over at once");
    for _ in 0..2 {
        look(inner, &[("E408", &group), ("W401", &group)]).await;
        assert_eq!(
            states(broker),
            [RemedyState::Suggested],
            "once, and nothing can be done of W401"
        );
    }
    let remedy = broker.remedies().1[0].clone();
    assert_eq!(remedy.text, "retention.ms of topic t from 100000 to 200000");
    assert_eq!(retention(broker).as_deref(), Some("100000"));
    let done = broker.apply_remedy(remedy.number, "User:a").await.unwrap();
    assert_eq!((done.state, done.by.as_deref()), (RemedyState::Applied, Some("User:a")));
    assert_eq!(retention(broker).as_deref(), Some("200000"));
    let again = broker.apply_remedy(remedy.number, "User:a").await;
    assert_eq!(again, Err(RemedyError::State(RemedyState::Applied)));
    let undone = broker.undo_remedy(remedy.number, "User:b").await.unwrap();
    assert_eq!((undone.state, undone.by.as_deref()), (RemedyState::Undone, Some("User:b")));
    assert_eq!(retention(broker).as_deref(), Some("100000"));
    assert!(broker.undo_remedy(remedy.number, "User:b").await.is_err());
    assert_eq!(broker.apply_remedy(99, "User:a").await, Err(RemedyError::NotFound));
    look(inner, &[("E408", &group)]).await;
    assert_eq!(states(broker), [RemedyState::Undone], "whoever undid it did not want it");
    let events = inner.observe.events.newest(100);
    let kinds: Vec<_> = events.iter().map(|event| event.kind.name).collect();
    let told: Vec<_> = kinds.into_iter().filter(|kind| kind.starts_with("remedy.")).collect();
    assert_eq!(told, ["remedy.suggested", "remedy.applied", "remedy.undone"]);
}

#[tokio::test]
async fn what_somebody_changed_meanwhile_stays_as_it_is() {
    let fixture = Fixture::start().await;
    let (broker, inner) = (&fixture.broker, &fixture.broker.inner);
    let group = late(&fixture).await;
    inner.remedies.set_mode(RemedyMode::Suggest);
    let set = |value: &'static str| {
        broker.set_topic_config("t", move |config| {
            config.insert("retention.ms".to_owned(), value.to_owned());
        })
    };
    look(inner, &[("E408", &group)]).await;
    set("500").await.unwrap();
    let failed = broker.apply_remedy(1, "User:a").await.unwrap();
    assert_eq!(failed.state, RemedyState::Failed);
    assert_eq!(failed.why.as_deref(), Some("retention.ms of topic t was changed since"));
    assert_eq!(retention(broker).as_deref(), Some("500"));
    set("100000").await.unwrap();
    inner.remedies.book.lock().change(1, |remedy| remedy.at -= 600_000).unwrap();
    look(inner, &[("E408", &group)]).await;
    broker.apply_remedy(2, "User:a").await.unwrap();
    set("700").await.unwrap();
    let refused = broker.undo_remedy(2, "User:a").await.unwrap_err();
    assert_eq!(refused.to_string(), "retention.ms of topic t was changed since");
    assert_eq!(retention(broker).as_deref(), Some("700"));
    assert_eq!(states(broker), [RemedyState::Applied, RemedyState::Failed]);
}

#[tokio::test]
async fn by_itself_it_does_one_thing_about_one_thing_and_nothing_where_there_is_no_room() {
    let fixture = Fixture::start().await;
    let (broker, inner) = (&fixture.broker, &fixture.broker.inner);
    let group = late(&fixture).await;
    inner.remedies.set_mode(RemedyMode::Auto);
    disk(inner, 9);
    look(inner, &[("E408", &group)]).await;
    assert_eq!(states(broker), []);
    // Nor where there is too little for twice what the topic has.
    disk(inner, 10);
    look(inner, &[("E408", &group)]).await;
    assert_eq!(states(broker), []);
    disk(inner, 11);
    for _ in 0..2 {
        look(inner, &[("E408", &group)]).await;
        assert_eq!(states(broker), [RemedyState::Applied]);
        assert_eq!(retention(broker).as_deref(), Some("200000"));
    }
    assert_eq!(broker.remedies().1[0].by.as_deref(), Some("auto"));
    look(inner, &[]).await;
    assert_eq!(states(broker), [RemedyState::Applied], "it stays done");
}

#[tokio::test]
async fn what_is_done_can_be_undone_after_a_restart() {
    let fixture = Fixture::start().await;
    let (broker, inner) = (&fixture.broker, &fixture.broker.inner);
    let group = late(&fixture).await;
    let name = QueueName { space: "v".into(), name: "q".into() };
    let spec = QueueSpec { durable: true, ..QueueSpec::default() };
    broker.declare_queue(&name, &spec, PublisherId::default()).await.unwrap();
    inner.remedies.set_mode(RemedyMode::Suggest);
    let queue = NodeId::new(NodeKind::Queue, "v/q");
    look(inner, &[("E408", &group), ("W410", &queue)]).await;
    for number in [1, 2] {
        assert_eq!(broker.apply_remedy(number, "a").await.unwrap().state, RemedyState::Applied);
    }
    let before = broker.remedies().1;

    let fixture = fixture.restart().await;
    let (broker, inner) = (&fixture.broker, &fixture.broker.inner);
    assert_eq!(broker.remedies().1, before);
    let queue_of = |broker: &Broker| broker.queue(&name).unwrap().settings().retry_delay.is_some();
    assert!(queue_of(broker));
    // It is known that something was just done about it.
    inner.remedies.set_mode(RemedyMode::Suggest);
    look(inner, &[("E408", &group)]).await;
    assert_eq!(states(broker), [RemedyState::Applied; 2]);
    for number in [1, 2] {
        assert_eq!(broker.undo_remedy(number, "b").await.unwrap().state, RemedyState::Undone);
    }
    assert_eq!((retention(broker).as_deref(), queue_of(broker)), (Some("100000"), false));

    let fixture = fixture.restart().await;
    assert_eq!(states(&fixture.broker), [], "nothing is done any more");
}

#[tokio::test]
async fn what_was_written_down_and_not_done_is_undone_by_doing_nothing() {
    let fixture = Fixture::start().await;
    let (broker, inner) = (&fixture.broker, &fixture.broker.inner);
    let group = late(&fixture).await;
    inner.remedies.set_mode(RemedyMode::Suggest);
    look(inner, &[("E408", &group)]).await;
    let done = Remedy { state: RemedyState::Applied, ..broker.remedies().1[0].clone() };
    let put = Op::put(stored::key(broker.id(), 1), stored::encode(&done));
    // As if it ended here.
    inner.meta.txn(Txn::new().then(put)).await.unwrap();
    let other = Op::put(stored::key(BrokerId(77), 9), stored::encode(&done));
    let broken = Op::put(stored::key(broker.id(), 8), b"{}".to_vec());
    inner.meta.txn(Txn::new().then(other).then(broken)).await.unwrap();
    let fixture = fixture.restart().await;
    assert_eq!(fixture.broker.remedies().1, [done]);
    fixture.broker.undo_remedy(1, "b").await.unwrap();
    assert_eq!(retention(&fixture.broker).as_deref(), Some("100000"));
}

#[tokio::test]
async fn what_is_over_needs_no_remedy() {
    let fixture = Fixture::start().await;
    let (broker, inner) = (&fixture.broker, &fixture.broker.inner);
    let group = late(&fixture).await;
    inner.remedies.set_mode(RemedyMode::Suggest);
    look(inner, &[("E408", &group)]).await;
    look(inner, &[]).await;
    assert_eq!(states(broker), [RemedyState::Withdrawn]);
    let late = broker.apply_remedy(1, "User:a").await;
    assert_eq!(late, Err(RemedyError::State(RemedyState::Withdrawn)));
    look(inner, &[("E408", &group)]).await;
    assert_eq!(states(broker), [RemedyState::Suggested, RemedyState::Withdrawn]);
}

#[tokio::test]
async fn messages_that_come_back_wait_and_what_operators_want_holds_on() {
    let fixture = Fixture::start().await;
    let (broker, inner) = (&fixture.broker, &fixture.broker.inner);
    let name = QueueName { space: "v".into(), name: "a.b".into() };
    let spec = QueueSpec { durable: true, ..QueueSpec::default() };
    let (queue, _) = broker.declare_queue(&name, &spec, PublisherId::default()).await.unwrap();
    let bound = Policy {
        name: PolicyName { space: "v".into(), layer: PolicyLayer::Operator, name: "bound".into() },
        pattern: Pattern::new("").unwrap(),
        queues: vec![QueueKind::default()],
        exchanges: false,
        priority: 7,
        settings: PolicySettings { length_max: Some(9), ..PolicySettings::default() },
        arguments: Bytes::new(),
    };
    broker.set_policy(bound.clone()).await.unwrap();
    let about = NodeId::new(NodeKind::Queue, "v/a.b");
    // What operators changed after it was suggested is not put back.
    inner.remedies.set_mode(RemedyMode::Suggest);
    look(inner, &[("W410", &about)]).await;
    let settings = PolicySettings { length_max: Some(3), ..PolicySettings::default() };
    broker.set_policy(Policy { settings, ..bound.clone() }).await.unwrap();
    let failed = broker.apply_remedy(1, "User:a").await.unwrap();
    assert_eq!(failed.why.as_deref(), Some("the policies of queue/v/a.b were changed since"));
    assert_eq!(queue.settings().length_max, Some(3));
    broker.set_policy(bound).await.unwrap();
    inner.remedies.book.lock().change(1, |remedy| remedy.at -= 600_000).unwrap();
    inner.remedies.set_mode(RemedyMode::Auto);
    look(inner, &[("W410", &NodeId::new(NodeKind::Queue, "v/gone")), ("W410", &about)]).await;
    assert_eq!(states(broker), [RemedyState::Applied, RemedyState::Failed]);
    let settings = queue.settings();
    let delay = settings.retry_delay.unwrap();
    assert_eq!((delay.min, delay.max, settings.length_max), (1000, 30_000, Some(9)));
    let others = QueueName { space: "v".into(), name: "acb".into() };
    let (other, _) = broker.declare_queue(&others, &spec, PublisherId::default()).await.unwrap();
    assert_eq!(other.settings().retry_delay, None, "its name is no pattern");
    broker.undo_remedy(2, "User:a").await.unwrap();
    let settings = queue.settings();
    assert_eq!((settings.retry_delay, settings.length_max), (None, Some(9)));
}

#[test]
fn in_an_hour_only_so_much_is_done() {
    let mut book = Book::default();
    let action = || Action::Configure {
        topic: "t".to_owned(),
        key: "retention.ms".to_owned(),
        before: None,
        after: "1".to_owned(),
    };
    let groups: Vec<_> =
        (0..9).map(|number| NodeId::new(NodeKind::Group, number.to_string())).collect();
    for group in &groups {
        book.suggest(("E408", group), (action(), String::new()), 0);
    }
    let mut done = 0;
    while let Some(number) = book.next(1000) {
        let applied = |remedy: &mut Remedy| {
            (remedy.state, remedy.at) = (RemedyState::Applied, 1000);
            remedy.by = Some(book::AUTO.to_owned());
        };
        book.change(number, applied).unwrap();
        done += 1;
    }
    assert_eq!(done, 6);
    assert_eq!(book.next(3_600_999), None);
    assert_eq!(book.next(3_601_000), Some(7));
    let (first, last) = (&groups[0], &groups[8]);
    assert!(!book.may_suggest(("E408", first), 600_999), "it has just been done");
    assert!(book.may_suggest(("E408", first), 601_000));
    assert!(!book.may_suggest(("E408", last), 601_000), "it is suggested");
    assert!(book.may_suggest(("W410", last), 0), "that is another matter");
    for _ in 0..300 {
        book.suggest(("E408", first), (action(), String::new()), 0);
    }
    let is_done = |remedy: &&Remedy| remedy.state == RemedyState::Applied;
    assert_eq!((book.newest().len(), book.newest().iter().filter(is_done).count()), (256, 6));
    let all = book.newest().into_iter();
    let done = all.map(|remedy| Remedy { state: RemedyState::Applied, ..remedy });
    let mut book = Book::with(done);
    assert!(!book.may_suggest(("W410", last), i64::MAX), "so much is done that nobody undid");
    book.change(309, |remedy| remedy.state = RemedyState::Undone).unwrap();
    assert!(book.may_suggest(("W410", last), i64::MAX));
    assert_eq!(book.suggest(("W410", last), (action(), String::new()), 0).number, 310);
}

#[test]
fn modes_have_names() {
    for mode in RemedyMode::ALL {
        assert_eq!(mode.as_str().parse(), Ok(mode));
    }
    assert!("always".parse::<RemedyMode>().is_err());
}
