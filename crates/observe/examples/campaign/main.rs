//! The fault campaign: what the rules say of brokers that are made up second by second, of well ones and of ones with a fault.
//!
//! `cargo xtask campaign` runs it and writes the table in `docs/diagnosis.md`; what is simulated, and how, stands there.

mod broker;
mod connections;
mod consumers;
mod dice;
mod faults;
mod machine;
mod report;
mod run;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{available_parallelism, scope};

use parking_lot::Mutex;

use faults::KINDS;
use report::Clean;
use run::Outcome;

/// Seconds of an hour.
const HOUR: u64 = 3600;
/// Brokers of which nothing is wrong have seeds from here on.
const CLEAN_SEEDS: u64 = 1_000_000;

const USAGE: &str = "\
usage: campaign [--seeds N] [--days N] [PAGE]

  --seeds N   brokers for each kind of fault (10)
  --days N    brokers of which nothing is wrong, for a day each (10)
  PAGE        where the table goes
";

#[derive(Debug)]
struct Args {
    seeds: u64,
    days: u64,
    page: Option<PathBuf>,
}

impl Args {
    fn parse(mut args: impl Iterator<Item = String>) -> Option<Self> {
        let mut all = Self { seeds: 10, days: 10, page: None };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--seeds" => all.seeds = args.next()?.parse().ok()?,
                "--days" => all.days = args.next()?.parse().ok()?,
                page if !page.starts_with('-') => all.page = Some(page.into()),
                _ => return None,
            }
        }
        (all.seeds > 0 && all.days > 0).then_some(all)
    }
}

fn main() -> ExitCode {
    let Some(args) = Args::parse(std::env::args().skip(1)) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let seeds: Vec<(usize, u64)> =
        (0..KINDS.len()).flat_map(|kind| (0..args.seeds).map(move |seed| (kind, seed))).collect();
    let outcomes = each(&seeds, |(kind, seed)| {
        let number = *kind as u64 * args.seeds + seed;
        let outcome = KINDS.get(*kind).map(|kind| run::faulty(kind, number)).unwrap_or_default();
        // So that it can be looked at alone.
        if outcome.found.is_none() || !outcome.wrong.is_empty() {
            let name = KINDS.get(*kind).map_or("", |kind| kind.name);
            println!("{name}, seed {number}: {outcome:?}");
        }
        outcome
    });
    let mut outcomes = outcomes.into_iter();
    let mut all = Vec::new();
    for kind in KINDS {
        let own: Vec<Outcome> = outcomes.by_ref().take(args.seeds as usize).collect();
        all.push((kind, own));
    }
    let days: Vec<u64> = (0..args.days).collect();
    let said = each(&days, |day| run::clean(CLEAN_SEEDS + day, 24 * HOUR));
    for (rule, about) in said.iter().flatten() {
        println!("nothing is wrong, but: {rule} {about}");
    }
    let said = said.into_iter().flatten().map(|(rule, _)| rule).collect();
    let text = report::text(&all, &Clean { hours: 24 * args.days, said });
    println!("{text}");
    match args.page.map(|page| report::write(&page, &text)) {
        None | Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("campaign: the page: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What comes of each, in order, by as many threads as there are processors.
fn each<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(all.len()));
    scope(|scope| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((number, one)) = {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    all.get(number).map(|one| (number, one))
                } {
                    let result = work(one);
                    done.lock().push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner();
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}
