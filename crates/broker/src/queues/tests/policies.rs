//! Policies: what they change of queues and exchanges while these live.

use super::exchanges::exchange_spec;
use super::*;
use crate::policies::{Pattern, Policy, PolicyError, PolicyLayer, PolicyName, PolicySettings};
use base::ManualClock;

fn policy_name(name: &str) -> PolicyName {
    PolicyName { space: Bytes::new(), layer: PolicyLayer::User, name: bytes(name) }
}

/// For all queues and exchanges whose names match.
fn policy(name: &str, pattern: &str, settings: PolicySettings) -> Policy {
    Policy {
        name: policy_name(name),
        pattern: Pattern::new(pattern).unwrap(),
        queues: vec![QueueKind::Classic, QueueKind::Quorum, QueueKind::Stream],
        exchanges: true,
        priority: 0,
        settings,
        arguments: Bytes::new(),
    }
}

fn at_most(length: u64) -> PolicySettings {
    PolicySettings { length_max: Some(length), ..PolicySettings::default() }
}

impl Fixture {
    async fn set(&self, policy: Policy) -> bool {
        self.broker.set_policy(policy).await.unwrap()
    }

    async fn unset(&self, name: &str) {
        self.broker.delete_policy(&policy_name(name)).await.unwrap();
    }
}

fn of_user(queue: &Queue) -> Option<Bytes> {
    queue.governing().user.map(|policy| policy.name.name.clone())
}

#[tokio::test]
async fn a_policy_holds_of_what_is_there_and_of_what_comes_until_it_is_deleted() {
    let fixture = Fixture::start().await;
    for (name, spec) in ["d", "t"].into_iter().zip(both(&QueueSettings::default())) {
        let queue = fixture.queue(name, &spec).await;
        fixture.fill(name, &["a", "b", "c", "d"]).await;
        assert!(fixture.set(policy("p", "^[dt]", at_most(2))).await, "it is new");
        until("the oldest are gone", || queue.counts().ready == 2).await;
        assert_eq!(queue.spec(), &spec, "as it was declared");
        let later = fixture.queue(&format!("{name}-later"), &spec).await;
        fixture.fill(&format!("{name}-later"), &["a", "b", "c"]).await;
        until("it holds of a new one, too", || later.counts().ready == 2).await;
        assert!(!fixture.set(policy("p", "^[dt]", at_most(1))).await, "it was there");
        until("it was changed", || queue.counts().ready == 1).await;
        fixture.unset("p").await;
        fixture.fill(name, &["e", "f", "g"]).await;
        let holder = fixture.broker.new_holder(0);
        assert_eq!(values(&get_all(&queue, &holder).await), ["d", "e", "f", "g"]);
        assert_eq!(*queue.settings(), spec.settings);
    }
    assert_eq!(fixture.broker.delete_policy(&policy_name("p")).await, Err(PolicyError::NotFound));
}

#[tokio::test]
async fn one_counts_of_all_that_match_and_operators_bound_it() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("q", &durable()).await;
    let stream = fixture.queue("other", &durable()).await;
    fixture.set(policy("low", "q", at_most(1))).await;
    fixture.set(Policy { priority: 5, ..policy("high", "q", at_most(9)) }).await;
    let quorum = vec![QueueKind::Quorum];
    fixture.set(Policy { priority: 7, queues: quorum, ..policy("quorum", "q", at_most(2)) }).await;
    assert_eq!((of_user(&queue), queue.settings().length_max), (Some(bytes("high")), Some(9)));
    assert_eq!(of_user(&stream), None, "its name does not match");
    let name = PolicyName { layer: PolicyLayer::Operator, ..policy_name("bound") };
    fixture.set(Policy { name: name.clone(), ..policy("", "", at_most(4)) }).await;
    assert_eq!((of_user(&queue), queue.settings().length_max), (Some(bytes("high")), Some(4)));
    fixture.unset("high").await;
    assert_eq!((of_user(&queue), queue.settings().length_max), (Some(bytes("low")), Some(1)));
    fixture.unset("low").await;
    assert_eq!(queue.settings().length_max, Some(4));
    fixture.broker.delete_policy(&name).await.unwrap();
    assert_eq!(*queue.settings(), QueueSettings::default());
}

#[tokio::test]
async fn what_dies_goes_where_a_policy_says_as_long_as_there_is_one() {
    let fixture = Fixture::start().await;
    let graves = fixture.queue("graves", &durable()).await;
    let settings = PolicySettings {
        message_ttl: Some(0),
        dead_letter_exchange: Some(Bytes::new()),
        dead_letter_key: Some(bytes("graves")),
        ..PolicySettings::default()
    };
    for (name, spec) in ["d", "t"].into_iter().zip(both(&QueueSettings::default())) {
        let queue = fixture.queue(name, &spec).await;
        fixture.fill(name, &["before"]).await;
        fixture.set(policy("p", "^[dt]$", settings.clone())).await;
        let sink = Arc::new(Sink::default());
        let holder = fixture.broker.new_holder(0);
        let consumer = queue.consume(&holder, options(&sink)).unwrap();
        let got = sink.take(1).await;
        assert_eq!(values(&got), ["before"], "what came before has the time that it had");
        holder.settle(&[(got[0].id, Settlement::Reject)]);
        drop(consumer);
        fixture.fill(name, &["after"]).await;
        until("both are dead", || graves.counts().ready == 2).await;
        let other = fixture.broker.new_holder(0);
        let letters = get_all(&graves, &other).await;
        let mut told = values(&letters);
        told.sort_unstable();
        assert_eq!(told, ["after", "before"]);
        accept(&other, &letters);
        fixture.unset("p").await;
        fixture.fill(name, &["stays"]).await;
        let got = get_all(&queue, &holder).await;
        assert_eq!(values(&got), ["stays"]);
        holder.settle(&[(got[0].id, Settlement::Reject)]);
        assert_eq!(queue.counts(), QueueCounts::default());
        assert_eq!(graves.counts().ready, 0);
    }
}

#[tokio::test]
async fn what_others_wrote_to_the_topic_before_a_policy_has_no_time_of_it() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("q", &durable()).await;
    // As long ago as can be.
    fixture.produce("q", &["a", "b"]).await.unwrap();
    let settings = PolicySettings { message_ttl: Some(1000), ..PolicySettings::default() };
    fixture.set(policy("p", "^q$", settings)).await;
    fixture.produce("q", &["c"]).await.unwrap();
    let holder = fixture.broker.new_holder(0);
    let (first, _) = queue.get(&holder, true).await.unwrap().unwrap();
    assert_eq!(values(&[first]), ["a"]);
    drop((queue, holder));
    let fixture = fixture.restart().await;
    let queue = fixture.broker.queue(&queue_name("q")).unwrap();
    let holder = fixture.broker.new_holder(0);
    fixture.produce("q", &["d"]).await.unwrap();
    let left = values(&get_all(&queue, &holder).await);
    assert_eq!(left, ["b", "c"], "what waits when the broker starts has none either");
    fixture.unset("p").await;
    fixture.produce("q", &["e"]).await.unwrap();
    assert_eq!(values(&get_all(&queue, &holder).await), ["e"]);
}

#[tokio::test]
async fn after_a_restart_a_policy_holds_from_the_first_message_on() {
    let fixture = Fixture::start().await;
    fixture.queue("q", &durable()).await;
    let settings = PolicySettings {
        overflow: Some(Overflow::Reject),
        length_max: Some(2),
        ..Default::default()
    };
    let set = policy("p", "^q$", settings);
    fixture.set(set.clone()).await;
    fixture.fill("q", &["a", "b"]).await;
    let fixture = fixture.restart().await;
    let queue = fixture.broker.queue(&queue_name("q")).unwrap();
    assert_eq!(of_user(&queue), Some(bytes("p")));
    assert_eq!(fixture.send("", "q", message("c")).await, Err(ProduceError::Refused));
    let direct = fixture.produce("q", &["d"]).await;
    assert_eq!(direct, Err(ProduceError::Refused), "nor by who writes to the topic");
    assert_eq!(fixture.broker.policies(), [Arc::new(set)]);
    fixture.unset("p").await;
    assert!(fixture.send("", "q", message("c")).await.is_ok());
    assert!(fixture.produce("q", &["d"]).await.is_ok());
    drop(queue);
    let fixture = fixture.restart().await;
    assert!(fixture.broker.policies().is_empty());
    assert!(fixture.send("", "q", message("d")).await.is_ok());
}

#[tokio::test]
async fn a_stream_keeps_as_much_as_a_policy_says() {
    let fixture = Fixture::start().await;
    let own = StreamSettings { age_max: Some(9000), ..StreamSettings::default() };
    let settings = QueueSettings { stream: Some(own), ..QueueSettings::default() };
    let spec = QueueSpec { kind: QueueKind::Stream, ..with(settings) };
    fixture.queue("s1", &spec).await;
    let kept = |name: &str| {
        let topic = fixture.broker.topic(name).unwrap();
        let of = |key: &str| topic.topic.config.get(key).cloned();
        (of("retention.ms"), of("retention.bytes"), of("segment.bytes"))
    };
    let text = |text: &str| Some(text.to_owned());
    let before = kept("s1");
    assert_eq!(before, (text("9000"), text("-1"), None));
    let settings = PolicySettings {
        age_max: Some(5000),
        bytes_max: Some(700_000),
        segment_bytes: Some(100_000),
        ..PolicySettings::default()
    };
    fixture.set(policy("p", "^s", settings)).await;
    fixture.queue("s2", &spec).await;
    for name in ["s1", "s2"] {
        assert_eq!(kept(name), (text("5000"), text("700000"), text("100000")), "{name}");
    }
    fixture.unset("p").await;
    for name in ["s1", "s2"] {
        assert_eq!(kept(name), before, "{name}");
    }
}

#[tokio::test]
async fn a_queue_that_nobody_uses_goes_when_a_policy_says_so() {
    let fixture = Fixture::start().await;
    for (name, spec) in ["d", "t"].into_iter().zip(both(&QueueSettings::default())) {
        fixture.queue(name, &spec).await;
        let settings = PolicySettings { expires: Some(1), ..PolicySettings::default() };
        fixture.set(policy("p", "", settings)).await;
        until("it is gone", || fixture.broker.queue(&queue_name(name)).is_none()).await;
        fixture.unset("p").await;
    }
}

#[tokio::test]
async fn what_an_exchange_has_no_binding_for_goes_where_a_policy_says() {
    let fixture = Fixture::start().await;
    let name = ExchangeName { space: Bytes::new(), name: bytes("x") };
    fixture.broker.declare_exchange(&name, &exchange_spec(ExchangeKind::Direct)).await.unwrap();
    fixture.queue("k", &durable()).await;
    assert!(fixture.send("x", "k", message("a")).await.unwrap().is_lost());
    let settings = PolicySettings { alternate: Some(Bytes::new()), ..PolicySettings::default() };
    fixture.set(policy("p", "^x$", settings)).await;
    assert!(!fixture.send("x", "k", message("b")).await.unwrap().is_lost());
    let fixture = fixture.restart().await;
    assert!(!fixture.send("x", "k", message("c")).await.unwrap().is_lost());
    fixture.unset("p").await;
    assert!(fixture.send("x", "k", message("d")).await.unwrap().is_lost());
    assert_eq!(fixture.broker.queue(&queue_name("k")).unwrap().counts().ready, 2);
}

#[tokio::test]
async fn what_comes_back_waits_as_a_policy_says_and_longer_each_time() {
    let clock = ManualClock::at(1_000_000);
    let fixture = Fixture::with(|options| options.clock = Arc::new(clock.clone())).await;
    let queue = fixture.queue("q", &durable()).await;
    let holder = fixture.broker.new_holder(0);
    let settings = PolicySettings {
        retry_when: Some(RetryWhen::Failed),
        retry_min: Some(1000),
        retry_max: Some(1500),
        ..PolicySettings::default()
    };
    fixture.set(policy("p", "^q$", settings)).await;
    fixture.fill("q", &["a"]).await;
    let give_back = async |failed| {
        let (got, _) = queue.get(&holder, false).await.unwrap().expect("a message");
        holder.settle(&[(got.id, Settlement::Return { counted: true, failed, after: 0 })]);
    };
    // Nobody said that it failed.
    give_back(false).await;
    for wait in [1500, 1500] {
        give_back(true).await;
        clock.advance(wait - 1);
        assert!(queue.get(&holder, false).await.unwrap().is_none(), "too early");
        clock.advance(1);
    }
    // What is on its way keeps its time; then nothing waits any more.
    give_back(true).await;
    fixture.unset("p").await;
    assert!(queue.get(&holder, false).await.unwrap().is_none());
    clock.advance(1500);
    give_back(true).await;
    give_back(true).await;
}
