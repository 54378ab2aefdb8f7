//! Sessions that outlive their connections: taken over, left with a will that waits, and bounded on disk.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tests::{Broker, PATIENCE, Serve};

use crate::mqtt_client::{Line, Publisher, SUBACK, Subscriber, packet, text};

/// Subscribes a session, and waits for the answer.
fn subscribe(line: &mut Line, filter: &str, qos: u8) {
    line.subscribe(filter, qos).unwrap();
    while line.wait().unwrap().kind() != SUBACK {}
}

/// Publishes messages, all of them acknowledged when it returns.
fn publish(broker: &Broker, topic: &str, qos: u8, payloads: impl Iterator<Item = String>) {
    let (mut line, _) = Line::open(broker.mqtt(), "publisher", true).unwrap();
    let mut publisher = Publisher::new(qos, false);
    for payload in payloads {
        while !publisher.has_room() {
            let heard = line.wait().unwrap();
            publisher.heard(&mut line, &heard).unwrap();
        }
        publisher.publish(&mut line, topic, &payload).unwrap();
    }
    while !publisher.is_idle() {
        let heard = line.wait().unwrap();
        publisher.heard(&mut line, &heard).unwrap();
    }
}

/// Processor time that a broker has used so far, of all its threads.
fn cpu(broker: &Broker) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", broker.id())).unwrap();
    let of = |task: std::fs::DirEntry| {
        // A thread may end meanwhile.
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.flatten().filter_map(of).sum())
}

/// Waits until a broker does next to nothing for a while.
fn comes_to_rest(broker: &Broker) {
    let begun = Instant::now();
    loop {
        let (before, since) = (cpu(broker), Instant::now());
        std::thread::sleep(Duration::from_millis(500)); // poll: until it rests, bounded by PATIENCE
        let share = (cpu(broker) - before).as_secs_f64() / since.elapsed().as_secs_f64();
        if share < 0.1 {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "it uses {share:.2} of a processor with nobody there");
    }
}

/// A connection whose place another has taken once asked for ever for what it gets no more.
#[test]
fn a_session_that_is_taken_over_again_and_again_loses_nothing_and_comes_to_rest() {
    const TAKEOVERS: usize = 300;
    let broker = Serve::new().start();
    let port = broker.mqtt();
    let (mut line, _) = Line::open(port, "s", false).unwrap();
    subscribe(&mut line, "flood/#", 1);
    let over = AtomicBool::new(false);
    let mut session = Subscriber::default();
    let sent = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let (mut line, _) = Line::open(port, "publisher", true).unwrap();
            let (mut publisher, mut sent) = (Publisher::new(1, false), 0);
            while !over.load(Ordering::Relaxed) || !publisher.is_idle() {
                while publisher.has_room() && !over.load(Ordering::Relaxed) {
                    publisher.publish(&mut line, "flood/a", &sent.to_string()).unwrap();
                    sent += 1;
                }
                let heard = line.wait().unwrap();
                publisher.heard(&mut line, &heard).unwrap();
            }
            sent
        });
        let mut displaced = Vec::new();
        for number in 0..TAKEOVERS {
            // Some take a little, some acknowledge nothing, some are gone at once.
            for _ in 0..number % 4 {
                let heard = line.wait().unwrap();
                if number % 3 > 0 {
                    session.heard(&mut line, &heard).unwrap();
                }
            }
            let (next, was_there) = Line::open(port, "s", false).unwrap();
            assert!(was_there, "takeover {number}");
            displaced.push(std::mem::replace(&mut line, next));
            // A few of them stay, and see for themselves that they are to go.
            displaced.drain(..displaced.len().saturating_sub(3));
        }
        over.store(true, Ordering::Relaxed);
        publisher.join().unwrap()
    });
    let mut got = BTreeSet::new();
    while got.len() < sent {
        got.extend(session.got.drain(..).map(|(_, number)| number.parse::<usize>().unwrap()));
        if got.len() < sent {
            let heard = line.wait().unwrap();
            session.heard(&mut line, &heard).unwrap();
        }
    }
    assert_eq!(got, (0..sent).collect());
    line.leave();
    comes_to_rest(&broker);
}

/// What a client says last on one connection counts before what it says first on the next, whoever reads it sooner.
#[test]
fn who_ends_a_session_with_a_goodbye_and_is_back_at_once_has_a_new_one() {
    let broker = Serve::new().start();
    // Version 5, no keep alive; the session is kept for an hour.
    let mut body = [&text("MQTT")[..], &[5, 0, 0, 0, 5, 0x11]].concat();
    body.extend(3600_u32.to_be_bytes());
    body.extend(text("s"));
    let connect = packet(0x10, &body);
    // After all it is not kept.
    let goodbye = packet(0xe0, &[0, 5, 0x11, 0, 0, 0, 0]);
    let mut before = Vec::new();
    for round in 0..500 {
        let mut stream = TcpStream::connect(("127.0.0.1", broker.mqtt())).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&connect).unwrap();
        let mut start = [0; 4];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(start[..1], [0x20], "CONNACK");
        assert_eq!(start[2..], [0, 0], "round {round}: no session, and success");
        stream.write_all(&goodbye).unwrap();
        // Some stay open a little longer.
        before.push(stream);
        before.drain(..before.len().saturating_sub(round % 3));
    }
}

/// Whether some file below a folder has these bytes in it.
fn is_on_disk(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        match path.is_dir() {
            true => is_on_disk(&path, bytes),
            // It may be gone by now.
            false => std::fs::read(&path)
                .is_ok_and(|content| content.windows(bytes.len()).any(|part| part == bytes)),
        }
    })
}

/// Connects a client of 5.0 with a session that is kept, and with a will that waits so long.
fn with_will(broker: &Broker, id: &str, (delay, payload): (u32, &str)) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", broker.mqtt())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Version 5, a will of QoS 2, no keep alive; the session is kept for an hour.
    let mut body = [&text("MQTT")[..], &[5, 0b0001_0100, 0, 0, 5, 0x11]].concat();
    body.extend(3600_u32.to_be_bytes());
    body.extend(text(id));
    body.extend([5, 0x18]);
    body.extend(delay.to_be_bytes());
    body.extend([text("wills"), text(payload)].concat());
    stream.write_all(&packet(0x10, &body)).unwrap();
    let mut start = [0; 4];
    stream.read_exact(&mut start).unwrap();
    assert_eq!((start[0], start[3]), (0x20, 0), "CONNACK");
    stream
}

fn next(line: &mut Line, session: &mut Subscriber) -> String {
    while session.got.is_empty() {
        let heard = line.wait().unwrap();
        session.heard(line, &heard).unwrap();
    }
    session.got.pop_front().unwrap().1
}

#[test]
fn a_will_that_waits_survives_a_kill_and_is_published_once() {
    let mut broker = Serve::new().start();
    let (mut line, _) = Line::open(broker.mqtt(), "heir", false).unwrap();
    // Exactly once, so that nothing comes again because of the crashes alone.
    subscribe(&mut line, "wills", 2);
    line.leave();
    drop(with_will(&broker, "due", (4, "last words, due")));
    drop(with_will(&broker, "back", (4, "last words, back")));
    drop(with_will(&broker, "late", (3600, "last words, late")));
    for will in ["due", "back", "late"] {
        let begun = Instant::now();
        while !is_on_disk(broker.home(), format!("last words, {will}").as_bytes()) {
            assert!(begun.elapsed() < PATIENCE, "{will} is not written down");
            std::thread::sleep(Duration::from_millis(20)); // poll: until it is, bounded by PATIENCE
        }
    }
    broker.kill();
    broker.restart();
    // This one is back in time, without a will.
    let (_back, was_there) = Line::open(broker.mqtt(), "back", false).unwrap();
    assert!(was_there);
    let (mut line, _) = Line::open(broker.mqtt(), "heir", false).unwrap();
    let mut session = Subscriber::default();
    assert_eq!(next(&mut line, &mut session), "last words, due");
    // After another crash nothing of it comes again.
    for round in ["one", "two"] {
        publish(&broker, "wills", 2, [round.to_owned()].into_iter());
        assert_eq!(next(&mut line, &mut session), round);
        broker.kill();
        broker.restart();
        line = Line::open(broker.mqtt(), "heir", false).unwrap().0;
    }
    // One that is replaced has no more time.
    let (_late, _) = Line::open(broker.mqtt(), "late", true).unwrap();
    assert_eq!(next(&mut line, &mut session), "last words, late");
}

#[test]
fn what_waits_for_sessions_takes_no_more_of_the_disk_than_it_may() {
    const MIB: usize = 1 << 20;
    let cap = 16 * MIB;
    let broker = Serve::new()
        .arg("--set")
        .arg(format!("storage.session_queue_bytes={cap}"))
        .arg("--set")
        .arg("storage.retention_check_interval_ms=100")
        .start();
    let (mut line, _) = Line::open(broker.mqtt(), "away", false).unwrap();
    subscribe(&mut line, "big", 1);
    line.leave();
    let payload = "x".repeat(MIB - 100);
    publish(&broker, "big", 1, (0..160).map(|number| format!("{number:03}{payload}")));
    let (mut line, _) = Line::open(broker.mqtt(), "away", false).unwrap();
    let (mut session, mut got) = (Subscriber::default(), Vec::new());
    while got.last().is_none_or(|last| *last < 159) {
        let payload = next(&mut line, &mut session);
        got.push(payload[..3].parse::<usize>().unwrap());
    }
    assert!(got.is_sorted(), "{got:?}");
    // The newest are there: what is written ahead, and not put away yet, besides.
    assert!(got.len() >= 12, "as many as there is room for: {got:?}");
    assert!(got.len() < 120, "and the oldest are not: {got:?}");
}
