//! One file for each kind of request: what it means to the core, and what the client is answered.

pub(crate) mod bind;
pub(crate) mod cancel;
pub(crate) mod channel;
pub(crate) mod confirm;
pub(crate) mod consume;
pub(crate) mod exchange;
pub(crate) mod get;
pub(crate) mod publish;
pub(crate) mod qos;
pub(crate) mod queue;
pub(crate) mod settle;
pub(crate) mod tx;

use std::borrow::Cow;

use broker::access::{Actor, Operation};
use broker::exchanges::{ExchangeName, name_in_rules};
use broker::queues::QueueName;
use broker::{Broker, PublisherId};
use bytes::Bytes;

use crate::fault::{Fault, named, quoted};
use crate::map;
use crate::replies::REPLY_TO;
use crate::wire::reply::Reply;

/// Who asks for something, and in which virtual host: a connection, or a request of the management API.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) broker: &'a Broker,
    pub(crate) actor: &'a Actor,
    pub(crate) virtual_host: &'a Bytes,
    /// The namespace of that.
    pub(crate) space: &'a Bytes,
    /// Who has queues for themselves.
    pub(crate) owner: PublisherId,
}

impl Caller<'_> {
    /// A queue of the virtual host.
    pub(crate) fn queue_name(&self, name: &[u8]) -> QueueName {
        QueueName { space: self.space.clone(), name: Bytes::copy_from_slice(name) }
    }

    /// An exchange of the virtual host.
    pub(crate) fn exchange_name(&self, name: &[u8]) -> ExchangeName {
        ExchangeName { space: self.space.clone(), name: Bytes::copy_from_slice(name) }
    }
}

/// What rules keep somebody from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Making and deleting it.
    Configure,
    /// Sending to it.
    Write,
    /// Taking from it.
    Read,
}

impl Access {
    /// What it is to the rules.
    pub(crate) fn operation(self) -> Operation {
        match self {
            Self::Configure => Operation::Create,
            Self::Write => Operation::Write,
            Self::Read => Operation::Read,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

/// Checks that the client may do this with a queue or an exchange. To the rules, both are topics of their names.
///
/// # Errors
/// It may not.
pub(crate) fn check(
    caller: Caller<'_>,
    access: Access,
    kind: &str,
    name: &[u8],
) -> Result<(), Fault> {
    let actor = caller.actor;
    if actor.is_free() {
        return Ok(());
    }
    if actor.may_topic(access.operation(), &String::from_utf8_lossy(name)) {
        return Ok(());
    }
    let (of, user) = (named(kind, name, caller.virtual_host), &actor.principal().name);
    let text = format!("{} access to {of} refused for user '{user}'", access.name());
    Err(Fault::new(Reply::AccessRefused, text))
}

/// Checks that the client may publish to an exchange with a routing key, or be bound to it by one. What decides is where
/// messages go or come from: a queue, by the default exchange; a subject, by the space of subjects.
///
/// # Errors
/// It may not.
pub(crate) fn check_key(
    caller: Caller<'_>,
    access: Access,
    exchange: &[u8],
    key: &[u8],
) -> Result<(), Fault> {
    // Who was told an address to answer to may answer.
    let is_answer = exchange.is_empty() && key.starts_with(REPLY_TO);
    if caller.actor.is_free() || is_answer {
        return Ok(());
    }
    if exchange.is_empty() {
        return check(caller, access, "queue", key);
    }
    if exchange != map::TOPIC_EXCHANGE || !caller.space.is_empty() {
        return check(caller, access, "exchange", exchange);
    }
    let name = name_in_rules(key, access == Access::Read);
    check(caller, access, "subject", name.as_bytes())
}

/// The name of a queue or an exchange where it is declared, deleted or bound: there, and only there, RabbitMQ leaves out line
/// ends.
pub(crate) fn one_line(name: &[u8]) -> Cow<'_, [u8]> {
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    if !name.iter().any(is_end) {
        return Cow::Borrowed(name);
    }
    name.iter().copied().filter(|byte| !is_end(byte)).collect()
}

/// Names that begin with `amq.` are the server's (§1.6.2.3 of the reference).
///
/// # Errors
/// It is one.
pub(crate) fn check_prefix(kind: &str, name: &[u8]) -> Result<(), Fault> {
    if !name.starts_with(b"amq.") {
        return Ok(());
    }
    let text = format!("{kind} name '{}' contains reserved prefix 'amq.*'", quoted(name));
    Err(Fault::new(Reply::AccessRefused, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_left_out_of_names_and_nothing_else_is() {
        assert_eq!(&*one_line(b"q\ru\ne\r\nue_\ntest\n\r"), b"queue_test");
        assert_eq!(&*one_line(b"\r\n"), b"");
        assert!(matches!(one_line(b" a\tb\0"), Cow::Borrowed(b" a\tb\0")));
    }
}
