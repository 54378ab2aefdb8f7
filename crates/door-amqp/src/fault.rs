//! What a client is told when something is refused.

use broker::exchanges::ExchangeError;
use broker::queues::QueueError;

use crate::wire::SyntaxError;
use crate::wire::frame::BadFrame;
use crate::wire::reply::Reply;

/// Something is refused: it ends the channel, or the connection ([`Reply::is_hard`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reply: Reply,
    /// The particulars.
    pub(crate) text: String,
}

impl Fault {
    pub(crate) fn new(reply: Reply, text: impl Into<String>) -> Self {
        Self { reply, text: text.into() }
    }

    /// Not as it would have to be.
    pub(crate) fn precondition(text: impl Into<String>) -> Self {
        Self::new(Reply::PreconditionFailed, text)
    }

    /// There is no such thing.
    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self::new(Reply::NotFound, text)
    }

    /// Not due at this point.
    pub(crate) fn command_invalid(text: impl Into<String>) -> Self {
        Self::new(Reply::CommandInvalid, text)
    }

    /// A frame that breaks the rules, in the words of RabbitMQ.
    pub(crate) fn frame(bad: &BadFrame<'_>) -> Self {
        let text = format!("{}: {}", snippet(bad.kind, bad.payload), bad.error);
        Self::new(Reply::FrameError, text)
    }

    /// A frame that is not due.
    pub(crate) fn unexpected(kind: u8, payload: &[u8]) -> Self {
        Self::new(Reply::UnexpectedFrame, snippet(kind, payload))
    }

    /// Arguments that cannot be read.
    pub(crate) fn syntax(error: SyntaxError, payload: &[u8]) -> Self {
        match error {
            SyntaxError::Method { .. } => Self::command_invalid(error.to_string()),
            _ => {
                Self::new(Reply::FrameError, format!("cannot decode {}: {error}", octets(payload)))
            }
        }
    }

    /// Something of a queue is refused.
    pub(crate) fn queue(error: &QueueError, queue: &[u8], vhost: &[u8]) -> Self {
        let of = named("queue", queue, vhost);
        match error {
            QueueError::NotFound => Self::not_found(format!("no {of}")),
            QueueError::NotEquivalent { what } => {
                Self::precondition(format!("inequivalent arg '{what}' for {of}"))
            }
            QueueError::Locked => Self::locked(queue, vhost),
            QueueError::InExclusiveUse => {
                Self::new(Reply::AccessRefused, format!("{of} in exclusive use"))
            }
            QueueError::InUse => Self::precondition(format!("{of} in use")),
            QueueError::NotEmpty => Self::precondition(format!("{of} is not empty")),
            QueueError::NotAllowed(why) => Self::precondition(why.as_str()),
            QueueError::LimitReached => Self::precondition(format!("cannot declare {of}: {error}")),
            QueueError::Unavailable(why) => Self::new(Reply::InternalError, why.as_str()),
        }
    }

    /// Another connection has the queue for itself.
    pub(crate) fn locked(queue: &[u8], vhost: &[u8]) -> Self {
        let text = format!(
            "cannot obtain exclusive access to locked queue '{}' in vhost '{}'. It could be originally declared on \
             another connection or the exclusive property value does not match that of the original declaration.",
            quoted(queue),
            quoted(vhost)
        );
        Self::new(Reply::ResourceLocked, text)
    }

    /// Something of an exchange is refused.
    pub(crate) fn exchange(error: &ExchangeError, exchange: &[u8], vhost: &[u8]) -> Self {
        let of = named("exchange", exchange, vhost);
        match error {
            ExchangeError::NotFound => Self::not_found(format!("no {of}")),
            ExchangeError::NoQueue => {
                Self::not_found(format!("no queue in vhost '{}'", quoted(vhost)))
            }
            ExchangeError::NotEquivalent { what } => {
                Self::precondition(format!("inequivalent arg '{what}' for {of}"))
            }
            ExchangeError::InUse => Self::precondition(format!("{of} in use")),
            ExchangeError::NotAllowed(why) => Self::precondition(why.as_str()),
            ExchangeError::LimitReached => {
                Self::precondition(format!("cannot declare {of}: {error}"))
            }
            ExchangeError::Unavailable(why) => Self::new(Reply::InternalError, why.as_str()),
        }
    }
}

/// A name for a text, with nothing in it that would spoil a line.
pub(crate) fn quoted(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Something of a virtual host, for a text.
pub(crate) fn named(kind: &str, name: &[u8], virtual_host: &[u8]) -> String {
    format!("{kind} '{}' in vhost '{}'", quoted(name), quoted(virtual_host))
}

/// As Erlang writes bytes.
fn octets(bytes: &[u8]) -> String {
    const SHOWN: usize = 16;
    let shown: Vec<String> = bytes.iter().take(SHOWN).map(u8::to_string).collect();
    let more = if bytes.len() > SHOWN { ",..." } else { "" };
    format!("<<{}{more}>>", shown.join(","))
}

fn snippet(kind: u8, payload: &[u8]) -> String {
    let which = if payload.len() <= 16 { "all" } else { "first 16" };
    format!("type {kind}, {which} octets = {}", octets(payload))
}
