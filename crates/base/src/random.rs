//! Randomness behind a trait, so that a run can be a function of its seed.

use std::fmt::Debug;

/// A source of random bits, good enough for identifiers that must not collide or be guessed.
pub trait Random: Send + Sync + Debug {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);

    /// A random 128-bit number.
    fn next_u128(&self) -> u128 {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        u128::from_be_bytes(bytes)
    }

    /// A random 64-bit number.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[allow(clippy::expect_used, reason = "nothing can be named safely without randomness")]
    fn fill(&self, out: &mut [u8]) {
        getrandom::fill(out).expect("invariant: the operating system provides random bytes");
    }
}
