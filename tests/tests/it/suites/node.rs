//! Clients for Node.js.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tests::{PATIENCE, Script, Serve, Suite, root, tool};

use super::note_event;
use crate::security::Secured;

/// How long a program may be silent: longer than one of its checks may take.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// Those who may do everything with the broker that asks who they are.
const USERS: &str = "security.super_users=User:root;User:alice;User:bob;User:carol";

#[test]
fn kafkajs_does_what_it_promises() {
    let Some(tool) = tool("suite-kafkajs") else { return };
    run_program("kafkajs", "kafkajs", Path::new("node"), &tool);
}

/// It is written for a newer Node.js than may be here; one is installed with it.
#[test]
fn platformatic_kafka_does_what_it_promises() {
    let Some(tool) = tool("suite-platformatic") else { return };
    let modules = std::fs::read_dir(tool.join("node_modules")).expect("packages are installed");
    let mut programs = modules.map(|module| module.expect("listed").path().join("bin/node"));
    let node = programs.find(|program| program.exists()).expect("one of them is Node.js");
    run_program("platformatic", "@platformatic/kafka", &node, &tool);
}

/// Runs `tests/suites/<client>/program.js` with a plain broker, which is killed and started again
/// when the program asks for that, and one with listeners of every protected kind.
fn run_program(client: &str, package: &str, node: &Path, tool: &Path) {
    let mut broker = Serve::new().start();
    let secured = Secured::start_with(&["security.authorize=true", USERS]);
    let mut program = Command::new(node);
    program.arg(root().join(format!("tests/suites/{client}/program.js")));
    program.env("NODE_PATH", tool.join("node_modules")).env("KAFKA", broker.kafka());
    for protocol in ["SSL", "SASL_SSL", "SASL_PLAINTEXT"] {
        program.env(protocol, secured.server(protocol));
    }
    program.env("CA", &secured.ca).env("CLIENT", &secured.client);
    let mut program = Script::of(client, &mut program);
    let mut suite = Suite::new(client, &version_of(client, package));
    loop {
        let event = program.any_event(SILENCE_MAX);
        match event["event"].as_str() {
            Some("test") => note_event(&mut suite, &event),
            Some("restart") => {
                broker.kill();
                broker.restart();
                program.say("restarted");
            }
            _ => break,
        }
    }
    program.finish(PATIENCE);
    suite.check();
}

/// The version of a package in a client's list (`NAME@VERSION` a line).
fn version_of(client: &str, package: &str) -> String {
    let file: PathBuf = root().join(format!("tests/suites/{client}/packages.txt"));
    let list = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file:?}: {e}"));
    let mut lines = list.lines().filter_map(|line| line.rsplit_once('@'));
    let found = lines.find(|(name, _)| *name == package);
    found.unwrap_or_else(|| panic!("{file:?} does not name {package}")).1.to_owned()
}
