//! Transactions by raw requests, in both protocols.

use bytes::{BufMut, Bytes};
use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use door_kafka::wire::messages::fetch_response::PartitionData;
use door_kafka::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use door_kafka::wire::messages::offset_fetch_request::OffsetFetchRequestTopic;
use door_kafka::wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use door_kafka::wire::messages::*;

use crate::records::{
    Identity, changed, fetch_request, idempotent, plain, produce, produce_request, values,
};
use crate::support::{Client, Fixture};

/// Old protocol: everything is said; new: producing is enough, and ends give new epochs.
const OLD: i16 = 9;
pub const NEW: i16 = 12;

fn transactional(records: &[&str], producer: Identity) -> Bytes {
    changed(&idempotent(records, producer), |bytes| (&mut bytes[21..23]).put_i16(1 << 4))
}

pub async fn init(client: &mut Client, id: &str) -> (i64, i16) {
    let request = InitProducerIdRequest {
        transactional_id: Some(id.to_owned()),
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    let response = client.call(&request, 4).await;
    assert_eq!(response.error_code, 0);
    (response.producer_id, response.producer_epoch)
}

async fn add(client: &mut Client, id: &str, (pid, epoch): (i64, i16)) -> i16 {
    let request = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: id.to_owned(),
        v3_and_below_producer_id: pid,
        v3_and_below_producer_epoch: epoch,
        v3_and_below_topics: vec![AddPartitionsToTxnTopic {
            name: "t".to_owned(),
            partitions: vec![0],
        }],
        ..AddPartitionsToTxnRequest::default()
    };
    let response = client.call(&request, 3).await;
    response.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
}

/// Produces a batch; its sequence number, its error code.
pub async fn write(
    client: &mut Client,
    id: &str,
    version: i16,
    value: &str,
    producer: Identity,
) -> i16 {
    let request = ProduceRequest {
        transactional_id: Some(id.to_owned()),
        ..produce_request("t", 0, -1, transactional(&[value], producer))
    };
    client.call(&request, version).await.responses[0].partition_responses[0].error_code
}

pub async fn end(
    client: &mut Client,
    id: &str,
    (pid, epoch): (i64, i16),
    commit: bool,
    version: i16,
) -> EndTxnResponse {
    let request = EndTxnRequest {
        transactional_id: id.to_owned(),
        producer_id: pid,
        producer_epoch: epoch,
        committed: commit,
    };
    client.call(&request, version).await
}

/// What a reader of committed records gets: the partition, and the values that it keeps.
async fn committed(client: &mut Client) -> (PartitionData, Vec<String>) {
    let request = FetchRequest { isolation_level: 1, ..fetch_request("t", &[(0, 0)]) };
    let mut response = client.call(&request, 12).await;
    let partition = response.responses.remove(0).partitions.remove(0);
    assert_eq!(partition.error_code, 0);
    let all = values(&partition).into_iter().map(|(_, value)| value).collect();
    (partition, all)
}

#[tokio::test]
async fn what_is_committed_becomes_visible_and_what_is_aborted_is_told() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let (pid, epoch) = init(&mut client, "tx").await;
    assert_eq!(
        write(&mut client, "tx", OLD, "early", (pid, epoch, 0)).await,
        ErrorCode::InvalidTxnState.number(),
        "the partition has not been added"
    );
    assert_eq!(add(&mut client, "tx", (pid, epoch)).await, 0);
    assert_eq!(write(&mut client, "tx", OLD, "a", (pid, epoch, 0)).await, 0);
    produce(&mut client, "t", plain(&["other"])).await;
    let (partition, _) = committed(&mut client).await;
    assert_eq!((partition.high_watermark, partition.last_stable_offset), (2, 0));
    assert!(values(&partition).is_empty(), "the transaction is open");
    let latest = |isolation_level| ListOffsetsRequest {
        isolation_level,
        topics: vec![ListOffsetsTopic {
            name: "t".to_owned(),
            partitions: vec![ListOffsetsPartition { timestamp: -1, ..Default::default() }],
        }],
        ..Default::default()
    };
    for (isolation, offset) in [(0, 2), (1, 0)] {
        let listed = client.call(&latest(isolation), 5).await;
        assert_eq!(listed.topics[0].partitions[0].offset, offset);
    }

    assert_eq!(end(&mut client, "tx", (pid, epoch), true, 3).await.error_code, 0);
    let (partition, seen) = committed(&mut client).await;
    assert_eq!(
        (partition.high_watermark, partition.last_stable_offset),
        (3, 3),
        "a marker is one offset"
    );
    assert_eq!(seen[..2], ["a", "other"]);
    assert_eq!(partition.aborted_transactions, Some(vec![]));

    assert_eq!(add(&mut client, "tx", (pid, epoch)).await, 0);
    assert_eq!(write(&mut client, "tx", OLD, "b", (pid, epoch, 1)).await, 0);
    assert_eq!(end(&mut client, "tx", (pid, epoch), false, 3).await.error_code, 0);
    let (partition, _) = committed(&mut client).await;
    let aborted = partition.aborted_transactions.unwrap();
    assert_eq!(
        aborted.iter().map(|a| (a.producer_id, a.first_offset)).collect::<Vec<_>>(),
        [(pid, 3)]
    );
    assert_eq!(partition.last_stable_offset, 5);

    // A new instance fences the old one, in the coordinator and in the log.
    let (same, newer) = init(&mut client, "tx").await;
    assert_eq!((same, newer), (pid, epoch + 1));
    assert_eq!(add(&mut client, "tx", (pid, epoch)).await, ErrorCode::ProducerFenced.number());
    assert_eq!(
        write(&mut client, "tx", OLD, "late", (pid, epoch, 2)).await,
        ErrorCode::InvalidProducerEpoch.number()
    );
}

#[tokio::test]
async fn the_newer_protocol_adds_by_producing_and_renews_by_ending() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let (pid, first) = init(&mut client, "tx").await;
    assert_eq!(write(&mut client, "tx", NEW, "a", (pid, first, 0)).await, 0);
    let ended = end(&mut client, "tx", (pid, first), true, 5).await;
    assert_eq!((ended.error_code, ended.producer_id, ended.producer_epoch), (0, pid, first + 1));
    let again = end(&mut client, "tx", (pid, first), true, 5).await;
    assert_eq!((again.error_code, again.producer_epoch), (0, first + 1), "the answer was lost");
    assert_eq!(
        write(&mut client, "tx", NEW, "late", (pid, first, 1)).await,
        ErrorCode::InvalidProducerEpoch.number()
    );
    assert_eq!(write(&mut client, "tx", NEW, "b", (pid, first + 1, 0)).await, 0);
    let ended = end(&mut client, "tx", (pid, first + 1), false, 5).await;
    assert_eq!((ended.error_code, ended.producer_epoch), (0, first + 2));
    let (partition, _) = committed(&mut client).await;
    assert_eq!(partition.aborted_transactions.unwrap().len(), 1);
    let nothing = end(&mut client, "tx", (pid, first + 2), true, 5).await;
    assert_eq!(nothing.error_code, ErrorCode::InvalidTxnState.number());
    let versions = client.call(&ApiVersionsRequest::default(), 4).await;
    assert!(
        versions
            .finalized_features
            .iter()
            .any(|f| f.name == "transaction.version" && f.max_version_level == 2)
    );
}

#[tokio::test]
async fn open_and_aborted_transactions_survive_a_restart() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let (gone, epoch) = init(&mut client, "gone").await;
    assert_eq!(write(&mut client, "gone", NEW, "x", (gone, epoch, 0)).await, 0);
    assert_eq!(end(&mut client, "gone", (gone, epoch), false, 5).await.error_code, 0);
    let (open, epoch) = init(&mut client, "open").await;
    assert_eq!(write(&mut client, "open", NEW, "a", (open, epoch, 0)).await, 0);

    let fixture = fixture.restart().await;
    let mut client = fixture.client().await;
    let (partition, _) = committed(&mut client).await;
    assert_eq!((partition.high_watermark, partition.last_stable_offset), (3, 2));
    assert_eq!(partition.aborted_transactions.unwrap()[0].producer_id, gone);
    let described =
        DescribeTransactionsRequest { transactional_ids: vec!["open".into(), "no".into()] };
    let described = client.call(&described, 0).await.transaction_states;
    assert_eq!(
        (described[0].transaction_state.as_str(), described[0].producer_id),
        ("Ongoing", open)
    );
    assert_eq!(described[1].error_code, ErrorCode::TransactionalIdNotFound.number());
    assert_eq!(write(&mut client, "open", NEW, "b", (open, epoch, 1)).await, 0);
    assert_eq!(end(&mut client, "open", (open, epoch), true, 5).await.error_code, 0);
    // What was there before the restart comes from disk, the rest from memory: two fetches.
    let (partition, seen) = committed(&mut client).await;
    assert_eq!(partition.last_stable_offset, 5);
    assert!(seen.iter().any(|value| value == "a"), "{seen:?}");
    let rest = FetchRequest { isolation_level: 1, ..fetch_request("t", &[(0, 3)]) };
    let rest = client.call(&rest, 12).await.responses.remove(0).partitions.remove(0);
    assert!(values(&rest).contains(&(3, "b".to_owned())), "{:?}", values(&rest));
}

#[tokio::test]
async fn offsets_are_committed_with_the_transaction_or_not_at_all() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let stored = OffsetFetchRequest {
        group_id: "g".to_owned(),
        topics: Some(vec![OffsetFetchRequestTopic {
            name: "t".to_owned(),
            partition_indexes: vec![0],
        }]),
        ..OffsetFetchRequest::default()
    };
    let (pid, epoch) = init(&mut client, "tx").await;
    for (offset, commit, expected) in [(5, false, -1), (7, true, 7)] {
        let announce = AddOffsetsToTxnRequest {
            transactional_id: "tx".to_owned(),
            producer_id: pid,
            producer_epoch: epoch,
            group_id: "g".to_owned(),
        };
        assert_eq!(client.call(&announce, 3).await.error_code, 0);
        let request = TxnOffsetCommitRequest {
            transactional_id: "tx".to_owned(),
            group_id: "g".to_owned(),
            producer_id: pid,
            producer_epoch: epoch,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: "t".to_owned(),
                partitions: vec![TxnOffsetCommitRequestPartition {
                    committed_offset: offset,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..TxnOffsetCommitRequest::default()
        };
        let added = client.call(&request, 3).await;
        assert_eq!(added.topics[0].partitions[0].error_code, 0);
        let pending = client.call(&stored, 5).await;
        assert_eq!(pending.topics[0].partitions[0].committed_offset, -1, "not before the end");
        assert_eq!(end(&mut client, "tx", (pid, epoch), commit, 3).await.error_code, 0);
        let after = client.call(&stored, 5).await;
        assert_eq!(after.topics[0].partitions[0].committed_offset, expected);
    }
    let fixture = fixture.restart().await;
    let mut client = fixture.client().await;
    let after = client.call(&stored, 5).await;
    assert_eq!(after.topics[0].partitions[0].committed_offset, 7, "and it is durable");
}

async fn producers(client: &mut Client) -> Vec<describe_producers_response::ProducerState> {
    let topic = |name: &str, partition_indexes| describe_producers_request::TopicRequest {
        name: name.to_owned(),
        partition_indexes,
    };
    let request = DescribeProducersRequest {
        topics: vec![topic("t", vec![0, 0, 5]), topic("none", vec![0])],
    };
    let mut response = client.call(&request, 0).await;
    let unknown = ErrorCode::UnknownTopicOrPartition.number();
    let codes = response.topics.iter().map(|topic| {
        topic.partitions.iter().map(|partition| partition.error_code).collect::<Vec<_>>()
    });
    assert_eq!(codes.collect::<Vec<_>>(), [vec![0, unknown], vec![unknown]], "each once");
    response.topics.remove(0).partitions.remove(0).active_producers
}

async fn write_marker(
    client: &mut Client,
    (producer_id, producer_epoch): (i64, i16),
    commit: bool,
    version: i8,
) -> Vec<i16> {
    let topic = |name: &str, partition_indexes| write_txn_markers_request::WritableTxnMarkerTopic {
        name: name.to_owned(),
        partition_indexes,
    };
    let marker = write_txn_markers_request::WritableTxnMarker {
        producer_id,
        producer_epoch,
        transaction_result: commit,
        topics: vec![topic("t", vec![0, 7]), topic("none", vec![0])],
        coordinator_epoch: 0,
        transaction_version: version,
    };
    let request = WriteTxnMarkersRequest { markers: vec![marker] };
    let response = client.call(&request, 2).await;
    assert_eq!(response.markers[0].producer_id, producer_id);
    let partitions = response.markers[0].topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.error_code).collect()
}

#[tokio::test]
async fn an_operator_sees_who_produces_and_ends_a_transaction_that_hangs() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    assert_eq!(producers(&mut client).await, []);
    produce(&mut client, "t", plain(&["plain"])).await;
    let (pid, epoch) = init(&mut client, "tx").await;
    assert_eq!(write(&mut client, "tx", NEW, "hangs", (pid, epoch, 0)).await, 0);
    assert_eq!(write(&mut client, "tx", NEW, "too", (pid, epoch, 1)).await, 0);
    let found = producers(&mut client).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].producer_id, found[0].producer_epoch), (pid, epoch.into()));
    assert_eq!((found[0].last_sequence, found[0].current_txn_start_offset), (1, 1));
    assert!(found[0].last_timestamp > 1_600_000_000_000);
    let (partition, _) = committed(&mut client).await;
    assert_eq!(partition.last_stable_offset, 1);

    let unknown = ErrorCode::UnknownTopicOrPartition.number();
    let fenced = ErrorCode::InvalidProducerEpoch.number();
    let invalid = ErrorCode::InvalidRequest.number();
    for (producer, version, code) in [
        ((pid, epoch - 1), 0, if epoch == 0 { invalid } else { fenced }),
        ((pid, epoch), 2, fenced),
        ((-1, epoch), 0, invalid),
    ] {
        let codes = write_marker(&mut client, producer, false, version).await;
        assert_eq!(codes, [code, unknown, unknown]);
    }
    let codes = write_marker(&mut client, (pid, epoch), false, 0).await;
    assert_eq!(codes, [0, unknown, unknown]);
    let found = producers(&mut client).await;
    assert_eq!(found[0].current_txn_start_offset, -1);
    let (partition, _) = committed(&mut client).await;
    assert_eq!((partition.high_watermark, partition.last_stable_offset), (4, 4));
    let aborted = partition.aborted_transactions.unwrap();
    assert_eq!((aborted[0].producer_id, aborted[0].first_offset), (pid, 1));
    // A newer epoch fences what the producer still sends with the old one, also after a restart.
    let codes = write_marker(&mut client, (pid, epoch + 1), true, 2).await;
    assert_eq!(codes, [0, unknown, unknown]);
    let fixture = fixture.restart().await;
    let mut client = fixture.client().await;
    assert_eq!(write(&mut client, "tx", NEW, "late", (pid, epoch, 2)).await, fenced);
    assert_eq!(producers(&mut client).await[0].producer_epoch, i32::from(epoch) + 1);
}
