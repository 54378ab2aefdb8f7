//! Settings of topics and groups: read, shown, changed.

use door_kafka::wire::messages::describe_configs_request::DescribeConfigsResource;
use door_kafka::wire::messages::describe_configs_response::DescribeConfigsResourceResult;
use door_kafka::wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use door_kafka::wire::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use serde::Serialize;

use crate::client::{Client, ClientError, NEWEST};
use crate::output::Row;

/// The resource type of a topic in requests about configuration.
pub(crate) const TOPIC: i8 = 2;
/// That of a group.
pub(crate) const GROUP: i8 = 32;
const SET: i8 = 0;
const DELETE: i8 = 1;
/// The source of what is set on a group.
pub(crate) const SET_ON_GROUP: i8 = 8;

#[derive(Debug, Serialize)]
pub(crate) struct ConfigRow {
    pub(crate) key: String,
    pub(crate) value: Option<String>,
    pub(crate) source: &'static str,
}

impl Row for ConfigRow {
    const COLUMNS: &'static [&'static str] = &["KEY", "VALUE", "SOURCE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.key.clone(),
            self.value.clone().unwrap_or_else(|| "-".to_owned()),
            self.source.to_owned(),
        ]
    }
}

fn subject(kind: i8, name: &str) -> String {
    format!("{} {name}", if kind == TOPIC { "topic" } else { "group" })
}

/// The settings of a topic or a group, as the broker sees them.
pub(crate) fn of(
    client: &mut Client,
    kind: i8,
    name: &str,
) -> Result<Vec<DescribeConfigsResourceResult>, ClientError> {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configuration_keys: None,
        }],
        ..DescribeConfigsRequest::default()
    };
    let response = client.call(&request, NEWEST)?;
    let Some(result) = response.results.into_iter().next() else { return Ok(Vec::new()) };
    ClientError::check(subject(kind, name), result.error_code, result.error_message)?;
    Ok(result.configs)
}

/// Where a setting comes from (KIP-226).
fn source(number: i8) -> &'static str {
    match number {
        1 => "topic",
        2 | 3 => "broker, changed while running",
        4 => "broker",
        5 => "default",
        SET_ON_GROUP => "group",
        _ => "unknown",
    }
}

/// Settings as they are shown, by their keys.
pub(crate) fn rows(settings: Vec<DescribeConfigsResourceResult>) -> Vec<ConfigRow> {
    let row = |setting: DescribeConfigsResourceResult| ConfigRow {
        source: source(setting.config_source),
        key: setting.name,
        value: if setting.is_sensitive { None } else { setting.value },
    };
    let mut rows: Vec<_> = settings.into_iter().map(row).collect();
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows
}

/// Sets some settings, and returns others to their defaults.
pub(crate) fn change(
    client: &mut Client,
    kind: i8,
    name: &str,
    set: &[(String, String)],
    unset: &[String],
) -> Result<(), ClientError> {
    let change = |name: &str, operation, value| AlterableConfig {
        name: name.to_owned(),
        config_operation: operation,
        value,
    };
    let sets = set.iter().map(|(key, value)| change(key, SET, Some(value.clone())));
    let unsets = unset.iter().map(|key| change(key, DELETE, None));
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configs: sets.chain(unsets).collect(),
        }],
        validate_only: false,
    };
    let response = client.call_controller(&request, NEWEST)?;
    let each = |result: door_kafka::wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse| {
        ClientError::check(subject(kind, name), result.error_code, result.error_message)
    };
    response.responses.into_iter().try_for_each(each)
}
