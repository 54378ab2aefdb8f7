//! The CoAP door with aiocoap and libcoap's client, which know nothing of us.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tests::{Process, Python, Script, Serve, free_port, scratch, tool};

/// Several parts, each with patience of its own.
const ALL: Duration = Duration::from_secs(240);

const CORE: [&str; 7] = ["values", "pieces", "patches", "discovery", "topics", "observed", "ended"];

fn aiocoap(role: &str) {
    let broker = Serve::new().start();
    let port = broker.coap().to_string();
    let args: [&dyn AsRef<std::ffi::OsStr>; 2] = [&role, &port];
    let Some(events) = Script::run(Python::Coap, "coap_aio", &args, ALL) else { return };
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, CORE);
}

#[test]
fn a_client_puts_gets_discovers_makes_topics_and_observes() {
    aiocoap("udp");
}

#[test]
fn the_same_over_tcp() {
    aiocoap("tcp");
}

/// libcoap's client, for one broker.
struct Client {
    program: PathBuf,
    base: String,
}

impl Client {
    fn new(scheme: &str, port: u16) -> Option<Self> {
        let program = tool("libcoap")?.join("bin/coap-client");
        Some(Self { program, base: format!("{scheme}://127.0.0.1:{port}") })
    }

    /// What it prints: of the response, its payload, or its code if that is no success.
    fn run(&self, args: &[&str], path: &str) -> String {
        let mut command = Command::new(&self.program);
        let output = command.args(["-B", "60"]).args(args).arg(format!("{}{path}", self.base));
        let output = output.output().expect("the client is there");
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8(said).expect("text").trim().to_owned()
    }
}

#[test]
fn libcoaps_client_puts_and_gets_and_finds_what_there_is() {
    let broker = Serve::new().start();
    for scheme in ["coap", "coap+tcp"] {
        let Some(client) = Client::new(scheme, broker.coap()) else { return };
        let path = format!("/sensors/{}", scheme.len());
        assert_eq!(client.run(&["-m", "put", "-e", "21.5"], &path), "");
        assert_eq!(client.run(&["-m", "get"], &path), "21.5");
        let query = format!("/.well-known/core?href={path}");
        assert_eq!(client.run(&["-m", "get"], &query), format!("<{path}>;obs"));
        let links = client.run(&["-m", "get"], "/.well-known/core?rt=core.ps.coll");
        assert!(links.starts_with("</ps>;rt="), "{links}");
        assert_eq!(client.run(&["-m", "delete"], &path), "");
        assert_eq!(client.run(&["-m", "get"], &path), "4.04");
        // Not confirmable.
        client.run(&["-N", "-m", "put", "-e", "on"], &path);
        assert_eq!(client.run(&["-N", "-m", "get"], &path), "on");
    }
}

#[test]
fn libcoaps_client_sends_and_gets_pieces() {
    let broker = Serve::new().start();
    let Some(client) = Client::new("coap", broker.coap()) else { return };
    let body: String = (0..700).map(|number| format!("{number:04} ")).collect();
    let folder = scratch();
    let file = folder.path().join("body");
    std::fs::write(&file, &body).expect("the scratch folder is writable");
    let file = file.display().to_string();
    assert_eq!(client.run(&["-m", "put", "-b", "256", "-f", &file], "/large"), "");
    for size in ["1024", "64"] {
        assert_eq!(client.run(&["-m", "get", "-b", size], "/large"), body.trim());
    }
    assert_eq!(client.run(&["-m", "get"], "/large"), body.trim(), "it says nothing of pieces");
}

#[test]
fn libcoaps_client_observes() {
    let broker = Serve::new().start();
    let Some(client) = Client::new("coap", broker.coap()) else { return };
    client.run(&["-m", "put", "-e", "first\n"], "/watched");
    let mut observe = Command::new(&client.program);
    observe.args(["-B", "60", "-s", "60", "-m", "get"]).arg(format!("{}/watched", client.base));
    let observer = Process::start("coap-client", &mut observe);
    let line = |wanted: &'static str| move |line: &str| (line == wanted).then_some(());
    let ((), next, _) = observer.wait_for("what is there", 0, ALL, line("first"));
    client.run(&["-m", "put", "-e", "second\n"], "/watched");
    observer.wait_for("what comes", next, ALL, line("second"));
}

#[test]
fn libcoaps_client_has_a_key() {
    let port = free_port();
    let _broker = Serve::new()
        .env("ENTREPOT_COAP__DTLS_PORT", &port.to_string())
        .env("ENTREPOT_COAP__PSK", "thing=30313233343536373839616263646566")
        .start();
    let Some(client) = Client::new("coaps", port) else { return };
    let client = Client { program: client.program.with_file_name("coap-client-secure"), ..client };
    let known = ["-u", "thing", "-k", "0123456789abcdef"];
    let with = |args: &[&'static str]| [&known[..], args].concat();
    assert_eq!(client.run(&with(&["-m", "put", "-e", "21.5"]), "/secret"), "");
    assert_eq!(client.run(&with(&["-m", "get"]), "/secret"), "21.5");
    // Another key.
    let said = client.run(&["-B", "2", "-u", "thing", "-k", "fedcba9876543210"], "/secret");
    assert!(!said.contains("21.5"), "{said}");
}
