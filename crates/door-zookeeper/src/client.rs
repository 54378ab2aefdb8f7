//! What is known of one connection.

use std::net::SocketAddr;
use std::sync::Arc;

use base::Millis;
use tokio::sync::Semaphore;

use crate::acl::Identity;
use crate::limits::{IDENTITIES_MAX, WRITES_MAX};
use crate::outgoing::Outgoing;
use crate::wire::jute::Writer;
use crate::wire::op;

/// What the state knows of a connection.
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
    /// Who it has shown to be: its address, and the users that it knows the passwords of (`auth`).
    pub(crate) identities: Arc<Vec<Identity>>,
    /// Room for writes that wait for the disk; what waits holds permits.
    pub(crate) writes: Arc<Semaphore>,
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
            identities: Arc::new(vec![Identity::address(peer.ip())]),
            writes: Arc::new(Semaphore::new(WRITES_MAX as usize)),
            received: 0,
            sent: 0,
            latency: Latency::default(),
            last: None,
        }
    }

    /// Whether writes of its wait for the disk.
    pub(crate) fn is_writing(&self) -> bool {
        self.writes.available_permits() < WRITES_MAX as usize
    }

    /// Queues a whole frame.
    pub(crate) fn send(&mut self, frame: &Writer) {
        self.sent += 1;
        self.outgoing.push(frame.as_slice());
    }

    /// Remembers who the client has shown to be; past the limit, it is not remembered.
    pub(crate) fn identify(&mut self, identity: Identity) {
        if !self.identities.contains(&identity) && self.identities.len() < IDENTITIES_MAX {
            Arc::make_mut(&mut self.identities).push(identity);
        }
    }
}
