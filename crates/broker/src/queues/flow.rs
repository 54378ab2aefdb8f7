//! What went through a queue since the broker began: counted once for many messages, by whoever has them in hand.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

/// What went through a queue since the broker began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueFlow {
    /// Messages that came into it, by whatever way.
    pub came: u64,
    /// Messages that consumers were given, and are to settle, …
    pub delivered: u64,
    /// … or not.
    pub delivered_automatic: u64,
    /// Messages that somebody asked for, and is to settle, …
    pub got: u64,
    /// … or not.
    pub got_automatic: u64,
    /// How often somebody asked for one, and there was none.
    pub got_none: u64,
    /// Messages that are done, because whoever had them said so.
    pub accepted: u64,
    /// Of those that were given away, the ones that had been before.
    pub again: u64,
    /// Messages that became dead letters because a consumer rejected them, or had them too often.
    pub dead: u64,
}

impl AddAssign for QueueFlow {
    fn add_assign(&mut self, other: Self) {
        let Self {
            came,
            delivered,
            delivered_automatic,
            got,
            got_automatic,
            got_none,
            accepted,
            again,
            dead,
        } = other;
        self.came += came;
        self.delivered += delivered;
        self.delivered_automatic += delivered_automatic;
        self.got += got;
        self.got_automatic += got_automatic;
        self.got_none += got_none;
        self.accepted += accepted;
        self.again += again;
        self.dead += dead;
    }
}

/// What a queue counts. What came into it is seen from its lanes.
#[derive(Debug, Default)]
pub(super) struct Counters {
    delivered: AtomicU64,
    delivered_automatic: AtomicU64,
    got: AtomicU64,
    got_automatic: AtomicU64,
    got_none: AtomicU64,
    accepted: AtomicU64,
    again: AtomicU64,
    dead: AtomicU64,
}

impl Counters {
    /// Adds what happened since the last time.
    pub(super) fn add(&self, flow: &QueueFlow) {
        let counters = [
            (&self.delivered, flow.delivered),
            (&self.delivered_automatic, flow.delivered_automatic),
            (&self.got, flow.got),
            (&self.got_automatic, flow.got_automatic),
            (&self.got_none, flow.got_none),
            (&self.accepted, flow.accepted),
            (&self.again, flow.again),
            (&self.dead, flow.dead),
        ];
        for (counter, more) in counters.into_iter().filter(|(_, more)| *more > 0) {
            counter.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// All of it, and so many that came.
    pub(super) fn read(&self, came: u64) -> QueueFlow {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        QueueFlow {
            came,
            delivered: read(&self.delivered),
            delivered_automatic: read(&self.delivered_automatic),
            got: read(&self.got),
            got_automatic: read(&self.got_automatic),
            got_none: read(&self.got_none),
            accepted: read(&self.accepted),
            again: read(&self.again),
            dead: read(&self.dead),
        }
    }
}

impl QueueFlow {
    /// Counts a message that was given to a consumer, and before that so often.
    pub fn deliver(&mut self, automatic: bool, deliveries: u32) {
        match automatic {
            true => self.delivered_automatic += 1,
            false => self.delivered += 1,
        }
        self.again += u64::from(deliveries > 0);
    }

    /// Counts a message that somebody asked for and got.
    pub fn get(&mut self, automatic: bool, deliveries: u32) {
        match automatic {
            true => self.got_automatic += 1,
            false => self.got += 1,
        }
        self.again += u64::from(deliveries > 0);
    }
}
