//! SIGKILL under AMQP publishers and consumers, again and again: what was confirmed is delivered, what was rolled back is
//! not, nothing comes again whose acknowledgement was committed, order is kept, and who has had a message is told so.
//!
//! The clients are the test's own, so that it is known what was said before what. Every message is published once: where
//! its answer was lost with the broker it may be there, or not.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use door_amqp::wire::method::{
    BasicAck, BasicCancel, BasicConsume, BasicNack, BasicQos, ConfirmSelect, TxCommit, TxRollback,
    TxSelect,
};
use door_amqp::wire::reader::Short;
use door_amqp::wire::table::{TableBuf, Value};
use parking_lot::Mutex;
use tests::{PATIENCE, Serve, record_figure};

use crate::amqp_client::{Delivery, Event, Gone, Line};
use crate::chance::{Chance, random_seed, setting};

/// Queues, and their types. Of the last one there is one consumer, who takes everything as it comes.
static QUEUES: [(&str, &str); 3] =
    [("classic", "classic"), ("quorum", "quorum"), ("lone", "quorum")];
const LONE: usize = 2;
/// Publishers with confirms, and one with transactions.
const CONFIRMING: u64 = 2;
const PUBLISHERS: u64 = 3;
/// Messages that each of them may send a round.
const ROUND: u64 = 200;
/// Messages that are not confirmed.
const WINDOW: usize = 50;
/// Messages of each consumer that are not settled.
const PREFETCH: u16 = 40;
/// Of those, messages that a consumer keeps past a commit.
const KEPT: usize = 10;

/// A message: its publisher, and its number there.
type Key = (u64, u64);

fn queue_of(key: Key) -> usize {
    usize::try_from(key.1).unwrap() % QUEUES.len()
}

fn payload(key: Key) -> Vec<u8> {
    format!("{}-{}-{}", key.0, key.1, "x".repeat(80)).into_bytes()
}

fn key(payload: &[u8]) -> Option<Key> {
    let text = std::str::from_utf8(payload).ok()?;
    let mut parts = text.split('-');
    let key = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (payload == self::payload(key)).then_some(key)
}

/// Something that a broker has told a connection for sure.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// How many were told before.
    number: usize,
    by: u64,
    /// The broker's life after which it is not sure any more.
    life: Option<u32>,
}

/// A consumer's connection.
#[derive(Debug)]
struct Who {
    id: u64,
    /// The broker's life in which it is.
    life: u32,
    /// What was told before this was known to the broker before it sent what comes now.
    horizon: usize,
}

impl Who {
    /// Whether what comes now was sent after that.
    fn is_after(&self, mark: &Mark) -> bool {
        let is_sure = mark.life.is_none_or(|life| life == self.life);
        is_sure && (mark.number < self.horizon || mark.by == self.id)
    }
}

/// What all clients have seen together.
#[derive(Debug, Default)]
struct History {
    /// When each message was sent, by a clock that moves with each.
    sent: HashMap<Key, u64>,
    clock: u64,
    confirmed: HashSet<Key>,
    /// Published in a transaction that was not committed.
    undone: HashSet<Key>,
    got: HashSet<Key>,
    deliveries: u64,
    /// Acknowledged, and that was committed.
    settled: HashMap<Key, Mark>,
    /// Given back, and that was committed, or by a consumer who left.
    returned: HashMap<Key, Mark>,
    marks: usize,
    /// Consumers who are leaving, and when the broker or one of them went last: what was on its way to them comes to others.
    leaving: u32,
    left: u64,
    broken: Vec<String>,
}

impl History {
    fn send(&mut self, key: Key) {
        self.clock += 1;
        self.sent.insert(key, self.clock);
    }

    fn mark(&mut self, who: &Who, life: Option<u32>) -> Mark {
        self.marks += 1;
        Mark { number: self.marks - 1, by: who.id, life }
    }

    fn settle(&mut self, who: &Who, keys: &[Key]) {
        for key in keys {
            let mark = self.mark(who, None);
            self.settled.entry(*key).or_insert(mark);
        }
    }

    /// Messages go back; for sure beyond the broker's death, if it has said so.
    fn give_back(&mut self, who: &Who, keys: &[Key], is_durable: bool) {
        for key in keys {
            let mark = self.mark(who, (!is_durable).then_some(who.life));
            // What is sure for good stays so.
            if self.returned.get(key).is_none_or(|known| known.life.is_some()) {
                self.returned.insert(*key, mark);
            }
        }
    }

    fn go(&mut self) {
        self.left = self.clock;
    }

    /// A delivery. Returns whether it has to be in order with others to the same connection: neither was it delivered
    /// before, nor can it have been on its way to somebody who went.
    fn deliver(&mut self, who: &Who, key: Key, redelivered: bool) -> bool {
        self.deliveries += 1;
        let Some(sent) = self.sent.get(&key).copied() else {
            self.broken.push(format!("{key:?} was never sent"));
            return false;
        };
        if self.settled.get(&key).is_some_and(|mark| who.is_after(mark)) {
            self.broken.push(format!("{who:?} got {key:?}, whose acknowledgement was committed"));
        }
        let is_known = self.returned.get(&key).is_some_and(|mark| who.is_after(mark));
        if is_known && !redelivered {
            self.broken
                .push(format!("{who:?} got {key:?}, which was given back, as a new message"));
        }
        let was_quiet = self.leaving == 0 && sent > self.left;
        if redelivered && was_quiet && !self.got.contains(&key) {
            self.broken.push(format!("{who:?} got {key:?} as delivered before, which it was not"));
        }
        self.got.insert(key);
        was_quiet && !redelivered
    }
}

/// What all threads share.
#[derive(Debug)]
struct World {
    port: u16,
    history: Mutex<History>,
    /// Messages that each publisher may have sent.
    allowed: AtomicU64,
    /// Publishers end when all is answered, …
    finish: AtomicBool,
    /// … and consumers end.
    stop: AtomicBool,
    /// Which life of the broker this is.
    life: AtomicU32,
    connections: AtomicU64,
}

impl World {
    fn new(port: u16) -> Self {
        Self {
            port,
            history: Mutex::default(),
            allowed: AtomicU64::new(0),
            finish: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            life: AtomicU32::new(0),
            connections: AtomicU64::new(0),
        }
    }

    /// A connection, once there is a broker; in which life of it, and after which marks.
    fn connect(&self) -> (Line, Who) {
        let begun = Instant::now();
        loop {
            let (life, horizon) = (self.life.load(Ordering::SeqCst), self.history.lock().marks);
            let line = Line::open(self.port);
            if let Ok(line) = line
                && life == self.life.load(Ordering::SeqCst)
            {
                let id = self.connections.fetch_add(1, Ordering::Relaxed);
                return (line, Who { id, life, horizon });
            }
            assert!(begun.elapsed() < PATIENCE, "cannot connect");
            std::thread::sleep(Duration::from_millis(10)); // poll: until the broker is back, bounded by PATIENCE
        }
    }

    /// The broker is dead: what was on its way to anybody comes again.
    fn next_life(&self) {
        self.history.lock().go();
        self.life.fetch_add(1, Ordering::SeqCst);
    }

    /// How far all got: messages that were confirmed, and those whose acknowledgement was committed.
    fn progress(&self) -> [usize; 2] {
        let history = self.history.lock();
        [history.confirmed.len(), history.settled.len()]
    }

    fn is_broken(&self) -> bool {
        !self.history.lock().broken.is_empty()
    }

    /// Waits until this is so, or something is wrong: also that nothing gets on any more.
    fn wait(&self, what: &str, is_so: impl Fn() -> bool) {
        let (mut deadline, mut before) = (Instant::now() + PATIENCE, self.progress());
        while !is_so() && !self.is_broken() {
            let now = self.progress();
            if now != before {
                (deadline, before) = (Instant::now() + PATIENCE, now);
            }
            if Instant::now() > deadline {
                self.history.lock().broken.push(format!("{what}: not within {PATIENCE:?}"));
            }
            std::thread::sleep(Duration::from_millis(5)); // poll: for what clients do, until the deadline
        }
    }
}

/// Publishes with confirms, from message `next` on. Ends with the connection, or when all is answered and no more is wanted.
fn confirming(line: &mut Line, publisher: u64, next: &mut u64, world: &World) -> Result<(), Gone> {
    line.ask(&ConfirmSelect { nowait: false }, "confirm.select_ok")?;
    // The first message has the tag one.
    let first = *next;
    let mut open: BTreeSet<u64> = BTreeSet::new();
    loop {
        let is_over = world.finish.load(Ordering::SeqCst);
        while open.len() < WINDOW && *next < world.allowed.load(Ordering::SeqCst) {
            let key = (publisher, *next);
            world.history.lock().send(key);
            open.insert(*next);
            *next += 1;
            line.publish(QUEUES[queue_of(key)].0, &payload(key))?;
        }
        if is_over && open.is_empty() {
            return Ok(());
        }
        match line.look()? {
            None => {}
            Some(Event::Confirmed { tag, multiple }) => {
                let last = first + tag - 1;
                let begin = if multiple { first } else { last };
                let done: Vec<u64> = open.range(begin..=last).copied().collect();
                assert!(!done.is_empty(), "message {last} is confirmed twice");
                let mut history = world.history.lock();
                for number in done {
                    open.remove(&number);
                    history.confirmed.insert((publisher, number));
                }
            }
            Some(other) => panic!("not expected: {other:?}"),
        }
    }
}

/// Publishes in transactions, some of which are rolled back.
fn transacting(
    line: &mut Line,
    publisher: u64,
    next: &mut u64,
    (chance, world): (&mut Chance, &World),
) -> Result<(), Gone> {
    line.ask(&TxSelect {}, "tx.select_ok")?;
    loop {
        let is_over = world.finish.load(Ordering::SeqCst);
        let end = world.allowed.load(Ordering::SeqCst).min(*next + 1 + chance.below(20));
        let keys: Vec<Key> = (*next..end).map(|number| (publisher, number)).collect();
        if keys.is_empty() {
            if is_over {
                return Ok(());
            }
            // Also the pause between two looks at what is allowed.
            assert_eq!(line.look()?, None);
            continue;
        }
        *next = end;
        {
            let mut history = world.history.lock();
            keys.iter().for_each(|key| history.send(*key));
            // Until it is to be committed.
            history.undone.extend(keys.iter().copied());
        }
        for key in &keys {
            line.publish(QUEUES[queue_of(*key)].0, &payload(*key))?;
        }
        if chance.below(4) == 0 {
            line.ask(&TxRollback {}, "tx.rollback_ok")?;
            continue;
        }
        {
            let mut history = world.history.lock();
            for key in &keys {
                history.undone.remove(key);
            }
        }
        line.ask(&TxCommit {}, "tx.commit_ok")?;
        world.history.lock().confirmed.extend(keys);
    }
}

/// A publisher through all deaths of the broker.
fn publish(publisher: u64, mut chance: Chance, world: &World) {
    let mut next = 0;
    loop {
        let (mut line, _) = world.connect();
        let ended = match publisher < CONFIRMING {
            true => confirming(&mut line, publisher, &mut next, world),
            false => transacting(&mut line, publisher, &mut next, (&mut chance, world)),
        };
        if ended.is_ok() {
            return;
        }
    }
}

/// How somebody consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manners {
    /// Acknowledges in transactions, gives some back, keeps some, rolls back, leaves and comes back.
    Moody,
    /// Acknowledges, and does not wait until that is sure; leaves and comes back.
    Careless,
    /// Acknowledges everything in transactions.
    Steady,
}

/// A consumer's life with one connection.
struct Consumer<'w> {
    world: &'w World,
    who: Who,
    line: Line,
    manners: Manners,
    queues: &'static [(&'static str, &'static str)],
    /// What it has, in order: tags and messages.
    held: Vec<(u64, Key)>,
    /// The last message of each publisher from each queue that had to be in order.
    last: HashMap<(usize, u64), u64>,
}

impl Consumer<'_> {
    /// Until it has to leave, or the connection is gone.
    fn live(&mut self, chance: &mut Chance) -> Result<(), Gone> {
        self.begin()?;
        loop {
            self.gather(1 + usize::try_from(chance.below(20)).unwrap())?;
            self.settle(chance)?;
            let leaves = self.manners != Manners::Steady && chance.below(40) == 0;
            if leaves || self.world.stop.load(Ordering::SeqCst) {
                return Ok(());
            }
        }
    }

    fn begin(&mut self) -> Result<(), Gone> {
        if self.manners != Manners::Careless {
            self.line.ask(&TxSelect {}, "tx.select_ok")?;
        }
        let qos = BasicQos { prefetch_count: PREFETCH, ..BasicQos::default() };
        self.line.ask(&qos, "basic.qos_ok")?;
        for (queue, _) in self.queues {
            let name = Short(queue.as_bytes());
            self.line.send(&BasicConsume {
                queue: name,
                consumer_tag: name,
                nowait: true,
                ..BasicConsume::default()
            })?;
        }
        Ok(())
    }

    fn take_in(&mut self, delivery: &Delivery) {
        let mut history = self.world.history.lock();
        let Some(key) = key(&delivery.payload) else {
            let text = String::from_utf8_lossy(&delivery.payload).into_owned();
            history.broken.push(format!("never sent: {text:?}"));
            return;
        };
        if QUEUES[queue_of(key)].0 != delivery.consumer {
            history.broken.push(format!("{key:?} came from {}", delivery.consumer));
        }
        let is_new = history.deliver(&self.who, key, delivery.redelivered);
        // Who is alone has them in order whatever happens.
        if is_new || self.manners == Manners::Steady {
            let last = self.last.insert((queue_of(key), key.0), key.1);
            if last.is_some_and(|last| last >= key.1) {
                let who = &self.who;
                history.broken.push(format!("{who:?} got {key:?} after {last:?}: not in order"));
            }
        }
        self.held.push((delivery.tag, key));
    }

    /// Waits for an answer, and takes in what comes before it.
    fn until(&mut self, answer: &str) -> Result<(), Gone> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.line.look()? {
                Some(Event::Delivered(delivery)) => self.take_in(&delivery),
                Some(Event::Done(name)) if name == answer => return Ok(()),
                Some(other) => panic!("{answer} was due, and {other:?} came"),
                None => assert!(Instant::now() < deadline, "no {answer} came"),
            }
        }
    }

    /// Takes in so many messages more, or those that come soon.
    fn gather(&mut self, count: usize) -> Result<(), Gone> {
        let wanted = self.held.len() + count;
        while self.held.len() < wanted {
            match self.line.look()? {
                Some(Event::Delivered(delivery)) => self.take_in(&delivery),
                Some(other) => panic!("not expected: {other:?}"),
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Does with the messages what it does: in a transaction, and says so only when that was committed.
    fn settle(&mut self, chance: &mut Chance) -> Result<(), Gone> {
        let (mut accepted, mut returned, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        for one in std::mem::take(&mut self.held) {
            let mood = if self.manners == Manners::Moody { chance.below(10) } else { 9 };
            match mood {
                0 => returned.push(one),
                1 | 2 if kept.len() < KEPT => kept.push(one),
                _ => accepted.push(one),
            }
        }
        self.held = kept;
        self.say(&accepted, &returned)?;
        if self.manners == Manners::Careless {
            return Ok(());
        }
        if self.manners == Manners::Moody && chance.below(10) == 0 {
            self.line.send(&TxRollback {})?;
            self.until("tx.rollback_ok")?;
            self.say(&accepted, &returned)?;
        }
        let horizon = self.world.history.lock().marks;
        self.line.send(&TxCommit {})?;
        self.until("tx.commit_ok")?;
        let keys = |of: &[(u64, Key)]| of.iter().map(|(_, key)| *key).collect::<Vec<_>>();
        let mut history = self.world.history.lock();
        history.settle(&self.who, &keys(&accepted));
        history.give_back(&self.who, &keys(&returned), true);
        drop(history);
        self.who.horizon = horizon;
        Ok(())
    }

    fn say(&mut self, accepted: &[(u64, Key)], returned: &[(u64, Key)]) -> Result<(), Gone> {
        match accepted {
            // Everything that it has, with one word.
            [.., (tag, _)] if self.manners != Manners::Moody => {
                self.line.send(&BasicAck { delivery_tag: *tag, multiple: true })?;
            }
            each => {
                for (tag, _) in each {
                    self.line.send(&BasicAck { delivery_tag: *tag, multiple: false })?;
                }
            }
        }
        for (tag, _) in returned {
            let nack = BasicNack { delivery_tag: *tag, multiple: false, requeue: true };
            self.line.send(&nack)?;
        }
        Ok(())
    }

    /// Leaves as one should: what it has goes back, and it has read all that was sent to it.
    fn leave(mut self) {
        self.world.history.lock().leaving += 1;
        let queues = self.queues;
        let ended = queues.iter().try_for_each(|(queue, _)| {
            let cancel = BasicCancel { consumer_tag: Short(queue.as_bytes()), nowait: false };
            self.line.send(&cancel)?;
            self.until("basic.cancel_ok")
        });
        let ended = ended.and_then(|()| self.line.leave());
        let mut history = self.world.history.lock();
        if ended.is_ok() {
            let keys: Vec<Key> = self.held.iter().map(|(_, key)| *key).collect();
            history.give_back(&self.who, &keys, false);
        }
        history.leaving -= 1;
        history.go();
    }
}

/// A consumer through all deaths of the broker.
fn consume(manners: Manners, mut chance: Chance, world: &World) {
    let queues = if manners == Manners::Steady { &QUEUES[LONE..] } else { &QUEUES[..LONE] };
    while !world.stop.load(Ordering::SeqCst) {
        let (line, who) = world.connect();
        let (held, last) = (Vec::new(), HashMap::new());
        let mut consumer = Consumer { world, who, line, manners, queues, held, last };
        let ended = consumer.live(&mut chance);
        if ended.is_ok() {
            consumer.leave();
        }
    }
}

/// The arguments of a queue. Deliveries that a kill undid are no reason to give a message up.
fn arguments(kind: &str) -> TableBuf {
    let table = TableBuf::default().with(b"x-queue-type", Value::String(kind.as_bytes()));
    match kind {
        "quorum" => table.with(b"x-delivery-limit", Value::I64(-1)),
        _ => table,
    }
}

/// Messages of each queue that nobody has.
fn ready(world: &World) -> Vec<u32> {
    let (mut line, _) = world.connect();
    QUEUES.iter().map(|(name, kind)| line.declare(name, &arguments(kind)).unwrap()).collect()
}

#[test]
fn amqp_keeps_what_it_said_whenever_the_broker_is_killed() {
    let rounds: u64 = setting("ENTREPOT_KILL_AMQP_ROUNDS").unwrap_or(20);
    let seed = setting("ENTREPOT_KILL_SEED").unwrap_or_else(random_seed);
    println!("{rounds} rounds; ENTREPOT_KILL_SEED={seed}");
    let mut chance = Chance::new(seed);
    let mut broker = Serve::new().start();
    let world = World::new(broker.amqp());
    assert_eq!(ready(&world), [0, 0, 0]);
    std::thread::scope(|scope| {
        let world = &world;
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|number| {
                let chance = Chance::new(seed ^ ((number + 1) << 8));
                scope.spawn(move || publish(number, chance, world))
            })
            .collect();
        let manners = [Manners::Moody, Manners::Moody, Manners::Careless, Manners::Steady];
        for (number, manners) in (1_u64..).zip(manners) {
            let chance = Chance::new(seed ^ (number << 16));
            scope.spawn(move || consume(manners, chance, world));
        }
        for round in 0..rounds {
            let before = world.progress();
            world.allowed.fetch_add(ROUND, Ordering::SeqCst);
            world.wait(&format!("round {round}: nothing is confirmed and settled"), || {
                world.progress().iter().zip(before).all(|(now, before)| *now > before)
            });
            if world.is_broken() {
                break;
            }
            broker.lives_for(chance.up_to(200));
            broker.kill();
            world.next_life();
            // Now and then killed again while it recovers.
            if round % 5 == 4 {
                broker.launch_again();
                broker.lives_for(chance.up_to(40));
                broker.kill();
                world.next_life();
            }
            broker.restart();
        }
        // Where the machine is slow they are far behind what they may send.
        world.allowed.store(0, Ordering::SeqCst);
        world.finish.store(true, Ordering::SeqCst);
        world.wait("publishers do not end", || publishers.iter().all(|one| one.is_finished()));
        world.wait("some of what was confirmed does not come", || {
            let history = world.history.lock();
            history.confirmed.iter().all(|key| history.got.contains(key))
        });
        world.stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(world.history.lock().broken, Vec::<String>::new());
    drain(&world);
    // Who stopped well knows the same.
    broker.stop();
    broker.restart();
    assert_eq!(ready(&world), [0, 0, 0], "all was acknowledged, and committed");
    conclude(&world, rounds);
}

/// Empties the queues, one after the other: one consumer gets what is left in order, whoever had it before.
fn drain(world: &World) {
    for (index, (name, kind)) in QUEUES.iter().enumerate() {
        let (line, who) = world.connect();
        let queues = &QUEUES[index..=index];
        let (held, last) = (Vec::new(), HashMap::new());
        let manners = Manners::Steady;
        let mut consumer = Consumer { world, who, line, manners, queues, held, last };
        consumer.begin().unwrap();
        let (mut other, _) = world.connect();
        let (mut chance, deadline) = (Chance::new(1), Instant::now() + PATIENCE);
        loop {
            // Asked before it is looked for: what nobody has then, and does not come, is not there.
            let left = other.declare(name, &arguments(kind)).unwrap();
            consumer.gather(usize::from(PREFETCH)).unwrap();
            if left == 0 && consumer.held.is_empty() {
                break;
            }
            consumer.settle(&mut chance).unwrap();
            assert!(Instant::now() < deadline, "{name} does not get empty");
        }
        consumer.leave();
    }
}

fn conclude(world: &World, rounds: u64) {
    let history = world.history.lock();
    assert_eq!(history.broken, Vec::<String>::new());
    let lost: Vec<_> = history.confirmed.difference(&history.got).take(20).collect();
    assert!(lost.is_empty(), "confirmed, and never delivered: {lost:?}");
    let undone: Vec<_> = history.undone.intersection(&history.got).take(20).collect();
    assert!(undone.is_empty(), "never committed, and delivered: {undone:?}");
    assert!(!history.undone.is_empty() && !history.returned.is_empty(), "all of it was tried");
    record_figure("kill9_amqp_rounds", rounds);
    record_figure("kill9_amqp_messages", history.confirmed.len());
    record_figure("kill9_amqp_again", history.deliveries - history.got.len() as u64);
}
