//! What a listener counts.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::CloseReason;
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

/// Adds one.
pub(crate) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
