//! ConsumerGroupHeartbeat: a member of a consumer group joins, lives or leaves (KIP-848).

use std::collections::BTreeMap;

use base::{Millis, TopicId};
use broker::queue::consumer_group::{Heartbeat, HeartbeatRequest, JOIN_EPOCH, Partitions, Timing};
use broker::queue::{GroupError, Name};

use super::Request;
use super::join_group::text;
use crate::map;
use crate::wire::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use crate::wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

/// Clients make up their member ids from this version on (KIP-1082).
const OWN_MEMBER_ID_FROM: i16 = 1;

pub(super) async fn handle(
    request: Request<'_>,
    asked: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    let nameless = asked.member_id.is_empty() && asked.member_epoch == JOIN_EPOCH;
    let outcome = if nameless && request.version() >= OWN_MEMBER_ID_FROM {
        Err(GroupError::InvalidHeartbeat)
    } else {
        request.broker().groups().consumer_heartbeat(parse(&request, asked)).await
    };
    match outcome {
        Ok(heartbeat) => answer(heartbeat),
        Err(error) => ConsumerGroupHeartbeatResponse {
            error_code: map::group_error(error).number(),
            error_message: Some(error.to_string()),
            ..ConsumerGroupHeartbeatResponse::default()
        },
    }
}

fn parse(request: &Request<'_>, asked: ConsumerGroupHeartbeatRequest) -> HeartbeatRequest {
    let owned = asked.topic_partitions.map(|topics| {
        let of_topic =
            |topic: crate::wire::messages::consumer_group_heartbeat_request::TopicPartitions| {
                let id = TopicId::from_bytes(topic.topic_id);
                topic.partitions.into_iter().map(move |partition| (id, partition))
            };
        topics.into_iter().flat_map(of_topic).collect::<Partitions>()
    });
    let config = request.broker().group_config(&asked.group_id);
    let client_id = request.header.client_id.as_ref();
    HeartbeatRequest {
        group: asked.group_id.into(),
        member_id: asked.member_id.into(),
        epoch: asked.member_epoch,
        instance_id: asked.instance_id.map(Name::from),
        rack: asked.rack_id.map(Name::from),
        client_id: client_id.map_or_else(|| "".into(), |id| id.as_str().into()),
        client_host: request.context.host.clone(),
        // -1: has not changed.
        rebalance_timeout: Some(asked.rebalance_timeout_ms).filter(|t| *t != -1).map(Millis::from),
        topics: asked.subscribed_topic_names.map(|t| t.into_iter().map(Name::from).collect()),
        pattern: asked.subscribed_topic_regex.map(Name::from),
        assignor: asked.server_assignor.map(Name::from),
        owned,
        timing: Some(Timing {
            session: config.consumer_session,
            interval: config.consumer_heartbeat,
        }),
        sight: request.context.actor.sight(),
    }
}

fn answer(heartbeat: Heartbeat) -> ConsumerGroupHeartbeatResponse {
    let assignment = heartbeat.assignment.map(|partitions| {
        let topics = by_topic(&partitions)
            .into_iter()
            .map(|(id, partitions)| TopicPartitions { topic_id: id.to_bytes(), partitions });
        Assignment { topic_partitions: topics.collect() }
    });
    ConsumerGroupHeartbeatResponse {
        member_id: Some(text(heartbeat.member_id)),
        member_epoch: heartbeat.epoch,
        heartbeat_interval_ms: i32::try_from(heartbeat.interval).unwrap_or(i32::MAX),
        assignment,
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

pub(super) fn by_topic(partitions: &Partitions) -> BTreeMap<TopicId, Vec<i32>> {
    let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in partitions {
        topics.entry(*topic).or_default().push(*partition);
    }
    topics
}
