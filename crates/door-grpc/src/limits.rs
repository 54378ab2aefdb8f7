//! Every limit of this door, on one page.

use std::time::Duration;

use crate::codec::MESSAGE_BYTES;

/// Largest message of the protocol in bytes, unless configured: what clients take by default.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Largest head of a call in bytes, with all metadata.
pub(crate) const HEAD_BYTES_MAX: u32 = 16 * 1024;

/// Calls of one connection at a time, unless configured.
pub(crate) const CALLS_MAX: u32 = 1024;

/// What may come on one call, and on one connection, before it is read, in bytes. What crosses continents needs it to be as
/// large as what is on its way; what is not read takes memory.
pub(crate) const CALL_WINDOW_BYTES: u32 = 1024 * 1024;
/// See [`CALL_WINDOW_BYTES`].
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// What of answers on one call may wait for the socket, in bytes.
pub(crate) const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// A silent client is asked for a sign of life so often, unless configured, …
pub(crate) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// … and is gone when it gives none for so long.
pub(crate) const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// What every client says first, in bytes (RFC 9113, section 3.4), …
pub(crate) const PREFACE_BYTES: usize = 24;
/// … and must have said by then.
pub(crate) const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);

/// A client that takes nothing of what is written to it for so long is cut off.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long calls may take to end when the broker stops.
pub(crate) const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// What of a message that is on its way is not counted, in bytes; a larger one takes room that all connections share.
pub(crate) const UNCLAIMED_BYTES: usize = 16 * 1024;

/// What a message may take in memory once it is taken apart, in bytes, about.
pub(crate) const UNPACKED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A shorter one cannot take more: nothing in it takes more than this part of it.
pub(crate) const LOOKED_THROUGH_BYTES: usize = UNPACKED_BYTES_MAX / (MESSAGE_BYTES / 2);

/// Messages of one request.
pub(crate) const MESSAGES_MAX: usize = 10_000;
/// Headers of one message.
pub(crate) const HEADERS_MAX: usize = 1000;
/// Messages, or partitions, of which something is said in one request.
pub(crate) const SETTLED_MAX: usize = 100_000;

/// Batches of one stream that are on their way to the disk; past it the stream is not read from.
pub(crate) const COMMITS_MAX: usize = 16;

/// Messages of one batch, in bytes: what arrived together is stored together, up to this.
pub(crate) const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Who begins a stream must say what for by then.
pub(crate) const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// What may wait for one subscription, in bytes; past it a live one overflows, and others are not read further for.
pub(crate) const PENDING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Past this, in bytes, whoever publishes to it is held up a little.
pub(crate) const PENDING_BYTES_HIGH: usize = 1024 * 1024;
/// With no more than this, in bytes, they go on.
pub(crate) const PENDING_BYTES_LOW: usize = 256 * 1024;

/// Answers to what a client said that may wait on one stream; then the stream is not read from.
pub(crate) const CONTROLS_MAX: usize = 1024;

/// Messages of one answer: so many deliveries, …
pub(crate) const PACK_MAX: usize = 512;
/// … or so many bytes of them.
pub(crate) const PACK_BYTES: usize = 256 * 1024;

/// Filters, or topics, of one subscription.
pub(crate) const FILTERS_MAX: usize = 1024;

/// Messages of one subscription that are delivered and not settled.
pub(crate) const UNSETTLED_MAX: u32 = 10_000;

/// Bytes that are read of topics at once for one subscription.
pub(crate) const READ_BYTES: usize = 1024 * 1024;
/// Records that are taken at once for one subscription.
pub(crate) const TAKE_RECORDS_MAX: usize = 500;
/// How long one look for records takes before it is looked whether anything else has changed.
pub(crate) const READ_WAIT: Duration = Duration::from_secs(1);

/// An answer is waited for so long where its client does not say.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Requests of one connection that wait for answers.
pub(crate) const REQUESTS_MAX: usize = 65_536;
/// Answers to one request that may wait to be sent.
pub(crate) const ANSWERS_MAX: usize = 1024;

/// Topics, or subscriptions, of one answer.
pub(crate) const PAGE_MAX: usize = 1000;

const _: () = assert!(PENDING_BYTES_LOW < PENDING_BYTES_HIGH);
const _: () = assert!(PENDING_BYTES_HIGH < PENDING_BYTES_MAX);
