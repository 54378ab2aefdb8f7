//! One file for each kind of frame: what it means to the core, and what the client is answered.

pub(crate) mod ack;
pub(crate) mod connect;
pub(crate) mod disconnect;
pub(crate) mod send;
pub(crate) mod subscribe;
pub(crate) mod transaction;
pub(crate) mod unsubscribe;

use broker::access::Operation;
use broker::exchanges::name_in_rules;

use crate::fault::{Fault, named, quoted};
use crate::map;
use crate::session::Session;

/// What follows a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next one.
    Go,
    /// The same again, when something can be stored.
    Blocked,
    /// The same again, where there is time for it.
    Wait,
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
    session: &Session<'_>,
    access: Access,
    kind: &str,
    name: &[u8],
) -> Result<(), Fault> {
    let actor = &session.agreed.actor;
    if actor.is_free() {
        return Ok(());
    }
    let operation = match access {
        Access::Configure => Operation::Create,
        Access::Write => Operation::Write,
        Access::Read => Operation::Read,
    };
    if actor.may_topic(operation, &String::from_utf8_lossy(name)) {
        return Ok(());
    }
    let (of, user) = (named(kind, name, &session.agreed.virtual_host), &actor.principal().name);
    let text = format!("{} access to {of} refused for user '{user}'", access.name());
    Err(Fault::access_refused(text))
}

/// Checks that the client may send to an exchange with a routing key, or be bound to it by one. What decides is where
/// messages go or come from: a queue, by the default exchange; a subject, by the space of subjects.
///
/// # Errors
/// It may not.
pub(crate) fn check_key(
    session: &Session<'_>,
    access: Access,
    exchange: &[u8],
    key: &[u8],
) -> Result<(), Fault> {
    if session.agreed.actor.is_free() {
        return Ok(());
    }
    if exchange.is_empty() {
        // Who was told the name of somebody's own queue may answer there.
        let queue = || session.shared.broker.queue(&session.queue_name(key));
        let is_answer = key.starts_with(GENERATED.as_bytes())
            && access == Access::Write
            && queue().is_some_and(|queue| queue.spec().exclusive);
        return if is_answer { Ok(()) } else { check(session, access, "queue", key) };
    }
    if exchange != map::TOPIC_EXCHANGE || !session.space.is_empty() {
        return check(session, access, "exchange", exchange);
    }
    let name = name_in_rules(key, access == Access::Read);
    check(session, access, "subject", name.as_bytes())
}

/// Begins the names of queues that the broker names.
pub(crate) const GENERATED: &str = "amq.gen-";

/// Names that begin with `amq.` are the broker's.
///
/// # Errors
/// It is one.
pub(crate) fn check_prefix(name: &[u8]) -> Result<(), Fault> {
    if !name.starts_with(b"amq.") {
        return Ok(());
    }
    let text = format!("queue name '{}' contains reserved prefix 'amq.*'", quoted(name));
    Err(Fault::access_refused(text))
}
