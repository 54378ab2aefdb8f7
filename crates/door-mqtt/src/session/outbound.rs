//! What goes to one client: messages and the steps of their delivery, written into a buffer for its
//! socket. No I/O and no clock: who calls says what time it is.
//!
//! What a session that outlives its connection is to get with QoS 1 and 2 comes from its queue in the core, and is
//! numbered by its place there: so it has the same number when it is sent again, after a restart too. All else is
//! numbered in turn, and forgotten with the connection.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use base::{Millis, Offset};
use broker::live::InFlight;
use door::pool;

use crate::limits::{
    OUTGOING_ALIAS_MAX, OUTGOING_BYTES_HIGH, OUTGOING_BYTES_MAX, WAITING_BYTES_MAX, WAITING_MAX,
};
use crate::wire::ack::Ack;
use crate::wire::header::Kind;
use crate::wire::publish::{Outgoing, OutgoingProperties};
use crate::wire::reason::Reason;
use crate::wire::{Version, WireError};

#[cfg(test)]
mod tests;

/// Steps of QoS 1 for a message of QoS 2, the other way round, or too early.
const WRONG_STEP: WireError = WireError::Protocol("not the step of a delivery that is due");

/// A message on its way to a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) topic: &'a [u8],
    pub(crate) payload: &'a [u8],
    /// Properties that are passed on as they are.
    pub(crate) kept: &'a [u8],
    pub(crate) expires_at: Option<Millis>,
}

/// A message that waits.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) topic: Box<[u8]>,
    pub(crate) payload: Box<[u8]>,
    pub(crate) kept: Box<[u8]>,
    pub(crate) expires_at: Option<Millis>,
}

impl Stored {
    pub(crate) fn of(view: View<'_>) -> Self {
        let View { topic, payload, kept, expires_at } = view;
        Self { topic: topic.into(), payload: payload.into(), kept: kept.into(), expires_at }
    }

    fn view(&self) -> View<'_> {
        View {
            topic: &self.topic,
            payload: &self.payload,
            kept: &self.kept,
            expires_at: self.expires_at,
        }
    }

    fn cost(&self) -> usize {
        size_of::<Self>() + self.topic.len() + self.payload.len() + self.kept.len()
    }
}

/// How a message is sent to this client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Manner {
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) ids: Ids,
}

/// The numbers that the client gave to the subscriptions that a message is sent for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Ids {
    #[default]
    None,
    One(u32),
    More(Arc<[u32]>),
}

impl Ids {
    pub(crate) fn push(&mut self, id: u32) {
        *self = match &*self {
            Self::None => Self::One(id),
            known => Self::More(known.as_slice().iter().copied().chain([id]).collect()),
        };
    }

    fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(id) => std::slice::from_ref(id),
            Self::More(ids) => ids,
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is on its way, or waits its turn, or has expired.
    Taken,
    /// There is no room for it.
    Full,
}

/// What became of a message from the session's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is on its way.
    Yes,
    /// The client must acknowledge something before, or read.
    Later,
    /// It is done with: it was sent once, or never can be.
    Done,
}

/// What a connection allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) version: Version,
    /// Messages in flight, at most.
    pub(crate) window: u16,
    /// Bytes of a packet, at most.
    pub(crate) packet_bytes_max: usize,
    pub(crate) alias_max: u16,
}

/// How far the delivery of a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// PUBLISH is sent, PUBACK or PUBREC is awaited.
    Sent,
    /// PUBREL is sent, PUBCOMP is awaited.
    Released,
}

/// A message that is being delivered with QoS 1 or 2.
#[derive(Debug)]
struct Flight {
    /// Its place among all that were sent, or in the session's queue: the packet's number follows from it.
    sequence: u64,
    /// It came from the session's queue.
    is_kept: bool,
    qos: u8,
    stage: Stage,
    /// Somebody wants to know how long the client takes.
    counted: Option<InFlight>,
}

impl Flight {
    fn packet_id(&self) -> u16 {
        packet_id(self.sequence)
    }

    /// Its place in the session's queue.
    fn place(&self) -> Offset {
        self.sequence.cast_signed()
    }
}

/// Packet numbers go round, and leave zero out.
fn packet_id(sequence: u64) -> u16 {
    u16::try_from(sequence % u64::from(u16::MAX)).unwrap_or(0) + 1
}

/// A message that waits its turn.
#[derive(Debug)]
struct Waiting {
    message: Arc<Stored>,
    manner: Manner,
    counted: Option<InFlight>,
}

/// The way out to one client.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    /// None while the client is away.
    allowance: Option<Allowance>,
    out: Vec<u8>,
    sequence: u64,
    flights: VecDeque<Flight>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// Places in the session's queue of what an earlier connection has received, but not completed.
    released: BTreeSet<Offset>,
    /// Numbers of topics that the client was told, if it takes such.
    #[allow(clippy::box_collection, reason = "most clients take none, and there are many")]
    aliases: Option<Box<HashMap<Box<[u8]>, u16>>>,
    dropped: u64,
}

impl Outbound {
    /// For a client that has received these of its queue before.
    pub(crate) fn new(released: BTreeSet<Offset>) -> Self {
        Self { released, ..Self::default() }
    }

    /// The client is there. What it has not acknowledged comes again from the session's queue (5.0 §4.4).
    pub(crate) fn attach(&mut self, allowance: Allowance) {
        self.detach();
        self.allowance = Some(allowance);
    }

    /// The client is gone.
    pub(crate) fn detach(&mut self) {
        self.released = self.released().collect();
        self.allowance = None;
        self.out = Vec::new();
        self.aliases = None;
        self.flights = VecDeque::new();
        self.waiting = VecDeque::new();
        self.waiting_bytes = 0;
    }

    /// Places in the session's queue of what the client has received, but not completed.
    pub(crate) fn released(&self) -> impl Iterator<Item = Offset> {
        let is_released = |flight: &&Flight| flight.is_kept && flight.stage == Stage::Released;
        let flights = self.flights.iter().filter(is_released).map(Flight::place);
        self.released.iter().copied().chain(flights)
    }

    /// Whether the client is there.
    pub(crate) fn is_attached(&self) -> bool {
        self.allowance.is_some()
    }

    /// Where answers are written.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Bytes that wait for the socket.
    pub(crate) fn pending(&self) -> usize {
        self.out.len()
    }

    /// Messages that there was no room for.
    #[cfg(test)]
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether who publishes to this client had better wait.
    pub(crate) fn is_high(&self) -> bool {
        self.out.len() > OUTGOING_BYTES_HIGH || self.waiting_bytes > WAITING_BYTES_MAX / 2
    }

    /// Takes what is to be written to the socket, and gives an empty buffer for it.
    pub(crate) fn take(&mut self, buffer: &mut Vec<u8>, now: Millis) {
        std::mem::swap(&mut self.out, buffer);
        self.out.clear();
        if !self.waiting.is_empty() {
            self.pump(now);
        }
    }

    /// Gives memory back that an idle client does not need.
    pub(crate) fn rest(&mut self) {
        if self.out.is_empty() {
            pool::give(std::mem::take(&mut self.out));
        }
        if self.flights.is_empty() {
            self.flights = VecDeque::new();
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
    }

    /// Messages that are on their way or wait, as far as nobody else counts them.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many messages of the session's queue the client takes now.
    pub(crate) fn room(&self) -> usize {
        match self.allowance {
            Some(allowance) if self.out.len() <= OUTGOING_BYTES_HIGH => {
                usize::from(allowance.window).saturating_sub(self.flights.len())
            }
            _ => 0,
        }
    }

    /// Delivers a message. `stored` makes the copy that waits, if it is to wait; `counted` is asked for if it is to be
    /// acknowledged.
    #[inline]
    pub(crate) fn deliver(
        &mut self,
        view: View<'_>,
        manner: Manner,
        now: Millis,
        (stored, counted): (impl FnOnce() -> Arc<Stored>, impl FnOnce() -> Option<InFlight>),
    ) -> Outcome {
        if manner.qos == 0 {
            return self.send_once(view, &manner, now);
        }
        if let Some(allowance) = self.allowance
            && self.flights.len() < allowance.window.into()
            && self.waiting.is_empty()
            && self.out.len() <= OUTGOING_BYTES_MAX
        {
            self.send(allowance, view, &manner, now, counted());
            return Outcome::Taken;
        }
        self.wait(stored(), manner, counted)
    }

    fn send_once(&mut self, view: View<'_>, manner: &Manner, now: Millis) -> Outcome {
        let Some(allowance) = self.allowance else { return Outcome::Full };
        if self.out.len() > OUTGOING_BYTES_MAX {
            self.dropped += 1;
            return Outcome::Full;
        }
        self.write(allowance, view, manner, (0, false), now);
        Outcome::Taken
    }

    fn wait(
        &mut self,
        message: Arc<Stored>,
        manner: Manner,
        counted: impl FnOnce() -> Option<InFlight>,
    ) -> Outcome {
        let cost = message.cost();
        let is_full = self.waiting.len() >= WAITING_MAX
            || (self.waiting_bytes + cost > WAITING_BYTES_MAX && !self.waiting.is_empty());
        if self.allowance.is_none() || is_full {
            self.dropped += 1;
            return Outcome::Full;
        }
        self.waiting_bytes += cost;
        self.waiting.push_back(Waiting { message, manner, counted: counted() });
        Outcome::Taken
    }

    /// Sends what waits, as far as the client allows.
    pub(crate) fn pump(&mut self, now: Millis) {
        let Some(allowance) = self.allowance else { return };
        while self.flights.len() < allowance.window.into() && self.out.len() < OUTGOING_BYTES_HIGH {
            let Some(Waiting { message, manner, counted }) = self.waiting.pop_front() else {
                return;
            };
            self.waiting_bytes -= message.cost();
            self.send(allowance, message.view(), &manner, now, counted);
        }
    }

    fn send(
        &mut self,
        allowance: Allowance,
        view: View<'_>,
        manner: &Manner,
        now: Millis,
        counted: Option<InFlight>,
    ) {
        let sequence = self.next_sequence();
        // One that is not sent after all has had its number, as others have it.
        self.sequence = sequence + 1;
        if self.write(allowance, view, manner, (packet_id(sequence), false), now) {
            let (qos, stage) = (manner.qos, Stage::Sent);
            self.flights.push_back(Flight { sequence, is_kept: false, qos, stage, counted });
        }
    }

    /// Sends a message that has this place in the session's queue, or goes on with its delivery. `again`: it may have been
    /// sent before.
    pub(crate) fn send_kept(
        &mut self,
        view: View<'_>,
        manner: &Manner,
        (place, again): (Offset, bool),
        now: Millis,
    ) -> Sent {
        let Some(allowance) = self.allowance else { return Sent::Later };
        if manner.qos == 0 {
            self.write(allowance, view, manner, (0, false), now);
            return Sent::Done;
        }
        let sequence = place.cast_unsigned();
        if self.room() == 0 || self.is_in_flight(sequence) {
            return Sent::Later;
        }
        let id = packet_id(sequence);
        let (mut qos, mut stage) = (manner.qos, Stage::Sent);
        if self.released.remove(&place) {
            (qos, stage) = (2, Stage::Released);
            let release = Ack { packet_id: id, reason: Reason::SUCCESS };
            release.encode(Kind::Pubrel, allowance.version, &mut self.out);
        } else if !self.write(allowance, view, manner, (id, again), now) {
            return Sent::Done;
        }
        let counted = None;
        self.flights.push_back(Flight { sequence, is_kept: true, qos, stage, counted });
        Sent::Yes
    }

    /// Whether something is in flight with the number that this has.
    fn is_in_flight(&self, sequence: u64) -> bool {
        let round = u64::from(u16::MAX);
        let may_be = |first: &Flight| !first.is_kept || sequence - first.sequence >= round;
        self.flights.front().is_some_and(may_be) && self.find(packet_id(sequence)).is_some()
    }

    /// The next sequence whose number is not in flight.
    fn next_sequence(&self) -> u64 {
        let mut sequence = self.sequence;
        let round = u64::from(u16::MAX);
        // Only what was sent a whole round ago can have the same number.
        while self.flights.front().is_some_and(|oldest| sequence - oldest.sequence >= round)
            && self.flights.iter().any(|flight| flight.packet_id() == packet_id(sequence))
        {
            sequence += 1;
        }
        sequence
    }

    /// Writes a message, unless it has expired or is larger than the client takes (5.0 §3.1.2.11.4).
    fn write(
        &mut self,
        allowance: Allowance,
        view: View<'_>,
        manner: &Manner,
        (packet_id, dup): (u16, bool),
        now: Millis,
    ) -> bool {
        let expiry = match view.expires_at {
            None => None,
            Some(at) if at <= now => return false,
            // What is left, in whole seconds, at least one.
            Some(at) => Some(u32::try_from((at - now + 999) / 1000).unwrap_or(u32::MAX)),
        };
        let mut outgoing = Outgoing {
            qos: manner.qos,
            dup,
            retain: manner.retain,
            topic: view.topic,
            packet_id,
            payload: view.payload,
            properties: OutgoingProperties {
                alias: None,
                expiry,
                subscription_ids: manner.ids.as_slice(),
                kept: view.kept,
            },
        };
        if outgoing.size(allowance.version) > allowance.packet_bytes_max {
            return false;
        }
        if allowance.alias_max > 0 {
            self.use_alias(allowance, &mut outgoing);
        }
        if self.out.capacity() == 0 {
            self.out = pool::take();
        }
        outgoing.encode(allowance.version, &mut self.out);
        true
    }

    /// Uses an alias, or gives one to a topic that has none while there are any.
    fn use_alias(&mut self, allowance: Allowance, outgoing: &mut Outgoing<'_>) {
        let aliases = self.aliases.get_or_insert_default();
        if let Some(alias) = aliases.get(outgoing.topic) {
            outgoing.topic = &[];
            outgoing.properties.alias = Some(*alias);
            return;
        }
        let used = u16::try_from(aliases.len()).unwrap_or(u16::MAX);
        if used >= allowance.alias_max.min(OUTGOING_ALIAS_MAX) {
            return;
        }
        outgoing.properties.alias = Some(used + 1);
        if outgoing.size(allowance.version) > allowance.packet_bytes_max {
            outgoing.properties.alias = None;
            return;
        }
        aliases.insert(outgoing.topic.into(), used + 1);
    }

    fn find(&self, id: u16) -> Option<usize> {
        // Most clients acknowledge in order.
        self.flights.iter().position(|flight| flight.packet_id() == id)
    }

    /// The client acknowledged a message (PUBACK), or the end of its delivery (PUBCOMP). One that is
    /// not known is none's business. Its place in the session's queue, if it came from there.
    ///
    /// # Errors
    /// That is not the step that is due.
    pub(crate) fn finish(
        &mut self,
        kind: Kind,
        id: u16,
        now: Millis,
    ) -> Result<Option<Offset>, WireError> {
        let expected = |flight: &Flight| match kind {
            Kind::Puback => flight.qos == 1,
            _ => flight.qos == 2 && flight.stage == Stage::Released,
        };
        let Some(at) = self.find(id) else { return Ok(None) };
        if !self.flights.get(at).is_some_and(expected) {
            return Err(WRONG_STEP);
        }
        Ok(self.land(at, now))
    }

    /// Takes a message out that is delivered.
    fn land(&mut self, at: usize, now: Millis) -> Option<Offset> {
        let mut flight = self.flights.remove(at)?;
        if let Some(counted) = flight.counted.take() {
            counted.done();
        }
        if !self.waiting.is_empty() {
            self.pump(now);
        }
        flight.is_kept.then(|| flight.place())
    }

    /// The client has received a message of QoS 2 (PUBREC), or will not have it. What is to be done then.
    ///
    /// # Errors
    /// That is not the step that is due.
    pub(crate) fn received(&mut self, ack: Ack, now: Millis) -> Result<Received, WireError> {
        let Some(allowance) = self.allowance else { return Ok(Received::Nothing) };
        let found = self.find(ack.packet_id).and_then(|at| Some((at, self.flights.get_mut(at)?)));
        let Some((at, flight)) = found else {
            let reason = Reason::PACKET_ID_NOT_FOUND;
            if !ack.reason.is_failure() {
                let release = Ack { packet_id: ack.packet_id, reason };
                release.encode(Kind::Pubrel, allowance.version, &mut self.out);
            }
            return Ok(Received::Nothing);
        };
        if flight.qos != 2 {
            return Err(WRONG_STEP);
        }
        if ack.reason.is_failure() {
            return Ok(self.land(at, now).map_or(Received::Nothing, Received::Refused));
        }
        flight.stage = Stage::Released;
        if flight.is_kept {
            return Ok(Received::Kept);
        }
        let release = Ack { packet_id: ack.packet_id, reason: Reason::SUCCESS };
        release.encode(Kind::Pubrel, allowance.version, &mut self.out);
        Ok(Received::Nothing)
    }

    /// Messages that are under way or wait.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.flights.len(), self.waiting.len())
    }
}

/// What follows from a PUBREC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// Nothing more.
    Nothing,
    /// That is to be written down before the client is told to go on (PUBREL): else it would get the message again after
    /// a crash.
    Kept,
    /// What has this place in the session's queue is done with.
    Refused(Offset),
}
