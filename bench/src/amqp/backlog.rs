//! A queue that gets long, and is emptied.

use super::load::{Figures, Load, Queues, Until, Used};
use super::peers::Peer;
use super::wire::Kind;
use crate::meter::memory_peak;

/// Messages by which the rate is looked at: on an empty queue, and on a long one, …
const PROBE: u64 = 200_000;
/// … so many times, in turn: one takes a fraction of a second, and what else the disk does in it counts.
const PROBES: usize = 6;

/// Messages that are not confirmed, and those that a consumer has not acknowledged.
const WINDOW: u16 = 2000;

/// The load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backlog {
    pub(super) kind: Kind,
    /// Bytes of a payload.
    pub(super) size: usize,
    /// Messages in the queue before the second look.
    pub(super) messages: u64,
}

impl Backlog {
    /// Fills a queue of a fresh broker, and empties it.
    pub(super) fn run(self, prefix: &str, to: &Peer) -> Figures {
        let queues = Queues { kind: self.kind, count: 1, size: self.size };
        warm_up(queues, prefix, to);
        queues.declare(prefix, to);
        let mut load = Load::new(queues, prefix, to, None, 0);
        let mut publish = |messages: u64| {
            let before = load.confirms.count;
            let took = load.go(Until::Messages(messages), WINDOW.into()).as_secs_f64();
            (load.confirms.count - before) as f64 / took
        };
        let (all, filling) = (Used::new(to), Used::new(to));
        let filled = publish(self.messages);
        let filling = filling.figures(self.messages)[0].1;
        let peak = memory_peak(to.pid) / f64::from(1 << 20);
        let mut probes = Vec::new();
        for turn in 0..PROBES {
            let empty = || probe_empty(queues, &format!("{prefix}-empty-{turn}"), to);
            probes.push(match turn % 2 {
                0 => {
                    let before = empty();
                    (before, publish(PROBE))
                }
                _ => {
                    let after = publish(PROBE);
                    (empty(), after)
                }
            });
        }
        let middle =
            |of: fn(&(f64, f64)) -> f64| tests::median(&probes.iter().map(of).collect::<Vec<_>>());
        let mut figures: Figures = vec![
            ("fill_per_s", filled),
            ("publish_to_empty_per_s", middle(|(empty, _)| *empty)),
            ("publish_to_long_per_s", middle(|(_, long)| *long)),
            ("long_to_empty", middle(|(empty, long)| long / empty)),
            ("fill_cpu_us_per_message", filling),
            ("fill_peak_mib", peak),
        ];
        let (stored, of_filling) = (load.confirms.count, load.faults());
        drop(load);
        let mut load = Load::new(queues, prefix, to, Some(WINDOW), stored);
        let draining = Used::new(to);
        let took = load.go(Until::Messages(0), WINDOW.into()).as_secs_f64();
        figures.extend([
            ("drain_per_s", load.inbox.messages as f64 / took),
            ("drain_cpu_us_per_message", draining.figures(load.inbox.messages)[0].1),
            ("peak_mib", memory_peak(to.pid) / f64::from(1 << 20)),
        ]);
        figures
            .extend(all.figures(stored).into_iter().filter(|(name, _)| *name == "generator_share"));
        let both = of_filling.into_iter().zip(load.faults());
        figures.extend(both.map(|((name, one), (_, other))| (name, one + other)));
        drop(load);
        queues.delete(prefix, to);
        figures
    }
}

/// What a broker does for the first time it does in another queue.
fn warm_up(queues: Queues, prefix: &str, to: &Peer) {
    probe_empty(queues, &format!("{prefix}-warm"), to);
}

/// Messages a second into a queue of its own.
fn probe_empty(queues: Queues, prefix: &str, to: &Peer) -> f64 {
    queues.declare(prefix, to);
    let mut load = Load::new(queues, prefix, to, None, 0);
    let took = load.go(Until::Messages(PROBE), WINDOW.into()).as_secs_f64();
    let rate = load.confirms.count as f64 / took;
    drop(load);
    queues.delete(prefix, to);
    rate
}
