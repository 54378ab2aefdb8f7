//! Declaring, deleting and binding exchanges.

use std::sync::Arc;

use base::TopicId;
use base::subject::FILTERS;
use cluster::{MetaError, Op, Txn};

use super::bindings::{Exchange, subject_filter};
use super::types::{BindTo, Binding, ExchangeError, ExchangeKind, ExchangeName, ExchangeSpec};
use super::{EXCHANGES_MAX, stored};
use crate::Broker;
use crate::queues::Queue;

/// Longest name, and longest key, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Longest arguments that a door has kept, and longest headers that are asked for.
const ARGUMENTS_BYTES_MAX: usize = 64 * 1024;
/// The metadata store deletes so many keys at once.
const DELETED_AT_ONCE: usize = 100;

impl Broker {
    /// Declares an exchange; whether it is new. One that exists already must have been declared likewise, but for its
    /// arguments, which are the door's to compare.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn declare_exchange(
        &self,
        name: &ExchangeName,
        spec: &ExchangeSpec,
    ) -> Result<bool, ExchangeError> {
        check(name, spec)?;
        let exchanges = &self.inner.exchanges;
        let _one = exchanges.change().await;
        if let Some(exchange) = exchanges.get(name) {
            return same(exchange.spec(), spec).map(|()| false);
        }
        if exchanges.maps.read().len() >= EXCHANGES_MAX {
            return Err(ExchangeError::LimitReached);
        }
        if spec.durable {
            let put = Op::put(stored::exchange_key(name), stored::encode_exchange(spec));
            self.inner.meta.txn(Txn::new().then(put)).await.map_err(unavailable)?;
        }
        let governing = self.inner.policies.of_exchange(name);
        exchanges.add(Exchange::new(name.clone(), spec.clone(), governing));
        exchanges.changed();
        Ok(true)
    }

    /// The exchange of this name. The one without a name is none of these.
    pub fn exchange(&self, name: &ExchangeName) -> Option<Arc<Exchange>> {
        self.inner.exchanges.get(name)
    }

    /// All exchanges.
    pub fn exchanges(&self) -> Vec<Arc<Exchange>> {
        self.inner.exchanges.all()
    }

    /// Deletes an exchange and its bindings; only if nothing is bound to it, if that is asked for.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`], [`ExchangeError::InUse`], [`ExchangeError::Unavailable`].
    pub async fn delete_exchange(
        &self,
        name: &ExchangeName,
        if_unused: bool,
    ) -> Result<(), ExchangeError> {
        let exchanges = &self.inner.exchanges;
        let _one = exchanges.change().await;
        let exchange = exchanges.get(name).ok_or(ExchangeError::NotFound)?;
        if if_unused && !exchange.is_unused() {
            return Err(ExchangeError::InUse);
        }
        let bound = exchange.bindings();
        let removed = exchanges.forget(&exchange);
        if exchange.spec().kind == ExchangeKind::Subjects {
            for (to, _) in &bound {
                self.keep_bound(to).await?;
            }
        }
        self.delete_keys(removed).await.map_err(unavailable)
    }

    /// Binds a queue, or an exchange, to an exchange. One more time changes nothing.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn bind(
        &self,
        source: &ExchangeName,
        to: &BindTo,
        binding: Binding,
    ) -> Result<(), ExchangeError> {
        check_binding(source, to, &binding)?;
        let exchanges = &self.inner.exchanges;
        let _one = exchanges.change().await;
        let exchange = exchanges.get(source).ok_or(ExchangeError::NotFound)?;
        let is_durable = match to {
            BindTo::Queue(name) => self.queue(name).ok_or(ExchangeError::NoQueue)?.is_stored(),
            BindTo::Exchange(name) => {
                exchanges.get(name).ok_or(ExchangeError::NotFound)?.spec().durable
            }
        };
        if exchange.has(to, &binding) {
            return Ok(());
        }
        let chance = TopicId::random(self.options().random.as_ref()).0;
        let is_durable = is_durable && exchange.spec().durable;
        let key = is_durable.then(|| stored::binding_key(chance));
        exchange.insert(self, to, binding.clone(), key.clone())?;
        let stored = async {
            if let Some(key) = key {
                let put = Op::put(key, stored::encode_binding(source, to, &binding));
                self.inner.meta.txn(Txn::new().then(put)).await.map_err(unavailable)?;
            }
            match exchange.spec().kind {
                ExchangeKind::Subjects => self.keep_bound(to).await,
                _ => Ok(()),
            }
        };
        let stored = stored.await;
        if stored.is_err() {
            exchange.remove(to, &binding);
        }
        exchanges.changed();
        stored
    }

    /// The reverse of [`Self::bind`]. What is not bound is left alone.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn unbind(
        &self,
        source: &ExchangeName,
        to: &BindTo,
        binding: &Binding,
    ) -> Result<(), ExchangeError> {
        let exchanges = &self.inner.exchanges;
        let _one = exchanges.change().await;
        let exchange = exchanges.get(source).ok_or(ExchangeError::NotFound)?;
        let Some(key) = exchange.remove(to, binding) else { return Ok(()) };
        let mut removed: Vec<_> = key.into_iter().collect();
        if exchange.spec().auto_delete && exchange.is_unused() {
            removed.extend(exchanges.forget(&exchange));
        }
        exchanges.changed();
        self.delete_keys(removed).await.map_err(unavailable)?;
        match exchange.spec().kind {
            ExchangeKind::Subjects => self.keep_bound(to).await,
            _ => Ok(()),
        }
    }

    /// Has a stored queue's topic keep what the queue is bound to.
    async fn keep_bound(&self, to: &BindTo) -> Result<(), ExchangeError> {
        let BindTo::Queue(name) = to else { return Ok(()) };
        let Some((queue, topic)) =
            self.queue(name).and_then(|queue| queue.stored_in().map(|topic| (queue, topic)))
        else {
            return Ok(());
        };
        let bound = self.bound_to_subjects(&queue)?;
        let is_own = queue.is_own();
        let text = |filter: &base::Filter| {
            String::from_utf8_lossy(&FILTERS.filter_name(filter)).into_owned()
        };
        let filters: Vec<String> = bound.iter().map(text).collect();
        let change = |config: &mut std::collections::BTreeMap<String, String>| {
            let known = config.get("entrepot.bind").filter(|_| !is_own);
            let known = known.iter().flat_map(|text| text.split_ascii_whitespace());
            let mut all: Vec<&str> = known.collect();
            all.extend(filters.iter().map(String::as_str));
            all.sort_unstable();
            all.dedup();
            let all = all.join(" ");
            config.insert("entrepot.bind".to_owned(), all);
        };
        let changed = self.set_topic_config(&topic, change).await;
        changed.map_err(|error| ExchangeError::NotAllowed(error.to_string()))
    }

    /// What a queue is bound to in the space of subjects.
    fn bound_to_subjects(&self, queue: &Arc<Queue>) -> Result<Vec<base::Filter>, ExchangeError> {
        let mut filters = Vec::new();
        let all = self.exchanges().into_iter();
        for exchange in all.filter(|one| one.spec().kind == ExchangeKind::Subjects) {
            for (to, binding) in exchange.bindings() {
                if matches!(&to, BindTo::Queue(name) if name == queue.name()) {
                    filters.push(subject_filter(&binding.key)?);
                }
            }
        }
        Ok(filters)
    }

    /// Deletes keys of the metadata store, in this order.
    pub(crate) async fn delete_keys(&self, keys: Vec<String>) -> Result<(), MetaError> {
        for some in keys.chunks(DELETED_AT_ONCE) {
            let txn = some.iter().fold(Txn::new(), |txn, key| txn.then(Op::delete(key.clone())));
            self.inner.meta.txn(txn).await?;
        }
        Ok(())
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn unavailable(error: MetaError) -> ExchangeError {
    ExchangeError::Unavailable(error.to_string())
}

fn check(name: &ExchangeName, spec: &ExchangeSpec) -> Result<(), ExchangeError> {
    let wrong = |text: &str| Err(ExchangeError::NotAllowed(text.to_owned()));
    if name.name.is_empty() {
        return wrong("the exchange without a name is there always");
    }
    if name.name.len() > NAME_BYTES_MAX || name.space.len() > NAME_BYTES_MAX {
        return wrong("the name of an exchange has 255 bytes at most");
    }
    if spec.arguments.len() > ARGUMENTS_BYTES_MAX {
        return wrong("the arguments of an exchange have 65,536 bytes at most");
    }
    if spec.kind == ExchangeKind::Subjects && !name.space.is_empty() {
        return wrong("the space of subjects is in the default namespace");
    }
    Ok(())
}

fn check_binding(
    source: &ExchangeName,
    to: &BindTo,
    binding: &Binding,
) -> Result<(), ExchangeError> {
    let wrong = |text: &str| Err(ExchangeError::NotAllowed(text.to_owned()));
    if source.name.is_empty() {
        return wrong("queues are bound to the exchange without a name by their names");
    }
    let space = match to {
        BindTo::Queue(name) => &name.space,
        BindTo::Exchange(name) => &name.space,
    };
    if *space != source.space {
        return wrong("what is bound is in the namespace of the exchange");
    }
    let asked = binding.matching.iter().flat_map(|asked| &asked.headers);
    let asked: usize = asked.map(|(name, _)| name.len() + 1).sum();
    if binding.key.len() > NAME_BYTES_MAX
        || binding.arguments.len() > ARGUMENTS_BYTES_MAX
        || asked > ARGUMENTS_BYTES_MAX
    {
        return wrong("a key has 255 bytes at most, and arguments 65,536");
    }
    Ok(())
}

/// Whether an exchange was declared as it is now.
fn same(is: &ExchangeSpec, wanted: &ExchangeSpec) -> Result<(), ExchangeError> {
    let checks = [
        ("type", is.kind == wanted.kind),
        ("durable", is.durable == wanted.durable),
        ("auto_delete", is.auto_delete == wanted.auto_delete),
        ("internal", is.internal == wanted.internal),
        ("alternate exchange", is.alternate == wanted.alternate),
    ];
    match checks.into_iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(ExchangeError::NotEquivalent { what }),
        None => Ok(()),
    }
}
