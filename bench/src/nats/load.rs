//! The loads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// One load.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// Messages that nobody gets.
    Publish { size: usize, count: usize },
    /// Messages from one connection to several subscribers.
    FanOut { size: usize, count: usize, to: usize },
    /// Requests one after the other, and somebody who answers.
    Request { size: usize, count: usize },
    /// Connections that do nothing.
    Idle { connections: usize },
}

/// Figures of one run, by name.
pub(crate) type Figures = Vec<(&'static str, f64)>;

/// Bytes read or written at a time.
const PIECE: usize = 256 * 1024;

impl Load {
    /// The same, smaller.
    pub(crate) fn warm_up(self) -> Self {
        match self {
            Self::Publish { size, count } => Self::Publish { size, count: count / 4 },
            Self::FanOut { size, count, to } => Self::FanOut { size, count: count / 4, to },
            Self::Request { size, count } => Self::Request { size, count: count / 4 },
            Self::Idle { .. } => Self::Idle { connections: 10 },
        }
    }

    /// Runs it against the broker at `address`, whose process is `pid`.
    pub(crate) fn run(self, address: &str, pid: u32) -> Figures {
        match self {
            Self::Publish { size, count } => fan_out(address, pid, size, count, 0),
            Self::FanOut { size, count, to } => fan_out(address, pid, size, count, to),
            Self::Request { size, count } => request(address, pid, size, count),
            Self::Idle { connections } => idle(address, pid, connections),
        }
    }
}

/// A connection that has been answered once.
fn connect(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the broker listens");
    stream.set_nodelay(true).expect("an option");
    let hello = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\nPING\r\n";
    stream.write_all(hello.as_bytes()).expect("written");
    until(&mut stream, b"PONG\r\n");
    stream
}

/// Reads until the bytes end so.
fn until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut seen = Vec::new();
    let mut space = [0; 4096];
    while !seen.ends_with(end) {
        let count = stream.read(&mut space).expect("read");
        assert!(count > 0, "closed after {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&space[..count]);
    }
    seen
}

fn subscribe(stream: &mut TcpStream, subject: &str) {
    stream.write_all(format!("SUB {subject} 1\r\nPING\r\n").as_bytes()).expect("written");
    until(stream, b"PONG\r\n");
}

/// User and system time of a process so far.
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok());
    Duration::from_secs_f64(ticks.sum::<f64>() / 100.0)
}

fn memory_kib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn fan_out(address: &str, pid: u32, size: usize, count: usize, to: usize) -> Figures {
    let subject = "bench.load";
    let one = format!("MSG {subject} 1 {size}\r\n").len() + size + 2;
    let readers: Vec<TcpStream> = (0..to)
        .map(|_| {
            let mut stream = connect(address);
            subscribe(&mut stream, subject);
            stream
        })
        .collect();
    let mut writer = connect(address);
    let mut message = format!("PUB {subject} {size}\r\n").into_bytes();
    message.resize(message.len() + size, b'x');
    message.extend_from_slice(b"\r\n");
    let piece = message.repeat((PIECE / message.len()).clamp(1, count));
    let per_piece = piece.len() / message.len();
    let used = cpu(pid);
    let begun = Instant::now();
    // Few threads for many readers: two processors are all that there is.
    let shares = to.clamp(1, 2);
    thread::scope(|scope| {
        let mut rest: Vec<TcpStream> = readers;
        for share in 0..shares {
            let mine = rest.split_off(rest.len() - rest.len() / (shares - share));
            scope.spawn(move || drain(mine, one * count));
        }
        let mut left = count;
        while left > 0 {
            let now = left.min(per_piece);
            writer.write_all(&piece[..now * message.len()]).expect("written");
            left -= now;
        }
        writer.write_all(b"PING\r\n").expect("written");
        until(&mut writer, b"PONG\r\n");
    });
    let took = begun.elapsed().as_secs_f64();
    let used = (cpu(pid) - used).as_secs_f64();
    let messages = (count * to.max(1)) as f64;
    vec![("messages_per_s", messages / took), ("cpu_us_per_message", used * 1e6 / messages)]
}

/// Reads so many bytes from each.
fn drain(mut streams: Vec<TcpStream>, bytes: usize) {
    let mut space = vec![0; PIECE];
    if let [stream] = &mut streams[..] {
        let mut left = bytes;
        while left > 0 {
            let count = stream.read(&mut space).expect("read");
            assert!(count > 0, "closed with {left} bytes missing");
            left -= count;
        }
        return;
    }
    let mut open: Vec<(TcpStream, usize)> = streams.into_iter().map(|s| (s, bytes)).collect();
    while !open.is_empty() {
        // In turn, a piece each: all of them get the same.
        open.retain_mut(|(stream, left)| {
            let count = stream.read(&mut space).expect("read");
            assert!(count > 0, "closed with {left} bytes missing");
            *left -= count;
            *left > 0
        });
    }
}

fn request(address: &str, pid: u32, size: usize, count: usize) -> Figures {
    let mut responder = connect(address);
    subscribe(&mut responder, "bench.ask");
    let mut asker = connect(address);
    subscribe(&mut asker, "_INBOX.bench.*");
    let payload = "x".repeat(size);
    let used = cpu(pid);
    let begun = Instant::now();
    let mut times = Vec::with_capacity(count);
    thread::scope(|scope| {
        let answer = payload.clone();
        scope.spawn(move || {
            let answer = format!("PUB _INBOX.bench.1 {size}\r\n{answer}\r\n");
            let whole = format!("MSG bench.ask 1 _INBOX.bench.1 {size}\r\n").len() + size + 2;
            let mut space = vec![0; whole];
            for _ in 0..count {
                responder.read_exact(&mut space).expect("a request");
                responder.write_all(answer.as_bytes()).expect("written");
            }
        });
        let question = format!("PUB bench.ask _INBOX.bench.1 {size}\r\n{payload}\r\n");
        let whole = format!("MSG _INBOX.bench.1 1 {size}\r\n").len() + size + 2;
        let mut space = vec![0; whole];
        for _ in 0..count {
            let asked = Instant::now();
            asker.write_all(question.as_bytes()).expect("written");
            asker.read_exact(&mut space).expect("an answer");
            times.push(asked.elapsed().as_secs_f64() * 1e6);
        }
    });
    let took = begun.elapsed().as_secs_f64();
    let used = (cpu(pid) - used).as_secs_f64();
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() as f64 * part) as usize).min(times.len() - 1)];
    vec![
        ("requests_per_s", count as f64 / took),
        ("p50_us", at(0.5)),
        ("p99_us", at(0.99)),
        ("cpu_us_per_request", used * 1e6 / count as f64),
    ]
}

fn idle(address: &str, pid: u32, connections: usize) -> Figures {
    let before = memory_kib(pid);
    let held: Vec<TcpStream> = (0..connections)
        .map(|number| {
            let mut stream = connect(address);
            subscribe(&mut stream, &format!("idle.{number}"));
            stream
        })
        .collect();
    let grown = memory_kib(pid) - before;
    drop(held);
    vec![("kib_per_connection", grown / connections as f64), ("mib_together", grown / 1024.0)]
}
