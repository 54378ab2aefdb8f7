//! Who wants to know what.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::limits::{WATCH_BYTES_MAX, WATCH_BYTES_TOTAL_MAX, WATCH_COST};
use crate::tree::{Change, split};
use crate::wire::reply::EventKind;

#[cfg(test)]
mod tests;

/// A connection, which is what watches belong to: a client that reconnects sets them again.
pub(crate) type ClientId = u64;

/// A set of kinds of watches, of one client on one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kinds(u8);

impl Kinds {
    /// One-shot: the node is created, deleted or written.
    pub(crate) const DATA: Self = Self(1);
    /// One-shot: a child is created or deleted, or the node is deleted.
    pub(crate) const CHILDREN: Self = Self(2);
    /// Both, until removed.
    pub(crate) const PERSISTENT: Self = Self(4);
    /// The node and all below it: created, deleted or written; until removed.
    pub(crate) const RECURSIVE: Self = Self(8);
    /// Every kind.
    pub(crate) const ANY: Self = Self(15);
    /// The one-shot ones.
    const ONCE: Self = Self(3);

    /// Both sets together.
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// The client's watches would cost more memory than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyWatches;

/// All watches.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    by_path: HashMap<Arc<str>, HashMap<ClientId, Kinds>>,
    by_client: HashMap<ClientId, Watched>,
    bytes: usize,
    /// Recursive watches; without any, no path's parents need to be looked at.
    recursive: usize,
}

/// What one client watches.
#[derive(Debug, Default)]
struct Watched {
    paths: HashSet<Arc<str>>,
    bytes: usize,
}

impl Watches {
    /// Adds to what `client` watches at `path`.
    pub(crate) fn add(
        &mut self,
        client: ClientId,
        path: &str,
        kinds: Kinds,
    ) -> Result<(), TooManyWatches> {
        let cost = path.len() + WATCH_COST;
        let watched = self.by_client.entry(client).or_default();
        if !watched.paths.contains(path) {
            if watched.bytes + cost > WATCH_BYTES_MAX || self.bytes + cost > WATCH_BYTES_TOTAL_MAX {
                return Err(TooManyWatches);
            }
            let path = self
                .by_path
                .get_key_value(path)
                .map_or_else(|| path.into(), |(path, _)| Arc::clone(path));
            watched.bytes += cost;
            self.bytes += cost;
            watched.paths.insert(path);
        }
        let path = watched.paths.get(path).map_or_else(|| path.into(), Arc::clone);
        let held = self.by_path.entry(path).or_default().entry(client).or_default();
        self.recursive +=
            usize::from(kinds.meets(Kinds::RECURSIVE) && !held.meets(Kinds::RECURSIVE));
        *held = held.or(kinds);
        Ok(())
    }

    /// Whether `client` watches `path` in one of these ways.
    pub(crate) fn contains(&self, client: ClientId, path: &str, kinds: Kinds) -> bool {
        let held = self.by_path.get(path).and_then(|clients| clients.get(&client));
        held.is_some_and(|held| held.meets(kinds))
    }

    /// Takes these kinds of watches away; false when there was none.
    pub(crate) fn remove(&mut self, client: ClientId, path: &str, kinds: Kinds) -> bool {
        let Some((path, clients)) = self.by_path.get_key_value(path) else { return false };
        let path = Arc::clone(path);
        let Some(held) = clients.get(&client).copied().filter(|held| held.meets(kinds)) else {
            return false;
        };
        self.keep(client, &path, held.without(kinds));
        true
    }

    /// Forgets all that `client` watches.
    pub(crate) fn forget(&mut self, client: ClientId) {
        let watched = self.by_client.remove(&client).unwrap_or_default();
        self.bytes -= watched.bytes;
        for path in watched.paths {
            self.take_from_path(client, &path);
        }
    }

    /// Whom to tell of `change`, and what: the node's event, then its parent's. One-shot watches
    /// are used up by it.
    pub(crate) fn fire(
        &mut self,
        change: &Change,
        mut tell: impl FnMut(ClientId, EventKind, &Arc<str>),
    ) {
        let whole = Kinds::PERSISTENT.or(Kinds::RECURSIVE);
        let (path, kind, kinds) = match change {
            Change::Created(path) => (path, EventKind::Created, Kinds::DATA.or(whole)),
            Change::DataChanged(path) => (path, EventKind::DataChanged, Kinds::DATA.or(whole)),
            Change::Deleted(path) => (path, EventKind::Deleted, Kinds::ANY),
        };
        let mut clients = self.use_up(path, kinds);
        clients.extend(self.recursive_above(path));
        for client in clients {
            tell(client, kind, path);
        }
        if kind != EventKind::DataChanged {
            let (parent, _) = split(path);
            let clients = self.use_up(parent, Kinds::CHILDREN.or(Kinds::PERSISTENT));
            if !clients.is_empty() {
                let parent = parent.into();
                for client in clients {
                    tell(client, EventKind::ChildrenChanged, &parent);
                }
            }
        }
    }

    /// Whether nobody watches anything.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    /// Pairs of client and path.
    pub(crate) fn len(&self) -> usize {
        self.by_client.values().map(|watched| watched.paths.len()).sum()
    }

    /// The clients that watch `path` in one of these ways; their one-shot watches among them are
    /// used up. In order, so that a run can be repeated.
    fn use_up(&mut self, path: &str, kinds: Kinds) -> BTreeSet<ClientId> {
        let Some((path, clients)) = self.by_path.get_key_value(path) else {
            return BTreeSet::new();
        };
        let path = Arc::clone(path);
        let held: Vec<_> = clients
            .iter()
            .filter(|(_, held)| held.meets(kinds))
            .map(|(client, held)| (*client, *held))
            .collect();
        let used = Kinds(kinds.0 & Kinds::ONCE.0);
        for (client, held) in &held {
            self.keep(*client, &path, held.without(used));
        }
        held.into_iter().map(|(client, _)| client).collect()
    }

    fn recursive_above(&self, path: &str) -> BTreeSet<ClientId> {
        let mut clients = BTreeSet::new();
        let mut at = path;
        while self.recursive > 0 && at != "/" {
            at = split(at).0;
            let held = self.by_path.get(at).into_iter().flatten();
            clients.extend(
                held.filter(|(_, held)| held.meets(Kinds::RECURSIVE)).map(|(client, _)| *client),
            );
        }
        clients
    }

    /// Leaves `client` with these kinds at `path`, which it watches.
    fn keep(&mut self, client: ClientId, path: &Arc<str>, kinds: Kinds) {
        self.take_from_path(client, path);
        if kinds != Kinds::default() {
            self.recursive += usize::from(kinds.meets(Kinds::RECURSIVE));
            self.by_path.entry(Arc::clone(path)).or_default().insert(client, kinds);
            return;
        }
        let cost = path.len() + WATCH_COST;
        if let Some(watched) = self.by_client.get_mut(&client)
            && watched.paths.remove(path)
        {
            watched.bytes -= cost;
            self.bytes -= cost;
        }
    }

    fn take_from_path(&mut self, client: ClientId, path: &Arc<str>) {
        let Some(clients) = self.by_path.get_mut(path) else { return };
        if let Some(held) = clients.remove(&client) {
            self.recursive -= usize::from(held.meets(Kinds::RECURSIVE));
        }
        if clients.is_empty() {
            self.by_path.remove(path);
        }
    }
}
