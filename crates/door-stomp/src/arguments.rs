//! What queues are made with: headers of the frame that makes one, as RabbitMQ's plugin knows them.

use std::borrow::Cow;

use base::Millis;
use broker::queues::{
    DeadLetterTo, Overflow, QueueKind, QueueSettings, StreamSettings, StreamStart,
};
use bytes::{BufMut, Bytes};

use crate::fault::{Fault, named};
use crate::wire::parse::Headers;

#[cfg(test)]
mod tests;

/// Most messages that come back to a quorum queue before they are dead, unless somebody says otherwise.
const QUORUM_DELIVERIES_MAX: u32 = 20;
/// Highest priority that a queue can have.
const PRIORITY_MAX: i64 = 255;
/// Longest time, in milliseconds: as much as RabbitMQ takes.
const TIME_MAX: i64 = 0xffff_ffff;

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An integer, not less than the first and not more than the second.
    Number(i64, i64),
    Text,
    Flag,
}

/// Every argument of a queue that a header can be. Some only say how a queue is kept, which is decided here.
const ALL: [(&str, Kind); 19] = [
    ("x-dead-letter-exchange", Kind::Text),
    ("x-dead-letter-routing-key", Kind::Text),
    ("x-delivery-limit", Kind::Number(-1, 0xffff_ffff)),
    ("x-expires", Kind::Number(1, TIME_MAX)),
    ("x-max-age", Kind::Text),
    ("x-max-length", Kind::Number(0, i64::MAX)),
    ("x-max-length-bytes", Kind::Number(0, i64::MAX)),
    ("x-max-priority", Kind::Number(0, PRIORITY_MAX)),
    ("x-message-ttl", Kind::Number(0, TIME_MAX)),
    ("x-overflow", Kind::Text),
    ("x-queue-leader-locator", Kind::Text),
    ("x-queue-mode", Kind::Text),
    ("x-queue-type", Kind::Text),
    ("x-quorum-initial-group-size", Kind::Number(0, i64::MAX)),
    ("x-single-active-consumer", Kind::Flag),
    ("x-stream-filter-size-bytes", Kind::Number(0, i64::MAX)),
    ("x-stream-max-segment-size-bytes", Kind::Number(0, i64::MAX)),
    ("x-max-in-memory-length", Kind::Number(0, i64::MAX)),
    ("x-max-in-memory-bytes", Kind::Number(0, i64::MAX)),
];

/// What is said of a stream and means nothing to it.
const NOT_OF_STREAMS: [&str; 10] = [
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-delivery-limit",
    "x-expires",
    "x-max-length",
    "x-max-priority",
    "x-message-ttl",
    "x-overflow",
    "x-queue-mode",
    "x-single-active-consumer",
];

/// The arguments of a queue, understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct QueueArguments {
    pub(crate) kind: QueueKind,
    pub(crate) settings: QueueSettings,
    /// As a table of names and typed values: what clients of AMQP would have said, so that they find it the same.
    pub(crate) table: Bytes,
}

/// Whether a header is one.
fn kind(name: &[u8]) -> Option<Kind> {
    ALL.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, kind)| *kind)
}

/// Whether a frame has any.
pub(crate) fn are_there(headers: Headers<'_>) -> bool {
    headers.iter().any(|(name, _)| kind(&name).is_some())
}

/// Understands those of a frame.
///
/// # Errors
/// One is not what it can be.
pub(crate) fn of_queue(
    headers: Headers<'_>,
    queue: &[u8],
    virtual_host: &[u8],
) -> Result<QueueArguments, Fault> {
    let mut made = QueueArguments::default();
    let (mut table, mut deliveries_max) = (Vec::new(), None);
    let (mut exchange, mut key) = (None, None);
    for (name, kind) in ALL {
        let Some(value) = headers.get(name) else { continue };
        let invalid = || {
            let of = named("queue", queue, virtual_host);
            Fault::precondition(format!("invalid arg '{name}' for {of}"))
        };
        let text = || std::str::from_utf8(&value).map_err(|_| invalid());
        put_name(name, &mut table);
        match kind {
            Kind::Number(min, max) => {
                let number = text()?.trim().parse::<i64>().map_err(|_| invalid())?;
                if !(min..=max).contains(&number) {
                    return Err(invalid());
                }
                put_number(number, &mut table);
                match name {
                    "x-delivery-limit" => deliveries_max = Some(u32::try_from(number).ok()),
                    name => set_number(name, number, &mut made.settings),
                }
            }
            Kind::Flag => {
                let flag = text()?.trim().parse::<bool>().map_err(|_| invalid())?;
                table.extend_from_slice(&[b't', u8::from(flag)]);
                made.settings.single_active = flag;
            }
            Kind::Text => {
                put_text(&value, &mut table);
                let share = || Some(Bytes::copy_from_slice(&value));
                match name {
                    "x-dead-letter-exchange" => exchange = share(),
                    "x-dead-letter-routing-key" => key = share(),
                    "x-overflow" => {
                        made.settings.overflow = Some(overflow(&value).ok_or_else(invalid)?);
                    }
                    "x-queue-type" => {
                        made.kind = match &value[..] {
                            b"quorum" => QueueKind::Quorum,
                            b"stream" => QueueKind::Stream,
                            b"classic" | b"default" => QueueKind::Classic,
                            _ => return Err(invalid()),
                        };
                    }
                    _ => {}
                }
            }
        }
    }
    made.table = table.into();
    if made.kind == QueueKind::Stream {
        let stream = of_stream(headers, &named("queue", queue, virtual_host))?;
        made.settings = QueueSettings { stream: Some(stream), ..QueueSettings::default() };
        return Ok(made);
    }
    if exchange.is_none() && key.is_some() {
        let text = "x-dead-letter-routing-key without x-dead-letter-exchange";
        return Err(Fault::precondition(text));
    }
    made.settings.dead_letter = exchange.map(|exchange| DeadLetterTo { exchange, key });
    let is_quorum = made.kind == QueueKind::Quorum;
    let unless_said = is_quorum.then_some(QUORUM_DELIVERIES_MAX);
    made.settings.deliveries_said = deliveries_max.is_some();
    made.settings.deliveries_max = deliveries_max.unwrap_or(unless_said);
    Ok(made)
}

/// Those of a stream, of which the numbers are numbers; `of` names it.
fn of_stream(headers: Headers<'_>, of: &str) -> Result<StreamSettings, Fault> {
    if let Some(name) = NOT_OF_STREAMS.iter().find(|name| headers.get(name).is_some()) {
        let text = format!("invalid arg '{name}' for {of} of queue type rabbit_stream_queue");
        return Err(Fault::precondition(text));
    }
    let age = |text: Cow<'_, [u8]>| {
        let wrong = || Fault::precondition(format!("invalid arg 'x-max-age' for {of}"));
        StreamSettings::age(&text).ok_or_else(wrong)
    };
    let number = |name| {
        let text = headers.get(name)?;
        std::str::from_utf8(&text).ok()?.trim().parse::<i64>().ok()
    };
    Ok(StreamSettings {
        age_max: headers.get("x-max-age").map(age).transpose()?,
        bytes_max: number("x-max-length-bytes").map(i64::unsigned_abs),
        segment_bytes: number("x-stream-max-segment-size-bytes").map(StreamSettings::segment_bytes),
    })
}

/// Where to begin to read a stream (`x-stream-offset`): `first`, `last`, `next`, `offset=` and a number, or `timestamp=` and
/// seconds since the epoch. `None`: there is no such place.
pub(crate) fn stream_start(headers: Headers<'_>) -> Option<StreamStart> {
    let Some(said) = headers.get("x-stream-offset") else { return Some(StreamStart::Next) };
    let said = std::str::from_utf8(&said).ok()?.trim();
    match said.split_once('=') {
        None if said == "first" => Some(StreamStart::First),
        None if said == "last" => Some(StreamStart::Last),
        None if said == "next" => Some(StreamStart::Next),
        Some(("offset", number)) => {
            number.parse().ok().filter(|at| *at >= 0).map(StreamStart::Offset)
        }
        Some(("timestamp", seconds)) => {
            let seconds = seconds.parse::<Millis>().ok().filter(|seconds| *seconds >= 0)?;
            Some(StreamStart::Time(seconds.saturating_mul(1000)))
        }
        _ => None,
    }
}

fn set_number(name: &str, number: i64, settings: &mut QueueSettings) {
    let time: Millis = number;
    let count = u64::try_from(number).ok();
    match name {
        "x-expires" => settings.expires = Some(time),
        "x-message-ttl" => settings.message_ttl = Some(time),
        "x-max-length" => settings.length_max = count,
        "x-max-length-bytes" => settings.bytes_max = count,
        "x-max-priority" => settings.priorities = u8::try_from(number).unwrap_or(u8::MAX),
        _ => {}
    }
}

fn overflow(text: &[u8]) -> Option<Overflow> {
    match text {
        b"drop-head" => Some(Overflow::DropHead),
        b"reject-publish" => Some(Overflow::Reject),
        b"reject-publish-dlx" => Some(Overflow::RejectDeadLetter),
        _ => None,
    }
}

/// An entry of a table (AMQP 0-9-1 §4.2.5.5): the name, then a letter for the type, then the value.
fn put_name(name: &str, table: &mut Vec<u8>) {
    table.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
    table.extend_from_slice(name.as_bytes());
}

fn put_number(number: i64, table: &mut Vec<u8>) {
    table.put_u8(b'l');
    table.put_i64(number);
}

fn put_text(text: &[u8], table: &mut Vec<u8>) {
    table.put_u8(b'S');
    table.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    table.extend_from_slice(text);
}
