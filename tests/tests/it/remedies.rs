//! What the broker does about what is wrong, when it may.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{Broker, Serve};

use crate::http::ask_at;

/// Nothing is said before a group is half a minute behind; and the machine may be busy.
const LONG: Duration = Duration::from_secs(240);

fn asked(broker: &Broker, method: &str, path: &str, body: &Value) -> Value {
    let (status, answer) = ask_at(broker.http(), method, path, &body.to_string());
    assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    serde_json::from_str(&answer).expect("JSON")
}

fn retention(broker: &Broker) -> Value {
    asked(broker, "GET", "/api/v1/topics/t", &json!({}))["config"]["retention.ms"].clone()
}

#[test]
fn a_group_that_would_lose_messages_does_not_and_what_was_done_is_undone() {
    let broker = Serve::new().arg("--set").arg("observe.remedies=auto").start();
    let config = json!({ "retention.ms": "45000" });
    asked(
        &broker,
        "POST",
        "/api/v1/topics",
        &json!({ "name": "t", "partitions": 1, "config": config }),
    );
    let two = json!({ "messages": [{ "value": "a" }, { "value": "b" }] });
    asked(&broker, "POST", "/api/v1/topics/t/messages", &two);
    let first = json!({ "offsets": [{ "topic": "t", "partition": 0, "to": "earliest" }] });
    asked(&broker, "PUT", "/api/v1/groups/late/offsets", &first);
    let begun = Instant::now();
    let remedy = loop {
        let all = asked(&broker, "GET", "/api/v1/remedies", &json!({}));
        assert_eq!(all["mode"], "auto");
        let applied = |one: &&Value| one["state"] == "applied";
        if let Some(one) = all["remedies"].as_array().and_then(|all| all.iter().find(applied)) {
            break one.clone();
        }
        assert!(begun.elapsed() < LONG, "{all}");
        sleep(Duration::from_millis(200)); // poll: what was done, bounded by the deadline
    };
    assert_eq!((&remedy["rule"], &remedy["about"]), (&"E408".into(), &"group/late".into()));
    assert_eq!(remedy["by"], "auto");
    assert_eq!(retention(&broker), "90000");
    let at = format!("127.0.0.1:{}", broker.http());
    let number = remedy["number"].to_string();
    let listed = broker.entrepot(&["remedy", "list", "--http", &at]);
    assert!(
        listed.stdout.contains("retention.ms of topic t from 45000 to 90000"),
        "{}",
        listed.stdout
    );
    let undone = broker.entrepot(&["remedy", "undo", &number, "--http", &at]);
    assert!(undone.status.success(), "{}", undone.stderr);
    assert_eq!(retention(&broker), "45000");
    let again = broker.entrepot(&["remedy", "undo", &number, "--http", &at]);
    assert!(!again.status.success());
}
