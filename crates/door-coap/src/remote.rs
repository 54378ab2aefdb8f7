//! Whom the door talks with.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;

/// A client: its address and, where everything is spoken over DTLS, its session there. All that is remembered of one session
/// is of no other, whoever has the address now: responses, numbers of messages, tokens and pieces belong together within one
/// (RFC 7252 §9.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Remote {
    pub(crate) address: SocketAddr,
    /// Its number, of those of this socket; 0 where there are none.
    pub(crate) session: u64,
}

impl From<SocketAddr> for Remote {
    fn from(address: SocketAddr) -> Self {
        Self { address, session: 0 }
    }
}

impl Display for Remote {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
