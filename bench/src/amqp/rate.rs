//! So many messages a second, whatever becomes of them: one that was late in being sent has waited from when it was due.

use std::time::{Duration, Instant};

use super::load::{Figures, Load, Queues, Used, quantile};
use super::peers::Peer;
use crate::link::Timer;

/// Messages that a consumer may have without acknowledging them.
const PREFETCH: u16 = 2000;

/// A message that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// The load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) queues: Queues,
    /// Messages a second.
    pub(super) rate: u32,
}

impl Rate {
    /// Publishes and consumes for so long, from a queue of its own.
    pub(super) fn run(self, prefix: &str, to: &Peer, time: Duration) -> Figures {
        self.queues.declare(prefix, to);
        let mut load = Load::new(self.queues, prefix, to, Some(PREFETCH), 0);
        load.inbox.fresh = Some(Vec::new());
        let used = Used::new(to);
        let mut took = self.go(&mut load, time);
        assert!(!took.is_empty(), "{} delivers nothing", to.name);
        let mut figures = used.figures(load.inbox.messages);
        figures.push(("p50_ms", quantile(&mut took, 0.5) / 1e3));
        figures.push(("p99_ms", quantile(&mut took, 0.99) / 1e3));
        figures.extend(load.faults());
        drop(load);
        self.queues.delete(prefix, to);
        figures
    }

    /// From when each message was due until it came, in microseconds.
    fn go(self, load: &mut Load, time: Duration) -> Vec<f64> {
        let every = Duration::from_secs(1) / self.rate;
        load.wake_by(Timer::every(every));
        let begun = Instant::now();
        let due = |number: u64| begun + every * u32::try_from(number).expect("a short load");
        let mut took = Vec::new();
        loop {
            let now = Instant::now();
            let next = due(load.published);
            let is_over = next >= begun + time;
            if !is_over && next <= now {
                load.publish(1, now);
                continue;
            }
            if is_over && (load.has_all() || now > next + PATIENCE) {
                return took;
            }
            load.turn(false, Duration::from_millis(50));
            let now = Instant::now();
            for number in load.inbox.fresh.iter_mut().flat_map(|fresh| fresh.drain(..)) {
                took.push(now.duration_since(due(number)).as_secs_f64() * 1e6);
            }
        }
    }
}
