//! The results: on the screen, in `target/bench.json`, and between the markers of
//! `docs/benchmarks.md` when everything was run.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use tests::{median, root};

use crate::cases::Case;
use crate::peers::page;
use crate::statistics::{Ratio, ratio};
use crate::{CONTROL, Samples, THEM, US};

const BEGIN: &str = "<!-- results: begin, written by `cargo xtask bench` -->";
const END: &str = "<!-- results: end -->";

/// Writes the results everywhere.
pub(crate) fn report(cases: &[&Case], samples: &Samples, pairs: usize, whole: bool) {
    let table = table(cases, samples);
    let text = format!("{}\n\n{table}", heading(pairs));
    println!("{text}");
    let raw: Map<String, Value> = samples
        .iter()
        .map(|((case, figure), sides)| (format!("{case} {figure}"), json!(sides)))
        .collect();
    let raw = serde_json::to_string_pretty(&raw).expect("a map can be written");
    std::fs::write(root().join("target/bench.json"), raw + "\n").expect("target is writable");
    if !whole {
        return;
    }
    let old = std::fs::read_to_string(page()).expect("docs/benchmarks.md is there");
    let (before, rest) = old.split_once(BEGIN).expect("the page has markers");
    let (_, after) = rest.split_once(END).expect("the page has markers");
    std::fs::write(page(), format!("{before}{BEGIN}\n\n{text}\n{END}{after}")).expect("writable");
}

/// Prints what is known of one case so far: a run takes long, and may be stopped.
pub(crate) fn show(case: &Case, samples: &Samples) {
    let of_case = samples.iter().filter(|((name, _), _)| name == case.name);
    let of_case = of_case.map(|(key, sides)| (key.clone(), sides.clone())).collect();
    for line in table(&[case], &of_case).lines().skip(2) {
        println!("    {line}");
    }
}

fn heading(pairs: usize) -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "{cores} cores ({}), {pairs} pairs each; ratio = Entrepot / Kafka within a pair, median and \
         95 % interval; control = Entrepot / a second Entrepot.",
        model.map_or("unknown", |(_, name)| name.trim())
    )
}

fn table(cases: &[&Case], samples: &Samples) -> String {
    let mut text =
        "| load | figure | Entrepot | Kafka | ratio | control |\n|---|---|---|---|---|---|\n"
            .to_owned();
    let what = |name: &str| {
        let case = cases.iter().find(|case| case.name == name);
        case.map_or_else(|| name.to_owned(), |case| format!("`{name}`: {}", case.what))
    };
    let order = |name: &str| cases.iter().position(|case| case.name == name);
    let mut rows: Vec<_> = samples.iter().collect();
    rows.sort_by_key(|((case, _), _)| order(case));
    let mut last = "";
    for ((case, figure), sides) in rows {
        let side = |name: &str| sides.get(name).map_or(&[][..], Vec::as_slice);
        let shown = |name: &str| {
            let values = side(name);
            if values.is_empty() { "-".to_owned() } else { number(median(values)) }
        };
        let load = if last == case { String::new() } else { what(case) };
        last = case;
        let _ = writeln!(
            text,
            "| {load} | {} | {} | {} | {} | {} |",
            figure.replace('_', " ").replace(" per ", "/"),
            shown(US),
            shown(THEM),
            interval(ratio(side(US), side(THEM))),
            interval(ratio(side(US), side(CONTROL)))
        );
    }
    text
}

fn interval(ratio: Option<Ratio>) -> String {
    let Some(Ratio { median, low, high }) = ratio else { return "-".to_owned() };
    format!("**{}** [{}, {}]", number(median), number(low), number(high))
}

/// Three digits are more than the machine's noise leaves.
fn number(value: f64) -> String {
    if value >= 1000.0 {
        let digits = format!("{value:.0}");
        let mut grouped = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        return grouped;
    }
    let places = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else if value >= 1.0 {
        2
    } else {
        3
    };
    format!("{value:.places$}")
}
