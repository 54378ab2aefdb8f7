//! One partition of a subscription.

use std::ops::Range;

use base::{Millis, Offset};

use super::runs::{Run, Runs, State};
use super::types::{
    Acknowledgement, Acquired, Disposition, Position, Region, SharedError, Span, Take, Terms, Why,
};
use crate::Name;

/// More pieces to write than this are written as one that spans them.
const TOUCHED_MAX: usize = 64;

/// A partition's state. Offsets before `start` are done; those from `end` on were never acquired.
#[derive(Debug, Default)]
pub(super) struct Partition {
    pub(super) runs: Runs,
    pub(super) start: Offset,
    pub(super) end: Offset,
    /// What has changed since the last write, as ranges of offsets.
    touched: Vec<(Offset, Offset)>,
    /// The start offset of the last write.
    written_start: Offset,
    /// The next write writes everything: the last one failed, or there was none.
    pub(super) whole: bool,
    /// Its first write is durable: consumers may have records.
    pub(super) open: bool,
    pub(super) terms: Terms,
    /// Somebody reads the log for it; others would read the same.
    pub(super) reading: bool,
    /// Others wanted to, meanwhile.
    pub(super) contended: bool,
    /// No lease is over before this.
    pub(super) expires: Option<Millis>,
}

/// What is written of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delta {
    /// It stands for itself, whatever was there before.
    pub(crate) whole: bool,
    pub(crate) start: Offset,
    pub(crate) runs: Vec<Run>,
}

/// What came of an input.
#[derive(Debug, Default)]
pub(super) struct Effect {
    /// Records that are dead now.
    pub(super) dead: Vec<(Offset, Offset, Why, u16)>,
    /// Somebody who waits for records may find some.
    pub(super) wake: bool,
}

impl Partition {
    pub(super) fn new(start: Offset) -> Self {
        Self { start, end: start, written_start: start, whole: true, ..Self::default() }
    }

    /// Where to read, of what lies at `from` or behind it: the first records that came back, or else new ones as far as
    /// the window goes.
    pub(super) fn region(&self, from: Offset) -> Option<Region> {
        let is_available = |state: &State| matches!(state, State::Available(_));
        let runs = self.runs.within(from, Offset::MAX);
        let mut runs = runs.skip_while(|(_, _, state)| !is_available(state));
        let Some((first, mut last, _)) = runs.next() else {
            let new = self.end.max(from)..self.window_end();
            return (!new.is_empty()).then_some(Region { offsets: new });
        };
        for (_, end, _) in runs.take_while(|(_, _, state)| is_available(state)) {
            last = end;
        }
        let next = if last + 1 == self.end { self.window_end().max(self.end) } else { last + 1 };
        Some(Region { offsets: first..next })
    }

    fn window_end(&self) -> Offset {
        self.start.saturating_add(i64::from(self.terms.window_max))
    }

    /// A consumer takes what it can have of some batches. Returns what it got.
    pub(super) fn acquire(
        &mut self,
        holder: &Name,
        span: &Span,
        take: Take,
        now: Millis,
    ) -> Vec<Acquired> {
        let until = now.saturating_add(self.terms.lease);
        let mut got: Vec<Acquired> = Vec::new();
        let mut count = 0;
        let mut next = span.covered.start;
        for batch in &span.batches {
            self.skip(next, batch.start - 1);
            next = batch.end;
            if count >= take.records_max {
                continue;
            }
            let room = if take.strict { take.records_max - count } else { usize::MAX };
            count += self.acquire_in(holder, batch, room, until, &mut got);
        }
        // What was left because of the limit is in a batch; behind the last one nothing is known.
        self.skip(next, span.covered.end - 1);
        if count > 0 {
            self.expires = Some(self.expires.map_or(until, |at| at.min(until)));
        }
        self.advance();
        got
    }

    fn acquire_in(
        &mut self,
        holder: &Name,
        batch: &Range<Offset>,
        room: usize,
        until: Millis,
        got: &mut Vec<Acquired>,
    ) -> usize {
        let mut free: Vec<(Offset, Offset, u16)> = Vec::new();
        for (first, last, state) in self.runs.within(batch.start, batch.end - 1) {
            if let State::Available(deliveries) = state {
                free.push((first, last, *deliveries));
            }
        }
        let new_to = batch.end.min(self.window_end()) - 1;
        if batch.start <= self.end && self.end <= new_to {
            free.push((self.end, new_to, 0));
        }
        let mut count = 0;
        for (first, last, before) in free {
            let left = i64::try_from(room - count).unwrap_or(i64::MAX);
            if left == 0 {
                break;
            }
            let last = last.min(first.saturating_add(left - 1));
            let deliveries = before.saturating_add(1);
            let state = State::Acquired { holder: holder.clone(), until, deliveries };
            if first == self.end {
                self.runs.push(first, last, state);
                self.end = last + 1;
            } else {
                self.runs.change(first, last, |_| Some(state.clone()));
            }
            self.touch(first, last);
            count += usize::try_from(last - first + 1).unwrap_or(0);
            match got.last_mut() {
                Some(run) if run.last == first - 1 && run.deliveries == deliveries => {
                    run.last = last;
                }
                _ => got.push(Acquired { first, last, deliveries }),
            }
        }
        count
    }

    /// These offsets have no records that anybody could get.
    pub(super) fn skip(&mut self, first: Offset, last: Offset) {
        let first = first.max(self.start);
        if first > last {
            return;
        }
        let free = |state: &State| {
            matches!(state, State::Available(_) | State::Delayed { .. }).then_some(State::Done)
        };
        let changed = self.runs.change(first, last.min(self.end - 1), free);
        for run in changed {
            self.touch(run.first, run.last);
        }
        if first <= self.end && last >= self.end {
            self.runs.push(self.end, last, State::Done);
            self.touch(self.end, last);
            self.end = last + 1;
        }
        self.advance();
    }

    /// The log begins at `start` now.
    pub(super) fn trim(&mut self, start: Offset) {
        if start > self.start {
            self.runs.trim(start);
            self.start = start;
            self.end = self.end.max(start);
            self.advance();
        }
    }

    /// Whether a consumer may say this. What lies before the start offset is done anyhow.
    pub(super) fn check(
        &self,
        holder: &Name,
        acknowledgements: &[Acknowledgement],
    ) -> Result<(), SharedError> {
        let mut next = 0;
        for one in acknowledgements {
            if one.first < next || one.last < one.first || one.last == Offset::MAX {
                return Err(SharedError::InvalidOffsets);
            }
            next = one.last + 1;
            if one.last < self.start {
                continue;
            }
            let held =
                |state: &State| matches!(state, State::Acquired { holder: h, .. } if h == holder);
            let first = one.first.max(self.start);
            let all = self.runs.within(first, one.last).all(|(_, _, state)| held(state));
            if !all || one.last >= self.end {
                return Err(SharedError::NotHeld);
            }
        }
        Ok(())
    }

    /// A consumer says what becomes of records that it holds, which was checked.
    pub(super) fn acknowledge(
        &mut self,
        acknowledgements: &[Acknowledgement],
        now: Millis,
    ) -> Effect {
        let terms = self.terms;
        let mut effect = Effect::default();
        let full = self.is_full();
        for one in acknowledgements {
            let to = |state: &State| {
                let State::Acquired { holder, deliveries, .. } = state else { return None };
                Some(match one.disposition {
                    Disposition::Accept | Disposition::Gap => State::Done,
                    Disposition::Release => released(*deliveries, terms),
                    Disposition::Reject => dead(Why::Rejected, *deliveries, terms),
                    Disposition::Renew => State::Acquired {
                        holder: holder.clone(),
                        until: now.saturating_add(terms.lease),
                        deliveries: *deliveries,
                    },
                })
            };
            let changed = self.runs.change(one.first.max(self.start), one.last, to);
            self.note(changed, &mut effect);
        }
        self.advance();
        effect.wake |= full && !self.is_full();
        effect
    }

    /// A consumer is gone: what it has comes back. Uncounted: it has not looked at it.
    pub(super) fn give_back(&mut self, holder: &Name, counted: bool) -> Effect {
        let terms = self.terms;
        self.take_back(|state| match state {
            State::Acquired { holder: one, deliveries, .. } if one == holder => {
                Some(match counted {
                    true => released(*deliveries, terms),
                    false => State::Available(deliveries.saturating_sub(1)),
                })
            }
            _ => None,
        })
    }

    /// Leases that are over come back.
    pub(super) fn expire(&mut self, now: Millis) -> Effect {
        let terms = self.terms;
        let effect = self.take_back(|state| match state {
            State::Acquired { until, deliveries, .. } if *until <= now => {
                Some(released(*deliveries, terms))
            }
            _ => None,
        });
        let leases = self.runs.iter().filter_map(|(_, _, state)| match state {
            State::Acquired { until, .. } => Some(*until),
            _ => None,
        });
        self.expires = leases.min();
        effect
    }

    fn take_back(&mut self, to: impl FnMut(&State) -> Option<State>) -> Effect {
        let mut effect = Effect::default();
        let changed = self.runs.change(self.start, self.end - 1, to);
        self.note(changed, &mut effect);
        self.advance();
        effect
    }

    /// Dead letters are where they belong.
    pub(super) fn buried(&mut self, first: Offset, last: Offset) {
        let full = |state: &State| matches!(state, State::Dead(..)).then_some(State::Done);
        for run in self.runs.change(first.max(self.start), last.min(self.end - 1), full) {
            self.touch(run.first, run.last);
        }
        self.advance();
    }

    pub(super) fn dead(&self) -> impl Iterator<Item = (Offset, Offset, Why, u16)> {
        self.runs.iter().filter_map(|(first, last, state)| match state {
            State::Dead(why, deliveries) => Some((first, last, *why, *deliveries)),
            _ => None,
        })
    }

    /// Nothing new can be acquired before something is done.
    pub(super) fn is_full(&self) -> bool {
        self.end >= self.window_end()
    }

    fn note(&mut self, changed: Vec<Run>, effect: &mut Effect) {
        for run in changed {
            match run.state {
                // A lease is not written.
                State::Acquired { until, .. } => {
                    self.expires = Some(self.expires.map_or(until, |at| at.min(until)));
                    continue;
                }
                State::Available(_) => effect.wake = true,
                State::Dead(why, deliveries) => {
                    effect.dead.push((run.first, run.last, why, deliveries));
                }
                State::Done | State::Delayed { .. } => {}
            }
            self.touch(run.first, run.last);
        }
    }

    /// The start offset moves over what is done.
    pub(super) fn advance(&mut self) {
        let mut start = self.start;
        while let Some((first, last, State::Done)) = self.runs.first()
            && first == start
        {
            start = last + 1;
            self.runs.trim(start);
        }
        self.start = start;
    }

    pub(super) fn touch(&mut self, first: Offset, last: Offset) {
        if first > last {
            return;
        }
        // Most of what is touched follows, or is, what was touched last.
        if let Some(before) = self.touched.last_mut()
            && first <= before.1 + 1
            && last >= before.0 - 1
        {
            *before = (before.0.min(first), before.1.max(last));
            return;
        }
        self.touched.push((first, last));
        if self.touched.len() > TOUCHED_MAX {
            let from = self.touched.iter().map(|(first, _)| *first).min().unwrap_or(first);
            let to = self.touched.iter().map(|(_, last)| *last).max().unwrap_or(last);
            self.touched = vec![(from, to)];
        }
    }

    /// Whether there is anything to write.
    pub(super) fn is_changed(&self) -> bool {
        self.whole || !self.touched.is_empty() || self.start != self.written_start
    }

    /// What to write now. It counts as written.
    pub(super) fn take_delta(&mut self) -> Delta {
        let mut touched = std::mem::take(&mut self.touched);
        let whole = std::mem::take(&mut self.whole);
        self.written_start = self.start;
        if whole {
            return self.all();
        }
        touched.sort_unstable();
        let mut runs = Vec::new();
        let mut next = self.start;
        for (first, last) in touched {
            let parts = self.runs.within(first.max(next), last.min(self.end - 1));
            runs.extend(parts.map(|(first, last, state)| stored(first, last, state)));
            next = next.max(last + 1);
        }
        Delta { whole: false, start: self.start, runs }
    }

    /// All that there is to write.
    pub(super) fn all(&self) -> Delta {
        let runs = self.runs.iter().map(|(first, last, state)| stored(first, last, state));
        Delta { whole: true, start: self.start, runs: runs.collect() }
    }

    /// Takes over what was written. Deltas may repeat what is known already.
    pub(super) fn restore(&mut self, delta: Delta) {
        if delta.whole {
            *self = Self { terms: self.terms, ..Self::new(delta.start) };
        }
        for Run { first, last, state } in delta.runs {
            let first = first.max(self.start);
            if first > last {
                continue;
            }
            if first > self.end {
                // Acquired before, and never written: a crash came first.
                self.runs.push(self.end, first - 1, State::Available(0));
                self.end = first;
            }
            self.runs.change(first, last.min(self.end - 1), |_| Some(state.clone()));
            if last >= self.end {
                self.runs.push(self.end, last, state);
                self.end = last + 1;
            }
        }
        self.trim(delta.start);
        self.advance();
        self.whole = false;
        self.open = true;
        self.written_start = self.start;
    }

    pub(super) fn position(&self) -> Position {
        let (mut done, mut acquired) = (0, 0);
        for (first, last, state) in self.runs.iter() {
            let count = (last - first + 1).cast_unsigned();
            match state {
                State::Done => done += count,
                State::Acquired { .. } => acquired += count,
                State::Available(_) | State::Delayed { .. } | State::Dead(..) => {}
            }
        }
        Position { start: self.start, end: self.end, done, acquired, runs: self.runs.len() }
    }
}

/// As a restart is to find it: leases end with the broker, the delivery counts.
fn stored(first: Offset, last: Offset, state: &State) -> Run {
    let state = match state {
        State::Acquired { deliveries, .. } => State::Available(*deliveries),
        state => state.clone(),
    };
    Run { first, last, state }
}

fn released(deliveries: u16, terms: Terms) -> State {
    if deliveries < terms.deliveries_max {
        State::Available(deliveries)
    } else {
        dead(Why::TooManyDeliveries, deliveries, terms)
    }
}

fn dead(why: Why, deliveries: u16, terms: Terms) -> State {
    if terms.dead_letters { State::Dead(why, deliveries) } else { State::Done }
}
