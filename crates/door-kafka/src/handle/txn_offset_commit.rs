//! TxnOffsetCommit: offsets that are committed if the transaction is (KIP-98, KIP-447).

use broker::AddOffsetsError;
use broker::queue::offsets::{CommitRequest, OffsetCommit};
use broker::queue::transactions::TxnProducer;
use broker::queue::{GroupError, Name};

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use crate::wire::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

/// Topics are named by id, and more errors are known, from this version on (KIP-1319).
const TOPIC_IDS_FROM: i16 = 6;

pub(super) async fn handle(
    request: Request<'_>,
    asked: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let mut topics = Vec::with_capacity(asked.topics.len());
    let mut offsets = Vec::new();
    for topic in asked.topics {
        let id = Some(topic.topic_id).filter(|_| request.version() >= TOPIC_IDS_FROM);
        let open = request.find_topic(&topic.name, id);
        let name: Name = open.as_ref().map_or("", |open| open.topic.name.as_str()).into();
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let index = partition.partition_index;
            let code = match &open {
                Ok(topic) if topic.log(index).is_some() => ErrorCode::None,
                Ok(_) => ErrorCode::UnknownTopicOrPartition,
                Err(code) => *code,
            };
            partitions.push(TxnOffsetCommitResponsePartition {
                partition_index: index,
                error_code: code.number(),
            });
            if code == ErrorCode::None {
                offsets.push(OffsetCommit {
                    topic: name.clone(),
                    partition: index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    note: partition.committed_metadata.unwrap_or_default().into(),
                });
            }
        }
        let (name, topic_id) = (topic.name, topic.topic_id);
        topics.push(TxnOffsetCommitResponseTopic { name, topic_id, partitions });
    }
    let commit = CommitRequest {
        group: asked.group_id.into(),
        member_id: asked.member_id.into(),
        instance_id: asked.group_instance_id.map(Name::from),
        generation: asked.generation_id,
        retention: None,
        offsets,
    };
    let id = asked.transactional_id.into();
    let producer = TxnProducer { id: asked.producer_id, epoch: asked.producer_epoch };
    let outcome = request.broker().groups().add_offsets(&id, producer, commit).await;
    let accepted = topics
        .iter_mut()
        .flat_map(|topic| &mut topic.partitions)
        .filter(|partition| partition.error_code == ErrorCode::None.number());
    match outcome {
        Ok(each) => accepted.zip(each).for_each(|(p, one)| p.error_code = map::group_code(one)),
        Err(error) => {
            let code = match error {
                // What transactional producers know of epochs that have passed.
                AddOffsetsError::Group(GroupError::StaleEpoch | GroupError::NotFound)
                    if request.version() < TOPIC_IDS_FROM =>
                {
                    ErrorCode::IllegalGeneration
                }
                AddOffsetsError::Group(error) => map::group_error(error),
                AddOffsetsError::Transaction(error) => map::txn_error(error, true),
            };
            accepted.for_each(|partition| partition.error_code = code.number());
        }
    }
    TxnOffsetCommitResponse { topics, ..TxnOffsetCommitResponse::default() }
}
