//! Groups and queues, and whether they get on.

use std::sync::Arc;

use super::words::time;
use super::{Finding, Moment};
use crate::history::{Key, Point};
use crate::state::{Node, NodeId, NodeKind};

/// Over how many seconds it is looked whether groups rebalance, and queues grow.
const SECONDS: u64 = 60;
/// Points of these that must be there.
const POINTS: usize = 45;
/// A group that commits nothing for so long stands still, in nanoseconds.
const STILL_NANOS: i64 = 60_000_000_000;
/// Pauses between its commits that are worth a look, in nanoseconds …
const PAUSE_NANOS: i64 = STILL_NANOS / 2;
/// … where there were so many in an hour that they are its habit; then so many times as long is standing still.
const PAUSES: (usize, i64) = (3, 2);
/// Over how many seconds its habits are looked at.
const HABIT_SECONDS: u64 = 3600;
/// Lag in time below which nobody is bothered, in nanoseconds.
const PATIENCE_NANOS: i64 = 30_000_000_000;
/// A group that falls behind is looked at for so long, in this many parts, each worse than the one before.
const FALLING: (u64, usize) = (300, 5);
/// Over how many seconds the consumers of a queue are looked at.
const STUCK: u64 = 120;
/// Of the seconds that are looked at, so many hundredths.
const MOST_PERCENT: usize = 60;

/// A group that is behind by so many hundredths of what its topic keeps will soon lose messages.
const KEPT_PERCENT: i64 = 80;
/// In a partition that gets most a group is so many times as far behind as in others.
const HOT_TIMES: i64 = 4;
/// In so many seconds so many dead letters are many, where they are one in so many of what was delivered.
const DEAD: [(u64, u64, u64); 2] = [(STUCK, 20, 20), (20, 10, 10)];
/// Over so many seconds messages come back again and again, where one in so many that are delivered has been before.
const AGAIN: (u64, u64) = (30, 4);

/// Groups and topics, each with a figure.
fn groups(moment: &Moment<'_>, family: &'static str) -> Vec<(NodeId, Arc<str>, Key)> {
    let keys = moment.history.keys(family).into_iter();
    let all = keys.filter_map(|key| {
        let (group, topic) = (key.labels.first()?.clone(), key.labels.get(1)?.clone());
        Some((NodeId::new(NodeKind::Group, group), topic, key))
    });
    all.collect()
}

fn messages(moment: &Moment<'_>, key: &Key) -> Option<i64> {
    let key = Key { family: "entrepot_group_lag_messages", ..key.clone() };
    moment.history.last(&key)
}

/// How long the pauses between a group's commits usually are, where they are long.
fn habit(moment: &Moment<'_>, still: &Key) -> Option<i64> {
    let points = moment.history.recent(still, HABIT_SECONDS);
    let ends = points.windows(2).filter_map(|pair| match pair {
        [before, after] if after.value < before.value => Some(before.value),
        _ => None,
    });
    let mut pauses: Vec<_> = ends.filter(|pause| *pause >= PAUSE_NANOS).collect();
    pauses.sort_unstable();
    pauses.get(pauses.len() / 2).copied().filter(|_| pauses.len() >= PAUSES.0)
}

pub(super) fn stalled(moment: &Moment<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (group, topic, key) in groups(moment, "entrepot_group_still_seconds") {
        let still = moment.history.last(&key).filter(|still| *still >= STILL_NANOS);
        let Some(still) = still else { continue };
        let usual = habit(moment, &key);
        if usual.is_some_and(|usual| still < usual.saturating_mul(PAUSES.1)) {
            continue;
        }
        let behind = messages(moment, &key).unwrap_or(0);
        let said = format!(
            "it committed nothing of topic {topic} for {}; {behind} messages wait",
            time(still)
        );
        let usual = usual.map(|usual| format!("usually it commits every {}", time(usual)));
        let node = moment.graph.get(NodeKind::Group, &group.name);
        let state = node.and_then(|node| node.text("state"));
        let state = state.map(|state| format!("the group is {state}"));
        found.push(Finding::new(group, [said].into_iter().chain(usual).chain(state)));
    }
    found
}

/// The least of each part of these.
fn least(points: &[Point], parts: usize) -> Vec<i64> {
    let least = |part: &[Point]| part.iter().map(|point| point.value).min().unwrap_or(0);
    points.chunks(points.len().div_ceil(parts).max(1)).map(least).collect()
}

/// Whether each is more than the one before.
fn grows(values: &[i64]) -> bool {
    values.windows(2).all(|pair| matches!(pair, [before, after] if before < after))
}

pub(super) fn behind(moment: &Moment<'_>) -> Vec<Finding> {
    let (seconds, parts) = FALLING;
    let mut found = Vec::new();
    for (group, topic, key) in groups(moment, "entrepot_group_lag_seconds") {
        let points = moment.history.recent(&key, seconds);
        let is_short = points.len() < usize::try_from(seconds).unwrap_or(usize::MAX) * 3 / 4;
        if is_short || points.last().is_none_or(|last| last.value < PATIENCE_NANOS) {
            continue;
        }
        // That messages wait because nobody took any is another matter, until that is a while ago.
        let still = Key { family: "entrepot_group_still_seconds", ..key.clone() };
        let still = moment.history.recent(&still, seconds);
        if still.iter().any(|point| point.value >= STILL_NANOS) {
            continue;
        }
        let times = least(&points, parts);
        let (from, to) = (times.first().copied().unwrap_or(0), times.last().copied().unwrap_or(0));
        if to < PATIENCE_NANOS || !grows(&times) {
            continue;
        }
        // A burst takes a while to consume, and is older by then; but fewer wait from second to second.
        let count = Key { family: "entrepot_group_lag_messages", ..key.clone() };
        let counts = least(&moment.history.recent(&count, seconds), parts);
        let last = counts.last_chunk::<2>().map(<[i64; 2]>::as_slice);
        if !grows(last.unwrap_or_default()) {
            continue;
        }
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

fn nanos(millis: i64) -> i64 {
    millis.saturating_mul(1_000_000)
}

/// Groups that are behind for longer than nobody minds.
fn late<'a>(moment: &'a Moment<'_>) -> impl Iterator<Item = &'a Node> {
    let is_late = |behind: i64| nanos(behind) >= PATIENCE_NANOS;
    let groups = moment.graph.of_kind(NodeKind::Group);
    groups.filter(move |group| group.number("behind_ms").is_some_and(is_late))
}

pub(super) fn nearly_cut_off(moment: &Moment<'_>) -> Vec<Finding> {
    let found = late(moment).filter_map(|group| {
        let percent = group.number("kept_percent").filter(|percent| *percent >= KEPT_PERCENT)?;
        let topic = group.text("kept_topic")?;
        let said = format!("it is behind by {percent} % of what topic {topic} keeps");
        Some(Finding::new(group.id.clone(), [said]))
    });
    found.collect()
}

pub(super) fn hot(moment: &Moment<'_>) -> Vec<Finding> {
    let found = late(moment).filter_map(|group| {
        let (topic, fact) = (group.text("hot_topic")?, |name| group.number(name));
        let (own, others) = (fact("hot_behind_ms")?, fact("hot_others_behind_ms")?);
        // One that stands still there is another matter.
        let still = moment.now("entrepot_group_still_seconds", [&group.id.name, topic]);
        if nanos(own) < PATIENCE_NANOS
            || own < others.saturating_mul(HOT_TIMES)
            || still.is_some_and(|still| still >= PATIENCE_NANOS)
        {
            return None;
        }
        let partition = fact("hot_partition")?;
        let (came, usual) = (fact("hot_came_percent")?, fact("hot_usual_percent")?);
        let came = format!(
            "partition {partition} of topic {topic} got {came} % of what came in five minutes, \
             others {usual} %"
        );
        let behind = format!(
            "the group is {} behind there, elsewhere {}",
            time(nanos(own)),
            time(nanos(others))
        );
        Some(Finding::new(group.id.clone(), [came, behind]))
    });
    found.collect()
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
        // Since somebody took something from it, or it expired.
        let fell = points.windows(2).rposition(|pair| matches!(pair, [a, b] if a.value > b.value));
        let since = points.get(fell.map_or(0, |at| at + 1)..).unwrap_or_default();
        let (Some(first), Some(last)) = (since.first(), since.last()) else { continue };
        if since.len() >= POINTS && last.value > first.value {
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

/// What was delivered of a queue, of which another figure has this key.
fn delivered(moment: &Moment<'_>, key: &Key, seconds: u64) -> u64 {
    let all = Key { family: "entrepot_queue_delivered_messages_total", ..key.clone() };
    moment.history.increase(&all, seconds)
}

pub(super) fn dying(moment: &Moment<'_>) -> Vec<Finding> {
    let all = queues(moment, "entrepot_queue_dead_letters_total");
    let found = all.filter_map(|(node, key)| {
        let many = |(seconds, least, part): (u64, u64, u64)| {
            let (dead, all) =
                (moment.history.increase(&key, seconds), delivered(moment, &key, seconds));
            (dead >= least && dead.saturating_mul(part) >= all).then_some((dead, all, seconds))
        };
        let (dead, all, seconds) = DEAD.into_iter().find_map(many)?;
        let said = format!(
            "{dead} became dead letters in the last {seconds} seconds, of {all} deliveries"
        );
        Some(Finding::new(node.id.clone(), [said]))
    });
    found.collect()
}

pub(super) fn coming_back(moment: &Moment<'_>) -> Vec<Finding> {
    let (seconds, part) = AGAIN;
    let most = usize::try_from(seconds).unwrap_or(usize::MAX) * MOST_PERCENT / 100;
    let all = queues(moment, "entrepot_queue_redelivered_messages_total");
    let found = all.filter_map(|(node, key)| {
        let points = moment.history.recent(&key, seconds + 1);
        let steps = points.windows(2).filter_map(|pair| match pair {
            [a, b] => u64::try_from(b.value - a.value).ok().filter(|step| *step > 0),
            _ => None,
        });
        let steps: Vec<u64> = steps.collect();
        let again: u64 = steps.iter().sum();
        // Not what comes at once, as when a consumer is stopped that had many.
        let rest = again - steps.iter().max().unwrap_or(&0);
        let all = delivered(moment, &key, seconds);
        let said = format!(
            "{again} of {all} deliveries in the last {seconds} seconds were of messages that had \
             been delivered before"
        );
        let is_much = steps.len() >= most && rest.saturating_mul(part) >= all;
        is_much.then(|| Finding::new(node.id.clone(), [said]))
    });
    found.collect()
}
