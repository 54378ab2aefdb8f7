//! The tree of znodes, and what changed in it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use base::Millis;
use bytes::Bytes;

use crate::wire::reply::Stat;

#[cfg(test)]
mod tests;

/// One node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// Its data; none is null, which is not the same as empty.
    pub(crate) data: Option<Bytes>,
    /// The last parts of its children's paths.
    pub(crate) children: BTreeSet<Box<str>>,
    /// Both lengths in it are filled in by [`Self::stat`].
    stat: Stat,
}

impl Node {
    /// The node's stat.
    pub(crate) fn stat(&self) -> Stat {
        Stat {
            data_length: self.data.as_ref().map_or(0, Bytes::len),
            children: self.children.len(),
            ..self.stat
        }
    }
}

/// Something that happened to a node. A created or deleted node changes its parent's children too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Created(Arc<str>),
    Deleted(Arc<str>),
    DataChanged(Arc<str>),
}

/// All nodes by path. Changes are stamped with the zxid and the time that [`Self::begin`] set.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: HashMap<Arc<str>, Node>,
    changes: Vec<Change>,
    zxid: i64,
    now: Millis,
    data_bytes: usize,
    ephemerals: usize,
}

impl Tree {
    /// A tree with nothing but its root.
    pub(crate) fn new() -> Self {
        let root = Node { data: Some(Bytes::new()), ..Node::default() };
        let nodes = HashMap::from([(Arc::from("/"), root)]);
        Self { nodes, changes: Vec::new(), zxid: 0, now: 0, data_bytes: 0, ephemerals: 0 }
    }

    /// The newest change. Never goes back.
    pub(crate) fn zxid(&self) -> i64 {
        self.zxid
    }

    /// What follows happens at `now` and is change `zxid`, or the next one if that has passed.
    pub(crate) fn begin(&mut self, zxid: i64, now: Millis) {
        self.zxid = zxid.max(self.zxid.saturating_add(1));
        self.now = now;
    }

    /// What happened since the last call, in order.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// The node at `path`. An empty path is the root's, as it is in ZooKeeper.
    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(if path.is_empty() { "/" } else { path })
    }

    /// Creates a node below one that exists. `owner` is the session of an ephemeral node, or zero;
    /// `created` is when what it shows came to be.
    pub(crate) fn create(&mut self, path: &str, data: Option<Bytes>, owner: i64, created: Millis) {
        let (parent, name) = split(path);
        let zxid = self.zxid;
        let Some(parent) = self.nodes.get_mut(parent) else {
            debug_assert!(false, "{path} has no parent");
            return;
        };
        if !parent.children.insert(name.into()) {
            debug_assert!(false, "{path} exists");
            return;
        }
        parent.stat.cversion = parent.stat.cversion.wrapping_add(1);
        parent.stat.pzxid = zxid;
        self.data_bytes += path.len() + data.as_ref().map_or(0, Bytes::len);
        self.ephemerals += usize::from(owner != 0);
        let stat = Stat {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: created,
            mtime: created,
            ephemeral_owner: owner,
            ..Stat::default()
        };
        let path: Arc<str> = path.into();
        self.nodes.insert(Arc::clone(&path), Node { data, children: BTreeSet::new(), stat });
        self.changes.push(Change::Created(path));
    }

    /// Writes a node's data, if it is another.
    pub(crate) fn set(&mut self, path: &str, data: Option<Bytes>) {
        let (zxid, now) = (self.zxid, self.now);
        let Some(node) = self.nodes.get_mut(path).filter(|node| node.data != data) else { return };
        self.data_bytes += data.as_ref().map_or(0, Bytes::len);
        self.data_bytes -= node.data.as_ref().map_or(0, Bytes::len);
        node.data = data;
        node.stat.mzxid = zxid;
        node.stat.mtime = now;
        node.stat.version = node.stat.version.wrapping_add(1);
        self.changes.push(Change::DataChanged(path.into()));
    }

    /// Deletes a node and all below it, children first.
    pub(crate) fn delete(&mut self, path: &str) {
        let Some(node) = self.nodes.get(path) else { return };
        // At most four levels deep: what the map lays out.
        let children: Vec<String> = node.children.iter().map(|name| join(path, name)).collect();
        for child in children {
            self.delete(&child);
        }
        let Some((path, node)) = self.nodes.remove_entry(path) else { return };
        self.data_bytes -= path.len() + node.data.as_ref().map_or(0, Bytes::len);
        self.ephemerals -= usize::from(node.stat.ephemeral_owner != 0);
        let (parent, name) = split(&path);
        if let Some(parent) = self.nodes.get_mut(parent) {
            parent.children.remove(name);
            parent.stat.cversion = parent.stat.cversion.wrapping_add(1);
            parent.stat.pzxid = self.zxid;
        }
        self.changes.push(Change::Deleted(path));
    }

    /// Nodes below `path`; none where there is no such node.
    pub(crate) fn count_below(&self, path: &str) -> Option<usize> {
        let node = self.get(path)?;
        let below = |name: &str| 1 + self.count_below(&join(path, name)).unwrap_or(0);
        Some(node.children.iter().map(|name| below(name)).sum())
    }

    /// All nodes.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Bytes of all paths and data.
    pub(crate) fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// Nodes that end with a session.
    pub(crate) fn ephemerals(&self) -> usize {
        self.ephemerals
    }
}

/// A path's parent and last part.
pub(crate) fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((parent, name)) => (parent, name),
        None => ("/", path),
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.len() <= 1 { format!("/{name}") } else { format!("{parent}/{name}") }
}
