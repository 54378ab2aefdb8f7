//! Clients in Go.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tests::{
    Broker, Outcome, PATIENCE, Process, Serve, Suite, free_port, record_figure, root, scratch, tool,
};

use super::tester::Tester;
use crate::security::Secured;

#[test]
fn franz_go_passes_its_tests() {
    let Some(tool) = tool("suite-franz-go") else { return };
    let names = listed("franz-go");
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

/// The release of Kafka that sarama's tests are told to expect.
const KAFKA: &str = "4.3.1";

/// How long sarama's tests may take, all of them; then those are run again that failed.
const SARAMA_MAX: Duration = Duration::from_secs(480);

#[test]
fn sarama_passes_its_functional_tests_and_ours() {
    let Some(tool) = tool("suite-sarama") else { return };
    let mut sarama = Sarama::start(tool.join("sarama.test"));
    let mut suite = Suite::new("sarama", "1.61.1");
    run_again(&mut suite, "sarama", 2, |tests| sarama.run(tests));
    suite.check();
}

/// How long nats.go's tests may take, all of them.
const NATS_MAX: Duration = Duration::from_secs(900);

/// Its tests ask a service of theirs for servers; [`Tester`] is one that starts brokers of ours.
#[test]
fn nats_go_passes_its_tests() {
    let Some(tool) = tool("suite-nats-go") else { return };
    let tester = Tester::start(NATS_MAX);
    let mut suite = Suite::new("nats-go", "1.55.0");
    run_again(&mut suite, "nats-go", 3, |tests| {
        let mut program = Command::new(tool.join("nats.test"));
        // Certificates of theirs are in the folder that they run in.
        program.current_dir(tool.join("test")).env("TESTER_NATS_URL", tester.url());
        start_go("nats.test", &mut program, NATS_MAX, tests).exit(NATS_MAX).stdout
    });
    tester.stop();
    suite.check();
}

/// How long the tests of paho.mqtt.golang may take, all of them.
const PAHO_MAX: Duration = Duration::from_secs(300);

/// They know the broker's host by the environment, its port by themselves: so it has an address of its own.
#[test]
fn paho_mqtt_golang_passes_its_tests() {
    const HOST: &str = "127.0.83.1";
    let Some(tool) = tool("suite-paho-golang") else { return };
    let serve = Serve::new().arg("--bind").arg(HOST).arg("--set").arg("mqtt.port=1883");
    let _broker = serve.start();
    let mut suite = Suite::new("paho-golang", "1.5.1");
    run_again(&mut suite, "paho-golang", 2, |tests| {
        let mut program = Command::new(tool.join("paho.test"));
        let home = scratch();
        program.current_dir(home.path()).env("TEST_FVT_ADDR", HOST);
        start_go("paho.test", &mut program, PAHO_MAX, tests).exit(PAHO_MAX).stdout
    });
    suite.check();
}

/// Starts some tests of a program that `go test -c` made.
fn start_go(name: &str, program: &mut Command, within: Duration, tests: &[&str]) -> Process {
    program.args(["-test.v", &format!("-test.timeout={}s", within.as_secs()), "-test.run"]);
    Process::start(name, program.arg(format!("^({})$", tests.join("|"))))
}

/// Runs the tests that a client's list names, those that fail again, up to so many times: some give their own clients
/// too little time on a busy machine. How many needed that is among the run's figures.
fn run_again(
    suite: &mut Suite,
    client: &str,
    tries: usize,
    mut run: impl FnMut(&[&str]) -> String,
) {
    let names = listed(client);
    let mut left: Vec<&str> = names.iter().map(String::as_str).collect();
    for attempt in 1..=tries {
        let output = run(&left);
        let is_last = attempt == tries;
        let again: Vec<&str> =
            left.iter().copied().filter(|test| !is_last && failed(test, &output)).collect();
        if attempt > 1 {
            for test in left.iter().filter(|test| !failed(test, &output)) {
                record_figure(&format!("try_{attempt} {client} {test}"), true);
            }
        }
        note_go(suite, &without(&output, &again));
        left = again;
        if left.is_empty() {
            return;
        }
    }
}

/// The two brokers that sarama's tests and ours talk to.
struct Sarama {
    program: PathBuf,
    plain: Broker,
    /// Where the tests put a proxy, which is what clients know the broker by.
    proxy: String,
    secured: Secured,
}

impl Sarama {
    fn start(program: PathBuf) -> Self {
        let proxy = format!("127.0.0.1:{}", free_port());
        let advertised = format!("advertised.listeners=PLAINTEXT://{proxy}");
        let set = ["broker.id=1", "auto.create.topics.enable=false", &advertised];
        let plain =
            set.iter().fold(Serve::new(), |serve, set| serve.arg("--set").arg(*set)).start();
        let users = "security.super_users=User:root;User:alice";
        let secured = Secured::start_with(&["security.authorize=true", users]);
        Self { program, plain, proxy, secured }
    }

    /// Runs some of the tests, restarts the broker when they ask for it, and returns what they printed.
    fn run(&mut self, tests: &[&str]) -> String {
        let mut program = Command::new(&self.program);
        program.env("KAFKA_VERSION", KAFKA).env("SARAMA_PROXY", &self.proxy);
        program.env("SARAMA_BROKER", self.plain.kafka()).env("SARAMA_CA", &self.secured.ca);
        program.env("SARAMA_CERTIFICATE", &self.secured.client);
        for protocol in ["SSL", "SASL_SSL", "SASL_PLAINTEXT"] {
            program.env(format!("SARAMA_{protocol}"), self.secured.server(protocol));
        }
        let mut process = start_go("sarama.test", &mut program, SARAMA_MAX, tests);
        let mut next = 0;
        loop {
            let (restart, after, _) = process.wait_for("the end", next, SARAMA_MAX, asks);
            if !restart {
                return process.exit(PATIENCE).stdout;
            }
            self.plain.kill();
            self.plain.restart();
            process.say("done");
            next = after;
        }
    }
}

/// Whether a line asks for a restart of the broker, or says that all tests have run.
fn asks(line: &str) -> Option<bool> {
    if line == "PASS" || line == "FAIL" {
        return Some(false);
    }
    let event: Value = serde_json::from_str(line).ok()?;
    (event["event"] == "broker" && event["do"] == "restart").then_some(true)
}

/// Whether a test did not pass, of what `go test -v` printed.
fn failed(test: &str, output: &str) -> bool {
    !output.lines().filter_map(result).any(|(name, how)| name == test && how != "FAIL")
}

/// What was printed, without the results of some tests.
fn without(output: &str, tests: &[&str]) -> String {
    let other = |line: &&str| {
        let Some((name, _)) = result(line) else { return true };
        !tests.contains(&name.split('/').next().unwrap_or(name))
    };
    output.lines().filter(other).map(|line| format!("{line}\n")).collect()
}

/// The tests that `tests/suites/<client>/tests.txt` names.
fn listed(client: &str) -> Vec<String> {
    let list = root().join("tests/suites").join(client).join("tests.txt");
    let list = std::fs::read_to_string(list).expect("the list is there");
    list.lines().filter(|line| line.starts_with("Test")).map(str::to_owned).collect()
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
