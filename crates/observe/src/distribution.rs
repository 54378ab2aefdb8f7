//! How often values were how large: latencies, sizes.
//!
//! A histogram has eight buckets between each power of two and the next, so what it says of a value is at most an eighth too
//! large. It needs no configuration, has no lock, and two of them can be added or subtracted bucket by bucket, which is what
//! makes the latencies of the last second known.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets between a power of two and the next, as a power of two.
const FINE: u32 = 3;
/// What is larger is counted as if it were this power of two: of nanoseconds, 18 minutes.
const LARGEST: u32 = 40;
/// Buckets.
const BUCKETS: usize = ((LARGEST - FINE + 1) << FINE) as usize;

/// Counts values by how large they are. Values are whole numbers: of nanoseconds, or of bytes.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = std::iter::repeat_with(AtomicU64::default).take(BUCKETS).collect();
        Self { buckets, sum: AtomicU64::default() }
    }
}

impl Histogram {
    /// There was a value.
    #[inline]
    pub fn record(&self, value: u64) {
        self.record_times(value, 1);
    }

    /// There was the same value so many times: of a batch, all of whose messages waited together.
    #[inline]
    pub fn record_times(&self, value: u64, times: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(value)) {
            bucket.fetch_add(times, Ordering::Relaxed);
            self.sum.fetch_add(value.wrapping_mul(times), Ordering::Relaxed);
        }
    }

    /// Something took so long.
    #[inline]
    pub fn record_time(&self, took: std::time::Duration) {
        self.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// What was counted so far.
    pub fn get(&self) -> Distribution {
        let buckets = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        Distribution { buckets, sum: self.sum.load(Ordering::Relaxed) }
    }
}

/// What a [`Histogram`] had counted at one moment, or between two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    buckets: Box<[u64]>,
    sum: u64,
}

impl Default for Distribution {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS].into(), sum: 0 }
    }
}

impl Distribution {
    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// How many were no larger than this power of two. Exact from `2^3` on, up to the largest that is told apart.
    pub fn up_to_power(&self, power: u32) -> u64 {
        if power >= LARGEST {
            return self.count();
        }
        let end = (power.saturating_sub(FINE - 1) << FINE) as usize;
        self.buckets.iter().take(end).sum()
    }

    /// The value that so large a part of all was no larger than, or up to an eighth more; none where there were no values.
    /// `part` is in thousandths: 500 is the median.
    pub fn quantile(&self, part: u64) -> Option<u64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        // The number of the value among all, from 1.
        let wanted = (u128::from(count) * u128::from(part.min(1000))).div_ceil(1000).max(1);
        let mut seen = 0;
        let found = self.buckets.iter().position(|bucket| {
            seen += u128::from(*bucket);
            seen >= wanted
        });
        found.map(largest_of)
    }

    /// The largest, or up to an eighth more.
    pub fn max(&self) -> Option<u64> {
        self.buckets.iter().rposition(|bucket| *bucket > 0).map(largest_of)
    }

    /// What came after `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let pairs = self.buckets.iter().zip(&before.buckets);
        Self {
            buckets: pairs.map(|(now, then)| now.saturating_sub(*then)).collect(),
            sum: self.sum.wrapping_sub(before.sum),
        }
    }

    /// Both together.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

/// The bucket of a value. One that is a power of two is the last of its bucket, so that how many are at most that large is
/// known exactly.
fn bucket_of(value: u64) -> usize {
    let below = value.saturating_sub(1);
    let index = match below.checked_ilog2() {
        Some(power) if power >= FINE => {
            let fine = (below >> (power - FINE)) & ((1 << FINE) - 1);
            (u64::from(power - FINE + 1) << FINE) + fine
        }
        _ => below,
    };
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

/// The largest value of a bucket.
fn largest_of(bucket: usize) -> u64 {
    let next = bucket as u64 + 1;
    match next >> FINE {
        0 => next,
        octave => ((1 << FINE) + (next & ((1 << FINE) - 1))) << (octave - 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: u64 = 1 << LARGEST;

    fn of(values: &[u64]) -> Distribution {
        let histogram = Histogram::default();
        values.iter().for_each(|value| histogram.record(*value));
        histogram.get()
    }

    proptest! {
        #[test]
        fn a_value_is_said_to_be_at_most_an_eighth_larger(value in 1..=MAX) {
            let said = largest_of(bucket_of(value));
            prop_assert!(said >= value, "{said}");
            prop_assert!(said - value <= value / 8, "{said}");
        }

        #[test]
        fn larger_values_are_never_in_earlier_buckets(one in 0..=MAX, more in 0..=MAX) {
            prop_assert!(bucket_of(one) <= bucket_of(one.saturating_add(more)));
        }

        #[test]
        fn how_many_are_up_to_a_power_of_two_is_exact(
            values in prop::collection::vec(0..=MAX, 0..100),
            power in 3_u32..40,
        ) {
            let expected = values.iter().filter(|value| **value <= 1 << power).count();
            prop_assert_eq!(of(&values).up_to_power(power), expected as u64);
        }

        #[test]
        fn quantiles_are_those_of_the_values(
            mut values in prop::collection::vec(1..=MAX, 1..100),
            part in 0_u64..=1000,
        ) {
            let all = of(&values);
            values.sort_unstable();
            let rank = (values.len() as u64 * part).div_ceil(1000).max(1);
            let exact = values[usize::try_from(rank).unwrap() - 1];
            let said = all.quantile(part).unwrap();
            prop_assert!(exact <= said && said - exact <= exact / 8, "{exact} {said}");
            prop_assert_eq!(all.quantile(1000), all.max());
        }

        #[test]
        fn what_came_since_is_what_was_added(
            before in prop::collection::vec(0..=MAX, 0..50),
            after in prop::collection::vec(0..=MAX, 0..50),
        ) {
            let mut all = of(&before);
            all.add(&of(&after));
            prop_assert_eq!(all.since(&of(&before)), of(&after));
            prop_assert_eq!(all.count(), (before.len() + after.len()) as u64);
        }
    }

    #[test]
    fn what_is_too_large_is_counted_with_the_largest() {
        let all = of(&[u64::MAX, MAX]);
        assert_eq!((all.count(), all.max()), (2, Some(MAX)));
        assert_eq!(all.up_to_power(63), 2);
        assert_eq!(Distribution::default().quantile(500), None);
        let histogram = Histogram::default();
        histogram.record_times(10, 3);
        assert_eq!((histogram.get().count(), histogram.get().sum()), (3, 30));
    }
}
