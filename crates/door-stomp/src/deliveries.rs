//! What queues deliver to: one client's subscriptions, and what it has not acknowledged.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use broker::queues::{Delivered, DeliveryId, QueueSink};
use bytes::Bytes;
use door::Outgoing;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::destination;
use crate::fault::{Fault, quoted};
use crate::map;
use crate::wire::Version;
use crate::wire::encode::Writer;

#[cfg(test)]
mod tests;

/// Between the parts of a message's id: the subscription's tag, the session, the number.
const BETWEEN: &[u8] = b"@@";

/// How what is delivered is acknowledged (1.2, "SUBSCRIBE ack Header").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AckMode {
    /// Not at all.
    Auto,
    /// All that the subscription got, up to a message.
    Client,
    /// Each by itself.
    Individual,
}

/// A subscription, as far as deliveries need it.
#[derive(Debug)]
pub(crate) struct To {
    /// Begins the ids of its messages.
    pub(crate) tag: Bytes,
    /// What the client calls it, if it said.
    pub(crate) id: Option<Bytes>,
    pub(crate) queue: Bytes,
    pub(crate) mode: AckMode,
}

/// What queues deliver to.
#[derive(Debug)]
pub(crate) struct Deliveries {
    pub(crate) outgoing: Arc<Outgoing>,
    version: Version,
    session: Bytes,
    state: Mutex<State>,
    /// A queue went that the client is subscribed to.
    gone: Notify,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    is_closed: bool,
    /// The last number of a delivery.
    last: u64,
    /// By their numbers.
    subscriptions: HashMap<u64, Arc<To>>,
    /// By tags. Those of subscriptions that ended can still be acknowledged.
    unacked: HashMap<Bytes, Unacked>,
    /// Subscriptions whose last delivery found no room.
    refused: Vec<u64>,
    /// One whose queue is gone.
    cancelled: Option<Arc<To>>,
}

impl Deliveries {
    pub(crate) fn new(outgoing: Arc<Outgoing>, version: Version, session: Bytes) -> Arc<Self> {
        let (state, gone) = (Mutex::default(), Notify::new());
        Arc::new(Self { outgoing, version, session, state, gone })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Nothing more is delivered.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.subscriptions.clear();
        state.unacked.clear();
    }

    /// Waits until the queue of a subscription is gone.
    pub(crate) async fn until_cancelled(&self) -> Fault {
        loop {
            if let Some(to) = self.state.lock().cancelled.take() {
                let name = quoted(to.id.as_ref().unwrap_or(&to.queue));
                let detail = format!(
                    "The server has canceled a subscription.\n\
                     No more messages will be delivered for '{name}'.\n"
                );
                let fault = Fault::new("Server cancelled subscription", detail);
                return Fault { subscription: to.id.clone(), ..fault };
            }
            self.gone.notified().await;
        }
    }

    /// The tag and the number of a message's id. `None`: it is none of this session.
    pub(crate) fn parse_id<'a>(&self, id: &'a [u8]) -> Option<(&'a [u8], u64)> {
        let (rest, number) = split_last(id)?;
        let (tag, session) = split_last(rest)?;
        let number = std::str::from_utf8(number).ok()?.parse().ok()?;
        (session == &self.session[..]).then_some((tag, number))
    }

    fn id(&self, tag: &[u8], number: u64) -> Vec<u8> {
        [tag, BETWEEN, &self.session[..], BETWEEN, number.to_string().as_bytes()].concat()
    }

    fn encode(&self, to: &To, number: u64, delivered: &Delivered, out: &mut Vec<u8>) {
        let id = self.id(&to.tag, number);
        let mut frame = Writer::begin("MESSAGE", self.version, out);
        if let Some(subscription) = &to.id {
            frame = frame.header(b"subscription", subscription);
        }
        frame = frame
            .header(b"destination", &destination::of(&delivered.origin, &to.queue))
            .header(b"message-id", &id)
            .header(b"redelivered", if delivered.deliveries > 0 { b"true" } else { b"false" });
        if self.version == Version::V1_2 && to.mode != AckMode::Auto {
            frame = frame.header(b"ack", &id);
        }
        map::put(delivered, frame);
    }
}

fn split_last(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memmem::rfind(text, BETWEEN)?;
    Some((&text[..at], &text[at + BETWEEN.len()..]))
}

impl State {
    pub(crate) fn add(&mut self, number: u64, to: To) {
        self.subscriptions.insert(number, Arc::new(to));
    }

    /// Ends one. What it has not acknowledged still can be.
    pub(crate) fn remove(&mut self, number: u64) {
        let Some(to) = self.subscriptions.remove(&number) else { return };
        let Some(unacked) = self.unacked.get_mut(&to.tag) else { return };
        unacked.is_live = false;
        if unacked.entries.is_empty() {
            self.unacked.remove(&to.tag);
        }
    }

    /// Subscriptions that found no room since this was asked last.
    pub(crate) fn take_refused(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.refused)
    }

    /// Takes deliveries of a subscription that are to be settled: one, or all up to it. False: there is none of this
    /// number.
    pub(crate) fn take(
        &mut self,
        tag: &[u8],
        number: u64,
        each: impl FnMut(u64, DeliveryId),
    ) -> bool {
        let Some(unacked) = self.unacked.get_mut(tag) else { return false };
        let taken = unacked.take(number, each);
        if unacked.entries.is_empty() && !unacked.is_live {
            self.unacked.remove(tag);
        }
        taken
    }

    /// Puts back what was taken.
    pub(crate) fn put_back(&mut self, tag: &Bytes, number: u64, id: DeliveryId) {
        if let Some(unacked) = self.unacked.get_mut(tag) {
            unacked.put_back(number, id);
        } else if !self.is_closed {
            // Its subscription is gone, and these are the last of it.
            let mut unacked = Unacked { is_live: false, ..Unacked::new(false) };
            unacked.put_back(number, id);
            self.unacked.insert(tag.clone(), unacked);
        }
    }
}

impl QueueSink for Deliveries {
    fn deliver(&self, tag: u64, delivered: Delivered) -> bool {
        let mut state = self.state.lock();
        let Some(to) = state.subscriptions.get(&tag).map(Arc::clone) else { return false };
        let number = state.last + 1;
        let bytes = delivered.message.value.as_ref().map_or(0, Bytes::len);
        if !self.outgoing.offer(bytes, |out| self.encode(&to, number, &delivered, out)) {
            state.refused.push(tag);
            return false;
        }
        state.last = number;
        if to.mode != AckMode::Auto {
            let is_cumulative = to.mode == AckMode::Client;
            let unacked = state.unacked.entry(to.tag.clone());
            let unacked = unacked.or_insert_with(|| Unacked::new(is_cumulative));
            (unacked.is_live, unacked.is_cumulative) = (true, is_cumulative);
            unacked.push(number, delivered.id);
        }
        true
    }

    fn flush(&self) {
        self.outgoing.flush();
    }

    fn cancelled(&self, tag: u64) {
        let mut state = self.state.lock();
        if let Some(to) = state.subscriptions.remove(&tag) {
            state.cancelled = Some(to);
            self.gone.notify_one();
        }
    }
}

/// Deliveries of one subscription that are not settled, in order of their numbers. Settled in the middle, they leave a gap
/// until those before them are.
#[derive(Debug)]
struct Unacked {
    entries: VecDeque<(u64, Option<DeliveryId>)>,
    /// One that is settled settles those before it.
    is_cumulative: bool,
    /// Its subscription is there.
    is_live: bool,
}

impl Unacked {
    fn new(is_cumulative: bool) -> Self {
        Self { entries: VecDeque::new(), is_cumulative, is_live: true }
    }

    fn push(&mut self, number: u64, id: DeliveryId) {
        self.entries.push_back((number, Some(id)));
    }

    fn take(&mut self, number: u64, mut each: impl FnMut(u64, DeliveryId)) -> bool {
        let found = self.entries.binary_search_by_key(&number, |(number, _)| *number);
        let Ok(index) = found else { return false };
        let Some((_, place @ Some(_))) = self.entries.get_mut(index) else { return false };
        if self.is_cumulative {
            for (number, id) in self.entries.drain(..=index) {
                id.into_iter().for_each(|id| each(number, id));
            }
        } else if let Some(id) = place.take() {
            each(number, id);
        }
        while self.entries.front().is_some_and(|(_, id)| id.is_none()) {
            self.entries.pop_front();
        }
        true
    }

    fn put_back(&mut self, number: u64, id: DeliveryId) {
        match self.entries.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(index) => self.entries[index].1 = Some(id),
            Err(index) => self.entries.insert(index, (number, Some(id))),
        }
    }
}
