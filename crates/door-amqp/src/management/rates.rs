//! How fast figures change. Of what somebody looks at, a sample is taken every few seconds from then on, until nobody has looked
//! for a while: who does not ask costs nothing.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::Millis;
use broker::Broker;
use broker::exchanges::{Exchange, SpaceFlows};
use broker::queues::Queue;
use bytes::Bytes;
use parking_lot::Mutex;

use super::stats::{FIGURES, Figures};
use crate::channel::ChannelOut;
use crate::clients::Hosts;

/// From one sample to the next, as RabbitMQ does it.
const EVERY: Duration = Duration::from_secs(5);
/// What nobody has looked at for so long is not sampled any more, in milliseconds.
const FORGOTTEN_AFTER: Millis = 60_000;
/// Things that are sampled at a time, some 350 bytes each; of others no rate is shown.
const WATCHED_MAX: usize = 20_000;

/// Something that has figures.
#[derive(Debug, Clone)]
pub(super) enum Watched {
    Queue(Weak<Queue>),
    Exchange(Weak<Exchange>),
    /// The exchange without a name, of a namespace.
    Unnamed(Bytes),
    Channel(Weak<ChannelOut>),
    /// A virtual host, by its name and its namespace.
    Host(Bytes, Bytes),
    /// All of the broker.
    All,
}

/// The same, to be found by. An address is nobody else's while it is watched: whoever is gone leaves their place behind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Queue(usize),
    Exchange(usize),
    Unnamed(Bytes),
    Channel(usize),
    Host(Bytes),
    All,
}

impl Watched {
    fn key(&self) -> Key {
        match self {
            Self::Queue(queue) => Key::Queue(queue.as_ptr().addr()),
            Self::Exchange(exchange) => Key::Exchange(exchange.as_ptr().addr()),
            Self::Unnamed(space) => Key::Unnamed(space.clone()),
            Self::Channel(channel) => Key::Channel(channel.as_ptr().addr()),
            Self::Host(name, _) => Key::Host(name.clone()),
            Self::All => Key::All,
        }
    }
}

/// What changes in a second, of each figure.
pub(super) type PerSecond = [f64; FIGURES];

/// The samples that there are.
#[derive(Debug)]
pub(crate) struct Rates {
    broker: Broker,
    hosts: Arc<Hosts>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Key, Entry>,
    /// Somebody takes samples.
    is_running: bool,
}

#[derive(Debug)]
struct Entry {
    watched: Watched,
    /// Somebody looked last then.
    asked: Millis,
    newer: (Millis, Figures),
    older: Option<(Millis, Figures)>,
}

impl Entry {
    fn per_second(&self) -> PerSecond {
        let (at, figures) = &self.newer;
        let Some((before, past)) = &self.older else { return [0.0; FIGURES] };
        figures.per_second(past, at - before)
    }
}

impl Rates {
    pub(crate) fn new(broker: Broker, hosts: Arc<Hosts>) -> Arc<Self> {
        Arc::new(Self { broker, hosts, state: Mutex::default() })
    }

    /// How fast the figures of something change, which are these now. `None`: too much is looked at.
    pub(super) fn of(self: &Arc<Self>, watched: &Watched, figures: &Figures) -> Option<PerSecond> {
        let now = self.broker.now();
        let mut state = self.state.lock();
        let key = watched.key();
        if let Some(entry) = state.entries.get_mut(&key) {
            entry.asked = now;
            return Some(entry.per_second());
        }
        if state.entries.len() >= WATCHED_MAX {
            return None;
        }
        let newer = (now, *figures);
        state
            .entries
            .insert(key, Entry { watched: watched.clone(), asked: now, newer, older: None });
        if !std::mem::replace(&mut state.is_running, true) {
            tokio::spawn(sample_on(Arc::downgrade(self)));
        }
        Some([0.0; FIGURES])
    }

    /// Takes a sample of all that somebody looks at; whether that is anything.
    pub(super) fn sample(&self) -> bool {
        let now = self.broker.now();
        let mut flows = None;
        let mut state = self.state.lock();
        state.entries.retain(|_, entry| {
            let figures = match now - entry.asked < FORGOTTEN_AFTER {
                true => self.read(&entry.watched, &mut flows),
                false => None,
            };
            let Some(figures) = figures else { return false };
            entry.older = Some(std::mem::replace(&mut entry.newer, (now, figures)));
            true
        });
        if state.entries.is_empty() {
            state.entries = HashMap::new();
            state.is_running = false;
        }
        state.is_running
    }

    /// What something's figures are now; nothing, if it is gone. `flows`: once for all.
    fn read(&self, watched: &Watched, flows: &mut Option<SpaceFlows>) -> Option<Figures> {
        Some(match watched {
            Watched::Queue(queue) => Figures::of_queue(&*queue.upgrade()?),
            Watched::Exchange(exchange) => Figures::of_exchange(exchange.upgrade()?.flow()),
            Watched::Unnamed(space) => Figures::of_exchange(self.broker.unnamed_flow(space)),
            Watched::Channel(channel) => Figures::of_channel(&*channel.upgrade()?),
            Watched::Host(name, space) => {
                let flows = flows.get_or_insert_with(|| self.broker.space_flows());
                let flow = flows.by_space.get(space).copied().unwrap_or_default();
                Figures::of_space(&flow, self.hosts.get(name).as_slice())
            }
            Watched::All => {
                let flows = flows.get_or_insert_with(|| self.broker.space_flows());
                Figures::of_space(&flows.all, &self.hosts.all())
            }
        })
    }
}

async fn sample_on(rates: Weak<Rates>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(rates) = rates.upgrade() else { return };
        if !rates.sample() {
            return;
        }
    }
}

#[cfg(test)]
impl Rates {
    /// How much is sampled.
    pub(super) fn watched(&self) -> usize {
        self.state.lock().entries.len()
    }
}
