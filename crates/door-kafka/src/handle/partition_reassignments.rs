//! AlterPartitionReassignments and ListPartitionReassignments (KIP-455): a partition lies on its
//! owner alone and is not moved, so what changes nothing is granted and nothing is under way.

use broker::metadata::Partition;

use super::Request;
use crate::wire::ErrorCode;
use crate::wire::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use crate::wire::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

pub(super) async fn handle_alter(
    request: Request<'_>,
    asked: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let topics = asked.topics.into_iter().map(|topic| {
        let open = request.broker().topic(&topic.name);
        let partitions = topic.partitions.into_iter().map(|asked| {
            let number = usize::try_from(asked.partition_index).unwrap_or(usize::MAX);
            let partition = open.as_ref().and_then(|open| open.topic.partitions.get(number));
            let outcome = check(partition, asked.replicas.as_deref());
            let (code, error_message) = match outcome {
                Ok(()) => (ErrorCode::None, None),
                Err((code, text)) => (code, Some(text.to_owned())),
            };
            ReassignablePartitionResponse {
                partition_index: asked.partition_index,
                error_code: code.number(),
                error_message,
            }
        });
        ReassignableTopicResponse { name: topic.name, partitions: partitions.collect() }
    });
    AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: asked.allow_replication_factor_change,
        responses: topics.collect(),
        ..AlterPartitionReassignmentsResponse::default()
    }
}

/// Whether a partition may lie on these brokers; `None` asks to give up a move.
fn check(
    partition: Option<&Partition>,
    replicas: Option<&[i32]>,
) -> Result<(), (ErrorCode, &'static str)> {
    let unknown = (ErrorCode::UnknownTopicOrPartition, "there is no such partition");
    let partition = partition.ok_or(unknown)?;
    match replicas {
        None => Err((ErrorCode::NoReassignmentInProgress, "the partition is not being moved")),
        Some([only]) if *only == partition.leader.0 => Ok(()),
        Some(_) => {
            let text = "a partition lies on its owner alone, once, and stays there";
            Err((ErrorCode::InvalidReplicaAssignment, text))
        }
    }
}

pub(super) async fn handle_list(
    _: Request<'_>,
    _: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default()
}
