//! Reading batches, waiting for them if need be.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use base::planted::{self, Bug};
use base::{ErrorKind, Offset};
use bytes::Bytes;
use store::batch::BatchHeader;
use store::{Aborted, Log, ReadBatches, ReadError, Signal};
use tokio::time::Instant;

use super::read_budget::Grant;
use crate::Broker;
use crate::topics::OpenTopic;

/// One partition to read from.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// The topic.
    pub topic: Arc<OpenTopic>,
    /// Which of its partitions.
    pub partition: i32,
    /// First offset wanted.
    pub offset: Offset,
    /// Most bytes from this partition.
    pub max_bytes: usize,
}

/// How much to read, and how long to wait for it.
#[derive(Debug, Clone, Copy)]
pub struct FetchLimits {
    /// Wait until this many bytes are there, …
    pub min_bytes: usize,
    /// … but no longer than this.
    pub max_wait: Duration,
    /// Most bytes of all partitions together. The first batch is returned even if it is larger.
    pub max_bytes: usize,
    /// Only records of which it is known that they count: those of committed transactions, and of
    /// none.
    pub committed: bool,
}

/// What was read of one partition.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The batches. Those of aborted transactions are among them.
    pub read: ReadBatches,
    /// Readers of committed records stop here.
    pub stable: Offset,
    /// Aborted transactions whose records the reader has to drop; asked for committed records
    /// only.
    pub aborted: Vec<Aborted>,
}

/// Why a partition could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The topic has no such partition, or was deleted.
    #[error("no such partition")]
    NoPartition,
    /// The log refused.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl FetchError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoPartition => ErrorKind::NotFound,
            Self::Read(error) => error.kind(),
        }
    }
}

pub(crate) type Outcome = Result<Fetched, FetchError>;

impl Broker {
    /// Reads from partitions in their order until the limits are reached. Waits until enough is
    /// there, an error needs telling, or the time is over. One outcome per entry.
    pub async fn fetch(&self, entries: &[Fetch], limits: FetchLimits) -> Vec<Outcome> {
        let outcomes = self.wait_and_read(entries, limits).await;
        entries.iter().zip(&outcomes).for_each(|(entry, read)| self.inner.was_read(entry, read));
        outcomes
    }

    async fn wait_and_read(&self, entries: &[Fetch], limits: FetchLimits) -> Vec<Outcome> {
        let deadline = Instant::now() + limits.max_wait;
        let outcomes = self.read_all(entries, limits).await;
        let waits = !entries.is_empty() && !limits.max_wait.is_zero();
        if !waits || is_enough(&outcomes, limits.min_bytes) {
            return outcomes;
        }
        let signal = Signal::default();
        // Each log once, however often it was named: a log looks through all that watch it.
        let mut watched = HashSet::new();
        let _watching: Vec<_> = entries
            .iter()
            .filter_map(|entry| entry.topic.log(entry.partition))
            .filter(|log| watched.insert(log.id()))
            .map(|log| log.watch(&signal))
            .collect();
        loop {
            // Again after watching began: what came in between woke nobody.
            let outcomes = self.read_all(entries, limits).await;
            if is_enough(&outcomes, limits.min_bytes) {
                return outcomes;
            }
            if tokio::time::timeout_at(deadline, signal.notified()).await.is_err() {
                return outcomes;
            }
        }
    }

    pub(crate) async fn read_all(&self, entries: &[Fetch], limits: FetchLimits) -> Vec<Outcome> {
        let mut left = limits.max_bytes;
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut first = true;
        for entry in entries {
            let log = entry.topic.log(entry.partition);
            let outcome = match log.filter(|_| self.inner.topics.has(entry.topic.topic.id)) {
                // Never there, or deleted meanwhile.
                None => Err(FetchError::NoPartition),
                // Nothing fits any more, but the partition's state is told.
                Some(log) if left == 0 && !first => Ok(state_only(log)),
                Some(log) => {
                    let room = entry.max_bytes.min(left);
                    match read(log, entry.offset, room, limits.committed, Offset::MAX).await {
                        // A log gives one batch at least. Only the first of all may be too large.
                        Ok(fetched) if fetched.read.len() > room && !first => Ok(state_only(log)),
                        outcome => outcome,
                    }
                }
            };
            if let Ok(fetched) = &outcome
                && !fetched.read.is_empty()
            {
                left = left.saturating_sub(fetched.read.len());
                first = false;
            }
            outcomes.push(outcome);
        }
        outcomes
    }
}

pub(crate) fn is_enough(outcomes: &[Outcome], min_bytes: usize) -> bool {
    let mut bytes = 0;
    for outcome in outcomes {
        match outcome {
            Ok(fetched) => bytes += fetched.read.len(),
            Err(_) => return true,
        }
    }
    bytes >= min_bytes
}

fn state_only(log: &Log) -> Fetched {
    let range = log.range();
    let read = ReadBatches { start: range.start, end: range.end, ..ReadBatches::default() };
    Fetched { read, stable: log.stable_end(), aborted: Vec::new() }
}

/// Reads from memory, or from disk on a thread that may block.
pub(crate) async fn read(
    log: &Arc<Log>,
    offset: Offset,
    max_bytes: usize,
    committed: bool,
    until: Offset,
) -> Outcome {
    // Asked for first: what ends meanwhile is read next time.
    let stable = log.stable_end();
    let until = if committed { stable.min(until) } else { until };
    let mut read = match log.read_memory(offset, max_bytes, until)? {
        Some(read) => read,
        None => {
            let grant = Grant::of(max_bytes);
            let work = move |log: &Log| {
                let read = log.read(offset, grant.bytes(), until)?;
                Ok::<_, ReadError>(grant.hold(read))
            };
            log.blocking(work).await.map_err(ReadError::Io)??
        }
    };
    let told = committed && !planted::is(Bug::AbortedShown);
    let aborted = if told { std::mem::take(&mut read.aborted) } else { Vec::new() };
    Ok(Fetched { read, stable, aborted })
}

/// Whether a batch's transaction was taken back.
pub(crate) fn is_aborted(header: &BatchHeader, aborted: &[Aborted]) -> bool {
    header.is_transactional()
        && aborted.iter().any(|one| {
            one.producer == header.producer_id
                && (one.first..=one.last).contains(&header.base_offset)
        })
}

/// The batches one by one, with their headers.
pub(crate) fn headers(read: &ReadBatches) -> impl Iterator<Item = (BatchHeader, Bytes)> {
    read.slices.iter().cloned().flat_map(|mut slice| {
        std::iter::from_fn(move || {
            let header = BatchHeader::decode(&slice).ok()?;
            let bytes = (header.size <= slice.len()).then(|| slice.split_to(header.size))?;
            Some((header, bytes))
        })
    })
}
