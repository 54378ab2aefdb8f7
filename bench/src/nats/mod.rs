//! `cargo xtask bench nats`: the NATS door and nats-server side by side, with one load generator for
//! both. It speaks the protocol with raw sockets and as little work of its own as possible: what is
//! measured is the broker.

mod load;
mod report;

use std::time::Duration;

use tests::{Process, Serve, free_port, tool};

use crate::statistics::ratio;
use load::{Figures, Load};

/// Loads: name, what it does, and how.
const LOADS: &[(&str, &str, Load)] = &[
    ("pub-16", "publish only, 16 B", Load::Publish { size: 16, count: 4_000_000 }),
    ("pub-128", "publish only, 128 B", Load::Publish { size: 128, count: 3_000_000 }),
    ("pub-1k", "publish only, 1 KiB", Load::Publish { size: 1024, count: 1_000_000 }),
    ("1-1-16", "one to one, 16 B", Load::FanOut { size: 16, count: 2_000_000, to: 1 }),
    ("1-1-128", "one to one, 128 B", Load::FanOut { size: 128, count: 1_500_000, to: 1 }),
    ("1-1-1k", "one to one, 1 KiB", Load::FanOut { size: 1024, count: 500_000, to: 1 }),
    ("1-4-16", "one to four, 16 B", Load::FanOut { size: 16, count: 1_000_000, to: 4 }),
    ("1-4-128", "one to four, 128 B", Load::FanOut { size: 128, count: 600_000, to: 4 }),
    ("1-4-1k", "one to four, 1 KiB", Load::FanOut { size: 1024, count: 200_000, to: 4 }),
    ("1-1000-128", "one to 1,000, 128 B", Load::FanOut { size: 128, count: 3_000, to: 1000 }),
    ("request-16", "request and reply, one asker, 16 B", Load::Request { size: 16, count: 20_000 }),
    (
        "request-1k",
        "request and reply, one asker, 1 KiB",
        Load::Request { size: 1024, count: 20_000 },
    ),
    ("idle", "10,000 idle connections, a subscription each", Load::Idle { connections: 10_000 }),
];

/// One of the brokers.
struct Peer {
    name: &'static str,
    address: String,
    pid: u32,
    _held: Held,
}

enum Held {
    Us { _broker: Box<tests::Broker> },
    Them { _process: Process },
}

fn us(name: &'static str) -> Peer {
    let broker = Serve::new().start();
    let (address, pid) = (broker.nats(), broker.id());
    Peer { name, address, pid, _held: Held::Us { _broker: Box::new(broker) } }
}

fn them() -> Peer {
    let folder = tool("nats-server").expect("run `cargo xtask setup`");
    let port = free_port();
    let mut command = std::process::Command::new(folder.join("bin/nats-server"));
    command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
    let process = Process::start("nats-server", &mut command);
    let ready = |line: &str| line.contains("Server is ready").then_some(());
    process.wait_for("nats-server", 0, Duration::from_secs(30), ready);
    let (address, pid) = (format!("127.0.0.1:{port}"), process.id());
    Peer { name: "nats-server", address, pid, _held: Held::Them { _process: process } }
}

/// Runs the loads whose names contain one of `names`, or all.
pub(crate) fn run(names: &[&str], rounds: usize, turns: usize) {
    let chosen = |name: &str| names.is_empty() || names.iter().any(|n| name.contains(n));
    let loads: Vec<_> = LOADS.iter().filter(|(name, ..)| chosen(name)).collect();
    assert!(!loads.is_empty(), "no load is called {names:?}");
    let mut samples = report::Samples::new();
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        let (us, control, them) = (us("entrepot"), us("control"), them());
        for (name, _, load) in &loads {
            println!("  {name}");
            // Caches and first pages.
            for peer in [&us, &control, &them] {
                load.warm_up().run(&peer.address, peer.pid);
            }
            for _ in 0..turns {
                for peer in [&us, &them, &control, &control, &them, &us] {
                    let figures: Figures = load.run(&peer.address, peer.pid);
                    report::note(&mut samples, name, peer.name, &figures);
                }
            }
        }
    }
    let what = |name: &str| {
        loads.iter().find(|(known, ..)| *known == name).map_or("", |(_, what, _)| *what)
    };
    report::print(&samples, what, ratio);
}
