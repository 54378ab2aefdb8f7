//! Subscriptions to clients' metrics (KIP-714, KIP-1000) as resources with configuration, and
//! ListConfigResources, which lists all that have one (KIP-1142).

use std::collections::BTreeMap;

use broker::client_metrics::{CLIENT_METRICS_KEYS, ClientMetricsError, Subscription};

use super::Request;
use super::describe_configs::{BROKER, BROKER_LOGGER, GROUP, TOPIC};
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_configs_response::DescribeConfigsResourceResult;
use crate::wire::messages::list_config_resources_response::ConfigResource;
use crate::wire::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

/// The kind of resource that these are.
pub(super) const CLIENT_METRICS: i8 = 16;
/// Other kinds can be listed from this version on.
const KINDS_FROM: i16 = 1;

/// Where a value comes from.
const SET_ON_SUBSCRIPTION: i8 = 7;
const DEFAULT: i8 = 5;

/// What is set on a subscription, with the defaults of what is not; nothing for one that is none.
pub(super) fn describe(request: &Request<'_>, name: &str) -> Vec<DescribeConfigsResourceResult> {
    let metadata = request.broker().metadata();
    let Some(config) = metadata.client_metrics.get(name) else { return Vec::new() };
    let keys = CLIENT_METRICS_KEYS.iter().map(|key| {
        let set = config.get(key.name);
        DescribeConfigsResourceResult {
            name: key.name.to_owned(),
            value: Some(set.map_or(key.default, String::as_str).to_owned()),
            config_source: if set.is_some() { SET_ON_SUBSCRIPTION } else { DEFAULT },
            config_type: if key.is_list { 7 } else { 3 },
            documentation: Some(key.doc.to_owned()),
            ..DescribeConfigsResourceResult::default()
        }
    });
    keys.collect()
}

/// Changes what is set on a subscription. The change is tried first.
pub(super) async fn alter(
    request: &Request<'_>,
    name: &str,
    validate_only: bool,
    change: impl Fn(&mut BTreeMap<String, String>) -> Result<(), (ErrorCode, String)>,
) -> Result<(), (ErrorCode, String)> {
    let failed = |error: ClientMetricsError| {
        let code = match &error {
            ClientMetricsError::Name | ClientMetricsError::Limit => ErrorCode::InvalidRequest,
            ClientMetricsError::Key(_) | ClientMetricsError::Value { .. } => {
                ErrorCode::InvalidConfig
            }
            ClientMetricsError::Meta(error) => map::meta_error(error),
        };
        (code, error.to_string())
    };
    let metadata = request.broker().metadata();
    let current = metadata.client_metrics.get(name);
    let mut tried = current.map_or_else(BTreeMap::new, |config| BTreeMap::clone(config));
    change(&mut tried)?;
    Subscription::parse(&tried).map_err(failed)?;
    if validate_only {
        return Ok(());
    }
    // It was tried just now; a second failure would leave the configuration as it is.
    let apply = |config: &mut BTreeMap<String, String>| {
        let mut changed = config.clone();
        if change(&mut changed).is_ok() {
            *config = changed;
        }
    };
    request.broker().set_client_metrics(name, apply).await.map_err(failed)
}

pub(super) async fn handle_list(
    request: Request<'_>,
    asked: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    const KINDS: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
    let wanted = match request.version() {
        KINDS_FROM.. if asked.resource_types.is_empty() => KINDS.to_vec(),
        KINDS_FROM.. => asked.resource_types,
        _ => vec![CLIENT_METRICS],
    };
    if wanted.iter().any(|kind| !KINDS.contains(kind)) {
        return ListConfigResourcesResponse {
            error_code: ErrorCode::UnsupportedVersion.number(),
            ..ListConfigResourcesResponse::default()
        };
    }
    let metadata = request.broker().metadata();
    let brokers = || metadata.brokers.keys().map(|id| id.0.to_string());
    let mut config_resources = Vec::new();
    for resource_type in KINDS.into_iter().filter(|kind| wanted.contains(kind)) {
        let names: Vec<String> = match resource_type {
            TOPIC => metadata.listed().map(|(name, _)| name.clone()).collect(),
            BROKER | BROKER_LOGGER => brokers().collect(),
            CLIENT_METRICS => metadata.client_metrics.keys().cloned().collect(),
            _ => metadata.groups.keys().cloned().collect(),
        };
        let named = |resource_name| ConfigResource { resource_name, resource_type };
        config_resources.extend(names.into_iter().map(named));
    }
    ListConfigResourcesResponse { config_resources, ..ListConfigResourcesResponse::default() }
}
