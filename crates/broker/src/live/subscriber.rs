//! Who listens.

use std::fmt::Debug;
use std::sync::Arc;
use std::task::{Context, Poll};

use base::subject::Escape;
use base::{ErrorKind, Filter, Offset, Subject, TopicId};
use bytes::Bytes;
use observe::trace::{self, Traces, Who};
use router::{Key, Router, Subscribed};

use super::Live;
use super::groups::{Counted, InFlight, Member};
use super::route::Names;
use super::tail::{Since, TailSet};
use crate::Broker;
use crate::message::{Message, PublisherId};
use crate::sessions::{Inside, Session};

/// Where a door takes messages for a connection.
///
/// It is called on the thread of whoever publishes, and must neither block nor take long: it writes the message, as its
/// protocol has it, to the end of what the connection is to be sent. It may be called a little longer than
/// its subscription lives, and is then held by what others remember: what is large it should free when its connection
/// ends.
pub trait Subscriber: Send + Sync + Debug {
    /// Takes a message for the subscriptions with these tags: one, or all that match of one subscriber where its
    /// filters overlap. Messages of one publisher come in their order.
    fn deliver(&self, tags: &[u64], delivery: &Delivery<'_>) -> Accepted;

    /// Sends what was written, or wakes who does: called once after a number of deliveries of which one said
    /// [`Accepted::First`]. `company`: how many this is asked of at once, on this thread.
    fn flush(&self, _company: usize) -> Pressure {
        Pressure::Low
    }

    /// What waits to be sent, in messages, about: groups that go by what is in flight count it.
    fn waiting(&self) -> u32 {
        0
    }

    /// Ready when less is waiting to be sent, after [`Accepted::Slow`] or [`Pressure::High`].
    fn poll_ready(&self, _context: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It will be sent.
    Yes,
    /// It will be sent when [`Subscriber::flush`] was called.
    First,
    /// It will be sent, but a lot is waiting: the publisher should wait a little.
    Slow,
    /// It is not for this subscriber, or there is no room, or the connection is gone: of a group, somebody else gets it.
    No,
}

/// Whether a lot is waiting to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    /// Go on.
    Low,
    /// The publisher should wait a little.
    High,
}

/// Subscribers who are to be told, and the last that was slow. Tells them when dropped, at the latest.
#[derive(Debug, Default)]
pub(crate) struct Flush {
    dirty: Vec<Arc<dyn Subscriber>>,
    slow: Option<Arc<dyn Subscriber>>,
}

impl Flush {
    /// Takes note of what a subscriber said; whether it took the message.
    pub(super) fn note(&mut self, accepted: Accepted, subscriber: &Arc<dyn Subscriber>) -> bool {
        match accepted {
            Accepted::Yes => {}
            Accepted::First => self.dirty.push(Arc::clone(subscriber)),
            Accepted::Slow => self.slow = Some(Arc::clone(subscriber)),
            Accepted::No => return false,
        }
        true
    }

    /// Has everything sent; returns somebody who is slow, if anybody is.
    pub(crate) fn flush(&mut self) -> Option<Slow> {
        let company = self.dirty.len();
        for subscriber in self.dirty.drain(..) {
            if subscriber.flush(company) == Pressure::High {
                self.slow = Some(subscriber);
            }
        }
        self.slow.take().map(Slow)
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        drop(self.flush());
    }
}

/// Somebody who does not keep up.
#[derive(Debug)]
pub struct Slow(Arc<dyn Subscriber>);

impl Slow {
    /// Waits until it has caught up. For ever, maybe: bound the wait.
    pub async fn ready(&self) {
        std::future::poll_fn(|context| self.0.poll_ready(context)).await;
    }
}

/// A message on its way to a subscriber.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// What it is about.
    pub subject: &'a Subject,
    /// The message.
    pub message: &'a Message,
    /// Where it is stored, if it is.
    pub place: Option<Place<'a>>,
    /// If it goes to the member of a group, and what that has in flight is counted.
    pub(super) counted: Option<Counted<'a>>,
    pub(super) names: &'a Names,
    /// It is followed.
    pub(super) trace: Option<&'a (&'a Traces, trace::Context)>,
}

impl<'a> Delivery<'a> {
    /// The subject's name in a protocol's syntax; converted once for all who ask.
    pub fn name(&self, escape: &'static Escape) -> &'a Bytes {
        self.names.get(escape, self.subject)
    }

    /// For a subscriber that acknowledges: to be kept until the acknowledgement comes. `None`: nobody wants to know.
    pub fn in_flight(&self) -> Option<InFlight> {
        self.counted.map(|counted| counted.take())
    }
}

/// Where a message is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The topic's identity.
    pub topic_id: TopicId,
    /// Its partition.
    pub partition: i32,
    /// The offset there.
    pub offset: Offset,
}

/// A group: of all its members that match, one gets a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name, which says what is configured for it.
    pub name: Bytes,
    /// Members with other filters are of the same group where both match; else each filter is a group by itself.
    pub merges: bool,
    /// The member's name, by which the group's configuration may give it another weight.
    pub member: Bytes,
    /// How much it takes, compared with others. Not 0.
    pub weight: u32,
}

/// How to subscribe.
#[derive(Debug, Clone, Default)]
pub struct SubscribeOptions {
    /// Who subscribes. One connection has one identity, see [`Broker::new_publisher`].
    pub publisher: PublisherId,
    /// Not what the same publishes.
    pub no_echo: bool,
    /// The group that it is a member of.
    pub group: Option<Group>,
    /// The session of which this is a member of the group: what waits goes there instead.
    pub session: Option<Session>,
}

/// Why somebody could not subscribe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The filter has too many levels.
    #[error("a filter has at most {} levels", Router::<Listener>::STEPS_MAX)]
    TooManyLevels,
}

impl SubscribeError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// What the router hands out.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    pub(super) subscriber: Arc<dyn Subscriber>,
    pub(super) publisher: PublisherId,
    pub(super) tag: u64,
    pub(super) no_echo: bool,
    pub(super) member: Option<Arc<Member>>,
    pub(super) session: Option<Arc<Inside>>,
    /// What is before was there before it subscribed.
    pub(super) since: Option<Since>,
    /// The client, if it is one.
    pub(super) who: Option<Arc<Who>>,
}

impl Subscribed for Listener {
    fn owner(&self) -> u64 {
        self.publisher.0
    }
}

impl Listener {
    /// Whether a message is one for it.
    pub(super) fn wants(&self, delivery: &Delivery<'_>) -> bool {
        if self.no_echo && self.publisher == delivery.message.publisher {
            return false;
        }
        let (Some(since), Some(place)) = (&self.since, delivery.place) else { return true };
        let before = |(topic, partition, offset): &(TopicId, i32, Offset)| {
            *topic == place.topic_id && *partition == place.partition && place.offset < *offset
        };
        !since.iter().any(before)
    }
}

/// What a subscription is of a group.
#[derive(Debug)]
struct Membership {
    group: router::Group,
    member: Arc<Member>,
    /// The session that gets what waits.
    session: Option<Arc<Inside>>,
}

/// A live subscription. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    live: Arc<Live>,
    filter: Filter,
    key: Key,
    /// In a box: most have none.
    group: Option<Box<Membership>>,
    /// Topics that hold some of it.
    _tails: Option<Arc<TailSet>>,
}

impl Subscription {
    /// What it is a subscription to.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let group = self.group.as_ref().map(|of| &of.group);
        let removed = self.live.listeners.remove(&self.filter, self.key, group);
        if let Some(Membership { member, session, .. }) = self.group.as_deref() {
            self.live.groups.leave(member);
            if let Some(session) = session {
                session.part(member);
            }
        }
        drop(removed);
    }
}

/// Up to so many subscriptions are ended at once: then they are gone before their client can come again with as many.
const ENDED_AT_ONCE: usize = 65_536;
/// Of more, so many before others have their turn.
const ENDED_IN_TURN: usize = 1024;

impl Broker {
    /// Ends subscriptions of somebody who takes no messages any more. Of more than 65,536 it ends a thousand at a time, and
    /// goes on after this has returned, so that whoever publishes meanwhile does not wait for all of them.
    pub fn unsubscribe_all(&self, subscriptions: Vec<Subscription>) {
        let runtime = tokio::runtime::Handle::try_current();
        let (true, Ok(runtime)) = (subscriptions.len() > ENDED_AT_ONCE, runtime) else {
            return drop(subscriptions);
        };
        let mut rest = subscriptions.into_iter();
        runtime.spawn(async move {
            while rest.len() > 0 {
                rest.by_ref().take(ENDED_IN_TURN).for_each(drop);
                tokio::task::yield_now().await;
            }
        });
    }

    /// Subscribes: whatever is published after this returned is delivered, with this tag.
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub fn subscribe(
        &self,
        filter: Filter,
        subscriber: Arc<dyn Subscriber>,
        tag: u64,
        options: SubscribeOptions,
    ) -> Result<Subscription, SubscribeError> {
        let live = &self.inner.live;
        let session = options.session.map(|session| session.inside);
        let group = options.group.map(|group| {
            let name = String::from_utf8_lossy(&group.name);
            let member = live.groups.join(&group, &filter, || self.group_config(&name).dispatch);
            let group = router::Group { name: group.name.clone(), merges: group.merges };
            Box::new(Membership { group, member, session: session.clone() })
        });
        let topics = self.inner.topics.version();
        let (mut tails, since) = self.inner.tail(&filter);
        let listener = Listener {
            subscriber,
            publisher: options.publisher,
            tag,
            no_echo: options.no_echo,
            session,
            since,
            who: Who::current(),
            member: group.as_ref().map(|of| Arc::clone(&of.member)),
        };
        let router_group = group.as_ref().map(|of| &of.group);
        match live.listeners.insert(&filter, listener, router_group) {
            Some(key) => {
                if self.inner.topics.version() != topics {
                    // A topic that came before it was found, and after it looked.
                    tails = self.inner.tail(&filter).0;
                }
                if let Some(Membership { member, session: Some(session), .. }) = group.as_deref() {
                    session.join(member);
                }
                Ok(Subscription { live: Arc::clone(live), filter, key, group, _tails: tails })
            }
            None => {
                if let Some(of) = group {
                    live.groups.leave(&of.member);
                }
                Err(SubscribeError::TooManyLevels)
            }
        }
    }
}
