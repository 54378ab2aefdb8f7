//! What is offered, and that all of it is served.

use door_kafka::wire::messages::*;
use door_kafka::wire::{ApiKey, ErrorCode, RequestMessage, encode_request};

use crate::support::{Client, Fixture};

#[tokio::test]
async fn a_newer_api_versions_is_answered_in_the_oldest_form() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    // Version 99 of key 18, correlation 7, no client id, no tagged fields, and a body unknown to us.
    client.write(b"\0\0\0\x0f\0\x12\0\x63\0\0\0\x07\xff\xff\0\x01\x02\x03\x04").await;
    let (correlation, response) = client.receive::<ApiVersionsRequest>(0).await.unwrap();
    assert_eq!(correlation, 7);
    assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.number());
    let own: Vec<_> =
        response.api_keys.iter().map(|k| (k.api_key, k.min_version, k.max_version)).collect();
    assert_eq!(own, [(18, 0, 5)]);
    // The client goes on with what it was told.
    assert_eq!(client.call(&ApiVersionsRequest::default(), 4).await.error_code, 0);
}

#[tokio::test]
async fn what_is_not_offered_closes_the_connection() {
    let fixture = Fixture::start().await;
    for frame in [
        &b"\0\0\0\x0a\0\x03\0\x63\0\0\0\x07\xff\xff"[..], // Metadata version 99
        b"\0\0\0\x0a\x03\xe7\0\0\0\0\0\x07\xff\xff",      // no such request
        b"\0\0\0\x0a\0\x1b\0\0\0\0\0\x07\xff\xff",        // WriteTxnMarkers
        b"\0\0\0\x04\0\x12\0\0",                          // half a header
        b"\xff\xff\xff\xff",                              // a negative length
    ] {
        let mut client = fixture.client().await;
        client.write(frame).await;
        assert_eq!(client.frame().await, None, "{frame:?}");
    }
}

/// Sends the empty request in every version that is offered; the connection stays usable.
async fn every_version<R: RequestMessage>(client: &mut Client, (low, high): (i16, i16)) {
    for version in low..=high {
        // What cannot be said in this version: a version that asks for something by name.
        if encode_request(&R::default(), version, 0, None).is_err() {
            continue;
        }
        client.call(&R::default(), version).await;
        let usable = client.call(&ApiVersionsRequest::default(), 0).await;
        assert_eq!(usable.error_code, 0, "after {} version {version}", R::NAME);
    }
}

macro_rules! every_api {
    ($client:expr, $offered:expr, $($api:ident: $request:ident),* $(,)?) => {
        for (api, range) in $offered {
            match api {
                $(ApiKey::$api => every_version::<$request>($client, range).await,)*
            }
        }
    };
}

#[tokio::test]
async fn every_version_that_is_offered_is_answered() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let versions = client.call(&ApiVersionsRequest::default(), 3).await;
    assert_eq!(versions.error_code, 0);
    let offered = versions
        .api_keys
        .iter()
        .map(|k| (ApiKey::from_number(k.api_key).unwrap(), (k.min_version, k.max_version)));
    every_api!(
        &mut client, offered,
        DescribeAcls: DescribeAclsRequest, CreateAcls: CreateAclsRequest,
        DeleteAcls: DeleteAclsRequest, DescribeClientQuotas: DescribeClientQuotasRequest,
        AlterClientQuotas: AlterClientQuotasRequest,
        Fetch: FetchRequest, ListOffsets: ListOffsetsRequest, Metadata: MetadataRequest,
        OffsetCommit: OffsetCommitRequest, OffsetFetch: OffsetFetchRequest,
        FindCoordinator: FindCoordinatorRequest, JoinGroup: JoinGroupRequest,
        Heartbeat: HeartbeatRequest, LeaveGroup: LeaveGroupRequest, SyncGroup: SyncGroupRequest,
        DescribeGroups: DescribeGroupsRequest, ListGroups: ListGroupsRequest,
        ApiVersions: ApiVersionsRequest, CreateTopics: CreateTopicsRequest,
        DeleteTopics: DeleteTopicsRequest, DeleteRecords: DeleteRecordsRequest,
        InitProducerId: InitProducerIdRequest, OffsetForLeaderEpoch: OffsetForLeaderEpochRequest,
        DescribeConfigs: DescribeConfigsRequest, AlterConfigs: AlterConfigsRequest,
        IncrementalAlterConfigs: IncrementalAlterConfigsRequest,
        DescribeLogDirs: DescribeLogDirsRequest, CreatePartitions: CreatePartitionsRequest,
        DeleteGroups: DeleteGroupsRequest, OffsetDelete: OffsetDeleteRequest,
        DescribeCluster: DescribeClusterRequest,
        DescribeTopicPartitions: DescribeTopicPartitionsRequest,
        ShareGroupHeartbeat: ShareGroupHeartbeatRequest,
        ShareGroupDescribe: ShareGroupDescribeRequest, ShareFetch: ShareFetchRequest,
        ShareAcknowledge: ShareAcknowledgeRequest,
        DescribeShareGroupOffsets: DescribeShareGroupOffsetsRequest,
        AlterShareGroupOffsets: AlterShareGroupOffsetsRequest,
        DeleteShareGroupOffsets: DeleteShareGroupOffsetsRequest,
        AddPartitionsToTxn: AddPartitionsToTxnRequest, AddOffsetsToTxn: AddOffsetsToTxnRequest,
        EndTxn: EndTxnRequest, TxnOffsetCommit: TxnOffsetCommitRequest,
        WriteTxnMarkers: WriteTxnMarkersRequest, DescribeProducers: DescribeProducersRequest,
        DescribeTransactions: DescribeTransactionsRequest,
        ListTransactions: ListTransactionsRequest,
        ConsumerGroupHeartbeat: ConsumerGroupHeartbeatRequest,
        ConsumerGroupDescribe: ConsumerGroupDescribeRequest,
        SaslHandshake: SaslHandshakeRequest, SaslAuthenticate: SaslAuthenticateRequest,
        DescribeUserScramCredentials: DescribeUserScramCredentialsRequest,
        AlterUserScramCredentials: AlterUserScramCredentialsRequest,
        GetTelemetrySubscriptions: GetTelemetrySubscriptionsRequest,
        PushTelemetry: PushTelemetryRequest, ListConfigResources: ListConfigResourcesRequest,
        AlterReplicaLogDirs: AlterReplicaLogDirsRequest,
        CreateDelegationToken: CreateDelegationTokenRequest,
        RenewDelegationToken: RenewDelegationTokenRequest,
        ExpireDelegationToken: ExpireDelegationTokenRequest,
        DescribeDelegationToken: DescribeDelegationTokenRequest,
        ElectLeaders: ElectLeadersRequest,
        AlterPartitionReassignments: AlterPartitionReassignmentsRequest,
        ListPartitionReassignments: ListPartitionReassignmentsRequest,
        DescribeQuorum: DescribeQuorumRequest, UpdateFeatures: UpdateFeaturesRequest,
        Produce: AckedProduce,
    );
}

/// A produce request by default asks for no response.
#[derive(Default)]
struct AckedProduce(ProduceRequest);

impl door_kafka::wire::Message for AckedProduce {
    const NAME: &'static str = ProduceRequest::NAME;
    const MIN_VERSION: i16 = ProduceRequest::MIN_VERSION;
    const MAX_VERSION: i16 = ProduceRequest::MAX_VERSION;
    const FLEXIBLE_FROM: Option<i16> = ProduceRequest::FLEXIBLE_FROM;

    fn decode(
        r: &mut door_kafka::wire::Reader,
        version: i16,
    ) -> Result<Self, door_kafka::wire::WireError> {
        ProduceRequest::decode(r, version).map(Self)
    }

    fn encode(
        &self,
        w: &mut door_kafka::wire::Writer,
        version: i16,
    ) -> Result<(), door_kafka::wire::WireError> {
        ProduceRequest { acks: -1, ..self.0.clone() }.encode(w, version)
    }
}

impl RequestMessage for AckedProduce {
    const API: ApiKey = ApiKey::Produce;
    type Response = ProduceResponse;
}
