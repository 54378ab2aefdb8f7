//! Hostile clients, before and after login: what they cost is bounded, and everybody else goes on.
//!
//! Memory is the process's resident set, as `/proc` tells it. The bounds leave room for what a
//! broker of a test build takes anyway; each says what it is for.

mod bombs;
mod coap;
mod connections;
mod grpc;
mod http;
mod kafka;
mod management;
mod mqtt;
mod nats;
mod stomp;
mod zookeeper;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tests::{Broker, PATIENCE};

const MIB: u64 = 1 << 20;

/// A broker's memory in bytes: now, and the most that it ever was.
#[derive(Debug, Clone, Copy)]
struct Memory {
    now: u64,
    peak: u64,
}

impl Memory {
    fn of(broker: &Broker) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{}/status", broker.id())).unwrap();
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
        };
        Self { now: bytes("VmRSS:"), peak: bytes("VmHWM:") }
    }
}

/// Asserts that the broker never took more than so many bytes above what it had before.
fn assert_peak(broker: &Broker, before: Memory, more: u64, why: &str) {
    let Memory { peak, .. } = Memory::of(broker);
    let limit = before.now + more;
    assert!(peak <= limit, "{why}: {} MiB, at most {} MiB", peak / MIB, limit / MIB);
    eprintln!("{why}: from {} to {} MiB, at most {}", before.now / MIB, peak / MIB, limit / MIB);
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Waits until the other side closes, and says what it sent before.
fn last_words(mut stream: &TcpStream) -> Option<Vec<u8>> {
    let (mut words, mut buffer) = (Vec::new(), [0; 4096]);
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match stream.read(&mut buffer) {
            Ok(0) => return Some(words),
            Ok(count) => words.extend(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (error.kind() != ErrorKind::WouldBlock).then_some(words),
        }
    }
    None
}

/// Waits until the other side closes; what it sends before is dropped.
fn is_closed(mut stream: &TcpStream) -> bool {
    let mut buffer = [0; 4096];
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            }
        }
    }
    false
}

/// A frame: its length, and what is in it.
fn frame(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    [&length.to_be_bytes(), content].concat()
}

/// A request of Kafka's without a client's name, as a frame.
fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let [key, version] = [key, version].map(i16::to_be_bytes);
    frame(&[&key[..], &version, &[0, 0, 0, 9, 0xff, 0xff], body].concat())
}

/// Sends a request and reads the answer, without its length.
fn ask(stream: &mut TcpStream, request: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(request)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// Metadata version 0 about one topic.
fn metadata(topic: &str) -> Vec<u8> {
    let length = i16::try_from(topic.len()).unwrap().to_be_bytes();
    request(3, 0, &[&[0, 0, 0, 1], &length[..], topic.as_bytes()].concat())
}

/// Somebody who asks again and again, and must be answered each time.
struct Bystander {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Bystander {
    fn of(broker: &Broker) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(AtomicUsize::new(0));
        let mut stream = connect(&broker.kafka());
        let (over, count) = (Arc::clone(&stop), Arc::clone(&answers));
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let answer = ask(&mut stream, &metadata("bystander")).expect("it is answered");
                assert_eq!(answer[..4], [0, 0, 0, 9], "the answer to what was asked");
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20)); // poll: until the test stops it
            }
        });
        let bystander = Self { stop, answers, thread };
        bystander.goes_on();
        bystander
    }

    /// Waits until it was answered anew.
    fn goes_on(&self) {
        let before = self.answers.load(Ordering::Relaxed);
        let begun = Instant::now();
        while self.answers.load(Ordering::Relaxed) <= before + 1 {
            assert!(begun.elapsed() < PATIENCE && !self.thread.is_finished(), "it is not answered");
            std::thread::sleep(Duration::from_millis(5)); // poll: for its next answers, bounded by PATIENCE
        }
    }

    fn finish(self) {
        self.goes_on();
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it was always answered");
    }
}
