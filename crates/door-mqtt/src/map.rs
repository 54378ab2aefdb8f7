//! Between MQTT's names and properties and those of the core.

use std::borrow::Cow;

use base::subject::{Escape, Rules, Wildcard};
use base::{ErrorKind, Filter, Millis};
use broker::live::Delivery;
use broker::sessions::SessionError;
use broker::{Message, Original, ProduceError, Properties, PublisherId};
use bytes::Bytes;

use crate::limits::LEVELS_MAX;
use crate::session::outbound::View;
use crate::wire::WireError;
use crate::wire::publish::{MessageProperties, user_properties};
use crate::wire::reason::Reason;
use crate::wire::{property, writer};

#[cfg(test)]
mod tests;

/// What a topic cannot have: wildcards, and control characters, for which clients may cut the connection (5.0 §1.5.4).
const FORBIDDEN: &[u8] = b"+#\x7f\0\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f\
    \x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";

/// How topics are written.
pub(crate) static NAMES: Escape = Escape::new(Rules {
    slot: 1,
    separator: b'/',
    introducer: b'%',
    doubled: None,
    forbidden: FORBIDDEN,
    empty_levels: true,
    wildcards: &[(b'+', Wildcard::One), (b'#', Wildcard::ZeroOrMore)],
    many_only_last: true,
    utf8: true,
    skips_hidden: true,
});

/// The core's filter.
///
/// # Errors
/// It is none, or has too many levels.
pub(crate) fn filter(name: &str) -> Result<Filter, WireError> {
    if name.bytes().filter(|byte| *byte == b'/').count() >= LEVELS_MAX {
        return Err(WireError::TopicFilter);
    }
    NAMES.filter(name.as_bytes()).map_err(|_| WireError::TopicFilter)
}

/// Whether clients may not publish to this topic: what the broker says of itself, and what would look like a shared
/// subscription. Bridges say there whether they are connected, as mosquitto has it.
pub(crate) fn is_reserved(topic: &str) -> bool {
    let mut levels = topic.splitn(5, '/');
    match levels.next() {
        Some("$share") => true,
        Some("$SYS") => {
            let rest: Vec<_> = levels.collect();
            !matches!(rest[..], ["broker", "connection", _, "state"])
        }
        _ => false,
    }
}

/// What only this protocol knows of a message, for its own readers: a byte of QoS and retain flag, then the
/// properties as they came.
const QOS: u8 = 0b0011;
const RETAIN: u8 = 0b0100;

/// All that stand without properties.
static BARE: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

/// How a message was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) qos: u8,
    pub(crate) retain: bool,
}

/// A message for the core. `payload` is shared, all else is copied.
pub(crate) fn message(
    published: Published,
    properties: &MessageProperties<'_>,
    payload: Bytes,
    publisher: PublisherId,
    now: impl FnOnce() -> Millis,
) -> Message {
    let kept = properties.kept();
    let guaranteed = published.qos > 0;
    let retain = if published.retain { RETAIN } else { 0 };
    let first = published.qos | retain;
    if kept.is_empty() && properties.expiry.is_none() {
        let index = usize::from(first);
        let bytes = Bytes::from_static(BARE.get(index..=index).unwrap_or_default());
        let original = Some(Original { door: door(), bytes });
        return Message {
            value: Some(payload),
            original,
            publisher,
            guaranteed,
            ..Message::default()
        };
    }
    let mut bytes = Vec::with_capacity(1 + kept.iter().map(|piece| piece.len()).sum::<usize>());
    bytes.push(first);
    kept.iter().for_each(|piece| bytes.extend_from_slice(piece));
    let bytes = Bytes::from(bytes);
    let copied = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let headers = match properties.has_user_properties {
        true => user_properties(bytes.get(1..).unwrap_or_default())
            .map(|(name, value)| (copied(name), Some(copied(value))))
            .collect(),
        false => Vec::new(),
    };
    let reply_to = properties.response_topic.and_then(|topic| NAMES.subject(topic.as_bytes()).ok());
    let properties = Properties {
        content_type: properties.content_type.map(copied),
        reply_to,
        correlation_id: properties.correlation.map(Bytes::copy_from_slice),
        expires_at: properties.expiry.map(|seconds| now() + 1000 * Millis::from(seconds)),
        ..Properties::default()
    };
    let original = Some(Original { door: door(), bytes });
    let value = Some(payload);
    Message { value, headers, properties, original, publisher, guaranteed, ..Message::default() }
}

fn door() -> u8 {
    u8::try_from(NAMES.rules().slot).unwrap_or(0)
}

/// A message of the core, as this protocol sees it.
#[derive(Debug)]
pub(crate) struct Received<'a> {
    pub(crate) topic: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) kept: Cow<'a, [u8]>,
    pub(crate) expires_at: Option<Millis>,
    pub(crate) published: Published,
}

impl<'a> Received<'a> {
    /// What a subscriber is given.
    #[inline]
    pub(crate) fn of(delivery: &Delivery<'a>) -> Self {
        let message = delivery.message;
        Self::new(delivery.name(&NAMES), message, delivery.place.is_some())
    }

    /// A message of this topic, which is stored or not: what is stored is as good as one that asks
    /// for an acknowledgement.
    pub(crate) fn new(topic: &'a [u8], message: &'a Message, is_stored: bool) -> Self {
        let own = message.original.as_ref().and_then(|original| original.of(&NAMES));
        let (published, kept) = match own.and_then(|bytes| bytes.split_first()) {
            Some((first, kept)) => {
                let published = Published { qos: first & QOS, retain: first & RETAIN != 0 };
                (published, Cow::Borrowed(kept))
            }
            None => {
                let published = Published { qos: u8::from(is_stored), retain: false };
                (published, Cow::Owned(properties(message)))
            }
        };
        let payload = message.value.as_deref().unwrap_or_default();
        Self { topic, payload, kept, expires_at: message.properties.expires_at, published }
    }

    pub(crate) fn view(&self) -> View<'_> {
        View {
            topic: self.topic,
            payload: self.payload,
            kept: &self.kept,
            expires_at: self.expires_at,
        }
    }
}

/// The properties of a message from another protocol. What cannot be said here is left out: names and values of
/// headers that are not text, or too long.
fn properties(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    let Properties { content_type, reply_to, correlation_id, .. } = &message.properties;
    if let Some(text) = content_type.as_deref().and_then(text) {
        writer::text_property(&mut out, property::CONTENT_TYPE, text);
    }
    if let Some(name) = reply_to.as_ref().map(|subject| NAMES.name(subject))
        && let Some(topic) = text(&name).filter(|topic| !topic.is_empty())
    {
        writer::text_property(&mut out, property::RESPONSE_TOPIC, topic);
    }
    if let Some(id) = correlation_id.as_deref().filter(|id| id.len() <= usize::from(u16::MAX)) {
        out.push(property::CORRELATION_DATA);
        writer::binary(&mut out, id);
    }
    for (name, value) in &message.headers {
        let value = value.as_deref().unwrap_or_default();
        if let (Some(name), Some(value)) = (text(name), text(value)) {
            out.push(property::USER_PROPERTY);
            writer::binary(&mut out, name.as_bytes());
            writer::binary(&mut out, value.as_bytes());
        }
    }
    out
}

/// Bytes that can stand in a field of text.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    (text.len() <= usize::from(u16::MAX) && !bytes.contains(&0)).then_some(text)
}

/// What a client is told whose session could not be opened or changed.
pub(crate) fn session_refusal(error: &SessionError) -> Reason {
    match error {
        SessionError::TooMany => Reason::SERVER_BUSY,
        SessionError::TooManyLevels => Reason::TOPIC_FILTER_INVALID,
        // Another connection began anew.
        SessionError::Gone => Reason::TAKEN_OVER,
        SessionError::Store(error) => refusal(error),
    }
}

/// What a publisher is told of a message that could not be stored.
pub(crate) fn refusal(error: &ProduceError) -> Reason {
    match (error, error.kind()) {
        (ProduceError::TooLarge { .. }, _) => Reason::QUOTA_EXCEEDED,
        (_, ErrorKind::Unavailable | ErrorKind::Storage) => Reason::QUOTA_EXCEEDED,
        _ => Reason::IMPLEMENTATION,
    }
}
