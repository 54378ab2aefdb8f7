//! Responses field by field.

use bytes::Bytes;

use super::frame;
use crate::wire::fetch::{FetchResponse, FetchedPartition, FetchedTopic};
use crate::wire::messages::{
    self, api_versions_response::*, consumer_protocol_assignment as assignment,
    consumer_protocol_subscription::TopicPartition, create_topics_response::*,
    fetch_response as fetched, join_group_response::*, metadata_response::*,
    offset_fetch_response::*, produce_response as produced,
};
use crate::wire::produce::{ProduceResponse, ProducedPartition, ProducedTopic};
use crate::wire::{
    ApiKey, ErrorCode, Message, RequestMessage, decode_response, decode_versioned, encode_response,
    encode_versioned,
};

const ID: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

/// The frame holds `expected`, and `expected` makes the frame.
fn check<R>(version: i16, expected: &R::Response)
where
    R: RequestMessage,
    R::Response: PartialEq + std::fmt::Debug,
{
    let frame = frame(R::Response::NAME, version);
    let (id, response) = decode_response::<R>(frame.slice(4..), version).unwrap();
    assert_eq!((id, &response), (7, expected));
    let again = encode_response(R::API, version, 7, |w| expected.encode(w, version));
    assert_eq!(again, Ok(frame));
}

#[test]
fn api_versions() {
    let api_keys = vec![ApiVersion { api_key: 18, min_version: 0, max_version: 4 }];
    let mut response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.into(),
        api_keys,
        ..Default::default()
    };
    check::<messages::ApiVersionsRequest>(0, &response);
    response.error_code = 0;
    response.finalized_features_epoch = 11;
    response.supported_features =
        vec![SupportedFeatureKey { name: "f".into(), min_version: 0, max_version: 2 }];
    check::<messages::ApiVersionsRequest>(3, &response);
}

#[test]
fn metadata() {
    let broker = |rack: Option<&str>| MetadataResponseBroker {
        node_id: 1,
        host: "h".into(),
        port: 9092,
        rack: rack.map(Into::into),
    };
    let mut partition = MetadataResponsePartition {
        error_code: ErrorCode::LeaderNotAvailable.into(),
        leader_id: 1,
        replica_nodes: vec![1],
        ..Default::default()
    };
    let mut topic = MetadataResponseTopic {
        name: Some("t".into()),
        is_internal: true,
        partitions: vec![partition.clone()],
        ..Default::default()
    };
    let mut response = MetadataResponse {
        brokers: vec![broker(None)],
        controller_id: 1,
        topics: vec![topic.clone()],
        ..Default::default()
    };
    check::<messages::MetadataRequest>(1, &response);
    partition.error_code = 0;
    partition.leader_epoch = 6;
    partition.replica_nodes = vec![1, 2];
    partition.isr_nodes = vec![1];
    partition.offline_replicas = vec![2];
    topic.topic_id = ID;
    topic.is_internal = false;
    topic.partitions = vec![partition];
    response.brokers = vec![broker(Some("r"))];
    response.cluster_id = Some("c".into());
    response.topics = vec![topic];
    check::<messages::MetadataRequest>(12, &response);
}

#[test]
fn produce() {
    let partition =
        ProducedPartition { index: 3, base_offset: 77, log_start_offset: 0, ..Default::default() };
    let topic =
        ProducedTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    let mut response =
        ProduceResponse { topics: vec![topic], throttle_time_ms: 4, node_endpoints: vec![] };
    let bytes = encode_response(ApiKey::Produce, 7, 7, |w| response.encode(w, 7));
    assert_eq!(bytes, Ok(frame("ProduceResponse", 7)));
    response.topics[0].partitions = vec![ProducedPartition {
        index: 3,
        error_code: ErrorCode::NotLeaderOrFollower.into(),
        record_errors: vec![produced::BatchIndexAndErrorMessage {
            batch_index: 0,
            batch_index_error_message: Some("bad".into()),
        }],
        error_message: Some("moved".into()),
        current_leader: Some(produced::LeaderIdAndEpoch { leader_id: 2, leader_epoch: 9 }),
        ..Default::default()
    }];
    response.throttle_time_ms = 0;
    response.node_endpoints =
        vec![produced::NodeEndpoint { node_id: 2, host: "h2".into(), port: 9093, rack: None }];
    let bytes = encode_response(ApiKey::Produce, 10, 7, |w| response.encode(w, 10));
    assert_eq!(bytes, Ok(frame("ProduceResponse", 10)));
}

#[test]
fn fetch() {
    let mut partition = FetchedPartition {
        index: 2,
        high_watermark: 100,
        last_stable_offset: 98,
        log_start_offset: 1,
        aborted_transactions: Some(vec![fetched::AbortedTransaction {
            producer_id: 5,
            first_offset: 90,
        }]),
        records: vec![Bytes::from_static(b"records"), Bytes::from_static(b"AB")],
        ..Default::default()
    };
    let partitions = vec![partition.clone()];
    let topic = FetchedTopic { name: "t".into(), partitions, ..Default::default() };
    let response = FetchResponse { session_id: 3, topics: vec![topic], ..Default::default() };
    let parts = response.into_parts(11, 7).unwrap();
    assert_eq!(parts.concat(), frame("FetchResponse", 11));

    partition.aborted_transactions = None;
    let moved = FetchedPartition {
        error_code: ErrorCode::NotLeaderOrFollower.into(),
        diverging_epoch: Some(fetched::EpochEndOffset { epoch: 3, end_offset: 50 }),
        current_leader: Some(fetched::LeaderIdAndEpoch { leader_id: 2, leader_epoch: 9 }),
        records: vec![],
        ..partition.clone()
    };
    partition.index = 3;
    let partitions = vec![moved, partition];
    let rack = Some("r".into());
    let response = FetchResponse {
        topics: vec![FetchedTopic { topic_id: ID, partitions, ..Default::default() }],
        node_endpoints: vec![fetched::NodeEndpoint {
            node_id: 2,
            host: "h2".into(),
            port: 9093,
            rack,
        }],
        ..Default::default()
    };
    let parts = response.into_parts(16, 7).unwrap();
    assert_eq!(parts.concat(), frame("FetchResponse", 16));
}

#[test]
fn groups() {
    let metadata = Bytes::from_static(&[1]);
    let member =
        JoinGroupResponseMember { member_id: "m".into(), group_instance_id: None, metadata };
    let response = JoinGroupResponse {
        generation_id: 2,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        leader: "m".into(),
        member_id: "m".into(),
        members: vec![member],
        ..Default::default()
    };
    check::<messages::JoinGroupRequest>(7, &response);
    let partition = OffsetFetchResponsePartitions {
        committed_offset: 42,
        metadata: Some(String::new()),
        ..Default::default()
    };
    let topic = OffsetFetchResponseTopics {
        name: "t".into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let group =
        OffsetFetchResponseGroup { group_id: "g".into(), topics: vec![topic], error_code: 0 };
    check::<messages::OffsetFetchRequest>(
        8,
        &OffsetFetchResponse { groups: vec![group], ..Default::default() },
    );
}

#[test]
fn create_topics_and_login() {
    let topic = CreatableTopicResult {
        name: "t".into(),
        topic_id: ID,
        error_code: ErrorCode::TopicAlreadyExists.into(),
        configs: Some(vec![]),
        ..Default::default()
    };
    check::<messages::CreateTopicsRequest>(
        7,
        &CreateTopicsResponse { topics: vec![topic], ..Default::default() },
    );
    let response = messages::SaslAuthenticateResponse {
        error_code: ErrorCode::SaslAuthenticationFailed.into(),
        error_message: Some("no".into()),
        ..Default::default()
    };
    check::<messages::SaslAuthenticateRequest>(1, &response);
}

#[test]
fn consumer_protocol() {
    let mut subscription = messages::ConsumerProtocolSubscription {
        topics: vec!["t".into(), "u".into()],
        user_data: Some(Bytes::from_static(b"ud")),
        ..Default::default()
    };
    let bytes = frame("ConsumerProtocolSubscription", 0);
    assert_eq!(encode_versioned(&subscription, 0).as_ref(), Ok(&bytes));
    assert_eq!(decode_versioned(bytes), Ok((0, subscription.clone())));

    subscription.topics.pop();
    subscription.user_data = None;
    subscription.owned_partitions =
        vec![TopicPartition { topic: "t".into(), partitions: vec![0, 2] }];
    subscription.generation_id = 4;
    subscription.rack_id = Some("r".into());
    let bytes = frame("ConsumerProtocolSubscription", 3);
    assert_eq!(encode_versioned(&subscription, 3).as_ref(), Ok(&bytes));
    // One from the future has more at its end.
    let mut newer = bytes.to_vec();
    newer[1] = 9;
    newer.push(1);
    assert_eq!(decode_versioned(newer.into()), Ok((9, subscription)));

    let partition = assignment::TopicPartition { topic: "t".into(), partitions: vec![0, 2] };
    let assigned_partitions = vec![partition];
    let user_data = Some(Bytes::new());
    let assignment = messages::ConsumerProtocolAssignment { assigned_partitions, user_data };
    let bytes = frame("ConsumerProtocolAssignment", 1);
    assert_eq!(encode_versioned(&assignment, 1).as_ref(), Ok(&bytes));
    assert_eq!(decode_versioned(bytes), Ok((1, assignment)));
}
