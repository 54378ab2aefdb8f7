//! Clients in Rust.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tests::{
    Broker, Outcome, PATIENCE, Process, Serve, Suite, default_ports, record_figure, root, tool,
};

/// How long one test program may take: they wait for messages that must time out, and for members of
/// groups that must.
const PROGRAM_MAX: Duration = Duration::from_secs(120);

#[test]
fn rdkafka_passes_its_integration_tests() {
    let Some(tool) = tool("suite-rdkafka") else { return };
    // Some of its tests name port 9092.
    let _turn = default_ports();
    let broker = Serve::plain().arg("--set").arg("num.partitions=3").start();
    let mut suite = Suite::new("rdkafka", "0.39.0");
    let run = Run { tests: &tool.join("tests"), env: &[("KAFKA_HOST", broker.kafka())] };
    for program in run.programs() {
        // Each program has its helper's own test, too.
        run.program(&mut suite, &program, &["utils::"], &[]);
    }
    suite.check();
}

#[test]
fn rskafka_passes_its_integration_tests() {
    let Some(tool) = tool("suite-rskafka") else { return };
    let broker = Serve::new().arg("--set").arg("auto.create.topics.enable=false").start();
    let mut suite = Suite::new("rskafka", "0.6.0");
    let env = rskafka_environment(&broker);
    let run = Run { tests: &tool.join("tests"), env: &env };
    for program in run.programs() {
        // Without what their environment must say, these return at once, and "pass".
        run.program(&mut suite, &program, &[], &["java", "sasl"]);
    }
    suite.check();
}

#[test]
fn lapin_passes_its_integration_tests() {
    let Some(tool) = tool("suite-lapin") else { return };
    let broker = Serve::new().start();
    let mut suite = Suite::new("lapin", "4.12.3");
    let env = [("AMQP_ADDR", format!("amqp://127.0.0.1:{}/%2f", broker.amqp()))];
    let run = Run { tests: &tool.join("tests"), env: &env };
    for program in run.programs() {
        run.program(&mut suite, &program, &[], &[]);
    }
    suite.check();
}

fn rskafka_environment(broker: &Broker) -> [(&'static str, String); 3] {
    [
        ("TEST_INTEGRATION", "1".to_owned()),
        ("TEST_BROKER_IMPL", "kafka".to_owned()),
        ("KAFKA_CONNECT", broker.kafka()),
    ]
}

/// A folder of test programs as Cargo builds them, and what their environment must say.
struct Run<'a> {
    tests: &'a Path,
    env: &'a [(&'static str, String)],
}

impl Run<'_> {
    fn programs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.tests).expect("the tool has tests");
        let names = entries.map(|entry| entry.expect("listed").file_name());
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        names.sort();
        names
    }

    /// Runs one of them and notes its tests. Those whose name has one of `others` in it are no tests
    /// of the client; those with one of `left_out` in it are not run, and noted so.
    fn program(&self, suite: &mut Suite, name: &str, others: &[&str], left_out: &[&str]) {
        let listed = self.start(name, &["--list"]).exit(PATIENCE).stdout;
        let tests = listed.lines().filter_map(|line| line.strip_suffix(": test"));
        for test in tests.filter(|test| left_out.iter().any(|word| test.contains(word))) {
            suite.note(&format!("{name}::{test}"), Outcome::Failed("left out".to_owned()));
        }
        let skipped = others.iter().chain(left_out).flat_map(|word| ["--skip", word]);
        let args: Vec<&str> = ["--test-threads=4"].into_iter().chain(skipped).collect();
        let exit = self.start(name, &args).exit(PROGRAM_MAX);
        let told = exit.stdout.lines().filter_map(|line| line.strip_prefix("test "));
        for (test, how) in told.filter_map(|line| line.split_once(" ... ")) {
            let outcome = match how {
                "ok" => Outcome::Passed,
                _ if self.passes_alone(name, test) => Outcome::Passed,
                _ => Outcome::Failed(panic_of(test, &exit.stdout)),
            };
            suite.note(&format!("{name}::{test}"), outcome);
        }
    }

    /// Some of these tests give their own clients too little time on a busy machine. One that fails
    /// beside others has one more try by itself; how many needed it is among the run's figures.
    fn passes_alone(&self, name: &str, test: &str) -> bool {
        let exit = self.start(name, &["--exact", test]).exit(PROGRAM_MAX);
        record_figure(&format!("second_try {name}::{test}"), exit.status.success());
        exit.status.success()
    }

    fn start(&self, name: &str, args: &[&str]) -> Process {
        let library = root().join("target/deps/librdkafka/lib");
        let mut program = Command::new(self.tests.join(name));
        program.args(args).envs(self.env.iter().map(|(key, value)| (key, value)));
        program.env("LD_LIBRARY_PATH", library).env("RUST_LOG", "off").env("RUST_BACKTRACE", "0");
        Process::start(name, &mut program)
    }
}

/// What a test that failed said, from its program's summary.
fn panic_of(test: &str, output: &str) -> String {
    let head = format!("---- {test} stdout ----");
    let said = output.split_once(head.as_str()).map_or("failed", |(_, rest)| rest);
    said.split("\n---- ").next().unwrap_or_default().trim().chars().take(600).collect()
}
