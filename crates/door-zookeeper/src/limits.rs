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

/// Writes of one connection that wait for the disk; past it, its next request is not read.
pub(crate) const WRITES_MAX: u32 = 64;

/// Bytes of all connections' writes that wait; past it, connections wait before they add theirs.
pub(crate) const WRITE_BYTES_TOTAL_MAX: usize = 32 << 20;

/// Writes of all connections that wait.
pub(crate) const WRITE_QUEUE_MAX: usize = 4096;

/// Writes that are attempted at once, and (but for the last of them) their bytes. The metadata
/// store tells what they changed as long as it is not more than its history keeps.
pub(crate) const ROUND_WRITES_MAX: usize = 512;
/// See [`ROUND_WRITES_MAX`].
pub(crate) const ROUND_BYTES_MAX: usize = 1 << 20;

/// What all entries of the registry may cost, in bytes: paths, data, and [`ENTRY_COST`] for each.
/// All of it is in memory.
pub(crate) const REGISTRY_BYTES_MAX: usize = 256 << 20;

/// What an entry costs beside its path and data.
pub(crate) const ENTRY_COST: usize = 512;

/// Nodes that tell of changes of access rules, of each of the two kinds; older ones go.
pub(crate) const RULE_CHANGES_MAX: usize = 1_000;

/// How long such a node stays, in milliseconds, as with Kafka; then the next change deletes it.
pub(crate) const RULE_CHANGES_MS: i64 = 15 * 60 * 1000;

/// Ephemeral nodes that are deleted in one transaction when their session ends: each takes up to
/// three of its operations.
pub(crate) const ENDING_STEP_MAX: usize = 40;

/// How often the containers that have become empty are deleted.
pub(crate) const CONTAINER_INTERVAL: Duration = Duration::from_secs(60);

/// How often a write that others overtook is attempted anew.
pub(crate) const ATTEMPTS_MAX: u32 = 100;

/// How long a connection may take to say hello.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a closing connection may take to read what was sent to it.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer that a broker's registration takes from a ZooKeeper elsewhere: the names of all
/// topics may be in it.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Requests that a registration sends before it reads the answers, and (but for the last of them)
/// their bytes.
pub(crate) const WINDOW_ASKS_MAX: usize = 128;
/// See [`WINDOW_ASKS_MAX`].
pub(crate) const WINDOW_BYTES_MAX: usize = 32 << 10;

/// Largest data that a registration writes: what ZooKeeper takes unless told otherwise
/// (`jute.maxbuffer`), with room for a path.
pub(crate) const WRITTEN_BYTES_MAX: usize = REQUEST_BYTES_MAX - (16 << 10);

/// How long a registration waits before it tries again what ZooKeeper refused.
pub(crate) const REFUSED_PAUSE: Duration = Duration::from_secs(10);

/// The first and the longest pause between two attempts to reach a ZooKeeper.
pub(crate) const CONNECT_PAUSE_MIN: Duration = Duration::from_millis(100);
/// See [`CONNECT_PAUSE_MIN`].
pub(crate) const CONNECT_PAUSE_MAX: Duration = Duration::from_secs(5);

const _: () = assert!(REPLY_BYTES_MAX + OUTGOING_BYTES_HIGH < OUTGOING_BYTES_MAX);
const _: () = assert!(WRITES_MAX as usize == base::limits::CONNECTION_PIPELINE_MAX);
const _: () = assert!(SESSION_TIMEOUT_MIN < SESSION_TIMEOUT_MAX);
