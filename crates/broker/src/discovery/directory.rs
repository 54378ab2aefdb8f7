//! What the registry has below [`ROOT`](super::ROOT): services, their instances, and the leases that own them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::ROOT;
use super::instance::Instance;
use super::lease::{self, Lease};
use crate::registry::{Access, Batch, Change, Children, Entry, Session, Tag};

/// What anybody may do with an entry that is open: write, create and delete.
const OPEN_TO: i32 = 2 | 4 | 8;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// The registry's newest write.
    pub(super) head: Option<Tag>,
    /// Entries by path: the root, services, and what is below them.
    nodes: BTreeMap<Arc<str>, Node>,
    /// Entries ever created below `/`.
    top: i32,
    services: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<Instance>>>,
    count: usize,
    pub(super) leases: HashMap<i64, Lease>,
}

/// An entry.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) entry: Entry,
    /// Entries ever created below it.
    pub(super) created: i32,
    /// Somebody else alone may write it.
    pub(super) is_protected: bool,
}

impl Directory {
    /// Replaces all that is known. Leases that are known keep their time.
    pub(super) fn load(&mut self, picture: &Batch) {
        let leases = std::mem::take(&mut self.leases);
        *self = Self::default();
        self.apply(picture);
        for (number, lease) in &mut self.leases {
            if let Some(known) = leases.get(number) {
                lease.until = known.until;
            }
        }
        self.head = picture.step.as_ref().map(|step| step.tag);
    }

    /// Takes over changes; whether services or instances are others now.
    pub(super) fn apply(&mut self, batch: &Batch) -> bool {
        let mut has_changed = false;
        for change in &batch.changes {
            match change {
                Change::Entry(path, entry) if is_ours(path) => {
                    self.put(path, entry.as_ref());
                    has_changed = true;
                }
                Change::Session(number, session) if lease::is_lease(*number) => {
                    self.put_lease(*number, session.as_ref());
                }
                _ => {}
            }
        }
        // What belongs to an entry comes before it in the order of keys.
        for change in &batch.changes {
            match change {
                Change::Children(path, children) if &**path == "/" => {
                    self.top = children.map_or(0, |children: Children| children.created);
                }
                Change::Children(path, Some(Children { created, .. })) => {
                    if let Some(node) = self.nodes.get_mut(path) {
                        node.created = *created;
                    }
                }
                Change::Access(path, access) => {
                    if let Some(node) = self.nodes.get_mut(path) {
                        node.is_protected = access.as_ref().is_some_and(|access| !is_open(access));
                    }
                }
                _ => {}
            }
        }
        if let Some(step) = &batch.step {
            self.head = Some(step.tag);
        }
        has_changed
    }

    fn put(&mut self, path: &Arc<str>, entry: Option<&Entry>) {
        match entry {
            Some(entry) => {
                let node = self.nodes.entry(Arc::clone(path)).or_default();
                if node.entry.created != entry.created {
                    // Another one in its place.
                    *node = Node::default();
                }
                node.entry = entry.clone();
            }
            None => drop(self.nodes.remove(path)),
        }
        let Some((service, id)) = parts(path) else { return };
        let instance = entry.and_then(|entry| Instance::of(service, id, entry));
        let known = self.services.get_mut(service).and_then(|all| all.remove(id));
        self.count -= usize::from(known.is_some());
        if let Some(instance) = instance {
            let service = Arc::clone(&instance.service);
            let id = Arc::clone(&instance.id);
            self.services.entry(service).or_default().insert(id, Arc::new(instance));
            self.count += 1;
        } else if self.services.get(service).is_some_and(BTreeMap::is_empty) {
            self.services.remove(service);
        }
    }

    fn put_lease(&mut self, number: i64, session: Option<&Session>) {
        let Some(session) = session else {
            self.leases.remove(&number);
            return;
        };
        let timeout = Duration::from_millis(u64::try_from(session.timeout).unwrap_or(0));
        let lease = self.leases.entry(number).or_insert_with(|| Lease {
            secret: session.secret,
            timeout,
            broker: session.broker(),
            // Of those from before a restart nothing else is known: they have their whole time.
            until: Instant::now() + timeout,
        });
        lease.timeout = timeout;
        lease.broker = session.broker();
    }

    /// An entry.
    pub(super) fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Entries ever created below an entry, or below `/`.
    pub(super) fn created(&self, path: &str) -> i32 {
        if path == "/" { self.top } else { self.nodes.get(path).map_or(0, |node| node.created) }
    }

    /// How many entries are right below one.
    pub(super) fn children(&self, path: &str) -> usize {
        let prefix = format!("{path}/");
        let below = (Bound::Included(prefix.as_str()), Bound::Unbounded);
        let below = self.nodes.range::<str, _>(below);
        let below = below.map(|(path, _)| path).take_while(|path| path.starts_with(&prefix));
        below.filter(|path| !path[prefix.len()..].contains('/')).count()
    }

    /// The entries of a lease.
    pub(super) fn owned_by(&self, number: i64) -> impl Iterator<Item = &Arc<str>> {
        let owned = self.nodes.iter().filter(move |(_, node)| node.entry.owner == number);
        owned.map(|(path, _)| path)
    }

    /// The instances of a service.
    pub(super) fn instances(&self, service: &str) -> impl Iterator<Item = &Arc<Instance>> {
        self.services.get(service).into_iter().flat_map(BTreeMap::values)
    }

    /// One of them.
    pub(super) fn instance(&self, service: &str, id: &str) -> Option<&Arc<Instance>> {
        self.services.get(service)?.get(id)
    }

    /// The names of services that have instances.
    pub(super) fn services(&self) -> impl Iterator<Item = &Arc<str>> {
        self.services.keys()
    }

    /// How many instances there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }
}

fn is_ours(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The service and the id of an instance's path.
fn parts(path: &str) -> Option<(&str, &str)> {
    let (service, id) = path.strip_prefix(ROOT)?.strip_prefix('/')?.split_once('/')?;
    (!id.contains('/')).then_some((service, id))
}

fn is_open(access: &Access) -> bool {
    let is_world = |rule: &crate::registry::Rule| {
        rule.scheme == "world" && rule.id == "anyone" && rule.permissions & OPEN_TO == OPEN_TO
    };
    access.rules.is_empty() || access.rules.iter().any(is_world)
}
