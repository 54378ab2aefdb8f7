//! Listeners for the tests of doors.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::{ConnectionLimit, Door, Listener, ListenerHandle, ListenerOptions};

/// Longer than anything takes; only a hang gets there.
pub const HANG: Duration = Duration::from_secs(30);

/// A listener of this name on a free port of this machine.
///
/// # Panics
/// There is none.
pub fn bind(name: &str) -> Listener {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Listener::bind(&ListenerOptions::new(name, loopback)).unwrap()
}

/// The same, with a door behind it.
///
/// # Panics
/// As [`bind`].
pub fn listen(name: &str, door: Arc<dyn Door>) -> ListenerHandle {
    bind(name).run(door, ConnectionLimit::default())
}
