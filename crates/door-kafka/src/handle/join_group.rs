//! JoinGroup: becomes a member of the group's next generation.

use base::Millis;
use broker::queue::Name;
use broker::queue::group::{JoinRequest, JoinedMember, Protocol};

use super::Request;
use crate::map;
use crate::wire::messages::join_group_response::JoinGroupResponseMember;
use crate::wire::messages::{JoinGroupRequest, JoinGroupResponse};

/// Clients know "member id required" from this version on (KIP-394).
const MEMBER_ID_REQUIRED_FROM: i16 = 4;
/// The protocol's name may be absent from this version on.
const NO_PROTOCOL_FROM: i16 = 7;
/// Clients know "skip the assignment" from this version on (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;

pub(super) async fn handle(request: Request<'_>, asked: JoinGroupRequest) -> JoinGroupResponse {
    let version = request.version();
    match request.broker().groups().join(parse(&request, asked)).await {
        Ok(joined) => JoinGroupResponse {
            generation_id: joined.generation,
            protocol_type: joined.protocol_type.map(text),
            protocol_name: Some(joined.protocol.map(text).unwrap_or_default()),
            leader: text(joined.leader),
            skip_assignment: joined.skip_assignment,
            member_id: text(joined.member_id),
            members: joined.members.into_iter().map(member).collect(),
            ..JoinGroupResponse::default()
        },
        Err(refused) => JoinGroupResponse {
            error_code: map::group_error(refused.error).number(),
            protocol_name: (version < NO_PROTOCOL_FROM).then(String::new),
            member_id: text(refused.member_id),
            ..JoinGroupResponse::default()
        },
    }
}

fn parse(request: &Request<'_>, asked: JoinGroupRequest) -> JoinRequest {
    let version = request.version();
    let session_timeout = Millis::from(asked.session_timeout_ms);
    let protocols = asked.protocols.into_iter();
    JoinRequest {
        group: asked.group_id.into(),
        member_id: asked.member_id.into(),
        instance_id: asked.group_instance_id.map(Name::from),
        client_id: request
            .header
            .client_id
            .as_ref()
            .map_or_else(|| "".into(), |id| id.as_str().into()),
        client_host: request.context.host.clone(),
        session_timeout,
        rebalance_timeout: match asked.rebalance_timeout_ms {
            // Version 0 had no such field.
            -1 => session_timeout,
            timeout => Millis::from(timeout.max(0)),
        },
        protocol_type: asked.protocol_type.into(),
        protocols: protocols
            .map(|p| Protocol { name: p.name.into(), metadata: p.metadata })
            .collect(),
        knows_member_id_required: version >= MEMBER_ID_REQUIRED_FROM,
        knows_skip_assignment: version >= SKIP_ASSIGNMENT_FROM,
        reason: asked.reason.map(Name::from),
    }
}

fn member(member: JoinedMember) -> JoinGroupResponseMember {
    JoinGroupResponseMember {
        member_id: text(member.member_id),
        group_instance_id: member.instance_id.map(text),
        metadata: member.metadata,
    }
}

/// A name of the core as the wire's own string.
#[allow(clippy::needless_pass_by_value, reason = "used as a function of owned names")]
pub(super) fn text(name: Name) -> String {
    name.as_ref().to_owned()
}
