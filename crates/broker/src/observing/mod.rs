//! What a broker knows of itself: figures ([`figures`]), what there is ([`graph`]), how far groups are behind ([`lags`]), and
//! events, which are said to whoever listens ([`saying`]) and kept in a topic ([`topic`]). Once a second all of it is looked at ([`watch`]), for as little time as may
//! be. All of it goes into one archive, too ([`bundle`]).

mod bundle;
mod figures;
mod graph;
mod lags;
mod saying;
#[cfg(test)]
mod tests;
mod topic;
mod watch;

use std::sync::Arc;

use observe::Observe;
use observe::diagnosis::Incident;

pub(crate) use graph::spaced as name_in_space;
pub(crate) use lags::Lags;
pub use lags::{GroupLag, PartitionLag};
pub use saying::EVENTS_SUBJECT;
pub(crate) use saying::is_of_events;
pub use topic::EVENTS_TOPIC;

use crate::Broker;
use crate::remedies::RemedyMode;

/// What a broker does about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObserveOptions {
    /// Looks at everything once a second, and remembers an hour of it.
    pub watch: bool,
    /// Keeps events in [`EVENTS_TOPIC`].
    pub events_topic: bool,
    /// Follows messages whose trace is sampled.
    pub trace: bool,
    /// Whether it does something about what is wrong; needs `watch`.
    pub remedies: RemedyMode,
}

impl Default for ObserveOptions {
    fn default() -> Self {
        Self { watch: true, events_topic: true, trace: true, remedies: RemedyMode::Observe }
    }
}

impl Broker {
    /// What is known of this broker: for those who count, and those who look.
    pub fn observe(&self) -> &Arc<Observe> {
        &self.inner.observe
    }

    /// How far consumer groups are behind, as of the last look.
    pub fn group_lags(&self) -> Arc<Vec<GroupLag>> {
        self.inner.lags.get()
    }

    /// What is wrong, as of the last look.
    pub fn incidents(&self) -> Arc<Vec<Incident>> {
        Arc::clone(&self.inner.incidents.lock())
    }

    /// Begins to look at itself, and to say what happens, until it stops. Without this counters count all the same, but nobody
    /// remembers.
    pub fn begin_observing(&self, options: ObserveOptions) {
        let inner = &self.inner;
        inner.observe.traces.set_on(options.trace);
        inner.remedies.set_mode(options.remedies);
        inner.add_task(tokio::spawn(saying::run(self.clone())));
        if options.watch {
            inner.add_task(tokio::spawn(watch::run(Arc::clone(inner))));
        }
        if options.events_topic {
            inner.add_task(tokio::spawn(topic::run(self.clone())));
        }
    }
}
