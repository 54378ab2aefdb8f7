//! Room for requests that are on their way in, of all connections together: without it, each of
//! them could have a whole request's memory, at the same time.
//!
//! A request that needs more than a little claims its room as its bytes arrive; what was only
//! announced costs nothing. While there is none, its connection is not read. So that those who
//! begin requests and do not end them cannot keep everybody else out, whoever waits for room has
//! them evicted, one at a time: their connections end. First those whose client we wait for, the
//! slowest first; where all wait for room, none would ever have it, and the oldest goes: however
//! many there are, whoever came after them outlasts them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, futures::Notified};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// What room is given out in.
const UNIT_BYTES: usize = 1024;

/// A request has at least so long to arrive, whoever waits for its room.
const GRACE: Duration = Duration::from_secs(10);

/// How often one who waits for room looks for somebody to evict.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// The room of all connections of a broker. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct RequestRoom {
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    free: Arc<Semaphore>,
    /// How many began to wait; it wraps.
    waits: AtomicU32,
    arriving: Mutex<Arriving>,
}

/// The requests that have room and are not all there.
#[derive(Debug, Default)]
struct Arriving {
    next: u64,
    requests: BTreeMap<u64, Request>,
    /// One that was told to go and has not.
    evicted: Option<u64>,
}

#[derive(Debug)]
struct Request {
    since: Instant,
    bytes: usize,
    /// It waits for more room: that it is slow is not its client's fault.
    waits: bool,
    evict: Arc<Notify>,
}

impl RequestRoom {
    /// Of so many bytes. It must be as large as the largest request.
    pub fn new(bytes: usize) -> Self {
        // One more: a frame has its length in front.
        let units = (bytes.div_ceil(UNIT_BYTES) + 1).min(Semaphore::MAX_PERMITS);
        let free = Arc::new(Semaphore::new(units));
        Self {
            shared: Some(Arc::new(Shared {
                free,
                waits: AtomicU32::new(0),
                arriving: Mutex::default(),
            })),
        }
    }

    /// Without an end.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// The part of one connection.
    pub fn of_connection(&self) -> ConnectionRoom {
        ConnectionRoom { shared: self.shared.clone(), evict: Arc::new(Notify::new()) }
    }
}

/// The part of one connection. Whoever uses it must end the connection when [`Self::eviction`] says so.
#[derive(Debug)]
pub struct ConnectionRoom {
    shared: Option<Arc<Shared>>,
    evict: Arc<Notify>,
}

impl ConnectionRoom {
    /// See [`Eviction`].
    pub fn eviction(&self) -> Eviction {
        Eviction(Arc::clone(&self.evict))
    }

    /// Waits until a request that has `claim` may have so many bytes in all.
    pub async fn grow(&self, claim: &mut Claim, bytes: usize) {
        let Some(shared) = &self.shared else { return };
        let missing = units(bytes).saturating_sub(claim.units());
        if missing > 0 {
            let permit = {
                let _waits = claim.arriving.as_ref().map(|(_, id)| Waits::new(shared, *id));
                shared.wait_for(missing).await
            };
            self.add(shared, claim, permit);
        }
    }

    fn add(&self, shared: &Arc<Shared>, claim: &mut Claim, more: OwnedSemaphorePermit) {
        match &mut claim.permit {
            Some(permit) => permit.merge(more),
            None => claim.permit = Some(more),
        }
        let bytes = claim.units() * UNIT_BYTES;
        let mut arriving = shared.arriving.lock();
        match &claim.arriving {
            Some((_, id)) => {
                if let Some(request) = arriving.requests.get_mut(id) {
                    request.bytes = bytes;
                }
            }
            None => {
                let id = arriving.next;
                arriving.next += 1;
                let evict = Arc::clone(&self.evict);
                arriving
                    .requests
                    .insert(id, Request { since: Instant::now(), bytes, waits: false, evict });
                claim.arriving = Some((Arc::clone(shared), id));
            }
        }
    }
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT_BYTES)
}

impl Shared {
    /// Waits for so many units, in the order of those who wait.
    async fn wait_for(&self, units: usize) -> OwnedSemaphorePermit {
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.free).acquire_many_owned(units);
        tokio::pin!(taken);
        let mut looks = interval_at(Instant::now() + self.first_look(), LOOK_PERIOD);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                // It is never closed.
                Ok(permit) = &mut taken => return permit,
                _ = looks.tick() => self.evict_one(),
            }
        }
    }

    /// When one who begins to wait looks first. Those who begin together look one after another,
    /// spread over the period: as many may be evicted in it as wait, where one would be if all
    /// looked at once.
    fn first_look(&self) -> Duration {
        // The golden ratio's part of a turn: each falls into the largest gap that the others left.
        let turn = self.waits.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9);
        LOOK_PERIOD.mul_f64((f64::from(turn) + 1.0) / f64::from(u32::MAX))
    }

    /// Ends a connection, see the module; unless all requests are new.
    fn evict_one(&self) {
        let mut arriving = self.arriving.lock();
        if arriving.evicted.is_some_and(|id| arriving.requests.contains_key(&id)) {
            return;
        }
        let now = Instant::now();
        let age = |request: &Request| now.saturating_duration_since(request.since);
        let old = || arriving.requests.iter().filter(|(_, request)| age(request) >= GRACE);
        let pace = |request: &Request| request.bytes as u128 / age(request).as_millis().max(1);
        let slowest = old().filter(|(_, r)| !r.waits).min_by_key(|(_, request)| pace(request));
        let oldest = || old().min_by_key(|(_, request)| request.since);
        let Some((id, request)) = slowest.or_else(oldest) else { return };
        let id = *id;
        request.evict.notify_one();
        arriving.evicted = Some(id);
    }

    fn set_waits(&self, id: u64, waits: bool) {
        if let Some(request) = self.arriving.lock().requests.get_mut(&id) {
            request.waits = waits;
        }
    }

    fn has_arrived(&self, id: u64) {
        self.arriving.lock().requests.remove(&id);
    }
}

/// A request waits for more room, until this is dropped.
struct Waits<'a>(&'a Shared, u64);

impl<'a> Waits<'a> {
    fn new(shared: &'a Shared, id: u64) -> Self {
        shared.set_waits(id, true);
        Self(shared, id)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.set_waits(self.1, false);
    }
}

/// The room that one request has, until this is dropped.
#[derive(Debug, Default)]
pub struct Claim {
    permit: Option<OwnedSemaphorePermit>,
    arriving: Option<(Arc<Shared>, u64)>,
}

impl Claim {
    /// The request is there and being worked on: from now on it is no longer the client that its
    /// end depends on.
    #[must_use]
    pub fn at_work(mut self) -> Self {
        self.arrived();
        self
    }

    fn arrived(&mut self) {
        if let Some((shared, id)) = self.arriving.take() {
            shared.has_arrived(id);
        }
    }

    fn units(&self) -> usize {
        self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.arrived();
    }
}

/// Tells a connection that it must end, because others wait for the room that a request of it has
/// had for too long.
#[derive(Debug)]
pub struct Eviction(Arc<Notify>);

impl Eviction {
    /// Waits for it, perhaps for ever.
    pub fn happens(&self) -> Notified<'_> {
        self.0.notified()
    }
}

#[cfg(test)]
mod tests;
