//! The response by hand writes what the generated one writes.

use bytes::Bytes;
use proptest::prelude::*;

use crate::wire::messages::ShareFetchResponse as Generated;
use crate::wire::sample::Sample;
use crate::wire::share_fetch::{ShareFetchResponse, ShareFetchedPartition, ShareFetchedTopic};
use crate::wire::{ApiKey, encode_response};

fn by_hand(of: &Generated) -> ShareFetchResponse {
    let topics = of.responses.iter().map(|topic| ShareFetchedTopic {
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|one| ShareFetchedPartition {
                index: one.partition_index,
                error_code: one.error_code,
                error_message: one.error_message.clone(),
                acknowledge_error_code: one.acknowledge_error_code,
                acknowledge_error_message: one.acknowledge_error_message.clone(),
                records: one.records.iter().cloned().collect(),
                acquired: one.acquired_records.clone(),
            })
            .collect(),
    });
    ShareFetchResponse {
        throttle_time_ms: of.throttle_time_ms,
        error_code: of.error_code,
        error_message: of.error_message.clone(),
        lock_timeout_ms: of.acquisition_lock_timeout_ms,
        topics: topics.collect(),
    }
}

proptest! {
    #[test]
    fn responses_are_written_alike(seed: u64, version in 1..=2_i16) {
        let mut response = Generated::sample(&mut Sample::new(seed), version);
        // What we never say.
        response.node_endpoints.clear();
        for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.records.get_or_insert_default();
            partition.current_leader = Default::default();
        }
        let whole =
            encode_response(ApiKey::ShareFetch, version, 9, |w| response.encode(w, version));
        let parts = by_hand(&response).into_parts(version, 9).unwrap();
        prop_assert_eq!(Bytes::from(parts.concat()), whole.unwrap());
    }
}
