//! The HTTP door: what Prometheus reads there, and what `entrepot doctor` says.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tests::{Broker, Faults, Misbehave, PATIENCE, Process, Serve, free_port, root, scratch, tool};

/// Asks the HTTP door; status and body.
fn ask(broker: &Broker, method: &str, path: &str, body: &str) -> (u16, String) {
    ask_at(broker.http(), method, path, body)
}

/// Asks whatever speaks HTTP at a port of this machine.
pub(crate) fn ask_at(port: u16, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

#[test]
fn prometheus_finds_nothing_to_complain_about_in_the_metrics() {
    let Some(prometheus) = tool("prometheus") else { return };
    let broker = Serve::new().start();
    let (status, _) = ask(&broker, "POST", "/api/v1/topics", r#"{"name": "t", "partitions": 2}"#);
    assert_eq!(status, 200);
    let sent = r#"{"messages": [{"key": "k", "value": "v"}]}"#;
    assert_eq!(ask(&broker, "POST", "/api/v1/topics/t/messages", sent).0, 200);
    for path in ["/metrics", "/metrics/detailed"] {
        let (status, metrics) = ask(&broker, "GET", path, "");
        assert_eq!(status, 200, "{path}");
        let mut promtool = Command::new(prometheus.join("bin/promtool"));
        let checking = promtool.args(["check", "metrics"]).stdin(Stdio::piped());
        let checking = checking.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut checking = checking.expect("promtool runs");
        checking.stdin.take().unwrap().write_all(metrics.as_bytes()).expect("it reads");
        let checked = checking.wait_with_output().expect("it ends");
        let said = [checked.stdout, checked.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(checked.status.success() && said.is_empty(), "{path}: {said}\n{metrics}");
    }
}

/// Schemathesis sends what the OpenAPI document says, what it does not, and what follows from answers, and looks at what
/// comes back. What it is told beside the document is in `tests/suites/schemathesis`.
#[test]
fn schemathesis_finds_the_door_as_its_document_says() {
    let Some(tool) = tool("py-schemathesis") else { return };
    let (broker, home) = (Serve::new().start(), scratch());
    let config = root().join("tests/suites/schemathesis/schemathesis.toml");
    let document = format!("http://127.0.0.1:{}/openapi.json", broker.http());
    let mut schemathesis = Command::new(tool.join("bin/python"));
    schemathesis.current_dir(home.path()).args(["-m", "schemathesis.cli"]);
    schemathesis.arg("--config-file").arg(config);
    schemathesis.args(["run", &document, "--phases", "coverage,fuzzing,stateful", "--no-color"]);
    // A minute on an idle machine.
    let exit = Process::start("schemathesis", &mut schemathesis).exit(PATIENCE * 6);
    assert!(exit.status.success(), "{}{}", exit.stdout, exit.stderr);
    assert!(exit.stdout.contains("Tested: 33"), "{}", exit.stdout);
}

#[test]
fn the_doctor_finds_nothing_in_a_fresh_broker() {
    let broker = Serve::new().start();
    let at = format!("127.0.0.1:{}", broker.http());
    let exit = broker.entrepot(&["doctor", "--http", &at]);
    assert!(exit.status.success() && exit.stdout == "nothing is wrong\n", "{exit:?}");
    let json = broker.entrepot(&["doctor", "--http", &at, "-o", "json"]);
    assert_eq!(json.stdout, "{\"incidents\":[]}\n", "{json:?}");
    let nowhere = broker.entrepot(&["doctor", "--http", "127.0.0.1:1"]);
    assert!(nowhere.status.code() == Some(10), "{nowhere:?}");
}

#[test]
fn a_full_disk_is_no_failed_storage_and_the_broker_goes_on_by_itself() {
    let (serve, faults) = Faults::prepare(Serve::new());
    let broker = serve.start();
    let topic = r#"{"name": "t", "partitions": 1}"#;
    assert_eq!(ask(&broker, "POST", "/api/v1/topics", topic).0, 200);
    let publish = |value: &str| {
        let sent = format!(r#"{{"messages": [{{"value": "{value}"}}]}}"#);
        ask(&broker, "POST", "/api/v1/topics/t/messages", &sent)
    };
    assert_eq!(publish("before").0, 200);
    let at = format!("127.0.0.1:{}", broker.http());
    let doctor = || broker.entrepot(&["doctor", "--http", &at, "-o", "json"]).stdout;
    let until = |what: &str, is: &dyn Fn(&str) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = doctor();
            assert!(!said.contains("E101"), "{said}");
            if is(&said) {
                return;
            }
            assert!(Instant::now() < deadline, "not {what}: {said}");
            sleep(Duration::from_millis(200)); // poll: what is wrong, bounded by the deadline
        }
    };
    faults.set(Misbehave { growth_errno: Errno::NOSPC.raw_os_error(), ..Misbehave::default() });
    // What has its place in the log is acknowledged.
    assert_eq!(publish("meanwhile").0, 200);
    until("full", &|said| said.contains("E102"));
    faults.set(Misbehave::default());
    until("well again", &|said| !said.contains("E102"));
    assert_eq!(publish("after").0, 200);
    let all = broker.entrepot(&["consume", "t", "--offset", "earliest", "-n", "3"]);
    for value in ["before", "meanwhile", "after"] {
        assert!(all.stdout.contains(value), "{all:?}");
    }
}

#[test]
fn what_is_known_of_a_broker_is_diagnosed_elsewhere_and_has_no_secrets() {
    let users = "login.plain_users=user_alice=\"pencil-for-the-test\"";
    let broker = Serve::new().arg("--set").arg(users).start();
    let at = format!("127.0.0.1:{}", broker.http());
    for message in ["{\"name\": \"t\"}", "{\"name\": \"of-nobody-else\"}"] {
        assert_eq!(ask(&broker, "POST", "/api/v1/topics", message).0, 200);
    }
    let home = scratch();
    let file = home.path().join("b.tar.gz");
    let file = file.to_str().unwrap();
    let made = broker.entrepot(&["doctor", "--http", &at, "--bundle", file]);
    assert!(made.status.success() && made.stdout.starts_with("wrote "), "{made:?}");
    let again = broker.entrepot(&["doctor", "--http", &at, "--bundle", file]);
    assert!(again.status.code() == Some(1) && again.stderr.contains("exists"), "{again:?}");
    drop(broker);
    // The broker is gone; tools that everybody has read it, too.
    let unpacked = Command::new("tar").args(["-xzf", file, "-C"]).arg(home.path()).output();
    assert!(unpacked.as_ref().is_ok_and(|tar| tar.status.success()), "{unpacked:?}");
    let folder = home.path().join("entrepot-bundle");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect(name);
    let names = ["about.json", "state.json", "metrics.txt", "history.jsonl", "events.jsonl"];
    let all = names.map(read).concat() + &read("diagnosis.json");
    assert!(all.contains("topic/of-nobody-else") && all.contains("broker.started"), "{all}");
    assert!(all.contains("\"kernel\"") && !all.contains("pencil-for-the-test"));
    let home = Serve::new().start();
    let said = home.entrepot(&["doctor", "--from", file]);
    assert!(said.status.success() && said.stdout.ends_with("\nnothing is wrong\n"), "{said:?}");
    let json = home.entrepot(&["doctor", "--from", file, "-o", "json"]);
    assert_eq!(json.stdout, "{\"incidents\":[]}\n");
    let bad = home.entrepot(&["doctor", "--from", folder.join("state.json").to_str().unwrap()]);
    assert!(bad.status.code() == Some(1) && bad.stderr.contains("no archive"), "{bad:?}");
}

#[test]
fn events_are_consumed_as_any_other_topic() {
    let broker = Serve::new().start();
    let events = broker.entrepot(&["consume", "_events", "--offset", "earliest", "-n", "1"]);
    assert!(events.stdout.contains("broker.started"), "{events:?}");
    let listed = broker.entrepot(&["topic", "list"]);
    assert!(listed.status.success() && !listed.stdout.contains("_events"), "{listed:?}");
    let listed = broker.entrepot(&["topic", "list", "--internal"]);
    assert!(listed.stdout.contains("_events"), "{listed:?}");
}

#[test]
fn prometheus_scrapes_the_broker_by_the_rules_that_come_with_it() {
    let Some(prometheus) = tool("prometheus") else { return };
    let rules = root().join("deploy/prometheus/entrepot.rules.yml");
    let mut promtool = Command::new(prometheus.join("bin/promtool"));
    let checked = promtool.args(["check", "rules"]).arg(&rules).output().expect("promtool runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let broker = Serve::new().start();
    let (home, port) = (scratch(), free_port());
    let config = home.path().join("prometheus.yml");
    let text = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{}']\nscrape_configs:\n- \
         job_name: entrepot\n  static_configs: [{{ targets: ['127.0.0.1:{}'] }}]\n",
        rules.display(),
        broker.http()
    );
    std::fs::write(&config, text).expect("the scratch folder is writable");
    let mut command = Command::new(prometheus.join("bin/prometheus"));
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", home.path().join("data").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let process = Process::start("prometheus", &mut command);
    let is_ready = |line: &str| line.contains("Server is ready").then_some(());
    process.wait_for("ready", 0, PATIENCE, is_ready);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (_, answer) = ask_at(port, "GET", "/api/v1/query?query=entrepot_healthy", "");
        if answer.contains("\"1\"]") {
            break;
        }
        assert!(Instant::now() < deadline, "{answer}\n{}", process.log());
        sleep(Duration::from_millis(100)); // poll: until it has scraped, bounded by the deadline
    }
    assert!(!process.log().contains("level=error"), "{}", process.log());
}
