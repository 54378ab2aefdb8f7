//! Which record is in which state, as runs of records that share it.

use std::collections::BTreeMap;

use base::{Millis, Offset};

use super::types::Why;
use crate::Name;

/// What has become of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Anybody may have it; it was delivered so many times.
    Available(u16),
    /// Somebody has it.
    Acquired {
        /// Who.
        holder: Name,
        /// Until when.
        until: Millis,
        /// How many times it was delivered, this one included.
        deliveries: u16,
    },
    /// Anybody may have it from then on.
    Delayed {
        /// From when on.
        until: Millis,
        /// How many times it was delivered.
        deliveries: u16,
    },
    /// Nobody gets it any more, and its copy is not yet where dead letters go.
    Dead(Why, u16),
    /// Nobody gets it any more.
    Done,
}

/// Records that share a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: Offset,
    pub(crate) last: Offset,
    pub(crate) state: State,
}

/// The runs of a window, without holes and in order. Neighbours differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Runs {
    by_first: BTreeMap<Offset, (Offset, State)>,
}

impl Runs {
    pub(super) fn len(&self) -> usize {
        self.by_first.len()
    }

    /// All runs, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Offset, Offset, &State)> {
        self.by_first.iter().map(|(first, (last, state))| (*first, *last, state))
    }

    /// The parts of runs within these bounds.
    pub(super) fn within(
        &self,
        first: Offset,
        last: Offset,
    ) -> impl Iterator<Item = (Offset, Offset, &State)> {
        let from = self.by_first.range(..=first).next_back().map_or(first, |(at, _)| *at);
        let runs = self.by_first.range(from..).take_while(move |(at, _)| **at <= last);
        let parts = runs.map(move |(at, (end, state))| ((*at).max(first), (*end).min(last), state));
        parts.filter(|(from, to, _)| from <= to)
    }

    /// The first run.
    pub(super) fn first(&self) -> Option<(Offset, Offset, &State)> {
        self.iter().next()
    }

    /// Adds a run behind the last one.
    pub(super) fn push(&mut self, first: Offset, last: Offset, state: State) {
        if first > last {
            return;
        }
        if let Some(mut before) = self.by_first.last_entry()
            && before.get().0 == first - 1
            && before.get().1 == state
        {
            before.get_mut().0 = last;
            return;
        }
        self.by_first.insert(first, (last, state));
    }

    /// Forgets everything before `start`.
    pub(super) fn trim(&mut self, start: Offset) {
        self.split(start);
        self.by_first = self.by_first.split_off(&start);
    }

    /// Changes the records within these bounds; `None` leaves a run as it is. Returns what changed.
    pub(super) fn change(
        &mut self,
        first: Offset,
        last: Offset,
        mut to: impl FnMut(&State) -> Option<State>,
    ) -> Vec<Run> {
        self.change_runs(first, last, |_, state| to(state))
    }

    /// As [`Self::change`]; told how many records each run has.
    pub(super) fn change_runs(
        &mut self,
        first: Offset,
        last: Offset,
        mut to: impl FnMut(u64, &State) -> Option<State>,
    ) -> Vec<Run> {
        if first > last {
            return Vec::new();
        }
        self.split(first);
        self.split(last + 1);
        let mut changed = Vec::new();
        for (at, (end, state)) in self.by_first.range_mut(first..=last) {
            if let Some(new) = to((*end - *at + 1).cast_unsigned(), state)
                && new != *state
            {
                *state = new;
                changed.push(Run { first: *at, last: *end, state: state.clone() });
            }
        }
        self.join(first, last);
        changed
    }

    /// Makes `at` the first offset of a run, if it is inside of one.
    fn split(&mut self, at: Offset) {
        let Some((_, (last, state))) = self.by_first.range_mut(..at).next_back() else { return };
        if *last < at {
            return;
        }
        let rest = (*last, state.clone());
        *last = at - 1;
        self.by_first.insert(at, rest);
    }

    /// Joins neighbours that have become alike, within these bounds and at them.
    fn join(&mut self, first: Offset, last: Offset) {
        let from = self.by_first.range(..first).next_back().map_or(first, |(at, _)| *at);
        let until = last.saturating_add(1);
        let mut keys = self.by_first.range(from..=until).map(|(at, _)| *at).collect::<Vec<_>>();
        let mut kept = None;
        for at in keys.drain(..) {
            let Some((end, state)) = self.by_first.get(&at) else { continue };
            let end = *end;
            if let Some(before) = kept
                && self.by_first.get(&before).is_some_and(|(_, other)| other == state)
            {
                self.by_first.remove(&at);
                if let Some((last, _)) = self.by_first.get_mut(&before) {
                    *last = end;
                }
            } else {
                kept = Some(at);
            }
        }
    }
}

#[cfg(test)]
impl Runs {
    /// Whether the runs cover the window without a hole, and neighbours differ.
    pub(super) fn check(&self, start: Offset, end: Offset) {
        let mut next = start;
        let mut before: Option<&State> = None;
        for (first, last, state) in self.iter() {
            assert_eq!(first, next, "a hole or an overlap in {self:?}");
            assert!(last >= first, "an empty run in {self:?}");
            assert_ne!(before, Some(state), "neighbours alike in {self:?}");
            next = last + 1;
            before = Some(state);
        }
        assert_eq!(next, end, "the window's end in {self:?}");
    }
}
