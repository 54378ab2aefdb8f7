//! Access rules with librdkafka: an administrator lets somebody produce, forbids it, and forgets
//! about both.

use std::ffi::OsStr;

use serde_json::{Value, json};
use tests::{Broker, Exit, PATIENCE, Python, Script, Serve};

/// With logins, where only `admin` may do anything.
fn start() -> Broker {
    let serve = Serve::configured("server.properties", |home, kafka, zookeeper| {
        format!(
            "listeners=SASL_PLAINTEXT://127.0.0.1:{kafka}\n\
             sasl.enabled.mechanisms=PLAIN\n\
             sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
             user_admin=\"admin-secret\" user_alice=\"alice-secret\";\n\
             authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:admin\n\
             zookeeper.connect=127.0.0.1:{zookeeper}\n\
             log.dirs={}/data\n",
            home.display()
        )
    });
    serve.env("ENTREPOT_GROUP__CONSUMER_HEARTBEAT_INTERVAL_MS", "500").start()
}

#[test]
fn who_may_produce_is_what_the_administrator_says() {
    let broker = start();
    let server = broker.kafka();
    let args: [&dyn AsRef<OsStr>; 2] = [&server, &"topic"];
    let Some(events) = Script::run(Python::Confluent, "access", &args, PATIENCE) else { return };
    let denied = "TOPIC_AUTHORIZATION_FAILED";
    let expected = [
        json!({"event": "before", "produced": denied}),
        json!({"event": "not created", "code": denied}),
        json!({"event": "allowed", "produced": "stored"}),
        json!({"event": "found", "acls": [["top", "PREFIXED", "WRITE"]]}),
        json!({"event": "denied", "produced": denied}),
        json!({"event": "deleted", "acls": ["top", "topic"], "produced": denied}),
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_pattern_finds_no_topic_that_the_member_may_not_describe() {
    let broker = start();
    let admin = |args: &[&str]| {
        let done = entrepot(&broker, "admin", args);
        assert!(done.status.success(), "{args:?}: {done:?}");
    };
    let may_read = |resource: &[&str]| {
        admin(&[&["acl", "add", "-p", "alice", "-O", "read"], resource].concat());
    };
    for topic in ["of-all", "of-some"] {
        admin(&["topic", "create", topic]);
    }
    may_read(&["-t", "of-all"]);
    may_read(&["-g", "workers"]);
    let server = broker.kafka();
    let args: [&dyn AsRef<OsStr>; 4] = [&server, &"workers", &"^of-.*", &"alice"];
    let Some(mut alice) = Script::start(Python::Confluent, "groups_new_member", &args) else {
        return;
    };
    // The first that it gets is all that it may have.
    let mut owns = |any: bool| loop {
        let owned = alice.event("owns", PATIENCE)["partitions"].clone();
        if any || owned != json!([]) {
            return owned;
        }
    };
    assert_eq!(owns(false), json!([["of-all", 0]]));
    may_read(&["-t", "of-some"]);
    assert_eq!(owns(false), json!([["of-all", 0], ["of-some", 0]]));
    admin(&["acl", "remove", "-p", "alice", "-t", "of-some"]);
    assert_eq!(owns(false), json!([["of-all", 0]]));
    admin(&["acl", "remove", "-p", "alice", "-t", "of-all"]);
    assert_eq!(owns(true), json!([]));
    alice.finish(PATIENCE);
}

/// A command as somebody who logs in.
fn entrepot(broker: &Broker, user: &str, args: &[&str]) -> Exit {
    let file = broker.home().join(format!("{user}.password"));
    std::fs::write(&file, format!("{user}-secret\n")).expect("a file");
    let file = file.to_string_lossy().into_owned();
    let login = ["--user", user, "--sasl-mechanism", "PLAIN", "--password-file", &file];
    broker.entrepot(&[args, &login[..]].concat())
}

fn rules(broker: &Broker, args: &[&str]) -> Vec<String> {
    let listed = entrepot(broker, "admin", &[&["acl", "list", "-o", "json"], args].concat());
    assert!(listed.status.success(), "{listed:?}");
    let rules: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    let keys = ["kind", "name", "pattern", "principal", "host", "operation", "effect"];
    let text = |rule: &Value| keys.map(|key| rule[key].as_str().expect(key)).join(" ");
    rules.as_array().expect("a list").iter().map(text).collect()
}

#[test]
fn the_command_line_lets_somebody_in_and_out_again() {
    let broker = start();
    let admin = |args: &[&str]| {
        let done = entrepot(&broker, "admin", args);
        assert!(done.status.success(), "{args:?}: {done:?}");
        done
    };
    let describe = || entrepot(&broker, "alice", &["topic", "describe", "orders"]);
    let refused = |word: &str| {
        let exit = describe();
        assert!(!exit.status.success() && exit.stderr.contains(word), "{exit:?}");
    };
    admin(&["topic", "create", "orders"]);
    refused("TOPIC_AUTHORIZATION_FAILED");
    let by_alice = entrepot(&broker, "alice", &["acl", "list"]);
    assert!(by_alice.stderr.contains("CLUSTER_AUTHORIZATION_FAILED"), "{by_alice:?}");
    admin(&[
        "acl",
        "add",
        "-p",
        "alice",
        "-O",
        "read,write,describe-configs",
        "--prefix",
        "-t",
        "ord",
    ]);
    assert!(describe().status.success(), "{:?}", describe());
    let alice = |operation: &str| format!("topic ord prefixed User:alice * {operation} allow");
    let three = ["describe-configs", "read", "write"].map(alice);
    assert_eq!(rules(&broker, &[]), three);
    assert_eq!(rules(&broker, &["--topic", "orders", "--matching"]), three);
    assert_eq!(rules(&broker, &["--topic", "orders"]), [""; 0]);
    assert_eq!(rules(&broker, &["-O", "read"]), three[1..2]);
    admin(&["acl", "add", "-p", "User:alice", "-O", "all", "-t", "orders", "--deny"]);
    refused("TOPIC_AUTHORIZATION_FAILED");
    admin(&["acl", "remove", "-t", "orders", "--deny"]);
    assert!(describe().status.success(), "{:?}", describe());
    let nothing = entrepot(&broker, "admin", &["acl", "remove", "-t", "orders"]);
    assert!(!nothing.status.success() && nothing.stderr.contains("no such rule"), "{nothing:?}");
    let careless = entrepot(&broker, "admin", &["acl", "remove"]);
    assert_eq!(careless.status.code(), Some(2), "{careless:?}");
    let removed = admin(&["acl", "remove", "-p", "User:alice"]);
    assert!(removed.stderr.contains("3 rules removed"), "{removed:?}");
    refused("TOPIC_AUTHORIZATION_FAILED");
}
