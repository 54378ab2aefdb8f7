//! Batches, and short ways to produce and fetch them.

use broker::store::batch::{Batch, BatchBuilder, Compression, NewRecord};
use bytes::{BufMut, Bytes, BytesMut};
use door_kafka::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use door_kafka::wire::messages::fetch_response::PartitionData;
use door_kafka::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use door_kafka::wire::messages::produce_response::PartitionProduceResponse;
use door_kafka::wire::messages::{FetchRequest, ProduceRequest};

use crate::support::Client;

/// Producer id, epoch, first sequence.
pub type Identity = (i64, i16, i32);

/// A batch of records with these values, the first at time 1000, each 10 ms later.
pub fn batch(compression: Compression, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for (place, value) in (0..).zip(values) {
        builder.push(&NewRecord {
            timestamp: 1000 + 10 * place,
            key: None,
            value: Some(value.as_bytes()),
            headers: &[],
        });
    }
    builder.build().unwrap().bytes().clone()
}

pub fn plain(values: &[&str]) -> Bytes {
    batch(Compression::None, values)
}

/// Changes a batch and mends its checksum.
pub fn changed(batch: &Bytes, change: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut bytes = BytesMut::from(batch.as_ref());
    change(&mut bytes);
    let crc = crc32c(&bytes[21..]);
    (&mut bytes[17..21]).put_u32(crc);
    bytes.freeze()
}

pub fn idempotent(values: &[&str], (id, epoch, sequence): Identity) -> Bytes {
    changed(&plain(values), |bytes| {
        (&mut bytes[43..51]).put_i64(id);
        (&mut bytes[51..53]).put_i16(epoch);
        (&mut bytes[53..57]).put_i32(sequence);
    })
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    };
    !bytes.iter().fold(!0, step)
}

pub fn produce_request(topic: &str, partition: i32, acks: i16, records: Bytes) -> ProduceRequest {
    let partition = PartitionProduceData { index: partition, records: Some(records) };
    ProduceRequest {
        acks,
        timeout_ms: 1000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![partition],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    }
}

/// Produces to partition 0 with version 9.
pub async fn produce(client: &mut Client, topic: &str, records: Bytes) -> PartitionProduceResponse {
    produce_to(client, topic, 0, records).await
}

pub async fn produce_to(
    client: &mut Client,
    topic: &str,
    partition: i32,
    records: Bytes,
) -> PartitionProduceResponse {
    let request = produce_request(topic, partition, -1, records);
    let mut response = client.call(&request, 9).await;
    response.responses.remove(0).partition_responses.remove(0)
}

pub fn fetch_request(topic: &str, partitions: &[(i32, i64)]) -> FetchRequest {
    let partition = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
        partition: *partition,
        fetch_offset: *fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: partitions.iter().map(partition).collect(),
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}

/// Fetches partition 0 with version 12.
pub async fn fetch(client: &mut Client, topic: &str, offset: i64) -> PartitionData {
    let mut response = client.call(&fetch_request(topic, &[(0, offset)]), 12).await;
    assert_eq!(response.error_code, 0);
    response.responses.remove(0).partitions.remove(0)
}

/// Offsets and values of all records of a response's partition.
pub fn values(partition: &PartitionData) -> Vec<(i64, String)> {
    let mut bytes = partition.records.clone().unwrap_or_default();
    let mut values = Vec::new();
    while !bytes.is_empty() {
        for record in Batch::take(&mut bytes).unwrap().records().unwrap() {
            let record = record.unwrap();
            let value = record.value.unwrap_or_default().to_vec();
            values.push((record.offset, String::from_utf8(value).unwrap()));
        }
    }
    values
}
