//! From a publisher to all who get a message.

use super::Live;
use super::batch::Batch;
use super::groups::take_one;
use super::route::Route;
use super::subscriber::{Delivery, Flush, Listener, Place};
use crate::Broker;
use crate::message::Message;
use crate::verbs::produce::ProduceError;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Routed {
    /// Live subscribers that got it, or will, once it is stored, and sessions; each group counts as one.
    pub receivers: usize,
    /// Its number in the batch, if a topic keeps it, or sessions get it. What topics keep is delivered when it is stored.
    pub stored: Option<usize>,
}

impl Routed {
    /// Nobody gets it, nobody keeps it.
    pub fn is_lost(&self) -> bool {
        self.receivers == 0 && self.stored.is_none()
    }
}

impl Broker {
    /// Publishes a message to a subject. What no topic keeps is delivered before this returns; the rest is put into the
    /// batch, for [`Broker::store`].
    ///
    /// # Errors
    /// A topic does not take the message; then nobody gets it.
    pub fn route(
        &self,
        route: &Route,
        message: &Message,
        batch: &mut Batch,
    ) -> Result<Routed, ProduceError> {
        let live = &self.inner.live;
        live.answers.answered(&route.subject);
        let sessions = match message.guaranteed && route.sessions() > 0 {
            true => route.sessions_for(message.publisher),
            false => Vec::new(),
        };
        let receivers = sessions.len();
        if route.topics.is_empty() && sessions.is_empty() {
            let receivers = deliver(live, route, message, None, &mut batch.flush);
            return Ok(Routed { receivers, stored: None });
        }
        let stored = batch.push(self, route, message, &sessions)?;
        let receivers = receivers
            + match route.topics.is_empty() {
                true => deliver(live, route, message, None, &mut batch.flush),
                false => route.receivers(),
            };
        Ok(Routed { receivers, stored: Some(stored) })
    }
}

/// Delivers to every live subscriber of a route; how many took it.
pub(super) fn deliver(
    live: &Live,
    route: &Route,
    message: &Message,
    place: Option<Place<'_>>,
    flush: &mut Flush,
) -> usize {
    let names = &route.names;
    let delivery = Delivery { subject: &route.subject, message, place, counted: None, names };
    let mut receivers = 0;
    for listener in route.matches.chunks.iter().flat_map(|chunk| chunk.iter()) {
        receivers += usize::from(listener.take(&delivery, flush));
    }
    for (listeners, tags) in &route.overlapping {
        receivers += usize::from(take_all(listeners, tags, &delivery, flush));
    }
    for group in &route.matches.groups {
        receivers += usize::from(take_one(&group.members, &delivery, &live.answers, flush));
    }
    receivers
}

impl Listener {
    pub(super) fn take(&self, delivery: &Delivery<'_>, flush: &mut Flush) -> bool {
        self.wants(delivery) && self.give(&[self.tag], delivery, flush)
    }

    fn give(&self, tags: &[u64], delivery: &Delivery<'_>, flush: &mut Flush) -> bool {
        flush.note(self.subscriber.deliver(tags, delivery), &self.subscriber)
    }
}

/// Overlapping subscriptions of one subscriber.
fn take_all(
    listeners: &[Listener],
    tags: &[u64],
    delivery: &Delivery<'_>,
    flush: &mut Flush,
) -> bool {
    let Some(first) = listeners.first() else { return false };
    if listeners.iter().all(|one| one.wants(delivery)) {
        return first.give(tags, delivery, flush);
    }
    let wanting = listeners.iter().filter(|one| one.wants(delivery));
    let tags: Vec<_> = wanting.map(|one| one.tag).collect();
    !tags.is_empty() && first.give(&tags, delivery, flush)
}
