//! `cargo xtask bench amqp`: the AMQP door beside RabbitMQ, with one load generator for both, on raw sockets.

mod backlog;
mod cases;
mod flow;
mod idle;
mod load;
mod peers;
mod rate;
mod tally;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::page::{self, Sheet};
use crate::{Options, Samples, meter, note};

use cases::{Case, Load};
use load::Figures;
use peers::Peer;

/// The broker that we are compared with.
const THEM: &str = "RabbitMQ";

/// How long one run publishes. Warming up takes a part of it.
const RUN: Duration = Duration::from_secs(1);
const WARM_UP: Duration = Duration::from_millis(300);

/// At a fixed rate it takes longer to see the slowest of a hundred often enough.
const RATE_RUN: Duration = Duration::from_secs(4);

/// Runs the loads whose names contain one of `names`, or all.
pub(crate) fn run(names: &[&str], options: &Options) {
    let chosen = |case: &Case| names.is_empty() || names.iter().any(|n| case.name.contains(n));
    let cases: Vec<Case> = cases::all().into_iter().filter(chosen).collect();
    assert!(!cases.is_empty(), "no load is called {names:?}");
    let what = cases.iter().map(|case| (case.name.as_str(), case.what.as_str())).collect();
    let sheet = Sheet { key: "amqp", peer: THEM, what };
    let (fresh, shared): (Vec<&Case>, Vec<&Case>) =
        cases.iter().partition(|case| case.load.wants_fresh());
    let (mut samples, mut version) = (Samples::new(), String::new());
    for round in 0..options.rounds {
        println!("round {} of {}", round + 1, options.rounds);
        for case in &fresh {
            if round == 0 || !matches!(case.load, Load::Backlog(_)) {
                version = run_fresh(case, options, &mut samples);
                page::show(&sheet, &case.name, &samples);
            }
        }
        if !shared.is_empty() {
            version = run_shared(&shared, options, &sheet, &mut samples);
        }
    }
    let pairs = options.rounds * options.turns * 2;
    let mut notes = format!("{THEM} {version}, {pairs} pairs each, of backlogs one");
    if options.is_pinned {
        notes.push_str(", brokers on the first processor and the generator on the second");
    }
    page::report(&sheet, &samples, &notes, names.is_empty());
}

fn start(options: &Options) -> [Peer; 3] {
    meter::pinned(options.is_pinned, peers::start)
}

/// One load, each time on fresh processes. Returns the peer's version.
fn run_fresh(case: &Case, options: &Options, samples: &mut Samples) -> String {
    println!("  {}", case.name);
    let mut version = String::new();
    // A backlog takes minutes.
    let turns = if matches!(case.load, Load::Backlog(_)) { 1 } else { 2 };
    for order in [[0, 1, 2], [2, 1, 0]].into_iter().take(turns) {
        let peers = start(options);
        version = peers::version(&peers[1]);
        for peer in order.map(|number| &peers[number]) {
            take(case, peer, RUN, Some(samples));
        }
    }
    version
}

/// All other loads, on the same fresh processes. Returns the peer's version.
fn run_shared(
    cases: &[&Case],
    options: &Options,
    sheet: &Sheet<'_>,
    samples: &mut Samples,
) -> String {
    let peers = start(options);
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    for peer in &peers {
        note(samples, "start", "idle_mib", peer.name, mib(meter::memory(peer.pid)));
    }
    let version = peers::version(&peers[1]);
    for case in cases {
        println!("  {}", case.name);
        // Caches, buffers that grow, a collector that finds its pace.
        peers.iter().for_each(|peer| take(case, peer, WARM_UP, None));
        let time = if let Load::Rate(_) = case.load { RATE_RUN } else { RUN };
        for _ in 0..options.turns {
            for number in [0, 1, 2, 2, 1, 0] {
                take(case, &peers[number], time, Some(samples));
            }
        }
        page::show(sheet, &case.name, samples);
    }
    for peer in &peers {
        let peak = mib(meter::memory_peak(peer.pid));
        note(samples, "after all loads", "memory_peak_mib", peer.name, peak);
    }
    version
}

fn take(case: &Case, peer: &Peer, time: Duration, samples: Option<&mut Samples>) {
    /// Each run has queues of its own.
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let prefix = format!("bench-{}", RUNS.fetch_add(1, Ordering::Relaxed));
    // What the load before left for the disk to do is not this one's to wait for.
    let settled = std::process::Command::new("sync").status().expect("sync runs");
    assert!(settled.success(), "sync: {settled}");
    let figures: Figures = match case.load {
        Load::Flow(flow) => flow.run(&prefix, peer, time),
        Load::Rate(rate) => rate.run(&prefix, peer, time),
        Load::Backlog(backlog) => backlog.run(&prefix, peer),
        Load::Idle(connections) => idle::run(connections, peer),
    };
    let Some(samples) = samples else { return };
    for (figure, value) in figures {
        note(samples, &case.name, figure, peer.name, value);
    }
}
