//! What went through exchanges since the broker began, and through the queues of a namespace.
//!
//! Publishers count in their batches, and add that up once for each: an exchange's counters are touched no more often than
//! its publishers have a batch.

use std::collections::HashMap;
use std::ops::{Add, AddAssign};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::Broker;
use crate::queues::{QueueCounts, QueueFlow};

/// Namespaces that are counted each for itself; those that are more are counted together.
const SPACES_MAX: usize = 20_000;
/// Exchanges that a batch counts before it adds up.
const TALLY_MAX: usize = 64;

/// What went through an exchange since the broker began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExchangeFlow {
    /// Messages that were published to it, not those that came from other exchanges, nor dead letters.
    pub came: u64,
    /// Those that came of it: one for each queue that took one, and for whoever subscribes to the subject, where it is the
    /// space of subjects.
    pub went: u64,
}

impl Add for ExchangeFlow {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { came: self.came + other.came, went: self.went + other.went }
    }
}

/// What went through a namespace since the broker began, that included what is gone of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpaceFlow {
    /// Its exchanges.
    pub exchanges: ExchangeFlow,
    /// Its queues.
    pub queues: QueueFlow,
    /// Messages that wait now, …
    pub ready: u64,
    /// … and those that somebody has.
    pub held: u64,
    /// Consumers that there are now.
    pub consumers: u64,
}

/// The same of all namespaces at one moment.
#[derive(Debug, Clone, Default)]
pub struct SpaceFlows {
    /// By their names.
    pub by_space: HashMap<Bytes, SpaceFlow>,
    /// Together.
    pub all: SpaceFlow,
}

impl AddAssign for SpaceFlow {
    fn add_assign(&mut self, other: Self) {
        self.exchanges = self.exchanges + other.exchanges;
        self.queues += other.queues;
        self.ready += other.ready;
        self.held += other.held;
        self.consumers += other.consumers;
    }
}

/// What an exchange counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    came: AtomicU64,
    went: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> ExchangeFlow {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ExchangeFlow { came: read(&self.came), went: read(&self.went) }
    }
}

/// What a batch has counted and not added up.
#[derive(Debug, Default)]
pub(crate) struct Tally(Vec<(Arc<Counters>, ExchangeFlow)>);

impl Tally {
    /// A message came to an exchange, and went on to so many.
    pub(crate) fn count(&mut self, of: &Arc<Counters>, went: u64) {
        let one = ExchangeFlow { came: 1, went };
        match self.0.last_mut() {
            Some((last, sum)) if Arc::ptr_eq(last, of) => *sum = *sum + one,
            _ => {
                if self.0.len() >= TALLY_MAX {
                    self.add_up();
                }
                self.0.push((Arc::clone(of), one));
            }
        }
    }

    /// Adds up what was counted.
    pub(crate) fn add_up(&mut self) {
        for (counters, sum) in self.0.drain(..) {
            counters.came.fetch_add(sum.came, Ordering::Relaxed);
            counters.went.fetch_add(sum.went, Ordering::Relaxed);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.add_up();
    }
}

/// What namespaces count besides their exchanges and queues.
#[derive(Debug, Default)]
pub(crate) struct Spaced {
    by_space: Mutex<HashMap<Bytes, Space>>,
    /// Of those that are too many.
    others: Space,
}

/// One of them.
#[derive(Debug, Default)]
struct Space {
    /// The exchange without a name.
    unnamed: Arc<Counters>,
    /// What exchanges and queues counted that are gone.
    gone: Mutex<SpaceFlow>,
}

impl Space {
    fn read(&self) -> SpaceFlow {
        let mut flow = *self.gone.lock();
        flow.exchanges = flow.exchanges + self.unnamed.read();
        flow
    }
}

impl Spaced {
    fn of<T>(&self, space: &Bytes, read: impl FnOnce(&Space) -> T) -> T {
        let mut all = self.by_space.lock();
        if all.len() >= SPACES_MAX && !all.contains_key(space) {
            return read(&self.others);
        }
        read(all.entry(space.clone()).or_default())
    }

    /// The counters of the exchange without a name.
    pub(super) fn unnamed(&self, space: &Bytes) -> Arc<Counters> {
        self.of(space, |space| Arc::clone(&space.unnamed))
    }

    /// An exchange or a queue is gone, but not what it counted.
    pub(crate) fn gone(&self, space: &Bytes, flow: SpaceFlow) {
        self.of(space, |space| *space.gone.lock() += flow);
    }

    fn forget(&self, space: &Bytes) {
        self.by_space.lock().remove(space);
    }

    /// What each counted besides, and all together.
    fn read(&self) -> SpaceFlows {
        let all = self.by_space.lock();
        let by_space = all.iter().map(|(space, flow)| (space.clone(), flow.read())).collect();
        let mut flows = SpaceFlows { by_space, all: self.others.read() };
        flows.by_space.values().for_each(|flow| flows.all += *flow);
        flows
    }
}

impl Broker {
    /// What went through namespaces since the broker began, and what is in them: looked up at every exchange and every queue.
    pub fn space_flows(&self) -> SpaceFlows {
        let mut flows = self.inner.exchanges.spaced.read();
        for exchange in self.exchanges() {
            let exchanges = exchange.flow();
            let flow = SpaceFlow { exchanges, ..SpaceFlow::default() };
            flows.add(&exchange.name().space, flow);
        }
        for queue in self.queues() {
            let (counts, queues) = (queue.counts(), queue.flow());
            let QueueCounts { ready, held, consumers, .. } = counts;
            let consumers = consumers.into();
            let exchanges = ExchangeFlow::default();
            let flow = SpaceFlow { exchanges, queues, ready, held, consumers };
            flows.add(&queue.name().space, flow);
        }
        flows
    }

    /// What went through the exchange without a name of a namespace.
    pub fn unnamed_flow(&self, space: &Bytes) -> ExchangeFlow {
        self.inner.exchanges.spaced.unnamed(space).read()
    }

    /// A namespace is gone, with all that was in it: what it counted is forgotten.
    pub fn forget_space_flow(&self, space: &Bytes) {
        self.inner.exchanges.spaced.forget(space);
    }
}

impl SpaceFlows {
    fn add(&mut self, space: &Bytes, flow: SpaceFlow) {
        *self.by_space.entry(space.clone()).or_default() += flow;
        self.all += flow;
    }
}
