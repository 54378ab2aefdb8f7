//! What a listener counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use observe::state::{Inspect, NodeId, NodeKind, View};
use observe::{Collect, EventKind, Observe, Said, Sink, families, kinds};
use parking_lot::Mutex;

use crate::CloseReason;
use crate::about::Connections;
use crate::pace::Pace;

/// A listener's counters. All but `open` only grow.
#[derive(Debug, Default)]
pub struct Stats {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) open: AtomicU64,
    pub(crate) closed_protocol: AtomicU64,
    pub(crate) closed_limit: AtomicU64,
    pub(crate) closed_io: AtomicU64,
    pub(crate) closed_idle: AtomicU64,
    pub(crate) failed_handshakes: AtomicU64,
    pub(crate) failed_logins: AtomicU64,
    pub(crate) panicked: AtomicU64,
    pub(crate) accept_failures: AtomicU64,
    /// Of the lines about connections that ended badly.
    pub(crate) pace: Mutex<Pace>,
    /// The connections that are open.
    pub(crate) connections: Mutex<Connections>,
    /// Who is told of them, too.
    pub(crate) shown: Option<Shown>,
}

/// A listener, to those who look.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) observe: Arc<Observe>,
    pub(crate) listener: Arc<str>,
    pub(crate) door: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) is_encrypted: bool,
    pub(crate) asks_for_logins: bool,
}

impl Shown {
    fn id(&self) -> NodeId {
        NodeId::new(NodeKind::Listener, Arc::clone(&self.listener))
    }
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatsSnapshot {
    /// Connections handed to the door.
    pub accepted: u64,
    /// Connections closed unserved because too many were open, or came too fast.
    pub refused: u64,
    /// Connections that the door is serving now.
    pub open: u64,
    /// Connections ended because the client broke the protocol.
    pub closed_protocol: u64,
    /// Connections ended because the client exceeded a limit.
    pub closed_limit: u64,
    /// Connections lost to a socket error.
    pub closed_io: u64,
    /// Connections ended because the client sent nothing for too long.
    pub closed_idle: u64,
    /// Connections that did not get through the TLS handshake.
    pub failed_handshakes: u64,
    /// Connections ended because their login was refused.
    pub failed_logins: u64,
    /// Connections whose task panicked: each is a bug of ours.
    pub panicked: u64,
    /// Times that the operating system could not hand over a connection, such as for want of file
    /// descriptors. The listener pauses and tries again.
    pub accept_failures: u64,
}

impl Stats {
    /// Reads all counters; each is exact, together they may be a moment apart.
    pub fn snapshot(&self) -> StatsSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StatsSnapshot {
            accepted: read(&self.accepted),
            refused: read(&self.refused),
            open: read(&self.open),
            closed_protocol: read(&self.closed_protocol),
            closed_limit: read(&self.closed_limit),
            closed_io: read(&self.closed_io),
            closed_idle: read(&self.closed_idle),
            failed_handshakes: read(&self.failed_handshakes),
            failed_logins: read(&self.failed_logins),
            panicked: read(&self.panicked),
            accept_failures: read(&self.accept_failures),
        }
    }

    /// Counts a connection that ended for `reason`.
    pub(crate) fn count_close(&self, reason: &CloseReason) {
        let counter = match reason {
            CloseReason::Io(_) => &self.closed_io,
            CloseReason::Protocol(_) => &self.closed_protocol,
            CloseReason::Limit(_) => &self.closed_limit,
            CloseReason::Idle(_) => &self.closed_idle,
            CloseReason::Handshake(_) => &self.failed_handshakes,
            CloseReason::Login(_) => &self.failed_logins,
        };
        bump(counter);
    }
}

impl Stats {
    /// Tells of a connection that was refused, or ended badly.
    pub(crate) fn tell(&self, kind: &'static EventKind, peer: SocketAddr, why: &str) {
        let Some(shown) = &self.shown else { return };
        let say = || {
            let door = shown.door;
            Said::new(format!("{peer}: {why}")).with("peer", &peer).with("door", door)
        };
        shown.observe.events.tell(kind, Some(shown.id()), say);
    }

    /// Tells that the system had no connection to give.
    pub(crate) fn tell_of_failure(&self, error: &std::io::Error) {
        let Some(shown) = &self.shown else { return };
        let say = || Said::new(format!("cannot accept connections: {error}"));
        shown.observe.events.tell(&kinds::ACCEPT_FAILED, Some(shown.id()), say);
    }

    /// What an end that is worth telling of is told as.
    pub(crate) fn event(reason: &CloseReason) -> Option<&'static EventKind> {
        match reason {
            CloseReason::Io(_) | CloseReason::Idle(_) => None,
            CloseReason::Protocol(_) => Some(&kinds::PROTOCOL_ERROR),
            CloseReason::Limit(_) => Some(&kinds::LIMIT_EXCEEDED),
            CloseReason::Handshake(_) => Some(&kinds::HANDSHAKE_FAILED),
            CloseReason::Login(_) => Some(&kinds::LOGIN_FAILED),
        }
    }
}

impl Collect for Stats {
    fn collect(&self, sink: &mut Sink<'_>) {
        let Some(shown) = &self.shown else { return };
        let now = self.snapshot();
        let labels = [shown.door, &*shown.listener];
        sink.gauge(&families::CONNECTIONS, labels, i64::try_from(now.open).unwrap_or(i64::MAX));
        sink.counter(&families::CONNECTIONS_ACCEPTED, labels, now.accepted);
        sink.counter(&families::CONNECTIONS_REFUSED, labels, now.refused);
        sink.counter(&families::ACCEPT_FAILURES, labels, now.accept_failures);
        let failed = [
            ("protocol", now.closed_protocol),
            ("limit", now.closed_limit),
            ("io", now.closed_io),
            ("idle", now.closed_idle),
            ("handshake", now.failed_handshakes),
            ("login", now.failed_logins),
            ("panic", now.panicked),
        ];
        for (reason, count) in failed {
            let [door, listener] = labels;
            sink.counter(&families::CONNECTIONS_FAILED, [door, listener, reason], count);
        }
    }
}

impl Inspect for Stats {
    fn inspect(&self, view: &mut View<'_>) {
        let Some(shown) = &self.shown else { return };
        let now = self.snapshot();
        let node = |node: observe::state::Node| {
            node.with("door", shown.door)
                .with("address", shown.address.to_string())
                .with("tls", shown.is_encrypted)
                .with("logins", shown.asks_for_logins)
                .with("connections", now.open)
                .with("accepted", now.accepted)
                .with("refused", now.refused)
        };
        view.put(&shown.id(), node, &[]);
        let connections = self.connections.lock();
        if !view.wants(NodeKind::Connection) {
            view.count(NodeKind::Connection, connections.count());
            return;
        }
        for (number, open) in connections.iter() {
            let id = NodeId::new(NodeKind::Connection, format!("{}/{number}", shown.listener));
            let node = |node: observe::state::Node| {
                let mut node = node
                    .with("peer", open.peer.to_string())
                    .with("door", shown.door)
                    .with("age_seconds", connections.age(open).as_secs());
                for (name, value) in &open.facts {
                    node.facts.insert((*name).into(), (&**value).into());
                }
                node
            };
            view.put(&id, node, &[("through", shown.id())]);
        }
    }
}

/// Adds one.
pub(crate) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
