//! The loads. One row each: what it is, and how it is run against one broker.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tests::{Process, binary, tool};

use crate::peers::{Running, class_path};
use crate::syscalls;

/// The longest that one run may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// One load.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What it does, for the page.
    pub(crate) what: &'static str,
    load: Load,
    partitions: u32,
    durability: Durability,
    /// Most turns a round: one run takes minutes.
    turns_max: usize,
}

/// When we acknowledge. Kafka never syncs before it does.
#[derive(Clone, Copy, PartialEq)]
enum Durability {
    /// As it comes: after the disk's sync.
    Fsync,
    /// As Kafka: when the operating system has it.
    Os,
}

#[derive(Clone, Copy)]
enum Load {
    /// `entrepot bench produce` with these options.
    Produce(&'static [&'static str]),
    /// `entrepot bench consume`, of what these options produced.
    Consume(&'static [&'static str]),
    /// `entrepot bench latency` with these options.
    Latency(&'static [&'static str]),
    /// Kafka's ProducerPerformance: records, bytes of each, producer properties.
    JavaProduce(u64, u32, &'static [&'static str]),
    /// Kafka's ConsumerPerformance, of so many records of so many bytes.
    JavaConsume(u64, u32),
    /// librdkafka's performance tool as a producer: records, bytes of each.
    RdkafkaProduce(u64, u32),
    /// The same as a consumer, of so many records of so many bytes.
    RdkafkaConsume(u64, u32),
}

const fn case(name: &'static str, what: &'static str, load: Load) -> Case {
    Case { name, what, load, partitions: 1, durability: Durability::Fsync, turns_max: usize::MAX }
}

const fn spread(case: Case, partitions: u32) -> Case {
    Case { partitions, ..case }
}

const fn slow(case: Case) -> Case {
    Case { turns_max: 1, ..case }
}

const fn unsynced(case: Case) -> Case {
    Case { durability: Durability::Os, ..case }
}

/// All of them. `entrepot bench` sends prepared batches of 16 KiB, which is the Java producer's
/// default, five in flight, `acks=all`; our broker syncs before it acknowledges unless it says
/// otherwise.
pub(crate) const CASES: &[Case] = &[
    case(
        "produce-100",
        "records of 100 B",
        Load::Produce(&["--size", "100", "-n", "2000000", "--batch", "16384"]),
    ),
    case(
        "produce-1k",
        "records of 1 KiB",
        Load::Produce(&["--size", "1024", "-n", "300000", "--batch", "16384"]),
    ),
    case(
        "produce-100-lz4",
        "records of 100 B, lz4",
        Load::Produce(&["--size", "100", "-n", "2000000", "--batch", "16384", "-z", "lz4"]),
    ),
    case(
        "produce-1k-lz4",
        "records of 1 KiB, lz4",
        Load::Produce(&["--size", "1024", "-n", "300000", "--batch", "16384", "-z", "lz4"]),
    ),
    case(
        "produce-1k-4-clients",
        "records of 1 KiB from four connections",
        Load::Produce(&[
            "--size",
            "1024",
            "-n",
            "300000",
            "--batch",
            "16384",
            "--connections",
            "4",
        ]),
    ),
    unsynced(case(
        "produce-100-os",
        "records of 100 B from four connections, neither side syncs",
        Load::Produce(&[
            "--size",
            "100",
            "-n",
            "2000000",
            "--batch",
            "16384",
            "--connections",
            "4",
        ]),
    )),
    unsynced(case(
        "produce-1k-os",
        "records of 1 KiB from four connections, neither side syncs",
        Load::Produce(&[
            "--size",
            "1024",
            "-n",
            "300000",
            "--batch",
            "16384",
            "--connections",
            "4",
        ]),
    )),
    spread(
        case(
            "partitions-100",
            "records of 1 KiB to 100 partitions in turn",
            Load::Produce(&["--size", "1024", "-n", "300000", "--batch", "16384"]),
        ),
        100,
    ),
    slow(spread(
        case(
            "partitions-5000",
            "records of 1 KiB to 5,000 partitions in turn",
            Load::Produce(&["--size", "1024", "-n", "300000", "--batch", "16384"]),
        ),
        5000,
    )),
    case(
        "consume-1k",
        "records of 1 KiB from the start, in the page cache",
        Load::Consume(&["--size", "1024", "-n", "500000", "--batch", "16384"]),
    ),
    case(
        "latency-1k/s",
        "1,000 messages of 100 B a second, one consumer at the tail",
        Load::Latency(&["--size", "100", "--rate", "1000", "--seconds", "4", "--warm-up", "1"]),
    ),
    case(
        "latency-20k/s",
        "20,000 messages of 100 B a second, one consumer at the tail",
        Load::Latency(&["--size", "100", "--rate", "20000", "--seconds", "4", "--warm-up", "1"]),
    ),
    case(
        "java-produce-100",
        "Kafka's ProducerPerformance, records of 100 B, acks=all",
        Load::JavaProduce(1_500_000, 100, &["acks=all"]),
    ),
    case(
        "java-produce-1k",
        "Kafka's ProducerPerformance, records of 1 KiB, acks=all",
        Load::JavaProduce(300_000, 1024, &["acks=all"]),
    ),
    case(
        "java-consume-1k",
        "Kafka's ConsumerPerformance, records of 1 KiB from the start",
        Load::JavaConsume(300_000, 1024),
    ),
    case(
        "rdkafka-produce-100",
        "librdkafka's rdkafka_performance, records of 100 B, acks=all",
        Load::RdkafkaProduce(2_000_000, 100),
    ),
    case(
        "rdkafka-produce-1k",
        "librdkafka's rdkafka_performance, records of 1 KiB, acks=all",
        Load::RdkafkaProduce(300_000, 1024),
    ),
    case(
        "rdkafka-consume-1k",
        "librdkafka's rdkafka_performance, records of 1 KiB from the start",
        Load::RdkafkaConsume(300_000, 1024),
    ),
];

/// Figures of one run, by name.
type Figures = Vec<(String, f64)>;

impl Case {
    /// Turns of each round, where others take `asked`.
    pub(crate) fn turns(&self, asked: usize) -> usize {
        asked.min(self.turns_max)
    }

    /// Runs it against one broker, in a topic of its own.
    pub(crate) fn run(&self, on: &Running) -> Figures {
        let partitions = self.partitions.to_string();
        let mut create = vec!["topic", "create", "load", "--partitions", &partitions];
        if self.durability == Durability::Os && !on.is_kafka() {
            create.extend(["--config", "entrepot.durability=os"]);
        }
        entrepot(on, &create);
        let figures = match self.load {
            Load::Produce(options) => {
                self.make_files(on);
                figures(&bench(on, "produce", options), &["rate", "ack", "cpu"])
            }
            Load::Consume(options) => {
                bench(on, "produce", options);
                figures(&bench(on, "consume", &[]), &["rate", "bytes", "cpu"])
            }
            Load::Latency(options) => figures(&bench(on, "latency", options), &["wait", "cpu"]),
            Load::JavaProduce(records, size, properties) => {
                java_produce(on, records, size, properties)
            }
            Load::JavaConsume(records, size) => {
                let (count, size) = (records.to_string(), size.to_string());
                bench(on, "produce", &["--size", &size, "-n", &count, "--batch", "16384"]);
                java_consume(on, records)
            }
            Load::RdkafkaProduce(records, size) => rdkafka(on, "-P", records, size),
            Load::RdkafkaConsume(records, size) => {
                let (count, text) = (records.to_string(), size.to_string());
                bench(on, "produce", &["--size", &text, "-n", &count, "--batch", "16384"]);
                rdkafka(on, "-C", records, size)
            }
        };
        entrepot(on, &["topic", "delete", "load"]);
        figures
    }

    /// As [`Self::run`], for the number of system calls alone. Where nothing else is done meanwhile.
    pub(crate) fn count(&self, on: &Running) -> Figures {
        let Load::Produce(options) = self.load else { return Figures::new() };
        if self.partitions > 1 {
            return Figures::new();
        }
        let records = options.iter().skip_while(|option| **option != "-n").nth(1);
        let records: f64 = records.and_then(|records| records.parse().ok()).expect("a number");
        let calls = syscalls::count(on.pid(), || drop(self.run(on)));
        calls.map(|calls| ("syscalls_per_record".into(), calls / records)).into_iter().collect()
    }
}

impl Case {
    /// Writes to each of many partitions, so that what is measured is writing to them and not the
    /// file system's making of files, which one of the brokers does when the topic is made.
    fn make_files(&self, on: &Running) {
        if self.partitions > 1 {
            let records = (self.partitions * 128).to_string();
            bench(on, "produce", &["--size", "1024", "-n", &records, "--batch", "131072"]);
        }
    }
}

/// Runs one of our commands against the broker, whichever it is.
fn entrepot(on: &Running, args: &[&str]) -> String {
    let mut command = Command::new(binary());
    command.args(args).args(["--timeout", "60", "-s", on.address()]);
    let exit = Process::start(&format!("entrepot {args:?}"), &mut command).exit(PATIENCE);
    assert!(exit.status.success(), "{}: entrepot {args:?}: {}", on.name(), exit.stderr);
    exit.stdout
}

fn bench(on: &Running, mode: &str, options: &[&str]) -> Value {
    let pid = on.pid().to_string();
    let own = ["bench", mode, "--topic", "load", "--server-pid", &pid, "-o", "json"];
    let text = entrepot(on, &[&own, options].concat());
    serde_json::from_str(&text).expect("the report is JSON")
}

/// The figures wanted of a report of `entrepot bench`.
fn figures(report: &Value, wanted: &[&str]) -> Figures {
    let at = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).expect("a figure");
    let mut found = Figures::new();
    for wanted in wanted {
        match *wanted {
            "rate" => found.push(("records_per_s".into(), at("/records_per_second"))),
            "bytes" => found.push(("mb_per_s".into(), at("/megabytes_per_second"))),
            "ack" => found.push(("ack_p99_ms".into(), at("/latencies/0/p99_ms"))),
            "cpu" => found.push(("cpu_us_per_record".into(), at("/server/cpu_us_per_record"))),
            _ => {
                for (index, of) in [(0, "ack"), (1, "read")] {
                    for part in ["p50_ms", "p99_ms"] {
                        let value = at(&format!("/latencies/{index}/{part}"));
                        found.push((format!("{of}_{part}"), value));
                    }
                }
            }
        }
    }
    found
}

/// Runs a class of Kafka's tools and says how much CPU the broker used meanwhile, in microseconds.
fn java(on: &Running, class: &str, args: &[String]) -> (String, f64) {
    let before = on.cpu();
    let mut command = Command::new("java");
    command.args(["-Xmx512M", "-cp", &class_path(), class]).args(args);
    let exit = Process::start(class, &mut command).exit(PATIENCE);
    assert!(exit.status.success(), "{}: {class}: {}{}", on.name(), exit.stdout, exit.stderr);
    (exit.stdout, (on.cpu().saturating_sub(before)).as_secs_f64() * 1e6)
}

fn java_produce(on: &Running, records: u64, size: u32, properties: &[&str]) -> Figures {
    let mut args: Vec<String> = [
        "--topic",
        "load",
        "--throughput",
        "-1",
        "--num-records",
        &records.to_string(),
        "--record-size",
        &size.to_string(),
        "--bootstrap-server",
        on.address(),
        "--command-property",
    ]
    .map(str::to_owned)
    .to_vec();
    args.extend(properties.iter().map(|property| (*property).to_owned()));
    let (text, cpu) = java(on, "org.apache.kafka.tools.ProducerPerformance", &args);
    // "300000 records sent, 71856.3 records/sec (70.17 MB/sec), 12.01 ms avg latency, …"
    let last = text.lines().rfind(|line| line.contains("99th")).expect("a summary line");
    let field = |name: &str| {
        let before = last.split(name).next().unwrap_or_default();
        before.split_whitespace().next_back().and_then(|word| word.parse().ok()).expect("a figure")
    };
    vec![
        ("records_per_s".into(), field(" records/sec")),
        ("p99_ms".into(), field(" ms 99th")),
        ("cpu_us_per_record".into(), cpu / records as f64),
    ]
}

fn java_consume(on: &Running, records: u64) -> Figures {
    let args = [
        "--topic",
        "load",
        "--bootstrap-server",
        on.address(),
        "--num-records",
        &records.to_string(),
    ]
    .map(str::to_owned);
    let (text, cpu) = java(on, "org.apache.kafka.tools.ConsumerPerformance", &args);
    // The header names the columns; what the rebalance took is not counted in fetch.nMsg.sec.
    let mut lines = text.lines().filter(|line| line.contains(", "));
    let (header, line) = (lines.next().expect("a header"), lines.next_back().expect("figures"));
    let column = header.split(", ").position(|c| c.trim() == "fetch.nMsg.sec").expect("a column");
    let rate = line.split(", ").nth(column).and_then(|n| n.trim().parse().ok()).expect("a figure");
    vec![("records_per_s".into(), rate), ("cpu_us_per_record".into(), cpu / records as f64)]
}

/// Runs librdkafka's tool, which prints a line such as "% 300000 messages produced (…) in 1234ms: 243112 msgs/s and …".
fn rdkafka(on: &Running, mode: &str, records: u64, size: u32) -> Figures {
    let place = tool("rdkafka-performance").expect("the benchmark's setup installs it");
    let mut command = Command::new(place.join("bin/rdkafka_performance"));
    command.args([mode, "-t", "load", "-p", "0", "-b", on.address(), "-q"]);
    command.args(["-c", &records.to_string(), "-s", &size.to_string()]);
    command.args(match mode {
        "-P" => ["-a", "-1", "-X", "linger.ms=5"].as_slice(),
        _ => ["-o", "beginning"].as_slice(),
    });
    let before = on.cpu();
    let exit = Process::start("rdkafka_performance", &mut command).exit(PATIENCE);
    let cpu = on.cpu().saturating_sub(before).as_secs_f64() * 1e6;
    let text = exit.stdout + &exit.stderr;
    assert!(exit.status.success(), "{}: rdkafka_performance {mode}: {text}", on.name());
    let last = text.lines().rfind(|line| line.contains("msgs/s")).expect("a summary line");
    let before = last.split(" msgs/s").next().unwrap_or_default();
    let rate = before.split_whitespace().next_back().and_then(|rate| rate.parse().ok());
    let rate = rate.unwrap_or_else(|| panic!("no rate in {last:?}"));
    vec![("records_per_s".into(), rate), ("cpu_us_per_record".into(), cpu / records as f64)]
}
