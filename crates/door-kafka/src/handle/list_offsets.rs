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

/// Isolation level: only what is committed.
const READ_COMMITTED: i8 = 1;
/// "The last that lies in remote storage" (KIP-1005), and "the first that is to be put there"
/// (KIP-1023): nothing ever is.
const TIERED: [i64; 2] = [-5, -6];
/// "The one that the next record gets."
const LATEST: i64 = -1;
/// "The first that can be read."
const EARLIEST: i64 = -2;
/// "The one with the largest time."
const LARGEST: i64 = -3;
/// One offset from this version on, a list of them before.
const ONE_FROM: i16 = 1;

pub(super) async fn handle(request: Request<'_>, asked: ListOffsetsRequest) -> ListOffsetsResponse {
    let committed = asked.isolation_level == READ_COMMITTED;
    let mut response = ListOffsetsResponse::default();
    for topic in asked.topics {
        let open = request.broker().topic(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            partitions.push(match &open {
                Some(open) if request.version() < ONE_FROM => list(&request, open, partition).await,
                Some(open) => find(&request, open, partition, committed).await,
                None => failed(partition.partition_index, ErrorCode::UnknownTopicOrPartition),
            });
        }
        response.topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    response
}

/// The answer of version 0: offsets from which a consumer may begin so that it reads all from the
/// time asked for on, the latest first. Brokers of that age knew only where their segments begin;
/// this one knows the offset, and where the partition begins.
async fn list(
    request: &Request<'_>,
    topic: &OpenTopic,
    asked: &ListOffsetsPartition,
) -> ListOffsetsPartitionResponse {
    let at = |timestamp| ListOffsetsPartition { timestamp, ..asked.clone() };
    let mut found = find(request, topic, asked, false).await;
    if found.error_code != ErrorCode::None.number() {
        return found;
    }
    if found.offset < 0 {
        // All records are older, or have no time and may be younger.
        let newest = find(request, topic, &at(LARGEST), false).await;
        let instead = if newest.timestamp < 0 { EARLIEST } else { LATEST };
        found = find(request, topic, &at(instead), false).await;
    }
    let first = find(request, topic, &at(EARLIEST), false).await;
    let most = usize::try_from(asked.max_num_offsets).unwrap_or(0);
    let mut offsets = vec![found.offset, first.offset];
    offsets.dedup();
    offsets.retain(|offset| *offset >= 0);
    offsets.truncate(most);
    ListOffsetsPartitionResponse { old_style_offsets: offsets, ..found }
}

async fn find(
    request: &Request<'_>,
    topic: &OpenTopic,
    asked: &ListOffsetsPartition,
    committed: bool,
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
        LATEST if committed => Position::Stable,
        LATEST => Position::Latest,
        EARLIEST | -4 => Position::Earliest,
        LARGEST => Position::LargestTime,
        tiered if TIERED.contains(&tiered) => return failed(index, ErrorCode::None),
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
