//! AddPartitionsToTxn: partitions take part in a transaction (KIP-98). From version 4 on the
//! request is between brokers, and not offered.

use broker::queue::transactions::{TxnPartition, TxnProducer};

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use crate::wire::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use crate::wire::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

/// "Fenced" has an error of its own from this version on (KIP-588).
const FENCED_FROM: i16 = 2;

pub(super) async fn handle(
    request: Request<'_>,
    asked: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let topics = asked.v3_and_below_topics;
    let missing = |topic: &str, partition: i32| {
        request.broker().topic(topic).is_none_or(|topic| topic.log(partition).is_none())
    };
    // All or none: a transaction that lacks a partition would be refused later, less clearly.
    let any_missing =
        topics.iter().any(|topic| topic.partitions.iter().any(|p| missing(&topic.name, *p)));
    let code = if any_missing {
        ErrorCode::OperationNotAttempted
    } else {
        let producer = TxnProducer {
            id: asked.v3_and_below_producer_id,
            epoch: asked.v3_and_below_producer_epoch,
        };
        let id = asked.v3_and_below_transactional_id.into();
        let partitions = topics.iter().flat_map(partitions).collect();
        let outcome = request.broker().groups().add_partitions(&id, producer, partitions).await;
        map::txn_code(outcome, request.version() >= FENCED_FROM)
    };
    let results = topics.into_iter().map(|topic| {
        let result = |partition: i32| AddPartitionsToTxnPartitionResult {
            partition_index: partition,
            partition_error_code: if missing(&topic.name, partition) {
                ErrorCode::UnknownTopicOrPartition.number()
            } else {
                code.number()
            },
        };
        let results_by_partition = topic.partitions.iter().copied().map(result).collect();
        AddPartitionsToTxnTopicResult { name: topic.name.clone(), results_by_partition }
    });
    AddPartitionsToTxnResponse {
        results_by_topic_v3_and_below: results.collect(),
        ..AddPartitionsToTxnResponse::default()
    }
}

fn partitions(topic: &AddPartitionsToTxnTopic) -> impl Iterator<Item = TxnPartition> {
    let name: broker::queue::Name = topic.name.as_str().into();
    topic.partitions.iter().map(move |p| TxnPartition { topic: name.clone(), partition: *p })
}
