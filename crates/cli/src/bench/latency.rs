//! A fixed rate of messages, and how long after its due time each was acknowledged and read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base::Clock as _;
use bytes::BytesMut;
use clap::Args;
use door_kafka::wire::messages::{FetchRequest, ProduceRequest};
use door_kafka::wire::{RequestMessage as _, encode_request};
use store::batch::{Batch, BatchBuilder, NewRecord};

use super::consume::{Fetch, fetch_frame};
use super::histogram::Histogram;
use super::pipe::Pipe;
use super::produce::{PATIENCE, check, single};
use super::report::Report;
use super::topic::{BY_NAME, ensure};
use super::{Common, Records};
use crate::client::{Client, LATEST};
use crate::{CliError, Connect};

/// Options of `bench latency`.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    records: Records,
    /// Messages each second
    #[arg(long, short, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    rate: u32,
    /// How long to measure
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How long to run before measuring
    #[arg(long, default_value_t = 2, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=3600))]
    warm_up: u64,
    /// Requests in flight; what becomes due meanwhile goes together in the next one
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    window: u16,
}

/// The plan that sender and reader share: message `n` is due at `begin + n * period`.
#[derive(Debug, Clone, Copy)]
struct Plan {
    begin: Instant,
    rate: u64,
    /// Messages before this one are not measured.
    first: u64,
    /// Messages in all.
    count: u64,
}

impl Plan {
    fn due(&self, message: u64) -> Instant {
        self.begin + Duration::from_nanos(message.saturating_mul(1_000_000_000) / self.rate)
    }

    fn is_measured(&self, message: u64) -> bool {
        message >= self.first
    }
}

pub(super) fn run(connect: &Connect, options: &Options) -> Result<Report, CliError> {
    let mut client = connect.client()?;
    let topic = ensure(&mut client, &options.common)?;
    let begins = client.offsets(&topic, LATEST)?;
    let leaders: BTreeMap<i32, i32> =
        topic.partitions.iter().map(|p| (p.partition_index, p.leader_id)).collect();
    let mut by_leader: BTreeMap<i32, Vec<(i32, i64)>> = BTreeMap::new();
    for (partition, leader) in &leaders {
        let at = begins.get(partition).copied().unwrap_or_default();
        by_leader.entry(*leader).or_default().push((*partition, at));
    }
    let mut sender = Sender::new(connect.client()?, options, &leaders)?;
    let mut readers = Vec::new();
    for (leader, positions) in by_leader {
        readers.push(Reader::new(connect.client()?, leader, positions, options)?);
    }
    let server = options.common.server()?;
    let rate = u64::from(options.rate);
    let plan = Plan {
        begin: Instant::now() + Duration::from_millis(20),
        rate,
        first: rate * options.warm_up,
        count: rate * (options.warm_up + options.seconds),
    };
    let failed = AtomicBool::new(false);
    let (acknowledged, read) = std::thread::scope(|scope| {
        let failed = &failed;
        // Not more than all messages; which reader gets how many is the partitions' affair.
        let readers: Vec<_> =
            readers.into_iter().map(|r| scope.spawn(move || r.run(plan, failed))).collect();
        let sent = sender.run(plan);
        if sent.is_err() || readers.len() > 1 {
            failed.store(true, Ordering::Release);
        }
        let mut read = Histogram::new();
        for reader in readers {
            let joined = reader.join();
            let joined =
                joined.unwrap_or_else(|_| Err(CliError::new("the reader's thread panicked")));
            read.merge(&joined?);
        }
        Ok::<_, CliError>((sent?, read))
    })?;
    let time = plan.begin.elapsed();
    let used = server.map(|server| server.used()).transpose()?;
    let bytes = plan.count * u64::from(options.records.size);
    Ok(Report::new("latency", plan.count, bytes, time)
        .latency("due to acknowledged", &acknowledged)
        .latency("due to read", &read)
        .server(used))
}

struct Sender {
    pipes: BTreeMap<i32, (Pipe, VecDeque<std::ops::Range<u64>>)>,
    leaders: Vec<(i32, i32)>,
    options: Options,
    values: Vec<Vec<u8>>,
    version: i16,
    timeout_ms: i32,
}

impl Sender {
    fn new(
        mut client: Client,
        options: &Options,
        leaders: &BTreeMap<i32, i32>,
    ) -> Result<Self, CliError> {
        client.topic(&options.common.topic, false)?;
        let version = client.version(ProduceRequest::API, BY_NAME)?;
        let mut pipes = BTreeMap::new();
        for leader in leaders.values() {
            if let std::collections::btree_map::Entry::Vacant(place) = pipes.entry(*leader) {
                place.insert((Pipe::open(&mut client, *leader)?, VecDeque::new()));
            }
        }
        Ok(Self {
            pipes,
            leaders: leaders.iter().map(|(partition, leader)| (*partition, *leader)).collect(),
            options: options.clone(),
            values: options.records.values(),
            version,
            timeout_ms: client.timeout_ms(),
        })
    }

    /// Sends what is due, in batches of what became due together.
    fn run(&mut self, plan: Plan) -> Result<Histogram, CliError> {
        let mut acknowledged = Histogram::new();
        let (mut next, mut turn) = (0, 0);
        while next < plan.count {
            let Some((partition, leader)) = self.leaders.get(turn % self.leaders.len()).copied()
            else {
                break;
            };
            let now = Instant::now();
            let mut due = next;
            // As many as one batch may hold; the rest follows in the next one.
            let most = next + (512 * 1024 / u64::from(self.options.records.size)).max(1);
            while due < plan.count.min(most) && plan.due(due) <= now {
                due += 1;
            }
            if due == next {
                self.receive(leader, plan, Some(plan.due(next)), &mut acknowledged)?;
                continue;
            }
            if self.is_full(leader) {
                self.receive(leader, plan, None, &mut acknowledged)?;
                continue;
            }
            self.send(partition, leader, next..due)?;
            next = due;
            turn += 1;
        }
        for leader in self.pipes.keys().copied().collect::<Vec<_>>() {
            while self.pipes.get(&leader).is_some_and(|(pipe, _)| pipe.in_flight() > 0) {
                self.receive(leader, plan, None, &mut acknowledged)?;
            }
        }
        Ok(acknowledged)
    }

    fn is_full(&self, leader: i32) -> bool {
        let window = usize::from(self.options.window);
        self.pipes.get(&leader).is_some_and(|(pipe, _)| pipe.in_flight() >= window)
    }

    fn send(
        &mut self,
        partition: i32,
        leader: i32,
        messages: std::ops::Range<u64>,
    ) -> Result<(), CliError> {
        let batch = self.batch(messages.clone())?;
        let topic = &self.options.common.topic;
        let acks = self.options.records.acks();
        let request = single(topic, partition, &batch, acks, self.timeout_ms);
        let frame = encode_request(&request, self.version, 0, Some("entrepot-bench"))
            .map_err(|error| CliError::new(format!("cannot encode a request: {error}")))?;
        let Some((pipe, sent)) = self.pipes.get_mut(&leader) else { return Ok(()) };
        pipe.send(&mut BytesMut::from(&frame[..]))?;
        sent.push_back(messages);
        Ok(())
    }

    /// Each message's value begins with its number.
    fn batch(&mut self, messages: std::ops::Range<u64>) -> Result<Batch, CliError> {
        let mut builder = BatchBuilder::new(self.options.records.compression());
        let timestamp = base::SystemClock.now();
        let count = self.values.len() as u64;
        for number in messages {
            let index = usize::try_from(number % count).unwrap_or_default();
            let Some(value) = self.values.get_mut(index) else { break };
            if let Some(start) = value.get_mut(..8) {
                start.copy_from_slice(&number.to_be_bytes());
            }
            builder.push(&NewRecord { timestamp, value: Some(value), ..NewRecord::default() });
        }
        builder.build().map_err(|error| CliError::new(format!("cannot build a batch: {error}")))
    }

    fn receive(
        &mut self,
        leader: i32,
        plan: Plan,
        until: Option<Instant>,
        acknowledged: &mut Histogram,
    ) -> Result<(), CliError> {
        let Some((pipe, sent)) = self.pipes.get_mut(&leader) else { return Ok(()) };
        if pipe.in_flight() == 0 {
            // Nothing to hear: the wait for the next message's time.
            if let Some(until) = until {
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
            }
            return Ok(());
        }
        let Some(response) = pipe.receive::<ProduceRequest>(self.version, until)? else {
            return Ok(());
        };
        let now = Instant::now();
        for number in sent.pop_front().into_iter().flatten() {
            if plan.is_measured(number) {
                acknowledged.add(now.saturating_duration_since(plan.due(number)), 1);
            }
        }
        for topic in response.responses {
            for partition in topic.partition_responses {
                check(&topic.name, partition.index, partition.error_code, None)?;
            }
        }
        Ok(())
    }
}

struct Reader {
    pipe: Pipe,
    version: i16,
    topic: String,
    positions: BTreeMap<i32, i64>,
}

impl Reader {
    fn new(
        mut client: Client,
        leader: i32,
        positions: Vec<(i32, i64)>,
        options: &Options,
    ) -> Result<Self, CliError> {
        client.topic(&options.common.topic, false)?;
        let version = client.version(FetchRequest::API, BY_NAME)?;
        let pipe = Pipe::open(&mut client, leader)?;
        let topic = options.common.topic.clone();
        Ok(Self { pipe, version, topic, positions: positions.into_iter().collect() })
    }

    /// Reads until all messages have come, or sending failed. With several brokers nobody knows
    /// which reader gets the last one; they stop a moment after it was acknowledged.
    fn run(mut self, plan: Plan, failed: &AtomicBool) -> Result<Histogram, CliError> {
        let mut read = Histogram::new();
        let mut seen = 0;
        let last_by = plan.due(plan.count) + PATIENCE;
        while seen < plan.count && Instant::now() < last_by {
            let mut frame = fetch_frame(
                &self.topic,
                self.version,
                &Fetch {
                    positions: self.positions.iter().map(|(at, next)| (*at, *next)).collect(),
                    wait: Duration::from_millis(500),
                    fetch_max: 52_428_800,
                    partition_max: 1_048_576,
                },
            )?;
            self.pipe.send(&mut frame)?;
            let Some(response) = self.pipe.receive::<FetchRequest>(self.version, None)? else {
                continue;
            };
            let now = Instant::now();
            let before = seen;
            for topic in response.responses {
                for data in topic.partitions {
                    check(&topic.topic, data.partition_index, data.error_code, None)?;
                    let records = data.records.unwrap_or_default();
                    seen += self.take(data.partition_index, records, plan, now, &mut read)?;
                }
            }
            if seen == before && failed.load(Ordering::Acquire) {
                break;
            }
        }
        Ok(read)
    }

    fn take(
        &mut self,
        partition: i32,
        mut bytes: bytes::Bytes,
        plan: Plan,
        now: Instant,
        read: &mut Histogram,
    ) -> Result<u64, CliError> {
        let Some(position) = self.positions.get_mut(&partition) else { return Ok(0) };
        let garbage = |error| CliError::new(format!("partition {partition}: {error}"));
        let mut seen = 0;
        while let Ok(batch) = Batch::take(&mut bytes) {
            for record in batch.records().map_err(garbage)? {
                let record = record.map_err(garbage)?;
                let start = record.value.as_ref().and_then(|value| value.first_chunk::<8>());
                let Some(number) = start.map(|start| u64::from_be_bytes(*start)) else { continue };
                if record.offset < *position {
                    continue;
                }
                seen += 1;
                if plan.is_measured(number) {
                    read.add(now.saturating_duration_since(plan.due(number)), 1);
                }
            }
            *position = batch.header().next_offset();
        }
        Ok(seen)
    }
}
