//! The last message of each subject, for as long as it is wanted: kept in one of the broker's own logs, which is
//! compacted by subject. In memory is where each one is, and those that were asked for of late ([`recent`]).
//!
//! The index follows the log: what was stored is looked at when somebody asks, or when a lot has come. So
//! it holds what is durable and nothing else, and a start reads nothing before it is asked for.

mod recent;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{Filter, Millis, Offset, Subject};
use bytes::Bytes;
use parking_lot::Mutex;
use store::batch::{Batch, Record};
use store::{Compaction, Durability, Log, LogOptions, Store};

use crate::broker::RETAINED_LOG;
use crate::message::{Message, Properties};
use crate::verbs::fetch::{FetchError, Fetched, read};
use crate::{Broker, ProduceError};
use recent::Recent;

/// Largest message that is retained, in bytes.
pub const RETAINED_BYTES_MAX: usize = 4 << 20;
/// Most subjects whose last message is kept. Each takes some hundred bytes of memory, and its own.
pub const RETAINED_MAX: usize = 2_000_000;
/// Bytes of the log that are read at once.
const READ_BYTES: usize = 1 << 20;
/// Subjects that are looked at before others have their turn.
const LOOK_AT_ONCE: usize = 4096;
/// Records that are not in the index yet before a publisher sees to it.
const BEHIND_MAX: Offset = 10_000;

/// What is retained.
#[derive(Debug)]
pub(crate) struct Retained {
    log: Arc<Log>,
    index: Mutex<Index>,
    /// Held by whoever brings the index up to date.
    following: tokio::sync::Mutex<()>,
    /// How often the log was read.
    reads: AtomicU64,
}

#[derive(Debug, Default)]
struct Index {
    /// What is before is in the index. Nothing is, in the beginning.
    position: Offset,
    by_subject: BTreeMap<Subject, Kept>,
    by_expiry: BTreeSet<(Millis, Subject)>,
    recent: Recent,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    offset: Offset,
    expires_at: Option<Millis>,
}

/// Where the last message of a subject is.
enum Place {
    Nowhere,
    Here(Arc<Message>),
    At(Offset),
}

impl Retained {
    pub(crate) fn open(store: &Store) -> Self {
        let options = LogOptions {
            durability: Durability::Fsync,
            retention_ms: None,
            segment_bytes: 64 << 20,
            compaction: Some(Compaction {
                min_lag_ms: 0,
                max_lag_ms: i64::MAX,
                dirty_ppm: 500_000,
                // Nobody reads on from before a restart: a deletion mark need not outlive what it deletes.
                delete_retention_ms: 60_000,
            }),
            ..LogOptions::default()
        };
        let log = store.open_log(RETAINED_LOG, options);
        let (following, reads) = (tokio::sync::Mutex::default(), AtomicU64::default());
        Self { log, index: Mutex::default(), following, reads }
    }

    pub(crate) fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Whether there is room for a message of this subject.
    pub(crate) fn check_room(&self, subject: &Subject) -> Result<(), ProduceError> {
        let index = self.index.lock();
        if index.by_subject.len() < RETAINED_MAX || index.by_subject.contains_key(subject) {
            return Ok(());
        }
        Err(ProduceError::Full)
    }

    /// Whether a lot came that is not in the index.
    fn is_behind(&self) -> bool {
        self.log.range().end - self.index.lock().position > BEHIND_MAX
    }

    /// Reads the log.
    async fn fetch(&self, from: Offset, bytes: usize) -> Result<Fetched, FetchError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        read(&self.log, from, bytes, false, Offset::MAX).await
    }

    /// Brings the index up to what is durable.
    async fn follow(&self) -> Result<(), FetchError> {
        if self.index.lock().position >= self.log.range().end {
            return Ok(());
        }
        let _turn = self.following.lock().await;
        loop {
            let range = self.log.range();
            let position = self.index.lock().position.max(range.start);
            if position >= range.end {
                self.index.lock().position = position;
                return Ok(());
            }
            let fetched = self.fetch(position, READ_BYTES).await?;
            // Nothing, where something could be: it was compacted away.
            let next = fetched.read.next_offset().unwrap_or(range.end).max(position + 1);
            let batches = fetched.read.batches().flatten();
            let mut index = self.index.lock();
            for record in
                batches.flat_map(|batch| records(&batch)).filter(|record| record.offset >= position)
            {
                index.apply(&record);
            }
            index.position = next;
        }
    }

    /// Where the last message of a subject is.
    fn place(&self, subject: &Subject, now: Millis) -> Place {
        self.index.lock().place(subject, now)
    }

    /// The message at this place, which is in memory from now on; `None` if it was replaced meanwhile.
    async fn read_one(
        &self,
        subject: &Subject,
        offset: Offset,
    ) -> Result<Option<Arc<Message>>, FetchError> {
        let fetched = self.fetch(offset, 1).await?;
        let mut records = fetched.read.batches().flatten().flat_map(|batch| records(&batch));
        let Some(record) = records.find(|record| record.offset == offset) else { return Ok(None) };
        let mut index = self.index.lock();
        let is_last = index.by_subject.get(subject).is_some_and(|kept| kept.offset == offset);
        Ok(is_last.then(|| index.recent.put(&record)))
    }

    /// Where the messages are that a filter matches, in the order of their subjects.
    async fn find(
        &self,
        filter: &Filter,
        after: Option<Subject>,
        limit: usize,
        now: Millis,
    ) -> Vec<(Subject, Offset)> {
        let prefix = literal_prefix(filter);
        let mut from = match after {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(prefix.clone()),
        };
        let mut found = Vec::new();
        loop {
            {
                let mut index = self.index.lock();
                index.expire(now);
                let mut rest = index.by_subject.range((from.clone(), Bound::Unbounded));
                let mut last = None;
                for (subject, kept) in rest.by_ref().take(LOOK_AT_ONCE) {
                    if !subject.as_bytes().starts_with(prefix.as_bytes()) {
                        return found;
                    }
                    if filter.matches(subject) {
                        found.push((subject.clone(), kept.offset));
                    }
                    if found.len() >= limit {
                        return found;
                    }
                    last = Some(subject);
                }
                let Some(last) = last else { return found };
                from = Bound::Excluded(last.clone());
            }
            tokio::task::yield_now().await;
        }
    }

    /// The messages at these places; those that were replaced meanwhile are left out.
    async fn read(
        &self,
        mut wanted: Vec<(Subject, Offset)>,
    ) -> Result<Vec<(Subject, Message)>, FetchError> {
        let mut found = BTreeMap::new();
        wanted.sort_unstable_by_key(|(_, offset)| *offset);
        let mut wanted = wanted.into_iter().peekable();
        while let Some((_, first)) = wanted.peek() {
            let fetched = self.fetch(*first, 1).await?;
            let next = fetched.read.next_offset();
            let batches = fetched.read.batches().flatten();
            for record in batches.flat_map(|batch| records(&batch)) {
                while wanted.next_if(|(_, offset)| *offset < record.offset).is_some() {}
                if let Some((subject, _)) = wanted.next_if(|(_, at)| *at == record.offset) {
                    let message = Message { key: None, ..Message::from_record(&record) };
                    found.insert(subject, message);
                }
            }
            while wanted.next_if(|(_, at)| next.is_none_or(|next| *at < next)).is_some() {}
        }
        Ok(found.into_iter().collect())
    }
}

impl Index {
    fn apply(&mut self, record: &Record) {
        // A copy: it stays, and the batch is not to stay with it.
        let key = record.key.as_ref().map(|key| Bytes::copy_from_slice(key));
        let Some(subject) = key.and_then(Subject::from_bytes) else { return };
        let old = match record.value {
            None => {
                self.recent.forget(&subject);
                self.by_subject.remove(&subject)
            }
            Some(_) => {
                if self.recent.has(&subject) {
                    self.recent.put(record);
                }
                let Properties { expires_at, .. } = Message::from_record(record).properties;
                if let Some(at) = expires_at {
                    self.by_expiry.insert((at, subject.clone()));
                }
                let kept = Kept { offset: record.offset, expires_at };
                self.by_subject.insert(subject.clone(), kept)
            }
        };
        if let Some(at) = old.and_then(|old| old.expires_at)
            && self.by_subject.get(&subject).is_none_or(|now| now.expires_at != Some(at))
        {
            self.by_expiry.remove(&(at, subject));
        }
    }

    fn place(&mut self, subject: &Subject, now: Millis) -> Place {
        self.expire(now);
        let Some(Kept { offset, .. }) = self.by_subject.get(subject).copied() else {
            return Place::Nowhere;
        };
        self.recent.get(subject, offset).map_or(Place::At(offset), Place::Here)
    }

    fn expire(&mut self, now: Millis) {
        while let Some((_, subject)) = self.by_expiry.pop_first_if_before(now) {
            self.by_subject.remove(&subject);
            self.recent.forget(&subject);
        }
    }
}

/// Sets that are popped from as far as time has gone.
trait PopBefore {
    fn pop_first_if_before(&mut self, now: Millis) -> Option<(Millis, Subject)>;
}

impl PopBefore for BTreeSet<(Millis, Subject)> {
    fn pop_first_if_before(&mut self, now: Millis) -> Option<(Millis, Subject)> {
        self.first().is_some_and(|(at, _)| *at <= now).then(|| self.pop_first()).flatten()
    }
}

/// A batch's records.
fn records(batch: &Batch) -> impl Iterator<Item = Record> + use<> {
    // Checked when they were appended.
    batch.records().into_iter().flatten().map_while(Result::ok)
}

/// The levels with which all begin that a filter matches, as one subject.
fn literal_prefix(filter: &Filter) -> Subject {
    let steps = filter.steps().map_while(|step| match step {
        base::subject::Step::Literal(level) => Some(level),
        _ => None,
    });
    Subject::from_levels(steps)
}

impl Broker {
    /// The retained messages whose subjects a filter matches, in the order of their subjects, those after `after`: `limit`
    /// of them at most. Fewer are all. What was stored before the call is there, what expired is not.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn retained(
        &self,
        filter: &Filter,
        after: Option<Subject>,
        limit: usize,
    ) -> Result<Vec<(Subject, Message)>, FetchError> {
        let retained = &self.inner.retained;
        retained.follow().await?;
        let mut found = Vec::new();
        let mut after = after;
        // Again in place of those that were replaced in between.
        while found.len() < limit {
            let more = limit - found.len();
            let places = retained.find(filter, after, more, self.now()).await;
            let all = places.len() < more;
            after = places.last().map(|(subject, _)| subject.clone());
            found.extend(retained.read(places).await?);
            if all {
                break;
            }
            retained.follow().await?;
        }
        Ok(found)
    }

    /// The retained message of a subject. What was stored before the call is there, what expired is not. It comes from
    /// memory, if it was asked for of late.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn last(&self, subject: &Subject) -> Result<Option<Arc<Message>>, FetchError> {
        let retained = &self.inner.retained;
        let mut missed = None;
        loop {
            retained.follow().await?;
            let offset = match retained.place(subject, self.now()) {
                Place::Nowhere => return Ok(None),
                Place::Here(message) => return Ok(Some(message)),
                Place::At(offset) => offset,
            };
            // It was replaced in between, or is in a part of the log that was lost.
            if missed == Some(offset) {
                return Ok(None);
            }
            if let Some(message) = retained.read_one(subject, offset).await? {
                return Ok(Some(message));
            }
            missed = Some(offset);
        }
    }

    /// The same, if it can be said without waiting: it is in memory, and nothing was stored of which the index does not know
    /// yet. `None`: it cannot, or there is none.
    pub fn last_at_hand(&self, subject: &Subject) -> Option<Arc<Message>> {
        let retained = &self.inner.retained;
        let end = retained.log.range().end;
        let mut index = retained.index.lock();
        if index.position < end {
            return None;
        }
        match index.place(subject, self.now()) {
            Place::Here(message) => Some(message),
            Place::Nowhere | Place::At(_) => None,
        }
    }

    /// Whether a subject has a retained message: what [`Broker::last`] would find, without reading it.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn has_last(&self, subject: &Subject) -> Result<bool, FetchError> {
        let retained = &self.inner.retained;
        retained.follow().await?;
        Ok(!matches!(retained.place(subject, self.now()), Place::Nowhere))
    }

    /// How many subjects have a retained message.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn retained_count(&self) -> Result<usize, FetchError> {
        self.inner.retained.follow().await?;
        let mut index = self.inner.retained.index.lock();
        index.expire(self.now());
        Ok(index.by_subject.len())
    }

    /// Keeps the index near the end of the log, whoever reads it.
    pub(crate) async fn follow_retained(&self) {
        if self.inner.retained.is_behind()
            && let Err(error) = self.inner.retained.follow().await
        {
            tracing::warn!(%error, "cannot read what is retained");
        }
    }
}

#[cfg(test)]
mod tests;
