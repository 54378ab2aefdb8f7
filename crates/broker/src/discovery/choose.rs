//! Which instance is next, by what is known of all.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use queue::dispatch::{Candidate, Load, Policy};
use tokio::time::Instant;

use super::lease::Reported;
use super::{Discovery, DiscoveryError, Instance, State};

/// Instances that were chosen and not reported on, of all services together. The oldest is given up for one more.
const TICKETS_MAX: usize = 65_536;
/// Who did not report by then does not.
const TICKET_TIME: Duration = Duration::from_secs(60);

/// What is known of an instance besides what it says in the registry.
#[derive(Debug)]
pub(super) struct Known {
    load: Load,
    /// What it says that it is busy with.
    reported: AtomicU32,
}

impl Known {
    fn new(weight: u32) -> Self {
        Self { load: Load::new(weight), reported: AtomicU32::new(0) }
    }
}

impl Candidate for Known {
    fn load(&self) -> &Load {
        &self.load
    }

    fn waiting(&self) -> u32 {
        self.reported.load(Ordering::Relaxed)
    }
}

/// Names a choice, to report on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// An instance that was chosen.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The instance.
    pub instance: Arc<Instance>,
    /// If it is to be reported on.
    pub ticket: Option<Ticket>,
}

/// Choices that are not reported on yet.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    last: u64,
    open: HashMap<u64, (Arc<Known>, Instant)>,
    /// In the order in which they came; some are reported on.
    order: VecDeque<(Instant, u64)>,
}

impl Tickets {
    fn add(&mut self, known: &Arc<Known>, now: Instant) -> Ticket {
        let is_old = |(at, _): &(Instant, u64)| now.duration_since(*at) > TICKET_TIME;
        while self.order.front().is_some_and(is_old) || self.order.len() >= TICKETS_MAX {
            let Some((_, number)) = self.order.pop_front() else { break };
            self.end(number, None);
        }
        self.last += 1;
        known.load.begin();
        self.order.push_back((now, self.last));
        self.open.insert(self.last, (Arc::clone(known), now));
        Ticket(self.last)
    }

    fn end(&mut self, number: u64, took_us: Option<u64>) -> bool {
        let Some((known, _)) = self.open.remove(&number) else { return false };
        known.load.end(took_us);
        true
    }
}

impl State {
    pub(super) fn known(&mut self, instance: &Arc<Instance>) -> Arc<Known> {
        let key = (Arc::clone(&instance.service), Arc::clone(&instance.id));
        let known = self.known.entry(key);
        let known = known.or_insert_with(|| Arc::new(Known::new(instance.weight)));
        known.load.set_weight(instance.weight);
        Arc::clone(known)
    }

    /// What the owner of a lease says counts for all of its instances.
    pub(super) fn report(&mut self, lease: i64, reported: Reported) {
        if reported == Reported::default() {
            return;
        }
        let part = |path: &Arc<str>| {
            let (service, id) =
                path.strip_prefix(super::ROOT)?.strip_prefix('/')?.split_once('/')?;
            self.directory.instance(service, id).cloned()
        };
        let instances: Vec<_> = self.directory.owned_by(lease).filter_map(part).collect();
        for instance in instances {
            let known = self.known(&instance);
            if let Some(count) = reported.in_flight {
                known.reported.store(count, Ordering::Relaxed);
            }
            if let Some(took) = reported.response_us {
                known.load.begin();
                known.load.end(Some(took));
            }
        }
    }
}

impl Discovery {
    /// Chooses an instance of a service: what others were chosen for, and reported, counts. `reports`: whoever asks will
    /// say when it is done, see [`Self::report`]. `but`: not one of these ids, as long as there are others.
    ///
    /// # Errors
    /// [`DiscoveryError::NotFound`]: there is none. [`DiscoveryError::Unavailable`].
    pub async fn choose(
        self: &Arc<Self>,
        service: &str,
        policy: Policy,
        (reports, but): (bool, &[String]),
    ) -> Result<Chosen, DiscoveryError> {
        self.catch_up().await?;
        let mut state = self.state.lock();
        let all: Vec<_> = state.directory.instances(service).cloned().collect();
        let is_other = |one: &&Arc<Instance>| !but.iter().any(|id| **id == *one.id);
        let mut among: Vec<_> = all.iter().filter(is_other).cloned().collect();
        if among.is_empty() {
            among = all;
        }
        let candidates: Vec<_> = among.iter().map(|one| state.known(one)).collect();
        let turn = Arc::clone(state.turns.entry(service.into()).or_default());
        let picked = policy.pick(&candidates, &turn, self.random.next_u64());
        let found = among.get(picked).zip(candidates.get(picked));
        let (instance, known) = found.ok_or(DiscoveryError::NotFound)?;
        let ticket = reports.then(|| state.tickets.add(known, Instant::now()));
        Ok(Chosen { instance: Arc::clone(instance), ticket })
    }

    /// Whoever an instance was chosen for is done with it. `took`: how long it took to answer; `None`: it did not. False:
    /// there is no such choice (any more).
    pub fn report(&self, ticket: Ticket, took: Option<Duration>) -> bool {
        let took = took.map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.state.lock().tickets.end(ticket.0, took)
    }
}
