//! Policies: settings of queues and exchanges by their names, which hold from when they are set until they are deleted,
//! for what is there as for what comes.
//!
//! A queue or an exchange is under one policy of its users, and one of its operators: of all that match, the one with
//! the highest priority. What a queue was declared with stays what it is ([`Queue::spec`](crate::queues::Queue::spec));
//! what holds is that and its policies together ([`Queue::settings`](crate::queues::Queue::settings)).

mod pattern;
mod stored;
mod types;
mod verbs;

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::KeyValue;
use parking_lot::RwLock;

pub use pattern::Pattern;
pub(crate) use stored::PREFIX;
pub(crate) use stored::decode as read;
pub(crate) use stored::write;
pub use types::{
    DeliveryLimit, Governing, Policy, PolicyError, PolicyLayer, PolicyName, PolicySettings,
};

use crate::exchanges::ExchangeName;
use crate::queues::{QueueName, QueueSpec};

/// Most policies of a broker: each is tried on each name that is declared.
const POLICIES_MAX: usize = 4096;

/// All policies of this broker.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    all: RwLock<BTreeMap<PolicyName, Arc<Policy>>>,
}

impl Policies {
    /// Those that there were.
    pub(crate) fn load(kvs: &[KeyValue]) -> Self {
        let ours = kvs.iter().filter(|kv| kv.key.starts_with(PREFIX.as_bytes()));
        let all = ours.filter_map(|kv| stored::decode(&kv.key, &kv.value));
        let all = all.map(|policy| (policy.name.clone(), Arc::new(policy))).collect();
        Self { all: RwLock::new(all) }
    }

    /// What a queue is under.
    pub(crate) fn of_queue(&self, name: &QueueName, spec: &QueueSpec) -> Governing {
        self.find(|policy| {
            policy.queues.contains(&spec.kind)
                && policy.name.space == name.space
                && policy.pattern.matches(&name.name)
        })
    }

    /// What an exchange is under.
    pub(crate) fn of_exchange(&self, name: &ExchangeName) -> Governing {
        self.find(|policy| {
            policy.exchanges
                && policy.name.space == name.space
                && policy.pattern.matches(&name.name)
        })
    }

    fn find(&self, is_for: impl Fn(&Policy) -> bool) -> Governing {
        let mut found = Governing::default();
        let all = self.all.read();
        for policy in all.values().filter(|policy| is_for(policy)) {
            let best = match policy.name.layer {
                PolicyLayer::User => &mut found.user,
                PolicyLayer::Operator => &mut found.operator,
            };
            if best.as_ref().is_none_or(|best| best.priority < policy.priority) {
                *best = Some(Arc::clone(policy));
            }
        }
        found
    }
}
