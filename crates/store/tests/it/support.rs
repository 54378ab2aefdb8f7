//! A store in a temporary folder, and short ways to use it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::{LogId, ManualClock, Offset};
use bytes::Bytes;
use store::batch::{Batch, BatchBuilder, Compression, NewRecord};
use store::{
    Append, AppendError, Appended, CommitSink, Durability, Log, LogOptions, OpenError, Store,
    StoreOptions,
};
use tempfile::TempDir;

pub(crate) const NOW: i64 = 1_700_000_000_000;
pub(crate) const BLOCK: usize = 4096;

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) clock: ManualClock,
    pub(crate) options: StoreOptions,
}

impl Fixture {
    /// A fixture whose store moves nothing to segments before it is closed, or told to.
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let mut options = StoreOptions::new(dir.path());
        options.wal_file_bytes = 1 << 20;
        options.flush_after = Duration::from_secs(3600);
        Self { dir, clock: ManualClock::at(NOW), options }
    }

    pub(crate) fn open(&self) -> Store {
        self.try_open().unwrap()
    }

    pub(crate) fn try_open(&self) -> Result<Store, OpenError> {
        Store::open(self.options.clone(), Arc::new(self.clock.clone()))
    }

    pub(crate) fn open_faulty(&self, faults: &Arc<Faults>) -> Store {
        let wrap = |inner| {
            Box::new(FaultySink { inner, faults: Arc::clone(faults) }) as Box<dyn CommitSink>
        };
        Store::open_with_sink(self.options.clone(), Arc::new(self.clock.clone()), wrap).unwrap()
    }

    /// What a crash now would leave. Only right while nothing is appended; the flusher may be at
    /// work, since what it does counts only from its checkpoint on.
    pub(crate) fn crash_image(&self) -> Self {
        let checkpoint = || fs::read(self.dir.path().join("checkpoint")).ok();
        let mut image = loop {
            let before = checkpoint();
            let image = Self::new();
            if copy(self.dir.path(), image.dir.path()).is_ok() && checkpoint() == before {
                break image;
            }
        };
        image.options = self.options.clone();
        image.options.dir = image.dir.path().to_path_buf();
        image.clock = self.clock.clone();
        image
    }

    pub(crate) fn wal_files(&self) -> Vec<PathBuf> {
        let mut files = files(&self.dir.path().join("wal"));
        files.retain(|path| path.extension().is_some_and(|extension| extension == "wal"));
        files
    }
}

pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for path in files(from) {
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir_all(&to)?;
            copy(&path, &to)?;
        } else if fs::metadata(&path)?.is_file() {
            fs::copy(&path, &to)?;
        }
    }
    Ok(())
}

/// A frame found in the files by its magic, without the help of the code under test.
#[derive(Debug, Clone)]
pub(crate) struct FoundFrame {
    pub(crate) path: PathBuf,
    pub(crate) position: usize,
    pub(crate) sequence: u64,
    pub(crate) incarnation: u64,
    pub(crate) length: usize,
    pub(crate) runs: usize,
}

pub(crate) fn frames(fixture: &Fixture) -> Vec<FoundFrame> {
    let mut found = Vec::new();
    for path in fixture.wal_files() {
        let bytes = fs::read(&path).unwrap();
        for position in (BLOCK..bytes.len()).step_by(BLOCK) {
            let at = &bytes[position..];
            if at.starts_with(b"ENFR") {
                let number = |from: usize, to: usize| {
                    at[from..to].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
                };
                found.push(FoundFrame {
                    path: path.clone(),
                    position,
                    sequence: number(16, 24),
                    incarnation: number(24, 32),
                    length: usize::try_from(number(48, 52)).unwrap(),
                    runs: usize::try_from(number(52, 56)).unwrap(),
                });
            }
        }
    }
    found.sort_by_key(|frame| frame.sequence);
    found
}

/// Changes a file in place.
pub(crate) fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Waits for what the background thread is to do.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "still not: {what}");
        std::thread::sleep(Duration::from_millis(1)); // poll: bounded by the time-out here
    }
}

/// Has everything moved to segments (deleting a log makes the flusher look).
pub(crate) fn flush(store: &Store, log: &Log) {
    let end = log.range().end;
    // Again and again, since the last frame is acknowledged a moment before it is handed over.
    eventually("the tail is in segments", || {
        look_up(store);
        log.read_memory(end - 1, 1, Offset::MAX).unwrap().is_none()
    });
}

/// Makes the flusher look for work.
pub(crate) fn look_up(store: &Store) {
    let unused = LogId(u64::MAX);
    store.open_log(unused, LogOptions::default());
    store.delete_log(unused);
}

/// What is to go wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) full: AtomicBool,
    pub(crate) fail_write: AtomicBool,
    pub(crate) fail_sync: AtomicBool,
    /// Frames below this were synced.
    pub(crate) synced: AtomicU64,
    pub(crate) written: AtomicU64,
    pub(crate) incarnation: AtomicU64,
}

pub(crate) struct FaultySink {
    inner: Box<dyn CommitSink>,
    faults: Arc<Faults>,
}

impl CommitSink for FaultySink {
    fn reserve(&mut self, sequence: u64, bytes: usize) -> io::Result<()> {
        if self.faults.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.reserve(sequence, bytes)
    }

    fn write(&mut self, sequence: u64, frame: &Bytes) -> io::Result<()> {
        if self.faults.fail_write.load(Ordering::SeqCst) {
            // Some of it got there.
            let _ = self.inner.write(sequence, &frame.slice(..100));
            return Err(io::Error::other("the disk is broken"));
        }
        self.inner.write(sequence, frame)?;
        self.faults.incarnation.store(self.inner.incarnation(), Ordering::SeqCst);
        self.faults.written.store(sequence + 1, Ordering::SeqCst);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.faults.fail_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk does not sync"));
        }
        self.inner.sync()?;
        self.faults.synced.store(self.faults.written.load(Ordering::SeqCst), Ordering::SeqCst);
        Ok(())
    }

    fn release(&mut self, below: u64) {
        self.inner.release(below);
    }

    fn incarnation(&self) -> u64 {
        self.inner.incarnation()
    }
}

pub(crate) fn log(store: &Store, id: u64) -> Arc<Log> {
    log_with(store, id, Durability::Fsync)
}

pub(crate) fn log_with(store: &Store, id: u64, durability: Durability) -> Arc<Log> {
    store.open_log(LogId(id), LogOptions { durability, ..LogOptions::default() })
}

pub(crate) fn batch(timestamp: i64, values: &[&str]) -> Batch {
    packed(Compression::None, timestamp, values)
}

pub(crate) fn packed(compression: Compression, timestamp: i64, values: &[&str]) -> Batch {
    let mut builder = BatchBuilder::new(compression);
    for value in values {
        let value = Some(value.as_bytes());
        builder.push(&NewRecord { timestamp, key: None, value, headers: &[] });
    }
    builder.build().unwrap()
}

/// As an idempotent producer sends it.
pub(crate) fn numbered(producer: i64, epoch: i16, sequence: i32, values: &[&str]) -> Batch {
    by_producer(&batch(NOW, values), producer, epoch, sequence, false)
}

/// A batch of records with keys, each with or without a value.
pub(crate) fn keyed(
    compression: Compression,
    timestamp: i64,
    records: &[(&str, Option<&str>)],
) -> Batch {
    let mut builder = BatchBuilder::new(compression);
    for (key, value) in records {
        let headers: &[(&[u8], Option<&[u8]>)] = &[(b"of", Some(key.as_bytes())), (b"", None)];
        let (key, value) = (Some(key.as_bytes()), value.map(str::as_bytes));
        builder.push(&NewRecord { timestamp, key, value, headers });
    }
    builder.build().unwrap()
}

/// The batch as a producer of this identity sends it, in a transaction or not.
pub(crate) fn by_producer(
    batch: &Batch,
    producer: i64,
    epoch: i16,
    sequence: i32,
    transactional: bool,
) -> Batch {
    let mut bytes = batch.bytes().to_vec();
    bytes[22] |= u8::from(transactional) << 4;
    bytes[43..51].copy_from_slice(&producer.to_be_bytes());
    bytes[51..53].copy_from_slice(&epoch.to_be_bytes());
    bytes[53..57].copy_from_slice(&sequence.to_be_bytes());
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[21..]);
    bytes[17..21].copy_from_slice(&u32::try_from(crc).unwrap().to_be_bytes());
    Batch::parse(bytes.into()).unwrap()
}

pub(crate) async fn append(
    store: &Store,
    log: &Arc<Log>,
    batch: Batch,
) -> Result<Appended, AppendError> {
    append_all(store, log, vec![batch]).await
}

pub(crate) async fn append_all(
    store: &Store,
    log: &Arc<Log>,
    batches: Vec<Batch>,
) -> Result<Appended, AppendError> {
    let append = Append { log: Arc::clone(log), batches, epoch: 0 };
    store.append(vec![append]).await?.await.pop().unwrap()
}

/// All values from `offset` on, with their offsets.
pub(crate) fn values(log: &Log, offset: Offset) -> Vec<(Offset, String)> {
    let mut all = Vec::new();
    let mut next = offset;
    while next < log.range().end {
        let read = log.read(next, 1 << 20, Offset::MAX).unwrap();
        assert!(!read.is_empty(), "nothing at {next} of {:?}", log.range());
        for batch in read.batches() {
            let batch = batch.unwrap();
            assert!(batch.header().next_offset() > next, "going backwards");
            next = batch.header().next_offset();
            for record in batch.records().unwrap() {
                let record = record.unwrap();
                let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                all.push((record.offset, value));
            }
        }
    }
    all
}

pub(crate) fn texts(log: &Log) -> Vec<String> {
    values(log, log.range().start).into_iter().map(|(_, text)| text).collect()
}
