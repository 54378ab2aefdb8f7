//! DescribeTopicPartitions: topics page by page (KIP-966).

use std::collections::BTreeSet;

use broker::metadata::Topic;

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_topic_partitions_request::Cursor as AskedCursor;
use crate::wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use crate::wire::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};

/// Most partitions of one answer, whatever the client asks for.
const PAGE_MAX: usize = 2000;

pub(super) async fn handle(
    request: Request<'_>,
    asked: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    for topic in &asked.topics {
        // Kafka always has it. Where it cannot be made, it is not found below.
        drop(request.broker().groups_topic(&topic.name).await);
    }
    let metadata = request.broker().metadata();
    let names: BTreeSet<String> = if asked.topics.is_empty() {
        metadata.listed().map(|(name, _)| name.clone()).collect()
    } else {
        asked.topics.into_iter().map(|topic| topic.name).collect()
    };
    let (from, mut first) = match asked.cursor {
        Some(AskedCursor { topic_name, partition_index, .. }) => {
            (topic_name, partition_index.max(0))
        }
        None => (String::new(), 0),
    };
    let mut left = usize::try_from(asked.response_partition_limit).unwrap_or(0).clamp(1, PAGE_MAX);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.range(from.clone()..) {
        let begin = if *name == from { std::mem::take(&mut first) } else { 0 };
        if left == 0 {
            response.next_cursor =
                Some(Cursor { topic_name: name.clone(), partition_index: begin });
            break;
        }
        let Some(topic) = metadata.topics.get(name) else {
            response.topics.push(unknown(name));
            continue;
        };
        let described = describe(topic, begin, left);
        left -= described.partitions.len();
        let next = begin + i32::try_from(described.partitions.len()).unwrap_or(0);
        response.topics.push(described);
        if usize::try_from(next).is_ok_and(|next| next < topic.partitions.len()) {
            response.next_cursor = Some(Cursor { topic_name: name.clone(), partition_index: next });
            break;
        }
    }
    response
}

fn describe(topic: &Topic, begin: i32, limit: usize) -> DescribeTopicPartitionsResponseTopic {
    let skip = usize::try_from(begin).unwrap_or(0);
    let partition = |(number, partition): (i32, &broker::metadata::Partition)| {
        let leader = partition.leader.0;
        DescribeTopicPartitionsResponsePartition {
            partition_index: number,
            leader_id: leader,
            leader_epoch: partition.leader_epoch,
            replica_nodes: vec![leader],
            isr_nodes: vec![leader],
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            ..DescribeTopicPartitionsResponsePartition::default()
        }
    };
    let partitions = (0..).zip(&topic.partitions).skip(skip).take(limit);
    DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id.to_bytes(),
        is_internal: topic.internal,
        partitions: partitions.map(partition).collect(),
        topic_authorized_operations: map::TOPIC_OPERATIONS,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::UnknownTopicOrPartition.number(),
        name: Some(name.to_owned()),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}
