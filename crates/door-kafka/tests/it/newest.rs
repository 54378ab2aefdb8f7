//! What the newest versions of requests added.

use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use door_kafka::wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use door_kafka::wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use door_kafka::wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use door_kafka::wire::messages::*;

use crate::support::{Client, Fixture};
use crate::transactions::{end, init};

const NONE: [u8; 16] = [7; 16];

fn number(code: ErrorCode) -> i16 {
    code.number()
}

/// Topic ids, offsets and error codes of what group `g` committed; `None` for all of it.
async fn committed(client: &mut Client, topics: Option<&[[u8; 16]]>) -> Vec<([u8; 16], i64, i16)> {
    let topic = |id: &[u8; 16]| OffsetFetchRequestTopics {
        topic_id: *id,
        partition_indexes: vec![0],
        ..OffsetFetchRequestTopics::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: "g".into(),
        topics: topics.map(|topics| topics.iter().map(topic).collect()),
        ..OffsetFetchRequestGroup::default()
    };
    let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
    let response = client.call(&request, 10).await;
    let group = &response.groups[0];
    assert_eq!(group.error_code, 0);
    let one = |t: &offset_fetch_response::OffsetFetchResponseTopics| {
        let [partition] = &t.partitions[..] else { panic!("one partition") };
        (t.topic_id, partition.committed_offset, partition.error_code)
    };
    group.topics.iter().map(one).collect()
}

#[tokio::test]
async fn offsets_are_committed_and_fetched_by_the_ids_of_topics() {
    let fixture = Fixture::start().await;
    let (t, u) = (fixture.topic("t", 1).await, fixture.topic("u", 1).await);
    let mut client = fixture.client().await;
    let topic = |topic_id, committed_offset| OffsetCommitRequestTopic {
        topic_id,
        partitions: vec![OffsetCommitRequestPartition {
            committed_offset,
            ..OffsetCommitRequestPartition::default()
        }],
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        topics: vec![topic(t, 5), topic(NONE, 6), topic(u, 7)],
        ..OffsetCommitRequest::default()
    };
    let response = client.call(&request, 10).await;
    let codes: Vec<_> =
        response.topics.iter().map(|t| (t.topic_id, t.partitions[0].error_code)).collect();
    let unknown = number(ErrorCode::UnknownTopicId);
    assert_eq!(codes, [(t, 0), (NONE, unknown), (u, 0)]);
    assert_eq!(committed(&mut client, Some(&[t, NONE])).await, [(t, 5, 0), (NONE, -1, unknown)]);
    assert_eq!(committed(&mut client, None).await, [(t, 5, 0), (u, 7, 0)]);
}

#[tokio::test]
async fn a_transaction_commits_offsets_by_the_ids_of_topics() {
    let fixture = Fixture::start().await;
    let t = fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let (producer_id, producer_epoch) = init(&mut client, "tx").await;
    let topic = |topic_id| TxnOffsetCommitRequestTopic {
        topic_id,
        partitions: vec![TxnOffsetCommitRequestPartition {
            committed_offset: 5,
            ..TxnOffsetCommitRequestPartition::default()
        }],
        ..TxnOffsetCommitRequestTopic::default()
    };
    let request = TxnOffsetCommitRequest {
        transactional_id: "tx".into(),
        group_id: "g".into(),
        producer_id,
        producer_epoch,
        topics: vec![topic(t), topic(NONE)],
        ..TxnOffsetCommitRequest::default()
    };
    let response = client.call(&request, 6).await;
    let codes: Vec<_> =
        response.topics.iter().map(|t| (t.topic_id, t.partitions[0].error_code)).collect();
    assert_eq!(codes, [(t, 0), (NONE, number(ErrorCode::UnknownTopicId))]);
    assert_eq!(end(&mut client, "tx", (producer_id, producer_epoch), true, 5).await.error_code, 0);
    assert_eq!(committed(&mut client, None).await, [(t, 5, 0)]);
    // A member of a group that is not there.
    let stranger = TxnOffsetCommitRequest {
        group_id: "none".into(),
        generation_id: 3,
        member_id: "m".into(),
        producer_epoch: producer_epoch + 1,
        topics: vec![topic(t)],
        ..request
    };
    let code = client.call(&stranger, 6).await.topics[0].partitions[0].error_code;
    assert_eq!(code, number(ErrorCode::GroupIdNotFound));
    let mut named = stranger;
    named.topics[0].name = "t".into();
    let code = client.call(&named, 5).await.topics[0].partitions[0].error_code;
    assert_eq!(code, number(ErrorCode::IllegalGeneration));
}

#[tokio::test]
async fn a_client_that_meant_somebody_else_is_told_so() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let cluster = fixture.broker.metadata().cluster_id.clone();
    let meant = |cluster: Option<&str>, node_id| ApiVersionsRequest {
        cluster_id: cluster.map(ToOwned::to_owned),
        node_id,
        ..ApiVersionsRequest::default()
    };
    let other = number(ErrorCode::RebootstrapRequired);
    let half = number(ErrorCode::InvalidRequest);
    for (cluster, node, code) in [
        (None, -1, 0),
        (Some(cluster.as_str()), 0, 0),
        (Some(cluster.as_str()), 1, other),
        (Some("another"), 0, other),
        (Some(cluster.as_str()), -1, half),
        (None, 0, half),
    ] {
        let response = client.call(&meant(cluster, node), 5).await;
        assert_eq!(response.error_code, code, "{cluster:?} {node}");
        assert_eq!(response.api_keys.is_empty(), code != 0);
    }
}

#[tokio::test]
async fn why_a_group_is_not_deleted_is_said() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let request = DeleteGroupsRequest { groups_names: vec!["none".into()] };
    let response = client.call(&request, 3).await;
    assert_eq!(response.results[0].error_code, number(ErrorCode::GroupIdNotFound));
    assert!(response.results[0].error_message.is_some());
}

#[tokio::test]
async fn transactions_are_listed_by_pattern() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    for id in ["app-1", "app-2", "other"] {
        init(&mut client, id).await;
    }
    let matching = |pattern: &str| ListTransactionsRequest {
        transactional_id_pattern: Some(pattern.into()),
        ..ListTransactionsRequest::default()
    };
    for (pattern, found) in [("app-.", 2), ("app", 0), ("", 3), (".*", 3)] {
        let response = client.call(&matching(pattern), 2).await;
        assert_eq!((response.error_code, response.transaction_states.len()), (0, found));
    }
    let response = client.call(&matching("("), 2).await;
    assert_eq!(response.error_code, number(ErrorCode::InvalidRegularExpression));
}

#[tokio::test]
async fn a_log_folder_has_a_size_and_room() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let response = client.call(&DescribeLogDirsRequest { topics: None }, 5).await;
    let [folder] = &response.results[..] else { panic!("one folder") };
    assert!(folder.usable_bytes >= 0 && folder.total_bytes > 0 && !folder.is_cordoned);
}

#[tokio::test]
async fn nothing_lies_or_will_lie_in_remote_storage() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    for timestamp in [-5, -6] {
        let partition = ListOffsetsPartition { timestamp, ..ListOffsetsPartition::default() };
        let topic = ListOffsetsTopic { name: "t".into(), partitions: vec![partition] };
        let request = ListOffsetsRequest { topics: vec![topic], ..ListOffsetsRequest::default() };
        let response = client.call(&request, 11).await;
        let found = &response.topics[0].partitions[0];
        assert_eq!((found.error_code, found.offset, found.timestamp), (0, -1, -1));
    }
}
