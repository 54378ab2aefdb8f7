//! Every limit of this door.

use std::time::Duration;

/// Largest packet, unless configured: a message of a megabyte with its topic and properties.
pub(crate) const PACKET_BYTES_MAX: usize = (1 << 20) + (128 << 10);

/// Largest first packet: five fields of 64 KiB, and properties.
pub(crate) const CONNECT_BYTES_MAX: usize = 512 << 10;

/// How long a connection may take to say who it is.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a closing connection may take to read what was sent to it.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes that are read from a socket at once. The buffer belongs to the thread, not the connection.
pub(crate) const READ_BYTES: usize = 64 << 10;

/// Messages of QoS 1 and 2 that a client may send before they are acknowledged, unless configured.
pub(crate) const RECEIVE_MAX: u16 = 1024;

/// Messages of QoS 1 and 2 that are sent to a client before it acknowledges them, unless it allows
/// fewer, or its version has no way of saying.
pub(crate) const INFLIGHT_MAX: u16 = 1024;
/// See [`INFLIGHT_MAX`], for clients of 3.1 and 3.1.1, which cannot say.
pub(crate) const OLD_INFLIGHT_MAX: u16 = 100;

/// How often the door says how it is doing, unless configured. As mosquitto does.
pub(crate) const SYS_INTERVAL: Duration = Duration::from_secs(10);

/// Aliases of topics that a client may use, unless configured.
pub(crate) const TOPIC_ALIAS_MAX: u16 = 64;

/// Aliases that we use with a client that allows them.
pub(crate) const OUTGOING_ALIAS_MAX: u16 = 64;

/// Bytes that wait for a client to read them. What is sent at most once is dropped beyond it.
pub(crate) const OUTGOING_BYTES_MAX: usize = 1 << 20;

/// While more than this waits for a client, nothing is read from it, and who publishes to it is
/// slowed down.
pub(crate) const OUTGOING_BYTES_HIGH: usize = 256 << 10;

/// Publishers that are told when a slow client has read more; others wait their time.
pub(crate) const SLOWED_MAX: usize = 1024;

/// How long a publisher waits for a slow client at most, after all that arrived together.
pub(crate) const SLOWED_TIMEOUT: Duration = Duration::from_millis(20);

/// Messages of QoS 1 and 2 that wait until a client acknowledges others or comes back.
pub(crate) const WAITING_MAX: usize = 100_000;
/// The same in bytes.
pub(crate) const WAITING_BYTES_MAX: usize = 1 << 20;

/// Messages that are taken at once from a session's queue.
pub(crate) const PULLED_MAX: usize = 256;

/// Batches of messages of one connection that wait for the disk; then nothing is read from it.
pub(crate) const COMMITS_MAX: usize = 16;

/// Subscriptions of one session.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 100_000;

/// Most levels of a filter or topic: each costs a step of the search. As many as mosquitto has.
pub(crate) const LEVELS_MAX: usize = 201;

/// Retained messages that are read at once for a subscription.
pub(crate) const RETAINED_PAGE: usize = 100;

/// No more of them are put into the queue of a session in which more than this wait.
pub(crate) const RETAINED_AHEAD: usize = 2 * RETAINED_PAGE;

/// How often a connection whose place another has taken is read from before it is closed.
pub(crate) const HEARD_OUT_MAX: usize = 16;
/// How long a client that is there again waits for what it said before to be heard.
pub(crate) const HEARING_OUT_TIMEOUT: Duration = Duration::from_secs(1);

/// Sessions that may exist at once, connected or not.
pub(crate) const SESSIONS_MAX: usize = 1_000_000;

const _: () = assert!(OUTGOING_BYTES_HIGH < OUTGOING_BYTES_MAX);
