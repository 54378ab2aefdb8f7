//! Groups and queues, and whether they get on.

use std::sync::Arc;

use super::words::{slope, time};
use super::{Finding, Moment};
use crate::history::{Key, Point};
use crate::state::{Node, NodeId, NodeKind};

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
/// Over how many seconds the consumers of a queue are looked at.
const STUCK: u64 = 120;
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

/// States of a group that shares its partitions out.
const BUSY: [&str; 2] = ["PreparingRebalance", "CompletingRebalance"];

/// Groups that share their partitions out at this moment.
fn busy<'a>(moment: &'a Moment<'_>) -> impl Iterator<Item = &'a Node> {
    let groups = moment.graph.of_kind(NodeKind::Group);
    groups.filter(|group| group.text("state").is_some_and(|state| BUSY.contains(&state)))
}

pub(super) fn unfinished(moment: &Moment<'_>) -> Vec<Finding> {
    let state = |group: &Node| format!("it is {} all the time", group.text("state").unwrap_or(""));
    busy(moment).map(|group| Finding::new(group.id.clone(), [state(group)])).collect()
}

pub(super) fn rebalancing(moment: &Moment<'_>) -> Vec<Finding> {
    let seconds = usize::try_from(2 * SECONDS).unwrap_or(usize::MAX);
    let count = |state: &str| {
        let points = moment.lately("entrepot_groups", [state], 2 * SECONDS);
        points.iter().filter(|point| point.value > 0).count()
    };
    let counts: usize = BUSY.iter().map(|state| count(state)).sum();
    if counts * 100 < seconds * MOST_PERCENT {
        return Vec::new();
    }
    let said = format!("groups rebalanced in {counts} of the last {seconds} seconds");
    // Which ones do at this moment says nothing of the next; that some always do is of the broker.
    let now: Vec<_> = busy(moment).take(5).map(|group| group.id.name.to_string()).collect();
    let named = (!now.is_empty()).then(|| format!("now: {}", now.join(", ")));
    vec![Finding::new(moment.broker.clone(), [said].into_iter().chain(named))]
}

/// Queues with their figures of a family.
fn queues<'a>(
    moment: &'a Moment<'_>,
    family: &'static str,
) -> impl Iterator<Item = (&'a Node, Key)> {
    moment.history.keys(family).into_iter().filter_map(|key| {
        let [space, name] = key.labels.as_slice() else { return None };
        let name = if space.is_empty() { name.to_string() } else { format!("{space}/{name}") };
        Some((moment.graph.get(NodeKind::Queue, &name)?, key))
    })
}

pub(super) fn abandoned(moment: &Moment<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (node, key) in queues(moment, "entrepot_queue_ready_messages") {
        if node.number("consumers") != Some(0) {
            continue;
        }
        let points = moment.history.recent(&key, FALLING.0);
        let (Some(first), Some(last)) = (points.first(), points.last()) else { continue };
        if points.len() >= POINTS && never_falls(&points) && last.value > first.value {
            let said = format!(
                "{} messages waited, now it is {}; it has no consumer",
                first.value, last.value
            );
            found.push(Finding::new(node.id.clone(), [said]));
        }
    }
    found
}

fn never_falls(points: &[Point]) -> bool {
    points.windows(2).all(|pair| matches!(pair, [a, b] if a.value <= b.value))
}

pub(super) fn stuck(moment: &Moment<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (node, key) in queues(moment, "entrepot_queue_held_messages") {
        let consumers = node.number("consumers").filter(|count| *count > 0);
        let Some(consumers) = consumers else { continue };
        let held = moment.history.recent(&key, STUCK);
        let ready = Key { family: "entrepot_queue_ready_messages", ..key };
        let ready = moment.history.recent(&ready, STUCK);
        let (Some(holds), Some(waits)) = (held.last(), ready.last()) else { continue };
        let is_same = held.iter().all(|point| point.value == holds.value);
        let is_short = held.len().min(ready.len()) < POINTS * 2;
        let waited = ready.iter().all(|point| point.value > 0) && never_falls(&ready);
        if is_short || holds.value == 0 || !is_same || !waited {
            continue;
        }
        let said = format!(
            "its {consumers} consumers held {} messages all the last {STUCK} seconds, and {} wait",
            holds.value, waits.value
        );
        found.push(Finding::new(node.id.clone(), [said]));
    }
    found
}
