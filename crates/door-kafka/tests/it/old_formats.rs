//! Requests of the age before record batches: message sets in and out, and the old versions of
//! what goes with them.

use base::limits::BATCH_BYTES_MAX;
use broker::store::batch::old::{DownConverter, Format, Message, Messages, NO_TIMESTAMP};
use broker::store::batch::{Batch, BatchBuilder, Compression, NewRecord};
use broker::store::{Append, Store};
use bytes::{BufMut, Bytes};
use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::fetch_response::PartitionData;
use door_kafka::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use door_kafka::wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use door_kafka::wire::messages::offset_fetch_request::OffsetFetchRequestTopic;
use door_kafka::wire::messages::produce_response::PartitionProduceResponse;
use door_kafka::wire::messages::{
    FetchRequest, ListOffsetsRequest, OffsetCommitRequest, OffsetFetchRequest,
};

use crate::records::{
    batch, changed, fetch as fetch_batches, fetch_request, plain, produce, produce_request,
    produce_to, values,
};
use crate::support::{Client, Fixture, HANG};

const CODECS: [Compression; 4] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4];

/// A message set as a producer makes it: its offsets begin with 0.
fn set(format: Format, codec: Compression, values: &[&str]) -> Bytes {
    let mut converter = DownConverter::new(format, 0, usize::MAX);
    converter.push(&Batch::parse(batch(codec, values)).unwrap()).unwrap();
    converter.finish()
}

async fn produce_set(client: &mut Client, version: i16, set: Bytes) -> PartitionProduceResponse {
    let mut response = client.call(&produce_request("t", 0, -1, set), version).await;
    response.responses.remove(0).partition_responses.remove(0)
}

/// Fetches partition 0 of `t` and reads the message set.
async fn fetch(client: &mut Client, version: i16, offset: i64) -> (PartitionData, Vec<Message>) {
    fetch_by(client, version, fetch_request("t", &[(0, offset)])).await
}

async fn fetch_by(
    client: &mut Client,
    version: i16,
    request: FetchRequest,
) -> (PartitionData, Vec<Message>) {
    let mut response = client.call(&request, version).await;
    let partition = response.responses.remove(0).partitions.remove(0);
    let messages = messages(&partition);
    (partition, messages)
}

fn messages(partition: &PartitionData) -> Vec<Message> {
    Messages::of(partition.records.clone().unwrap()).map(Result::unwrap).collect()
}

fn offsets(messages: &[Message]) -> Vec<i64> {
    messages.iter().map(|message| message.offset).collect()
}

#[tokio::test]
async fn what_old_producers_send_is_stored_as_one_batch() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let mut next = 0;
    for (version, codec) in (0..3).flat_map(|version| CODECS.map(|codec| (version, codec))) {
        // As clients did it: timestamps came with version 2.
        let format = if version < 2 { Format::V0 } else { Format::V1 };
        let stored = produce_set(&mut client, version, set(format, codec, &["a", "b", "c"])).await;
        assert_eq!((stored.error_code, stored.base_offset), (0, next));
        let partition = fetch_batches(&mut client, "t", next).await;
        let expected: Vec<_> =
            (next..).zip(["a", "b", "c"]).map(|(n, v)| (n, v.to_owned())).collect();
        assert_eq!(values(&partition), expected);
        let batch = Batch::parse(partition.records.unwrap()).unwrap();
        assert_eq!(batch.header().compression(), Ok(codec));
        let latest = if format == Format::V0 { NO_TIMESTAMP } else { 1020 };
        assert_eq!(batch.header().max_timestamp, latest);
        next += 3;
    }
}

#[tokio::test]
async fn what_is_no_message_set_is_refused_with_an_error_of_that_age() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let good = set(Format::V1, Compression::None, &["a"]);
    let mut damaged = good.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let refused = [
        Bytes::new(),
        damaged.into(),
        good.slice(..good.len() - 1),
        plain(&["a batch"]),
        Bytes::from_static(b"rubbish"),
    ];
    for set in refused {
        let refused = produce_set(&mut client, 2, set).await;
        assert_eq!(refused.error_code, ErrorCode::CorruptMessage.number());
        assert_eq!(refused.base_offset, -1);
    }
    let large = set(Format::V1, Compression::None, &[&"x".repeat(BATCH_BYTES_MAX)]);
    // The second is not even looked into.
    for large in [large, vec![0; 5 * BATCH_BYTES_MAX + 1].into()] {
        let refused = produce_set(&mut client, 2, large).await;
        assert_eq!(refused.error_code, ErrorCode::MessageTooLarge.number());
    }
    assert_eq!(produce_set(&mut client, 2, good).await.base_offset, 0, "nothing was stored");
}

#[tokio::test]
async fn a_producer_that_wants_no_answer_gets_none() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let set = set(Format::V0, Compression::Gzip, &["a"]);
    client.send(&produce_request("t", 0, 0, set), 0).await;
    assert_eq!(offsets(&fetch(&mut client, 0, 0).await.1), [0]);
}

#[tokio::test]
async fn old_consumers_read_message_sets() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    for codec in CODECS {
        produce(&mut client, "t", batch(codec, &["a", "b", "c"])).await;
    }
    for version in 0..4 {
        for from in 0..12 {
            let (partition, messages) = fetch(&mut client, version, from).await;
            assert_eq!((partition.error_code, partition.high_watermark), (0, 12));
            assert_eq!(offsets(&messages), (from..12).collect::<Vec<_>>(), "version {version}");
            let time = if version < 2 { NO_TIMESTAMP } else { 1000 + 10 * (from % 3) };
            assert_eq!(messages[0].timestamp, time);
        }
        let (partition, messages) = fetch(&mut client, version, 12).await;
        assert_eq!((partition.error_code, messages.len()), (0, 0));
        let (partition, _) = fetch(&mut client, version, 13).await;
        assert_eq!(partition.error_code, ErrorCode::OffsetOutOfRange.number());
    }
}

#[tokio::test]
async fn every_partition_gets_what_it_was_asked_for_and_at_least_a_message() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 2).await;
    let mut client = fixture.client().await;
    let text = "x".repeat(10_000);
    for partition in 0..2 {
        produce_to(&mut client, "t", partition, plain(&[text.as_str(); 5])).await;
    }
    let mut request = fetch_request("t", &[(0, 1), (1, 1)]);
    for (max_bytes, expected) in [(100, vec![1]), (25_000, vec![1, 2]), (1 << 20, vec![1, 2, 3, 4])]
    {
        for partition in &mut request.topics[0].partitions {
            partition.partition_max_bytes = max_bytes;
        }
        let response = client.call(&request, 2).await;
        for partition in &response.responses[0].partitions {
            assert_eq!(offsets(&messages(partition)), expected);
        }
    }
    // From version 3 on there is a limit for all of them together.
    request.max_bytes = 15_000;
    let response = client.call(&request, 3).await;
    let partitions = &response.responses[0].partitions;
    assert_eq!(offsets(&messages(&partitions[0])), [1]);
    assert_eq!(partitions.iter().map(|p| messages(p).len()).sum::<usize>(), 1);
}

#[tokio::test]
async fn zstd_is_refused_where_it_begins() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    produce(&mut client, "t", plain(&["a", "b"])).await;
    produce(&mut client, "t", batch(Compression::Zstd, &["c"])).await;
    assert_eq!(offsets(&fetch(&mut client, 2, 0).await.1), [0, 1]);
    let (partition, _) = fetch(&mut client, 2, 2).await;
    assert_eq!(partition.error_code, ErrorCode::UnsupportedCompressionType.number());
}

#[tokio::test]
async fn a_batch_that_cannot_be_unpacked_is_an_error() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    // Compressed batches are stored unopened.
    let rubbish = changed(&plain(&["a"]), |bytes| (&mut bytes[21..23]).put_i16(1));
    assert_eq!(produce(&mut client, "t", rubbish).await.error_code, 0);
    let (partition, _) = fetch(&mut client, 2, 0).await;
    assert_eq!(partition.error_code, ErrorCode::CorruptMessage.number());
}

/// Appends what only the broker itself may: a marker.
async fn append_marker(fixture: &Fixture, store: &Store) {
    let marker = changed(&plain(&["a"]), |bytes| (&mut bytes[21..23]).put_i16(1 << 5));
    let log = fixture.broker.topic("t").unwrap().log(0).unwrap().clone();
    let append = Append { log, batches: vec![Batch::parse(marker).unwrap()], epoch: 0 };
    store.append(vec![append]).await.unwrap().await.remove(0).unwrap();
}

#[tokio::test]
async fn markers_are_skipped_and_the_wait_goes_on_behind_them() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let mut producer = fixture.client().await;
    for _ in 0..3 {
        append_marker(&fixture, &fixture.store).await;
    }
    assert!(fetch(&mut client, 2, 0).await.1.is_empty());
    let mut waiting = fetch_request("t", &[(0, 0)]);
    // Less than a marker, so that each is read by itself.
    waiting.topics[0].partitions[0].partition_max_bytes = 1;
    waiting.max_wait_ms = i32::try_from(2 * HANG.as_millis()).unwrap();
    let (read, _) = tokio::join!(
        fetch_by(&mut client, 2, waiting),
        produce(&mut producer, "t", plain(&["after"])),
    );
    assert_eq!(offsets(&read.1), [3]);
}

#[tokio::test]
async fn headers_are_dropped() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let mut builder = BatchBuilder::new(Compression::None);
    let headers: &[(&[u8], Option<&[u8]>)] = &[(b"h", Some(b"1"))];
    builder.push(&NewRecord { timestamp: 7, key: Some(b""), value: None, headers });
    produce(&mut client, "t", builder.build().unwrap().bytes().clone()).await;
    let (_, messages) = fetch(&mut client, 3, 0).await;
    let only = Message {
        offset: 0,
        timestamp: 7,
        append_time: false,
        key: Some(Bytes::new()),
        value: None,
    };
    assert_eq!(messages, [only]);
}

/// The offsets that version 0 of ListOffsets tells.
async fn list(client: &mut Client, time: i64, most: i32) -> Vec<i64> {
    let partition = ListOffsetsPartition {
        timestamp: time,
        max_num_offsets: most,
        ..ListOffsetsPartition::default()
    };
    let request = ListOffsetsRequest {
        topics: vec![ListOffsetsTopic { name: "t".into(), partitions: vec![partition] }],
        ..ListOffsetsRequest::default()
    };
    let mut response = client.call(&request, 0).await;
    let found = response.topics.remove(0).partitions.remove(0);
    assert_eq!(found.error_code, 0);
    found.old_style_offsets
}

#[tokio::test]
async fn offsets_are_listed_the_latest_first() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    assert_eq!(list(&mut client, -1, 10).await, [0]);
    // Without times any of them may be younger than what is asked for.
    produce_set(&mut client, 0, set(Format::V0, Compression::None, &["x"])).await;
    assert_eq!(list(&mut client, 500, 10).await, [0]);
    produce(&mut client, "t", plain(&["a", "b", "c"])).await;
    assert_eq!(list(&mut client, -1, 10).await, [4, 0]);
    assert_eq!(list(&mut client, -1, 1).await, [4]);
    assert!(list(&mut client, -1, 0).await.is_empty());
    assert!(list(&mut client, -1, -1).await.is_empty());
    assert_eq!(list(&mut client, -2, 10).await, [0]);
    assert_eq!(list(&mut client, 1005, 1).await, [2]);
    assert_eq!(list(&mut client, 1021, 1).await, [4], "all are older");
}

#[tokio::test]
async fn offsets_are_committed_and_fetched_in_the_oldest_versions() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let asked = OffsetFetchRequest {
        group_id: "g".into(),
        topics: Some(vec![OffsetFetchRequestTopic {
            name: "t".into(),
            partition_indexes: vec![0],
        }]),
        ..OffsetFetchRequest::default()
    };
    let unknown = ErrorCode::UnknownTopicOrPartition.number();
    for (version, code) in [(0, unknown), (1, 0)] {
        let found = client.call(&asked, version).await.topics.remove(0).partitions.remove(0);
        assert_eq!((found.committed_offset, found.error_code), (-1, code), "version {version}");
    }
    for (version, offset) in [(0, 5), (1, 6)] {
        let partition = OffsetCommitRequestPartition {
            committed_offset: offset,
            commit_timestamp: 1,
            committed_metadata: Some("note".into()),
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        };
        let commit = OffsetCommitRequest {
            group_id: "g".into(),
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        let committed = client.call(&commit, version).await;
        assert_eq!(committed.topics[0].partitions[0].error_code, 0);
        let found = client.call(&asked, 0).await.topics.remove(0).partitions.remove(0);
        assert_eq!((found.committed_offset, found.error_code), (offset, 0));
        assert_eq!(found.metadata.as_deref(), Some("note"));
    }
}
