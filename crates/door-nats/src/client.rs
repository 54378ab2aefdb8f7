//! One client, as the others see it: whoever publishes delivers to it from its own thread.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use base::Millis;
use broker::access::{Actor, Operation};
use broker::live::{Accepted, Delivery, Pressure, Subscriber, Subscription};
use broker::{Broker, PublisherId};
use door::About;
use parking_lot::Mutex;

use crate::handles::Handles;
use crate::limits::COMPANY_MIN;
use crate::map;
use crate::outgoing::{Outgoing, Pushed, Waiting};
use crate::wire::connect::ConnectOptions;
use crate::wire::encode::Outbound;
use crate::wire::subject;

/// A message with a small payload, in bytes.
const SMALL_BYTES: usize = 128;

/// A connected client.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its number, as it is told.
    pub(crate) id: u64,
    pub(crate) publisher: PublisherId,
    pub(crate) peer: SocketAddr,
    pub(crate) since: Millis,
    pub(crate) outgoing: Outgoing,
    about: About,
    /// It takes messages with headers.
    takes_headers: AtomicBool,
    /// Who it is, once that is known.
    actor: OnceLock<Actor>,
    /// What it said about itself.
    said: OnceLock<ConnectOptions>,
    /// Its subscriptions, by its names for them.
    handles: Mutex<Handles>,
    pub(crate) received: Received,
}

/// A subscription, as long as it is held.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) tag: u64,
    /// As the client wrote it.
    pub(crate) subject: Box<[u8]>,
    pub(crate) queue: Option<Box<[u8]>>,
    /// Dropping it unsubscribes.
    pub(crate) subscription: Subscription,
}

/// What a client published.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) messages: AtomicU64,
    /// Of payloads and headers.
    pub(crate) bytes: AtomicU64,
    /// When it was last heard of.
    pub(crate) last: AtomicU64,
}

impl Client {
    pub(crate) fn new(
        id: u64,
        publisher: PublisherId,
        (peer, about): (SocketAddr, About),
        since: Millis,
        outgoing: Outgoing,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            publisher,
            peer,
            since,
            outgoing,
            about,
            takes_headers: AtomicBool::new(false),
            actor: OnceLock::new(),
            said: OnceLock::new(),
            handles: Mutex::default(),
            received: Received::default(),
        })
    }

    /// Notes who it is and what it said. The first time counts.
    pub(crate) fn introduce(&self, actor: Actor, said: ConnectOptions) {
        self.takes_headers.store(said.headers, Ordering::Relaxed);
        // A second CONNECT changes what is asked of the connection, not who it is.
        self.about.user(actor.principal());
        self.about.say("client_id", &said.name);
        let (_, _) = (self.actor.set(actor), self.said.set(said));
    }

    /// What it said about itself, once it did.
    pub(crate) fn said(&self) -> Option<&ConnectOptions> {
        self.said.get()
    }

    /// Who it is, once that is known.
    pub(crate) fn actor(&self) -> Option<&Actor> {
        self.actor.get()
    }

    /// Whether a subscription has this name.
    pub(crate) fn has_subscription(&self, sid: &[u8]) -> bool {
        self.handles.lock().get(sid).is_some()
    }

    /// Keeps a subscription.
    pub(crate) fn keep(&self, sid: &[u8], handle: Handle) {
        let replaced = self.handles.lock().insert(sid, handle);
        drop(replaced);
    }

    /// The tag of a subscription.
    pub(crate) fn tag(&self, sid: &[u8]) -> Option<u64> {
        self.handles.lock().get(sid).map(|handle| handle.tag)
    }

    /// Ends a subscription.
    pub(crate) fn unsubscribe(&self, sid: &[u8]) {
        let Some(handle) = self.handles.lock().remove(sid) else { return };
        self.outgoing.with_subscriptions(|all| all.remove(handle.tag));
        // Without the locks, for the router has its own.
        drop(handle);
    }

    /// Ends the subscriptions that had their last message.
    pub(crate) fn settle(&self) {
        let expired = self.outgoing.with_subscriptions(|all| match all.has_expired() {
            true => all.take_expired(),
            false => Vec::new(),
        });
        for (tag, sid) in expired {
            // The name may be another one's by now.
            if self.tag(&sid) == Some(tag) {
                self.unsubscribe(&sid);
            }
        }
    }

    /// Queues an answer to the client itself; it goes out at the next [`Self::flush_own`].
    pub(crate) fn reply(&self, bytes: &[u8]) {
        // One that is cut off needs no answer.
        let _pushed = self.outgoing.push(bytes.len(), |out| out.extend_from_slice(bytes));
    }

    /// Delivers a message to the first of its own subscriptions that matches, as an answer.
    pub(crate) fn tell(&self, subject: &[u8], message: &Outbound<'_>) {
        let tag = {
            let handles = self.handles.lock();
            let matching =
                handles.iter().find(|(_, handle)| subject::matches(&handle.subject, subject));
            matching.map(|(_, handle)| handle.tag)
        };
        if let Some(tag) = tag {
            let _pushed = self.outgoing.deliver(&[tag], message);
        }
    }

    /// Writes out what waits for the client.
    pub(crate) fn flush_own(&self) -> Waiting {
        self.settle();
        self.outgoing.flush()
    }

    /// Every subscription.
    pub(crate) fn each_subscription(&self, mut each: impl FnMut(&[u8], &Handle)) {
        self.handles.lock().iter().for_each(|(sid, handle)| each(sid, handle));
    }

    /// Ends all of them, and frees what waits: others may hold on to this for a while.
    pub(crate) fn close(&self, broker: &Broker) {
        self.outgoing.close();
        let handles = std::mem::take(&mut *self.handles.lock());
        broker.unsubscribe_all(handles.into_handles().map(|handle| handle.subscription).collect());
    }

    /// Whether rules keep it from a message that one of its wildcards matches.
    fn is_kept_from(&self, delivery: &Delivery<'_>) -> bool {
        let Some(actor) = self.actor.get().filter(|actor| !actor.is_free()) else { return false };
        let name = String::from_utf8_lossy(delivery.name(map::NAMES));
        !actor.may_topic(Operation::Read, &name)
    }
}

impl Subscriber for Client {
    fn deliver(&self, tags: &[u64], delivery: &Delivery<'_>) -> Accepted {
        if self.is_kept_from(delivery) {
            return Accepted::No;
        }
        let message = delivery.message;
        let reply = message.properties.reply_to.as_ref();
        let reply = reply.map(|reply| map::reply_name(reply, message));
        let mut made = Vec::new();
        let headers = match self.takes_headers.load(Ordering::Relaxed) {
            true => map::header_block(message, &mut made),
            false => None,
        };
        let outbound = Outbound {
            subject: delivery.name(map::NAMES),
            reply: reply.as_deref(),
            headers,
            payload: message.value.as_deref().unwrap_or_default(),
        };
        match self.outgoing.deliver(tags, &outbound) {
            Pushed::Behind(Waiting::Little) => Accepted::Yes,
            Pushed::Behind(Waiting::Much) => Accepted::Slow,
            Pushed::First => Accepted::First,
            Pushed::Closed => Accepted::No,
        }
    }

    fn flush(&self, company: usize) -> Pressure {
        self.settle();
        let waiting = match company < COMPANY_MIN {
            true => self.outgoing.flush(),
            false => self.outgoing.flush_in_company(),
        };
        match waiting {
            Waiting::Little => Pressure::Low,
            Waiting::Much => Pressure::High,
        }
    }

    fn waiting(&self) -> u32 {
        // Their sizes are not counted one by one: as many as small ones would be.
        u32::try_from(self.outgoing.pending() / SMALL_BYTES).unwrap_or(u32::MAX)
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.outgoing.poll_little(cx)
    }
}
