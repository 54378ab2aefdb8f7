//! Names, messages and errors: between gRPC and the broker.
//!
//! | broker | gRPC |
//! |---|---|
//! | subject | `subject`, as text in UTF-8 |
//! | headers | `headers`, in order, duplicates included |
//! | everything else | the field of its name |
//! | original | nothing: the fields have all that there is |

use std::collections::HashMap;

use base::subject::{Escape, Rules, Wildcard};
use base::{ErrorKind, Filter, Subject};
use broker::access::Operation;
use broker::queues::{Delivered, Origin, QueueError};
use broker::{Message, ProduceError, Properties, PublisherId, TopicError};
use bytes::Bytes;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::limits::HEADERS_MAX;
use crate::pb;

#[cfg(test)]
mod tests;

/// How subjects are written: as text everywhere, but in UTF-8.
pub(crate) static NAMES: Escape = Escape::new(Rules {
    slot: 5,
    separator: b'.',
    introducer: b'/',
    doubled: Some(b'.'),
    forbidden: b" \t\r\n\x0c\0",
    empty_levels: false,
    wildcards: &[(b'*', Wildcard::One), (b'>', Wildcard::OneOrMore)],
    many_only_last: true,
    utf8: true,
    skips_hidden: false,
});

/// Who says what is wrong, in the details of errors.
const DOMAIN: &str = "entrepot";

/// Where a message is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum To {
    /// To whoever is interested.
    Subject(String),
    /// Into a topic.
    Topic(String),
    /// Into a queue.
    Queue(String),
}

/// The core's message, and where it is to go.
///
/// # Errors
/// INVALID_ARGUMENT, with the field.
pub(crate) fn take(
    message: Option<pb::Message>,
    publisher: PublisherId,
) -> Result<(To, Message), Status> {
    let Some(mut message) = message else { return Err(invalid("message", "there is none")) };
    let subject = std::mem::take(&mut message.subject);
    let topic = std::mem::take(&mut message.topic);
    let queue = std::mem::take(&mut message.queue);
    let to = match (subject.is_empty(), topic.is_empty(), queue.is_empty()) {
        (false, true, true) => To::Subject(subject),
        (true, false, true) => To::Topic(topic),
        (true, true, false) => To::Queue(queue),
        _ => return Err(invalid("message", "say one of subject, topic and queue")),
    };
    if let (To::Subject(subject), Some(key)) = (&to, &message.key) {
        if subject.as_bytes() != key {
            let why = "what is published to a subject has that as its key, and no other";
            return Err(invalid("message.key", why));
        }
        message.key = None;
    }
    Ok((to, take_rest(message, publisher)?))
}

/// What a message is, apart from where it goes.
///
/// # Errors
/// INVALID_ARGUMENT, with the field.
pub(crate) fn take_rest(message: pb::Message, publisher: PublisherId) -> Result<Message, Status> {
    if message.headers.len() > HEADERS_MAX {
        return Err(invalid("message.headers", &format!("there are {HEADERS_MAX} at most")));
    }
    let reply_to = match message.reply_to {
        Some(name) => Some(subject("message.reply_to", &name)?),
        None => None,
    };
    let priority = message.priority.map(u8::try_from).transpose();
    let priority = priority.map_err(|_| invalid("message.priority", "is 255 at most"))?;
    let header = |header: pb::Header| (Bytes::from(header.name), header.value);
    Ok(Message {
        key: message.key,
        value: message.payload,
        headers: message.headers.into_iter().map(header).collect(),
        timestamp: message.timestamp_ms,
        properties: Properties {
            content_type: message.content_type.map(Bytes::from),
            reply_to,
            correlation_id: message.correlation_id,
            expires_at: message.expires_at_ms,
            priority,
            ..Properties::default()
        },
        publisher,
        ..Message::default()
    })
}

/// A message as a client is told it. A text that is not UTF-8 cannot be told, and is left out.
pub(crate) fn tell(message: &Message, subject: Option<&Bytes>) -> pb::Message {
    let header = |(name, value): &(Bytes, Option<Bytes>)| {
        Some(pb::Header { name: text(name)?, value: value.clone() })
    };
    let properties = &message.properties;
    let reply_to = properties.reply_to.as_ref().and_then(|subject| text(&NAMES.name(subject)));
    pb::Message {
        subject: subject.and_then(text).unwrap_or_default(),
        payload: message.value.clone(),
        key: message.key.clone(),
        headers: message.headers.iter().filter_map(header).collect(),
        content_type: properties.content_type.as_ref().and_then(text),
        reply_to,
        correlation_id: properties.correlation_id.clone(),
        timestamp_ms: message.timestamp,
        expires_at_ms: properties.expires_at,
        priority: properties.priority.map(u32::from),
        ..pb::Message::default()
    }
}

/// The same for a message from a queue.
pub(crate) fn tell_delivered(delivered: &Delivered, queue: &str) -> pb::Message {
    let subject = match &delivered.origin {
        Origin::Subject(subject) => Some(NAMES.name(subject)),
        Origin::Queue | Origin::Exchange { .. } => None,
    };
    pb::Message {
        queue: queue.to_owned(),
        timestamp_ms: delivered.message.timestamp.or(Some(delivered.at)),
        ..tell(&delivered.message, subject.as_ref())
    }
}

fn text(bytes: &Bytes) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

/// A subject.
///
/// # Errors
/// INVALID_ARGUMENT: it is none.
pub(crate) fn subject(field: &str, name: &str) -> Result<Subject, Status> {
    NAMES.subject(name.as_bytes()).map_err(|error| invalid(field, &format!("'{name}': {error}")))
}

/// A filter.
///
/// # Errors
/// INVALID_ARGUMENT: it is none.
pub(crate) fn filter(field: &str, name: &str) -> Result<Filter, Status> {
    NAMES.filter(name.as_bytes()).map_err(|error| invalid(field, &format!("'{name}': {error}")))
}

/// INVALID_ARGUMENT, because of a field.
pub(crate) fn invalid(field: &str, why: &str) -> Status {
    let details = ErrorDetails::with_bad_request_violation(field, why);
    Status::with_error_details(Code::InvalidArgument, format!("{field}: {why}"), details)
}

/// A status with a reason that programs can compare.
pub(crate) fn refusal(code: Code, reason: &str, text: impl Into<String>) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    Status::with_error_details(code, text, details)
}

/// NOT_FOUND, and what there is not.
pub(crate) fn not_found(kind: &str, name: &str) -> Status {
    let text = format!("there is no {kind} '{name}'");
    let details = ErrorDetails::with_resource_info(kind, name, "", "does not exist");
    Status::with_error_details(Code::NotFound, text, details)
}

/// PERMISSION_DENIED.
pub(crate) fn denied(operation: Operation, name: &str) -> Status {
    let text = format!("no rule allows to {operation} '{name}'");
    refusal(Code::PermissionDenied, "DENIED", text)
}

/// What is said where the core says what to do.
pub(crate) fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Conflict => Code::Aborted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Corrupt => Code::DataLoss,
        ErrorKind::Storage => Code::Internal,
    }
}

/// Why a message is not stored.
pub(crate) fn produce_error(error: &ProduceError) -> Status {
    match error {
        ProduceError::TooLarge { .. } => {
            refusal(Code::InvalidArgument, "TOO_LARGE", error.to_string())
        }
        ProduceError::Refused => refusal(Code::ResourceExhausted, "QUEUE_FULL", "a queue is full"),
        ProduceError::Internal => {
            refusal(Code::PermissionDenied, "INTERNAL_TOPIC", error.to_string())
        }
        error => refusal(code(error.kind()), "NOT_STORED", error.to_string()),
    }
}

/// Why a topic is not made or changed.
pub(crate) fn topic_error(error: &TopicError) -> Status {
    match error {
        TopicError::Exists(_) => refusal(Code::AlreadyExists, "EXISTS", error.to_string()),
        TopicError::NotFound(name) => not_found("topic", name),
        TopicError::DeletionDisabled | TopicError::Internal(_) => {
            refusal(Code::FailedPrecondition, "NOT_ALLOWED", error.to_string())
        }
        error => refusal(code(error.kind()), "TOPIC", error.to_string()),
    }
}

/// Why something of a queue is refused.
pub(crate) fn queue_error(error: &QueueError, name: &str) -> Status {
    match error {
        QueueError::NotFound => not_found("queue", name),
        QueueError::NotEquivalent { .. } => {
            refusal(Code::AlreadyExists, "NOT_EQUIVALENT", error.to_string())
        }
        QueueError::Locked
        | QueueError::InExclusiveUse
        | QueueError::InUse
        | QueueError::NotEmpty => refusal(Code::FailedPrecondition, "IN_USE", error.to_string()),
        QueueError::LimitReached => refusal(Code::ResourceExhausted, "LIMIT", error.to_string()),
        error => refusal(code(error.kind()), "QUEUE", error.to_string()),
    }
}

/// Why something of a group is refused.
pub(crate) fn group_error(error: broker::queue::GroupError, name: &str) -> Status {
    use broker::queue::GroupError;
    match error {
        GroupError::NotFound => not_found("subscription", name),
        GroupError::NotEmpty => {
            let text = format!("subscription '{name}' is in use");
            refusal(Code::FailedPrecondition, "IN_USE", text)
        }
        GroupError::LimitReached | GroupError::GroupFull => {
            refusal(Code::ResourceExhausted, "LIMIT", error.to_string())
        }
        GroupError::InconsistentProtocol => {
            let text = format!("'{name}' is a group of another kind");
            refusal(Code::FailedPrecondition, "OTHER_KIND", text)
        }
        GroupError::UnknownMember | GroupError::FencedEpoch | GroupError::StaleEpoch => {
            refusal(Code::Aborted, "NOT_A_MEMBER", error.to_string())
        }
        GroupError::InvalidGroup | GroupError::TooLarge => {
            refusal(Code::InvalidArgument, "NAME", error.to_string())
        }
        error => refusal(Code::Unavailable, "GROUP", error.to_string()),
    }
}
