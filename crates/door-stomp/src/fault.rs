//! What a client is told when something is refused: an `ERROR`, in RabbitMQ's words, after which the connection ends.

use std::fmt::Display;

use broker::exchanges::ExchangeError;
use broker::queues::QueueError;
use bytes::Bytes;

use crate::wire::Version;
use crate::wire::encode::Writer;
use crate::wire::parse::ParseError;

/// Something is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// In a few words: the header `message`.
    pub(crate) message: String,
    /// The particulars: the body, with the line end that RabbitMQ has there, or without one.
    pub(crate) detail: String,
    /// The subscription that it is about, as the client calls it.
    pub(crate) subscription: Option<Bytes>,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { message: message.into(), detail: detail.into(), subscription: None }
    }

    /// Where a message goes is not said.
    pub(crate) fn no_destination(command: &str) -> Self {
        let detail = format!("'{command}' must include a 'destination' header\n");
        Self::new("Missing destination", detail)
    }

    /// A header that must be there is not.
    pub(crate) fn missing(command: &str, header: &str) -> Self {
        let detail = format!("\"{command}\" must include the \"{header}\" header\n");
        Self::new("Missing header", detail)
    }

    /// A header is not what it can be.
    pub(crate) fn invalid(command: &str, header: &str) -> Self {
        let detail = format!("\"{command}\" must include a valid \"{header}\" header\n");
        Self::new("Invalid header", detail)
    }

    /// Not a frame; `input` is where it would begin.
    pub(crate) fn frame(error: ParseError, input: &[u8]) -> Self {
        /// More than any command has.
        const SHOWN_MAX: usize = 32;
        if error != ParseError::Command {
            return Self::new("Invalid frame", format!("Could not parse frame: {error}\n"));
        }
        let line = input.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
        let command = quoted(line.get(..SHOWN_MAX).unwrap_or(line));
        Self::new("Bad command", format!("Could not interpret command \"{command}\"\n"))
    }

    /// There is no such thing.
    pub(crate) fn not_found(detail: impl Display) -> Self {
        Self::new("not_found", detail.to_string())
    }

    /// Not as it would have to be.
    pub(crate) fn precondition(detail: impl Display) -> Self {
        Self::new("precondition_failed", detail.to_string())
    }

    /// The client may not.
    pub(crate) fn access_refused(detail: impl Display) -> Self {
        Self::new("access_refused", detail.to_string())
    }

    /// A limit is reached.
    pub(crate) fn resource(detail: impl Display) -> Self {
        Self::new("resource_error", detail.to_string())
    }

    /// It could not be written.
    pub(crate) fn internal(detail: impl Display) -> Self {
        Self::new("internal_error", detail.to_string())
    }

    /// Something of a queue is refused.
    pub(crate) fn queue(error: &QueueError, queue: &[u8], virtual_host: &[u8]) -> Self {
        let of = named("queue", queue, virtual_host);
        match error {
            QueueError::NotFound => Self::not_found(format!("no {of}")),
            QueueError::NotEquivalent { what } => {
                Self::precondition(format!("inequivalent arg '{what}' for {of}"))
            }
            QueueError::Locked => {
                let text = format!("cannot obtain exclusive access to locked {of}");
                Self::new("resource_locked", text)
            }
            QueueError::InExclusiveUse => Self::access_refused(format!("{of} in exclusive use")),
            QueueError::InUse => Self::precondition(format!("{of} in use")),
            QueueError::NotEmpty => Self::precondition(format!("{of} is not empty")),
            QueueError::NotAllowed(why) => Self::precondition(why),
            QueueError::LimitReached => Self::precondition(format!("cannot use {of}: {error}")),
            QueueError::Unavailable(why) => Self::internal(why),
        }
    }

    /// Something of an exchange is refused.
    pub(crate) fn exchange(error: &ExchangeError, exchange: &[u8], virtual_host: &[u8]) -> Self {
        let of = named("exchange", exchange, virtual_host);
        match error {
            ExchangeError::NotFound => Self::not_found(format!("no {of}")),
            ExchangeError::NoQueue => {
                Self::not_found(format!("no queue in vhost '{}'", quoted(virtual_host)))
            }
            ExchangeError::NotEquivalent { what } => {
                Self::precondition(format!("inequivalent arg '{what}' for {of}"))
            }
            ExchangeError::InUse => Self::precondition(format!("{of} in use")),
            ExchangeError::NotAllowed(why) => Self::precondition(why),
            ExchangeError::LimitReached => Self::precondition(format!("cannot use {of}: {error}")),
            ExchangeError::Unavailable(why) => Self::internal(why),
        }
    }

    /// Writes it. `receipt`: of the frame that is refused, if it asked for one.
    pub(crate) fn encode(&self, version: Version, receipt: Option<&[u8]>, out: &mut Vec<u8>) {
        let mut error = Writer::begin("ERROR", version, out)
            .header(b"message", self.message.as_bytes())
            .header(b"content-type", b"text/plain")
            .header(b"version", b"1.0,1.1,1.2");
        if let Some(receipt) = receipt {
            error = error.header(b"receipt-id", receipt);
        }
        if let Some(subscription) = &self.subscription {
            error = error.header(b"subscription", subscription);
        }
        error.body(self.detail.as_bytes());
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
