//! Clients in Go.

use std::process::Command;
use std::time::Duration;

use tests::{Outcome, Process, Serve, Suite, root, tool};

#[test]
fn franz_go_passes_its_tests() {
    let Some(tool) = tool("suite-franz-go") else { return };
    let list = root().join("tests/suites/franz-go/tests.txt");
    let list = std::fs::read_to_string(list).expect("the list is there");
    let names: Vec<&str> = list.lines().filter(|line| line.starts_with("Test")).collect();
    let broker = Serve::new().start();
    let mut program = Command::new(tool.join("kgo.test"));
    program.args(["-test.v", "-test.timeout=300s", "-test.run"]);
    program.arg(format!("^({})$", names.join("|")));
    // Its tests of groups and transactions copy so many records. Twice as many would tell no more.
    program.env("KGO_SEEDS", broker.kafka()).env("KGO_TEST_RECORDS", "20000");
    program.env("KGO_TEST_RF", "1").env("KGO_TEST_UNSAFE", "1").env("KGO_LOG_LEVEL", "none");
    let exit = Process::start("kgo.test", &mut program).exit(Duration::from_secs(330));
    let mut suite = Suite::new("franz-go", "1.22.3");
    note_go(&mut suite, &exit.stdout);
    suite.check();
}

/// Notes what `go test -v` printed. A test that has parts is noted by them.
fn note_go(suite: &mut Suite, output: &str) {
    let told: Vec<(&str, &str)> = output.lines().filter_map(result).collect();
    for (test, how) in &told {
        let parts = format!("{test}/");
        if told.iter().any(|(other, _)| other.starts_with(&parts)) {
            continue;
        }
        let outcome = if *how == "PASS" {
            Outcome::Passed
        } else {
            Outcome::Failed(format!("{how}: {}", words_of(test, output)))
        };
        suite.note(test, outcome);
    }
}

/// The test and its result, of a line such as `    --- PASS: TestName/part (0.01s)`.
fn result(line: &str) -> Option<(&str, &str)> {
    let (how, rest) = line.trim_start().strip_prefix("--- ")?.split_once(": ")?;
    Some((rest.split_once(" (")?.0, how))
}

/// What a test said: tests that run at the same time take turns, and each turn is headed by its name.
fn words_of(test: &str, output: &str) -> String {
    let mut speaks = false;
    let mut words = Vec::new();
    for line in output.lines() {
        if let Some(head) = line.strip_prefix("=== ") {
            speaks = head.split_whitespace().nth(1) == Some(test);
        } else if speaks {
            words.push(line.trim());
        }
    }
    words.join("; ").chars().take(600).collect()
}
