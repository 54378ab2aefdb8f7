//! OffsetForLeaderEpoch: where an owner's records end (KIP-101, KIP-320).

use super::Request;
use super::fetch::epoch_error;
use crate::wire::ErrorCode;
use crate::wire::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use crate::wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use crate::wire::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

pub(super) async fn handle(
    request: Request<'_>,
    asked: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut response = OffsetForLeaderEpochResponse::default();
    for topic in asked.topics {
        let open = request.broker().topic(&topic.topic);
        let one = |partition: &OffsetForLeaderPartition| match &open {
            Some(open) => find(open, partition),
            None => failed(partition.partition, ErrorCode::UnknownTopicOrPartition),
        };
        let partitions = topic.partitions.iter().map(one).collect();
        response.topics.push(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
    }
    response
}

fn find(topic: &broker::OpenTopic, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let number = usize::try_from(asked.partition).unwrap_or(usize::MAX);
    let (Some(log), Some(partition)) =
        (topic.log(asked.partition), topic.topic.partitions.get(number))
    else {
        return failed(asked.partition, ErrorCode::UnknownTopicOrPartition);
    };
    if let Some(code) = epoch_error(asked.current_leader_epoch, partition.leader_epoch) {
        return failed(asked.partition, code);
    }
    // Ownership of a log has not moved yet anywhere: its one epoch reaches to its end. An epoch
    // that never was has no end, which the defaults say.
    if asked.leader_epoch != partition.leader_epoch {
        return failed(asked.partition, ErrorCode::None);
    }
    EpochEndOffset {
        partition: asked.partition,
        leader_epoch: partition.leader_epoch,
        end_offset: log.range().end,
        ..EpochEndOffset::default()
    }
}

fn failed(partition: i32, code: ErrorCode) -> EpochEndOffset {
    EpochEndOffset { partition, error_code: code.number(), ..EpochEndOffset::default() }
}
