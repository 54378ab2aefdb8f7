//! Requests field by field.

use bytes::Bytes;

use super::frame;
use crate::wire::fetch::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};
use crate::wire::messages::{
    self, add_partitions_to_txn_request::*, create_topics_request::*, join_group_request::*,
    list_offsets_request::*, metadata_request::*, offset_commit_request::*,
    offset_fetch_request::*, sync_group_request::*,
};
use crate::wire::produce::{ProducePartition, ProduceRequest, ProduceTopic};
use crate::wire::{Message, Reader, RequestHeader, RequestMessage, encode_request};

const ID: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

/// The frame's body, after its length and header were checked.
fn body(frame: &Bytes, version: i16) -> (RequestHeader, Reader) {
    let mut r = Reader::new(frame.clone());
    assert_eq!(r.i32().unwrap() as usize, frame.len() - 4);
    let header = RequestHeader::decode(&mut r).unwrap();
    assert_eq!(header.version, version);
    assert_eq!(header.correlation_id, 7);
    assert_eq!(header.client_id.as_deref(), Some("me"));
    (header, r)
}

/// The frame holds `expected`, and `expected` makes the frame.
fn check<R: RequestMessage + PartialEq + std::fmt::Debug>(version: i16, expected: &R) {
    let frame = frame(R::NAME, version);
    let (header, mut r) = body(&frame, version);
    assert_eq!(header.api, R::API);
    assert_eq!(<R as Message>::decode(&mut r, version).as_ref(), Ok(expected));
    assert_eq!(r.remaining(), 0);
    assert_eq!(encode_request(expected, version, 7, Some("me")), Ok(frame));
}

#[test]
fn api_versions() {
    check(0, &messages::ApiVersionsRequest::default());
    let request = messages::ApiVersionsRequest {
        client_software_name: "kcat".into(),
        client_software_version: "1.7".into(),
        ..Default::default()
    };
    check(3, &request);
}

#[test]
fn metadata() {
    check(1, &MetadataRequest { topics: None, ..Default::default() });
    let request = MetadataRequest {
        topics: Some(vec![
            MetadataRequestTopic { topic_id: ID, name: None },
            MetadataRequestTopic { topic_id: [0; 16], name: Some("t".into()) },
        ]),
        allow_auto_topic_creation: false,
        include_topic_authorized_operations: true,
        ..Default::default()
    };
    check(12, &request);
}

#[test]
fn produce() {
    let records = Some(Bytes::from_static(b"xyz"));
    let mut request = ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 1500,
        topics: vec![ProduceTopic {
            name: "t".into(),
            partitions: vec![ProducePartition { index: 3, records }],
            ..Default::default()
        }],
    };
    let (_, mut r) = body(&frame("ProduceRequest", 3), 3);
    assert_eq!(ProduceRequest::decode(&mut r, 3).as_ref(), Ok(&request));
    request.transactional_id = Some("tx".into());
    request.acks = 1;
    request.topics[0].partitions.push(ProducePartition { index: 4, records: None });
    let (_, mut r) = body(&frame("ProduceRequest", 9), 9);
    assert_eq!(ProduceRequest::decode(&mut r, 9).as_ref(), Ok(&request));
    check(9, &crate::wire::tests::produce::generated(&request));
}

#[test]
fn fetch() {
    let mut partition = FetchPartition {
        index: 2,
        current_leader_epoch: -1,
        fetch_offset: 99,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        max_bytes: 4096,
    };
    let topic =
        FetchTopic { name: "t".into(), partitions: vec![partition.clone()], ..Default::default() };
    let mut request = FetchRequest {
        replica_id: -1,
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 1_000_000,
        isolation_level: 1,
        session_id: 0,
        session_epoch: -1,
        topics: vec![topic],
        forgotten: vec![],
        rack_id: "".into(),
    };
    let (_, mut r) = body(&frame("FetchRequest", 4), 4);
    assert_eq!(FetchRequest::decode(&mut r, 4).as_ref(), Ok(&request));
    partition.current_leader_epoch = 8;
    partition.last_fetched_epoch = 7;
    let partitions = vec![partition];
    request.topics = vec![FetchTopic { topic_id: ID, partitions, ..Default::default() }];
    request.forgotten =
        vec![ForgottenTopic { topic_id: ID, partitions: vec![1, 2], ..Default::default() }];
    (request.isolation_level, request.session_id, request.session_epoch) = (0, 5, 6);
    (request.replica_id, request.rack_id) = (4, "r".into());
    let (_, mut r) = body(&frame("FetchRequest", 15), 15);
    assert_eq!(FetchRequest::decode(&mut r, 15).as_ref(), Ok(&request));
    assert_eq!(r.remaining(), 0);
}

#[test]
fn list_offsets() {
    let partition = ListOffsetsPartition { timestamp: -2, ..Default::default() };
    let topic = ListOffsetsTopic { name: "t".into(), partitions: vec![partition] };
    check(5, &ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() });
}

#[test]
fn offsets() {
    let partition = OffsetCommitRequestPartition {
        partition_index: 1,
        committed_offset: 42,
        committed_leader_epoch: 3,
        committed_metadata: Some("note".into()),
        ..Default::default()
    };
    let partitions = vec![partition];
    let topic = OffsetCommitRequestTopic { name: "t".into(), partitions, ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: 4,
        member_id: "m".into(),
        group_instance_id: Some("i".into()),
        topics: vec![topic],
        ..Default::default()
    };
    check(8, &request);
    let topic = OffsetFetchRequestTopics {
        name: "t".into(),
        partition_indexes: vec![0, 1],
        ..Default::default()
    };
    let group = |id: &str, topics| OffsetFetchRequestGroup {
        group_id: id.into(),
        topics,
        ..Default::default()
    };
    let request = OffsetFetchRequest {
        groups: vec![group("g", Some(vec![topic])), group("h", None)],
        require_stable: true,
        ..Default::default()
    };
    check(8, &request);
}

#[test]
fn groups() {
    let metadata = Bytes::from_static(&[0, 1]);
    let request = JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 300_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata }],
        ..Default::default()
    };
    check(5, &request);
    let assignment = Bytes::from_static(&[9]);
    let request = SyncGroupRequest {
        group_id: "g".into(),
        generation_id: 2,
        member_id: "m".into(),
        group_instance_id: None,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: vec![SyncGroupRequestAssignment { member_id: "m".into(), assignment }],
    };
    check(5, &request);
    let coordinator_keys = vec!["a".into(), "b".into()];
    check(
        4,
        &messages::FindCoordinatorRequest { key_type: 1, coordinator_keys, ..Default::default() },
    );
}

#[test]
fn create_topics() {
    let config = |name: &str, value: Option<&str>| CreatableTopicConfig {
        name: name.into(),
        value: value.map(Into::into),
    };
    let topic = CreatableTopic {
        name: "t".into(),
        num_partitions: 3,
        replication_factor: 1,
        assignments: vec![],
        configs: vec![config("cleanup.policy", Some("compact")), config("x", None)],
    };
    check(7, &CreateTopicsRequest { topics: vec![topic], timeout_ms: 60_000, validate_only: true });
}

#[test]
fn transactions_and_login() {
    let request = messages::InitProducerIdRequest {
        transactional_id: Some("tx".into()),
        transaction_timeout_ms: 60_000,
        ..Default::default()
    };
    assert_eq!((request.producer_id, request.producer_epoch), (-1, -1));
    check(4, &request);
    let request = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: "tx".into(),
        v3_and_below_producer_id: 5,
        v3_and_below_producer_epoch: 1,
        v3_and_below_topics: vec![AddPartitionsToTxnTopic {
            name: "t".into(),
            partitions: vec![0, 1],
        }],
        ..Default::default()
    };
    check(3, &request);
    check(1, &messages::SaslHandshakeRequest { mechanism: "PLAIN".into() });
}
