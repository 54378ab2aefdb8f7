//! Queues on a broker: what is delivered to whom, in which order, and what a restart leaves.

use std::sync::Arc;
use std::time::Duration;

use ::queue::dispatch::Policy;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::*;
use crate::exchanges::{
    BindTo, Binding, ExchangeKind, ExchangeName, ExchangeSpec, HeaderMatch, HeaderValue,
};
use crate::live::{Batch, Routed};
use crate::message::Properties;
use crate::tests::Fixture;
use crate::{DeathReason, Message, ProduceError, PublisherId};

mod by_key;
mod dead_letters;
mod exchanges;
mod flow;
mod leaving;
mod looking;
mod policies;
mod restart;
mod room;
mod streams;
mod traces;
mod turns;

const ME: PublisherId = PublisherId(77);
const PATIENCE: Duration = Duration::from_secs(30);

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn queue_name(name: &str) -> QueueName {
    QueueName { space: Bytes::new(), name: bytes(name) }
}

fn message(value: &str) -> Message {
    Message { value: Some(bytes(value)), guaranteed: true, ..Message::default() }
}

fn durable() -> QueueSpec {
    QueueSpec { durable: true, ..QueueSpec::default() }
}

fn with(settings: QueueSettings) -> QueueSpec {
    QueueSpec { settings, ..durable() }
}

/// Both kinds of queues with these settings, which are to be the same but for a restart.
fn both(settings: &QueueSettings) -> [QueueSpec; 2] {
    [with(settings.clone()), QueueSpec { settings: settings.clone(), ..QueueSpec::default() }]
}

impl Fixture {
    async fn queue(&self, name: &str, spec: &QueueSpec) -> Arc<Queue> {
        self.broker.declare_queue(&queue_name(name), spec, ME).await.unwrap().0
    }

    /// Publishes through an exchange, and waits until that is confirmed.
    async fn send(
        &self,
        exchange: &str,
        key: &str,
        message: Message,
    ) -> Result<Routed, ProduceError> {
        let mut routes = self.broker.new_exchange_routes(Bytes::new());
        let header = |(name, value): &(Bytes, Option<Bytes>)| {
            (name.clone(), HeaderValue::Is(value.clone().unwrap_or_default()))
        };
        let headers = || message.headers.iter().map(header).collect();
        let route = routes.find(&self.broker, exchange.as_bytes(), key.as_bytes(), &[], headers);
        let route = route.expect("an exchange");
        let mut batch = Batch::default();
        // What one queue refuses, others may have.
        let routed = self.broker.route_to_queues(&route, &message, &mut batch);
        let stored = self.broker.store(batch).await.done().await;
        stored.into_iter().collect::<Result<(), _>>()?;
        routed
    }

    async fn fill(&self, queue: &str, values: &[&str]) {
        for value in values {
            self.send("", queue, message(value)).await.unwrap();
        }
    }
}

/// A consumer that keeps what it gets.
#[derive(Debug, Default)]
struct Sink {
    got: Mutex<Vec<Delivered>>,
    came: Notify,
    /// It takes no more than so many.
    room: Mutex<Option<usize>>,
    is_cancelled: std::sync::atomic::AtomicBool,
}

impl QueueSink for Sink {
    fn deliver(&self, _: u64, delivered: Delivered) -> bool {
        let mut room = self.room.lock();
        match &mut *room {
            Some(0) => return false,
            Some(room) => *room -= 1,
            None => {}
        }
        self.got.lock().push(delivered);
        true
    }

    fn flush(&self) {
        self.came.notify_one();
    }

    fn cancelled(&self, _: u64) {
        self.is_cancelled.store(true, Ordering::SeqCst);
        self.came.notify_one();
    }
}

impl Sink {
    /// Waits for so many messages; takes all that came.
    async fn take(&self, count: usize) -> Vec<Delivered> {
        let enough = async {
            while self.got.lock().len() < count {
                self.came.notified().await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, enough).await;
        let got = std::mem::take(&mut *self.got.lock());
        assert!(came.is_ok(), "{} of {count} came", got.len());
        got
    }
}

fn options(sink: &Arc<Sink>) -> ConsumeOptions {
    ConsumeOptions {
        tag: 1,
        priority: 0,
        exclusive: false,
        automatic: false,
        prefetch: 0,
        sink: Arc::clone(sink) as _,
    }
}

fn values(delivered: &[Delivered]) -> Vec<String> {
    let value = |one: &Delivered| one.message.value.clone().unwrap_or_default().to_vec();
    delivered.iter().map(|one| String::from_utf8(value(one)).unwrap()).collect()
}

fn counts(delivered: &[Delivered]) -> Vec<(String, u32)> {
    values(delivered).into_iter().zip(delivered.iter().map(|one| one.deliveries)).collect()
}

fn accept(holder: &Holder, of: &[Delivered]) {
    let of: Vec<_> = of.iter().map(|one| (one.id, Settlement::Accept)).collect();
    holder.settle(&of);
}

fn tally(ready: u64, held: u64, consumers: u32) -> QueueCounts {
    QueueCounts { ready, held, consumers, is_paused: false }
}

const BACK: Settlement = Settlement::Return { counted: true, failed: true, after: 0 };

/// Waits until something is so, which nothing tells of.
async fn until(what: &str, is: impl Fn() -> bool) {
    let so = async {
        // poll: until it is so, bounded by the timeout below
        while !is() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, so).await.unwrap_or_else(|_| panic!("not so: {what}"));
}

/// What `get` returns, until there is nothing.
async fn get_all(queue: &Arc<Queue>, holder: &Holder) -> Vec<Delivered> {
    let mut all = Vec::new();
    while let Some((delivered, _)) = queue.get(holder, false).await.unwrap() {
        all.push(delivered);
    }
    all
}

#[tokio::test]
async fn messages_come_in_order_and_once_and_what_is_accepted_is_gone() {
    let fixture = Fixture::start().await;
    for (name, spec) in ["d", "t"].into_iter().zip(both(&QueueSettings::default())) {
        let queue = fixture.queue(name, &spec).await;
        assert_eq!(queue.is_stored(), spec.durable);
        fixture.fill(name, &["a", "b"]).await;
        let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
        let consumer = queue.consume(&holder, options(&sink)).unwrap();
        let first = sink.take(2).await;
        fixture.fill(name, &["c"]).await;
        let then = sink.take(1).await;
        assert_eq!(
            (values(&first), values(&then)),
            (vec!["a".into(), "b".into()], vec!["c".into()])
        );
        assert!(first.iter().chain(&then).all(|one| one.deliveries == 0));
        assert!(first.iter().all(|one| one.origin == Origin::Queue));
        assert_eq!(queue.counts(), tally(0, 3, 1));
        accept(&holder, &first);
        accept(&holder, &then);
        holder.settled().await.unwrap();
        assert_eq!(queue.counts(), tally(0, 0, 1));
        drop(consumer);
        drop(holder);
        assert_eq!(queue.counts(), QueueCounts::default());
    }
}

#[tokio::test]
async fn what_is_returned_comes_again_in_its_place_and_is_counted() {
    let fixture = Fixture::start().await;
    for (name, spec) in ["d", "t"].into_iter().zip(both(&QueueSettings::default())) {
        let queue = fixture.queue(name, &spec).await;
        fixture.fill(name, &["a", "b", "c", "d"]).await;
        let holder = fixture.broker.new_holder(0);
        let all = get_all(&queue, &holder).await;
        assert_eq!(all.len(), 4);
        let uncounted = Settlement::Return { counted: false, failed: true, after: 0 };
        holder.settle(&[(all[2].id, BACK), (all[0].id, BACK), (all[1].id, uncounted)]);
        let again = get_all(&queue, &holder).await;
        let told: Vec<_> = counts(&again);
        assert_eq!(told, [("a".into(), 1), ("b".into(), 0), ("c".into(), 1)]);
        // One who is gone has nothing; and only who has a message says what becomes of it.
        let other = fixture.broker.new_holder(0);
        let _ = queue.get(&other, false).await.unwrap();
        accept(&other, &all);
        drop(holder);
        let all = get_all(&queue, &other).await;
        let told: Vec<_> = counts(&all);
        assert_eq!(told, [("a".into(), 2), ("b".into(), 1), ("c".into(), 2), ("d".into(), 1)]);
    }
}

#[tokio::test]
async fn a_consumer_has_no_more_than_its_prefetch_nor_all_together_than_their_holder_s() {
    let fixture = Fixture::start().await;
    for (name, spec) in ["d", "t"].into_iter().zip(both(&QueueSettings::default())) {
        let queue = fixture.queue(name, &spec).await;
        let (holder, sink) = (fixture.broker.new_holder(3), Arc::new(Sink::default()));
        let two = ConsumeOptions { prefetch: 2, ..options(&sink) };
        let _one = queue.consume(&holder, two.clone()).unwrap();
        let _two = queue.consume(&holder, two).unwrap();
        fixture.fill(name, &["a", "b", "c", "d", "e", "f"]).await;
        let first = sink.take(3).await;
        assert_eq!(queue.counts(), tally(3, 3, 2));
        accept(&holder, &first[..1]);
        let next = sink.take(1).await;
        assert_eq!(values(&next), ["d"]);
        assert_eq!(queue.counts().held, 3);
        holder.set_prefetch(0);
        let more = sink.take(1).await;
        assert_eq!((values(&more), queue.counts().held), (vec!["e".into()], 4), "two consumers");
    }
}

#[tokio::test]
async fn what_is_settled_on_one_queue_makes_room_for_the_holder_s_consumers_on_others() {
    let fixture = Fixture::start().await;
    let queues = [fixture.queue("a", &durable()).await, fixture.queue("b", &durable()).await];
    let holder = fixture.broker.new_holder(1);
    let sinks: Vec<_> = (0..2).map(|_| Arc::new(Sink::default())).collect();
    let consume = |(queue, sink): (&Arc<Queue>, _)| queue.consume(&holder, options(sink)).unwrap();
    let _consumers: Vec<_> = queues.iter().zip(&sinks).map(consume).collect();
    fixture.fill("a", &["a"]).await;
    let first = sinks[0].take(1).await;
    fixture.fill("b", &["b"]).await;
    until("it was read", || queues[1].state.lock().lanes[0].ahead().0 == 1).await;
    // poll: until the queue's task has seen that nobody can have it, bounded by this number of turns
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    accept(&holder, &first);
    assert_eq!(values(&sinks[1].take(1).await), ["b"]);
}

#[tokio::test]
async fn a_sink_without_room_loses_nothing() {
    let fixture = Fixture::start().await;
    for (name, spec) in ["d", "t"].into_iter().zip(both(&QueueSettings::default())) {
        let queue = fixture.queue(name, &spec).await;
        let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
        *sink.room.lock() = Some(2);
        let automatic = ConsumeOptions { automatic: true, ..options(&sink) };
        let consumer = queue.consume(&holder, automatic).unwrap();
        fixture.fill(name, &["a", "b", "c", "d"]).await;
        assert_eq!(values(&sink.take(2).await), ["a", "b"]);
        until("two wait", || queue.counts().ready == 2).await;
        *sink.room.lock() = None;
        consumer.ready();
        let rest = sink.take(2).await;
        let told: Vec<_> = counts(&rest);
        assert_eq!(told, [("c".into(), 0), ("d".into(), 0)]);
        until("all are done", || {
            queue.counts() == QueueCounts { consumers: 1, ..QueueCounts::default() }
        })
        .await;
    }
}

#[tokio::test]
async fn consumers_take_turns_and_higher_priorities_come_first() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("q", &durable()).await;
    let holder = fixture.broker.new_holder(0);
    let sinks: Vec<_> = (0..3).map(|_| Arc::new(Sink::default())).collect();
    let _low: Vec<_> =
        sinks.iter().take(2).map(|sink| queue.consume(&holder, options(sink)).unwrap()).collect();
    let high = ConsumeOptions { priority: 5, prefetch: 1, ..options(&sinks[2]) };
    let _high = queue.consume(&holder, high).unwrap();
    fixture.fill("q", &["a", "b", "c", "d", "e"]).await;
    assert_eq!(values(&sinks[2].take(1).await), ["a"], "as long as it can take more");
    let (one, two) = (sinks[0].take(2).await, sinks[1].take(2).await);
    assert_eq!((one.len(), two.len()), (2, 2));
}

#[tokio::test]
async fn of_single_active_consumers_the_first_gets_all_until_it_is_gone() {
    let fixture = Fixture::start().await;
    let settings = QueueSettings { single_active: true, ..QueueSettings::default() };
    let queue = fixture.queue("q", &with(settings)).await;
    let holder = fixture.broker.new_holder(0);
    let sinks: Vec<_> = (0..2).map(|_| Arc::new(Sink::default())).collect();
    let first = queue.consume(&holder, options(&sinks[0])).unwrap();
    let urgent = ConsumeOptions { priority: 9, ..options(&sinks[1]) };
    let _second = queue.consume(&holder, urgent).unwrap();
    fixture.fill("q", &["a", "b"]).await;
    assert_eq!(sinks[0].take(2).await.len(), 2);
    drop(first);
    fixture.fill("q", &["c"]).await;
    assert_eq!(values(&sinks[1].take(1).await), ["c"]);
}

#[tokio::test]
async fn an_exclusive_consumer_is_the_only_one() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("q", &durable()).await;
    let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
    let exclusive = || ConsumeOptions { exclusive: true, ..options(&sink) };
    let first = queue.consume(&holder, exclusive()).unwrap();
    let refused = queue.consume(&holder, options(&sink));
    assert_eq!(refused.err(), Some(QueueError::InExclusiveUse));
    drop(first);
    let _plain = queue.consume(&holder, options(&sink)).unwrap();
    let refused = queue.consume(&holder, exclusive());
    assert_eq!(refused.err(), Some(QueueError::InExclusiveUse));
}

#[tokio::test]
async fn more_urgent_messages_overtake() {
    let fixture = Fixture::start().await;
    let settings = QueueSettings { priorities: 3, ..QueueSettings::default() };
    for (name, spec) in ["d", "t"].into_iter().zip(both(&settings)) {
        let queue = fixture.queue(name, &spec).await;
        for (value, priority) in [("a", None), ("b", Some(2)), ("c", Some(9)), ("d", Some(2))] {
            let properties = Properties { priority, ..Properties::default() };
            let message = Message { properties, ..message(value) };
            fixture.send("", name, message).await.unwrap();
        }
        let holder = fixture.broker.new_holder(0);
        let all = get_all(&queue, &holder).await;
        assert_eq!(values(&all), ["c", "b", "d", "a"]);
        holder.settle(&[(all[1].id, BACK), (all[3].id, BACK)]);
        assert_eq!(values(&get_all(&queue, &holder).await), ["b", "a"]);
    }
}

#[tokio::test]
async fn a_delayed_return_waits() {
    let fixture = Fixture::start().await;
    let settings = QueueSettings { deliveries_max: Some(1), ..QueueSettings::default() };
    for (name, spec) in ["d", "t"].into_iter().zip(both(&settings)) {
        let queue = fixture.queue(name, &spec).await;
        let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
        let _consumer = queue.consume(&holder, options(&sink)).unwrap();
        fixture.fill(name, &["a", "b"]).await;
        let first = sink.take(2).await;
        holder.settle(&[(
            first[0].id,
            Settlement::Return { counted: true, failed: true, after: 50 },
        )]);
        assert_eq!(queue.counts().held, 1);
        let again = sink.take(1).await;
        assert_eq!(counts(&again), [("a".into(), 1)]);
        // It was delivered twice, and no more than once more is allowed.
        holder.settle(&[(again[0].id, BACK), (first[1].id, Settlement::Accept)]);
        until("it is gone", || queue.counts().ready + queue.counts().held == 0).await;
        assert!(sink.got.lock().is_empty());
    }
}

#[tokio::test]
async fn a_full_queue_drops_the_oldest_or_refuses_the_new() {
    let fixture = Fixture::start().await;
    let limit = |overflow| QueueSettings {
        length_max: Some(2),
        overflow: Some(overflow),
        ..QueueSettings::default()
    };
    for (name, spec) in ["d", "t"].into_iter().zip(both(&limit(Overflow::DropHead))) {
        let queue = fixture.queue(name, &spec).await;
        fixture.fill(name, &["a", "b", "c", "d"]).await;
        until("the oldest are gone", || queue.counts().ready == 2).await;
        let holder = fixture.broker.new_holder(0);
        assert_eq!(values(&get_all(&queue, &holder).await), ["c", "d"]);
    }
    for (name, spec) in ["dr", "tr"].into_iter().zip(both(&limit(Overflow::Reject))) {
        let queue = fixture.queue(name, &spec).await;
        fixture.fill(name, &["a", "b"]).await;
        let refused = fixture.send("", name, message("c")).await;
        assert_eq!(refused, Err(ProduceError::Refused));
        let holder = fixture.broker.new_holder(0);
        assert_eq!(values(&get_all(&queue, &holder).await), ["a", "b"]);
        fixture.fill(name, &["d"]).await;
        assert_eq!(queue.counts().ready, 1);
    }
}

#[tokio::test]
async fn a_queue_in_memory_is_bounded_by_what_consumers_have_too() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("t", &QueueSpec::default()).await;
    let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
    let _consumer = queue.consume(&holder, options(&sink)).unwrap();
    let large = Bytes::from(vec![0; 32 << 20]);
    let large = || Message { value: Some(large.clone()), ..Message::default() };
    let mut held = Vec::new();
    while fixture.send("", "t", large()).await.is_ok() {
        held.extend(sink.take(1).await);
        assert!(held.len() <= 8, "there is no end");
    }
    assert_eq!((held.len(), queue.counts().ready), (8, 0), "256 MiB, all with the consumer");
    accept(&holder, &held[..1]);
    assert!(fixture.send("", "t", large()).await.is_ok());
    // What all queues have together is bounded, too.
    let memory = &fixture.broker.inner.queues.memory;
    assert_eq!(memory.load(Ordering::SeqCst), 256 << 20);
    memory.store((1 << 30) - 1, Ordering::SeqCst);
    fixture.queue("other", &QueueSpec::default()).await;
    assert_eq!(fixture.send("", "other", message("ab")).await, Err(ProduceError::Refused));
    memory.store(256 << 20, Ordering::SeqCst);
    fixture.send("", "other", message("ab")).await.unwrap();
    for name in ["t", "other"] {
        fixture.broker.delete_queue(&queue_name(name), DeleteOnly::default(), ME).await.unwrap();
    }
    assert_eq!(memory.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn purging_takes_what_is_ready_and_leaves_what_is_held() {
    let fixture = Fixture::start().await;
    for (name, spec) in ["d", "t"].into_iter().zip(both(&QueueSettings::default())) {
        let queue = fixture.queue(name, &spec).await;
        fixture.fill(name, &["a", "b", "c"]).await;
        let holder = fixture.broker.new_holder(0);
        let (first, left) = queue.get(&holder, false).await.unwrap().unwrap();
        assert_eq!(left, 2);
        assert_eq!(queue.purge().await, Ok(2));
        assert_eq!(queue.counts(), tally(0, 1, 0));
        holder.settle(&[(first.id, BACK)]);
        assert_eq!(values(&get_all(&queue, &holder).await), ["a"]);
    }
}

#[tokio::test]
async fn a_queue_is_declared_again_only_as_it_is() {
    let fixture = Fixture::start().await;
    let broker = &fixture.broker;
    let name = queue_name("q");
    assert!(broker.declare_queue(&name, &durable(), ME).await.unwrap().1);
    assert!(!broker.declare_queue(&name, &durable(), ME).await.unwrap().1);
    let other = with(QueueSettings { length_max: Some(1), ..QueueSettings::default() });
    let refused = broker.declare_queue(&name, &other, ME).await;
    assert_eq!(refused.err(), Some(QueueError::NotEquivalent { what: "maximal length" }));
    let exclusive = QueueSpec { exclusive: true, ..QueueSpec::default() };
    let mine = fixture.queue("mine", &exclusive).await;
    let refused = broker.declare_queue(&queue_name("mine"), &exclusive, PublisherId(1)).await;
    assert_eq!(refused.err(), Some(QueueError::Locked));
    assert_eq!(mine.check_owner(PublisherId(1)), Err(QueueError::Locked));
    broker.owner_gone(ME).await;
    assert!(broker.queue(&queue_name("mine")).is_none() && broker.queue(&name).is_some());
}

#[tokio::test]
async fn a_queue_goes_when_it_is_told_to_or_not_used() {
    let fixture = Fixture::start().await;
    let broker = &fixture.broker;
    let queue = fixture.queue("q", &durable()).await;
    fixture.fill("q", &["a"]).await;
    let (holder, sink) = (broker.new_holder(0), Arc::new(Sink::default()));
    let consumer = queue.consume(&holder, options(&sink)).unwrap();
    let only = |unused, empty| DeleteOnly { unused, empty };
    let delete = async |only| broker.delete_queue(&queue_name("q"), only, ME).await;
    assert_eq!(delete(only(true, false)).await, Err(QueueError::InUse));
    let held = sink.take(1).await;
    holder.settle(&[(held[0].id, BACK)]);
    let _ = sink.take(1).await;
    drop(holder);
    drop(consumer);
    assert_eq!(delete(only(true, true)).await, Err(QueueError::NotEmpty));
    assert_eq!(delete(only(true, false)).await, Ok(1));
    assert_eq!(delete(only(false, false)).await, Err(QueueError::NotFound));
    assert!(broker.topic("q").is_none(), "its topic goes with it");

    let holder = broker.new_holder(0);
    let auto_delete = QueueSpec { auto_delete: true, ..durable() };
    let auto = fixture.queue("auto", &auto_delete).await;
    drop(auto.consume(&holder, options(&sink)).unwrap());
    until("it has lost its last consumer", || broker.queue(auto.name()).is_none()).await;
    let auto = fixture.queue("auto", &auto_delete).await;
    let first = auto.consume(&holder, options(&sink)).unwrap();
    let last = auto.consume(&holder, options(&sink)).unwrap();
    first.end().await;
    assert!(broker.queue(auto.name()).is_some());
    last.end().await;
    assert!(broker.queue(auto.name()).is_none(), "at once, for who waits for it");

    let short = QueueSettings { expires: Some(1), ..QueueSettings::default() };
    let short = fixture.queue("short", &with(short)).await;
    until("nobody uses it", || broker.queue(short.name()).is_none()).await;

    let queue = fixture.queue("again", &durable()).await;
    let consumer = queue.consume(&holder, options(&sink)).unwrap();
    broker.delete_queue(queue.name(), DeleteOnly::default(), ME).await.unwrap();
    assert!(sink.is_cancelled.load(Ordering::SeqCst));
    consumer.ready();
    assert_eq!(queue.get(&holder, false).await.err(), Some(QueueError::NotFound));
}

#[tokio::test]
async fn every_policy_gives_every_message_to_somebody() {
    let fixture = Fixture::start().await;
    for name in Policy::NAMES {
        let dispatch = name.parse().unwrap();
        let settings = QueueSettings { dispatch, ..QueueSettings::default() };
        let spec = QueueSpec { settings, ..QueueSpec::default() };
        let queue = fixture.queue(name, &spec).await;
        let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
        let consume = |_| queue.consume(&holder, options(&sink)).unwrap();
        let _consumers: Vec<_> = (0..3).map(consume).collect();
        fixture.fill(name, &["a", "b", "c", "d", "e"]).await;
        let mut got = values(&sink.take(5).await);
        got.sort_unstable();
        assert_eq!(got, ["a", "b", "c", "d", "e"]);
    }
}
