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

/// Delays from a seed (xorshift64): no quality needed but that they differ.
pub(crate) struct Delays(u64);

impl Delays {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn up_to(&mut self, most_ms: u64) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_millis(self.0 % (most_ms + 1))
    }
}
