//! Requests about what a cluster of several brokers has to arrange.

use broker::access::Operation;

use super::{CLUSTER_DENIED, Guard, Guarded, Verdict, text};
use crate::wire::ErrorCode;
use crate::wire::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use crate::wire::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, DescribeQuorumRequest,
    DescribeQuorumResponse, ElectLeadersRequest, ElectLeadersResponse, ListConfigResourcesRequest,
    ListConfigResourcesResponse, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

/// Requests that take an operation on the cluster, and whose response has an error for the whole
/// of it.
macro_rules! of_cluster {
    ($($request:ident -> $response:ident: $operation:ident $(, $message:ident)?;)*) => {$(
        impl Guarded for $request {
            fn guard(&mut self, guard: &Guard<'_>) -> Verdict<$response> {
                Verdict::pass_if(guard.cluster(Operation::$operation), || $response {
                    error_code: CLUSTER_DENIED,
                    $($message: text(ErrorCode::ClusterAuthorizationFailed),)?
                    ..$response::default()
                })
            }
        }
    )*};
}

of_cluster! {
    DescribeQuorumRequest -> DescribeQuorumResponse: Describe;
    ElectLeadersRequest -> ElectLeadersResponse: Alter;
    AlterPartitionReassignmentsRequest -> AlterPartitionReassignmentsResponse: Alter, error_message;
    ListPartitionReassignmentsRequest -> ListPartitionReassignmentsResponse: Describe, error_message;
    ListConfigResourcesRequest -> ListConfigResourcesResponse: DescribeConfigs;
    UpdateFeaturesRequest -> UpdateFeaturesResponse: Alter, error_message;
}

impl Guarded for AlterReplicaLogDirsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<AlterReplicaLogDirsResponse> {
        Verdict::pass_if(guard.cluster(Operation::Alter), || {
            let denied = |partition_index: &i32| AlterReplicaLogDirPartitionResult {
                partition_index: *partition_index,
                error_code: CLUSTER_DENIED,
            };
            let topics = self.dirs.iter().flat_map(|dir| &dir.topics);
            let results = topics.map(|topic| AlterReplicaLogDirTopicResult {
                topic_name: topic.name.clone(),
                partitions: topic.partitions.iter().map(denied).collect(),
            });
            AlterReplicaLogDirsResponse {
                results: results.collect(),
                ..AlterReplicaLogDirsResponse::default()
            }
        })
    }
}
