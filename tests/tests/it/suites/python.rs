//! Clients in Python.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{
    PATIENCE, Process, Script, Serve, Suite, binary, free_port, record_figure, root, scratch,
    shared_machine, tool,
};

use super::{note_event, pinned, test_events};
use crate::security::{Secured, authority, certified_for};

/// The release of Kafka that kafka-python's tests are told to expect; it decides which they run.
const KAFKA: &str = "4.3";

#[test]
fn kafka_python_passes_its_integration_tests() {
    let Some(tool) = tool("suite-kafka-python") else { return };
    let _turn = shared_machine();
    let pytest = Pytest {
        tool: &tool,
        client: "kafka-python",
        folder: None,
        env: vec![("KAFKA_VERSION", KAFKA)],
    };
    // About 40 s on an idle machine.
    pytest.check(&["-p", "entrepot_plugin"], &["test/integration"], Duration::from_secs(300));
}

/// Its tests of MQTT 5 start a broker of their own in a thread, which is Entrepot
/// (`tests/suites/paho-mqtt/mqtt/brokers.py`).
#[test]
fn paho_mqtt_passes_its_tests_of_mqtt_5() {
    let Some(tool) = tool("suite-paho-mqtt") else { return };
    let _turn = shared_machine();
    let pytest = Pytest { tool: &tool, client: "paho-mqtt", folder: None, env: Vec::new() };
    pytest.check(&[], &["tests/test_mqttv5.py"], Duration::from_secs(400));
}

/// It is told the broker's host and port, but not the port for TLS: so the host is one of its own.
#[test]
fn gmqtt_passes_its_tests() {
    const HOST: &str = "127.0.83.2";
    let Some(tool) = tool("suite-gmqtt") else { return };
    let home = scratch();
    let file = |name: &str| home.path().join(name).display().to_string();
    let issuer = authority("authority");
    std::fs::write(file("ca.pem"), issuer.pem()).expect("a scratch folder is writable");
    let certificate = certified_for(&issuer, "server", &[HOST]);
    std::fs::write(file("server.pem"), certificate).expect("a scratch folder is writable");
    let start = |settings: &[String]| {
        let serve = Serve::new().arg("--bind").arg(HOST);
        settings.iter().fold(serve, |serve, set| serve.arg("--set").arg(set)).start()
    };
    let broker = start(&[]);
    let tls = format!("tls.certificate={}", file("server.pem"));
    let _with_tls = start(&["mqtt.port=8883".to_owned(), "mqtt.security=SSL".to_owned(), tls]);
    let (port, ca) = (broker.mqtt().to_string(), file("ca.pem"));
    let env = vec![("HOST", HOST), ("PORT", &port), ("SSL_CERT_FILE", &ca)];
    let pytest = Pytest { tool: &tool, client: "gmqtt", folder: None, env };
    pytest.check(&[], &["tests/test_mqtt5.py"], Duration::from_secs(400));
}

/// Its fixtures ask Docker for RabbitMQ, and get Entrepot (`tests/suites/aio-pika/entrepot_docker.py`). Several
/// processes share the tests out, each with a broker of its own: much of the time is waiting. Not run is
/// `test_memory_leak.py`, which looks at the client alone.
#[test]
fn aio_pika_passes_its_tests() {
    let Some(tool) = tool("suite-aio-pika") else { return };
    let home = scratch();
    let certificate = home.path().join("server.pem").display().to_string();
    let issuer = authority("authority");
    let server = certified_for(&issuer, "server", &["localhost", "127.0.0.1"]);
    std::fs::write(&certificate, server).expect("a scratch folder is writable");
    let _turn = shared_machine();
    let env = vec![("ENTREPOT_CERTIFICATE", &certificate[..])];
    let pytest = Pytest { tool: &tool, client: "aio-pika", folder: None, env };
    let options = ["-p", "entrepot_docker", "-n", "6", "--ignore", "tests/test_memory_leak.py"];
    pytest.check(&options, &["tests"], Duration::from_secs(900));
}

/// It finds its certificates below the folder that it is run in.
#[test]
fn py_amqp_passes_its_integration_tests() {
    let Some(tool) = tool("suite-py-amqp") else { return };
    let home = scratch();
    let certificates = home.path().join("t/certs");
    std::fs::create_dir_all(&certificates).expect("a scratch folder is writable");
    let write = |name: &str, text: &str| {
        std::fs::write(certificates.join(name), text).expect("a scratch folder is writable");
    };
    let (issuer, other) = (authority("authority"), authority("other"));
    write("ca_certificate.pem", &issuer.pem());
    // Certificate and key stand together, and whoever reads one passes over the other.
    for (issuer, suffix) in [(&issuer, ""), (&other, "_broken")] {
        let client = certified_for(issuer, "client", &["localhost"]);
        write(&format!("client_certificate{suffix}.pem"), &client);
        write(&format!("client_key{suffix}.pem"), &client);
    }
    write("server.pem", &certified_for(&issuer, "server", &["localhost"]));
    let tls_port = free_port().to_string();
    let certificate = certificates.join("server.pem").display().to_string();
    let broker = Serve::new()
        .arg("--set")
        .arg(format!("amqp.tls_port={tls_port}"))
        .arg("--set")
        .arg(format!("tls.certificate={certificate}"))
        .start();
    let port = broker.amqp().to_string();
    let env = vec![
        ("RABBITMQ_HOST", "localhost"),
        ("RABBITMQ_5672_TCP", &port[..]),
        ("RABBITMQ_5671_TCP", &tls_port[..]),
    ];
    let pytest = Pytest { tool: &tool, client: "amqp", folder: Some(home.path()), env };
    let tests = tool.join("source/t/integration/test_rmq.py").display().to_string();
    let root = format!("--rootdir={}", tool.join("source").display());
    pytest.check(&[&root], &[&tests], Duration::from_secs(300));
}

#[test]
fn kombu_passes_its_integration_tests() {
    let Some(tool) = tool("suite-kombu") else { return };
    let broker = Serve::new().start();
    let port = broker.amqp().to_string();
    let env = vec![("RABBITMQ_HOST", "localhost"), ("RABBITMQ_5672_TCP", &port[..])];
    let pytest = Pytest { tool: &tool, client: "kombu", folder: None, env };
    pytest.check(&[], &["t/integration/test_py_amqp.py"], Duration::from_secs(400));
}

/// A client's own tests, in its source archive.
struct Pytest<'a> {
    tool: &'a Path,
    client: &'a str,
    /// Where they are run; none: in the archive.
    folder: Option<&'a Path>,
    env: Vec<(&'a str, &'a str)>,
}

impl Pytest<'_> {
    fn run(&self, options: &[&str], tests: &[&str], within: Duration) -> Vec<Value> {
        let folder = |name: &str| root().join("tests/suites").join(name);
        let source = self.tool.join("source");
        let path = [source.clone(), folder(self.client), folder("pytest")];
        let path = std::env::join_paths(path).expect("no colon in our paths");
        let mut pytest = Command::new(self.tool.join("bin/python"));
        pytest.current_dir(self.folder.unwrap_or(&source)).env("PYTHONDONTWRITEBYTECODE", "1");
        pytest.env("PYTHONPATH", path).env("ENTREPOT_BIN", binary()).envs(self.env.clone());
        pytest.args(["-m", "pytest", "-p", "entrepot_results", "-p", "no:cacheprovider"]);
        pytest
            .args(options)
            .args(["--quiet", "--timeout=60", "--timeout-method=signal"])
            .args(tests);
        test_events(&Process::start("pytest", &mut pytest).exit(within).stdout)
    }

    /// Runs them. Some give the client a second or so, which is too little on a busy machine. One that
    /// fails has one more try; how many needed it is among the run's figures.
    fn check(&self, options: &[&str], tests: &[&str], within: Duration) {
        let list = format!("tests/suites/{}/requirements.txt", self.client);
        let mut suite = Suite::new(self.client, &pinned(&list, self.client));
        let mut results = self.run(options, tests, within);
        let failed = results.iter().filter(|test| !test["failed"].is_null());
        let names: Vec<String> =
            failed.filter_map(|test| test["name"].as_str().map(str::to_owned)).collect();
        if !names.is_empty() {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            for test in self.run(options, &names, within) {
                record_figure(&format!("second_try {}", test["name"]), test["failed"].is_null());
                let first = results.iter_mut().find(|first| first["name"] == test["name"]);
                *first.expect("it was run before") = test;
            }
        }
        results.iter().for_each(|test| note_event(&mut suite, test));
        suite.check();
    }
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
