//! Randomness that a failing test can be repeated with, and settings of long tests.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// A setting from the environment.
pub(crate) fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

pub(crate) fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Numbers from a seed (xorshift64): no quality needed but that a run can be repeated.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    pub(crate) fn up_to(&mut self, most_ms: u64) -> Duration {
        Duration::from_millis(self.below(most_ms + 1))
    }
}
