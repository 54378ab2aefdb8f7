//! Fuzz targets: every decoder that reads what a peer sent or a disk kept, behind one signature, and
//! the measure of what each case may cost. `cargo xtask fuzz` runs them; the tests of this crate
//! replay the inputs that it found. See `docs/fuzzing.md`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a target says by panicking that something does not hold"
)]

mod seeds;
mod targets;

use peak_alloc::PeakAlloc;

pub use seeds::seeds;
pub use targets::TARGETS;

/// Counts what is allocated, here and in everything that this crate calls. Not what C code (the
/// codec of zstd) allocates: the fuzzer's own limit is for that.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Something that reads bytes it must not trust.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: of its folder of inputs too.
    pub name: &'static str,
    /// What it reads.
    pub about: &'static str,
    /// Longest input, in bytes.
    pub input_bytes_max: usize,
    /// Most memory at once for each byte of input, …
    pub bytes_per_byte: usize,
    /// … and beside that.
    pub bytes_more: usize,
    run: fn(&[u8]),
}

impl Target {
    /// The target of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Reads one input.
    ///
    /// # Panics
    /// When it takes more memory than it may, or something else does not hold that must.
    pub fn check(&self, input: &[u8]) {
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        (self.run)(input);
        let taken = MEMORY.peak_usage().saturating_sub(before);
        let limit = self.limit(input.len());
        let (name, length) = (self.name, input.len());
        assert!(taken <= limit, "{name}: {length} bytes took {taken} of memory, at most {limit}");
    }

    /// Most memory for an input of so many bytes.
    pub fn limit(&self, input_bytes: usize) -> usize {
        self.bytes_per_byte.saturating_mul(input_bytes).saturating_add(self.bytes_more)
    }
}
