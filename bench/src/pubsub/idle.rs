//! Connections that do nothing, with a subscription each.

use std::time::Instant;

use super::flow::Figures;
use super::peers::Peer;
use super::wire::Wire;
use crate::link::Link;
use crate::meter::{cpu, memory};

/// Connections that are opened before the first of them is waited for.
const TOGETHER: usize = 100;

/// Opens so many connections to a fresh broker.
pub(crate) fn run(connections: usize, wire: Wire, to: &Peer) -> Figures {
    // Whatever it makes for its first client is not counted.
    let mut first = wire.connect(&to.address, connections);
    wire.listen(&mut first, &wire.topic(&["idle", "first"]));
    let (before, used) = (memory(to.pid), cpu(to.pid));
    let begun = Instant::now();
    let mut held: Vec<Link> = Vec::with_capacity(connections);
    while held.len() < connections {
        let from = held.len();
        for number in from..connections.min(from + TOGETHER) {
            let mut link = Link::dial(&to.address);
            link.say(&wire.hello(number));
            held.push(link);
        }
        for link in &mut held[from..] {
            link.expect(wire.welcome());
        }
        for (number, link) in (from..).zip(&mut held[from..]) {
            link.say(&wire.subscribe(&wire.topic(&["idle", &number.to_string()])));
        }
        for link in &mut held[from..] {
            link.expect(&wire.subscribed());
        }
    }
    let took = begun.elapsed().as_secs_f64();
    let used = cpu(to.pid).saturating_sub(used).as_secs_f64();
    let grown = memory(to.pid) - before;
    vec![
        ("seconds_to_connect", took),
        ("cpu_us_per_connection", used * 1e6 / connections as f64),
        ("mib_above_empty", grown / f64::from(1 << 20)),
        ("kib_per_connection", grown / 1024.0 / connections as f64),
    ]
}
