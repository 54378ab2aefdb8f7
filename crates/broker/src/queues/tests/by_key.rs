//! Queues that keep the order of each key.

use std::collections::{BTreeMap, HashMap};

use super::*;

fn ordered(durable: bool) -> QueueSpec {
    let settings = QueueSettings { order_by_key: true, ..QueueSettings::default() };
    QueueSpec { durable, settings, ..QueueSpec::default() }
}

/// Keeps what comes, with whose it is.
#[derive(Debug, Default)]
struct Tagged {
    got: Mutex<Vec<(u64, Delivered)>>,
    came: Notify,
}

impl QueueSink for Tagged {
    fn deliver(&self, tag: u64, delivered: Delivered) -> bool {
        self.got.lock().push((tag, delivered));
        true
    }

    fn flush(&self) {
        self.came.notify_one();
    }

    fn cancelled(&self, _: u64) {}
}

/// Chance that is the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }
}

/// Consumers who come and go, and what they have.
struct World {
    queue: Arc<Queue>,
    sink: Arc<Tagged>,
    holders: BTreeMap<u64, (Consumer, Holder)>,
    next: u64,
    /// By key: whose it is, its number, and how to settle it.
    out: HashMap<String, (u64, usize, DeliveryId)>,
    done: HashMap<String, usize>,
}

impl World {
    fn consume(&mut self, fixture: &Fixture, prefetch: u32) {
        let holder = fixture.broker.new_holder(0);
        self.next += 1;
        let options = ConsumeOptions {
            tag: self.next,
            priority: 0,
            exclusive: false,
            automatic: false,
            prefetch,
            sink: Arc::clone(&self.sink) as _,
        };
        let consumer = self.queue.consume(&holder, options).unwrap();
        self.holders.insert(self.next, (consumer, holder));
    }

    /// Takes over what came: of each key the next one, and none while one is out.
    fn look(&mut self) {
        for (tag, delivered) in std::mem::take(&mut *self.sink.got.lock()) {
            let value = values(std::slice::from_ref(&delivered)).remove(0);
            let (key, number) = value.split_once(':').unwrap();
            let number: usize = number.parse().unwrap();
            let known = self.out.insert(key.to_owned(), (tag, number, delivered.id));
            assert_eq!(known, None, "{value} comes while another of its key is out");
            let done = self.done.get(key).copied().unwrap_or_default();
            assert_eq!(number, done, "{value} is not the next of its key");
        }
    }

    /// One of the messages that are out, by chance: something becomes of it.
    fn act(&mut self, fixture: &Fixture, chance: &mut Chance) {
        let mut keys: Vec<_> = self.out.keys().cloned().collect();
        keys.sort_unstable();
        if keys.is_empty() {
            return;
        }
        let key = keys.swap_remove(chance.below(keys.len()));
        let (tag, number, id) = self.out[&key];
        let settlement = match chance.below(20) {
            0 => {
                // With all that it has.
                self.out.retain(|_, (other, _, _)| *other != tag);
                self.holders.remove(&tag);
                self.consume(fixture, 1 + u32::try_from(chance.below(4)).unwrap());
                return;
            }
            1..4 => Settlement::Return { counted: true, failed: true, after: 1 },
            4..8 => BACK,
            8 => Settlement::Reject,
            _ => Settlement::Accept,
        };
        if matches!(settlement, Settlement::Accept | Settlement::Reject) {
            self.done.insert(key.clone(), number + 1);
        }
        self.out.remove(&key);
        self.holders[&tag].1.settle(&[(id, settlement)]);
    }
}

async fn play(fixture: &Fixture, name: &str, durable: bool, seed: u64) {
    const MESSAGES: usize = 120;
    let mut chance = Chance(seed);
    let queue = fixture.queue(name, &ordered(durable)).await;
    let exchange = ExchangeName { space: Bytes::new(), name: bytes(&format!("{name}.x")) };
    let spec = ExchangeSpec {
        kind: ExchangeKind::Fanout,
        durable: false,
        auto_delete: false,
        internal: false,
        alternate: None,
        arguments: Bytes::new(),
    };
    fixture.broker.declare_exchange(&exchange, &spec).await.unwrap();
    let to = BindTo::Queue(queue.name().clone());
    fixture.broker.bind(&exchange, &to, Binding::default()).await.unwrap();
    let mut world = World {
        queue,
        sink: Arc::default(),
        holders: BTreeMap::new(),
        next: 0,
        out: HashMap::new(),
        done: HashMap::new(),
    };
    (0..4).for_each(|_| world.consume(fixture, 3));
    let mut sent: HashMap<String, usize> = HashMap::new();
    let exchange = String::from_utf8(exchange.name.to_vec()).unwrap();
    let playing = async {
        let mut left = MESSAGES;
        while world.done.values().sum::<usize>() < MESSAGES {
            if left > 0 && (world.out.is_empty() || chance.below(3) > 0) {
                let key = format!("k{}", chance.below(5));
                let number = sent.entry(key.clone()).or_default();
                let value = format!("{key}:{number}");
                *number += 1;
                left -= 1;
                fixture.send(&exchange, &key, message(&value)).await.unwrap();
            } else if world.out.is_empty() {
                world.sink.came.notified().await;
            }
            world.look();
            world.act(fixture, &mut chance);
            tokio::task::yield_now().await;
        }
    };
    let played = tokio::time::timeout(PATIENCE, playing).await;
    assert!(played.is_ok(), "seed {seed}: {:?} of {sent:?}, out {:?}", world.done, world.out);
    assert_eq!(world.done, sent);
}

#[tokio::test]
async fn each_key_is_handled_in_its_order_whatever_its_consumers_do() {
    let fixture = Fixture::start().await;
    for seed in 0..12 {
        play(&fixture, &format!("q{seed}"), seed % 2 == 0, seed).await;
    }
    // And once as chance will have it.
    let seed = fixture.broker.options().random.next_u64();
    play(&fixture, "stored", true, seed).await;
    play(&fixture, "memory", false, seed).await;
}

#[tokio::test]
async fn what_has_no_key_goes_on() {
    let fixture = Fixture::start().await;
    for durable in [true, false] {
        let name = if durable { "d" } else { "t" };
        let queue = fixture.queue(name, &ordered(durable)).await;
        let keyed = |key: &str, value: &str| Message { key: Some(bytes(key)), ..message(value) };
        for one in [message("a"), keyed("k", "b"), keyed("k", "c"), message("d"), keyed("l", "e")] {
            fixture.send("", name, one).await.unwrap();
        }
        let holder = fixture.broker.new_holder(0);
        let all = get_all(&queue, &holder).await;
        assert_eq!(values(&all), ["a", "b", "d", "e"]);
        assert_eq!(values(&queue.peek(10).await.unwrap()), ["c"]);
        holder.settle(&[(all[1].id, Settlement::Accept)]);
        assert_eq!(values(&get_all(&queue, &holder).await), ["c"]);
    }
}

#[tokio::test]
async fn a_message_that_comes_back_later_holds_its_key_back_and_a_restart_does_not_change_that() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("t", 3, &[]).await;
    let queue = fixture.queue("t", &ordered(true)).await;
    let keyed = |value: &str| Message { key: Some(bytes("k")), ..message(value) };
    let all = [keyed("a"), keyed("b"), message("c")];
    fixture.broker.publish(&topic, &all).await.unwrap();
    let holder = fixture.broker.new_holder(0);
    let first = get_all(&queue, &holder).await;
    let mut seen = values(&first);
    seen.sort_unstable();
    assert_eq!(seen, ["a", "c"]);
    let a = first.iter().find(|one| values(std::slice::from_ref(one)) == ["a"]).unwrap().id;
    holder.settle(&[(a, Settlement::Return { counted: true, failed: true, after: 3_600_000 })]);
    assert!(get_all(&queue, &holder).await.is_empty(), "it holds the other back");
    accept(&holder, &first);
    holder.settled().await.unwrap();
    drop((holder, queue, topic));
    let fixture = fixture.restart().await;
    let queue = fixture.broker.queue(&queue_name("t")).unwrap();
    let holder = fixture.broker.new_holder(0);
    let again = get_all(&queue, &holder).await;
    assert_eq!(counts(&again), [("a".into(), 1)], "its delay is over, its order is not");
    accept(&holder, &again);
    assert_eq!(values(&get_all(&queue, &holder).await), ["b"]);
}

#[tokio::test]
async fn a_key_that_is_stuck_takes_bounded_memory() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("q", &ordered(true)).await;
    let topic = fixture.broker.topic("q").unwrap();
    // What is read at once is 1,200 of these, about.
    let keyed = |n| Message { key: Some(bytes("k")), ..message(&format!("{n:0200}")) };
    let all: Vec<_> = (0..20_000).map(keyed).collect();
    for some in all.chunks(1_000) {
        fixture.broker.publish(&topic, some).await.unwrap();
    }
    let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
    let _consumer = queue.consume(&holder, options(&sink)).unwrap();
    let first = sink.take(1).await;
    until("it has read ahead", || queue.state.lock().lanes[0].ahead().0 >= 8_192).await;
    // poll: until the queue's task has had its turns, bounded by their number
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let ahead = queue.state.lock().lanes[0].ahead().0;
    assert!(ahead < 8_192 + 2_500, "{ahead}");
    assert!(sink.got.lock().is_empty());
    accept(&holder, &first);
    assert_eq!(values(&sink.take(1).await), [format!("{:0200}", 1)]);
}

#[tokio::test]
async fn a_queue_has_priorities_or_the_order_of_keys() {
    let fixture = Fixture::start().await;
    let mut spec = ordered(true);
    spec.settings.priorities = 3;
    let refused = fixture.broker.declare_queue(&queue_name("q"), &spec, ME).await;
    assert!(matches!(refused, Err(QueueError::NotAllowed(_))));
}
