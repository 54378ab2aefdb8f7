//! Where messages of one subject go, remembered by each publisher.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use base::Subject;
use base::subject::{Escape, NotASubject};
use bytes::Bytes;
use router::{GroupMatch, Matches, Seeded};

use super::Live;
use super::subscriber::Listener;
use crate::Broker;
use crate::exchanges::LedOn;
use crate::message::PublisherId;
use crate::observing::is_of_events;
use crate::sessions::Waiter;
use crate::topics::{Bound, OpenTopic};

/// Subjects that one publisher's cache remembers.
const ROUTES_MAX: usize = 1024;
/// A longer name is looked up each time.
const NAME_BYTES_MAX: usize = 512;

/// The names of a subject, by the slot of their syntax: converted when first asked for.
#[derive(Debug, Default)]
pub(crate) struct Names([OnceLock<Bytes>; Escape::SLOTS]);

impl Names {
    pub(crate) fn get(&self, escape: &'static Escape, subject: &Subject) -> &Bytes {
        // There are as many slots as there are numbers of them.
        let slot = self.0.get(escape.rules().slot).unwrap_or(&self.0[0]);
        slot.get_or_init(|| escape.name(subject))
    }
}

/// Where changes are counted: of listeners, topics and sessions.
type Places = (router::Place, router::Place, router::Place);

/// Where messages of a subject go.
#[derive(Debug)]
pub struct Route {
    pub(super) subject: Subject,
    pub(super) names: Names,
    pub(super) matches: Arc<Matches<Listener>>,
    /// Those of the matches that overlap, with their tags.
    pub(super) overlapping: Vec<(Vec<Listener>, Vec<u64>)>,
    pub(super) topics: Vec<Arc<OpenTopic>>,
    /// Where exchanges lead from it.
    pub(super) led_on: LedOn,
    /// Those who do not want what they publish themselves.
    quiet: Vec<PublisherId>,
    /// Sessions that it waits for, if its publisher wants to be sure.
    waiters: Arc<Matches<Waiter>>,
    is_allowed: bool,
    /// Only the broker publishes to it.
    pub(super) is_of_broker: bool,
    /// Nobody listens, no session waits, and no topic keeps it.
    pub(super) is_silent: bool,
    places: Places,
    stamp: u64,
}

impl Route {
    /// The subject.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Its name in a protocol's syntax.
    pub fn name(&self, escape: &'static Escape) -> &Bytes {
        self.names.get(escape, &self.subject)
    }

    /// What the check said that [`RouteCache::find`] was given.
    pub fn is_allowed(&self) -> bool {
        self.is_allowed
    }

    /// The topics that keep what is published to it.
    pub fn topics(&self) -> &[Arc<OpenTopic>] {
        &self.topics
    }

    /// How many live subscribers get a message: each group once.
    pub fn receivers(&self) -> usize {
        self.matches.receivers()
    }

    /// How many groups of live subscribers there are, of each of which one gets a message.
    pub fn groups(&self) -> usize {
        self.matches.groups.len()
    }

    /// How many sessions a message waits for, if its publisher wants to be sure: each group counts as one.
    pub fn sessions(&self) -> usize {
        self.waiters.receivers()
    }

    /// Groups with sessions among their members, if those may get what is published.
    pub(super) fn absent_groups(&self, waits: bool) -> Vec<&GroupMatch<Waiter>> {
        if waits { self.waiters.groups.iter().collect() } else { Vec::new() }
    }

    /// The numbers of the sessions that want what this one publishes.
    pub(super) fn sessions_for(&self, publisher: PublisherId) -> Vec<u64> {
        let singles = self.waiters.chunks.iter().flat_map(|chunk| chunk.iter());
        let singles = singles.filter_map(|waiter| waiter.number(publisher));
        let several = |all: &Vec<Waiter>| all.iter().find_map(|waiter| waiter.number(publisher));
        singles.chain(self.waiters.overlapping.iter().filter_map(several)).collect()
    }

    /// Whether a publisher is among those who listen, but not to themselves.
    pub(super) fn is_quiet(&self, publisher: PublisherId) -> bool {
        self.quiet.contains(&publisher)
    }

    pub(crate) fn is_current(&self, live: &Live) -> bool {
        self.stamp == live.stamp(self.places)
    }
}

/// The routes that one publisher used lately.
#[derive(Debug)]
pub struct RouteCache {
    escape: &'static Escape,
    routes: HashMap<Bytes, Arc<Route>, Seeded>,
    /// The last one: many publishers have one subject.
    last: Option<(Bytes, Arc<Route>)>,
}

impl RouteCache {
    /// The route of a subject by its name in the publisher's syntax. Asks `is_allowed` when it looks anew, which it does
    /// when anything has changed, rules of access too.
    ///
    /// # Errors
    /// The name is not one.
    pub fn find(
        &mut self,
        broker: &Broker,
        name: &[u8],
        is_allowed: impl FnOnce(&Subject) -> bool,
    ) -> Result<&Arc<Route>, NotASubject> {
        let live = &broker.inner.live;
        let is_last = |(last, route): &(Bytes, Arc<Route>)| last == name && route.is_current(live);
        if !self.last.as_ref().is_some_and(is_last) {
            self.last = Some(self.look(live, name, is_allowed)?);
        }
        // Set above, if it was not.
        self.last.as_ref().map(|(_, route)| route).ok_or(NotASubject::EmptyLevel)
    }

    fn look(
        &mut self,
        live: &Live,
        name: &[u8],
        is_allowed: impl FnOnce(&Subject) -> bool,
    ) -> Result<(Bytes, Arc<Route>), NotASubject> {
        let known = self.routes.get_key_value(name);
        if let Some((name, route)) = known.filter(|(_, route)| route.is_current(live)) {
            return Ok((name.clone(), Arc::clone(route)));
        }
        let known = known.map(|(name, route)| (name.clone(), route.subject.clone()));
        let (name, subject) = match known {
            Some(known) => known,
            None => (Bytes::copy_from_slice(name), self.escape.subject(name)?),
        };
        let is_allowed = is_allowed(&subject);
        let route = Arc::new(live.new_route(subject, is_allowed));
        // As it was written, which for a name with a wildcard in it is not as it would be.
        if let Some(slot) = route.names.0.get(self.escape.rules().slot) {
            let _ = slot.set(name.clone());
        }
        if name.len() <= NAME_BYTES_MAX {
            if self.routes.len() >= ROUTES_MAX {
                self.routes.clear();
            }
            self.routes.insert(name.clone(), Arc::clone(&route));
        }
        Ok((name, route))
    }
}

/// Each topic once: while one changes, it is found as it was and as it is.
fn unique<'a>(bound: impl Iterator<Item = &'a Bound>) -> Vec<Arc<OpenTopic>> {
    let mut topics: Vec<Arc<OpenTopic>> = Vec::new();
    for Bound(topic) in bound {
        match topics.iter_mut().find(|known| known.topic.id == topic.topic.id) {
            Some(known) => *known = Arc::clone(topic),
            None => topics.push(Arc::clone(topic)),
        }
    }
    topics
}

fn quiet(matches: &Matches<Listener>) -> Vec<PublisherId> {
    let members = matches.groups.iter().flat_map(|group| group.members.iter());
    let singles = matches.chunks.iter().flat_map(|chunk| chunk.iter());
    let all = singles.chain(members).chain(matches.overlapping.iter().flatten());
    all.filter(|listener| listener.no_echo).map(|listener| listener.publisher).collect()
}

impl Live {
    fn stamp(&self, places: Places) -> u64 {
        // Each only grows.
        let epoch = self.epoch.load(Ordering::Acquire);
        let stamps = self.listeners.stamp(places.0) + self.bindings.stamp(places.1);
        epoch + stamps + self.waiters.stamp(places.2)
    }

    /// Looks up where a subject's messages go.
    pub(super) fn new_route(&self, subject: Subject, is_allowed: bool) -> Route {
        let places = (
            self.listeners.place(&subject),
            self.bindings.place(&subject),
            self.waiters.place(&subject),
        );
        let stamp = self.stamp(places);
        let matches = self.listeners.matches(&subject);
        let tags = |all: &Vec<Listener>| (all.clone(), all.iter().map(|one| one.tag).collect());
        let overlapping = matches.overlapping.iter().map(tags).collect();
        let bound = self.bindings.matches(&subject);
        let topics = unique(bound.singles());
        // Asked for only where a topic comes between: else it is known who publishes.
        let quiet = if topics.is_empty() { Vec::new() } else { quiet(&matches) };
        let names = Names::default();
        let waiters = self.waiters.matches(&subject);
        let is_of_broker = is_of_events(&subject);
        let is_heard = matches.receivers() > 0 || waiters.receivers() > 0;
        let is_silent = !is_heard && topics.is_empty();
        Route {
            subject,
            names,
            matches,
            overlapping,
            topics,
            led_on: LedOn::default(),
            quiet,
            waiters,
            is_allowed,
            is_of_broker,
            is_silent,
            places,
            stamp,
        }
    }
}

impl Broker {
    /// A cache of routes for a publisher who writes names in this syntax.
    pub fn new_route_cache(&self, escape: &'static Escape) -> RouteCache {
        let routes = HashMap::with_hasher(self.inner.live.seed);
        RouteCache { escape, routes, last: None }
    }

    /// The route of a subject, looked up anew: for who publishes to it once.
    pub fn find_route(&self, subject: Subject) -> Arc<Route> {
        Arc::new(self.inner.live.new_route(subject, true))
    }
}
