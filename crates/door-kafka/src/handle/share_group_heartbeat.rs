//! ShareGroupHeartbeat: a member of a share group joins, lives or leaves (KIP-932).

use broker::queue::Name;
use broker::queue::share_group::{ShareHeartbeat, ShareHeartbeatRequest};

use super::Request;
use super::consumer_group_heartbeat::by_topic;
use crate::map;
use crate::wire::messages::share_group_heartbeat_response::{Assignment, TopicPartitions};
use crate::wire::messages::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};

pub(super) async fn handle(
    request: Request<'_>,
    asked: ShareGroupHeartbeatRequest,
) -> ShareGroupHeartbeatResponse {
    let broker = request.broker();
    let config = broker.group_config(&asked.group_id);
    let client_id = request.header.client_id.as_ref();
    let member_id = asked.member_id.clone();
    let heartbeat = ShareHeartbeatRequest {
        group: asked.group_id.into(),
        member_id: asked.member_id.into(),
        epoch: asked.member_epoch,
        rack: asked.rack_id.map(Name::from),
        client_id: client_id.map_or_else(|| "".into(), |id| id.as_str().into()),
        client_host: request.context.host.clone(),
        topics: asked.subscribed_topic_names.map(|t| t.into_iter().map(Name::from).collect()),
        session: config.share_session,
        members_max: broker.options().share_members_max,
    };
    match broker.groups().share_heartbeat(heartbeat) {
        Ok(heartbeat) => ShareGroupHeartbeatResponse {
            member_id: Some(member_id),
            heartbeat_interval_ms: i32::try_from(config.share_heartbeat).unwrap_or(i32::MAX),
            ..answer(heartbeat)
        },
        Err(error) => ShareGroupHeartbeatResponse {
            error_code: map::group_error(error).number(),
            error_message: Some(error.to_string()),
            ..ShareGroupHeartbeatResponse::default()
        },
    }
}

fn answer(heartbeat: ShareHeartbeat) -> ShareGroupHeartbeatResponse {
    let assignment = heartbeat.assignment.map(|partitions| {
        let topics = by_topic(&partitions)
            .into_iter()
            .map(|(id, partitions)| TopicPartitions { topic_id: id.to_bytes(), partitions });
        Assignment { topic_partitions: topics.collect() }
    });
    ShareGroupHeartbeatResponse {
        member_epoch: heartbeat.epoch,
        assignment,
        ..ShareGroupHeartbeatResponse::default()
    }
}
