//! What all connections of the door share: the tree, the watches, the sessions.
//!
//! One lock guards it. A request brings the tree up to date, queues the events of what changed,
//! and queues its reply, all under the lock; so a client gets an event before any reply that shows
//! the change, which is the order that ZooKeeper promises.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use base::{Millis, Random};
use broker::metadata::Metadata;
use door::CloseReason;
use tokio::sync::watch;
use tracing::debug;

use crate::client::{Client, Latency};
use crate::limits::{SESSION_TIMEOUT_MAX, SESSION_TIMEOUT_MIN, SESSIONS_MAX};
use crate::map;
use crate::outgoing::{Cut, Outgoing};
use crate::tree::Tree;
use crate::watches::{ClientId, Watches};
use crate::wire::connect::{ConnectRequest, ConnectResponse, PASSWORD_BYTES};
use crate::wire::reply;

/// Set in every client's session number and in no broker's, see `map`.
const SESSION_MARK: i64 = 1 << 62;

/// A moment: the wall clock for what clients read, and a clock that never jumps for time-outs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Milliseconds since the Unix epoch.
    pub(crate) wall: Millis,
    /// Milliseconds since the door was made.
    pub(crate) steady: u64,
}

/// A client's session, which outlives its connection for as long as its time-out.
#[derive(Debug)]
struct Session {
    password: [u8; PASSWORD_BYTES],
    timeout: i32,
    /// When the client was last heard of, on the steady clock.
    heard: u64,
    /// The connection that serves it.
    client: Option<ClientId>,
}

/// All that connections share.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) tree: Tree,
    pub(crate) watches: Watches,
    /// Connections, with or without a session.
    pub(crate) clients: BTreeMap<ClientId, Client>,
    /// Of all requests since the start.
    pub(crate) latency: Latency,
    /// Whether somebody looks after time-outs and changes.
    pub(crate) tended: bool,
    sessions: HashMap<i64, Session>,
    metadata: watch::Receiver<Arc<Metadata>>,
    /// What the tree shows; none until the first client needs it.
    shown: Option<Arc<Metadata>>,
    random: Arc<dyn Random>,
    /// Session time-outs that clients may have, in milliseconds.
    pub(crate) timeouts: RangeInclusive<i32>,
    next_client: ClientId,
    /// Packets of connections that ended: received, sent.
    packets_before: (u64, u64),
}

impl Registry {
    pub(crate) fn new(metadata: watch::Receiver<Arc<Metadata>>, random: Arc<dyn Random>) -> Self {
        Self {
            tree: Tree::new(),
            watches: Watches::default(),
            clients: BTreeMap::new(),
            latency: Latency::default(),
            tended: false,
            sessions: HashMap::new(),
            metadata,
            shown: None,
            random,
            timeouts: SESSION_TIMEOUT_MIN..=SESSION_TIMEOUT_MAX,
            next_client: 0,
            packets_before: (0, 0),
        }
    }

    /// Brings the tree up to date and queues events for those who watch what changed. Cheap when
    /// nothing did.
    pub(crate) fn catch_up(&mut self, now: Now) {
        let newest = Arc::clone(&self.metadata.borrow());
        if self.shown.as_ref().is_some_and(|shown| shown.revision == newest.revision) {
            return;
        }
        // The metadata's revision is the zxid: it grows with every change, survives restarts, and
        // all brokers agree on it.
        let revision = i64::try_from(newest.revision).unwrap_or(i64::MAX);
        self.tree.begin(revision, now.wall);
        map::apply(&mut self.tree, self.shown.as_deref(), &newest, now.wall);
        self.shown = Some(newest);
        for change in self.tree.take_changes() {
            let clients = &mut self.clients;
            self.watches.fire(&change, |client, kind, path| {
                if let Some(client) = clients.get_mut(&client) {
                    client.send(&reply::event(kind, path));
                }
            });
        }
    }

    /// A connection was accepted.
    pub(crate) fn join(&mut self, peer: SocketAddr, now: Now) -> (ClientId, Arc<Outgoing>) {
        self.next_client += 1;
        let client = Client::new(peer, now.wall);
        let outgoing = Arc::clone(&client.outgoing);
        self.clients.insert(self.next_client, client);
        (self.next_client, outgoing)
    }

    /// A connection ended. Its session, if it has one, waits for the client to come back.
    pub(crate) fn leave(&mut self, id: ClientId) {
        self.watches.forget(id);
        let Some(client) = self.clients.remove(&id) else { return };
        self.packets_before.0 += client.received;
        self.packets_before.1 += client.sent;
        let session = client.session;
        if let Some(session) = session.and_then(|session| self.sessions.get_mut(&session)) {
            session.client = None;
        }
    }

    /// Opens a session, or goes on with one that a client had before.
    ///
    /// # Errors
    /// For a client that has seen more than we have, and when there are too many sessions.
    pub(crate) fn connect(
        &mut self,
        id: ClientId,
        request: &ConnectRequest<'_>,
        now: Now,
    ) -> Result<ConnectResponse, CloseReason> {
        self.catch_up(now);
        let (seen, zxid) = (request.last_zxid_seen, self.tree.zxid());
        if seen > zxid {
            let text = format!("client has seen zxid 0x{seen:x}, we are at 0x{zxid:x}");
            return Err(CloseReason::Protocol(text));
        }
        let timeout = request.timeout.min(*self.timeouts.end()).max(*self.timeouts.start());
        let (number, password) = if request.session == 0 {
            self.new_session(timeout, now)?
        } else {
            let known = self.sessions.get(&request.session);
            match known.filter(|session| session.password[..] == *request.password) {
                Some(session) => (request.session, session.password),
                None => return Ok(ConnectResponse::EXPIRED),
            }
        };
        self.attach(id, number, timeout, now);
        Ok(ConnectResponse { timeout, session: number, password })
    }

    fn new_session(
        &mut self,
        timeout: i32,
        now: Now,
    ) -> Result<(i64, [u8; PASSWORD_BYTES]), CloseReason> {
        if self.sessions.len() >= SESSIONS_MAX {
            return Err(CloseReason::Limit(format!("{SESSIONS_MAX} sessions")));
        }
        let mut password = [0; PASSWORD_BYTES];
        self.random.fill(&mut password);
        let number = loop {
            let number = self.random.next_u64().cast_signed() & i64::MAX | SESSION_MARK;
            if !self.sessions.contains_key(&number) {
                break number;
            }
        };
        let session = Session { password, timeout, heard: now.steady, client: None };
        self.sessions.insert(number, session);
        Ok((number, password))
    }

    /// Makes `id` the connection of a session; the one that had it is closed.
    fn attach(&mut self, id: ClientId, number: i64, timeout: i32, now: Now) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        session.heard = now.steady;
        session.timeout = timeout;
        if let Some(old) = session.client.replace(id) {
            self.cut_off(old, Cut::Moved);
        }
        if let Some(client) = self.clients.get_mut(&id) {
            client.session = Some(number);
            client.timeout = timeout;
        }
    }

    /// Notes that a client was heard of; false when its session is gone.
    pub(crate) fn touch(&mut self, id: ClientId, now: Now) -> bool {
        let number = self.clients.get(&id).and_then(|client| client.session);
        match number.and_then(|number| self.sessions.get_mut(&number)) {
            Some(session) => {
                session.heard = now.steady;
                true
            }
            None => false,
        }
    }

    /// Ends a client's session for good.
    pub(crate) fn close_session(&mut self, id: ClientId) {
        self.watches.forget(id);
        let number = self.clients.get_mut(&id).and_then(|client| client.session.take());
        if let Some(number) = number {
            self.sessions.remove(&number);
        }
    }

    /// Ends the sessions of clients that were not heard of for their time-out.
    pub(crate) fn expire(&mut self, now: Now) {
        let silent = |session: &Session| {
            let timeout = u64::try_from(session.timeout).unwrap_or(0);
            now.steady.saturating_sub(session.heard) >= timeout
        };
        for (number, session) in self.sessions.extract_if(|_, session| silent(session)) {
            debug!(session = format!("0x{number:x}"), "session expired");
            if let Some(id) = session.client
                && let Some(client) = self.clients.get_mut(&id)
            {
                client.session = None;
                self.watches.forget(id);
                client.outgoing.cut_off(Cut::Expired);
            }
        }
    }

    /// Sessions, attached to a connection or not.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Packets received and sent since the start.
    pub(crate) fn packets(&self) -> (u64, u64) {
        self.clients.values().fold(self.packets_before, |(received, sent), client| {
            (received + client.received, sent + client.sent)
        })
    }

    /// Whether nobody is here, so that nobody needs to be looked after.
    pub(crate) fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.sessions.is_empty()
    }

    /// Whether anybody could be watching.
    pub(crate) fn is_watched(&self) -> bool {
        !self.watches.is_empty()
    }

    fn cut_off(&mut self, id: ClientId, why: Cut) {
        self.watches.forget(id);
        if let Some(client) = self.clients.get_mut(&id) {
            client.session = None;
            client.outgoing.cut_off(why);
        }
    }
}
