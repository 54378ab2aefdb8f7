//! `cargo xtask bench`: Entrepot and Apache Kafka side by side, on one machine, in one run; `bench nats` and `bench mqtt`:
//! Entrepot and nats-server, Entrepot and mosquitto; `bench amqp`: Entrepot and RabbitMQ; `bench coap`: Entrepot and
//! libcoap's server; `bench grpc`: Entrepot, a plain service on tonic and nats-server; `bench doors`: Entrepot and itself with
//! its other doors closed; `bench profile`: what Entrepot does under a load; `bench large`: many partitions and connections;
//! `bench sessions`: many sessions and subscriptions; `--beside FILE`: another build in the place of the peer. `cargo xtask torture --peers` is here, too (`crashes.rs`).
//!
//! The machine is noisy, so no figure stands alone: the same load goes to both in the order
//! A B B A, to fresh processes in each round, and what is reported is the ratio within a pair, its
//! median and a 95 % interval. A second Entrepot takes the same load as a control: its ratio to the
//! first says what the machine alone can do to a figure.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark that cannot go on stops, with what it saw"
)]

mod amqp;
mod cases;
mod coap;
mod crashes;
mod grpc;
mod large;
mod link;
mod meter;
mod page;
mod peers;
mod profile;
mod pubsub;
mod rabbit;
mod sessions;
mod statistics;
mod syscalls;

use std::collections::BTreeMap;
use std::path::PathBuf;

use cases::{CASES, Case};
use page::Sheet;
use peers::Running;
use pubsub::Protocol;

/// Rounds, each with fresh processes, if not said otherwise.
const ROUNDS: usize = 3;

/// Turns of A B B A in each round, if not said otherwise.
const TURNS: usize = 2;

/// The names under which figures are kept.
const US: &str = "entrepot";
const THEM: &str = "Kafka";
const CLOSED: &str = "other doors closed";
const CONTROL: &str = "control";
const OTHER_BUILD: &str = "other build";

/// Loads of our own generator, with one partition and the disk's sync: what a build of our own is compared by.
const OWN_LOADS: [&str; 5] =
    ["produce-100", "produce-1k", "consume-1k", "latency-1k/s", "latency-20k/s"];

/// What was measured: by case and figure, then by side, one value a run, in pairs.
type Samples = BTreeMap<(String, String), BTreeMap<&'static str, Vec<f64>>>;

/// How to measure.
struct Options {
    rounds: usize,
    turns: usize,
    /// The brokers have one processor, the generator another.
    is_pinned: bool,
    /// Another build of Entrepot, in the place of the peer of `bench`, `bench nats` and `bench mqtt`. Nothing is
    /// written to the page then.
    beside: Option<PathBuf>,
}

fn main() {
    let mut options = Options { rounds: ROUNDS, turns: TURNS, is_pinned: false, beside: None };
    let mut names = Vec::new();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let mut number = || rest.next().and_then(|n| n.parse().ok()).expect("a number");
        match arg.as_str() {
            "--rounds" => options.rounds = number(),
            "--turns" => options.turns = number(),
            "--beside" => options.beside = Some(rest.next().expect("a file").into()),
            "--pin" => options.is_pinned = true,
            name => names.push(name),
        }
    }
    match names.first() {
        Some(&"nats") => pubsub::run(Protocol::Nats, &names[1..], &options),
        Some(&"crashes") => {
            let rounds = u32::try_from(options.rounds).expect("a number of rounds");
            crashes::run(rounds, &names[1..]);
        }
        Some(&"profile") => profile::run(&names[1..]),
        Some(&"large") => large::run(&names[1..]),
        Some(&"amqp") => amqp::run(&names[1..], &options),
        Some(&"coap") => coap::run(&names[1..], &options),
        Some(&"grpc") => grpc::run(&names[1..], &options),
        Some(&"grpc-ceiling") => grpc::ceiling(names.get(1).expect("an address")),
        Some(&"doors") => doors(&names[1..], &options),
        Some(&"sessions") => sessions::run(&names[1..], &options),
        Some(&"churn") => sessions::churn(),
        Some(&"mqtt") => pubsub::run(Protocol::Mqtt, &names[1..], &options),
        _ => kafka(&names, &options),
    }
}

/// Beside Apache Kafka, or another build.
fn kafka(names: &[&str], options: &Options) {
    match &options.beside {
        None => compare("kafka", THEM, &peers::kafka, |_| true, names, options),
        Some(build) => {
            let start = || peers::build(build);
            compare("kafka", OTHER_BUILD, &start, is_own_load, names, options);
        }
    }
}

/// Beside itself with its other doors closed.
fn doors(names: &[&str], options: &Options) {
    compare("doors", CLOSED, &peers::closed, is_own_load, names, options);
}

fn is_own_load(case: &Case) -> bool {
    OWN_LOADS.contains(&case.name)
}

/// Runs those of the wanted loads whose names contain one of `names`, or all that are wanted.
fn compare(
    key: &'static str,
    peer: &'static str,
    start: &dyn Fn() -> Running,
    wanted: fn(&Case) -> bool,
    names: &[&str],
    options: &Options,
) {
    let (rounds, turns) = (options.rounds, options.turns);
    let chosen = |case: &&Case| names.is_empty() || names.iter().any(|n| case.name.contains(n));
    let cases: Vec<&Case> = CASES.iter().filter(|case| wanted(case)).filter(chosen).collect();
    assert!(!cases.is_empty(), "no case is called {names:?}");
    let what = cases.iter().map(|case| (case.name, case.what)).collect();
    let sheet = Sheet { key, peer, what };
    let mut samples = Samples::new();
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        run_round(&cases, turns, start, &sheet, &mut samples);
    }
    let notes = format!("{} pairs each", rounds * turns * 2);
    page::report(&sheet, &samples, &notes, names.is_empty() && options.beside.is_none());
}

/// All cases on fresh processes.
fn run_round(
    cases: &[&Case],
    turns: usize,
    start: &dyn Fn() -> Running,
    sheet: &Sheet<'_>,
    samples: &mut Samples,
) {
    let us = peers::entrepot(US);
    let control = peers::entrepot(CONTROL);
    let them = start();
    for running in [&us, &control, &them] {
        let (peer, ready) = (running.name(), running.ready_after());
        note(samples, "start", "ready_ms", peer, ready.as_secs_f64() * 1e3);
        note(samples, "start", "idle_mib", peer, running.memory_mib("VmRSS"));
    }
    for case in cases {
        println!("  {}", case.name);
        // Caches, the JIT compiler, the write-ahead log's first pass over its files.
        for peer in [&us, &control, &them] {
            run(case, peer, None);
        }
        for _ in 0..case.turns(turns) {
            for peer in [&us, &them, &control, &control, &them, &us] {
                run(case, peer, Some(samples));
            }
        }
        // Apart, since being watched slows a broker down.
        for peer in [&us, &control, &them] {
            keep(case, peer, case.count(peer), samples);
        }
        page::show(sheet, case.name, samples);
    }
    for running in [&us, &control, &them] {
        let peak = running.memory_mib("VmHWM");
        note(samples, "after all loads", "memory_peak_mib", running.name(), peak);
    }
}

fn run(case: &Case, on: &Running, samples: Option<&mut Samples>) {
    // What the load before left for the disk to do is not this one's to wait for.
    let settled = std::process::Command::new("sync").status().expect("sync runs");
    assert!(settled.success(), "sync: {settled}");
    let figures = case.run(on);
    if let Some(samples) = samples {
        keep(case, on, figures, samples);
    }
}

fn keep(case: &Case, on: &Running, figures: Vec<(String, f64)>, samples: &mut Samples) {
    for (figure, value) in figures {
        note(samples, case.name, &figure, on.name(), value);
    }
}

fn note(samples: &mut Samples, case: &str, figure: &str, side: &'static str, value: f64) {
    let place = samples.entry((case.to_owned(), figure.to_owned())).or_default();
    place.entry(side).or_default().push(value);
}
