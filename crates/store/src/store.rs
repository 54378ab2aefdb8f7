//! The store's handle.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use base::disk::{Disk, File, Open};
use base::limits::APPEND_QUEUE_MAX;
use base::threads::Thread;
use base::{Clock, LogId, Offset};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::batch::Batch;
use crate::blocking::blocking;
use crate::compaction::Cleaner;
use crate::error::{AppendError, OpenError};
use crate::flusher::Flusher;
use crate::gather::Gather;
use crate::log::{Log, State};
use crate::options::{LogOptions, StoreOptions, Tuning};
use crate::recovery::{Recovered, recover};
use crate::segment::SegmentFiles;
use crate::shared::{Deleted, Shared};
use crate::sink::CommitSink;
use crate::wal::LocalWal;
use crate::writer::{Appended, Change, Message, Outcome, Request, Writer};

/// How soon the writer is told again to stop, when its queue was full.
const STOP_AGAIN: Duration = Duration::from_millis(1);

/// Batches for one log.
#[derive(Debug, Clone)]
pub struct Append {
    /// Where to.
    pub log: Arc<Log>,
    /// In order. Their offsets are assigned on the way.
    pub batches: Vec<Batch>,
    /// Epoch of the log's owner, stamped into the batches.
    pub epoch: i32,
}

/// All logs of one data folder.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    files: Arc<SegmentFiles>,
    queue: mpsc::Sender<Message>,
    threads: Mutex<Vec<Thread>>,
    recovered: Recovered,
    /// Holds the folder's lock while it lives.
    lock: File,
}

impl Store {
    /// Opens a data folder, making it if there is none. Reads back what was stored.
    pub fn open(options: StoreOptions, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_with_sink(options, clock, |sink| sink)
    }

    /// As [`Store::open`], with something put between the writer and the write-ahead log: tests
    /// let writes and syncs fail, wait, or be lost with it.
    pub fn open_with_sink(
        options: StoreOptions,
        clock: Arc<dyn Clock>,
        wrap: impl FnOnce(Box<dyn CommitSink>) -> Box<dyn CommitSink>,
    ) -> Result<Self, OpenError> {
        let dir = options.dir.clone();
        let (disk, threads) = (options.disk.clone(), options.threads.clone());
        make_dirs(&disk, &dir)?;
        let lock = lock(&disk, &dir)?;
        let files = Arc::new(SegmentFiles::new(disk.clone(), dir.join("segments")));
        let recovery = recover(&disk, &dir, &files)?;
        if let Some((path, position)) = &recovery.report.torn {
            tracing::info!(path = %path.display(), position, "the log ended in half a frame; cut off");
        }
        let replayed = recovery.replay.files;
        let incarnation = options.random.next_u64();
        let (wal, file_bytes) = (dir.join("wal"), options.wal_file_bytes);
        let sink = LocalWal::open(disk, &wal, file_bytes, incarnation, replayed)
            .map_err(OpenError::io("opening", &wal))?;
        let sequence = recovery.replay.next_sequence;
        let shared = Arc::new(Shared::new(options, recovery.flushed, sequence));
        *shared.logs.write() = recovery.logs;
        *shared.deleted.lock() = recovery.deleted;
        for frame in recovery.frames {
            shared.committed(frame);
        }
        let (queue, receiver) = mpsc::channel(APPEND_QUEUE_MAX);
        let writer = Writer {
            queue: receiver,
            sink: wrap(Box::new(sink)),
            shared: Arc::clone(&shared),
            clock: Arc::clone(&clock),
            sequence,
            synced: sequence,
            sink_full: false,
            gather: Gather::default(),
        };
        let cleaner = Cleaner::new(Arc::clone(&shared), Arc::clone(&files), Arc::clone(&clock));
        let flusher = Flusher {
            shared: Arc::clone(&shared),
            files: Arc::clone(&files),
            clock,
            flushed: recovery.flushed,
            expired: Vec::new(),
        };
        let threads = [
            threads.spawn("log-writer", || writer.run()),
            threads.spawn("log-flusher", || flusher.run()),
            threads.spawn("log-cleaner", || cleaner.run()),
        ];
        let threads: Result<Vec<_>, _> = threads.into_iter().collect();
        let threads = threads.map_err(OpenError::io("starting a thread", &dir))?;
        let recovered = recovery.report;
        Ok(Self { shared, files, queue, threads: Mutex::new(threads), recovered, lock })
    }

    /// What opening found.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// The log with this identity, made if there is none. Making one costs no disk access: it is
    /// on disk from its first record on.
    pub fn open_log(&self, id: LogId, options: LogOptions) -> Arc<Log> {
        let mut logs = self.shared.logs.write();
        let log = logs.entry(id).or_insert_with(|| {
            Arc::new(Log::new(id, Arc::clone(&self.files), options, State::default()))
        });
        log.set_options(options);
        Arc::clone(log)
    }

    /// Changes what can be changed of the options while the store is open.
    pub fn tune(&self, tuning: Tuning) {
        self.shared.tune(tuning);
    }

    /// The identities of all logs.
    pub fn log_ids(&self) -> Vec<LogId> {
        self.shared.logs.read().keys().copied().collect()
    }

    /// Deletes a log and everything in it, durably only a little later (at the next checkpoint).
    /// Its identity must not be used again.
    pub fn delete_log(&self, id: LogId) {
        let shared = &self.shared;
        let mut logs = shared.logs.write();
        let Some(log) = logs.remove(&id) else { return };
        log.delete();
        // The frame that is being made may still be about it, and counts only when it is done.
        let below = shared.next_sequence.load(Ordering::SeqCst) + 2;
        shared.deleted.lock().push(Deleted { id, below, removed: false });
        drop(logs);
        shared.wake();
    }

    /// Hands batches to the writer. They are stored in the order in which calls return; the
    /// returned future then says where, once they are as durable as their logs ask for. Waits
    /// while the writer's queue is full. The outcomes are those of the entries, in their order.
    pub async fn append(&self, entries: Vec<Append>) -> Result<Pending, AppendError> {
        let entries = entries.into_iter().map(|append| {
            let Append { log, batches, epoch } = append;
            (log, Change::Append { batches, epoch })
        });
        self.send(entries.collect()).await
    }

    /// Deletes the records of a log before an offset, durably. Answers with the new first offset.
    pub async fn trim(&self, log: &Arc<Log>, before: Offset) -> Result<Offset, AppendError> {
        let pending = self.send(vec![(Arc::clone(log), Change::Trim { before })]).await?;
        let outcome = pending.await.pop().unwrap_or(Err(AppendError::Closed))?;
        Ok(outcome.start)
    }

    async fn send(&self, entries: Vec<(Arc<Log>, Change)>) -> Result<Pending, AppendError> {
        let (reply, outcomes) = oneshot::channel();
        let count = entries.len();
        let message = Message::Request(Request { entries, reply });
        self.queue.send(message).await.map_err(|_| AppendError::Closed)?;
        self.shared.bell.sent();
        self.shared.arrived.notify();
        Ok(Pending { outcomes, count })
    }

    /// Does work on a thread that may block.
    ///
    /// # Errors
    /// When the work panicked, or the runtime is shutting down.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<T> {
        blocking(&self.shared.options.disk, work).await
    }

    /// Shows what the store counts, as long as it is open.
    pub fn show(&self, to: &observe::Registry) {
        self.shared.figures.show(to);
        self.files.reads.show(to);
        to.ask(&self.shared);
    }

    /// Whether appends are refused, and why.
    pub fn health(&self) -> Result<(), AppendError> {
        self.shared.health.check()?;
        if self.shared.health.is_full() { Err(AppendError::DiskFull) } else { Ok(()) }
    }

    /// Stops: what was handed over is stored, the tail is moved to segments. Blocks.
    pub fn close(&self) {
        // Held until the end, so that a second caller does not return before it is closed.
        let mut held = self.threads.lock();
        let mut threads = held.drain(..).collect::<Vec<_>>().into_iter();
        // The writer first: the flusher's last round must see its last frame.
        let mut stop = Message::Stop;
        while let Err(mpsc::error::TrySendError::Full(message)) = self.queue.try_send(stop) {
            stop = message;
            self.shared.options.threads.sleep(STOP_AGAIN);
        }
        self.shared.bell.sent();
        self.shared.arrived.notify();
        if let Some(writer) = threads.next() {
            join(writer);
        }
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.wake();
        self.shared.handover.wake();
        threads.for_each(join);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
        // Said, not left to closing the file: a process that is being started by another thread
        // holds a copy of it for a moment.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "cannot unlock the data folder");
        }
    }
}

/// An append on its way to the disk.
#[derive(Debug)]
pub struct Pending {
    outcomes: oneshot::Receiver<Vec<Outcome>>,
    count: usize,
}

impl Future for Pending {
    type Output = Vec<Result<Appended, AppendError>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.outcomes).poll(context).map(|outcomes| {
            // The writer answers everything that it took; it is gone only if it panicked.
            outcomes.unwrap_or_else(|_| vec![Err(AppendError::Closed); self.count])
        })
    }
}

/// Makes the folders that are missing, durably: what is stored in a folder is as lost as the
/// folder.
fn make_dirs(disk: &Disk, dir: &Path) -> Result<(), OpenError> {
    let missing = |part: &PathBuf| !disk.exists(part);
    let parts = [dir.to_path_buf(), dir.join("wal"), dir.join("segments")];
    for part in parts.iter().filter(|part| missing(part)) {
        disk.create_dir_all(part).map_err(OpenError::io("making", part))?;
        // Not of more than the last level: the others are the administrator's to make.
        let parent = part.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        disk.sync_dir(parent).map_err(OpenError::io("syncing", parent))?;
    }
    Ok(())
}

fn join(thread: Thread) {
    if !thread.join() {
        tracing::error!("a storage thread panicked");
    }
}

/// One process a folder: two would write over each other.
fn lock(disk: &Disk, dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("LOCK");
    let file = disk.open(&path, Open::Create).map_err(OpenError::io("opening", &path))?;
    match file.try_lock() {
        Ok(true) => Ok(file),
        Ok(false) => Err(OpenError::InUse { path }),
        Err(error) => Err(OpenError::io("locking", path)(error)),
    }
}
