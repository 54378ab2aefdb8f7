//! CreateTopics: makes topics.

use std::collections::BTreeMap;

use broker::{NewTopic, TopicError};

use super::Request;
use super::describe_configs::topic_entries;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::create_topics_request::CreatableTopic;
use crate::wire::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use crate::wire::messages::{CreateTopicsRequest, CreateTopicsResponse};

/// "The broker's default" for the number of partitions and of replicas (KIP-464).
const DEFAULT: i32 = -1;
/// Topics of one response whose configuration is told.
const CONFIGS_MAX: usize = 1000;
/// Every message is stored once; its durability is that of the storage.
const REPLICAS: i16 = 1;

pub(super) async fn handle(
    request: Request<'_>,
    asked: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let mut response = CreateTopicsResponse::default();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for topic in &asked.topics {
        *times.entry(&topic.name).or_default() += 1;
    }
    for topic in &asked.topics {
        // One answer for each name.
        let result = match times.remove(topic.name.as_str()) {
            None => continue,
            Some(1) => create(&request, topic, asked.validate_only).await,
            Some(_) => {
                let text = "the request names this topic twice".to_owned();
                failed(topic, ErrorCode::InvalidRequest, text)
            }
        };
        // The configuration is a courtesy, and larger than what was asked.
        let told = response.topics.len() < CONFIGS_MAX;
        let configs = result.configs.filter(|_| told).or_else(|| Some(Vec::new()));
        response.topics.push(CreatableTopicResult { configs, ..result });
    }
    response
}

async fn create(
    request: &Request<'_>,
    asked: &CreatableTopic,
    validate_only: bool,
) -> CreatableTopicResult {
    let broker = request.broker();
    let new = match parse(request, asked) {
        Ok(new) => new,
        Err((code, text)) => return failed(asked, code, text),
    };
    let config = new.config.clone();
    let outcome = if validate_only {
        broker.check_new_topic(&new).map(|partitions| (partitions, [0; 16]))
    } else {
        let count =
            |topic: &broker::metadata::Topic| i32::try_from(topic.partitions.len()).unwrap_or(-1);
        broker.create_topic(new).await.map(|topic| (count(&topic), topic.id.to_bytes()))
    };
    match outcome {
        Ok((num_partitions, topic_id)) => CreatableTopicResult {
            name: asked.name.clone(),
            topic_id,
            num_partitions,
            replication_factor: REPLICAS,
            configs: Some(configs(request, &config)),
            ..CreatableTopicResult::default()
        },
        Err(error) => failed(asked, map::topic_error(&error), error.to_string()),
    }
}

/// The topic to be made. Which brokers hold it is ours to decide; a client may only ask for what
/// is so anyway.
fn parse(request: &Request<'_>, asked: &CreatableTopic) -> Result<NewTopic, (ErrorCode, String)> {
    let own = request.broker().id().0;
    let counted = asked.num_partitions != DEFAULT || asked.replication_factor != -1;
    if !asked.assignments.is_empty() && counted {
        let text = "Both numPartitions or replicationFactor and replicasAssignments were set. \
                    Both cannot be used at the same time.";
        return Err((ErrorCode::InvalidRequest, text.to_owned()));
    }
    let partitions = if asked.assignments.is_empty() {
        if asked.num_partitions != DEFAULT && asked.num_partitions <= 0 {
            let error =
                TopicError::Partitions("Number of partitions must be larger than 0.".to_owned());
            return Err((ErrorCode::InvalidPartitions, error.to_string()));
        }
        Some(asked.num_partitions).filter(|count| *count != DEFAULT)
    } else {
        let mut indexes: Vec<_> = asked.assignments.iter().map(|a| a.partition_index).collect();
        indexes.sort_unstable();
        let consecutive = (0..).zip(&indexes).all(|(expected, index)| expected == *index);
        if !consecutive || asked.assignments.iter().any(|a| a.broker_ids != [own]) {
            let text =
                "partitions must be numbered from 0 and each be assigned to this broker alone";
            return Err((ErrorCode::InvalidReplicaAssignment, text.to_owned()));
        }
        i32::try_from(indexes.len()).ok()
    };
    let replicas = asked.replication_factor;
    let brokers = request.broker().metadata().brokers.len();
    if asked.assignments.is_empty() && replicas != -1 && replicas != REPLICAS {
        let text = if replicas <= 0 {
            "Replication factor must be larger than 0, or -1 to use the default value.".to_owned()
        } else {
            format!("Replication factor: {replicas} larger than available brokers: {brokers}.")
        };
        return Err((ErrorCode::InvalidReplicationFactor, text));
    }
    let mut config = BTreeMap::new();
    for entry in &asked.configs {
        let Some(value) = &entry.value else {
            let text = format!("Null value not supported for topic configs: {}", entry.name);
            return Err((ErrorCode::InvalidConfig, text));
        };
        config.insert(entry.name.clone(), value.clone());
    }
    Ok(NewTopic { name: asked.name.clone(), partitions, config })
}

fn configs(request: &Request<'_>, set: &BTreeMap<String, String>) -> Vec<CreatableTopicConfigs> {
    let settings = request.broker().settings();
    let entries = topic_entries(set, &settings).into_iter();
    let entry = |entry: super::describe_configs::Entry| CreatableTopicConfigs {
        name: entry.key.name.to_owned(),
        value: entry.value(),
        read_only: false,
        config_source: entry.source(),
        is_sensitive: false,
    };
    entries.map(entry).collect()
}

fn failed(asked: &CreatableTopic, code: ErrorCode, text: String) -> CreatableTopicResult {
    CreatableTopicResult {
        name: asked.name.clone(),
        error_code: code.number(),
        error_message: Some(text),
        configs: Some(Vec::new()),
        ..CreatableTopicResult::default()
    }
}
