//! The backend for one machine: one file, one writer, and a mirror of everything in memory that
//! all reads come from.

mod disk;
mod leases;
mod overlay;
mod state;
mod watch;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::threads::{Condition, Thread};
use base::{Clock, SystemClock, Threads};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, oneshot};

use self::disk::{Disk, Loaded};
use self::leases::Leases;
use self::overlay::Overlay;
use self::state::State;
use self::watch::{EmbeddedWatch, Signal};
use self::writer::{Queue, Reply, Request, Writer};
use crate::limits::META_QUEUE_BYTES_MAX;
use crate::txn::{check_key, check_prefix, check_ttl};
use crate::{
    BoxFuture, KeyValue, Lease, LeaseId, MetaError, MetaStore, RangeResponse, Revision, Txn,
    TxnResponse, Watch,
};

/// What a waiting request counts at least, and the unit that it is counted in.
const QUEUE_UNIT_BYTES: usize = 1024;

/// How the embedded backend is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// What leases expire by.
    pub clock: Arc<dyn Clock>,
    /// How many of the latest revisions can be watched from.
    pub history_revisions: usize,
    /// Most bytes that those may take; the oldest are dropped first.
    pub history_bytes: usize,
    /// Memory for pages of the file, in bytes. Small, since reads do not come from it.
    pub cache_bytes: usize,
    /// Where the file is.
    pub disk: base::Disk,
    /// What the writer's thread runs on.
    pub threads: Threads,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            history_revisions: 10_000,
            history_bytes: 4 * 1024 * 1024,
            cache_bytes: 1024 * 1024,
            disk: base::Disk::System,
            threads: Threads::System,
        }
    }
}

/// The metadata store of a single machine. Reads never wait for the disk. Dropping it finishes
/// what waits and closes the file, which may block for the length of one commit.
#[derive(Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
    writer: Option<Thread>,
}

/// What callers, watchers and the writer share.
///
/// Locks are taken in the order of the fields, and none while committing.
#[derive(Debug)]
struct Shared {
    state: RwLock<State>,
    leases: Mutex<Leases>,
    queue: Queue,
    /// Room in the queue, in units of [`QUEUE_UNIT_BYTES`].
    room: Arc<Semaphore>,
    signal: tokio::sync::watch::Sender<Signal>,
}

impl Embedded {
    /// Opens the store in `folder` (its file is `meta.redb`), or creates it. Blocks for some
    /// milliseconds of disk reads and needs no async runtime.
    ///
    /// # Errors
    /// [`MetaError::Locked`] if another process has it open, [`MetaError::Corrupt`] if it cannot
    /// be read back, [`MetaError::Full`] and [`MetaError::Io`] if the disk refuses.
    pub fn open(folder: &Path, options: Options) -> Result<Self, MetaError> {
        let (disk, loaded) = Disk::open(folder, options.cache_bytes, &options.disk)?;
        Self::start(Some(disk), loaded, options)
    }

    /// A store that lives in memory only and is lost when dropped.
    ///
    /// # Errors
    /// [`MetaError::Io`] if no thread can be started.
    pub fn in_memory(options: Options) -> Result<Self, MetaError> {
        Self::start(None, Loaded::default(), options)
    }

    fn start(disk: Option<Disk>, loaded: Loaded, options: Options) -> Result<Self, MetaError> {
        let Loaded { revision, last_lease, kvs, leases } = loaded;
        let state = State::new(revision, kvs, options.history_revisions, options.history_bytes);
        let shared = Arc::new(Shared {
            state: RwLock::new(state),
            leases: Mutex::new(Leases::new(options.clock, leases)),
            queue: Queue::new(Condition::new(&options.threads)),
            room: Arc::new(Semaphore::new(META_QUEUE_BYTES_MAX / QUEUE_UNIT_BYTES)),
            signal: tokio::sync::watch::Sender::new(Signal { revision, closed: false }),
        });
        let writer = Writer::new(Arc::clone(&shared), disk, last_lease);
        let writer = options
            .threads
            .spawn("meta-writer", move || writer.run())
            .map_err(|error| disk::io("starting the writer", &error))?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Ends the leases that are due by the clock now. The writer does so by itself as time
    /// passes; this is for clocks that are moved by hand.
    ///
    /// # Errors
    /// As [`MetaStore::lease_revoke`], without [`MetaError::LeaseNotFound`].
    pub async fn tick(&self) -> Result<(), MetaError> {
        self.ask(0, Request::Tick).await
    }

    /// Hands a request to the writer and waits for its answer.
    async fn ask<T>(
        &self,
        bytes: usize,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<T, MetaError> {
        let units = u32::try_from(1 + bytes / QUEUE_UNIT_BYTES).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.shared.room);
        let permit = room.acquire_many_owned(units).await.map_err(|_| MetaError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push(request(reply), permit)?;
        // The writer answers everything it takes; only its death leaves a request without.
        answer.await.unwrap_or_else(|_| Err(MetaError::Poisoned("the writer died".to_owned())))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has been reported by the panic hook.
            writer.join();
        }
    }
}

impl MetaStore for Embedded {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<KeyValue>, MetaError>> {
        Box::pin(async move {
            check_key(key)?;
            Ok(self.shared.state.read().get(key).cloned())
        })
    }

    fn range<'a>(
        &'a self,
        prefix: &'a [u8],
        limit: usize,
        from: &'a [u8],
    ) -> BoxFuture<'a, Result<RangeResponse, MetaError>> {
        Box::pin(async move {
            check_prefix(prefix)?;
            Ok(self.shared.state.read().range(prefix, limit, from))
        })
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnResponse, MetaError>> {
        Box::pin(async move {
            txn.validate()?;
            if txn.is_read_only() {
                let state = self.shared.state.read();
                return Overlay::over(&state).txn(&state, |_| false, &txn);
            }
            self.ask(txn.bytes(), |reply| Request::Txn(txn, reply)).await
        })
    }

    fn watch<'a>(
        &'a self,
        prefix: &'a [u8],
        from: Revision,
    ) -> BoxFuture<'a, Result<Box<dyn Watch>, MetaError>> {
        Box::pin(async move {
            check_prefix(prefix)?;
            if from == 0 {
                return Err(MetaError::Invalid("a watch from revision 0".to_owned()));
            }
            let watch = EmbeddedWatch::new(Arc::clone(&self.shared), prefix, from);
            Ok(Box::new(watch) as Box<dyn Watch>)
        })
    }

    fn lease_grant(&self, ttl: Duration) -> BoxFuture<'_, Result<Lease, MetaError>> {
        Box::pin(async move {
            let ttl = check_ttl(ttl)?;
            self.ask(0, |reply| Request::Grant(ttl, reply)).await
        })
    }

    fn lease_keep_alive(&self, id: LeaseId) -> BoxFuture<'_, Result<Lease, MetaError>> {
        Box::pin(async move {
            let ttl = self.shared.leases.lock().keep_alive(id);
            ttl.map(|ttl| Lease { id, ttl }).ok_or(MetaError::LeaseNotFound(id))
        })
    }

    fn lease_revoke(&self, id: LeaseId) -> BoxFuture<'_, Result<(), MetaError>> {
        Box::pin(async move { self.ask(0, |reply| Request::Revoke(id, reply)).await })
    }
}

#[cfg(test)]
mod tests;
