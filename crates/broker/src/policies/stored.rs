//! Policies in the metadata store.

use base::Millis;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::pattern::Pattern;
use super::types::{DeliveryLimit, Policy, PolicyLayer, PolicyName, PolicySettings};
use crate::metadata::keys::{self, escape, unescape};
use crate::queues::{KindValue, OverflowValue, RetryWhenValue};

/// Begins the keys.
pub(crate) const PREFIX: &str = "policy/";
const USER: &str = "user";
const OPERATOR: &str = "operator";

/// The key of a policy: who it is for, namespace and name.
pub(super) fn key(name: &PolicyName) -> String {
    let layer = match name.layer {
        PolicyLayer::User => USER,
        PolicyLayer::Operator => OPERATOR,
    };
    format!("{PREFIX}{layer}/{}/{}", escape(&name.space), escape(&name.name))
}

fn name(key: &[u8]) -> Option<PolicyName> {
    let rest = std::str::from_utf8(key).ok()?.strip_prefix(PREFIX)?;
    let (layer, rest) = rest.split_once('/')?;
    let layer = match layer {
        USER => PolicyLayer::User,
        OPERATOR => PolicyLayer::Operator,
        _ => return None,
    };
    let (space, name) = rest.split_once('/')?;
    Some(PolicyName { space: unescape(space)?, layer, name: unescape(name)? })
}

/// A policy as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Value {
    pattern: String,
    queues: Vec<KindValue>,
    exchanges: bool,
    priority: i64,
    settings: SettingsValue,
    #[serde(default)]
    arguments: String,
}

/// What it sets: only what it says something of.
#[derive(Debug, Serialize, Deserialize)]
struct SettingsValue {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_ttl: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overflow: Option<OverflowValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dead_letter_exchange: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dead_letter_key: Option<String>,
    /// -1: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deliveries_max: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consumer_timeout: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_when: Option<RetryWhenValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_min: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_max: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    age_max: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segment_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alternate: Option<String>,
}

impl SettingsValue {
    fn of(settings: &PolicySettings) -> Self {
        let text = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| escape(bytes));
        Self {
            message_ttl: settings.message_ttl,
            expires: settings.expires,
            length_max: settings.length_max,
            bytes_max: settings.bytes_max,
            overflow: settings.overflow.map(OverflowValue::from),
            dead_letter_exchange: text(&settings.dead_letter_exchange),
            dead_letter_key: text(&settings.dead_letter_key),
            deliveries_max: settings.deliveries_max.map(|limit| match limit {
                DeliveryLimit::Most(most) => most.into(),
                DeliveryLimit::Any => -1,
            }),
            consumer_timeout: settings.consumer_timeout,
            retry_when: settings.retry_when.map(RetryWhenValue::from),
            retry_min: settings.retry_min,
            retry_max: settings.retry_max,
            age_max: settings.age_max,
            segment_bytes: settings.segment_bytes,
            alternate: text(&settings.alternate),
        }
    }

    fn into_settings(self) -> Option<PolicySettings> {
        let bytes = |text: Option<String>| match text {
            None => Some(None),
            Some(text) => unescape(&text).map(Some),
        };
        Some(PolicySettings {
            message_ttl: self.message_ttl,
            expires: self.expires,
            length_max: self.length_max,
            bytes_max: self.bytes_max,
            overflow: self.overflow.map(OverflowValue::into),
            dead_letter_exchange: bytes(self.dead_letter_exchange)?,
            dead_letter_key: bytes(self.dead_letter_key)?,
            deliveries_max: self
                .deliveries_max
                .map(|most| u32::try_from(most).map_or(DeliveryLimit::Any, DeliveryLimit::Most)),
            consumer_timeout: self.consumer_timeout,
            retry_when: self.retry_when.map(RetryWhenValue::into),
            retry_min: self.retry_min,
            retry_max: self.retry_max,
            age_max: self.age_max,
            segment_bytes: self.segment_bytes,
            alternate: bytes(self.alternate)?,
        })
    }
}

/// A policy's value.
pub(super) fn encode(policy: &Policy) -> Vec<u8> {
    keys::encode(&Value {
        pattern: policy.pattern.as_str().to_owned(),
        queues: policy.queues.iter().map(|kind| KindValue::from(*kind)).collect(),
        exchanges: policy.exchanges,
        priority: policy.priority,
        settings: SettingsValue::of(&policy.settings),
        arguments: escape(&policy.arguments),
    })
}

/// A policy's key and value.
pub(crate) fn write(policy: &Policy) -> (String, Vec<u8>) {
    (key(&policy.name), encode(policy))
}

/// A policy from its key and value. `None`: it cannot be read, which is said.
pub(crate) fn decode(key: &[u8], value: &[u8]) -> Option<Policy> {
    let read = || {
        let name = name(key)?;
        let value: Value = serde_json::from_slice(value).ok()?;
        Some(Policy {
            name,
            pattern: Pattern::new(&value.pattern).ok()?,
            queues: value.queues.into_iter().map(KindValue::into).collect(),
            exchanges: value.exchanges,
            priority: value.priority,
            settings: value.settings.into_settings()?,
            arguments: unescape(&value.arguments)?,
        })
    };
    let read = read();
    if read.is_none() {
        let key = String::from_utf8_lossy(key);
        tracing::error!(%key, "cannot read a policy's value of the metadata store");
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queues::{Overflow, QueueKind, RetryWhen};

    #[test]
    fn a_policy_comes_back_from_the_metadata_store_as_it_was() {
        let bytes = Bytes::from_static;
        let full = PolicySettings {
            message_ttl: Some(1),
            expires: Some(2),
            length_max: Some(3),
            bytes_max: Some(4),
            overflow: Some(Overflow::RejectDeadLetter),
            dead_letter_exchange: Some(bytes(b"a/\xff")),
            dead_letter_key: Some(bytes(b"")),
            deliveries_max: Some(DeliveryLimit::Any),
            consumer_timeout: Some(5),
            retry_when: Some(RetryWhen::Returned),
            retry_min: Some(9),
            retry_max: Some(10),
            age_max: Some(6),
            segment_bytes: Some(7),
            alternate: Some(bytes(b"x")),
        };
        let limited =
            PolicySettings { deliveries_max: Some(DeliveryLimit::Most(8)), ..Default::default() };
        for (layer, settings) in [(PolicyLayer::User, full), (PolicyLayer::Operator, limited)] {
            let policy = Policy {
                name: PolicyName { space: bytes(b"/v"), layer, name: bytes(b"a b/\x00") },
                pattern: Pattern::new("^(?!a)b").unwrap(),
                queues: vec![QueueKind::Classic, QueueKind::Quorum, QueueKind::Stream],
                exchanges: true,
                priority: -3,
                settings,
                arguments: bytes(b"{}"),
            };
            assert_eq!(decode(key(&policy.name).as_bytes(), &encode(&policy)), Some(policy));
        }
    }
}
