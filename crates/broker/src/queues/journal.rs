//! What became of queues' messages, in one of the broker's own logs: what changed of each ledger, taken when it is
//! written, by one task, so that what comes later is written later. It is replayed at start, and rewritten when it
//! has grown to several times what is alive in it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::{Clock, Offset};
use parking_lot::Mutex;
use queue::record::Record;
use queue::shared::Ledgers;
use store::{Append, Log, LogOptions, Store};
use tokio::sync::{Notify, oneshot};

use super::Queues;
use super::queue::Queue;
use super::types::QueueError;
use crate::broker::QUEUES_LOG;
use crate::groups::batches;

/// What nobody waits for is written with what comes within this.
const WRITE_WITHIN: Duration = Duration::from_millis(10);
/// The journal is not rewritten before it has this many bytes, …
const REWRITE_FROM: u64 = 8 << 20;
/// … nor before it is this many times larger than after the last rewriting.
const REWRITE_FACTOR: u64 = 4;
/// Pause after it could not be written.
const RETRY: Duration = Duration::from_millis(500);
/// Storage of so many messages is given back at once, or of so many bytes.
const TRIM_MESSAGES: Offset = 4096;
const TRIM_BYTES: u64 = 4 << 20;

/// The journal of all queues.
#[derive(Debug)]
pub(super) struct Journal {
    store: Arc<Store>,
    log: Arc<Log>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Something is to be written.
    queued: Notify,
    /// Somebody waits for it.
    urgent: Notify,
}

type Waiter = oneshot::Sender<Result<(), QueueError>>;

#[derive(Debug, Default)]
struct State {
    /// Queues of which something changed. Each is there once.
    changed: Vec<Arc<Queue>>,
    /// Of queues that are gone. Bounded by those who delete, each of whom waits.
    tombstones: Vec<Record>,
    waiting: Vec<Waiter>,
}

impl Journal {
    /// Opens the journal, and reads back what is in it.
    pub(super) async fn open(
        store: &Arc<Store>,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Arc<Self>, Ledgers), String> {
        // Deletion is by trimming alone.
        let keep =
            LogOptions { retention_ms: None, segment_bytes: 16 << 20, ..LogOptions::default() };
        let log = store.open_log(QUEUES_LOG, keep);
        let ledgers = log.blocking(replay).await.map_err(|error| error.to_string())??;
        let journal = Self {
            store: Arc::clone(store),
            log,
            clock: Arc::clone(clock),
            state: Mutex::default(),
            queued: Notify::new(),
            urgent: Notify::new(),
        };
        Ok((Arc::new(journal), ledgers))
    }

    pub(super) fn changed(&self, queue: Arc<Queue>) {
        self.state.lock().changed.push(queue);
        self.queued.notify_one();
    }

    /// Waits until all that changed before is durable.
    pub(super) async fn flush(&self) -> Result<(), QueueError> {
        self.wait(Vec::new()).await
    }

    /// Says that queues are gone, durably.
    pub(super) async fn forget(&self, tombstones: Vec<Record>) -> Result<(), QueueError> {
        self.wait(tombstones).await
    }

    async fn wait(&self, tombstones: Vec<Record>) -> Result<(), QueueError> {
        let (waiter, answer) = oneshot::channel();
        {
            let mut state = self.state.lock();
            state.tombstones.extend(tombstones);
            state.waiting.push(waiter);
        }
        self.queued.notify_one();
        self.urgent.notify_one();
        let stopped = || QueueError::Unavailable("the broker stops".to_owned());
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Writes what changes, until the broker stops.
    pub(super) async fn run(self: Arc<Self>, queues: Weak<Queues>) {
        let mut growth = (self.log.status().bytes, 0);
        loop {
            self.queued.notified().await;
            if self.state.lock().waiting.is_empty() {
                let _ = tokio::time::timeout(WRITE_WITHIN, self.urgent.notified()).await;
            }
            let Some(queues) = queues.upgrade() else { return };
            let (bytes, alive) = growth;
            let rewrites = bytes > REWRITE_FROM.max(alive * REWRITE_FACTOR);
            match self.write(&queues, rewrites).await {
                Ok(written) if rewrites => growth = (written, written),
                Ok(written) => growth.0 += written,
                Err(error) => {
                    tracing::warn!(%error, "cannot write down what became of messages");
                    drop(queues);
                    tokio::time::sleep(RETRY).await;
                    self.queued.notify_one();
                }
            }
        }
    }

    /// Writes what changed, or everything; how many bytes.
    pub(super) async fn write(&self, queues: &Queues, rewrites: bool) -> Result<u64, String> {
        let State { changed, tombstones, waiting } = std::mem::take(&mut *self.state.lock());
        let mut records = tombstones.clone();
        for queue in &changed {
            queue.is_dirty.store(false, Ordering::Release);
        }
        let of = if rewrites { queues.stored() } else { changed };
        let mut starts = Vec::new();
        for queue in &of {
            queue.take_records(rewrites, &mut records, &mut starts);
        }
        let outcome = self.append(&records, rewrites).await;
        match &outcome {
            Ok(_) => {
                waiting.into_iter().for_each(|waiter| drop(waiter.send(Ok(()))));
                for start in starts {
                    self.give_back_storage(start).await;
                }
            }
            Err(error) => {
                for waiter in waiting {
                    drop(waiter.send(Err(QueueError::Unavailable(error.clone()))));
                }
                self.state.lock().tombstones.extend(tombstones);
                for queue in &of {
                    queue.not_written();
                    queue.changed();
                }
            }
        }
        outcome
    }

    async fn append(&self, records: &[Record], rewrites: bool) -> Result<u64, String> {
        let batches =
            batches(records.iter(), self.clock.now()).map_err(|error| error.to_string())?;
        if batches.is_empty() {
            return Ok(0);
        }
        let bytes: usize = batches.iter().map(|batch| batch.bytes().len()).sum();
        let append = Append { log: Arc::clone(&self.log), batches, epoch: 0 };
        let pending = self.store.append(vec![append]).await.map_err(|error| error.to_string())?;
        let appended = pending.await.pop().ok_or("the log is closed")?;
        let first = appended.map_err(|error| error.to_string())?.base;
        if rewrites && let Err(error) = self.store.trim(&self.log, first).await {
            // The next rewriting drops it.
            tracing::warn!(%error, "cannot drop the journal's old part");
        }
        Ok(bytes as u64)
    }

    /// What is before the first message that is not done is not needed, now that this is known for good.
    async fn give_back_storage(&self, (log, before): (Arc<Log>, Offset)) {
        let status = log.status();
        let before = before.min(status.end);
        let (done, all) = (before - status.start, (status.end - status.start).max(1));
        let bytes = status.bytes / all.cast_unsigned() * done.max(0).cast_unsigned();
        if done < TRIM_MESSAGES && (done <= 0 || bytes < TRIM_BYTES) {
            return;
        }
        if let Err(error) = self.store.trim(&log, before).await {
            tracing::warn!(%error, "cannot give back the storage of messages that are done");
        }
    }
}

#[cfg(test)]
impl Journal {
    /// How many batches it has.
    pub(super) fn batches(&self) -> usize {
        let range = self.log.range();
        self.log.read(range.start, 1 << 20, Offset::MAX).unwrap().batches().count()
    }

    /// How many ledgers it tells of.
    pub(super) fn ledgers(&self) -> usize {
        replay(&self.log).unwrap().keys().count()
    }
}

fn replay(log: &Log) -> Result<Ledgers, String> {
    let mut ledgers = Ledgers::default();
    let mut next = log.range().start;
    while next < log.range().end {
        let read = log.read(next, 1 << 20, Offset::MAX).map_err(|error| error.to_string())?;
        for batch in read.batches() {
            let batch = batch.map_err(|error| error.to_string())?;
            next = batch.header().next_offset();
            for record in batch.records().map_err(|error| error.to_string())? {
                let record = record.map_err(|error| error.to_string())?;
                let key = record.key.unwrap_or_default();
                let restored = ledgers.restore(&key, record.value.as_deref());
                restored.map_err(|error| format!("offset {}: {error}", record.offset))?;
            }
        }
        if read.is_empty() {
            break;
        }
    }
    Ok(ledgers)
}
