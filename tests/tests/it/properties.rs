//! A Kafka `server.properties`: each key has its effect, or is named at start as having none.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};
use tests::{Broker, Exit, PATIENCE, Process, Python, Script, Serve, kcat};

/// Every key that the project promises to accept, each with a value that is not its default.
fn every_key(home: &Path, kafka: u16, zookeeper: u16) -> String {
    format!(
        "# Comments and blank lines are skipped.\n\n\
         broker.id=7\n\
         listeners=PLAINTEXT://127.0.0.1:{kafka}\n\
         log.dirs={}\n\
         num.partitions=5\n\
         auto.create.topics.enable=true\n\
         num.network.threads=3\n\
         num.io.threads=5\n\
         socket.send.buffer.bytes=65536\n\
         socket.receive.buffer.bytes=131072\n\
         socket.request.max.bytes=1048576\n\
         num.replica.fetchers=2\n\
         replica.fetch.max.bytes=2097152\n\
         replica.fetch.wait.max.ms=250\n\
         replica.high.watermark.checkpoint.interval.ms=2500\n\
         zookeeper.connect=127.0.0.1:{zookeeper}\n\
         zookeeper.connection.timeout.ms=3000\n\
         zookeeper.session.timeout.ms=9000\n",
        home.join("kafka-logs").display()
    )
}

/// The keys among them that have nothing to act on here.
const WITHOUT_EFFECT: [&str; 5] = [
    "num.io.threads",
    "num.replica.fetchers",
    "replica.fetch.max.bytes",
    "replica.fetch.wait.max.ms",
    "replica.high.watermark.checkpoint.interval.ms",
];

/// A broker configured by that text with some of it replaced.
fn serve(changes: &[(&str, &str)]) -> Serve {
    Serve::configured("server.properties", |home, kafka, zookeeper| {
        let text = every_key(home, kafka, zookeeper);
        changes.iter().fold(text, |text, (old, new)| {
            assert!(text.contains(old), "{old} is not in the text");
            text.replace(old, new)
        })
    })
}

#[test]
fn each_key_without_effect_is_named_at_start_with_its_line_and_a_reason() {
    let broker = serve(&[]).start();
    let log = broker.log();
    let text = every_key(broker.home(), 0, 0);
    for key in WITHOUT_EFFECT {
        let said = log.lines().find(|line| line.contains(key));
        let said = said.unwrap_or_else(|| panic!("{key} is not named\n{log}"));
        let line = text.lines().position(|line| line.starts_with(&format!("{key}="))).unwrap() + 1;
        assert!(said.contains(&format!("server.properties:{line}")), "where? {said}");
        assert!(said.contains("no effect"), "what? {said}");
        assert!(said.len() > key.len() + 60, "why? {said}");
    }
    let honoured = text.lines().filter_map(|line| line.split_once('=')).map(|(key, _)| key);
    for key in honoured.filter(|key| !WITHOUT_EFFECT.contains(key)) {
        let named = format!(": {key}: ");
        let said = log.lines().find(|line| line.contains(&named) && line.contains("no effect"));
        assert_eq!(said, None, "{key} has an effect");
    }
}

#[test]
fn broker_id_and_listeners_are_what_clients_see() {
    let broker = serve(&[]).start();
    let Some(metadata) = metadata(&broker, &[]) else { return };
    let port = broker.kafka().rsplit(':').next().expect("a port").to_owned();
    // A listener on the loopback address is advertised by the name that every client resolves.
    assert_eq!(metadata["brokers"], json!([{"id": 7, "name": format!("localhost:{port}")}]));
    assert_eq!(metadata["controllerid"], 7);
    let args: [&dyn AsRef<std::ffi::OsStr>; 2] = [&broker.zookeeper(), &"/brokers/ids"];
    let Some(events) = Script::run(Python::Kafka3, "zookeeper_ls", &args, PATIENCE) else {
        return;
    };
    assert_eq!(events[0]["children"], json!(["7"]), "zookeeper.connect names our own port");
}

#[test]
fn log_dirs_holds_the_data() {
    let mut broker = serve(&[]).start();
    let Some(exit) = produce(&broker, "kept", "hello\n") else { return };
    assert!(exit.status.success(), "{exit:?}");
    let folder = broker.home().join("kafka-logs");
    assert!(std::fs::read_dir(&folder).expect("made at start").count() > 0);
    broker.stop();
    broker.restart();
    let mut read = kcat().unwrap();
    read.args(["-b", &broker.kafka(), "-C", "-q", "-e", "-t", "kept", "-o", "beginning"]);
    assert_eq!(Process::start("kcat -C", &mut read).exit(PATIENCE).stdout, "hello\n");
}

#[test]
fn num_partitions_is_for_topics_made_on_first_use() {
    let broker = serve(&[]).start();
    let Some(exit) = produce(&broker, "fresh", "hello\n") else { return };
    assert!(exit.status.success(), "{exit:?}");
    let metadata = metadata(&broker, &["-t", "fresh"]).unwrap();
    assert_eq!(metadata["topics"][0]["partitions"].as_array().map(Vec::len), Some(5));
}

#[test]
fn auto_create_topics_enable_off_refuses_an_unknown_topic() {
    let off = ("auto.create.topics.enable=true", "auto.create.topics.enable=false");
    let broker = serve(&[off]).start();
    let Some(exit) = produce(&broker, "fresh", "hello\n") else { return };
    assert!(!exit.status.success(), "{exit:?}");
    assert!(exit.stderr.contains("Unknown topic"), "{exit:?}");
    let topics = metadata(&broker, &[]).unwrap()["topics"].clone();
    assert_eq!(topics, json!([]), "none was made");
}

#[test]
fn socket_request_max_bytes_closes_the_connection_on_a_larger_request() {
    let broker = serve(&[]).start();
    let refused = api_versions(&broker, 1_048_577);
    assert_eq!(refused, None, "one byte more is not read");
    let answered = api_versions(&broker, 0).expect("a request within the limit is answered");
    assert_eq!(answered, 77, "with its correlation id");
}

/// Sends ApiVersions (key 18) version 0 with correlation id 77 and returns the one answered, or
/// none when the connection is closed. `claimed` replaces the frame's length unless it is 0.
fn api_versions(broker: &Broker, claimed: u32) -> Option<u32> {
    let mut request = vec![0, 18, 0, 0];
    request.extend(77_u32.to_be_bytes());
    request.extend([0xff, 0xff]); // No client id.
    let length = if claimed == 0 { u32::try_from(request.len()).unwrap() } else { claimed };
    let mut stream = TcpStream::connect(broker.kafka()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[&length.to_be_bytes(), request.as_slice()].concat()).unwrap();
    let mut answer = [0; 8];
    match stream.read_exact(&mut answer) {
        Ok(()) => Some(u32::from_be_bytes(answer[4..].try_into().unwrap())),
        Err(error) => {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "left open, not closed");
            None
        }
    }
}

#[test]
fn num_network_threads_is_the_number_of_worker_threads() {
    let three = threads(&serve(&[]).start());
    let six = threads(&serve(&[("num.network.threads=3", "num.network.threads=6")]).start());
    // The runtime names its threads for blocking calls, few and short-lived, like its workers.
    let follows = |(name, few): (&String, &usize)| {
        let many = six.get(name).copied().unwrap_or(0);
        (3..6).contains(few) && (6..9).contains(&many)
    };
    assert!(three.iter().any(follows), "no threads follow the key: {three:?} {six:?}");
}

/// The process's threads by name.
fn threads(broker: &Broker) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for task in std::fs::read_dir(format!("/proc/{}/task", broker.id())).unwrap() {
        let name = std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap();
        // Threads may be numbered.
        let name = name.trim().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
        *names.entry(name.to_owned()).or_default() += 1;
    }
    names
}

#[test]
fn zookeeper_session_timeout_is_the_longest_granted() {
    let broker = serve(&[]).start();
    assert_eq!(granted_timeout(&broker, 30_000), 9_000);
    assert_eq!(granted_timeout(&broker, 6_000), 6_000);
}

/// Opens a ZooKeeper session asking for a time-out and returns the one granted.
fn granted_timeout(broker: &Broker, asked: i32) -> i32 {
    // ConnectRequest: protocol version, last zxid, time-out, session id, password.
    let mut request = Vec::new();
    request.extend(0_i32.to_be_bytes());
    request.extend(0_i64.to_be_bytes());
    request.extend(asked.to_be_bytes());
    request.extend(0_i64.to_be_bytes());
    request.extend(16_i32.to_be_bytes());
    request.extend([0; 16]);
    let length = u32::try_from(request.len()).unwrap().to_be_bytes();
    let mut stream = TcpStream::connect(broker.zookeeper()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[length.as_slice(), request.as_slice()].concat()).unwrap();
    // ConnectResponse: length, protocol version, time-out, …
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    i32::from_be_bytes(answer[8..].try_into().unwrap())
}

#[test]
fn socket_buffers_are_what_the_key_says() {
    let broker = serve(&[]).start();
    let config = tests::entrepot(
        broker.home(),
        &["config", "show", "--origin", "-o", "json", "--config", "server.properties"],
    );
    assert!(config.status.success(), "{config:?}");
    let config: Value = serde_json::from_str(&config.stdout).expect("JSON");
    let text = config.to_string();
    for (key, value, line) in
        [("network.send_buffer_bytes", "65536", 10), ("network.receive_buffer_bytes", "131072", 11)]
    {
        let found = find(&config, key).unwrap_or_else(|| panic!("no {key} in {text}"));
        assert_eq!(found["value"], value, "{key}");
        assert_eq!(found["origin"], format!("server.properties:{line}"), "{key}");
    }
}

/// The row of a key in what `config show -o json` printed.
fn find<'a>(config: &'a Value, key: &str) -> Option<&'a Value> {
    config.as_array()?.iter().find(|row| row["key"] == key)
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_one_meant() {
    let exit = serve(&[("num.partitions=5", "num.partition=5")]).refused();
    refused_because(&exit, &["num.partition;", "server.properties:6", "num.partitions?"]);
}

#[test]
fn a_bad_value_is_refused_with_its_line_and_what_is_allowed() {
    let exit = serve(&[("broker.id=7", "broker.id=seven")]).refused();
    refused_because(&exit, &["broker.id", "server.properties:3", "seven", "whole number"]);
    let exit = serve(&[("num.io.threads=5", "num.io.threads=none")]).refused();
    refused_because(&exit, &["num.io.threads", "server.properties:9", "none"]);
}

#[test]
fn all_mistakes_are_named_at_once() {
    let exit = serve(&[("broker.id=7", "broker.id=seven"), ("num.io", "nun.io")]).refused();
    refused_because(&exit, &["broker.id", "nun.io.threads", "2 errors"]);
}

#[test]
fn a_key_that_asks_for_protection_we_lack_is_refused() {
    let exit = serve(&[("broker.id=7", "broker.id=7\nssl.keystore.type=JKS")]).refused();
    refused_because(&exit, &["ssl.keystore.type", "server.properties:4"]);
}

fn refused_because(exit: &Exit, words: &[&str]) {
    assert!(!exit.status.success() && exit.status.code().is_some(), "{exit:?}");
    for word in words {
        assert!(exit.stderr.contains(word), "{word:?} is not in\n{}", exit.stderr);
    }
    assert!(!exit.stderr.contains("panicked"), "{}", exit.stderr);
}

/// The keys of the file that comes with Kafka 2.x, with flags for what must differ here.
#[test]
fn the_file_that_comes_with_kafka_is_accepted_and_flags_outrank_it() {
    let stock = "broker.id=0\nnum.network.threads=3\nnum.io.threads=8\n\
                 socket.send.buffer.bytes=102400\nsocket.receive.buffer.bytes=102400\n\
                 socket.request.max.bytes=104857600\nlog.dirs=/tmp/kafka-logs\nnum.partitions=1\n\
                 num.recovery.threads.per.data.dir=1\noffsets.topic.replication.factor=1\n\
                 transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
                 log.retention.hours=168\nlog.segment.bytes=1073741824\n\
                 log.retention.check.interval.ms=300000\nzookeeper.connect=localhost:2181\n\
                 zookeeper.connection.timeout.ms=18000\ngroup.initial.rebalance.delay.ms=0\n";
    let mut ports = (0, 0);
    let serve = Serve::configured("server.properties", |_, kafka, zookeeper| {
        ports = (kafka, zookeeper);
        stock.to_owned()
    });
    let data = serve.data();
    let broker = serve
        .arg("--kafka-port")
        .arg(ports.0.to_string())
        .arg("--zookeeper-port")
        .arg(ports.1.to_string())
        .arg("--data-dir")
        .arg(&data)
        .start();
    assert!(data.exists());
    let Some(exit) = produce(&broker, "test", "hello\n") else { return };
    assert!(exit.status.success(), "{exit:?}");
}

/// Sends lines to a topic through kcat, which gives up soon.
fn produce(broker: &Broker, topic: &str, lines: &str) -> Option<Exit> {
    let file = broker.home().join("lines.txt");
    std::fs::write(&file, lines).unwrap();
    let mut command = kcat()?;
    command.args(["-b", &broker.kafka(), "-P", "-t", topic, "-X", "message.timeout.ms=10000"]);
    command.args(["-X", "topic.metadata.propagation.max.ms=500", "-l"]).arg(file);
    Some(Process::start("kcat -P", &mut command).exit(PATIENCE))
}

/// What kcat sees of the cluster.
fn metadata(broker: &Broker, args: &[&str]) -> Option<Value> {
    let mut command = kcat()?;
    command.args(["-b", &broker.kafka(), "-L", "-J"]).args(args);
    let exit = Process::start("kcat -L", &mut command).exit(PATIENCE);
    assert!(exit.status.success(), "{exit:?}");
    Some(serde_json::from_str(&exit.stdout).expect("JSON"))
}
