//! Whether messages can be stored, and for how long.

use super::words::{bytes, median, time};
use super::{Finding, Moment};
use crate::history::{Key, Part, Point};
use crate::state::{NodeId, NodeKind};

/// Seconds that are looked at, those of them in which there must have been some, and what is slow on any disk, in nanoseconds, if
/// it takes longer in half of them: a device is busy for a quarter of a minute now and then, but not that busy. Of syncs …
const SLOW_SYNCS: Slow = [(34, 8, 100_000_000), (10, 6, 400_000_000)];
/// … and of reads, which wait for each other.
const SLOW_READS: Slow = [(34, 8, 100_000_000), (10, 6, 700_000_000)];
type Slow = [(u64, usize, i64); 2];
/// Little room, in hundredths of the disk.
const LITTLE_PERCENT: i128 = 10;
/// Room that is worth a look when it will be used up soon.
const SOME_PERCENT: i128 = 30;
/// Over how many seconds filling is measured, and in how many the disk must be full by that pace: a pace of minutes says nothing
/// of hours, because what retention deletes it deletes now and then.
const PACES: [(u64, i64); 2] = [(600, 3600), (3600, 6 * 3600)];
/// Over how many seconds it is said what is usual.
const USUAL_SECONDS: u64 = 600;
/// Over how many seconds failures are counted.
const UNFLUSHED_SECONDS: u64 = 60;

fn store(moment: &Moment<'_>) -> NodeId {
    let store = moment.graph.of_kind(NodeKind::Store).next();
    store.map_or_else(|| moment.broker.clone(), |store| store.id.clone())
}

/// Nothing is acknowledged until a restart. A full disk alone is no reason for that.
fn has_failed(moment: &Moment<'_>) -> bool {
    moment.now("entrepot_healthy", []) == Some(0)
}

fn is_full(moment: &Moment<'_>) -> bool {
    moment.now("entrepot_store_disk_full", []) == Some(1)
}

/// How much room there is.
fn free(moment: &Moment<'_>) -> Option<String> {
    moment.now("entrepot_disk_free_bytes", []).map(|free| format!("{} are free", bytes(free)))
}

pub(super) fn failed(moment: &Moment<'_>) -> Vec<Finding> {
    if !has_failed(moment) {
        return Vec::new();
    }
    let node = moment.graph.of_kind(NodeKind::Store).next();
    let why = node.and_then(|node| node.text("why")).unwrap_or("the broker says so").to_owned();
    let full = is_full(moment).then(|| "the disk is full".to_owned());
    let full = full.into_iter().chain(free(moment).filter(|_| is_full(moment)));
    vec![Finding::new(store(moment), [why].into_iter().chain(full))]
}

pub(super) fn full(moment: &Moment<'_>) -> Vec<Finding> {
    // Where storage failed, room alone helps nobody: that is said instead.
    if !is_full(moment) || has_failed(moment) {
        return Vec::new();
    }
    vec![Finding::new(store(moment), free(moment))]
}

/// How fast room is lost, in bytes a second: the most that was free in the second half of the time against the first, so that
/// what retention gives back each time is not taken for lost before it does.
fn pace(moment: &Moment<'_>, seconds: u64) -> Option<i64> {
    let points = moment.lately("entrepot_disk_free_bytes", [], seconds);
    let first = points.first().filter(|_| points.len() as u64 >= seconds * 9 / 10)?;
    let middle = first.tick + seconds / 2;
    let (before, after) = points.split_at(points.partition_point(|point| point.tick < middle));
    let most = |points: &[Point]| points.iter().map(|point| point.value).max();
    let lost = most(before)?.saturating_sub(most(after)?);
    Some(lost / i64::try_from(seconds / 2).ok()?).filter(|rate| *rate > 0)
}

pub(super) fn filling(moment: &Moment<'_>) -> Vec<Finding> {
    let (free, size) =
        (moment.now("entrepot_disk_free_bytes", []), moment.now("entrepot_disk_size_bytes", []));
    let (Some(free), Some(size)) = (free, size) else { return Vec::new() };
    let is_below = |percent: i128| i128::from(free) * 100 < i128::from(size) * percent;
    let room = format!("{} of {} are free", bytes(free), bytes(size));
    let soon = PACES.into_iter().find_map(|(seconds, soon)| {
        let rate = pace(moment, seconds)?;
        let left = free / rate;
        (left < soon).then_some((rate, left))
    });
    let told = soon.map(|(rate, left)| {
        let left = time(left.saturating_mul(1_000_000_000));
        format!("it fills at {} a second: full in {left}", bytes(rate))
    });
    let will_be = is_below(SOME_PERCENT) && soon.is_some();
    if !is_below(LITTLE_PERCENT) && !will_be {
        return Vec::new();
    }
    vec![Finding::new(store(moment), [room].into_iter().chain(told))]
}

/// What is not in segments yet stays in memory and in the write-ahead log, which both have an end.
pub(super) fn unflushed(moment: &Moment<'_>) -> Vec<Finding> {
    let family = "entrepot_store_flush_failures_total";
    let count = moment.history.increase(&Key::new(family, []), UNFLUSHED_SECONDS);
    // Of a disk that is full, or was when it failed, and of storage that failed, that is said instead.
    let full = moment.lately("entrepot_store_disk_full", [], UNFLUSHED_SECONDS + 1);
    if count == 0 || has_failed(moment) || full.iter().any(|point| point.value == 1) {
        return Vec::new();
    }
    let failed = format!("it failed {count} times in the last {UNFLUSHED_SECONDS} seconds");
    let waits = moment.now("entrepot_store_tail_bytes", []);
    let waits = waits.map(|waits| format!("{} wait in memory", bytes(waits)));
    vec![Finding::new(store(moment), [failed].into_iter().chain(waits))]
}

pub(super) fn slow_syncs(moment: &Moment<'_>) -> Vec<Finding> {
    slow(moment, "entrepot_store_sync_duration_seconds", "syncs", SLOW_SYNCS)
}

pub(super) fn slow_reads(moment: &Moment<'_>) -> Vec<Finding> {
    slow(moment, "entrepot_store_read_duration_seconds", "reads", SLOW_READS)
}

fn slow(moment: &Moment<'_>, family: &'static str, what: &str, limits: Slow) -> Vec<Finding> {
    let slow = |(seconds, least, limit): (u64, usize, i64)| {
        let points = moment.part(family, Part::P99, seconds);
        let typical = median(&points).filter(|_| points.len() >= least);
        Some((typical.filter(|typical| *typical > limit)?, seconds))
    };
    let Some((typical, seconds)) = limits.into_iter().find_map(slow) else { return Vec::new() };
    let before = moment.part(family, Part::Median, USUAL_SECONDS);
    let usual = median(&before)
        .map(|usual| format!("half of the {what} of ten minutes took {}", time(usual)));
    let now =
        format!("the slowest {what} of a second take {} in these {seconds} seconds", time(typical));
    vec![Finding::new(store(moment), [now].into_iter().chain(usual))]
}
