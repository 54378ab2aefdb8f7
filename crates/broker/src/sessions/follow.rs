//! What goes on behind: messages are given to their sessions, what is settled is written down, what nobody wants any more
//! is deleted.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::{Clock, Millis, Offset};
use bytes::Bytes;
use observe::Observe;
use parking_lot::Mutex;
use store::batch::{Batch, BatchBuilder, Compression, NewRecord, Record};
use store::{Append, AppendError, Compaction, Durability, LogOptions, Pending, Signal, Store};
use tokio::time::Instant;

use super::queue::{Waiting, damaged, numbers};
use super::record::Stored;
use super::{
    All, Held, Inside, Interest, SessionError, Sessions, Waiter, finish, forward, records,
};
use crate::broker::{QUEUE_LOG, SESSIONS_LOG};
use crate::message::GROUP;
use crate::verbs::fetch::{FetchError, read};
use crate::{BrokerOptions, ProduceError};

const READ_BYTES: usize = 1 << 20;
/// What is settled is gathered for so long before it is written down.
const GATHER: Duration = Duration::from_millis(20);
/// Bytes of one batch of records.
const BATCH_BYTES: usize = 512 * 1024;
/// Sessions expire, and the queue is trimmed, so often.
const SWEEP: Duration = Duration::from_secs(5);
/// Pause after the log could not be read or written.
const RETRY: Duration = Duration::from_millis(500);

/// The same in memory of its own: what was read of the log is not held by it.
pub(super) fn own(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

impl Sessions {
    /// Reads back what sessions there are. What waits for them is read later, while the broker runs.
    pub(crate) async fn restore(
        store: &Arc<Store>,
        options: &BrokerOptions,
        now: Millis,
        observe: &Arc<Observe>,
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
        let most = options.session_queue_bytes_max;
        // Whole segments are deleted: small enough that most of what there is room for stays.
        let segment_bytes = (most / 8).min(own.segment_bytes);
        let retention_bytes = Some(most);
        let queue = store.open_log(QUEUE_LOG, LogOptions { retention_bytes, segment_bytes, ..own });
        let sessions = Self {
            store: Arc::downgrade(store),
            random: Arc::clone(&options.random),
            position: Mutex::new(queue.range().start),
            states,
            queue,
            router: Arc::default(),
            all: Mutex::default(),
            dirty: Mutex::default(),
            settled: tokio::sync::Notify::new(),
            changing: tokio::sync::Mutex::default(),
            forwarded: Mutex::default(),
            dropped: Arc::default(),
            expired: AtomicU64::new(0),
            observe: Arc::clone(observe),
        };
        sessions.read_back(now).await?;
        Ok(Arc::new(sessions))
    }

    async fn read_back(&self, now: Millis) -> Result<(), FetchError> {
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
        let forwarded = latest.iter().filter_map(|(key, value)| forward::decode(key, value));
        self.forwarded.lock().extend(forwarded);
        let all: Vec<_> =
            latest.iter().filter_map(|(key, value)| Stored::decode(key, value.clone())).collect();
        let mut found = All::default();
        for (number, stored) in &all {
            if let Stored::Session { id, expires_at, keep, sent } = stored {
                let inside = Inside::new(own(id), *number, Arc::clone(&self.dropped));
                {
                    let mut body = inside.body.lock();
                    body.keep = *keep;
                    // Of one that had a connection when the broker ended, the time begins now.
                    let begins = || keep.map(|keep| now.saturating_add(keep));
                    body.expires_at = expires_at.or_else(begins);
                    // Nor does anybody know what was sent then.
                    body.queue.sent = sent.unwrap_or(self.queue.range().end);
                }
                found.put(&Arc::new(inside));
            }
        }
        for (number, stored) in all {
            if let Some(inside) = found.by_number.get(&number) {
                self.restore_one(inside, stored);
            }
        }
        *self.all.lock() = found;
        Ok(())
    }

    /// Takes over what was written down of a session.
    fn restore_one(&self, inside: &Arc<Inside>, stored: Stored) {
        let mut body = inside.body.lock();
        match stored {
            Stored::Session { .. } => {}
            Stored::State(state) => body.state = own(&state),
            Stored::Settled { floor, above } => {
                body.queue.floor = floor;
                body.queue.above = above.into_iter().collect();
            }
            Stored::Filter(wanted, interest) => {
                let wanted = wanted.owned();
                let interest = Interest { options: own(&interest.options), ..interest };
                let waiter = Waiter { session: Arc::clone(inside), no_echo: interest.no_echo };
                let group = wanted.router_group();
                let waits = interest.waits;
                let key = waits
                    .then(|| self.router.insert(&wanted.filter, waiter, group.as_ref()))
                    .flatten();
                body.filters.insert(wanted, Held { interest, key, tails: None });
            }
        }
    }

    /// Hands records over to the log. Only while nothing else is, see [`Sessions::turn`].
    pub(super) async fn hand_over(
        &self,
        of: Vec<(Bytes, Option<Bytes>)>,
    ) -> Result<Option<Pending>, SessionError> {
        if of.is_empty() {
            return Ok(None);
        }
        let append = self.append_of(&of)?;
        let store = self.store.upgrade().ok_or(AppendError::Closed)?;
        Ok(Some(store.append(vec![append]).await?))
    }

    /// Records about sessions, for the log.
    pub(crate) fn append_of(&self, of: &[(Bytes, Option<Bytes>)]) -> Result<Append, ProduceError> {
        let mut batches: Vec<Batch> = Vec::new();
        let mut open = BatchBuilder::new(Compression::None);
        for (key, value) in of {
            let (key, value) = (Some(key.as_ref()), value.as_deref());
            open.push(&NewRecord { key, value, ..NewRecord::default() });
            if open.len() > BATCH_BYTES {
                let full = std::mem::replace(&mut open, BatchBuilder::new(Compression::None));
                batches.push(full.build()?);
            }
        }
        if !open.is_empty() {
            batches.push(open.build()?);
        }
        Ok(Append { log: Arc::clone(&self.states), batches, epoch: 0 })
    }

    /// Gives messages to the sessions that they are for, until the broker stops.
    pub(crate) async fn run_queue(self: Arc<Self>) {
        let signal = Signal::default();
        let _watching = self.queue.watch(&signal);
        loop {
            match self.give().await {
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
    async fn give(&self) -> Result<bool, FetchError> {
        let range = self.queue.range();
        let position = (*self.position.lock()).max(range.start);
        if position >= range.end {
            return Ok(false);
        }
        let fetched = read(&self.queue, position, READ_BYTES, false, Offset::MAX).await;
        if let Some(to) = damaged(&fetched) {
            *self.position.lock() = to.max(position + 1);
            return Ok(true);
        }
        let fetched = fetched?;
        let next = fetched.read.next_offset().unwrap_or(range.end);
        let all = fetched.read.batches().flatten().flat_map(|batch| records(&batch));
        for record in all.filter(|record| record.offset >= position) {
            self.give_one(&record);
        }
        *self.position.lock() = next.max(position + 1);
        Ok(true)
    }

    fn give_one(&self, record: &Record) {
        // One copy in memory, for all who are there.
        let mut message = None;
        let mut of = || {
            let make = || Waiting::of(record)?.copied().map(Arc::new);
            message.get_or_insert_with(make).clone()
        };
        let group = record.headers.iter().find(|header| header.key == GROUP);
        let group = group.and_then(|header| header.value);
        for number in numbers(record) {
            let inside = self.all.lock().by_number.get(&number).cloned();
            if let Some(inside) = inside {
                inside.push((record.offset, group.as_deref()), &mut of);
            }
        }
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
        let turn = self.changing.lock().await;
        // Before the queues are looked at: what comes meanwhile is not settled.
        let position = *self.position.lock();
        let record = |inside: &Arc<Inside>| {
            let mut body = inside.body.lock();
            let is_due = body.is_dirty && !body.is_gone;
            is_due.then(|| body.settled(position).encode(inside.number))
        };
        let handed = self.hand_over(dirty.iter().filter_map(record).collect()).await;
        drop(turn);
        let outcome = finish(handed).await;
        if outcome.is_err() {
            dirty.iter().for_each(|inside| inside.body.lock().is_dirty = true);
        }
        outcome
    }

    /// Writes down what is not written yet: the broker stops, and every connection is gone.
    pub(crate) async fn stop(&self, now: Millis) {
        let turn = self.changing.lock().await;
        let position = *self.position.lock();
        let all: Vec<_> = self.all.lock().by_id.values().cloned().collect();
        let mut records = Vec::new();
        for inside in all {
            if inside.is_online.load(Ordering::Relaxed) {
                inside.leave(now);
                records.push(inside.meta());
            }
            let mut body = inside.body.lock();
            if body.is_dirty {
                records.push(body.settled(position).encode(inside.number));
            }
        }
        let handed = self.hand_over(records).await;
        drop(turn);
        if let Err(error) = finish(handed).await {
            tracing::debug!(%error, "what sessions have settled may come again");
        }
    }

    pub(super) async fn sweep(&self, now: Millis) {
        let all: Vec<_> = self.all.lock().by_id.values().cloned().collect();
        let mut first = *self.position.lock();
        for inside in all {
            if inside.has_expired(now) {
                let turn = self.changing.lock().await;
                // It may have been opened again meanwhile.
                let gone =
                    if inside.has_expired(now) { self.take_out(&inside) } else { Vec::new() };
                self.expired.fetch_add(u64::from(!gone.is_empty()), Ordering::Relaxed);
                let handed = self.hand_over(gone).await;
                drop(turn);
                if let Err(error) = finish(handed).await {
                    tracing::warn!(%error, "a session that has expired comes back at the next start");
                }
            }
            first = first.min(inside.body.lock().queue.first().unwrap_or(first));
        }
        if first > self.queue.range().start
            && let Some(store) = self.store.upgrade()
            && let Err(error) = store.trim(&self.queue, first).await
        {
            tracing::debug!(%error, "the queue of sessions is trimmed later");
        }
    }
}
