//! Where all counters are, so that they can be shown. Nothing is looked up here per message: whoever counts holds its own.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use crate::counter::{Counter, Gauge};
use crate::distribution::{Distribution, Histogram};
use crate::families;
use crate::family::{CounterFamily, Family, GaugeFamily, HistogramFamily};

/// Values of a series' labels, in the order of their names.
pub(crate) type Labels = Vec<Arc<str>>;

/// What stands in every label of the series that counts what there was no room for.
const OTHER: &str = "other";

/// One series.
#[derive(Debug, Clone)]
enum Instrument {
    Counter(Arc<Counter>),
    Gauge(Arc<Gauge>),
    Histogram(Arc<Histogram>),
}

impl Instrument {
    fn value(&self) -> Value {
        match self {
            Self::Counter(counter) => Value::Counter(counter.get()),
            Self::Gauge(gauge) => Value::Gauge(gauge.get()),
            Self::Histogram(histogram) => Value::Histogram(Box::new(histogram.get())),
        }
    }
}

/// What a series is at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of a counter.
    Counter(u64),
    /// Of a gauge.
    Gauge(i64),
    /// Of a histogram.
    Histogram(Box<Distribution>),
}

impl Value {
    /// Two of the same series, such as of two listeners of one name.
    fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Counter(mine), Self::Counter(theirs)) => *mine = mine.saturating_add(theirs),
            (Self::Gauge(mine), Self::Gauge(theirs)) => *mine = mine.saturating_add(theirs),
            (Self::Histogram(mine), Self::Histogram(theirs)) => mine.add(&theirs),
            (mine, theirs) => *mine = theirs,
        }
    }
}

/// Somebody who knows figures without counting them here: asked whenever somebody looks, each second too, so what costs
/// more than a look belongs behind [`Sink::wants`].
pub trait Collect: Send + Sync {
    /// Says what it knows.
    fn collect(&self, sink: &mut Sink<'_>);
}

/// All counters of a broker.
#[derive(Default)]
pub struct Registry {
    held: RwLock<BTreeMap<&'static str, Held>>,
    collectors: RwLock<Vec<Weak<dyn Collect>>>,
    left_out: Counter,
}

struct Held {
    family: &'static Family,
    series: BTreeMap<Labels, Instrument>,
}

impl Debug for Registry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("families", &self.held.read().len())
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// The counter with these labels, made if there is none.
    pub fn counter<const N: usize>(
        &self,
        family: &'static CounterFamily<N>,
        labels: [&str; N],
    ) -> Arc<Counter> {
        let made = || Instrument::Counter(Arc::default());
        match self.instrument(family.family(), &labels, made) {
            Instrument::Counter(counter) => counter,
            // A name stands for one kind of metric only.
            _ => Arc::default(),
        }
    }

    /// The gauge with these labels, made if there is none.
    pub fn gauge<const N: usize>(
        &self,
        family: &'static GaugeFamily<N>,
        labels: [&str; N],
    ) -> Arc<Gauge> {
        let made = || Instrument::Gauge(Arc::default());
        match self.instrument(family.family(), &labels, made) {
            Instrument::Gauge(gauge) => gauge,
            _ => Arc::default(),
        }
    }

    /// The histogram with these labels, made if there is none.
    pub fn histogram<const N: usize>(
        &self,
        family: &'static HistogramFamily<N>,
        labels: [&str; N],
    ) -> Arc<Histogram> {
        let made = || Instrument::Histogram(Arc::default());
        match self.instrument(family.family(), &labels, made) {
            Instrument::Histogram(histogram) => histogram,
            _ => Arc::default(),
        }
    }

    /// Shows a counter that was made elsewhere, such as before there was a registry.
    pub fn show_counter<const N: usize>(
        &self,
        family: &'static CounterFamily<N>,
        labels: [&str; N],
        counter: Arc<Counter>,
    ) {
        self.instrument(family.family(), &labels, || Instrument::Counter(counter));
    }

    /// As [`Self::show_counter`].
    pub fn show_histogram<const N: usize>(
        &self,
        family: &'static HistogramFamily<N>,
        labels: [&str; N],
        histogram: Arc<Histogram>,
    ) {
        self.instrument(family.family(), &labels, || Instrument::Histogram(histogram));
    }

    /// Asks somebody, too, for as long as they are there.
    pub fn ask(&self, collector: &Arc<impl Collect + 'static>) {
        let collector: Arc<dyn Collect> = Arc::clone(collector) as Arc<dyn Collect>;
        let mut collectors = self.collectors.write();
        collectors.retain(|known| known.strong_count() > 0);
        collectors.push(Arc::downgrade(&collector));
    }

    fn instrument(
        &self,
        family: &'static Family,
        labels: &[&str],
        made: impl FnOnce() -> Instrument,
    ) -> Instrument {
        let labels: Labels = labels.iter().map(|label| Arc::from(*label)).collect();
        let mut held = self.held.write();
        let held =
            held.entry(family.name).or_insert_with(|| Held { family, series: BTreeMap::new() });
        let full = held.series.len() >= family.series_max && !held.series.contains_key(&labels);
        let labels = if full { self.other(family) } else { labels };
        held.series.entry(labels).or_insert_with(made).clone()
    }

    fn other(&self, family: &Family) -> Labels {
        self.left_out.add(1);
        family.labels.iter().map(|_| Arc::from(OTHER)).collect()
    }

    /// What everything is now, of the families that are wanted.
    pub fn gather(&self, wanted: &dyn Fn(&Family) -> bool) -> Vec<Gathered> {
        let mut sink = Sink { wanted, found: BTreeMap::new(), left_out: 0 };
        for held in self.held.read().values().filter(|held| wanted(held.family)) {
            for (labels, instrument) in &held.series {
                sink.put(held.family, labels.clone(), instrument.value());
            }
        }
        // Not under the lock: they may ask for counters.
        let collectors: Vec<_> = self.collectors.read().iter().filter_map(Weak::upgrade).collect();
        for collector in collectors {
            collector.collect(&mut sink);
        }
        self.left_out.add(sink.left_out);
        sink.counter(&families::SERIES_LEFT_OUT, [], self.left_out.get());
        sink.found.into_values().filter(|found| !found.series.is_empty()).collect()
    }
}

/// A family and its series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered {
    /// What it is.
    pub family: &'static Family,
    /// Values of labels, and the value.
    pub series: BTreeMap<Vec<Arc<str>>, Value>,
}

/// Takes what collectors know.
pub struct Sink<'a> {
    wanted: &'a dyn Fn(&Family) -> bool,
    found: BTreeMap<&'static str, Gathered>,
    left_out: u64,
}

impl Debug for Sink<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("found", &self.found.len()).finish_non_exhaustive()
    }
}

impl Sink<'_> {
    /// Whether somebody asks for this family. What is put otherwise is forgotten.
    pub fn wants(&self, family: &Family) -> bool {
        (self.wanted)(family)
    }

    /// A number that only grows.
    pub fn counter<const N: usize>(
        &mut self,
        family: &'static CounterFamily<N>,
        labels: [&str; N],
        value: u64,
    ) {
        self.put_new(family.family(), &labels, || Value::Counter(value));
    }

    /// A number that goes up and down.
    pub fn gauge<const N: usize>(
        &mut self,
        family: &'static GaugeFamily<N>,
        labels: [&str; N],
        value: i64,
    ) {
        self.put_new(family.family(), &labels, || Value::Gauge(value));
    }

    /// How many there are of something.
    pub fn count<const N: usize>(
        &mut self,
        family: &'static GaugeFamily<N>,
        labels: [&str; N],
        value: usize,
    ) {
        self.gauge(family, labels, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn put_new(&mut self, family: &'static Family, labels: &[&str], value: impl FnOnce() -> Value) {
        if self.wants(family) {
            self.put(family, labels.iter().map(|label| Arc::from(*label)).collect(), value());
        }
    }

    fn put(&mut self, family: &'static Family, labels: Labels, value: Value) {
        let found = self
            .found
            .entry(family.name)
            .or_insert_with(|| Gathered { family, series: BTreeMap::new() });
        if let Some(known) = found.series.get_mut(&labels) {
            return known.merge(value);
        }
        // One more: that of what there was no room for.
        if found.series.len() <= family.series_max {
            found.series.insert(labels, value);
        } else {
            self.left_out += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::Unit;

    static SMALL: CounterFamily<1> =
        CounterFamily::new("entrepot_small_total", "A test.", Unit::None, &["kind"]);
    static LEVEL: GaugeFamily<1> =
        GaugeFamily::new("entrepot_level", "A test.", Unit::None, &["kind"]);

    fn values(registry: &Registry, name: &str) -> Vec<(String, Value)> {
        let all = registry.gather(&|_| true);
        let found = all.into_iter().find(|gathered| gathered.family.name == name);
        let series = found.map(|found| found.series).unwrap_or_default();
        series.into_iter().map(|(labels, value)| (labels.join(","), value)).collect()
    }

    #[test]
    fn the_same_labels_are_the_same_counter() {
        let registry = Registry::default();
        registry.counter(&SMALL, ["a"]).add(1);
        registry.counter(&SMALL, ["a"]).add(2);
        registry.counter(&SMALL, ["b"]).add(4);
        let expected = [("a".into(), Value::Counter(3)), ("b".into(), Value::Counter(4))];
        assert_eq!(values(&registry, "entrepot_small_total"), expected);
    }

    #[test]
    fn what_is_too_many_is_counted_together() {
        let registry = Registry::default();
        for number in 0..2000 {
            registry.counter(&SMALL, [&number.to_string()]).add(1);
        }
        let found = values(&registry, "entrepot_small_total");
        assert!(found.len() <= 513, "{}", found.len());
        let sum: u64 = found
            .iter()
            .map(|(_, value)| match value {
                Value::Counter(count) => *count,
                _ => 0,
            })
            .sum();
        assert_eq!(sum, 2000, "nothing is lost");
        let left_out = values(&registry, "entrepot_metrics_left_out_total");
        assert_eq!(left_out, [(String::new(), Value::Counter(2000 - 512))]);
    }

    struct Thermometer(i64);

    impl Collect for Thermometer {
        fn collect(&self, sink: &mut Sink<'_>) {
            sink.gauge(&LEVEL, ["water"], self.0);
        }
    }

    #[test]
    fn collectors_are_asked_as_long_as_they_are_there_and_what_they_share_is_added_up() {
        let registry = Registry::default();
        let (one, two) = (Arc::new(Thermometer(3)), Arc::new(Thermometer(4)));
        registry.ask(&one);
        registry.ask(&two);
        assert_eq!(values(&registry, "entrepot_level"), [("water".into(), Value::Gauge(7))]);
        drop(one);
        assert_eq!(values(&registry, "entrepot_level"), [("water".into(), Value::Gauge(4))]);
        let none = registry.gather(&|family| family.name != "entrepot_level");
        assert!(none.iter().all(|gathered| gathered.family.name != "entrepot_level"));
    }
}
