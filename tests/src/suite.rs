//! The score of one client: its own test suite, or programs of ours that drive it, run against us.
//!
//! Every failure is explained, and every explanation is true: `tests/suites/<client>/explained.txt`
//! has one line `name | reason` for each test that does not pass, and a test that is named there
//! and passes is an error too, unless the reason begins with `by chance: `, as where the test wants something to be
//! slow. The score stands in `docs/clients.md`; a run that scores otherwise
//! fails until the page says so (`ENTREPOT_UPDATE=1` rewrites the client's row).

use std::collections::BTreeMap;
use std::path::PathBuf;

use parking_lot::Mutex;
use serde_json::json;

use crate::tools;

/// The page is one file for all clients.
static PAGE: Mutex<()> = Mutex::new(());

/// What one test did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed, or its suite left it out; the text says how.
    Failed(String),
}

/// What is known of a test that does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Explained {
    /// It never does.
    Fails,
    /// It may, if chance will have it.
    ByChance,
}

/// The results of one client's tests.
#[derive(Debug)]
pub struct Suite {
    client: String,
    version: String,
    results: BTreeMap<String, Outcome>,
}

impl Suite {
    /// For a release of a client, such as `kafka-python` and `3.0.12`.
    pub fn new(client: &str, version: &str) -> Self {
        let (client, version) = (client.to_owned(), version.to_owned());
        Self { client, version, results: BTreeMap::new() }
    }

    /// Notes what a test did.
    ///
    /// # Panics
    /// When two tests have the same name.
    pub fn note(&mut self, test: &str, outcome: Outcome) {
        let before = self.results.insert(test.to_owned(), outcome);
        assert_eq!(before, None, "{}: two tests are called {test}", self.client);
    }

    /// Checks the results against the explanations and the page.
    ///
    /// # Panics
    /// When a failure is not explained, an explanation is not true any more, or the page's row is
    /// another.
    pub fn check(self) {
        assert!(!self.results.is_empty(), "{}: no test was run", self.client);
        let explained = self.explained();
        let mut wrong = Vec::new();
        for (test, outcome) in &self.results {
            match (outcome, explained.get(test)) {
                (Outcome::Failed(how), None) => wrong.push(format!("{test} failed: {how}")),
                (Outcome::Passed, Some(Explained::Fails)) => {
                    wrong.push(format!("{test} passes, though explained"));
                }
                _ => {}
            }
        }
        let gone = explained.keys().filter(|test| !self.results.contains_key(*test));
        wrong.extend(gone.map(|test| format!("{test} is gone")));
        self.record(explained.len());
        assert!(wrong.is_empty(), "{} {}:\n{}", self.client, self.version, wrong.join("\n"));
        self.compare_with_page(explained.len());
    }

    fn folder(&self) -> PathBuf {
        tools::root().join("tests/suites").join(&self.client)
    }

    /// The tests that are known not to pass.
    fn explained(&self) -> BTreeMap<String, Explained> {
        let file = self.folder().join("explained.txt");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|line| {
                let split = line.split_once('|').filter(|(_, why)| !why.trim().is_empty());
                let (test, why) =
                    split.unwrap_or_else(|| panic!("{file:?}: no reason in {line:?}"));
                let by_chance = why.trim_start().starts_with("by chance: ");
                let how = if by_chance { Explained::ByChance } else { Explained::Fails };
                (test.trim().to_owned(), how)
            })
            .collect()
    }

    /// The pass list, for whoever wants to see it: `target/suites/<client>.json`.
    fn record(&self, explained: usize) {
        let list = |passed: bool| -> Vec<&String> {
            let wanted = |outcome: &Outcome| (*outcome == Outcome::Passed) == passed;
            self.results.iter().filter(|(_, o)| wanted(o)).map(|(test, _)| test).collect()
        };
        let record = json!({
            "client": self.client, "version": self.version, "explained": explained,
            "passed": list(true), "failed": list(false),
        });
        let folder = tools::root().join("target/suites");
        std::fs::create_dir_all(&folder).expect("the target folder is writable");
        let text = serde_json::to_string_pretty(&record).expect("a map can be written");
        std::fs::write(folder.join(format!("{}.json", self.client)), text + "\n")
            .expect("the target folder is writable");
    }

    fn compare_with_page(&self, explained: usize) {
        let passed = self.results.len() - explained;
        let row = format!("| {} | {} | {passed} | {explained} |", self.client, self.version);
        let _turn = PAGE.lock();
        let file = tools::root().join("docs/clients.md");
        let page = std::fs::read_to_string(&file).expect("docs/clients.md is there");
        let own = format!("| {} |", self.client);
        let found = page.lines().find(|line| line.starts_with(&own)).unwrap_or_default();
        if found.starts_with(&row) {
            return;
        }
        assert!(
            std::env::var_os("ENTREPOT_UPDATE").is_some() && !found.is_empty(),
            "docs/clients.md says {found:?}, seen was {row:?}; if that is right, give the client \
             a row and run with ENTREPOT_UPDATE=1"
        );
        // What stands behind the four figures is written by hand.
        let rest = found.splitn(6, '|').nth(5).unwrap_or_default();
        std::fs::write(&file, page.replace(found, &format!("{row}{rest}"))).expect("writable");
    }
}
