//! DescribeShareGroupOffsets, AlterShareGroupOffsets, DeleteShareGroupOffsets: where share groups
//! stand (KIP-932).

use std::collections::BTreeMap;

use base::TopicId;
use broker::queue::Name;
use broker::queue::shared::Position;

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequestTopic;
use crate::wire::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponsePartition, AlterShareGroupOffsetsResponseTopic,
};
use crate::wire::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic;
use crate::wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use crate::wire::messages::describe_share_group_offsets_response::{
    DescribeShareGroupOffsetsResponseGroup, DescribeShareGroupOffsetsResponsePartition,
    DescribeShareGroupOffsetsResponseTopic,
};
use crate::wire::messages::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, DeleteShareGroupOffsetsRequest,
    DeleteShareGroupOffsetsResponse, DescribeShareGroupOffsetsRequest,
    DescribeShareGroupOffsetsResponse,
};

/// No offset, or none that is known.
const NONE: i64 = -1;

pub(super) async fn handle_describe(
    request: Request<'_>,
    asked: DescribeShareGroupOffsetsRequest,
) -> DescribeShareGroupOffsetsResponse {
    let groups = asked.groups.into_iter().map(|group| describe(&request, group));
    DescribeShareGroupOffsetsResponse {
        groups: groups.collect(),
        ..DescribeShareGroupOffsetsResponse::default()
    }
}

fn describe(
    request: &Request<'_>,
    asked: DescribeShareGroupOffsetsRequestGroup,
) -> DescribeShareGroupOffsetsResponseGroup {
    let group_id = asked.group_id;
    let groups = request.broker().groups();
    if let Err(error) = groups.describe_share(&group_id) {
        return DescribeShareGroupOffsetsResponseGroup {
            group_id,
            error_code: map::group_error(error).number(),
            error_message: Some(error.to_string()),
            ..DescribeShareGroupOffsetsResponseGroup::default()
        };
    }
    let mut positions: BTreeMap<TopicId, BTreeMap<i32, Position>> = BTreeMap::new();
    for (key, position) in groups.positions(&group_id) {
        positions.entry(key.topic).or_default().insert(key.partition, position);
    }
    let metadata = request.broker().metadata();
    let wanted = asked.topics.unwrap_or_else(|| {
        // All that there are.
        let topic = |(id, of): (&TopicId, &BTreeMap<i32, Position>)| {
            let topic_name = metadata.topic_by_id(*id)?.name.clone();
            let partitions = of.keys().copied().collect();
            Some(DescribeShareGroupOffsetsRequestTopic { topic_name, partitions })
        };
        positions.iter().filter_map(topic).collect()
    });
    let topics = wanted.into_iter().map(|topic| {
        let id = metadata.topics.get(&topic.topic_name).map(|topic| topic.id);
        let of = id.and_then(|id| positions.get(&id));
        let partitions = topic.partitions.into_iter().map(|partition| {
            let position = of.and_then(|of| of.get(&partition));
            of_partition(request, &topic.topic_name, partition, position)
        });
        DescribeShareGroupOffsetsResponseTopic {
            partitions: partitions.collect(),
            topic_id: id.unwrap_or(TopicId::NONE).to_bytes(),
            topic_name: topic.topic_name,
        }
    });
    DescribeShareGroupOffsetsResponseGroup {
        topics: topics.collect(),
        group_id,
        ..DescribeShareGroupOffsetsResponseGroup::default()
    }
}

fn of_partition(
    request: &Request<'_>,
    topic: &str,
    partition_index: i32,
    position: Option<&Position>,
) -> DescribeShareGroupOffsetsResponsePartition {
    let open = request.broker().topic(topic);
    let log = open.as_ref().and_then(|open| open.log(partition_index));
    let Some(log) = log else {
        return DescribeShareGroupOffsetsResponsePartition {
            partition_index,
            start_offset: NONE,
            lag: NONE,
            error_code: ErrorCode::UnknownTopicOrPartition.number(),
            ..DescribeShareGroupOffsetsResponsePartition::default()
        };
    };
    let lag = |position: &Position| {
        let left = log.range().end.saturating_sub(position.start);
        left.saturating_sub_unsigned(position.done).max(0)
    };
    DescribeShareGroupOffsetsResponsePartition {
        partition_index,
        start_offset: position.map_or(NONE, |position| position.start),
        lag: position.map_or(NONE, lag),
        ..DescribeShareGroupOffsetsResponsePartition::default()
    }
}

pub(super) async fn handle_alter(
    request: Request<'_>,
    asked: AlterShareGroupOffsetsRequest,
) -> AlterShareGroupOffsetsResponse {
    let mut starts = Vec::new();
    let topics = asked.topics.into_iter().map(|topic| prepare(&request, topic, &mut starts));
    let responses = topics.collect();
    let group = Name::from(asked.group_id);
    match request.broker().groups().reset_shared(&group, starts).await {
        Ok(()) => AlterShareGroupOffsetsResponse {
            responses,
            ..AlterShareGroupOffsetsResponse::default()
        },
        Err(error) => AlterShareGroupOffsetsResponse {
            error_code: map::group_error(error).number(),
            error_message: Some(error.to_string()),
            ..AlterShareGroupOffsetsResponse::default()
        },
    }
}

/// Adds a topic's partitions to those to be set; the answer is about those that cannot be.
fn prepare(
    request: &Request<'_>,
    topic: AlterShareGroupOffsetsRequestTopic,
    starts: &mut Vec<(TopicId, i32, i64)>,
) -> AlterShareGroupOffsetsResponseTopic {
    let open = request.broker().topic(&topic.topic_name);
    let partitions = topic.partitions.into_iter().map(|partition| {
        let partition_index = partition.partition_index;
        let found = open.as_ref().filter(|open| open.log(partition_index).is_some());
        let code = match found {
            None => ErrorCode::UnknownTopicOrPartition,
            Some(_) if partition.start_offset < 0 => ErrorCode::OffsetOutOfRange,
            Some(open) => {
                starts.push((open.topic.id, partition_index, partition.start_offset));
                ErrorCode::None
            }
        };
        AlterShareGroupOffsetsResponsePartition {
            partition_index,
            error_code: code.number(),
            error_message: None,
        }
    });
    AlterShareGroupOffsetsResponseTopic {
        partitions: partitions.collect(),
        topic_id: open.as_ref().map_or(TopicId::NONE, |open| open.topic.id).to_bytes(),
        topic_name: topic.topic_name,
    }
}

pub(super) async fn handle_delete(
    request: Request<'_>,
    asked: DeleteShareGroupOffsetsRequest,
) -> DeleteShareGroupOffsetsResponse {
    let group = Name::from(asked.group_id);
    let mut response = DeleteShareGroupOffsetsResponse::default();
    for topic in asked.topics {
        let id = request.broker().topic(&topic.topic_name).map(|open| open.topic.id);
        let outcome = match id {
            // Names the group's error even if it is about no topic that there is.
            None => request.broker().groups().forget_shared(&group, TopicId::NONE).await,
            Some(id) => request.broker().groups().forget_shared(&group, id).await,
        };
        if let Err(error) = outcome {
            return DeleteShareGroupOffsetsResponse {
                error_code: map::group_error(error).number(),
                error_message: Some(error.to_string()),
                ..DeleteShareGroupOffsetsResponse::default()
            };
        }
        let code = id.map_or(ErrorCode::UnknownTopicOrPartition, |_| ErrorCode::None);
        response.responses.push(DeleteShareGroupOffsetsResponseTopic {
            topic_id: id.unwrap_or(TopicId::NONE).to_bytes(),
            topic_name: topic.topic_name,
            error_code: code.number(),
            error_message: None,
        });
    }
    response
}
