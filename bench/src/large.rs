//! `cargo xtask bench large`: what a broker with many partitions and connections costs while nothing happens, and how
//! soon its console and its metrics are there.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::{Broker, Script, Serve, node, root, scratch, tool};

use crate::link::Link;
use crate::meter::{cpu, memory};
use crate::page;
use crate::pubsub::Wire;

const TOPICS: usize = 100;
const PARTITIONS_OF_TOPIC: usize = 100;
/// Of each protocol.
const CONNECTIONS: usize = 5_000;
/// Connections that are opened before the first of them is waited for.
const TOGETHER: usize = 100;
/// How long nothing happens, twice: before it is measured and while it is.
const IDLE: Duration = Duration::from_secs(20);
/// How long all pages of the console may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Measures it once; the page has the table, and `names` are ignored but for that with some it only prints.
pub(crate) fn run(names: &[&str]) {
    let broker = Serve::new().start();
    let mut rows = "| figure | with nothing | with all of it |\n|---|---|---|\n".to_owned();
    let empty = idle(&broker);
    for number in 0..TOPICS {
        let (name, partitions) = (format!("large-{number}"), PARTITIONS_OF_TOPIC.to_string());
        let made = broker.entrepot(&["topic", "create", &name, "--partitions", &partitions]);
        assert!(made.status.success(), "{made:?}");
    }
    let with_partitions = memory(broker.id());
    let mut held = connect(Wire::Nats, &broker.nats());
    held.extend(connect(Wire::Mqtt(0), &format!("127.0.0.1:{}", broker.mqtt())));
    let full = idle(&broker);
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let mut row = |figure: &str, with_nothing: String, with_all: String| {
        writeln!(rows, "| {figure} | {with_nothing} | {with_all} |").expect("text");
    };
    let share = |share: f64| format!("{share:.2}");
    row("processor time, % of one processor", share(empty.share), share(full.share));
    let (before, after) = (mib(empty.memory), mib(full.memory));
    row("memory, MiB", format!("{before:.1}"), format!("{after:.1}"));
    let of_partitions = mib(with_partitions) - before;
    row("of it for partitions, MiB", String::new(), format!("{of_partitions:.1}"));
    for path in ["/metrics", "/metrics/detailed", "/api/v1/topics"] {
        let (bytes, ms) = ask(broker.http(), path);
        let said = format!("{ms:.1}, for {:.1} KiB", bytes as f64 / 1024.0);
        row(&format!("`{path}`, ms"), String::new(), said);
    }
    for painted in paint(&broker) {
        let said = format!("{:.0}, {:.0}", number(&painted, "paint"), number(&painted, "whole"));
        let page = painted["page"].as_str().unwrap_or_default();
        row(&format!("console, {page}: first paint, all there, ms"), String::new(), said);
    }
    println!("{rows}");
    if names.is_empty() {
        page::keep("large", &rows);
    }
    drop(held);
}

/// What a broker is that nobody wants anything of.
struct Idle {
    /// Of one processor's time, in hundredths.
    share: f64,
    /// Resident, in bytes.
    memory: f64,
}

fn idle(broker: &Broker) -> Idle {
    // What it was asked for before may still be on its way to the disk.
    std::thread::sleep(IDLE);
    let (used, begun) = (cpu(broker.id()), Instant::now());
    std::thread::sleep(IDLE);
    let used = cpu(broker.id()).saturating_sub(used).as_secs_f64();
    let share = 100.0 * used / begun.elapsed().as_secs_f64();
    Idle { share, memory: memory(broker.id()) }
}

/// Connections with a subscription each.
fn connect(wire: Wire, address: &str) -> Vec<Link> {
    let mut held: Vec<Link> = Vec::with_capacity(CONNECTIONS);
    while held.len() < CONNECTIONS {
        let from = held.len();
        for number in from..CONNECTIONS.min(from + TOGETHER) {
            let mut link = Link::dial(address);
            link.say(&wire.hello(number));
            held.push(link);
        }
        for (number, link) in (from..).zip(&mut held[from..]) {
            link.expect(wire.welcome());
            wire.listen(link, &wire.topic(&["idle", &number.to_string()]));
        }
    }
    held
}

/// Bytes of an answer, and the milliseconds until all of it was there.
fn ask(port: u16, path: &str) -> (usize, f64) {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    assert!(answer.starts_with(b"HTTP/1.1 200") || answer.starts_with(b"HTTP/1.0 200"), "{path}");
    (answer.len(), begun.elapsed().as_secs_f64() * 1e3)
}

/// What a real browser saw of the console's larger pages, each opened for the first time.
fn paint(broker: &Broker) -> Vec<Value> {
    let browser = tool("chromium").expect("a browser").join("bin/chromium");
    let (mut command, profile): (Command, _) = (node().expect("Node.js"), scratch());
    command.arg(root().join("tests/console/console.mjs")).args(["paint"]).arg(browser);
    command.arg(profile.path()).arg(format!("http://127.0.0.1:{}", broker.http()));
    let mut script = Script::of("console paint", command.arg(profile.path()));
    let done = script.event("painted", PATIENCE);
    done["pages"].as_array().cloned().unwrap_or_default()
}

fn number(of: &Value, key: &str) -> f64 {
    of[key].as_f64().unwrap_or(f64::NAN)
}
