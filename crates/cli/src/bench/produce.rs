//! Sending as fast as it is acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use base::Clock as _;
use bytes::BytesMut;
use clap::Args;
use door_kafka::wire::messages::ProduceRequest;
use door_kafka::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use door_kafka::wire::{ErrorCode, RequestMessage as _, encode_request};
use store::batch::{Batch, BatchBuilder, NewRecord};

use super::histogram::Histogram;
use super::pipe::Pipe;
use super::report::Report;
use super::topic::{BY_NAME, ensure, shares};
use super::{Common, Records, on_threads};
use crate::client::{Client, ClientError};
use crate::{CliError, Connect};

/// Options of `bench produce`.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    records: Records,
    /// Records to send, over all connections
    #[arg(long, short = 'n', default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Bytes of records in a batch, before compression; each request carries one batch
    #[arg(long, default_value_t = 65_536, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch: u32,
    /// Requests in flight on each connection
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    window: u16,
}

/// What one connection did.
struct Done {
    records: u64,
    bytes: u64,
    acknowledged: Histogram,
}

pub(super) fn run(connect: &Connect, options: &Options) -> Result<Report, CliError> {
    let mut client = connect.client()?;
    let topic = ensure(&mut client, &options.common)?;
    let batch = batch(options)?;
    let mut jobs = Vec::new();
    let shares = shares(&topic, options.common.connections);
    let each = options.count.div_ceil(shares.len() as u64);
    for share in shares {
        jobs.push(Job::new(connect.client()?, share, each, options, &batch)?);
    }
    let server = options.common.server()?;
    let begun = Instant::now();
    let done = on_threads(jobs, Job::run)?;
    let time = begun.elapsed();
    let used = server.map(|server| server.used()).transpose()?;
    let mut acknowledged = Histogram::new();
    done.iter().for_each(|done| acknowledged.merge(&done.acknowledged));
    let (records, bytes) =
        done.iter().fold((0, 0), |(r, b), done| (r + done.records, b + done.bytes));
    Ok(Report::new("produce", records, bytes, time)
        .latency("request sent to acknowledged", &acknowledged)
        .server(used))
}

/// The batch that is sent again and again.
fn batch(options: &Options) -> Result<Batch, CliError> {
    let values = options.records.values();
    let now = base::SystemClock.now();
    let mut builder = BatchBuilder::new(options.records.compression());
    for value in values.iter().cycle() {
        builder.push(&NewRecord { timestamp: now, value: Some(value), ..NewRecord::default() });
        if builder.len() + value.len() > options.batch as usize {
            break;
        }
    }
    builder.build().map_err(|error| CliError::new(format!("cannot build a batch: {error}")))
}

/// One connection for each leader, and what goes over them.
struct Job {
    pipes: BTreeMap<i32, (Pipe, VecDeque<Instant>)>,
    /// The prepared requests, and the leaders that they go to.
    requests: Vec<(i32, BytesMut)>,
    version: i16,
    window: usize,
    requests_left: u64,
    records_each: u64,
    bytes_each: u64,
}

impl Job {
    fn new(
        mut client: Client,
        share: Vec<(i32, i32)>,
        count: u64,
        options: &Options,
        batch: &Batch,
    ) -> Result<Self, CliError> {
        // Learns where the brokers are.
        client.topic(&options.common.topic, false)?;
        let version = client.version(ProduceRequest::API, BY_NAME)?;
        let mut pipes = BTreeMap::new();
        let mut requests = Vec::new();
        for (partition, leader) in share {
            let request = request(options, partition, batch, client.timeout_ms());
            let frame = encode_request(&request, version, 0, Some("entrepot-bench"))
                .map_err(|error| CliError::new(format!("cannot encode a request: {error}")))?;
            requests.push((leader, BytesMut::from(&frame[..])));
            if let std::collections::btree_map::Entry::Vacant(place) = pipes.entry(leader) {
                place.insert((Pipe::open(&mut client, leader)?, VecDeque::new()));
            }
        }
        let records_each = u64::from(batch.header().count.cast_unsigned());
        Ok(Self {
            pipes,
            requests,
            version,
            window: usize::from(options.window),
            requests_left: count.div_ceil(records_each),
            records_each,
            bytes_each: batch.bytes().len() as u64,
        })
    }

    fn run(mut self) -> Result<Done, CliError> {
        let mut done = Done { records: 0, bytes: 0, acknowledged: Histogram::new() };
        let mut turn = 0;
        let mut requests = std::mem::take(&mut self.requests);
        while self.requests_left > 0 {
            let count = requests.len();
            let Some((leader, frame)) = requests.get_mut(turn % count) else { break };
            turn += 1;
            let Some((pipe, sent)) = self.pipes.get_mut(leader) else { break };
            if pipe.in_flight() >= self.window {
                receive(pipe, sent, self.version, &mut done.acknowledged)?;
            }
            sent.push_back(Instant::now());
            pipe.send(frame)?;
            self.requests_left -= 1;
            done.records += self.records_each;
            done.bytes += self.bytes_each;
        }
        for (pipe, sent) in self.pipes.values_mut() {
            while pipe.in_flight() > 0 {
                receive(pipe, sent, self.version, &mut done.acknowledged)?;
            }
        }
        Ok(done)
    }
}

fn receive(
    pipe: &mut Pipe,
    sent: &mut VecDeque<Instant>,
    version: i16,
    acknowledged: &mut Histogram,
) -> Result<(), CliError> {
    let response = pipe.receive::<ProduceRequest>(version, None)?;
    if let Some(at) = sent.pop_front() {
        acknowledged.add(at.elapsed(), 1);
    }
    for topic in response.into_iter().flat_map(|response| response.responses) {
        for partition in topic.partition_responses {
            check(&topic.name, partition.index, partition.error_code, partition.error_message)?;
        }
    }
    Ok(())
}

/// Whether a partition's answer says that it worked.
pub(super) fn check(
    topic: &str,
    partition: i32,
    code: i16,
    message: Option<String>,
) -> Result<(), ClientError> {
    if code == ErrorCode::None.number() {
        return Ok(());
    }
    ClientError::check(format!("partition {partition} of {topic}"), code, message)
}

fn request(options: &Options, partition: i32, batch: &Batch, timeout_ms: i32) -> ProduceRequest {
    single(&options.common.topic, partition, batch, options.records.acks(), timeout_ms)
}

/// A request with one batch.
pub(super) fn single(
    topic: &str,
    partition: i32,
    batch: &Batch,
    acks: i16,
    timeout_ms: i32,
) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: Some(batch.bytes().clone()),
            }],
            ..TopicProduceData::default()
        }],
    }
}

/// The longest that a run waits for one answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
