//! Reading from a topic's start to where its end was.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use clap::Args;
use door_kafka::wire::messages::FetchRequest;
use door_kafka::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use door_kafka::wire::{RequestMessage as _, encode_request};
use store::batch::BatchHeader;

use super::histogram::Histogram;
use super::pipe::Pipe;
use super::produce::check;
use super::report::Report;
use super::topic::{BY_NAME, shares};
use super::{Common, on_threads};
use crate::client::{Client, EARLIEST, LATEST};
use crate::{CliError, Connect};

/// Options of `bench consume`.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    #[command(flatten)]
    common: Common,
    /// Most bytes of one response
    #[arg(long, default_value_t = 52_428_800, value_name = "BYTES", value_parser = clap::value_parser!(i32).range(1..))]
    fetch_max: i32,
    /// Most bytes of one partition in a response
    #[arg(long, default_value_t = 1_048_576, value_name = "BYTES", value_parser = clap::value_parser!(i32).range(1..))]
    partition_max: i32,
}

/// Position in a partition, and where to stop.
#[derive(Debug, Clone, Copy)]
struct Range {
    next: i64,
    end: i64,
}

/// What one connection did.
struct Done {
    records: u64,
    bytes: u64,
    fetches: Histogram,
}

pub(super) fn run(connect: &Connect, options: &Options) -> Result<Report, CliError> {
    let mut client = connect.client()?;
    let topic = client.topic(&options.common.topic, false)?;
    let (first, last) = (client.offsets(&topic, EARLIEST)?, client.offsets(&topic, LATEST)?);
    let range = |partition: i32| Range {
        next: first.get(&partition).copied().unwrap_or_default(),
        end: last.get(&partition).copied().unwrap_or_default(),
    };
    let connections = usize::from(options.common.connections).min(topic.partitions.len());
    let shares = shares(&topic, u16::try_from(connections).unwrap_or(u16::MAX));
    let mut jobs = Vec::new();
    for share in shares {
        let mut by_leader: BTreeMap<i32, BTreeMap<i32, Range>> = BTreeMap::new();
        for (partition, leader) in share {
            by_leader.entry(leader).or_default().insert(partition, range(partition));
        }
        for (leader, ranges) in by_leader {
            jobs.push(Job::new(connect.client()?, leader, ranges, options)?);
        }
    }
    let server = options.common.server()?;
    let begun = Instant::now();
    let done = on_threads(jobs, Job::run)?;
    let time = begun.elapsed();
    let used = server.map(|server| server.used()).transpose()?;
    let mut fetches = Histogram::new();
    done.iter().for_each(|done| fetches.merge(&done.fetches));
    let (records, bytes) =
        done.iter().fold((0, 0), |(r, b), done| (r + done.records, b + done.bytes));
    Ok(Report::new("consume", records, bytes, time)
        .latency("fetch sent to received", &fetches)
        .server(used))
}

struct Job {
    pipe: Pipe,
    version: i16,
    options: Options,
    ranges: BTreeMap<i32, Range>,
}

impl Job {
    fn new(
        mut client: Client,
        leader: i32,
        ranges: BTreeMap<i32, Range>,
        options: &Options,
    ) -> Result<Self, CliError> {
        client.topic(&options.common.topic, false)?;
        let version = client.version(FetchRequest::API, BY_NAME)?;
        let pipe = Pipe::open(&mut client, leader)?;
        Ok(Self { pipe, version, options: options.clone(), ranges })
    }

    fn run(mut self) -> Result<Done, CliError> {
        let mut done = Done { records: 0, bytes: 0, fetches: Histogram::new() };
        self.ranges.retain(|_, range| range.next < range.end);
        while !self.ranges.is_empty() {
            let began = Instant::now();
            let mut frame = fetch_frame(
                &self.options.common.topic,
                self.version,
                &Fetch {
                    positions: self.ranges.iter().map(|(at, range)| (*at, range.next)).collect(),
                    wait: Duration::ZERO,
                    fetch_max: self.options.fetch_max,
                    partition_max: self.options.partition_max,
                },
            )?;
            self.pipe.send(&mut frame)?;
            let response = self.pipe.receive::<FetchRequest>(self.version, None)?;
            done.fetches.add(began.elapsed(), 1);
            for topic in response.into_iter().flat_map(|response| response.responses) {
                for data in topic.partitions {
                    check(&topic.topic, data.partition_index, data.error_code, None)?;
                    let Some(range) = self.ranges.get_mut(&data.partition_index) else { continue };
                    let records = data.records.unwrap_or_default();
                    done.bytes += records.len() as u64;
                    done.records += count(&records, range)?;
                }
            }
            self.ranges.retain(|_, range| range.next < range.end);
        }
        Ok(done)
    }
}

/// Counts the records of whole batches and moves on behind them.
fn count(mut bytes: &[u8], range: &mut Range) -> Result<u64, CliError> {
    let mut records = 0;
    while let Ok(header) = BatchHeader::decode(bytes) {
        let Some(rest) = bytes.get(header.size..) else { break };
        records += u64::from(header.count.cast_unsigned());
        range.next = range.next.max(header.next_offset());
        bytes = rest;
    }
    if records == 0 && !bytes.is_empty() {
        return Err(CliError::new("a batch does not fit into what one fetch may bring")
            .hint("a larger --partition-max"));
    }
    Ok(records)
}

/// One fetch request.
pub(super) struct Fetch {
    pub(super) positions: Vec<(i32, i64)>,
    /// How long the broker may wait for the first byte.
    pub(super) wait: Duration,
    pub(super) fetch_max: i32,
    pub(super) partition_max: i32,
}

pub(super) fn fetch_frame(topic: &str, version: i16, fetch: &Fetch) -> Result<BytesMut, CliError> {
    let partition = |(partition, offset): &(i32, i64)| FetchPartition {
        partition: *partition,
        fetch_offset: *offset,
        partition_max_bytes: fetch.partition_max,
        ..FetchPartition::default()
    };
    let request = FetchRequest {
        replica_id: -1,
        max_wait_ms: i32::try_from(fetch.wait.as_millis()).unwrap_or(i32::MAX),
        min_bytes: 1,
        max_bytes: fetch.fetch_max,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: fetch.positions.iter().map(partition).collect(),
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    };
    let frame: Bytes = encode_request(&request, version, 0, Some("entrepot-bench"))
        .map_err(|error| CliError::new(format!("cannot encode a request: {error}")))?;
    Ok(BytesMut::from(&frame[..]))
}
