//! The score: which of the planted bugs the simulation finds, and after how many seeds.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use base::planted::{self, ALL};

use crate::{Args, run_all};

/// What the page has around the table.
const BEGIN: &str = "<!-- planted bugs: begin, written by `cargo xtask sim --planted` -->";
const END: &str = "<!-- planted bugs: end -->";

/// Runs up to `args.seeds` seeds with each bug, and writes the table.
pub(crate) fn score(args: &Args, page: &Path) -> ExitCode {
    let mut rows = String::new();
    let mut found = 0;
    for bug in ALL {
        planted::choose(Some(bug));
        let total = run_all(&Args { stop: true, jobs: 1, ..args.clone() });
        planted::choose(None);
        let name = format!("{bug:?}");
        let row = match total.failed.first() {
            Some((seed, what)) => {
                found += 1;
                format!("| `{name}` | yes | {} | {seed} | {what} |", total.runs)
            }
            None => format!("| `{name}` | **no** | {} | | |", total.runs),
        };
        println!("{row}");
        // Writing to a string does not fail.
        let _ = writeln!(rows, "{row}");
    }
    let score = format!("{found} of {} found", ALL.len());
    println!("{score}");
    match write(
        page,
        &format!(
            "{score}.\n\n| bug | found | seeds run | seed | what was seen first |\n|---|---|---|---|---|\n{rows}"
        ),
    ) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sim: {}: {error}", page.display());
            ExitCode::FAILURE
        }
    }
}

fn write(page: &Path, table: &str) -> std::io::Result<()> {
    let text = std::fs::read_to_string(page)?;
    let parts =
        text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) =
        parts.ok_or_else(|| std::io::Error::other("it has no place for the table"))?;
    std::fs::write(page, format!("{before}{BEGIN}\n{table}{END}{after}"))
}
