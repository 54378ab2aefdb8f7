//! Produce by hand against the generated one.

use bytes::Bytes;
use proptest::prelude::*;

use crate::wire::messages::produce_request::{
    PartitionProduceData, ProduceRequest as Generated, TopicProduceData,
};
use crate::wire::messages::{ProduceResponse as GeneratedResponse, produce_response as generated};
use crate::wire::produce::{ProduceRequest, ProduceResponse, ProducedPartition, ProducedTopic};
use crate::wire::sample::Sample;
use crate::wire::{Message, Reader, Writer};

/// The request as its generated twin.
pub(super) fn generated(request: &ProduceRequest) -> Generated {
    let topics = request.topics.iter().map(|topic| TopicProduceData {
        name: topic.name.to_string(),
        topic_id: topic.topic_id,
        partition_data: topic
            .partitions
            .iter()
            .map(|p| PartitionProduceData { index: p.index, records: p.records.clone() })
            .collect(),
    });
    Generated {
        transactional_id: request.transactional_id.as_ref().map(ToString::to_string),
        acks: request.acks,
        timeout_ms: request.timeout_ms,
        topic_data: topics.collect(),
    }
}

/// What the generated code reads.
pub(super) fn decoded(bytes: Bytes, version: i16) -> Generated {
    Generated::decode(&mut Reader::new(bytes), version).unwrap()
}

fn by_hand(response: &GeneratedResponse) -> ProduceResponse {
    let partition = |p: &generated::PartitionProduceResponse| ProducedPartition {
        index: p.index,
        error_code: p.error_code,
        base_offset: p.base_offset,
        log_append_time_ms: p.log_append_time_ms,
        log_start_offset: p.log_start_offset,
        record_errors: p.record_errors.clone(),
        error_message: p.error_message.clone(),
        current_leader: Some(p.current_leader.clone())
            .filter(|leader| *leader != generated::LeaderIdAndEpoch::default()),
    };
    let topics = response.responses.iter().map(|topic| ProducedTopic {
        name: topic.name.as_str().into(),
        topic_id: topic.topic_id,
        partitions: topic.partition_responses.iter().map(partition).collect(),
    });
    ProduceResponse {
        topics: topics.collect(),
        throttle_time_ms: response.throttle_time_ms,
        node_endpoints: response.node_endpoints.clone(),
    }
}

proptest! {
    #[test]
    fn requests_are_read_alike(seed: u64, version in 0..=13_i16) {
        let request = Generated::sample(&mut Sample::new(seed), version);
        let mut w = Writer::default();
        request.encode(&mut w, version).unwrap();
        let mut r = Reader::new(w.finish());
        let again = ProduceRequest::decode(&mut r, version).unwrap();
        prop_assert_eq!(generated(&again), request);
        prop_assert_eq!(r.remaining(), 0);
    }

    #[test]
    fn responses_are_written_alike(seed: u64, version in 0..=13_i16) {
        let response = GeneratedResponse::sample(&mut Sample::new(seed), version);
        let (mut expected, mut w) = (Writer::default(), Writer::default());
        response.encode(&mut expected, version).unwrap();
        by_hand(&response).encode(&mut w, version).unwrap();
        prop_assert_eq!(w.finish(), expected.finish());
    }
}

#[test]
fn records_share_the_memory_of_the_frame() {
    let mut w = Writer::default();
    let records = Some(Bytes::from(vec![7; 1000]));
    let partition_data = vec![PartitionProduceData { index: 0, records }];
    let topic = TopicProduceData { name: "t".into(), partition_data, ..Default::default() };
    let request = Generated { topic_data: vec![topic], ..Default::default() };
    request.encode(&mut w, 9).unwrap();
    let frame = w.finish();
    let range = frame.as_ptr_range();
    let request = ProduceRequest::decode(&mut Reader::new(frame), 9).unwrap();
    let records = request.topics[0].partitions[0].records.as_ref().unwrap();
    assert_eq!(records.len(), 1000);
    assert!(range.contains(&records.as_ptr()));
    assert!(range.contains(&request.topics[0].name.as_ptr()));
}

#[test]
fn versions_are_those_of_the_schema() {
    for version in [Generated::MIN_VERSION - 1, Generated::MAX_VERSION + 1] {
        assert!(ProduceRequest::decode(&mut Reader::new(Bytes::new()), version).is_err());
        assert!(ProduceResponse::default().encode(&mut Writer::default(), version).is_err());
    }
}
