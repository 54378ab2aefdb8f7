//! OffsetDelete: forgets what a group has committed for some partitions (KIP-496).

use std::collections::HashSet;

use broker::queue::Name;
use broker::queue::offsets::DeleteOffsetsRequest;

use super::Request;
use crate::map;
use crate::wire::decode_versioned;
use crate::wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use crate::wire::messages::{
    ConsumerProtocolSubscription, OffsetDeleteRequest, OffsetDeleteResponse,
};

pub(super) async fn handle(
    request: Request<'_>,
    asked: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let groups = request.broker().groups();
    let group: Name = asked.group_id.as_str().into();
    let mut partitions = Vec::new();
    for topic in &asked.topics {
        let name: Name = topic.name.as_str().into();
        partitions.extend(topic.partitions.iter().map(|p| (name.clone(), p.partition_index)));
    }
    let subscribed = subscribed_topics(groups.subscriptions(&group));
    let delete = DeleteOffsetsRequest { group, partitions };
    let outcomes = match groups.delete_offsets(delete, subscribed.as_ref()).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            let error_code = map::group_error(error).number();
            return OffsetDeleteResponse { error_code, ..OffsetDeleteResponse::default() };
        }
    };
    let mut outcomes = outcomes.into_iter();
    let topics = asked.topics.into_iter().map(|topic| OffsetDeleteResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .iter()
            .zip(&mut outcomes)
            .map(|(partition, outcome)| OffsetDeleteResponsePartition {
                partition_index: partition.partition_index,
                error_code: map::group_code(outcome),
            })
            .collect(),
    });
    OffsetDeleteResponse { topics: topics.collect(), ..OffsetDeleteResponse::default() }
}

/// The topics that members subscribe to; `None` if one of them says it in a form that is not the
/// consumers'.
fn subscribed_topics(subscriptions: Vec<bytes::Bytes>) -> Option<HashSet<Name>> {
    let mut topics = HashSet::new();
    for subscription in subscriptions {
        let (_, subscription) =
            decode_versioned::<ConsumerProtocolSubscription>(subscription).ok()?;
        topics.extend(subscription.topics.into_iter().map(Name::from));
    }
    Some(topics)
}
