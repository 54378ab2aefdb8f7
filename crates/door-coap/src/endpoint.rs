//! The message layer (RFC 7252 §4), without I/O and without a clock: what comes goes in with the time, what is to be sent
//! comes out. Everything it holds is bounded: `limits.rs` says by what.
//!
//! - A request is handed out once, however often it comes: [`seen`] remembers the numbers of messages, and what was said
//!   to them. A client that uses a number again too early for another message gets that served, too: the bytes are
//!   compared.
//! - What is confirmable is sent until it is acknowledged, rejected, or given up; one at a time to a client (`NSTART`).
//! - A client that has not shown that it is where it says gets no more than three times what it sent. To get more, it
//!   answers a ping, as every endpoint does. Some do that only when they have the answer to what they asked; whoever has
//!   not by some moments later is to be asked with the Echo option.

mod output;
mod peer;
mod seen;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use base::Random;
use bytes::Bytes;

use crate::limits::{
    AMPLIFICATION_MAX, CHALLENGE_AFTER_MS, EXCHANGE_BYTES_MAX, EXCHANGES_MAX, HEADERS_BYTES,
    LEISURE_MS, PEER_HELD_MAX, RETRANSMITS_MAX, SEPARATE_AFTER_MS,
};
use crate::remote::Remote;
use crate::response::Response;
use crate::wire::code::Code;
use crate::wire::datagram::{Datagram, HEADER_BYTES, Kind, empty, put_header};
use crate::wire::{Token, WireError};
pub(crate) use output::Output;
use peer::{Peers, Waiting, What};
use seen::{Looked, Seen};

/// Names a request that is being worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ExchangeId(u64);

/// Names an observation, to whoever keeps those.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObservationId(pub(crate) u64);

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) exchange: ExchangeId,
    pub(crate) peer: Remote,
    pub(crate) code: Code,
    pub(crate) token: Token,
    pub(crate) options: Bytes,
    pub(crate) payload: Bytes,
    /// It asks for an acknowledgement.
    pub(crate) is_confirmable: bool,
    /// It came to a group of which we are one.
    pub(crate) to_group: bool,
}

/// What happened, besides requests that came.
#[derive(Debug)]
pub(crate) enum Event {
    /// A client has a notification.
    Acked(ObservationId),
    /// A client wants no more notifications, or is gone.
    Ended(ObservationId),
    /// To this client another confirmable message can be sent.
    Free(Remote),
    /// A client has shown where it is: the request that waited for that goes on.
    Resumed(Box<Received>),
    /// A client has not, though it was asked: this request is to be answered with something small.
    Silent(ExchangeId, Remote),
}

/// A response was not sent: its client must show first that it is where it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unverified;

/// A request that is being worked on.
#[derive(Debug)]
struct Exchange {
    peer: Remote,
    kind: Kind,
    id: u16,
    token: Token,
    /// Bytes of its datagram.
    bytes: usize,
    acked: bool,
    to_group: bool,
    held: Held,
}

impl Exchange {
    /// Whether a response with so much in it may go to where its client says that it is.
    fn allows(&self, body: usize) -> bool {
        allows(self.bytes, HEADER_BYTES + self.token.as_bytes().len() + body)
    }
}

/// Whether so many bytes may be sent for so many that came, to whoever may be elsewhere.
fn allows(came: usize, sent: usize) -> bool {
    HEADERS_BYTES + sent <= AMPLIFICATION_MAX * (HEADERS_BYTES + came)
}

/// What waits with a request.
#[derive(Debug)]
enum Held {
    Nothing,
    /// Its response, for its client to show where it is, or for its time.
    Response(Code, Bytes),
    /// The request itself, for its client to show where it is.
    Request(Box<Received>),
}

/// One socket's messages, or some of them.
#[derive(Debug)]
pub(crate) struct Endpoint {
    random: Arc<dyn Random>,
    seen: Seen,
    peers: Peers,
    exchanges: HashMap<ExchangeId, Exchange>,
    /// Bytes of their datagrams.
    bytes: usize,
    next_exchange: u64,
    /// Confirmable requests that are acknowledged if they are not answered by then.
    due: VecDeque<(u64, ExchangeId)>,
    /// Requests that wait for their clients to show where they are, until then.
    challenges: VecDeque<(u64, ExchangeId)>,
    /// Responses to groups' requests, which are sent then.
    leisure: BinaryHeap<Reverse<(u64, ExchangeId)>>,
    /// The number of the next message to somebody of whom nothing is known.
    loose_id: u16,
    output: Output,
    events: Vec<Event>,
}

impl Endpoint {
    pub(crate) fn new(random: Arc<dyn Random>) -> Self {
        let loose_id = low_bits(random.next_u64());
        Self {
            peers: Peers::new(Arc::clone(&random)),
            random,
            seen: Seen::default(),
            exchanges: HashMap::new(),
            bytes: 0,
            next_exchange: 0,
            due: VecDeque::new(),
            challenges: VecDeque::new(),
            leisure: BinaryHeap::new(),
            loose_id,
            output: Output::default(),
            events: Vec::new(),
        }
    }

    /// What is to be sent. The buffer is to be given back, empty, with [`Self::give_back`].
    pub(crate) fn take_output(&mut self) -> Output {
        std::mem::take(&mut self.output)
    }

    /// Takes a buffer for what is to be sent next.
    pub(crate) fn give_back(&mut self, mut buffer: Output) {
        buffer.clear();
        if self.output.is_empty() {
            self.output = buffer;
        }
    }

    /// What happened.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Takes a datagram that came, to a group or to this socket alone. A request that is new is returned.
    pub(crate) fn receive(
        &mut self,
        now: u64,
        peer: Remote,
        bytes: &Bytes,
        to_group: bool,
    ) -> Option<Received> {
        let datagram = match Datagram::decode(bytes) {
            Ok(datagram) => datagram,
            Err(error) => {
                self.refuse(peer, bytes, error, to_group);
                return None;
            }
        };
        self.peers.touch(peer, now);
        let (kind, code) = (datagram.kind, datagram.message.code);
        match kind {
            Kind::Ack | Kind::Rst => self.answered(now, peer, kind, datagram.id),
            // A group gets no confirmable messages (RFC 7252 §8.1).
            Kind::Con if to_group => {}
            Kind::Con | Kind::Non if code.is_request() => {
                return self.request(now, peer, bytes, &datagram, to_group);
            }
            // A ping (RFC 7252 §4.3), a response to nothing, or a code that is reserved.
            Kind::Con => self.output.put(peer, &empty(Kind::Rst, datagram.id)),
            Kind::Non => {}
        }
        None
    }

    /// Rejects what cannot be read, if that is to be answered (RFC 7252 §4.2).
    fn refuse(&mut self, peer: Remote, bytes: &[u8], error: WireError, to_group: bool) {
        tracing::trace!(%peer, %error, "not a message");
        if let Some((Kind::Con, id)) = Datagram::peek(bytes).filter(|_| !to_group) {
            self.output.put(peer, &empty(Kind::Rst, id));
        }
    }

    fn request(
        &mut self,
        now: u64,
        peer: Remote,
        bytes: &Bytes,
        datagram: &Datagram<'_>,
        to_group: bool,
    ) -> Option<Received> {
        let Datagram { kind, id, message } = *datagram;
        let digest = digest(bytes);
        match self.seen.look((peer, id), digest) {
            Looked::New => {}
            Looked::Open(exchange) => {
                // It was acknowledged already, and that was lost; or it will be answered soon.
                let is_acked = self.exchanges.get(&exchange).is_some_and(|open| open.acked);
                if kind == Kind::Con && is_acked {
                    self.output.put(peer, &empty(Kind::Ack, id));
                }
                return None;
            }
            Looked::Done(answer) => {
                // What is not confirmable is only passed over (RFC 7252 §4.3).
                if let Some(answer) = answer.filter(|_| kind == Kind::Con) {
                    self.output.put(peer, &answer);
                }
                return None;
            }
        }
        if self.exchanges.len() >= EXCHANGES_MAX || self.bytes + bytes.len() > EXCHANGE_BYTES_MAX {
            if kind == Kind::Con {
                let busy = Response { max_age: Some(1), ..Response::new(Code::UNAVAILABLE) };
                let answer = datagram_of(Kind::Ack, busy.code, id, message.token, &busy.body());
                self.output.put(peer, &answer);
            }
            return None;
        }
        let exchange = ExchangeId(self.next_exchange);
        self.next_exchange += 1;
        self.seen.open((peer, id), digest, exchange, kind == Kind::Con, now);
        self.bytes += bytes.len();
        self.exchanges.insert(
            exchange,
            Exchange {
                peer,
                kind,
                id,
                token: message.token,
                bytes: bytes.len(),
                acked: false,
                to_group,
                held: Held::Nothing,
            },
        );
        if kind == Kind::Con {
            self.due.push_back((now + SEPARATE_AFTER_MS, exchange));
        }
        let share =
            |part: &[u8]| if part.is_empty() { Bytes::new() } else { bytes.slice_ref(part) };
        Some(Received {
            exchange,
            peer,
            code: message.code,
            token: message.token,
            options: share(message.options.as_bytes()),
            payload: share(message.payload),
            is_confirmable: kind == Kind::Con,
            to_group,
        })
    }

    /// Answers a confirmable request of which nothing is to be remembered: when it comes again it may be answered anew, for it
    /// changes nothing (RFC 7252 §4.5). Its datagram had so many bytes. Whether it is answered: if something is known of it,
    /// or its client is not yet to have so much, [`Self::receive`] is to see to it.
    pub(crate) fn answer(
        &mut self,
        now: u64,
        peer: Remote,
        (request, bytes): (&Datagram<'_>, usize),
        code: Code,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let id = request.id;
        if request.kind != Kind::Con || self.seen.has((peer, id)) {
            return false;
        }
        self.peers.touch(peer, now);
        let peers = &self.peers;
        self.output.write(peer, |out| {
            let from = out.len();
            put_header(Kind::Ack, code, id, request.message.token, out);
            write(out);
            allows(bytes, out.len() - from) || peers.is_verified(peer)
        })
    }

    /// Whether a client has shown that it is where it says it is.
    pub(crate) fn is_verified(&self, peer: Remote) -> bool {
        self.peers.is_verified(peer)
    }

    /// A client has shown that it is where it says it is, in another way.
    pub(crate) fn verify(&mut self, now: u64, peer: Remote) {
        if self.peers.verify(peer, now) {
            self.release(now, peer);
        }
    }

    /// Answers a request: with its acknowledgement, or separately if it was acknowledged before.
    ///
    /// # Errors
    /// The response is too large for somebody who may be elsewhere; [`Self::hold`] keeps it until that is known.
    pub(crate) fn respond(
        &mut self,
        now: u64,
        exchange: ExchangeId,
        code: Code,
        body: &[u8],
    ) -> Result<(), Unverified> {
        let Some(open) = self.exchanges.get_mut(&exchange) else { return Ok(()) };
        if open.to_group {
            // Of many that may answer, those are silent who have nothing to say (RFC 7252 §8.2).
            if code.is_success() && open.allows(body.len()) {
                open.held = Held::Response(code, Bytes::copy_from_slice(body));
                let leisure = self.random.next_u64() % LEISURE_MS;
                self.leisure.push(Reverse((now + leisure, exchange)));
            } else {
                self.suppress(now, exchange);
            }
            return Ok(());
        }
        if !open.allows(body.len()) && !self.peers.is_verified(open.peer) {
            return Err(Unverified);
        }
        self.finish(now, exchange, code, body);
        Ok(())
    }

    /// Ends an exchange with nothing but an acknowledgement, if that is owed (RFC 7967 §2).
    pub(crate) fn suppress(&mut self, now: u64, exchange: ExchangeId) {
        let Some(open) = self.close(exchange) else { return };
        let answer = (open.kind == Kind::Con).then(|| empty_bytes(Kind::Ack, open.id));
        if let Some(answer) = answer.as_ref().filter(|_| !open.acked) {
            self.output.put(open.peer, answer);
        }
        self.seen.done((open.peer, open.id), exchange, answer, now);
    }

    fn close(&mut self, exchange: ExchangeId) -> Option<Exchange> {
        let open = self.exchanges.remove(&exchange)?;
        self.bytes -= open.bytes;
        Some(open)
    }

    fn finish(&mut self, now: u64, exchange: ExchangeId, code: Code, body: &[u8]) {
        let Some(open) = self.close(exchange) else { return };
        let Exchange { peer, id, token, .. } = open;
        let answer = match open.kind {
            Kind::Con if !open.acked => {
                let answer = datagram_of(Kind::Ack, code, id, token, body);
                self.output.put(peer, &answer);
                Some(answer)
            }
            Kind::Con => {
                let what = What::Response;
                self.confirm(now, peer, what, |id| datagram_of(Kind::Con, code, id, token, body));
                Some(empty_bytes(Kind::Ack, id))
            }
            _ => {
                let id = self.peers.next_id(peer, now).unwrap_or_else(|| self.next_loose_id());
                self.output.put(peer, &datagram_of(Kind::Non, code, id, token, body));
                None
            }
        };
        self.seen.done((peer, id), exchange, answer, now);
    }

    /// Keeps a response until its client has shown where it is, and asks it to.
    pub(crate) fn hold(&mut self, now: u64, exchange: ExchangeId, code: Code, body: Bytes) {
        self.wait(now, exchange, Held::Response(code, body));
    }

    /// Keeps a request until its client has shown where it is, and asks it to. Then it comes again as an event.
    pub(crate) fn defer(&mut self, now: u64, received: Received) {
        let exchange = received.exchange;
        self.wait(now, exchange, Held::Request(Box::new(received)));
    }

    fn wait(&mut self, now: u64, exchange: ExchangeId, held: Held) {
        let Some(open) = self.exchanges.get_mut(&exchange) else { return };
        let peer = open.peer;
        if self.peers.held(peer) >= PEER_HELD_MAX || !self.peers.hold(peer, exchange, now) {
            // No room to wait: it is asked in another way at once.
            return self.events.push(Event::Silent(exchange, peer));
        }
        // It is acknowledged when that takes too long: till then its response can come with the acknowledgement, which
        // some clients need for what comes in pieces.
        open.held = held;
        self.challenges.push_back((now + CHALLENGE_AFTER_MS, exchange));
        if !self.peers.is_pinged(peer) {
            self.confirm(now, peer, What::Ping, |id| empty_bytes(Kind::Con, id));
        }
    }

    /// Acknowledges a request whose response will come separately.
    fn acknowledge(&mut self, exchange: ExchangeId) {
        let Some(open) = self.exchanges.get_mut(&exchange) else { return };
        if open.kind == Kind::Con && !std::mem::replace(&mut open.acked, true) {
            self.output.put(open.peer, &empty(Kind::Ack, open.id));
        }
    }

    /// What waited for a client to show where it is goes on.
    fn release(&mut self, now: u64, peer: Remote) {
        for exchange in self.peers.take_held(peer) {
            let Some(open) = self.exchanges.get_mut(&exchange) else { continue };
            match std::mem::replace(&mut open.held, Held::Nothing) {
                Held::Nothing => {}
                Held::Response(code, body) => self.finish(now, exchange, code, &body),
                Held::Request(received) => self.events.push(Event::Resumed(received)),
            }
        }
    }

    /// Sends a confirmable message, or has it wait for those before it.
    fn confirm(&mut self, now: u64, peer: Remote, what: What, write: impl FnOnce(u16) -> Bytes) {
        let Some(id) = self.peers.confirm_id(peer, now) else { return };
        let waiting = Waiting { id, bytes: write(id), what };
        if let Some(bytes) = self.peers.confirm(peer, waiting, now) {
            self.output.put(peer, &bytes);
        }
    }

    /// Sends a notification. False: not now, for the client has to acknowledge something first, or because too many
    /// were sent of late to have numbers for more.
    pub(crate) fn notify(
        &mut self,
        now: u64,
        (peer, token, observation): (Remote, Token, ObservationId),
        (code, body): (Code, &[u8]),
        confirmable: bool,
    ) -> bool {
        if confirmable && !self.peers.is_free(peer) {
            return false;
        }
        if confirmable {
            let what = What::Notification(observation);
            self.confirm(now, peer, what, |id| datagram_of(Kind::Con, code, id, token, body));
            return true;
        }
        let Some(id) = self.peers.next_id(peer, now) else { return false };
        self.peers.remember(peer, id, observation);
        self.output.put(peer, &datagram_of(Kind::Non, code, id, token, body));
        true
    }

    /// A client observes something, or does no more: it is not forgotten meanwhile.
    pub(crate) fn observes(&mut self, now: u64, peer: Remote, more: i32) {
        self.peers.observes(peer, more, now);
    }

    /// Something that we sent was acknowledged or rejected.
    fn answered(&mut self, now: u64, peer: Remote, kind: Kind, id: u16) {
        let Some(what) = self.peers.answered(peer, id, now) else {
            // A ping that we had given up.
            if kind == Kind::Rst && self.peers.answered_late(peer, id) {
                self.release(now, peer);
            }
            // One that was not confirmable can be rejected, too (RFC 7252 §4.3).
            if kind == Kind::Rst
                && let Some(observation) = self.peers.recent(peer, id)
            {
                self.events.push(Event::Ended(observation));
            }
            return;
        };
        // Whoever knows its number has got it.
        self.release(now, peer);
        if let What::Notification(observation) = what {
            self.events.push(match kind {
                Kind::Rst => Event::Ended(observation),
                _ => Event::Acked(observation),
            });
        }
        self.next(now, peer);
    }

    /// Sends what waited for what is done with.
    fn next(&mut self, now: u64, peer: Remote) {
        match self.peers.next(peer, now) {
            Some(bytes) => self.output.put(peer, &bytes),
            None => self.events.push(Event::Free(peer)),
        }
    }

    /// When [`Self::poll`] has something to do.
    pub(crate) fn next_time(&mut self) -> Option<u64> {
        // Nobody is woken for what is done with.
        while self.due.pop_front_if(|(_, open)| !self.exchanges.contains_key(open)).is_some() {}
        let due = self.due.front().map(|(at, _)| *at);
        let leisure = self.leisure.peek().map(|Reverse((at, _))| *at);
        let challenge = self.challenges.front().map(|(at, _)| *at);
        [due, challenge, leisure, self.peers.next_time(), self.seen.next_time()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due by now.
    pub(crate) fn poll(&mut self, now: u64) {
        while let Some((_, exchange)) = self.due.pop_front_if(|(at, _)| *at <= now) {
            self.acknowledge(exchange);
        }
        while let Some((_, exchange)) = self.challenges.pop_front_if(|(at, _)| *at <= now) {
            self.challenge(now, exchange);
        }
        while self.leisure.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((_, exchange))) = self.leisure.pop() else { break };
            let held = self.exchanges.get_mut(&exchange).map(|open| &mut open.held);
            if let Some(Held::Response(code, body)) =
                held.map(|held| std::mem::replace(held, Held::Nothing))
            {
                self.finish(now, exchange, code, &body);
            }
        }
        while let Some((peer, id)) = self.peers.next_due(now) {
            match self.peers.retransmit(peer, id, RETRANSMITS_MAX, now) {
                peer::Again::Not => {}
                peer::Again::Send(bytes) => self.output.put(peer, &bytes),
                peer::Again::GiveUp(what) => self.give_up(now, peer, what),
            }
        }
        self.seen.expire(now);
        self.peers.expire(now);
    }

    /// A client has not acknowledged something, however often it was sent.
    fn give_up(&mut self, now: u64, peer: Remote, what: What) {
        match what {
            What::Notification(observation) => self.events.push(Event::Ended(observation)),
            What::Ping => {
                for exchange in self.peers.take_held(peer) {
                    self.suppress(now, exchange);
                }
            }
            What::Response => {}
        }
        self.next(now, peer);
    }

    /// A client has not shown where it is for so long that it is to be asked in another way.
    fn challenge(&mut self, now: u64, exchange: ExchangeId) {
        let Some(open) = self.exchanges.get_mut(&exchange) else { return };
        if matches!(open.held, Held::Nothing) {
            return;
        }
        open.held = Held::Nothing;
        let peer = open.peer;
        self.events.push(Event::Silent(exchange, peer));
        if self.peers.let_go(peer, exchange) {
            // Nothing waits for the ping any more.
            self.next(now, peer);
        }
    }

    fn next_loose_id(&mut self) -> u16 {
        self.loose_id = self.loose_id.wrapping_add(1);
        self.loose_id
    }
}

/// The lowest 16 bits.
fn low_bits(bits: u64) -> u16 {
    u16::try_from(bits & 0xffff).unwrap_or(0)
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

fn empty_bytes(kind: Kind, id: u16) -> Bytes {
    Bytes::copy_from_slice(&empty(kind, id))
}

fn datagram_of(kind: Kind, code: Code, id: u16, token: Token, body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(HEADER_BYTES + Token::BYTES_MAX + body.len());
    put_header(kind, code, id, token, &mut out);
    out.extend_from_slice(body);
    out.into()
}
