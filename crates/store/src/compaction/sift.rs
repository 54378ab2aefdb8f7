//! Which records of a batch stay.

use std::collections::{HashMap, HashSet};
use std::io;

use base::planted::{self, Bug};
use base::{Millis, Offset};
use bytes::Bytes;

use super::keys::Keys;
use crate::batch::{self, Batch, BatchHeader, Marker};
use crate::log::Log;
use crate::transactions::Aborted;

/// What becomes of a batch.
#[derive(Debug)]
pub(super) enum Sifted {
    /// It stays as it is.
    Whole,
    /// It goes.
    Gone,
    /// This takes its place.
    New(Batch),
}

/// Follows the transactions while batches go by in their order: which are aborted, and of which
/// there still are records.
#[derive(Debug)]
pub(super) struct Followed {
    /// The aborted ones still to come, the next one last.
    ahead: Vec<Aborted>,
    /// Those that are going by, by their producers, and whether a batch of theirs did.
    aborted: HashMap<i64, (Aborted, bool)>,
    /// Producers of committed ones of which a batch went by.
    committed: HashSet<i64>,
    /// Aborted ones whose markers went by since this was last taken, and none of whose batches did:
    /// the markers get their time of deletion in the same rewriting.
    pub(super) gone: Vec<Aborted>,
}

impl Followed {
    pub(super) fn new(aborted: &[Aborted]) -> Self {
        let mut ahead = aborted.to_vec();
        ahead.sort_unstable_by_key(|aborted| std::cmp::Reverse(aborted.first));
        let (aborted, committed) = (HashMap::new(), HashSet::new());
        Self { ahead, aborted, committed, gone: Vec::new() }
    }

    /// A batch of data goes by. Whether it was taken back.
    pub(super) fn data(&mut self, header: &BatchHeader) -> bool {
        self.advance(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some((aborted, seen)) if header.base_offset <= aborted.last => {
                *seen = true;
                true
            }
            _ => {
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// A marker goes by. Whether it is spent: nothing that it is about is left.
    pub(super) fn marker(&mut self, header: &BatchHeader, marker: Option<Marker>) -> bool {
        self.advance(header.last_offset());
        let aborted = self.aborted.remove(&header.producer_id);
        match marker {
            Some(Marker::Abort) => match aborted {
                Some((_, true)) => false,
                Some((aborted, false)) => {
                    self.gone.push(aborted);
                    true
                }
                None => true,
            },
            Some(Marker::Commit) => !self.committed.remove(&header.producer_id),
            // Not one that we know; it stays.
            None => false,
        }
    }

    fn advance(&mut self, to: Offset) {
        while let Some(next) = self.ahead.pop_if(|next| next.first <= to) {
            self.aborted.insert(next.producer, (next, false));
        }
    }
}

/// Decides about batches, which come in their order.
#[derive(Debug)]
pub(super) struct Sieve<'a> {
    pub(super) log: &'a Log,
    pub(super) keys: &'a Keys,
    /// `keys` has all keys of the records before this offset that are new.
    pub(super) known_to: Offset,
    /// First offset of the log.
    pub(super) start: Offset,
    pub(super) now: Millis,
    pub(super) delete_retention_ms: i64,
    pub(super) followed: Followed,
}

impl Sieve<'_> {
    /// What becomes of a batch. That with the last offset of all stays, if only as an empty one, so
    /// that a reader gets to the end.
    pub(super) fn sift(&mut self, batch: &Batch, is_last: bool) -> io::Result<Sifted> {
        let header = batch.header();
        // Asked for every batch, since it follows the transactions.
        let spent = if header.is_control() {
            self.followed.marker(header, batch::marker(batch.bytes()))
        } else {
            self.followed.data(header)
        };
        let stays_empty = || is_last || self.is_last_of_producer(header);
        let empty = || -> io::Result<Sifted> {
            match (stays_empty(), header.count) {
                (false, _) => Ok(Sifted::Gone),
                (true, 0) => Ok(Sifted::Whole),
                (true, _) => batch.without_records().map(Sifted::New).map_err(io::Error::other),
            }
        };
        if header.next_offset() <= self.start || header.count == 0 {
            return empty();
        }
        if header.is_control() {
            return match header.delete_horizon() {
                _ if !spent => Ok(Sifted::Whole),
                Some(horizon) if horizon <= self.now => empty(),
                Some(_) => Ok(Sifted::Whole),
                None => {
                    batch.with_horizon(self.horizon()).map(Sifted::New).map_err(io::Error::other)
                }
            };
        }
        if spent {
            return empty();
        }
        match self.sift_records(batch) {
            Ok(Some(Sifted::Gone)) => empty(),
            Ok(sifted) => Ok(sifted.unwrap_or(Sifted::Whole)),
            // It was accepted unopened, and nobody can read it. It stays as it is.
            Err(error) => {
                let (log, offset) = (self.log.id(), header.base_offset);
                tracing::warn!(%log, offset, %error, "a batch cannot be unpacked; it is kept");
                Ok(Sifted::Whole)
            }
        }
    }

    /// `None`: all of them stay, and nothing is to be noted.
    fn sift_records(&self, batch: &Batch) -> Result<Option<Sifted>, batch::BatchError> {
        let header = batch.header();
        if header.base_offset >= self.known_to {
            return Ok(None);
        }
        let mut records = batch.records()?;
        let mut kept: Vec<Bytes> = Vec::new();
        let (mut newest, mut marks) = (Millis::MIN, false);
        while let Some(record) = records.next_with_bytes() {
            let (record, bytes) = record?;
            if self.keeps(header, &record) {
                newest = newest.max(record.timestamp);
                marks |= record.value.is_none() && record.offset < self.known_to;
                kept.push(bytes);
            }
        }
        if kept.is_empty() {
            return Ok(Some(Sifted::Gone));
        }
        let all = i32::try_from(kept.len()).is_ok_and(|kept| kept == header.count);
        let horizon = (marks && header.delete_horizon().is_none()).then(|| self.horizon());
        if all && horizon.is_none() {
            return Ok(None);
        }
        batch.with_records(&kept, newest, horizon).map(|batch| Some(Sifted::New(batch)))
    }

    fn keeps(&self, header: &BatchHeader, record: &batch::Record) -> bool {
        if record.offset >= self.known_to {
            return true;
        }
        // One without a key comes from before the log was compacted.
        let Some(key) = record.key.as_deref() else { return false };
        let newest = self.keys.get(key);
        let newer = match planted::is(Bug::OlderKept) {
            false => newest.is_some_and(|newest| newest > record.offset),
            true => newest.is_some_and(|newest| newest <= record.offset),
        };
        let stays = record.value.is_some()
            || header.delete_horizon().is_none_or(|horizon| self.now < horizon);
        record.offset >= self.start && !newer && stays
    }

    fn horizon(&self) -> Millis {
        self.now.saturating_add(self.delete_retention_ms)
    }

    /// It tells the last sequence number of a producer that is not forgotten, or that it was fenced.
    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        if !header.is_idempotent() {
            return false;
        }
        let producers = self.log.producers.lock();
        let Some(producer) = producers.known.get(&header.producer_id) else { return false };
        match producer.sent.back() {
            Some(sent) => !header.is_control() && sent.base_offset == header.base_offset,
            None => header.is_control() && header.producer_epoch == producer.epoch,
        }
    }
}
