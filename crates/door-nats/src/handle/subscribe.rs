//! `SUB`: messages from now on.

use std::sync::Arc;

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
    // What other rules deny is left out at each delivery.
    if client.actor().is_some_and(|actor| !actor.may_read(&filter)) {
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
