//! Discovery of services: where their instances are, who is alive, and which of them is next.
//!
//! An instance is an entry of the registry, `/services/NAME/ID`, so whoever looks at that tree sees it, and what programs
//! register there by other means is found here. It has an owner, a *lease*: a session of the registry that ends when it
//! is not renewed, and the instance with it. One without a lease stays until somebody takes it out: that is a static list.
//!
//! What is known of an instance's load (what it has in flight, how long it takes) is in memory, on each broker for itself:
//! reported by the instance, or observed by those whom it was chosen for.

mod choose;
mod directory;
mod instance;
mod lease;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashMap;
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use base::{Clock, ErrorKind, Random};
use cluster::{KeyValue, MetaError};
use parking_lot::Mutex;
use queue::dispatch::Turn;
use tokio::sync::{Notify, watch};

pub use choose::{Chosen, Ticket};
pub use instance::{Instance, NewInstance, PORT_NONE};
pub use lease::{LEASE_MAX, LEASE_MIN, LeaseKey, Reported, is_lease};

use self::choose::{Known, Tickets};
use self::directory::Directory;
use crate::metadata::Metadata;
use crate::registry::{self, Feed, Lost, Registry};

/// Where services are in the registry's tree.
pub const ROOT: &str = "/services";

/// Instances of all services together.
const INSTANCES_MAX: usize = 100_000;

/// Why something of a service is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// Not what an instance, or a lease, can be.
    #[error("{0}")]
    Invalid(String),
    /// There is no such service, or no such instance of it.
    #[error("there is no such service or instance")]
    NotFound,
    /// Somebody else has registered an instance of this id.
    #[error("an instance of this id is registered by somebody else")]
    Exists,
    /// The entries in the tree may only be written by somebody else.
    #[error("the entry {0} is protected")]
    Protected(String),
    /// The lease has ended, or never was.
    #[error("there is no such lease")]
    NoLease,
    /// There are as many as there may be.
    #[error("the limit on instances of services is reached")]
    LimitReached,
    /// It could not be written, or read.
    #[error("{0}")]
    Unavailable(String),
}

impl DiscoveryError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::NotFound | Self::NoLease => ErrorKind::NotFound,
            Self::Exists | Self::Protected(_) => ErrorKind::Conflict,
            Self::LimitReached | Self::Unavailable(_) => ErrorKind::Unavailable,
        }
    }
}

impl From<MetaError> for DiscoveryError {
    fn from(error: MetaError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The services that there are. One for all doors.
pub struct Discovery {
    state: Mutex<State>,
    registry: Registry,
    metadata: watch::Receiver<Arc<Metadata>>,
    /// One writes at a time; other brokers, and other writers of the tree, may still come first.
    writes: tokio::sync::Mutex<()>,
    /// Counts changes of what there is.
    changes: watch::Sender<u64>,
    /// A lease came, or was renewed for a shorter time.
    leases: Notify,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Debug for Discovery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    directory: Directory,
    /// What happens to the registry; none before somebody asks.
    feed: Option<Feed>,
    /// What is known of instances besides, by service and id.
    known: HashMap<(Arc<str>, Arc<str>), Arc<Known>>,
    /// Whose turn it is, by service.
    turns: HashMap<Arc<str>, Arc<Turn>>,
    tickets: Tickets,
    /// Names the writes.
    counter: u64,
    writer: u64,
    /// Leases are looked after.
    is_tended: bool,
}

impl Discovery {
    pub(crate) fn new(
        registry: Registry,
        metadata: watch::Receiver<Arc<Metadata>>,
        (clock, random): (Arc<dyn Clock>, Arc<dyn Random>),
    ) -> Arc<Self> {
        let state = State { writer: random.next_u64(), ..State::default() };
        Arc::new(Self {
            state: Mutex::new(state),
            registry,
            metadata,
            writes: tokio::sync::Mutex::default(),
            changes: watch::Sender::new(0),
            leases: Notify::new(),
            clock,
            random,
        })
    }

    /// Looks after leases from before a restart, if there are any among all that is stored: they end if nobody comes to
    /// renew them.
    pub(crate) fn begin(self: &Arc<Self>, kvs: &[KeyValue]) {
        if !kvs.iter().filter_map(|kv| registry::session_of(&kv.key)).any(is_lease) {
            return;
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = this.open().await {
                tracing::warn!(%error, "cannot read the registry's leases");
            }
        });
    }

    /// Follows the registry from now on, if nobody asked before, and looks after leases.
    async fn open(self: &Arc<Self>) -> Result<(), DiscoveryError> {
        if self.state.lock().feed.is_some() {
            return Ok(());
        }
        let (picture, feed) = self.registry.open().await?;
        let mut state = self.state.lock();
        state.directory.load(&picture);
        state.feed = Some(feed);
        let begins = !std::mem::replace(&mut state.is_tended, true);
        state.forget();
        drop(state);
        self.changes.send_modify(|count| *count += 1);
        if begins {
            tokio::spawn(lease::tend(Arc::downgrade(self), self.metadata.clone()));
        }
        Ok(())
    }

    /// Brings what is known up to date. Opens the registry anew where its feed has a gap.
    async fn catch_up(self: &Arc<Self>) -> Result<(), DiscoveryError> {
        self.open().await?;
        if self.look() { Ok(()) } else { self.open().await }
    }

    /// Takes over what the feed has. False: there is a gap.
    fn look(&self) -> bool {
        let mut state = self.state.lock();
        let mut has_changed = false;
        let is_whole = loop {
            let Some(feed) = state.feed.as_mut() else { break false };
            match feed.try_next() {
                Ok(Some(batch)) => has_changed |= state.directory.apply(&batch),
                Ok(None) => break true,
                Err(Lost) => {
                    state.feed = None;
                    break false;
                }
            }
        };
        if has_changed {
            state.forget();
        }
        drop(state);
        if has_changed {
            self.changes.send_modify(|count| *count += 1);
        }
        is_whole
    }

    /// The instances of a service, in the order of their ids.
    ///
    /// # Errors
    /// [`DiscoveryError::Unavailable`].
    pub async fn instances(
        self: &Arc<Self>,
        service: &str,
    ) -> Result<Vec<Arc<Instance>>, DiscoveryError> {
        self.catch_up().await?;
        Ok(self.state.lock().directory.instances(service).cloned().collect())
    }

    /// The names of all services that have instances, in order.
    ///
    /// # Errors
    /// [`DiscoveryError::Unavailable`].
    pub async fn services(self: &Arc<Self>) -> Result<Vec<Arc<str>>, DiscoveryError> {
        self.catch_up().await?;
        Ok(self.state.lock().directory.services().cloned().collect())
    }

    /// Tells of changes: look at [`Self::instances`] again after each.
    ///
    /// # Errors
    /// [`DiscoveryError::Unavailable`].
    pub async fn watch(self: &Arc<Self>) -> Result<watch::Receiver<u64>, DiscoveryError> {
        self.catch_up().await?;
        Ok(self.changes.subscribe())
    }
}

impl State {
    /// Forgets what is known of instances that are gone.
    fn forget(&mut self) {
        let directory = &self.directory;
        self.known.retain(|(service, id), _| directory.instance(service, id).is_some());
        self.turns.retain(|service, _| directory.instances(service).next().is_some());
    }
}

impl crate::Broker {
    /// The services that there are.
    pub fn discovery(&self) -> &Arc<Discovery> {
        &self.inner.discovery
    }
}
