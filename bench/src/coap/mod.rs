//! `cargo xtask bench coap`: the CoAP door beside libcoap's server, with one load generator for both, on raw UDP sockets.

mod cases;
mod client;
mod load;
mod peers;
mod wire;

use std::time::Duration;

use crate::page::{self, Sheet};
use crate::{Options, Samples, meter, note};

use cases::Case;
use peers::Peer;

/// The server that we are compared with.
const THEM: &str = "libcoap";

/// How long one run asks. Warming up takes a part of it.
const RUN: Duration = Duration::from_secs(1);
const WARM_UP: Duration = Duration::from_millis(300);

/// Runs the loads whose names contain one of `names`, or all.
pub(crate) fn run(names: &[&str], options: &Options) {
    let chosen = |case: &Case| names.is_empty() || names.iter().any(|n| case.name.contains(n));
    let cases: Vec<Case> = cases::all().into_iter().filter(chosen).collect();
    assert!(!cases.is_empty(), "no load is called {names:?}");
    let what = cases.iter().map(|case| (case.name.as_str(), case.what.as_str())).collect();
    let sheet = Sheet { key: "coap", peer: THEM, what };
    let (mut samples, mut version) = (Samples::new(), String::new());
    for round in 0..options.rounds {
        println!("round {} of {}", round + 1, options.rounds);
        version = run_round(&cases, options, &sheet, &mut samples);
    }
    let mut notes = format!("{THEM} {version}, {} pairs each", options.rounds * options.turns * 2);
    if options.is_pinned {
        notes.push_str(", servers on the first processor and the generator on the second");
    }
    page::report(&sheet, &samples, &notes, names.is_empty());
}

/// All loads on the same fresh processes. Returns the peer's version.
fn run_round(
    cases: &[Case],
    options: &Options,
    sheet: &Sheet<'_>,
    samples: &mut Samples,
) -> String {
    let peers = meter::pinned(options.is_pinned, peers::start);
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    for peer in &peers {
        note(samples, "start", "idle_mib", peer.name, mib(meter::memory(peer.pid)));
    }
    for case in cases {
        println!("  {}", case.name);
        // Caches, buffers that grow.
        peers.iter().for_each(|peer| take(case, peer, WARM_UP, None));
        for _ in 0..options.turns {
            for number in [0, 1, 2, 2, 1, 0] {
                take(case, &peers[number], RUN, Some(samples));
            }
        }
        page::show(sheet, &case.name, samples);
    }
    for peer in &peers {
        let peak = mib(meter::memory_peak(peer.pid));
        note(samples, "after all loads", "memory_peak_mib", peer.name, peak);
    }
    peers::version()
}

fn take(case: &Case, peer: &Peer, time: Duration, samples: Option<&mut Samples>) {
    // What the load before left for the disk to do is not this one's to wait for.
    let settled = std::process::Command::new("sync").status().expect("sync runs");
    assert!(settled.success(), "sync: {settled}");
    let figures = case.load.run(peer, time);
    let Some(samples) = samples else { return };
    for (figure, value) in figures {
        note(samples, &case.name, figure, peer.name, value);
    }
}
