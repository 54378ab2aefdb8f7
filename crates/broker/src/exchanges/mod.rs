//! Exchanges: named tables that say to which queues a message goes.
//!
//! One kind, [`ExchangeKind::Subjects`], is the space of subjects itself: what is published to it goes to whoever
//! subscribes to the subject, whatever its protocol, and a queue that is bound to it gets what others publish: a stored
//! one since its topic is told to keep it, one in memory since it subscribes. Exchanges may be bound to it, too.
//!
//! Publishers remember routes ([`ExchangeRoutes`]); one counter says whether anything has changed since.

mod bindings;
mod flow;
mod route;
mod spaces;
mod stored;
mod subjects;
mod types;
mod verbs;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use cluster::KeyValue;
use parking_lot::RwLock;

pub use bindings::{Exchange, name_in_rules};
pub(crate) use flow::Tally;
pub use flow::{ExchangeFlow, SpaceFlow, SpaceFlows};
pub use route::{ExchangeRoutes, QueueRoute, Target};
pub use spaces::{MARK, SUBJECTS, Spaces};
pub(crate) use stored::{BINDINGS, EXCHANGES};
#[cfg(feature = "fuzzing")]
pub(crate) use stored::{binding as read_binding, exchange as read_exchange};
pub(crate) use subjects::LedOn;
pub use types::{
    BindTo, Binding, ExchangeError, ExchangeKind, ExchangeName, ExchangeSpec, HeaderMatch,
    HeaderValue, Headers,
};

use crate::queues::QueueName;
use crate::{Broker, Message};

/// Most exchanges of a broker.
const EXCHANGES_MAX: usize = 100_000;

/// Reads the headers of a message that is in a queue, as its publisher's door compares them.
pub type ReadHeaders = fn(&Message) -> Headers;

impl Broker {
    /// Says how headers are read where a queue gives up a message, and an exchange that goes by headers gets it: its
    /// publisher's door is not there then. The first who says so is asked.
    pub fn read_headers_with(&self, read: ReadHeaders) {
        self.inner.exchanges.reader.get_or_init(|| read);
    }
}

/// All exchanges of this broker.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    maps: RwLock<HashMap<ExchangeName, Arc<Exchange>>>,
    /// Counts changes: of exchanges, bindings, queues and their topics.
    epoch: AtomicU64,
    /// One changes something at a time, so that there is one outcome.
    changes: tokio::sync::Mutex<()>,
    /// Exchanges that are the space of subjects, …
    of_subjects: RwLock<Vec<Arc<Exchange>>>,
    /// … and whether other exchanges are bound to any of them.
    leads_on: AtomicBool,
    reader: OnceLock<ReadHeaders>,
    pub(crate) spaced: flow::Spaced,
}

impl Exchanges {
    /// Routes are looked up anew.
    pub(crate) fn changed(&self) {
        let leads_on = self.of_subjects.read().iter().any(|exchange| exchange.leads_on());
        self.leads_on.store(leads_on, Ordering::Release);
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether what is published to subjects goes on to other exchanges.
    pub(crate) fn leads_on(&self) -> bool {
        self.leads_on.load(Ordering::Acquire)
    }

    /// Adds an exchange.
    fn add(&self, exchange: Exchange) {
        let exchange = Arc::new(exchange);
        if exchange.spec().kind == ExchangeKind::Subjects {
            self.of_subjects.write().push(Arc::clone(&exchange));
        }
        self.maps.write().insert(exchange.name().clone(), exchange);
    }

    /// Nobody else changes anything while this is held.
    pub(crate) async fn change(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changes.lock().await
    }

    /// A message's headers, if there is anybody who can read them.
    pub(crate) fn headers(&self, message: &Message) -> Headers {
        self.reader.get().map(|read| read(message)).unwrap_or_default()
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    fn get(&self, name: &ExchangeName) -> Option<Arc<Exchange>> {
        self.maps.read().get(name).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Exchange>> {
        self.maps.read().values().cloned().collect()
    }

    /// The exchange that is the space of subjects, in this namespace.
    pub(crate) fn of_subjects(&self, space: &Bytes) -> Option<Bytes> {
        let all = self.of_subjects.read();
        let of = all.iter().find(|one| one.name().space == *space);
        of.map(|one| one.name().name.clone())
    }

    /// Opens the exchanges that there were, with what is bound to them. Queues are open already.
    pub(crate) fn begin(&self, broker: &Broker, kvs: &[KeyValue]) {
        for kv in kvs.iter().filter(|kv| kv.key.starts_with(EXCHANGES.as_bytes())) {
            if let Some((name, spec)) = stored::exchange(&kv.key, &kv.value) {
                let governing = broker.inner.policies.of_exchange(&name);
                self.add(Exchange::new(name, spec, governing));
            }
        }
        for kv in kvs.iter().filter(|kv| kv.key.starts_with(BINDINGS.as_bytes())) {
            let Some((source, to, binding)) = stored::binding(&kv.key, &kv.value) else { continue };
            let key = String::from_utf8_lossy(&kv.key).into_owned();
            let Some(exchange) = self.get(&source) else { continue };
            if let Err(error) = exchange.insert(broker, &to, binding, Some(key)) {
                tracing::warn!(?source, ?to, %error, "a binding cannot be made again");
            }
        }
        self.changed();
    }

    /// Where in the metadata store it stands that a queue is bound.
    pub(crate) fn stored_bindings(&self, name: &QueueName) -> Vec<String> {
        let to = BindTo::Queue(name.clone());
        self.all().iter().flat_map(|exchange| exchange.stored_bindings(&to)).collect()
    }

    /// A queue is gone, and what bound it. Returns what is to be deleted of the metadata store.
    pub(crate) fn queue_gone(&self, name: &QueueName) -> Vec<String> {
        self.unbind_all(&BindTo::Queue(name.clone()))
    }

    /// Nothing is bound to this any more.
    fn unbind_all(&self, to: &BindTo) -> Vec<String> {
        let mut removed = Vec::new();
        for exchange in self.all() {
            let keys = exchange.remove_all(to);
            if !keys.is_empty() && exchange.spec().auto_delete && exchange.is_unused() {
                removed.extend(self.forget(&exchange));
            }
            removed.extend(keys.into_iter().flatten());
        }
        self.changed();
        removed
    }

    /// An exchange is gone, and what was bound to it, and what it was bound to. Returns what is to be deleted of the
    /// metadata store.
    fn forget(&self, exchange: &Arc<Exchange>) -> Vec<String> {
        let name = exchange.name();
        self.maps.write().remove(name);
        let flow = SpaceFlow { exchanges: exchange.flow(), ..SpaceFlow::default() };
        self.spaced.gone(&name.space, flow);
        self.of_subjects.write().retain(|other| other.name() != name);
        let mut removed = exchange.clear();
        if exchange.spec().durable {
            removed.push(stored::exchange_key(name));
        }
        removed.extend(self.unbind_all(&BindTo::Exchange(name.clone())));
        removed
    }
}
