//! What came of all of it, as the page has it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use observe::diagnosis::RULES;

use crate::faults::Kind;
use crate::run::Outcome;

/// What the page has around the table.
const BEGIN: &str = "<!-- campaign: begin, written by `cargo xtask campaign` -->";
const END: &str = "<!-- campaign: end -->";

/// What came of brokers of which nothing was wrong.
#[derive(Debug, Default)]
pub(crate) struct Clean {
    pub(crate) hours: u64,
    /// Rules of which it was said that something is wrong.
    pub(crate) said: Vec<&'static str>,
}

pub(crate) fn text(all: &[(&Kind, Vec<Outcome>)], clean: &Clean) -> String {
    let mut out = sums(all, clean);
    out.push_str("\n| fault | rule | found | said first | median of seconds until it was said | besides |\n|---|---|---|---|---|---|\n");
    for (kind, outcomes) in all {
        let count = outcomes.len();
        let found: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.found).collect();
        let first = outcomes.iter().filter(|outcome| outcome.first).count();
        let wrong = outcomes.iter().flat_map(|outcome| outcome.wrong.iter().map(|(rule, _)| *rule));
        let wrong = counted(wrong.collect());
        let (found, median) = (found.len(), median(found));
        let median = median.map_or_else(|| "-".to_owned(), |median| median.to_string());
        let (name, rule) = (kind.name, kind.rule);
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "| {name} | {rule} | {found} of {count} | {first} | {median} | {wrong} |"
        );
    }
    out
}

fn sums(all: &[(&Kind, Vec<Outcome>)], clean: &Clean) -> String {
    let outcomes = || all.iter().flat_map(|(_, outcomes)| outcomes);
    let runs = outcomes().count();
    let found: Vec<_> = outcomes().filter_map(|outcome| outcome.found).collect();
    let first = outcomes().filter(|outcome| outcome.first).count();
    let also: u64 = outcomes().map(|outcome| outcome.also).sum();
    let wrong: usize = outcomes().map(|outcome| outcome.wrong.len()).sum();
    let right = found.len() as f64 + also as f64;
    let precision = right / (right + wrong as f64);
    let recall = found.len() as f64 / runs as f64;
    let first = first as f64 / found.len() as f64;
    let days = clean.hours as f64 / 24.0;
    let said = clean.said.len();
    let rules: Vec<_> = all.iter().map(|(kind, _)| kind.rule).collect();
    let without = RULES.iter().filter(|rule| !rules.contains(&rule.id)).map(|rule| rule.id);
    let without = counted(without.collect());
    let without = if without.is_empty() { "none".to_owned() } else { without };
    format!(
        "{} kinds of fault, {runs} brokers with one; rules without a fault: {without}. Recall {recall:.3}, precision {precision:.3}. The \
         cause is said first in {:.1} % of those that were found. Median until a fault is said: {} s. Nothing wrong for {days:.1} \
         days: {said} incidents, {:.2} a day{}.\n",
        all.len(),
        100.0 * first,
        median(found).unwrap_or(0),
        said as f64 / days,
        if said == 0 { String::new() } else { format!(" ({})", counted(clean.said.clone())) },
    )
}

/// Words, with how often they are there.
fn counted(words: Vec<&'static str>) -> String {
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    for word in words {
        *all.entry(word).or_default() += 1;
    }
    let one = |(word, count): (&str, u64)| match count {
        1 => word.to_owned(),
        count => format!("{word} {count} times"),
    };
    all.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// Puts the text into the page.
pub(crate) fn write(page: &Path, text: &str) -> std::io::Result<()> {
    let old = std::fs::read_to_string(page)?;
    let parts =
        old.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) =
        parts.ok_or_else(|| std::io::Error::other("it has no place for the table"))?;
    std::fs::write(page, format!("{before}{BEGIN}\n{text}{END}{after}"))
}
