//! Gathers records into one batch for each partition and sends the batches to the partitions'
//! leaders.

use std::collections::BTreeMap;
use std::time::Instant;

use broker::Partitioner;
use door_kafka::wire::messages::ProduceRequest;
use door_kafka::wire::messages::metadata_response::MetadataResponseTopic;
use door_kafka::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use store::batch::{BatchBuilder, Compression, NewRecord};

use crate::CliError;
use crate::client::{Client, ClientError};

pub(crate) use store::batch::NewRecord as Outgoing;

/// From version 13 on topics are named by id.
const BY_NAME: i16 = 12;

/// A batch is sent when its records have so many bytes, before compression. A broker accepts
/// batches of some 1 MB by default.
const BATCH_BYTES: usize = 512 * 1024;

/// Records of one batch at most; offsets within it have 32 bits, and one stays far from that.
const BATCH_RECORDS: u64 = 50_000;

/// What was acknowledged for one partition.
pub(crate) struct Sent {
    pub(crate) partition: i32,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    /// Offset of the first record; `None` without acknowledgement.
    pub(crate) base_offset: Option<i64>,
}

struct Building {
    batch: BatchBuilder,
    count: u64,
}

/// A finished batch on its way.
struct Ready {
    partition: i32,
    records: bytes::Bytes,
    count: u64,
    bytes: u64,
}

pub(crate) struct Sender {
    client: Client,
    name: String,
    topic: MetadataResponseTopic,
    building: BTreeMap<i32, Building>,
    compression: Compression,
    acks: i16,
}

impl Sender {
    /// Looks the topic up, and has it created if the broker does that.
    pub(crate) fn new(
        mut client: Client,
        name: &str,
        compression: Compression,
        acks: i16,
    ) -> Result<Self, CliError> {
        let topic = client.topic(name, true)?;
        let building = BTreeMap::new();
        Ok(Self { client, name: name.to_owned(), topic, building, compression, acks })
    }

    /// The topic's own partitioner; by hash where the broker has no such setting.
    pub(crate) fn partitioner(&mut self) -> Partitioner {
        let settings = crate::settings::of(&mut self.client, crate::settings::TOPIC, &self.name)
            .unwrap_or_default();
        let setting = settings.into_iter().find(|setting| setting.name == "entrepot.partitioner");
        let text = setting.and_then(|setting| setting.value).unwrap_or_default();
        Partitioner::parse(&text).unwrap_or_default()
    }

    /// How many partitions the topic has.
    pub(crate) fn partition_count(&self) -> u32 {
        u32::try_from(self.topic.partitions.len()).unwrap_or(u32::MAX)
    }

    /// Whether nothing waits to be sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.building.is_empty()
    }

    /// Adds a record to its partition's batch; whether that is large enough now.
    pub(crate) fn add(&mut self, partition: i32, record: &NewRecord<'_>) -> Result<bool, CliError> {
        if !self.topic.partitions.iter().any(|known| known.partition_index == partition) {
            return Err(CliError::new(format!(
                "topic {} has no partition {partition}: it has {}",
                self.name,
                self.topic.partitions.len()
            )));
        }
        let compression = self.compression;
        let building = self
            .building
            .entry(partition)
            .or_insert_with(|| Building { batch: BatchBuilder::new(compression), count: 0 });
        building.batch.push(record);
        building.count += 1;
        Ok(building.batch.len() >= BATCH_BYTES || building.count >= BATCH_RECORDS)
    }

    /// Sends everything that waits.
    pub(crate) fn flush(&mut self) -> Result<Vec<Sent>, CliError> {
        let mut waiting = Vec::new();
        for (partition, building) in std::mem::take(&mut self.building) {
            let bytes = building.batch.len() as u64;
            let batch = building
                .batch
                .build()
                .map_err(|error| CliError::new(format!("cannot build a batch: {error}")))?;
            let records = batch.bytes().clone();
            waiting.push(Ready { partition, records, count: building.count, bytes });
        }
        let deadline = Instant::now() + self.client.timeout();
        let mut sent = Vec::new();
        while !waiting.is_empty() {
            let (refused, error) = self.send(std::mem::take(&mut waiting), &mut sent)?;
            waiting = refused;
            if let Some(error) = error {
                // Refused as a whole, so sending it again cannot store it twice.
                if !error.is_retriable() || Instant::now() >= deadline {
                    return Err(error.into());
                }
                std::thread::sleep(std::time::Duration::from_millis(100));
                self.topic = self.client.topic(&self.name, false)?;
            }
        }
        Ok(sent)
    }

    /// Sends batches to their leaders; those that were refused come back with the reason.
    fn send(
        &mut self,
        batches: Vec<Ready>,
        sent: &mut Vec<Sent>,
    ) -> Result<(Vec<Ready>, Option<ClientError>), ClientError> {
        let mut by_leader: BTreeMap<i32, Vec<Ready>> = BTreeMap::new();
        for batch in batches {
            by_leader.entry(self.leader(batch.partition)).or_default().push(batch);
        }
        let (mut refused, mut reason) = (Vec::new(), None);
        for (leader, mut batches) in by_leader {
            let request = self.request(&batches);
            if self.acks == 0 {
                self.client.send_on(leader, &request, BY_NAME)?;
                sent.extend(batches.into_iter().map(|batch| Sent {
                    partition: batch.partition,
                    count: batch.count,
                    bytes: batch.bytes,
                    base_offset: None,
                }));
                continue;
            }
            let response = self.client.call_on(leader, &request, BY_NAME)?;
            for answer in response.responses.into_iter().flat_map(|topic| topic.partition_responses)
            {
                let place = batches.iter().position(|batch| batch.partition == answer.index);
                let Some(batch) = place.map(|place| batches.swap_remove(place)) else { continue };
                let subject = format!("partition {} of {}", answer.index, self.name);
                match ClientError::check(subject, answer.error_code, answer.error_message) {
                    Ok(()) => sent.push(Sent {
                        partition: batch.partition,
                        count: batch.count,
                        bytes: batch.bytes,
                        base_offset: Some(answer.base_offset),
                    }),
                    Err(error) => {
                        refused.push(batch);
                        // One that cannot be mended must not hide behind one that can.
                        if reason.as_ref().is_none_or(ClientError::is_retriable) {
                            reason = Some(error);
                        }
                    }
                }
            }
            if !batches.is_empty() {
                return Err(ClientError::Garbage {
                    address: format!("broker {leader}"),
                    request: "Produce",
                    why: "it says nothing about some partitions".to_owned(),
                });
            }
        }
        Ok((refused, reason))
    }

    fn leader(&self, partition: i32) -> i32 {
        let found = self.topic.partitions.iter().find(|p| p.partition_index == partition);
        found.map_or(-1, |partition| partition.leader_id)
    }

    fn request(&self, batches: &[Ready]) -> ProduceRequest {
        ProduceRequest {
            transactional_id: None,
            acks: self.acks,
            timeout_ms: self.client.timeout_ms(),
            topic_data: vec![TopicProduceData {
                name: self.name.clone(),
                partition_data: batches
                    .iter()
                    .map(|batch| PartitionProduceData {
                        index: batch.partition,
                        records: Some(batch.records.clone()),
                    })
                    .collect(),
                ..TopicProduceData::default()
            }],
        }
    }
}
