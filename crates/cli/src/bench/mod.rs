//! `entrepot bench`: a load generator for any broker that speaks Kafka's protocol, cheap enough
//! that the figure is the broker's and not the generator's.
//!
//! *Produce* sends the same prepared requests again and again, a window of them in flight on each
//! connection. *Consume* fetches and counts, reading no further than the batches' headers.
//! *Latency* sends at a fixed rate and measures from the moment at which a message was due, not
//! from when it was sent, so a broker that stalls is charged with everything that waited
//! meanwhile (no coordinated omission).

mod consume;
mod histogram;
mod latency;
mod pipe;
mod produce;
mod report;
mod server;
mod topic;

use clap::{Args, Subcommand};
use store::batch::Compression;

use crate::{CliError, Connect};
use server::Server;

/// `entrepot bench`
#[derive(Debug, Args)]
pub struct Bench {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Send records as fast as they are acknowledged
    Produce(produce::Options),
    /// Read a topic from its start as fast as it comes
    Consume(consume::Options),
    /// Send at a fixed rate, and measure from due to acknowledged and from due to read
    Latency(latency::Options),
}

/// What every kind of load has.
#[derive(Debug, Clone, Args)]
struct Common {
    /// The topic; created if it does not exist
    #[arg(long, default_value = "bench")]
    topic: String,
    /// Partitions of the topic, if it is created
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=100_000))]
    partitions: i32,
    /// A setting of the topic, if it is created; may be repeated
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = crate::topic::pair)]
    config: Vec<(String, String)>,
    /// Connections, each with a thread of its own
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// The broker's process, whose CPU time and memory are then reported, if it is on this machine
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
}

/// How records are made.
#[derive(Debug, Clone, Args)]
struct Records {
    /// Bytes of each record's value
    #[arg(long, default_value_t = 1024, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(8..=1_000_000))]
    size: u32,
    /// How batches are compressed
    #[arg(long, short = 'z', value_name = "CODEC", default_value = "none",
          value_parser = ["none", "gzip", "snappy", "lz4", "zstd"])]
    compression: String,
    /// When the broker acknowledges: all (durable) or 1
    #[arg(long, default_value = "all", value_parser = ["all", "-1", "1"])]
    acks: String,
}

impl Records {
    fn compression(&self) -> Compression {
        Compression::from_name(&self.compression).unwrap_or(Compression::None)
    }

    fn acks(&self) -> i16 {
        if self.acks == "1" { 1 } else { -1 }
    }

    /// Values of the wanted size, a thousand different ones. Half of each is random, so that a
    /// codec finds about as much to do as in real data.
    fn values(&self) -> Vec<Vec<u8>> {
        let size = self.size as usize;
        // A small generator of our own: the same bytes in every run, so that runs compare.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut value = || {
            let mut bytes = Vec::with_capacity(size + 16);
            while bytes.len() < size {
                bytes.extend_from_slice(&next().to_le_bytes());
                bytes.extend_from_slice(b"reading=");
            }
            bytes.truncate(size);
            bytes
        };
        (0..1000).map(|_| value()).collect()
    }
}

impl Bench {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let mut output = self.connect.output();
        let report = match self.action {
            Action::Produce(options) => produce::run(&self.connect, &options)?,
            Action::Consume(options) => consume::run(&self.connect, &options)?,
            Action::Latency(options) => latency::run(&self.connect, &options)?,
        };
        report.write(&mut output)?;
        Ok(output.flush()?)
    }
}

impl Common {
    fn server(&self) -> Result<Option<Server>, CliError> {
        self.server_pid.map(Server::watch).transpose()
    }
}

/// Runs one worker on a thread for each of `inputs`, all at once; the first error wins.
fn on_threads<I: Send, T: Send>(
    inputs: Vec<I>,
    work: impl Fn(I) -> Result<T, CliError> + Sync,
) -> Result<Vec<T>, CliError> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            inputs.into_iter().map(|input| scope.spawn(move || work(input))).collect();
        let ended = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(CliError::new("a load thread panicked")))
        });
        ended.collect()
    })
}

#[cfg(test)]
mod tests;
