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

/// That there is no such group is told from this version on (KIP-848).
const NOT_FOUND_FROM: i16 = 9;
/// Topics are named by id from this version on (KIP-848).
const TOPIC_IDS_FROM: i16 = 10;

pub(super) async fn handle(
    request: Request<'_>,
    asked: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let mut response = OffsetCommitResponse::default();
    let mut offsets = Vec::new();
    for topic in asked.topics {
        let id = Some(topic.topic_id).filter(|_| request.version() >= TOPIC_IDS_FROM);
        let open = request.find_topic(&topic.name, id);
        let name: Name = open.as_ref().map_or("", |open| open.topic.name.as_str()).into();
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let refused = match &open {
                Ok(topic) if topic.log(partition.partition_index).is_some() => ErrorCode::None,
                Ok(_) => ErrorCode::UnknownTopicOrPartition,
                Err(code) => *code,
            };
            partitions.push(OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: refused.number(),
            });
            if refused == ErrorCode::None {
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
            topic_id: topic.topic_id,
            partitions,
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
            let code = match map::group_error(error) {
                // To an older client, a group that is not there is a generation that has passed.
                ErrorCode::GroupIdNotFound if request.version() < NOT_FOUND_FROM => {
                    ErrorCode::IllegalGeneration
                }
                code => code,
            };
            accepted.for_each(|partition| partition.error_code = code.number());
        }
    }
    response
}
