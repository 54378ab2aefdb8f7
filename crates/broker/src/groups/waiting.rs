//! Who waits for records of shared subscriptions.

use std::collections::HashMap;
use std::sync::Arc;

use queue::Name;
use store::Signal;

use super::Groups;

/// The waiting consumers of each subscription.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    by_subscription: HashMap<Name, Vec<Signal>>,
}

impl Waiting {
    pub(super) fn wake(&self, subscription: &str) {
        for signal in self.by_subscription.get(subscription).into_iter().flatten() {
            // Stores a permit if nobody waits yet.
            signal.notify_one();
        }
    }
}

/// Keeps a signal on a subscription; dropping it takes the signal off.
#[derive(Debug)]
pub(crate) struct Watching<'a> {
    groups: &'a Groups,
    subscription: Name,
    signal: Signal,
}

impl Groups {
    /// Calls `signal` whenever records of the subscription may have become free.
    pub(crate) fn watch<'a>(&'a self, subscription: &Name, signal: &Signal) -> Watching<'a> {
        let mut state = self.state.lock();
        let waiting = state.waiting.by_subscription.entry(subscription.clone()).or_default();
        waiting.push(Arc::clone(signal));
        Watching { groups: self, subscription: subscription.clone(), signal: Arc::clone(signal) }
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        let mut state = self.groups.state.lock();
        let by_subscription = &mut state.waiting.by_subscription;
        let Some(waiting) = by_subscription.get_mut(&self.subscription) else { return };
        if let Some(at) = waiting.iter().position(|one| Arc::ptr_eq(one, &self.signal)) {
            waiting.swap_remove(at);
        }
        if waiting.is_empty() {
            by_subscription.remove(&self.subscription);
        }
    }
}
