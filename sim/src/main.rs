//! `cargo xtask sim`: runs seeds, and says which of them found something.

#[cfg(feature = "planted")]
mod planted;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use parking_lot::Mutex;
use sim::{Counts, Outcome, Run, run};

/// Runs the deterministic simulation. A run is a function of its seed.
#[derive(Debug, Clone, Parser)]
struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only this one, with everything that happens.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs at a time.
    #[arg(long, default_value_t = 2)]
    jobs: u64,
    /// Put each planted bug in, one after the other, for as many seeds as it takes, and write the
    /// score into this page.
    #[cfg(feature = "planted")]
    #[arg(long)]
    planted: Option<std::path::PathBuf>,
    /// Stop at the first seed that finds something.
    #[arg(long)]
    stop: bool,
}

#[derive(Debug, Default)]
struct Total {
    runs: u64,
    failed: Vec<(u64, String)>,
    simulated_ms: u64,
    counts: Counts,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(seed) = args.seed {
        return match run(Run { seed, prints: true }) {
            Ok(outcome) => {
                report(seed, &outcome);
                println!("{:?}, trace {:x?}", outcome.counts, outcome.trace);
                if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(error) => {
                eprintln!("sim: {error}");
                ExitCode::FAILURE
            }
        };
    }
    #[cfg(feature = "planted")]
    if let Some(page) = &args.planted {
        return planted::score(&args, page);
    }
    let began = Instant::now();
    let total = run_all(&args);
    let Total { runs, failed, simulated_ms, counts } = total;
    let (took, hours) = (began.elapsed(), simulated_ms / 3_600_000);
    println!(
        "{runs} seeds, {} found something, {hours} simulated hours in {took:.1?}",
        failed.len()
    );
    println!("{counts:?}");
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_all(args: &Args) -> Total {
    let next = AtomicU64::new(args.from);
    let end = args.from + args.seeds;
    let stopped = Arc::new(AtomicBool::new(false));
    let total = Mutex::new(Total::default());
    std::thread::scope(|scope| {
        for job in 0..args.jobs {
            let (next, total, stopped) = (&next, &total, &stopped);
            scope.spawn(move || {
                sim::pin(job);
                while !stopped.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let Ok(outcome) = run(Run { seed, prints: false }) else { break };
                    report(seed, &outcome);
                    let mut total = total.lock();
                    total.runs += 1;
                    total.simulated_ms += outcome.simulated_ms;
                    total.counts += outcome.counts;
                    if let Some(first) = outcome.violations.first() {
                        total.failed.push((seed, first.clone()));
                        stopped.fetch_or(args.stop, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    total.into_inner()
}

/// One line that says how to see it again, and what was found.
fn report(seed: u64, outcome: &Outcome) {
    if let Some(first) = outcome.violations.first() {
        println!("cargo xtask sim --seed {seed}   # {first}");
        for more in outcome.violations.iter().skip(1).take(3) {
            println!("    # {more}");
        }
    }
}
