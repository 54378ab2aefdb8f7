//! A fast hash with a secret seed: subjects are chosen by peers, and must not be chosen so that they collide.

use std::hash::{BuildHasher, Hasher};

/// Makes hashers that start from the same seed.
#[derive(Debug, Clone, Copy)]
pub struct Seeded(u64);

impl Seeded {
    /// From a number that no peer knows.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The hash of bytes.
    pub(crate) fn of(self, bytes: &[u8]) -> u64 {
        let mut hasher = self.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }
}

/// Another seed each time.
impl Default for Seeded {
    fn default() -> Self {
        Self(std::hash::RandomState::new().build_hasher().finish())
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding(self.0)
    }
}

/// Multiplies eight bytes at a time, and folds the upper half of the product onto the lower.
#[derive(Debug)]
pub struct Folding(u64);

/// Odd, and with as many ones as zeros, anywhere.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const OTHER: u64 = 0xd6e8_feb8_6659_fd93;

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[allow(clippy::cast_possible_truncation, reason = "the lower half, and the upper half")]
    let folded = product as u64 ^ (product >> 64) as u64;
    folded
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.0 = fold(self.0 ^ u64::from_le_bytes(word), FACTOR);
        }
        let rest = chunks.remainder();
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        // With the length, so that zeros at the end count.
        self.0 = fold(self.0 ^ u64::from_le_bytes(word), OTHER ^ bytes.len() as u64);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = fold(self.0 ^ number, OTHER);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        fold(self.0, FACTOR)
    }
}
