//! ListOffsets and OffsetForLeaderEpoch.

use broker::store::batch::Compression;
use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use door_kafka::wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use door_kafka::wire::messages::{ListOffsetsRequest, OffsetForLeaderEpochRequest};

use crate::records::{batch, produce};
use crate::support::{Client, Fixture};

/// Error, offset, timestamp.
async fn find(client: &mut Client, topic: &str, partition: i32, time: i64) -> (i16, i64, i64) {
    let partition = ListOffsetsPartition {
        partition_index: partition,
        timestamp: time,
        ..ListOffsetsPartition::default()
    };
    let request = ListOffsetsRequest {
        topics: vec![ListOffsetsTopic { name: topic.into(), partitions: vec![partition] }],
        ..ListOffsetsRequest::default()
    };
    let mut response = client.call(&request, 9).await;
    let found = response.topics.remove(0).partitions.remove(0);
    (found.error_code, found.offset, found.timestamp)
}

#[tokio::test]
async fn offsets_are_found_by_place_and_by_time() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    assert_eq!(find(&mut client, "t", 0, -1).await, (0, 0, -1));
    assert_eq!(find(&mut client, "t", 0, -3).await, (0, -1, -1), "no record, no largest time");
    for codec in [Compression::Gzip, Compression::None] {
        // Times 1000, 1010, 1020 both times.
        produce(&mut client, "t", batch(codec, &["a", "b", "c"])).await;
    }
    for (time, expected) in [
        (-1, (0, 6, -1)),
        (-2, (0, 0, -1)),
        (-3, (0, 2, 1020)),
        (-4, (0, 0, -1)),
        (-5, (0, -1, -1)),
        (0, (0, 0, 1000)),
        (1000, (0, 0, 1000)),
        (1001, (0, 1, 1010)),
        (1011, (0, 2, 1020)),
        (1021, (0, -1, -1)),
    ] {
        assert_eq!(find(&mut client, "t", 0, time).await, expected, "{time}");
    }
    let unsupported = ErrorCode::UnsupportedVersion.number();
    assert_eq!(find(&mut client, "t", 0, -99).await.0, unsupported);
    let unknown = ErrorCode::UnknownTopicOrPartition.number();
    assert_eq!(find(&mut client, "t", 1, -1).await, (unknown, -1, -1));
    assert_eq!(find(&mut client, "none", 0, -1).await, (unknown, -1, -1));

    // The same from segments, after a restart.
    let fixture = fixture.restart().await;
    let mut client = fixture.client().await;
    assert_eq!(find(&mut client, "t", 0, 1011).await, (0, 2, 1020));
    assert_eq!(find(&mut client, "t", 0, -3).await, (0, 2, 1020));
}

#[tokio::test]
async fn an_epoch_ends_where_the_log_does() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    produce(&mut client, "t", batch(Compression::None, &["a", "b"])).await;
    for (partition, current, asked, expected) in [
        (0, -1, 0, (0, 0, 2)),
        (0, 0, 0, (0, 0, 2)),
        (0, 0, 5, (0, -1, -1)),
        (0, 4, 0, (ErrorCode::UnknownLeaderEpoch.number(), -1, -1)),
        (7, -1, 0, (ErrorCode::UnknownTopicOrPartition.number(), -1, -1)),
    ] {
        let partition = OffsetForLeaderPartition {
            partition,
            current_leader_epoch: current,
            leader_epoch: asked,
        };
        let request = OffsetForLeaderEpochRequest {
            topics: vec![OffsetForLeaderTopic { topic: "t".into(), partitions: vec![partition] }],
            ..OffsetForLeaderEpochRequest::default()
        };
        let response = client.call(&request, 4).await;
        let found = &response.topics[0].partitions[0];
        assert_eq!((found.error_code, found.leader_epoch, found.end_offset), expected);
    }
}
