//! A ZooKeeper 3.8 server endpoint: sessions, watches, and a read-only view of the cluster's
//! metadata as the znodes that Kafka 3.x keeps there.
//!
//! For the tools that look a cluster up in ZooKeeper. What works and what does not:
//! `docs/doors/zookeeper.md`.

use std::fmt::{self, Debug, Formatter};
use std::ops::RangeInclusive;
use std::sync::Arc;

use base::{Clock, Random};
use broker::metadata::Metadata;
use door::{BoxFuture, CloseReason, Connection, Door};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

mod client;
mod handle;
mod limits;
mod map;
mod outgoing;
mod registry;
mod session;
mod tend;
#[cfg(test)]
mod testing;
mod tree;
mod watches;
mod wire;
mod words;

use registry::{Now, Registry};

/// The ZooKeeper door.
pub struct ZooKeeperDoor {
    shared: Arc<Shared>,
}

impl ZooKeeperDoor {
    /// Shows `metadata` to clients, always the newest. Costs nothing until the first one connects.
    pub fn new(
        metadata: watch::Receiver<Arc<Metadata>>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let registry = Mutex::new(Registry::new(metadata.clone(), random));
        Self { shared: Arc::new(Shared { registry, metadata, clock, started: Instant::now() }) }
    }

    /// Grants session time-outs within this range, in milliseconds, instead of 2 to 20 ticks.
    #[must_use]
    pub fn with_session_timeouts(self, timeouts: RangeInclusive<i32>) -> Self {
        self.shared.registry.lock().timeouts = timeouts;
        self
    }
}

impl Debug for ZooKeeperDoor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZooKeeperDoor").finish_non_exhaustive()
    }
}

impl Door for ZooKeeperDoor {
    fn name(&self) -> &'static str {
        "zookeeper"
    }

    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<Result<(), CloseReason>> {
        Box::pin(session::serve(Arc::clone(&self.shared), connection))
    }
}

/// What the door's connections share.
struct Shared {
    registry: Mutex<Registry>,
    metadata: watch::Receiver<Arc<Metadata>>,
    clock: Arc<dyn Clock>,
    started: Instant,
}

impl Shared {
    fn now(&self) -> Now {
        let steady = self.started.elapsed().as_millis();
        Now { wall: self.clock.now(), steady: u64::try_from(steady).unwrap_or(u64::MAX) }
    }
}
