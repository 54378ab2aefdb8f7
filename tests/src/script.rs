//! Python clients: scripts in `tests/python`, which print one JSON object a line, its kind under
//! `event`, and read commands from their standard input.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::process::Process;
use crate::tools;

/// A Python with one release of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Python {
    /// kafka-python 3.0.12, kazoo, all compressions.
    Kafka3,
    /// kafka-python 1.4.7 and kazoo.
    Kafka1,
    /// kafka-python 1.3.5, for brokers of Kafka 0.8 to 0.10.
    Kafka0,
    /// confluent-kafka, which is librdkafka.
    Confluent,
    /// paho-mqtt 2.2.0.
    Paho,
    /// nats-py, with nkeys and WebSocket.
    Nats,
    /// pika.
    Pika,
    /// aiocoap.
    Coap,
    /// grpcio with its tools, health checks and reflection.
    Grpc,
    /// Celery with kombu and py-amqp, and aio-pika.
    Celery,
    /// stomp.py.
    Stomp,
    /// amqpstorm and pyrabbit2, which ask the management API.
    AmqpStorm,
}

impl Python {
    /// The interpreter. `None` when it is not to be had here: the test is then skipped.
    pub fn interpreter(self) -> Option<PathBuf> {
        let name = match self {
            Self::Kafka3 => "py-kafka3",
            Self::Kafka1 => "py-kafka1",
            Self::Kafka0 => "py-kafka0",
            Self::Confluent => "py-confluent",
            Self::Paho => "py-paho",
            Self::Nats => "py-nats",
            Self::Pika => "py-pika",
            Self::Coap => "py-coap",
            Self::Grpc => "py-grpc",
            Self::Celery => "py-celery",
            Self::Stomp => "py-stomp",
            Self::AmqpStorm => "py-amqpstorm",
        };
        Some(tools::tool(name)?.join("bin/python"))
    }
}

/// A running script. Killed when dropped.
#[derive(Debug)]
pub struct Script {
    name: String,
    process: Process,
    /// Number of the first line that [`Self::event`] has not looked at.
    next: usize,
}

impl Script {
    /// Starts `tests/python/<name>.py`. `None` when its Python is not to be had here.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(python: Python, name: &str, args: &[&dyn AsRef<OsStr>]) -> Option<Self> {
        let mut command = Command::new(python.interpreter()?);
        command.arg(tools::root().join(format!("tests/python/{name}.py")));
        command.args(args.iter().map(|arg| arg.as_ref()));
        command.env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        Some(Self::of(&format!("{python:?} {name}"), &mut command))
    }

    /// Starts any program that prints such events.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn of(name: &str, command: &mut Command) -> Self {
        let process = Process::start(name, command);
        Self { name: name.to_owned(), process, next: 0 }
    }

    /// Runs a script to its end and returns the events that it printed.
    ///
    /// # Panics
    /// When it fails or takes too long.
    pub fn run(
        python: Python,
        name: &str,
        args: &[&dyn AsRef<OsStr>],
        within: Duration,
    ) -> Option<Vec<Value>> {
        Some(Self::start(python, name, args)?.finish(within))
    }

    /// The next event of this kind; others before it are passed over.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn event(&mut self, kind: &str, within: Duration) -> Value {
        self.wait_for(&format!("event {kind:?}"), within, |event| event["event"] == kind)
    }

    /// The next event of any kind.
    ///
    /// # Panics
    /// When none comes in time.
    pub fn any_event(&mut self, within: Duration) -> Value {
        self.wait_for("an event", within, |_| true)
    }

    fn wait_for(&mut self, what: &str, within: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        let wanted = |line: &str| parse(line).filter(|event| wanted(event));
        let (event, next, _) = self.process.wait_for(what, self.next, within, wanted);
        self.next = next;
        event
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Value> {
        self.process.stdout().lines().filter_map(parse).collect()
    }

    /// Sends a command.
    ///
    /// # Panics
    /// When the script does not take it.
    pub fn say(&mut self, command: &str) {
        self.process.say(command);
    }

    /// Kills the script with SIGKILL: the client does not say good-bye.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Closes its input, waits for a good end, and returns all events.
    ///
    /// # Panics
    /// When it fails or takes too long.
    pub fn finish(self, within: Duration) -> Vec<Value> {
        let name = self.name;
        let exit = self.process.exit(within);
        let (stdout, stderr) = (exit.stdout, exit.stderr);
        assert!(exit.status.success(), "{name}: {}\n{stdout}\n{stderr}", exit.status);
        stdout.lines().filter_map(parse).collect()
    }
}

/// An event; other lines are a client's own words.
fn parse(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok().filter(|event: &Value| event["event"].is_string())
}
