//! AlterReplicaLogDirs (KIP-113): there is one folder, and everything lies in it.

use std::collections::BTreeMap;

use super::Request;
use crate::wire::ErrorCode;
use crate::wire::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use crate::wire::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};

pub(super) async fn handle(
    request: Request<'_>,
    asked: AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let broker = request.broker();
    // A topic may be named with several folders, and is answered once.
    let mut results: BTreeMap<String, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
    for dir in asked.dirs {
        let is_ours = dir.path == broker.options().data_dir;
        for topic in dir.topics {
            let open = broker.topic(&topic.name);
            let partitions = topic.partitions.into_iter().map(|partition_index| {
                let is_here = open.as_ref().is_some_and(|open| open.log(partition_index).is_some());
                let code = match (is_ours, is_here) {
                    (false, _) => ErrorCode::LogDirNotFound,
                    (true, false) => ErrorCode::ReplicaNotAvailable,
                    (true, true) => ErrorCode::None,
                };
                AlterReplicaLogDirPartitionResult { partition_index, error_code: code.number() }
            });
            results.entry(topic.name).or_default().extend(partitions);
        }
    }
    let topic = |(topic_name, partitions)| AlterReplicaLogDirTopicResult { topic_name, partitions };
    AlterReplicaLogDirsResponse {
        results: results.into_iter().map(topic).collect(),
        ..AlterReplicaLogDirsResponse::default()
    }
}
