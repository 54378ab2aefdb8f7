//! A queue that gets long, and is emptied.

use super::load::{Figures, Load, Queues, Until, Used};
use super::peers::Peer;
use super::wire::Kind;
use crate::meter::memory_peak;

/// Messages after which the rate is looked at: on an empty queue, and on a long one.
const PROBE: u64 = 200_000;

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
            ((load.confirms.count - before) as f64, took)
        };
        let (all, filling) = (Used::new(to), Used::new(to));
        let probe = publish(PROBE);
        let rest = publish(self.messages.saturating_sub(PROBE));
        let behind = publish(PROBE);
        let rate = |(messages, took): (f64, f64)| messages / took;
        let mut figures: Figures = vec![
            ("fill_per_s", rate((probe.0 + rest.0, probe.1 + rest.1))),
            ("publish_to_empty_per_s", rate(probe)),
            ("publish_to_long_per_s", rate(behind)),
            ("long_to_empty", rate(behind) / rate(probe)),
            ("fill_cpu_us_per_message", filling.figures(load.published)[0].1),
            ("fill_peak_mib", memory_peak(to.pid) / f64::from(1 << 20)),
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
    let prefix = format!("{prefix}-warm");
    queues.declare(&prefix, to);
    Load::new(queues, &prefix, to, None, 0).go(Until::Messages(PROBE), WINDOW.into());
    queues.delete(&prefix, to);
}
