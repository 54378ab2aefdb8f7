//! ConsumerGroupDescribe: consumer groups in full, for operators (KIP-848).

use std::collections::HashSet;

use broker::metadata::Metadata;
use broker::queue::GroupError;
use broker::queue::consumer_group::{ConsumerDescription, ConsumerMemberDescription, Partitions};
use broker::queue::group::GroupState;

use super::Request;
use super::consumer_group_heartbeat::by_topic;
use super::join_group::text;
use crate::map;
use crate::wire::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use crate::wire::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};

/// A member that speaks this protocol, not the classic one.
const CONSUMER_MEMBER: i8 = 1;

pub(super) async fn handle(
    request: Request<'_>,
    asked: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let operations = if asked.include_authorized_operations {
        map::GROUP_OPERATIONS
    } else {
        map::NO_OPERATIONS
    };
    let metadata = request.broker().metadata();
    // Once each: a short request must not make a long response.
    let mut seen = HashSet::new();
    let once = |group: &String| seen.insert(group.clone());
    let groups = asked.group_ids.into_iter().filter(once).map(|group| {
        let described = match request.broker().groups().describe_consumer(&group) {
            Ok(description) => describe(description, &metadata),
            Err(error) => failed(group, error),
        };
        DescribedGroup { authorized_operations: operations, ..described }
    });
    ConsumerGroupDescribeResponse {
        groups: groups.collect(),
        ..ConsumerGroupDescribeResponse::default()
    }
}

fn describe(group: ConsumerDescription, metadata: &Metadata) -> DescribedGroup {
    DescribedGroup {
        group_id: text(group.group),
        group_state: group.state.to_string(),
        group_epoch: group.epoch,
        assignment_epoch: group.target_epoch,
        assignor_name: group.assignor.to_owned(),
        members: group.members.into_iter().map(|one| member(one, metadata)).collect(),
        ..DescribedGroup::default()
    }
}

fn member(member: ConsumerMemberDescription, metadata: &Metadata) -> Member {
    Member {
        member_id: text(member.member_id),
        instance_id: member.instance_id.map(text),
        rack_id: member.rack.map(text),
        member_epoch: member.epoch,
        client_id: text(member.client_id),
        client_host: text(member.client_host),
        subscribed_topic_names: member.topics.into_iter().map(text).collect(),
        subscribed_topic_regex: member.pattern.map(text),
        assignment: assignment(&member.assigned, metadata),
        target_assignment: assignment(&member.target, metadata),
        member_type: CONSUMER_MEMBER,
    }
}

/// A topic that has just been deleted has no name any more, and is left out.
fn assignment(partitions: &Partitions, metadata: &Metadata) -> Assignment {
    let topics = by_topic(partitions).into_iter().filter_map(|(id, partitions)| {
        let topic_name = metadata.topic_by_id(id)?.name.clone();
        Some(TopicPartitions { topic_id: id.to_bytes(), topic_name, partitions })
    });
    Assignment { topic_partitions: topics.collect() }
}

fn failed(group_id: String, error: GroupError) -> DescribedGroup {
    DescribedGroup {
        error_code: map::group_error(error).number(),
        error_message: Some(error.to_string()),
        group_state: GroupState::Dead.to_string(),
        group_id,
        ..DescribedGroup::default()
    }
}
