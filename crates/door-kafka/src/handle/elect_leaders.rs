//! ElectLeaders (KIP-183, KIP-460): every partition has one owner, so none needs another.

use super::Request;
use crate::wire::ErrorCode;
use crate::wire::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use crate::wire::messages::{ElectLeadersRequest, ElectLeadersResponse};

/// Elections of the preferred leader, and of one that may have lost records.
const KINDS: [i8; 2] = [0, 1];

pub(super) async fn handle(
    request: Request<'_>,
    asked: ElectLeadersRequest,
) -> ElectLeadersResponse {
    if !KINDS.contains(&asked.election_type) {
        return ElectLeadersResponse {
            error_code: ErrorCode::InvalidRequest.number(),
            ..ElectLeadersResponse::default()
        };
    }
    // Who asks for all partitions is told those that got another leader: none.
    let topics = asked.topic_partitions.unwrap_or_default().into_iter().map(|topic| {
        let open = request.broker().topic(&topic.topic);
        let partition = |partition_id: i32| {
            let (code, text) = match open.as_ref().and_then(|open| open.log(partition_id)) {
                Some(_) => (ErrorCode::ElectionNotNeeded, "the partition has its leader"),
                None => (ErrorCode::UnknownTopicOrPartition, "there is no such partition"),
            };
            PartitionResult {
                partition_id,
                error_code: code.number(),
                error_message: Some(text.to_owned()),
            }
        };
        ReplicaElectionResult {
            partition_result: topic.partitions.iter().map(|index| partition(*index)).collect(),
            topic: topic.topic,
        }
    });
    ElectLeadersResponse {
        replica_election_results: topics.collect(),
        ..ElectLeadersResponse::default()
    }
}
