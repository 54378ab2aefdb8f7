//! Clients for Node.js.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::{
    Broker, Outcome, PATIENCE, Process, Script, Serve, Suite, free_port, record_figure, root,
    scratch, tool,
};

use super::note_event;
use crate::security::Secured;

/// How long a program may be silent: longer than one of its checks may take.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// Those who may do everything with the broker that asks who they are.
const USERS: &str = "security.super_users=User:root;User:alice;User:bob;User:carol";

#[test]
fn kafkajs_does_what_it_promises() {
    let Some(tool) = tool("suite-kafkajs") else { return };
    run_program("kafkajs", "kafkajs", Path::new("node"), &tool);
}

/// It is written for a newer Node.js than may be here; one is installed with it.
#[test]
fn platformatic_kafka_does_what_it_promises() {
    let Some(tool) = tool("suite-platformatic") else { return };
    let modules = std::fs::read_dir(tool.join("node_modules")).expect("packages are installed");
    let mut programs = modules.map(|module| module.expect("listed").path().join("bin/node"));
    let node = programs.find(|program| program.exists()).expect("one of them is Node.js");
    run_program("platformatic", "@platformatic/kafka", &node, &tool);
}

/// Its files run at the same time, each with a broker of its own: most of their time they sleep.
#[test]
fn node_rdkafka_passes_its_end_to_end_tests() {
    let Some(tool) = tool("suite-node-rdkafka") else { return };
    let mocha = Mocha { tool: &tool };
    let files = mocha.files();
    let mut suite = Suite::new("node-rdkafka", &version_of("node-rdkafka", "node-rdkafka"));
    let results = thread::scope(|scope| {
        let mocha = &mocha;
        let runs = files.iter().map(|(file, tests)| scope.spawn(move || mocha.run(file, tests)));
        let runs: Vec<_> = runs.collect();
        runs.into_iter().map(|run| run.join().expect("a run of a file")).collect::<Vec<_>>()
    });
    for (test, outcome) in results.into_iter().flatten() {
        suite.note(&test, outcome);
    }
    suite.check();
}

#[test]
fn mqttjs_does_what_it_promises() {
    let Some(tool) = tool("suite-mqttjs") else { return };
    let port = free_port();
    let broker = Serve::new().arg("--set").arg(format!("mqtt.websocket_port={port}")).start();
    let mut suite = Suite::new("mqttjs", &version_of("mqttjs", "mqtt"));
    let plain = format!("mqtt://127.0.0.1:{}", broker.mqtt());
    for (url, how) in [(plain, ""), (format!("ws://127.0.0.1:{port}"), ", over WebSocket")] {
        let mut program = Command::new("node");
        program.arg(root().join("tests/suites/mqttjs/program.js"));
        program.env("NODE_PATH", tool.join("node_modules"));
        program.env("MQTT", url);
        let mut program = Script::of("mqttjs", &mut program);
        loop {
            let mut event = program.any_event(SILENCE_MAX);
            match event["event"].as_str() {
                Some("test") => {
                    let name = format!("{}{how}", event["name"].as_str().unwrap_or_default());
                    event["name"] = name.into();
                    note_event(&mut suite, &event);
                }
                _ => break,
            }
        }
        program.finish(PATIENCE);
    }
    suite.check();
}

#[test]
fn amqplib_does_what_it_promises() {
    let Some(tool) = tool("suite-amqplib") else { return };
    let broker = Serve::new().start();
    let mut suite = Suite::new("amqplib", &version_of("amqplib", "amqplib"));
    let mut program = Command::new("node");
    program.arg(root().join("tests/suites/amqplib/program.js"));
    program.env("NODE_PATH", tool.join("node_modules"));
    program.env("AMQP", format!("amqp://guest:guest@127.0.0.1:{}", broker.amqp()));
    let mut program = Script::of("amqplib", &mut program);
    loop {
        let event = program.any_event(SILENCE_MAX);
        match event["event"].as_str() {
            Some("test") => note_event(&mut suite, &event),
            _ => break,
        }
    }
    program.finish(PATIENCE);
    suite.check();
}

#[test]
fn stompjs_does_what_it_promises() {
    let Some(tool) = tool("suite-stompjs") else { return };
    let port = free_port();
    let broker = Serve::new().arg("--set").arg(format!("stomp.websocket_port={port}")).start();
    let mut suite = Suite::new("stompjs", &version_of("stompjs", "@stomp/stompjs"));
    for (over, port, how) in [("tcp", broker.stomp(), ""), ("ws", port, ", over WebSocket")] {
        let mut program = Command::new("node");
        program.arg(root().join("tests/suites/stompjs/program.js"));
        program.env("NODE_PATH", tool.join("node_modules"));
        program.env("STOMP", port.to_string()).env("OVER", over);
        let mut program = Script::of("stompjs", &mut program);
        loop {
            let mut event = program.any_event(SILENCE_MAX);
            match event["event"].as_str() {
                Some("test") => {
                    let name = format!("{}{how}", event["name"].as_str().unwrap_or_default());
                    event["name"] = name.into();
                    note_event(&mut suite, &event);
                }
                _ => break,
            }
        }
        program.finish(PATIENCE);
    }
    suite.check();
}

/// The test runner of node-rdkafka.
struct Mocha<'a> {
    tool: &'a Path,
}

impl Mocha<'_> {
    /// How long the tests of one file may take; the longest takes 55 s where nothing else runs.
    const FILE_MAX: Duration = Duration::from_secs(300);
    /// How often a test is tried. Its own time-outs are short for a busy machine, and the client
    /// hangs now and then when a consumer disconnects, whatever the broker; the tests that follow
    /// are then lost. How many needed it is among the run's figures.
    const TRIES: usize = 3;
    /// The tests of this file build on each other.
    const TOGETHER: &'static str = "producer-transaction.spec.js";

    /// The tests, by file.
    fn files(&self) -> BTreeMap<String, Vec<String>> {
        let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let tests = self.results("nowhere", &["--dry-run", "e2e/*.spec.js"]);
        assert!(!tests.is_empty(), "mocha lists no tests");
        for test in tests {
            let file = test["file"].as_str().and_then(|file| file.rsplit_once('/'));
            let file = file.expect("a test has a file").1;
            files.entry(file.to_owned()).or_default().push(title(&test));
        }
        files
    }

    fn run(&self, file: &str, tests: &[String]) -> BTreeMap<String, Outcome> {
        let broker = Serve::new().start();
        // The topic that its tests share; whoever runs them makes it.
        let made = broker.entrepot(&["topic", "create", "test", "--partitions", "1"]);
        assert!(made.status.success(), "{}", made.stderr);
        let lost = || Outcome::Failed("did not come to its end".to_owned());
        let mut outcomes: BTreeMap<_, _> = tests.iter().map(|t| (t.clone(), lost())).collect();
        self.attempt(&broker, file, None, &mut outcomes);
        for attempt in 1..Self::TRIES {
            let failed = |(_, outcome): &(&String, &Outcome)| **outcome != Outcome::Passed;
            let failed: Vec<_> = outcomes.iter().filter(failed).map(|(t, _)| t.clone()).collect();
            if file == Self::TOGETHER && !failed.is_empty() {
                record_figure(&format!("try_{attempt} node-rdkafka {file}"), failed.len());
                self.attempt(&broker, file, None, &mut outcomes);
                continue;
            }
            for test in failed {
                record_figure(&format!("try_{attempt} node-rdkafka {test}"), true);
                self.attempt(&broker, file, Some(&test), &mut outcomes);
            }
        }
        outcomes
    }

    /// Runs a file, or one test of it, and notes what it did unless it passed before.
    fn attempt(
        &self,
        broker: &Broker,
        file: &str,
        test: Option<&str>,
        outcomes: &mut BTreeMap<String, Outcome>,
    ) {
        let path = format!("e2e/{file}");
        let mut args = vec![path.as_str()];
        args.extend(test.into_iter().flat_map(|test| ["--fgrep", test]));
        for result in self.results(&broker.kafka(), &args) {
            let how = result["err"]["message"].as_str();
            let outcome = how.map_or(Outcome::Passed, |how| Outcome::Failed(how.to_owned()));
            let known = outcomes.get_mut(&title(&result)).filter(|o| **o != Outcome::Passed);
            if let Some(known) = known {
                *known = outcome;
            }
        }
    }

    /// What the tests did, as far as they came.
    fn results(&self, broker: &str, args: &[&str]) -> Vec<Value> {
        let modules = self.tool.join("node_modules");
        let folder = scratch();
        let report = folder.path().join("report.json");
        let mut mocha = Command::new("node");
        mocha.current_dir(modules.join("node-rdkafka")).arg(modules.join("mocha/bin/mocha.js"));
        mocha.args(["--exit", "--timeout", "30000", "--reporter", "json", "--reporter-option"]);
        mocha.arg(format!("output={}", report.display())).args(args);
        mocha.env("LD_LIBRARY_PATH", root().join("target/deps/librdkafka/lib"));
        let mut process = Process::start("mocha", mocha.env("KAFKA_HOST", broker));
        let told = || -> Option<Value> {
            serde_json::from_str(&std::fs::read_to_string(&report).ok()?).ok()
        };
        // A client that hangs keeps the process from ending, after everything has been told.
        let deadline = Instant::now() + Self::FILE_MAX;
        while process.ends_within(Duration::from_secs(1)).is_none() {
            if told().is_some() || Instant::now() > deadline {
                process.kill();
            }
        }
        let told = told().unwrap_or_default();
        told["tests"].as_array().cloned().unwrap_or_default()
    }
}

fn title(test: &Value) -> String {
    test["fullTitle"].as_str().expect("a test has a title").to_owned()
}

/// Runs `tests/suites/<client>/program.js` with a plain broker, which is killed and started again
/// when the program asks for that, and one with listeners of every protected kind.
fn run_program(client: &str, package: &str, node: &Path, tool: &Path) {
    let mut broker = Serve::new().start();
    let secured = Secured::start_with(&["security.authorize=true", USERS]);
    let mut program = Command::new(node);
    program.arg(root().join(format!("tests/suites/{client}/program.js")));
    program.env("NODE_PATH", tool.join("node_modules")).env("KAFKA", broker.kafka());
    for protocol in ["SSL", "SASL_SSL", "SASL_PLAINTEXT"] {
        program.env(protocol, secured.server(protocol));
    }
    program.env("CA", &secured.ca).env("CLIENT", &secured.client);
    let mut program = Script::of(client, &mut program);
    let mut suite = Suite::new(client, &version_of(client, package));
    loop {
        let event = program.any_event(SILENCE_MAX);
        match event["event"].as_str() {
            Some("test") => note_event(&mut suite, &event),
            Some("restart") => {
                broker.kill();
                broker.restart();
                program.say("restarted");
            }
            _ => break,
        }
    }
    program.finish(PATIENCE);
    suite.check();
}

/// The version of a package in a client's list (`NAME@VERSION` a line).
fn version_of(client: &str, package: &str) -> String {
    let file: PathBuf = root().join(format!("tests/suites/{client}/packages.txt"));
    let list = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file:?}: {e}"));
    let mut lines = list.lines().filter_map(|line| line.rsplit_once('@'));
    let found = lines.find(|(name, _)| *name == package);
    found.unwrap_or_else(|| panic!("{file:?} does not name {package}")).1.to_owned()
}
