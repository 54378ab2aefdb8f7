//! Dead letters: messages that a queue gives up go to its exchange for them, with the history of where they died. A message
//! is done with only when it is durable there, so a crash may repeat one, and loses none.

use std::sync::Arc;
use std::time::Duration;

use base::subject::KEYS;
use base::{Millis, Offset};
use bytes::Bytes;
use queue::shared::Why;

use super::flow::QueueFlow;
use super::lane::{Found, Item};
use super::queue::{Queue, State};
use super::types::{DeadLetterTo, Origin};
use crate::Broker;
use crate::exchanges::ExchangeError;
use crate::live::Batch;
use crate::message::{Death, DeathReason, Message};
use crate::verbs::fetch;

/// Messages that are taken to where they belong at once.
const AT_ONCE: usize = 256;
/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;
/// Pause after it did not work; until it does, nothing of them is lost.
const RETRY: Duration = Duration::from_secs(1);

/// A message that is dead.
struct Dead {
    lane: u16,
    at: Offset,
    why: Why,
}

impl From<Why> for DeathReason {
    fn from(why: Why) -> Self {
        match why {
            Why::Rejected => Self::Rejected,
            Why::Expired => Self::Expired,
            Why::TooMany => Self::TooMany,
            Why::TooManyDeliveries => Self::TooManyDeliveries,
        }
    }
}

impl Queue {
    /// Has dead messages taken to where they belong, if there are any.
    pub(super) fn bury_later(self: &Arc<Self>, state: &mut State) {
        if state.is_burying || !state.lanes.iter().any(|lane| lane.ledger.has_dead()) {
            return;
        }
        state.is_burying = true;
        let queue = Arc::clone(self);
        tokio::spawn(async move { while queue.bury().await {} });
    }

    /// Takes some dead messages to where they belong. Whether there may be more.
    async fn bury(self: &Arc<Self>) -> bool {
        let dead = {
            let mut state = self.state.lock();
            let dead = if state.is_deleted { Vec::new() } else { state.dead() };
            state.is_burying = !dead.is_empty();
            dead
        };
        let (false, Some(inner)) = (dead.is_empty(), self.broker.upgrade()) else { return false };
        let broker = Broker { inner };
        match self.bury_all(&broker, dead).await {
            Ok(()) => self.changed(),
            Err(error) => {
                tracing::warn!(queue = ?self.name(), error, "dead letters have to wait");
                drop(broker);
                tokio::time::sleep(RETRY).await;
            }
        }
        true
    }

    async fn bury_all(&self, broker: &Broker, dead: Vec<Dead>) -> Result<(), String> {
        let mut batch = Batch::default();
        let mut buried: Vec<(u16, Offset)> = Vec::new();
        let mut flow = QueueFlow::default();
        let settings = self.settings();
        for one in &dead {
            if let Some(to) = &settings.dead_letter
                && let Some(item) = self.dead_item(one).await?
            {
                broker.bury_in(self, to, &item, one.why, &mut batch)?;
                // Others wait too long, or are too many, as whoever made the queue wants it.
                let is_refused = matches!(one.why, Why::Rejected | Why::TooManyDeliveries);
                flow.dead += u64::from(is_refused);
            }
            buried.push((one.lane, one.at));
        }
        for outcome in broker.store(batch).await.done().await {
            outcome.map_err(|error| error.to_string())?;
        }
        self.counters.add(&flow);
        let mut state = self.state.lock();
        for (lane, at) in buried {
            if let Some(lane) = state.lane(lane) {
                lane.finish(at, at);
            }
        }
        Ok(())
    }

    /// The message; `None`: it is not there any more.
    async fn dead_item(&self, dead: &Dead) -> Result<Option<Item>, String> {
        let log = {
            let mut state = self.state.lock();
            let Some(lane) = state.lane(dead.lane) else { return Ok(None) };
            match lane.log() {
                Some(log) => log,
                None => return Ok(lane.dead_item(dead.at)),
            }
        };
        let range = log.range();
        if !(range.start..range.end).contains(&dead.at) {
            return Ok(None);
        }
        let (from, until) = (dead.at, dead.at + 1);
        let fetched = fetch::read(&log, from, READ_BYTES, true, until).await;
        let fetched = fetched.map_err(|error| error.to_string())?;
        let found = Found::of(&fetched, (from, until), &self.bound(), None);
        Ok(found.into_first())
    }
}

impl State {
    /// Some of what is dead.
    fn dead(&self) -> Vec<Dead> {
        let mut found = Vec::new();
        for (lane, number) in self.lanes.iter().zip(0..) {
            for (first, last, why, _) in lane.ledger.dead() {
                let room = AT_ONCE.saturating_sub(found.len());
                let some = (first..=last).take(room);
                found.extend(some.map(|at| Dead { lane: number, at, why }));
                if found.len() >= AT_ONCE {
                    return found;
                }
            }
        }
        found
    }
}

impl Broker {
    /// Publishes a dead message to where its queue wants it.
    pub(crate) fn bury_in(
        &self,
        queue: &Queue,
        to: &DeadLetterTo,
        item: &Item,
        why: Why,
        batch: &mut Batch,
    ) -> Result<(), String> {
        let (exchange, key) = self.came_by(queue, &item.origin);
        let mut message = Message::clone(&item.message);
        let reason = DeathReason::from(why);
        self.inner.buried(&message, &queue.name().name, to, reason);
        let keys = std::iter::once(&key).chain(&message.further_keys).cloned().collect();
        let died = Died { queue: &queue.name().name, reason, exchange, keys };
        note(&mut message.deaths, died, self.now());
        if reason == DeathReason::Expired {
            // It would be over again at once.
            message.properties.expires_at = None;
        }
        message.guaranteed = true;
        if to.key.is_some() {
            // From here on it has that key alone.
            message.further_keys = Vec::new();
        }
        let key = to.key.clone().unwrap_or(key);
        let space = &queue.name().space;
        let mut routes = self.new_exchange_routes(space.clone());
        let headers = || self.inner.exchanges.headers(&message);
        let route = match routes.find(self, &to.exchange, &key, &message.further_keys, headers) {
            Ok(route) => route.without(|target| is_cycle(&message.deaths, &target.name().name)),
            // As it is with a route that leads nowhere.
            Err(ExchangeError::NotFound) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        match self.route_uncounted(&route, &message, batch) {
            // A full queue has no room for dead letters either.
            Ok(_) => Ok(()),
            Err(crate::ProduceError::TooLarge { size, .. }) => {
                tracing::warn!(queue = ?queue.name(), size, "a dead letter is too large");
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// The exchange and the routing key by which a message came into a queue.
    fn came_by(&self, queue: &Queue, origin: &Origin) -> (Bytes, Bytes) {
        match origin {
            Origin::Queue => (Bytes::new(), queue.name().name.clone()),
            Origin::Exchange { exchange, key } => (exchange.clone(), key.clone()),
            Origin::Subject(subject) => {
                let exchange = self.inner.exchanges.of_subjects(&queue.name().space);
                (exchange.unwrap_or_default(), KEYS.name(subject))
            }
        }
    }
}

struct Died<'a> {
    queue: &'a Bytes,
    reason: DeathReason,
    exchange: Bytes,
    keys: Vec<Bytes>,
}

/// Adds to the history: what died there before for the same reason is counted, and comes first.
fn note(deaths: &mut Vec<Death>, died: Died<'_>, time: Millis) {
    let Died { queue, reason, exchange, keys } = died;
    let known = deaths.iter().position(|one| one.queue == queue && one.reason == reason);
    let death = match known {
        Some(at) => {
            let mut death = deaths.remove(at);
            death.count = death.count.saturating_add(1);
            death
        }
        None => {
            let queue = queue.clone();
            Death { queue, reason, count: 1, time, exchange, keys }
        }
    };
    deaths.insert(0, death);
}

/// Whether a message came round: it died in this queue before, and nobody has rejected it since.
pub(super) fn is_cycle(deaths: &[Death], queue: &Bytes) -> bool {
    let Some(at) = deaths.iter().position(|death| death.queue == queue) else { return false };
    deaths.iter().take(at + 1).all(|death| death.reason != DeathReason::Rejected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn die(deaths: &mut Vec<Death>, queue: &'static [u8], reason: DeathReason, time: Millis) {
        let (exchange, keys) = (Bytes::from_static(b"x"), vec![Bytes::from_static(b"k")]);
        let queue = Bytes::from_static(queue);
        note(deaths, Died { queue: &queue, reason, exchange, keys }, time);
    }

    #[test]
    fn what_dies_again_is_counted_and_comes_first() {
        let mut deaths = Vec::new();
        die(&mut deaths, b"a", DeathReason::Expired, 1);
        die(&mut deaths, b"b", DeathReason::Rejected, 2);
        die(&mut deaths, b"a", DeathReason::Expired, 3);
        die(&mut deaths, b"a", DeathReason::TooMany, 4);
        let told: Vec<_> =
            deaths.iter().map(|d| (&d.queue[..], d.reason, d.count, d.time)).collect();
        assert_eq!(
            told,
            [
                (&b"a"[..], DeathReason::TooMany, 1, 4),
                (b"a", DeathReason::Expired, 2, 1),
                (b"b", DeathReason::Rejected, 1, 2)
            ]
        );
    }

    #[test]
    fn a_cycle_is_cut_unless_somebody_rejected() {
        let mut deaths = Vec::new();
        die(&mut deaths, b"a", DeathReason::Expired, 1);
        let a = Bytes::from_static(b"a");
        assert!(is_cycle(&deaths, &a), "back to where it waited too long");
        die(&mut deaths, b"b", DeathReason::Rejected, 2);
        assert!(!is_cycle(&deaths, &a), "somebody rejected it in between");
        assert!(!is_cycle(&deaths, &Bytes::from_static(b"c")), "never there");
    }
}
