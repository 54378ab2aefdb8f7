//! A few seeds in every test run, and that a run is a function of its seed.

use sim::{Run, run};

fn quiet(seed: u64) -> Run {
    Run { seed, prints: false }
}

#[test]
fn a_seed_does_the_same_twice() {
    for seed in [3, 1_000_003] {
        assert_eq!(run(quiet(seed)).unwrap(), run(quiet(seed)).unwrap(), "seed {seed}");
    }
    assert_ne!(run(quiet(4)).unwrap().trace, run(quiet(5)).unwrap().trace);
}

#[test]
fn a_dozen_seeds_find_nothing() {
    for seed in 0..12 {
        let outcome = run(quiet(seed)).unwrap();
        assert_eq!(outcome.violations, Vec::<String>::new(), "cargo xtask sim --seed {seed}");
        assert!(outcome.counts.read > 0 && outcome.trace.1 > 100, "seed {seed}: {outcome:?}");
    }
}
