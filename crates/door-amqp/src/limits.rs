//! Every limit of this door, on one page.

use std::time::Duration;

/// Largest frame in bytes, with all that belongs to it (`frame_max`), unless configured.
pub(crate) const FRAME_BYTES_MAX: u32 = 128 * 1024;

/// Largest frame from who has not said who they are, in bytes, and the smallest that one may ask for as its largest.
pub(crate) const FRAME_BYTES_MIN: u32 = 8192;

/// Largest payload of a message in bytes, unless configured (`max_message_size`).
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Channels of one connection, unless configured (`channel_max`).
pub(crate) const CHANNELS_MAX: u16 = 2047;

/// A peer is to say something so often, in seconds, unless configured or agreed otherwise (`heartbeat`).
pub(crate) const HEARTBEAT_SECONDS: u16 = 60;

/// A delivery that is not acknowledged for so long ends its channel, unless configured otherwise (`consumer_timeout`).
pub(crate) const CONSUMER_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Whether there is such a delivery is looked at so often at most, …
pub(crate) const TIMEOUT_CHECK_MIN: Duration = Duration::from_millis(100);

/// … and so often at least.
pub(crate) const TIMEOUT_CHECK_MAX: Duration = Duration::from_secs(60);

/// Who is not in by then is cut off (`handshake_timeout`).
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the end of a connection may wait for what was promised before it.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a client that was told why its connection ends may take to say that it heard.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// Batches of messages of one connection that are on their way to the disk; past it the connection is not read from.
pub(crate) const COMMITS_MAX: usize = 16;

/// Messages of one batch, in bytes: what arrived together is stored together, up to this.
pub(crate) const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Messages that a transaction may hold, in bytes of their payloads, before it is committed.
pub(crate) const TRANSACTION_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Messages and acknowledgements of one transaction.
pub(crate) const TRANSACTION_ENTRIES_MAX: usize = 1_000_000;

/// What of messages that have not arrived whole is not counted, in bytes; what more takes is claimed from what all
/// connections may have together.
pub(crate) const UNCLAIMED_BYTES: usize = 16 * 1024;

/// Consumers of one channel.
pub(crate) const CONSUMERS_MAX: usize = 100_000;

/// Words of the routing keys in CC and BCC together.
pub(crate) const EXTRA_KEYS_MAX: usize = 256;

/// What a client says of itself is kept to be shown, if it has no more bytes than this.
pub(crate) const CLIENT_PROPERTIES_BYTES_MAX: usize = 4 * 1024;

/// Largest body of a management request, in bytes: definitions are the largest.
pub(crate) const MANAGEMENT_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Values in the JSON of one management request; the headers of a message are most of them.
pub(crate) const MANAGEMENT_VALUES_MAX: usize = 20_000;

/// Values in definitions, which only administrators send: some 70,000 queues.
pub(crate) const MANAGEMENT_DEFINITIONS_VALUES_MAX: usize = 500_000;

/// Payloads that one management request takes out of a queue, in bytes, and one more.
pub(crate) const MANAGEMENT_GET_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Messages that it takes, however many were asked for.
pub(crate) const MANAGEMENT_GET_MESSAGES_MAX: u64 = 10_000;

/// How often a connection that is blocked looks whether it is still so.
pub(crate) const BLOCKED_PERIOD: Duration = Duration::from_millis(500);

const _: () = assert!(TIMEOUT_CHECK_MIN.as_millis() < TIMEOUT_CHECK_MAX.as_millis());
const _: () = assert!(FRAME_BYTES_MIN <= FRAME_BYTES_MAX);
