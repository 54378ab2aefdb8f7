//! Consumer groups by raw requests.

use bytes::Bytes;
use door_kafka::wire::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use door_kafka::wire::messages::join_group_request::JoinGroupRequestProtocol;
use door_kafka::wire::messages::leave_group_request::MemberIdentity;
use door_kafka::wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use door_kafka::wire::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use door_kafka::wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use door_kafka::wire::messages::sync_group_request::SyncGroupRequestAssignment;
use door_kafka::wire::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest, SyncGroupResponse,
};
use door_kafka::wire::{ErrorCode, encode_versioned};

use crate::support::{Client, Fixture};

fn join(member: &str, instance: Option<&str>) -> JoinGroupRequest {
    let subscription =
        ConsumerProtocolSubscription { topics: vec!["t".into()], ..Default::default() };
    let metadata = encode_versioned(&subscription, 1).unwrap();
    JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 60_000,
        member_id: member.into(),
        group_instance_id: instance.map(ToOwned::to_owned),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata }],
        ..JoinGroupRequest::default()
    }
}

fn sync(joined: &JoinGroupResponse) -> SyncGroupRequest {
    let assign = |member: &str| SyncGroupRequestAssignment {
        member_id: member.into(),
        assignment: Bytes::from(format!("for {member}")),
    };
    SyncGroupRequest {
        group_id: "g".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: joined.members.iter().map(|m| assign(&m.member_id)).collect(),
        ..SyncGroupRequest::default()
    }
}

async fn heartbeat(client: &mut Client, member: &str, generation: i32) -> i16 {
    let request = HeartbeatRequest {
        group_id: "g".into(),
        generation_id: generation,
        member_id: member.into(),
        ..HeartbeatRequest::default()
    };
    client.call(&request, 4).await.error_code
}

/// Joins as a new member of a group that has no other, and brings the assignment.
async fn become_leader(client: &mut Client, instance: Option<&str>) -> JoinGroupResponse {
    let first = client.call(&join("", instance), 5).await;
    let joined = if first.error_code == ErrorCode::MemberIdRequired.number() {
        client.call(&join(&first.member_id, instance), 5).await
    } else {
        first
    };
    assert_eq!((joined.error_code, &joined.leader), (0, &joined.member_id));
    let synced = client.call(&sync(&joined), 5).await;
    assert_eq!(synced.error_code, 0);
    assert_eq!(synced.assignment, format!("for {}", joined.member_id));
    joined
}

async fn commit(client: &mut Client, member: (&str, i32), offset: i64, note: &str) -> i16 {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: offset,
        committed_metadata: Some(note.into()),
        ..OffsetCommitRequestPartition::default()
    };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        member_id: member.0.into(),
        generation_id_or_member_epoch: member.1,
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    client.call(&request, 8).await.topics[0].partitions[0].error_code
}

/// The offset of partition 0.
async fn committed_now(client: &mut Client) -> i64 {
    let topic = OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![0] };
    let request = OffsetFetchRequest {
        group_id: "g".into(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequest::default()
    };
    client.call(&request, 1).await.topics[0].partitions[0].committed_offset
}

/// Offset and note of partitions of `t`, by the oldest and the newest way to ask.
async fn committed(client: &mut Client, partitions: &[i32]) -> Vec<(i64, String)> {
    let topic =
        OffsetFetchRequestTopic { name: "t".into(), partition_indexes: partitions.to_vec() };
    let old = OffsetFetchRequest {
        group_id: "g".into(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequest::default()
    };
    let response = client.call(&old, 1).await;
    let found = response.topics.iter().flat_map(|t| &t.partitions);
    let old: Vec<_> = found.map(|p| (p.committed_offset, p.metadata.clone().unwrap())).collect();
    let topic = OffsetFetchRequestTopics {
        name: "t".into(),
        partition_indexes: partitions.to_vec(),
        ..OffsetFetchRequestTopics::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: "g".into(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    let new =
        OffsetFetchRequest { groups: vec![group.clone(), group], ..OffsetFetchRequest::default() };
    let response = client.call(&new, 9).await;
    assert_eq!(response.groups.len(), 1, "once each");
    let found = response.groups[0].topics.iter().flat_map(|t| &t.partitions);
    let new: Vec<_> = found.map(|p| (p.committed_offset, p.metadata.clone().unwrap())).collect();
    assert_eq!(old, new);
    new
}

#[tokio::test]
async fn a_member_by_the_oldest_versions() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let joined = client.call(&join("", None), 0).await;
    assert_eq!((joined.error_code, joined.generation_id), (0, 1), "no id is required yet");
    let synced = client.call(&sync(&joined), 0).await;
    assert_eq!(synced.error_code, 0);
    let leave = LeaveGroupRequest {
        group_id: "g".into(),
        member_id: joined.member_id.clone(),
        ..LeaveGroupRequest::default()
    };
    assert_eq!(client.call(&leave, 0).await.error_code, 0);
    let gone = client.call(&leave, 0).await.error_code;
    assert_eq!(gone, ErrorCode::UnknownMemberId.number());
}

#[tokio::test]
async fn a_second_member_makes_the_group_rebalance() {
    let fixture = Fixture::start().await;
    let (mut one, mut two) = (fixture.client().await, fixture.client().await);
    let first = become_leader(&mut one, None).await;
    assert_eq!(heartbeat(&mut one, &first.member_id, 1).await, 0);
    let illegal = ErrorCode::IllegalGeneration.number();
    assert_eq!(heartbeat(&mut one, &first.member_id, 7).await, illegal);
    assert_eq!(heartbeat(&mut one, "who", 1).await, ErrorCode::UnknownMemberId.number());

    let told = two.call(&join("", None), 9).await;
    assert_eq!(told.error_code, ErrorCode::MemberIdRequired.number());
    two.send(&join(&told.member_id, None), 9).await;
    let rebalancing = ErrorCode::RebalanceInProgress.number();
    while heartbeat(&mut one, &first.member_id, 1).await != rebalancing {
        tokio::task::yield_now().await;
    }
    let again = one.call(&join(&first.member_id, None), 9).await;
    let (_, second) = two.receive::<JoinGroupRequest>(9).await.unwrap();
    assert_eq!((again.generation_id, second.generation_id), (2, 2));
    assert_eq!((again.members.len(), second.members.len()), (2, 0), "the leader is told");

    // The other waits for what the leader brings.
    two.send(&sync(&second), 5).await;
    let assigned: SyncGroupResponse = one.call(&sync(&again), 5).await;
    assert_eq!(assigned.assignment, format!("for {}", first.member_id));
    let (_, assigned) = two.receive::<SyncGroupRequest>(5).await.unwrap();
    assert_eq!(assigned.assignment, format!("for {}", second.member_id));

    let leave = LeaveGroupRequest {
        group_id: "g".into(),
        members: vec![
            MemberIdentity { member_id: second.member_id.clone(), ..Default::default() },
            MemberIdentity { member_id: "who".into(), ..Default::default() },
        ],
        ..LeaveGroupRequest::default()
    };
    let left = two.call(&leave, 5).await;
    let codes: Vec<_> = left.members.iter().map(|m| m.error_code).collect();
    assert_eq!((left.error_code, codes), (0, vec![0, ErrorCode::UnknownMemberId.number()]));
    assert_eq!(heartbeat(&mut one, &first.member_id, 2).await, rebalancing);
}

#[tokio::test]
async fn a_static_member_comes_back_without_a_rebalance() {
    let fixture = Fixture::start().await;
    let (mut before, mut after) = (fixture.client().await, fixture.client().await);
    let joined = become_leader(&mut before, Some("one")).await;
    let back = after.call(&join("", Some("one")), 5).await;
    assert_eq!((back.error_code, back.generation_id), (0, joined.generation_id));
    assert_ne!(back.member_id, joined.member_id);
    let fenced = HeartbeatRequest {
        group_id: "g".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        group_instance_id: Some("one".into()),
    };
    let code = before.call(&fenced, 4).await.error_code;
    assert_eq!(code, ErrorCode::FencedInstanceId.number());
}

#[tokio::test]
async fn offsets_are_committed_with_their_notes() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 2).await;
    let mut client = fixture.client().await;
    assert_eq!(committed(&mut client, &[0, 1]).await, [(-1, String::new()), (-1, String::new())]);
    // By nobody's member, as tools do.
    assert_eq!(commit(&mut client, ("", -1), 3, "tool").await, 0);
    assert_eq!(committed(&mut client, &[0]).await, [(3, "tool".to_owned())]);
    let joined = become_leader(&mut client, None).await;
    let member = (joined.member_id.as_str(), joined.generation_id);
    assert_eq!(commit(&mut client, member, 5, "note").await, 0);
    assert_eq!(commit(&mut client, member, 6, &"x".repeat(5000)).await, 12);
    let (unknown, illegal) = (ErrorCode::UnknownMemberId, ErrorCode::IllegalGeneration);
    assert_eq!(commit(&mut client, ("who", 1), 7, "").await, unknown.number());
    assert_eq!(commit(&mut client, (member.0, 9), 7, "").await, illegal.number());
    assert_eq!(commit(&mut client, ("", -1), 7, "").await, unknown.number());
    assert_eq!(committed(&mut client, &[0, 9]).await, [(5, "note".into()), (-1, String::new())]);
}

#[tokio::test]
async fn groups_and_offsets_survive_a_restart() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let joined = become_leader(&mut client, None).await;
    let member = (joined.member_id.as_str(), joined.generation_id);
    assert_eq!(commit(&mut client, member, 5, "note").await, 0);
    let fixture = fixture.restart().await;
    let mut client = fixture.client().await;
    assert_eq!(heartbeat(&mut client, member.0, member.1).await, 0, "it is a member still");
    assert_eq!(committed(&mut client, &[0]).await, [(5, "note".to_owned())]);
    assert_eq!(commit(&mut client, member, 6, "").await, 0);
}

#[tokio::test]
async fn offsets_go_with_their_topic() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    assert_eq!(commit(&mut client, ("", -1), 3, "").await, 0);
    fixture.broker.delete_topic("t", None).await.unwrap();
    fixture.topic("t", 1).await;
    // The deletion is durable a moment later: perhaps between the two questions of `committed`.
    while committed_now(&mut client).await != -1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(committed(&mut client, &[0]).await[0].0, -1);
}

#[tokio::test]
async fn groups_are_described_listed_and_deleted() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let joined = become_leader(&mut client, None).await;
    let member = (joined.member_id.as_str(), joined.generation_id);
    assert_eq!(commit(&mut client, member, 5, "").await, 0);

    let ask = |group: &str| DescribeGroupsRequest {
        groups: vec![group.into(), group.into()],
        ..DescribeGroupsRequest::default()
    };
    let response = client.call(&ask("g"), 5).await;
    let [group] = &response.groups[..] else { panic!("once each") };
    assert_eq!((group.group_state.as_str(), group.members.len()), ("Stable", 1));
    assert_eq!(group.members[0].client_host, "/127.0.0.1");
    let old = client.call(&ask("none"), 5).await;
    assert_eq!((old.groups[0].error_code, old.groups[0].group_state.as_str()), (0, "Dead"));
    let new = client.call(&ask("none"), 6).await;
    assert_eq!(new.groups[0].error_code, ErrorCode::GroupIdNotFound.number());
    for (states, expected) in [(vec![], 1), (vec!["stable".to_owned()], 1), (vec!["x".into()], 0)] {
        let request = ListGroupsRequest { states_filter: states, ..Default::default() };
        assert_eq!(client.call(&request, 5).await.groups.len(), expected);
    }

    let delete = DeleteGroupsRequest { groups_names: vec!["g".into(), "none".into()] };
    let codes = |response: door_kafka::wire::messages::DeleteGroupsResponse| {
        response.results.iter().map(|r| r.error_code).collect::<Vec<_>>()
    };
    let (busy, none) = (ErrorCode::NonEmptyGroup.number(), ErrorCode::GroupIdNotFound.number());
    assert_eq!(codes(client.call(&delete, 2).await), [busy, none]);
    let partition = OffsetDeleteRequestPartition { partition_index: 0 };
    let offsets = OffsetDeleteRequest {
        group_id: "g".into(),
        topics: vec![OffsetDeleteRequestTopic { name: "t".into(), partitions: vec![partition] }],
    };
    let response = client.call(&offsets, 0).await;
    let code = response.topics[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::GroupSubscribedToTopic.number());

    let leave = LeaveGroupRequest {
        group_id: "g".into(),
        member_id: joined.member_id.clone(),
        ..LeaveGroupRequest::default()
    };
    assert_eq!(client.call(&leave, 2).await.error_code, 0);
    let response = client.call(&offsets, 0).await;
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
    assert_eq!(committed(&mut client, &[0]).await, [(-1, String::new())]);
    assert_eq!(codes(client.call(&delete, 2).await), [0, none]);
}
