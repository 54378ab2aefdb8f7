//! Logins, TLS and access rules at the gRPC door.

use std::ffi::OsStr;
use std::time::Duration;

use tests::{Python, Script, Serve};

/// Many handshakes, and wrong passwords are answered slowly.
const LONG: Duration = Duration::from_secs(240);

#[test]
fn grpc_clients_log_in_over_tls_and_do_what_they_may() {
    let serve = [
        "grpc.security=SASL_SSL",
        "tls.self_signed=true",
        "login.mechanisms=PLAIN",
        "login.plain_users=user_alice=\"alice's\"",
        "security.authorize=true",
        // Who comes by the Kafka door, which asks nobody.
        "security.super_users=User:ANONYMOUS",
    ];
    let broker = serve.iter().fold(Serve::new(), |serve, set| serve.arg("--set").arg(*set)).start();
    let log = broker.log();
    let told = log.lines().find_map(|line| line.strip_prefix("clients trust the authority in "));
    let authority = told.expect("it is said where").to_owned();
    let admin = |args: &[&str]| {
        let done = broker.entrepot(args);
        assert!(done.status.success(), "{args:?}: {done:?}");
    };
    let secret = broker.home().join("bob.secret");
    std::fs::write(&secret, "bob's\n").unwrap();
    admin(&["user", "add", "bob", "--new-password-file", &secret.display().to_string()]);
    admin(&["acl", "add", "-p", "bob", "-O", "read", "--prefix", "-t", "open."]);
    admin(&["acl", "add", "-p", "bob", "-O", "write", "-t", "open.in"]);
    admin(&["acl", "add", "-p", "bob", "-O", "write", "-t", "services.web"]);
    let port = broker.grpc().to_string();
    let args: [&dyn AsRef<OsStr>; 4] = [&port, &authority, &"bob's", &"alice's"];
    let Some(events) = Script::run(Python::Grpc, "grpc_secure", &args, LONG) else { return };
    let parts: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(parts, ["passwords", "transport", "rules"]);
    for password in ["alice's", "bob's"] {
        assert!(!broker.log().contains(password), "{password} is in the log");
    }
}
