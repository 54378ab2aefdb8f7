//! Every limit of this door, on one page.

use std::time::Duration;

use crate::wire::parse::Bounds;

/// Largest body of a frame in bytes, unless configured. RabbitMQ's.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Headers of one frame.
pub(crate) const HEADERS_MAX: usize = 256;

/// All headers of one frame, in bytes, with their line ends.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Frames from who has not said who they are.
pub(crate) const BOUNDS_BEFORE_LOGIN: Bounds =
    Bounds { headers_max: 64, head_bytes_max: 8 * 1024, body_bytes_max: 1024 };

/// A frame that is on its way is looked at again whenever so many bytes more are there: whoever sends one slowly is alive.
pub(crate) const STEP_BYTES: usize = 64 * 1024;

/// Who is not in by then is cut off.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Heart-beats are promised and expected this often at most, in milliseconds.
pub(crate) const BEAT_MILLIS_MIN: u64 = 100;

/// How long the end of a connection may wait for what was promised before it.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a client that was told why its connection ends may take to say that it heard.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// How often a connection that may not publish for now looks whether it is still so.
pub(crate) const BLOCKED_PERIOD: Duration = Duration::from_millis(500);

/// Batches of messages of one connection that are on their way to the disk; past it the connection is not read from.
pub(crate) const COMMITS_MAX: usize = 16;

/// Messages of one batch, in bytes: what arrived together is stored together, up to this.
pub(crate) const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Subscriptions of one connection, those to its temporary queues among them.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 10_000;

/// Transactions of one connection that are open at the same time.
pub(crate) const TRANSACTIONS_MAX: usize = 1000;

/// What all of them hold, in bytes of memory: messages with their headers, and acknowledgements.
pub(crate) const TRANSACTION_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a message in a transaction takes beside its bytes, at most.
pub(crate) const HELD_MESSAGE_BYTES: usize = 512;

/// What a header of one takes, at most: its place in a list, and a name and a value that are allocated.
pub(crate) const HELD_HEADER_BYTES: usize = 160;

/// What an acknowledgement in a transaction takes, at most.
pub(crate) const HELD_ACK_BYTES: usize = 128;

/// Longest name that a client gives to a subscription or a transaction, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 250;

/// Queues that a connection remembers to have made sure of.
pub(crate) const REMEMBERED_MAX: usize = 10_000;
