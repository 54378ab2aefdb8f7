//! Every limit of this door.

use std::time::Duration;

/// Largest request (ZooKeeper's `jute.maxbuffer`).
pub(crate) const REQUEST_BYTES_MAX: usize = 0xf_ffff;

/// Sessions that may exist at once, attached to a connection or not.
pub(crate) const SESSIONS_MAX: usize = base::limits::CONNECTIONS_MAX;

/// Shortest session time-out that a client may have, in milliseconds: two ticks.
pub(crate) const SESSION_TIMEOUT_MIN: i32 = 4_000;

/// Longest session time-out that a client may have, in milliseconds: twenty ticks.
pub(crate) const SESSION_TIMEOUT_MAX: i32 = 40_000;

/// How often sessions are looked through for those that timed out (ZooKeeper's `tickTime`).
pub(crate) const TICK: Duration = Duration::from_millis(2_000);

/// What the watches of one connection may cost, in bytes; see [`WATCH_COST`].
pub(crate) const WATCH_BYTES_MAX: usize = 4 << 20;

/// What the watches of all connections may cost, in bytes.
pub(crate) const WATCH_BYTES_TOTAL_MAX: usize = 256 << 20;

/// What a watch costs beside its path: its entries in the two tables.
pub(crate) const WATCH_COST: usize = 128;

/// Replies and events that wait for a client to read them. Past it, the client is closed.
pub(crate) const OUTGOING_BYTES_MAX: usize = 16 << 20;

/// While more than this waits for a client, its next request is not read.
pub(crate) const OUTGOING_BYTES_HIGH: usize = 256 << 10;

/// Largest reply to a `multiRead`, which can ask for the same data many times.
pub(crate) const REPLY_BYTES_MAX: usize = 8 << 20;

/// Credentials that one connection may present (`auth` requests).
pub(crate) const IDENTITIES_MAX: usize = 16;

/// How long a connection may take to say hello.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a closing connection may take to read what was sent to it.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

const _: () = assert!(REPLY_BYTES_MAX + OUTGOING_BYTES_HIGH < OUTGOING_BYTES_MAX);
const _: () = assert!(SESSION_TIMEOUT_MIN < SESSION_TIMEOUT_MAX);
