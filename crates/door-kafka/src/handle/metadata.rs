//! Metadata: brokers, topics, and who leads their partitions. Makes topics that do not exist, if
//! both the client and the broker's configuration want that.

use std::collections::HashSet;

use base::TopicId;
use broker::metadata::{Metadata, Topic};
use broker::{NewTopic, TopicError};

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::metadata_request::MetadataRequestTopic;
use crate::wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::messages::{MetadataRequest, MetadataResponse};

pub(super) async fn handle(request: Request<'_>, asked: MetadataRequest) -> MetadataResponse {
    // In version 0 an empty list means all topics, later the absence of one does.
    let all =
        asked.topics.as_ref().is_none_or(|topics| topics.is_empty() && request.version() == 0);
    let create = asked.allow_auto_topic_creation || request.version() < 4;
    let operations = asked.include_topic_authorized_operations;
    let mut topics = Vec::new();
    if all {
        let metadata = request.broker().metadata();
        topics.extend(metadata.listed().map(|(_, topic)| describe(topic, operations)));
    } else {
        // Once each: a short request must not make a long response.
        let mut seen = HashSet::new();
        for topic in asked.topics.into_iter().flatten() {
            if !seen.insert((topic.name.clone(), topic.topic_id)) {
                continue;
            }
            topics.push(one(&request, topic, create, operations).await);
        }
    }
    let metadata = request.broker().metadata();
    let cluster = asked.include_cluster_authorized_operations;
    MetadataResponse {
        brokers: brokers(&metadata, &request.context.listener),
        cluster_id: Some(metadata.cluster_id.clone()),
        controller_id: metadata.controller.0,
        topics,
        cluster_authorized_operations: if cluster {
            map::CLUSTER_OPERATIONS
        } else {
            map::NO_OPERATIONS
        },
        ..MetadataResponse::default()
    }
}

async fn one(
    request: &Request<'_>,
    asked: MetadataRequestTopic,
    create: bool,
    operations: bool,
) -> MetadataResponseTopic {
    let broker = request.broker();
    // Who asks by id says an empty name, or none.
    let by_name = asked.topic_id == TopicId::NONE.to_bytes();
    let Some(name) = asked.name.filter(|_| by_name) else {
        return match broker.topic_by_id(TopicId::from_bytes(asked.topic_id)) {
            Some(open) => describe(&open.topic, operations),
            None => MetadataResponseTopic {
                error_code: ErrorCode::UnknownTopicId.number(),
                topic_id: asked.topic_id,
                topic_authorized_operations: map::NO_OPERATIONS,
                ..MetadataResponseTopic::default()
            },
        };
    };
    if let Some(open) = broker.topic(&name) {
        return describe(&open.topic, operations);
    }
    // Kafka always has it, so that nobody asks for it to be made.
    match broker.groups_topic(&name).await {
        Ok(None) => {}
        Ok(Some(open)) => return describe(&open.topic, operations),
        Err(error) => return failed(name, map::topic_error(&error)),
    }
    let new = NewTopic { name: name.clone(), ..NewTopic::default() };
    let error = if create && broker.options().auto_create_topics {
        match broker.create_topic(new).await {
            Ok(topic) => return describe(&topic, operations),
            // Somebody else was first; it can be used all the same.
            Err(error) => match broker.topic(&name) {
                Some(open) => return describe(&open.topic, operations),
                None if matches!(error, TopicError::Exists(_)) => ErrorCode::LeaderNotAvailable,
                None => map::topic_error(&error),
            },
        }
    } else {
        match broker.check_new_topic(&new) {
            Err(error @ TopicError::Name(_)) => map::topic_error(&error),
            _ => ErrorCode::UnknownTopicOrPartition,
        }
    };
    failed(name, error)
}

fn failed(name: String, error: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: error.number(),
        name: Some(name),
        topic_authorized_operations: map::NO_OPERATIONS,
        ..MetadataResponseTopic::default()
    }
}

fn brokers(metadata: &Metadata, listener: &str) -> Vec<MetadataResponseBroker> {
    let broker = |broker: &broker::metadata::BrokerInfo| {
        let endpoint = map::endpoint(broker, listener)?;
        Some(MetadataResponseBroker {
            node_id: broker.id.0,
            host: endpoint.host.clone(),
            port: endpoint.port.into(),
            rack: broker.rack.clone(),
        })
    };
    metadata.brokers.values().filter_map(broker).collect()
}

fn describe(topic: &Topic, operations: bool) -> MetadataResponseTopic {
    let partition = |(number, partition): (i32, &broker::metadata::Partition)| {
        let leader = partition.leader.0;
        MetadataResponsePartition {
            partition_index: number,
            leader_id: leader,
            leader_epoch: partition.leader_epoch,
            replica_nodes: vec![leader],
            isr_nodes: vec![leader],
            ..MetadataResponsePartition::default()
        }
    };
    MetadataResponseTopic {
        error_code: ErrorCode::None.number(),
        name: Some(topic.name.clone()),
        topic_id: topic.id.to_bytes(),
        is_internal: topic.internal,
        partitions: (0..).zip(&topic.partitions).map(partition).collect(),
        topic_authorized_operations: if operations {
            map::TOPIC_OPERATIONS
        } else {
            map::NO_OPERATIONS
        },
    }
}
