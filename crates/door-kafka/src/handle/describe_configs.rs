//! DescribeConfigs: the configuration of topics, groups and of the broker, in effect.

use std::collections::{BTreeMap, HashSet};

use broker::group_config::GROUP_KEYS;
use broker::topic_config::{ConfigKey, Kind, TOPIC_KEYS};

use super::Request;
use super::client_metrics::{self, CLIENT_METRICS};
use crate::wire::ErrorCode;
use crate::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::wire::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

/// Kinds of resources.
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const GROUP: i8 = 32;

/// Where a value comes from.
const SET_ON_TOPIC: i8 = 1;
const SET_ON_BROKER: i8 = 4;
const DEFAULT: i8 = 5;
const SET_ON_GROUP: i8 = 8;

/// One key of a topic or a group, in effect.
pub(super) struct Entry {
    pub(super) key: &'static ConfigKey,
    pub(super) value: String,
    pub(super) source: i8,
}

/// All keys of a topic, with what is set on it before what is set on the broker before defaults.
pub(super) fn topic_entries(
    set: &BTreeMap<String, String>,
    defaults: &BTreeMap<String, String>,
) -> Vec<Entry> {
    entries(TOPIC_KEYS, SET_ON_TOPIC, set, defaults)
}

fn entries(
    keys: &'static [ConfigKey],
    set_here: i8,
    set: &BTreeMap<String, String>,
    defaults: &BTreeMap<String, String>,
) -> Vec<Entry> {
    let entry = |key: &'static ConfigKey| {
        let (value, source) = match (set.get(key.name), defaults.get(key.name)) {
            (Some(value), _) => (value.as_str(), set_here),
            (None, Some(value)) => (value.as_str(), SET_ON_BROKER),
            (None, None) => (key.default, DEFAULT),
        };
        Entry { key, value: value.to_owned(), source }
    };
    keys.iter().map(entry).collect()
}

pub(super) async fn handle(
    request: Request<'_>,
    asked: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    // Once each: a short request must not make a long response.
    let mut seen = HashSet::new();
    let once = |resource: &DescribeConfigsResource| {
        seen.insert((resource.resource_type, resource.resource_name.clone()))
    };
    let one = |resource: DescribeConfigsResource| {
        // No keys means all of them, however that is said.
        let keys = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
        let wanted = |name: &str| keys.is_none_or(|keys| keys.iter().any(|key| key == name));
        let described = match resource.resource_type {
            TOPIC => topic(&request, &resource.resource_name, asked.include_synonyms),
            BROKER => broker(&request, &resource.resource_name),
            GROUP => group(&request, &resource.resource_name, asked.include_synonyms),
            CLIENT_METRICS => Ok(client_metrics::describe(&request, &resource.resource_name)),
            _ => Err((
                ErrorCode::InvalidRequest,
                "only topics, groups, brokers and subscriptions to client metrics have configuration"
                    .to_owned(),
            )),
        };
        let (code, message, mut configs) = match described {
            Ok(configs) => (ErrorCode::None, None, configs),
            Err((code, text)) => (code, Some(text), Vec::new()),
        };
        configs.retain(|config| wanted(&config.name));
        if !asked.include_documentation {
            configs.iter_mut().for_each(|config| config.documentation = None);
        }
        DescribeConfigsResult {
            error_code: code.number(),
            error_message: message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            configs,
        }
    };
    let results = asked.resources.into_iter().filter(once).map(one).collect();
    DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() }
}

type Described = Result<Vec<DescribeConfigsResourceResult>, (ErrorCode, String)>;

fn topic(request: &Request<'_>, name: &str, synonyms: bool) -> Described {
    let unknown = || (ErrorCode::UnknownTopicOrPartition, format!("topic '{name}' does not exist"));
    let open = request.broker().topic(name).ok_or_else(unknown)?;
    let defaults = &request.broker().options().topic_defaults;
    let of = topic_entries(&open.topic.config, defaults).into_iter();
    Ok(of.map(|entry| result(entry, defaults, synonyms)).collect())
}

/// A group need not exist to have configuration.
fn group(request: &Request<'_>, name: &str, synonyms: bool) -> Described {
    if name.is_empty() {
        return Err((ErrorCode::InvalidRequest, "the group's name is empty".to_owned()));
    }
    let defaults = &request.broker().options().group_defaults;
    let metadata = request.broker().metadata();
    let none = BTreeMap::new();
    let set = metadata.groups.get(name).map_or(&none, AsRef::as_ref);
    let of = entries(GROUP_KEYS, SET_ON_GROUP, set, defaults).into_iter();
    Ok(of.map(|entry| result(entry, defaults, synonyms)).collect())
}

fn result(
    entry: Entry,
    defaults: &BTreeMap<String, String>,
    synonyms: bool,
) -> DescribeConfigsResourceResult {
    let key = entry.key;
    DescribeConfigsResourceResult {
        name: key.name.to_owned(),
        synonyms: if synonyms { synonyms_of(&entry, defaults) } else { Vec::new() },
        value: Some(entry.value),
        config_source: entry.source,
        config_type: config_type(key.kind),
        documentation: Some(key.doc.to_owned()),
        ..DescribeConfigsResourceResult::default()
    }
}

/// All values that the key would have, the one in effect first.
fn synonyms_of(entry: &Entry, defaults: &BTreeMap<String, String>) -> Vec<DescribeConfigsSynonym> {
    let name = entry.key.name;
    let synonym = |value: &str, source| DescribeConfigsSynonym {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source,
    };
    let mut all = Vec::new();
    if [SET_ON_TOPIC, SET_ON_GROUP].contains(&entry.source) {
        all.push(synonym(&entry.value, entry.source));
    }
    all.extend(defaults.get(name).map(|value| synonym(value, SET_ON_BROKER)));
    all.push(synonym(entry.key.default, DEFAULT));
    all
}

/// The protocol's numbers for the types of values.
fn config_type(kind: Kind) -> i8 {
    match kind {
        Kind::Boolean => 1,
        Kind::Word(_) | Kind::Text(_) => 2,
        Kind::Partitioner | Kind::Filters | Kind::Weights | Kind::OffsetReset => 2,
        Kind::Int(..) | Kind::Level(..) => 3,
        Kind::Long(..) => 5,
        Kind::Ratio => 6,
        Kind::List | Kind::Words(_) => 7,
    }
}

/// What of the broker's own configuration tools ask for. It is changed in its file, not here.
fn broker(request: &Request<'_>, name: &str) -> Described {
    let broker = request.broker();
    if name.is_empty() {
        // What is set for all brokers at run time: nothing.
        return Ok(Vec::new());
    }
    if name != broker.id().0.to_string() {
        let text = format!("this is broker {}, not '{name}'", broker.id().0);
        return Err((ErrorCode::InvalidRequest, text));
    }
    let options = broker.options();
    let metadata = broker.metadata();
    let endpoints = metadata.brokers.get(&broker.id()).map(|own| {
        let endpoint =
            |e: &broker::metadata::Endpoint| format!("{}://{}:{}", e.listener, e.host, e.port);
        own.endpoints.iter().map(endpoint).collect::<Vec<_>>().join(",")
    });
    let of_topics = |key: &'static str| {
        let own = options.topic_defaults.get(key).map(String::as_str);
        own.or_else(|| ConfigKey::find(key).map(|key| key.default)).unwrap_or_default().to_owned()
    };
    let entries = [
        ("advertised.listeners", endpoints.unwrap_or_default(), 2),
        ("auto.create.topics.enable", options.auto_create_topics.to_string(), 1),
        ("broker.id", broker.id().0.to_string(), 3),
        ("broker.rack", options.rack.clone().unwrap_or_default(), 2),
        ("default.replication.factor", "1".to_owned(), 3),
        ("log.cleanup.policy", of_topics("cleanup.policy"), 7),
        ("log.dirs", options.data_dir.clone(), 2),
        ("log.retention.bytes", of_topics("retention.bytes"), 5),
        ("log.retention.ms", of_topics("retention.ms"), 5),
        ("log.segment.bytes", of_topics("segment.bytes"), 3),
        ("message.max.bytes", of_topics("max.message.bytes"), 3),
        ("min.insync.replicas", "1".to_owned(), 3),
        ("num.partitions", options.default_partitions.to_string(), 3),
    ];
    let entry = |(name, value, config_type): (&str, String, i8)| DescribeConfigsResourceResult {
        name: name.to_owned(),
        value: Some(value),
        read_only: true,
        config_source: SET_ON_BROKER,
        config_type,
        documentation: Some(doc_of(name).to_owned()),
        ..DescribeConfigsResourceResult::default()
    };
    Ok(entries.into_iter().map(entry).collect())
}

/// What a key of the broker's own means; what topics have by default says it as theirs do.
fn doc_of(name: &str) -> &'static str {
    let of_topics = match name {
        "advertised.listeners" => return "Where clients are told to connect to.",
        "auto.create.topics.enable" => return "Whether a topic is made on its first use.",
        "broker.id" => return "This broker's number in the cluster.",
        "broker.rack" => return "Where this broker stands, for clients that prefer what is near.",
        "default.replication.factor" => return "Copies of a topic made on its first use: one.",
        "log.dirs" => return "The folder that holds everything.",
        "message.max.bytes" => "max.message.bytes",
        "min.insync.replicas" => return "Copies that acks=all waits for: the one there is.",
        "num.partitions" => return "Partitions of a topic whose maker does not say.",
        _ => name.strip_prefix("log.").unwrap_or(name),
    };
    ConfigKey::find(of_topics).map(|key| key.doc).unwrap_or_default()
}
