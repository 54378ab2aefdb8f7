//! Remedies that are done, in the metadata store: they can be undone after a restart.

use base::{BrokerId, Millis};
use cluster::KeyValue;
use observe::diagnosis::RULES;
use observe::state::{NodeId, NodeKind};
use serde::{Deserialize, Serialize};

use super::action::Action;
use super::{Remedy, RemedyState};
use crate::policies;

/// Begins the keys.
pub(crate) const PREFIX: &str = "remedy/";

/// The key of a broker's remedy.
pub(super) fn key(broker: BrokerId, number: u64) -> String {
    format!("{PREFIX}{}/{number}", broker.0)
}

#[derive(Debug, Serialize, Deserialize)]
struct Value {
    rule: String,
    about: About,
    text: String,
    at: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    action: ActionValue,
}

#[derive(Debug, Serialize, Deserialize)]
struct About {
    kind: String,
    name: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ActionValue {
    Configure {
        topic: String,
        key: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<String>,
        after: String,
    },
    /// A policy by its key in the store, and its value there.
    Govern { key: String, policy: String },
}

/// The value of a remedy that is done.
pub(super) fn encode(remedy: &Remedy) -> Vec<u8> {
    let action = match &remedy.action {
        Action::Configure { topic, key, before, after } => ActionValue::Configure {
            topic: topic.clone(),
            key: key.clone(),
            before: before.clone(),
            after: after.clone(),
        },
        Action::Govern { policy, .. } => {
            let (key, value) = policies::write(policy);
            // It is JSON.
            ActionValue::Govern { key, policy: String::from_utf8_lossy(&value).into_owned() }
        }
    };
    let value = Value {
        rule: remedy.rule.to_owned(),
        about: About {
            kind: remedy.about.kind.word().to_owned(),
            name: remedy.about.name.as_ref().to_owned(),
        },
        text: remedy.text.clone(),
        at: remedy.at,
        by: remedy.by.clone(),
        action,
    };
    // Text, numbers and lists of them: this cannot fail.
    serde_json::to_vec(&value).unwrap_or_default()
}

/// A remedy from its key and value, and whose it is. `None`: it is none, or cannot be read.
pub(crate) fn decode(kv: &KeyValue) -> Option<(BrokerId, Remedy)> {
    let key = std::str::from_utf8(&kv.key).ok()?.strip_prefix(PREFIX)?;
    let (broker, number) = key.split_once('/')?;
    let value: Value = serde_json::from_slice(&kv.value).ok()?;
    let about = NodeId::new(NodeKind::parse(&value.about.kind)?, value.about.name);
    let action = match value.action {
        ActionValue::Configure { topic, key, before, after } => {
            Action::Configure { topic, key, before, after }
        }
        ActionValue::Govern { key, policy } => {
            let policy = policies::read(key.as_bytes(), policy.as_bytes())?;
            Action::Govern { about: about.clone(), policy: Box::new(policy) }
        }
    };
    let remedy = Remedy {
        number: number.parse().ok()?,
        rule: RULES.iter().find(|known| known.id == value.rule)?.id,
        about,
        text: value.text,
        state: RemedyState::Applied,
        at: value.at,
        by: value.by,
        why: None,
        action,
    };
    Some((BrokerId(broker.parse().ok()?), remedy))
}
