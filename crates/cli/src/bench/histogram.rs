//! Counts of durations in buckets whose width grows with the value.

use std::time::Duration;

/// Buckets in each doubling: every value is known to within 1 part in 64.
const PER_DOUBLING: usize = 64;

/// Doublings of a microsecond; the last ends beyond four thousand seconds.
const DOUBLINGS: usize = 32;

/// Durations from a microsecond up, kept to within 1.6 %.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { buckets: vec![0; PER_DOUBLING * DOUBLINGS], count: 0, max: Duration::ZERO }
    }

    /// Counts `times` values.
    pub(super) fn add(&mut self, value: Duration, times: u64) {
        if let Some(bucket) = self.buckets.get_mut(index(value)) {
            *bucket += times;
        }
        self.count += times;
        self.max = self.max.max(value);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += more;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The value that `part` (0 to 1) of all values do not exceed.
    pub(super) fn at(&self, part: f64) -> Duration {
        // Counts stay far below 2^52.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 up")]
        let rank = ((self.count as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper(index).min(self.max);
            }
        }
        self.max
    }

    pub(super) fn max(&self) -> Duration {
        self.max
    }
}

/// The bucket of a value: its highest bits.
fn index(value: Duration) -> usize {
    let micros = usize::try_from(value.as_micros()).unwrap_or(usize::MAX);
    let most = PER_DOUBLING * DOUBLINGS - 1;
    if micros < PER_DOUBLING {
        return micros;
    }
    let doubling = (usize::BITS - micros.leading_zeros() - PER_DOUBLING.ilog2() - 1) as usize;
    let within = (micros >> doubling) - PER_DOUBLING;
    ((doubling + 1) * PER_DOUBLING + within).min(most)
}

/// The largest value of a bucket.
fn upper(index: usize) -> Duration {
    if index < PER_DOUBLING {
        return Duration::from_micros(index as u64);
    }
    let (doubling, within) = (index / PER_DOUBLING - 1, index % PER_DOUBLING);
    let next = ((PER_DOUBLING + within + 1) as u64) << doubling;
    Duration::from_micros(next - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_known_to_within_a_sixty_fourth() {
        for micros in (0..3_000_000_u64).step_by(37).chain([1 << 40, u64::MAX / 2]) {
            let value = Duration::from_micros(micros);
            let (index, most) = (index(value), PER_DOUBLING * DOUBLINGS - 1);
            if index < most {
                let above = upper(index).checked_sub(value).expect("upper is not below");
                assert!(above.as_micros() as u64 * 64 <= micros, "{micros} us -> {above:?}");
            }
        }
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut histogram = Histogram::new();
        for micros in 1..=1000 {
            histogram.add(Duration::from_micros(micros), 1);
        }
        let mut doubled = histogram.clone();
        doubled.merge(&histogram);
        assert_eq!(doubled.count(), 2000);
        for (part, micros) in [(0.0, 1.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = doubled.at(part).as_secs_f64() * 1e6;
            assert!((found - micros).abs() <= micros / 64.0, "{part}: {found}");
        }
        assert_eq!(doubled.max(), Duration::from_micros(1000));
    }
}
