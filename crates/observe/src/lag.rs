//! How far a consumer is behind, in messages and in time; and whether that is because one partition gets most of what comes.
//!
//! What is to be known is how long ago the first message came that a consumer has not taken. To read that message would cost a
//! read from disk for each consumer; instead it is noted, each second, where logs end, and looked up when the log ended
//! at the consumer's position.

use std::collections::VecDeque;

use base::{Millis, Offset};

/// Points that are kept for a log. When there are more, of the older ones every other is forgotten: what is far back is known
/// less exactly.
const POINTS_MAX: usize = 256;

/// When a log ended where.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    points: VecDeque<(Millis, Offset)>,
    /// The last time that it was looked at.
    seen: Option<Millis>,
}

/// How far behind in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behind {
    /// By so many milliseconds; 0: not at all.
    Exactly(Millis),
    /// By more than this: the log was not watched before.
    AtLeast(Millis),
}

impl Behind {
    /// In milliseconds, or the least that it can be.
    pub fn millis(self) -> Millis {
        match self {
            Self::Exactly(millis) | Self::AtLeast(millis) => millis,
        }
    }
}

impl Ends {
    /// The log ends here now.
    pub fn note(&mut self, now: Millis, end: Offset) {
        let seen = self.seen.replace(now);
        match self.points.back_mut() {
            // A clock that was set back; or a log that was made anew.
            Some((at, last)) if *at > now || *last > end => {
                self.points.clear();
                self.points.push_back((now, end));
            }
            Some((_, last)) if *last == end => {}
            Some((at, last)) => {
                // It stood still until it was looked at last: what came is newer than that.
                let still = seen.filter(|seen| *seen > *at).map(|seen| (seen, *last));
                self.points.extend(still);
                self.points.push_back((now, end));
            }
            None => self.points.push_back((now, end)),
        }
        if self.points.len() > POINTS_MAX {
            self.thin();
        }
    }

    fn thin(&mut self) {
        let half = self.points.len() / 2;
        let mut number = 0;
        self.points.retain(|_| {
            number += 1;
            number > half || number % 2 == 1
        });
    }

    /// Where the log ended then; `None`: it was not watched yet.
    pub fn at(&self, then: Millis) -> Option<Offset> {
        let after = self.points.partition_point(|(at, _)| *at <= then);
        let (from_at, from) = after.checked_sub(1).and_then(|at| self.points.get(at)).copied()?;
        let Some((to_at, to)) = self.points.get(after).copied() else { return Some(from) };
        let part = i128::from(then - from_at) * i128::from(to - from);
        let more = part / i128::from(to_at - from_at).max(1);
        Some(from + Offset::try_from(more).unwrap_or(0))
    }

    /// How long ago the message at `position` came, for a consumer whose next message that is.
    pub fn behind(&self, position: Offset, now: Millis) -> Option<Behind> {
        let (_, end) = *self.points.back()?;
        if position >= end {
            return Some(Behind::Exactly(0));
        }
        let (first_at, first) = *self.points.front()?;
        if position < first {
            return Some(Behind::AtLeast((now - first_at).max(0)));
        }
        // The first point behind the position: the message came between that one and the one before it.
        let after = self.points.partition_point(|(_, end)| *end <= position);
        let (to_at, to) = *self.points.get(after)?;
        let (from_at, from) = after.checked_sub(1).and_then(|at| self.points.get(at)).copied()?;
        let span = i128::from(to - from).max(1);
        let into = i128::from(to_at - from_at) * i128::from(position - from) / span;
        let came = from_at + Millis::try_from(into).unwrap_or(0);
        Some(Behind::Exactly((now - came).max(0)))
    }
}

/// Whether a consumer goes on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Where it was, and since which second.
    since: Option<((Offset, u64), u64)>,
}

impl Progress {
    /// In this second it is here, with messages to take or without: for how many seconds it has had some and not gone on.
    /// Seconds are of a clock that is never set. `position` is what is committed, and how many records are done behind that.
    pub fn note(&mut self, second: u64, position: (Offset, u64), waits: bool) -> u64 {
        match self.since.filter(|(was, _)| *was == position && waits) {
            Some((_, since)) => second.saturating_sub(since),
            None => {
                self.since = Some((position, second));
                0
            }
        }
    }
}

/// Fewer partitions have no peers to be compared with.
const PEERS_MIN: usize = 4;
/// Fewer messages say nothing of how they are shared out.
const CAME_MIN: i64 = 1000;
/// So many times what the middle one of all gets is much …
const TIMES: i64 = 4;
/// … where it is further from that than so many times as far as half of all are: the median absolute deviation, whose part in
/// the standard deviation of what is normal is 0.67.
const DEVIATIONS: i64 = 9;

/// A partition that gets much more of what comes than its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hot {
    /// Which of them, from 0.
    pub index: usize,
    /// Hundredths of what came to all.
    pub percent: i64,
    /// Hundredths that the middle one of all got.
    pub usual_percent: i64,
}

/// The middle one.
fn middle(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

impl Hot {
    /// Looks for one, by what came to each in the same time.
    pub fn of(came: &[i64]) -> Option<Self> {
        let all: i64 = came.iter().sum();
        let (index, most) = came.iter().copied().enumerate().max_by_key(|(_, came)| *came)?;
        if came.len() < PEERS_MIN || all < CAME_MIN {
            return None;
        }
        let usual = middle(came.to_vec());
        let deviation = middle(came.iter().map(|one| (one - usual).abs()).collect());
        let is_hot = most >= usual.saturating_mul(TIMES)
            && most - usual > deviation.saturating_mul(DEVIATIONS);
        let percent = |part: i64| part.saturating_mul(100) / all;
        is_hot.then(|| Self { index, percent: percent(most), usual_percent: percent(usual) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_has_taken_all_is_not_behind_however_old_that_is() {
        let mut ends = Ends::default();
        assert_eq!(ends.behind(0, 0), None, "nothing is known yet");
        ends.note(1000, 10);
        assert_eq!(ends.behind(10, 900_000), Some(Behind::Exactly(0)));
        assert_eq!(ends.behind(5, 61_000), Some(Behind::AtLeast(60_000)));
    }

    #[test]
    fn who_has_nothing_to_do_does_not_stand_still() {
        let mut progress = Progress::default();
        assert_eq!(progress.note(100, (5, 0), false), 0);
        assert_eq!(progress.note(200, (5, 0), false), 0);
        assert_eq!(progress.note(201, (5, 0), true), 1);
        assert_eq!(progress.note(230, (5, 0), true), 30);
        assert_eq!(progress.note(231, (5, 1), true), 0, "one is done behind the first");
        assert_eq!(progress.note(240, (5, 1), true), 9);
        assert_eq!(progress.note(241, (4, 0), true), 0, "it was set back");
    }

    #[test]
    fn a_message_after_a_long_silence_is_new() {
        let mut ends = Ends::default();
        for second in 0..1000 {
            ends.note(second * 1000, 10);
        }
        ends.note(1_000_000, 11);
        let Some(Behind::Exactly(behind)) = ends.behind(10, 1_000_000) else { panic!() };
        assert!(behind <= 1000, "{behind}");
    }

    #[test]
    fn where_a_log_ended_is_known_as_far_as_it_was_watched() {
        let mut ends = Ends::default();
        assert_eq!(ends.at(0), None);
        for (now, end) in [(1000, 10), (2000, 10), (3000, 30)] {
            ends.note(now, end);
        }
        let at = [0, 1000, 1900, 2000, 2500, 3000, 99_000].map(|then| ends.at(then));
        assert_eq!(at, [None, Some(10), Some(10), Some(10), Some(20), Some(30), Some(30)]);
    }

    #[test]
    fn a_partition_is_hot_by_what_its_peers_get() {
        let hot = |index, percent, usual_percent| Some(Hot { index, percent, usual_percent });
        assert_eq!(Hot::of(&[300, 310, 9000, 290, 305, 295]), hot(2, 85, 2));
        assert_eq!(Hot::of(&[0, 0, 0, 2000]), hot(3, 100, 0), "all of it has one key");
        assert_eq!(Hot::of(&[1000, 1200, 3000, 900, 1100]), None, "three times is no much");
        assert_eq!(Hot::of(&[2000, 0, 0]), None, "too few to be compared");
        assert_eq!(Hot::of(&[20, 0, 0, 0, 0]), None, "too few have come");
        assert_eq!(Hot::of(&[10, 2000, 300, 1000, 2]), None, "none is like another");
        assert_eq!(Hot::of(&[]), None);
    }

    #[test]
    fn a_log_that_begins_anew_is_looked_at_anew() {
        let mut ends = Ends::default();
        ends.note(1000, 500);
        ends.note(2000, 3);
        assert_eq!(ends.behind(1, 5000), Some(Behind::AtLeast(3000)));
        ends.note(1500, 9);
        assert_eq!(ends.behind(9, 1500), Some(Behind::Exactly(0)));
    }

    proptest! {
        /// Messages come at random moments; what is said of each is right up to the distance between looks, which grows with
        /// age.
        #[test]
        fn what_is_said_is_close_to_what_is_so(
            gaps in prop::collection::vec(0_i64..5_000, 1..2_000),
            position in 0_usize..2_000,
        ) {
            let mut came = Vec::with_capacity(gaps.len());
            let mut at = 1000;
            for gap in gaps {
                at += gap;
                came.push(at);
            }
            let mut ends = Ends::default();
            let last = at / 1000 + 1;
            for second in 0..=last {
                let now = second * 1000;
                let end = came.partition_point(|at| *at <= now);
                ends.note(now, i64::try_from(end).unwrap());
            }
            prop_assert!(ends.points.len() <= POINTS_MAX);
            let now = last * 1000;
            let position = position.min(came.len());
            let said = ends.behind(i64::try_from(position).unwrap(), now).unwrap();
            match came.get(position) {
                None => prop_assert_eq!(said, Behind::Exactly(0)),
                Some(at) => {
                    let truth = now - at;
                    // Thinning halves the older half again and again, so that a point is at most about a quarter
                    // of its age from the next.
                    let slack = 6_000 + truth / 2;
                    prop_assert!((said.millis() - truth).abs() <= slack, "{said:?} {truth}");
                }
            }
        }

        #[test]
        fn who_is_further_is_never_further_behind(
            steps in prop::collection::vec((1_i64..3_000, 0_i64..50), 1..600),
            one in 0_i64..10_000,
            more in 0_i64..10_000,
        ) {
            let mut ends = Ends::default();
            let (mut now, mut end) = (0, 0);
            for (time, messages) in steps {
                now += time;
                end += messages;
                ends.note(now, end);
            }
            let of = |position| ends.behind(position, now).unwrap().millis();
            prop_assert!(of(one) >= of(one + more));
        }
    }
}
