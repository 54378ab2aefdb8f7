//! Whoever is at the other end of a connection, and what they may do.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use base::{Filter, Principal, Subject};
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use queue::consumer_group::Sight;

use super::CLUSTER;
use super::index::{Rules, Who};
use super::rule::{Operation, Operations, ResourceKind, Rule};
use crate::Broker;
use crate::observing::is_of_events;

/// Resources of a kind that one connection remembers. Past it, all are forgotten and looked up
/// anew.
const REMEMBERED_MAX: usize = 256;

/// A principal on a connection. Clones share what they remember.
#[derive(Debug, Clone)]
pub struct Actor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    broker: Broker,
    principal: Principal,
    everybody: &'static Principal,
    host: Arc<str>,
    /// Nothing is asked of rules: they are not enforced, or do not bind this one.
    free: bool,
    /// Made when it is first asked for: of most, nothing is.
    known: Mutex<Option<Box<Known>>>,
}

/// What was looked up in one set of rules.
#[derive(Debug, Default)]
struct Known {
    rules: Arc<Rules>,
    operations: [HashMap<Box<str>, Operations>; ResourceKind::ALL.len()],
    /// Which topics may be described.
    sight: Option<Sight>,
}

/// What somebody's permissions rest on: who they are, and the rules. As long as it is the same, so
/// is what they may do.
#[derive(Debug, Clone)]
pub struct Grounds(Option<(Principal, Arc<str>, Weak<Rules>)>);

impl PartialEq for Grounds {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            // What is pointed at stays allocated: no other set of rules takes its address.
            (Some((who, host, rules)), Some((other_who, other_host, other_rules))) => {
                who == other_who && host == other_host && rules.ptr_eq(other_rules)
            }
            _ => false,
        }
    }
}

impl Broker {
    /// Who acts on a connection; `host` is their address as text.
    pub fn actor(&self, principal: Principal, host: Arc<str>) -> Actor {
        let access = &self.options().access;
        let free = !access.enforce || access.super_users.contains(&principal);
        let everybody = Rule::everybody();
        let known = Mutex::default();
        let inner = Inner { broker: self.clone(), principal, everybody, host, free, known };
        Actor { inner: Arc::new(inner) }
    }
}

impl Actor {
    /// Who it is.
    pub fn principal(&self) -> &Principal {
        &self.inner.principal
    }

    /// Where they come from.
    pub fn host(&self) -> &Arc<str> {
        &self.inner.host
    }

    /// Whether they may do everything, so that nobody needs to ask further.
    pub fn is_free(&self) -> bool {
        self.inner.free
    }

    /// What their permissions rest on at present, for who remembers what was allowed.
    pub fn grounds(&self) -> Grounds {
        let inner = &*self.inner;
        if inner.free {
            return Grounds(None);
        }
        let rules = Arc::downgrade(&inner.broker.inner.metadata.borrow().access);
        Grounds(Some((inner.principal.clone(), Arc::clone(&inner.host), rules)))
    }

    /// Whether they may do this with a resource.
    pub fn may(&self, operation: Operation, kind: ResourceKind, name: &str) -> bool {
        if self.inner.free {
            return true;
        }
        let allowed = self.operations(kind, name).has(operation);
        if !allowed {
            let (principal, host) = (&self.inner.principal, &self.inner.host);
            tracing::debug!(target: "access", %principal, %host, %operation, %kind, name, "denied");
        }
        allowed
    }

    /// Whether they may do this with the cluster.
    pub fn may_cluster(&self, operation: Operation) -> bool {
        self.may(operation, ResourceKind::Cluster, CLUSTER)
    }

    /// Whether they may do this with a topic.
    pub fn may_topic(&self, operation: Operation, name: &str) -> bool {
        self.may(operation, ResourceKind::Topic, name)
    }

    /// Whether they may do this with a subject, which to the rules is a topic of its name. Nobody may write what the broker says.
    pub fn may_subject(&self, operation: Operation, subject: &Subject) -> bool {
        if operation == Operation::Write && is_of_events(subject) {
            return false;
        }
        self.is_free() || self.may_topic(operation, &subject.to_string())
    }

    /// Whether they may read what a filter matches. With wildcards, what stands before the first one decides
    /// ([`Filter::head`]): only a rule for a beginning of that, or for everything, can allow it.
    pub fn may_read(&self, filter: &Filter) -> bool {
        self.is_free() || self.may_topic(Operation::Read, &filter.head())
    }

    /// Whether they may do this with a group.
    pub fn may_group(&self, operation: Operation, name: &str) -> bool {
        self.may(operation, ResourceKind::Group, name)
    }

    /// Whether they may do this with a transactional id.
    pub fn may_transaction(&self, operation: Operation, id: &str) -> bool {
        self.may(operation, ResourceKind::Transaction, id)
    }

    /// Whether there is any resource of this kind, existing or not, with which they may do this.
    pub fn may_any(&self, operation: Operation, kind: ResourceKind) -> bool {
        let inner = &*self.inner;
        let if_no_rule = inner.broker.options().access.allow_if_no_rule;
        let rules = Arc::clone(&inner.broker.inner.metadata.borrow().access);
        inner.free || rules.any_allows(&inner.who(), operation, kind, if_no_rule)
    }

    /// All that they may do with a resource.
    pub fn operations(&self, kind: ResourceKind, name: &str) -> Operations {
        let inner = &*self.inner;
        if inner.free {
            return Operations::every();
        }
        inner.known().operations(inner, kind, name)
    }

    /// Which topics they may know of, by the rules of now: the same for as long as these do not
    /// change.
    pub fn sight(&self) -> Sight {
        let inner = &*self.inner;
        if inner.free {
            return Sight::EVERYTHING;
        }
        let mut known = inner.known();
        let rules = Arc::clone(&known.rules);
        known.sight.get_or_insert_with(|| inner.sight(rules)).clone()
    }
}

impl Inner {
    fn who(&self) -> Who<'_> {
        Who { principal: &self.principal, everybody: self.everybody, host: &self.host }
    }

    /// What is known of the rules of now.
    fn known(&self) -> MappedMutexGuard<'_, Known> {
        MutexGuard::map(self.known.lock(), |known| {
            let metadata = self.broker.inner.metadata.borrow();
            if known.as_ref().is_some_and(|one| !Arc::ptr_eq(&metadata.access, &one.rules)) {
                *known = None;
            }
            &mut **known.get_or_insert_with(|| {
                let rules = Arc::clone(&metadata.access);
                Box::new(Known { rules, ..Known::default() })
            })
        })
    }

    fn sight(&self, rules: Arc<Rules>) -> Sight {
        let (principal, everybody) = (self.principal.clone(), self.everybody);
        let host = Arc::clone(&self.host);
        let if_no_rule = self.broker.options().access.allow_if_no_rule;
        Sight::of(move |topic| {
            let who = Who { principal: &principal, everybody, host: &host };
            let allowed = rules.operations(&who, ResourceKind::Topic, topic, if_no_rule);
            allowed.has(Operation::Describe)
        })
    }
}

impl Known {
    fn operations(&mut self, actor: &Inner, kind: ResourceKind, name: &str) -> Operations {
        let Some(known) = self.operations.get_mut(kind as usize) else { return Operations::NONE };
        if let Some(operations) = known.get(name) {
            return *operations;
        }
        let if_no_rule = actor.broker.options().access.allow_if_no_rule;
        let operations = self.rules.operations(&actor.who(), kind, name, if_no_rule);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(name.into(), operations);
        operations
    }
}

#[cfg(test)]
impl Actor {
    /// How many resources it remembers.
    pub(super) fn remembered(&self) -> usize {
        let known = self.inner.known.lock();
        known.iter().flat_map(|known| &known.operations).map(HashMap::len).sum()
    }
}
