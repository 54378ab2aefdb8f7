//! A history as lines of JSON, one for each series: what changed, and when.

use std::io::Write;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ArchiveError;
use crate::families;
use crate::history::{HOUR, History, Key, Part, Point};

/// One series.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    family: String,
    labels: Vec<String>,
    part: Part,
    runs: Vec<Run>,
}

/// Seconds without a gap.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    /// The first second.
    from: u64,
    /// The last.
    to: u64,
    /// What it was in the first.
    value: i64,
    /// Seconds after the last change, and by how much it changed; again and again.
    changes: Vec<i64>,
}

/// All of it.
pub(super) fn write(history: &History) -> Vec<u8> {
    let mut text = Vec::new();
    for key in history.all_keys() {
        let points = history.points(&key, 0..=u64::MAX);
        let labels = key.labels.iter().map(|label| label.to_string()).collect();
        let line =
            Line { family: key.family.to_owned(), labels, part: key.part, runs: runs(&points) };
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut text, &line);
        let _ = text.write_all(b"\n");
    }
    text
}

fn runs(points: &[Point]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let (mut value, mut changed) = (0_i64, 0);
    for point in points {
        match runs.last_mut().filter(|run| run.to + 1 == point.tick) {
            Some(run) => {
                run.to = point.tick;
                if point.value != value {
                    let after = i64::try_from(point.tick - changed).unwrap_or(i64::MAX);
                    run.changes.extend([after, point.value.wrapping_sub(value)]);
                    changed = point.tick;
                }
            }
            None => {
                let Point { tick, value } = *point;
                runs.push(Run { from: tick, to: tick, value, changes: Vec::new() });
                changed = tick;
            }
        }
        value = point.value;
    }
    runs
}

/// Reads it back, and says how many series there were that nothing is known of here. `now`: its newest second.
pub(super) fn read(text: &[u8], now: u64) -> Result<(History, usize), ArchiveError> {
    let history = History::new(HOUR);
    let mut unknown = 0;
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: Line = serde_json::from_slice(line).map_err(ArchiveError::json("a series"))?;
        let family = families::all().find(|family| family.name == line.family);
        let Some(family) = family.filter(|family| family.labels.len() == line.labels.len()) else {
            unknown += 1;
            continue;
        };
        let labels = line.labels.iter().map(|label| Arc::from(label.as_str())).collect();
        let key = Key { family: family.name, labels, part: line.part };
        let mut points = Vec::new();
        for run in line.runs {
            points.extend(run.points().ok_or(ArchiveError::Series)?);
        }
        // Longer than what is kept is nothing that we wrote.
        let is_long = u64::try_from(points.len()).is_ok_and(|count| count > 2 * HOUR);
        let is_late = points.last().is_some_and(|point| point.tick > now);
        if is_long || is_late {
            return Err(ArchiveError::Series);
        }
        history.restore(family, &key, &points);
    }
    history.set_now(now);
    Ok((history, unknown))
}

impl Run {
    fn points(&self) -> Option<Vec<Point>> {
        let count = self.to.checked_sub(self.from).filter(|count| *count < 2 * HOUR)?;
        let mut points = Vec::with_capacity(usize::try_from(count).ok()? + 1);
        let (mut tick, mut value) = (self.from, self.value);
        for change in self.changes.chunks(2) {
            let [after, by] = change else { return None };
            let next = tick.checked_add(u64::try_from(*after).ok()?)?;
            if *after == 0 || next > self.to {
                return None;
            }
            points.extend((tick..next).map(|tick| Point { tick, value }));
            (tick, value) = (next, value.wrapping_add(*by));
        }
        points.extend((tick..=self.to).map(|tick| Point { tick, value }));
        Some(points)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_is_read_back(
            steps in prop::collection::vec((1_u64..3, prop_oneof![Just(7), any::<i64>()]), 0..300),
        ) {
            let mut tick = 1000;
            let points: Vec<_> = steps
                .into_iter()
                .map(|(step, value)| {
                    tick += step;
                    Point { tick, value }
                })
                .collect();
            let read: Option<Vec<_>> = runs(&points).iter().map(Run::points).collect();
            prop_assert_eq!(read.unwrap().concat(), points);
        }

        #[test]
        fn any_run_is_read_or_refused(
            from in any::<u64>(),
            to in any::<u64>(),
            value in any::<i64>(),
            changes in prop::collection::vec(any::<i64>(), 0..9),
        ) {
            let _ = Run { from, to, value, changes }.points();
        }
    }

    #[test]
    fn a_run_that_says_what_cannot_be_is_refused() {
        let run = |from, to, changes: &[i64]| Run { from, to, value: 1, changes: changes.into() };
        assert!(run(5, 9, &[4, 1]).points().is_some());
        for bad in [
            run(5, 4, &[]),
            run(5, 9, &[5, 1]),
            run(5, 9, &[0, 1]),
            run(5, 9, &[-1, 1]),
            run(5, 9, &[1]),
            run(0, u64::MAX, &[]),
        ] {
            assert_eq!(bad.points(), None, "{bad:?}");
        }
    }
}
