//! What is known of one connection.

use std::net::SocketAddr;
use std::sync::Arc;

use base::Millis;

use crate::limits::IDENTITIES_MAX;
use crate::outgoing::Outgoing;
use crate::wire::jute::Writer;
use crate::wire::op;

/// A connection, as the registry sees it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) peer: SocketAddr,
    /// When it was accepted.
    pub(crate) since: Millis,
    /// The session that it serves.
    pub(crate) session: Option<i64>,
    /// That session's time-out, in milliseconds.
    pub(crate) timeout: i32,
    pub(crate) outgoing: Arc<Outgoing>,
    /// The users that it has said it is (`auth`), by scheme. Nothing depends on them.
    pub(crate) identities: Vec<(&'static str, String)>,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) latency: Latency,
    /// The newest request.
    pub(crate) last: Option<LastRequest>,
}

/// A request that was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LastRequest {
    pub(crate) op: i32,
    pub(crate) xid: i32,
    pub(crate) zxid: i64,
    pub(crate) at: Millis,
    /// Milliseconds.
    pub(crate) latency: u64,
}

impl LastRequest {
    pub(crate) fn name(&self) -> &'static str {
        op::short_name(self.op)
    }
}

/// How long requests took, in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Latency {
    pub(crate) min: u64,
    pub(crate) max: u64,
    total: u64,
    count: u64,
}

impl Latency {
    pub(crate) fn add(&mut self, millis: u64) {
        self.min = if self.count == 0 { millis } else { self.min.min(millis) };
        self.max = self.max.max(millis);
        self.total += millis;
        self.count += 1;
    }

    /// The average, in thousandths: enough digits, and no rounding surprises.
    pub(crate) fn average_thousandths(&self) -> u64 {
        (self.total * 1000).checked_div(self.count).unwrap_or(0)
    }
}

impl Client {
    pub(crate) fn new(peer: SocketAddr, since: Millis) -> Self {
        Self {
            peer,
            since,
            session: None,
            timeout: 0,
            outgoing: Arc::default(),
            identities: Vec::new(),
            received: 0,
            sent: 0,
            latency: Latency::default(),
            last: None,
        }
    }

    /// Queues a whole frame.
    pub(crate) fn send(&mut self, frame: &Writer) {
        self.sent += 1;
        self.outgoing.push(frame.as_slice());
    }

    /// Remembers who the client says it is; past the limit, it is not remembered.
    pub(crate) fn identify(&mut self, scheme: &'static str, user: &str) {
        let known = self.identities.iter().any(|(s, u)| *s == scheme && u == user);
        if !known && self.identities.len() < IDENTITIES_MAX {
            self.identities.push((scheme, user.chars().take(256).collect()));
        }
    }
}
