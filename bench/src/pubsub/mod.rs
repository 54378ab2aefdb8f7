//! `cargo xtask bench nats` and `cargo xtask bench mqtt`: those doors beside nats-server and mosquitto, with one load
//! generator for both, on raw sockets.

mod ask;
mod cases;
mod flow;
mod idle;
mod peers;
mod wire;

use std::time::Duration;

use crate::page::{self, Sheet};
use crate::{OTHER_BUILD, Options, Samples, meter, note};

pub(crate) use ask::{Ask, Pace};
use cases::{Case, Load};
pub(crate) use flow::{Figures, Tally};
use peers::Setting;
pub(crate) use peers::{Peer, nats_server};
pub(crate) use wire::{Protocol, Wire};

/// How long one run publishes, or asks. Warming up takes a part of it.
const RUN: Duration = Duration::from_millis(500);
const WARM_UP: Duration = Duration::from_millis(150);

/// Runs the loads whose names contain one of `names`, or all.
pub(crate) fn run(protocol: Protocol, names: &[&str], options: &Options) {
    let chosen = |case: &Case| names.is_empty() || names.iter().any(|n| case.name.contains(n));
    let cases: Vec<Case> = cases::of(protocol).into_iter().filter(chosen).collect();
    assert!(!cases.is_empty(), "no load is called {names:?}");
    let key = match protocol {
        Protocol::Nats => "nats",
        Protocol::Mqtt => "mqtt",
    };
    let what = cases.iter().map(|case| (case.name.as_str(), case.what.as_str())).collect();
    let peer = options.beside.as_ref().map_or_else(|| protocol.peer(), |_| OTHER_BUILD);
    let sheet = Sheet { key, peer, what };
    let mut samples = Samples::new();
    for round in 0..options.rounds {
        println!("round {} of {}", round + 1, options.rounds);
        for setting in [Setting::Default, Setting::NoDelay] {
            let of_setting = |case: &&Case| case.setting == setting;
            let cases: Vec<&Case> = cases.iter().filter(of_setting).collect();
            run_round(protocol, setting, &cases, options, &sheet, &mut samples);
        }
    }
    let mut notes = format!("{} pairs each", options.rounds * options.turns * 2);
    if options.is_pinned {
        notes.push_str(", brokers on the first processor and the generator on the second");
    }
    page::report(&sheet, &samples, &notes, names.is_empty() && options.beside.is_none());
}

/// All loads of one setting of the peer, on fresh processes.
fn run_round(
    protocol: Protocol,
    setting: Setting,
    cases: &[&Case],
    options: &Options,
    sheet: &Sheet<'_>,
    samples: &mut Samples,
) {
    let start = || {
        meter::pinned(options.is_pinned, || {
            peers::start(protocol, setting, options.beside.as_deref())
        })
    };
    for case in cases.iter().filter(|case| matches!(case.load, Load::Idle(_))) {
        println!("  {}", case.name);
        // Fresh ones each time: what was once in use is not given back.
        for order in [[0, 1, 2], [2, 1, 0]] {
            let peers = start();
            for peer in order.map(|number| &peers[number]) {
                take(case, peer, RUN, Some(samples));
            }
        }
        page::show(sheet, &case.name, samples);
    }
    let running: Vec<_> = cases.iter().filter(|case| !matches!(case.load, Load::Idle(_))).collect();
    if running.is_empty() {
        return;
    }
    let peers = start();
    for case in running {
        println!("  {}", case.name);
        // Caches, buffers that grow, a collector that finds its pace.
        peers.iter().for_each(|peer| take(case, peer, WARM_UP, None));
        for _ in 0..options.turns {
            for number in [0, 1, 2, 2, 1, 0] {
                take(case, &peers[number], case.time(), Some(samples));
            }
        }
        page::show(sheet, &case.name, samples);
    }
}

fn take(case: &Case, peer: &Peer, time: Duration, samples: Option<&mut Samples>) {
    let figures: Figures = match case.load {
        Load::Flow(flow) => flow.run(case.wire, peer, time),
        Load::Ask(ask) => ask.run(case.wire, peer, time),
        Load::Idle(connections) => idle::run(connections, case.wire, peer),
    };
    let Some(samples) = samples else { return };
    for (figure, value) in figures {
        note(samples, &case.name, figure, peer.name, value);
    }
}
