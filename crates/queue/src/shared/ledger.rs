//! A partition by itself, for a queue that owns it.

use std::collections::BTreeMap;

use base::{Millis, Offset};

use super::partition::Partition;
use super::runs::State;
use super::store;
use super::types::{PartitionKey, Terms, Why};
use crate::Name;
use crate::record::{Record, RecordError};

/// Which records of one partition are available, acquired, or done. See [the module](super).
#[derive(Debug)]
pub struct Ledger {
    partition: Partition,
    /// Who has what is acquired is for the owner to know.
    nobody: Name,
    counts: Counts,
    /// Nothing that is delayed is available before.
    ripe_at: Option<Millis>,
}

/// Records between start and end.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    available: u64,
    acquired: u64,
    delayed: u64,
    dead: u64,
}

impl Counts {
    fn of(&mut self, state: &State) -> Option<&mut u64> {
        match state {
            State::Available(_) => Some(&mut self.available),
            State::Acquired { .. } => Some(&mut self.acquired),
            State::Delayed { .. } => Some(&mut self.delayed),
            State::Dead(..) => Some(&mut self.dead),
            State::Done => None,
        }
    }

    fn add(&mut self, state: &State, count: u64) {
        if let Some(of) = self.of(state) {
            *of += count;
        }
    }

    fn subtract(&mut self, state: &State, count: u64) {
        if let Some(of) = self.of(state) {
            *of = of.saturating_sub(count);
        }
    }
}

/// How records come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Returned {
    /// That they were delivered counts.
    pub counted: bool,
    /// Available from then on; `None`: at once.
    pub until: Option<Millis>,
    /// What was delivered more often than this is dead.
    pub deliveries_max: Option<u32>,
}

impl Ledger {
    /// Of a partition from this offset on.
    pub fn new(start: Offset) -> Self {
        Self::of(Partition::new(start.max(0)))
    }

    fn of(partition: Partition) -> Self {
        let mut ledger =
            Self { partition, nobody: Name::from(""), counts: Counts::default(), ripe_at: None };
        ledger.partition.terms = Terms { window_max: u32::MAX, ..Terms::default() };
        let mut counts = Counts::default();
        for (first, last, state) in ledger.partition.runs.iter() {
            counts.add(state, (last - first + 1).cast_unsigned());
        }
        ledger.counts = counts;
        ledger.look_for_ripe();
        ledger
    }

    /// All before this is done.
    pub fn start(&self) -> Offset {
        self.partition.start
    }

    /// All from here on was never acquired.
    pub fn end(&self) -> Offset {
        self.partition.end
    }

    /// Records before the end that are available.
    pub fn available(&self) -> u64 {
        self.counts.available
    }

    /// Records that are acquired.
    pub fn acquired(&self) -> u64 {
        self.counts.acquired
    }

    /// Records that are available later.
    pub fn delayed(&self) -> u64 {
        self.counts.delayed
    }

    /// The first records from an offset on that are available, as far as they follow each other: what is behind the end
    /// is. The last one is exclusive.
    pub fn next_available(&self, from: Offset) -> (Offset, Offset) {
        let Partition { runs, start, end, .. } = &self.partition;
        let from = from.max(*start);
        if from >= *end {
            return (from, Offset::MAX);
        }
        let available = |state: &State| matches!(state, State::Available(_));
        let mut found: Option<(Offset, Offset)> = None;
        for (first, last, state) in runs.within(from, *end - 1) {
            match (&mut found, available(state)) {
                (None, true) => found = Some((first, last + 1)),
                (Some((_, next)), true) => *next = last + 1,
                (Some(_), false) => break,
                (None, false) => {}
            }
        }
        match found {
            None => (*end, Offset::MAX),
            Some((first, next)) if next == *end => (first, Offset::MAX),
            Some(found) => found,
        }
    }

    /// Whether a record is available.
    pub fn is_available(&self, at: Offset) -> bool {
        match self.state(at) {
            _ if at < self.partition.start => false,
            None => at >= self.partition.end,
            Some(state) => matches!(state, State::Available(_)),
        }
    }

    /// How often a record was delivered.
    pub fn deliveries(&self, at: Offset) -> u16 {
        match self.state(at) {
            Some(
                State::Available(deliveries)
                | State::Acquired { deliveries, .. }
                | State::Delayed { deliveries, .. }
                | State::Dead(_, deliveries),
            ) => *deliveries,
            Some(State::Done) | None => 0,
        }
    }

    fn state(&self, at: Offset) -> Option<&State> {
        let mut of = self.partition.runs.within(at, at);
        of.next().map(|(_, _, state)| state)
    }

    /// Acquires records that are available: all between, both included.
    pub fn acquire(&mut self, first: Offset, last: Offset) {
        let nobody = self.nobody.clone();
        let acquired = move |deliveries: u16| State::Acquired {
            holder: nobody.clone(),
            until: Millis::MAX,
            deliveries: deliveries.saturating_add(1),
        };
        let end = self.reach(first);
        if last >= end {
            let first = first.max(end);
            self.partition.runs.push(first, last, acquired(0));
            self.counts.acquired += (last - first + 1).cast_unsigned();
            self.partition.end = last + 1;
            self.partition.touch(first, last);
        }
        self.change(first, last.min(end - 1), |state| match state {
            State::Available(deliveries) => Some(acquired(*deliveries)),
            _ => None,
        });
    }

    /// What is before an offset is inside of the window, available. Returns the window's end.
    fn reach(&mut self, first: Offset) -> Offset {
        let end = self.partition.end;
        if first > end {
            self.partition.runs.push(end, first - 1, State::Available(0));
            self.counts.available += (first - end).cast_unsigned();
            self.partition.end = first;
            self.partition.touch(end, first - 1);
        }
        self.partition.end
    }

    /// Nobody needs these any more, whatever they were.
    pub fn finish(&mut self, first: Offset, last: Offset) {
        let end = self.reach(first);
        self.partition.skip(first.max(end), last);
        self.change(first, last.min(end - 1), |_| Some(State::Done));
        self.partition.advance();
    }

    /// Records that are acquired come back. Returns those that are dead now: they were delivered too often.
    pub fn give_back(
        &mut self,
        first: Offset,
        last: Offset,
        how: Returned,
    ) -> Vec<(Offset, Offset)> {
        let mut ripe_at = self.ripe_at;
        let changed = self.change(first, last, |state| {
            let State::Acquired { deliveries, .. } = state else { return None };
            let deliveries = if how.counted { *deliveries } else { deliveries.saturating_sub(1) };
            if how.deliveries_max.is_some_and(|most| u32::from(deliveries) > most) {
                return Some(State::Dead(Why::TooManyDeliveries, deliveries));
            }
            Some(match how.until {
                None => State::Available(deliveries),
                Some(until) => {
                    ripe_at = Some(ripe_at.map_or(until, |at| at.min(until)));
                    State::Delayed { until, deliveries }
                }
            })
        });
        self.ripe_at = ripe_at;
        let dead = changed.into_iter().filter(|(_, _, state)| matches!(state, State::Dead(..)));
        dead.map(|(first, last, _)| (first, last)).collect()
    }

    /// Records are dead: nobody gets them, but they are there until [`Self::finish`] says where they went.
    pub fn kill(&mut self, first: Offset, last: Offset, why: Why) {
        let end = self.reach(first);
        if last >= end {
            let first = first.max(end);
            self.partition.runs.push(first, last, State::Dead(why, 0));
            self.counts.dead += (last - first + 1).cast_unsigned();
            self.partition.end = last + 1;
            self.partition.touch(first, last);
        }
        self.change(first, last.min(end - 1), |state| match state {
            State::Available(deliveries)
            | State::Acquired { deliveries, .. }
            | State::Delayed { deliveries, .. } => Some(State::Dead(why, *deliveries)),
            State::Done | State::Dead(..) => None,
        });
    }

    /// Whether anything is dead.
    pub fn has_dead(&self) -> bool {
        self.counts.dead > 0
    }

    /// What is dead.
    pub fn dead(&self) -> impl Iterator<Item = (Offset, Offset, Why, u16)> {
        self.partition.dead()
    }

    /// The log begins here now.
    pub fn trim(&mut self, start: Offset) {
        if start > self.partition.start {
            self.change(self.partition.start, start - 1, |_| Some(State::Done));
            self.partition.trim(start);
        }
    }

    /// Makes available what was delayed until now; whether there was any.
    pub fn ripen(&mut self, now: Millis) -> bool {
        if self.ripe_at.is_none_or(|at| at > now) {
            return false;
        }
        let Partition { start, end, .. } = self.partition;
        let changed = self.change(start, end - 1, |state| match state {
            State::Delayed { until, deliveries } if *until <= now => {
                Some(State::Available(*deliveries))
            }
            _ => None,
        });
        self.look_for_ripe();
        !changed.is_empty()
    }

    /// When to call [`Self::ripen`] next.
    pub fn ripe_at(&self) -> Option<Millis> {
        self.ripe_at
    }

    fn look_for_ripe(&mut self) {
        let delayed = self.partition.runs.iter().filter_map(|(_, _, state)| match state {
            State::Delayed { until, .. } => Some(*until),
            _ => None,
        });
        self.ripe_at = delayed.min();
    }

    fn change(
        &mut self,
        first: Offset,
        last: Offset,
        mut to: impl FnMut(&State) -> Option<State>,
    ) -> Vec<(Offset, Offset, State)> {
        let mut counts = self.counts;
        let first = first.max(self.partition.start);
        let last = last.min(self.partition.end - 1);
        let changed = self.partition.runs.change_runs(first, last, |count, state| {
            let new = to(state)?;
            counts.subtract(state, count);
            counts.add(&new, count);
            Some(new)
        });
        self.counts = counts;
        changed.iter().for_each(|run| self.partition.touch(run.first, run.last));
        changed.into_iter().map(|run| (run.first, run.last, run.state)).collect()
    }

    /// How many runs its state takes.
    pub fn runs(&self) -> usize {
        self.partition.runs.len()
    }

    /// Whether there is anything to write.
    pub fn is_changed(&self) -> bool {
        self.partition.is_changed()
    }

    /// What to write now, after all that was taken before. It counts as written.
    pub fn take_delta(&mut self, key: &PartitionKey) -> Record {
        store::record(key, &self.partition.take_delta())
    }

    /// All of it, in place of what was written before. It counts as written.
    pub fn take_all(&mut self, key: &PartitionKey) -> Record {
        self.partition.whole = true;
        self.take_delta(key)
    }

    /// What was taken was not written: the next is the whole state.
    pub fn not_written(&mut self) {
        self.partition.whole = true;
    }

    /// What says that there is no such ledger any more.
    pub fn tombstone(key: &PartitionKey) -> Record {
        store::tombstone(key)
    }
}

/// Ledgers as they are read back.
#[derive(Debug, Default)]
pub struct Ledgers(BTreeMap<PartitionKey, Partition>);

impl Ledgers {
    /// Takes over one record, in order. Returns whether the key is one of a ledger.
    ///
    /// # Errors
    /// When the record is damaged, or of a newer version; nothing has changed then.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<bool, RecordError> {
        let Some((key, whole)) = store::decode_key(key)? else { return Ok(false) };
        match value.filter(|value| !value.is_empty()) {
            None => drop(self.0.remove(&key)),
            Some(value) => {
                let delta = store::decode(value, whole)?;
                if whole {
                    self.0.insert(key.clone(), Partition::default());
                }
                if let Some(partition) = self.0.get_mut(&key) {
                    partition.restore(delta);
                }
            }
        }
        Ok(true)
    }

    /// The ledger of this key, if there was one.
    pub fn take(&mut self, key: &PartitionKey) -> Option<Ledger> {
        self.0.remove(key).map(Ledger::of)
    }

    /// Those that nobody took.
    pub fn keys(&self) -> impl Iterator<Item = &PartitionKey> {
        self.0.keys()
    }
}
