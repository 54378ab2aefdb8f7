//! Writing instances and leases: in the one row of writes that the registry has. A write is decided on what is known, and
//! anew if another came first.

use std::sync::Arc;
use std::time::Duration;

use base::Millis;
use bytes::Bytes;

use super::directory::{Directory, Node};
use super::instance::{NewInstance, check_name};
use super::lease::{self, LEASE_MAX, LEASE_MIN, LeaseKey};
use super::{Discovery, DiscoveryError, INSTANCES_MAX, ROOT};
use crate::registry::{
    Change, Children, Committed, Entry, EventKind, Registry, Session, Step, Tag,
};

/// How often a write that others overtook is attempted anew.
const ATTEMPTS_MAX: usize = 100;
/// Instances that go in one write when their lease ends: each takes up to four of its operations.
const ENDING_STEP_MAX: usize = 24;

/// A write under way: the changes, one for each thing, and what happened in order.
#[derive(Debug)]
struct Draft<'a> {
    directory: &'a Directory,
    now: Millis,
    changes: Vec<Change>,
    events: Vec<(EventKind, Arc<str>)>,
    /// Entries ever created below parents, as it will be.
    created: Vec<(Arc<str>, i32)>,
    /// Entries that go with this.
    gone: Vec<Arc<str>>,
}

impl<'a> Draft<'a> {
    fn new(directory: &'a Directory, now: Millis) -> Self {
        let (changes, events) = (Vec::new(), Vec::new());
        Self { directory, now, changes, events, created: Vec::new(), gone: Vec::new() }
    }

    /// Notes that a child came, or went.
    fn touch(&mut self, parent: &str, came: bool) {
        let more = i32::from(came);
        match self.created.iter_mut().find(|(known, _)| **known == *parent) {
            Some((_, count)) => *count = count.wrapping_add(more),
            None => {
                let count = self.directory.created(parent).wrapping_add(more);
                self.created.push((parent.into(), count));
            }
        }
    }

    fn create(&mut self, parent: &str, path: &Arc<str>, entry: Entry) {
        let (created_at, modified_at) = (self.now, self.now);
        let entry = Entry { created_at, modified_at, ..entry };
        self.changes.push(Change::Entry(Arc::clone(path), Some(entry)));
        self.events.push((EventKind::Created, Arc::clone(path)));
        self.touch(parent, true);
    }

    /// Makes an entry that others are below, unless it is there.
    fn ensure(&mut self, parent: &str, path: &str) -> Result<(), DiscoveryError> {
        match self.directory.node(path) {
            Some(node) if node.is_protected => Err(DiscoveryError::Protected(path.to_owned())),
            Some(node) if node.entry.owner != 0 => {
                let text = format!("{path} is ephemeral, and nothing can be below it");
                Err(DiscoveryError::Invalid(text))
            }
            Some(_) => Ok(()),
            None => {
                // Where only instances kept it, it goes with the last of them.
                let container = path != ROOT;
                self.create(parent, &path.into(), Entry { container, ..Entry::default() });
                Ok(())
            }
        }
    }

    fn rewrite(&mut self, path: &Arc<str>, node: &Node, entry: Entry) {
        let Entry { created_at, created, version, .. } = node.entry;
        let version = match version.wrapping_add(1) {
            // Means any.
            -1 => 0,
            next => next,
        };
        let modified_at = self.now;
        let entry = Entry { created_at, created, version, modified_at, ..entry };
        self.changes.push(Change::Entry(Arc::clone(path), Some(entry)));
        self.events.push((EventKind::Written, Arc::clone(path)));
    }

    fn delete(&mut self, path: &Arc<str>) {
        let Some((parent, _)) = path.rsplit_once('/') else { return };
        self.changes.push(Change::Entry(Arc::clone(path), None));
        if self.directory.created(path) != 0 {
            self.changes.push(Change::Children(Arc::clone(path), None));
        }
        self.events.push((EventKind::Deleted, Arc::clone(path)));
        self.gone.push(Arc::clone(path));
        let is_kept =
            |path: &str| self.directory.node(path).is_some_and(|node| !node.entry.container);
        let prefix = format!("{parent}/");
        let going = self.gone.iter().filter(|path| path.starts_with(&prefix)).count();
        if parent != ROOT && !is_kept(parent) && self.directory.children(parent) == going {
            self.created.retain(|(known, _)| **known != *parent);
            let parent: Arc<str> = parent.into();
            return self.delete(&parent);
        }
        let parent = if parent.is_empty() { "/" } else { parent };
        self.touch(parent, false);
    }

    fn finish(mut self) -> (Vec<Change>, Vec<(EventKind, Arc<str>)>) {
        for (path, created) in std::mem::take(&mut self.created) {
            self.changes.push(Change::Children(path, Some(Children { created, changed: 0 })));
        }
        (self.changes, self.events)
    }
}

impl Discovery {
    /// Writes what `decide` says, until it could be decided and nobody came first.
    async fn write(
        self: &Arc<Self>,
        decide: impl Fn(&mut Draft<'_>) -> Result<(), DiscoveryError>,
    ) -> Result<(), DiscoveryError> {
        let _one = self.writes.lock().await;
        for _attempt in 0..ATTEMPTS_MAX {
            self.catch_up().await?;
            let prepared = {
                let mut state = self.state.lock();
                let mut draft = Draft::new(&state.directory, self.clock.now());
                decide(&mut draft)?;
                let (changes, events) = draft.finish();
                if changes.is_empty() {
                    return Ok(());
                }
                state.counter += 1;
                let tag = Tag { writer: state.writer, counter: state.counter };
                Registry::prepare(state.directory.head, &Step { tag, events }, &changes)?
            };
            let outcome = self.registry.commit(vec![prepared]).await.pop();
            let outcome =
                outcome.ok_or_else(|| DiscoveryError::Unavailable("no answer".into()))??;
            let (Committed::Done(revision) | Committed::Overtaken(revision)) = outcome;
            let mut metadata = self.metadata.clone();
            let seen = metadata.wait_for(|metadata| metadata.revision >= revision);
            if seen.await.is_err() {
                return Err(DiscoveryError::Unavailable("the broker is stopping".into()));
            }
            if matches!(outcome, Committed::Done(_)) {
                return self.catch_up().await;
            }
        }
        Err(DiscoveryError::Unavailable("others came first too often".to_owned()))
    }

    /// Registers an instance, or says anew what it is: with a lease, which ends it when it is not renewed in time; or
    /// without one, for ever. `lease`: the one that it has already. Returns the instance's id, and its lease.
    ///
    /// # Errors
    /// See [`DiscoveryError`].
    pub async fn register(
        self: &Arc<Self>,
        mut new: NewInstance,
        (timeout, lease): (Option<Duration>, Option<LeaseKey>),
    ) -> Result<(String, Option<LeaseKey>), DiscoveryError> {
        if new.id.is_empty() {
            new.id = format!("{:032x}", self.random.next_u128());
        }
        new.check()?;
        if timeout.is_some_and(|timeout| !(LEASE_MIN..=LEASE_MAX).contains(&timeout)) {
            let text = format!("a lease lasts from {LEASE_MIN:?} to {LEASE_MAX:?}");
            return Err(DiscoveryError::Invalid(text));
        }
        self.catch_up().await?;
        let key = match (timeout, lease) {
            (None, _) => None,
            (Some(_), Some(lease)) => Some(lease),
            (Some(_), None) => Some(self.new_key()),
        };
        let data = Bytes::from(new.encode(self.clock.now(), key.is_none()));
        let (service, path) = paths(&new.service, &new.id);
        self.write(|draft| {
            let owner = match (key, timeout) {
                (Some(key), Some(timeout)) => self.lease(draft, key, timeout, lease.is_some())?,
                _ => 0,
            };
            let entry = Entry { data: Some(data.clone()), owner, ..Entry::default() };
            match draft.directory.node(&path) {
                Some(node) if node.is_protected => {
                    return Err(DiscoveryError::Protected(path.to_string()));
                }
                Some(node) if node.entry.owner != owner => return Err(DiscoveryError::Exists),
                Some(node) => draft.rewrite(&path, node, entry),
                None if draft.directory.count() >= INSTANCES_MAX => {
                    return Err(DiscoveryError::LimitReached);
                }
                None => {
                    draft.ensure("/", ROOT)?;
                    draft.ensure(ROOT, &service)?;
                    draft.create(&service, &path, entry);
                }
            }
            Ok(())
        })
        .await?;
        self.leases.notify_one();
        Ok((new.id, key))
    }

    fn new_key(&self) -> LeaseKey {
        let mut secret = [0; 16];
        self.random.fill(&mut secret);
        LeaseKey { number: lease::number(self.random.next_u64()), secret }
    }

    /// The number of a lease that is there, or begins with this write.
    fn lease(
        &self,
        draft: &mut Draft<'_>,
        key: LeaseKey,
        timeout: Duration,
        must_be: bool,
    ) -> Result<i64, DiscoveryError> {
        match draft.directory.leases.get(&key.number) {
            Some(known) if known.secret == key.secret => return Ok(key.number),
            None if !must_be => {}
            _ => return Err(DiscoveryError::NoLease),
        }
        let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let broker = self.registry.broker().0;
        let session = Session { secret: key.secret, timeout, broker };
        draft.changes.push(Change::Session(key.number, Some(session)));
        Ok(key.number)
    }

    /// Takes an instance out: one with a lease by that, one without by anybody who may.
    ///
    /// # Errors
    /// [`DiscoveryError::NotFound`]; [`DiscoveryError::Exists`]: somebody else's; [`DiscoveryError::Protected`],
    /// [`DiscoveryError::Unavailable`].
    pub async fn deregister(
        self: &Arc<Self>,
        (service, id): (&str, &str),
        lease: Option<LeaseKey>,
    ) -> Result<(), DiscoveryError> {
        check_name("the name of a service", service)?;
        check_name("the id of an instance", id)?;
        let (_, path) = paths(service, id);
        self.write(|draft| {
            let directory = draft.directory;
            let node = directory.node(&path).ok_or(DiscoveryError::NotFound)?;
            let holds = |key: LeaseKey| {
                let known = directory.leases.get(&key.number);
                known.is_some_and(|lease| lease.secret == key.secret)
            };
            let owner = lease.filter(|key| holds(*key)).map_or(0, |key| key.number);
            if node.is_protected {
                return Err(DiscoveryError::Protected(path.to_string()));
            }
            if node.entry.owner != owner {
                return Err(DiscoveryError::Exists);
            }
            draft.delete(&path);
            // A lease without an instance is for nothing.
            if owner != 0 && directory.owned_by(owner).count() == 1 {
                draft.changes.push(Change::Session(owner, None));
            }
            Ok(())
        })
        .await
    }

    /// Ends a lease with its instances, unless it was renewed meanwhile.
    pub(super) async fn end_lease(self: &Arc<Self>, number: i64) -> Result<(), DiscoveryError> {
        loop {
            self.write(|draft| {
                let directory = draft.directory;
                let Some(lease) = directory.leases.get(&number) else { return Ok(()) };
                if lease.until > tokio::time::Instant::now() {
                    return Ok(());
                }
                let owned: Vec<_> = directory.owned_by(number).cloned().collect();
                owned.iter().take(ENDING_STEP_MAX).for_each(|path| draft.delete(path));
                if owned.len() <= ENDING_STEP_MAX {
                    draft.changes.push(Change::Session(number, None));
                }
                Ok(())
            })
            .await?;
            let state = self.state.lock();
            let lease = state.directory.leases.get(&number);
            if lease.is_none_or(|lease| lease.until > tokio::time::Instant::now()) {
                return Ok(());
            }
        }
    }
}

/// The paths of a service, and of an instance.
fn paths(service: &str, id: &str) -> (Arc<str>, Arc<str>) {
    let service = format!("{ROOT}/{service}");
    let path = format!("{service}/{id}");
    (service.into(), path.into())
}
