//! The gRPC door with clients that others generate and run.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tests::{Java, Python, Script, Serve, tool};

/// Several parts, each with patience of its own.
const ALL: Duration = Duration::from_secs(300);

const PARTS: [&str; 13] = [
    "administration",
    "errors",
    "live",
    "stream",
    "offsets",
    "shared",
    "queues",
    "requests",
    "discovery",
    "health",
    "reflection",
    "compression",
    "idle",
];

#[test]
fn grpcio_runs_the_whole_service() {
    let serve = Serve::new()
        .env("ENTREPOT_GRPC__KEEP_ALIVE_INTERVAL_MS", "500")
        .env("ENTREPOT_GRPC__KEEP_ALIVE_TIMEOUT_MS", "1000");
    let broker = serve.start();
    let (port, zookeeper) = (broker.grpc().to_string(), broker.zookeeper());
    let args: [&dyn AsRef<std::ffi::OsStr>; 2] = [&port, &zookeeper];
    let Some(events) = Script::run(Python::Grpc, "grpc_client", &args, ALL) else { return };
    assert_eq!(names(&events), PARTS);
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[test]
fn grpc_go_runs_it_too() {
    let Some(folder) = tool("suite-grpc-go") else { return };
    let broker = Serve::new().start();
    let mut command = Command::new(folder.join("client"));
    command.arg(broker.grpc().to_string());
    let events = Script::of("grpc-go", &mut command).finish(ALL);
    let parts = [
        "live",
        "stream",
        "offsets",
        "commits",
        "shared",
        "queue",
        "requests",
        "errors",
        "discovery",
        "administration",
        "health",
    ];
    assert_eq!(names(&events), parts);
}

#[test]
fn grpc_java_runs_it_too() {
    let Some(java) = Java::compiled("grpc") else { return };
    let broker = Serve::new().start();
    let events = java.start("Generated", &[&broker.grpc().to_string()]).finish(ALL);
    let parts = [
        "live",
        "stream",
        "offsets",
        "commits",
        "shared",
        "queue",
        "requests",
        "errors",
        "discovery",
        "administration",
    ];
    assert_eq!(names(&events), parts);
}

/// grpcurl knows nothing of our files: it asks the door what can be called.
#[test]
fn grpcurl_finds_what_can_be_called_and_calls_it() {
    let Some(folder) = tool("suite-grpc-go") else { return };
    let broker = Serve::new().start();
    let address = format!("127.0.0.1:{}", broker.grpc());
    let run = |args: &[&str]| {
        let mut command = Command::new(folder.join("bin/grpcurl"));
        let output = command.args(["-plaintext", "-max-time", "60"]).args(args).output();
        let output = output.expect("the client is there");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).expect("text"))
    };
    let (_, services) = run(&[&address, "list"]);
    for service in ["entrepot.v1.Publisher", "entrepot.v1.Discovery", "grpc.health.v1.Health"] {
        assert!(services.lines().any(|line| line == service), "{services}");
    }
    let (_, described) = run(&[&address, "describe", "entrepot.v1.PublishRequest"]);
    assert!(described.contains("bool mandatory = 2;"), "{described}");
    let create = r#"{"name": "curl", "partitions": 2}"#;
    let (is_fine, told) = run(&["-d", create, &address, "entrepot.v1.Topics/CreateTopic"]);
    assert!(is_fine && told.contains("\"name\": \"curl\""), "{told}");
    let publish = r#"{"message": {"topic": "curl", "payload": "eA=="}}"#;
    let (is_fine, told) = run(&["-d", publish, &address, "entrepot.v1.Publisher/Publish"]);
    assert!(is_fine && told.contains("\"stored\": true"), "{told}");
    let (is_fine, told) = run(&["-d", create, &address, "entrepot.v1.Topics/CreateTopic"]);
    assert!(!is_fine && told.contains("Code: AlreadyExists"), "{told}");
    let (is_fine, told) = run(&[&address, "grpc.health.v1.Health/Check"]);
    assert!(is_fine && told.contains("SERVING"), "{told}");
}
