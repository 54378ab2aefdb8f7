//! All sessions: who takes whose place, and what ends when.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use broker::Broker;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits::SESSIONS_MAX;
use crate::session::{Expiry, Left, Session};
use crate::will::Will;
use crate::wire::reason::Reason;

/// The sessions of a door.
#[derive(Debug)]
pub(crate) struct Sessions {
    broker: Broker,
    by_client: Mutex<HashMap<Arc<str>, Arc<Session>>>,
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

/// Something to do with a session whose client is still away then.
#[derive(Debug)]
struct Due {
    session: Weak<Session>,
    /// The connection that it had last.
    connection: u64,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Will,
    /// The session ends, and so its will is due at the latest (5.0 §3.1.3.2.2).
    End,
}

/// A session that a client may have.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) session: Arc<Session>,
    /// It was there before.
    pub(crate) is_present: bool,
    /// A session that this client had and that is over.
    pub(crate) replaced: Option<Arc<Session>>,
}

impl Sessions {
    pub(crate) fn new(broker: Broker) -> Self {
        Self {
            broker,
            by_client: Mutex::default(),
            connections: AtomicU64::new(1),
            timers: Mutex::default(),
            sooner: Notify::new(),
        }
    }

    /// A number for a connection.
    pub(crate) fn new_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Opens a client's session: the one that it has, unless it wants to begin anew or that one ends
    /// with its connection. None if there are too many.
    pub(crate) fn open(&self, client_id: &Arc<str>, clean_start: bool) -> Option<Opened> {
        let mut by_client = self.by_client.lock();
        let known = by_client.get(client_id).cloned();
        if let Some(session) = &known
            && !clean_start
            && session.lock().expiry > Expiry::AT_ONCE
        {
            return Some(Opened { session: Arc::clone(session), is_present: true, replaced: None });
        }
        if known.is_none() && by_client.len() >= SESSIONS_MAX {
            return None;
        }
        let id = self.broker.new_publisher();
        let clock = Arc::clone(&self.broker.options().clock);
        let session = Arc::new(Session::new(Arc::clone(client_id), id, clock));
        by_client.insert(Arc::clone(client_id), Arc::clone(&session));
        Some(Opened { session, is_present: false, replaced: known })
    }

    /// Ends a session that another has replaced: whoever is connected is told to go. A will that is due now is returned.
    pub(crate) fn replace(&self, session: &Session) -> Option<Box<Will>> {
        session.unsubscribe_all();
        session.end(Reason::TAKEN_OVER)
    }

    /// Forgets a session, unless another has replaced it.
    pub(crate) fn end(&self, session: &Arc<Session>) {
        let mut by_client = self.by_client.lock();
        if by_client.get(&session.client_id).is_some_and(|known| Arc::ptr_eq(known, session)) {
            by_client.remove(&session.client_id);
        }
        drop(by_client);
        session.unsubscribe_all();
    }

    /// Does what is due when a client has left, or sets timers for it. A will that is due is returned.
    pub(crate) fn left(
        &self,
        session: &Arc<Session>,
        connection: u64,
        left: Left,
    ) -> Option<Box<Will>> {
        let Left { will_delay, expiry } = left;
        let expires = Duration::from_secs(expiry.0.into());
        if expiry == Expiry::AT_ONCE {
            self.end(session);
            return session.lock().will.take();
        }
        let due = |what| Due { session: Arc::downgrade(session), connection, what };
        let will = match will_delay {
            Some(delay) if delay.is_zero() => session.lock().will.take(),
            Some(delay) => {
                self.later(delay, due(What::Will));
                None
            }
            None => None,
        };
        if expiry != Expiry::NEVER {
            self.later(expires, due(What::End));
        }
        will
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
    pub(crate) async fn next_wills(&self) -> Vec<Will> {
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

    fn take_due(&self) -> Vec<Will> {
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
            if !session.is_still_away(due.connection) {
                continue;
            }
            wills.extend(session.lock().will.take().map(|will| *will));
            if let What::End = due.what {
                self.end(&session);
            }
        }
    }
}
