//! Heartbeat: a member of a group lives.

use super::Request;
use crate::map;
use crate::wire::messages::{HeartbeatRequest, HeartbeatResponse};

pub(super) async fn handle(request: Request<'_>, asked: HeartbeatRequest) -> HeartbeatResponse {
    let instance = asked.group_instance_id.as_deref();
    let groups = request.broker().groups();
    let outcome =
        groups.heartbeat(&asked.group_id, &asked.member_id, instance, asked.generation_id);
    HeartbeatResponse { error_code: map::group_code(outcome), ..HeartbeatResponse::default() }
}
