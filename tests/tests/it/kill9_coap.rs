//! SIGKILL under CoAP clients, again and again: what was acknowledged is there.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tests::{PATIENCE, Serve, record_figure};

use crate::chance::{Chance, random_seed, setting};

/// Clients, each with a path of its own.
const CLIENTS: u64 = 8;
/// A message is sent again after this, as the network may have lost it.
const AGAIN: Duration = Duration::from_millis(100);

/// What a client knows of the values that it put: numbers that go up.
#[derive(Debug, Default)]
struct Values {
    sent: AtomicU64,
    acknowledged: AtomicU64,
}

/// A confirmable request for `/k/CLIENT`, with this number and token.
fn request(method: u8, client: u64, number: u64, payload: &str) -> Vec<u8> {
    let name = client.to_string();
    let id = u16::try_from(number % 65_536).unwrap().to_be_bytes();
    let mut message = vec![0x48, method, id[0], id[1]];
    message.extend(number.to_be_bytes());
    // Two options: the segments of the path.
    message.extend(b"\xb1k");
    message.push(u8::try_from(name.len()).unwrap());
    message.extend(name.bytes());
    if !payload.is_empty() {
        message.push(0xff);
        message.extend(payload.bytes());
    }
    message
}

fn socket(port: u16) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.connect(("127.0.0.1", port)).expect("an address");
    socket.set_read_timeout(Some(AGAIN)).expect("a time");
    socket
}

/// Sends a request until it is answered: the code, and the payload. `None` when it is to stop.
fn ask(socket: &UdpSocket, request: &[u8], stop: &AtomicBool) -> Option<(u8, Vec<u8>)> {
    let mut buffer = [0; 1500];
    loop {
        // While the broker is down the system may say so.
        let _down = socket.send(request);
        let begun = Instant::now();
        while let Ok(count) = socket.recv(&mut buffer) {
            let answer = &buffer[..count];
            if answer.len() >= 12 && answer[4..12] == request[4..12] {
                let marker = answer.iter().rposition(|byte| *byte == 0xff);
                let payload = marker.map(|at| answer[at + 1..].to_vec()).unwrap_or_default();
                return Some((answer[1], payload));
            }
        }
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        // A system that says at once that nobody listens is not asked a thousand times.
        std::thread::sleep(AGAIN.saturating_sub(begun.elapsed())); // poll: until the broker is back, bounded by the test
    }
}

fn publisher(
    port: u16,
    client: u64,
    values: &Arc<Values>,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<()> {
    let (values, stop) = (Arc::clone(values), Arc::clone(stop));
    std::thread::spawn(move || {
        let socket = socket(port);
        for number in 1.. {
            values.sent.store(number, Ordering::SeqCst);
            let put = request(3, client, number, &number.to_string());
            let Some((code, _)) = ask(&socket, &put, &stop) else { return };
            // 2.01, or 2.04; anything else acknowledges nothing.
            if matches!(code, 0x41 | 0x44) {
                values.acknowledged.store(number, Ordering::SeqCst);
            }
        }
    })
}

#[test]
fn coap_keeps_what_it_acknowledged_whenever_the_broker_is_killed() {
    let rounds: u64 = setting("ENTREPOT_KILL_ROUNDS").unwrap_or(25);
    let seed = setting("ENTREPOT_KILL_SEED").unwrap_or_else(random_seed);
    println!("{rounds} rounds; ENTREPOT_KILL_SEED={seed}");
    let mut chance = Chance::new(seed);
    let mut broker = Serve::new().start();
    let (port, stop) = (broker.coap(), Arc::<AtomicBool>::default());
    let values: Vec<_> = (0..CLIENTS).map(|_| Arc::<Values>::default()).collect();
    let all = || values.iter().map(|one| one.acknowledged.load(Ordering::SeqCst)).sum::<u64>();
    let publishers: Vec<_> =
        values.iter().zip(0..).map(|(one, client)| publisher(port, client, one, &stop)).collect();
    let reader = socket(port);
    let mut asked = u64::MAX / 2;
    for round in 0..rounds {
        let (before, begun) = (all(), Instant::now());
        while all() <= before {
            assert!(begun.elapsed() < PATIENCE, "nothing is acknowledged in round {round}");
            std::thread::sleep(Duration::from_millis(1)); // poll: for an acknowledgement, bounded by PATIENCE
        }
        broker.lives_for(chance.up_to(200));
        broker.kill();
        let kept: Vec<_> =
            values.iter().map(|one| one.acknowledged.load(Ordering::SeqCst)).collect();
        broker.restart();
        for (client, kept) in kept.into_iter().enumerate() {
            asked += 1;
            let get = request(1, client as u64, asked, "");
            let (code, payload) = ask(&reader, &get, &stop).expect("nobody stops it");
            let there = String::from_utf8(payload).unwrap().parse().unwrap_or(0);
            let sent = values[client].sent.load(Ordering::SeqCst);
            assert!(code == 0x45 || kept == 0, "client {client} has nothing of {kept}");
            assert!((kept..=sent).contains(&there), "{there}, not from {kept} to {sent}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    broker.kill();
    publishers.into_iter().for_each(|publisher| publisher.join().expect("it ends"));
    record_figure("kill9_coap_rounds", rounds);
    record_figure("kill9_coap_messages", all());
}
