//! Names and properties: between AMQP and the core.
//!
//! | core | AMQP |
//! |---|---|
//! | subject | routing key of `amq.topic` in the virtual host `/` |
//! | headers | headers, in order, duplicates included; values as text |
//! | content type | `content-type` |
//! | correlation id | `correlation-id`, or the header `x-correlation-id` where it is longer than 255 bytes |
//! | reply-to | the header `x-reply-to-topic`: a routing key of `amq.topic` |
//! | expiry | `expiration`, as what is left of it |
//! | priority | `priority` |
//! | user | `user-id` |
//! | the headers `content-encoding`, `message-id`, `type`, `app-id` | properties of these names |
//! | timestamp | `timestamp`, in seconds |
//! | original | flags and values of the properties, byte for byte |

use std::borrow::Cow;
use std::fmt::Write;

use base::Millis;
use base::subject::{Escape, KEYS};
use broker::exchanges::{HeaderValue, Headers, SUBJECTS};
use broker::queues::Delivered;
use broker::{Death, DeathReason, Message, Original, Properties as CoreProperties, PublisherId};
use bytes::Bytes;

use crate::fault::{Fault, quoted};
use crate::wire::properties::Properties;
use crate::wire::reader::Short;
use crate::wire::table::{ArrayBuf, Table, TableBuf, Value};

#[cfg(test)]
mod tests;

/// How routing keys are written.
pub(crate) static NAMES: &Escape = &KEYS;

/// The exchange that is the space of subjects.
pub(crate) const TOPIC_EXCHANGE: &[u8] = SUBJECTS.as_bytes();

const CORRELATION_ID: &[u8] = b"x-correlation-id";
const REPLY_TO_TOPIC: &[u8] = b"x-reply-to-topic";
const DELIVERY_COUNT: &[u8] = b"x-delivery-count";
const STREAM_OFFSET: &[u8] = b"x-stream-offset";
const DEATHS: &[u8] = b"x-death";
/// Properties that are plain headers at other doors.
const PLAIN: [&[u8]; 4] = [b"content-encoding", b"message-id", b"type", b"app-id"];

/// A message for the core. `payload` and `properties` are shared.
///
/// # Errors
/// A property is not what it should be.
pub(crate) fn message(
    properties: &Properties<'_>,
    (raw, payload): (Bytes, Bytes),
    publisher: PublisherId,
    now: impl FnOnce() -> Millis,
) -> Result<Message, Fault> {
    let share = |short: Short<'_>| raw.slice_ref(&short);
    let ttl = properties.expiration.map(|text| expiration(&text)).transpose()?;
    let mut headers = properties.headers.map(text_headers).unwrap_or_default();
    let Properties { content_encoding, message_id, kind, app_id, .. } = *properties;
    let plain = PLAIN.into_iter().zip([content_encoding, message_id, kind, app_id]);
    headers.extend(plain.filter_map(|(name, value)| {
        value.map(|value| (Bytes::from_static(name), Some(share(value))))
    }));
    Ok(Message {
        value: Some(payload),
        headers,
        timestamp: properties.timestamp.and_then(|s| Millis::try_from(s.checked_mul(1000)?).ok()),
        properties: CoreProperties {
            content_type: properties.content_type.map(share),
            reply_to: None,
            correlation_id: properties.correlation_id.map(share),
            expires_at: ttl.map(|ttl| now().saturating_add(ttl)),
            priority: properties.priority,
            user: properties.user_id.map(share),
        },
        // That of a message without properties says nothing.
        original: Some(Original { door: slot(), bytes: raw }),
        guaranteed: properties.delivery_mode == Some(2),
        publisher,
        ..Message::default()
    })
}

fn slot() -> u8 {
    u8::try_from(NAMES.rules().slot).unwrap_or(u8::MAX)
}

/// Digits, of milliseconds.
fn expiration(text: &[u8]) -> Result<Millis, Fault> {
    /// As much as RabbitMQ takes: 100 years, about.
    const MAX: Millis = 0xffff_ffff;
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<Millis>().ok());
    match parsed {
        Some(ttl) if (0..=MAX).contains(&ttl) => Ok(ttl),
        _ => Err(Fault::precondition(format!("invalid expiration '{}'", quoted(text)))),
    }
}

/// Headers as other doors have them.
fn text_headers(table: Table<'_>) -> Vec<(Bytes, Option<Bytes>)> {
    let text = |value: Value<'_>| match value {
        Value::Void => None,
        Value::String(bytes) | Value::Bytes(bytes) => Some(Bytes::copy_from_slice(bytes)),
        other => {
            let mut text = String::new();
            put_text(&other, &mut text);
            Some(text.into())
        }
    };
    // Of old deaths only the server speaks.
    let own = table.entries().filter(|(name, _)| *name != DEATHS);
    own.map(|(name, value)| (Bytes::copy_from_slice(name), text(value))).collect()
}

/// A value as text: what is not text already, as JSON has it.
fn put_text(value: &Value<'_>, out: &mut String) {
    let written = match value {
        Value::Bool(value) => write!(out, "{value}"),
        Value::F32(value) => write!(out, "{value}"),
        Value::F64(value) => write!(out, "{value}"),
        Value::Timestamp(value) => write!(out, "{value}"),
        Value::Decimal { scale, digits } => write!(out, "{digits}e-{scale}"),
        Value::Void => write!(out, "null"),
        Value::String(bytes) | Value::Bytes(bytes) => {
            write!(out, "{:?}", String::from_utf8_lossy(bytes))
        }
        Value::Array(array) => {
            out.push('[');
            put_all(array.values(), out, |value, out| put_text(&value, out));
            out.push(']');
            Ok(())
        }
        Value::Table(table) => {
            out.push('{');
            put_all(table.entries(), out, |(name, value), out| {
                put_text(&Value::String(name), out);
                out.push(':');
                put_text(&value, out);
            });
            out.push('}');
            Ok(())
        }
        integer => write!(out, "{}", integer.integer().unwrap_or_default()),
    };
    // A text takes everything.
    written.unwrap_or_default();
}

fn put_all<T>(all: impl Iterator<Item = T>, out: &mut String, mut put: impl FnMut(T, &mut String)) {
    for (number, one) in all.enumerate() {
        if number > 0 {
            out.push(',');
        }
        put(one, out);
    }
}

/// Headers as exchanges compare them: numbers of any size are equal if they are the same number.
pub(crate) fn compared_headers(properties: &Properties<'_>) -> Headers {
    let Some(table) = properties.headers else { return Headers::new() };
    let compared = |(name, value)| (Bytes::copy_from_slice(name), header_value(&value));
    table.entries().map(compared).collect()
}

/// The same of a message in a queue; what others published has text.
pub(crate) fn stored_headers(message: &Message) -> Headers {
    match message.original.as_ref().and_then(|original| original.of(NAMES)) {
        Some(bytes) => {
            Properties::decode(bytes).map_or_else(|_| Headers::new(), |p| compared_headers(&p))
        }
        None => {
            let text = |(name, value): &(Bytes, Option<Bytes>)| {
                let value = value.as_deref().map_or(Value::Void, Value::String);
                (name.clone(), header_value(&value))
            };
            message.headers.iter().map(text).collect()
        }
    }
}

/// A value as exchanges compare it.
pub(crate) fn header_value(value: &Value<'_>) -> HeaderValue {
    let (letter, bytes): (u8, Cow<'_, [u8]>) = match value {
        Value::Void => return HeaderValue::Is(Bytes::from_static(b"V")),
        Value::Bool(value) => (b't', vec![u8::from(*value)].into()),
        Value::String(bytes) | Value::Bytes(bytes) => (b'S', (*bytes).into()),
        Value::F32(value) => (b'd', f64::from(*value).to_be_bytes().to_vec().into()),
        Value::F64(value) => (b'd', value.to_be_bytes().to_vec().into()),
        Value::Timestamp(value) => (b'T', value.to_be_bytes().to_vec().into()),
        Value::Decimal { scale, digits } => {
            (b'D', [&[*scale][..], &digits.to_be_bytes()].concat().into())
        }
        Value::Array(array) => (b'A', raw_text(&Value::Array(*array)).into()),
        Value::Table(table) => (b'F', table.bytes().into()),
        integer => (b'l', integer.integer().unwrap_or_default().to_be_bytes().to_vec().into()),
    };
    HeaderValue::Is([&[letter], &bytes[..]].concat().into())
}

fn raw_text(value: &Value<'_>) -> Vec<u8> {
    let mut text = String::new();
    put_text(value, &mut text);
    text.into_bytes()
}

/// Flags and values of a message that is delivered. With `counts` it says how often it was delivered before.
pub(crate) fn properties(delivered: &Delivered, counts: bool) -> Cow<'_, [u8]> {
    let message = &*delivered.message;
    let own = message.original.as_ref().and_then(|original| original.of(NAMES));
    let counts = counts && delivered.deliveries > 0;
    match own {
        Some(bytes) if is_as_it_was(delivered, counts) => Cow::Borrowed(bytes),
        Some(bytes) => {
            let known = Properties::decode(bytes).unwrap_or_default();
            Cow::Owned(with_history(known, delivered, counts))
        }
        None => Cow::Owned(foreign(delivered, counts)),
    }
}

/// Whether there is nothing to be told of what became of a message.
fn is_as_it_was(delivered: &Delivered, counts: bool) -> bool {
    delivered.message.deaths.is_empty() && !counts && delivered.offset.is_none()
}

/// The same properties, and what became of the message since it was published.
fn with_history(properties: Properties<'_>, delivered: &Delivered, counts: bool) -> Vec<u8> {
    let deaths = &delivered.message.deaths;
    let mut headers = TableBuf::default();
    let is_told_anew = |name: &[u8]| {
        name == DELIVERY_COUNT
            || (name == STREAM_OFFSET && delivered.offset.is_some())
            || (!deaths.is_empty() && is_of_deaths(name))
    };
    for (name, value) in properties.headers.iter().flat_map(Table::entries) {
        if !is_told_anew(name) {
            headers.push(name, value);
        }
    }
    if counts {
        headers.push(DELIVERY_COUNT, Value::I64(delivered.deliveries.into()));
    }
    if let Some(offset) = delivered.offset {
        headers.push(STREAM_OFFSET, Value::I64(offset));
    }
    // It waits as long as it wants where it is now.
    let is_spent = deaths.iter().any(|death| death.reason == DeathReason::Expired);
    put_deaths(deaths, properties.expiration.map(|text| text.0), &mut headers);
    let properties = Properties {
        headers: Some(headers.table()),
        expiration: properties.expiration.filter(|_| !is_spent),
        ..properties
    };
    let mut out = Vec::new();
    properties.encode(&mut out);
    out
}

fn is_of_deaths(name: &[u8]) -> bool {
    name == DEATHS || name.starts_with(b"x-first-death-") || name.starts_with(b"x-last-death-")
}

/// `x-death` and those beside it, newest first.
fn put_deaths(deaths: &[Death], expiration: Option<&[u8]>, headers: &mut TableBuf) {
    let (Some(last), Some(first)) = (deaths.first(), deaths.last()) else { return };
    // Of which it died the first time that it waited too long.
    let spent = deaths.iter().rposition(|death| death.reason == DeathReason::Expired);
    let mut all = ArrayBuf::default();
    for (number, death) in deaths.iter().enumerate() {
        let mut keys = ArrayBuf::default();
        death.keys.iter().for_each(|key| keys.push(Value::String(key)));
        let count = i64::try_from(death.count).unwrap_or(i64::MAX);
        let seconds = u64::try_from(death.time / 1000).unwrap_or(0);
        let mut one = TableBuf::default()
            .with(b"count", Value::I64(count))
            .with(b"reason", Value::String(reason(death.reason)))
            .with(b"queue", Value::String(&death.queue))
            .with(b"time", Value::Timestamp(seconds))
            .with(b"exchange", Value::String(&death.exchange))
            .with(b"routing-keys", Value::Array(keys.array()));
        if let Some(text) = expiration.filter(|_| spent == Some(number)) {
            one.push(b"original-expiration", Value::String(text));
        }
        all.push(Value::Table(one.table()));
    }
    headers.push(DEATHS, Value::Array(all.array()));
    for (which, death) in [("first", first), ("last", last)] {
        let mut put = |what: &str, value: &[u8]| {
            headers.push(format!("x-{which}-death-{what}").as_bytes(), Value::String(value));
        };
        put("reason", reason(death.reason));
        put("queue", &death.queue);
        put("exchange", &death.exchange);
    }
}

fn reason(reason: DeathReason) -> &'static [u8] {
    match reason {
        DeathReason::Rejected => b"rejected",
        DeathReason::Expired => b"expired",
        DeathReason::TooMany => b"maxlen",
        DeathReason::TooManyDeliveries => b"delivery_limit",
    }
}

/// The properties of a message of another door.
fn foreign(delivered: &Delivered, counts: bool) -> Vec<u8> {
    let message = &*delivered.message;
    let of = &message.properties;
    let mut headers = TableBuf::default();
    let plain = PLAIN.map(|name| plain(message, name));
    for (number, (name, value)) in message.headers.iter().enumerate() {
        if !plain.iter().flatten().any(|(at, _)| *at == number) {
            headers.push(name, value.as_deref().map_or(Value::Void, Value::String));
        }
    }
    let [content_encoding, message_id, kind, app_id] = plain.map(|of| of.map(|(_, text)| text));
    let id = of.correlation_id.as_ref();
    if let Some(long) = id.filter(|id| !is_short(id)) {
        headers.push(CORRELATION_ID, Value::Bytes(long));
    }
    if let Some(subject) = &of.reply_to {
        headers.push(REPLY_TO_TOPIC, Value::String(&NAMES.name(subject)));
    }
    // It waits as long as it wants where it is, if it died of that.
    let is_spent = message.deaths.iter().any(|death| death.reason == DeathReason::Expired);
    let left = of.expires_at.filter(|_| !is_spent);
    let left = left.map(|at| at.saturating_sub(delivered.at).max(0).to_string());
    let seconds = message.timestamp.and_then(|ms| u64::try_from(ms / 1000).ok());
    let properties = Properties {
        content_type: of.content_type.as_ref().filter(is_short).map(|kind| Short(kind)),
        headers: Some(headers.table()).filter(|headers| !headers.is_empty()),
        delivery_mode: Some(2),
        priority: of.priority,
        correlation_id: id.filter(is_short).map(|id| Short(id)),
        expiration: left.as_ref().map(|left| Short(left.as_bytes())),
        timestamp: seconds,
        user_id: of.user.as_ref().filter(is_short).map(|user| Short(user)),
        content_encoding,
        message_id,
        kind,
        app_id,
        ..Properties::default()
    };
    if is_as_it_was(delivered, counts) {
        let mut out = Vec::new();
        properties.encode(&mut out);
        return out;
    }
    with_history(properties, delivered, counts)
}

fn is_short(text: &&Bytes) -> bool {
    text.len() <= usize::from(u8::MAX)
}

/// A header that is a property here: its number, and what it says. Of several the last is, if it can be; clients take these
/// for text.
fn plain<'a>(message: &'a Message, name: &[u8]) -> Option<(usize, Short<'a>)> {
    let at = message.headers.iter().rposition(|(known, _)| known == name)?;
    let value = message.headers.get(at)?.1.as_ref()?;
    let is_text = is_short(&value) && std::str::from_utf8(value).is_ok();
    is_text.then_some((at, Short(value)))
}

/// Further routing keys of a message: the headers `CC` and `BCC`.
///
/// # Errors
/// They are no arrays of texts.
pub(crate) fn extra_keys(properties: &Properties<'_>, max: usize) -> Result<Vec<Bytes>, Fault> {
    let Some(table) = properties.headers else { return Ok(Vec::new()) };
    let mut keys = Vec::new();
    for name in [&b"CC"[..], b"BCC"] {
        let Some(value) = table.get(name) else { continue };
        let wrong = || {
            let name = quoted(name);
            Fault::precondition(format!("invalid header '{name}': it is no array of strings"))
        };
        let Value::Array(array) = value else { return Err(wrong()) };
        for value in array.values() {
            let Value::String(key) = value else { return Err(wrong()) };
            keys.push(Bytes::copy_from_slice(key));
        }
    }
    if keys.len() > max {
        return Err(Fault::precondition(format!("more than {max} routing keys")));
    }
    Ok(keys)
}

/// The properties without the header `BCC`, which only the server reads; none where it is not there.
pub(crate) fn without_bcc(properties: &Properties<'_>) -> Option<Vec<u8>> {
    let table = properties.headers?;
    table.get(b"BCC")?;
    let mut headers = TableBuf::default();
    for (name, value) in table.entries().filter(|(name, _)| *name != b"BCC") {
        headers.push(name, value);
    }
    let mut out = Vec::new();
    Properties { headers: Some(headers.table()), ..*properties }.encode(&mut out);
    Some(out)
}

/// Whether two tables of arguments ask for the same: each name once, in any order, numbers of any size.
pub(crate) fn same_argument(a: Option<&Value<'_>>, b: Option<&Value<'_>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => header_value(a) == header_value(b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// An argument for a text.
pub(crate) fn shown(value: &Value<'_>) -> String {
    let mut text = String::new();
    match value {
        Value::String(bytes) => text.push_str(&quoted(bytes)),
        other => put_text(other, &mut text),
    }
    text
}
