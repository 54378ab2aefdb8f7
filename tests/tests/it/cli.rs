//! The command line: tables for people, JSON for programs, and an exit code that can be trusted.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use door_kafka::wire::messages::share_fetch_request::{
    AcknowledgementBatch, FetchPartition, FetchTopic,
};
use door_kafka::wire::messages::{
    AlterShareGroupOffsetsRequest, MetadataRequest, ShareFetchRequest, ShareGroupHeartbeatRequest,
    alter_share_group_offsets_request, metadata_request,
};
use serde_json::Value;
use tests::{Broker, Exit, PATIENCE, Process, Serve, binary, entrepot};

fn ok(broker: &Broker, args: &[&str]) -> String {
    let exit = broker.entrepot(args);
    assert!(exit.status.success(), "entrepot {args:?}: {exit:?}");
    exit.stdout
}

fn json(broker: &Broker, args: &[&str]) -> Value {
    let mut all = args.to_vec();
    all.extend(["-o", "json"]);
    let text = ok(broker, &all);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("entrepot {all:?}: {e}\n{text}"))
}

fn fails(broker: &Broker, args: &[&str], word: &str) {
    let exit = broker.entrepot(args);
    assert!(!exit.status.success(), "entrepot {args:?}: {exit:?}");
    assert!(exit.stderr.contains(word), "entrepot {args:?}: no {word:?} in {exit:?}");
}

use crate::client::Client;

/// Sends lines with `entrepot produce`.
fn produce(broker: &Broker, args: &[&str], lines: &[&str]) -> Exit {
    let mut command = Command::new(binary());
    command.arg("produce").args(args).args(["--broker", &broker.kafka()]);
    command.current_dir(broker.home()).env("HOME", broker.home());
    let mut process = Process::start("entrepot produce", &mut command);
    for line in lines {
        process.say(line);
    }
    process.exit(PATIENCE)
}

#[test]
fn a_topic_is_created_listed_described_and_deleted() {
    let broker = Serve::new().start();
    ok(&broker, &["topic", "create", "orders", "--partitions", "4"]);
    fails(&broker, &["topic", "create", "orders"], "exists");
    fails(&broker, &["topic", "create", "no/such name"], "name");

    assert!(ok(&broker, &["topic", "list"]).contains("orders"));
    let listed = json(&broker, &["topic", "list"]);
    assert_eq!(listed[0]["name"], "orders", "{listed}");
    assert_eq!(listed[0]["partitions"], 4, "{listed}");

    let described = ok(&broker, &["topic", "describe", "orders"]);
    assert!(described.contains("orders") && described.contains('3'), "{described}");
    let described = json(&broker, &["topic", "describe", "orders"]);
    assert_eq!(described["partitions"].as_array().map(Vec::len), Some(4), "{described}");

    ok(&broker, &["topic", "delete", "orders"]);
    assert_eq!(json(&broker, &["topic", "list"]).as_array().map(Vec::len), Some(0));
    fails(&broker, &["topic", "describe", "orders"], "orders");
    fails(&broker, &["topic", "delete", "orders"], "orders");
}

#[test]
fn a_topic_says_what_is_published_to_it() {
    let broker = Serve::new().start();
    let bind = ["--bind", "sensors.>", "--bind", "meters.*.kwh"];
    ok(&broker, &[&["topic", "create", "telemetry"], &bind[..]].concat());
    fails(&broker, &["topic", "create", "wrong", "--bind", "a.>.b"], "a.>.b");
    let described = ok(&broker, &["topic", "describe", "telemetry"]);
    assert!(described.contains("sensors.>, meters.*.kwh"), "{described}");
    let set = ["topic", "alter", "telemetry", "--set", "entrepot.bind=sensors.room"];
    ok(&broker, &set);
    let described = ok(&broker, &["topic", "describe", "telemetry"]);
    assert!(described.contains("published to sensors.room\n"), "{described}");
    fails(&broker, &["topic", "alter", "telemetry", "--set", "entrepot.bind=a..b"], "a..b");
}

#[test]
fn a_group_says_how_its_live_members_are_picked() {
    let broker = Serve::new().start();
    fails(&broker, &["group", "describe", "workers"], "workers");
    let set = ["entrepot.dispatch.policy=shortest-response", "entrepot.dispatch.weights=big=3"];
    ok(&broker, &["group", "alter", "workers", "--set", set[0], "--set", set[1]]);
    let described = ok(&broker, &["group", "describe", "workers"]);
    assert!(described.contains("shortest-response") && described.contains("big=3"), "{described}");
    let described = json(&broker, &["group", "describe", "workers"]);
    assert_eq!(described["settings"][0]["value"], "shortest-response", "{described}");
    fails(
        &broker,
        &["group", "alter", "workers", "--set", "entrepot.dispatch.policy=fastest"],
        "fastest",
    );
    for key in ["entrepot.dispatch.policy", "entrepot.dispatch.weights"] {
        ok(&broker, &["group", "alter", "workers", "--unset", key]);
    }
    fails(&broker, &["group", "describe", "workers"], "workers");
}

#[test]
fn what_is_produced_is_consumed() {
    let broker = Serve::new().start();
    let sent = produce(&broker, &["greetings"], &["Hello, World!", "", "ünï"]);
    assert!(sent.status.success(), "{sent:?}");
    let read = ok(&broker, &["consume", "greetings", "--from-beginning", "--max", "3"]);
    assert_eq!(read, "Hello, World!\n\nünï\n");
}

#[test]
fn consume_waits_for_what_is_sent_from_now_on() {
    let broker = Serve::new().start();
    let sent = produce(&broker, &["now"], &["before"]);
    assert!(sent.status.success(), "{sent:?}");
    let mut command = Command::new(binary());
    command.args(["consume", "now", "--max", "1", "--broker", &broker.kafka()]);
    command.current_dir(broker.home()).env("HOME", broker.home());
    let waiting = Process::start("entrepot consume", &mut command);
    // It may start to read before or after a message is sent, so we send until it has one.
    for _ in 0..60 {
        let sent = produce(&broker, &["now"], &["after"]);
        assert!(sent.status.success(), "{sent:?}");
        if waiting.stdout().contains("after") {
            break;
        }
    }
    let exit = waiting.exit(PATIENCE);
    assert!(exit.status.success() && exit.stdout == "after\n", "{exit:?}");
}

#[test]
fn keys_are_produced_and_shown() {
    let broker = Serve::new().start();
    let sent = produce(&broker, &["keyed", "--key-separator", ":"], &["k:v", "k2:v:2"]);
    assert!(sent.status.success(), "{sent:?}");
    let args = ["consume", "keyed", "--from-beginning", "--max", "2", "-o", "json"];
    let lines: Vec<Value> =
        ok(&broker, &args).lines().map(|l| serde_json::from_str(l).expect(l)).collect();
    let pairs: Vec<_> = lines.iter().map(|l| (l["key"].clone(), l["value"].clone())).collect();
    assert_eq!(pairs, [("k".into(), "v".into()), ("k2".into(), "v:2".into())]);
    assert_eq!((&lines[1]["partition"], &lines[1]["offset"]), (&0.into(), &1.into()));
}

#[test]
fn a_group_is_listed_and_described_with_its_lag() {
    let broker = Serve::new().start();
    assert_eq!(json(&broker, &["group", "list"]).as_array().map(Vec::len), Some(0));
    let sent = produce(&broker, &["work"], &["1", "2", "3"]);
    assert!(sent.status.success(), "{sent:?}");
    let args = ["consume", "work", "--group", "workers", "--from-beginning", "--max", "2"];
    assert_eq!(ok(&broker, &args), "1\n2\n");
    assert_eq!(json(&broker, &["group", "list"])[0]["name"], "workers");
    assert!(ok(&broker, &["group", "describe", "workers"]).contains("work"));
    let described = json(&broker, &["group", "describe", "workers"]);
    let offsets = &described["offsets"][0];
    assert_eq!(offsets["topic"], "work", "{described}");
    assert_eq!((&offsets["committed"], &offsets["end"]), (&2.into(), &3.into()), "{described}");
    assert_eq!(offsets["lag"], 1, "{described}");
    fails(&broker, &["group", "describe", "nobody"], "nobody");
}

/// A member of share group `jobs`, which has read topic `work` from its beginning, and accepted the
/// first of two records that it got.
fn share_member(broker: &Broker) -> Client {
    let mut client = Client::connect(&broker.kafka()).expect("a connection");
    let begin = AlterShareGroupOffsetsRequest {
        group_id: "jobs".into(),
        topics: vec![alter_share_group_offsets_request::AlterShareGroupOffsetsRequestTopic {
            topic_name: "work".into(),
            partitions: vec![
                alter_share_group_offsets_request::AlterShareGroupOffsetsRequestPartition {
                    partition_index: 0,
                    start_offset: 0,
                },
            ],
        }],
    };
    assert_eq!(client.call(&begin, 0).expect("an answer").error_code, 0);
    let name = metadata_request::MetadataRequestTopic {
        name: Some("work".into()),
        ..metadata_request::MetadataRequestTopic::default()
    };
    let asked = MetadataRequest { topics: Some(vec![name]), ..MetadataRequest::default() };
    let topic_id = client.call(&asked, 12).expect("an answer").topics[0].topic_id;
    let join = ShareGroupHeartbeatRequest {
        group_id: "jobs".into(),
        member_id: "member-1".into(),
        subscribed_topic_names: Some(vec!["work".into()]),
        ..ShareGroupHeartbeatRequest::default()
    };
    assert_eq!(client.call(&join, 1).expect("an answer").error_code, 0);
    let accept =
        AcknowledgementBatch { first_offset: 0, last_offset: 0, acknowledge_types: vec![1] };
    for (epoch, said) in [(0, vec![]), (1, vec![accept])] {
        let partition =
            FetchPartition { acknowledgement_batches: said, ..FetchPartition::default() };
        let fetch = ShareFetchRequest {
            group_id: Some("jobs".into()),
            member_id: Some("member-1".into()),
            share_session_epoch: epoch,
            max_bytes: 1 << 20,
            max_records: 2,
            share_acquire_mode: 1,
            topics: vec![FetchTopic { topic_id, partitions: vec![partition] }],
            ..ShareFetchRequest::default()
        };
        let fetched = client.call(&fetch, 2).expect("an answer");
        let partition = &fetched.responses[0].partitions[0];
        assert_eq!((partition.error_code, partition.acknowledge_error_code), (0, 0), "{fetched:?}");
    }
    client
}

#[test]
fn a_share_group_is_listed_and_described_with_what_it_is_not_done_with() {
    let broker = Serve::new().start();
    assert!(produce(&broker, &["work"], &["1", "2", "3"]).status.success());
    let _member = share_member(&broker);
    let listed = json(&broker, &["group", "list"]);
    assert_eq!(listed[0]["name"], "jobs", "{listed}");
    let described = json(&broker, &["group", "describe", "jobs"]);
    assert_eq!(
        (&described["group_type"], &described["state"]),
        (&"share".into(), &"Stable".into())
    );
    let member = &described["members"][0];
    assert_eq!((&member["member"], &member["client"]), (&"member-1".into(), &"test".into()));
    assert_eq!(member["partitions"], 1, "{described}");
    let offsets = &described["offsets"][0];
    assert_eq!((&offsets["topic"], &offsets["partition"]), (&"work".into(), &0.into()));
    assert_eq!((&offsets["start"], &offsets["lag"]), (&1.into(), &2.into()), "{described}");
    assert_eq!(described["total_lag"], 2, "{described}");
    let text = ok(&broker, &["group", "describe", "jobs"]);
    let first = text.lines().next().expect("a line");
    assert!(first.starts_with("share group jobs, Stable, coordinator 0"), "{text}");
    let rows: Vec<Vec<&str>> =
        text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["TOPIC", "PARTITION", "START", "LAG"]), "{text}");
    assert!(rows.contains(&vec!["work", "0", "1", "2"]), "{text}");
    assert!(rows.iter().any(|row| row.starts_with(&["member-1", "test"])), "{text}");
}

/// Asks the management API for something; what it answers, head and all.
fn manage(broker: &Broker, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", broker.management())).expect("it listens");
    let length = body.len();
    write!(stream, "{method} /api/{path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}")
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn a_queue_is_listed_described_purged_and_deleted() {
    let broker = Serve::new().start();
    let declared = manage(&broker, "PUT", "queues/%2F/jobs%2F1", r#"{"durable":true}"#);
    assert!(declared.contains(" 201 Created"), "{declared}");
    let message = r#"{"routing_key":"jobs/1","payload":"one","properties":{}}"#;
    let sent = manage(&broker, "POST", "exchanges/%2F/amq.default/publish", message);
    assert!(sent.ends_with(r#"{"routed":true}"#), "{sent}");
    let at = format!("127.0.0.1:{}", broker.management());
    let run = |args: &[&str]| ok(&broker, &[args, &["--management", at.as_str()]].concat());
    let row = run(&["queue", "list"]);
    let row: Vec<_> = row.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(row, ["/", "jobs/1", "classic", "yes", "1", "0", "0"]);
    run(&["queue", "pause", "jobs/1"]);
    assert_eq!(json(&broker, &["queue", "list", "--management", &at])[0]["paused"], true);
    let seen = json(&broker, &["queue", "peek", "jobs/1", "--max", "5", "--management", &at]);
    assert_eq!((&seen[0]["payload"], &seen[1]), (&"one".into(), &Value::Null), "{seen}");
    run(&["queue", "resume", "jobs/1"]);
    assert_eq!(json(&broker, &["queue", "list", "--management", &at])[0]["paused"], false);
    let described = json(&broker, &["queue", "describe", "jobs/1", "--management", &at]);
    assert_eq!(described["queue"]["ready"], 1, "{described}");
    assert_eq!(described["bindings"][0]["routing_key"], "jobs/1", "{described}");
    assert!(run(&["exchange", "list"]).contains("amq.topic"));
    run(&["queue", "purge", "jobs/1"]);
    assert_eq!(json(&broker, &["queue", "list", "--management", &at])[0]["ready"], 0);
    run(&["queue", "delete", "jobs/1", "--if-empty"]);
    fails(&broker, &["queue", "delete", "jobs/1", "--management", &at], "there is none");
    run(&["queue", "delete", "jobs/1", "--if-exists"]);
    fails(&broker, &["queue", "list", "--management", "127.0.0.1:1"], "--management");
}

#[test]
fn a_policy_is_set_listed_and_deleted() {
    let broker = Serve::new().start();
    manage(&broker, "PUT", "queues/%2F/jobs", r#"{"durable":true}"#);
    let at = format!("127.0.0.1:{}", broker.management());
    let run = |args: &[&str]| ok(&broker, &[args, &["--management", at.as_str()]].concat());
    let list = |args: &[&str]| json(&broker, &[args, &["--management", at.as_str()]].concat());
    let limit = r#"{"max-length":7}"#;
    run(&["policy", "set", "short", "^jobs$", limit, "--apply-to", "queues", "--priority", "-1"]);
    run(&["policy", "set", "all", ".*", limit, "--operator"]);
    let listed = list(&["policy", "list"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!((&listed[0]["pattern"], &listed[0]["priority"]), (&"^jobs$".into(), &(-1).into()));
    assert_eq!(list(&["policy", "list", "--operator"])[0]["definition"]["max-length"], 7);
    assert_eq!(list(&["queue", "list"])[0]["policy"], "short");
    run(&["policy", "delete", "short"]);
    assert_eq!(list(&["queue", "list"])[0]["policy"], "");
    let gone = ["policy", "delete", "short", "--management", &at];
    fails(&broker, &gone, "there is none");
    let odd = ["policy", "set", "odd", "(", limit, "--management", &at];
    fails(&broker, &odd, "pattern should be regular expression");
}

#[test]
fn status_tells_what_runs_and_fails_when_nothing_does() {
    let mut broker = Serve::new().start();
    ok(&broker, &["topic", "create", "one", "--partitions", "2"]);
    assert!(!ok(&broker, &["status"]).is_empty());
    let status = json(&broker, &["status"]);
    assert!(status.is_object(), "{status}");
    assert_eq!((&status["topics"], &status["partitions"]), (&1.into(), &2.into()), "{status}");
    broker.stop();
    fails(&broker, &["status"], &broker.kafka());
}

#[test]
fn config_show_tells_where_each_value_came_from() {
    let home = tests::scratch();
    std::fs::write(home.path().join("entrepot.toml"), "[topic]\npartitions = 3\n").unwrap();
    let args = ["config", "show", "--origin", "--config", "entrepot.toml"];
    let shown = entrepot(home.path(), &args);
    assert!(shown.status.success(), "{shown:?}");
    let line = |key: &str| {
        let found = shown.stdout.lines().find(|line| line.contains(key));
        found.unwrap_or_else(|| panic!("no {key} in\n{}", shown.stdout)).to_owned()
    };
    let partitions = line("topic.partitions");
    assert!(partitions.contains('3') && partitions.contains("entrepot.toml:2"), "{partitions}");
    assert!(line("kafka.port").contains("default"));
    assert!(line("storage.dir").contains(home.path().to_str().unwrap()), "the folder is named");
}

#[test]
fn completions_are_printed_for_each_shell() {
    let home = tests::scratch();
    for shell in ["bash", "zsh", "fish"] {
        let exit = entrepot(home.path(), &["completions", shell]);
        assert!(exit.status.success() && exit.stdout.contains("entrepot"), "{shell}: {exit:?}");
    }
}

#[test]
fn a_mistake_is_explained_and_is_no_success() {
    let home = tests::scratch();
    for args in [["topic", "crate"], ["serve", "--no-such-flag"], ["completions", "cmd.exe"]] {
        let exit = entrepot(home.path(), &args);
        assert_eq!(exit.status.code(), Some(2), "entrepot {args:?}: {exit:?}");
        assert!(!exit.stderr.is_empty() && exit.stdout.is_empty(), "{exit:?}");
    }
}

#[test]
fn a_load_is_counted_exactly_and_read_back_whole() {
    let broker = Serve::new().start();
    let pid = broker.id().to_string();
    let load = ["bench", "produce", "-n", "20000", "--size", "100", "-z", "lz4"];
    let spread = ["--partitions", "8", "--connections", "3", "--server-pid", &pid];
    let sent = json(&broker, &[&load[..], &spread[..]].concat());
    let records = sent["records"].as_u64().expect("a number");
    assert!(records >= 20_000, "{sent}");
    assert!(sent["server"]["memory_peak_bytes"].as_u64() > Some(1_000_000), "{sent}");
    let described = json(&broker, &["topic", "describe", "bench"]);
    assert_eq!(described["partitions"].as_array().map(Vec::len), Some(8), "{described}");
    for connections in ["1", "3", "9"] {
        let read = json(&broker, &["bench", "consume", "--connections", connections]);
        assert_eq!(read["records"], records, "{read}");
    }
}

#[test]
fn each_message_of_a_fixed_rate_is_timed_once() {
    let broker = Serve::new().start();
    let load = ["bench", "latency", "--topic", "paced", "--partitions", "3", "--size", "20"];
    let timed = json(
        &broker,
        &[&load[..], &["--rate", "500", "--seconds", "2", "--warm-up", "1"]].concat(),
    );
    assert_eq!(timed["records"], 1500, "{timed}");
    for latency in timed["latencies"].as_array().expect("a list") {
        assert_eq!(latency["count"], 1000, "the warm-up does not count: {timed}");
        assert!(latency["p50_ms"].as_f64() <= latency["p99_ms"].as_f64(), "{timed}");
    }
}
