//! The embedded backend with a disk that fails, and with files that are not what they should be.

use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use base::{ErrorKind, ManualClock};
use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use tempfile::TempDir;

use super::disk::{Disk, Files};
use super::{Embedded, Options};
use crate::{Compare, MetaError, MetaStore, Op, Txn, WatchError};

/// What is wrong with the disk. Counts down operations until it happens; negative is never.
#[derive(Debug, Default)]
struct Faults {
    /// Writes and growths that still succeed, after which the disk is full.
    space: AtomicI64,
    /// Syncs that still succeed, after which one fails and the others succeed again.
    sync: AtomicI64,
    syncs: AtomicUsize,
}

impl Faults {
    fn none() -> Arc<Self> {
        let faults = Self::default();
        faults.space.store(-1, Ordering::SeqCst);
        faults.sync.store(-1, Ordering::SeqCst);
        Arc::new(faults)
    }

    fn take_space(&self) -> io::Result<()> {
        let left = self.space.load(Ordering::SeqCst);
        if left == 0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        if left > 0 {
            self.space.store(left - 1, Ordering::SeqCst);
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
struct FaultyFiles(Arc<Faults>);

#[derive(Debug)]
struct FaultyFile(FileBackend, Arc<Faults>);

impl Files for FaultyFiles {
    fn open(&self, path: &Path) -> io::Result<Box<dyn StorageBackend>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Box::new(FaultyFile(file, Arc::clone(&self.0))))
    }
}

impl StorageBackend for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.1.take_space()?;
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::SeqCst);
        if self.1.sync.fetch_sub(1, Ordering::SeqCst) == 0 {
            return Err(io::Error::other("the device is gone"));
        }
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.1.take_space()?;
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }
}

fn open_faulty(folder: &Path, faults: &Arc<Faults>) -> Result<Embedded, MetaError> {
    let options = Options::default();
    let files = Box::new(FaultyFiles(Arc::clone(faults)));
    let (disk, loaded) = Disk::open_with(folder, options.cache_bytes, files)?;
    Embedded::start(Some(disk), loaded, options)
}

fn open(folder: &Path) -> Result<Embedded, MetaError> {
    Embedded::open(folder, Options::default())
}

fn put(key: &str, value: &str) -> Txn {
    Txn::new().then(Op::put(key.to_owned(), value.to_owned()))
}

async fn value(store: &Embedded, key: &str) -> Option<String> {
    let kv = store.get(key.as_bytes()).await.unwrap();
    kv.map(|kv| String::from_utf8_lossy(&kv.value).into_owned())
}

/// Whatever the write at which the space runs out: the transaction fails, nothing of it is
/// visible, reads go on, and with space again so do writes.
#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_space_again() {
    let folder = TempDir::new().unwrap();
    let faults = Faults::none();
    let store = open_faulty(folder.path(), &faults).unwrap();
    store.txn(put("k", "before")).await.unwrap();
    let mut watch = store.watch(b"k", 3).await.unwrap();
    let mut failed = 0;
    for space in 0.. {
        faults.space.store(space, Ordering::SeqCst);
        let big = "x".repeat(200_000);
        let result = store.txn(put("k", "during").then(Op::put("big", big))).await;
        faults.space.store(-1, Ordering::SeqCst);
        let Err(error) = result else { break };
        failed += 1;
        // Where not even the look at the file was possible, it is not said to be undone.
        let retry = matches!(error, MetaError::Full(_) | MetaError::Io { .. });
        assert!(retry, "{error:?} at write {space}");
        assert_eq!(value(&store, "k").await.as_deref(), Some("before"));
        assert_eq!(value(&store, "big").await, None);
        if space % 2 == 0 {
            // Also when the file could not even be opened anew at once.
            faults.space.store(0, Ordering::SeqCst);
            let error = store.txn(put("k", "during")).await.unwrap_err();
            assert!(matches!(error, MetaError::Full(_) | MetaError::Io { .. }), "{error:?}");
            faults.space.store(-1, Ordering::SeqCst);
        }
    }
    assert!(failed > 3, "the disk was full {failed} times");
    assert_eq!(watch.next().await.unwrap().revision, 3, "a failed commit was seen by a watcher");
    drop(store);
    let store = open(folder.path()).unwrap();
    assert_eq!(value(&store, "k").await.as_deref(), Some("during"));
}

/// After a failed fsync nothing may be acknowledged any more, even if the next one would succeed.
#[tokio::test]
async fn a_failed_fsync_stops_writes_but_not_reads() {
    let folder = TempDir::new().unwrap();
    let faults = Faults::none();
    let store = open_faulty(folder.path(), &faults).unwrap();
    store.txn(put("k", "before")).await.unwrap();
    let lease = store.lease_grant(Duration::from_secs(60)).await.unwrap();
    let mut watch = store.watch(b"k", 3).await.unwrap();
    faults.sync.store(0, Ordering::SeqCst);
    let error = store.txn(put("k", "during")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
    for _ in 0..3 {
        let error = store.txn(put("k", "after")).await.unwrap_err();
        assert!(matches!(error, MetaError::Poisoned(_)), "{error:?}");
        assert!(error.to_string().contains("the device is gone"), "{error}");
    }
    assert!(store.lease_revoke(lease.id).await.is_err());
    assert!(store.lease_keep_alive(lease.id).await.is_ok(), "its end failed, so it lives");
    assert_eq!(value(&store, "k").await.as_deref(), Some("before"));
    drop(store);
    assert_eq!(watch.next().await, Err(WatchError::Closed));
    let store = open(folder.path()).unwrap();
    let found = value(&store, "k").await;
    assert!(matches!(found.as_deref(), Some("before" | "during")), "{found:?}");
    store.txn(put("k", "after")).await.unwrap();
}

/// A thousand transactions that are there at once need few syncs; each by itself needs its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_wait_share_a_commit() {
    let folder = TempDir::new().unwrap();
    let faults = Faults::none();
    let store = Arc::new(open_faulty(folder.path(), &faults).unwrap());
    let before = faults.syncs.load(Ordering::SeqCst);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..1000 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.txn(put(&format!("k{n}"), "v")).await.unwrap().revision });
    }
    let mut revisions = tasks.join_all().await;
    revisions.sort_unstable();
    assert_eq!(revisions, (2..1002).collect::<Vec<_>>());
    let syncs = faults.syncs.load(Ordering::SeqCst) - before;
    assert!((1..500).contains(&syncs), "{syncs} syncs for 1000 transactions");
    let before = faults.syncs.load(Ordering::SeqCst);
    store.txn(Txn::new().when(Compare::absent("k1")).then(Op::put("k1", "w"))).await.unwrap();
    store.txn(Txn::new().then(Op::delete("none"))).await.unwrap();
    assert_eq!(faults.syncs.load(Ordering::SeqCst), before, "nothing changed, nothing to sync");
}

#[tokio::test]
async fn one_process_at_a_time() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, MetaError::Locked { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    drop(store);
    open(folder.path()).unwrap();
}

/// Wherever a file is damaged, it opens as what it was or not at all; it never panics.
#[tokio::test]
async fn a_damaged_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).unwrap();
    for n in 0..200 {
        store.txn(put(&format!("key {n}"), &format!("value {n}").repeat(10))).await.unwrap();
    }
    let before = store.range(b"", 0, b"").await.unwrap();
    drop(store);
    let path = folder.path().join("meta.redb");
    let good = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for at in (0..good.len()).step_by(good.len() / 150) {
        let mut bad = good.clone();
        let end = (at + 64).min(bad.len());
        bad[at..end].iter_mut().for_each(|byte| *byte ^= 0xa5);
        std::fs::write(&path, &bad).unwrap();
        match open(folder.path()) {
            Ok(store) => assert!(store.range(b"", 0, b"").await.unwrap() == before, "at {at}"),
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error} at {at}");
            }
        }
    }
    assert!(refused > 5, "refused {refused} times");
    for len in [0, 1, 100, 4096, good.len() / 2] {
        std::fs::write(&path, &good[..len]).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}, cut to {len}");
    }
    std::fs::write(&path, "not a store at all".repeat(1000)).unwrap();
    assert_eq!(open(folder.path()).unwrap_err().kind(), ErrorKind::Corrupt);
    std::fs::write(&path, &good).unwrap();
    assert!(open(folder.path()).unwrap().range(b"", 0, b"").await.unwrap() == before);
}

/// The rest of a start that was cut off is no obstacle.
#[tokio::test]
async fn a_torn_first_start_is_begun_again() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("meta.redb.new"), "torn").unwrap();
    let store = open(folder.path()).unwrap();
    store.txn(put("k", "v")).await.unwrap();
    assert!(!folder.path().join("meta.redb.new").exists());
}

/// Time by the wall: the clock goes back, which must not keep a lease for ever, and the writer
/// ends leases without being asked.
#[tokio::test]
async fn leases_end_while_the_clock_goes_back_and_nobody_asks() {
    let clock = ManualClock::at(1_000_000);
    let options = Options { clock: Arc::new(clock.clone()), ..Options::default() };
    let store = Embedded::in_memory(options).unwrap();
    let lease = store.lease_grant(Duration::from_secs(10)).await.unwrap();
    store.txn(Txn::new().then(Op::put_leased("k", "v", lease.id))).await.unwrap();
    clock.advance(6_000);
    store.tick().await.unwrap();
    clock.advance(-500_000);
    store.tick().await.unwrap();
    assert_eq!(value(&store, "k").await.as_deref(), Some("v"));
    clock.advance(4_000);
    assert!(store.lease_keep_alive(lease.id).await.is_err(), "past its end");
    let mut watch = store.watch(b"k", 3).await.unwrap();
    // Any request brings it about; with a clock that runs, the writer wakes up by itself.
    store.txn(put("other", "v")).await.unwrap();
    assert_eq!(watch.next().await.unwrap().revision, 3);

    let store = Embedded::in_memory(Options::default()).unwrap();
    let lease = store.lease_grant(Duration::from_secs(1)).await.unwrap();
    store.txn(Txn::new().then(Op::put_leased("k", "v", lease.id))).await.unwrap();
    let mut watch = store.watch(b"k", 3).await.unwrap();
    assert_eq!(watch.next().await.unwrap().revision, 3);
}

/// The history is bounded in bytes too: few large values do not fill memory.
#[tokio::test]
async fn the_history_forgets_by_size() {
    let options = Options { history_bytes: 100_000, ..Options::default() };
    let store = Embedded::in_memory(options).unwrap();
    for _ in 0..10 {
        store.txn(put("k", &"x".repeat(30_000))).await.unwrap();
    }
    let mut watch = store.watch(b"", 2).await.unwrap();
    assert_eq!(watch.next().await, Err(WatchError::Compacted { oldest: 9 }));
    let mut watch = store.watch(b"", 9).await.unwrap();
    assert_eq!(watch.next().await.unwrap().revision, 9);
}

/// A file of another format is refused, whatever else it holds.
#[tokio::test]
async fn another_format_is_refused() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()).unwrap());
    let path = folder.path().join("meta.redb");
    let database = redb::Database::open(&path).unwrap();
    let write = database.begin_write().unwrap();
    let table = redb::TableDefinition::<&str, u64>::new("meta");
    write.open_table(table).unwrap().insert("format", 2).unwrap();
    write.commit().unwrap();
    drop(database);
    let error = open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("format 2"), "{error}");
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(b"another kind of file").unwrap();
    assert_eq!(open(folder.path()).unwrap_err().kind(), ErrorKind::Corrupt);
}
