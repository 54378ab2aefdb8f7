//! DescribeProducers: who produced to a partition with numbers, and which transactions are open
//! there (KIP-664).

use std::collections::HashSet;

use broker::store::ProducerStatus;

use super::Request;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use crate::wire::messages::{DescribeProducersRequest, DescribeProducersResponse};

pub(super) async fn handle(
    request: Request<'_>,
    asked: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut response = DescribeProducersResponse::default();
    // Once each: a short request must not make a long response.
    let mut seen = HashSet::new();
    for topic in asked.topics {
        let open = request.broker().topic(&topic.name);
        let mut partitions = Vec::new();
        for index in topic.partition_indexes {
            if !seen.insert((topic.name.clone(), index)) {
                continue;
            }
            let log = open.as_ref().and_then(|open| open.log(index));
            partitions.push(match log {
                Some(log) => PartitionResponse {
                    partition_index: index,
                    active_producers: log.producers().into_iter().map(describe).collect(),
                    ..PartitionResponse::default()
                },
                None => PartitionResponse {
                    partition_index: index,
                    error_code: ErrorCode::UnknownTopicOrPartition.number(),
                    ..PartitionResponse::default()
                },
            });
        }
        if !partitions.is_empty() {
            response.topics.push(TopicResponse { name: topic.name, partitions });
        }
    }
    response
}

fn describe(producer: ProducerStatus) -> ProducerState {
    ProducerState {
        producer_id: producer.id,
        producer_epoch: producer.epoch.into(),
        last_sequence: producer.last_sequence.unwrap_or(-1),
        last_timestamp: producer.last_seen,
        // Written into every marker: a transaction never changes its coordinator.
        coordinator_epoch: 0,
        current_txn_start_offset: producer.open_from.unwrap_or(-1),
    }
}
