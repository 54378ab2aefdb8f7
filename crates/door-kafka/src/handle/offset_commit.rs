//! OffsetCommit: how far a group has read.

use broker::queue::Name;
use broker::queue::offsets::{CommitRequest, OffsetCommit};

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::wire::messages::{OffsetCommitRequest, OffsetCommitResponse};

pub(super) async fn handle(
    request: Request<'_>,
    asked: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let mut response = OffsetCommitResponse::default();
    let mut offsets = Vec::new();
    for topic in asked.topics {
        let name: Name = topic.name.as_str().into();
        let open = request.broker().topic(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let known = open.as_ref().is_some_and(|t| t.log(partition.partition_index).is_some());
            let refused = if known { ErrorCode::None } else { ErrorCode::UnknownTopicOrPartition };
            partitions.push(OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: refused.number(),
            });
            if known {
                offsets.push(OffsetCommit {
                    topic: name.clone(),
                    partition: partition.partition_index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    note: partition.committed_metadata.unwrap_or_default().into(),
                });
            }
        }
        response.topics.push(OffsetCommitResponseTopic {
            name: topic.name,
            partitions,
            ..Default::default()
        });
    }
    let commit = CommitRequest {
        group: asked.group_id.into(),
        member_id: asked.member_id.into(),
        instance_id: asked.group_instance_id.map(Name::from),
        generation: asked.generation_id_or_member_epoch,
        retention: Some(asked.retention_time_ms).filter(|time| *time >= 0),
        offsets,
    };
    let outcome = request.broker().groups().commit(commit).await;
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    let accepted = partitions.filter(|p| p.error_code == ErrorCode::None.number());
    match outcome {
        Ok(outcomes) => {
            accepted.zip(outcomes).for_each(|(p, one)| p.error_code = map::group_code(one));
        }
        Err(error) => {
            // A group without such a member, to a committer, is a generation that has passed.
            let code = match map::group_error(error) {
                ErrorCode::GroupIdNotFound => ErrorCode::IllegalGeneration,
                code => code,
            };
            accepted.for_each(|partition| partition.error_code = code.number());
        }
    }
    response
}
