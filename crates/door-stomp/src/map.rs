//! Headers: between STOMP and the core.
//!
//! | core | STOMP |
//! |---|---|
//! | subject | `/topic/` and the routing key of `amq.topic`, in the virtual host `/` |
//! | headers | headers that mean nothing here, in order, duplicates included |
//! | content type | `content-type` |
//! | correlation id | `correlation-id` |
//! | reply-to | `reply-to`, where that is a `/topic/`; anything else is a header |
//! | expiry | `expiration`: milliseconds from when it was sent; of other doors' messages, from now |
//! | priority | `priority` |
//! | user | `user-id` |
//! | the header `message-id` | `amqp-message-id` |
//! | timestamp | `timestamp`, in seconds |
//! | guaranteed | `persistent` |
//! | original | all headers that are not the frame's own, as lines of STOMP 1.2 |

use std::borrow::Cow;

use base::Millis;
use base::subject::{Escape, Rules, Wildcard};
use broker::exchanges::{HeaderValue, Headers as Compared, SUBJECTS};
use broker::queues::Delivered;
use broker::{DeathReason, Message, Original, PublisherId};
use bytes::Bytes;

use crate::destination::{self, Destination, TOPIC};
use crate::fault::{Fault, quoted};
use crate::wire::encode::{Writer, put_line};
use crate::wire::parse::Headers;

#[cfg(test)]
mod tests;

/// How routing keys are written: as the core's `KEYS`, in a slot of its own.
pub(crate) static NAMES: Escape = Escape::new(Rules {
    slot: 3,
    separator: b'.',
    introducer: b'%',
    doubled: None,
    forbidden: b"",
    empty_levels: true,
    wildcards: &[(b'*', Wildcard::One), (b'#', Wildcard::ZeroOrMore)],
    many_only_last: false,
    utf8: false,
    skips_hidden: false,
});

/// The exchange that is the space of subjects.
pub(crate) const TOPIC_EXCHANGE: &[u8] = SUBJECTS.as_bytes();

const EXPIRATION: &[u8] = b"expiration";
const REPLY_TO: &[u8] = b"reply-to";
const USER_ID: &[u8] = b"user-id";
const STREAM_OFFSET: &[u8] = b"x-stream-offset";
/// The application's name of a message, which `message-id` here is not.
const MESSAGE_ID: &[u8] = b"amqp-message-id";
/// The same at other doors.
const PLAIN_MESSAGE_ID: &[u8] = b"message-id";

/// Headers of the frame, not of the message: what `SEND` has for the broker, and what `MESSAGE` has from it.
const OF_FRAMES: [&[u8]; 8] = [
    b"ack",
    b"content-length",
    b"destination",
    b"message-id",
    b"receipt",
    b"redelivered",
    b"subscription",
    b"transaction",
];

fn is_of_frame(name: &[u8]) -> bool {
    OF_FRAMES.contains(&name)
}

/// A message for the core. `answer_to` stands for the client's own `reply-to`.
///
/// # Errors
/// A header is not what it should be.
pub(crate) fn message(
    headers: Headers<'_>,
    payload: Bytes,
    (publisher, answer_to): (PublisherId, Option<&[u8]>),
    now: impl FnOnce() -> Millis,
) -> Result<Message, Fault> {
    let mut message = Message { value: Some(payload), publisher, ..Message::default() };
    let (mut kept, mut ttl) = (Vec::new(), None);
    for (name, value) in headers.iter().filter(|(name, _)| !is_of_frame(name)) {
        let value = match answer_to {
            Some(address) if &name[..] == REPLY_TO => Cow::Borrowed(address),
            _ => value,
        };
        put_line(&name, &value, &mut kept);
        if &name[..] == EXPIRATION {
            ttl = ttl.or(Some(expiration(&value)?));
        } else {
            set(&mut message, &name, &value);
        }
    }
    message.properties.expires_at = ttl.map(|ttl| now().saturating_add(ttl));
    message.original = Some(Original { door: slot(), bytes: kept.into() });
    Ok(message)
}

fn slot() -> u8 {
    u8::try_from(NAMES.rules().slot).unwrap_or(u8::MAX)
}

/// What the core makes of a header. Of several of one name the first counts, but others may look at all.
fn set(message: &mut Message, name: &[u8], value: &[u8]) {
    let share = || Some(Bytes::copy_from_slice(value));
    let of = &mut message.properties;
    match name {
        b"content-type" if of.content_type.is_none() => of.content_type = share(),
        b"correlation-id" if of.correlation_id.is_none() => of.correlation_id = share(),
        b"priority" if of.priority.is_none() => of.priority = number(value),
        USER_ID if of.user.is_none() => of.user = share(),
        MESSAGE_ID => {
            message.headers.push((Bytes::from_static(PLAIN_MESSAGE_ID), share()));
        }
        b"persistent" => message.guaranteed |= matches!(value, b"true" | b"True"),
        b"timestamp" if message.timestamp.is_none() => {
            message.timestamp = number::<Millis>(value).and_then(|s| s.checked_mul(1000));
        }
        REPLY_TO if of.reply_to.is_none() && value.starts_with(TOPIC.as_bytes()) => {
            if let Ok(Destination::Topic(key)) = Destination::parse(value) {
                of.reply_to = NAMES.subject(&key).ok();
            }
        }
        name => message.headers.push((Bytes::copy_from_slice(name), share())),
    }
}

fn number<N: std::str::FromStr>(text: &[u8]) -> Option<N> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// Digits, of milliseconds.
fn expiration(text: &[u8]) -> Result<Millis, Fault> {
    /// As much as RabbitMQ takes.
    const MAX: Millis = 0xffff_ffff;
    let ttl = number::<Millis>(text).filter(|ttl| (0..=MAX).contains(ttl));
    ttl.ok_or_else(|| Fault::precondition(format!("invalid expiration '{}'", quoted(text))))
}

/// Headers as exchanges compare them: texts, as those of other doors.
pub(crate) fn compared(message: &Message) -> Compared {
    let kept = message.original.as_ref().map_or(&b""[..], |original| &original.bytes[..]);
    let compared = |(name, value): (Cow<'_, [u8]>, Cow<'_, [u8]>)| {
        let value = [&b"S"[..], &value[..]].concat();
        (Bytes::copy_from_slice(&name), HeaderValue::Is(value.into()))
    };
    Headers::kept(kept).iter().map(compared).collect()
}

/// Writes a message that is delivered: its headers, after those of the frame, and its payload.
pub(crate) fn put(delivered: &Delivered, mut frame: Writer<'_>) {
    let message = &*delivered.message;
    let own = message.original.as_ref().and_then(|original| original.of(&NAMES));
    // It died of that, and must not again.
    let is_spent = message.deaths.iter().any(|death| death.reason == DeathReason::Expired);
    match own {
        Some(kept) => {
            for (name, value) in Headers::kept(kept).iter() {
                let is_old = is_spent && &name[..] == EXPIRATION || is_of_broker(&name, delivered);
                if !is_old {
                    frame = frame.header(&name, &value);
                }
            }
        }
        None => frame = put_foreign(delivered, is_spent, frame),
    }
    if let Some(offset) = delivered.offset {
        frame = frame.header(STREAM_OFFSET, offset.to_string().as_bytes());
    }
    put_deaths(message, frame).body(message.value.as_deref().unwrap_or_default());
}

/// Whether the broker itself says this of a message.
fn is_of_broker(name: &[u8], delivered: &Delivered) -> bool {
    if name == STREAM_OFFSET {
        return delivered.offset.is_some();
    }
    let is_of_death = name.starts_with(b"x-first-death-") || name.starts_with(b"x-last-death-");
    is_of_death && !delivered.message.deaths.is_empty()
}

/// Headers are text (1.2, "Augmented BNF"); clients give up over anything else.
fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

/// Headers of a message of another door.
fn put_foreign<'a>(delivered: &Delivered, is_spent: bool, mut frame: Writer<'a>) -> Writer<'a> {
    let message = &*delivered.message;
    let of = &message.properties;
    let texts: [(&[u8], _); 3] = [
        (b"content-type", &of.content_type),
        (b"correlation-id", &of.correlation_id),
        (USER_ID, &of.user),
    ];
    for (name, text) in texts {
        if let Some(text) = text.as_ref().filter(|text| is_text(text)) {
            frame = frame.header(name, text);
        }
    }
    if let Some(at) = of.expires_at.filter(|_| !is_spent) {
        let left = at.saturating_sub(delivered.at).max(0);
        frame = frame.header(EXPIRATION, left.to_string().as_bytes());
    }
    if let Some(priority) = of.priority {
        frame = frame.header(b"priority", priority.to_string().as_bytes());
    }
    if let Some(subject) = &of.reply_to {
        let mut to = Vec::new();
        destination::put(TOPIC, &NAMES.name(subject), &mut to);
        frame = frame.header(REPLY_TO, &to);
    }
    if let Some(millis) = message.timestamp {
        frame = frame.header(b"timestamp", (millis / 1000).to_string().as_bytes());
    }
    if message.guaranteed {
        frame = frame.header(b"persistent", b"true");
    }
    for (name, value) in &message.headers {
        let value = value.as_deref().unwrap_or_default();
        let name = match &name[..] {
            PLAIN_MESSAGE_ID => MESSAGE_ID,
            name => name,
        };
        let is_sayable = !name.is_empty() && is_text(name) && is_text(value);
        // Clients take that for what the broker checked.
        let is_own = is_of_frame(name) || is_of_broker(name, delivered) || name == USER_ID;
        if is_sayable && !is_own {
            frame = frame.header(name, value);
        }
    }
    frame
}

/// Where it died: first, and last.
fn put_deaths<'a>(message: &Message, mut frame: Writer<'a>) -> Writer<'a> {
    let (Some(last), Some(first)) = (message.deaths.first(), message.deaths.last()) else {
        return frame;
    };
    for (which, death) in [("first", first), ("last", last)] {
        let of: [(&str, &[u8]); 3] = [
            ("exchange", &death.exchange),
            ("queue", &death.queue),
            ("reason", reason(death.reason)),
        ];
        for (what, value) in of {
            frame = frame.header(format!("x-{which}-death-{what}").as_bytes(), value);
        }
    }
    frame
}

fn reason(reason: DeathReason) -> &'static [u8] {
    match reason {
        DeathReason::Rejected => b"rejected",
        DeathReason::Expired => b"expired",
        DeathReason::TooMany => b"maxlen",
        DeathReason::TooManyDeliveries => b"delivery_limit",
    }
}
