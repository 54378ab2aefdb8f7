//! How much each part of the broker tells in its log: shown, and changed while it runs (KIP-412).
//! What is changed is this broker's own, and ends with it.

use broker::loggers::{Level, ROOT};

use super::Request;
use super::broker_configs::own_id;
use super::describe_configs::Described;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_configs_response::DescribeConfigsResourceResult;
use crate::wire::messages::incremental_alter_configs_request::AlterableConfig;

type Refused = (ErrorCode, String);

/// Where the levels come from, by the protocol's number.
const LOGGER: i8 = 6;
/// The type of their values: a text.
const TEXT: i8 = 2;

/// The protocol's words. Here is nothing that is fatal and goes on, so the least tells nothing.
const LEVELS: [(&str, Level); 6] = [
    ("DEBUG", Level::Debug),
    ("ERROR", Level::Error),
    ("FATAL", Level::Off),
    ("INFO", Level::Info),
    ("TRACE", Level::Trace),
    ("WARN", Level::Warn),
];

fn word(level: Level) -> &'static str {
    LEVELS.iter().find(|(_, known)| *known == level).map_or("INFO", |(word, _)| word)
}

/// All loggers and their levels.
pub(super) fn describe(request: &Request<'_>, name: &str) -> Described {
    let broker = request.broker();
    if name.is_empty() {
        return Err((ErrorCode::InvalidRequest, "Broker id must not be empty".to_owned()));
    }
    own_id(broker.id(), name)?;
    let logger = |(name, level): (String, Level)| DescribeConfigsResourceResult {
        documentation: Some(match name == ROOT {
            true => "What all loggers tell that have no level of their own.".to_owned(),
            false => format!("What {name} tells in the log."),
        }),
        name,
        value: Some(word(level).to_owned()),
        config_source: LOGGER,
        config_type: TEXT,
        ..DescribeConfigsResourceResult::default()
    };
    Ok(broker.options().loggers.levels().into_iter().map(logger).collect())
}

/// Gives loggers other levels, all of those that are named or none.
pub(super) fn alter(
    request: &Request<'_>,
    name: &str,
    changes: &[AlterableConfig],
    validate_only: bool,
) -> Result<(), Refused> {
    let broker = request.broker();
    own_id(broker.id(), name)?;
    let loggers = &broker.options().loggers;
    let one = |change: &AlterableConfig| {
        let logger = &change.name;
        let unknown = || (ErrorCode::InvalidConfig, format!("Logger {logger} does not exist!"));
        let known = || loggers.exists(logger).then_some(()).ok_or_else(unknown);
        let level = match change.config_operation {
            0 => {
                known()?;
                Some(level(logger, change.value.as_deref().unwrap_or_default())?)
            }
            1 => {
                known()?;
                None
            }
            other => return Err((ErrorCode::InvalidRequest, not_allowed(other))),
        };
        if level.is_none() && logger == ROOT {
            let text = format!("Removing the log level of the {ROOT} logger is not allowed");
            return Err((ErrorCode::InvalidRequest, text));
        }
        Ok((logger.clone(), level))
    };
    let changes = changes.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    if !validate_only {
        loggers.change(&changes);
    }
    Ok(())
}

fn level(logger: &str, value: &str) -> Result<Level, Refused> {
    let known = LEVELS.iter().find(|(word, _)| *word == value);
    known.map(|(_, level)| *level).ok_or_else(|| {
        let words: Vec<_> = LEVELS.iter().map(|(word, _)| *word).collect();
        let text = format!(
            "Cannot set the log level of {logger} to {value} as it is not a supported log level. \
             Valid log levels are {}",
            words.join(", ")
        );
        (ErrorCode::InvalidConfig, text)
    })
}

fn not_allowed(operation: i8) -> String {
    match operation {
        2 => "APPEND operation is not allowed for the BROKER_LOGGER resource".to_owned(),
        3 => "SUBTRACT operation is not allowed for the BROKER_LOGGER resource".to_owned(),
        other => {
            format!("Unknown operation type {other} is not allowed for the BROKER_LOGGER resource")
        }
    }
}
