//! The tree as it will be: what is committed, and on top of it the writes under way.
//!
//! The number of a change that is not committed yet is not known. Until then it is written as the
//! negative of the write's own count.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base::Millis;
use broker::registry::{Change, Children, Entry, EventKind};

use crate::limits::{ENTRY_COST, REGISTRY_BYTES_MAX};
use crate::tree::{Body, Origin, Tree, split};
use crate::wire::code::Code;

/// A write needs to know the number of a change that is still under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Later;

/// See the module.
#[derive(Debug)]
pub(crate) struct View<'a> {
    tree: &'a Tree,
    /// The time that writes are stamped with.
    pub(crate) now: Millis,
    /// The number of the write that is being decided on.
    write: i64,
    changed: HashMap<Arc<str>, Option<Body>>,
    /// What this write replaced in `changed`, in order.
    undo: Vec<(Arc<str>, Option<Option<Body>>)>,
    events: Vec<(EventKind, Arc<str>)>,
    sessions: Vec<Change>,
    /// Bytes that the writes under way add to the registry.
    growth: usize,
    /// Sessions that the writes under way end.
    pub(crate) ended: HashSet<i64>,
}

impl<'a> View<'a> {
    pub(crate) fn new(tree: &'a Tree, now: Millis) -> Self {
        Self {
            tree,
            now,
            write: -1,
            changed: HashMap::new(),
            undo: Vec::new(),
            events: Vec::new(),
            sessions: Vec::new(),
            growth: 0,
            ended: HashSet::new(),
        }
    }

    /// What follows is write `counter`.
    pub(crate) fn begin(&mut self, counter: u64) {
        self.write = i64::try_from(counter).map_or(i64::MIN, |counter| -counter);
        self.accept();
    }

    /// The node at `path`.
    pub(crate) fn get(&self, path: &str) -> Option<&Body> {
        let path = if path.is_empty() { "/" } else { path };
        match self.changed.get(path) {
            Some(body) => body.as_ref(),
            None => self.tree.get(path).map(|node| &node.body),
        }
    }

    /// Whether there is room for so many bytes more, which are then taken.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Code> {
        if self.tree.entry_bytes() + self.growth + bytes > REGISTRY_BYTES_MAX {
            return Err(Code::QuotaExceeded);
        }
        self.growth += bytes;
        Ok(())
    }

    /// Creates an entry below a node that exists. Its stamps are filled in.
    pub(crate) fn create(&mut self, path: &Arc<str>, mut body: Body) -> Result<Body, Code> {
        let bytes = body.data.as_ref().map_or(0, |data| data.len());
        self.grow(path.len() + bytes + ENTRY_COST)?;
        let (write, now) = (self.write, self.now);
        let stat = &mut body.stat;
        (stat.czxid, stat.mzxid, stat.pzxid) = (write, write, write);
        (stat.ctime, stat.mtime) = (now, now);
        self.change_parent(path, |parent| {
            parent.children += 1;
            parent.entries += 1;
            parent.created = parent.created.wrapping_add(1);
        });
        self.events.push((EventKind::Created, Arc::clone(path)));
        self.put(path, Some(body.clone()));
        Ok(body)
    }

    /// Deletes an entry that exists.
    pub(crate) fn delete(&mut self, path: &Arc<str>) {
        self.change_parent(path, |parent| {
            parent.children = parent.children.saturating_sub(1);
            parent.entries -= 1;
        });
        self.events.push((EventKind::Deleted, Arc::clone(path)));
        self.put(path, None);
    }

    /// Notes that the data of an entry was written, and stamps it.
    pub(crate) fn written(&mut self, path: &Arc<str>, mut body: Body) -> Body {
        body.stat.mzxid = self.write;
        body.stat.mtime = self.now;
        self.events.push((EventKind::Written, Arc::clone(path)));
        self.put(path, Some(body.clone()));
        body
    }

    /// Replaces what is known of an entry.
    pub(crate) fn put(&mut self, path: &Arc<str>, body: Option<Body>) {
        let before = self.changed.insert(Arc::clone(path), body);
        self.undo.push((Arc::clone(path), before));
    }

    /// A session's ephemeral entries.
    pub(crate) fn owned_by(&self, session: i64) -> Vec<Arc<str>> {
        let is_its = |body: &Body| body.stat.ephemeral_owner == session;
        let committed = self.tree.owned_by(session).filter(|path| {
            let changed = self.changed.get(*path);
            changed.is_none_or(|body| body.as_ref().is_some_and(is_its))
        });
        let mut paths: Vec<_> = committed.map(Arc::clone).collect();
        let added = self.changed.iter().filter(|(_, body)| body.as_ref().is_some_and(is_its));
        paths.extend(added.map(|(path, _)| Arc::clone(path)));
        paths.sort();
        paths.dedup();
        paths
    }

    /// A session opens, changes or ends.
    pub(crate) fn session(&mut self, change: Change) {
        if let Change::Session(number, None) = change {
            self.ended.insert(number);
        }
        self.sessions.push(change);
    }

    /// What this write does, to be stored.
    ///
    /// # Errors
    /// [`Later`] when it must wait for those before it.
    pub(crate) fn changes(&mut self) -> Result<Vec<Change>, Later> {
        let mut seen = HashSet::new();
        let mut changes = Vec::new();
        let mut reborn = Vec::new();
        for (path, before) in &self.undo {
            if !seen.insert(path) {
                continue;
            }
            let committed = || self.tree.get(path).map(|node| &node.body);
            let before = before.as_ref().map_or_else(committed, Option::as_ref);
            let after = self.changed.get(path).and_then(Option::as_ref);
            if self.differences(path, before, after, &mut changes)? {
                reborn.push(Arc::clone(path));
            }
        }
        for path in reborn {
            if let Some(Some(body)) = self.changed.get_mut(&path) {
                body.reborn = true;
            }
        }
        changes.extend(self.sessions.iter().cloned());
        Ok(changes)
    }

    /// What this write did, in order.
    pub(crate) fn events(&self) -> Vec<(EventKind, Arc<str>)> {
        self.events.clone()
    }

    /// This write takes place.
    pub(crate) fn accept(&mut self) {
        self.undo.clear();
        self.events.clear();
        self.sessions.clear();
    }

    /// This write does not take place.
    pub(crate) fn take_back(&mut self) {
        for (path, before) in self.undo.drain(..).rev() {
            match before {
                Some(before) => self.changed.insert(path, before),
                None => self.changed.remove(&path),
            };
        }
        for change in self.sessions.drain(..) {
            if let Change::Session(number, _) = change {
                self.ended.remove(&number);
            }
        }
        self.events.clear();
    }

    fn change_parent(&mut self, path: &str, change: impl FnOnce(&mut Body)) {
        let parent = split(path).0;
        if let Some(mut body) = self.get(parent).cloned() {
            change(&mut body);
            body.stat.pzxid = self.write;
            self.put(&parent.into(), Some(body));
        }
    }

    /// Adds what is to be stored for one path; says whether the entry took the place of another.
    fn differences(
        &self,
        path: &Arc<str>,
        before: Option<&Body>,
        after: Option<&Body>,
        changes: &mut Vec<Change>,
    ) -> Result<bool, Later> {
        let mut reborn = false;
        let is_entry = |body: &&Body| body.origin != Origin::Shown;
        match after.filter(is_entry) {
            None if before.is_some_and(|body| is_entry(&body)) => {
                changes.push(Change::Entry(Arc::clone(path), None));
            }
            Some(body) if body.stat.mzxid == self.write => {
                let created = match u64::try_from(body.stat.czxid) {
                    Ok(revision) => revision,
                    Err(_) if body.stat.czxid == self.write && before.is_some() => {
                        reborn = true;
                        Entry::HERE
                    }
                    Err(_) if body.reborn && body.stat.czxid != self.write => return Err(Later),
                    Err(_) => 0,
                };
                changes.push(Change::Entry(Arc::clone(path), Some(entry(body, created))));
            }
            _ => {}
        }
        let counts = |body: &Body| (body.created, body.stat.pzxid);
        let (had, has) = (before.filter(|b| b.created != 0), after.filter(|b| b.created != 0));
        if had.map(counts) != has.map(counts) {
            let children = has.map(|body| Children { created: body.created, changed: 0 });
            changes.push(Change::Children(Arc::clone(path), children));
        }
        let access = |body: &&Body| is_entry(body) && !is_open(body);
        let (had, has) = (before.filter(access), after.filter(access));
        if had.map(|body| &body.access) != has.map(|body| &body.access) {
            let access = has.map(|body| (*body.access).clone());
            changes.push(Change::Access(Arc::clone(path), access));
        }
        Ok(reborn)
    }
}

/// Whether everybody may do everything, and that was never otherwise.
fn is_open(body: &Body) -> bool {
    body.access.version == 0 && body.access.rules.is_empty()
}

fn entry(body: &Body, created: u64) -> Entry {
    Entry {
        data: body.data.clone(),
        version: body.stat.version,
        created_at: body.stat.ctime,
        modified_at: body.stat.mtime,
        owner: body.stat.ephemeral_owner,
        container: body.origin == Origin::Container,
        created,
        modified: 0,
    }
}
