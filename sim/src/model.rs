//! What clients were told, and whether what they are told later agrees with it. Every check costs
//! about as much as the event that it checks, since every value is written once in a run.

mod shared;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};

use base::Offset;
use broker::Fetched;

pub(crate) use self::shared::{Shared, Taker};
pub(crate) use self::transactions::{End, Transactions, TxnNumber};

/// A partition, by its topic's name.
pub(crate) type Place = (&'static str, i32);

/// What became of a value that a client wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The answer did not come, or left it open.
    Unknown,
    /// It was acknowledged, at this offset.
    Stored(Offset),
    /// It was refused, for certain.
    Refused,
}

/// What is to hold of a topic's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// All of them.
    All,
    /// The newest of each key.
    NewestOfKey,
    /// The end; the beginning goes.
    End,
}

#[derive(Debug)]
struct Written {
    fate: Fate,
    key: Option<u64>,
    /// Who wrote it, and its place among what that client wrote here.
    writer: (u64, u64),
    transaction: Option<TxnNumber>,
}

#[derive(Debug)]
struct Partition {
    keeps: Keeps,
    written: BTreeMap<u64, Written>,
    /// The value at each offset, from who was told or has read it.
    at: BTreeMap<Offset, u64>,
    /// The same the other way round: each value is once in a log.
    offsets: BTreeMap<u64, Offset>,
    /// No log ends before this any more.
    end: Offset,
}

/// Everything that clients know.
#[derive(Debug, Default)]
pub(crate) struct Model {
    partitions: BTreeMap<Place, Partition>,
    committed: BTreeMap<(&'static str, Place), Commits>,
    pub(crate) transactions: Transactions,
    pub(crate) shared: Shared,
    violations: Vec<String>,
    pub(crate) counts: Counts,
}

/// Offsets that a group committed.
#[derive(Debug, Default)]
struct Commits {
    acknowledged: Option<Offset>,
    /// Asked for without an answer, and in which process: what is on its way may come later.
    open: Vec<(Offset, u64)>,
}

/// How much happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records acknowledged.
    pub acknowledged: u64,
    /// Records read and compared.
    pub read: u64,
    /// Transactions committed.
    pub committed: u64,
    /// Records of shared subscriptions accepted.
    pub accepted: u64,
    /// Processes killed.
    pub kills: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Other faults.
    pub faults: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.acknowledged += more.acknowledged;
        self.read += more.read;
        self.committed += more.committed;
        self.accepted += more.accepted;
        self.kills += more.kills;
        self.power_cuts += more.power_cuts;
        self.faults += more.faults;
    }
}

impl Model {
    pub(crate) fn add(&mut self, place: Place, keeps: Keeps) {
        let (written, at, offsets) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        self.partitions.insert(place, Partition { keeps, written, at, offsets, end: 0 });
    }

    pub(crate) fn places(&self) -> Vec<Place> {
        self.partitions.keys().copied().collect()
    }

    pub(crate) fn violation(&mut self, text: String) {
        // The first few say it all.
        if self.violations.len() < 20 {
            self.violations.push(text);
        }
    }

    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }

    /// A client is about to write a value.
    pub(crate) fn writes(
        &mut self,
        place: Place,
        value: u64,
        key: Option<u64>,
        writer: (u64, u64),
        transaction: Option<TxnNumber>,
    ) {
        let written = Written { fate: Fate::Unknown, key, writer, transaction };
        if let Some(partition) = self.partitions.get_mut(&place) {
            partition.written.insert(value, written);
        }
    }

    /// A client was told what became of values that follow each other.
    pub(crate) fn told(&mut self, place: Place, values: &[u64], fate: Fate) {
        for (value, n) in values.iter().zip(0..) {
            let fate = match fate {
                Fate::Stored(base) => Fate::Stored(base + n),
                other => other,
            };
            if let Fate::Stored(offset) = fate {
                self.counts.acknowledged += 1;
                self.found(place, offset, *value);
            }
            let Some(partition) = self.partitions.get_mut(&place) else { continue };
            let Some(written) = partition.written.get_mut(value) else { continue };
            written.fate = fate;
        }
        if matches!(fate, Fate::Refused) {
            let partition = self.partitions.get(&place);
            let seen = partition.and_then(|p| values.iter().find(|v| p.offsets.contains_key(v)));
            if let Some(value) = seen {
                self.violation(format!("{place:?}: value {value} was refused, but had been read"));
            }
        }
    }

    /// A value was found at an offset.
    fn found(&mut self, place: Place, offset: Offset, value: u64) {
        let Some(partition) = self.partitions.get_mut(&place) else { return };
        let mut wrong = None;
        match partition.written.get(&value) {
            None => wrong = Some(format!("value {value} at {offset} was never written")),
            Some(written) if written.fate == Fate::Refused => {
                wrong = Some(format!("value {value} at {offset} was refused"));
            }
            Some(_) => {}
        }
        match partition.at.insert(offset, value) {
            Some(other) if other != value => {
                wrong = Some(format!("offset {offset} had value {other} and now has {value}"));
            }
            _ => {}
        }
        match partition.offsets.insert(value, offset) {
            Some(other) if other != offset => {
                wrong = Some(format!("value {value} is at {other} and at {offset}"));
            }
            _ => {}
        }
        partition.end = partition.end.max(offset + 1);
        if let Some(wrong) = wrong {
            self.violation(format!("{place:?}: {wrong}"));
        }
    }

    /// Where a partition ended at least, when a client asks.
    pub(crate) fn end(&self, place: Place) -> Offset {
        self.partitions.get(&place).map_or(0, |partition| partition.end)
    }

    /// A client has read from an offset; when it asked, the partition was known to end at `known_end`
    /// or later. Where it is to go on.
    pub(crate) fn read(
        &mut self,
        place: Place,
        from: Offset,
        fetched: &Fetched,
        committed: bool,
        known_end: Offset,
    ) -> Offset {
        let read = &fetched.read;
        let mut next = from;
        let Some(partition) = self.partitions.get(&place) else { return from };
        let keeps = partition.keeps;
        if read.end < known_end {
            self.violation(format!("{place:?}: ended at {known_end}, now ends at {}", read.end));
        }
        let mut values = Vec::new();
        for batch in read.batches() {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    self.violation(format!("{place:?}: unreadable after {next}: {error}"));
                    break;
                }
            };
            let header = *batch.header();
            let follows = header.base_offset == next
                || (next == from && header.base_offset < from)
                || (keeps == Keeps::NewestOfKey && header.base_offset > next);
            if !follows {
                let base = header.base_offset;
                self.violation(format!("{place:?}: {next} is followed by {base}"));
            }
            next = header.next_offset();
            if header.is_control() {
                continue;
            }
            let dropped = committed
                && header.is_transactional()
                && fetched.aborted.iter().any(|one| {
                    one.producer == header.producer_id
                        && (one.first..=one.last).contains(&header.base_offset)
                });
            let records = batch.records().map(|all| all.collect::<Result<Vec<_>, _>>());
            let Ok(Ok(records)) = records else {
                self.violation(format!("{place:?}: unreadable records before {next}"));
                break;
            };
            for record in records {
                let value = record.value.as_deref().and_then(|value| value.get(..8));
                let value = value.and_then(|value| value.try_into().ok()).map(u64::from_be_bytes);
                values.push((record.offset, value.unwrap_or(u64::MAX), dropped));
            }
        }
        for (offset, value, dropped) in values {
            self.counts.read += 1;
            self.found(place, offset, value);
            let transaction = self.transaction_of(place, value);
            if let (true, Some(transaction)) = (committed, transaction)
                && let Err(wrong) = self.transactions.seen(transaction, value, !dropped)
            {
                self.violation(format!("{place:?}: value {value} at {offset} {wrong}"));
            }
        }
        next
    }

    fn transaction_of(&self, place: Place, value: u64) -> Option<TxnNumber> {
        self.partitions.get(&place)?.written.get(&value)?.transaction
    }

    /// A client asks to commit an offset.
    pub(crate) fn commits(
        &mut self,
        group: &'static str,
        place: Place,
        offset: Offset,
        process: u64,
    ) {
        self.committed.entry((group, place)).or_default().open.push((offset, process));
    }

    /// A commit was acknowledged.
    pub(crate) fn committed(
        &mut self,
        group: &'static str,
        place: Place,
        offset: Offset,
        process: u64,
    ) {
        let commits = self.committed.entry((group, place)).or_default();
        commits.acknowledged = Some(offset);
        if let Some(answered) = commits.open.iter().position(|(open, _)| *open == offset) {
            commits.open.remove(answered);
        }
        commits.open.retain(|(_, sent)| sent + 1 >= process);
    }

    /// A client was told what is committed.
    pub(crate) fn is_committed(
        &mut self,
        group: &'static str,
        place: Place,
        offset: Option<Offset>,
    ) {
        let commits = self.committed.entry((group, place)).or_default();
        let expected = offset == commits.acknowledged
            || offset.is_some_and(|offset| commits.open.iter().any(|(open, _)| *open == offset));
        let text = format!("{group} {place:?}: committed is {offset:?}, but {commits:?}");
        if expected {
            commits.acknowledged = offset;
        } else {
            self.violation(text);
        }
    }

    /// At the end of a run: what is not as it was promised, besides what is missing.
    pub(crate) fn finish(&mut self, queue: Place, deliveries_max: u64) {
        for wrong in self.transactions.incomplete() {
            self.violation(wrong);
        }
        let Some(partition) = self.partitions.get(&queue) else { return };
        let stays = |offset: &&Offset| !self.shared.is_accounted_for(**offset, deliveries_max);
        let left: Vec<_> = partition.at.keys().filter(stays).copied().collect();
        if !left.is_empty() {
            self.violation(format!("{queue:?}: never delivered: {left:?}"));
        }
    }

    /// Everything was read, from the first offset that there is: what is missing is lost.
    pub(crate) fn complete(&mut self, place: Place, start: Offset, read: &BTreeSet<Offset>) {
        let Some(partition) = self.partitions.get(&place) else { return };
        let mut wrong = Vec::new();
        if partition.keeps != Keeps::End && start > 0 {
            wrong.push(format!("begins at {start}"));
        }
        // Later offsets first: the newest value of each key.
        let mut keys = BTreeSet::new();
        for (offset, value) in partition.at.iter().rev() {
            let written = partition.written.get(value);
            let key = written.and_then(|written| written.key);
            let aborted = written
                .and_then(|written| written.transaction)
                .is_some_and(|transaction| !self.transactions.is_committed(transaction));
            let newest = aborted || key.is_none_or(|key| keys.insert(key));
            let kept = match partition.keeps {
                Keeps::All => true,
                Keeps::NewestOfKey => newest,
                Keeps::End => *offset >= start,
            };
            if kept && !read.contains(offset) {
                wrong.push(format!("value {value} at {offset} is lost"));
            }
        }
        wrong.extend(order_of(partition));
        for wrong in wrong {
            self.violation(format!("{place:?}: {wrong}"));
        }
    }
}

/// What one client wrote stands in the order in which it wrote it.
fn order_of(partition: &Partition) -> Option<String> {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for (offset, value) in &partition.at {
        let Some(written) = partition.written.get(value) else { continue };
        let (writer, number) = written.writer;
        if last.insert(writer, number).is_some_and(|before| before >= number) {
            return Some(format!("value {value} at {offset} is out of its writer's order"));
        }
    }
    None
}
