//! `SUB`: messages from now on.

use std::sync::Arc;

use base::Filter;
use broker::access::{Actor, Operation};
use broker::live::{Group, SubscribeOptions, Subscriber};
use bytes::Bytes;

use crate::client::Handle;
use crate::limits::SUBSCRIPTIONS_MAX;
use crate::map::{self, error};
use crate::session::Session;
use crate::wire::subject;

pub(crate) fn handle(session: &mut Session<'_>, name: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
    let client = &Arc::clone(&session.client);
    let is_queue = |queue: &[u8]| subject::is_filter(queue);
    let filter = map::NAMES.filter(name);
    let (Ok(filter), true) = (filter, subject::is_filter(name) && queue.is_none_or(is_queue))
    else {
        return session.complain(error::INVALID_SUBJECT);
    };
    if !may_read(client.actor(), &filter, name) {
        return session.complain(&error::subscribe(name, queue));
    }
    if client.outgoing.with_subscriptions(|all| all.len()) >= SUBSCRIPTIONS_MAX {
        return session.complain(error::TOO_MANY_SUBSCRIPTIONS);
    }
    if client.has_subscription(sid) {
        // It stays what it is.
        return session.ok();
    }
    let tag = client.outgoing.with_subscriptions(|all| all.insert(sid));
    let member = client.said().map_or_else(Bytes::new, |said| said.name.clone().into());
    let group = |queue: &[u8]| Group {
        name: Bytes::copy_from_slice(queue),
        merges: true,
        member,
        weight: 1,
    };
    let options = SubscribeOptions {
        publisher: client.publisher,
        no_echo: !session.echo,
        group: queue.map(group),
        ..SubscribeOptions::default()
    };
    let subscriber = Arc::clone(client) as Arc<dyn Subscriber>;
    let Ok(subscription) = session.shared.broker.subscribe(filter, subscriber, tag, options) else {
        client.outgoing.with_subscriptions(|all| all.remove(tag));
        return session.complain(error::INVALID_SUBJECT);
    };
    let (subject, queue) = (name.into(), queue.map(Into::into));
    client.keep(sid, Handle { tag, subject, queue, subscription });
    session.ok();
}

/// Whether rules let somebody read what a filter matches. With wildcards, a rule must cover all of it;
/// what other rules deny is left out at each delivery.
fn may_read(actor: Option<&Actor>, filter: &Filter, name: &[u8]) -> bool {
    let Some(actor) = actor.filter(|actor| !actor.is_free()) else { return true };
    if filter.is_exact() {
        return actor.may_topic(Operation::Read, &String::from_utf8_lossy(name));
    }
    // What stands before the first wildcard: only a rule for a prefix of it, or for everything, can
    // allow this name.
    let is_wildcard = |level: &&[u8]| matches!(*level, b"*" | b">");
    let mut head = 0;
    for level in name.split(|byte| *byte == b'.').take_while(|level| !is_wildcard(level)) {
        head += level.len() + 1;
    }
    actor.may_topic(Operation::Read, &String::from_utf8_lossy(&name[..head]))
}
