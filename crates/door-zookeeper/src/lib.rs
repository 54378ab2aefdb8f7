//! A ZooKeeper 3.8 server endpoint: a tree that clients write, kept in the cluster's metadata, and
//! in it a read-only view of that metadata as the znodes that Kafka 3.x keeps in ZooKeeper.
//!
//! For programs that register themselves and find each other, and for tools that look a cluster up
//! in ZooKeeper. The same nodes can be written into a ZooKeeper elsewhere: [`Registration`]. What
//! works and what does not: `docs/doors/zookeeper.md`.

use std::fmt::{self, Debug, Formatter};
use std::ops::RangeInclusive;
use std::sync::Arc;

use base::{Clock, Random};
use broker::MetaError;
use broker::metadata::Metadata;
use broker::registry::Registry;
use door::{BoxFuture, CloseReason, Connection, Door};
use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore, mpsc, watch};
use tokio::time::Instant;

mod acl;
mod client;
#[cfg(test)]
mod document;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod handle;
mod limits;
mod map;
mod outgoing;
mod registration;
mod session;
mod state;
mod tend;
#[cfg(test)]
mod testing;
mod tree;
mod watches;
mod wire;
mod words;
mod write;
mod writer;

pub use registration::{Registration, RegistrationOptions, Servers};

use limits::{WRITE_BYTES_TOTAL_MAX, WRITE_QUEUE_MAX};
use state::{Now, State};
use writer::Job;

/// The ZooKeeper door.
pub struct ZooKeeperDoor {
    shared: Arc<Shared>,
}

impl ZooKeeperDoor {
    /// Shows `metadata` to clients, always the newest, and lets them write to `registry`; both
    /// must be of one metadata store. Costs nothing until the first client connects, unless
    /// sessions from before a restart must be looked after. To be called in a tokio runtime.
    pub fn new(
        metadata: watch::Receiver<Arc<Metadata>>,
        registry: Registry,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let shared = Arc::new(Shared::new(metadata, registry, clock, random));
        tokio::spawn(tend::resume(Arc::downgrade(&shared)));
        Self { shared }
    }

    /// Grants session time-outs within this range, in milliseconds, instead of 2 to 20 ticks.
    #[must_use]
    pub fn with_session_timeouts(self, timeouts: RangeInclusive<i32>) -> Self {
        self.shared.state.lock().timeouts = timeouts;
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
    state: Mutex<State>,
    metadata: watch::Receiver<Arc<Metadata>>,
    registry: Registry,
    /// Set once the registry was read.
    opened: OnceCell<()>,
    jobs: mpsc::Sender<Job>,
    /// For the writer, until it runs.
    queue: Mutex<Option<mpsc::Receiver<Job>>>,
    /// Room for writes that wait, in bytes.
    write_bytes: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    started: Instant,
}

impl Shared {
    fn new(
        metadata: watch::Receiver<Arc<Metadata>>,
        registry: Registry,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let (jobs, queue) = mpsc::channel(WRITE_QUEUE_MAX);
        Self {
            state: Mutex::new(State::new(metadata.clone(), registry.broker(), random)),
            metadata,
            registry,
            opened: OnceCell::new(),
            jobs,
            queue: Mutex::new(Some(queue)),
            write_bytes: Arc::new(Semaphore::new(WRITE_BYTES_TOTAL_MAX)),
            clock,
            started: Instant::now(),
        }
    }

    fn now(&self) -> Now {
        let steady = self.started.elapsed().as_millis();
        Now { wall: self.clock.now(), steady: u64::try_from(steady).unwrap_or(u64::MAX) }
    }

    /// Reads the registry and starts the writer, unless that was done.
    async fn open(self: &Arc<Self>) -> Result<(), MetaError> {
        let open = async || {
            self.reopen().await?;
            if let Some(queue) = self.queue.lock().take() {
                tokio::spawn(writer::run(Arc::downgrade(self), queue));
            }
            Ok(())
        };
        self.opened.get_or_try_init(open).await.copied()
    }

    /// Reads the whole registry.
    async fn reopen(&self) -> Result<(), MetaError> {
        let (picture, feed) = self.registry.open().await?;
        self.state.lock().load(&picture, feed, self.now());
        Ok(())
    }

    /// Hands a write to the writer, once it has room.
    async fn submit(&self, job: Job) {
        // The writer ends with the door only.
        let _ended = self.jobs.send(job).await;
    }
}
