//! What exchanges are.

use base::ErrorKind;
use bytes::Bytes;

use crate::queues::QueueName;

/// Names an exchange.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeName {
    /// The namespace; empty: the default one.
    pub space: Bytes,
    /// The name in it. The one without a name is there always: its routing keys are names of queues.
    pub name: Bytes,
}

/// How an exchange routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeKind {
    /// To bindings with the message's routing key.
    Direct,
    /// To all bindings.
    Fanout,
    /// To bindings whose key, as a pattern, matches: `*` is one word, `#` any number of them.
    Topic,
    /// To bindings whose headers match.
    Headers,
    /// As [`Self::Topic`], but it is the space of subjects: what is published to it is published to the subject of its
    /// routing key, and what is published to a subject goes to those bound to it.
    Subjects,
}

/// How an exchange is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeSpec {
    /// How it routes.
    pub kind: ExchangeKind,
    /// It outlives the broker's process.
    pub durable: bool,
    /// It goes when its last binding goes.
    pub auto_delete: bool,
    /// Only other exchanges may send to it; doors see to that.
    pub internal: bool,
    /// Where messages go that it has no binding for.
    pub alternate: Option<Bytes>,
    /// What the door was told, as it wants it told back; the broker does not look into it.
    pub arguments: Bytes,
}

/// To what an exchange is bound.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BindTo {
    /// To a queue.
    Queue(QueueName),
    /// To another exchange.
    Exchange(ExchangeName),
}

/// A header's value, as far as headers are compared. Doors make equal what is equal to them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeaderValue {
    /// It is there, whatever it is.
    Any,
    /// Whatever the door makes of it.
    Is(Bytes),
}

/// A message's headers, by name.
pub type Headers = Vec<(Bytes, HeaderValue)>;

/// What a binding asks of a message's headers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderMatch {
    /// All of them are there, or any.
    pub all: bool,
    /// The headers.
    pub headers: Headers,
}

impl HeaderMatch {
    /// Whether a message's headers are what it asks for. With none to ask for, all of them are there, and none.
    pub fn matches(&self, headers: &Headers) -> bool {
        let is_there = |(name, value): &(Bytes, HeaderValue)| {
            let mut found = headers.iter().filter(|(other, _)| other == name);
            found.any(|(_, other)| *value == HeaderValue::Any || value == other)
        };
        if self.all { self.headers.iter().all(is_there) } else { self.headers.iter().any(is_there) }
    }
}

/// How something is bound to an exchange. What differs in any of it is another binding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Binding {
    /// The key; for a topic exchange a pattern.
    pub key: Bytes,
    /// What is asked of headers.
    pub matching: Option<HeaderMatch>,
    /// What the door was told, as it wants it told back; the broker does not look into it.
    pub arguments: Bytes,
}

/// Why something of an exchange is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// There is no such exchange.
    #[error("there is no such exchange")]
    NotFound,
    /// There is no such queue.
    #[error("there is no such queue")]
    NoQueue,
    /// There is one of this name that was declared otherwise.
    #[error("the exchange was declared with another {what}")]
    NotEquivalent {
        /// What differs.
        what: &'static str,
    },
    /// It has bindings.
    #[error("the exchange has bindings")]
    InUse,
    /// Not what there can be.
    #[error("{0}")]
    NotAllowed(String),
    /// The broker has as many of them as it may have.
    #[error("the limit on exchanges and bindings of this broker is reached")]
    LimitReached,
    /// It could not be written.
    #[error("{0}")]
    Unavailable(String),
}

impl ExchangeError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound | Self::NoQueue => ErrorKind::NotFound,
            Self::NotEquivalent { .. } | Self::InUse => ErrorKind::Conflict,
            Self::NotAllowed(_) => ErrorKind::Invalid,
            Self::LimitReached | Self::Unavailable(_) => ErrorKind::Unavailable,
        }
    }
}
