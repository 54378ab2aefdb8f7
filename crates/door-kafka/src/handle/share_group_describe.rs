//! ShareGroupDescribe: share groups in full, for operators (KIP-932).

use std::collections::HashSet;

use broker::metadata::Metadata;
use broker::queue::consumer_group::Partitions;
use broker::queue::group::GroupState;
use broker::queue::share_group::{ASSIGNOR, ShareDescription, ShareMemberDescription};

use super::Request;
use super::consumer_group_heartbeat::by_topic;
use super::join_group::text;
use crate::map;
use crate::wire::messages::share_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use crate::wire::messages::{ShareGroupDescribeRequest, ShareGroupDescribeResponse};

pub(super) async fn handle(
    request: Request<'_>,
    asked: ShareGroupDescribeRequest,
) -> ShareGroupDescribeResponse {
    let operations = match asked.include_authorized_operations {
        true => map::GROUP_OPERATIONS,
        false => map::NO_OPERATIONS,
    };
    let metadata = request.broker().metadata();
    // Once each: a short request must not make a long response.
    let mut seen = HashSet::new();
    let once = |group: &String| seen.insert(group.clone());
    let groups = asked.group_ids.into_iter().filter(once).map(|group_id| {
        let described = match request.broker().groups().describe_share(&group_id) {
            Ok(description) => describe(description, &metadata),
            Err(error) => DescribedGroup {
                error_code: map::group_error(error).number(),
                error_message: Some(error.to_string()),
                group_state: GroupState::Dead.to_string(),
                group_id,
                ..DescribedGroup::default()
            },
        };
        DescribedGroup { authorized_operations: operations, ..described }
    });
    ShareGroupDescribeResponse { groups: groups.collect(), ..ShareGroupDescribeResponse::default() }
}

fn describe(group: ShareDescription, metadata: &Metadata) -> DescribedGroup {
    DescribedGroup {
        group_id: text(group.group),
        group_state: group.state.to_string(),
        group_epoch: group.epoch,
        assignment_epoch: group.target_epoch,
        assignor_name: ASSIGNOR.to_owned(),
        members: group.members.into_iter().map(|one| member(one, metadata)).collect(),
        ..DescribedGroup::default()
    }
}

fn member(member: ShareMemberDescription, metadata: &Metadata) -> Member {
    Member {
        member_id: text(member.member_id),
        rack_id: member.rack.map(text),
        member_epoch: member.epoch,
        client_id: text(member.client_id),
        client_host: text(member.client_host),
        subscribed_topic_names: member.topics.into_iter().map(text).collect(),
        assignment: assignment(&member.assigned, metadata),
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
