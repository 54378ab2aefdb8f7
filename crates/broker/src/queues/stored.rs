//! Queues in the metadata store.

use base::Millis;
use bytes::Bytes;
use queue::dispatch::Policy;
use serde::{Deserialize, Serialize};

use super::queue::StoredIn;
use super::types::{
    DeadLetterTo, Overflow, QueueKind, QueueName, QueueSettings, QueueSpec, RetryDelay, RetryWhen,
    StreamSettings,
};
use crate::metadata::keys;

/// Begins the keys.
pub(crate) const PREFIX: &str = "queue/";

/// The key of a queue: namespace and name.
pub(super) fn key(name: &QueueName) -> String {
    format!("{PREFIX}{}/{}", keys::escape(&name.space), keys::escape(&name.name))
}

/// The queue that a key is of.
fn name(key: &[u8]) -> Option<QueueName> {
    let key = std::str::from_utf8(key).ok()?.strip_prefix(PREFIX)?;
    let (space, name) = key.split_once('/')?;
    Some(QueueName { space: keys::unescape(space)?, name: keys::unescape(name)? })
}

/// A queue as it is kept: only what is not the default.
#[derive(Debug, Serialize, Deserialize)]
struct Value {
    topic: String,
    #[serde(default)]
    is_own: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    auto_delete: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    kind: KindValue,
    #[serde(default, skip_serializing_if = "is_default")]
    arguments: String,
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
    #[serde(default, skip_serializing_if = "is_default")]
    priorities: u8,
    #[serde(default, skip_serializing_if = "is_default")]
    single_active: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    order_by_key: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deliveries_max: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    deliveries_said: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consumer_timeout: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_delay: Option<(Millis, Millis)>,
    #[serde(default, skip_serializing_if = "is_default")]
    retry_when: RetryWhenValue,
    dispatch: String,
    #[serde(default, skip_serializing_if = "is_default")]
    is_paused: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<StreamValue>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct StreamValue {
    age_max: Option<Millis>,
    bytes_max: Option<u64>,
    segment_bytes: Option<u64>,
}

/// A queue as it is read back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(super) name: QueueName,
    pub(super) spec: QueueSpec,
    pub(super) topic: StoredIn,
    pub(super) is_paused: bool,
}

/// [`Overflow`] as it is kept.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OverflowValue {
    DropHead,
    Reject,
    RejectDeadLetter,
}

impl From<Overflow> for OverflowValue {
    fn from(overflow: Overflow) -> Self {
        match overflow {
            Overflow::DropHead => Self::DropHead,
            Overflow::Reject => Self::Reject,
            Overflow::RejectDeadLetter => Self::RejectDeadLetter,
        }
    }
}

impl From<OverflowValue> for Overflow {
    fn from(value: OverflowValue) -> Self {
        match value {
            OverflowValue::DropHead => Self::DropHead,
            OverflowValue::Reject => Self::Reject,
            OverflowValue::RejectDeadLetter => Self::RejectDeadLetter,
        }
    }
}

/// [`QueueKind`] as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KindValue {
    #[default]
    Classic,
    Quorum,
    Stream,
}

impl From<QueueKind> for KindValue {
    fn from(kind: QueueKind) -> Self {
        match kind {
            QueueKind::Classic => Self::Classic,
            QueueKind::Quorum => Self::Quorum,
            QueueKind::Stream => Self::Stream,
        }
    }
}

impl From<KindValue> for QueueKind {
    fn from(value: KindValue) -> Self {
        match value {
            KindValue::Classic => Self::Classic,
            KindValue::Quorum => Self::Quorum,
            KindValue::Stream => Self::Stream,
        }
    }
}

/// [`RetryWhen`] as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RetryWhenValue {
    Never,
    #[default]
    All,
    Failed,
    Returned,
}

impl From<RetryWhen> for RetryWhenValue {
    fn from(when: RetryWhen) -> Self {
        match when {
            RetryWhen::Never => Self::Never,
            RetryWhen::All => Self::All,
            RetryWhen::Failed => Self::Failed,
            RetryWhen::Returned => Self::Returned,
        }
    }
}

impl From<RetryWhenValue> for RetryWhen {
    fn from(value: RetryWhenValue) -> Self {
        match value {
            RetryWhenValue::Never => Self::Never,
            RetryWhenValue::All => Self::All,
            RetryWhenValue::Failed => Self::Failed,
            RetryWhenValue::Returned => Self::Returned,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A queue's value.
pub(super) fn encode(spec: &QueueSpec, stored: &StoredIn, is_paused: bool) -> Vec<u8> {
    let settings = &spec.settings;
    let dead_letter = settings.dead_letter.as_ref();
    let key = dead_letter.and_then(|to| to.key.as_ref());
    keys::encode(&Value {
        topic: stored.topic.clone(),
        is_own: stored.is_own,
        auto_delete: spec.auto_delete,
        kind: spec.kind.into(),
        arguments: keys::escape(&spec.arguments),
        message_ttl: settings.message_ttl,
        expires: settings.expires,
        length_max: settings.length_max,
        bytes_max: settings.bytes_max,
        overflow: settings.overflow.map(OverflowValue::from),
        dead_letter_exchange: dead_letter.map(|to| keys::escape(&to.exchange)),
        dead_letter_key: key.map(|key| keys::escape(key)),
        priorities: settings.priorities,
        single_active: settings.single_active,
        order_by_key: settings.order_by_key,
        deliveries_max: settings.deliveries_max,
        deliveries_said: settings.deliveries_said,
        consumer_timeout: settings.consumer_timeout,
        retry_delay: settings.retry_delay.map(|delay| (delay.min, delay.max)),
        retry_when: settings.retry_delay.map(|delay| delay.when.into()).unwrap_or_default(),
        dispatch: settings.dispatch.name().to_owned(),
        is_paused,
        stream: settings.stream.map(|stream| {
            let StreamSettings { age_max, bytes_max, segment_bytes } = stream;
            StreamValue { age_max, bytes_max, segment_bytes }
        }),
    })
}

/// A queue from its key and value. `None`: it cannot be read, which is said.
pub(crate) fn decode(key: &[u8], value: &[u8]) -> Option<Stored> {
    let read = || {
        let name = name(key)?;
        let value: Value = serde_json::from_slice(value).ok()?;
        let unescape = |text: &Option<String>| -> Option<Option<Bytes>> {
            text.as_deref().map_or(Some(None), |text| keys::unescape(text).map(Some))
        };
        let key = unescape(&value.dead_letter_key)?;
        let dead_letter =
            unescape(&value.dead_letter_exchange)?.map(|exchange| DeadLetterTo { exchange, key });
        let settings = QueueSettings {
            message_ttl: value.message_ttl,
            expires: value.expires,
            length_max: value.length_max,
            bytes_max: value.bytes_max,
            overflow: value.overflow.map(Overflow::from),
            dead_letter,
            priorities: value.priorities,
            single_active: value.single_active,
            order_by_key: value.order_by_key,
            deliveries_max: value.deliveries_max,
            deliveries_said: value.deliveries_said,
            consumer_timeout: value.consumer_timeout,
            retry_delay: value.retry_delay.map(|(min, max)| {
                let when = value.retry_when.into();
                RetryDelay { when, min, max }
            }),
            dispatch: value.dispatch.parse::<Policy>().ok()?,
            stream: value.stream.map(|stream| {
                let StreamValue { age_max, bytes_max, segment_bytes } = stream;
                StreamSettings { age_max, bytes_max, segment_bytes }
            }),
        };
        let spec = QueueSpec {
            durable: true,
            exclusive: false,
            auto_delete: value.auto_delete,
            kind: value.kind.into(),
            settings,
            arguments: keys::unescape(&value.arguments)?,
        };
        let topic = StoredIn { topic: value.topic, is_own: value.is_own };
        Some(Stored { name, spec, topic, is_paused: value.is_paused })
    };
    let read = read();
    if read.is_none() {
        let key = String::from_utf8_lossy(key);
        tracing::error!(%key, "cannot read a queue's value of the metadata store");
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_comes_back_from_the_metadata_store_as_it_was() {
        let bytes = Bytes::from_static;
        let full = QueueSpec {
            durable: true,
            exclusive: false,
            auto_delete: true,
            kind: QueueKind::Quorum,
            settings: QueueSettings {
                message_ttl: Some(1),
                expires: Some(2),
                length_max: Some(3),
                bytes_max: Some(4),
                overflow: Some(Overflow::RejectDeadLetter),
                dead_letter: Some(DeadLetterTo {
                    exchange: bytes(b"a/\xff"),
                    key: Some(bytes(b"k%")),
                }),
                priorities: 9,
                single_active: true,
                order_by_key: true,
                deliveries_max: Some(5),
                deliveries_said: true,
                consumer_timeout: Some(10),
                retry_delay: Some(RetryDelay { when: RetryWhen::Failed, min: 6, max: 7 }),
                dispatch: Policy::LeastInFlight,
                stream: Some(StreamSettings {
                    age_max: Some(8),
                    bytes_max: Some(9),
                    segment_bytes: None,
                }),
            },
            arguments: bytes(b"\x00\x01"),
        };
        let plain = QueueSpec { durable: true, ..QueueSpec::default() };
        for spec in [full, plain] {
            let queue = QueueName { space: bytes(b"/"), name: bytes(b"a b/c%\x00") };
            let stored = StoredIn { topic: "t".to_owned(), is_own: true };
            let is_paused = spec.auto_delete;
            let decoded = decode(key(&queue).as_bytes(), &encode(&spec, &stored, is_paused));
            assert_eq!(decoded, Some(Stored { name: queue, spec, topic: stored, is_paused }));
        }
    }
}
