//! At the MQTT door.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::{Broker, PATIENCE, Serve};

use super::{Bystander, MIB, Memory, assert_peak, connect, is_closed};
use crate::mqtt_client::{Line, Publisher, SUBACK, Subscriber, packet, text};

/// The largest packet that is taken.
const PACKET_BYTES_MAX: usize = 1_179_648;

fn raw(broker: &Broker) -> TcpStream {
    connect(&format!("127.0.0.1:{}", broker.mqtt()))
}

/// A client without a session.
fn client(broker: &Broker, id: &str) -> Line {
    Line::open(broker.mqtt(), id, true).expect("it is let in").0
}

/// Subscribes and waits for the answer.
fn subscribe(line: &mut Line, filter: &str, qos: u8) {
    line.subscribe(filter, qos).unwrap();
    while line.wait().unwrap().kind() != SUBACK {}
}

/// A CONNECT of 3.1.1.
fn hello(id: &str) -> Vec<u8> {
    packet(0x10, &[&text("MQTT")[..], &[4, 2, 0, 0], &text(id)].concat())
}

/// Whether somebody else is served.
fn goes_on(broker: &Broker) {
    let mut line = client(broker, "bystander");
    subscribe(&mut line, "bystander", 1);
    let (mut session, mut publisher) = (Subscriber::default(), Publisher::new(1, false));
    publisher.publish(&mut line, "bystander", "hi").unwrap();
    while session.got.is_empty() || !publisher.is_idle() {
        let heard = line.wait().unwrap();
        match heard.kind() {
            4 => drop(publisher.heard(&mut line, &heard).unwrap()),
            _ => session.heard(&mut line, &heard).unwrap(),
        }
    }
}

#[test]
fn an_announced_packet_is_not_believed() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let mut waiting = Vec::new();
    for number in 0..300 {
        let mut stream = raw(&broker);
        stream.write_all(&hello(&format!("c{number}"))).unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        // The largest there is, of which almost nothing comes.
        let whole = packet(0x30, &vec![0; PACKET_BYTES_MAX - 4]);
        stream.write_all(&whole[..100]).unwrap();
        waiting.push(stream);
    }
    for bad in [
        packet(0x30, &vec![0; PACKET_BYTES_MAX])[..8].to_vec(),
        vec![0x30, 0xff, 0xff, 0xff, 0x7f],
        vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x7f],
        packet(0x10, &text("MQTT")),
        packet(0x32, &[0xff, 0xff, b'a']),
        packet(0x82, &[0, 1, 0xff, 0xff]),
        packet(0xf0, &[]),
        packet(0x30, &[&text("a/+")[..], b"x"].concat()),
    ] {
        let mut stream = raw(&broker);
        stream.write_all(&hello("bad")).unwrap();
        stream.write_all(&bad).unwrap();
        assert!(is_closed(&stream), "{}", bad[..bad.len().min(20)].escape_ascii());
    }
    for first in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x10, 0xff, 0xff, 0xff, 0x7f], &[0xc0, 0]] {
        let mut stream = raw(&broker);
        stream.write_all(first).unwrap();
        assert!(is_closed(&stream), "{}", first.escape_ascii());
    }
    assert_peak(&broker, before, 300 * 64 * 1024 + 24 * MIB, "announced packets");
    goes_on(&broker);
    bystander.finish();
}

#[test]
fn who_does_not_finish_its_first_packet_is_cut_off() {
    let broker = Serve::new().start();
    let mut slow: Vec<_> = (0..200).map(|_| raw(&broker)).collect();
    let whole = hello("slow");
    let begun = Instant::now();
    let mut sent = 0;
    // A byte now and then keeps nobody alive.
    while begun.elapsed() < Duration::from_secs(5) {
        if sent < whole.len() - 1 {
            slow.iter_mut().for_each(|stream| drop(stream.write(&whole[sent..=sent])));
            sent += 1;
        }
        goes_on(&broker);
    }
    for stream in &slow {
        assert!(is_closed(stream), "it is kept");
    }
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn subscribers_who_do_not_read_cost_little_and_others_get_everything() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let mut dead = Vec::new();
    for number in 0..20 {
        let mut line = client(&broker, &format!("dead{number}"));
        subscribe(&mut line, "loud", number % 2);
        dead.push(line);
    }
    // One of them would get all of it later, from the disk.
    let (mut kept, _) = Line::open(broker.mqtt(), "kept", false).unwrap();
    subscribe(&mut kept, "loud", 1);
    let mut reader = client(&broker, "reader");
    subscribe(&mut reader, "quiet", 1);
    let (mut line, mut publisher) = (client(&broker, "writer"), Publisher::new(1, false));
    let payload = "x".repeat(65_536);
    let mut sent = 0;
    while sent < 800 || !publisher.is_idle() {
        while sent < 800 && publisher.has_room() {
            publisher.publish(&mut line, "loud", &payload).unwrap();
            sent += 1;
        }
        let heard = line.wait().unwrap();
        publisher.heard(&mut line, &heard).unwrap();
    }
    publisher.publish(&mut line, "quiet", "hi").unwrap();
    let mut session = Subscriber::default();
    while session.got.is_empty() {
        let heard = reader.wait().unwrap();
        session.heard(&mut reader, &heard).unwrap();
    }
    // What waits for a socket, what waits for acknowledgements, and once more what is being written.
    assert_peak(&broker, before, 21 * 4 * MIB + 96 * MIB, "subscribers who do not read");
    let mut session = Subscriber::default();
    while session.got.len() < 800 {
        let heard = kept.wait().unwrap();
        session.heard(&mut kept, &heard).unwrap();
    }
    bystander.finish();
}

#[test]
fn many_subscriptions_end_with_their_connection() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    for round in 0..5 {
        let mut line = client(&broker, "subscriber");
        for part in 0..50 {
            let filters = (0..1000).flat_map(|number| {
                let filter = text(&format!("round/{round}/+/{part}/{number}"));
                [filter, vec![0]].concat()
            });
            let body: Vec<u8> = [0, 1].into_iter().chain(filters).collect();
            line.send(&packet(0x82, &body)).unwrap();
            while line.wait().unwrap().kind() != SUBACK {}
        }
        line.leave();
    }
    goes_on(&broker);
    // A round takes some 60 MiB; five of them at a time would take five times that.
    assert_peak(&broker, before, 180 * MIB, "subscriptions");
    bystander.finish();
}

#[test]
fn many_sessions_that_nobody_uses_cost_little() {
    const SESSIONS: usize = 10_000;
    let mut broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let port = broker.mqtt();
    std::thread::scope(|scope| {
        for part in 0..50 {
            scope.spawn(move || {
                for number in 0..SESSIONS / 50 {
                    let id = format!("idle-{part}-{number}");
                    let (mut line, _) = Line::open(port, &id, false).unwrap();
                    subscribe(&mut line, &format!("idle/{part}/{number}"), 1);
                    line.leave();
                }
            });
        }
    });
    // While they come, what the log has written last is in memory, too: 64 MiB of it at most.
    assert_peak(&broker, before, SESSIONS as u64 * 3 * 1024 + 96 * MIB, "sessions that come");
    bystander.finish();
    broker.kill();
    broker.restart();
    // Then there are only they.
    assert_peak(&broker, before, SESSIONS as u64 * 2 * 1024 + 4 * MIB, "idle sessions");
    eprintln!("ready after {:?}", broker.ready_after());
    for id in ["idle-0-0", "idle-49-199"] {
        let (_, was_there) = Line::open(port, id, false).unwrap();
        assert!(was_there, "{id}");
    }
}
