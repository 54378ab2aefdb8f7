//! The results: on the screen, in `target/bench.json`, and between the markers of
//! `docs/benchmarks.md` when everything was run.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use tests::{median, root};

use crate::peers::page;
use crate::statistics::{Ratio, ratio};
use crate::{CONTROL, Samples, US};

/// The generator's processor time, beside the broker's, from which on a figure says something of both.
const HALF: f64 = 0.5;

/// Figures that are shown only where they are something: a broker that drops messages is none the faster for it.
const FAULTS: [&str; 4] = ["lost", "refused", "duplicate", "misordered"];

/// What the page says how much of the work is the generator's by.
const SHARE: &str = "generator_share";

/// A table of results.
pub(crate) struct Sheet<'a> {
    /// Names its markers on the page, and its part of the raw figures.
    pub(crate) key: &'static str,
    /// The broker that we are compared with: the side, and the column.
    pub(crate) peer: &'static str,
    /// The loads in their order: name, and what it does.
    pub(crate) what: Vec<(&'a str, &'a str)>,
}

/// Writes the results everywhere; `notes` says how they were taken.
pub(crate) fn report(sheet: &Sheet<'_>, samples: &Samples, notes: &str, whole: bool) {
    let table = table(sheet, samples);
    let ratio = format!(
        "ratio = Entrepot / {} within a pair, median and 95 % interval; control = Entrepot / a second Entrepot",
        sheet.peer
    );
    publish(sheet, samples, &format!("{}; {ratio}.\n\n{table}", machine(notes)), whole);
}

/// The same of loads without a peer.
pub(crate) fn report_alone(sheet: &Sheet<'_>, samples: &Samples, notes: &str, whole: bool) {
    let table = table_alone(sheet, samples);
    publish(sheet, samples, &format!("{}.\n\n{table}", machine(notes)), whole);
}

fn publish(sheet: &Sheet<'_>, samples: &Samples, text: &str, whole: bool) {
    println!("{text}");
    keep_raw(sheet, samples);
    if !whole {
        return;
    }
    let begin = format!("<!-- {} results: begin, written by `cargo xtask bench` -->", sheet.key);
    let end = format!("<!-- {} results: end -->", sheet.key);
    let old = std::fs::read_to_string(page()).expect("docs/benchmarks.md is there");
    let (before, rest) = old.split_once(&begin).expect("the page has markers");
    let (_, after) = rest.split_once(&end).expect("the page has markers");
    std::fs::write(page(), format!("{before}{begin}\n\n{text}\n{end}{after}")).expect("writable");
}

/// Every figure of every run; those of other tables stay.
fn keep_raw(sheet: &Sheet<'_>, samples: &Samples) {
    let file = root().join("target/bench.json");
    let old = std::fs::read_to_string(&file).unwrap_or_default();
    let mut all: Map<String, Value> = serde_json::from_str(&old).unwrap_or_default();
    let one = |((case, figure), sides): (&(String, String), _)| {
        (format!("{case} {figure}"), json!(sides))
    };
    let raw: Map<String, Value> = samples.iter().map(one).collect();
    all.insert(sheet.key.to_owned(), raw.into());
    let text = serde_json::to_string_pretty(&all).expect("a map can be written");
    std::fs::write(file, text + "\n").expect("target is writable");
}

/// Prints what is known of one case so far: a run takes long, and may be stopped.
pub(crate) fn show(sheet: &Sheet<'_>, case: &str, samples: &Samples) {
    let of_case = samples.iter().filter(|((name, _), _)| name == case);
    let of_case = of_case.map(|(key, sides)| (key.clone(), sides.clone())).collect();
    for line in table(sheet, &of_case).lines().skip(2) {
        println!("    {line}");
    }
}

fn machine(notes: &str) -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores} cores ({}), {notes}", model.map_or("unknown", |(_, name)| name.trim()))
}

/// Figures in the order of their names, loads in theirs.
fn table_alone(sheet: &Sheet<'_>, samples: &Samples) -> String {
    let mut text = "| load | figure | median | least | most |\n|---|---|---|---|---|\n".to_owned();
    for (name, what) in &sheet.what {
        let mut load = format!("`{name}`: {what}");
        for ((_, figure), sides) in samples.iter().filter(|((case, _), _)| case == name) {
            let values = sides.get(US).map_or(&[][..], Vec::as_slice);
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let figure = figure.replace('_', " ").replace(" per ", "/");
            let all = [median(values), least, most].map(number);
            let _ = writeln!(text, "| {load} | {figure} | {} |", all.join(" | "));
            load.clear();
        }
    }
    text
}

fn table(sheet: &Sheet<'_>, samples: &Samples) -> String {
    let mut text = format!(
        "| load | figure | Entrepot | {} | ratio | control |\n|---|---|---|---|---|---|\n",
        sheet.peer
    );
    let what = |name: &str| {
        let known = sheet.what.iter().find(|(known, _)| *known == name);
        known.map_or_else(|| name.to_owned(), |(_, what)| format!("`{name}`: {what}"))
    };
    let order = |name: &str| sheet.what.iter().position(|(known, _)| *known == name);
    let mut rows: Vec<_> = samples.iter().filter(|((_, figure), _)| figure != SHARE).collect();
    rows.sort_by_key(|((case, _), _)| order(case));
    let mut last = "";
    for ((case, figure), sides) in rows {
        let side = |name: &str| sides.get(name).map_or(&[][..], Vec::as_slice);
        let is_none =
            [US, sheet.peer, CONTROL].iter().all(|name| side(name).iter().all(|n| *n == 0.0));
        if FAULTS.contains(&figure.as_str()) && is_none {
            continue;
        }
        let shares = samples.get(&(case.clone(), SHARE.to_owned()));
        let shown = |name: &str| {
            let values = side(name);
            let share = shares.and_then(|sides| sides.get(name)).map_or(0.0, |all| median(all));
            // Of faults the median would hide the few.
            let value = match FAULTS.contains(&figure.as_str()) {
                true => values.iter().sum(),
                false if values.is_empty() => return "-".to_owned(),
                false => median(values),
            };
            let mark = if share >= HALF && figure.contains("per_s") { "†" } else { "" };
            number(value) + mark
        };
        let load = if last == case { String::new() } else { what(case) };
        last = case;
        let _ = writeln!(
            text,
            "| {load} | {} | {} | {} | {} | {} |",
            figure.replace('_', " ").replace(" per ", "/"),
            shown(US),
            shown(sheet.peer),
            interval(ratio(side(US), side(sheet.peer))),
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

/// Puts rows in place of those that stand between the page's markers for `cargo xtask bench KEY`.
pub(crate) fn keep(key: &str, rows: &str) {
    let begin = format!("<!-- {key}: begin, written by `cargo xtask bench {key}` -->");
    let end = format!("<!-- {key}: end -->");
    let page = page();
    let old = std::fs::read_to_string(&page).expect("docs/benchmarks.md is there");
    let (before, rest) = old.split_once(&begin).expect("the page has markers");
    let (_, after) = rest.split_once(&end).expect("the page has markers");
    std::fs::write(&page, format!("{before}{begin}\n\n{rows}\n{end}{after}")).expect("writable");
}
