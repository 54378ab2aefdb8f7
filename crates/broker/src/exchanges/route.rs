//! To which queues a message goes, remembered by each publisher.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base::Subject;
use bytes::Bytes;

use super::bindings::{Exchange, subject_of};
use super::flow::Counters;
use super::types::{BindTo, ExchangeError, ExchangeKind, ExchangeName, Headers};
use crate::Broker;
use crate::live::{Batch, Route, Routed};
use crate::message::Message;
use crate::queues::{Item, Origin, Pushed, Queue, QueueName};
use crate::topics::OpenTopic;
use crate::verbs::produce::ProduceError;

/// Routes that one publisher remembers.
const ROUTES_MAX: usize = 1024;

/// Where messages with one exchange and routing key go.
#[derive(Debug, Clone)]
pub struct QueueRoute {
    exchange: Bytes,
    key: Bytes,
    queues: Vec<Target>,
    subjects: Vec<Arc<Route>>,
    epoch: u64,
    /// Headers decide, too.
    by_headers: bool,
    /// Of the exchange.
    counters: Arc<Counters>,
}

/// A queue to which messages go.
#[derive(Debug, Clone)]
pub struct Target {
    queue: Arc<Queue>,
    /// Of one that is stored.
    topic: Option<Arc<OpenTopic>>,
}

impl Target {
    /// The queue's name.
    pub fn name(&self) -> &QueueName {
        self.queue.name()
    }
}

impl QueueRoute {
    /// The queues; those that are bound to the space of subjects are not among them.
    pub fn queues(&self) -> &[Target] {
        &self.queues
    }

    /// That of queues alone, with this exchange and routing key.
    pub(super) fn to_queues(
        (exchange, key): (Bytes, Bytes),
        queues: Vec<Target>,
        epoch: u64,
        by_headers: bool,
    ) -> Self {
        let counters = Arc::default();
        Self { exchange, key, queues, subjects: Vec::new(), epoch, by_headers, counters }
    }

    /// Whether headers decide, so that it is another one for each message.
    pub(super) fn is_by_headers(&self) -> bool {
        self.by_headers
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The same without some queues.
    #[must_use]
    pub(crate) fn without(&self, is: impl Fn(&Target) -> bool) -> Self {
        let queues = self.queues.iter().filter(|target| !is(target)).cloned().collect();
        Self { queues, ..self.clone() }
    }

    fn is_current(&self, broker: &Broker) -> bool {
        self.epoch == broker.inner.exchanges.epoch()
            && self.subjects.iter().all(|route| route.is_current(&broker.inner.live))
    }

    fn origin(&self) -> Origin {
        Origin::Exchange { exchange: self.exchange.clone(), key: self.key.clone() }
    }

    /// Whether a queue is named by the key, so that nothing has to be said.
    fn is_straight(&self, target: &Target) -> bool {
        self.exchange.is_empty() && target.name().name == self.key
    }
}

/// The routes that one publisher used lately.
#[derive(Debug)]
pub struct ExchangeRoutes {
    space: Bytes,
    known: HashMap<(Bytes, Bytes), Arc<QueueRoute>>,
    /// The last one: many publishers have one.
    last: Option<Arc<QueueRoute>>,
}

impl ExchangeRoutes {
    /// Where a message with this exchange and routing key goes, and with `extra` ones besides: each exchange that it comes to
    /// considers all of them. `headers` are asked for where they decide.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`].
    pub fn find(
        &mut self,
        broker: &Broker,
        exchange: &[u8],
        key: &[u8],
        extra: &[Bytes],
        headers: impl FnOnce() -> Headers,
    ) -> Result<Arc<QueueRoute>, ExchangeError> {
        if extra.is_empty() {
            let is_it = |route: &&Arc<QueueRoute>| {
                route.exchange == exchange && route.key == key && route.is_current(broker)
            };
            if let Some(last) = self.last.as_ref().filter(is_it) {
                return Ok(Arc::clone(last));
            }
        }
        let (exchange, key) = (Bytes::copy_from_slice(exchange), Bytes::copy_from_slice(key));
        let at = (exchange.clone(), key.clone());
        if extra.is_empty()
            && let Some(known) = self.known.get(&at).filter(|route| route.is_current(broker))
        {
            self.last = Some(Arc::clone(known));
            return Ok(Arc::clone(known));
        }
        let mut headers = Some(headers);
        let mut read: Option<Headers> = None;
        let mut asked = || {
            if let Some(headers) = headers.take() {
                read = Some(headers());
            }
            read.clone().unwrap_or_default()
        };
        let route = Arc::new(self.look(broker, exchange, key, extra, &mut asked)?);
        if extra.is_empty() && !route.by_headers {
            if self.known.len() >= ROUTES_MAX {
                self.known.clear();
            }
            self.known.insert(at, Arc::clone(&route));
            self.last = Some(Arc::clone(&route));
        }
        Ok(route)
    }

    fn look(
        &self,
        broker: &Broker,
        exchange: Bytes,
        key: Bytes,
        extra: &[Bytes],
        headers: &mut dyn FnMut() -> Headers,
    ) -> Result<QueueRoute, ExchangeError> {
        let epoch = broker.inner.exchanges.epoch();
        let mut search = Search::new(broker, &self.space, headers);
        let keys: Vec<_> = std::iter::once(&key).chain(extra).cloned().collect();
        let counters = search.look(&exchange, &keys)?;
        let (queues, subjects, by_headers) = search.found();
        Ok(QueueRoute { exchange, key, queues, subjects, epoch, by_headers, counters })
    }
}

/// What became of a message where it goes to queues.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pushes {
    /// Some queue was full.
    pub(crate) is_refused: bool,
    /// So many others have it, or will.
    pub(crate) count: u64,
}

/// Going from exchange to exchange.
pub(super) struct Search<'a> {
    broker: &'a Broker,
    space: &'a Bytes,
    headers: &'a mut dyn FnMut() -> Headers,
    queues: Vec<QueueName>,
    subjects: Vec<Arc<Route>>,
    by_headers: bool,
    /// Spaces of subjects that it came to, with the subjects.
    spaces: Vec<(Arc<Exchange>, Subject)>,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        broker: &'a Broker,
        space: &'a Bytes,
        headers: &'a mut dyn FnMut() -> Headers,
    ) -> Self {
        Self {
            broker,
            space,
            headers,
            queues: Vec::new(),
            subjects: Vec::new(),
            by_headers: false,
            spaces: Vec::new(),
        }
    }

    /// The queues, each once; subjects; and whether headers decided.
    pub(super) fn found(self) -> (Vec<Target>, Vec<Arc<Route>>, bool) {
        let Self { broker, mut queues, subjects, by_headers, spaces, .. } = self;
        queues.sort_unstable();
        queues.dedup();
        // Who gets it by the subject does not get it twice.
        let has_it = |name: &QueueName| {
            spaces.iter().any(|(exchange, subject)| exchange.has_queue(name, subject))
        };
        let target = |name: QueueName| {
            let queue = broker.queue(&name).filter(|_| !has_it(&name))?;
            let topic = match queue.stored_in() {
                None => None,
                Some(topic) => Some(broker.topic(&topic)?),
            };
            Some(Target { queue, topic })
        };
        (queues.into_iter().filter_map(target).collect(), subjects, by_headers)
    }

    /// Finds all of it; returns where it is counted.
    fn look(&mut self, exchange: &Bytes, keys: &[Bytes]) -> Result<Arc<Counters>, ExchangeError> {
        if exchange.is_empty() {
            self.add_named(keys);
            return Ok(self.broker.inner.exchanges.spaced.unnamed(self.space));
        }
        let first = ExchangeName { space: self.space.clone(), name: exchange.clone() };
        let found = self.broker.exchange(&first).ok_or(ExchangeError::NotFound)?;
        self.go(first, keys, true);
        Ok(Arc::clone(&found.counters))
    }

    /// The queues that keys name.
    fn add_named(&mut self, keys: &[Bytes]) {
        let queue = |name: &Bytes| QueueName { space: self.space.clone(), name: name.clone() };
        self.queues.extend(keys.iter().map(queue));
    }

    /// From an exchange on; `publishes`: to the subjects that it comes to, too. Every exchange on the way considers all keys.
    pub(super) fn go(&mut self, first: ExchangeName, keys: &[Bytes], publishes: bool) {
        let (mut seen, mut open) = (HashSet::from([first.clone()]), vec![first]);
        while let Some(name) = open.pop() {
            // Deleted meanwhile, or an alternate one that there is not.
            let Some(exchange) = self.broker.exchange(&name) else { continue };
            let mut next = Vec::new();
            let kind = exchange.spec().kind;
            self.by_headers |= kind == ExchangeKind::Headers;
            let (queues, mut found) = (&mut self.queues, false);
            let by_key = !matches!(kind, ExchangeKind::Fanout | ExchangeKind::Headers);
            for key in keys.iter().take(if by_key { keys.len() } else { 1 }) {
                exchange.find(key, self.headers, |to| {
                    found = true;
                    match to {
                        BindTo::Queue(name) => queues.push(name.clone()),
                        BindTo::Exchange(name) => next.push(name.clone()),
                    }
                });
            }
            if kind == ExchangeKind::Subjects {
                for key in keys {
                    found |= self.look_in_subjects(&exchange, key, publishes);
                }
            }
            if let Some(alternate) = exchange.alternate().filter(|_| !found) {
                if alternate.is_empty() {
                    self.add_named(keys);
                } else {
                    let space = self.space.clone();
                    next.push(ExchangeName { space, name: alternate });
                }
            }
            open.extend(next.into_iter().filter(|name| seen.insert(name.clone())));
        }
    }

    /// Whether anybody wants what is published to the subject of this key.
    fn look_in_subjects(&mut self, exchange: &Arc<Exchange>, key: &Bytes, publishes: bool) -> bool {
        let subject = subject_of(key);
        self.spaces.push((Arc::clone(exchange), subject.clone()));
        if !publishes {
            return true;
        }
        let route = self.broker.find_route(subject);
        let found = !route.topics().is_empty() || route.receivers() + route.sessions() > 0;
        self.subjects.push(route);
        found
    }
}

impl Broker {
    /// A cache of routes for a publisher in a namespace.
    pub fn new_exchange_routes(&self, space: Bytes) -> ExchangeRoutes {
        ExchangeRoutes { space, known: HashMap::new(), last: None }
    }

    /// Publishes a message to the queues of a route. What is kept in memory is there when this returns; the rest is put into
    /// the batch, for [`Broker::store`].
    ///
    /// # Errors
    /// [`ProduceError::Refused`]: some queue is full; others have it. Anything else: the message is too large, or cannot
    /// be stored.
    pub fn route_to_queues(
        &self,
        route: &QueueRoute,
        message: &Message,
        batch: &mut Batch,
    ) -> Result<Routed, ProduceError> {
        let received = self.inner.receive(message, || match route.exchange.is_empty() {
            true => &route.key,
            false => &route.exchange,
        });
        let outcome = self.route_uncounted(route, message, batch);
        let outcome = outcome.map(|(routed, pushes)| {
            batch.tally.count(&route.counters, pushes.count);
            Routed { is_refused: pushes.is_refused, ..routed }
        });
        if let Some(received) = received {
            batch.follow(received, &outcome);
        }
        let routed = outcome?;
        if routed.is_refused { Err(ProduceError::Refused) } else { Ok(routed) }
    }

    /// The same of what no publisher published now.
    pub(crate) fn route_uncounted(
        &self,
        route: &QueueRoute,
        message: &Message,
        batch: &mut Batch,
    ) -> Result<(Routed, Pushes), ProduceError> {
        let mut routed = Routed { receivers: 0, stored: None, is_refused: false };
        let mut count = 0;
        for subject in &route.subjects {
            // Where it leads on to is among the queues.
            let some = self.route_here(subject, message, batch)?;
            routed.receivers += some.receivers;
            routed.stored = routed.stored.or(some.stored);
            routed.is_refused |= some.is_refused;
            count += (some.receivers + subject.topics().len()) as u64;
        }
        let mut pushes = self.push_to_queues(route, message, batch, &mut routed)?;
        pushes.count += count;
        pushes.is_refused |= routed.is_refused;
        Ok((routed, pushes))
    }

    /// Publishes a message to the queues of a route.
    pub(super) fn push_to_queues(
        &self,
        route: &QueueRoute,
        message: &Message,
        batch: &mut Batch,
        routed: &mut Routed,
    ) -> Result<Pushes, ProduceError> {
        let bytes = message.value.as_ref().map_or(0, Bytes::len) as u64;
        let mut stored = Vec::new();
        let mut kept: Option<Arc<Message>> = None;
        let mut pushes = Pushes::default();
        for target in &route.queues {
            let queue = &target.queue;
            let is_full = match &target.topic {
                Some(_) if !queue.has_room(1, bytes) => true,
                Some(topic) => {
                    stored.push((queue, topic, route.is_straight(target)));
                    false
                }
                None => {
                    let message = Arc::clone(kept.get_or_insert_with(|| Arc::new(message.clone())));
                    let origin = match route.is_straight(target) {
                        true => Origin::Queue,
                        false => route.origin(),
                    };
                    let deadline = message.properties.expires_at;
                    let pushed = queue.push(Item { message, origin, deadline });
                    routed.receivers += usize::from(pushed == Pushed::Yes);
                    pushes.count += u64::from(pushed == Pushed::Yes);
                    pushed == Pushed::Full
                }
            };
            if is_full {
                pushes.is_refused = true;
                let origin = match route.is_straight(target) {
                    true => Origin::Queue,
                    false => route.origin(),
                };
                self.refused(queue, origin, message, batch);
            }
        }
        if !stored.is_empty() {
            let via = (&route.exchange, &route.key);
            let number = batch.push_for_queues(self, message, via, &stored, routed.stored)?;
            routed.stored = Some(number);
            pushes.count += stored.len() as u64;
        }
        Ok(pushes)
    }
}
