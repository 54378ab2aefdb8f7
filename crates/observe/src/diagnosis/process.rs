//! What the operating system gives the process.

use super::words::{bytes, time};
use super::{Finding, Moment};
use crate::history::Key;

/// Nearly all, in hundredths.
const NEARLY_PERCENT: i128 = 85;
/// A clock that moves by more was set, in nanoseconds.
const LEAP_NANOS: i64 = 1_000_000_000;
/// In so many seconds.
const LEAP_SECONDS: u64 = 60;

/// Over how many seconds it is counted what had no room.
const LEFT_OUT_SECONDS: u64 = 600;

fn is_nearly(used: i64, limit: i64) -> bool {
    limit > 0 && i128::from(used) * 100 >= i128::from(limit) * NEARLY_PERCENT
}

pub(super) fn memory(moment: &Moment<'_>) -> Vec<Finding> {
    let used = moment.now("process_resident_memory_bytes", []);
    let limit = moment.now("entrepot_memory_limit_bytes", []);
    match used.zip(limit).filter(|(used, limit)| is_nearly(*used, *limit)) {
        None => Vec::new(),
        Some((used, limit)) => {
            let said = format!("{} of {} are used", bytes(used), bytes(limit));
            vec![Finding::new(moment.broker.clone(), [said])]
        }
    }
}

pub(super) fn files(moment: &Moment<'_>) -> Vec<Finding> {
    let used = moment.now("process_open_fds", []);
    let limit = moment.now("process_max_fds", []);
    match used.zip(limit).filter(|(used, limit)| is_nearly(*used, *limit)) {
        None => Vec::new(),
        Some((used, limit)) => {
            let said = format!("{used} of {limit} file descriptors are open");
            vec![Finding::new(moment.broker.clone(), [said])]
        }
    }
}

pub(super) fn metrics(moment: &Moment<'_>) -> Vec<Finding> {
    let family = Key::new("entrepot_metrics_left_out_total", []);
    let count = moment.history.increase(&family, LEFT_OUT_SECONDS);
    if count == 0 {
        return Vec::new();
    }
    let said =
        format!("{count} times in the last {LEFT_OUT_SECONDS} seconds there was no room for one");
    vec![Finding::new(moment.broker.clone(), [said])]
}

pub(super) fn clock(moment: &Moment<'_>) -> Vec<Finding> {
    let points = moment.lately("entrepot_clock_leap_seconds", [], LEAP_SECONDS);
    let leap = points.windows(2).find_map(|pair| match pair {
        [before, after] => {
            let leap = after.value.saturating_sub(before.value);
            (leap.saturating_abs() > LEAP_NANOS).then_some(leap)
        }
        _ => None,
    });
    let told = leap.map(|leap| {
        let way = if leap > 0 { "forwards" } else { "back" };
        format!("it moved {way} by {} at once", time(leap.saturating_abs()))
    });
    told.into_iter().map(|told| Finding::new(moment.broker.clone(), [told])).collect()
}
