//! What is asked of clusters, answered truly for one broker.

use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use door_kafka::wire::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use door_kafka::wire::messages::describe_quorum_request::{PartitionData, TopicData};
use door_kafka::wire::messages::elect_leaders_request::TopicPartitions;
use door_kafka::wire::messages::update_features_request::FeatureUpdateKey;
use door_kafka::wire::messages::*;

use crate::support::Fixture;

fn number(code: ErrorCode) -> i16 {
    code.number()
}

#[tokio::test]
async fn the_quorum_is_one_voter_that_leads() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let topic = |name: &str| TopicData {
        topic_name: name.into(),
        partitions: vec![PartitionData { partition_index: 0 }],
    };
    let request = DescribeQuorumRequest { topics: vec![topic("__cluster_metadata"), topic("t")] };
    let response = client.call(&request, 2).await;
    let [quorum, other] = &response.topics[..] else { panic!("two topics") };
    let quorum = &quorum.partitions[0];
    assert_eq!((quorum.error_code, quorum.leader_id), (0, 0));
    let voters: Vec<_> =
        quorum.current_voters.iter().map(|v| (v.replica_id, v.log_end_offset)).collect();
    assert_eq!(voters, [(0, quorum.high_watermark)]);
    assert!(quorum.high_watermark > 0 && quorum.observers.is_empty());
    assert_eq!(other.partitions[0].error_code, number(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(response.nodes[0].listeners[0].name, "PLAINTEXT");
}

#[tokio::test]
async fn no_partition_needs_another_leader() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let named = vec![TopicPartitions { topic: "t".into(), partitions: vec![0, 7] }];
    let request =
        ElectLeadersRequest { topic_partitions: Some(named), ..ElectLeadersRequest::default() };
    let response = client.call(&request, 2).await;
    let results = &response.replica_election_results[0].partition_result;
    let codes: Vec<_> = results.iter().map(|result| result.error_code).collect();
    let unknown = number(ErrorCode::UnknownTopicOrPartition);
    assert_eq!(codes, [number(ErrorCode::ElectionNotNeeded), unknown]);
    let all = ElectLeadersRequest { topic_partitions: None, ..request.clone() };
    let response = client.call(&all, 2).await;
    assert_eq!((response.error_code, response.replica_election_results.len()), (0, 0));
    let strange = ElectLeadersRequest { election_type: 9, ..request };
    assert_eq!(client.call(&strange, 2).await.error_code, number(ErrorCode::InvalidRequest));
}

#[tokio::test]
async fn a_partition_stays_where_it_is() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let partition = |partition_index, replicas: Option<&[i32]>| ReassignablePartition {
        partition_index,
        replicas: replicas.map(<[i32]>::to_vec),
    };
    let asked: [(i32, Option<&[i32]>, i16); 7] = [
        (0, Some(&[0]), 0),
        (0, Some(&[1]), number(ErrorCode::InvalidReplicaAssignment)),
        (0, Some(&[0, 1]), number(ErrorCode::InvalidReplicaAssignment)),
        (0, Some(&[0, 0]), number(ErrorCode::InvalidReplicaAssignment)),
        (0, Some(&[]), number(ErrorCode::InvalidReplicaAssignment)),
        (0, None, number(ErrorCode::NoReassignmentInProgress)),
        (5, Some(&[0]), number(ErrorCode::UnknownTopicOrPartition)),
    ];
    let partitions = asked.iter().map(|(index, replicas, _)| partition(*index, *replicas));
    let topic = ReassignableTopic { name: "t".into(), partitions: partitions.collect() };
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![topic],
        ..AlterPartitionReassignmentsRequest::default()
    };
    let response = client.call(&request, 1).await;
    let codes = response.responses[0].partitions.iter().map(|p| p.error_code);
    assert!(codes.eq(asked.iter().map(|(.., code)| *code)));
    let listed = client.call(&ListPartitionReassignmentsRequest::default(), 0).await;
    assert_eq!((listed.error_code, listed.topics.len()), (0, 0));
}

#[tokio::test]
async fn there_is_one_log_folder() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let to = |path: &str, partition| AlterReplicaLogDir {
        path: path.into(),
        topics: vec![AlterReplicaLogDirTopic { name: "t".into(), partitions: vec![partition] }],
    };
    let own = fixture.dir.path().display().to_string();
    let request =
        AlterReplicaLogDirsRequest { dirs: vec![to(&own, 0), to(&own, 3), to("/none", 0)] };
    let response = client.call(&request, 2).await;
    let [topic] = &response.results[..] else { panic!("one topic") };
    let codes: Vec<_> = topic.partitions.iter().map(|p| p.error_code).collect();
    let (absent, none) = (ErrorCode::ReplicaNotAvailable, ErrorCode::LogDirNotFound);
    assert_eq!(codes, [0, number(absent), number(none)]);
}

#[tokio::test]
async fn features_have_their_levels() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let update = |feature: &str, max_version_level| FeatureUpdateKey {
        feature: feature.into(),
        max_version_level,
        ..FeatureUpdateKey::default()
    };
    let wrong = number(ErrorCode::InvalidUpdateVersion);
    for (feature, level, code) in [
        ("transaction.version", 2, 0),
        ("transaction.version", 1, wrong),
        ("group.version", 9, wrong),
        ("metadata.version", 1, wrong),
    ] {
        let feature_updates = vec![update(feature, level)];
        let request = UpdateFeaturesRequest { feature_updates, ..UpdateFeaturesRequest::default() };
        for (version, named) in [(1, code == 0), (2, false)] {
            let response = client.call(&request, version).await;
            assert_eq!((response.error_code, response.error_message.is_some()), (code, code != 0));
            assert_eq!(response.results.len(), usize::from(named), "version {version}");
        }
    }
    // One that is wrong is an error for all.
    let feature_updates = vec![update("transaction.version", 2), update("group.version", 9)];
    let request = UpdateFeaturesRequest { feature_updates, ..UpdateFeaturesRequest::default() };
    let response = client.call(&request, 1).await;
    assert_eq!((response.error_code, response.results.len()), (wrong, 0));
}

#[tokio::test]
async fn delegation_tokens_are_not_enabled() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let off = number(ErrorCode::DelegationTokenAuthDisabled);
    let created = client.call(&CreateDelegationTokenRequest::default(), 3).await;
    assert_eq!((created.error_code, created.principal_name.as_str()), (off, "ANONYMOUS"));
    assert_eq!(client.call(&RenewDelegationTokenRequest::default(), 2).await.error_code, off);
    assert_eq!(client.call(&ExpireDelegationTokenRequest::default(), 2).await.error_code, off);
    assert_eq!(client.call(&DescribeDelegationTokenRequest::default(), 3).await.error_code, off);
}
