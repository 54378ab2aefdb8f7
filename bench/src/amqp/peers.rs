//! The brokers, each a fresh process.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::{Broker, Process, Serve, free_port, scratch};

use super::{THEM, wire};
use crate::{CONTROL, US, meter, rabbit};

/// How long a broker may take to start.
const START: Duration = Duration::from_secs(60);

/// A running broker, stopped when dropped.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) address: String,
    pub(super) pid: u32,
    _held: Held,
}

/// What keeps it running. Of processes the server is the first, and ends before what it needs.
enum Held {
    Entrepot { _broker: Box<Broker> },
    Rabbit { _processes: Box<[Process; 2]>, _folder: TempDir },
}

/// Entrepot, RabbitMQ and the control, in the order in which they are measured.
pub(super) fn start() -> [Peer; 3] {
    [entrepot(US), rabbitmq(), entrepot(CONTROL)]
}

fn entrepot(name: &'static str) -> Peer {
    let broker = Serve::new().start();
    let address = format!("127.0.0.1:{}", broker.amqp());
    Peer { name, address, pid: broker.id(), _held: Held::Entrepot { _broker: Box::new(broker) } }
}

fn rabbitmq() -> Peer {
    let (port, nodes, folder) = (free_port(), free_port(), scratch());
    let table = rabbit::nodes(nodes);
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).expect("a scratch folder is writable");
    let mut command = rabbit::server(folder.path(), &data, [port, nodes, free_port()]);
    let mut server = Process::start(THEM, &mut command);
    let address = format!("127.0.0.1:{port}");
    let deadline = Instant::now() + START;
    while TcpStream::connect(&address).is_err() {
        // Also the pause between two looks.
        let ended = server.ends_within(Duration::from_millis(50));
        assert!(ended.is_none(), "{THEM} does not start: {}", server.log());
        assert!(Instant::now() < deadline, "{THEM} does not listen: {}", server.log());
    }
    let pid = server.id();
    assert_eq!(meter::program(pid), "beam.smp", "what is measured is the server, not a script");
    let held = Held::Rabbit { _processes: Box::new([server, table]), _folder: folder };
    Peer { name: THEM, address, pid, _held: held }
}

/// The version that a server says it has.
pub(super) fn version(peer: &Peer) -> String {
    wire::connect(&peer.address).1
}
