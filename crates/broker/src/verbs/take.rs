//! Taking records of a shared subscription, waiting for them if need be, and saying what becomes
//! of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use base::{ErrorKind, Offset, TopicId};
use bytes::Bytes;
use queue::Name;
use queue::shared::{
    Acknowledgement, Acquired, Disposition, PartitionKey, Region, SharedError, Span, Take, Terms,
};
use store::{Log, ReadError, Signal};
use tokio::time::Instant;

use super::fetch::{self, FetchError, Fetched, headers, is_aborted};
use crate::Broker;
use crate::group_config::{Begin, GroupConfig};
use crate::groups::Groups;
use crate::topics::OpenTopic;
use crate::verbs::find_offset::Position;

/// One partition to take from.
#[derive(Debug, Clone)]
pub struct SharedPartition {
    /// The topic.
    pub topic: Arc<OpenTopic>,
    /// Which of its partitions.
    pub partition: i32,
}

/// How much to take, and how long to wait for it.
#[derive(Debug, Clone, Copy)]
pub struct TakeLimits {
    /// Wait until this many bytes can be had, or for the first record if it is less than two, …
    pub min_bytes: usize,
    /// … but no longer than this; then what there is is taken.
    pub max_wait: Duration,
    /// Most bytes of all partitions together. The first batch is returned even if it is larger.
    pub max_bytes: usize,
    /// Most records of all partitions together.
    pub take: Take,
    /// What is acquired is told in pieces of about so many records, cut where batches begin, so
    /// that a piece can be acknowledged at once.
    pub piece: usize,
}

/// What was taken of one partition.
#[derive(Debug, Default)]
pub struct Taken {
    /// The batches that have the records; they may have others, too.
    pub batches: Vec<Bytes>,
    /// The records that the consumer has got, in order.
    pub acquired: Vec<Acquired>,
    /// Where the last of the batches ends. What is given back before it meanwhile has to wait: clients take records that
    /// are not in order for missing, and say that they are done with them.
    next: Offset,
}

/// What a consumer says about records of one partition.
#[derive(Debug, Clone)]
pub struct Settle {
    /// The topic.
    pub topic: TopicId,
    /// The partition.
    pub partition: i32,
    /// In the order of their offsets.
    pub acknowledgements: Vec<Acknowledgement>,
}

/// Why nothing could be taken of a partition.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// It could not be read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The subscription refuses.
    #[error(transparent)]
    Shared(#[from] SharedError),
}

impl TakeError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Fetch(error) => error.kind(),
            Self::Shared(error) => error.kind(),
        }
    }
}

type Outcome = Result<Taken, TakeError>;

/// Who takes.
struct Consumer<'a> {
    subscription: &'a Name,
    holder: &'a Name,
    config: GroupConfig,
}

impl Consumer<'_> {
    fn key(&self, one: &SharedPartition) -> PartitionKey {
        PartitionKey {
            subscription: self.subscription.clone(),
            topic: one.topic.topic.id,
            partition: one.partition,
        }
    }
}

impl Broker {
    /// Takes records for a consumer of a shared subscription, from the partitions in their order
    /// until the limits are reached. Waits until there are enough, an error needs telling, or the
    /// time is over. One outcome per partition.
    pub async fn take(
        &self,
        subscription: &Name,
        holder: &Name,
        partitions: &[SharedPartition],
        limits: TakeLimits,
    ) -> Vec<Outcome> {
        let config = self.group_config(subscription);
        let consumer = Consumer { subscription, holder, config };
        let deadline = Instant::now() + limits.max_wait;
        let mut over = limits.max_wait.is_zero();
        if over || self.has_enough(&consumer, partitions, limits).await {
            let outcomes = self.take_all(&consumer, partitions, limits).await;
            if over || is_enough(&outcomes) {
                return outcomes;
            }
        }
        let signal = Signal::default();
        let mut watched = HashSet::new();
        let _of_logs: Vec<_> = partitions
            .iter()
            .filter_map(|one| one.topic.log(one.partition))
            .filter(|log| watched.insert(log.id()))
            .map(|log| log.watch(&signal))
            .collect();
        let _of_subscription = self.groups().watch(subscription, &signal);
        loop {
            // Again after watching began: what came in between woke nobody.
            if over || self.has_enough(&consumer, partitions, limits).await {
                let outcomes = self.take_all(&consumer, partitions, limits).await;
                if over || is_enough(&outcomes) {
                    return outcomes;
                }
            }
            over = tokio::time::timeout_at(deadline, signal.notified()).await.is_err();
        }
    }

    /// Whether the bytes that the consumer waits for can be had, or taking has something else to
    /// tell. Nothing is acquired: what waits for company may go to somebody who waits for less.
    async fn has_enough(
        &self,
        consumer: &Consumer<'_>,
        partitions: &[SharedPartition],
        limits: TakeLimits,
    ) -> bool {
        if limits.min_bytes < 2 {
            return true;
        }
        let mut missing = limits.min_bytes.min(limits.max_bytes);
        for one in partitions {
            match self.available(consumer, one, missing).await {
                Some(bytes) => missing = missing.saturating_sub(bytes),
                None => return true,
            }
            if missing == 0 {
                return true;
            }
        }
        false
    }

    /// Bytes that can be acquired of a partition, as far as `most`. `None` where waiting would not
    /// make more of it, or fails.
    async fn available(
        &self,
        consumer: &Consumer<'_>,
        one: &SharedPartition,
        most: usize,
    ) -> Option<usize> {
        let log = one.topic.log(one.partition)?;
        let key = consumer.key(one);
        let (start, terms) = (log.range().start, consumer.config.terms);
        let peeked = match self.groups().peek(&key, start, terms) {
            Err(SharedError::NotOpen) => {
                self.begin(consumer, one, &key).await.ok()?;
                self.groups().peek(&key, start, terms)
            }
            peeked => peeked,
        };
        let Some(region) = peeked.ok()? else { return Some(0) };
        let committed = consumer.config.committed;
        let end = if committed { log.stable_end() } else { log.range().end };
        let Region { offsets } = region;
        if offsets.start >= end {
            return Some(0);
        }
        if offsets.end < end {
            // Not the log is short of records: the window is full, or others have what follows.
            return None;
        }
        let read = fetch::read(log, offsets.start, most, committed, offsets.end).await;
        let Fetched { read, .. } = read.ok()?;
        // What did not fit in is there, too.
        let is_all = read.next_offset().is_none_or(|next| next >= end);
        Some(if is_all { read.len() } else { most })
    }

    async fn take_all(
        &self,
        consumer: &Consumer<'_>,
        partitions: &[SharedPartition],
        limits: TakeLimits,
    ) -> Vec<Outcome> {
        let mut left = limits;
        let mut outcomes = Vec::with_capacity(partitions.len());
        for one in partitions {
            let outcome = self.take_of(consumer, one, &mut left).await;
            outcomes.push(outcome);
        }
        outcomes
    }

    /// Takes of one partition, and subtracts that from the limits.
    async fn take_of(
        &self,
        consumer: &Consumer<'_>,
        one: &SharedPartition,
        left: &mut TakeLimits,
    ) -> Outcome {
        let SharedPartition { topic, partition } = one;
        let log = topic.log(*partition).filter(|_| self.inner.topics.has(topic.topic.id));
        let log = log.ok_or(FetchError::NoPartition)?;
        let key = consumer.key(one);
        let mut taken = Taken::default();
        while left.take.records_max > 0 && left.max_bytes > 0 {
            let more = match self.take_once(consumer, log, &key, left, &mut taken).await {
                Ok(more) => more,
                Err(TakeError::Shared(SharedError::NotOpen)) => {
                    self.begin(consumer, one, &key).await?;
                    true
                }
                // What it has got already is not kept from it; the error comes again.
                Err(_) if !taken.acquired.is_empty() => false,
                Err(error) => return Err(error),
            };
            if !more {
                break;
            }
        }
        for run in &taken.acquired {
            self.inner.was_read_of((topic, *partition), run.first..run.last + 1);
        }
        Ok(taken)
    }

    /// Reads once, and takes what can be had of it. Whether another look may bring more.
    async fn take_once(
        &self,
        consumer: &Consumer<'_>,
        log: &Arc<Log>,
        key: &PartitionKey,
        left: &mut TakeLimits,
        taken: &mut Taken,
    ) -> Result<bool, TakeError> {
        let (groups, committed) = (self.groups(), consumer.config.committed);
        let terms = consumer.config.terms;
        let Some(reading) = groups.begin_read(key, log.range().start, taken.next, terms)? else {
            return Ok(false);
        };
        let (from, until) = (reading.region.offsets.start, reading.region.offsets.end);
        let end = if committed { log.stable_end() } else { log.range().end };
        if from >= end {
            return Ok(false);
        }
        let read = match fetch::read(log, from, left.max_bytes, committed, until).await {
            Ok(fetched) => fetched,
            Err(FetchError::Read(ReadError::OutOfRange { start, .. })) if start > from => {
                // Trimmed meanwhile: begin again from there.
                return Ok(true);
            }
            Err(FetchError::Read(ReadError::Damaged { to, .. })) => {
                tracing::warn!(?key, from, to, "damaged records are passed over");
                let span = Span { covered: from..to, batches: Vec::new() };
                reading.acquire(consumer.holder, &span, left.take);
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        };
        let found = Found::of(&read, from, until.min(end));
        let before = taken.acquired.len();
        let acquired = reading.acquire(consumer.holder, &found.span, left.take);
        for run in &acquired {
            let count = usize::try_from(run.last - run.first + 1).unwrap_or(usize::MAX);
            left.take.records_max = left.take.records_max.saturating_sub(count);
        }
        let starts: Vec<_> = found.batches.iter().map(|(range, _)| range.start).collect();
        taken.acquired.extend(cut(acquired, &starts, left.piece));
        let new = taken.acquired.get(before..).unwrap_or_default();
        for (range, bytes) in found.batches {
            if new.iter().any(|run| run.first < range.end && run.last >= range.start) {
                left.max_bytes = left.max_bytes.saturating_sub(bytes.len());
                taken.batches.push(bytes);
                taken.next = range.end;
            }
        }
        // With nothing taken: only if this look has moved on.
        Ok(taken.acquired.len() > before || found.skipped)
    }

    /// Begins a partition that the subscription has not looked at before.
    async fn begin(
        &self,
        consumer: &Consumer<'_>,
        one: &SharedPartition,
        key: &PartitionKey,
    ) -> Result<(), TakeError> {
        let start = self.begin_at(&one.topic, one.partition, consumer.config.begin).await?;
        Ok(self.groups().open(key, start).await?)
    }

    async fn begin_at(
        &self,
        topic: &OpenTopic,
        partition: i32,
        begin: Begin,
    ) -> Result<Offset, FetchError> {
        let latest = self.find_offset(topic, partition, Position::Latest);
        let found = match begin {
            Begin::Earliest => self.find_offset(topic, partition, Position::Earliest).await?,
            Begin::Latest => latest.await?,
            Begin::Ago(ago) => {
                let time = Position::Time(self.now().saturating_sub(ago));
                match self.find_offset(topic, partition, time).await? {
                    None => latest.await?,
                    found => found,
                }
            }
        };
        Ok(found.map_or(0, |(offset, _)| offset))
    }

    /// A consumer says what becomes of records that it has taken; durable when it returns. One
    /// outcome per entry, each of which counts as a whole or not at all.
    pub async fn settle(
        &self,
        subscription: &Name,
        holder: &Name,
        of: Vec<Settle>,
    ) -> Vec<Result<(), SharedError>> {
        let GroupConfig { terms, renew, .. } = self.group_config(subscription);
        let refused = |one: &Settle| {
            let renews = |one: &Acknowledgement| one.disposition == Disposition::Renew;
            !renew && one.acknowledgements.iter().any(renews)
        };
        let refused: Vec<bool> = of.iter().map(refused).collect();
        let entry = |one: Settle| -> (PartitionKey, Terms, Vec<Acknowledgement>) {
            let subscription = subscription.clone();
            let Settle { topic, partition, acknowledgements } = one;
            (PartitionKey { subscription, topic, partition }, terms, acknowledgements)
        };
        let of = of.into_iter().zip(&refused).filter(|(_, refused)| !**refused);
        let entries: Vec<_> = of.map(|(one, _)| entry(one)).collect();
        let groups: &Groups = self.groups();
        let mut results = match entries.is_empty() {
            true => Vec::new(),
            false => groups.acknowledge(holder, &entries).await,
        }
        .into_iter();
        let one = |refused: bool| match refused {
            true => Err(SharedError::NotHeld),
            false => results.next().unwrap_or(Err(SharedError::NotAvailable)),
        };
        refused.into_iter().map(one).collect()
    }
}

fn is_enough(outcomes: &[Outcome]) -> bool {
    outcomes.iter().any(|outcome| outcome.as_ref().map_or(true, |t| !t.acquired.is_empty()))
}

/// Cuts runs where batches begin, so that each piece has `piece` records or, to the end of its
/// last batch, a few more. `starts`: where batches begin, in order.
fn cut(runs: Vec<Acquired>, starts: &[Offset], piece: usize) -> Vec<Acquired> {
    let piece = i64::try_from(piece).unwrap_or(i64::MAX);
    let mut pieces = Vec::with_capacity(runs.len());
    for mut run in runs {
        let whole = run.first..=run.last;
        for &start in starts.iter().filter(|start| whole.contains(start)) {
            if start - run.first >= piece {
                pieces.push(Acquired { last: start - 1, ..run });
                run.first = start;
            }
        }
        pieces.push(run);
    }
    pieces
}

/// What a read has for consumers.
struct Found {
    span: Span,
    batches: Vec<(std::ops::Range<Offset>, Bytes)>,
    /// There was something that no consumer gets.
    skipped: bool,
}

impl Found {
    /// Markers, and records of aborted transactions, are for nobody. `until`: what the read would
    /// have covered, had there been anything.
    fn of(fetched: &Fetched, from: Offset, until: Offset) -> Self {
        let mut batches = Vec::new();
        let mut next = from;
        let mut seen = 0;
        for (header, bytes) in headers(&fetched.read) {
            next = header.next_offset();
            seen += 1;
            let is_empty = header.is_control() || header.count == 0;
            if !is_empty && !is_aborted(&header, &fetched.aborted) {
                batches.push((header.base_offset..next, bytes));
            }
        }
        let covered_to = if seen == 0 { until } else { next };
        let skipped = batches.len() < seen || seen == 0;
        let ranges = batches.iter().map(|(range, _)| range.clone()).collect();
        let span = Span { covered: from..covered_to.max(from), batches: ranges };
        Self { span, batches, skipped }
    }
}

#[cfg(test)]
mod tests {
    use store::batch::{BatchBuilder, Compression, Marker, NewRecord};
    use store::{Aborted, ReadBatches};

    use super::*;

    /// A batch of one record, in a transaction if there is a producer.
    fn batch(base: Offset, producer: i64) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(&NewRecord { timestamp: 0, key: None, value: Some(b"x"), headers: &[] });
        let mut bytes = builder.build().unwrap().bytes().to_vec();
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        if producer >= 0 {
            bytes[22] |= 1 << 4;
            bytes[43..51].copy_from_slice(&producer.to_be_bytes());
        }
        bytes.into()
    }

    fn marker(base: Offset) -> Bytes {
        let marker = BatchBuilder::marker(1, 0, Marker::Abort, 0).unwrap();
        let mut bytes = marker.bytes().to_vec();
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes.into()
    }

    #[test]
    fn what_was_acquired_is_cut_where_batches_begin() {
        let run = |first, last| Acquired { first, last, deliveries: 1 };
        let runs = || vec![run(0, 9), run(12, 13)];
        let cut = |piece| cut(runs(), &[0, 2, 3, 7, 12], piece);
        assert_eq!(cut(1), [run(0, 1), run(2, 2), run(3, 6), run(7, 9), run(12, 13)]);
        assert_eq!(cut(3), [run(0, 2), run(3, 6), run(7, 9), run(12, 13)]);
        assert_eq!(cut(4), [run(0, 6), run(7, 9), run(12, 13)]);
        assert_eq!(cut(usize::MAX), runs());
    }

    #[test]
    fn what_was_taken_back_and_markers_are_for_nobody() {
        let slices = [batch(3, 1), batch(4, 2), batch(5, -1), marker(6), batch(7, 1)];
        let slices_read = vec![slices.concat().into()];
        let read = ReadBatches { slices: slices_read, end: 8, ..ReadBatches::default() };
        let aborted = vec![Aborted { producer: 1, first: 3, last: 6 }];
        let fetched = Fetched { read, stable: 8, aborted };
        let found = Found::of(&fetched, 2, 100);
        let span = Span { covered: 2..8, batches: vec![4..5, 5..6, 7..8] };
        assert_eq!((found.span, found.skipped), (span, true));
        assert_eq!(found.batches[0].1, slices[1]);
        let nothing = Found::of(&Fetched::default(), 2, 100);
        let span = Span { covered: 2..100, batches: Vec::new() };
        assert_eq!((nothing.span, nothing.skipped), (span, true), "a hole is passed over");
    }
}
