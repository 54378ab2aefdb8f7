//! Burrow watches over the consumer groups of a broker, as it does over Kafka's: it keeps its lock in ZooKeeper, and
//! reads `__consumer_offsets`.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{Broker, PATIENCE, Process, Serve, free_port, kcat, scratch, tool};

use crate::http::ask_at;

/// Burrow, watching a broker.
struct Burrow {
    process: Process,
    port: u16,
    _home: tempfile::TempDir,
}

impl Burrow {
    fn watching(broker: &Broker) -> Option<Self> {
        let folder = tool("burrow")?;
        let (home, port) = (scratch(), free_port());
        let at = home.path().display();
        // Its own example, with our addresses and a notifier, for which it needs ZooKeeper.
        let config = format!(
            r#"
[general]
pidfile = "{at}/burrow.pid"
[logging]
level = "info"
[zookeeper]
servers = ["{zookeeper}"]
timeout = 6
root-path = "/burrow"
[client-profile.test]
client-id = "burrow-test"
kafka-version = "2.0.0"
[cluster.local]
class-name = "kafka"
servers = ["{kafka}"]
client-profile = "test"
topic-refresh = 1
offset-refresh = 1
[consumer.local]
class-name = "kafka"
cluster = "local"
servers = ["{kafka}"]
client-profile = "test"
[notifier.default]
class-name = "http"
url-open = "http://127.0.0.1:1/"
template-open = "{template}"
interval = 3600
[httpserver.default]
address = "127.0.0.1:{port}"
[storage.default]
class-name = "inmemory"
workers = 2
intervals = 15
expire-group = 604800
min-distance = 1
"#,
            zookeeper = broker.zookeeper(),
            kafka = broker.kafka(),
            template = folder.join("etc/burrow/default-http-post.tmpl").display(),
        );
        std::fs::write(home.path().join("burrow.toml"), config).expect("a writable folder");
        let mut command = Command::new(folder.join("bin/burrow"));
        command.arg("--config-dir").arg(home.path());
        Some(Self { process: Process::start("burrow", &mut command), port, _home: home })
    }

    /// What it says of a group, once that is so.
    fn until(&self, group: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/v3/kafka/local/consumer/{group}/lag");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = match std::net::TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(_) => ask_at(self.port, "GET", &path, "").1,
                Err(error) => error.to_string(),
            };
            let status = serde_json::from_str::<Value>(&said).unwrap_or_default()["status"].take();
            if is(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "not {what}: {said}\n{}", self.process.log());
            sleep(Duration::from_millis(200)); // poll: until it has read and judged, bounded by the deadline
        }
    }
}

/// A member of the group; it commits what it has read.
fn member(broker: &Broker, more: &[&str]) -> Process {
    let mut reader = kcat().expect("it was there");
    reader.args(["-b", &broker.kafka(), "-X", "auto.offset.reset=earliest"]);
    reader.args(["-X", "auto.commit.interval.ms=100"]).args(more).args(["-G", "buyers", "orders"]);
    Process::start("kcat", &mut reader)
}

#[test]
fn burrow_watches_over_groups_through_both_doors() {
    let Some(_) = kcat() else { return };
    let broker = Serve::new().start();
    let run = |args: &[&str]| {
        let exit = broker.entrepot(args);
        assert!(exit.status.success(), "{exit:?}");
    };
    run(&["topic", "create", "orders", "--partitions", "1"]);
    run(&["produce", "orders", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]);
    // Before anybody asked for the topic of offsets: it begins with what was committed by then.
    let exit = member(&broker, &["-c", "4"]).exit(PATIENCE);
    assert_eq!(exit.stdout, "1\n2\n3\n4\n", "{exit:?}");
    let Some(burrow) = Burrow::watching(&broker) else { return };
    let status = burrow.until("buyers", "behind by six", |status| status["totallag"] == 6);
    assert_eq!(status["partition_count"], 1, "{status}");
    let worst = &status["maxlag"];
    assert_eq!((&worst["topic"], &worst["partition"]), (&json!("orders"), &json!(0)), "{status}");
    assert_eq!(worst["end"]["offset"], 4, "{status}");
    // And it goes on with what is committed while it watches, and with who is a member.
    let _member = member(&broker, &[]);
    let is_done =
        |status: &Value| status["totallag"] == 0 && status["maxlag"]["owner"] == "/127.0.0.1";
    let status = burrow.until("buyers", "at the end, with a member", is_done);
    assert_eq!(status["status"], "OK", "{status}");
    assert!(!burrow.process.log().contains("\"level\":\"error\""), "{}", burrow.process.log());
}
