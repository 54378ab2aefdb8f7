//! DescribeGroups: groups in full, for operators.

use std::collections::HashSet;

use broker::queue::GroupError;
use broker::queue::group::{Description, GroupState, MemberDescription};

use super::Request;
use super::join_group::text;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use crate::wire::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

/// "No such group" is an error from this version on (KIP-1043); before, such a group is dead.
const NOT_FOUND_FROM: i16 = 6;

pub(super) async fn handle(
    request: Request<'_>,
    asked: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let operations = if asked.include_authorized_operations {
        map::GROUP_OPERATIONS
    } else {
        map::NO_OPERATIONS
    };
    // Once each: a short request must not make a long response.
    let mut seen = HashSet::new();
    let once = |group: &String| seen.insert(group.clone());
    let groups = asked.groups.into_iter().filter(once).map(|group| {
        let described = match request.broker().groups().describe(&group) {
            Ok(description) => describe(description),
            Err(error) => failed(group, error, request.version()),
        };
        DescribedGroup { authorized_operations: operations, ..described }
    });
    DescribeGroupsResponse { groups: groups.collect(), ..DescribeGroupsResponse::default() }
}

fn describe(group: Description) -> DescribedGroup {
    DescribedGroup {
        group_id: text(group.group),
        group_state: group.state.to_string(),
        protocol_type: group.protocol_type.map(text).unwrap_or_default(),
        protocol_data: group.protocol.map(text).unwrap_or_default(),
        members: group.members.into_iter().map(member).collect(),
        ..DescribedGroup::default()
    }
}

fn member(member: MemberDescription) -> DescribedGroupMember {
    DescribedGroupMember {
        member_id: text(member.member_id),
        group_instance_id: member.instance_id.map(text),
        client_id: text(member.client_id),
        client_host: text(member.client_host),
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    }
}

fn failed(group_id: String, error: GroupError, version: i16) -> DescribedGroup {
    let dead = GroupState::Dead.to_string();
    match error {
        GroupError::NotFound if version < NOT_FOUND_FROM => {
            DescribedGroup { group_id, group_state: dead, ..DescribedGroup::default() }
        }
        error => {
            let code: ErrorCode = map::group_error(error);
            DescribedGroup {
                error_code: code.number(),
                error_message: Some(error.to_string()),
                group_state: dead,
                group_id,
                ..DescribedGroup::default()
            }
        }
    }
}
