//! A client's session, while it is connected. Publishers deliver into it from their own threads; the connection that
//! is attached to it takes out what is to be written. What outlives the connection is in the core (`kept.rs`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base::subject::TEXT;
use base::{Clock, Millis, Subject};
use broker::PublisherId;
use broker::access::{Actor, Operation, ResourceKind};
use broker::live::{Accepted, Delivery, Pressure, Subscriber};
use broker::sessions::Session as Kept;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::counts::Counts;
use crate::limits::SLOWED_MAX;
use crate::map::{Published, Received};
use crate::session::kept::HalfDone;
use crate::session::outbound::{Allowance, Manner, Outbound, Outcome, Stored, View};
use crate::session::subscriptions::Subscriptions;
use crate::will::Will;
use crate::wire::reason::Reason;

pub(crate) mod kept;
pub(crate) mod outbound;
pub(crate) mod subscriptions;

/// How long a session is kept without a connection, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Expiry(pub(crate) u32);

impl Expiry {
    /// It ends with its connection.
    pub(crate) const AT_ONCE: Self = Self(0);
    /// It does not end (5.0 §3.1.2.11.2).
    pub(crate) const NEVER: Self = Self(u32::MAX);
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client_id: Arc<str>,
    /// Tells sessions apart, those too that one client has one after the other.
    pub(crate) id: PublisherId,
    /// Where it is kept, if it outlives its connection.
    pub(crate) kept: Option<Kept>,
    /// Held while packets are handled and what comes of them is handed to the log, if the session is kept: another
    /// connection that takes this one's place finds all of it there.
    pub(crate) handling: Option<Arc<tokio::sync::Mutex<()>>>,
    clock: Arc<dyn Clock>,
    counts: Arc<Counts>,
    state: Mutex<State>,
}

/// What changes in a session.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) outbound: Outbound,
    pub(crate) subscriptions: Subscriptions,
    /// Messages of QoS 2 that the client sent and did not release yet.
    pub(crate) received: BTreeSet<u16>,
    /// That, or what the client has received of ours, is not written down as it is.
    pub(crate) is_dirty: bool,
    pub(crate) will: Option<Box<Will>>,
    /// When it is due, if the client is gone and it waits.
    pub(crate) will_due: Option<Millis>,
    /// The will of a connection whose place another has taken.
    displaced: Option<(u64, Box<Will>)>,
    pub(crate) expiry: Expiry,
    /// Who may read what, if not everybody everything.
    actor: Option<Actor>,
    /// The connection that is attached, or was last.
    connection: u64,
    /// Why the attached connection is to close.
    cut: Option<Reason>,
    /// Who waits until that has heard out what its client sent.
    heard: Option<oneshot::Sender<()>>,
    waker: Option<Waker>,
    /// Publishers that wait until the client has read more.
    slowed: Vec<Waker>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goodbye {
    /// As it should: there is no will.
    Proper,
    /// In any other way.
    Lost,
}

/// What is to be done for a session whose connection is gone.
#[derive(Debug)]
pub(crate) struct Left {
    /// A will that is due.
    pub(crate) will: Option<Box<Will>>,
    /// When its will is due, if there is one that is to wait. It stays with the session until then.
    pub(crate) will_delay: Option<Duration>,
    pub(crate) expiry: Expiry,
}

impl Session {
    pub(crate) fn new(
        client_id: Arc<str>,
        id: PublisherId,
        kept: Option<Kept>,
        (clock, counts): (Arc<dyn Clock>, Arc<Counts>),
    ) -> Self {
        let half_done = kept.as_ref().map(|kept| HalfDone::decode(kept.state()));
        let HalfDone { received, released, .. } = half_done.unwrap_or_default();
        let state = State {
            outbound: Outbound::new(released),
            subscriptions: Subscriptions::default(),
            received,
            is_dirty: false,
            will: None,
            will_due: None,
            displaced: None,
            expiry: Expiry::AT_ONCE,
            actor: None,
            connection: 0,
            cut: None,
            heard: None,
            waker: None,
            slowed: Vec::new(),
        };
        let handling = kept.as_ref().map(|_| Arc::default());
        let state = Mutex::new(state);
        Self { client_id, id, kept, handling, clock, counts, state }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Attaches a connection, and answers it. One that was attached before will find that it is to close. What the
    /// connection takes from the session's queue comes from what is returned.
    pub(crate) fn attach(&self, connection: u64, terms: Terms, connack: &[u8]) -> Option<Kept> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let was_attached = state.outbound.is_attached();
        let waker = state.waker.take();
        let before = std::mem::replace(&mut state.connection, connection);
        (state.cut, state.heard) = (None, None);
        state.expiry = terms.expiry;
        state.actor = Some(terms.actor).filter(|actor| !actor.is_free());
        state.outbound.attach(terms.allowance);
        // First of all, and then what is still owed.
        state.outbound.buffer().extend_from_slice(connack);
        let kept = self.kept.as_ref().map(Kept::begin);
        let will = std::mem::replace(&mut state.will, terms.will);
        state.will_due = None;
        // One that is to wait is not sent: the client is back (5.0 §3.1.2.5). Of another it is the connection before
        // that knows whether there was a goodbye: it may not have read that yet.
        let will = will.filter(|will| was_attached && will.delay.is_zero());
        state.displaced = will.map(|will| (before, will));
        if let Some(waker) = waker {
            waker.wake();
        }
        kept
    }

    /// The will of a connection whose place another has taken, if it is to be published.
    pub(crate) fn displaced(&self, connection: u64, goodbye: Goodbye) -> Option<Box<Will>> {
        let mut state = self.state.lock();
        let (_, will) = state.displaced.take_if(|(displaced, _)| *displaced == connection)?;
        (goodbye == Goodbye::Lost).then_some(will)
    }

    /// Ends it: another session has taken its place. Its will is due now, unless it is connected and may still say
    /// goodbye.
    pub(crate) fn end(&self, reason: Reason) -> Option<Box<Will>> {
        let mut state = self.state.lock();
        state.expiry = Expiry::AT_ONCE;
        state.cut = Some(reason);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        let is_away = !state.outbound.is_attached();
        if is_away { state.will.take() } else { None }
    }

    /// Ends the connection that is attached: its client has come again, and did not get through.
    pub(crate) fn cut(&self, reason: Reason) {
        let mut state = self.state.lock();
        if state.outbound.is_attached() {
            state.cut = Some(reason);
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }

    /// Ends the connection that is attached: its client is there again. What is returned is over when all was heard
    /// that the client had sent on it: it may have said goodbye, or how long the session is to last.
    pub(crate) fn hear_out(&self) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state.lock();
        if !state.outbound.is_attached() {
            return None;
        }
        let (heard, waits) = oneshot::channel();
        (state.cut, state.heard) = (Some(Reason::TAKEN_OVER), Some(heard));
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        Some(waits)
    }

    /// A connection has heard its client out.
    pub(crate) fn was_heard(&self, connection: u64) {
        let mut state = self.state.lock();
        if state.connection == connection {
            state.heard = None;
        }
    }

    /// Detaches a connection, unless another has taken its place.
    pub(crate) fn detach(&self, connection: u64, goodbye: Goodbye) -> Option<Left> {
        let mut state = self.state.lock();
        if state.connection != connection || !state.outbound.is_attached() {
            return None;
        }
        state.outbound.detach();
        (state.waker, state.heard) = (None, None);
        std::mem::take(&mut state.slowed).into_iter().for_each(Waker::wake);
        if goodbye == Goodbye::Proper {
            state.will = None;
        }
        let expiry = state.expiry;
        // With the session its will is due, at the latest (5.0 §3.1.3.2.2).
        let is_due = |will: &mut Box<Will>| will.delay.is_zero() || expiry == Expiry::AT_ONCE;
        let will = state.will.take_if(is_due);
        let will_delay = state.will.as_ref().map(|will| will.delay);
        Some(Left { will, will_delay, expiry })
    }

    /// Whether a connection is attached.
    pub(crate) fn is_attached(&self) -> bool {
        self.state.lock().outbound.is_attached()
    }

    /// Whether no connection came since that one.
    pub(crate) fn is_still_away(&self, connection: u64) -> bool {
        let state = self.state.lock();
        state.connection == connection && !state.outbound.is_attached()
    }

    /// Says to a client how the door is doing, if it wants to know.
    pub(crate) fn tell(&self, subject: &Subject, topic: &str, value: &str) {
        let mut state = self.state.lock();
        if !state.outbound.is_attached() {
            return;
        }
        let tags = state.subscriptions.find_all(subject, None);
        let published = Published { qos: 0, retain: true };
        let Some(manner) = state.subscriptions.manner(&tags, published) else { return };
        if state.may_read_subject(subject) {
            self.send_sys(&mut state, topic, value, manner);
            drop(state);
            self.flush(1);
        }
    }

    /// The same for a new subscription.
    pub(crate) fn send_sys(&self, state: &mut State, topic: &str, value: &str, manner: Manner) {
        let (topic, payload) = (topic.as_bytes(), value.as_bytes());
        let view = View { topic, payload, kept: &[], expires_at: None };
        let hold = (|| Arc::new(Stored::of(view)), || None);
        let manner = Manner { qos: 0, ..manner };
        if state.outbound.deliver(view, manner, 0, hold) == Outcome::Full {
            self.counts.dropped.add(1);
        }
    }

    /// Gives every subscription up.
    pub(crate) fn unsubscribe_all(&self) {
        let subscriptions = std::mem::take(&mut self.state.lock().subscriptions);
        // The router is told outside of the lock: it may be delivering to this session.
        drop(subscriptions);
    }
}

impl Subscriber for Session {
    fn deliver(&self, tags: &[u64], delivery: &Delivery<'_>) -> Accepted {
        let received = Received::of(delivery);
        if received.topic.is_empty() || received.topic.len() > usize::from(u16::MAX) {
            // A subject that has no name here.
            return Accepted::No;
        }
        let now = if received.expires_at.is_some() { self.clock.now() } else { 0 };
        let mut state = self.state.lock();
        let Some(manner) = state.subscriptions.manner(tags, received.published) else {
            return Accepted::No;
        };
        if self.kept.is_some() && manner.qos > 0 {
            // It comes from the session's queue.
            return Accepted::No;
        }
        if !state.may_read(delivery) {
            return Accepted::No;
        }
        let was_idle = state.outbound.pending() == 0;
        let view = received.view();
        let hold = (|| Arc::new(Stored::of(view)), || delivery.in_flight());
        if state.outbound.deliver(view, manner, now, hold) == Outcome::Full {
            self.counts.dropped.add(1);
            return Accepted::No;
        }
        if was_idle && state.outbound.pending() > 0 {
            Accepted::First
        } else if state.outbound.is_high() {
            Accepted::Slow
        } else {
            Accepted::Yes
        }
    }

    fn flush(&self, _company: usize) -> Pressure {
        let mut state = self.state.lock();
        let (waker, is_high) = (state.waker.take(), state.outbound.is_high());
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        if is_high { Pressure::High } else { Pressure::Low }
    }

    fn waiting(&self) -> u32 {
        let here = self.state.lock().outbound.waiting();
        let kept = self.kept.as_ref().map_or(0, Kept::waiting);
        u32::try_from(here + kept).unwrap_or(u32::MAX)
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if !state.outbound.is_attached() || !state.outbound.is_high() {
            return Poll::Ready(());
        }
        // Those of publishers who have given up waiting are woken for nothing, once.
        if state.slowed.len() < SLOWED_MAX {
            state.slowed.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// On what terms a connection is attached.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) allowance: Allowance,
    pub(crate) expiry: Expiry,
    pub(crate) will: Option<Box<Will>>,
    pub(crate) actor: Actor,
}

/// What an attached connection finds when it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// There is something to write.
    Bytes,
    /// There is nothing; it will be woken.
    Nothing,
    /// It is to close.
    Cut(Reason),
}

impl State {
    /// What there is to do for this connection.
    pub(crate) fn look(
        &mut self,
        connection: u64,
        buffer: &mut Vec<u8>,
        now: Millis,
        waker: &Waker,
    ) -> Found {
        if self.connection != connection {
            return Found::Cut(Reason::TAKEN_OVER);
        }
        if let Some(reason) = self.cut {
            return Found::Cut(reason);
        }
        self.outbound.take(buffer, now);
        if !self.slowed.is_empty() && !self.outbound.is_high() {
            std::mem::take(&mut self.slowed).into_iter().for_each(Waker::wake);
        }
        if !buffer.is_empty() {
            return Found::Bytes;
        }
        self.outbound.rest();
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
        Found::Nothing
    }

    /// Whether the client may read this message: a filter with wildcards may match what is denied.
    fn may_read(&self, delivery: &Delivery<'_>) -> bool {
        self.actor.as_ref().is_none_or(|actor| {
            let name = delivery.name(&TEXT);
            let name = String::from_utf8_lossy(name);
            actor.may(Operation::Read, ResourceKind::Topic, &name)
        })
    }

    /// The same by the subject.
    pub(crate) fn may_read_subject(&self, subject: &Subject) -> bool {
        self.actor.as_ref().is_none_or(|actor| actor.may_subject(Operation::Read, subject))
    }

    /// Whether this connection is still the one that is attached.
    pub(crate) fn is_attached(&self, connection: u64) -> bool {
        self.connection == connection && self.outbound.is_attached()
    }
}
