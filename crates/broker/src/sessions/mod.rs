//! Sessions that outlive their connections: filters, and the messages that came for them and were not settled.
//!
//! A message that sessions want is stored once, in a log of the broker's own, with a list of whose it is. A session is
//! then a queue of offsets in memory, and on disk what it subscribes to and what it has settled: two small
//! records, in another log that is compacted by key. An idle session costs nothing but these.

mod follow;
mod record;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use base::{ErrorKind, Filter, Millis, Offset, Random, Subject};
use bytes::Bytes;
use parking_lot::Mutex;
use router::{Key, Router, Subscribed};
use store::batch::{Batch, Record};
use store::{AppendError, Log, Store};
use tokio::sync::Notify;

use self::record::Stored;
use crate::message::{Message, PublisherId};
use crate::verbs::fetch::{FetchError, read};
use crate::{Broker, ProduceError};

/// Most sessions. Each takes about a kilobyte of memory, with a few filters.
pub const SESSIONS_MAX: usize = 1_000_000;
/// Most messages that wait for one session; past it, it gets none that are new.
pub const QUEUED_MAX: usize = 100_000;

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// Not kept open by a session that somebody still holds.
    store: Weak<Store>,
    random: Arc<dyn Random>,
    /// What sessions are.
    states: Arc<Log>,
    /// Messages, each with a list of whose it is.
    queue: Arc<Log>,
    pub(crate) router: Arc<Router<Waiter>>,
    all: Mutex<All>,
    /// Sessions that have settled something which is not written down.
    dirty: Mutex<Vec<Arc<Inside>>>,
    settled: Notify,
    /// What is before in the queue was given to its sessions.
    position: Mutex<Offset>,
    /// One change of what a session is at a time: the log must have them in the order in which they count.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct All {
    by_id: HashMap<Bytes, Arc<Inside>>,
    by_number: HashMap<u64, Arc<Inside>>,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Inside {
    id: Bytes,
    /// By chance, and never again: what waits for one that is gone must not be another's.
    number: u64,
    /// Its present connection.
    publisher: AtomicU64,
    body: Mutex<Body>,
    woken: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Body {
    filters: BTreeMap<Filter, (Interest, Key)>,
    state: Bytes,
    expires_at: Option<Millis>,
    /// What came and is not settled, in order.
    queue: VecDeque<Item>,
    /// What is before was settled.
    floor: Offset,
    /// What was settled and is not before the floor.
    settled: BTreeSet<Offset>,
    is_dirty: bool,
    is_gone: bool,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    offset: Offset,
    /// It was taken by this connection.
    taken: bool,
    /// It was taken once.
    again: bool,
}

/// What a session wants of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interest {
    /// Whatever the door wants to know of it.
    pub options: Bytes,
    /// Not what the session itself publishes.
    pub no_echo: bool,
}

/// What the router hands out.
#[derive(Debug, Clone)]
pub(crate) struct Waiter {
    session: Arc<Inside>,
    no_echo: bool,
}

impl Subscribed for Waiter {
    fn owner(&self) -> u64 {
        self.session.number
    }
}

impl Waiter {
    /// The session's number, if it wants what this one publishes.
    pub(crate) fn number(&self, publisher: PublisherId) -> Option<u64> {
        let own = self.session.publisher.load(Ordering::Relaxed) == publisher.0;
        (!(self.no_echo && own)).then_some(self.session.number)
    }
}

/// Why a session could not be opened or changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    /// There are too many.
    #[error("there are {SESSIONS_MAX} sessions, no more fit")]
    TooMany,
    /// The filter has too many levels.
    #[error("a filter has at most {} levels", Router::<Waiter>::STEPS_MAX)]
    TooManyLevels,
    /// It was deleted, or has expired.
    #[error("the session is gone")]
    Gone,
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] ProduceError),
}

impl From<AppendError> for SessionError {
    fn from(error: AppendError) -> Self {
        Self::Store(error.into())
    }
}

impl SessionError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooMany => ErrorKind::Unavailable,
            Self::TooManyLevels => ErrorKind::Invalid,
            Self::Gone => ErrorKind::NotFound,
            Self::Store(error) => error.kind(),
        }
    }
}

/// A message that waits for a session.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Names it, for [`Session::settle`].
    pub handle: Offset,
    /// What it is about.
    pub subject: Subject,
    /// The message.
    pub message: Message,
    /// An earlier connection took it, or one before a restart may have.
    pub again: bool,
}

/// A session that outlives its connection. Clones are handles of the same.
#[derive(Debug, Clone)]
pub struct Session {
    inside: Arc<Inside>,
    sessions: Arc<Sessions>,
}

impl Broker {
    /// The session of this name, made if there is none; whether it was there. `publisher` is the connection that has it
    /// now. Durable when it returns.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn open_session(
        &self,
        id: Bytes,
        publisher: PublisherId,
    ) -> Result<(Session, bool), SessionError> {
        let sessions = &self.inner.sessions;
        let _turn = sessions.changing.lock().await;
        let known = sessions.all.lock().by_id.get(&id).cloned();
        if let Some(inside) = known {
            inside.publisher.store(publisher.0, Ordering::Relaxed);
            inside.rewind();
            return Ok((Session { inside, sessions: Arc::clone(sessions) }, true));
        }
        if sessions.all.lock().by_id.len() >= SESSIONS_MAX {
            return Err(SessionError::TooMany);
        }
        let inside = Arc::new(Inside::new(id, sessions.random.next_u64(), publisher));
        sessions.write(vec![inside.meta()]).await?;
        sessions.all.lock().put(&inside);
        // From now on there is something to sweep.
        sessions.settled.notify_one();
        Ok((Session { inside, sessions: Arc::clone(sessions) }, false))
    }

    /// The session of this name, if there is one.
    pub fn find_session(&self, id: &[u8]) -> Option<Session> {
        let sessions = Arc::clone(&self.inner.sessions);
        let inside = sessions.all.lock().by_id.get(id).cloned()?;
        Some(Session { inside, sessions })
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.inner.sessions.all.lock().by_id.len()
    }
}

impl All {
    fn put(&mut self, inside: &Arc<Inside>) {
        self.by_id.insert(inside.id.clone(), Arc::clone(inside));
        self.by_number.insert(inside.number, Arc::clone(inside));
    }
}

impl Inside {
    fn new(id: Bytes, number: u64, publisher: PublisherId) -> Self {
        Self {
            id,
            number,
            publisher: AtomicU64::new(publisher.0),
            body: Mutex::default(),
            woken: Arc::default(),
        }
    }

    fn meta(&self) -> (Bytes, Option<Bytes>) {
        let expires_at = self.body.lock().expires_at;
        Stored::Session { id: self.id.clone(), expires_at }.encode(self.number)
    }

    /// Everything that is not settled is to be taken again.
    fn rewind(&self) {
        for item in &mut self.body.lock().queue {
            item.again |= item.taken;
            item.taken = false;
        }
    }

    /// A message came for it.
    fn push(&self, offset: Offset, may_be_again: bool) {
        let mut body = self.body.lock();
        let is_new = body.queue.back().is_none_or(|last| last.offset < offset);
        let is_settled = offset < body.floor || body.settled.contains(&offset);
        if is_new && !is_settled && body.queue.len() < QUEUED_MAX {
            body.queue.push_back(Item { offset, taken: false, again: may_be_again });
            drop(body);
            self.woken.notify_one();
        }
    }
}

impl Body {
    /// What to write down of what was settled.
    fn acknowledgements(&mut self, position: Offset) -> Stored {
        self.is_dirty = false;
        self.floor = self.queue.front().map_or(position, |first| first.offset).max(self.floor);
        self.settled = self.settled.split_off(&self.floor);
        Stored::Settled { floor: self.floor, above: self.settled.iter().copied().collect() }
    }
}

impl Session {
    /// Its name.
    pub fn id(&self) -> &Bytes {
        &self.inside.id
    }

    fn body(&self) -> Result<parking_lot::MutexGuard<'_, Body>, SessionError> {
        let body = self.inside.body.lock();
        if body.is_gone { Err(SessionError::Gone) } else { Ok(body) }
    }

    /// Subscribes, or changes what it wants of the filter; whether the filter is new. From when this returned, every message
    /// whose publisher wants it to be sure waits for the session; durable then.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn subscribe(&self, filter: Filter, want: Interest) -> Result<bool, SessionError> {
        let _turn = self.sessions.changing.lock().await;
        drop(self.body()?);
        let waiter = Waiter { session: Arc::clone(&self.inside), no_echo: want.no_echo };
        let router = &self.sessions.router;
        let key = router.insert(&filter, waiter, None).ok_or(SessionError::TooManyLevels)?;
        let stored = Stored::Filter(filter.clone(), want.clone()).encode(self.inside.number);
        if let Err(error) = self.sessions.write(vec![stored]).await {
            router.remove(&filter, key, None);
            return Err(error);
        }
        let old = self.inside.body.lock().filters.insert(filter.clone(), (want, key));
        if let Some((_, old)) = &old {
            router.remove(&filter, *old, None);
        }
        Ok(old.is_none())
    }

    /// Ends a subscription; whether there was one. What waits already stays.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn unsubscribe(&self, filter: &Filter) -> Result<bool, SessionError> {
        let _turn = self.sessions.changing.lock().await;
        if !self.body()?.filters.contains_key(filter) {
            return Ok(false);
        }
        let gone = record::filter_key(self.inside.number, filter);
        self.sessions.write(vec![(gone, None)]).await?;
        if let Some((_, key)) = self.inside.body.lock().filters.remove(filter) {
            self.sessions.router.remove(filter, key, None);
        }
        Ok(true)
    }

    /// What it subscribes to.
    pub fn subscriptions(&self) -> Vec<(Filter, Interest)> {
        let body = self.inside.body.lock();
        body.filters.iter().map(|(filter, (want, _))| (filter.clone(), want.clone())).collect()
    }

    /// Told when something may be there to take.
    pub fn woken(&self) -> Arc<Notify> {
        Arc::clone(&self.inside.woken)
    }

    /// How many messages wait, those that were taken too.
    pub fn waiting(&self) -> usize {
        self.inside.body.lock().queue.len()
    }

    /// Takes what waits, in order: `max` messages at most. What has expired by `now` is left out, for ever.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn next(&self, max: usize, now: Millis) -> Result<Vec<Waiting>, FetchError> {
        let mut taken = BTreeMap::new();
        {
            let mut body = self.inside.body.lock();
            for item in body.queue.iter_mut().filter(|item| !item.taken).take(max) {
                item.taken = true;
                taken.insert(item.offset, item.again);
            }
        }
        let found = self.sessions.read(&taken, now).await;
        let Ok(found) = found else {
            // To be tried again.
            for item in &mut self.inside.body.lock().queue {
                item.taken &= !taken.contains_key(&item.offset);
            }
            return found;
        };
        let there: BTreeSet<_> = found.iter().map(|waiting| waiting.handle).collect();
        let gone: Vec<_> = taken.into_keys().filter(|offset| !there.contains(offset)).collect();
        if !gone.is_empty() {
            self.settle(&gone);
        }
        Ok(found)
    }

    /// Messages are done with. Written down a little later: after a crash some may come again.
    pub fn settle(&self, handles: &[Offset]) {
        let mut body = self.inside.body.lock();
        for handle in handles {
            let at = body.queue.binary_search_by_key(handle, |item| item.offset);
            if let Ok(at) = at {
                body.queue.remove(at);
                body.settled.insert(*handle);
            }
        }
        if !std::mem::replace(&mut body.is_dirty, true) {
            drop(body);
            self.sessions.dirty.lock().push(Arc::clone(&self.inside));
            self.sessions.settled.notify_one();
        }
    }

    /// What the door wrote down.
    pub fn state(&self) -> Bytes {
        self.inside.body.lock().state.clone()
    }

    /// Writes down something for the door; durable when it returns.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn put_state(&self, state: Bytes) -> Result<(), SessionError> {
        let _turn = self.sessions.changing.lock().await;
        drop(self.body()?);
        let stored = Stored::State(state.clone()).encode(self.inside.number);
        self.sessions.write(vec![stored]).await?;
        self.inside.body.lock().state = state;
        Ok(())
    }

    /// It is gone at this time, unless another is said before. `None`: never. Durable when it returns.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn expire_at(&self, at: Option<Millis>) -> Result<(), SessionError> {
        let _turn = self.sessions.changing.lock().await;
        self.body()?.expires_at = at;
        self.sessions.write(vec![self.inside.meta()]).await
    }

    /// Deletes it, and what waits for it.
    ///
    /// # Errors
    /// It could not be stored; then it is gone until the next start.
    pub async fn delete(&self) -> Result<(), SessionError> {
        let _turn = self.sessions.changing.lock().await;
        self.sessions.delete(&self.inside).await
    }
}

impl Sessions {
    /// Takes a session out of everything.
    async fn delete(&self, inside: &Arc<Inside>) -> Result<(), SessionError> {
        let number = inside.number;
        let mut gone = record::keys_of(number);
        {
            let mut body = inside.body.lock();
            if std::mem::replace(&mut body.is_gone, true) {
                return Ok(());
            }
            for (filter, (_, key)) in std::mem::take(&mut body.filters) {
                self.router.remove(&filter, key, None);
                gone.push(record::filter_key(number, &filter));
            }
            body.queue = VecDeque::new();
        }
        {
            let mut all = self.all.lock();
            all.by_id.remove(&inside.id);
            all.by_number.remove(&number);
        }
        inside.woken.notify_one();
        self.write(gone.into_iter().map(|key| (key, None)).collect()).await
    }

    /// Reads messages; those that expired, or are not there any more, are left out.
    async fn read(
        &self,
        wanted: &BTreeMap<Offset, bool>,
        now: Millis,
    ) -> Result<Vec<Waiting>, FetchError> {
        let mut found = Vec::with_capacity(wanted.len());
        let mut rest = wanted.iter().peekable();
        while let Some((first, _)) = rest.peek() {
            let fetched = read(&self.queue, **first, READ_BYTES, false, Offset::MAX).await?;
            let next = fetched.read.next_offset();
            for record in fetched.read.batches().flatten().flat_map(|batch| records(&batch)) {
                while rest.next_if(|(offset, _)| **offset < record.offset).is_some() {}
                let Some((handle, again)) = rest.next_if(|(offset, _)| **offset == record.offset)
                else {
                    continue;
                };
                let Some(subject) = record.key.clone().and_then(Subject::from_bytes) else {
                    continue;
                };
                let message =
                    Message { key: None, guaranteed: true, ..Message::from_record(&record) };
                if message.properties.expires_at.is_none_or(|at| at > now) {
                    found.push(Waiting { handle: *handle, subject, message, again: *again });
                }
            }
            while rest.next_if(|(at, _)| next.is_none_or(|next| **at < next)).is_some() {}
        }
        Ok(found)
    }

    pub(crate) fn queue(&self) -> &Arc<Log> {
        &self.queue
    }
}

/// Bytes of the queue that are read at once.
const READ_BYTES: usize = 256 * 1024;

/// A batch's records.
fn records(batch: &Batch) -> impl Iterator<Item = Record> + use<> {
    // Checked when they were appended.
    batch.records().into_iter().flatten().map_while(Result::ok)
}

#[cfg(test)]
mod tests;
