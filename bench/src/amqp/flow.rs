//! As much as goes: published and confirmed, and consumed and acknowledged, too.

use std::time::Duration;

use super::load::{Figures, Load, Queues, Until, Used, quantile};
use super::peers::Peer;

/// The load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    pub(super) queues: Queues,
    /// Messages on their way: not confirmed or, if they are consumed, not there.
    pub(super) window: u16,
    pub(super) consumes: bool,
}

impl Flow {
    /// Publishes for so long, to queues of its own.
    pub(super) fn run(self, prefix: &str, to: &Peer, time: Duration) -> Figures {
        let Self { queues, window, consumes } = self;
        queues.declare(prefix, to);
        let mut load = Load::new(queues, prefix, to, consumes.then_some(window), 0);
        let used = Used::new(to);
        let took = load.go(Until::Time(time), window.into()).as_secs_f64();
        let messages = if consumes { load.inbox.messages } else { load.confirms.count };
        let mut figures = used.figures(messages);
        figures.push(("messages_per_s", messages as f64 / took));
        figures.extend(load.faults());
        let waits = &mut load.confirms.took;
        assert!(!waits.is_empty(), "{} confirms nothing", to.name);
        figures.push(("confirm_p50_ms", f64::from(quantile(waits, 0.5)) / 1e3));
        figures.push(("confirm_p99_ms", f64::from(quantile(waits, 0.99)) / 1e3));
        drop(load);
        queues.delete(prefix, to);
        figures
    }
}
