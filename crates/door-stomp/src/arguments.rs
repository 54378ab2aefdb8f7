//! What queues are made with: headers of the frame that makes one, as RabbitMQ's plugin knows them.

use base::Millis;
use broker::queues::{DeadLetterTo, Overflow, QueueKind, QueueSettings};
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
const ALL: [(&str, Kind); 16] = [
    ("x-dead-letter-exchange", Kind::Text),
    ("x-dead-letter-routing-key", Kind::Text),
    ("x-delivery-limit", Kind::Number(-1, 0xffff_ffff)),
    ("x-expires", Kind::Number(1, TIME_MAX)),
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
    ("x-max-in-memory-length", Kind::Number(0, i64::MAX)),
    ("x-max-in-memory-bytes", Kind::Number(0, i64::MAX)),
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
                            b"classic" | b"default" => QueueKind::Classic,
                            _ => return Err(invalid()),
                        };
                    }
                    _ => {}
                }
            }
        }
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
    made.table = table.into();
    Ok(made)
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
