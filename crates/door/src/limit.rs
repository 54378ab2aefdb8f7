//! The bound on open connections, shared by all listeners of a broker.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many connections may be open at once. Clones share one count, so one value handed to every
/// listener bounds the whole broker.
#[derive(Debug, Clone)]
pub struct ConnectionLimit {
    permits: Arc<Semaphore>,
    max: usize,
}

impl ConnectionLimit {
    /// Allows `max` connections, see [`base::limits::CONNECTIONS_MAX`].
    pub fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(max)), max }
    }

    /// The most connections that may be open.
    pub fn max(&self) -> usize {
        self.max
    }

    /// The connections open now.
    pub fn open(&self) -> usize {
        self.max.saturating_sub(self.permits.available_permits())
    }

    /// A permit to keep for as long as the connection lives; none when the limit is reached.
    pub(crate) fn try_acquire(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }
}

impl Default for ConnectionLimit {
    fn default() -> Self {
        Self::new(base::limits::CONNECTIONS_MAX)
    }
}
