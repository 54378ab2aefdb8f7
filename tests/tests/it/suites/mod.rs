//! Other people's clients, each with its own test suite or with programs of ours that drive it: see
//! `tests::Suite` for how they are scored, and `docs/clients.md` for the scores.

mod go;
mod jvm;
mod mosquitto;
mod node;
mod python;
mod rust;
mod tester;

use serde_json::Value;
use tests::{Outcome, Suite, root};

/// The version of a package that a list of ours (`NAME==VERSION` a line) asks for.
fn pinned(list: &str, package: &str) -> String {
    let file = root().join(list);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file:?}: {e}"));
    let mut lines = text.lines().filter_map(|line| line.split_once("=="));
    let found = lines.find(|(name, _)| *name == package);
    found.unwrap_or_else(|| panic!("{file:?} does not name {package}")).1.to_owned()
}

/// The events of tests in what a program printed.
fn test_events(output: &str) -> Vec<Value> {
    let lines = output.lines().filter(|line| line.starts_with('{'));
    let events = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["event"] == "test").collect()
}

/// Notes `{"event": "test", "name": …, "failed": …}`, `failed` being how, or null.
fn note_event(suite: &mut Suite, event: &Value) {
    let how = event["failed"].as_str().map(str::to_owned);
    let name = event["name"].as_str().expect("a test has a name");
    suite.note(name, how.map_or(Outcome::Passed, Outcome::Failed));
}
