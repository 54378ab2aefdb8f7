//! SIGKILL under MQTT clients, again and again: what was acknowledged arrives, with QoS 2 exactly once on each hop, and
//! what is retained is what was retained last.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tests::{PATIENCE, Serve, record_figure};

use crate::chance::{Chance, random_seed, setting};
use crate::mqtt_client::{Gone, Line, Publisher, SUBACK, Subscriber};

/// Messages that each publisher may send a round …
const ROUND: u64 = 300;
/// … and in all, since no more than 100,000 of three publishers wait for a session that is away.
const IN_ALL: u64 = 30_000;
/// Topics whose last messages are retained.
const RETAINED: u64 = 20;

/// What the clients are told.
#[derive(Debug, Default)]
struct Orders {
    /// How many messages each publisher may have sent.
    allowed: AtomicU64,
    /// Publishers end when all is acknowledged.
    finish: AtomicBool,
    /// What was published in all, by topic: subscribers end when they have it.
    sent: OnceLock<BTreeMap<&'static str, u64>>,
    acknowledged: AtomicU64,
}

/// Connects until it succeeds.
fn line(port: u16, id: &str, clean: bool) -> (Line, bool) {
    let begun = Instant::now();
    loop {
        match Line::open(port, id, clean) {
            Ok(line) => return line,
            Err(Gone) => assert!(begun.elapsed() < PATIENCE, "{id} cannot connect"),
        }
        std::thread::sleep(Duration::from_millis(10)); // poll: until the broker is back, bounded by PATIENCE
    }
}

/// Publishes numbers to topics that `topic` makes of them; returns how many were acknowledged, which is all.
fn publisher(
    port: u16,
    orders: &Arc<Orders>,
    id: &'static str,
    (qos, retain): (u8, bool),
    topic: impl Fn(u64) -> String + Send + 'static,
) -> JoinHandle<u64> {
    let orders = Arc::clone(orders);
    std::thread::spawn(move || {
        let mut session = Publisher::new(qos, retain);
        let mut next = 0;
        let mut run = |session: &mut Publisher, line: &mut Line| -> Result<bool, Gone> {
            let finish = orders.finish.load(Ordering::Relaxed);
            while session.has_room() && next < orders.allowed.load(Ordering::Relaxed) {
                next += 1;
                session.publish(line, &topic(next - 1), &(next - 1).to_string())?;
            }
            if let Some(packet) = line.look()?
                && session.heard(line, &packet)?
            {
                orders.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(finish && session.is_idle())
        };
        loop {
            let (mut line, _) = line(port, id, false);
            if session.resume(&mut line).is_err() {
                continue;
            }
            loop {
                match run(&mut session, &mut line) {
                    Ok(true) => return next,
                    Ok(false) => {}
                    Err(Gone) => break,
                }
            }
        }
    })
}

impl Orders {
    /// Whether somebody has the last message of each topic: they come in order.
    fn has_all(&self, got: &VecDeque<(String, String)>) -> bool {
        self.sent.get().is_some_and(|sent| {
            sent.iter().all(|(topic, count)| {
                let last = (count - 1).to_string();
                got.iter().rev().any(|(name, number)| name == topic && *number == last)
            })
        })
    }
}

/// Listens until all is there that was published. After `stay` messages it goes and comes back.
fn subscriber(
    port: u16,
    orders: &Arc<Orders>,
    id: &'static str,
    (mut session, stay): (Subscriber, usize),
) -> JoinHandle<Vec<(String, String)>> {
    let orders = Arc::clone(orders);
    std::thread::spawn(move || {
        let mut last = Instant::now();
        loop {
            let (mut line, was_there) = line(port, id, false);
            assert!(was_there, "the session of {id} is there");
            let begun = session.got.len();
            while session.got.len() - begun < stay {
                assert!(
                    orders.sent.get().is_none() || last.elapsed() < 2 * PATIENCE,
                    "{id} waits for more than {}",
                    session.got.len()
                );
                let Ok(packet) = line.look() else { break };
                if let Some(packet) = packet {
                    last = Instant::now();
                    if session.heard(&mut line, &packet).is_err() {
                        break;
                    }
                } else if orders.has_all(&session.got) {
                    // What would come twice may still come.
                    if last.elapsed() < Duration::from_secs(1) {
                        continue;
                    }
                    line.leave();
                    return session.got.into();
                }
            }
        }
    })
}

/// A session that is there before anything is published.
fn subscribe(port: u16, id: &str, qos: u8) -> Subscriber {
    let (mut line, was_there) = line(port, id, false);
    assert!(!was_there);
    line.subscribe("k/#", qos).unwrap();
    assert_eq!(line.wait().unwrap().kind(), SUBACK);
    line.leave();
    Subscriber::default()
}

#[test]
fn mqtt_keeps_what_it_acknowledged_whenever_the_broker_is_killed() {
    let rounds: u64 = setting("ENTREPOT_KILL_ROUNDS").unwrap_or(25);
    let seed = setting("ENTREPOT_KILL_SEED").unwrap_or_else(random_seed);
    println!("{rounds} rounds; ENTREPOT_KILL_SEED={seed}");
    let mut chance = Chance::new(seed);
    let mut broker = Serve::new().start();
    let port = broker.mqtt();
    // What a topic keeps comes to sessions another way.
    let create = ["topic", "create", "kept", "--bind", "k.kept.>"];
    assert!(broker.entrepot(&create).status.success());
    let sessions = [("there", 2, usize::MAX), ("flaky", 2, 700), ("once", 1, usize::MAX)];
    let sessions = sessions.map(|(id, qos, stay)| (id, (subscribe(port, id, qos), stay)));
    let away = subscribe(port, "away", 2);
    let orders = Arc::new(Orders::default());
    let subscribers = sessions.map(|(id, session)| subscriber(port, &orders, id, session));
    let publishers = [
        publisher(port, &orders, "p1", (1, false), |_| "k/1".to_owned()),
        publisher(port, &orders, "p2", (2, false), |_| "k/2".to_owned()),
        publisher(port, &orders, "p3", (2, false), |_| "k/kept/2".to_owned()),
        publisher(port, &orders, "p4", (1, true), |number| format!("r/{}", number % RETAINED)),
    ];
    for round in 0..rounds {
        let before = orders.acknowledged.load(Ordering::Relaxed);
        orders.allowed.fetch_add(ROUND.min(IN_ALL / rounds).max(1), Ordering::Relaxed);
        let begun = Instant::now();
        while orders.acknowledged.load(Ordering::Relaxed) <= before {
            assert!(begun.elapsed() < PATIENCE, "nothing is acknowledged in round {round}");
            std::thread::sleep(Duration::from_millis(1)); // poll: for an acknowledgement, bounded by PATIENCE
        }
        broker.lives_for(chance.up_to(200));
        broker.kill();
        if round % 5 == 4 {
            broker.launch_again();
            broker.lives_for(chance.up_to(40));
            broker.kill();
        }
        broker.restart();
    }
    orders.finish.store(true, Ordering::Relaxed);
    let sent = publishers.map(|publisher| publisher.join().expect("all is acknowledged"));
    let topics = ["k/1", "k/2", "k/kept/2"];
    let expected: BTreeMap<_, _> = topics.into_iter().zip(sent).collect();
    orders.sent.set(expected.clone()).expect("it is said once");
    let away = subscriber(port, &orders, "away", (away, usize::MAX));
    let names = ["there", "flaky", "once", "away"];
    for (name, handle) in names.into_iter().zip(subscribers.into_iter().chain([away])) {
        let got = handle.join().expect("it ends");
        // With QoS 1 on either side a message may come twice.
        for (topic, sent) in &expected {
            check(&got, name, topic, *sent, *topic != "k/1" && name != "once");
        }
    }
    retained(port, sent[3]);
    record_figure("kill9_mqtt_rounds", rounds);
    record_figure("kill9_mqtt_messages", sent.iter().sum::<u64>());
}

fn check(got: &[(String, String)], who: &str, topic: &str, sent: u64, once: bool) {
    let of_topic = got.iter().filter(|(name, _)| name == topic);
    let numbers: Vec<u64> = of_topic.map(|(_, number)| number.parse().unwrap()).collect();
    let seen: BTreeSet<_> = numbers.iter().copied().collect();
    let missing: Vec<_> = (0..sent).filter(|number| !seen.contains(number)).take(20).collect();
    assert!(missing.is_empty(), "{who} misses {missing:?} and maybe more of {sent} at {topic}");
    if once {
        let twice: Vec<_> = numbers.windows(2).filter(|two| two[0] >= two[1]).take(20).collect();
        assert!(twice.is_empty(), "{who} got {topic} twice, or not in order: {twice:?}");
        assert_eq!(numbers.len(), seen.len(), "{who} got {topic} twice");
    }
}

/// What is retained is the last message of each topic.
fn retained(port: u16, sent: u64) {
    let (mut line, _) = line(port, "reader", true);
    line.subscribe("r/#", 1).unwrap();
    let mut session = Subscriber::default();
    let count = usize::try_from(RETAINED.min(sent)).unwrap();
    while session.got.len() < count {
        let packet = line.wait().unwrap();
        session.heard(&mut line, &packet).unwrap();
    }
    let found: BTreeMap<_, _> = session.got.into_iter().collect();
    for topic in 0..RETAINED.min(sent) {
        let last = (0..sent).rev().find(|number| number % RETAINED == topic).unwrap();
        assert_eq!(found.get(&format!("r/{topic}")), Some(&last.to_string()), "topic {topic}");
    }
}
