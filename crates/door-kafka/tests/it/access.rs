//! Access rules: who may send which request, and what everybody else is told. Without a login every
//! client here is `User:ANONYMOUS`.

use std::collections::BTreeSet;

use base::Principal;
use broker::access::{CLUSTER, Effect, Operation, Pattern, ResourceKind, Rule};
use bytes::{BufMut, Bytes};
use door_kafka::wire::ApiKey;
use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use door_kafka::wire::messages::alter_client_quotas_request::EntryData;
use door_kafka::wire::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use door_kafka::wire::messages::alter_user_scram_credentials_request::ScramCredentialDeletion;
use door_kafka::wire::messages::create_acls_request::AclCreation;
use door_kafka::wire::messages::create_partitions_request::CreatePartitionsTopic;
use door_kafka::wire::messages::create_topics_request::CreatableTopic;
use door_kafka::wire::messages::delete_acls_request::DeleteAclsFilter;
use door_kafka::wire::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use door_kafka::wire::messages::delete_topics_request::DeleteTopicState;
use door_kafka::wire::messages::describe_configs_request::DescribeConfigsResource;
use door_kafka::wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
use door_kafka::wire::messages::describe_topic_partitions_request::TopicRequest;
use door_kafka::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use door_kafka::wire::messages::metadata_request::MetadataRequestTopic;
use door_kafka::wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use door_kafka::wire::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use door_kafka::wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use door_kafka::wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use door_kafka::wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use door_kafka::wire::messages::*;

use crate::records::{
    batch, changed, fetch, fetch_request, idempotent, plain, produce, produce_request, values,
};
use crate::support::{Client, Fixture};
use broker::store::batch::Compression;

/// The codes that say "you may not".
const DENIED: [ErrorCode; 4] = [
    ErrorCode::TopicAuthorizationFailed,
    ErrorCode::GroupAuthorizationFailed,
    ErrorCode::ClusterAuthorizationFailed,
    ErrorCode::TransactionalIdAuthorizationFailed,
];

async fn enforcing() -> Fixture {
    Fixture::with(|options| options.access.enforce = true).await
}

fn rule(kind: ResourceKind, pattern: Pattern, operation: Operation, effect: Effect) -> Rule {
    let principal = Principal::anonymous();
    Rule { kind, pattern, principal, host: None, operation, effect }
}

fn named(name: &str) -> Pattern {
    Pattern::Literal(name.into())
}

/// Lets everybody here do this with what is called so.
async fn allow(fixture: &Fixture, kind: ResourceKind, name: &str, operation: Operation) {
    let rule = rule(kind, named(name), operation, Effect::Allow);
    assert_eq!(fixture.broker.add_rules(vec![rule]).await, [Ok(())]);
}

async fn allow_everything(fixture: &Fixture) {
    let kinds = [ResourceKind::Topic, ResourceKind::Group, ResourceKind::Transaction];
    let rules = kinds
        .into_iter()
        .map(|kind| (kind, Pattern::Any))
        .chain([(ResourceKind::Cluster, named(CLUSTER))])
        .map(|(kind, pattern)| rule(kind, pattern, Operation::Everything, Effect::Allow));
    let outcomes = fixture.broker.add_rules(rules.collect()).await;
    assert!(outcomes.iter().all(Result::is_ok));
}

/// How a request is answered that nobody may send who has no rule.
enum Answer {
    /// With these error codes.
    Codes(Vec<i16>),
    /// Without what they may not see: so many things.
    Shown(usize),
    /// As to everybody.
    Open,
}

use Answer::{Codes, Open, Shown};

fn one<T>(mut many: Vec<T>) -> T {
    assert_eq!(many.len(), 1);
    many.remove(0)
}

/// Asks for `t`, `g`, `x` and the cluster by a request of this kind. Every kind that is offered must
/// stand here: a request that everybody may send by oversight would be seen.
async fn ask(client: &mut Client, api: ApiKey, version: i16) -> Answer {
    match api {
        ApiKey::ApiVersions
        | ApiKey::SaslHandshake
        | ApiKey::SaslAuthenticate
        // Whoever connects may say how it fares (KIP-714).
        | ApiKey::GetTelemetrySubscriptions
        | ApiKey::PushTelemetry
        | ApiKey::CreateDelegationToken
        | ApiKey::RenewDelegationToken
        | ApiKey::ExpireDelegationToken
        | ApiKey::DescribeDelegationToken => Open,
        ApiKey::DescribeQuorum
        | ApiKey::ElectLeaders
        | ApiKey::AlterPartitionReassignments
        | ApiKey::ListPartitionReassignments
        | ApiKey::UpdateFeatures
        | ApiKey::ListConfigResources
        | ApiKey::AlterReplicaLogDirs => ask_single(client, api, version).await,
        ApiKey::ShareGroupHeartbeat
        | ApiKey::ShareGroupDescribe
        | ApiKey::ShareFetch
        | ApiKey::ShareAcknowledge
        | ApiKey::DescribeShareGroupOffsets
        | ApiKey::AlterShareGroupOffsets
        | ApiKey::DeleteShareGroupOffsets => ask_share(client, api, version).await,
        ApiKey::Produce | ApiKey::Fetch => ask_records(client, api, version).await,
        ApiKey::ListOffsets
        | ApiKey::Metadata
        | ApiKey::CreateTopics
        | ApiKey::DeleteTopics
        | ApiKey::DeleteRecords
        | ApiKey::CreatePartitions
        | ApiKey::OffsetForLeaderEpoch
        | ApiKey::DescribeTopicPartitions => ask_topics(client, api, version).await,
        ApiKey::OffsetCommit
        | ApiKey::OffsetFetch
        | ApiKey::OffsetDelete
        | ApiKey::JoinGroup
        | ApiKey::SyncGroup
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::DescribeGroups
        | ApiKey::ListGroups
        | ApiKey::DeleteGroups
        | ApiKey::ConsumerGroupHeartbeat
        | ApiKey::ConsumerGroupDescribe => ask_groups(client, api, version).await,
        ApiKey::InitProducerId
        | ApiKey::AddPartitionsToTxn
        | ApiKey::AddOffsetsToTxn
        | ApiKey::EndTxn
        | ApiKey::TxnOffsetCommit
        | ApiKey::FindCoordinator
        | ApiKey::WriteTxnMarkers
        | ApiKey::DescribeProducers
        | ApiKey::DescribeTransactions
        | ApiKey::ListTransactions => ask_transactions(client, api, version).await,
        ApiKey::DescribeConfigs | ApiKey::AlterConfigs | ApiKey::IncrementalAlterConfigs => {
            ask_configs(client, api, version).await
        }
        ApiKey::DescribeCluster
        | ApiKey::DescribeLogDirs
        | ApiKey::DescribeAcls
        | ApiKey::CreateAcls
        | ApiKey::DeleteAcls
        | ApiKey::DescribeClientQuotas
        | ApiKey::AlterClientQuotas
        | ApiKey::DescribeUserScramCredentials
        | ApiKey::AlterUserScramCredentials => ask_cluster(client, api, version).await,
    }
}

async fn ask_records(client: &mut Client, api: ApiKey, _: i16) -> Answer {
    Codes(vec![match api {
        ApiKey::Produce => produce(client, "t", plain(&["a"])).await.error_code,
        _ => fetch(client, "t", 0).await.error_code,
    }])
}

async fn ask_topics(client: &mut Client, api: ApiKey, version: i16) -> Answer {
    Codes(vec![match api {
        ApiKey::ListOffsets => {
            let partition = ListOffsetsPartition { timestamp: -1, ..Default::default() };
            let topic = ListOffsetsTopic { name: "t".into(), partitions: vec![partition] };
            let request = ListOffsetsRequest { topics: vec![topic], ..Default::default() };
            one(one(client.call(&request, version).await.topics).partitions).error_code
        }
        ApiKey::Metadata => {
            let topic = MetadataRequestTopic { name: Some("t".into()), ..Default::default() };
            let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
            one(client.call(&request, version).await.topics).error_code
        }
        ApiKey::CreateTopics => {
            let topic = CreatableTopic {
                name: "new".into(),
                num_partitions: 1,
                replication_factor: 1,
                ..Default::default()
            };
            let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
            one(client.call(&request, version).await.topics).error_code
        }
        ApiKey::DeleteTopics => {
            // One that does not exist: the others are still needed.
            let topic = DeleteTopicState { name: Some("none".into()), ..Default::default() };
            let request = DeleteTopicsRequest { topics: vec![topic], ..Default::default() };
            one(client.call(&request, version).await.responses).error_code
        }
        ApiKey::DeleteRecords => {
            let partition = DeleteRecordsPartition { partition_index: 0, offset: 0 };
            let topic = DeleteRecordsTopic { name: "t".into(), partitions: vec![partition] };
            let request = DeleteRecordsRequest { topics: vec![topic], ..Default::default() };
            one(one(client.call(&request, version).await.topics).partitions).error_code
        }
        ApiKey::CreatePartitions => {
            let topic = CreatePartitionsTopic { name: "t".into(), count: 2, assignments: None };
            let request = CreatePartitionsRequest {
                topics: vec![topic],
                validate_only: true,
                ..Default::default()
            };
            one(client.call(&request, version).await.results).error_code
        }
        ApiKey::OffsetForLeaderEpoch => {
            let partition = OffsetForLeaderPartition::default();
            let topic = OffsetForLeaderTopic { topic: "t".into(), partitions: vec![partition] };
            let request = OffsetForLeaderEpochRequest { topics: vec![topic], ..Default::default() };
            one(one(client.call(&request, version).await.topics).partitions).error_code
        }
        _ => {
            let topics = vec![TopicRequest { name: "t".into() }];
            let request = DescribeTopicPartitionsRequest { topics, ..Default::default() };
            one(client.call(&request, version).await.topics).error_code
        }
    }])
}

async fn ask_groups(client: &mut Client, api: ApiKey, version: i16) -> Answer {
    // With names.
    let version = match api {
        ApiKey::OffsetCommit | ApiKey::OffsetFetch => version.min(9),
        _ => version,
    };
    let group_id = "g".to_owned();
    Codes(vec![match api {
        ApiKey::OffsetCommit => {
            let request = OffsetCommitRequest { group_id, ..commit() };
            one(one(client.call(&request, version).await.topics).partitions).error_code
        }
        ApiKey::OffsetFetch => {
            let group = OffsetFetchRequestGroup { group_id, ..Default::default() };
            let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
            one(client.call(&request, version).await.groups).error_code
        }
        ApiKey::OffsetDelete => {
            let request = OffsetDeleteRequest { group_id, ..Default::default() };
            client.call(&request, version).await.error_code
        }
        ApiKey::JoinGroup => {
            let request =
                JoinGroupRequest { group_id, session_timeout_ms: 10_000, ..Default::default() };
            client.call(&request, version).await.error_code
        }
        ApiKey::SyncGroup => {
            let request = SyncGroupRequest { group_id, ..Default::default() };
            client.call(&request, version).await.error_code
        }
        ApiKey::Heartbeat => {
            let request = HeartbeatRequest { group_id, ..Default::default() };
            client.call(&request, version).await.error_code
        }
        ApiKey::LeaveGroup => {
            let request = LeaveGroupRequest { group_id, ..Default::default() };
            client.call(&request, version).await.error_code
        }
        ApiKey::DescribeGroups => {
            let request = DescribeGroupsRequest { groups: vec![group_id], ..Default::default() };
            one(client.call(&request, version).await.groups).error_code
        }
        ApiKey::ListGroups => {
            let groups = client.call(&ListGroupsRequest::default(), version).await.groups;
            return Shown(groups.len());
        }
        ApiKey::DeleteGroups => {
            let request = DeleteGroupsRequest { groups_names: vec!["none".into()] };
            one(client.call(&request, version).await.results).error_code
        }
        ApiKey::ConsumerGroupHeartbeat => {
            let request = ConsumerGroupHeartbeatRequest {
                group_id: "g2".into(),
                member_id: "m".into(),
                rebalance_timeout_ms: 1000,
                subscribed_topic_names: Some(vec!["t".into()]),
                topic_partitions: Some(Vec::new()),
                ..Default::default()
            };
            client.call(&request, version).await.error_code
        }
        _ => {
            let request =
                ConsumerGroupDescribeRequest { group_ids: vec![group_id], ..Default::default() };
            one(client.call(&request, version).await.groups).error_code
        }
    }])
}

fn commit() -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition { committed_offset: 5, ..Default::default() };
    let topic = OffsetCommitRequestTopic {
        name: "t".into(),
        partitions: vec![partition],
        ..Default::default()
    };
    OffsetCommitRequest { topics: vec![topic], ..Default::default() }
}

async fn ask_transactions(client: &mut Client, api: ApiKey, version: i16) -> Answer {
    let transactional_id = "x".to_owned();
    Codes(vec![match api {
        ApiKey::InitProducerId => {
            let idempotent = InitProducerIdRequest::default();
            let request = InitProducerIdRequest {
                transactional_id: Some(transactional_id),
                transaction_timeout_ms: 60_000,
                ..Default::default()
            };
            let codes = vec![
                client.call(&idempotent, version).await.error_code,
                client.call(&request, version).await.error_code,
            ];
            return Codes(codes);
        }
        ApiKey::AddPartitionsToTxn => {
            let topic = AddPartitionsToTxnTopic { name: "t".into(), partitions: vec![0] };
            let request = AddPartitionsToTxnRequest {
                v3_and_below_transactional_id: transactional_id,
                v3_and_below_topics: vec![topic],
                ..Default::default()
            };
            let topics = client.call(&request, version).await.results_by_topic_v3_and_below;
            one(one(topics).results_by_partition).partition_error_code
        }
        ApiKey::AddOffsetsToTxn => {
            let request = AddOffsetsToTxnRequest {
                transactional_id,
                group_id: "g".into(),
                ..Default::default()
            };
            client.call(&request, version).await.error_code
        }
        ApiKey::EndTxn => {
            let request = EndTxnRequest { transactional_id, ..Default::default() };
            client.call(&request, version).await.error_code
        }
        ApiKey::TxnOffsetCommit => {
            let partition = TxnOffsetCommitRequestPartition::default();
            let topic = TxnOffsetCommitRequestTopic {
                name: "t".into(),
                topic_id: [0; 16],
                partitions: vec![partition],
            };
            let request = TxnOffsetCommitRequest {
                transactional_id,
                group_id: "g".into(),
                topics: vec![topic],
                ..Default::default()
            };
            one(one(client.call(&request, version.min(5)).await.topics).partitions).error_code
        }
        ApiKey::FindCoordinator => return find_coordinators(client, version).await,
        _ => return ask_operators_of_transactions(client, api, version).await,
    }])
}

/// What whoever looks after transactions asks, rather than who is in one.
async fn ask_operators_of_transactions(client: &mut Client, api: ApiKey, version: i16) -> Answer {
    Codes(vec![match api {
        ApiKey::WriteTxnMarkers => {
            let topic = write_txn_markers_request::WritableTxnMarkerTopic {
                name: "t".into(),
                partition_indexes: vec![0],
            };
            let marker = write_txn_markers_request::WritableTxnMarker {
                producer_id: 987_654,
                topics: vec![topic],
                ..Default::default()
            };
            let request = WriteTxnMarkersRequest { markers: vec![marker] };
            let response = client.call(&request, version).await;
            response.markers[0].topics[0].partitions[0].error_code
        }
        ApiKey::DescribeProducers => {
            let topic = describe_producers_request::TopicRequest {
                name: "t".into(),
                partition_indexes: vec![0],
            };
            let request = DescribeProducersRequest { topics: vec![topic] };
            let response = client.call(&request, version).await;
            response.topics[0].partitions[0].error_code
        }
        ApiKey::DescribeTransactions => {
            let request = DescribeTransactionsRequest { transactional_ids: vec!["x".to_owned()] };
            one(client.call(&request, version).await.transaction_states).error_code
        }
        _ => {
            let response = client.call(&ListTransactionsRequest::default(), version).await;
            return Shown(response.transaction_states.len());
        }
    }])
}

async fn ask_configs(client: &mut Client, api: ApiKey, version: i16) -> Answer {
    Codes(match api {
        ApiKey::DescribeConfigs => {
            let resource = |(resource_type, name): (i8, &str)| DescribeConfigsResource {
                resource_type,
                resource_name: name.into(),
                ..Default::default()
            };
            let resources = [(2, "t"), (4, "0")].map(resource).to_vec();
            let request = DescribeConfigsRequest { resources, ..Default::default() };
            let results = client.call(&request, version).await.results;
            results.iter().map(|result| result.error_code).collect()
        }
        ApiKey::AlterConfigs => {
            let resource =
                |(resource_type, name): (i8, &str)| alter_configs_request::AlterConfigsResource {
                    resource_type,
                    resource_name: name.into(),
                    ..Default::default()
                };
            let resources = [(2, "t"), (4, "0")].map(resource).to_vec();
            let request = AlterConfigsRequest { resources, ..Default::default() };
            let results = client.call(&request, version).await.responses;
            results.iter().map(|result| result.error_code).collect()
        }
        _ => {
            let resource = |(resource_type, name): (i8, &str)| {
                incremental_alter_configs_request::AlterConfigsResource {
                    resource_type,
                    resource_name: name.into(),
                    ..Default::default()
                }
            };
            let resources = [(2, "t"), (4, "0")].map(resource).to_vec();
            let request = IncrementalAlterConfigsRequest { resources, ..Default::default() };
            let results = client.call(&request, version).await.responses;
            results.iter().map(|result| result.error_code).collect()
        }
    })
}

async fn find_coordinators(client: &mut Client, version: i16) -> Answer {
    let mut codes = Vec::new();
    for (key_type, key) in [(0, "g"), (1, "x")] {
        let coordinator_keys = vec![key.to_owned()];
        let request = FindCoordinatorRequest { key_type, coordinator_keys, ..Default::default() };
        codes.push(one(client.call(&request, version).await.coordinators).error_code);
    }
    Codes(codes)
}

async fn ask_cluster(client: &mut Client, api: ApiKey, version: i16) -> Answer {
    Codes(match api {
        // Who the brokers are is told to everybody who may connect.
        ApiKey::DescribeCluster => return Open,
        ApiKey::DescribeLogDirs => {
            vec![client.call(&DescribeLogDirsRequest::default(), version).await.error_code]
        }
        ApiKey::DescribeAcls => {
            let request = find(1, None, 1);
            vec![client.call(&request, version).await.error_code]
        }
        ApiKey::CreateAcls => {
            let request = CreateAclsRequest { creations: vec![creation("other", 3)] };
            vec![one(client.call(&request, version).await.results).error_code]
        }
        ApiKey::DeleteAcls => {
            let filter = DeleteAclsFilter {
                resource_type_filter: 2,
                resource_name_filter: Some("none".into()),
                pattern_type_filter: 3,
                operation: 1,
                permission_type: 1,
                ..Default::default()
            };
            let request = DeleteAclsRequest { filters: vec![filter] };
            vec![one(client.call(&request, version).await.filter_results).error_code]
        }
        ApiKey::DescribeUserScramCredentials => {
            let request = DescribeUserScramCredentialsRequest::default();
            vec![client.call(&request, version).await.error_code]
        }
        ApiKey::AlterUserScramCredentials => {
            let deletions = vec![ScramCredentialDeletion { name: "none".into(), mechanism: 1 }];
            let request = AlterUserScramCredentialsRequest { deletions, ..Default::default() };
            vec![one(client.call(&request, version).await.results).error_code]
        }
        ApiKey::DescribeClientQuotas => {
            vec![client.call(&DescribeClientQuotasRequest::default(), version).await.error_code]
        }
        _ => {
            let entries = vec![EntryData::default()];
            let request = AlterClientQuotasRequest { entries, validate_only: true };
            vec![one(client.call(&request, version).await.entries).error_code]
        }
    })
}

async fn ask_share(client: &mut Client, api: ApiKey, version: i16) -> Answer {
    let group_id = "s".to_owned();
    Codes(vec![match api {
        ApiKey::ShareGroupHeartbeat => {
            let request = ShareGroupHeartbeatRequest {
                group_id,
                member_id: "m".into(),
                subscribed_topic_names: Some(vec!["t".into()]),
                ..Default::default()
            };
            client.call(&request, version).await.error_code
        }
        ApiKey::ShareGroupDescribe => {
            let request =
                ShareGroupDescribeRequest { group_ids: vec![group_id], ..Default::default() };
            one(client.call(&request, version).await.groups).error_code
        }
        ApiKey::ShareFetch => {
            let request = ShareFetchRequest {
                group_id: Some(group_id),
                member_id: Some("m".into()),
                ..Default::default()
            };
            client.call(&request, version).await.error_code
        }
        ApiKey::ShareAcknowledge => {
            let request = ShareAcknowledgeRequest {
                group_id: Some(group_id),
                member_id: Some("m".into()),
                ..Default::default()
            };
            client.call(&request, version).await.error_code
        }
        ApiKey::DescribeShareGroupOffsets => {
            let group = DescribeShareGroupOffsetsRequestGroup { group_id, topics: None };
            let request = DescribeShareGroupOffsetsRequest { groups: vec![group] };
            one(client.call(&request, version).await.groups).error_code
        }
        ApiKey::AlterShareGroupOffsets => {
            let request = AlterShareGroupOffsetsRequest { group_id, ..Default::default() };
            client.call(&request, version).await.error_code
        }
        _ => {
            let request = DeleteShareGroupOffsetsRequest { group_id, ..Default::default() };
            client.call(&request, version).await.error_code
        }
    }])
}

async fn ask_single(client: &mut Client, api: ApiKey, version: i16) -> Answer {
    Codes(vec![match api {
        ApiKey::DescribeQuorum => {
            client.call(&DescribeQuorumRequest::default(), version).await.error_code
        }
        ApiKey::ElectLeaders => {
            client.call(&ElectLeadersRequest::default(), version).await.error_code
        }
        ApiKey::AlterPartitionReassignments => {
            let request = AlterPartitionReassignmentsRequest::default();
            client.call(&request, version).await.error_code
        }
        ApiKey::ListPartitionReassignments => {
            let request = ListPartitionReassignmentsRequest::default();
            client.call(&request, version).await.error_code
        }
        ApiKey::UpdateFeatures => {
            client.call(&UpdateFeaturesRequest::default(), version).await.error_code
        }
        ApiKey::ListConfigResources => {
            client.call(&ListConfigResourcesRequest::default(), version).await.error_code
        }
        _ => {
            let topics = vec![AlterReplicaLogDirTopic { name: "t".into(), partitions: vec![0] }];
            let dirs = vec![AlterReplicaLogDir { path: "/x".into(), topics }];
            let request = AlterReplicaLogDirsRequest { dirs };
            one(one(client.call(&request, version).await.results).partitions).error_code
        }
    }])
}

fn is_denied(code: i16) -> bool {
    DENIED.iter().any(|denied| denied.number() == code)
}

/// A group and a transactional id to be seen, made by the broker itself.
async fn furnish(fixture: &Fixture) {
    use broker::queue::offsets::{CommitRequest, OffsetCommit};
    use broker::queue::transactions::InitTxn;
    fixture.topic("t", 1).await;
    let offset = OffsetCommit {
        topic: "t".into(),
        partition: 0,
        offset: 3,
        leader_epoch: -1,
        note: "".into(),
    };
    let commit = CommitRequest {
        group: "g".into(),
        member_id: "".into(),
        instance_id: None,
        generation: -1,
        retention: None,
        offsets: vec![offset],
    };
    fixture.broker.groups().commit(commit).await.unwrap();
    let fresh = fixture.broker.new_producer().await.unwrap();
    let init = InitTxn { id: "x".into(), timeout: 60_000, claimed: None, fresh };
    fixture.broker.groups().init_transactions(init).await.unwrap();
}

#[tokio::test]
async fn without_a_rule_nobody_may_do_anything_and_with_one_for_all_everything() {
    let fixture = enforcing().await;
    furnish(&fixture).await;
    let mut client = fixture.client().await;
    let offered = client.call(&ApiVersionsRequest::default(), 3).await.api_keys;
    let mut apis = BTreeSet::new();
    for offer in &offered {
        let api = ApiKey::from_number(offer.api_key).unwrap();
        apis.insert(api);
        match ask(&mut client, api, offer.max_version).await {
            Codes(codes) => {
                assert!(
                    !codes.is_empty() && codes.iter().all(|c| is_denied(*c)),
                    "{api:?} {codes:?}"
                );
            }
            Shown(count) => assert_eq!(count, 0, "{api:?}"),
            Open => {}
        }
    }
    assert!(fixture.broker.topic("new").is_none(), "nothing was done");
    assert_eq!(fixture.broker.metadata().access.count(), 0);
    allow_everything(&fixture).await;
    for offer in &offered {
        let api = ApiKey::from_number(offer.api_key).unwrap();
        match ask(&mut client, api, offer.max_version).await {
            Codes(codes) => assert!(!codes.iter().any(|c| is_denied(*c)), "{api:?} {codes:?}"),
            Shown(count) => assert!(count > 0, "{api:?}"),
            Open => {}
        }
    }
    assert!(apis.len() > 30);
}

async fn metadata(
    client: &mut Client,
    topics: Option<&[&str]>,
    create: bool,
    version: i16,
) -> Vec<(Option<String>, i16, i32)> {
    let topic = |name: &&str| MetadataRequestTopic {
        name: Some((*name).to_owned()),
        ..MetadataRequestTopic::default()
    };
    let request = MetadataRequest {
        topics: topics.map(|topics| topics.iter().map(topic).collect()),
        allow_auto_topic_creation: create,
        include_topic_authorized_operations: true,
        ..MetadataRequest::default()
    };
    let topics = client.call(&request, version).await.topics.into_iter();
    topics.map(|t| (t.name, t.error_code, t.topic_authorized_operations)).collect()
}

const TOPIC_DENIED: i16 = ErrorCode::TopicAuthorizationFailed as i16;

#[tokio::test]
async fn metadata_shows_what_may_be_described_and_makes_what_may_be_created() {
    let fixture = enforcing().await;
    let id = fixture.topic("seen", 1).await;
    let hidden = fixture.topic("hidden", 1).await;
    let mut client = fixture.client().await;
    allow(&fixture, ResourceKind::Topic, "seen", Operation::Write).await;
    let seen = Some("seen".to_owned());
    // Describe follows from write; the bits are those of write and describe.
    assert_eq!(metadata(&mut client, None, false, 9).await, [(seen.clone(), 0, 1 << 4 | 1 << 8)]);
    let none = i32::MIN;
    let both = metadata(&mut client, Some(&["seen", "hidden"]), false, 9).await;
    let denied = |name: &str| (Some(name.to_owned()), TOPIC_DENIED, none);
    assert_eq!(both, [(seen.clone(), 0, 1 << 4 | 1 << 8), denied("hidden")]);
    // What does not exist is denied like what does, in version 0 too, where no name means all.
    for version in [0, 1, 9] {
        let codes = metadata(&mut client, Some(&["hidden", "none"]), true, version).await;
        let codes: Vec<_> = codes.into_iter().map(|(name, code, _)| (name, code)).collect();
        let denied = |name: &str| (Some(name.to_owned()), TOPIC_DENIED);
        assert_eq!(codes, [denied("hidden"), denied("none")], "{version}");
    }
    assert_eq!(metadata(&mut client, Some(&[]), false, 0).await.len(), 1, "all, in version 0");
    // By id.
    let by_id = [id, hidden, [9; 16]].map(|topic_id| MetadataRequestTopic { topic_id, name: None });
    let request = MetadataRequest { topics: Some(by_id.to_vec()), ..MetadataRequest::default() };
    let topics = client.call(&request, 12).await.topics;
    let mut codes: Vec<_> =
        topics.into_iter().map(|t| (t.topic_id, t.name, t.error_code)).collect();
    codes.sort();
    let mut expected = vec![
        (id, seen, 0),
        (hidden, None, TOPIC_DENIED),
        ([9; 16], None, ErrorCode::UnknownTopicId.number()),
    ];
    expected.sort();
    assert_eq!(codes, expected);

    // Who may describe learns that there is none; who may create makes it.
    allow(&fixture, ResourceKind::Topic, "new", Operation::Describe).await;
    let unknown = ErrorCode::UnknownTopicOrPartition.number();
    assert_eq!(metadata(&mut client, Some(&["new"]), false, 9).await[0].1, unknown);
    assert_eq!(metadata(&mut client, Some(&["new"]), true, 9).await, [denied("new")]);
    allow(&fixture, ResourceKind::Topic, "new", Operation::Create).await;
    assert_eq!(metadata(&mut client, Some(&["new"]), true, 9).await[0].1, 0);
    assert!(fixture.broker.topic("new").is_some());
}

#[tokio::test]
async fn of_several_topics_only_those_are_refused_that_must_be() {
    let fixture = enforcing().await;
    for topic in ["mine", "theirs"] {
        fixture.topic(topic, 1).await;
    }
    let mut client = fixture.client().await;
    for operation in [Operation::Read, Operation::Write, Operation::Delete] {
        allow(&fixture, ResourceKind::Topic, "mine", operation).await;
    }
    let mut request = produce_request("theirs", 0, -1, plain(&["a"]));
    request.topic_data.extend(produce_request("mine", 0, -1, plain(&["b"])).topic_data);
    request.topic_data.extend(produce_request("none", 0, -1, plain(&["b"])).topic_data);
    let codes = client.call(&request, 9).await.responses;
    let codes: Vec<_> = codes.iter().map(|t| t.partition_responses[0].error_code).collect();
    assert_eq!(codes, [TOPIC_DENIED, 0, TOPIC_DENIED]);

    let mut request = fetch_request("theirs", &[(0, 0)]);
    request.topics.extend(fetch_request("mine", &[(0, 0)]).topics);
    let topics = client.call(&request, 12).await.responses;
    assert_eq!(topics[0].partitions[0].error_code, TOPIC_DENIED);
    assert_eq!(values(&topics[1].partitions[0]), [(0, "b".to_owned())]);

    let topic = |name: &str| DeleteTopicState { name: Some(name.into()), ..Default::default() };
    let request = DeleteTopicsRequest {
        topics: vec![topic("theirs"), topic("mine"), topic("none")],
        ..Default::default()
    };
    let mut codes: Vec<_> = client.call(&request, 6).await.responses;
    codes.sort_by(|a, b| a.name.cmp(&b.name));
    let codes: Vec<_> = codes.iter().map(|r| r.error_code).collect();
    assert_eq!(codes, [0, TOPIC_DENIED, TOPIC_DENIED]);
    assert!(fixture.broker.topic("mine").is_none() && fixture.broker.topic("theirs").is_some());
}

#[tokio::test]
async fn a_producer_of_the_old_formats_is_judged_like_any_other() {
    let fixture = enforcing().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let response = client.call(&produce_request("t", 0, 1, plain(&["a"])), 2).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, TOPIC_DENIED);
    let response = client.call(&fetch_request("t", &[(0, 0)]), 2).await;
    assert_eq!(response.responses[0].partitions[0].error_code, TOPIC_DENIED);
    // Who wants no answer loses the connection, as with any other error.
    client.send(&produce_request("t", 0, 0, plain(&["a"])), 9).await;
    assert!(client.frame().await.is_none());
}

#[tokio::test]
async fn who_writes_in_a_transaction_may_use_its_id() {
    let fixture = enforcing().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    allow(&fixture, ResourceKind::Topic, "t", Operation::Write).await;
    // May write somewhere, so may do so with a sequence.
    let init = client.call(&InitProducerIdRequest::default(), 4).await;
    assert_eq!(init.error_code, 0);
    let transactional = |values: &[&str]| -> Bytes {
        changed(&idempotent(values, (init.producer_id, 0, 0)), |b| (&mut b[21..23]).put_i16(1 << 4))
    };
    for id in [None, Some("x".to_owned())] {
        let request = ProduceRequest {
            transactional_id: id,
            ..produce_request("t", 0, -1, transactional(&["a"]))
        };
        let response = client.call(&request, 12).await;
        let code = response.responses[0].partition_responses[0].error_code;
        assert_eq!(code, ErrorCode::TransactionalIdAuthorizationFailed.number());
    }
    // Of several partitions all or none.
    allow(&fixture, ResourceKind::Transaction, "x", Operation::Write).await;
    let topic = |name: &str| AddPartitionsToTxnTopic { name: name.into(), partitions: vec![0] };
    let request = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: "x".into(),
        v3_and_below_topics: vec![topic("t"), topic("other")],
        ..Default::default()
    };
    let topics = client.call(&request, 3).await.results_by_topic_v3_and_below;
    let codes = topics.iter().map(|t| t.results_by_partition[0].partition_error_code);
    let codes: Vec<_> = codes.collect();
    assert_eq!(codes, [ErrorCode::OperationNotAttempted.number(), TOPIC_DENIED]);
}

#[tokio::test]
async fn members_of_a_group_need_the_group_and_their_topics() {
    let fixture = enforcing().await;
    furnish(&fixture).await;
    fixture.topic("other", 1).await;
    let mut client = fixture.client().await;
    allow(&fixture, ResourceKind::Group, "g", Operation::Read).await;
    let mut request = OffsetCommitRequest { group_id: "g".into(), ..commit() };
    let mut topics = request.topics.clone();
    topics[0].name = "other".into();
    request.topics.extend(topics);
    let codes = |response: &OffsetCommitResponse| -> Vec<_> {
        response.topics.iter().map(|t| (t.name.clone(), t.partitions[0].error_code)).collect()
    };
    let denied = |name: &str| (name.to_owned(), TOPIC_DENIED);
    let response = client.call(&request, 9).await;
    assert_eq!(codes(&response), [denied("t"), denied("other")]);
    allow(&fixture, ResourceKind::Topic, "t", Operation::Read).await;
    let response = client.call(&request, 9).await;
    assert_eq!(codes(&response), [("t".to_owned(), 0), denied("other")]);

    // Fetching: all that may be seen, or errors for what is named and may not be.
    let all = OffsetFetchRequestGroup { group_id: "g".into(), topics: None, ..Default::default() };
    let topic = |name: &str| OffsetFetchRequestTopics {
        name: name.into(),
        partition_indexes: vec![0],
        ..Default::default()
    };
    let some =
        OffsetFetchRequestGroup { topics: Some(vec![topic("other"), topic("t")]), ..all.clone() };
    for (group, expected) in
        [(all.clone(), vec![("t", 0)]), (some, vec![("t", 0), ("other", TOPIC_DENIED)])]
    {
        let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
        let group = one(client.call(&request, 9).await.groups);
        let topics = group.topics.iter().map(|t| (t.name.as_str(), t.partitions[0].error_code));
        assert_eq!(topics.collect::<Vec<_>>(), expected);
    }
    // The same by id.
    let other = fixture.broker.topic("other").unwrap().topic.id.to_bytes();
    let mut by_id = OffsetCommitRequest { group_id: "g".into(), ..commit() };
    by_id.topics[0].topic_id = other;
    let topic = one(client.call(&by_id, 10).await.topics);
    assert_eq!((topic.topic_id, topic.partitions[0].error_code), (other, TOPIC_DENIED));
    let topic = OffsetFetchRequestTopics {
        topic_id: other,
        partition_indexes: vec![0],
        ..Default::default()
    };
    let group = OffsetFetchRequestGroup { topics: Some(vec![topic]), ..all.clone() };
    let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
    let topic = one(one(client.call(&request, 10).await.groups).topics);
    assert_eq!((topic.topic_id, topic.partitions[0].error_code), (other, TOPIC_DENIED));

    let hide = rule(ResourceKind::Topic, named("t"), Operation::Describe, Effect::Deny);
    fixture.broker.add_rules(vec![hide]).await;
    let request = OffsetFetchRequest { groups: vec![all], ..Default::default() };
    assert!(one(client.call(&request, 9).await.groups).topics.is_empty());

    let delete = OffsetDeleteRequest {
        group_id: "g".into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: "other".into(),
            partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
        }],
    };
    let group_denied = ErrorCode::GroupAuthorizationFailed.number();
    assert_eq!(client.call(&delete, 0).await.error_code, group_denied);
    allow(&fixture, ResourceKind::Group, "g", Operation::Delete).await;
    let response = client.call(&delete, 0).await;
    assert_eq!(one(one(response.topics).partitions).error_code, TOPIC_DENIED);
}

#[tokio::test]
async fn what_may_be_done_is_told_in_bits() {
    let fixture = enforcing().await;
    furnish(&fixture).await;
    let mut client = fixture.client().await;
    let request = DescribeClusterRequest {
        include_cluster_authorized_operations: true,
        endpoint_type: 1,
        ..Default::default()
    };
    assert_eq!(client.call(&request, 1).await.cluster_authorized_operations, 0);
    allow(&fixture, ResourceKind::Cluster, CLUSTER, Operation::Alter).await;
    let told = client.call(&request, 1).await.cluster_authorized_operations;
    assert_eq!(told, 1 << 7 | 1 << 8, "alter and describe");
    let metadata =
        MetadataRequest { include_cluster_authorized_operations: true, ..Default::default() };
    assert_eq!(client.call(&metadata, 9).await.cluster_authorized_operations, told);
    allow(&fixture, ResourceKind::Group, "g", Operation::Read).await;
    let request =
        DescribeGroupsRequest { groups: vec!["g".into()], include_authorized_operations: true };
    let group = one(client.call(&request, 5).await.groups);
    assert_eq!(group.authorized_operations, 1 << 3 | 1 << 8, "read and describe");
    // A topic's configuration is not told who may only create it.
    allow(&fixture, ResourceKind::Topic, "new", Operation::Create).await;
    let topic = CreatableTopic {
        name: "new".into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let made = one(client.call(&request, 7).await.topics);
    assert_eq!((made.error_code, made.topic_config_error_code), (0, TOPIC_DENIED));
    assert_eq!((made.configs, made.num_partitions), (None, -1));
}

#[tokio::test]
async fn a_batch_is_stored_for_who_may_write_whatever_its_form() {
    let fixture = enforcing().await;
    let id = fixture.topic("prefixed", 1).await;
    let mut client = fixture.client().await;
    let pattern = Pattern::Prefix("pre".into());
    let write = rule(ResourceKind::Topic, pattern, Operation::Write, Effect::Allow);
    fixture.broker.add_rules(vec![write]).await;
    let stored = produce(&mut client, "prefixed", batch(Compression::Gzip, &["a"])).await;
    assert_eq!(stored.error_code, 0);
    let mut request = produce_request("", 0, -1, plain(&["b"]));
    request.topic_data[0].topic_id = id;
    let response = client.call(&request, 13).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    let deny = rule(ResourceKind::Topic, Pattern::Any, Operation::Write, Effect::Deny);
    fixture.broker.add_rules(vec![deny]).await;
    let response = client.call(&request, 13).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, TOPIC_DENIED);
    request.topic_data[0].topic_id = [7; 16];
    let response = client.call(&request, 13).await;
    let unknown = ErrorCode::UnknownTopicId.number();
    assert_eq!(response.responses[0].partition_responses[0].error_code, unknown);
}

fn creation(name: &str, pattern: i8) -> AclCreation {
    AclCreation {
        resource_type: 2,
        resource_name: name.into(),
        resource_pattern_type: pattern,
        principal: "User:alice".into(),
        host: "*".into(),
        operation: 3,
        permission_type: 3,
    }
}

fn find(kind: i8, name: Option<&str>, pattern: i8) -> DescribeAclsRequest {
    DescribeAclsRequest {
        resource_type_filter: kind,
        resource_name_filter: name.map(ToOwned::to_owned),
        pattern_type_filter: pattern,
        operation: 1,
        permission_type: 1,
        ..DescribeAclsRequest::default()
    }
}

#[tokio::test]
async fn rules_are_created_found_and_deleted_by_clients() {
    let fixture = enforcing().await;
    allow_everything(&fixture).await;
    let mut client = fixture.client().await;
    let cluster = AclCreation {
        resource_type: 4,
        resource_name: "kafka-cluster".into(),
        operation: 7,
        ..creation("", 3)
    };
    let creations = vec![
        creation("ab", 3),
        creation("ab", 4),
        creation("abc", 3),
        creation("*", 3),
        cluster.clone(),
        AclCreation { resource_name: "other".into(), ..cluster },
        AclCreation { permission_type: 1, ..creation("ab", 3) },
        AclCreation { principal: "alice".into(), ..creation("ab", 3) },
        creation("", 3),
        creation("ab", 3),
    ];
    let results = client.call(&CreateAclsRequest { creations }, 3).await.results;
    let codes: Vec<_> = results.iter().map(|result| result.error_code).collect();
    let bad = ErrorCode::InvalidRequest.number();
    assert_eq!(codes, [0, 0, 0, 0, 0, bad, bad, bad, bad, 0], "one again is fine");

    let mut described = async |filter: DescribeAclsRequest| {
        let alices = DescribeAclsRequest { principal_filter: Some("User:alice".into()), ..filter };
        let response = client.call(&alices, 3).await;
        assert_eq!(response.error_code, 0, "{:?}", response.error_message);
        let resources = response.resources.into_iter();
        resources.map(|r| format!("{}:{}", r.pattern_type, r.resource_name)).collect::<Vec<_>>()
    };
    let name = Some("ab");
    assert_eq!(described(find(2, name, 2)).await, ["3:*", "3:ab", "4:ab"], "match");
    assert_eq!(described(find(2, Some("abcd"), 2)).await, ["3:*", "4:ab"]);
    assert_eq!(described(find(2, name, 1)).await, ["3:ab", "4:ab"], "any");
    assert_eq!(described(find(2, name, 3)).await, ["3:ab"], "literal");
    assert_eq!(described(find(2, name, 4)).await, ["4:ab"], "prefixed");
    assert_eq!(described(find(2, None, 4)).await, ["4:ab"]);
    assert_eq!(described(find(1, None, 1)).await.len(), 5);
    assert_eq!(described(find(1, Some("kafka-cluster"), 1)).await, ["3:kafka-cluster"]);
    let response = client.call(&find(0, None, 1), 3).await;
    assert_eq!(response.error_code, bad);

    let filter = |name: &str, pattern| DeleteAclsFilter {
        resource_type_filter: 2,
        resource_name_filter: Some(name.into()),
        pattern_type_filter: pattern,
        principal_filter: Some("User:alice".into()),
        operation: 1,
        permission_type: 1,
        ..DeleteAclsFilter::default()
    };
    let unknown = DeleteAclsFilter { operation: 0, ..filter("ab", 3) };
    let request = DeleteAclsRequest { filters: vec![filter("ab", 2), unknown, filter("ab", 1)] };
    let results = client.call(&request, 3).await.filter_results;
    let names = |index: usize| -> Vec<_> {
        results[index].matching_acls.iter().map(|acl| acl.resource_name.as_str()).collect()
    };
    assert_eq!(names(0), ["*", "ab", "ab"]);
    assert_eq!((results[1].error_code, results[2].error_code), (bad, 0));
    assert!(names(2).is_empty(), "gone already");
}

#[tokio::test]
async fn where_rules_are_not_enforced_clients_are_told() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let disabled = ErrorCode::SecurityDisabled.number();
    assert_eq!(client.call(&find(1, None, 1), 3).await.error_code, disabled);
    let create = CreateAclsRequest { creations: vec![creation("t", 3)] };
    assert_eq!(one(client.call(&create, 3).await.results).error_code, disabled);
    let delete = DeleteAclsRequest { filters: vec![DeleteAclsFilter::default()] };
    assert_eq!(one(client.call(&delete, 3).await.filter_results).error_code, disabled);
}
