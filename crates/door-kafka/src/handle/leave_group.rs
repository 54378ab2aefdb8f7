//! LeaveGroup: members leave; several at once from version 3 on (KIP-345).

use broker::queue::Name;
use broker::queue::group::{LeaveRequest, Leaver};

use super::Request;
use crate::map;
use crate::wire::messages::leave_group_response::MemberResponse;
use crate::wire::messages::{LeaveGroupRequest, LeaveGroupResponse};

const SEVERAL_FROM: i16 = 3;

pub(super) async fn handle(request: Request<'_>, asked: LeaveGroupRequest) -> LeaveGroupResponse {
    let several = request.version() >= SEVERAL_FROM;
    let leavers = if several {
        let members = asked.members.iter();
        let leaver = |m: &crate::wire::messages::leave_group_request::MemberIdentity| Leaver {
            member_id: m.member_id.as_str().into(),
            instance_id: m.group_instance_id.as_deref().map(Name::from),
            reason: m.reason.as_deref().map(Name::from),
        };
        members.map(leaver).collect()
    } else {
        vec![Leaver { member_id: asked.member_id.as_str().into(), instance_id: None, reason: None }]
    };
    let leave = LeaveRequest { group: asked.group_id.into(), leavers };
    let outcomes = match request.broker().groups().leave(&leave) {
        Ok(outcomes) => outcomes,
        Err(error) => {
            let error_code = map::group_error(error).number();
            return LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
        }
    };
    if !several {
        let error_code = outcomes.into_iter().map(map::group_code).next().unwrap_or_default();
        return LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
    }
    let member =
        |(member, outcome): (crate::wire::messages::leave_group_request::MemberIdentity, _)| {
            MemberResponse {
                member_id: member.member_id,
                group_instance_id: member.group_instance_id,
                error_code: map::group_code(outcome),
            }
        };
    let members = asked.members.into_iter().zip(outcomes).map(member).collect();
    LeaveGroupResponse { members, ..LeaveGroupResponse::default() }
}
