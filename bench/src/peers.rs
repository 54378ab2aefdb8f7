//! The brokers that are measured, each with a fresh data folder on the build's disk.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::{Broker, Process, Serve, free_port, root, scratch, tool};

/// How long a broker may take to start.
const START: Duration = Duration::from_secs(60);

/// A running broker, stopped when dropped.
pub(crate) struct Running {
    name: &'static str,
    address: String,
    pid: u32,
    ready_after: Duration,
    _held: Held,
}

/// What keeps it running.
enum Held {
    Entrepot { _broker: Box<Broker> },
    Kafka { _process: Process, _folder: TempDir },
}

impl Running {
    /// The side that it stands for.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Where clients reach it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// From the process's start to its first answer.
    pub(crate) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Whether it is Apache Kafka.
    pub(crate) fn is_kafka(&self) -> bool {
        matches!(self._held, Held::Kafka { .. })
    }

    /// A line of `/proc/<pid>/status` that counts memory, in MiB.
    pub(crate) fn memory_mib(&self, line: &str) -> f64 {
        let status = read(self.pid, "status");
        let found = status.lines().find_map(|text| text.strip_prefix(line));
        let kib = found.and_then(|text| text.split_whitespace().nth(1)?.parse::<f64>().ok());
        kib.unwrap_or_default() / 1024.0
    }

    /// User and system time of all its threads so far.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = read(self.pid, "stat");
        let after = stat.rsplit(')').next().unwrap_or_default();
        let ticks = after.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok());
        // Linux counts in hundredths of a second for programs.
        Duration::from_secs_f64(ticks.sum::<f64>() / 100.0)
    }
}

fn read(pid: u32, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("the broker runs")
}

/// Entrepot as it comes: durable, nothing configured but ports and folder.
pub(crate) fn entrepot(name: &'static str) -> Running {
    of(name, Serve::new().start())
}

/// Another build of Entrepot, as it comes.
pub(crate) fn build(program: &Path) -> Running {
    of(crate::OTHER_BUILD, Serve::new().program(program).start())
}

/// Entrepot with no door open but Kafka's.
pub(crate) fn closed() -> Running {
    let doors = ["AMQP", "COAP", "GRPC", "MQTT", "NATS", "STOMP", "ZOOKEEPER"];
    let serve = doors
        .into_iter()
        .fold(Serve::new(), |serve, door| serve.env(&format!("ENTREPOT_{door}__ENABLED"), "false"));
    let broker = serve.env("ENTREPOT_HTTP__PORT", "-1").start();
    // A door that is not in the list would be open on both sides.
    let log = broker.log();
    let ready = log.lines().find(|line| line.contains("ready in ")).expect("it is ready");
    assert_eq!(ready.matches(" on ").count(), 1, "{ready}");
    of(crate::CLOSED, broker)
}

fn of(name: &'static str, broker: Broker) -> Running {
    Running {
        name,
        address: broker.kafka(),
        pid: broker.id(),
        ready_after: broker.ready_after(),
        _held: Held::Entrepot { _broker: Box::new(broker) },
    }
}

/// Apache Kafka with the settings of its own `server.properties` and the heap and collector of its
/// own start script; only ports and folder differ, and one broker's replication factors.
pub(crate) fn kafka() -> Running {
    let folder = scratch();
    let (port, controller) = (free_port(), free_port());
    let properties = folder.path().join("server.properties");
    std::fs::write(&properties, configuration(port, controller, folder.path()))
        .expect("the scratch folder is writable");
    format(&properties);
    let begun = Instant::now();
    let mut server = java();
    server.args(["kafka.Kafka"]).arg(&properties);
    let process = Process::start("kafka", &mut server);
    let address = format!("127.0.0.1:{port}");
    wait_until_it_answers(&address);
    Running {
        name: crate::THEM,
        address,
        pid: process.id(),
        ready_after: begun.elapsed(),
        _held: Held::Kafka { _process: process, _folder: folder },
    }
}

/// Makes the folder that Kafka's settings name ready for use.
pub(crate) fn format(properties: &Path) {
    let mut format = java();
    format.args(["kafka.tools.StorageTool", "format", "--standalone", "-t"]);
    format.args(["MkU3OEVBNTcwNTJENDM2Qk", "-c"]).arg(properties);
    let formatted = Process::start("format", &mut format).exit(START);
    assert!(formatted.status.success(), "{}", formatted.stderr);
}

/// Kafka's own start script: `KAFKA_HEAP_OPTS` and `KAFKA_JVM_PERFORMANCE_OPTS`.
pub(crate) fn java() -> Command {
    let mut java = Command::new("java");
    java.args(["-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]);
    java.args(["-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"]);
    java.arg("-cp").arg(class_path());
    java
}

/// Where Kafka's classes are, the command line tools too.
pub(crate) fn class_path() -> String {
    let folder = tool("kafka").expect("Java and Maven are needed: run `cargo xtask bench`");
    format!("{}/lib/*", folder.display())
}

/// A connection is refused until the listener is open, and requests wait until it serves them.
fn wait_until_it_answers(address: &str) {
    let deadline = Instant::now() + START;
    while !answers(address) {
        assert!(Instant::now() < deadline, "Kafka at {address} does not answer");
        std::thread::sleep(Duration::from_millis(50)); // poll: the listener opens, START at most
    }
}

/// Whether a broker that speaks Kafka's protocol answers.
pub(crate) fn answers(address: &str) -> bool {
    let mut status = Command::new(tests::binary());
    let asked = status.args(["status", "--timeout", "5", "-s", address]).output();
    asked.is_ok_and(|output| output.status.success())
}

pub(crate) fn configuration(port: u16, controller: u16, folder: &Path) -> String {
    let listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}");
    format!(
        "process.roles=broker,controller\nnode.id=1\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         listeners={listeners}\nadvertised.listeners={listeners}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
         num.network.threads=3\nnum.io.threads=8\n\
         socket.send.buffer.bytes=102400\nsocket.receive.buffer.bytes=102400\n\
         socket.request.max.bytes=104857600\nnum.partitions=1\n\
         offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\nshare.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\nlog.retention.hours=168\n\
         log.segment.bytes=1073741824\nlog.segment.delete.delay.ms=0\nlog.dirs={}\n",
        folder.join("data").display()
    )
}

/// The repository's page of results.
pub(crate) fn page() -> std::path::PathBuf {
    root().join("docs/benchmarks.md")
}
