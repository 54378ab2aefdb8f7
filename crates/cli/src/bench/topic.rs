//! The topic that a load goes to.

use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::CreateTopicsRequest;
use door_kafka::wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use door_kafka::wire::messages::metadata_response::MetadataResponseTopic;

use super::Common;
use crate::client::{Client, ClientError, LATEST, NEWEST};

/// From version 13 on, topics are named by id in Produce and Fetch.
pub(super) const BY_NAME: i16 = 12;

/// The topic with its partitions and their leaders; made if it does not exist.
pub(super) fn ensure(
    client: &mut Client,
    common: &Common,
) -> Result<MetadataResponseTopic, ClientError> {
    let config = |(name, value): &(String, String)| CreatableTopicConfig {
        name: name.clone(),
        value: Some(value.clone()),
    };
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: common.topic.clone(),
            num_partitions: common.partitions,
            replication_factor: 1,
            configs: common.config.iter().map(config).collect(),
            ..CreatableTopic::default()
        }],
        timeout_ms: client.timeout_ms(),
        validate_only: false,
    };
    let response = client.call_controller(&request, NEWEST)?;
    for topic in response.topics {
        let subject = format!("topic {}", topic.name);
        match ClientError::check(subject, topic.error_code, topic.error_message) {
            Err(error) if !error.is(ErrorCode::TopicAlreadyExists) => return Err(error),
            _ => {}
        }
    }
    // Where creation goes on for a moment, this waits for it, and for each leader to know its part.
    let topic = client.topic(&common.topic, true)?;
    client.retry(|client| client.offsets(&topic, LATEST))?;
    Ok(topic)
}

/// Deals partitions out to so many connections, in turn; none of them gets nothing.
pub(super) fn shares(topic: &MetadataResponseTopic, connections: u16) -> Vec<Vec<(i32, i32)>> {
    let partitions = topic.partitions.iter().map(|p| (p.partition_index, p.leader_id));
    let mut shares = vec![Vec::new(); usize::from(connections.max(1))];
    let count = shares.len();
    for (index, partition) in partitions.enumerate() {
        if let Some(share) = shares.get_mut(index % count) {
            share.push(partition);
        }
    }
    // More connections than partitions: those share.
    let (first, missing): (Vec<_>, Vec<_>) = shares.into_iter().partition(|s| !s.is_empty());
    let again = first.iter().cycle().take(missing.len()).cloned().collect::<Vec<_>>();
    first.into_iter().chain(again).collect()
}
