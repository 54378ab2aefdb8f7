//! The broker's own configuration: shown, and changed while the broker runs, for this broker or
//! (the empty name) for all.

use std::collections::{BTreeMap, HashSet};

use base::BrokerId;
use broker::settings::{self, BROKER_KEYS, BrokerKey, Setting, Settings, SettingsError, Source};

use super::Request;
use super::describe_configs::{DEFAULT, Described, STATIC, config_type, source_code};
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsSynonym,
};

type Refused = (ErrorCode, String);

/// All keys of this broker by name, or of all brokers those that are set for all.
pub(super) fn describe(request: &Request<'_>, name: &str) -> Described {
    let broker = request.broker();
    let settings = broker.settings();
    if name.is_empty() {
        let set = BROKER_KEYS.iter().filter(|key| settings.for_all().contains_key(key.name));
        return Ok(set.map(|key| changeable(key, &settings, true)).collect());
    }
    let own = broker.id().0;
    let refused = |text| Err((ErrorCode::InvalidRequest, text));
    match name.parse::<i32>() {
        Ok(id) if id == own => {}
        Ok(_) => {
            return refused(format!(
                "Unexpected broker id, expected {own} or empty string, but received {name}"
            ));
        }
        Err(_) => return refused(format!("Broker id must be an integer, but it is: {name}")),
    }
    let mut all: Vec<_> = BROKER_KEYS.iter().map(|key| changeable(key, &settings, false)).collect();
    let known: HashSet<_> = BROKER_KEYS.iter().map(|key| key.name).collect();
    let fixed = broker.options().settings.iter().filter(|fixed| !known.contains(fixed.name));
    all.extend(fixed.map(self::fixed));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// A key that can be changed. Of all brokers together only what is set for all counts.
fn changeable(key: &BrokerKey, settings: &Settings, of_all: bool) -> DescribeConfigsResourceResult {
    let values = settings.values(key).into_iter();
    let values = values.filter(|(source, _)| !of_all || *source == Source::Cluster);
    let synonyms: Vec<_> = values
        .map(|(source, value)| DescribeConfigsSynonym {
            name: key.name.to_owned(),
            value: Some(value.to_owned()),
            source: source_code(source),
        })
        .collect();
    let first = synonyms.first();
    DescribeConfigsResourceResult {
        name: key.name.to_owned(),
        value: first.and_then(|first| first.value.clone()),
        config_source: first.map_or(DEFAULT, |first| first.source),
        config_type: config_type(key.kind()),
        documentation: Some(key.doc().to_owned()),
        synonyms,
        ..DescribeConfigsResourceResult::default()
    }
}

/// A key that is what it was when the broker started.
fn fixed(setting: &Setting) -> DescribeConfigsResourceResult {
    let synonym = |value: &Option<String>, source| DescribeConfigsSynonym {
        name: setting.name.to_owned(),
        value: value.clone(),
        source,
    };
    let set = setting.is_set.then(|| synonym(&setting.value, STATIC));
    let default = setting.default.is_some().then(|| synonym(&setting.default, DEFAULT));
    DescribeConfigsResourceResult {
        name: setting.name.to_owned(),
        value: setting.value.clone(),
        read_only: true,
        config_source: if setting.is_set { STATIC } else { DEFAULT },
        is_sensitive: setting.value.is_none(),
        // A password, where it must not be shown.
        config_type: if setting.value.is_none() { 9 } else { config_type(setting.kind) },
        documentation: Some(setting.doc.to_owned()),
        synonyms: set.into_iter().chain(default).collect(),
    }
}

/// Changes what is set. The change is tried first, so that what is wrong is said before anything is
/// written.
pub(super) async fn alter(
    request: &Request<'_>,
    name: &str,
    validate_only: bool,
    change: impl Fn(&mut BTreeMap<String, String>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let broker = request.broker();
    let whose = if name.is_empty() { None } else { Some(own_id(broker.id(), name)?) };
    let metadata = broker.metadata();
    let mut tried =
        metadata.settings.get(&whose).map(|set| BTreeMap::clone(set)).unwrap_or_default();
    change(&mut tried)?;
    settings::check(&tried, whose, broker.options(), &metadata).map_err(|error| refused(&error))?;
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
    broker.change_settings(whose, apply).await.map_err(|error| refused(&error))
}

/// The broker that a name means, which must be this one.
pub(super) fn own_id(own: BrokerId, name: &str) -> Result<BrokerId, Refused> {
    let text = match name.parse::<i32>() {
        Ok(id) if id == own.0 => return Ok(own),
        Ok(_) => format!("Unexpected broker id, expected {}, but received {name}", own.0),
        Err(_) => format!("Node id must be an integer, but it is: {name}"),
    };
    Err((ErrorCode::InvalidRequest, text))
}

fn refused(error: &SettingsError) -> Refused {
    let code = match error {
        // What Kafka says of a wrong value, too (KAFKA-13609).
        SettingsError::NotDynamic(_) | SettingsError::Config(_) => ErrorCode::InvalidRequest,
        SettingsError::Meta(error) => map::meta_error(error),
    };
    (code, error.to_string())
}
