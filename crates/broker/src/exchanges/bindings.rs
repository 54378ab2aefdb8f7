//! One exchange, and what is bound to it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use base::subject::{KEYS, Step};
use base::{Filter, Subject};
use bytes::Bytes;
use observe::trace::Who;
use parking_lot::RwLock;
use router::{Key, Router, Subscribed};

use super::flow::{Counters, ExchangeFlow};
use super::types::{
    BindTo, Binding, ExchangeError, ExchangeKind, ExchangeName, ExchangeSpec, Headers,
};
use crate::Broker;
use crate::live::{Accepted, Delivery, SubscribeOptions, Subscriber, Subscription};
use crate::policies::Governing;
use crate::queues::{Item, Origin, Pushed, Queue, QueueName};

/// Most bindings of one exchange.
const BINDINGS_MAX: usize = 200_000;

/// An exchange.
#[derive(Debug)]
pub struct Exchange {
    name: ExchangeName,
    spec: ExchangeSpec,
    state: RwLock<State>,
    governing: RwLock<Governing>,
    /// Publishers count in it.
    pub(super) counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct State {
    /// By key, so that those of one key are found.
    bindings: BTreeMap<(Binding, BindTo), Bound>,
    /// By pattern, for a topic exchange.
    patterns: Router<ByPattern>,
    next: u64,
}

/// A binding.
#[derive(Debug, Default)]
struct Bound {
    /// Where it stands in the metadata store.
    stored: Option<String>,
    /// Where it is among the patterns.
    pattern: Option<(Filter, Key)>,
    /// Of a queue in memory to the space of subjects.
    _subscription: Option<Subscription>,
}

#[derive(Debug, Clone)]
struct ByPattern {
    number: u64,
    to: Arc<BindTo>,
}

impl Subscribed for ByPattern {
    fn owner(&self) -> u64 {
        self.number
    }
}

/// What is published to a subject goes into a queue in memory.
#[derive(Debug)]
struct Inflow(Weak<Queue>);

impl Subscriber for Inflow {
    fn deliver(&self, _: &[u64], delivery: &Delivery<'_>) -> Accepted {
        let Some(queue) = self.0.upgrade() else { return Accepted::No };
        let mut message = delivery.message.clone();
        if delivery.place.is_some() {
            // Of what was published to a subject and stored, the key is the subject.
            message.key = None;
        }
        let item = Item {
            message: Arc::new(message),
            origin: Origin::Subject(delivery.subject.clone()),
            deadline: delivery.message.properties.expires_at,
        };
        match queue.push(item) {
            Pushed::Yes => Accepted::Yes,
            Pushed::Full | Pushed::Gone => Accepted::No,
        }
    }
}

impl Exchange {
    pub(super) fn new(name: ExchangeName, spec: ExchangeSpec, governing: Governing) -> Self {
        Self {
            name,
            spec,
            state: RwLock::default(),
            governing: RwLock::new(governing),
            counters: Arc::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &ExchangeName {
        &self.name
    }

    /// How it was declared.
    pub fn spec(&self) -> &ExchangeSpec {
        &self.spec
    }

    /// What went through it since the broker began.
    pub fn flow(&self) -> ExchangeFlow {
        self.counters.read()
    }

    /// The policies that it is under.
    pub fn governing(&self) -> Governing {
        self.governing.read().clone()
    }

    /// From now on it is under these policies; routes are to be looked up anew.
    pub(crate) fn govern(&self, governing: Governing) {
        *self.governing.write() = governing;
    }

    /// Where messages go that it has no binding for: as it was declared, or else as policies say.
    pub(super) fn alternate(&self) -> Option<Bytes> {
        self.spec.alternate.clone().or_else(|| self.governing.read().settings().alternate)
    }

    /// What is bound to it, and how.
    pub fn bindings(&self) -> Vec<(BindTo, Binding)> {
        let state = self.state.read();
        state.bindings.keys().map(|(binding, to)| (to.clone(), binding.clone())).collect()
    }

    /// Whether nothing is bound to it.
    pub fn is_unused(&self) -> bool {
        self.state.read().bindings.is_empty()
    }

    pub(super) fn has(&self, to: &BindTo, binding: &Binding) -> bool {
        self.state.read().bindings.contains_key(&(binding.clone(), to.clone()))
    }

    /// Adds a binding that is not there yet.
    pub(super) fn insert(
        &self,
        broker: &Broker,
        to: &BindTo,
        binding: Binding,
        stored: Option<String>,
    ) -> Result<(), ExchangeError> {
        let subscription = match self.spec.kind {
            ExchangeKind::Subjects => subscribe(broker, to, &binding)?,
            _ => None,
        };
        let mut state = self.state.write();
        if state.bindings.len() >= BINDINGS_MAX {
            return Err(ExchangeError::LimitReached);
        }
        let mut bound = Bound { stored, pattern: None, _subscription: subscription };
        let filter = match (self.spec.kind, to) {
            (ExchangeKind::Topic, _) => Some(pattern(&binding.key)),
            // Queues get what they are bound to as topics and subscribers do.
            (ExchangeKind::Subjects, BindTo::Exchange(_)) => Some(subject_filter(&binding.key)?),
            _ => None,
        };
        if let Some(filter) = filter {
            state.next += 1;
            let item = ByPattern { number: state.next, to: Arc::new(to.clone()) };
            let key = state.patterns.insert(&filter, item, None);
            let key = key.ok_or_else(|| too_many_words(&binding.key))?;
            bound.pattern = Some((filter, key));
        }
        state.bindings.insert((binding, to.clone()), bound);
        Ok(())
    }

    /// Removes a binding; `None`: there is none, else where it stands in the metadata store.
    pub(super) fn remove(&self, to: &BindTo, binding: &Binding) -> Option<Option<String>> {
        let mut state = self.state.write();
        let bound = state.bindings.remove(&(binding.clone(), to.clone()))?;
        Some(state.release(bound))
    }

    /// Where in the metadata store it stands that this is bound.
    pub(super) fn stored_bindings(&self, to: &BindTo) -> Vec<String> {
        let state = self.state.read();
        let of = state.bindings.iter().filter(|((_, other), _)| other == to);
        of.filter_map(|(_, bound)| bound.stored.clone()).collect()
    }

    /// Removes what is bound to this.
    pub(super) fn remove_all(&self, to: &BindTo) -> Vec<Option<String>> {
        let mut state = self.state.write();
        let keys: Vec<_> =
            state.bindings.keys().filter(|(_, other)| other == to).cloned().collect();
        let removed = keys.iter().filter_map(|key| state.bindings.remove(key));
        let removed: Vec<_> = removed.collect();
        removed.into_iter().map(|bound| state.release(bound)).collect()
    }

    /// Removes everything.
    pub(super) fn clear(&self) -> Vec<String> {
        let mut state = self.state.write();
        let bindings = std::mem::take(&mut state.bindings);
        bindings.into_values().filter_map(|bound| state.release(bound)).collect()
    }

    /// To what a message goes.
    pub(super) fn find(
        &self,
        key: &Bytes,
        headers: &mut dyn FnMut() -> Headers,
        mut with: impl FnMut(&BindTo),
    ) {
        let state = self.state.read();
        match self.spec.kind {
            ExchangeKind::Direct => {
                let from = (Binding { key: key.clone(), ..Binding::default() }, first());
                let same = state.bindings.range(from..);
                let same = same.take_while(|((binding, _), _)| binding.key == key);
                same.for_each(|((_, to), _)| with(to));
            }
            ExchangeKind::Fanout => state.bindings.keys().for_each(|(_, to)| with(to)),
            ExchangeKind::Topic => {
                let found = state.patterns.find(&words(key));
                found.singles().for_each(|one| with(&one.to));
            }
            ExchangeKind::Headers => {
                let headers = headers();
                let matches = |binding: &Binding| {
                    binding.matching.as_ref().is_none_or(|asked| asked.matches(&headers))
                };
                let all = state.bindings.keys().filter(|(binding, _)| matches(binding));
                all.for_each(|(_, to)| with(to));
            }
            // Of queues the router of subjects knows.
            ExchangeKind::Subjects => {
                let found = state.patterns.find(&subject_of(key));
                found.singles().for_each(|one| with(&one.to));
            }
        }
    }

    /// Whether it is the space of subjects, and an exchange is bound to it.
    pub(super) fn leads_on(&self) -> bool {
        self.spec.kind == ExchangeKind::Subjects && !self.state.read().patterns.is_empty()
    }

    /// Whether a queue is bound to what is published to a subject.
    pub(super) fn has_queue(&self, name: &QueueName, subject: &Subject) -> bool {
        let state = self.state.read();
        let of =
            state.bindings.keys().filter(|(_, to)| matches!(to, BindTo::Queue(of) if of == name));
        let mut filters = of.filter_map(|(binding, _)| subject_filter(&binding.key).ok());
        filters.any(|filter| filter.matches(subject))
    }
}

impl State {
    fn release(&mut self, bound: Bound) -> Option<String> {
        if let Some((filter, key)) = bound.pattern {
            self.patterns.remove(&filter, key, None);
        }
        bound.stored
    }
}

/// Comes before all others.
fn first() -> BindTo {
    let name = QueueName { space: Bytes::new(), name: Bytes::new() };
    BindTo::Queue(name)
}

fn words(key: &[u8]) -> Subject {
    Subject::from_levels(key.split(|byte| *byte == b'.'))
}

fn step(word: &[u8]) -> Step<'_> {
    match word {
        b"*" => Step::One,
        b"#" => Step::ZeroOrMore,
        word => Step::Literal(Cow::Borrowed(word)),
    }
}

/// A key as a pattern: any key is one.
fn pattern(key: &[u8]) -> Filter {
    let steps = key.split(|byte| *byte == b'.').map(step);
    // There is at least one word, and none that must be the last.
    Filter::from_steps(steps).unwrap_or_else(|| Filter::exact(&words(key)))
}

fn too_many_words(key: &[u8]) -> ExchangeError {
    let key = String::from_utf8_lossy(key);
    ExchangeError::NotAllowed(format!("'{key}' has more words than a pattern may have"))
}

/// The subject of a routing key. A word that would be a wildcard is one that nobody else can write.
pub(super) fn subject_of(key: &[u8]) -> Subject {
    KEYS.subject(key).unwrap_or_else(|_| words(key))
}

/// What rules call what somebody publishes to in the space of subjects by a routing key; or, if the key is a `pattern`, reads
/// of it ([`Filter::head`]).
pub fn name_in_rules(key: &[u8], is_pattern: bool) -> String {
    match KEYS.filter(key).ok().filter(|_| is_pattern) {
        Some(filter) => filter.head(),
        None => subject_of(key).to_string(),
    }
}

/// The filter of a binding to the space of subjects.
pub(super) fn subject_filter(key: &[u8]) -> Result<Filter, ExchangeError> {
    let wrong = |error: base::subject::NotAFilter| ExchangeError::NotAllowed(error.to_string());
    let filter = KEYS.filter(key).map_err(wrong)?;
    match filter.raw_steps().count() <= Router::<ByPattern>::STEPS_MAX {
        true => Ok(filter),
        false => Err(too_many_words(key)),
    }
}

/// A queue in memory subscribes; the topic of a stored one keeps what is bound, and exchanges are asked for each subject.
fn subscribe(
    broker: &Broker,
    to: &BindTo,
    binding: &Binding,
) -> Result<Option<Subscription>, ExchangeError> {
    let filter = subject_filter(&binding.key)?;
    let BindTo::Queue(name) = to else { return Ok(None) };
    let queue = broker.queue(name).ok_or(ExchangeError::NoQueue)?;
    if queue.is_stored() {
        return Ok(None);
    }
    let options =
        SubscribeOptions { publisher: broker.new_publisher(), ..SubscribeOptions::default() };
    let subscriber = Arc::new(Inflow(Arc::downgrade(&queue)));
    // The queue listens, not the client who binds it.
    let subscription = Who::nobody(|| broker.subscribe(filter, subscriber, 0, options));
    let wrong = |error: crate::live::SubscribeError| ExchangeError::NotAllowed(error.to_string());
    subscription.map(Some).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_s_wildcards_are_whole_words() {
        let matches = |key: &str, of: &str| pattern(key.as_bytes()).matches(&words(of.as_bytes()));
        assert!(matches("a.*.c", "a.b.c") && !matches("a.*.c", "a.c"));
        assert!(matches("#", "") && matches("#", "a.b") && matches("a.#", "a"));
        assert!(matches("#.c", "c") && matches("#.c", "a.b.c") && matches("a.#.b", "a.x.y.b"));
        assert!(matches("a*", "a*") && !matches("a*", "ab"), "part of a word is itself");
        assert!(matches("*", "*") && matches("a..b", "a..b") && matches("a.*.b", "a..b"));
        assert!(matches("a%2Eb", "a%2Eb") && !matches("a%2Eb", "a.b"), "nothing is an escape");
    }
}
