//! DescribeConfigs: the configuration of topics, groups and of the broker, in effect, and where each
//! value comes from.

use std::collections::{BTreeMap, HashSet};

use broker::group_config::GROUP_KEYS;
use broker::settings::{BrokerKey, Settings, Source};
use broker::topic_config::{ConfigKey, Kind, TOPIC_KEYS};

use super::Request;
use super::client_metrics::{self, CLIENT_METRICS};
use super::{broker_configs, broker_loggers};
use crate::wire::ErrorCode;
use crate::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::wire::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

/// Kinds of resources.
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;
pub(super) const GROUP: i8 = 32;

/// Where a value comes from.
const SET_ON_TOPIC: i8 = 1;
pub(super) const SET_ON_BROKER: i8 = 2;
pub(super) const SET_ON_CLUSTER: i8 = 3;
pub(super) const STATIC: i8 = 4;
pub(super) const DEFAULT: i8 = 5;
const SET_ON_GROUP: i8 = 8;

pub(super) fn source_code(source: Source) -> i8 {
    match source {
        Source::Broker => SET_ON_BROKER,
        Source::Cluster => SET_ON_CLUSTER,
        Source::File => STATIC,
        Source::Default => DEFAULT,
    }
}

/// One key of a topic or a group, with all values that it has, that in effect first.
pub(super) struct Entry {
    pub(super) key: &'static ConfigKey,
    synonyms: Vec<DescribeConfigsSynonym>,
}

impl Entry {
    /// The value in effect. There is a default at least.
    pub(super) fn value(&self) -> Option<String> {
        self.synonyms.first().and_then(|first| first.value.clone())
    }

    /// Where it comes from.
    pub(super) fn source(&self) -> i8 {
        self.synonyms.first().map_or(DEFAULT, |first| first.source)
    }
}

fn synonym(name: &str, value: &str, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym { name: name.to_owned(), value: Some(value.to_owned()), source }
}

/// All keys of a topic: what is set on it goes before what the broker has for its topics, which has
/// a name of its own there.
pub(super) fn topic_entries(set: &BTreeMap<String, String>, settings: &Settings) -> Vec<Entry> {
    let entry = |key: &'static ConfigKey| {
        let own = set.get(key.name).map(|value| synonym(key.name, value, SET_ON_TOPIC));
        let mut synonyms: Vec<_> = own.into_iter().collect();
        match BrokerKey::of_topics(key.name) {
            Some(of_broker) => {
                let values = settings.values(of_broker).into_iter();
                let values = values
                    .map(|(source, value)| synonym(of_broker.name, value, source_code(source)));
                synonyms.extend(values);
            }
            None => {
                let file = settings.topic_defaults().get(key.name);
                synonyms.extend(file.map(|value| synonym(key.name, value, STATIC)));
                synonyms.push(synonym(key.name, key.default, DEFAULT));
            }
        }
        Entry { key, synonyms }
    };
    TOPIC_KEYS.iter().map(entry).collect()
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
            TOPIC => topic(&request, &resource.resource_name),
            BROKER => broker_configs::describe(&request, &resource.resource_name),
            BROKER_LOGGER => broker_loggers::describe(&request, &resource.resource_name),
            GROUP => group(&request, &resource.resource_name),
            CLIENT_METRICS => Ok(client_metrics::describe(&request, &resource.resource_name)),
            other => Err((ErrorCode::InvalidRequest, format!("Unknown resource type {other}"))),
        };
        let (code, message, mut configs) = match described {
            Ok(configs) => (ErrorCode::None, None, configs),
            Err((code, text)) => (code, Some(text), Vec::new()),
        };
        configs.retain(|config| wanted(&config.name));
        for config in &mut configs {
            if !asked.include_documentation {
                config.documentation = None;
            }
            if !asked.include_synonyms {
                config.synonyms.clear();
            }
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

pub(super) type Described = Result<Vec<DescribeConfigsResourceResult>, (ErrorCode, String)>;

fn topic(request: &Request<'_>, name: &str) -> Described {
    let unknown = || (ErrorCode::UnknownTopicOrPartition, format!("topic '{name}' does not exist"));
    let open = request.broker().topic(name).ok_or_else(unknown)?;
    let settings = request.broker().settings();
    Ok(topic_entries(&open.topic.config, &settings).into_iter().map(result).collect())
}

/// A group need not exist to have configuration.
fn group(request: &Request<'_>, name: &str) -> Described {
    if name.is_empty() {
        return Err((ErrorCode::InvalidRequest, "the group's name is empty".to_owned()));
    }
    let defaults = &request.broker().options().group_defaults;
    let metadata = request.broker().metadata();
    let set = metadata.groups.get(name);
    let entry = |key: &'static ConfigKey| {
        let own = set.and_then(|set| set.get(key.name));
        let own = own.map(|value| synonym(key.name, value, SET_ON_GROUP));
        let file = defaults.get(key.name).map(|value| synonym(key.name, value, STATIC));
        let default = synonym(key.name, key.default, DEFAULT);
        Entry { key, synonyms: own.into_iter().chain(file).chain([default]).collect() }
    };
    Ok(GROUP_KEYS.iter().map(entry).map(result).collect())
}

fn result(entry: Entry) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult {
        name: entry.key.name.to_owned(),
        value: entry.value(),
        config_source: entry.source(),
        config_type: config_type(entry.key.kind),
        documentation: Some(entry.key.doc.to_owned()),
        synonyms: entry.synonyms,
        ..DescribeConfigsResourceResult::default()
    }
}

/// The protocol's numbers for the types of values.
pub(super) fn config_type(kind: Kind) -> i8 {
    match kind {
        Kind::Boolean => 1,
        Kind::Word(_) | Kind::Text(_) | Kind::Counts => 2,
        Kind::Partitioner | Kind::Filters | Kind::Weights | Kind::OffsetReset => 2,
        Kind::Int(..) | Kind::Level(..) => 3,
        Kind::Long(..) => 5,
        Kind::Ratio | Kind::Rate => 6,
        Kind::List | Kind::Words(_) => 7,
    }
}
