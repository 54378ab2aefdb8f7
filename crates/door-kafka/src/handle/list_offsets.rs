//! ListOffsets: the first offset, the next one, or that of a time.

use broker::{OpenTopic, Position};

use super::Request;
use super::fetch::epoch_error;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::list_offsets_request::ListOffsetsPartition;
use crate::wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use crate::wire::messages::{ListOffsetsRequest, ListOffsetsResponse};

/// "What lies in remote storage only" (KIP-1005): nothing does.
const LATEST_TIERED: i64 = -5;

pub(super) async fn handle(request: Request<'_>, asked: ListOffsetsRequest) -> ListOffsetsResponse {
    let mut response = ListOffsetsResponse::default();
    for topic in asked.topics {
        let open = request.broker().topic(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            partitions.push(match &open {
                Some(open) => find(&request, open, partition).await,
                None => failed(partition.partition_index, ErrorCode::UnknownTopicOrPartition),
            });
        }
        response.topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    response
}

async fn find(
    request: &Request<'_>,
    topic: &OpenTopic,
    asked: &ListOffsetsPartition,
) -> ListOffsetsPartitionResponse {
    let index = asked.partition_index;
    let number = usize::try_from(index).unwrap_or(usize::MAX);
    let Some(partition) = topic.topic.partitions.get(number) else {
        return failed(index, ErrorCode::UnknownTopicOrPartition);
    };
    if let Some(code) = epoch_error(asked.current_leader_epoch, partition.leader_epoch) {
        return failed(index, code);
    }
    let position = match asked.timestamp {
        -1 => Position::Latest,
        -2 | -4 => Position::Earliest,
        -3 => Position::LargestTime,
        LATEST_TIERED => return failed(index, ErrorCode::None),
        time if time >= 0 => Position::Time(time),
        _ => return failed(index, ErrorCode::UnsupportedVersion),
    };
    match request.broker().find_offset(topic, index, position).await {
        Ok(None) => failed(index, ErrorCode::None),
        Ok(Some((offset, time))) => ListOffsetsPartitionResponse {
            partition_index: index,
            timestamp: time.unwrap_or(-1),
            offset,
            leader_epoch: partition.leader_epoch,
            ..ListOffsetsPartitionResponse::default()
        },
        Err(error) => failed(index, map::fetch_error(&error)),
    }
}

/// No offset: an error, or none that fits.
fn failed(partition_index: i32, code: ErrorCode) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse {
        partition_index,
        error_code: code.number(),
        ..ListOffsetsPartitionResponse::default()
    }
}
