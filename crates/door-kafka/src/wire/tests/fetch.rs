//! Fetch by hand against the generated one.

use bytes::Bytes;
use proptest::prelude::*;

use crate::wire::fetch::{FetchRequest, FetchResponse, FetchedPartition, FetchedTopic};
use crate::wire::messages::fetch_response as generated;
use crate::wire::messages::{FetchRequest as Generated, FetchResponse as GeneratedResponse};
use crate::wire::sample::Sample;
use crate::wire::{ApiKey, Message, Reader, WireError, Writer, encode_response};

/// What the generated code reads.
pub(super) fn decoded(bytes: Bytes, version: i16) -> Generated {
    Generated::decode(&mut Reader::new(bytes), version).unwrap()
}

/// Compares all that the request by hand keeps.
pub(super) fn assert_same(request: &FetchRequest, twin: &Generated) {
    let replica =
        if twin.replica_id == -1 { twin.replica_state.replica_id } else { twin.replica_id };
    assert_eq!(request.replica_id, replica);
    assert_eq!(request.max_wait_ms, twin.max_wait_ms);
    assert_eq!((request.min_bytes, request.max_bytes), (twin.min_bytes, twin.max_bytes));
    assert_eq!(request.isolation_level, twin.isolation_level);
    assert_eq!((request.session_id, request.session_epoch), (twin.session_id, twin.session_epoch));
    assert_eq!(request.rack_id, twin.rack_id.as_str());
    assert_eq!(request.topics.len(), twin.topics.len());
    for (topic, twin) in request.topics.iter().zip(&twin.topics) {
        assert_eq!((&*topic.name, topic.topic_id), (twin.topic.as_str(), twin.topic_id));
        assert_eq!(topic.partitions.len(), twin.partitions.len());
        for (p, twin) in topic.partitions.iter().zip(&twin.partitions) {
            assert_eq!((p.index, p.fetch_offset), (twin.partition, twin.fetch_offset));
            assert_eq!(p.current_leader_epoch, twin.current_leader_epoch);
            assert_eq!(p.last_fetched_epoch, twin.last_fetched_epoch);
            assert_eq!(p.log_start_offset, twin.log_start_offset);
            assert_eq!(p.max_bytes, twin.partition_max_bytes);
        }
    }
    assert_eq!(request.forgotten.len(), twin.forgotten_topics_data.len());
    for (topic, twin) in request.forgotten.iter().zip(&twin.forgotten_topics_data) {
        assert_eq!((&*topic.name, topic.topic_id), (twin.topic.as_str(), twin.topic_id));
        assert_eq!(topic.partitions, twin.partitions);
    }
}

/// The response by hand, its records cut in pieces.
fn by_hand(response: &GeneratedResponse) -> FetchResponse {
    fn set<T: Default + Clone + PartialEq>(value: &T) -> Option<T> {
        Some(value.clone()).filter(|value| *value != T::default())
    }
    let partition = |p: &generated::PartitionData| FetchedPartition {
        index: p.partition_index,
        error_code: p.error_code,
        high_watermark: p.high_watermark,
        last_stable_offset: p.last_stable_offset,
        log_start_offset: p.log_start_offset,
        aborted_transactions: p.aborted_transactions.clone(),
        preferred_read_replica: p.preferred_read_replica,
        diverging_epoch: set(&p.diverging_epoch),
        current_leader: set(&p.current_leader),
        snapshot_id: set(&p.snapshot_id),
        records: p.records.iter().flat_map(|r| r.chunks(7).map(|c| r.slice_ref(c))).collect(),
    };
    let topics = response.responses.iter().map(|topic| FetchedTopic {
        name: topic.topic.as_str().into(),
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(partition).collect(),
    });
    FetchResponse {
        throttle_time_ms: response.throttle_time_ms,
        error_code: response.error_code,
        session_id: response.session_id,
        topics: topics.collect(),
        node_endpoints: response.node_endpoints.clone(),
    }
}

proptest! {
    #[test]
    fn requests_are_read_alike(seed: u64, version in 0..=18_i16) {
        let request = Generated::sample(&mut Sample::new(seed), version);
        let mut w = Writer::default();
        request.encode(&mut w, version).unwrap();
        let mut r = Reader::new(w.finish());
        assert_same(&FetchRequest::decode(&mut r, version).unwrap(), &request);
        prop_assert_eq!(r.remaining(), 0);
    }

    #[test]
    fn responses_are_written_alike(seed: u64, version in 0..=18_i16) {
        let mut response = GeneratedResponse::sample(&mut Sample::new(seed), version);
        for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
            // By hand, nothing is empty and never null.
            partition.records.get_or_insert_default();
        }
        let whole =
            encode_response(ApiKey::Fetch, version, 9, |w| response.encode(w, version)).unwrap();
        let parts = by_hand(&response).into_parts(version, 9).unwrap();
        prop_assert_eq!(Bytes::from(parts.concat()), whole);
        prop_assert!(parts.iter().all(|part| !part.is_empty()));
    }
}

#[test]
fn records_go_out_as_they_are() {
    let records = vec![Bytes::from(vec![1; 100]), Bytes::from(vec![2; 50])];
    let partition = FetchedPartition { records: records.clone(), ..Default::default() };
    let topic =
        FetchedTopic { partitions: vec![partition.clone(), partition], ..Default::default() };
    let response = FetchResponse { topics: vec![topic], ..Default::default() };
    let parts = response.into_parts(12, 1).unwrap();
    assert_eq!(parts.len(), 7);
    for (place, record) in [(1, 0), (2, 1), (4, 0), (5, 1)] {
        assert_eq!(parts[place].as_ptr(), records[record].as_ptr());
    }
    let length = u32::from_be_bytes(*parts[0].first_chunk().unwrap()) as usize;
    assert_eq!(length + 4, parts.iter().map(Bytes::len).sum::<usize>());
}

#[test]
fn a_response_too_long_for_its_length_is_refused() {
    let records = vec![Bytes::from(vec![0; 1 << 20]); 2048];
    let partitions = vec![FetchedPartition { records, ..Default::default() }];
    let topics = vec![FetchedTopic { partitions, ..Default::default() }];
    let response = FetchResponse { topics, ..Default::default() };
    assert_eq!(response.into_parts(12, 1), Err(WireError::TooLong(1 << 31)));
}

#[test]
fn versions_are_those_of_the_schema() {
    for version in [Generated::MIN_VERSION - 1, Generated::MAX_VERSION + 1] {
        assert!(FetchRequest::decode(&mut Reader::new(Bytes::new()), version).is_err());
        assert!(FetchResponse::default().into_parts(version, 1).is_err());
    }
}
