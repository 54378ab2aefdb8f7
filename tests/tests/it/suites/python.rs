//! Clients in Python.

use std::process::Command;
use std::time::Duration;

use tests::{Process, Suite, binary, root, shared_machine, tool};

use super::{note_events, pinned};

/// The release of Kafka that kafka-python's tests are told to expect; it decides which they run.
const KAFKA: &str = "4.3";

#[test]
fn kafka_python_passes_its_integration_tests() {
    let Some(tool) = tool("suite-kafka-python") else { return };
    let folder = root().join("tests/suites/kafka-python");
    let source = tool.join("source");
    let version = pinned("tests/suites/kafka-python/requirements.txt", "kafka-python");
    let _turn = shared_machine();
    let mut pytest = Command::new(tool.join("bin/python"));
    pytest.current_dir(&source).env("PYTHONDONTWRITEBYTECODE", "1");
    let path = std::env::join_paths([&source, &folder]).expect("no colon in our paths");
    pytest.env("PYTHONPATH", path).env("ENTREPOT_BIN", binary()).env("KAFKA_VERSION", KAFKA);
    pytest.args(["-m", "pytest", "-p", "entrepot_plugin", "-p", "no:cacheprovider"]);
    pytest.args(["--quiet", "--timeout=60", "--timeout-method=signal", "test/integration"]);
    // About 40 s on an idle machine.
    let exit = Process::start("pytest", &mut pytest).exit(Duration::from_secs(300));
    let mut suite = Suite::new("kafka-python", &version);
    note_events(&mut suite, &exit.stdout);
    suite.check();
}
