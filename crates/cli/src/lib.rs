//! The commands of `entrepot` that talk to a running broker: a client of the Kafka protocol, so
//! they work with any broker that speaks it. Queues and exchanges, which that does not know, are
//! asked for at RabbitMQ's management API, so that works with a RabbitMQ, too (but for pausing and
//! peeking, which that does not know).
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0 it worked, 1 it
//! failed, 2 it was called wrongly, 10 the cluster is not healthy.

mod acl;
mod bench;
mod client;
mod consume;
mod consumer_group;
mod demo;
mod doctor;
mod error;
mod group;
mod output;
mod policy;
mod produce;
mod progress;
mod queue;
mod remedy;
mod settings;
mod share_group;
mod status;
mod topic;
mod trace;
mod user;

use std::time::Duration;

pub use client::ClientError;
pub use error::{CliError, exit};
pub use output::Format;

use client::Client;
use client::management::Management;
use client::security::Protection;
use output::Output;

/// Which cluster to talk to, and how to write what it says.
#[derive(Debug, Clone, clap::Args)]
pub struct Connect {
    /// Brokers to connect to; the first that answers is used
    #[arg(
        long,
        short = 's',
        alias = "broker",
        global = true,
        value_name = "HOST:PORT",
        env = "ENTREPOT_SERVER",
        default_value = "localhost:9092",
        value_delimiter = ',',
        help_heading = "Connection"
    )]
    server: Vec<String>,
    /// How long to wait for an answer
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=3600),
        help_heading = "Connection"
    )]
    timeout: u64,
    #[command(flatten)]
    protection: Protection,
    /// How results are written; tables if not said
    #[arg(
        long,
        short = 'o',
        global = true,
        value_name = "FORMAT",
        value_enum,
        help_heading = "Connection"
    )]
    output: Option<Format>,
}

impl Connect {
    fn client(&self) -> Result<Client, ClientError> {
        let servers: Vec<_> = self.server.iter().map(|server| with_port(server.trim())).collect();
        let security = self.protection.load().map_err(ClientError::Security)?;
        Client::connect(&servers, Duration::from_secs(self.timeout), security)
    }

    /// The management API at an address, or at its port of the first broker.
    fn management(&self, address: Option<&str>) -> Result<Management, CliError> {
        self.web(address, MANAGEMENT_PORT)
    }

    fn web(&self, address: Option<&str>, port: u16) -> Result<Management, CliError> {
        let address = match address {
            Some(address) => with_default_port(address.trim(), port),
            None => {
                let server = self.server.first().map_or("localhost", |server| server.trim());
                let server = with_port(server);
                let host = server.rsplit_once(':').map_or(&*server, |(host, _)| host);
                format!("{host}:{port}")
            }
        };
        let security = self.protection.load().map_err(ClientError::Security)?;
        Ok(Management::new(address, Duration::from_secs(self.timeout), security))
    }

    /// The HTTP door at an address, or at its port of the first broker.
    fn http(&self, address: Option<&str>) -> Result<Management, CliError> {
        let door = self.web(address, HTTP_PORT)?;
        Ok(door.called("the HTTP door", "--http HOST:PORT, the broker's http.port"))
    }

    fn output(&self) -> Output {
        Output::stdout(self.output.unwrap_or_default())
    }
}

/// Kafka's port.
const KAFKA_PORT: u16 = 9092;

/// RabbitMQ's management API's.
const MANAGEMENT_PORT: u16 = 15672;

/// The HTTP door's.
const HTTP_PORT: u16 = 8080;

/// `HOST` alone means its port 9092.
fn with_port(server: &str) -> String {
    with_default_port(server, KAFKA_PORT)
}

/// `HOST` alone means this port of it.
fn with_default_port(server: &str, port: u16) -> String {
    let after_brackets = server.rsplit(']').next().unwrap_or(server);
    if after_brackets.contains(':') { server.to_owned() } else { format!("{server}:{port}") }
}

/// A command.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List, create, change and delete topics
    Topic(topic::Topic),
    /// List, describe and delete groups of consumers, and move their offsets
    Group(group::Group),
    /// List, describe, look into, pause, purge and delete queues
    Queue(queue::Queue),
    /// List exchanges
    Exchange(queue::Exchange),
    /// Set, list and delete policies: settings of queues and exchanges by their names
    Policy(policy::Policy),
    /// Add, list and remove users who log in with a password
    User(user::User),
    /// Add, list and remove access rules
    Acl(acl::Acl),
    /// Send messages to a topic
    Produce(produce::Produce),
    /// Read messages from a topic
    Consume(consume::Consume),
    /// Measure a broker: throughput and latency
    Bench(bench::Bench),
    /// Send a little through every door, and let something go wrong on request
    Demo(demo::Demo),
    /// Say what is wrong, why, and what to do about it
    Doctor(doctor::Doctor),
    /// List what the broker would do about incidents itself, have it done, or undo it
    Remedy(remedy::Remedy),
    /// Show the path of single messages, hop by hop
    ///
    /// A message is followed if it has a traceparent (W3C Trace Context) whose flag says that it is sampled: a header, or
    /// whatever its protocol has for that. The broker remembers the newest 8,192 steps.
    Trace(trace::Trace),
    /// Say how the cluster is: brokers, topics, stored bytes, round trip
    Status(status::Status),
}

/// Carries out a command.
///
/// # Errors
///
/// Says what happened and what to do; [`CliError::exit_code`] is the program's exit code.
pub fn run(command: Command) -> Result<(), CliError> {
    match command {
        Command::Topic(topic) => topic.run(),
        Command::Group(group) => group.run(),
        Command::Queue(queue) => queue.run(),
        Command::Exchange(exchange) => exchange.run(),
        Command::Policy(policy) => policy.run(),
        Command::User(user) => user.run(),
        Command::Acl(acl) => acl.run(),
        Command::Produce(produce) => produce.run(),
        Command::Consume(consume) => consume.run(),
        Command::Bench(bench) => bench.run(),
        Command::Demo(demo) => demo.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Remedy(remedy) => remedy.run(),
        Command::Trace(trace) => trace.run(),
        Command::Status(status) => status.run(),
    }
}

#[cfg(test)]
mod tests;
