//! Numbers of messages that came, for as long as they may come again (RFC 7252 §4.5).

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::ExchangeId;
use crate::limits::{EXCHANGE_LIFETIME_MS, NON_LIFETIME_MS, SEEN_BYTES_MAX, SEEN_MAX};
use crate::remote::Remote;

/// A client, and the number that it gave a message.
type Key = (Remote, u16);

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Seen {
    entries: HashMap<Key, Entry>,
    /// In the order in which they are forgotten: confirmable ones, and the others, which are sooner.
    confirmable: VecDeque<(u64, Key)>,
    others: VecDeque<(u64, Key)>,
    /// What answers take.
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    /// Of the whole message.
    digest: u64,
    until: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Open(ExchangeId),
    Done(Option<Bytes>),
}

/// What is known of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// It was not here.
    New,
    /// It is being worked on.
    Open(ExchangeId),
    /// It was answered with this, or with nothing.
    Done(Option<Bytes>),
}

impl Seen {
    /// What is known of a message with this number. Another message with the same number is new: its client uses numbers
    /// again too early, and that is no reason not to serve it.
    pub(super) fn look(&self, key: Key, digest: u64) -> Looked {
        match self.entries.get(&key).filter(|entry| entry.digest == digest) {
            None => Looked::New,
            Some(Entry { state: State::Open(exchange), .. }) => Looked::Open(*exchange),
            Some(Entry { state: State::Done(answer), .. }) => Looked::Done(answer.clone()),
        }
    }

    /// Whether anything is known of a message with this number.
    pub(super) fn has(&self, key: Key) -> bool {
        self.entries.contains_key(&key)
    }

    /// A message came, and is worked on.
    pub(super) fn open(
        &mut self,
        key: Key,
        digest: u64,
        exchange: ExchangeId,
        is_confirmable: bool,
        now: u64,
    ) {
        while self.confirmable.len() + self.others.len() >= SEEN_MAX {
            self.forget_oldest();
        }
        let lifetime = if is_confirmable { EXCHANGE_LIFETIME_MS } else { NON_LIFETIME_MS };
        let until = now + lifetime;
        let order = if is_confirmable { &mut self.confirmable } else { &mut self.others };
        order.push_back((until, key));
        let entry = Entry { digest, until, state: State::Open(exchange) };
        let old = self.entries.insert(key, entry);
        self.forgot(old);
    }

    /// A message was answered.
    pub(super) fn done(&mut self, key: Key, exchange: ExchangeId, answer: Option<Bytes>, now: u64) {
        let entry = self.entries.get_mut(&key).filter(|entry| entry.until > now);
        let Some(Entry { state, .. }) = entry else { return };
        // Not of another message that came with the same number meanwhile.
        if matches!(state, State::Open(open) if *open == exchange) {
            self.bytes += answer.as_ref().map_or(0, Bytes::len);
            *state = State::Done(answer);
        }
        while self.bytes > SEEN_BYTES_MAX
            && !(self.confirmable.is_empty() && self.others.is_empty())
        {
            self.forget_oldest();
        }
    }

    pub(super) fn next_time(&self) -> Option<u64> {
        let first = |order: &VecDeque<(u64, Key)>| order.front().map(|(until, _)| *until);
        [first(&self.confirmable), first(&self.others)].into_iter().flatten().min()
    }

    /// Forgets what cannot come again.
    pub(super) fn expire(&mut self, now: u64) {
        while let Some((until, key)) = self.confirmable.pop_front_if(|(until, _)| *until <= now) {
            self.forget(until, key);
        }
        while let Some((until, key)) = self.others.pop_front_if(|(until, _)| *until <= now) {
            self.forget(until, key);
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.confirmable.pop_front().or_else(|| self.others.pop_front());
        if let Some((until, key)) = oldest {
            self.forget(until, key);
        }
    }

    fn forget(&mut self, until: u64, key: Key) {
        // Unless another message has the number now.
        if self.entries.get(&key).is_some_and(|entry| entry.until == until) {
            let old = self.entries.remove(&key);
            self.forgot(old);
        }
    }

    fn forgot(&mut self, old: Option<Entry>) {
        if let Some(Entry { state: State::Done(Some(answer)), .. }) = old {
            self.bytes -= answer.len();
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }
}
