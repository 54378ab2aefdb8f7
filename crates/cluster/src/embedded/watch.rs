//! A watcher is a position in the shared history, not a queue: it costs nothing while it sleeps,
//! and a slow one is told that the history has moved on instead of filling memory.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::Shared;
use super::state::Upcoming;
use crate::{BoxFuture, Revision, Watch, WatchBatch, WatchError};

/// What watchers are woken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signal {
    pub(super) revision: Revision,
    pub(super) closed: bool,
}

#[derive(Debug)]
pub(super) struct EmbeddedWatch {
    shared: Arc<Shared>,
    signal: watch::Receiver<Signal>,
    prefix: Bytes,
    /// The first revision not yet looked at.
    next: Revision,
    first: bool,
    ended: Option<WatchError>,
}

impl EmbeddedWatch {
    pub(super) fn new(shared: Arc<Shared>, prefix: &[u8], from: Revision) -> Self {
        let signal = shared.signal.subscribe();
        let prefix = Bytes::copy_from_slice(prefix);
        Self { shared, signal, prefix, next: from, first: true, ended: None }
    }

    /// The next batch, if it is there already.
    fn poll(&mut self) -> Result<Option<WatchBatch>, WatchError> {
        let first = std::mem::take(&mut self.first);
        match self.shared.state.read().upcoming(self.next, &self.prefix) {
            Upcoming::Batch(batch) => {
                self.next = batch.revision + 1;
                Ok(Some(batch))
            }
            Upcoming::Nothing(until) => {
                self.next = self.next.max(until + 1);
                Ok(None)
            }
            Upcoming::Gone { oldest } if first => Err(WatchError::Compacted { oldest }),
            Upcoming::Gone { oldest } => Err(WatchError::Lagged { oldest }),
        }
    }

    async fn wait(&mut self) -> Result<WatchBatch, WatchError> {
        loop {
            // Before looking, so that a change after the look wakes us.
            let closed = self.signal.borrow_and_update().closed;
            if let Some(batch) = self.poll()? {
                return Ok(batch);
            }
            if closed || self.signal.changed().await.is_err() {
                return Err(WatchError::Closed);
            }
        }
    }
}

impl Watch for EmbeddedWatch {
    fn next(&mut self) -> BoxFuture<'_, Result<WatchBatch, WatchError>> {
        Box::pin(async move {
            if let Some(error) = &self.ended {
                return Err(error.clone());
            }
            let result = self.wait().await;
            self.ended = result.as_ref().err().cloned();
            result
        })
    }
}
