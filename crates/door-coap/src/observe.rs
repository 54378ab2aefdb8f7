//! Observations (RFC 7641): who is told when a resource changes.
//!
//! What comes while a client cannot be told yet replaces what came before it: a client that observes is told what is, not
//! all that was (§1.3). So each observation holds one value at most, however fast its resource changes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use base::{Millis, Subject};
use broker::Broker;
use broker::access::Operation;
use broker::live::{Accepted, Delivery, SubscribeOptions, Subscriber, Subscription};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::endpoint::ObservationId;
use crate::handle::Caller;
use crate::limits::{
    OBSERVATIONS_MAX, OBSERVATIONS_OF_PEER_MAX, OBSERVED_BYTES_MAX, UNCONFIRMED_MAX,
};
use crate::map;
use crate::remote::Remote;
use crate::request::Request;
use crate::response::Response;
use crate::topics::Topic;
use crate::wire::Token;
use crate::wire::code::Code;

/// What a resource became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// This.
    Is {
        /// The format of the payload.
        format: Option<u16>,
        /// The representation.
        payload: Bytes,
        /// Until when it is good.
        expires_at: Option<Millis>,
    },
    /// Nothing: it was deleted, or may not be observed any more.
    Gone,
}

impl Value {
    /// How large its representation is.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Is { payload, .. } => payload.len(),
            Self::Gone => 0,
        }
    }

    /// What a response to a GET says that there is.
    pub(crate) fn of(response: &Response, now: Millis) -> Self {
        match response.code {
            Code::CONTENT => Self::Is {
                format: response.format,
                payload: response.payload.clone(),
                expires_at: response.max_age.map(|seconds| now + 1000 * Millis::from(seconds)),
            },
            _ => Self::Gone,
        }
    }
}

impl Value {
    /// The same in memory of its own, if it is small.
    fn small_copy(&self) -> Option<Self> {
        let Self::Is { format, payload, expires_at } = self else { return None };
        (payload.len() <= OBSERVED_BYTES_MAX).then(|| Self::Is {
            format: *format,
            payload: Bytes::copy_from_slice(payload),
            expires_at: *expires_at,
        })
    }
}

/// Observations that have something to tell, of one worker or connection.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// No more than there are observations.
    ids: Mutex<Vec<ObservationId>>,
    /// Somebody is in there.
    pub(crate) notify: Notify,
}

impl Ready {
    pub(crate) fn take(&self) -> Vec<ObservationId> {
        std::mem::take(&mut *self.ids.lock())
    }
}

/// Where messages are taken for an observation.
#[derive(Debug)]
pub(crate) struct Slot {
    id: ObservationId,
    caller: Caller,
    ready: Arc<Ready>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    latest: Option<Value>,
    /// It is among those that have something to tell.
    is_listed: bool,
}

impl Slot {
    /// Puts a value in place of what is there; whether somebody has to be told.
    fn put(&self, value: Value) -> bool {
        let mut state = self.state.lock();
        // Nothing comes after the end.
        if state.latest != Some(Value::Gone) {
            state.latest = Some(value);
        }
        if std::mem::replace(&mut state.is_listed, true) {
            return false;
        }
        self.ready.ids.lock().push(self.id);
        true
    }

    /// Ends the observation: its client is told that there is nothing any more.
    pub(crate) fn end(&self) {
        if self.put(Value::Gone) {
            self.ready.notify.notify_one();
        }
    }

    /// What is to be told, if anything is.
    pub(crate) fn take(&self) -> Option<Value> {
        let mut state = self.state.lock();
        state.is_listed = false;
        state.latest.take()
    }

    /// Puts back what could not be told, unless there is something newer.
    pub(crate) fn put_back(&self, value: Value) {
        self.state.lock().latest.get_or_insert(value);
    }
}

impl Subscriber for Slot {
    fn deliver(&self, _tags: &[u64], delivery: &Delivery<'_>) -> Accepted {
        if !self.caller.may(Operation::Read, delivery.subject) {
            return Accepted::No;
        }
        let message = delivery.message;
        let value = match &message.value {
            None => Value::Gone,
            Some(payload) => Value::Is {
                format: map::format(message),
                payload: payload.clone(),
                expires_at: message.properties.expires_at,
            },
        };
        if self.put(value) { Accepted::First } else { Accepted::Yes }
    }

    fn flush(&self, _company: usize) -> broker::live::Pressure {
        self.ready.notify.notify_one();
        broker::live::Pressure::Low
    }
}

/// A client that observes a resource.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) peer: Remote,
    pub(crate) token: Token,
    /// What it asked: notifications are answers to it.
    pub(crate) request: Request,
    pub(crate) slot: Arc<Slot>,
    /// It was told that it observes.
    is_active: bool,
    sequence: u32,
    /// What it was told last, if that is small: to be told again when it is asked whether it is there still.
    last: Option<Value>,
    /// Notifications since the last confirmable one, and when that was.
    unconfirmed: u32,
    confirmed_at: u64,
    /// How long there may be none.
    confirm_every: u64,
    is_confirming: bool,
    /// Its place among those that are to be asked whether they are wanted still.
    check_at: u64,
    _subscription: Subscription,
}

impl Observation {
    /// Whether it can be told something now.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_active && !self.is_confirming
    }

    /// Whether the next notification must be confirmable (RFC 7641 §4.5).
    pub(crate) fn must_confirm(&self, value: &Value, now: u64) -> bool {
        *value == Value::Gone
            || self.unconfirmed + 1 >= UNCONFIRMED_MAX
            || now >= self.confirmed_at + self.confirm_every
    }

    /// The number of the next notification, which goes up (RFC 7641 §3.4).
    fn next(&self) -> u32 {
        (self.sequence + 1) & 0x00ff_ffff
    }

    /// A notification of this value.
    pub(crate) fn notification(&self, value: &Value, now: Millis) -> Response {
        let Value::Is { format, payload, expires_at } = value else {
            return Response::new(Code::NOT_FOUND);
        };
        let accept = self.request.fields.accept;
        if accept.is_some() && accept != *format {
            // What it asked for is not there any more (RFC 7641 §4.2).
            return Response::new(Code::NOT_ACCEPTABLE);
        }
        let left = |at: Millis| u32::try_from((at - now).max(0) / 1000).unwrap_or(u32::MAX);
        let max_age = expires_at.map(left);
        let observe = Some(self.next());
        Response { observe, max_age, ..Response::content(*format, payload.clone()) }
    }

    /// What it was told last, if that is known.
    pub(crate) fn last(&self) -> Option<Value> {
        self.last.clone()
    }

    fn sent(&mut self, confirmable: bool, now: u64) {
        self.sequence = self.next();
        self.unconfirmed += 1;
        if confirmable {
            (self.unconfirmed, self.confirmed_at, self.is_confirming) = (0, now, true);
        }
    }

    /// The client has acknowledged one.
    pub(crate) fn acked(&mut self) {
        self.is_confirming = false;
    }
}

/// All that one worker or connection has.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    pub(crate) ready: Arc<Ready>,
    all: HashMap<ObservationId, Observation>,
    by_token: HashMap<(Remote, Token), ObservationId>,
    of_peers: HashMap<Remote, BTreeSet<ObservationId>>,
    /// When each is to be asked at the latest whether it is wanted still.
    checks: BTreeSet<(u64, ObservationId)>,
    next: u64,
}

impl Observations {
    /// Begins an observation, which is told nothing before [`Self::activate`]. One with the same token goes on as this one
    /// (RFC 7641 §4.1). `None`: there are too many, or the topic has as many as it may.
    pub(crate) fn open(
        &mut self,
        broker: &Broker,
        caller: &Caller,
        token: Token,
        (subject, topic): (&Subject, Option<&Arc<Topic>>),
        request: &Request,
    ) -> Option<ObservationId> {
        let key = (caller.peer, token);
        let sequence =
            self.by_token.get(&key).and_then(|id| self.all.get(id)).map(|old| old.sequence);
        if let Some(old) = self.by_token.get(&key).copied() {
            self.close(old);
        }
        let request = request.kept()?;
        let count = self.of_peers.get(&caller.peer).map_or(0, BTreeSet::len);
        if self.all.len() >= OBSERVATIONS_MAX || count >= OBSERVATIONS_OF_PEER_MAX {
            return None;
        }
        let id = ObservationId(self.next);
        self.next += 1;
        let (caller, state) = (caller.clone(), Mutex::default());
        let peer = caller.peer;
        let publisher = caller.publisher;
        let slot = Arc::new(Slot { id, caller, ready: Arc::clone(&self.ready), state });
        if let Some(topic) = topic
            && !topic.join(&slot)
        {
            return None;
        }
        let filter = map::filter(subject)?;
        let options = SubscribeOptions { publisher, ..SubscribeOptions::default() };
        let subscription = broker.subscribe(filter, Arc::clone(&slot) as _, id.0, options).ok()?;
        let observation = Observation {
            peer,
            token,
            request,
            slot,
            is_active: false,
            sequence: sequence.unwrap_or(0),
            last: None,
            unconfirmed: 0,
            confirmed_at: 0,
            confirm_every: topic.map_or(crate::limits::CONFIRM_EVERY_MS, |topic| topic.check_ms()),
            is_confirming: false,
            check_at: 0,
            _subscription: subscription,
        };
        self.all.insert(id, observation);
        self.by_token.insert(key, id);
        self.of_peers.entry(peer).or_default().insert(id);
        Some(id)
    }

    /// The observation was agreed on: the number that its first notification has.
    pub(crate) fn activate(&mut self, id: ObservationId, now: u64) -> Option<u32> {
        let observation = self.all.get_mut(&id)?;
        observation.is_active = true;
        observation.sequence = observation.next();
        observation.confirmed_at = now;
        observation.check_at = now + observation.confirm_every;
        self.checks.insert((observation.check_at, id));
        Some(observation.sequence)
    }

    pub(crate) fn get_mut(&mut self, id: ObservationId) -> Option<&mut Observation> {
        self.all.get_mut(&id)
    }

    /// A notification of this value was sent, which the client is to confirm or not.
    pub(crate) fn sent(&mut self, id: ObservationId, value: &Value, confirmable: bool, now: u64) {
        let Some(observation) = self.all.get_mut(&id) else { return };
        observation.sent(confirmable, now);
        observation.last = value.small_copy();
        if confirmable {
            self.checks.remove(&(observation.check_at, id));
            observation.check_at = now + observation.confirm_every;
            self.checks.insert((observation.check_at, id));
        }
    }

    /// When the next one is to be asked.
    pub(crate) fn next_check(&self) -> Option<u64> {
        self.checks.first().map(|(at, _)| *at)
    }

    /// One that is to be asked now.
    pub(crate) fn due(&mut self, now: u64) -> Option<ObservationId> {
        let (at, id) = *self.checks.first()?;
        if at > now {
            return None;
        }
        self.checks.pop_first();
        let observation = self.all.get_mut(&id)?;
        observation.check_at = now + observation.confirm_every;
        self.checks.insert((observation.check_at, id));
        Some(id)
    }

    /// The observation that a client has with this token.
    pub(crate) fn find(&self, peer: Remote, token: Token) -> Option<ObservationId> {
        self.by_token.get(&(peer, token)).copied()
    }

    /// Those of a client.
    pub(crate) fn of(&self, peer: Remote) -> Vec<ObservationId> {
        self.of_peers.get(&peer).into_iter().flatten().copied().collect()
    }

    /// Ends one; whose it was.
    pub(crate) fn close(&mut self, id: ObservationId) -> Option<Remote> {
        let observation = self.all.remove(&id)?;
        self.by_token.remove(&(observation.peer, observation.token));
        self.checks.remove(&(observation.check_at, id));
        if let Some(others) = self.of_peers.get_mut(&observation.peer) {
            others.remove(&id);
            if others.is_empty() {
                self.of_peers.remove(&observation.peer);
            }
        }
        Some(observation.peer)
    }
}
