//! `cargo xtask bench grpc`: the gRPC door beside a plain service on tonic, which is what gRPC alone costs, and its requests beside
//! those of nats-server; with one load generator for all, on raw sockets.

mod ask;
mod cases;
mod ceiling;
mod flow;
mod http2;
mod messages;
mod peers;

use std::time::Duration;

use crate::page::{self, Sheet};
use crate::pubsub::{self, Figures, Wire};
use crate::{Options, Samples, meter, note};

use cases::{Case, Load};
pub(crate) use ceiling::serve as ceiling;
use peers::Peer;

/// The plain service, and the broker whose requests are compared with ours.
const CEILING: &str = "tonic";
const NATS: &str = "nats-server";

/// How long one run lasts. Warming up takes a part of it.
const RUN: Duration = Duration::from_secs(1);
const WARM_UP: Duration = Duration::from_millis(300);

/// Runs the loads whose names contain one of `names`, or all.
pub(crate) fn run(names: &[&str], options: &Options) {
    let chosen = |case: &Case| names.is_empty() || names.iter().any(|n| case.name.contains(n));
    let cases: Vec<Case> = cases::all().into_iter().filter(chosen).collect();
    assert!(!cases.is_empty(), "no load is called {names:?}");
    let (asks, flows): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case.load.is_ask());
    let sheet = |key, peer, cases: &[&Case]| {
        let what = cases.iter().map(|case| (case.name.clone(), case.what.clone()));
        (key, peer, what.collect::<Vec<_>>())
    };
    for ((key, peer, what), cases) in
        [(sheet("grpc", CEILING, &flows), flows), (sheet("grpc-ask", NATS, &asks), asks)]
    {
        if cases.is_empty() {
            continue;
        }
        let what = what.iter().map(|(name, what)| (name.as_str(), what.as_str())).collect();
        let sheet = Sheet { key, peer, what };
        let mut samples = Samples::new();
        for round in 0..options.rounds {
            println!("round {} of {}", round + 1, options.rounds);
            run_round(&cases, options, &sheet, &mut samples);
        }
        let mut notes = format!("{} pairs each", options.rounds * options.turns * 2);
        if options.is_pinned {
            notes.push_str(", servers on the first processor and the generator on the second");
        }
        page::report(&sheet, &samples, &notes, names.is_empty());
    }
}

/// A server of a run.
enum Server {
    Grpc(Peer),
    Nats(pubsub::Peer),
}

/// All loads of a table on the same fresh processes.
fn run_round(cases: &[&Case], options: &Options, sheet: &Sheet<'_>, samples: &mut Samples) {
    let start = || {
        let [us, plain, control] = peers::start();
        let them = match sheet.peer {
            NATS => Server::Nats(pubsub::nats_server()),
            _ => Server::Grpc(plain),
        };
        [Server::Grpc(us), them, Server::Grpc(control)]
    };
    let servers = meter::pinned(options.is_pinned, start);
    for case in cases {
        println!("  {}", case.name);
        each(&servers, case, |read, peer| read.prepare(peer));
        // Caches, buffers that grow.
        servers.iter().for_each(|server| take(case, server, WARM_UP, None));
        for _ in 0..options.turns {
            for number in [0, 1, 2, 2, 1, 0] {
                take(case, &servers[number], RUN, Some(samples));
            }
        }
        each(&servers, case, |read, peer| read.end(peer));
        page::show(sheet, &case.name, samples);
    }
    for server in &servers {
        let (name, pid) = match server {
            Server::Grpc(peer) => (peer.name, peer.pid),
            Server::Nats(peer) => (peer.name, peer.pid),
        };
        let peak = meter::memory_peak(pid) / f64::from(1 << 20);
        note(samples, "after all loads", "memory_peak_mib", name, peak);
    }
}

/// What is to be done before what is read, and after it.
fn each(servers: &[Server], case: &Case, mut change: impl FnMut(flow::Read, &Peer)) {
    for server in servers {
        if let (Load::Read(read), Server::Grpc(peer)) = (case.load, server) {
            change(read, peer);
        }
    }
}

fn take(case: &Case, server: &Server, time: Duration, samples: Option<&mut Samples>) {
    // What the load before left for the disk to do is not this one's to wait for.
    let settled = std::process::Command::new("sync").status().expect("sync runs");
    assert!(settled.success(), "sync: {settled}");
    let (name, figures): (_, Figures) = match (case.load, server) {
        (Load::Flow(flow), Server::Grpc(peer)) => (peer.name, flow.run(peer, time)),
        (Load::Read(read), Server::Grpc(peer)) => (peer.name, read.run(peer)),
        // The slowest of a hundred are to be seen often enough.
        (Load::Ask(ask), Server::Grpc(peer)) => (peer.name, ask::run(ask, peer, 2 * time)),
        (Load::Ask(ask), Server::Nats(peer)) => (peer.name, ask.run(Wire::Nats, peer, 2 * time)),
        (_, Server::Nats(_)) => unreachable!("it is only asked"),
    };
    let Some(samples) = samples else { return };
    for (figure, value) in figures {
        note(samples, &case.name, figure, name, value);
    }
}
