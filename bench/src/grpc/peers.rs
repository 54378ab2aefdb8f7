//! The servers, each a fresh process.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use tests::{Broker, Process, Serve, free_port};

use super::CEILING;
use crate::{CONTROL, US};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);

/// A running server, stopped when dropped.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) address: String,
    pub(super) pid: u32,
    held: Held,
}

/// What keeps it running.
enum Held {
    Entrepot(Box<Broker>),
    Ceiling { _process: Process },
}

impl Peer {
    pub(super) fn entrepot(name: &'static str) -> Self {
        let broker = Serve::new().start();
        let (address, pid) = (format!("127.0.0.1:{}", broker.grpc()), broker.id());
        Self { name, address, pid, held: Held::Entrepot(Box::new(broker)) }
    }

    /// This program, as the plain service of [`super::ceiling()`].
    fn ceiling() -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let own = std::env::current_exe().expect("this program is a file");
        let mut process =
            Process::start(CEILING, Command::new(own).args(["grpc-ceiling", &address]));
        let begun = Instant::now();
        while TcpStream::connect(&address).is_err() {
            let ended = process.ends_within(Duration::from_millis(10));
            assert!(ended.is_none(), "it does not start: {}", process.log());
            assert!(begun.elapsed() < START, "it does not listen: {}", process.log());
        }
        Self {
            name: CEILING,
            address,
            pid: process.id(),
            held: Held::Ceiling { _process: process },
        }
    }

    /// Does something with a topic that the ceiling, which keeps nothing, has no need of.
    pub(super) fn topic(&self, verb: &str, name: &str) {
        if let Held::Entrepot(broker) = &self.held {
            let exit = broker.entrepot(&["topic", verb, name]);
            assert!(exit.status.success(), "topic {verb} {name}: {exit:?}");
        }
    }

    /// Whether it keeps what is published.
    pub(super) fn keeps(&self) -> bool {
        matches!(self.held, Held::Entrepot(_))
    }
}

/// Entrepot, the plain service and the control, in the order in which they are measured.
pub(super) fn start() -> [Peer; 3] {
    [Peer::entrepot(US), Peer::ceiling(), Peer::entrepot(CONTROL)]
}
