//! Connections that do nothing, with a channel each.

use std::time::Instant;

use super::load::Figures;
use super::peers::Peer;
use super::wire;
use crate::meter::{cpu, memory};

/// Opens so many connections to a fresh broker, one after the other.
pub(super) fn run(connections: usize, to: &Peer) -> Figures {
    // Whatever it makes for its first client is not counted.
    let first = wire::connect(&to.address);
    let (before, used) = (memory(to.pid), cpu(to.pid));
    let begun = Instant::now();
    let held: Vec<_> = (0..connections).map(|_| wire::connect(&to.address)).collect();
    let took = begun.elapsed().as_secs_f64();
    let used = cpu(to.pid).saturating_sub(used).as_secs_f64();
    let grown = memory(to.pid) - before;
    drop((first, held));
    vec![
        ("seconds_to_connect", took),
        ("cpu_us_per_connection", used * 1e6 / connections as f64),
        ("mib_above_empty", grown / f64::from(1 << 20)),
        ("kib_per_connection", grown / 1024.0 / connections as f64),
    ]
}
