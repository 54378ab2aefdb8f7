//! `entrepot group describe` of a consumer group of the newer protocol (KIP-848).

use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::ConsumerGroupDescribeRequest;
use door_kafka::wire::messages::consumer_group_describe_response::Member;

use crate::CliError;
use crate::client::{Client, ClientError, NEWEST};
use crate::group::{Found, MemberRow, Owners};

/// `None` if there is no such group, as far as the broker knows this kind.
pub(crate) fn find(
    client: &mut Client,
    coordinator: i32,
    name: &str,
) -> Result<Option<Found>, CliError> {
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec![name.to_owned()],
        include_authorized_operations: false,
    };
    let response = match client.call_on(coordinator, &request, NEWEST) {
        // An older broker knows no such groups.
        Err(ClientError::Version { .. }) => return Ok(None),
        response => response?,
    };
    let group = response.groups.into_iter().next().unwrap_or_default();
    if group.error_code == ErrorCode::GroupIdNotFound.number() {
        return Ok(None);
    }
    ClientError::check(format!("group {name}"), group.error_code, group.error_message)?;
    let mut owners = Owners::new();
    let members = group.members.into_iter().map(|member| row(member, &mut owners)).collect();
    Ok(Some(Found {
        group_type: "consumer",
        state: group.group_state,
        protocol_type: "consumer".to_owned(),
        assignor: group.assignor_name,
        members,
        owners,
    }))
}

/// A member, and what it has at present, not what it is to have.
fn row(member: Member, owners: &mut Owners) -> MemberRow {
    let mut partitions = 0;
    for topic in member.assignment.topic_partitions {
        partitions += topic.partitions.len();
        for partition in topic.partitions {
            owners.insert((topic.topic_name.clone(), partition), member.member_id.clone());
        }
    }
    MemberRow {
        member: member.member_id,
        instance: member.instance_id,
        client: member.client_id,
        host: member.client_host,
        epoch: Some(member.member_epoch),
        partitions,
    }
}
