//! `cargo xtask torture --peers`: the same faults, the same kind of client and the same question for each broker, as it
//! comes: how much of what was acknowledged is gone?
//!
//! A round ends with a SIGKILL, or with the power: then what the broker did not sync is lost in part, as `tests::PowerCut`
//! says it of a disk. Brokers are watched by strace for that, since not all go through the C library.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::{PowerCut, Process, Python, Script, binary, root, scratch, tool};

use crate::{peers, rabbit};

/// How long a broker may take to serve again, and to acknowledge what is sent to it.
const BACK: Duration = Duration::from_secs(90);
/// A broker is left alone for up to so long after it has acknowledged something, in milliseconds.
const ALONE_MAX: u64 = 300;
/// The topic, stream or queue.
const NAME: &str = "survivors";
const PARTITIONS: &str = "3";

/// What happens to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Kill,
    Power,
}

/// A broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Entrepot,
    Kafka,
    Nats,
    Rabbit,
}

const PEERS: [(Peer, &str); 4] = [
    (Peer::Entrepot, "Entrepot"),
    (Peer::Kafka, "Apache Kafka 4.3.1, acks=all"),
    (Peer::Nats, "nats-server 2.15.1, JetStream in files"),
    (Peer::Rabbit, "RabbitMQ 3.10.8, quorum queue"),
];

/// What came of some rounds.
#[derive(Debug, Default)]
struct Outcome {
    rounds: u32,
    acknowledged: usize,
    /// Acknowledged, and not there at the end.
    lost: usize,
    /// Why it went no further.
    gave_up: Option<String>,
}

/// Runs so many rounds of each fault on each broker, and writes the page; or only on those whose names have one of
/// `names` in them, and only prints.
pub(crate) fn run(rounds: u32, names: &[&str]) {
    let mut table = String::from(
        "| broker, as it comes | fault | rounds | acknowledged | of that lost |\n|---|---|---|---|---|\n",
    );
    let mut is_safe = true;
    let wanted = |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part));
    for (peer, name) in PEERS.into_iter().filter(|(_, name)| wanted(name)) {
        for (fault, what) in [(Fault::Kill, "SIGKILL"), (Fault::Power, "power cut")] {
            if (peer, fault) == (Peer::Rabbit, Fault::Power) {
                continue; // docs/crashes.md says why
            }
            let Outcome { rounds, acknowledged, lost, gave_up } =
                Rounds::new(peer, fault).run(rounds);
            is_safe &= peer != Peer::Entrepot || (lost == 0 && gave_up.is_none());
            // What is there cannot be said where it does not come back.
            let lost = gave_up.unwrap_or_else(|| lost.to_string());
            let row = format!("| {name} | {what} | {rounds} | {acknowledged} | {lost} |");
            println!("{row}");
            let _ = writeln!(table, "{row}");
        }
    }
    assert!(is_safe, "Entrepot lost something");
    if !names.is_empty() {
        return;
    }
    let (begin, end) =
        ("<!-- peers: begin, written by `cargo xtask torture --peers` -->", "<!-- peers: end -->");
    let page = root().join("docs/crashes.md");
    let old = std::fs::read_to_string(&page).expect("docs/crashes.md is there");
    let (before, rest) = old.split_once(begin).expect("the page has markers");
    let (_, after) = rest.split_once(end).expect("the page has markers");
    std::fs::write(page, format!("{before}{begin}\n\n{table}\n{end}{after}")).expect("writable");
}

/// One broker, its folder and its client.
struct Rounds {
    peer: Peer,
    fault: Fault,
    home: TempDir,
    port: u16,
    others: [u16; 3],
    chance: u64,
    /// Erlang's table of nodes, for those who want one.
    _nodes: Option<Process>,
}

impl Rounds {
    fn new(peer: Peer, fault: Fault) -> Self {
        let port = || {
            TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
        };
        let (port, others) = (port(), [port(), port(), port()]);
        let nodes = (peer == Peer::Rabbit).then(|| rabbit::nodes(others[0]));
        Self {
            peer,
            fault,
            home: scratch(),
            port,
            others,
            chance: 0x9E37_79B9_7F4A_7C15,
            _nodes: nodes,
        }
    }

    /// A number from a fixed seed (xorshift64).
    fn below(&mut self, end: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % end
    }

    fn run(mut self, rounds: u32) -> Outcome {
        let data = self.data();
        std::fs::create_dir_all(&data).expect("the scratch folder is writable");
        let mut outcome = Outcome::default();
        if self.peer == Peer::Kafka {
            peers::format(&self.settings());
        }
        let mut broker = self.start(None);
        if let Err(why) = self.ready(&mut broker) {
            panic!("{:?} does not start: {why}", self.peer);
        }
        self.create();
        let mut client = self.client("produce");
        if let Err(why) = self.acknowledges(&mut broker, &mut client) {
            panic!("{:?}: {why}", self.peer);
        }
        broker.kill();
        // What it has made by now it has had for long: the system has written it.
        let power = PowerCut::over(&data, self.home.path());
        for _ in 0..rounds {
            broker = self.start(Some(&power));
            let back = self.ready(&mut broker);
            let back = back.and_then(|()| self.acknowledges(&mut broker, &mut client));
            if let Err(why) = back {
                outcome.gave_up = Some(format!("does not come back: {why}"));
                break;
            }
            let alone = Duration::from_millis(self.below(ALONE_MAX + 1));
            assert!(broker.ends_within(alone).is_none(), "it ended by itself: {}", broker.log());
            match self.fault {
                Fault::Kill => broker.kill(),
                Fault::Power => {
                    power.kill(&mut broker);
                    power.strike(&mut |end| self.below(end));
                }
            }
            outcome.rounds += 1;
        }
        if outcome.gave_up.is_none() {
            broker = self.start(None);
            outcome.gave_up = self.ready(&mut broker).err();
        }
        self.count(client, &mut outcome);
        outcome
    }

    /// Ends the client, reads what the broker has, and compares.
    fn count(&self, client: Script, outcome: &mut Outcome) {
        let acknowledged = values(&self.home.path().join("acknowledged"), Some(client));
        outcome.acknowledged = acknowledged.len();
        if outcome.gave_up.is_none() {
            let there = values(&self.home.path().join("read"), Some(self.client("read")));
            outcome.lost = acknowledged.difference(&there).count();
        }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn settings(&self) -> PathBuf {
        let file = self.home.path().join("server.properties");
        let text = peers::configuration(self.port, self.others[0], self.home.path());
        std::fs::write(&file, text).expect("the scratch folder is writable");
        file
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn start(&self, power: Option<&PowerCut>) -> Process {
        let command = match self.peer {
            Peer::Entrepot => self.entrepot(),
            Peer::Kafka => {
                let mut java = peers::java();
                java.arg("kafka.Kafka").arg(self.home.path().join("server.properties"));
                java
            }
            Peer::Nats => {
                let place = tool("nats-server").expect("the setup installs it");
                let mut server = Command::new(place.join("bin/nats-server"));
                server
                    .args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"])
                    .arg(self.data());
                server
            }
            Peer::Rabbit => {
                let [nodes, distribution, _] = self.others;
                rabbit::server(self.home.path(), &self.data(), [self.port, nodes, distribution])
            }
        };
        let power = power.filter(|_| self.fault == Fault::Power);
        let mut command = match power {
            Some(power) => power.traced(&command).expect("the setup installs strace"),
            None => command,
        };
        Process::start(&format!("{:?}", self.peer), &mut command)
    }

    fn entrepot(&self) -> Command {
        let mut serve = Command::new(binary());
        serve
            .args(["serve", "--kafka-port", &self.port.to_string(), "--data-dir"])
            .arg(self.data());
        serve.args(["--zookeeper-port", &self.others[0].to_string()]);
        serve.env("ENTREPOT_MQTT__PORT", self.others[1].to_string());
        serve
            .env("ENTREPOT_NATS__PORT", self.others[2].to_string())
            .env("ENTREPOT_AMQP__PORT", "0")
            .env("ENTREPOT_AMQP__MANAGEMENT_PORT", "-1")
            .env("ENTREPOT_STOMP__PORT", "0")
            .env("ENTREPOT_HTTP__PORT", "-1")
            .env("ENTREPOT_COAP__PORT", "0")
            .env("ENTREPOT_GRPC__PORT", "0");
        serve
    }

    /// Waits until it takes connections and, if it speaks Kafka's protocol, answers.
    fn ready(&self, broker: &mut Process) -> Result<(), String> {
        let deadline = Instant::now() + BACK;
        while Instant::now() < deadline {
            let there = match self.peer {
                Peer::Nats | Peer::Rabbit => TcpStream::connect(self.address()).is_ok(),
                _ => peers::answers(&self.address()),
            };
            if there {
                return Ok(());
            }
            // Also the pause between two looks.
            if let Some(ended) = broker.ends_within(Duration::from_millis(50)) {
                return Err(format!("{ended}"));
            }
        }
        Err(format!("not within {} s", BACK.as_secs()))
    }

    fn create(&self) {
        if matches!(self.peer, Peer::Entrepot | Peer::Kafka) {
            let mut create = Command::new(binary());
            create.args([
                "topic",
                "create",
                NAME,
                "--partitions",
                PARTITIONS,
                "-s",
                &self.address(),
            ]);
            let exit = Process::start("topic create", &mut create).exit(BACK);
            assert!(exit.status.success(), "{}", exit.stderr);
        }
    }

    /// Starts the client that writes, or the one that reads.
    fn client(&self, what: &str) -> Script {
        let file = self.home.path().join(if what == "read" { "read" } else { "acknowledged" });
        let file: &Path = &file;
        let (address, name) = (self.address(), NAME);
        let started = match (self.peer, what) {
            (Peer::Nats, _) => {
                Script::start(Python::Nats, "peer_nats", &[&what, &address, &name, &file])
            }
            (Peer::Rabbit, _) => {
                Script::start(Python::Pika, "peer_rabbit", &[&what, &address, &name, &file])
            }
            (_, "read") => Script::start(
                Python::Confluent,
                "kill9_consume",
                &[&address, &name, &PARTITIONS, &file],
            ),
            _ => Script::start(
                Python::Confluent,
                "kill9_produce",
                &[&address, &name, &"plain", &"none", &file],
            ),
        };
        started.expect("the setup installs it")
    }

    /// Waits until the broker acknowledges something new.
    fn acknowledges(&self, broker: &mut Process, client: &mut Script) -> Result<(), String> {
        let count = |client: &Script| {
            let events = client.events();
            events.last().and_then(|event| event["acknowledged"].as_u64()).unwrap_or(0)
        };
        let (before, deadline) = (count(client), Instant::now() + BACK);
        while count(client) <= before {
            // Also the pause between two looks.
            if let Some(ended) = broker.ends_within(Duration::from_millis(20)) {
                return Err(format!("ended by itself: {ended}"));
            }
            if Instant::now() > deadline {
                return Err(format!("acknowledges nothing within {} s", BACK.as_secs()));
            }
        }
        Ok(())
    }
}

/// The values that a client noted, each a line's last field, once it has ended.
fn values(notes: &Path, client: Option<Script>) -> HashSet<String> {
    drop(client.map(|client| client.finish(BACK * 4)));
    let text = std::fs::read_to_string(notes).unwrap_or_default();
    let value = |line: &str| line.rsplit('\t').next().map(str::to_owned);
    text.lines().filter_map(value).collect()
}
