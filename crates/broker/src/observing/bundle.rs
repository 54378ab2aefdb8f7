//! What is known of a broker, as an archive that is diagnosed elsewhere.

use observe::archive::{self, About, Contents};
use observe::state::{NodeId, NodeKind, Scope};
use observe::{Format, render};

use crate::Broker;
use crate::broker::Inner;

/// Things of a kind that are put in at most.
const EACH_MAX: usize = 10_000;

/// Events that are put in: all that are in memory.
const EVENTS_MAX: usize = usize::MAX;

impl Broker {
    /// Makes an archive of all that is known of this broker: see [`observe::archive`]. Secrets are not known.
    ///
    /// # Errors
    ///
    /// The broker is stopping.
    pub async fn bundle(&self) -> std::io::Result<Vec<u8>> {
        let broker = self.clone();
        self.inner.store.blocking(move || broker.inner.bundle()).await
    }
}

impl Inner {
    /// Blocks: some of it asks the operating system, and all of it takes a while.
    fn bundle(&self) -> Vec<u8> {
        let observe = &self.observe;
        let (watches, incidents) = {
            let watcher = self.watcher.lock();
            (watcher.watches(), watcher.incidents())
        };
        let id = NodeId::new(NodeKind::Broker, self.options.id.0.to_string());
        let (now, second) = (self.options.clock.now(), observe.history.now());
        let mut about = About::new(id, env!("CARGO_PKG_VERSION"), now, second);
        about.environment = observe.environment.get().cloned().unwrap_or_default();
        let metrics = observe.registry.gather(&|_| true);
        archive::write(&Contents {
            about,
            graph: &observe.inspectors.look(&Scope { limit: EACH_MAX, ..Scope::all() }),
            metrics: &render(&metrics, Format::accepted("")),
            history: &observe.history,
            events: &observe.events.newest(EVENTS_MAX),
            watches: &watches,
            incidents: &incidents,
        })
    }
}
