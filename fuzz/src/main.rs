//! The fuzzer, on one target: the one that `FUZZ_TARGET` names. `cargo xtask fuzz` calls it.

#![no_main]

use std::sync::LazyLock;

use fuzz::Target;

#[allow(clippy::expect_used, reason = "nobody is there to hear of an error")]
static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names the target");
    Target::find(&name).expect("FUZZ_TARGET is the name of a target")
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| TARGET.check(input));
