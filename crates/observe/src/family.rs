//! What a metric is: its name, its help, its labels.

/// What values are counted in. They are whole numbers here; who shows them says them in the unit that Prometheus
/// expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    None,
    /// Bytes.
    Bytes,
    /// Nanoseconds here, seconds where they are shown.
    Seconds,
}

impl Unit {
    /// The word at the end of names; empty for things.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
        }
    }
}

/// How a metric changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by how large they are.
    Histogram(Bounds),
}

/// The bounds of buckets that are shown: powers of two, `from`, `from + step` and so on, up to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The smallest; no less than 3.
    pub from: u32,
    /// The largest.
    pub to: u32,
    /// From one to the next.
    pub step: u32,
}

impl Bounds {
    /// For latencies: 16 microseconds to 17 seconds.
    pub const LATENCY: Self = Self { from: 14, to: 34, step: 1 };
    /// For sizes: 64 bytes to 64 MiB.
    pub const SIZE: Self = Self { from: 6, to: 26, step: 2 };

    /// The powers.
    pub fn powers(self) -> impl Iterator<Item = u32> {
        (self.from..=self.to).step_by(usize::try_from(self.step.max(1)).unwrap_or(1))
    }
}

/// A metric, with as many series as there are values of its labels.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// As Prometheus names it.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// How it changes.
    pub kind: Kind,
    /// What it is counted in.
    pub unit: Unit,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// There are many series, one for each of something that users make; shown to those who ask for it.
    pub is_detail: bool,
    /// Most series. What would be one more is counted in one whose labels say `other`.
    pub series_max: usize,
}

/// Series of a metric that is not of details.
const SERIES_MAX: usize = 512;
/// Series of one that is.
const DETAIL_SERIES_MAX: usize = 200_000;

impl Family {
    const fn new(
        name: &'static str,
        help: &'static str,
        kind: Kind,
        unit: Unit,
        labels: &'static [&'static str],
    ) -> Self {
        Self { name, help, kind, unit, labels, is_detail: false, series_max: SERIES_MAX }
    }

    const fn detailed(mut self) -> Self {
        self.is_detail = true;
        self.series_max = DETAIL_SERIES_MAX;
        self
    }
}

macro_rules! typed {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<const N: usize>(Family);

        impl<const N: usize> $name<N> {
            /// What it is.
            pub const fn family(&self) -> &Family {
                &self.0
            }

            /// One series for each of something that users make.
            #[must_use]
            pub const fn detailed(self) -> Self {
                Self(self.0.detailed())
            }
        }
    };
}

typed!(
    /// A metric that only grows, with `N` labels.
    CounterFamily
);
typed!(
    /// A metric that goes up and down, with `N` labels.
    GaugeFamily
);
typed!(
    /// A metric that counts values by how large they are, with `N` labels.
    HistogramFamily
);

impl<const N: usize> CounterFamily<N> {
    /// A counter; its name ends in the unit and `_total`.
    pub const fn new(
        name: &'static str,
        help: &'static str,
        unit: Unit,
        labels: &'static [&'static str; N],
    ) -> Self {
        Self(Family::new(name, help, Kind::Counter, unit, labels))
    }
}

impl<const N: usize> GaugeFamily<N> {
    /// A gauge; its name ends in the unit.
    pub const fn new(
        name: &'static str,
        help: &'static str,
        unit: Unit,
        labels: &'static [&'static str; N],
    ) -> Self {
        Self(Family::new(name, help, Kind::Gauge, unit, labels))
    }
}

impl<const N: usize> HistogramFamily<N> {
    /// Of latencies; its name ends in `_seconds`.
    pub const fn latency(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str; N],
    ) -> Self {
        let kind = Kind::Histogram(Bounds::LATENCY);
        Self(Family::new(name, help, kind, Unit::Seconds, labels))
    }

    /// Of sizes; its name ends in `_bytes`.
    pub const fn size(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str; N],
    ) -> Self {
        Self(Family::new(name, help, Kind::Histogram(Bounds::SIZE), Unit::Bytes, labels))
    }
}
