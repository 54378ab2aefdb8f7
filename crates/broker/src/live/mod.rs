//! Live subscriptions: messages go to whoever is there, at once, on the publisher's own thread. Nothing is kept.

mod answers;
mod batch;
mod deliver;
mod groups;
pub(crate) mod levels;
mod publishing;
mod route;
mod subscriber;
pub(crate) mod tail;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use base::Random;
use bytes::Bytes;
use observe::Observe;
use router::{Router, Seeded};
use store::batch::Record;

pub use batch::{Batch, Storing};
pub use deliver::Routed;
pub use groups::InFlight;
pub(crate) use groups::{Member, Timing};
pub use publishing::{Commit, Fate, Publishing};
pub use route::{Route, RouteCache};
pub use subscriber::{
    Accepted, Delivery, Group, Place, Pressure, Slow, SubscribeError, SubscribeOptions, Subscriber,
    Subscription,
};

use self::answers::Answers;
use self::groups::Groups;
use self::subscriber::Listener;
use self::tail::Tails;
use crate::message::{PUBLISHER, PublisherId};
use crate::sessions::Waiter;
use crate::topics::Bound;

/// What messages with a subject need: who listens, which topics keep them.
#[derive(Debug)]
pub(crate) struct Live {
    listeners: Router<Listener>,
    pub(crate) groups: Groups,
    answers: Answers,
    pub(crate) tails: Tails,
    /// Topics by the subjects that they keep.
    pub(crate) bindings: Arc<Router<Bound>>,
    /// Sessions that outlive their connections.
    waiters: Arc<Router<Waiter>>,
    /// Counts what else makes routes old: rules of access that changed.
    epoch: AtomicU64,
    publishers: AtomicU64,
    /// Counts messages for members of groups who are not there, each of whom has its turn.
    turns: AtomicUsize,
    /// Tells identities of publishers from those before a restart.
    incarnation: u64,
    seed: Seeded,
    pub(crate) observe: Arc<Observe>,
}

impl Live {
    pub(crate) fn new(
        random: &dyn Random,
        bindings: Arc<Router<Bound>>,
        waiters: Arc<Router<Waiter>>,
        observe: &Arc<Observe>,
    ) -> Arc<Self> {
        let seed = Seeded::new(random.next_u64());
        Arc::new(Self {
            listeners: Router::new(seed),
            groups: Groups::default(),
            answers: Answers::default(),
            tails: Tails::default(),
            bindings,
            waiters,
            epoch: AtomicU64::new(0),
            publishers: AtomicU64::new(1),
            turns: AtomicUsize::new(0),
            incarnation: random.next_u64(),
            seed,
            observe: Arc::clone(observe),
        })
    }

    /// One of the sessions of a group of whom nobody is there: the next that has room.
    fn pick_absent(&self, members: &[Waiter], publisher: PublisherId) -> Option<u64> {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let (before, from) = members.split_at(turn % members.len().max(1));
        from.iter().chain(before).find_map(|waiter| waiter.number(publisher))
    }

    /// Every route is looked up anew, and its access checked again.
    pub(crate) fn access_changed(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
    }
}

/// Who published a record, if it is to be known that it was one who is still here.
fn record_publisher(live: &Live, record: &Record) -> PublisherId {
    let mut headers = record.headers.iter();
    let value = headers.find(|header| header.key == PUBLISHER).and_then(|header| header.value);
    let (incarnation, id) = match value.as_deref().and_then(<[u8]>::split_first_chunk::<8>) {
        Some((incarnation, rest)) => (u64::from_be_bytes(*incarnation), rest.try_into().ok()),
        None => return PublisherId::default(),
    };
    let id = id.map(u64::from_be_bytes).filter(|_| incarnation == live.incarnation);
    PublisherId(id.unwrap_or_default())
}

/// The header's value that says so.
fn publisher_header(live: &Live, publisher: PublisherId) -> Bytes {
    [live.incarnation.to_be_bytes(), publisher.0.to_be_bytes()].concat().into()
}

impl crate::Broker {
    /// An identity for a connection that publishes or subscribes.
    pub fn new_publisher(&self) -> PublisherId {
        PublisherId(self.inner.live.publishers.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests;
