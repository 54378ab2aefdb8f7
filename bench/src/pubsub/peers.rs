//! The brokers, each a fresh process.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tests::{Broker, Process, Serve, free_port, scratch, tool};

use super::wire::Protocol;
use crate::{CONTROL, OTHER_BUILD, US};

/// How long a broker may take to start.
const START: Duration = Duration::from_secs(30);

/// A running broker, stopped when dropped.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) address: String,
    pub(crate) pid: u32,
    _held: Held,
}

/// What keeps it running.
enum Held {
    Entrepot { _broker: Box<Broker> },
    Other { _process: Process, _folder: TempDir },
}

/// Which configuration the peer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// As it comes.
    Default,
    /// `set_tcp_nodelay true`, of mosquitto.
    NoDelay,
}

/// Entrepot, its control, and the peer, in the order in which they are measured; in the place of the peer perhaps
/// another build.
pub(crate) fn start(protocol: Protocol, setting: Setting, beside: Option<&Path>) -> [Peer; 3] {
    let peer = match (beside, protocol) {
        (Some(build), _) => entrepot(protocol, OTHER_BUILD, Serve::new().program(build)),
        (None, Protocol::Nats) => nats_server(),
        (None, Protocol::Mqtt) => mosquitto(setting),
    };
    [entrepot(protocol, US, Serve::new()), peer, entrepot(protocol, CONTROL, Serve::new())]
}

fn entrepot(protocol: Protocol, name: &'static str, serve: Serve) -> Peer {
    let broker = serve.start();
    let address = match protocol {
        Protocol::Nats => broker.nats(),
        Protocol::Mqtt => format!("127.0.0.1:{}", broker.mqtt()),
    };
    Peer { name, address, pid: broker.id(), _held: Held::Entrepot { _broker: Box::new(broker) } }
}

/// As it comes, and bound to this machine.
pub(crate) fn nats_server() -> Peer {
    let port = free_port();
    let mut command = installed("nats-server", "nats-server");
    command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
    other(Protocol::Nats, port, &mut command, scratch(), "Server is ready")
}

/// Without a configuration but what lets it be reached, as its package starts it.
fn mosquitto(setting: Setting) -> Peer {
    let (port, folder) = (free_port(), scratch());
    let mut text = format!("listener {port} 127.0.0.1\nallow_anonymous true\n");
    // It gives up its rights otherwise, and its folder with them.
    text.push_str("user root\n");
    if setting == Setting::NoDelay {
        text.push_str("set_tcp_nodelay true\n");
    }
    let file = folder.path().join("mosquitto.conf");
    std::fs::write(&file, text).expect("a scratch folder is writable");
    let mut command = installed("mosquitto", "mosquitto");
    command.arg("-c").arg(file);
    other(Protocol::Mqtt, port, &mut command, folder, " running")
}

fn installed(name: &str, program: &str) -> Command {
    let folder = tool(name).unwrap_or_else(|| panic!("{name} is not installed"));
    Command::new(folder.join("bin").join(program))
}

fn other(
    protocol: Protocol,
    port: u16,
    command: &mut Command,
    folder: TempDir,
    ready: &str,
) -> Peer {
    let name = protocol.peer();
    let process = Process::start(name, command);
    process.wait_for("its start", 0, START, |line| line.contains(ready).then_some(()));
    let pid = process.id();
    let held = Held::Other { _process: process, _folder: folder };
    Peer { name, address: format!("127.0.0.1:{port}"), pid, _held: held }
}
