//! What a log knows of transactions: which are open, and which records were taken back.
//!
//! A reader that wants committed records only stops before the first record of the oldest open
//! transaction, and is told which producers' records to drop (KIP-98).

use std::collections::BTreeMap;
use std::ops::Range;

use base::Offset;

use crate::batch::{self, BatchHeader, Marker};

/// An aborted transaction: the records of its producer in this range are to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted {
    /// Whose.
    pub producer: i64,
    /// Offset of its first record.
    pub first: Offset,
    /// Offset of the marker that ended it.
    pub last: Offset,
}

/// The transactions of one log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Transactions {
    /// Open ones by producer, with the offset of their first record.
    pub(crate) open: BTreeMap<i64, Offset>,
    /// Aborted ones, in the order of their markers.
    pub(crate) aborted: Vec<Aborted>,
    /// Committed ones whose markers are not in segments yet: a checkpoint must still count them
    /// as open.
    pub(crate) committed: Vec<Aborted>,
}

impl Transactions {
    /// Takes notice of a batch that becomes readable.
    pub(crate) fn observe(&mut self, header: &BatchHeader, bytes: &[u8]) {
        if !header.is_transactional() {
            return;
        }
        if !header.is_control() {
            self.open.entry(header.producer_id).or_insert(header.base_offset);
            return;
        }
        let Some(first) = self.open.remove(&header.producer_id) else { return };
        let ended = Aborted { producer: header.producer_id, first, last: header.base_offset };
        match batch::marker(bytes) {
            Some(Marker::Abort) => self.aborted.push(ended),
            _ => self.committed.push(ended),
        }
    }

    /// The batches before `next` are in segments.
    pub(crate) fn flushed(&mut self, next: Offset) {
        self.committed.retain(|committed| committed.last >= next);
    }

    /// Everything below is committed, aborted, or never was in a transaction.
    pub(crate) fn stable(&self, end: Offset) -> Offset {
        self.open.values().copied().min().unwrap_or(end)
    }

    /// The aborted transactions with records in this range.
    pub(crate) fn aborted_in(&self, range: &Range<Offset>) -> Vec<Aborted> {
        // Sorted by `last`, so the older ones are skipped at once.
        let from = self.aborted.partition_point(|aborted| aborted.last < range.start);
        let later = self.aborted.get(from..).unwrap_or_default().iter();
        later.filter(|aborted| aborted.first < range.end).copied().collect()
    }

    /// Records before `start` are gone. Returns whether that is to be forgotten of any.
    pub(crate) fn trim(&mut self, start: Offset) -> bool {
        let before = self.aborted.len();
        self.aborted.retain(|aborted| aborted.last >= start);
        self.aborted.len() < before
    }

    /// What was known when the log ended at `end`, as far as it can still be told: the rest comes
    /// from replaying what follows.
    pub(crate) fn as_of(&self, end: Offset) -> Self {
        let ended = self.aborted.iter().chain(&self.committed);
        let reopened = ended.filter(|ended| ended.last >= end).map(|e| (e.producer, e.first));
        let open = self.open.iter().map(|(producer, first)| (*producer, *first)).chain(reopened);
        Self {
            open: open.filter(|(_, first)| *first < end).collect(),
            aborted: self.aborted.iter().filter(|aborted| aborted.last < end).copied().collect(),
            committed: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchBuilder;

    fn observe(log: &mut Transactions, producer: i64, at: Offset, marker: Option<Marker>) {
        let batch = BatchBuilder::marker(producer, 0, marker.unwrap_or(Marker::Commit), 0).unwrap();
        let mut header = BatchHeader { base_offset: at, ..*batch.header() };
        if marker.is_none() {
            header.attributes &= !0b10_0000; // data, not a marker
        }
        log.observe(&header, batch.bytes());
    }

    #[test]
    fn the_stable_end_follows_the_oldest_open_transaction() {
        let mut log = Transactions::default();
        assert_eq!(log.stable(3), 3);
        observe(&mut log, 1, 3, None);
        observe(&mut log, 2, 5, None);
        observe(&mut log, 1, 7, None);
        assert_eq!(log.stable(8), 3);
        observe(&mut log, 1, 8, Some(Marker::Abort));
        assert_eq!(log.stable(9), 5);
        observe(&mut log, 2, 9, Some(Marker::Commit));
        assert_eq!(log.stable(10), 10);
        let aborted = Aborted { producer: 1, first: 3, last: 8 };
        assert_eq!(log.aborted_in(&(0..20)), [aborted]);
        assert_eq!(log.aborted_in(&(8..9)), [aborted], "its marker is still to come");
        assert_eq!(log.aborted_in(&(9..20)), []);
        assert_eq!(log.aborted_in(&(0..3)), []);
        log.trim(9);
        assert!(log.aborted.is_empty());
    }

    #[test]
    fn replaying_what_follows_a_checkpoint_gives_the_same_again() {
        let history = [
            (1, None),
            (2, None),
            (1, Some(Marker::Abort)),
            (1, None),
            (2, Some(Marker::Abort)),
            (1, Some(Marker::Commit)),
        ];
        let mut all = Transactions::default();
        for (at, (producer, marker)) in (0..).zip(history) {
            observe(&mut all, producer, at, marker);
        }
        for cut in 0..=history.len() {
            let mut again = all.as_of(cut.try_into().unwrap());
            let mut first = Transactions::default();
            for (at, (producer, marker)) in (0..).zip(history).take(cut) {
                observe(&mut first, producer, at, marker);
            }
            first.flushed(cut.try_into().unwrap());
            assert_eq!(again, first, "a checkpoint after {cut} does not know what follows");
            for (at, (producer, marker)) in (0..).zip(history).skip(cut) {
                observe(&mut again, producer, at, marker);
            }
            assert_eq!((again.open, again.aborted), (all.open.clone(), all.aborted.clone()));
        }
    }
}
