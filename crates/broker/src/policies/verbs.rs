//! Setting and deleting policies.

use std::sync::Arc;

use bytes::Bytes;
use cluster::{MetaError, Op, Txn};

use super::types::{Policy, PolicyError, PolicyName};
use super::{POLICIES_MAX, stored};
use crate::Broker;

/// Longest name, and longest namespace, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Longest arguments that a door has kept.
const ARGUMENTS_BYTES_MAX: usize = 64 * 1024;
/// Queues that are looked at before others have their turn.
const AT_ONCE: usize = 256;

impl Broker {
    /// All policies, by namespace, layer and name.
    pub fn policies(&self) -> Vec<Arc<Policy>> {
        self.inner.policies.all.read().values().cloned().collect()
    }

    /// The policy of this name.
    pub fn policy(&self, name: &PolicyName) -> Option<Arc<Policy>> {
        self.inner.policies.all.read().get(name).cloned()
    }

    /// Sets a policy, in the place of the one that has its name; whether there was none. It holds when this returns.
    ///
    /// # Errors
    /// See [`PolicyError`]. [`PolicyError::Unavailable`] after it was written: of some streams it does not hold before it
    /// is set again, or the broker started.
    pub async fn set_policy(&self, policy: Policy) -> Result<bool, PolicyError> {
        check(&policy)?;
        let _queues = self.inner.queues.change().await;
        let policies = &self.inner.policies;
        let name = policy.name.clone();
        let is_new = self.policy(&name).is_none();
        if is_new && policies.all.read().len() >= POLICIES_MAX {
            return Err(PolicyError::LimitReached);
        }
        let put = Op::put(stored::key(&name), stored::encode(&policy));
        self.inner.meta.txn(Txn::new().then(put)).await.map_err(unavailable)?;
        let space = name.space.clone();
        policies.all.write().insert(name, Arc::new(policy));
        self.govern(&space).await?;
        Ok(is_new)
    }

    /// Deletes a policy. What was under it is under the next one that matches, or none, when this returns.
    ///
    /// # Errors
    /// [`PolicyError::NotFound`], [`PolicyError::Unavailable`] as above.
    pub async fn delete_policy(&self, name: &PolicyName) -> Result<(), PolicyError> {
        let _queues = self.inner.queues.change().await;
        self.policy(name).ok_or(PolicyError::NotFound)?;
        self.delete_keys(vec![stored::key(name)]).await.map_err(unavailable)?;
        self.inner.policies.all.write().remove(name);
        self.govern(&name.space).await
    }

    /// Has all queues and exchanges of a namespace be as they are to be now.
    async fn govern(&self, space: &Bytes) -> Result<(), PolicyError> {
        let mut outcome = Ok(());
        let queues = self.queues().into_iter().filter(|queue| queue.name().space == *space);
        for (number, queue) in queues.enumerate() {
            if queue.govern(self.inner.policies.of_queue(queue.name(), queue.spec()))
                && let Err(error) = self.keep_stream(&queue).await
            {
                let error = error.to_string();
                tracing::warn!(queue = ?queue.name(), error, "a policy does not hold of a stream");
                outcome = Err(PolicyError::Unavailable(error));
            }
            if number % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        let _exchanges = self.inner.exchanges.change().await;
        for exchange in self.exchanges() {
            if exchange.name().space == *space {
                exchange.govern(self.inner.policies.of_exchange(exchange.name()));
            }
        }
        self.inner.exchanges.changed();
        outcome
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn unavailable(error: MetaError) -> PolicyError {
    PolicyError::Unavailable(error.to_string())
}

fn check(policy: &Policy) -> Result<(), PolicyError> {
    let wrong = |text: &str| Err(PolicyError::NotAllowed(text.to_owned()));
    let PolicyName { space, name, .. } = &policy.name;
    if name.is_empty() {
        return wrong("a policy has a name");
    }
    if name.len() > NAME_BYTES_MAX || space.len() > NAME_BYTES_MAX {
        return wrong("the name of a policy has 255 bytes at most");
    }
    if policy.arguments.len() > ARGUMENTS_BYTES_MAX {
        return wrong("the definition of a policy has 65,536 bytes at most");
    }
    let settings = &policy.settings;
    let times = [settings.message_ttl, settings.expires, settings.age_max];
    if times.into_iter().flatten().any(|time| time < 0) || settings.expires == Some(0) {
        return wrong("a time is not negative, and a queue lives for a while");
    }
    let names = [&settings.dead_letter_exchange, &settings.dead_letter_key, &settings.alternate];
    if names.into_iter().flatten().any(|name| name.len() > NAME_BYTES_MAX) {
        return wrong("the name of an exchange, and a routing key, have 255 bytes at most");
    }
    Ok(())
}
