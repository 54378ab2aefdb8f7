//! What pairs of figures say, and how surely.

/// Resamplings of the bootstrap.
const RESAMPLES: usize = 4000;

/// A ratio over pairs: its median and the interval that holds it in 95 of 100 resamplings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The ratio of two sides' figures, pair by pair.
pub(crate) fn ratio(ours: &[f64], theirs: &[f64]) -> Option<Ratio> {
    let pairs: Vec<f64> =
        ours.iter().zip(theirs).filter(|(_, b)| **b > 0.0).map(|(a, b)| a / b).collect();
    if pairs.is_empty() {
        return None;
    }
    // A generator of our own: the same interval for the same figures, always.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut pick = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % pairs.len() as u64).unwrap_or_default()
    };
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| tests::median(&pairs.iter().map(|_| pairs[pick()]).collect::<Vec<_>>()))
        .collect();
    medians.sort_by(f64::total_cmp);
    let (low, high) = (medians[RESAMPLES / 40], medians[RESAMPLES - RESAMPLES / 40 - 1]);
    Some(Ratio { median: tests::median(&pairs), low, high })
}

#[cfg(test)]
mod tests_of_ratios {
    use super::*;

    #[test]
    fn equal_pairs_have_a_certain_ratio_and_mixed_ones_an_interval() {
        let sure = ratio(&[2.0, 4.0, 6.0], &[1.0, 2.0, 3.0]).expect("pairs");
        assert_eq!(sure, Ratio { median: 2.0, low: 2.0, high: 2.0 });
        let mixed = ratio(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1.0; 6]).expect("pairs");
        assert!(mixed.low < mixed.median && mixed.median < mixed.high, "{mixed:?}");
        assert_eq!(ratio(&[], &[]), None);
    }
}
