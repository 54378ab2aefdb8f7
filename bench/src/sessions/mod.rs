//! `cargo xtask bench sessions`: what a broker may have very many of. There is no peer and no ratio: what counts is whether
//! it stays small, and whether nobody waits long.

mod churn;
mod everything;
mod kept;

use std::time::{Duration, Instant};

pub(crate) use churn::measure as churn;

use crate::meter::cpu;
use crate::page::{self, Sheet};
use crate::{Options, Samples, US, note};

/// Figures of one run, by name.
type Figures = Vec<(String, f64)>;

/// A load: its name, what it does, and how it is run once, on a fresh process.
type Load = (&'static str, &'static str, fn() -> Figures);

const LOADS: [Load; 3] = [
    (
        "sessions-100k",
        "100,000 MQTT sessions that outlive their connections, a subscription of QoS 1 each",
        kept::run,
    ),
    ("all-10k", "an MQTT subscription to `#`, with 10,000 topics", everything::run),
    (
        "router-1m",
        "a million subscriptions in the router: exact, with one wildcard, and to all below, a third each",
        churn::run,
    ),
];

/// A broker that uses less processor time than this in [`LOOK`] has nothing to do.
const IDLE: Duration = Duration::from_millis(4);
const LOOK: Duration = Duration::from_millis(400);

/// The longest that it may take to get there.
const SETTLE: Duration = Duration::from_secs(120);

/// Runs the loads whose names contain one of `names`, or all.
pub(crate) fn run(names: &[&str], options: &Options) {
    let chosen = |load: &&Load| names.is_empty() || names.iter().any(|n| load.0.contains(n));
    let loads: Vec<&Load> = LOADS.iter().filter(chosen).collect();
    assert!(!loads.is_empty(), "no load is called {names:?}");
    let what = loads.iter().map(|(name, what, _)| (*name, *what)).collect();
    let sheet = Sheet { key: "sessions", peer: "", what };
    let mut samples = Samples::new();
    for round in 0..options.rounds {
        println!("round {} of {}", round + 1, options.rounds);
        for (name, _, run) in &loads {
            println!("  {name}");
            for (figure, value) in run() {
                println!("    {figure}: {value:.3}");
                note(&mut samples, name, &figure, US, value);
            }
        }
    }
    let notes = format!("{} runs each, on fresh processes", options.rounds);
    page::report_alone(&sheet, &samples, &notes, names.is_empty());
}

/// Waits until a broker has nothing to do.
fn settle(pid: u32) {
    let deadline = Instant::now() + SETTLE;
    loop {
        let before = cpu(pid);
        std::thread::sleep(LOOK); // poll: the broker is done, SETTLE at most
        if cpu(pid).saturating_sub(before) < IDLE {
            return;
        }
        assert!(Instant::now() < deadline, "the broker does not come to rest");
    }
}

fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
