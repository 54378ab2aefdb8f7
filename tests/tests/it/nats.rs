//! The NATS door with nats-py, a client that knows nothing of us.

use std::time::Duration;

use tests::{PATIENCE, Python, Script, Serve, free_port};

/// Several parts, each with patience of its own.
const ALL: Duration = Duration::from_secs(240);

const CORE: [&str; 8] = [
    "messages",
    "unsubscribe_after",
    "groups",
    "no_responders",
    "requests",
    "no_jetstream",
    "drain",
    "limits",
];

fn run(role: &str, args: &[&str]) -> Option<Vec<String>> {
    let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&role];
    all.extend(args.iter().map(|arg| arg as &dyn AsRef<std::ffi::OsStr>));
    let events = Script::run(Python::Nats, "nats_core", &all, ALL)?;
    let name = |event: &serde_json::Value| event["event"].as_str().unwrap_or_default().to_owned();
    Some(events.iter().map(name).collect())
}

#[test]
fn a_client_publishes_subscribes_asks_and_answers() {
    let broker = Serve::new().start();
    let url = format!("nats://{}", broker.nats());
    let Some(events) = run("core", &[&url]) else { return };
    assert_eq!(events, CORE);
}

#[test]
fn the_same_over_websocket() {
    let port = free_port();
    let broker = Serve::new().arg("--set").arg(format!("nats.websocket_port={port}")).start();
    let Some(events) = run("core", &[&format!("ws://127.0.0.1:{port}")]) else { return };
    assert_eq!(events, CORE);
    drop(broker);
}

#[test]
fn tls_begins_after_the_first_line_and_a_password_lets_in() {
    let serve = [
        "nats.security=SASL_SSL",
        "tls.self_signed=true",
        "login.mechanisms=PLAIN",
        "login.plain_users=user_alice=\"secret\"",
    ];
    let broker = serve.iter().fold(Serve::new(), |serve, set| serve.arg("--set").arg(*set)).start();
    let log = broker.log();
    let told = log.lines().find_map(|line| line.strip_prefix("clients trust the authority in "));
    let authority = told.expect("it is said where").to_owned();
    let url = format!("tls://{}", broker.nats());
    let args: [&dyn AsRef<std::ffi::OsStr>; 3] = [&"protected", &url, &authority];
    let Some(events) = Script::run(Python::Nats, "nats_core", &args, PATIENCE) else { return };
    assert_eq!(events[0]["event"], "in");
    assert_eq!(events[1]["event"], "refused");
    assert_eq!(events[1]["authorization"], true, "{events:?}");
}

#[test]
fn a_client_finds_back_after_the_broker_was_killed() {
    let mut broker = Serve::new().start();
    let url = format!("nats://{}", broker.nats());
    let args: [&dyn AsRef<std::ffi::OsStr>; 2] = [&"reconnect", &url];
    let Some(mut script) = Script::start(Python::Nats, "nats_core", &args) else { return };
    script.event("connected", PATIENCE);
    broker.kill();
    broker.restart();
    script.say("go on");
    script.event("reconnected", PATIENCE);
    script.finish(PATIENCE);
}
