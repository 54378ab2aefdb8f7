//! mosquitto's tests of its broker, which start us instead (`tests/suites/mosquitto/mosquitto`).

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tests::{Outcome, Process, Suite, binary, free_port, record_figure, root, scratch, tool};

/// How long one of them may take: the longest sleeps for half a minute.
const TEST_MAX: Duration = Duration::from_secs(180);

/// Tests that run at the same time: most of their time they sleep.
const WORKERS: usize = 4;

/// How often one is tried: some give the broker a tenth of a second.
const TRIES: usize = 3;

/// What is wholly about mosquitto itself: its bridge, the handshakes of its TLS, its plugins, its security plugin.
const ITS_OWN: [&str; 5] = ["06-", "08-", "09-", "10-", "14-"];

#[test]
fn mosquitto_finds_what_its_own_broker_does() {
    let Some(tool) = tool("mosquitto") else { return };
    // The tests write beside themselves, and look for the broker in the folder that they are in.
    let home = scratch();
    let source = tool.join("source");
    let copied = Command::new("cp").arg("-r").arg(source.join("test")).arg(home.path()).status();
    assert!(copied.is_ok_and(|status| status.success()), "the tests can be copied");
    std::fs::create_dir(home.path().join("src")).expect("a scratch folder is writable");
    let shim = root().join("tests/suites/mosquitto/mosquitto");
    symlink(shim, home.path().join("src/mosquitto")).expect("a scratch folder is writable");
    let folder = home.path().join("test/broker");
    let waiting = Mutex::new(tests_of(&folder));
    let suite = Mutex::new(Suite::new("mosquitto", &version_of(&source)));
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some((name, ports)) = { waiting.lock().pop() } {
                    let outcome = run(home.path(), &name, ports);
                    suite.lock().note(&name, outcome);
                }
            });
        }
    });
    suite.into_inner().check();
}

/// Tests, and how many ports each wants, from mosquitto's own list: `(1, './NAME.py'),` a line.
fn tests_of(folder: &Path) -> Vec<(String, usize)> {
    let list = std::fs::read_to_string(folder.join("test.py")).expect("a list of tests");
    let lines = list.lines().filter_map(|line| line.trim().strip_prefix('('));
    let listed = lines.filter_map(|line| {
        let (ports, name) = line.split_once(", './")?;
        Some((name.split('\'').next()?.to_owned(), ports.parse().ok()?))
    });
    listed.filter(|(name, _)| !ITS_OWN.iter().any(|own| name.starts_with(own))).collect()
}

fn run(home: &Path, name: &str, ports: usize) -> Outcome {
    for attempt in 1..=TRIES {
        let data = scratch();
        let mut test = Command::new("python3");
        test.current_dir(home.join("test/broker")).arg(format!("./{name}"));
        test.args((0..ports).map(|_| free_port().to_string()));
        test.env("ENTREPOT_BIN", binary()).env("ENTREPOT_SCRATCH", data.path());
        test.env("PYTHONDONTWRITEBYTECODE", "1");
        let exit = Process::start(name, &mut test).exit(TEST_MAX);
        if exit.status.success() {
            record_figure(&format!("try_{name}"), attempt);
            return Outcome::Passed;
        }
        if attempt == TRIES || exit.stderr.contains("mosquitto's own configuration") {
            let said = format!("{}{}", exit.stdout, exit.stderr);
            return Outcome::Failed(said.lines().take(12).collect::<Vec<_>>().join("\n"));
        }
    }
    Outcome::Failed("never tried".to_owned())
}

fn version_of(source: &Path) -> String {
    let text = std::fs::read_to_string(source.join("config.mk")).expect("a version");
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION="));
    line.expect("config.mk has a version").trim().to_owned()
}
