//! From a publisher to all who get a message.

use base::Subject;
use base::subject::TEXT;
use bytes::Bytes;
use observe::trace::{Begin, Context, Step, Stored, Traces};

use super::Live;
use super::batch::Batch;
use super::groups::take_one;
use super::route::Route;
use super::subscriber::{Delivery, Flush, Listener, Place};
use crate::Broker;
use crate::followed;
use crate::message::Message;
use crate::queues::Origin;
use crate::verbs::produce::ProduceError;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Routed {
    /// Live subscribers that got it, or will, once it is stored, and sessions; each group counts as one.
    pub receivers: usize,
    /// Its number in the batch, if a topic keeps it, or sessions get it. What topics keep is delivered when it is stored.
    pub stored: Option<usize>,
    /// Some queue was full, and refuses what is too many: whoever publishes has that as an error.
    pub is_refused: bool,
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
    /// A topic does not take the message, or only the broker publishes to the subject; then nobody gets it.
    /// [`ProduceError::Refused`]: some queue is full; others have it.
    pub fn route(
        &self,
        route: &Route,
        message: &Message,
        batch: &mut Batch,
    ) -> Result<Routed, ProduceError> {
        // What has no headers is followed by nobody; and mostly no exchange is bound to the space of subjects. Then there is nothing
        // to be done around it: this is done millions of times a second.
        let outcome = match message.headers.is_empty() && !self.inner.exchanges.leads_on() {
            true => self.route_here(route, message, batch),
            false => self.route_on(route, message, batch),
        };
        match outcome {
            Ok(Routed { is_refused: true, .. }) => Err(ProduceError::Refused),
            outcome => outcome,
        }
    }

    /// The same of a message that may ask to be followed, with the exchanges.
    #[inline(never)]
    fn route_on(
        &self,
        route: &Route,
        message: &Message,
        batch: &mut Batch,
    ) -> Result<Routed, ProduceError> {
        let received = self.inner.receive(message, || route.name(&TEXT));
        let outcome = self.route_here(route, message, batch).and_then(|mut routed| {
            self.lead_on((&route.subject, &route.led_on), message, batch, &mut routed)?;
            Ok(routed)
        });
        if let Some(received) = received {
            batch.follow(received, &outcome);
        }
        outcome
    }

    /// The same, without the exchanges that are bound to the space of subjects.
    #[inline]
    pub(crate) fn route_here(
        &self,
        route: &Route,
        message: &Message,
        batch: &mut Batch,
    ) -> Result<Routed, ProduceError> {
        if route.is_of_broker {
            return Err(ProduceError::Internal);
        }
        let live = &self.inner.live;
        live.answers.answered(&route.subject);
        if route.is_silent {
            return Ok(Routed { receivers: 0, stored: None, is_refused: false });
        }
        let sessions = match message.guaranteed && route.sessions() > 0 {
            true => route.sessions_for(message.publisher),
            false => Vec::new(),
        };
        // Most messages to whoever listens are kept by nobody, and then this is all that is looked at.
        let Kept { by_topics, stored, is_refused } =
            match route.topics.is_empty() && sessions.is_empty() {
                true => Kept::default(),
                false => self.keep(route, message, &sessions, batch)?,
            };
        if by_topics {
            let receivers = sessions.len() + route.receivers();
            return Ok(Routed { receivers, stored, is_refused });
        }
        let mut to = To { flush: &mut batch.flush, picked: Vec::new() };
        let receivers = sessions.len() + deliver(live, route, message, None, &mut to);
        let picked = to.picked;
        let stored = match picked.is_empty() {
            true => stored,
            false => Some(batch.push_picked(self, route, message, &picked, stored)?),
        };
        Ok(Routed { receivers, stored, is_refused })
    }

    /// Puts a message into the batch for the topics that have room for it, and for sessions.
    #[inline(never)]
    fn keep(
        &self,
        route: &Route,
        message: &Message,
        sessions: &[u64],
        batch: &mut Batch,
    ) -> Result<Kept, ProduceError> {
        let room = self.room_in_topics(route, message);
        let (by_topics, is_refused) = (!room.topics.is_empty(), !room.full.is_empty());
        for queue in &room.full {
            self.refused(queue, Origin::Subject(route.subject.clone()), message, batch);
        }
        let stored = match by_topics || !sessions.is_empty() {
            true => Some(batch.push(self, (route, room), message, sessions)?),
            false => None,
        };
        Ok(Kept { by_topics, stored, is_refused })
    }

    /// Delivers what the broker itself says, if anybody listens to it now. Nobody keeps it.
    pub(crate) fn say(&self, subject: Subject, message: impl FnOnce() -> Message) {
        let route = self.find_route(subject);
        if route.receivers() == 0 {
            return;
        }
        let mut flush = Flush::default();
        let mut to = To { flush: &mut flush, picked: Vec::new() };
        deliver(&self.inner.live, &route, &message(), None, &mut to);
        // Who is too slow is treated as their protocol has it; nobody waits for them.
        let _slow = flush.flush();
    }
}

/// Who keeps a message.
#[derive(Debug, Default)]
struct Kept {
    /// Topics do: it is delivered when it is stored.
    by_topics: bool,
    stored: Option<usize>,
    is_refused: bool,
}

/// What comes of a delivery besides itself.
pub(super) struct To<'a> {
    pub(super) flush: &'a mut Flush,
    /// Sessions that were picked of groups, and get it from their queue.
    pub(super) picked: Vec<Picked>,
}

/// A session that was picked of a group.
#[derive(Debug, Clone)]
pub(super) struct Picked {
    /// Its number.
    pub(super) session: u64,
    /// The group's name.
    pub(super) group: Bytes,
}

/// Delivers to every live subscriber of a route, and picks members of groups among sessions, too; how many took it.
pub(super) fn deliver(
    live: &Live,
    route: &Route,
    message: &Message,
    place: Option<Place<'_>>,
    to: &mut To<'_>,
) -> usize {
    let names = &route.names;
    let observe = &*live.observe;
    let trace = followed::context(observe, message).map(|context| (&observe.traces, context));
    let trace = trace.as_ref();
    let delivery =
        Delivery { subject: &route.subject, message, place, counted: None, names, trace };
    let mut receivers = 0;
    for listener in route.matches.chunks.iter().flat_map(|chunk| chunk.iter()) {
        receivers += usize::from(listener.take(&delivery, to.flush));
    }
    for (listeners, tags) in &route.overlapping {
        receivers += usize::from(take_all(listeners, tags, &delivery, to.flush));
    }
    let waits = message.guaranteed || place.is_some();
    let mut missed = route.absent_groups(waits);
    for group in &route.matches.groups {
        let took = take_one(&group.members, &delivery, &live.answers, waits, to);
        receivers += usize::from(took);
        if took && !missed.is_empty() {
            missed.retain(|other| !(other.name == group.name && other.filter == group.filter));
        }
    }
    // Of nobody who is there.
    for group in missed {
        let number = live.pick_absent(&group.members, message.publisher);
        receivers += usize::from(number.is_some());
        to.picked.extend(number.map(|session| Picked { session, group: group.name.clone() }));
    }
    receivers
}

fn session_group(listener: &Listener) -> Bytes {
    listener.member.as_ref().map(|member| member.group_name().clone()).unwrap_or_default()
}

impl Listener {
    pub(super) fn take(&self, delivery: &Delivery<'_>, flush: &mut Flush) -> bool {
        self.wants(delivery) && self.give(&[self.tag], delivery, flush)
    }

    /// The same for a member of a group. Where a message waits, a session takes it for its queue.
    pub(super) fn take_of_group(
        &self,
        delivery: &Delivery<'_>,
        waits: bool,
        to: &mut To<'_>,
    ) -> bool {
        let Some(session) = self.session.as_ref().filter(|_| waits) else {
            return self.take(delivery, to.flush);
        };
        let number = if self.wants(delivery) { session.take_number() } else { None };
        let group = session_group(self);
        to.picked.extend(number.map(|session| Picked { session, group }));
        number.is_some()
    }

    fn give(&self, tags: &[u64], delivery: &Delivery<'_>, flush: &mut Flush) -> bool {
        let took = flush.note(self.subscriber.deliver(tags, delivery), &self.subscriber);
        if took && let Some((traces, context)) = delivery.trace {
            self.was_given(delivery, traces, *context);
        }
        took
    }

    /// It is on its way to a client.
    #[cold]
    fn was_given(&self, delivery: &Delivery<'_>, traces: &Traces, context: Context) {
        let Some(who) = self.who.clone() else { return };
        let stored = delivery.place.map(|place| Stored {
            topic: place.topic_id,
            partition: place.partition,
            offset: Some(place.offset),
        });
        let span = traces.begin(Begin {
            context,
            step: Step::Deliver,
            parent: None,
            who: Some(who),
            destination: &String::from_utf8_lossy(delivery.name(&TEXT)),
            stored,
        });
        if let Some(span) = span {
            traces.end(span, |_| {});
        }
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
