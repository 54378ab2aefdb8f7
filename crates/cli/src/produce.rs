//! `entrepot produce`.

mod input;
pub(crate) mod sender;

use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use base::{Clock, SystemClock};
use clap::Args;
use serde::Serialize;
use store::batch::Compression;

use crate::output::Output;
use crate::progress::Progress;
use crate::topic::pair;
use crate::{CliError, Connect};
use broker::Partitioner;
use input::Input;
#[cfg(test)]
pub(crate) use input::lines as read_lines;
use sender::{Outgoing, Sender};

/// How long a lone record waits for company before it is sent.
const LINGER: Duration = Duration::from_millis(5);

/// `entrepot produce`
#[derive(Debug, Args)]
pub struct Produce {
    #[command(flatten)]
    connect: Connect,
    /// The topic; created on first use if the broker does that
    topic: String,
    /// Values to send, one message each; without any, each line of standard input is a message
    #[arg(value_name = "VALUE")]
    values: Vec<String>,
    /// Key of all messages
    #[arg(long, short, conflicts_with = "key_separator")]
    key: Option<String>,
    /// Each message is KEY, this text, VALUE; a message without it has no key
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key_separator: Option<String>,
    /// A header of all messages; may be repeated
    #[arg(long, short = 'H', value_name = "KEY=VALUE", value_parser = pair)]
    header: Vec<(String, String)>,
    /// Send all messages to this partition instead of where the topic's partitioner says
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// How batches are compressed
    #[arg(long, short = 'z', value_name = "CODEC", default_value = "none",
          value_parser = ["none", "gzip", "snappy", "lz4", "zstd"])]
    compression: String,
    /// When the broker acknowledges: all (durable), 1 or 0 (never)
    #[arg(long, default_value = "all", value_parser = ["all", "-1", "1", "0"])]
    acks: String,
    /// Send empty values as deletion marks (null)
    #[arg(long)]
    tombstones: bool,
}

/// One acknowledged message, as JSON says it.
#[derive(Debug, Serialize)]
pub(crate) struct Produced<'a> {
    topic: &'a str,
    partition: i32,
    /// `None` if the broker was told not to answer.
    offset: Option<i64>,
}

impl Produce {
    pub(crate) fn run(mut self) -> Result<(), CliError> {
        let client = self.connect.client()?;
        let acks = match self.acks.as_str() {
            "1" => 1,
            "0" => 0,
            _ => -1,
        };
        let compression = Compression::from_name(&self.compression).unwrap_or(Compression::None);
        let mut sender = Sender::new(client, &self.topic, compression, acks)?;
        let partitioner = match self.partition {
            Some(_) => Partitioner::default(),
            None => sender.partitioner(),
        };
        let values = std::mem::take(&mut self.values);
        let progress = Progress::new(None, values.is_empty());
        let input = Input::start(values);
        let mut work = Work {
            output: self.connect.output(),
            turn: AtomicU32::new(0),
            clock: SystemClock,
            options: self,
            sender,
            partitioner,
            progress,
        };
        let result = work.all(&input);
        work.output.flush()?;
        let sent = work.progress.records() > 0;
        let done = work.progress.finish();
        if sent || result.is_ok() {
            eprintln!("{done}, sent to topic {}", work.options.topic);
        }
        result
    }
}

struct Work {
    options: Produce,
    sender: Sender,
    output: Output,
    partitioner: Partitioner,
    turn: AtomicU32,
    clock: SystemClock,
    progress: Progress,
}

impl Work {
    fn all(&mut self, input: &Receiver<std::io::Result<Vec<u8>>>) -> Result<(), CliError> {
        loop {
            let next = if self.sender.is_empty() {
                input.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                input.recv_timeout(LINGER)
            };
            match next {
                Ok(line) => {
                    let line = line.map_err(|error| {
                        CliError::new(format!("cannot read standard input: {error}"))
                    })?;
                    if self.add(&line)? {
                        self.flush()?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.flush()?,
                Err(RecvTimeoutError::Disconnected) => return self.flush(),
            }
        }
    }

    /// Takes one message; whether enough are waiting.
    fn add(&mut self, line: &[u8]) -> Result<bool, CliError> {
        let (key, value) = match &self.options.key_separator {
            Some(separator) => match find(line, separator.as_bytes()) {
                Some(at) => (Some(&line[..at]), &line[at + separator.len()..]),
                None => (None, line),
            },
            None => (self.options.key.as_ref().map(String::as_bytes), line),
        };
        let partition = match self.options.partition {
            Some(partition) => partition,
            None => {
                let count = self.sender.partition_count();
                let picked = self.partitioner.pick(key, count, &self.turn);
                i32::try_from(picked).unwrap_or_default()
            }
        };
        let headers: Vec<_> = self
            .options
            .header
            .iter()
            .map(|(name, value)| (name.as_bytes(), Some(value.as_bytes())))
            .collect();
        let outgoing = Outgoing {
            timestamp: self.clock.now(),
            key,
            value: Some(value).filter(|value| !(self.options.tombstones && value.is_empty())),
            headers: &headers,
        };
        self.sender.add(partition, &outgoing)
    }

    fn flush(&mut self) -> Result<(), CliError> {
        for sent in self.sender.flush()? {
            self.progress.add(sent.count, sent.bytes);
            if self.output.is_json() {
                for index in 0..sent.count {
                    let index = i64::try_from(index).unwrap_or_default();
                    self.output.json(&Produced {
                        topic: &self.options.topic,
                        partition: sent.partition,
                        offset: sent.base_offset.map(|base| base + index),
                    })?;
                }
            }
        }
        Ok(self.output.flush()?)
    }
}

/// Where `needle` first stands in `haystack`.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
