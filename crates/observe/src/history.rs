//! What counters and gauges were, each second of the last hour: so that somebody who looks sees more than this moment, and
//! so that what is wrong can be told from what is usual.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::column::Column;
use crate::distribution::Distribution;
use crate::family::Family;
use crate::registry::{Gathered, Value};

/// Seconds of an hour.
pub(crate) const HOUR: u64 = 3600;

/// Series that are kept; what comes later is not. With an hour of each, where nothing is idle, some 40 MB.
const SERIES_MAX: usize = 4096;

/// Those of details among them, so that there is always room for the others.
const DETAILS_MAX: usize = 2048;

/// What of a series is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The value of a counter or gauge.
    Value,
    /// How many values a histogram had counted.
    Count,
    /// What they were together.
    Sum,
    /// Half of those of this second were no larger; missing where there were none.
    Median,
    /// 99 % were no larger.
    P99,
    /// The largest.
    Max,
}

/// A series, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The name of its family.
    pub family: &'static str,
    /// Values of its labels.
    pub labels: Vec<Arc<str>>,
    /// Which part.
    pub part: Part,
}

impl Key {
    /// The value of a series.
    pub fn new<const N: usize>(family: &'static str, labels: [&str; N]) -> Self {
        let labels = labels.iter().map(|label| Arc::from(*label)).collect();
        Self { family, labels, part: Part::Value }
    }

    /// Another part of it.
    #[must_use]
    pub fn part(self, part: Part) -> Self {
        Self { part, ..self }
    }
}

/// A number, and the second that it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Seconds since some moment, by a clock that does not leap.
    pub tick: u64,
    /// The number.
    pub value: i64,
}

/// The last seconds of many series.
#[derive(Debug)]
pub struct History {
    ticks: u64,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    now: u64,
    columns: BTreeMap<Key, Column>,
    details: BTreeMap<Key, Column>,
    /// What histograms had counted when they were looked at last.
    before: BTreeMap<(&'static str, Vec<Arc<str>>), Distribution>,
}

impl History {
    /// Keeps so many seconds.
    pub fn new(ticks: u64) -> Self {
        Self { ticks, inner: RwLock::default() }
    }

    /// Adds what is so in this second. Of a second that is over nothing is taken.
    pub fn record(&self, tick: u64, all: &[Gathered]) {
        let mut inner = self.inner.write();
        if inner.now > 0 && tick <= inner.now {
            return;
        }
        inner.now = tick;
        for gathered in all {
            for (labels, value) in &gathered.series {
                inner.put(tick, gathered.family, labels, value);
            }
        }
        let before = tick.saturating_sub(self.ticks);
        let Inner { columns, details, .. } = &mut *inner;
        for all in [columns, details] {
            all.retain(|_, column| {
                column.forget_before(before);
                !column.is_empty()
            });
        }
    }

    /// The newest second.
    pub fn now(&self) -> u64 {
        self.inner.read().now
    }

    /// All series of a family.
    pub fn keys(&self, family: &str) -> Vec<Key> {
        let inner = self.inner.read();
        let all = inner.columns.keys().chain(inner.details.keys());
        all.filter(|key| key.family == family).cloned().collect()
    }

    /// All series.
    pub(crate) fn all_keys(&self) -> Vec<Key> {
        let inner = self.inner.read();
        inner.columns.keys().chain(inner.details.keys()).cloned().collect()
    }

    /// Puts in what a series was, where nothing is known of it yet.
    pub(crate) fn restore(&self, family: &'static Family, key: &Key, points: &[Point]) {
        let mut inner = self.inner.write();
        for point in points {
            inner.push(point.tick, family, &key.labels, (key.part, point.value));
        }
    }

    /// Says what the newest second is of what was put in.
    pub(crate) fn set_now(&self, now: u64) {
        self.inner.write().now = now;
    }

    /// What there is of a series in these seconds.
    pub fn points(&self, key: &Key, ticks: RangeInclusive<u64>) -> Vec<Point> {
        let inner = self.inner.read();
        let column = inner.column(key);
        let points = column.into_iter().flat_map(|column| column.points(ticks.clone()));
        points.map(|(tick, value)| Point { tick, value }).collect()
    }

    /// What there is of the last seconds, this one included.
    pub fn recent(&self, key: &Key, seconds: u64) -> Vec<Point> {
        let now = self.now();
        self.points(key, now.saturating_sub(seconds.saturating_sub(1))..=now)
    }

    /// What a series is in the newest second.
    pub fn last(&self, key: &Key) -> Option<i64> {
        let inner = self.inner.read();
        let last = inner.column(key).and_then(Column::last);
        last.filter(|(tick, _)| *tick == inner.now).map(|(_, value)| value)
    }

    /// How much a counter grew in the last seconds. One that began again counts from nothing; one that was not there yet
    /// when they began, from where it was first seen.
    pub fn increase(&self, key: &Key, seconds: u64) -> u64 {
        increase(&self.recent(key, seconds.saturating_add(1)))
    }

    /// The same for all series of a family of whose labels this is true, together.
    pub fn increase_of(
        &self,
        family: &str,
        seconds: u64,
        wanted: impl Fn(&[Arc<str>]) -> bool,
    ) -> u64 {
        let keys = self.keys(family).into_iter();
        let keys = keys.filter(|key| matches!(key.part, Part::Value | Part::Count));
        keys.filter(|key| wanted(&key.labels)).map(|key| self.increase(&key, seconds)).sum()
    }

    /// Bytes that it takes, about.
    pub fn bytes(&self) -> usize {
        let inner = self.inner.read();
        let all = inner.columns.iter().chain(&inner.details);
        let one = |(key, column): (&Key, &Column)| {
            size_of::<Key>() + key.labels.len() * 40 + column.bytes()
        };
        all.map(one).sum()
    }
}

impl Inner {
    fn column(&self, key: &Key) -> Option<&Column> {
        self.columns.get(key).or_else(|| self.details.get(key))
    }

    fn put(&mut self, tick: u64, family: &'static Family, labels: &[Arc<str>], value: &Value) {
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        match value {
            Value::Counter(count) => self.push(tick, family, labels, (Part::Value, whole(*count))),
            Value::Gauge(value) => self.push(tick, family, labels, (Part::Value, *value)),
            Value::Histogram(values) => {
                self.push(tick, family, labels, (Part::Count, whole(values.count())));
                self.push(tick, family, labels, (Part::Sum, whole(values.sum())));
                let of = (family.name, labels.to_vec());
                let before = self.before.insert(of, values.as_ref().clone());
                // What was counted before anybody looked is not of this second.
                let Some(before) = before else { return };
                let second = values.since(&before);
                let parts = [
                    (Part::Median, second.quantile(500)),
                    (Part::P99, second.quantile(990)),
                    (Part::Max, second.max()),
                ];
                for (part, value) in parts {
                    let Some(value) = value else { continue };
                    self.push(tick, family, labels, (part, whole(value)));
                }
            }
        }
    }

    fn push(
        &mut self,
        tick: u64,
        family: &'static Family,
        labels: &[Arc<str>],
        (part, value): (Part, i64),
    ) {
        let key = Key { family: family.name, labels: labels.to_vec(), part };
        let (columns, max) = match family.is_detail {
            true => (&mut self.details, DETAILS_MAX),
            false => (&mut self.columns, SERIES_MAX - DETAILS_MAX),
        };
        let room = columns.len() < max;
        match columns.get_mut(&key) {
            Some(column) => column.push(tick, value),
            None if room => columns.entry(key).or_default().push(tick, value),
            None => {}
        }
    }
}

/// How much a counter grew over these points.
pub(crate) fn increase(points: &[Point]) -> u64 {
    let steps = points.windows(2).map(|pair| match pair {
        [before, after] if after.value >= before.value => after.value.abs_diff(before.value),
        [_, after] => u64::try_from(after.value).unwrap_or(0),
        _ => 0,
    });
    steps.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families;
    use crate::registry::Registry;

    fn record(history: &History, registry: &Registry, tick: u64) {
        history.record(tick, &registry.gather(&|family| !family.is_detail));
    }

    #[test]
    fn counters_grow_by_what_was_added() {
        let (history, registry) = (History::new(HOUR), Registry::default());
        let counter = registry.counter(&families::RECEIVED_MESSAGES, ["a"]);
        for tick in 100..200 {
            record(&history, &registry, tick);
            counter.add(tick);
        }
        let key = Key::new("entrepot_received_messages_total", ["a"]);
        assert_eq!(history.increase(&key, 3), 196 + 197 + 198);
        let sum: u32 = (100..199).sum();
        assert_eq!(history.increase(&key, 1000), u64::from(sum));
        assert_eq!(history.last(&key), Some(i64::from(sum)));
        assert_eq!(history.recent(&key, 2).len(), 2);
        let of = |wanted: &str| history.increase_of(key.family, 1, |labels| &*labels[0] == wanted);
        assert_eq!((of("a"), of("b")), (198, 0));
    }

    #[test]
    fn a_counter_that_begins_again_is_not_taken_for_one_that_fell() {
        let point = |(tick, value)| Point { tick, value };
        let points: Vec<_> = [(1, 100), (2, 150), (3, 20), (4, 30)].map(point).into();
        assert_eq!(increase(&points), 50 + 20 + 10);
        assert_eq!(increase(&points[..1]), 0);
    }

    #[test]
    fn latencies_are_those_of_each_second() {
        let (history, registry) = (History::new(HOUR), Registry::default());
        let time = registry.histogram(&families::SYNC_TIME, []);
        time.record(1 << 30);
        record(&history, &registry, 1);
        time.record(1 << 20);
        record(&history, &registry, 2);
        record(&history, &registry, 3);
        let key = Key::new("entrepot_store_sync_duration_seconds", []);
        let median = history.points(&key.clone().part(Part::Median), 0..=9);
        assert_eq!(median, [Point { tick: 2, value: 1 << 20 }]);
        assert_eq!(history.last(&key.part(Part::Count)), Some(2));
    }

    #[test]
    fn what_is_gone_is_forgotten_after_its_time() {
        let (history, registry) = (History::new(300), Registry::default());
        registry.gauge(&families::CONNECTIONS, ["a", "b"]).set(3);
        record(&history, &registry, 1);
        let empty = Registry::default();
        let key = Key::new("entrepot_connections", ["a", "b"]);
        for tick in 2..300 {
            record(&history, &empty, tick);
        }
        assert_eq!(history.points(&key, 0..=1000).len(), 1);
        assert_eq!(history.last(&key), None, "not of this second");
        record(&history, &empty, 302);
        assert_eq!(history.points(&key, 0..=1000), []);
    }

    #[test]
    fn a_second_that_is_over_is_not_changed() {
        let (history, registry) = (History::new(HOUR), Registry::default());
        let gauge = registry.gauge(&families::TOPICS, []);
        gauge.set(1);
        record(&history, &registry, 5);
        gauge.set(2);
        record(&history, &registry, 5);
        record(&history, &registry, 4);
        assert_eq!(history.last(&Key::new("entrepot_topics", [])), Some(1));
    }

    #[test]
    fn ten_minutes_of_what_an_idle_broker_counts_take_little() {
        let (history, registry) = (History::new(HOUR), Registry::default());
        for number in 0..100 {
            registry.counter(&families::REQUESTS, ["door", &number.to_string()]);
        }
        for tick in 0..600 {
            record(&history, &registry, tick);
        }
        assert!(history.bytes() < 256 << 10, "{}", history.bytes());
    }
}
