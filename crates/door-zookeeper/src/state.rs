//! What all connections of the door share: the tree, the watches, the sessions.
//!
//! One lock guards it. A request brings the tree up to date, queues the events of what changed,
//! and queues its reply, all under the lock; so a client gets an event before any reply that shows
//! the change, which is the order that ZooKeeper promises.
//!
//! The tree shows two things that change in one row of revisions: the cluster's metadata, as
//! pictures of it, and the registry, change by change. A registry change is shown once the picture
//! is as new; so the newest revision of both is the zxid, and it never goes back.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use base::{BrokerId, Millis, Random};
use broker::discovery::is_lease;
use broker::metadata::Metadata;
use broker::registry::{self, Batch, EventKind, Feed, Tag};
use door::CloseReason;
use tokio::sync::{Semaphore, watch};
use tracing::debug;

use crate::client::{Client, LastRequest, Latency};
use crate::limits::{SESSION_TIMEOUT_MAX, SESSION_TIMEOUT_MIN, SESSIONS_MAX};
use crate::map;
use crate::outgoing::{Cut, Outgoing};
use crate::tree::{Change, Tree};
use crate::watches::{ClientId, Watches};
use crate::wire::connect::{ConnectRequest, ConnectResponse, PASSWORD_BYTES};
use crate::wire::jute::Writer;
use crate::wire::reply::{self, ReplyHeader};
use crate::write::Operation;
use crate::writer::{Asker, Decided};

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
    /// The broker that looks after it.
    broker: BrokerId,
    /// Its end is being written: it can no longer be taken up.
    closing: bool,
    /// When the client was last heard of, on the steady clock.
    heard: u64,
    /// The connection that serves it.
    client: Option<ClientId>,
}

/// What a client that connects needs.
#[derive(Debug)]
pub(crate) enum Wish {
    /// A session, stored already or to be stored first.
    Session { number: i64, session: registry::Session, is_stored: bool },
    /// The session that it asked for is no more.
    Expired,
}

/// All that connections share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) tree: Tree,
    pub(crate) watches: Watches,
    /// Connections, with or without a session.
    pub(crate) clients: BTreeMap<ClientId, Client>,
    /// Of all requests since the start.
    pub(crate) latency: Latency,
    /// Whether somebody looks after time-outs and changes.
    pub(crate) tended: bool,
    /// The registry's newest write.
    pub(crate) head: Option<Tag>,
    /// Names this door's writes.
    pub(crate) writer: u64,
    /// The number of this door's newest write.
    pub(crate) counter: u64,
    /// Decisions that depend on writes under way, by the writes' numbers.
    pub(crate) awaited: HashMap<u64, Vec<Decided>>,
    /// The changes that the writes of this round have become.
    pub(crate) numbers: HashMap<u64, i64>,
    sessions: HashMap<i64, Session>,
    broker: BrokerId,
    feed: Option<Feed>,
    /// What the feed showed ahead of the metadata.
    early: Option<Batch>,
    /// The revision of the metadata that was looked at last.
    seen: u64,
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

impl State {
    pub(crate) fn new(
        metadata: watch::Receiver<Arc<Metadata>>,
        broker: BrokerId,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            head: None,
            writer: random.next_u64(),
            counter: 0,
            awaited: HashMap::new(),
            numbers: HashMap::new(),
            broker,
            feed: None,
            early: None,
            seen: 0,
            tree: Tree::default(),
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
        if self.shown.is_some() && self.seen == newest.revision {
            return;
        }
        if self.shown.is_none() {
            // Entries may stand below what shows metadata.
            self.show(&newest, now);
        }
        while let Some(batch) = self.next_batch(newest.revision) {
            self.apply(&batch, now);
        }
        self.show(&newest, now);
    }

    /// Shows the picture of the metadata, if it is another one. Its revision is the zxid: it grows
    /// with every change, survives restarts, and all brokers agree on it.
    fn show(&mut self, newest: &Arc<Metadata>, now: Now) {
        self.seen = newest.revision;
        self.tree.begin(i64::try_from(newest.revision).unwrap_or(i64::MAX), now.wall);
        map::apply(&mut self.tree, self.shown.as_deref(), newest, now.wall);
        let changes = self.tree.take_changes();
        // A picture that differs in its revision alone is not held, so that the broker can go on
        // using it.
        if self.shown.is_none() || !changes.is_empty() {
            self.shown = Some(Arc::clone(newest));
        }
        changes.iter().for_each(|change| self.fire(change));
    }

    /// The next changes of the registry up to a revision.
    fn next_batch(&mut self, until: u64) -> Option<Batch> {
        if self.early.is_none() {
            self.early = match self.feed.as_mut()?.try_next() {
                Ok(batch) => batch,
                Err(registry::Lost) => {
                    self.feed = None;
                    None
                }
            };
        }
        self.early.take_if(|batch| batch.revision <= until)
    }

    /// Whether the registry must be opened anew.
    pub(crate) fn is_lost(&self) -> bool {
        self.feed.is_none()
    }

    /// Shows what one revision changed in the registry; then answers those whose write it was.
    fn apply(&mut self, batch: &Batch, now: Now) {
        let zxid = i64::try_from(batch.revision).unwrap_or(i64::MAX);
        self.tree.begin(zxid, now.wall);
        self.take_over(&batch.changes, now);
        let Some(step) = &batch.step else { return };
        self.head = Some(step.tag);
        for (kind, path) in &step.events {
            let path = Arc::clone(path);
            self.fire(&match kind {
                EventKind::Created => Change::Created(path),
                EventKind::Deleted => Change::Deleted(path),
                EventKind::Written => Change::DataChanged(path),
            });
        }
        if step.tag.writer == self.writer
            && let Some(awaited) = self.awaited.remove(&step.tag.counter)
        {
            self.numbers.insert(step.tag.counter, zxid);
            awaited.into_iter().for_each(|decided| self.deliver(decided, zxid, now));
        }
    }

    fn take_over(&mut self, changes: &[registry::Change], now: Now) {
        use registry::Change::{Access, Children, Entry, Session};
        for change in changes {
            match change {
                Entry(path, Some(entry)) => self.tree.put_entry(path, entry),
                Entry(path, None) => self.tree.drop_entry(path),
                Session(number, session) => self.take_over_session(*number, session.as_ref(), now),
                Children(..) | Access(..) => {}
            }
        }
        // What belongs to an entry comes before it in the order of keys.
        for change in changes {
            match change {
                Children(path, Some(children)) => self.tree.put_children(path, *children),
                Access(path, Some(access)) => self.tree.put_access(path, access),
                Access(path, None) => self.tree.put_access(path, &registry::Access::default()),
                _ => {}
            }
        }
    }

    fn take_over_session(&mut self, number: i64, session: Option<&registry::Session>, now: Now) {
        if is_lease(number) {
            // Somebody else looks after it; no client of ours can take it up.
            return;
        }
        let Some(session) = session else {
            let client = self.sessions.remove(&number).and_then(|session| session.client);
            if let Some(client) = client.and_then(|id| self.clients.get_mut(&id)) {
                client.session = None;
            }
            if let Some(id) = client {
                self.watches.forget(id);
            }
            return;
        };
        let new = Session {
            password: session.secret,
            timeout: session.timeout,
            broker: session.broker(),
            closing: false,
            // Of sessions from before a restart nothing else is known: they have their whole
            // time-out to come back.
            heard: now.steady,
            client: None,
        };
        let known = self.sessions.entry(number).or_insert(new);
        known.timeout = session.timeout;
        known.broker = session.broker();
    }

    /// Replaces all that is known of the registry, tells of what changed meanwhile, and follows
    /// `feed` from there.
    pub(crate) fn load(&mut self, picture: &Batch, feed: Feed, now: Now) {
        self.catch_up(now);
        let mut gone: HashSet<Arc<str>> = HashSet::new();
        let mut before: HashMap<Arc<str>, (i64, i64)> = HashMap::new();
        for (path, body) in self.tree.entries() {
            gone.insert(Arc::clone(path));
            before.insert(Arc::clone(path), (body.stat.czxid, body.stat.mzxid));
        }
        let mut sessions: HashSet<i64> = self.sessions.keys().copied().collect();
        let mut changes = Vec::new();
        for change in &picture.changes {
            match change {
                registry::Change::Entry(path, Some(entry)) => {
                    gone.remove(path);
                    let number = |revision: u64| i64::try_from(revision).unwrap_or(i64::MAX);
                    let is_same = |stat: &i64, revision| *stat == number(revision);
                    match before.get(path) {
                        None => changes.push(Change::Created(Arc::clone(path))),
                        Some((created, written))
                            if is_same(created, entry.created)
                                && is_same(written, entry.modified) => {}
                        Some(_) => changes.push(Change::DataChanged(Arc::clone(path))),
                    }
                }
                registry::Change::Session(number, _) => {
                    sessions.remove(number);
                }
                _ => {}
            }
        }
        let mut gone: Vec<_> = gone.into_iter().collect();
        gone.sort_by(|a, b| b.cmp(a));
        gone.iter().for_each(|path| self.tree.drop_entry(path));
        sessions.into_iter().for_each(|number| self.take_over_session(number, None, now));
        self.tree.begin(i64::try_from(picture.revision).unwrap_or(i64::MAX), now.wall);
        self.take_over(&picture.changes, now);
        self.head = picture.step.as_ref().map(|step| step.tag);
        (self.feed, self.early) = (Some(feed), None);
        gone.into_iter().map(Change::Deleted).for_each(|change| self.fire(&change));
        changes.iter().for_each(|change| self.fire(change));
    }

    fn fire(&mut self, change: &Change) {
        let clients = &mut self.clients;
        self.watches.fire(change, |client, kind, path| {
            if let Some(client) = clients.get_mut(&client) {
                client.send(&reply::event(kind, path));
            }
        });
    }

    /// Answers whoever asked for a write that is done, or was refused.
    pub(crate) fn deliver(&mut self, decided: Decided, zxid: i64, now: Now) {
        let Decided { job, result } = decided;
        match job.asker {
            Asker::Client(request) => {
                let mut header = ReplyHeader { xid: request.xid, zxid, error: 0 };
                let mut out = Writer::default();
                let number = |zxid: i64| match u64::try_from(zxid) {
                    Ok(_) => zxid,
                    Err(_) => self.numbers.get(&zxid.unsigned_abs()).copied().unwrap_or(zxid),
                };
                match result {
                    Ok(answer) => answer.encode(request.op, &number, &mut out),
                    Err(code) => header.error = code.number(),
                }
                self.reply(request.client, request.op, header, &out, request.since..now);
            }
            Asker::Hello(waits) => {
                // It may have gone away.
                let _gone = waits.send(());
            }
            Asker::Nobody => {}
        }
    }

    /// Sends a reply to a request that was looked after `during` this time.
    pub(crate) fn reply(
        &mut self,
        id: ClientId,
        op: i32,
        header: ReplyHeader,
        record: &Writer,
        during: Range<Now>,
    ) {
        let latency = during.end.steady.saturating_sub(during.start.steady);
        self.latency.add(latency);
        if let Some(client) = self.clients.get_mut(&id) {
            client.received += 1;
            client.latency.add(latency);
            let ReplyHeader { xid, zxid, .. } = header;
            client.last = Some(LastRequest { op, xid, zxid, at: during.start.wall, latency });
            client.send(&header.frame(record.as_slice()));
        }
    }

    /// A connection was accepted.
    pub(crate) fn join(
        &mut self,
        peer: SocketAddr,
        now: Now,
    ) -> (ClientId, Arc<Outgoing>, Arc<Semaphore>) {
        self.next_client += 1;
        let client = Client::new(peer, now.wall);
        let (outgoing, writes) = (Arc::clone(&client.outgoing), Arc::clone(&client.writes));
        self.clients.insert(self.next_client, client);
        (self.next_client, outgoing, writes)
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

    /// What a client that connects needs: a new session, or the one that it had before.
    ///
    /// # Errors
    /// For a client that has seen more than we have, and when there are too many sessions.
    pub(crate) fn connect(&self, request: &ConnectRequest<'_>) -> Result<Wish, CloseReason> {
        let (seen, zxid) = (request.last_zxid_seen, self.tree.zxid());
        if seen > zxid {
            let text = format!("client has seen zxid 0x{seen:x}, we are at 0x{zxid:x}");
            return Err(CloseReason::Protocol(text));
        }
        let timeout = request.timeout.min(*self.timeouts.end()).max(*self.timeouts.start());
        if request.session == 0 {
            return self.new_session(timeout);
        }
        let known = self.sessions.get(&request.session).filter(|session| !session.closing);
        let Some(known) = known.filter(|session| session.password[..] == *request.password) else {
            return Ok(Wish::Expired);
        };
        let session = registry::Session { secret: known.password, timeout, broker: self.broker.0 };
        let is_stored = known.timeout == timeout && known.broker == self.broker;
        Ok(Wish::Session { number: request.session, session, is_stored })
    }

    fn new_session(&self, timeout: i32) -> Result<Wish, CloseReason> {
        if self.sessions.len() >= SESSIONS_MAX {
            return Err(CloseReason::Limit(format!("{SESSIONS_MAX} sessions")));
        }
        let mut secret = [0; PASSWORD_BYTES];
        self.random.fill(&mut secret);
        let number = loop {
            let number = self.random.next_u64().cast_signed() & i64::MAX | SESSION_MARK;
            if !self.sessions.contains_key(&number) {
                break number;
            }
        };
        let session = registry::Session { secret, timeout, broker: self.broker.0 };
        Ok(Wish::Session { number, session, is_stored: false })
    }

    /// Makes `id` the connection of a session that is stored, and says what to tell the client.
    pub(crate) fn take_up(
        &mut self,
        id: ClientId,
        number: i64,
        session: &registry::Session,
        now: Now,
    ) -> ConnectResponse {
        if !self.is_open(number) {
            return ConnectResponse::EXPIRED;
        }
        self.attach(id, number, session.timeout, now);
        ConnectResponse { timeout: session.timeout, session: number, password: session.secret }
    }

    /// Whether a session can be used.
    pub(crate) fn is_open(&self, number: i64) -> bool {
        self.sessions.get(&number).is_some_and(|session| !session.closing)
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

    /// Notes that a client was heard of, and says which session it has; none when that is over.
    pub(crate) fn touch(&mut self, id: ClientId, now: Now) -> Option<i64> {
        let number = self.clients.get(&id)?.session?;
        self.sessions.get_mut(&number)?.heard = now.steady;
        Some(number)
    }

    /// Cuts off clients that were not heard of for their session's time-out, and returns the
    /// sessions, whose end is to be written.
    pub(crate) fn expire(&mut self, now: Now) -> Vec<i64> {
        let own = self.broker;
        let is_silent = |session: &Session| {
            let timeout = u64::try_from(session.timeout).unwrap_or(0);
            now.steady.saturating_sub(session.heard) >= timeout
        };
        let mut over = Vec::new();
        for (number, session) in &mut self.sessions {
            if session.broker != own || session.closing || !is_silent(session) {
                continue;
            }
            // What it said since is not read while its writes wait for a slow disk.
            let client = session.client.and_then(|id| self.clients.get(&id));
            if client.is_some_and(Client::is_writing) {
                session.heard = now.steady;
                continue;
            }
            debug!(session = format!("0x{number:x}"), "session expired");
            session.closing = true;
            over.push(*number);
            if let Some(id) = session.client.take()
                && let Some(client) = self.clients.get_mut(&id)
            {
                client.session = None;
                self.watches.forget(id);
                client.outgoing.cut_off(Cut::Expired);
            }
        }
        over
    }

    /// The end of a session could not be written; it is tried again.
    pub(crate) fn reopen_session(&mut self, operation: &Operation) {
        if let Operation::CloseSession(number) = operation
            && let Some(session) = self.sessions.get_mut(number)
        {
            session.closing = false;
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

    fn cut_off(&mut self, id: ClientId, why: Cut) {
        self.watches.forget(id);
        if let Some(client) = self.clients.get_mut(&id) {
            client.session = None;
            client.outgoing.cut_off(why);
        }
    }
}
