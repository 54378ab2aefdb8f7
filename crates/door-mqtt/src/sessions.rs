//! All sessions of clients that are connected: who takes whose place, and what is due later. Those of others are in the
//! core alone.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::Millis;
use broker::Broker;
use broker::live::{Group, SubscribeError, SubscribeOptions, Subscriber};
use broker::sessions::{OpenSession, Session as Kept, SessionError, Wanted};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{MutexGuard, Notify, OwnedMutexGuard};
use tokio::time::{Instant, timeout};

use crate::counts::Counts;
use crate::limits::{HEARING_OUT_TIMEOUT, SESSIONS_MAX};
use crate::session::subscriptions::Granted;
use crate::session::{Expiry, Left, Session, kept};
use crate::will::Will;
use crate::wire::reason::Reason;
use crate::wire::subscribe::Options;

/// Clients whose names are mixed to the same of these numbers come and go one after the other.
const TURNS: usize = 1024;

/// The sessions of a door.
#[derive(Debug)]
pub(crate) struct Sessions {
    broker: Broker,
    counts: Arc<Counts>,
    by_client: Mutex<HashMap<Arc<str>, Arc<Session>>>,
    /// Held while a client comes or goes.
    turns: Vec<tokio::sync::Mutex<()>>,
    hasher: RandomState,
    connections: AtomicU64,
    timers: Mutex<Timers>,
    /// A timer is due before those that were known.
    sooner: Notify,
}

/// What is to be done later, in the order of time.
#[derive(Debug, Default)]
struct Timers {
    due: BTreeMap<(Instant, u64), Due>,
    number: u64,
}

/// The will of a session whose client is still away then.
#[derive(Debug)]
struct Due {
    session: Weak<Session>,
    /// The connection that it had last.
    connection: u64,
}

/// A will that is to be published now.
#[derive(Debug)]
pub(crate) struct DueWill {
    pub(crate) will: Will,
    /// The session in which it was written down, and what is to be written there when it is published.
    pub(crate) written: Option<(Kept, Bytes)>,
}

/// Ends a session's connection when it is dropped: another has come, and did not get through.
struct Displaced(Option<Arc<Session>>);

impl Drop for Displaced {
    fn drop(&mut self) {
        if let Some(session) = &self.0 {
            session.cut(Reason::TAKEN_OVER);
        }
    }
}

/// A session that a client may have.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) session: Arc<Session>,
    /// It was there before.
    pub(crate) is_present: bool,
    /// A session that this client had and that is over.
    pub(crate) replaced: Option<Arc<Session>>,
    /// Held until the client is attached: the connection that it had handles nothing meanwhile.
    _pause: Option<OwnedMutexGuard<()>>,
}

/// Figures of the sessions that end with their connections.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) unkept: usize,
    pub(crate) subscriptions: usize,
    pub(crate) shared_subscriptions: usize,
}

impl Expiry {
    /// For the core: how long it is kept.
    pub(crate) fn keep(self) -> Option<Millis> {
        (self != Self::NEVER).then(|| 1000 * Millis::from(self.0))
    }
}

impl Sessions {
    pub(crate) fn new(broker: Broker, counts: Arc<Counts>) -> Self {
        let sessions = Self {
            broker,
            counts,
            by_client: Mutex::default(),
            turns: std::iter::repeat_with(tokio::sync::Mutex::default).take(TURNS).collect(),
            hasher: RandomState::new(),
            connections: AtomicU64::new(1),
            timers: Mutex::default(),
            sooner: Notify::new(),
        };
        sessions.restore_wills();
        sessions
    }

    /// A number for a connection.
    pub(crate) fn new_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// How many clients have a session here: those who are connected, and those whose wills wait.
    pub(crate) fn count(&self) -> usize {
        self.by_client.lock().len()
    }

    /// They all.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.by_client.lock().values().cloned().collect()
    }

    /// What is not known to the core: sessions that end with their connections, and what they subscribe to.
    pub(crate) fn figures(&self) -> Figures {
        let mut found = Figures::default();
        for session in self.all().into_iter().filter(|session| session.kept.is_none()) {
            let (all, shared) = session.lock().subscriptions.counts();
            found.unkept += 1;
            found.subscriptions += all;
            found.shared_subscriptions += shared;
        }
        found
    }

    /// A client's turn to come or to go: to be held until it has.
    pub(crate) async fn turn(&self, client_id: &str) -> Option<MutexGuard<'_, ()>> {
        let hash = usize::try_from(self.hasher.hash_one(client_id)).unwrap_or(0);
        let turn = self.turns.get(hash % TURNS)?;
        Some(turn.lock().await)
    }

    /// Opens a client's session: the one that it has, unless it wants to begin anew or that one ends
    /// with its connection. It is the client's turn.
    ///
    /// # Errors
    /// There are too many, or it cannot be written down.
    pub(crate) async fn open(
        &self,
        client_id: &Arc<str>,
        clean_start: bool,
        expiry: Expiry,
    ) -> Result<Opened, SessionError> {
        let known = self.by_client.lock().get(client_id).cloned();
        if known.is_none() && self.count() >= SESSIONS_MAX {
            return Err(SessionError::TooMany);
        }
        if let Some(heard) = known.as_ref().and_then(|known| known.hear_out()) {
            // Its end, or that of the wait, which is not for a connection that cannot go on.
            let _heard = timeout(HEARING_OUT_TIMEOUT, heard).await;
        }
        let attached = known.clone().filter(|known| known.is_attached());
        let mut displaced = Displaced(attached);
        let id = Bytes::copy_from_slice(client_id.as_bytes());
        let resumed = known.as_ref().filter(|known| !clean_start && known.is_attached());
        if let Some(session) = resumed
            && let (Some(kept), Some(handling)) = (&session.kept, &session.handling)
            && session.lock().expiry > Expiry::AT_ONCE
            && self.broker.has_session(&id)
        {
            let pause = Some(Arc::clone(handling).lock_owned().await);
            // This one is told of it before anything else is stored.
            let half_done = session.lock().half_done();
            kept.put_state(half_done).await?;
            let how = OpenSession { publisher: session.id, keep: expiry.keep(), anew: false };
            let (_, is_present) = self.broker.open_session(id, how).await?;
            let session = Arc::clone(session);
            displaced.0 = None;
            return Ok(Opened { session, is_present, replaced: None, _pause: pause });
        }
        let publisher = self.broker.new_publisher();
        // One that its client has just left, and that ends with its connection, may not be deleted yet.
        let goes_on = |known: &Session| {
            !known.is_attached() && (known.kept.is_none() || known.lock().expiry > Expiry::AT_ONCE)
        };
        let is_present = !clean_start
            && self.broker.has_session(&id)
            && known.as_ref().is_none_or(|known| goes_on(known));
        let (kept, is_present) = match is_present || expiry > Expiry::AT_ONCE {
            true => {
                let how = OpenSession { publisher, keep: expiry.keep(), anew: !is_present };
                let (kept, was_there) = self.broker.open_session(id, how).await?;
                (Some(kept), was_there)
            }
            false => {
                self.broker.delete_session(&id).await?;
                (None, false)
            }
        };
        if let Some(kept) = &kept
            && let Some(state) = kept::without_will(&kept.state())
        {
            kept.put_state(state).await?;
        }
        displaced.0 = None;
        // The client is back: a will that was to wait is not sent (5.0 §3.1.2.5).
        let replaced = known.filter(|known| !is_present || known.lock().will.take().is_none());
        let clock = Arc::clone(&self.broker.options().clock);
        let counts = Arc::clone(&self.counts);
        let session = Session::new(Arc::clone(client_id), publisher, kept, (clock, counts));
        let session = Arc::new(session);
        self.by_client.lock().insert(Arc::clone(client_id), Arc::clone(&session));
        self.subscribe_again(&session);
        Ok(Opened { session, is_present, replaced, _pause: None })
    }

    /// Takes up the subscriptions that a session has.
    fn subscribe_again(&self, session: &Arc<Session>) {
        let subscriptions = session.kept.iter().flat_map(Kept::subscriptions);
        for (wanted, interest) in subscriptions {
            let (options, id) = kept::options(&interest);
            if let Err(error) = self.subscribe(session, &kept::text(&wanted), wanted, options, id) {
                tracing::warn!(%error, "a subscription is lost");
            }
        }
    }

    /// Subscribes a session, or changes how; whether the subscription is new.
    pub(crate) fn subscribe(
        &self,
        session: &Arc<Session>,
        text: &str,
        wanted: Wanted,
        options: Options,
        id: Option<u32>,
    ) -> Result<bool, SubscribeError> {
        let Wanted { filter, group } = wanted;
        let granted = Granted {
            text: text.into(),
            filter: filter.clone(),
            group: group.clone(),
            options,
            id,
            routed: None,
        };
        let mut state = session.lock();
        let before = state.subscriptions.find(text).map(|granted| granted.options);
        let (tag, is_new) = state.subscriptions.put(granted);
        drop(state);
        let is_same = |before: Options| {
            before.no_local == options.no_local && (before.qos > 0) == (options.qos > 0)
        };
        if !is_new && before.is_some_and(is_same) {
            return Ok(false);
        }
        // What waits for a member of a group goes to its queue.
        let kept = session.kept.clone().filter(|_| group.is_some() && options.qos > 0);
        let member = Bytes::copy_from_slice(session.client_id.as_bytes());
        let group = group.map(|name| Group { name, merges: false, member, weight: 1 });
        let how = SubscribeOptions {
            publisher: session.id,
            no_echo: options.no_local,
            group,
            session: kept,
        };
        let subscriber = Arc::clone(session) as Arc<dyn Subscriber>;
        match self.broker.subscribe(filter, subscriber, tag.into(), how) {
            Ok(routed) => {
                let replaced = session.lock().subscriptions.routed(tag, routed);
                drop(replaced);
                Ok(is_new)
            }
            Err(error) => {
                let removed = session.lock().subscriptions.remove(text);
                drop(removed);
                Err(error)
            }
        }
    }

    /// Ends a session that another has replaced: whoever is connected is told to go. A will that is due now is returned.
    pub(crate) fn replace(&self, session: &Session) -> Option<Box<Will>> {
        session.unsubscribe_all();
        session.end(Reason::TAKEN_OVER)
    }

    /// Whether no other session has replaced it.
    fn is_known(&self, session: &Arc<Session>) -> bool {
        let by_client = self.by_client.lock();
        by_client.get(&session.client_id).is_some_and(|known| Arc::ptr_eq(known, session))
    }

    /// Forgets a session, unless another has replaced it.
    fn forget(&self, session: &Arc<Session>) {
        let mut by_client = self.by_client.lock();
        if by_client.get(&session.client_id).is_some_and(|known| Arc::ptr_eq(known, session)) {
            by_client.remove(&session.client_id);
        }
        drop(by_client);
        session.unsubscribe_all();
    }

    /// Does what is due when a client has left, or sets a timer for it.
    pub(crate) async fn left(&self, session: &Arc<Session>, connection: u64, left: &Left) {
        let _turn = self.turn(&session.client_id).await;
        // If the client is back, it may have another session here that is kept in the same place.
        if !self.is_known(session) || !session.is_still_away(connection) {
            return;
        }
        let expiry = left.expiry;
        // With the session its will is due, at the latest (5.0 §3.1.3.2.2).
        let will_in = left.will_delay.map(|delay| match expiry {
            Expiry::NEVER => delay,
            Expiry(seconds) => delay.min(Duration::from_secs(seconds.into())),
        });
        if let Some(kept) = &session.kept {
            let outcome = match expiry {
                Expiry::AT_ONCE => kept.delete().await,
                _ => {
                    kept.keep_for(expiry.keep());
                    self.leave(session, kept, will_in).await
                }
            };
            if let Err(error) = outcome {
                tracing::debug!(client = %session.client_id, %error, "a session's end is not written down");
            }
        }
        let Some(after) = will_in else { return self.forget(session) };
        session.unsubscribe_all();
        self.later(after, Due { session: Arc::downgrade(session), connection });
    }

    /// Leaves a session that outlives its connection; a will that waits is written down first.
    async fn leave(
        &self,
        session: &Session,
        kept: &Kept,
        will_in: Option<Duration>,
    ) -> Result<(), SessionError> {
        let now = self.broker.now();
        if let Some(after) = will_in {
            let after = Millis::try_from(after.as_millis()).unwrap_or(Millis::MAX);
            let state = {
                let mut state = session.lock();
                state.will_due = Some(now.saturating_add(after));
                state.half_done()
            };
            kept.put_state(state).await?;
        }
        kept.leave(now).await
    }

    /// Takes up the wills that waited when the broker ended.
    fn restore_wills(&self) {
        for (kept, state) in self.broker.session_states() {
            let (Some((due, will)), Ok(client_id)) =
                (kept::HalfDone::decode(state).will, std::str::from_utf8(kept.id()))
            else {
                continue;
            };
            let publisher = self.broker.new_publisher();
            let Some(will) = Will::decode(&will, publisher) else { continue };
            let client_id = Arc::<str>::from(client_id);
            let clock = Arc::clone(&self.broker.options().clock);
            let shared = (clock, Arc::clone(&self.counts));
            let session = Session::new(Arc::clone(&client_id), publisher, Some(kept), shared);
            {
                let mut state = session.lock();
                (state.will, state.will_due) = (Some(Box::new(will)), Some(due));
                // It has outlived a connection; the core knows for how long.
                state.expiry = Expiry::NEVER;
            }
            let session = Arc::new(session);
            let after = u64::try_from(due.saturating_sub(self.broker.now())).unwrap_or(0);
            let due = Due { session: Arc::downgrade(&session), connection: 0 };
            self.later(Duration::from_millis(after), due);
            self.by_client.lock().insert(client_id, session);
        }
    }

    fn later(&self, after: Duration, due: Due) {
        let mut timers = self.timers.lock();
        let at = Instant::now() + after;
        let is_first = timers.due.first_key_value().is_none_or(|((first, _), _)| at < *first);
        timers.number += 1;
        let number = timers.number;
        timers.due.insert((at, number), due);
        drop(timers);
        if is_first {
            self.sooner.notify_one();
        }
    }

    /// Waits until something is due; the wills that are to be published now.
    pub(crate) async fn next_wills(&self) -> Vec<DueWill> {
        loop {
            let next = self.timers.lock().due.first_key_value().map(|((at, _), _)| *at);
            match next {
                None => self.sooner.notified().await,
                Some(at) if at <= Instant::now() => return self.take_due(),
                Some(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = self.sooner.notified() => {}
                    }
                }
            }
        }
    }

    fn take_due(&self) -> Vec<DueWill> {
        let mut wills = Vec::new();
        let now = Instant::now();
        loop {
            let due = {
                let mut timers = self.timers.lock();
                match timers.due.first_entry() {
                    Some(first) if first.key().0 <= now => first.remove(),
                    _ => return wills,
                }
            };
            let Some(session) = due.session.upgrade() else { continue };
            if session.is_still_away(due.connection) {
                let mut state = session.lock();
                let will = state.will.take();
                state.will_due = None;
                let half_done = state.half_done();
                drop(state);
                let written = session.kept.clone().map(|kept| (kept, half_done));
                wills.extend(will.map(|will| DueWill { will: *will, written }));
                self.forget(&session);
            }
        }
    }
}
