//! Sessions that outlive their connections: filters, and the messages that came for them and were not settled.
//!
//! A message that sessions want is stored once, in a log of the broker's own, with a list of whose it is. A session is
//! then a queue of offsets, of which only the head is in memory while nobody is there, and on disk what it
//! subscribes to and what it has settled: small records, in another log that is compacted by key. An idle session
//! costs nothing but these. `queue.rs` is what waits for one session, `follow.rs` what goes on behind, `forward.rs`
//! what comes from topics.

mod filters;
mod follow;
mod forward;
mod queue;
mod record;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use base::{ErrorKind, Filter, Millis, Offset, Random, TopicId};
use bytes::Bytes;
use observe::Observe;
use parking_lot::Mutex;
use router::{Key, Router, Subscribed};
use store::batch::{Batch, Record};
use store::{AppendError, Log, Store};
use tokio::sync::Notify;

use self::filters::Filters;
use self::follow::own;
use self::queue::Queue;
use self::record::Stored;
use crate::live::Member;
use crate::live::tail::TailSet;
use crate::message::PublisherId;
use crate::{Broker, ProduceError};

pub(crate) use forward::{ForwardedTo, encode as forwarded_record};
pub use queue::{Taken, Waiting};

/// Most sessions. Each takes about a kilobyte of memory, with a few filters.
pub const SESSIONS_MAX: usize = 1_000_000;
/// Most messages that wait for one session; while there are so many, it gets none that are new.
pub const QUEUED_MAX: usize = 100_000;

/// The turn of a handle that takes nothing.
const NO_TURN: u64 = u64::MAX;

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
    /// Held while records about sessions are handed to the log, which must have them in the order in which they count.
    changing: tokio::sync::Mutex<()>,
    /// Of topics' partitions, what is before was forwarded: as it was at the start.
    forwarded: Mutex<HashMap<(TopicId, i32), Offset>>,
    /// Messages that there was no room for.
    dropped: Arc<AtomicU64>,
    /// Sessions whose time was over.
    expired: AtomicU64,
    observe: Arc<Observe>,
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
    is_online: AtomicBool,
    /// How many messages wait, those too that are only in the log.
    waiting: AtomicUsize,
    dropped: Arc<AtomicU64>,
    body: Mutex<Body>,
}

#[derive(Debug, Default)]
struct Body {
    filters: Filters,
    state: Bytes,
    /// How long it is kept without a connection; for ever, if nothing is said.
    keep: Option<Millis>,
    expires_at: Option<Millis>,
    queue: Queue,
    /// What it is of groups, while it has a connection.
    #[allow(
        clippy::box_collection,
        reason = "hardly any session is in a group, and there are many"
    )]
    members: Option<Box<Vec<Arc<Member>>>>,
    is_dirty: bool,
    is_gone: bool,
}

/// What a session subscribes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The filter.
    pub filter: Filter,
    /// Shared with others: of a group, one session or live subscriber gets a message. Each filter is a group by itself.
    pub group: Option<Bytes>,
}

/// What a session wants of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interest {
    /// Whatever the door wants to know of it.
    pub options: Bytes,
    /// Not what the session itself publishes.
    pub no_echo: bool,
    /// Messages wait for the session. If not, the subscription is only remembered.
    pub waits: bool,
}

/// A subscription as it is held.
#[derive(Debug)]
struct Held {
    interest: Interest,
    /// Where it is in the router, if messages wait.
    key: Option<Key>,
    /// Topics that hold some of it.
    tails: Option<Arc<TailSet>>,
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
    /// The session's number, if it wants what this one publishes and has room.
    pub(crate) fn number(&self, publisher: PublisherId) -> Option<u64> {
        let own = self.session.publisher.load(Ordering::Relaxed) == publisher.0;
        if self.no_echo && own { None } else { self.session.take_number() }
    }
}

impl Inside {
    /// Its number, if it has room for a message.
    pub(crate) fn take_number(&self) -> Option<u64> {
        if self.waiting.load(Ordering::Relaxed) < QUEUED_MAX {
            return Some(self.number);
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        None
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

/// A session that outlives its connection. Clones are handles of the same.
#[derive(Debug, Clone)]
pub struct Session {
    pub(crate) inside: Arc<Inside>,
    sessions: Arc<Sessions>,
    /// The connection that takes what waits: none that came before does.
    turn: u64,
}

/// What there is of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionFigures {
    /// How many there are.
    pub sessions: usize,
    /// Whose time was over, since the broker started.
    pub expired: u64,
    /// What they subscribe to.
    pub subscriptions: usize,
    /// That of it which is shared.
    pub shared_subscriptions: usize,
    /// Messages in their queue.
    pub messages: u64,
}

/// How a session is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenSession {
    /// The connection that has it now.
    pub publisher: PublisherId,
    /// How long it is kept without a connection, in milliseconds. `None`: for ever.
    pub keep: Option<Millis>,
    /// One that is there is deleted first.
    pub anew: bool,
}

impl Broker {
    /// The session of this name, made if there is none; whether it was there. It is online from then on: what waits is to
    /// be taken from the beginning. Durable when it returns.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn open_session(
        &self,
        id: Bytes,
        how: OpenSession,
    ) -> Result<(Session, bool), SessionError> {
        let sessions = &self.inner.sessions;
        let turn = sessions.changing.lock().await;
        let mut known = sessions.all.lock().by_id.get(&id).cloned();
        let mut records = Vec::new();
        if let Some(old) = known.take_if(|known| how.anew || known.has_expired(self.now())) {
            records = sessions.take_out(&old);
        }
        let (inside, was_there) = match known {
            Some(inside) => (inside, true),
            None if sessions.all.lock().by_id.len() >= SESSIONS_MAX => {
                return Err(SessionError::TooMany);
            }
            None => {
                let number = sessions.random.next_u64();
                (Arc::new(Inside::new(id, number, Arc::clone(&sessions.dropped))), false)
            }
        };
        let entering = Entering::begin(&inside, how, self.now());
        records.push(inside.meta());
        sessions.all.lock().put(&inside);
        let handed = sessions.hand_over(records).await;
        drop(turn);
        if let Err(error) = finish(handed).await {
            if !was_there {
                sessions.all.lock().remove(&inside);
            }
            return Err(error);
        }
        let opened = entering.done();
        // From now on there is something to sweep.
        sessions.settled.notify_one();
        Ok((Session { inside, sessions: Arc::clone(sessions), turn: opened }, was_there))
    }

    /// The sessions of whom their door has written something down, and that: for a door that starts. The handles take
    /// nothing of what waits.
    pub fn session_states(&self) -> Vec<(Session, Bytes)> {
        let sessions = &self.inner.sessions;
        let all: Vec<_> = sessions.all.lock().by_id.values().cloned().collect();
        let with_state = |inside: Arc<Inside>| {
            let state = inside.body.lock().state.clone();
            let session = Session { inside, sessions: Arc::clone(sessions), turn: NO_TURN };
            (!state.is_empty()).then_some((session, state))
        };
        all.into_iter().filter_map(with_state).collect()
    }

    /// Whether there is a session of this name.
    pub fn has_session(&self, id: &[u8]) -> bool {
        let known = self.inner.sessions.all.lock().by_id.get(id).cloned();
        known.is_some_and(|inside| !inside.has_expired(self.now()))
    }

    /// Deletes the session of this name, if there is one; whether there was. Durable when it returns.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn delete_session(&self, id: &[u8]) -> Result<bool, SessionError> {
        let sessions = &self.inner.sessions;
        let known = sessions.all.lock().by_id.get(id).cloned();
        let Some(inside) = known else { return Ok(false) };
        sessions.delete(&inside).await?;
        Ok(true)
    }

    /// What there is of sessions, all in all. Looks at each.
    pub fn session_figures(&self) -> SessionFigures {
        let sessions = &self.inner.sessions;
        let all: Vec<_> = sessions.all.lock().by_id.values().cloned().collect();
        let queue = sessions.queue.range();
        let mut found = SessionFigures {
            sessions: all.len(),
            expired: sessions.expired.load(Ordering::Relaxed),
            messages: u64::try_from(queue.end - queue.start).unwrap_or(0),
            ..SessionFigures::default()
        };
        for inside in all {
            let body = inside.body.lock();
            let shared = body.filters.iter().filter(|(wanted, _)| wanted.group.is_some()).count();
            found.subscriptions += body.filters.len();
            found.shared_subscriptions += shared;
        }
        found
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.inner.sessions.count()
    }

    /// Messages that sessions did not get because too many waited for them already, since the broker started.
    pub fn session_messages_dropped(&self) -> u64 {
        self.inner.sessions.dropped.load(Ordering::Relaxed)
    }
}

impl All {
    fn put(&mut self, inside: &Arc<Inside>) {
        self.by_id.insert(inside.id.clone(), Arc::clone(inside));
        self.by_number.insert(inside.number, Arc::clone(inside));
    }

    fn remove(&mut self, inside: &Arc<Inside>) {
        self.by_number.remove(&inside.number);
        // By that name there may be another already.
        if self.by_id.get(&inside.id).is_some_and(|known| known.number == inside.number) {
            self.by_id.remove(&inside.id);
        }
    }
}

impl Inside {
    fn new(id: Bytes, number: u64, dropped: Arc<AtomicU64>) -> Self {
        Self {
            id,
            number,
            publisher: AtomicU64::new(0),
            is_online: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            dropped,
            body: Mutex::default(),
        }
    }

    fn meta(&self) -> (Bytes, Option<Bytes>) {
        let body = self.body.lock();
        let (expires_at, keep) = (body.expires_at, body.keep);
        let sent = Some(body.queue.sent).filter(|_| !self.is_online.load(Ordering::Relaxed));
        Stored::Session { id: self.id.clone(), expires_at, keep, sent }.encode(self.number)
    }

    fn has_expired(&self, now: Millis) -> bool {
        self.body.lock().expires_at.is_some_and(|at| at <= now)
    }

    /// Its connection is a member of a group now: how long it takes for what it gets of that is measured.
    pub(crate) fn join(&self, member: &Arc<Member>) {
        self.body.lock().members.get_or_insert_default().push(Arc::clone(member));
    }

    /// It is not any more.
    pub(crate) fn part(&self, member: &Arc<Member>) {
        let mut body = self.body.lock();
        let Some(members) = &mut body.members else { return };
        members.retain(|other| !Arc::ptr_eq(other, member));
        if members.is_empty() {
            body.members = None;
        }
    }

    /// No connection has it any more.
    fn leave(&self, now: Millis) {
        self.is_online.store(false, Ordering::Relaxed);
        let mut body = self.body.lock();
        body.queue.leave();
        body.expires_at = body.keep.map(|keep| now.saturating_add(keep));
    }

    /// A connection has it now. Its turn.
    fn enter(&self, how: OpenSession) -> u64 {
        self.publisher.store(how.publisher.0, Ordering::Relaxed);
        self.is_online.store(true, Ordering::Relaxed);
        let mut body = self.body.lock();
        (body.expires_at, body.keep) = (None, how.keep);
        body.queue.rewind()
    }
}

/// A connection that is about to have a session. If it gives up before that is written down, nobody has it.
struct Entering<'a> {
    inside: &'a Inside,
    turn: u64,
    now: Millis,
    is_done: bool,
}

impl<'a> Entering<'a> {
    fn begin(inside: &'a Inside, how: OpenSession, now: Millis) -> Self {
        Self { inside, turn: inside.enter(how), now, is_done: false }
    }

    /// It has it. Its turn.
    fn done(mut self) -> u64 {
        self.is_done = true;
        self.turn
    }
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        // Another may have come meanwhile.
        if !self.is_done && self.inside.body.lock().queue.is_turn(self.turn) {
            self.inside.leave(self.now);
        }
    }
}

/// Waits until records are as durable as they are to be.
async fn finish(handed: Result<Option<store::Pending>, SessionError>) -> Result<(), SessionError> {
    let Some(pending) = handed? else { return Ok(()) };
    pending.await.into_iter().try_for_each(|outcome| Ok(outcome.map(|_| ())?))
}

impl Session {
    /// The same for another connection: what waits is to be taken from the beginning, and no handle from before takes
    /// anything any more.
    #[must_use]
    pub fn begin(&self) -> Self {
        let turn = self.inside.body.lock().queue.rewind();
        Self { turn, ..self.clone() }
    }

    /// Its name.
    pub fn id(&self) -> &Bytes {
        &self.inside.id
    }

    pub(crate) fn number(&self) -> u64 {
        self.inside.number
    }

    fn body(&self) -> Result<parking_lot::MutexGuard<'_, Body>, SessionError> {
        let body = self.inside.body.lock();
        if body.is_gone { Err(SessionError::Gone) } else { Ok(body) }
    }

    /// Subscribes, or changes what it wants of filters; of each, whether it is new. From when this returned, every
    /// message that a topic keeps, or whose publisher wants it to be sure, waits for the session; durable then.
    ///
    /// # Errors
    /// See [`SessionError`]. Then nothing has changed.
    pub async fn subscribe(
        &self,
        broker: &Broker,
        wanted: Vec<(Wanted, Interest)>,
    ) -> Result<Vec<bool>, SessionError> {
        let sessions = &self.sessions;
        let number = self.inside.number;
        let turn = sessions.changing.lock().await;
        drop(self.body()?);
        let mut held = Vec::with_capacity(wanted.len());
        let mut records = Vec::with_capacity(wanted.len());
        for (wanted, interest) in wanted {
            records.push(Stored::Filter(wanted.clone(), interest.clone()).encode(number));
            let Some(one) = sessions.hold(broker, &self.inside, &wanted, interest) else {
                held.into_iter().for_each(|(wanted, one)| sessions.let_go(&wanted, &one));
                return Err(SessionError::TooManyLevels);
            };
            let unwritten = one.tails.iter().flat_map(|tails| tails.unwritten());
            records.extend(unwritten.map(forwarded_record));
            held.push((wanted, one));
        }
        let handed = sessions.hand_over(records).await;
        let mut outcome = Vec::with_capacity(held.len());
        for (wanted, one) in held {
            if handed.is_err() {
                sessions.let_go(&wanted, &one);
                continue;
            }
            let old = self.inside.body.lock().filters.insert(wanted.clone(), one);
            outcome.push(old.is_none());
            if let Some(old) = old {
                sessions.let_go(&wanted, &old);
            }
        }
        drop(turn);
        finish(handed).await?;
        Ok(outcome)
    }

    /// Ends subscriptions; of each, whether there was one. What waits already stays.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn unsubscribe(&self, wanted: &[Wanted]) -> Result<Vec<bool>, SessionError> {
        let turn = self.sessions.changing.lock().await;
        drop(self.body()?);
        let mut records = Vec::new();
        let mut outcome = Vec::with_capacity(wanted.len());
        for one in wanted {
            let held = self.inside.body.lock().filters.remove(one);
            outcome.push(held.is_some());
            if let Some(held) = held {
                self.sessions.let_go(one, &held);
                records.push((record::filter_key(self.inside.number, one), None));
            }
        }
        let handed = self.sessions.hand_over(records).await;
        drop(turn);
        finish(handed).await?;
        Ok(outcome)
    }

    /// What it subscribes to.
    pub fn subscriptions(&self) -> Vec<(Wanted, Interest)> {
        let body = self.inside.body.lock();
        body.filters.iter().map(|(wanted, held)| (wanted.clone(), held.interest.clone())).collect()
    }

    /// What the door wrote down.
    pub fn state(&self) -> Bytes {
        self.inside.body.lock().state.clone()
    }

    /// Writes down something for the door, and what was settled with it; durable when it returns.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn put_state(&self, state: Bytes) -> Result<(), SessionError> {
        drop(self.body()?);
        let turn = self.sessions.changing.lock().await;
        let handed = self.sessions.hand_over(self.state_records(state)).await;
        drop(turn);
        finish(handed).await
    }

    /// The records of that. Only while nothing else is handed over.
    pub(crate) fn state_records(&self, state: Bytes) -> Vec<(Bytes, Option<Bytes>)> {
        let position = *self.sessions.position.lock();
        let mut body = self.inside.body.lock();
        if body.is_gone {
            return Vec::new();
        }
        body.state = state.clone();
        let number = self.inside.number;
        let mut records = vec![Stored::State(state).encode(number)];
        if body.is_dirty {
            records.push(body.settled(position).encode(number));
        }
        records
    }

    /// From now on it is kept for so long without a connection, in milliseconds. `None`: for ever. Written down when it
    /// is left.
    pub fn keep_for(&self, keep: Option<Millis>) {
        self.inside.body.lock().keep = keep;
    }

    /// Its connection is gone. Durable when it returns.
    ///
    /// # Errors
    /// See [`SessionError`]. Then it is left all the same, and its time begins anew at the next start.
    pub async fn leave(&self, now: Millis) -> Result<(), SessionError> {
        let turn = self.sessions.changing.lock().await;
        drop(self.body()?);
        self.inside.leave(now);
        let handed = self.sessions.hand_over(vec![self.inside.meta()]).await;
        drop(turn);
        finish(handed).await
    }

    /// Deletes it, and what waits for it.
    ///
    /// # Errors
    /// It could not be stored; then it is gone until the next start.
    pub async fn delete(&self) -> Result<(), SessionError> {
        self.sessions.delete(&self.inside).await
    }
}

impl Sessions {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.all.lock().by_id.len()
    }

    /// Puts a subscription into the router. `None`: the filter has too many levels.
    fn hold(
        &self,
        broker: &Broker,
        inside: &Arc<Inside>,
        wanted: &Wanted,
        interest: Interest,
    ) -> Option<Held> {
        if !interest.waits {
            return Some(Held { interest, key: None, tails: None });
        }
        let waiter = Waiter { session: Arc::clone(inside), no_echo: interest.no_echo };
        let group = wanted.router_group();
        // First, so that what comes meanwhile is seen to.
        let tails = broker.inner.tails_for(&wanted.filter);
        let key = self.router.insert(&wanted.filter, waiter, group.as_ref())?;
        Some(Held { interest, key: Some(key), tails })
    }

    /// Takes one out of the router.
    fn let_go(&self, wanted: &Wanted, held: &Held) {
        if let Some(key) = held.key {
            self.router.remove(&wanted.filter, key, wanted.router_group().as_ref());
        }
    }

    async fn delete(&self, inside: &Arc<Inside>) -> Result<(), SessionError> {
        let turn = self.changing.lock().await;
        let records = self.take_out(inside);
        let handed = self.hand_over(records).await;
        drop(turn);
        finish(handed).await
    }

    /// Takes a session out of everything; the records that say so.
    fn take_out(&self, inside: &Arc<Inside>) -> Vec<(Bytes, Option<Bytes>)> {
        let number = inside.number;
        let mut gone = record::keys_of(number);
        let filters = {
            let mut body = inside.body.lock();
            if std::mem::replace(&mut body.is_gone, true) {
                return Vec::new();
            }
            body.queue.clear();
            std::mem::take(&mut body.filters)
        };
        for (wanted, held) in filters.iter() {
            self.let_go(wanted, held);
            gone.push(record::filter_key(number, wanted));
        }
        self.all.lock().remove(inside);
        gone.into_iter().map(|key| (key, None)).collect()
    }

    pub(crate) fn queue(&self) -> &Arc<Log> {
        &self.queue
    }

    /// To be held while records about sessions are handed to the log.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }
}

impl Wanted {
    /// The same in memory of its own.
    fn owned(&self) -> Self {
        let skips_hidden = self.filter.skips_hidden();
        let filter = Filter::from_bytes(own(self.filter.bytes()));
        let filter =
            filter.map_or_else(|| self.filter.clone(), |f| f.skipping_hidden(skips_hidden));
        Self { filter, group: self.group.as_ref().map(own) }
    }

    fn router_group(&self) -> Option<router::Group> {
        self.group.clone().map(|name| router::Group { name, merges: false })
    }
}

impl Body {
    /// What to write down of what was settled.
    fn settled(&mut self, position: Offset) -> Stored {
        self.is_dirty = false;
        let (floor, above) = self.queue.settled(position);
        Stored::Settled { floor, above }
    }
}

/// A batch's records.
fn records(batch: &Batch) -> impl Iterator<Item = Record> + use<> {
    // Checked when they were appended.
    batch.records().into_iter().flatten().map_while(Result::ok)
}

#[cfg(test)]
mod tests;
