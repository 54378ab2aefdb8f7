//! The servers, each a fresh process.

use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use tests::{Broker, Process, Serve, free_port, tool};

use super::{THEM, wire};
use crate::{CONTROL, US, meter};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);

/// A running server, stopped when dropped.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) port: u16,
    pub(super) pid: u32,
    _held: Held,
}

/// What keeps it running.
enum Held {
    Entrepot { _broker: Box<Broker> },
    Other { _process: Process },
}

/// Entrepot, libcoap's server and the control, in the order in which they are measured.
pub(super) fn start() -> [Peer; 3] {
    [entrepot(US), libcoap(), entrepot(CONTROL)]
}

fn entrepot(name: &'static str) -> Peer {
    let broker = Serve::new().start();
    let (port, pid) = (broker.coap(), broker.id());
    Peer { name, port, pid, _held: Held::Entrepot { _broker: Box::new(broker) } }
}

/// As it comes; with `-d` a PUT of a path that it does not know makes a resource there.
fn libcoap() -> Peer {
    let port = free_port();
    let mut command = installed();
    command.args(["-A", "127.0.0.1", "-p", &port.to_string(), "-d", "1000"]);
    let mut process = Process::start(THEM, &mut command);
    let begun = Instant::now();
    while !answers(port) {
        let ended = process.ends_within(Duration::ZERO);
        assert!(ended.is_none(), "{THEM} does not start: {}", process.log());
        assert!(begun.elapsed() < START, "{THEM} does not answer: {}", process.log());
    }
    let pid = process.id();
    let program = meter::program(pid);
    assert!(program.starts_with("coap-server"), "what is measured is the server, not {program}");
    Peer { name: THEM, port, pid, _held: Held::Other { _process: process } }
}

/// Whether a server answers a ping within a short time.
fn answers(port: u16) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(("127.0.0.1", port)).expect("an address");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("an option");
    // Whoever is not there yet refuses it.
    let sent = socket.send(&wire::ping(1));
    let mut answer = [0; 16];
    sent.is_ok() && socket.recv(&mut answer).is_ok_and(|count| count == wire::ping(1).len())
}

fn installed() -> Command {
    let folder = tool("libcoap").expect("the setup installs it");
    Command::new(folder.join("bin/coap-server"))
}

/// The version that the server says it has.
pub(super) fn version() -> String {
    let said = installed().arg("-?").output().expect("the server says how it is used");
    let text = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let version = text.split_whitespace().find_map(|word| {
        let version = word.strip_prefix('v').unwrap_or(word);
        version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
    });
    version.unwrap_or("of no known version").to_owned()
}
