//! The commands of `entrepot` that talk to a running broker: a client of the Kafka protocol, so
//! they work with any broker that speaks it.
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0 it worked, 1 it
//! failed, 2 it was called wrongly, 10 the cluster is not healthy.

mod acl;
mod bench;
mod client;
mod consume;
mod consumer_group;
mod error;
mod group;
mod output;
mod produce;
mod progress;
mod settings;
mod share_group;
mod status;
mod topic;
mod user;

use std::time::Duration;

pub use client::ClientError;
pub use error::{CliError, exit};
pub use output::Format;

use client::Client;
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

    fn output(&self) -> Output {
        Output::stdout(self.output.unwrap_or_default())
    }
}

/// `HOST` alone means its port 9092.
fn with_port(server: &str) -> String {
    let after_brackets = server.rsplit(']').next().unwrap_or(server);
    if after_brackets.contains(':') { server.to_owned() } else { format!("{server}:9092") }
}

/// A command.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List, create, change and delete topics
    Topic(topic::Topic),
    /// List, describe and delete groups of consumers, and move their offsets
    Group(group::Group),
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
        Command::User(user) => user.run(),
        Command::Acl(acl) => acl.run(),
        Command::Produce(produce) => produce.run(),
        Command::Consume(consume) => consume.run(),
        Command::Bench(bench) => bench.run(),
        Command::Status(status) => status.run(),
    }
}

#[cfg(test)]
mod tests;
