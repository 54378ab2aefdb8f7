//! Where messages go, and where they come from, as RabbitMQ's plugin writes it:
//!
//! | destination | sent to | subscribed to |
//! |---|---|---|
//! | `/queue/NAME` | the queue, which is made if it is not there | the same |
//! | `/amq/queue/NAME` | the queue, which is there already | the same |
//! | `/topic/KEY` | the exchange `amq.topic`, with this routing key | a queue of one's own, bound to it |
//! | `/exchange/NAME[/KEY]` | the exchange, with this routing key | a queue of one's own, bound to it |
//! | `/reply-queue/NAME` | the queue, which somebody else made to get answers | the same |
//! | `/temp-queue/NAME` | in `reply-to` only: a queue of the connection's own, known to others as `/reply-queue/…` | |
//!
//! A slash within a name is `%2F`. A name without any slash is a queue's.

use broker::queues::Origin;
use bytes::Bytes;

use crate::fault::{Fault, quoted};
use crate::map;

#[cfg(test)]
mod tests;

/// Begins the name of a temporary queue.
pub(crate) const TEMP_QUEUE: &str = "/temp-queue/";
/// Begins the name under which others know it.
pub(crate) const REPLY_QUEUE: &str = "/reply-queue/";
/// Begins the routing key of a subject.
pub(crate) const TOPIC: &str = "/topic/";
const QUEUE: &str = "/queue/";
const EXCHANGE: &str = "/exchange/";

/// A destination, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A queue, which is made if it is not there.
    Queue(Bytes),
    /// A queue that is there already.
    AmqQueue(Bytes),
    /// A routing key of the exchange for subjects.
    Topic(Bytes),
    /// An exchange and a routing key of it, which may be empty.
    Exchange(Bytes, Bytes),
}

impl Destination {
    /// Reads what a client says.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Fault> {
        if !text.contains(&b'/') {
            return match text {
                [] => Err(Fault::new("Invalid destination", "Destination cannot be blank")),
                name => Ok(Self::Queue(unescape(name))),
            };
        }
        if let Some(rest) = after(text, "/queue") {
            return name("queue", rest).map(Self::Queue);
        }
        if let Some(rest) = after(text, "/topic") {
            return name("topic", rest).map(Self::Topic);
        }
        if let Some(rest) = after(text, "/amq/queue") {
            return name("amqqueue", rest).map(Self::AmqQueue);
        }
        if let Some(rest) = after(text, "/reply-queue") {
            // The name was told by the broker, as it is.
            return match rest {
                [b'/', name @ ..] if !name.is_empty() => Ok(Self::AmqQueue(unescape(name))),
                rest => Err(invalid("reply_queue", rest)),
            };
        }
        if let Some(rest) = after(text, "/exchange") {
            return exchange(rest);
        }
        let detail = format!(
            "'{}' is not a valid destination.\nValid destination types are: \
             /temp-queue, /exchange, /topic, /queue, /amq/queue, /reply-queue.\n",
            quoted(text)
        );
        Err(Fault::new("Unknown destination", detail))
    }

    /// Which exchange it is for a publisher, and with which routing key.
    pub(crate) fn target(&self) -> (Bytes, Bytes) {
        match self {
            Self::Queue(name) | Self::AmqQueue(name) => (Bytes::new(), name.clone()),
            Self::Topic(key) => (Bytes::from_static(map::TOPIC_EXCHANGE), key.clone()),
            Self::Exchange(name, key) => (name.clone(), key.clone()),
        }
    }
}

/// What follows the kind of a destination: nothing, or a slash and more.
fn after<'a>(text: &'a [u8], kind: &str) -> Option<&'a [u8]> {
    let rest = text.strip_prefix(kind.as_bytes())?;
    matches!(rest, [] | [b'/', ..]).then_some(rest)
}

fn invalid(kind: &str, rest: &[u8]) -> Fault {
    let detail = format!("'{}' is not a valid {kind} destination\n", quoted(rest));
    Fault::new("Invalid destination", detail)
}

/// A name behind a slash: not without anything, and without another slash.
fn name(kind: &str, rest: &[u8]) -> Result<Bytes, Fault> {
    match rest.strip_prefix(b"/") {
        Some(name) if !name.is_empty() && !name.contains(&b'/') => Ok(unescape(name)),
        _ => Err(invalid(kind, rest)),
    }
}

/// The name of an exchange behind a slash, and a routing key behind another one.
fn exchange(rest: &[u8]) -> Result<Destination, Fault> {
    let mut parts = rest.split(|byte| *byte == b'/').skip(1);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), key, None) if !name.is_empty() => {
            Ok(Destination::Exchange(unescape(name), unescape(key.unwrap_or_default())))
        }
        _ => Err(invalid("exchange", rest)),
    }
}

/// Writes where a message was sent to. `queue`: the one that it waited in.
pub(crate) fn of(origin: &Origin, queue: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match origin {
        Origin::Queue => put(QUEUE, queue, &mut out),
        Origin::Exchange { exchange, key } if exchange.is_empty() => put(QUEUE, key, &mut out),
        Origin::Exchange { exchange, key } if &exchange[..] == map::TOPIC_EXCHANGE => {
            put(TOPIC, key, &mut out);
        }
        Origin::Exchange { exchange, key } => {
            put(EXCHANGE, exchange, &mut out);
            if !key.is_empty() {
                put("/", key, &mut out);
            }
        }
        Origin::Subject(subject) => put(TOPIC, &map::NAMES.name(subject), &mut out),
    }
    out
}

/// Adds a name, escaped. As in RabbitMQ, what is no text is shown by its code, though nobody is understood who says that.
pub(crate) fn put(prefix: &str, name: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(prefix.as_bytes());
    let is_text = std::str::from_utf8(name).is_ok();
    for byte in name {
        match byte {
            b'/' => out.extend_from_slice(b"%2F"),
            byte if byte.is_ascii_control() || !is_text && !byte.is_ascii() => {
                out.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
            byte => out.push(*byte),
        }
    }
}

/// What a name means: `%2F` is a slash, and nothing else is anything else.
fn unescape(name: &[u8]) -> Bytes {
    let mut meaning = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((byte, after)) = rest.split_first() {
        let is_slash = *byte == b'%' && matches!(after, [b'2', b'F' | b'f', ..]);
        meaning.push(if is_slash { b'/' } else { *byte });
        rest = if is_slash { after.get(2..).unwrap_or_default() } else { after };
    }
    meaning.into()
}
