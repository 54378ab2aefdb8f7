//! Clients in Python.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tests::{
    PATIENCE, Process, Script, Serve, Suite, binary, record_figure, root, shared_machine, tool,
};

use super::{note_event, pinned, test_events};
use crate::security::Secured;

/// The release of Kafka that kafka-python's tests are told to expect; it decides which they run.
const KAFKA: &str = "4.3";

#[test]
fn kafka_python_passes_its_integration_tests() {
    let Some(tool) = tool("suite-kafka-python") else { return };
    let folder = root().join("tests/suites/kafka-python");
    let source = tool.join("source");
    let version = pinned("tests/suites/kafka-python/requirements.txt", "kafka-python");
    let _turn = shared_machine();
    let run = |tests: &[&str]| {
        let mut pytest = Command::new(tool.join("bin/python"));
        pytest.current_dir(&source).env("PYTHONDONTWRITEBYTECODE", "1");
        let path = std::env::join_paths([&source, &folder]).expect("no colon in our paths");
        pytest.env("PYTHONPATH", path).env("ENTREPOT_BIN", binary()).env("KAFKA_VERSION", KAFKA);
        pytest.args(["-m", "pytest", "-p", "entrepot_plugin", "-p", "no:cacheprovider"]);
        pytest.args(["--quiet", "--timeout=60", "--timeout-method=signal"]).args(tests);
        // About 40 s on an idle machine.
        Process::start("pytest", &mut pytest).exit(Duration::from_secs(300)).stdout
    };
    let mut suite = Suite::new("kafka-python", &version);
    let mut tests = test_events(&run(&["test/integration"]));
    // Some of them give the client a second or so, which is too little on a busy machine. One that
    // fails has one more try; how many needed it is among the run's figures.
    let failed = tests.iter().filter(|test| !test["failed"].is_null());
    let names: Vec<String> =
        failed.filter_map(|test| test["name"].as_str().map(str::to_owned)).collect();
    if !names.is_empty() {
        let again = run(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for test in test_events(&again) {
            record_figure(&format!("second_try {}", test["name"]), test["failed"].is_null());
            let first = tests.iter_mut().find(|first| first["name"] == test["name"]);
            *first.expect("it was run before") = test;
        }
    }
    tests.iter().for_each(|test| note_event(&mut suite, test));
    suite.check();
}

/// A check of aiokafka fails by itself after 4 minutes.
const CHECK_MAX: Duration = Duration::from_secs(300);

#[test]
fn aiokafka_does_what_it_promises() {
    let Some(tool) = tool("suite-aiokafka") else { return };
    let folder = root().join("tests/suites/aiokafka");
    let mut broker = Serve::new().start();
    let users = "security.super_users=User:root;User:alice;User:bob;User:carol";
    let secured = Secured::start_with(&["security.authorize=true", users]);
    let mut places = json!({
        "PLAINTEXT": broker.kafka(), "ca": secured.ca, "certificate": secured.client,
    });
    for protocol in ["SSL", "SASL_SSL", "SASL_PLAINTEXT"] {
        places[protocol] = json!(secured.server(protocol));
    }
    let mut python = Command::new(tool.join("bin/python"));
    python.arg(folder.join("checks.py")).arg(places.to_string());
    python.env("PYTHONDONTWRITEBYTECODE", "1");
    let mut program = Script::of("aiokafka", &mut python);
    let version = pinned("tests/suites/aiokafka/requirements.txt", "aiokafka");
    let mut suite = Suite::new("aiokafka", &version);
    loop {
        let event = program.any_event(CHECK_MAX);
        match event["event"].as_str() {
            Some("test") => note_event(&mut suite, &event),
            Some("broker") => {
                broker.kill();
                broker.restart();
                program.say("done");
            }
            _ => break,
        }
    }
    program.finish(PATIENCE);
    suite.check();
}
