//! Fetching records from the leaders of a topic's partitions.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::FetchRequest;
use door_kafka::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use door_kafka::wire::messages::fetch_response::PartitionData;
use store::batch::{Batch, BatchError, Record};

use super::Positions;
use crate::CliError;
use crate::client::{Client, ClientError, EARLIEST, LATEST};

/// From version 13 on topics are named by id.
const BY_NAME: i16 = 12;
/// How long a broker may wait for records, in milliseconds.
const WAIT_MS: i32 = 500;
/// The same when several brokers are asked one after the other.
const WAIT_EACH_MS: i32 = 50;
const FETCH_BYTES: i32 = 16 * 1024 * 1024;
const PARTITION_BYTES: i32 = 1024 * 1024;

/// Records of one partition.
pub(crate) struct Fetched {
    pub(crate) partition: i32,
    pub(crate) records: Vec<Record>,
    /// The offset to go on from, which may lie beyond the last record.
    pub(crate) next: i64,
}

/// Knows the leaders of a topic's partitions.
pub(crate) struct Fetcher {
    name: String,
    leaders: BTreeMap<i32, i32>,
    /// When refusals that may pass began.
    refused_since: Option<Instant>,
}

impl Fetcher {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), leaders: BTreeMap::new(), refused_since: None }
    }

    /// What comes after the positions; nothing if nothing came for a moment. A position that the
    /// partition no longer holds is moved to one that it does.
    pub(crate) fn fetch(
        &mut self,
        client: &mut Client,
        positions: &mut Positions,
    ) -> Result<Vec<Fetched>, CliError> {
        if positions.is_empty() {
            // A member of a group with more members than partitions only keeps in touch.
            std::thread::sleep(Duration::from_millis(500));
            return Ok(Vec::new());
        }
        if self.leaders.is_empty() {
            let topic = client.topic(&self.name, false)?;
            self.leaders =
                topic.partitions.iter().map(|p| (p.partition_index, p.leader_id)).collect();
        }
        let mut by_leader: BTreeMap<i32, Vec<FetchPartition>> = BTreeMap::new();
        for (partition, offset) in positions.iter() {
            let leader = self.leaders.get(partition).copied().unwrap_or(-1);
            by_leader.entry(leader).or_default().push(FetchPartition {
                partition: *partition,
                fetch_offset: *offset,
                partition_max_bytes: PARTITION_BYTES,
                ..FetchPartition::default()
            });
        }
        let wait = if by_leader.len() > 1 { WAIT_EACH_MS } else { WAIT_MS };
        let mut fetched = Vec::new();
        for (leader, partitions) in by_leader {
            let request = self.request(partitions, wait);
            let response = client.call_on(leader, &request, BY_NAME)?;
            ClientError::check(format!("broker {leader}"), response.error_code, None)?;
            for data in response.responses.into_iter().flat_map(|topic| topic.partitions) {
                fetched.extend(self.take(client, positions, data)?);
            }
        }
        Ok(fetched)
    }

    fn request(&self, partitions: Vec<FetchPartition>, wait: i32) -> FetchRequest {
        FetchRequest {
            replica_id: -1,
            max_wait_ms: wait,
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            topics: vec![FetchTopic {
                topic: self.name.clone(),
                partitions,
                ..FetchTopic::default()
            }],
            ..FetchRequest::default()
        }
    }

    fn take(
        &mut self,
        client: &mut Client,
        positions: &mut Positions,
        data: PartitionData,
    ) -> Result<Option<Fetched>, CliError> {
        let partition = data.partition_index;
        let subject = format!("partition {partition} of {}", self.name);
        let Some(position) = positions.get(&partition).copied() else { return Ok(None) };
        match ClientError::check(&subject, data.error_code, None) {
            Ok(()) => self.refused_since = None,
            Err(error) if error.is(ErrorCode::OffsetOutOfRange) => {
                let moved = self.nearest(client, partition, position)?;
                eprintln!("{subject} no longer holds offset {position}; going on at {moved}");
                positions.insert(partition, moved);
                return Ok(None);
            }
            Err(error) => {
                let since = *self.refused_since.get_or_insert_with(Instant::now);
                if !error.is_retriable() || since.elapsed() > client.timeout() {
                    return Err(error.into());
                }
                // Its leader has moved or is starting: ask where it is, a moment later.
                std::thread::sleep(Duration::from_millis(100));
                self.leaders.clear();
                return Ok(None);
            }
        }
        let (records, next) = records(data.records.unwrap_or_default(), position)
            .map_err(|error| CliError::new(format!("{subject} at offset {position}: {error}")))?;
        Ok(Some(Fetched { partition, records, next }))
    }

    /// The offset nearest to `position` that the partition holds.
    fn nearest(
        &self,
        client: &mut Client,
        partition: i32,
        position: i64,
    ) -> Result<i64, ClientError> {
        let mut topic = client.topic(&self.name, false)?;
        topic.partitions.retain(|known| known.partition_index == partition);
        let of = |offsets: BTreeMap<i32, i64>| offsets.get(&partition).copied().unwrap_or_default();
        let earliest = of(client.offsets(&topic, EARLIEST)?);
        let latest = of(client.offsets(&topic, LATEST)?);
        Ok(position.clamp(earliest, latest.max(earliest)))
    }
}

/// The records from `position` on, and the offset after all that was looked at. A response may end
/// in a part of a batch, and begins with the whole batch that holds the position.
fn records(mut bytes: Bytes, position: i64) -> Result<(Vec<Record>, i64), BatchError> {
    let mut all = Vec::new();
    let mut next = position;
    while !bytes.is_empty() {
        let batch = match Batch::take(&mut bytes) {
            Ok(batch) => batch,
            // Only the end may be cut off; a first batch that is cut off would be asked for again
            // for ever.
            Err(BatchError::Truncated) if next > position => break,
            Err(error) => return Err(error),
        };
        if !batch.header().is_control() {
            for record in batch.records()? {
                let record = record?;
                if record.offset >= position {
                    all.push(record);
                }
            }
        }
        next = next.max(batch.header().next_offset());
    }
    Ok((all, next))
}
