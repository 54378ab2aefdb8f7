//! Groups and queues, and whether they get on.

use std::sync::Arc;

use super::words::{slope, time};
use super::{Finding, Moment};
use crate::history::{Key, Point};
use crate::state::{NodeId, NodeKind};

/// Over how many seconds a group's lag is looked at.
const SECONDS: u64 = 60;
/// Points of these that must be there.
const POINTS: usize = 45;
/// The first message that is not consumed ages by so much of each second, in thousandths, where it stays the same.
const STANDS_STILL: i64 = 950;
/// Lag in time below which nobody is bothered, in nanoseconds.
const PATIENCE_NANOS: i64 = 30_000_000_000;
/// A group that falls behind is looked at for so long, in this many parts, each worse than the one before.
const FALLING: (u64, usize) = (300, 5);
/// Of the seconds that are looked at, so many hundredths.
const MOST_PERCENT: usize = 60;

/// Groups and topics, each with its lag in time.
fn lags(moment: &Moment<'_>) -> Vec<(NodeId, Arc<str>, Key)> {
    let keys = moment.history.keys("entrepot_group_lag_seconds").into_iter();
    let lags = keys.filter_map(|key| {
        let (group, topic) = (key.labels.first()?.clone(), key.labels.get(1)?.clone());
        Some((NodeId::new(NodeKind::Group, group), topic, key))
    });
    lags.collect()
}

fn messages(moment: &Moment<'_>, key: &Key) -> Option<i64> {
    let key = Key { family: "entrepot_group_lag_messages", ..key.clone() };
    moment.history.last(&key)
}

/// Whether the first message that is not consumed stays the same.
fn stands_still(points: &[Point]) -> bool {
    points.len() >= POINTS
        && points.iter().all(|point| point.value > 0)
        && slope(points).is_some_and(|slope| slope / 1_000_000_000 >= STANDS_STILL)
}

pub(super) fn stalled(moment: &Moment<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (group, topic, key) in lags(moment) {
        let points = moment.history.recent(&key, SECONDS);
        let Some(last) = points.last().filter(|_| stands_still(&points)) else { continue };
        let behind = messages(moment, &key).unwrap_or(0);
        let mut evidence = vec![format!(
            "the next message of topic {topic} waits for {}, and did not change in {SECONDS} seconds; {behind} messages wait",
            time(last.value)
        )];
        let node = moment.graph.get(NodeKind::Group, &group.name);
        evidence.extend(
            node.and_then(|node| node.text("state")).map(|state| format!("the group is {state}")),
        );
        found.push(Finding::new(group, evidence));
    }
    found
}

pub(super) fn behind(moment: &Moment<'_>) -> Vec<Finding> {
    let (seconds, parts) = FALLING;
    let mut found = Vec::new();
    for (group, topic, key) in lags(moment) {
        let points = moment.history.recent(&key, seconds);
        let is_short = points.len() < usize::try_from(seconds).unwrap_or(usize::MAX) * 3 / 4;
        let still = stands_still(&moment.history.recent(&key, SECONDS));
        if is_short || still || points.last().is_none_or(|last| last.value < PATIENCE_NANOS) {
            continue;
        }
        let least = |part: &[Point]| part.iter().map(|point| point.value).min().unwrap_or(0);
        let parts: Vec<_> = points.chunks(points.len().div_ceil(parts)).map(least).collect();
        let is_worse = |pair: &[i64]| matches!(pair, [before, after] if before < after);
        if !parts.windows(2).all(is_worse) {
            continue;
        }
        let (from, to) = (parts.first().copied().unwrap_or(0), parts.last().copied().unwrap_or(0));
        let lag = messages(moment, &key).unwrap_or(0);
        let said = format!(
            "in topic {topic} it was {} behind and is {} now; {lag} messages wait",
            time(from),
            time(to)
        );
        found.push(Finding::new(group, [said]));
    }
    found
}

pub(super) fn cut_off(moment: &Moment<'_>) -> Vec<Finding> {
    let groups = moment.graph.of_kind(NodeKind::Group);
    let lost = groups.filter_map(|group| {
        let lost = group.number("lost_messages").filter(|lost| *lost > 0)?;
        let said = format!("{lost} messages that it had not committed are deleted");
        Some(Finding::new(group.id.clone(), [said]))
    });
    lost.collect()
}

pub(super) fn rebalancing(moment: &Moment<'_>) -> Vec<Finding> {
    let busy = ["PreparingRebalance", "CompletingRebalance"];
    let seconds = usize::try_from(2 * SECONDS).unwrap_or(usize::MAX);
    let count = |state: &str| {
        let points = moment.lately("entrepot_groups", [state], 2 * SECONDS);
        points.iter().filter(|point| point.value > 0).count()
    };
    let counts: usize = busy.iter().map(|state| count(state)).sum();
    if counts * 100 < seconds * MOST_PERCENT {
        return Vec::new();
    }
    let groups = moment.graph.of_kind(NodeKind::Group);
    let now = groups.filter(|group| group.text("state").is_some_and(|state| busy.contains(&state)));
    let said = format!("groups rebalanced in {counts} of the last {seconds} seconds");
    now.map(|group| Finding::new(group.id.clone(), [said.clone()])).collect()
}

pub(super) fn abandoned(moment: &Moment<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for key in moment.history.keys("entrepot_queue_ready_messages") {
        let [space, name] = key.labels.as_slice() else { continue };
        let name = if space.is_empty() { name.to_string() } else { format!("{space}/{name}") };
        let Some(node) = moment.graph.get(NodeKind::Queue, &name) else { continue };
        if node.number("consumers") != Some(0) {
            continue;
        }
        let points = moment.history.recent(&key, FALLING.0);
        let (Some(first), Some(last)) = (points.first(), points.last()) else { continue };
        let never_falls =
            points.windows(2).all(|pair| matches!(pair, [a, b] if a.value <= b.value));
        if points.len() >= POINTS && never_falls && last.value > first.value {
            let said = format!(
                "{} messages waited, now it is {}; it has no consumer",
                first.value, last.value
            );
            found.push(Finding::new(node.id.clone(), [said]));
        }
    }
    found
}
