//! What counting costs where it is done: `cargo run --release -p observe --example hot_path`. Times are of one call, the best
//! of five rounds; with two threads, each on the same counter.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use observe::{Histogram, Registry, families};

const CALLS: u32 = 10_000_000;

/// Nanoseconds a call.
fn best(threads: usize, call: impl Fn(u64) + Sync) -> f64 {
    let round = || {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..u64::from(CALLS)).for_each(&call));
            }
        });
        begun.elapsed()
    };
    let best = (0..5).map(|_| round()).min().unwrap_or(Duration::MAX);
    best.as_secs_f64() * 1e9 / f64::from(CALLS)
}

fn main() {
    let registry = Registry::default();
    let counter = registry.counter(&families::RECEIVED_MESSAGES, ["door"]);
    let histogram = Arc::new(Histogram::default());
    let shared = AtomicU64::new(0);
    let says = |what: &str, call: &(dyn Fn(u64) + Sync)| {
        println!("{what:<44} {:>7.1} ns {:>7.1} ns", best(1, call), best(2, call));
    };
    println!("{:<44} {:>10} {:>10}", "", "1 thread", "2 threads");
    says("nothing but the loop", &|n| {
        black_box(n);
    });
    says("one atomic number that all share", &|n| {
        shared.fetch_add(black_box(n), Ordering::Relaxed);
    });
    says("Counter::add", &|n| counter.add(black_box(n)));
    says("Histogram::record", &|n| histogram.record(black_box(n & 0xffff)));
    says("Instant::now", &|_| {
        black_box(Instant::now());
    });
    says("Registry::counter, a look-up (not done there)", &|n| {
        registry.counter(&families::RECEIVED_MESSAGES, ["door"]).add(black_box(n));
    });
    println!(
        "A request that is counted costs two counters, a histogram and two looks at the clock, \
         however many messages it carries."
    );
}
