//! Share groups, request by request (KIP-932).

use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch as Said,
};
use door_kafka::wire::messages::share_fetch_request::{
    AcknowledgementBatch, FetchPartition, FetchTopic, ForgottenTopic,
};
use door_kafka::wire::messages::share_fetch_response::PartitionData;
use door_kafka::wire::messages::{AlterShareGroupOffsetsRequest, DeleteShareGroupOffsetsRequest};
use door_kafka::wire::messages::{
    DeleteGroupsRequest, DescribeShareGroupOffsetsRequest, JoinGroupRequest, ListGroupsRequest,
    ShareAcknowledgeRequest, ShareFetchRequest, ShareFetchResponse, ShareGroupDescribeRequest,
    ShareGroupHeartbeatRequest, alter_share_group_offsets_request as alter,
    delete_share_group_offsets_request as forget, describe_share_group_offsets_request as describe,
    join_group_request::JoinGroupRequestProtocol,
};

use crate::records::{plain, produce};
use crate::support::{Client, Fixture, HANG, eventually};

const ACCEPT: i8 = 1;
const RELEASE: i8 = 2;
const REJECT: i8 = 3;
const RENEW: i8 = 4;
/// Longer than a test may take.
const LONG: i32 = 300_000;

/// A topic with five records, a group that begins with the first, and a member of it.
async fn start() -> (Fixture, Client, [u8; 16]) {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("t", 1).await;
    let set = |all: &mut std::collections::BTreeMap<String, String>| {
        all.insert("share.auto.offset.reset".into(), "earliest".into());
    };
    fixture.broker.set_group_config("g", set).await.unwrap();
    let mut client = fixture.client().await;
    produce(&mut client, "t", plain(&["a", "b", "c", "d", "e"])).await;
    join(&mut client, "m").await;
    (fixture, client, topic)
}

fn heartbeat(member: &str, epoch: i32) -> ShareGroupHeartbeatRequest {
    ShareGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: member.into(),
        member_epoch: epoch,
        subscribed_topic_names: (epoch == 0).then(|| vec!["t".into()]),
        ..ShareGroupHeartbeatRequest::default()
    }
}

async fn join(client: &mut Client, member: &str) {
    let response = client.call(&heartbeat(member, 0), 1).await;
    assert_eq!(response.error_code, 0, "{response:?}");
    let assignment = response.assignment.expect("partitions to look at");
    assert_eq!(assignment.topic_partitions[0].partitions, [0]);
}

/// Takes from partition 0; `said`: first and last offset, and what becomes of them.
fn take(topic: [u8; 16], member: &str, epoch: i32, said: &[(i64, i64, i8)]) -> ShareFetchRequest {
    let batch = |(first, last, of): &(i64, i64, i8)| AcknowledgementBatch {
        first_offset: *first,
        last_offset: *last,
        acknowledge_types: vec![*of],
    };
    let partition = FetchPartition {
        partition_index: 0,
        acknowledgement_batches: said.iter().map(batch).collect(),
    };
    ShareFetchRequest {
        group_id: Some("g".into()),
        member_id: Some(member.into()),
        share_session_epoch: epoch,
        max_bytes: 1 << 20,
        max_records: 500,
        topics: vec![FetchTopic { topic_id: topic, partitions: vec![partition] }],
        ..ShareFetchRequest::default()
    }
}

fn say(topic: [u8; 16], member: &str, epoch: i32, said: (i64, i64, i8)) -> ShareAcknowledgeRequest {
    let batch = Said { first_offset: said.0, last_offset: said.1, acknowledge_types: vec![said.2] };
    let partition =
        AcknowledgePartition { partition_index: 0, acknowledgement_batches: vec![batch] };
    ShareAcknowledgeRequest {
        group_id: Some("g".into()),
        member_id: Some(member.into()),
        share_session_epoch: epoch,
        topics: vec![AcknowledgeTopic { topic_id: topic, partitions: vec![partition] }],
        ..ShareAcknowledgeRequest::default()
    }
}

fn partition(response: &ShareFetchResponse) -> &PartitionData {
    assert_eq!(response.error_code, 0, "{response:?}");
    &response.responses[0].partitions[0]
}

/// What was acquired: first and last offset, deliveries.
fn acquired(response: &ShareFetchResponse) -> Vec<(i64, i64, i16)> {
    let of = response.responses.iter().flat_map(|topic| &topic.partitions);
    of.flat_map(|partition| &partition.acquired_records)
        .map(|run| (run.first_offset, run.last_offset, run.delivery_count))
        .collect()
}

#[tokio::test]
async fn records_are_taken_acknowledged_and_taken_again() {
    let (_fixture, mut client, topic) = start().await;
    let first = client.call(&take(topic, "m", 0, &[]), 2).await;
    assert_eq!(acquired(&first), [(0, 4, 1)]);
    assert_eq!(first.acquisition_lock_timeout_ms, 30_000);
    assert!(partition(&first).records.as_ref().unwrap().len() > 61);
    let said = [(0, 1, ACCEPT), (2, 2, RELEASE), (3, 3, REJECT), (4, 4, RENEW)];
    let second = client.call(&take(topic, "m", 1, &said), 2).await;
    assert_eq!(acquired(&second), [(2, 2, 2)]);
    assert_eq!(partition(&second).acknowledge_error_code, 0);
    let third = client.call(&say(topic, "m", 2, (3, 3, ACCEPT)), 2).await;
    let code = third.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::InvalidRecordState.number(), "it was rejected");
    let fourth = client.call(&say(topic, "m", 3, (2, 2, ACCEPT)), 2).await;
    assert_eq!(fourth.responses[0].partitions[0].error_code, 0);
    let nothing = client.call(&take(topic, "m", 4, &[]), 2).await;
    assert_eq!((nothing.error_code, nothing.responses.len()), (0, 0), "no news");
}

#[tokio::test]
async fn a_record_limit_is_kept_to_the_record() {
    let (_fixture, mut client, topic) = start().await;
    let request =
        ShareFetchRequest { max_records: 2, share_acquire_mode: 1, ..take(topic, "m", 0, &[]) };
    assert_eq!(acquired(&client.call(&request, 2).await), [(0, 1, 1)]);
    let request = ShareFetchRequest { share_session_epoch: 1, share_acquire_mode: 0, ..request };
    assert_eq!(acquired(&client.call(&request, 2).await), [(2, 4, 1)], "the batch to its end");
}

#[tokio::test]
async fn who_wants_many_bytes_waits_for_them_and_takes_what_there_is_when_the_time_is_over() {
    let (fixture, mut client, topic) = start().await;
    let wait =
        ShareFetchRequest { min_bytes: 20_000, max_wait_ms: LONG, ..take(topic, "m", 0, &[]) };
    client.send(&wait, 2).await;
    let mut other = fixture.client().await;
    let large = "x".repeat(20_000);
    produce(&mut other, "t", plain(&[&large])).await;
    let (_, woken) = client.receive::<ShareFetchRequest>(2).await.unwrap();
    assert_eq!(acquired(&woken), [(0, 5, 1)], "five were too few");
    produce(&mut other, "t", plain(&["f"])).await;
    let impatient =
        ShareFetchRequest { share_session_epoch: 1, max_wait_ms: 1, topics: vec![], ..wait };
    assert_eq!(acquired(&client.call(&impatient, 2).await), [(6, 6, 1)]);
}

#[tokio::test]
async fn who_waits_for_bytes_is_not_kept_waiting_by_a_full_window() {
    let (fixture, mut client, topic) = start().await;
    let set = |all: &mut std::collections::BTreeMap<String, String>| {
        all.insert("share.partition.max.record.locks".into(), "100".into());
    };
    fixture.broker.set_group_config("g", set).await.unwrap();
    produce(&mut client, "t", plain(&["x"; 100])).await;
    let all =
        ShareFetchRequest { min_bytes: 1 << 20, max_wait_ms: LONG, ..take(topic, "m", 0, &[]) };
    assert_eq!(acquired(&client.call(&all, 2).await), [(0, 99, 1)], "more never fits in");
}

#[tokio::test]
async fn what_is_acquired_is_told_in_pieces_of_the_size_that_the_client_asks_for() {
    let (_fixture, mut client, topic) = start().await;
    for _ in 0..3 {
        produce(&mut client, "t", plain(&["x", "y"])).await;
    }
    let request = ShareFetchRequest { batch_size: 3, ..take(topic, "m", 0, &[]) };
    let response = client.call(&request, 2).await;
    assert_eq!(acquired(&response), [(0, 4, 1), (5, 8, 1), (9, 10, 1)]);
}

#[tokio::test]
async fn who_waits_is_woken_by_records_and_by_those_that_come_back() {
    let (fixture, mut client, topic) = start().await;
    client.call(&take(topic, "m", 0, &[]), 2).await;
    let mut other = fixture.client().await;
    join(&mut other, "n").await;
    let wait = ShareFetchRequest { max_wait_ms: LONG, ..take(topic, "n", 0, &[]) };
    other.send(&wait, 2).await;
    client.call(&say(topic, "m", 1, (1, 1, RELEASE)), 1).await;
    let (_, woken) = other.receive::<ShareFetchRequest>(2).await.unwrap();
    assert_eq!(acquired(&woken), [(1, 1, 2)]);
    let wait = ShareFetchRequest { share_session_epoch: 1, topics: vec![], ..wait };
    other.send(&wait, 2).await;
    produce(&mut client, "t", plain(&["f"])).await;
    let (_, woken) = other.receive::<ShareFetchRequest>(2).await.unwrap();
    assert_eq!(acquired(&woken), [(5, 5, 1)]);
    // With its connection its session ends, and what it holds comes back.
    drop(client);
    let wait = ShareFetchRequest { share_session_epoch: 2, ..wait };
    assert_eq!(acquired(&other.call(&wait, 2).await), [(0, 0, 2), (2, 4, 2)]);
}

#[tokio::test]
async fn sessions_are_checked_epoch_by_epoch() {
    let (_fixture, mut client, topic) = start().await;
    let code = async |client: &mut Client, epoch, said: &[(i64, i64, i8)]| {
        let code = client.call(&take(topic, "m", epoch, said), 2).await.error_code;
        ErrorCode::from_number(code).unwrap()
    };
    assert_eq!(code(&mut client, 1, &[]).await, ErrorCode::ShareSessionNotFound);
    assert_eq!(code(&mut client, -1, &[]).await, ErrorCode::ShareSessionNotFound);
    assert_eq!(code(&mut client, 0, &[(0, 0, ACCEPT)]).await, ErrorCode::InvalidRequest);
    assert_eq!(code(&mut client, 0, &[]).await, ErrorCode::None);
    assert_eq!(code(&mut client, 2, &[]).await, ErrorCode::InvalidShareSessionEpoch);
    let first = client.call(&say(topic, "m", 0, (0, 0, ACCEPT)), 2).await.error_code;
    assert_eq!(first, ErrorCode::InvalidShareSessionEpoch.number());
    // The end: what it says counts, and the rest is as if it had not been delivered.
    let last = client.call(&take(topic, "m", -1, &[(0, 0, ACCEPT)]), 2).await;
    assert_eq!((partition(&last).acknowledge_error_code, acquired(&last)), (0, vec![]));
    let again = client.call(&take(topic, "m", 0, &[]), 2).await;
    assert_eq!(acquired(&again), [(1, 4, 1)]);
}

#[tokio::test]
async fn what_is_forgotten_is_not_taken_from_and_bad_requests_are_refused() {
    let (_fixture, mut client, topic) = start().await;
    let forgotten = ForgottenTopic { topic_id: topic, partitions: vec![0] };
    client.call(&ShareFetchRequest { max_records: 0, ..take(topic, "m", 0, &[]) }, 2).await;
    let request = ShareFetchRequest {
        topics: vec![],
        forgotten_topics_data: vec![forgotten],
        ..take(topic, "m", 1, &[])
    };
    assert_eq!(acquired(&client.call(&request, 2).await), []);
    let code = async |client: &mut Client, request: ShareFetchRequest| {
        let code = client.call(&request, 2).await.error_code;
        ErrorCode::from_number(code).unwrap()
    };
    let ok = || take(topic, "m", 0, &[]);
    let no_group = ShareFetchRequest { group_id: None, ..ok() };
    assert_eq!(code(&mut client, no_group).await, ErrorCode::InvalidGroupId);
    let no_member = ShareFetchRequest { member_id: None, ..ok() };
    assert_eq!(code(&mut client, no_member).await, ErrorCode::InvalidRequest);
    let other = ShareFetchRequest { group_id: Some("other".into()), ..ok() };
    assert_eq!(code(&mut client, other).await, ErrorCode::GroupIdNotFound);
    let unknown = ShareFetchRequest { max_wait_ms: LONG, ..take([7; 16], "m", 0, &[]) };
    let answer = client.call(&unknown, 2).await;
    assert_eq!(partition(&answer).error_code, ErrorCode::UnknownTopicId.number(), "at once");
    client.call(&ok(), 2).await;
    let renews = client.call(&take(topic, "m", 1, &[(0, 0, RENEW)]), 1).await;
    let code = partition(&renews).acknowledge_error_code;
    assert_eq!(code, ErrorCode::InvalidRequest.number(), "not before version 2");
}

#[tokio::test]
async fn what_was_accepted_stays_so_over_a_restart() {
    let (fixture, mut client, topic) = start().await;
    client.call(&take(topic, "m", 0, &[]), 2).await;
    client.call(&say(topic, "m", 1, (1, 2, ACCEPT)), 2).await;
    drop(client);
    let fixture = fixture.restart().await;
    let mut client = fixture.client().await;
    let old = client.call(&take(topic, "m", 2, &[]), 2).await.error_code;
    assert_eq!(old, ErrorCode::ShareSessionNotFound.number());
    let gone = client.call(&heartbeat("m", 1), 1).await.error_code;
    assert_eq!(gone, ErrorCode::UnknownMemberId.number());
    join(&mut client, "m").await;
    let again = client.call(&take(topic, "m", 0, &[]), 2).await;
    assert_eq!(acquired(&again), [(0, 0, 2), (3, 4, 2)]);
}

#[tokio::test]
async fn groups_are_listed_described_and_of_one_kind() {
    let (fixture, mut client, _) = start().await;
    let listed = client.call(&ListGroupsRequest::default(), 5).await.groups;
    let listed: Vec<_> = listed
        .iter()
        .map(|group| {
            (group.group_id.as_str(), group.group_state.as_str(), group.group_type.as_str())
        })
        .collect();
    assert_eq!(listed, [("g", "Stable", "share")]);
    let ask = ShareGroupDescribeRequest {
        group_ids: vec!["g".into(), "none".into()],
        include_authorized_operations: false,
    };
    let described = client.call(&ask, 1).await.groups;
    assert_eq!((described[0].assignor_name.as_str(), described[0].group_epoch), ("simple", 1));
    let member = &described[0].members[0];
    assert_eq!((member.member_id.as_str(), member.subscribed_topic_names.len()), ("m", 1));
    assert_eq!(member.assignment.topic_partitions[0].topic_name, "t");
    assert_eq!(described[1].error_code, ErrorCode::GroupIdNotFound.number());
    let join = JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), ..Default::default() }],
        ..JoinGroupRequest::default()
    };
    let refused = client.call(&join, 5).await.error_code;
    assert_eq!(refused, ErrorCode::InconsistentGroupProtocol.number());
    let delete = DeleteGroupsRequest { groups_names: vec!["g".into()] };
    let refused = client.call(&delete, 2).await.results[0].error_code;
    assert_eq!(refused, ErrorCode::NonEmptyGroup.number());
    assert_eq!(client.call(&heartbeat("m", -1), 1).await.member_epoch, -1);
    assert_eq!(client.call(&delete, 2).await.results[0].error_code, 0);
    assert!(client.call(&ListGroupsRequest::default(), 5).await.groups.is_empty());
    drop(client);
    eventually(|| fixture.connections() == 0).await;
    let fixture = tokio::time::timeout(HANG, fixture.restart()).await.unwrap();
    let mut client = fixture.client().await;
    assert_eq!(client.call(&ListGroupsRequest::default(), 5).await.groups, [], "for good");
}

#[tokio::test]
async fn offsets_are_described_altered_and_deleted() {
    let (_fixture, mut client, topic) = start().await;
    client.call(&take(topic, "m", 0, &[]), 2).await;
    client.call(&say(topic, "m", 1, (0, 1, ACCEPT)), 2).await;
    client.call(&say(topic, "m", 2, (3, 3, ACCEPT)), 2).await;
    let ask = DescribeShareGroupOffsetsRequest {
        groups: vec![describe::DescribeShareGroupOffsetsRequestGroup {
            group_id: "g".into(),
            topics: None,
        }],
    };
    let standing = async |client: &mut Client| {
        let group = client.call(&ask, 1).await.groups.remove(0);
        assert_eq!(group.error_code, 0);
        let of = group.topics.iter().flat_map(|topic| &topic.partitions);
        of.map(|one| (one.start_offset, one.lag)).collect::<Vec<_>>()
    };
    assert_eq!(standing(&mut client).await, [(2, 2)]);
    let partition = |start_offset| alter::AlterShareGroupOffsetsRequestPartition {
        partition_index: 0,
        start_offset,
    };
    let change = |start_offset| AlterShareGroupOffsetsRequest {
        group_id: "g".into(),
        topics: vec![alter::AlterShareGroupOffsetsRequestTopic {
            topic_name: "t".into(),
            partitions: vec![partition(start_offset)],
        }],
    };
    let busy = client.call(&change(1), 0).await.error_code;
    assert_eq!(busy, ErrorCode::NonEmptyGroup.number());
    client.call(&heartbeat("m", -1), 1).await;
    let changed = client.call(&change(1), 0).await;
    assert_eq!((changed.error_code, changed.responses[0].partitions[0].error_code), (0, 0));
    assert_eq!(standing(&mut client).await, [(1, 4)]);
    let forget = DeleteShareGroupOffsetsRequest {
        group_id: "g".into(),
        topics: ["t", "none"]
            .map(|name| forget::DeleteShareGroupOffsetsRequestTopic { topic_name: name.into() })
            .into(),
    };
    let forgotten = client.call(&forget, 0).await;
    let codes: Vec<_> = forgotten.responses.iter().map(|one| one.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::UnknownTopicOrPartition.number()]);
    assert_eq!(standing(&mut client).await, []);
}

#[tokio::test]
async fn where_a_group_begins_may_be_said_before_anybody_joins_it() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    produce(&mut client, "t", plain(&["a", "b", "c", "d", "e"])).await;
    let change = |name: &str| AlterShareGroupOffsetsRequest {
        group_id: "g".into(),
        topics: vec![alter::AlterShareGroupOffsetsRequestTopic {
            topic_name: name.into(),
            partitions: vec![alter::AlterShareGroupOffsetsRequestPartition {
                partition_index: 0,
                start_offset: 3,
            }],
        }],
    };
    let unknown = client.call(&change("none"), 0).await;
    let code = unknown.responses[0].partitions[0].error_code;
    assert_eq!((unknown.error_code, code), (0, ErrorCode::UnknownTopicOrPartition.number()));
    assert_eq!(client.call(&ListGroupsRequest::default(), 5).await.groups, [], "none is made");
    let changed = client.call(&change("t"), 0).await;
    assert_eq!((changed.error_code, changed.responses[0].partitions[0].error_code), (0, 0));
    let nameless = AlterShareGroupOffsetsRequest { group_id: String::new(), ..change("t") };
    let refused = client.call(&nameless, 0).await.error_code;
    assert_eq!(refused, ErrorCode::InvalidGroupId.number());
    drop(client);
    eventually(|| fixture.connections() == 0).await;
    let fixture = tokio::time::timeout(HANG, fixture.restart()).await.unwrap();
    let mut client = fixture.client().await;
    let listed = client.call(&ListGroupsRequest::default(), 5).await.groups;
    let states: Vec<_> = listed.iter().map(|group| group.group_state.as_str()).collect();
    assert_eq!(states, ["Empty"]);
    join(&mut client, "m").await;
    assert_eq!(acquired(&client.call(&take(topic, "m", 0, &[]), 2).await), [(3, 4, 1)]);
}
