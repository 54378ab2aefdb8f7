//! The tree of znodes: those that show the cluster's metadata, and the entries of the registry.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use base::Millis;
use broker::registry::{Access, Children, Entry, Rule};
use bytes::Bytes;

use crate::acl;
use crate::limits::ENTRY_COST;
use crate::wire::reply::Stat;

#[cfg(test)]
mod tests;

/// Who may do what with nodes that show metadata: anybody may read.
static READ_ONLY: LazyLock<Arc<Access>> = LazyLock::new(|| shown_access(acl::READ));

/// The same where registry entries may be children.
static OPEN_BELOW: LazyLock<Arc<Access>> =
    LazyLock::new(|| shown_access(acl::READ | acl::CREATE | acl::DELETE));

fn shown_access(permissions: i32) -> Arc<Access> {
    let everybody = Rule { permissions, scheme: "world".into(), id: "anyone".into() };
    Arc::new(Access { version: 0, rules: vec![everybody] })
}

/// Where a node comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Origin {
    /// It shows metadata. No client can write or delete it.
    #[default]
    Shown,
    /// An entry of the registry.
    Entry,
    /// An entry of the registry that ends when its last child has gone.
    Container,
}

/// What is known of a node beside the names of its children.
#[derive(Debug, Clone, Default)]
pub(crate) struct Body {
    pub(crate) origin: Origin,
    /// Its data; none is null, which is not the same as empty.
    pub(crate) data: Option<Bytes>,
    /// Both lengths in it, and the versions of children and access list, are filled in by
    /// [`Self::stat`]. Its `cversion` counts children that show metadata.
    pub(crate) stat: Stat,
    /// Children.
    pub(crate) children: usize,
    /// Of those, entries of the registry.
    pub(crate) entries: i32,
    /// Entries that were ever created as its children.
    pub(crate) created: i32,
    pub(crate) access: Arc<Access>,
    /// Created in the place of another, in one write.
    pub(crate) reborn: bool,
}

impl Body {
    /// The node's stat.
    pub(crate) fn stat(&self) -> Stat {
        // Each creation and each deletion counts.
        let entries = self.created.wrapping_mul(2).wrapping_sub(self.entries);
        Stat {
            cversion: self.stat.cversion.wrapping_add(entries),
            aversion: self.access.version,
            data_length: self.data.as_ref().map_or(0, Bytes::len),
            children: self.children,
            ..self.stat
        }
    }

    pub(crate) fn is_ephemeral(&self) -> bool {
        self.stat.ephemeral_owner != 0
    }

    fn data_bytes(&self) -> usize {
        self.data.as_ref().map_or(0, Bytes::len)
    }
}

/// One node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) body: Body,
    /// The last parts of its children's paths.
    pub(crate) children: BTreeSet<Box<str>>,
}

/// Something that happened to a node. A created or deleted node changes its parent's children too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Created(Arc<str>),
    Deleted(Arc<str>),
    DataChanged(Arc<str>),
}

impl Change {
    /// The node.
    pub(crate) fn path(&self) -> &str {
        let (Self::Created(path) | Self::Deleted(path) | Self::DataChanged(path)) = self;
        path
    }
}

/// All nodes by path. Changes of what shows metadata are stamped with the zxid and the time that
/// [`Self::begin`] set; registry entries have the revisions that the registry gave them.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: HashMap<Arc<str>, Node>,
    changes: Vec<Change>,
    zxid: i64,
    now: Millis,
    data_bytes: usize,
    entry_bytes: usize,
    ephemerals: usize,
    owned: HashMap<i64, BTreeSet<Arc<str>>>,
    containers: BTreeSet<Arc<str>>,
}

impl Default for Tree {
    /// A tree with nothing but its root.
    fn default() -> Self {
        let access = Arc::clone(&OPEN_BELOW);
        let body = Body { data: Some(Bytes::new()), access, ..Body::default() };
        let root = Node { body, ..Node::default() };
        Self {
            nodes: HashMap::from([(Arc::from("/"), root)]),
            changes: Vec::new(),
            zxid: 0,
            now: 0,
            data_bytes: 0,
            entry_bytes: 0,
            ephemerals: 0,
            owned: HashMap::new(),
            containers: BTreeSet::new(),
        }
    }
}

impl Tree {
    /// The newest change. Never goes back.
    pub(crate) fn zxid(&self) -> i64 {
        self.zxid
    }

    /// What follows happens at `now` and is change `zxid`, unless that has passed.
    pub(crate) fn begin(&mut self, zxid: i64, now: Millis) {
        self.zxid = zxid.max(self.zxid);
        self.now = now;
    }

    /// What happened since the last call, in order, to nodes that show metadata.
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
        let zxid = self.zxid;
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
        let body = Body { data, stat, access: Arc::clone(&READ_ONLY), ..Body::default() };
        if self.insert(&path, body) {
            self.touch_parent(&path);
            self.changes.push(Change::Created(path));
        }
    }

    /// Lets registry entries be children of a node that shows metadata.
    pub(crate) fn open_below(&mut self, path: &str) {
        if let Some(node) = self.nodes.get_mut(path) {
            node.body.access = Arc::clone(&OPEN_BELOW);
        }
    }

    /// Writes a node's data, if it is another.
    pub(crate) fn set(&mut self, path: &str, data: Option<Bytes>) {
        let (zxid, now) = (self.zxid, self.now);
        let Some(Node { body, .. }) = self.nodes.get_mut(path) else { return };
        if body.data == data {
            return;
        }
        self.data_bytes -= body.data_bytes();
        body.data = data;
        self.data_bytes += body.data_bytes();
        body.stat.mzxid = zxid;
        body.stat.mtime = now;
        body.stat.version = body.stat.version.wrapping_add(1);
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
        if let Some(path) = self.remove(path) {
            self.touch_parent(&path);
            self.changes.push(Change::Deleted(path));
        }
    }

    /// Nodes below `path`; none where there is no such node. Not recursive: clients can nest
    /// entries as deep as a path is long.
    pub(crate) fn count_below(&self, path: &str) -> Option<usize> {
        let mut count = 0;
        let mut waiting = vec![(path.to_owned(), self.get(path)?)];
        while let Some((path, node)) = waiting.pop() {
            count += node.children.len();
            for name in &node.children {
                let path = join(&path, name);
                if let Some(child) = self.get(&path).filter(|child| !child.children.is_empty()) {
                    waiting.push((path, child));
                }
            }
        }
        Some(count)
    }

    /// All nodes.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Bytes of all paths and data.
    pub(crate) fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// What the registry's entries cost, in bytes.
    pub(crate) fn entry_bytes(&self) -> usize {
        self.entry_bytes
    }

    /// Nodes that end with a session.
    pub(crate) fn ephemerals(&self) -> usize {
        self.ephemerals
    }

    /// A session's ephemeral nodes, in order.
    pub(crate) fn owned_by(&self, session: i64) -> impl Iterator<Item = &Arc<str>> {
        self.owned.get(&session).into_iter().flatten()
    }

    /// Containers that had children and have none any more.
    pub(crate) fn empty_containers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.containers.iter().filter(|path| {
            let node = self.nodes.get(*path);
            node.is_some_and(|node| node.body.created > 0 && node.body.children == 0)
        })
    }

    /// The nodes that show metadata and are `root` or below it, parents first.
    pub(crate) fn shown_from(&self, root: &str) -> Vec<(&Arc<str>, &Body)> {
        let is_from = |path: &str| {
            let below = path.strip_prefix(root.trim_end_matches('/'));
            below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        };
        let all = self.nodes.iter().map(|(path, node)| (path, &node.body));
        let mut shown: Vec<_> =
            all.filter(|(path, body)| body.origin == Origin::Shown && is_from(path)).collect();
        shown.sort_unstable_by_key(|(path, _)| *path);
        shown
    }

    /// The paths of all entries of the registry.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&Arc<str>, &Body)> {
        let all = self.nodes.iter().map(|(path, node)| (path, &node.body));
        all.filter(|(_, body)| body.origin != Origin::Shown)
    }

    /// Shows a registry entry as it is now.
    pub(crate) fn put_entry(&mut self, path: &Arc<str>, entry: &Entry) {
        let number = |revision: u64| i64::try_from(revision).unwrap_or(i64::MAX);
        let origin = if entry.container { Origin::Container } else { Origin::Entry };
        let mut body = Body {
            origin,
            data: entry.data.clone(),
            stat: Stat {
                czxid: number(entry.created),
                mzxid: number(entry.modified),
                pzxid: number(entry.created),
                ctime: entry.created_at,
                mtime: entry.modified_at,
                version: entry.version,
                ephemeral_owner: entry.owner,
                ..Stat::default()
            },
            ..Body::default()
        };
        if let Some(old) = self.nodes.get(path).map(|node| &node.body) {
            if old.origin == Origin::Shown {
                tracing::error!(%path, "an entry stands where metadata is shown; it is not seen");
                return;
            }
            (body.children, body.entries) = (old.children, old.entries);
            if old.stat.czxid == body.stat.czxid {
                body.created = old.created;
                body.access = Arc::clone(&old.access);
                body.stat.pzxid = old.stat.pzxid;
            }
            self.replace(path, body);
        } else if !self.insert(path, body) {
            tracing::error!(%path, "an entry without a parent; it is not seen");
        }
    }

    /// Stops showing a registry entry.
    pub(crate) fn drop_entry(&mut self, path: &str) {
        let body = self.nodes.get(path).map(|node| &node.body);
        if body.is_some_and(|body| body.origin != Origin::Shown) {
            self.remove(path);
        }
    }

    /// Notes what is known of a node's children among the registry's entries.
    pub(crate) fn put_children(&mut self, path: &str, children: Children) {
        if let Some(Node { body, .. }) = self.nodes.get_mut(path) {
            body.created = children.created;
            let changed = i64::try_from(children.changed).unwrap_or(i64::MAX);
            body.stat.pzxid = body.stat.pzxid.max(changed);
        }
    }

    /// Notes who may do what with a registry entry.
    pub(crate) fn put_access(&mut self, path: &str, access: &Access) {
        if let Some(Node { body, .. }) = self.nodes.get_mut(path)
            && body.origin != Origin::Shown
        {
            body.access = Arc::new(access.clone());
        }
    }

    /// A child that shows metadata came or went.
    fn touch_parent(&mut self, path: &str) {
        let zxid = self.zxid;
        if let Some(Node { body, .. }) = self.nodes.get_mut(split(path).0) {
            body.stat.cversion = body.stat.cversion.wrapping_add(1);
            body.stat.pzxid = zxid;
        }
    }

    /// Adds a node that is not there; false when it has no parent.
    fn insert(&mut self, path: &Arc<str>, body: Body) -> bool {
        let (parent, name) = split(path);
        let Some(parent) = self.nodes.get_mut(parent) else { return false };
        if !parent.children.insert(name.into()) {
            debug_assert!(false, "{path} exists");
            return false;
        }
        parent.body.children += 1;
        parent.body.entries += i32::from(body.origin != Origin::Shown);
        self.count_in(path, &body);
        self.nodes.insert(Arc::clone(path), Node { body, children: BTreeSet::new() });
        true
    }

    /// Puts another body into a node that is there.
    fn replace(&mut self, path: &Arc<str>, body: Body) {
        let Some(node) = self.nodes.get_mut(path) else { return };
        let old = std::mem::take(&mut node.body);
        self.count_out(path, &old);
        self.count_in(path, &body);
        if let Some(node) = self.nodes.get_mut(path) {
            node.body = body;
        }
    }

    fn remove(&mut self, path: &str) -> Option<Arc<str>> {
        let (path, node) = self.nodes.remove_entry(path)?;
        self.count_out(&path, &node.body);
        let (parent, name) = split(&path);
        if let Some(parent) = self.nodes.get_mut(parent)
            && parent.children.remove(name)
        {
            parent.body.children -= 1;
            parent.body.entries -= i32::from(node.body.origin != Origin::Shown);
        }
        Some(path)
    }

    fn count_in(&mut self, path: &Arc<str>, body: &Body) {
        let bytes = path.len() + body.data_bytes();
        self.data_bytes += bytes;
        self.ephemerals += usize::from(body.is_ephemeral());
        if body.origin != Origin::Shown {
            self.entry_bytes += bytes + ENTRY_COST;
            if body.is_ephemeral() {
                let owned = self.owned.entry(body.stat.ephemeral_owner).or_default();
                owned.insert(Arc::clone(path));
            }
        }
        if body.origin == Origin::Container {
            self.containers.insert(Arc::clone(path));
        }
    }

    fn count_out(&mut self, path: &str, body: &Body) {
        let bytes = path.len() + body.data_bytes();
        self.data_bytes -= bytes;
        self.ephemerals -= usize::from(body.is_ephemeral());
        if body.origin != Origin::Shown {
            self.entry_bytes -= bytes + ENTRY_COST;
            let owner = body.stat.ephemeral_owner;
            if let Some(owned) = self.owned.get_mut(&owner) {
                owned.remove(path);
                if owned.is_empty() {
                    self.owned.remove(&owner);
                }
            }
        }
        if body.origin == Origin::Container {
            self.containers.remove(path);
        }
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
