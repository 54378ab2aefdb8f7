//! Names, properties and errors: between NATS and the broker.
//!
//! | broker | NATS |
//! |---|---|
//! | subject | subject; the form that people write is NATS's own |
//! | headers | header fields, in order, duplicates included |
//! | content type | header `Content-Type` |
//! | correlation id | header `Correlation-Id`; and see [`reply_name`] |
//! | reply-to | the reply subject |
//! | expiry | header `Expires-At`, milliseconds since the epoch |
//! | priority | header `Priority` |
//! | original | the header block, byte for byte |

use base::subject::{Escape, TEXT};
use base::{Millis, Subject};
use broker::{Message, Original};
use bytes::Bytes;

use crate::wire::headers::{self, Block};

#[cfg(test)]
mod tests;

/// How NATS writes subjects.
pub(crate) static NAMES: &Escape = &TEXT;

const CONTENT_TYPE: &[u8] = b"Content-Type";
const CORRELATION_ID: &[u8] = b"Correlation-Id";
const EXPIRES_AT: &[u8] = b"Expires-At";
const PRIORITY: &[u8] = b"Priority";

/// A reply subject that begins so has a correlation id in its second level, in hexadecimal, and the
/// subject after it.
const CORRELATED: &[u8] = b"_R_.";

/// The texts of `-ERR`, which clients compare.
pub(crate) mod error {
    pub(crate) const AUTHORIZATION: &str = "Authorization Violation";
    pub(crate) const AUTHENTICATION_TIMEOUT: &str = "Authentication Timeout";
    pub(crate) const AUTHENTICATION_EXPIRED: &str = "User Authentication Expired";
    pub(crate) const UNKNOWN: &str = "Unknown Protocol Operation";
    pub(crate) const BAD_PROTOCOL: &str = "invalid client protocol";
    pub(crate) const NO_RESPONDERS_NEED_HEADERS: &str = "no responders requires headers support";
    pub(crate) const NO_HEADERS: &str = "message headers not supported";
    pub(crate) const INVALID_SUBJECT: &str = "Invalid Subject";
    pub(crate) const INVALID_PUBLISH_SUBJECT: &str = "Invalid Publish Subject";
    pub(crate) const TOO_MANY_SUBSCRIPTIONS: &str = "maximum subscriptions exceeded";
    pub(crate) const STALE: &str = "Stale Connection";

    pub(crate) fn publish(subject: &[u8]) -> String {
        format!("Permissions Violation for Publish to {}", super::quoted(subject))
    }

    pub(crate) fn reply(reply: &[u8]) -> String {
        format!("Permissions Violation for Publish with Reply of {}", super::quoted(reply))
    }

    pub(crate) fn subscribe(subject: &[u8], queue: Option<&[u8]>) -> String {
        let subject = super::quoted(subject);
        let queue = queue.map(|queue| format!(" using queue {}", super::quoted(queue)));
        format!("Permissions Violation for Subscription to {subject}{}", queue.unwrap_or_default())
    }
}

/// In quotes, with nothing in it that ends a line or the quotes.
fn quoted(name: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(name))
}

/// A subject to publish to, and the correlation id that it carries, if it is one that [`reply_name`]
/// made.
pub(crate) fn correlated(name: &[u8]) -> Option<(Bytes, &[u8])> {
    let rest = name.strip_prefix(CORRELATED)?;
    let dot = memchr::memchr(b'.', rest)?;
    let id = rest[..dot].chunks(2).map(unhex).collect::<Option<Vec<u8>>>()?;
    Some((id.into(), &rest[dot + 1..]))
}

/// The reply subject as a client is told it. An answer goes to that subject as it is, and a NATS client
/// does not repeat a correlation id; so where an asker of another protocol wants one, it is put into
/// the subject, and taken out again when the answer comes ([`correlated`]).
pub(crate) fn reply_name(reply: &Subject, message: &Message) -> Vec<u8> {
    let mut name = Vec::with_capacity(reply.as_bytes().len());
    let id = message.properties.correlation_id.as_ref().filter(|id| !id.is_empty());
    let is_ours = message.original.as_ref().is_some_and(|original| original.of(NAMES).is_some());
    if let Some(id) = id.filter(|_| !is_ours) {
        name.extend_from_slice(CORRELATED);
        id.iter().for_each(|byte| name.extend(hex(*byte)));
        name.push(b'.');
    }
    NAMES.put_name(reply, &mut name);
    name
}

fn hex(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

fn unhex(pair: &[u8]) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let [high, low] = pair else { return None };
    Some((digit(*high)? << 4) | digit(*low)?)
}

/// Takes a header block into a message: what crosses, and the block itself.
pub(crate) fn take_headers(block: &Bytes, message: &mut Message) {
    message.original = Some(Original { door: slot(), bytes: block.clone() });
    for (name, value) in headers::fields(block) {
        let value = block.slice_ref(value);
        let properties = &mut message.properties;
        if name.eq_ignore_ascii_case(CONTENT_TYPE) && properties.content_type.is_none() {
            properties.content_type = Some(value);
        } else if name.eq_ignore_ascii_case(CORRELATION_ID) && properties.correlation_id.is_none() {
            properties.correlation_id = Some(value);
        } else if name.eq_ignore_ascii_case(EXPIRES_AT) && number::<Millis>(&value).is_some() {
            properties.expires_at = number(&value);
        } else if name.eq_ignore_ascii_case(PRIORITY) && number::<u8>(&value).is_some() {
            properties.priority = number(&value);
        } else {
            message.headers.push((block.slice_ref(name), Some(value)));
        }
    }
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn slot() -> u8 {
    u8::try_from(NAMES.rules().slot).unwrap_or(0)
}

/// The header block of a message: its publisher's own, if that spoke NATS; else one made into `made`.
/// None where there is nothing to say.
pub(crate) fn header_block<'a>(message: &'a Message, made: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if let Some(block) = message.original.as_ref().and_then(|original| original.of(NAMES)) {
        return Some(block);
    }
    let properties = &message.properties;
    let says_nothing = message.headers.is_empty()
        && properties.content_type.is_none()
        && properties.correlation_id.is_none()
        && properties.expires_at.is_none()
        && properties.priority.is_none();
    if says_nothing {
        return None;
    }
    let mut block = Block::begin(made);
    let mut put = |name: &[u8], value: &[u8]| {
        if headers::is_writable(name, value) {
            block.field(name, value);
        }
    };
    for (name, value) in &message.headers {
        put(name, value.as_deref().unwrap_or_default());
    }
    if let Some(value) = &properties.content_type {
        put(CONTENT_TYPE, value);
    }
    if let Some(value) = &properties.correlation_id {
        put(CORRELATION_ID, value);
    }
    if let Some(value) = properties.expires_at {
        put(EXPIRES_AT, value.to_string().as_bytes());
    }
    if let Some(value) = properties.priority {
        put(PRIORITY, value.to_string().as_bytes());
    }
    block.end();
    Some(made)
}
