//! The groups' journal: one of the broker's own logs, replayed at start, rewritten when it has
//! grown to several times what is alive in it.

use std::sync::Arc;
use std::time::Duration;

use base::limits::FRAME_BYTES_MAX;
use base::{Millis, Offset};
use parking_lot::Mutex;
use queue::record::{Record, RecordError};
use queue::share_group::ShareGroups;
use queue::shared::{SharedConfig, Subscriptions};
use queue::transactions::{Marker, Transactions};
use queue::{Coordinator, Persisted};
use store::batch::{self, Batch, BatchBuilder, BatchError, Compression, NewRecord};
use store::{Append, Log, LogOptions, ReadError, Store};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Groups, Queued, State, Waiting};
use crate::broker::{GROUPS_LOG, Inner};
use crate::options::BrokerOptions;

/// Records are gathered into batches of about this size.
const BATCH_BYTES: usize = 512 * 1024;
/// The journal is not rewritten before it has this many bytes, …
const REWRITE_FROM: u64 = 8 << 20;
/// … nor before it is this many times larger than after the last rewriting.
const REWRITE_FACTOR: u64 = 4;
/// A rewriting that failed is not tried again before this.
const REWRITE_AGAIN: Duration = Duration::from_secs(10);
/// The timer task looks at least this often, in case the clock was set.
const TICK_MAX: Duration = Duration::from_secs(10);

const _: () = assert!(BATCH_BYTES < FRAME_BYTES_MAX);

impl Groups {
    /// Reads the journal back.
    pub(crate) async fn restore(
        options: &BrokerOptions,
        store: Arc<Store>,
    ) -> Result<Self, String> {
        // Kept until it is rewritten; deletion is by trimming alone.
        let keep =
            LogOptions { retention_ms: None, segment_bytes: 16 << 20, ..LogOptions::default() };
        let log = store.open_log(GROUPS_LOG, keep);
        let machine = Coordinator::new(options.groups.clone(), Arc::clone(&options.random));
        let transactions = Transactions::new(options.transactions.clone());
        let now = options.clock.now();
        let state = State {
            machine,
            transactions,
            shared: Subscriptions::new(SharedConfig::default()),
            share_groups: ShareGroups::new(options.groups.groups_max),
            waiting: Waiting::default(),
            letters: Vec::new(),
            queue: Vec::new(),
            snapshot_due: false,
            show_due: false,
            next_deadline: None,
        };
        let replay = log.blocking(move |log| replay(log, state, now)).await;
        let state = replay.map_err(|error| error.to_string())??;
        Ok(Self {
            state: Mutex::new(state),
            queued: Notify::new(),
            moved: Notify::new(),
            died: Notify::new(),
            started: (now, Instant::now()),
            store,
            log,
        })
    }

    /// Journals what is queued, until the broker stops.
    pub(crate) async fn run_journal(self: Arc<Self>, broker: Arc<Inner>) {
        // What was there at the start has no known share that is alive.
        let mut growth = Growth { bytes: self.log.status().bytes, alive: 0, not_before: None };
        self.show_what_is_missing(&broker);
        loop {
            self.queued.notified().await;
            let Taken { alive, queued, snapshot, show } = self.take_queued();
            if queued.is_empty() && !snapshot {
                continue;
            }
            let changes = queued.iter().flat_map(|queued| &queued.records);
            let shown = if show { &alive[..] } else { &[] };
            let shown = self.shown(&broker, shown.iter().chain(changes.clone()));
            let markers = self.markers(&broker, queued.iter().flat_map(|queued| &queued.markers));
            let outcome = match (markers, shown) {
                (Ok(mut others), Ok(shown)) => {
                    others.extend(shown);
                    self.append(alive.iter().chain(changes), others).await
                }
                (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
            };
            let persisted = match &outcome {
                Ok(_) => Persisted::Durable,
                Err(error) => {
                    tracing::warn!(%error, "cannot journal consumer groups");
                    Persisted::Failed
                }
            };
            self.with_state(|state, now| {
                for Queued { groups, transactions, shared, .. } in queued {
                    if let Some(ticket) = groups {
                        state.machine.persisted(ticket, persisted, now);
                    }
                    if let Some(ticket) = transactions {
                        state.transactions.persisted(ticket, persisted, now);
                    }
                    if let Some(ticket) = shared {
                        state.shared.persisted(ticket, persisted, now);
                    }
                }
            });
            match outcome {
                Ok(Some((first, bytes))) if snapshot => {
                    growth = Growth { bytes, alive: bytes, not_before: None };
                    self.drop_before(first).await;
                }
                Ok(appended) => growth.bytes += appended.map_or(0, |(_, bytes)| bytes),
                // It failed in place of what was queued, too: not again at once.
                Err(_) if snapshot => {
                    growth.not_before = Some(Instant::now() + REWRITE_AGAIN);
                    self.state.lock().show_due |= show;
                }
                Err(_) => {}
            }
            if growth.is_due() {
                self.state.lock().snapshot_due = true;
                self.queued.notify_one();
            }
        }
    }

    /// Takes what is queued; preceded by everything that is alive, if the journal is due for that.
    fn take_queued(&self) -> Taken {
        let mut state = self.state.lock();
        let show = std::mem::take(&mut state.show_due);
        let snapshot = std::mem::take(&mut state.snapshot_due) || show;
        let queued = std::mem::take(&mut state.queue);
        // The snapshot holds what the queued records say already, and repeating them is harmless;
        // but it must not come after records that are queued later.
        let mut alive = Vec::new();
        if snapshot {
            alive.extend(state.machine.snapshot());
            alive.extend(state.transactions.snapshot());
            alive.extend(state.share_groups.snapshot());
            alive.extend(state.shared.snapshot());
        }
        Taken { alive, queued, snapshot, show }
    }

    /// The ends of transactions, as batches for the logs of their partitions. Partitions that are
    /// gone need none.
    fn markers<'a>(
        &self,
        broker: &Inner,
        markers: impl Iterator<Item = &'a Marker>,
    ) -> Result<Vec<Append>, BatchError> {
        let now = self.now();
        let mut appends: Vec<Append> = Vec::new();
        for Marker { partition, producer, commit } in markers {
            let topic = broker.topics.get(&partition.topic);
            let Some(log) = topic.as_ref().and_then(|topic| topic.log(partition.partition)) else {
                continue;
            };
            let end = if *commit { batch::Marker::Commit } else { batch::Marker::Abort };
            let batch = BatchBuilder::marker(producer.id, producer.epoch, end, now)?;
            match appends.iter_mut().find(|append| append.log.id() == log.id()) {
                Some(append) => append.batches.push(batch),
                None => {
                    appends.push(Append { log: Arc::clone(log), batches: vec![batch], epoch: 0 });
                }
            }
        }
        Ok(appends)
    }

    /// The journal before `first` is superfluous. If it cannot be dropped now, the next rewriting
    /// drops it.
    async fn drop_before(&self, first: Offset) {
        if let Err(error) = self.store.trim(&self.log, first).await {
            tracing::warn!(%error, "cannot drop the journal's old part");
        }
    }

    /// Appends records durably, and to other logs what belongs to them, such as the ends of transactions: all of
    /// it in one atomic write. Returns the offset of the first record, and the bytes of all.
    async fn append<'a>(
        &self,
        records: impl Iterator<Item = &'a Record>,
        others: Vec<Append>,
    ) -> Result<Option<(Offset, u64)>, String> {
        let batches = batches(records, self.now()).map_err(|error| error.to_string())?;
        if batches.is_empty() {
            return Ok(None);
        }
        let bytes: usize = batches.iter().map(|batch| batch.bytes().len()).sum();
        let mut entries = others;
        // Last, so that its outcome is the last one.
        entries.push(Append { log: Arc::clone(&self.log), batches, epoch: 0 });
        let pending = self.store.append(entries).await.map_err(|error| error.to_string())?;
        // Another log refuses only when it was deleted meanwhile, and then needs nothing.
        match pending.await.pop() {
            Some(Ok(appended)) => Ok(Some((appended.base, bytes as u64))),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("the log is closed".to_owned()),
        }
    }

    /// Ends sessions and rebalances when their time comes, until the broker stops.
    pub(crate) async fn run_timers(self: Arc<Self>) {
        loop {
            let wait = {
                let mut state = self.state.lock();
                state.next_deadline = state.deadline();
                let left = state.next_deadline.map(|deadline| deadline - self.now());
                left.map_or(TICK_MAX, |left| Duration::from_millis(left.max(0).cast_unsigned()))
            };
            if !wait.is_zero() {
                let waited = tokio::time::timeout(wait.min(TICK_MAX), self.moved.notified()).await;
                if waited.is_ok() {
                    continue;
                }
            }
            self.with_state(|state, now| {
                state.machine.tick(now);
                state.transactions.tick(now);
                state.share_groups.tick(now);
                state.shared.tick(now);
            });
        }
    }
}

/// What is to be journalled at once.
#[derive(Debug)]
struct Taken {
    /// Everything that is alive, if it is a snapshot.
    alive: Vec<Record>,
    queued: Vec<Queued>,
    snapshot: bool,
    /// The topic that shows the journal gets what is alive, too.
    show: bool,
}

/// When the journal is to be rewritten. Counted here: the log's own size includes what was dropped
/// and not yet deleted.
#[derive(Debug)]
struct Growth {
    /// Bytes since the last rewriting, what it wrote included.
    bytes: u64,
    /// What it wrote.
    alive: u64,
    /// After a failure.
    not_before: Option<Instant>,
}

impl Growth {
    fn is_due(&self) -> bool {
        self.bytes > REWRITE_FROM.max(self.alive.saturating_mul(REWRITE_FACTOR))
            && self.not_before.is_none_or(|time| time <= Instant::now())
    }
}

/// Feeds the journal to new machines, and starts them.
fn replay(log: &Log, mut state: State, now: Millis) -> Result<State, String> {
    let mut next = log.range().start;
    while next < log.range().end {
        let read = log.read(next, 1 << 20, Offset::MAX);
        let read = read.map_err(|error: ReadError| error.to_string())?;
        for batch in read.batches() {
            let batch = batch.map_err(|error| error.to_string())?;
            next = batch.header().next_offset();
            for record in batch.records().map_err(|error| error.to_string())? {
                let record = record.map_err(|error| error.to_string())?;
                let key = record.key.unwrap_or_default();
                let restored = state.restore(&key, record.value.as_deref());
                restored.map_err(|error| format!("offset {}: {error}", record.offset))?;
            }
        }
        if read.is_empty() {
            break;
        }
    }
    state.machine.start(now);
    state.transactions.start(now);
    state.shared.start();
    Ok(state)
}

impl State {
    /// Gives a record of the journal to the machine that it belongs to.
    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RecordError> {
        let taken = self.transactions.restore(key, value)?
            || self.shared.restore(key, value)?
            || self.share_groups.restore(key, value)?;
        if taken { Ok(()) } else { self.machine.restore(key, value) }
    }
}

/// Records as batches of bounded size.
pub(crate) fn batches<'a>(
    records: impl Iterator<Item = &'a Record>,
    now: Millis,
) -> Result<Vec<Batch>, BatchError> {
    let mut batches = Vec::new();
    let mut builder = BatchBuilder::new(Compression::None);
    for record in records {
        builder.push(&NewRecord {
            timestamp: now,
            key: Some(&record.key),
            value: record.value.as_deref(),
            headers: &[],
        });
        if builder.len() >= BATCH_BYTES {
            let full = std::mem::replace(&mut builder, BatchBuilder::new(Compression::None));
            batches.push(full.build()?);
        }
    }
    if !builder.is_empty() {
        batches.push(builder.build()?);
    }
    Ok(batches)
}
