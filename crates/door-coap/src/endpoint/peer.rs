//! What is known of clients, and what is on its way to them until they acknowledge it (RFC 7252 §4.2 and 4.7).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use base::Random;
use bytes::Bytes;

use super::{ExchangeId, ObservationId, low_bits};
use crate::limits::{ACK_TIMEOUT_MS, EXCHANGE_LIFETIME_MS, PEER_QUEUE_MAX, PEERS_MAX, RECENT_MAX};
use crate::remote::Remote;

/// Numbers of messages are given out in so many blocks; one is used again when all of it is old enough.
const BLOCKS: usize = 16;
/// Numbers of a block.
const BLOCK: u16 = 4096;

/// Why something is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Response,
    Notification(ObservationId),
    Ping,
}

/// A confirmable message that is to be sent.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: u16,
    pub(super) bytes: Bytes,
    pub(super) what: What,
}

/// One that was sent and is not acknowledged.
#[derive(Debug)]
struct Outstanding {
    message: Waiting,
    tries: u32,
    timeout: u64,
    due: u64,
}

#[derive(Debug)]
struct Peer {
    next_id: u16,
    /// When each block of numbers was left.
    left: [Option<u64>; BLOCKS],
    is_verified: bool,
    outstanding: Option<Outstanding>,
    queue: VecDeque<Waiting>,
    held: Vec<ExchangeId>,
    recent: VecDeque<(u16, ObservationId)>,
    /// The number of a ping that was given up.
    ping: Option<u16>,
    observations: i32,
    last: u64,
}

impl Peer {
    /// Whether nothing would be lost if it were forgotten.
    fn is_idle(&self) -> bool {
        self.outstanding.is_none()
            && self.queue.is_empty()
            && self.held.is_empty()
            && self.observations <= 0
    }

    fn next_id(&mut self, now: u64) -> Option<u16> {
        let block = |id: u16| usize::from(id / BLOCK);
        let (id, next) = (self.next_id, self.next_id.wrapping_add(1));
        if block(id) != block(next) {
            let is_old = |left: &u64| left + EXCHANGE_LIFETIME_MS <= now;
            if !self.left.get(block(next))?.as_ref().is_none_or(is_old) {
                return None;
            }
            *self.left.get_mut(block(id))? = Some(now);
        }
        self.next_id = next;
        Some(id)
    }
}

/// What is to be done with a message whose time has come.
pub(super) enum Again {
    /// Nothing: it was acknowledged.
    Not,
    Send(Bytes),
    GiveUp(What),
}

/// All clients of whom something is known.
#[derive(Debug)]
pub(super) struct Peers {
    random: Arc<dyn Random>,
    all: HashMap<Remote, Peer>,
    /// When messages are to be sent again; some are done with.
    due: BinaryHeap<Reverse<(u64, Remote, u16)>>,
    /// When clients are looked at, whether anything is to be known of them still.
    looks: VecDeque<(u64, Remote)>,
}

impl Peers {
    pub(super) fn new(random: Arc<dyn Random>) -> Self {
        Self { random, all: HashMap::new(), due: BinaryHeap::new(), looks: VecDeque::new() }
    }

    fn get_or_add(&mut self, peer: Remote, now: u64) -> Option<&mut Peer> {
        if !self.all.contains_key(&peer) {
            if self.all.len() >= PEERS_MAX && !self.drop_one(now) {
                return None;
            }
            // Not to be guessed: whoever acknowledges it has received it.
            let next_id = low_bits(self.random.next_u64());
            let known = Peer {
                next_id,
                left: [None; BLOCKS],
                is_verified: false,
                outstanding: None,
                queue: VecDeque::new(),
                held: Vec::new(),
                recent: VecDeque::new(),
                ping: None,
                observations: 0,
                last: now,
            };
            self.all.insert(peer, known);
            self.looks.push_back((now + EXCHANGE_LIFETIME_MS, peer));
        }
        self.all.get_mut(&peer)
    }

    /// Makes room: forgets one of whom nothing must be known. Looks at a few.
    fn drop_one(&mut self, now: u64) -> bool {
        for _ in 0..self.looks.len().min(16) {
            let Some((_, peer)) = self.looks.pop_front() else { return false };
            if self.all.get(&peer).is_some_and(Peer::is_idle) {
                self.all.remove(&peer);
                return true;
            }
            self.looks.push_back((now + EXCHANGE_LIFETIME_MS, peer));
        }
        false
    }

    pub(super) fn touch(&mut self, peer: Remote, now: u64) {
        if let Some(known) = self.all.get_mut(&peer) {
            known.last = now;
        }
    }

    pub(super) fn is_verified(&self, peer: Remote) -> bool {
        self.all.get(&peer).is_some_and(|known| known.is_verified)
    }

    /// Whether that could be remembered.
    pub(super) fn verify(&mut self, peer: Remote, now: u64) -> bool {
        self.get_or_add(peer, now).map(|known| known.is_verified = true).is_some()
    }

    pub(super) fn held(&self, peer: Remote) -> usize {
        self.all.get(&peer).map_or(0, |known| known.held.len())
    }

    pub(super) fn hold(&mut self, peer: Remote, exchange: ExchangeId, now: u64) -> bool {
        self.get_or_add(peer, now).map(|known| known.held.push(exchange)).is_some()
    }

    pub(super) fn take_held(&mut self, peer: Remote) -> Vec<ExchangeId> {
        self.all.get_mut(&peer).map(|known| std::mem::take(&mut known.held)).unwrap_or_default()
    }

    /// An exchange waits no more. If it was the last, the ping on its way is given up: whether there was one.
    pub(super) fn let_go(&mut self, peer: Remote, exchange: ExchangeId) -> bool {
        let Some(known) = self.all.get_mut(&peer) else { return false };
        known.held.retain(|other| *other != exchange);
        if !known.held.is_empty() {
            return false;
        }
        let is_ping = |sent: &mut Outstanding| sent.message.what == What::Ping;
        let given_up = known.outstanding.take_if(is_ping).map(|sent| sent.message.id);
        known.ping = given_up.or(known.ping);
        given_up.is_some()
    }

    /// A ping that was given up is answered all the same.
    pub(super) fn answered_late(&mut self, peer: Remote, id: u16) -> bool {
        let Some(known) = self.all.get_mut(&peer) else { return false };
        let is_it = known.ping.take_if(|ping| *ping == id).is_some();
        known.is_verified |= is_it;
        is_it
    }

    /// Whether a ping is on its way.
    pub(super) fn is_pinged(&self, peer: Remote) -> bool {
        self.all.get(&peer).is_some_and(|known| {
            let sent = known.outstanding.as_ref().map(|sent| &sent.message);
            sent.into_iter().chain(&known.queue).any(|message| message.what == What::Ping)
        })
    }

    /// The number of the next message to a client of whom something is known, if there is one to be had.
    pub(super) fn next_id(&mut self, peer: Remote, now: u64) -> Option<u16> {
        self.all.get_mut(&peer)?.next_id(now)
    }

    /// The number of the next confirmable message to a client. `None`: there is no room for it.
    pub(super) fn confirm_id(&mut self, peer: Remote, now: u64) -> Option<u16> {
        let known = self.get_or_add(peer, now)?;
        (known.queue.len() < PEER_QUEUE_MAX).then(|| known.next_id(now))?
    }

    /// Takes a confirmable message: to be sent at once, or when those before it are done with.
    pub(super) fn confirm(&mut self, peer: Remote, waiting: Waiting, now: u64) -> Option<Bytes> {
        let known = self.all.get_mut(&peer)?;
        if known.outstanding.is_some() {
            // Others may wait for what it tells.
            match waiting.what {
                What::Ping => known.queue.push_front(waiting),
                _ => known.queue.push_back(waiting),
            }
            return None;
        }
        self.send(peer, waiting, now)
    }

    fn send(&mut self, peer: Remote, message: Waiting, now: u64) -> Option<Bytes> {
        let timeout = ACK_TIMEOUT_MS + self.random.next_u64() % (ACK_TIMEOUT_MS / 2 + 1);
        let (due, bytes) = (now + timeout, message.bytes.clone());
        self.due.push(Reverse((due, peer, message.id)));
        let known = self.all.get_mut(&peer)?;
        known.outstanding = Some(Outstanding { message, tries: 0, timeout, due });
        Some(bytes)
    }

    /// The next message of a client to whom one was done with.
    pub(super) fn next(&mut self, peer: Remote, now: u64) -> Option<Bytes> {
        let known = self.all.get_mut(&peer)?;
        if known.outstanding.is_some() {
            return None;
        }
        let waiting = known.queue.pop_front()?;
        self.send(peer, waiting, now)
    }

    pub(super) fn is_free(&self, peer: Remote) -> bool {
        let is_free = |known: &Peer| known.outstanding.is_none() && known.queue.is_empty();
        self.all.get(&peer).is_none_or(is_free)
    }

    /// What was acknowledged, or rejected, with this number.
    pub(super) fn answered(&mut self, peer: Remote, id: u16, now: u64) -> Option<What> {
        let known = self.all.get_mut(&peer)?;
        let sent = known.outstanding.take_if(|sent| sent.message.id == id)?;
        (known.is_verified, known.last) = (true, now);
        Some(sent.message.what)
    }

    /// Remembers whom a notification was for.
    pub(super) fn remember(&mut self, peer: Remote, id: u16, observation: ObservationId) {
        let Some(known) = self.all.get_mut(&peer) else { return };
        if known.recent.len() >= RECENT_MAX {
            known.recent.pop_front();
        }
        known.recent.push_back((id, observation));
    }

    /// Whom a notification with this number was for.
    pub(super) fn recent(&self, peer: Remote, id: u16) -> Option<ObservationId> {
        let mut recent = self.all.get(&peer)?.recent.iter();
        recent.find(|(sent, _)| *sent == id).map(|(_, observation)| *observation)
    }

    pub(super) fn observes(&mut self, peer: Remote, more: i32, now: u64) {
        if let Some(known) = self.get_or_add(peer, now) {
            known.observations += more;
        }
    }

    pub(super) fn next_time(&self) -> Option<u64> {
        let due = self.due.peek().map(|Reverse((at, _, _))| *at);
        [due, self.looks.front().map(|(at, _)| *at)].into_iter().flatten().min()
    }

    /// The next message that is to be sent again, perhaps.
    pub(super) fn next_due(&mut self, now: u64) -> Option<(Remote, u16)> {
        let Reverse((at, peer, id)) = *self.due.peek()?;
        if at > now {
            return None;
        }
        self.due.pop();
        Some((peer, id))
    }

    /// Sends it again after twice the time, if it is not done with.
    pub(super) fn retransmit(&mut self, peer: Remote, id: u16, max: u32, now: u64) -> Again {
        let Some(known) = self.all.get_mut(&peer) else { return Again::Not };
        let is_due = |sent: &&mut Outstanding| sent.message.id == id && sent.due <= now;
        let Some(sent) = known.outstanding.as_mut().filter(is_due) else { return Again::Not };
        if sent.tries >= max {
            let what = sent.message.what;
            known.outstanding = None;
            return Again::GiveUp(what);
        }
        sent.tries += 1;
        sent.timeout *= 2;
        sent.due = now + sent.timeout;
        self.due.push(Reverse((sent.due, peer, id)));
        Again::Send(sent.message.bytes.clone())
    }

    /// Forgets clients of whom nothing was heard for long.
    pub(super) fn expire(&mut self, now: u64) {
        while let Some((_, peer)) = self.looks.pop_front_if(|(at, _)| *at <= now) {
            let Some(known) = self.all.get(&peer) else { continue };
            if known.is_idle() && known.last + EXCHANGE_LIFETIME_MS <= now {
                self.all.remove(&peer);
            } else {
                self.looks.push_back((now + EXCHANGE_LIFETIME_MS, peer));
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}
