//! SyncGroup: brings the assignment (the leader) or fetches it.

use broker::queue::Name;
use broker::queue::group::SyncRequest;

use super::Request;
use super::join_group::text;
use crate::map;
use crate::wire::messages::{SyncGroupRequest, SyncGroupResponse};

pub(super) async fn handle(request: Request<'_>, asked: SyncGroupRequest) -> SyncGroupResponse {
    let assignments = asked.assignments.into_iter();
    let sync = SyncRequest {
        group: asked.group_id.into(),
        member_id: asked.member_id.into(),
        instance_id: asked.group_instance_id.map(Name::from),
        generation: asked.generation_id,
        protocol_type: asked.protocol_type.map(Name::from),
        protocol: asked.protocol_name.map(Name::from),
        assignments: assignments.map(|a| (a.member_id.into(), a.assignment)).collect(),
    };
    match request.broker().groups().sync(sync).await {
        Ok(synced) => SyncGroupResponse {
            protocol_type: synced.protocol_type.map(text),
            protocol_name: synced.protocol.map(text),
            assignment: synced.assignment,
            ..SyncGroupResponse::default()
        },
        Err(error) => SyncGroupResponse {
            error_code: map::group_error(error).number(),
            ..SyncGroupResponse::default()
        },
    }
}
