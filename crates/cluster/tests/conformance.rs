//! The conformance suite on both modes of the embedded backend.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fmt::{self, Debug, Formatter};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::ManualClock;
use cluster::conformance::{Harness, run_all};
use cluster::{BoxFuture, Embedded, MetaStore, Options};
use parking_lot::Mutex;
use tempfile::TempDir;

/// More than the watchers' history, which is small here so that overrunning it is quick.
const OVERRUN: usize = 400;

struct Stores {
    clock: ManualClock,
    /// Where stores on disk live; without it they live in memory.
    folder: Option<TempDir>,
    /// The stores by address, to get from the interface back to the backend.
    open: Mutex<HashMap<usize, (Weak<Embedded>, PathBuf)>>,
    created: AtomicUsize,
}

impl Debug for Stores {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn address(store: &dyn MetaStore) -> usize {
    std::ptr::from_ref(store).cast::<()>() as usize
}

impl Stores {
    fn new(folder: Option<TempDir>) -> Self {
        Self {
            clock: ManualClock::at(1_000_000),
            folder,
            open: Mutex::default(),
            created: AtomicUsize::new(0),
        }
    }

    fn open(&self, path: PathBuf) -> Arc<dyn MetaStore> {
        let clock = Arc::new(self.clock.clone());
        let options = Options { clock, history_revisions: 300, ..Options::default() };
        let store = match &self.folder {
            Some(_) => Embedded::open(&path, options),
            None => Embedded::in_memory(options),
        };
        let store = Arc::new(store.unwrap());
        self.open.lock().insert(address(&*store), (Arc::downgrade(&store), path));
        store
    }
}

impl Harness for Stores {
    fn create(&self) -> BoxFuture<'_, Arc<dyn MetaStore>> {
        let number = self.created.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.as_ref().map_or(PathBuf::new(), |folder| folder.path().into());
        Box::pin(async move { self.open(folder.join(number.to_string())) })
    }

    fn reopen(&self, store: Arc<dyn MetaStore>) -> BoxFuture<'_, Option<Arc<dyn MetaStore>>> {
        Box::pin(async move {
            self.folder.as_ref()?;
            let (backend, path) = self.open.lock()[&address(&*store)].clone();
            drop(store);
            assert!(backend.upgrade().is_none(), "somebody still holds the store");
            Some(self.open(path))
        })
    }

    fn pass<'a>(&'a self, store: &'a dyn MetaStore, time: Duration) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.clock.advance(i64::try_from(time.as_millis()).unwrap());
            let backend = self.open.lock()[&address(store)].0.upgrade().unwrap();
            backend.tick().await.unwrap();
        })
    }

    fn overrun(&self) -> usize {
        OVERRUN
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_disk() {
    run_all(&Stores::new(Some(TempDir::new().unwrap()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_memory() {
    run_all(&Stores::new(None)).await;
}
