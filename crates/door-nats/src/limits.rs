//! Every limit of this door, on one page.

use std::time::Duration;

/// Longest control line, in bytes after the verb (`max_control_line`).
pub(crate) const CONTROL_LINE_BYTES_MAX: usize = 4096;

/// Largest payload with its headers, in bytes, unless configured (`max_payload`).
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// What may wait for one client, in bytes, unless configured (`max_pending`). A client for whom more
/// would wait is cut off as a slow consumer.
pub(crate) const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What may wait for all clients together, in bytes. Past it, whoever has more than
/// [`PENDING_SHARE_BYTES`] waiting is cut off.
pub(crate) const PENDING_TOTAL_BYTES_MAX: usize = 512 * 1024 * 1024;

/// What may wait for a client however much waits for others, in bytes.
pub(crate) const PENDING_SHARE_BYTES: usize = 1024 * 1024;

/// With more than this waiting for a client, in bytes, publishers to it are slowed down.
pub(crate) const PENDING_BYTES_HIGH: usize = 1024 * 1024;

/// How long a publisher to such a client waits before it is read from again, at most. Whoever does
/// not read at all must not stop those who write.
pub(crate) const STALL: Duration = Duration::from_millis(2);

/// A client that takes nothing of what is written to it for so long is cut off (`write_deadline`).
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// How long the end of a connection may wait for what was promised before it.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a client that was told why its connection ends may take to close its side. What it sends until then is
/// dropped: a socket that is closed with something unread takes back what was written to it.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// Who has not said who it is by then is cut off, where that is asked (`authorization.timeout`).
pub(crate) const LOGIN_TIMEOUT: Duration = Duration::from_secs(5);

/// A silent client is asked for a sign of life so often, unless configured (`ping_interval`).
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(120);

/// So many pings may go unanswered, unless configured (`ping_max`).
pub(crate) const PINGS_OUT_MAX: u32 = 2;

/// Deliveries are encoded into pieces of about this size, in bytes.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// An empty piece of such a size, in bytes, is kept by a client that is not idle: of a thousand who get the same, each has
/// one when the next messages come. Smaller ones are passed on to whoever needs one.
pub(crate) const CHUNK_KEPT_BYTES: std::ops::RangeInclusive<usize> = 4 * 1024..=2 * CHUNK_BYTES;

/// Subscriptions of one connection. Each takes some hundred bytes of memory.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 1_000_000;

/// Longest name of a client that is kept, in bytes; the rest is cut off.
pub(crate) const CLIENT_NAME_BYTES_MAX: usize = 256;

/// Deliveries of a batch go out when so many bytes are queued for all together, or the batch ends. A batch is what was read
/// at once, so that one receiver has less; of a thousand each should get many messages with one write.
pub(crate) const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where so many clients have something to be sent at once, those who get much leave it to their own tasks, which run on all
/// processors: the publisher's alone would be what limits how fast many get the same.
pub(crate) const COMPANY_MIN: usize = 32;

/// That much, in bytes: less is written sooner than handed over.
pub(crate) const HANDED_OVER_BYTES: usize = 4 * 1024;

/// How long a client is told that the broker stops before its connection ends (lame duck).
pub(crate) const LAME_DUCK: Duration = Duration::from_millis(500);

const _: () = assert!(PENDING_BYTES_HIGH <= PENDING_SHARE_BYTES);
const _: () = assert!(PENDING_SHARE_BYTES < PENDING_BYTES_MAX);
