//! The console: its modules with Node.js' own test runner, and all of it in a real Chromium, which
//! `tests/console/cdp.mjs` drives. Pictures of all pages are in `target/console/`.

use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{Broker, Faults, Misbehave, PATIENCE, Script, Serve, node, root, scratch, tool};

use crate::http::ask_at;

/// All pages in two languages and two colours, on a busy machine.
const LONG: Duration = Duration::from_secs(300);

/// The number of the error that a full disk gives.
const NO_SPACE: i32 = 28;

#[test]
fn the_modules_of_the_console_do_what_their_tests_say() {
    let Some(mut node) = node() else { return };
    let tests = root().join("crates/door-http/console/tests");
    let ran = node.arg("--test").arg(tests).env_remove("NODE_OPTIONS").output();
    let ran = ran.expect("node runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    // A folder without tests would pass, too.
    let passed = said.lines().find_map(|line| line.strip_prefix("# pass ")?.parse::<u32>().ok());
    assert!(passed.is_some_and(|passed| passed > 10), "{said}");
}

/// A browser at a broker's console.
struct Seen {
    script: Script,
    _profile: TempDir,
}

/// Opens a browser that does these things. `None`: there is none here.
fn see(broker: &Broker, parts: &str) -> Option<Seen> {
    let browser = tool("chromium")?.join("bin/chromium");
    let mut command = node()?;
    let profile = scratch();
    let pictures = pictures();
    command.arg(root().join("tests/console/console.mjs")).arg(parts).arg(browser);
    command.arg(profile.path()).arg(format!("http://127.0.0.1:{}", broker.http())).arg(pictures);
    let script = Script::of(&format!("console {parts}"), &mut command);
    Some(Seen { script, _profile: profile })
}

fn pictures() -> PathBuf {
    let pictures = root().join("target/console");
    std::fs::create_dir_all(&pictures).expect("the target folder is writable");
    pictures
}

fn done(broker: &Broker, method: &str, path: &str, body: &Value) -> String {
    let (status, answer) = ask_at(broker.http(), method, path, &body.to_string());
    assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    answer
}

/// Topics, messages, a group that is behind, and a queue.
fn fill(broker: &Broker) {
    done(broker, "POST", "/api/v1/topics", &json!({ "name": "orders", "partitions": 2 }));
    done(broker, "POST", "/api/v1/topics", &json!({ "name": "measures" }));
    let order = |number: u32| {
        let value = json!({ "price": number, "customer": "<script>alert(1)</script>" });
        json!({ "key": format!("k{number}"), "value_json": value })
    };
    let orders: Vec<_> = (0..50).map(order).collect();
    done(broker, "POST", "/api/v1/topics/orders/messages", &json!({ "messages": orders }));
    // {"t": 1.5} as CBOR.
    let measure =
        json!({ "value_base64": "oWF0+T4A", "headers": [{ "name": "unit", "value": "°C" }] });
    done(broker, "POST", "/api/v1/topics/measures/messages", &json!({ "messages": [measure] }));
    let at = |partition: i32| json!({ "topic": "orders", "partition": partition, "to": "latest" });
    let offsets = json!({ "offsets": [at(0), at(1)] });
    done(broker, "PUT", "/api/v1/groups/billing/offsets", &offsets);
    let manage = |method: &str, path: &str, body: Value| {
        let (status, answer) = ask_at(broker.management(), method, path, &body.to_string());
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    };
    manage("PUT", "/api/queues/%2F/jobs", json!({ "durable": true }));
    let job = json!({
        "routing_key": "jobs", "payload": "work", "payload_encoding": "string", "properties": {},
    });
    for _ in 0..3 {
        manage("POST", "/api/exchanges/%2F/amq.default/publish", job.clone());
    }
}

/// A client of MQTT (version 3.1.1, section 3.1) that is connected while this is held.
fn thermometer(broker: &Broker) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", broker.mqtt())).expect("it listens");
    let mut packet = b"\x10\x17\x00\x04MQTT\x04\x02\x00\x00\x00\x0b".to_vec();
    packet.extend(b"thermometer");
    stream.write_all(&packet).expect("it reads");
    stream
}

#[test]
fn every_page_is_there_in_both_languages_and_complains_of_nothing() {
    let broker = Serve::new().start();
    fill(&broker);
    let _connected = thermometer(&broker);
    let Some(seen) = see(&broker, "tour") else { return };
    let events = seen.script.finish(LONG);
    assert_eq!(events.last().map(|event| &event["event"]), Some(&"toured".into()), "{events:?}");
}

#[test]
fn all_of_it_can_be_reached_and_done() {
    let broker = Serve::new().start();
    fill(&broker);
    let Some(seen) = see(&broker, "keyboard,actions") else { return };
    let events = seen.script.finish(LONG);
    let names: Vec<_> = events.iter().map(|event| &event["event"]).collect();
    assert_eq!(names, ["reached", "done"]);
}

#[test]
fn an_incident_is_explained_while_it_is_one_and_the_broker_may_come_back() {
    let (serve, faults) = Faults::prepare(Serve::new());
    let mut broker = serve.start();
    fill(&broker);
    let Some(mut seen) = see(&broker, "incident") else { return };
    seen.script.event("watching", LONG);
    faults.set(Misbehave { growth_errno: NO_SPACE, ..Misbehave::default() });
    // It has its place in the log, and finds none when it is to move to its topic.
    let one = json!({ "messages": [{ "value": "no room" }] });
    done(&broker, "POST", "/api/v1/topics/orders/messages", &one);
    let incident = seen.script.event("incident", LONG);
    assert!(incident["shown"].as_str().is_some_and(|shown| shown.contains("E102")), "{incident}");
    faults.set(Misbehave::default());
    seen.script.say("room again");
    seen.script.event("cleared", LONG);
    seen.script.event("listening", LONG);
    broker.kill();
    seen.script.say("killed");
    seen.script.event("lost", LONG);
    broker.restart();
    seen.script.say("started");
    seen.script.event("back", LONG);
    seen.script.finish(PATIENCE);
}

#[test]
fn who_is_asked_for_a_password_types_it_and_it_is_kept_nowhere() {
    let sets = [
        "http.security=SASL_PLAINTEXT",
        "login.mechanisms=PLAIN",
        "login.plain_users=user_alice=\"secret-ä\"",
    ];
    let broker = sets.iter().fold(Serve::new(), |serve, set| serve.arg("--set").arg(*set)).start();
    let Some(seen) = see(&broker, "login") else { return };
    seen.script.finish(LONG);
}

#[test]
fn a_thousand_topics_are_sorted_searched_and_paged() {
    let broker = Serve::new().start();
    for number in 0..1000 {
        let topic = json!({ "name": format!("many-{number}"), "partitions": 1 });
        done(&broker, "POST", "/api/v1/topics", &topic);
    }
    let Some(mut seen) = see(&broker, "many") else { return };
    let many = seen.script.event("many", LONG);
    // With `_events`, which is the broker's own.
    let total = many["total"].as_str().unwrap_or_default();
    assert!(total.contains("1,00"), "{many}");
    seen.script.finish(PATIENCE);
}
