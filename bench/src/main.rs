//! `cargo xtask bench`: Entrepot and Apache Kafka side by side, on one machine, in one run.
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

mod cases;
mod nats;
mod page;
mod peers;
mod statistics;

use std::collections::BTreeMap;

use cases::{CASES, Case};
use peers::Running;

/// Rounds, each with fresh processes, if not said otherwise.
const ROUNDS: usize = 3;

/// Turns of A B B A in each round, if not said otherwise.
const TURNS: usize = 2;

/// The names under which figures are kept.
const US: &str = "entrepot";
const THEM: &str = "kafka";
const CONTROL: &str = "control";

/// What was measured: by case and figure, then by side, one value a run, in pairs.
type Samples = BTreeMap<(String, String), BTreeMap<&'static str, Vec<f64>>>;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |flag: &str, default: usize| {
        let value = args.iter().position(|arg| arg == flag).and_then(|at| args.get(at + 1));
        value.map_or(default, |value| value.parse().expect("a number"))
    };
    let (rounds, turns) = (number("--rounds", ROUNDS), number("--turns", TURNS));
    let flags = ["--rounds", "--turns"];
    let mut names = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if flags.contains(&arg.as_str()) {
            rest.next();
        } else {
            names.push(arg.as_str());
        }
    }
    if names.first() == Some(&"nats") {
        return nats::run(&names[1..], rounds, turns);
    }
    let chosen = |case: &&Case| names.is_empty() || names.iter().any(|n| case.name.contains(n));
    let cases: Vec<&Case> = CASES.iter().filter(chosen).collect();
    assert!(!cases.is_empty(), "no case is called {names:?}");
    let mut samples = Samples::new();
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        run_round(&cases, turns, &mut samples);
    }
    page::report(&cases, &samples, rounds * turns * 2, names.is_empty());
}

/// All cases on fresh processes.
fn run_round(cases: &[&Case], turns: usize, samples: &mut Samples) {
    let us = peers::entrepot(US);
    let control = peers::entrepot(CONTROL);
    let them = peers::kafka();
    for (running, peer) in [(&us, US), (&control, CONTROL), (&them, THEM)] {
        note(samples, "start", "ready_ms", peer, running.ready_after().as_secs_f64() * 1e3);
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
        page::show(case, samples);
    }
    for (running, peer) in [(&us, US), (&control, CONTROL), (&them, THEM)] {
        note(samples, "after all loads", "memory_peak_mib", peer, running.memory_mib("VmHWM"));
    }
}

fn run(case: &Case, on: &Running, samples: Option<&mut Samples>) {
    // What the load before left for the disk to do is not this one's to wait for.
    let settled = std::process::Command::new("sync").status().expect("sync runs");
    assert!(settled.success(), "sync: {settled}");
    let figures = case.run(on);
    let Some(samples) = samples else { return };
    for (figure, value) in figures {
        note(samples, case.name, &figure, on.name(), value);
    }
}

fn note(samples: &mut Samples, case: &str, figure: &str, side: &'static str, value: f64) {
    let place = samples.entry((case.to_owned(), figure.to_owned())).or_default();
    place.entry(side).or_default().push(value);
}
