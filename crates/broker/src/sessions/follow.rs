//! What goes on behind: messages are given to their sessions, what is settled is written down, what nobody wants any more
//! is deleted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Offset, Random};
use bytes::Bytes;
use parking_lot::Mutex;
use store::batch::{BatchBuilder, Compression, NewRecord};
use store::{Append, AppendError, Compaction, Durability, LogOptions, Signal, Store};
use tokio::time::Instant;

use super::record::Stored;
use super::{All, Inside, SessionError, Sessions, Waiter, records};
use crate::broker::{QUEUE_LOG, SESSIONS_LOG};
use crate::message::{PublisherId, SESSIONS};
use crate::verbs::fetch::{FetchError, read};

const READ_BYTES: usize = 1 << 20;
/// What is settled is gathered for so long before it is written down.
const GATHER: Duration = Duration::from_millis(20);
/// Bytes of one batch of records.
const BATCH_BYTES: usize = 512 * 1024;
/// Sessions expire, and the queue is trimmed, so often.
const SWEEP: Duration = Duration::from_secs(5);
/// Pause after the log could not be read or written.
const RETRY: Duration = Duration::from_millis(500);

impl Sessions {
    /// Reads back what sessions there are. What waits for them is read later, while the broker runs.
    pub(crate) async fn restore(
        store: &Arc<Store>,
        random: &Arc<dyn Random>,
    ) -> Result<Arc<Self>, FetchError> {
        let own = LogOptions {
            durability: Durability::Fsync,
            retention_ms: None,
            segment_bytes: 64 << 20,
            ..LogOptions::default()
        };
        let compaction = Compaction {
            min_lag_ms: 0,
            max_lag_ms: i64::MAX,
            dirty_ppm: 500_000,
            delete_retention_ms: 60_000,
        };
        let states =
            store.open_log(SESSIONS_LOG, LogOptions { compaction: Some(compaction), ..own });
        let queue = store.open_log(QUEUE_LOG, own);
        let sessions = Self {
            store: Arc::downgrade(store),
            random: Arc::clone(random),
            position: Mutex::new(queue.range().start),
            states,
            queue,
            router: Arc::default(),
            all: Mutex::default(),
            dirty: Mutex::default(),
            settled: tokio::sync::Notify::new(),
            changing: tokio::sync::Mutex::default(),
        };
        sessions.read_back().await?;
        Ok(Arc::new(sessions))
    }

    async fn read_back(&self) -> Result<(), FetchError> {
        let mut latest: HashMap<Bytes, Bytes> = HashMap::new();
        let mut position = self.states.range().start;
        while position < self.states.range().end {
            let fetched = read(&self.states, position, READ_BYTES, false, Offset::MAX).await?;
            let next = fetched.read.next_offset().unwrap_or(self.states.range().end);
            for record in fetched.read.batches().flatten().flat_map(|batch| records(&batch)) {
                match (record.key, record.value) {
                    (Some(key), Some(value)) => drop(latest.insert(key, value)),
                    (Some(key), None) => drop(latest.remove(&key)),
                    (None, _) => {}
                }
            }
            position = next.max(position + 1);
        }
        let all: Vec<_> =
            latest.iter().filter_map(|(key, value)| Stored::decode(key, value.clone())).collect();
        let mut found = All::default();
        for (number, stored) in &all {
            if let Stored::Session { id, expires_at } = stored {
                let inside = Inside::new(id.clone(), *number, PublisherId::default());
                inside.body.lock().expires_at = *expires_at;
                found.put(&Arc::new(inside));
            }
        }
        for (number, stored) in all {
            let Some(inside) = found.by_number.get(&number) else { continue };
            let mut body = inside.body.lock();
            match stored {
                Stored::Session { .. } => {}
                Stored::State(state) => body.state = state,
                Stored::Settled { floor, above } => {
                    body.floor = floor;
                    body.settled = above.into_iter().collect();
                }
                Stored::Filter(filter, want) => {
                    let waiter = Waiter { session: Arc::clone(inside), no_echo: want.no_echo };
                    if let Some(key) = self.router.insert(&filter, waiter, None) {
                        body.filters.insert(filter, (want, key));
                    }
                }
            }
        }
        *self.all.lock() = found;
        Ok(())
    }

    /// Writes records down, durably.
    pub(super) async fn write(&self, of: Vec<(Bytes, Option<Bytes>)>) -> Result<(), SessionError> {
        let mut batches = Vec::new();
        let mut open = BatchBuilder::new(Compression::None);
        for (key, value) in &of {
            open.push(&NewRecord {
                key: Some(key),
                value: value.as_deref(),
                ..NewRecord::default()
            });
            if open.len() > BATCH_BYTES {
                let full = std::mem::replace(&mut open, BatchBuilder::new(Compression::None));
                batches.push(full.build().map_err(crate::ProduceError::from)?);
            }
        }
        if !open.is_empty() {
            batches.push(open.build().map_err(crate::ProduceError::from)?);
        }
        if batches.is_empty() {
            return Ok(());
        }
        let append = Append { log: Arc::clone(&self.states), batches, epoch: 0 };
        let store = self.store.upgrade().ok_or(AppendError::Closed)?;
        let outcomes = store.append(vec![append]).await?.await;
        outcomes.into_iter().try_for_each(|outcome| Ok(outcome.map(|_| ())?))
    }

    /// Gives messages to the sessions that they are for, until the broker stops.
    pub(crate) async fn run_queue(self: Arc<Self>) {
        let signal = Signal::default();
        let _watching = self.queue.watch(&signal);
        // Of what was there before, nobody knows whether it was sent.
        let old = self.queue.range().end;
        loop {
            match self.give(old).await {
                Ok(true) => {}
                Ok(false) => signal.notified().await,
                Err(error) => {
                    tracing::warn!(%error, "cannot read what waits for sessions");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// One step of it; whether there was something.
    async fn give(&self, old: Offset) -> Result<bool, FetchError> {
        let range = self.queue.range();
        let position = (*self.position.lock()).max(range.start);
        if position >= range.end {
            return Ok(false);
        }
        let fetched = read(&self.queue, position, READ_BYTES, false, Offset::MAX).await?;
        let next = fetched.read.next_offset().unwrap_or(range.end);
        for record in fetched.read.batches().flatten().flat_map(|batch| records(&batch)) {
            let mut headers = record.headers.iter();
            let list = headers.find(|header| header.key == SESSIONS).and_then(|h| h.value);
            let all = self.all.lock();
            for number in list.as_deref().unwrap_or_default().chunks_exact(8) {
                let number = number.try_into().map(u64::from_be_bytes).unwrap_or_default();
                if let Some(inside) = all.by_number.get(&number) {
                    inside.push(record.offset, record.offset < old);
                }
            }
        }
        *self.position.lock() = next.max(position + 1);
        Ok(true)
    }

    /// Writes down what is settled, ends sessions whose time is over, and trims the queue, until the broker stops.
    pub(crate) async fn run_journal(self: Arc<Self>, clock: Arc<dyn Clock>) {
        let mut sweep = Instant::now() + SWEEP;
        loop {
            let is_idle = self.all.lock().by_id.is_empty();
            if is_idle {
                // Nothing to sweep, and nobody who settles.
                self.settled.notified().await;
            } else if tokio::time::timeout_at(sweep, self.settled.notified()).await.is_ok() {
                tokio::time::sleep(GATHER).await;
            }
            let dirty = std::mem::take(&mut *self.dirty.lock());
            if let Err(error) = self.write_settled(&dirty).await {
                tracing::warn!(%error, "cannot write down what sessions have settled");
                self.dirty.lock().extend(dirty);
                tokio::time::sleep(RETRY).await;
                self.settled.notify_one();
            }
            if Instant::now() >= sweep {
                self.sweep(clock.now()).await;
                sweep = Instant::now() + SWEEP;
            }
        }
    }

    async fn write_settled(&self, dirty: &[Arc<Inside>]) -> Result<(), SessionError> {
        if dirty.is_empty() {
            return Ok(());
        }
        let _turn = self.changing.lock().await;
        // Before the queues are looked at: what comes meanwhile is not settled.
        let position = *self.position.lock();
        let record = |inside: &Arc<Inside>| {
            let mut body = inside.body.lock();
            (!body.is_gone).then(|| body.acknowledgements(position).encode(inside.number))
        };
        self.write(dirty.iter().filter_map(record).collect()).await
    }

    pub(super) async fn sweep(&self, now: base::Millis) {
        let over =
            |inside: &&Arc<Inside>| inside.body.lock().expires_at.is_some_and(|at| at <= now);
        let expired: Vec<_> = self.all.lock().by_id.values().filter(over).cloned().collect();
        for inside in expired {
            let _turn = self.changing.lock().await;
            // It may have been opened again meanwhile.
            let still = inside.body.lock().expires_at.is_some_and(|at| at <= now);
            if let Err(error) = if still { self.delete(&inside).await } else { Ok(()) } {
                tracing::warn!(%error, "a session that has expired comes back at the next start");
            }
        }
        let mut first = *self.position.lock();
        for inside in self.all.lock().by_id.values() {
            let waiting = inside.body.lock().queue.front().map(|item| item.offset);
            first = first.min(waiting.unwrap_or(first));
        }
        if first > self.queue.range().start
            && let Some(store) = self.store.upgrade()
            && let Err(error) = store.trim(&self.queue, first).await
        {
            tracing::debug!(%error, "the queue of sessions is trimmed later");
        }
    }
}
