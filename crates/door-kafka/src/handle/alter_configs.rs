//! AlterConfigs replaces what is set on topics, groups and brokers; IncrementalAlterConfigs changes
//! single keys (KIP-339).

use std::collections::BTreeMap;

use broker::group_config;
use broker::settings::{BrokerKey, Settings};
use broker::topic_config::{self, ConfigKey, Kind};

use super::Request;
use super::client_metrics::{self, CLIENT_METRICS};
use super::describe_configs::{BROKER, BROKER_LOGGER, GROUP, TOPIC};
use super::{broker_configs, broker_loggers};
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, alter_configs_response, incremental_alter_configs_request,
    incremental_alter_configs_response,
};

type Config = BTreeMap<String, String>;
type Refused = (ErrorCode, String);

pub(super) async fn handle_replace(
    request: Request<'_>,
    asked: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let mut response = AlterConfigsResponse::default();
    for resource in asked.resources {
        let named = |entry: &crate::wire::messages::alter_configs_request::AlterableConfig| {
            Some((entry.name.clone(), entry.value.clone()?))
        };
        let new: Config = resource.configs.iter().filter_map(named).collect();
        let replace = |config: &mut Config| {
            config.clone_from(&new);
            Ok(())
        };
        let outcome = alter(
            &request,
            resource.resource_type,
            &resource.resource_name,
            asked.validate_only,
            replace,
        );
        let (code, error_message) = split(outcome.await);
        response.responses.push(alter_configs_response::AlterConfigsResourceResponse {
            error_code: code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        });
    }
    response
}

pub(super) async fn handle_incremental(
    request: Request<'_>,
    asked: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut response = IncrementalAlterConfigsResponse::default();
    for resource in asked.resources {
        let (kind, name) = (resource.resource_type, resource.resource_name.as_str());
        let settings = request.broker().settings();
        let list = |key: &str| list_in_effect(kind, key, &settings);
        let change = |config: &mut Config| {
            resource.configs.iter().try_for_each(|change| apply(config, change, list))
        };
        let outcome = match kind {
            BROKER_LOGGER => {
                broker_loggers::alter(&request, name, &resource.configs, asked.validate_only)
            }
            kind => alter(&request, kind, name, asked.validate_only, change).await,
        };
        let (code, error_message) = split(outcome);
        response.responses.push(incremental_alter_configs_response::AlterConfigsResourceResponse {
            error_code: code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        });
    }
    response
}

/// Changes one resource. The change is tried first, so that what is wrong is said before anything
/// is written.
async fn alter(
    request: &Request<'_>,
    kind: i8,
    name: &str,
    validate_only: bool,
    change: impl Fn(&mut Config) -> Result<(), Refused>,
) -> Result<(), Refused> {
    if kind == GROUP {
        return alter_group(request, name, validate_only, change).await;
    }
    if kind == CLIENT_METRICS {
        return client_metrics::alter(request, name, validate_only, change).await;
    }
    if kind == BROKER {
        return broker_configs::alter(request, name, validate_only, change).await;
    }
    if kind != TOPIC {
        return Err((ErrorCode::InvalidRequest, format!("Unknown resource type {kind}")));
    }
    let unknown = || (ErrorCode::UnknownTopicOrPartition, format!("topic '{name}' does not exist"));
    let open = request.broker().topic(name).ok_or_else(unknown)?;
    let mut tried = open.topic.config.clone();
    change(&mut tried)?;
    topic_config::check(&tried, request.broker().settings().topic_defaults())
        .map_err(|error| (ErrorCode::InvalidConfig, error.to_string()))?;
    if validate_only {
        return Ok(());
    }
    // It was tried just now; a second failure would leave the configuration as it is.
    let apply = |config: &mut Config| {
        let mut changed = config.clone();
        if change(&mut changed).is_ok() {
            *config = changed;
        }
    };
    let outcome = request.broker().set_topic_config(name, apply).await;
    outcome.map_err(|error| (map::topic_error(&error), error.to_string()))
}

/// As [`alter`]. A group need not exist to have configuration.
async fn alter_group(
    request: &Request<'_>,
    name: &str,
    validate_only: bool,
    change: impl Fn(&mut Config) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let set = request.broker().metadata().groups.get(name).cloned();
    let mut tried = set.as_deref().cloned().unwrap_or_default();
    change(&mut tried)?;
    let bounds = &request.broker().options().group_bounds;
    group_config::check(&tried, bounds)
        .map_err(|error| (ErrorCode::InvalidConfig, error.to_string()))?;
    if validate_only {
        return Ok(());
    }
    let apply = |config: &mut Config| {
        let mut changed = config.clone();
        if change(&mut changed).is_ok() {
            *config = changed;
        }
    };
    let outcome = request.broker().set_group_config(name, apply).await;
    outcome.map_err(|error| (map::group_config_error(&error), error.to_string()))
}

/// What is in effect where a resource does not set a key itself, if that is a list.
fn list_in_effect(kind: i8, key: &str, settings: &Settings) -> Option<String> {
    let is_list = |kind| matches!(kind, Kind::List | Kind::Words(_));
    if kind == BROKER {
        let key = BrokerKey::find(key).filter(|key| is_list(key.kind()))?;
        return settings.values(key).first().map(|(_, value)| (*value).to_owned());
    }
    let key = ConfigKey::find(key).filter(|key| is_list(key.kind))?;
    let value = settings.topic_defaults().get(key.name).map_or(key.default, String::as_str);
    Some(value.to_owned())
}

fn apply(
    config: &mut Config,
    change: &incremental_alter_configs_request::AlterableConfig,
    list_in_effect: impl Fn(&str) -> Option<String>,
) -> Result<(), Refused> {
    const SET: i8 = 0;
    const DELETE: i8 = 1;
    const APPEND: i8 = 2;
    const SUBTRACT: i8 = 3;
    let name = &change.name;
    let value = || {
        let missing = || (ErrorCode::InvalidRequest, format!("{name} is given no value"));
        change.value.clone().ok_or_else(missing)
    };
    match change.config_operation {
        SET => drop(config.insert(name.clone(), value()?)),
        DELETE => drop(config.remove(name)),
        operation @ (APPEND | SUBTRACT) => {
            let Some(in_effect) = list_in_effect(name) else {
                let word = if operation == APPEND { "APPEND" } else { "SUBTRACT" };
                let text = format!("Can't {word} to key {name} because its type is not LIST.");
                return Err((ErrorCode::InvalidConfig, text));
            };
            let value = value()?;
            let named: Vec<&str> = topic_config::items(&value).collect();
            // What is in effect, set or not.
            let current = config.get(name).cloned().unwrap_or(in_effect);
            let mut items: Vec<&str> = topic_config::items(&current).collect();
            if operation == APPEND {
                let present = items.clone();
                items.extend(named.into_iter().filter(|item| !present.contains(item)));
            } else {
                items.retain(|item| !named.contains(item));
            }
            config.insert(name.clone(), items.join(","));
        }
        _ => return Err((ErrorCode::InvalidRequest, "unknown operation".to_owned())),
    }
    Ok(())
}

fn split(outcome: Result<(), Refused>) -> (i16, Option<String>) {
    match outcome {
        Ok(()) => (ErrorCode::None.number(), None),
        Err((code, text)) => (code.number(), Some(text)),
    }
}
