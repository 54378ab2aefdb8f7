//! A broker that is made up, second by second: what its collectors would say goes through the registry into the history, and the
//! rules look at it as they do in a broker.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Clock, ManualClock, Millis};
use observe::diagnosis::{Incident, Moment, Watcher, look};
use observe::state::{Graph, NodeId, NodeKind};
use observe::{Events, History, Registry, families};

use crate::connections::Listener;
use crate::consumers::{Group, Queue, STATES};
use crate::dice::Dice;
use crate::machine::Machine;

/// Seconds that are remembered, as a broker does.
const HOUR: u64 = 3600;
/// Events that rules look at, as a broker does.
const EVENTS: usize = 256;
/// Of so many seconds one is missed: a broker that is busy looks less often.
const MISSED: f64 = 200.0;

/// What is wrong; nothing, by default. Where something is one of several, it is the first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    pub(crate) storage_failed: bool,
    pub(crate) disk_full: bool,
    /// Bytes a second that something else writes.
    pub(crate) fill: f64,
    /// Syncs take so many times as long; 0 is once.
    pub(crate) sync_times: f64,
    /// A second.
    pub(crate) flush_failures: f64,
    /// Somebody reads from disk, and it takes so many times as long as usual.
    pub(crate) read_times: f64,
    /// What grows a second, as a part of the limit.
    pub(crate) memory: f64,
    /// The same of file descriptors.
    pub(crate) files: f64,
    /// Series for which there is no room, a second.
    pub(crate) left_out: f64,
    /// A second, at the first listener; so are those that follow.
    pub(crate) logins: f64,
    pub(crate) protocol: f64,
    pub(crate) handshakes: f64,
    pub(crate) refused: f64,
    pub(crate) accept_failures: f64,
    /// Nothing is accepted when file descriptors have run out.
    pub(crate) accept_at_limit: bool,
    pub(crate) panics: f64,
    pub(crate) churn: f64,
    pub(crate) dropped: f64,
    /// Of its requests this part fails.
    pub(crate) error_share: f64,
    /// The members of the first group take nothing more …
    pub(crate) hang: bool,
    /// … or are gone …
    pub(crate) gone: bool,
    /// … or cannot handle the next message of one partition …
    pub(crate) poison: bool,
    /// … or handle only this part of what comes …
    pub(crate) slow: f64,
    /// … or come and go …
    pub(crate) storm: bool,
    /// … or one of them does not come to a rebalance.
    pub(crate) hung: bool,
    /// The topic of the first group keeps its messages for so many seconds only.
    pub(crate) keeps: f64,
    /// … so that its members will soon have lost some; seconds that it keeps.
    pub(crate) retention: f64,
    /// One partition of that topic gets this part of what comes, and its consumer handles half of it.
    pub(crate) hot: f64,
    /// The first queue has no consumers …
    pub(crate) no_consumers: bool,
    /// … or they settle nothing.
    pub(crate) stuck: bool,
    /// … or reject this part of what they get …
    pub(crate) rejected: f64,
    /// … or give back so many times what comes.
    pub(crate) given_back: f64,
}

/// A second of a broker.
pub(crate) struct Second<'a> {
    pub(crate) number: u64,
    pub(crate) now: Millis,
    pub(crate) registry: &'a Registry,
    pub(crate) events: &'a Events,
    pub(crate) dice: &'a mut Dice,
    pub(crate) faults: &'a Faults,
    pub(crate) is_out_of_files: bool,
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) faults: Faults,
    pub(crate) machine: Machine,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) groups: Vec<Group>,
    pub(crate) queues: Vec<Queue>,
    registry: Registry,
    history: History,
    events: Events,
    clock: ManualClock,
    watcher: Watcher,
    second: u64,
}

impl World {
    /// A broker of which nothing is wrong. What it is like, and what happens to it, is a function of the seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let clock = ManualClock::at(1_800_000_000_000);
        Self {
            machine: Machine::new(&mut dice),
            listeners: (0..4).map(|number| Listener::new(number, &mut dice)).collect(),
            groups: (0..6).map(|number| Group::new(number, &mut dice)).collect(),
            queues: (0..4).map(|number| Queue::new(number, &mut dice)).collect(),
            dice,
            faults: Faults::default(),
            registry: Registry::default(),
            history: History::new(HOUR),
            events: Events::new(Arc::new(clock.clone())),
            clock,
            watcher: Watcher::default(),
            second: 1_800_000_000,
        }
    }

    /// Connections of the first listener.
    pub(crate) fn first_open(&self) -> f64 {
        self.listeners.first().map_or(0.0, |listener| listener.open() as f64)
    }

    /// One more second.
    pub(crate) fn step(&mut self) {
        self.second += 1;
        self.clock.advance(1000);
        let mut second = Second {
            number: self.second,
            now: self.clock.now(),
            registry: &self.registry,
            events: &self.events,
            dice: &mut self.dice,
            faults: &self.faults,
            is_out_of_files: false,
        };
        let connections = self.listeners.iter().map(Listener::open).sum();
        self.machine.step(&mut second, connections);
        let is_out = self.faults.accept_at_limit && self.machine.is_out_of_files();
        second.is_out_of_files = is_out;
        for (number, listener) in self.listeners.iter_mut().enumerate() {
            listener.step(&mut second, number == 0);
        }
        for (number, group) in self.groups.iter_mut().enumerate() {
            group.step(&mut second, number == 0);
        }
        for (number, queue) in self.queues.iter_mut().enumerate() {
            queue.step(&mut second, number == 0);
        }
        let mut states = BTreeMap::from(STATES.map(|state| (state, 0)));
        for group in &self.groups {
            *states.entry(group.state()).or_default() += 1;
        }
        for (state, count) in states {
            self.registry.gauge(&families::GROUPS, [state]).set(count);
        }
        if !self.dice.once_in(MISSED) {
            self.look();
        }
    }

    /// What a broker does once a second.
    fn look(&mut self) {
        self.history.record(self.second, &self.registry.gather(&|_| true));
        let graph = self.graph();
        let broker = broker();
        let events = self.events.newest(EVENTS);
        let moment =
            Moment { broker: &broker, history: &self.history, graph: &graph, events: &events };
        self.watcher.take(self.second, self.clock.now(), look(&moment), &self.events);
    }

    fn graph(&self) -> Graph {
        let mut nodes = vec![self.machine.node()];
        nodes.extend(self.listeners.iter().map(Listener::node));
        nodes.extend(self.groups.iter().map(Group::node));
        nodes.extend(self.queues.iter().map(Queue::node));
        nodes.sort_by(|a, b| a.id.cmp(&b.id));
        Graph { nodes, ..Graph::default() }
    }

    /// What is wrong now, as rules see it, the likeliest cause first.
    pub(crate) fn incidents(&self) -> Vec<Incident> {
        self.watcher.incidents()
    }
}

/// The broker as a thing.
pub(crate) fn broker() -> NodeId {
    NodeId::new(NodeKind::Broker, "0")
}
