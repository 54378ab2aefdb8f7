//! Every limit of this door, and the times of the protocol, in milliseconds (RFC 7252 §4.8).

use std::time::Duration;

/// A confirmable message is sent again after this, or up to half as much more (`ACK_TIMEOUT`, `ACK_RANDOM_FACTOR`).
pub(crate) const ACK_TIMEOUT_MS: u64 = 2_000;
/// How often it is sent again, after twice the time each (`MAX_RETRANSMIT`).
pub(crate) const RETRANSMITS_MAX: u32 = 4;
/// For so long a message's number is not used again, and what was said to it is remembered (`EXCHANGE_LIFETIME`).
pub(crate) const EXCHANGE_LIFETIME_MS: u64 = 247_000;
/// The same for what is not confirmable (`NON_LIFETIME`).
pub(crate) const NON_LIFETIME_MS: u64 = 145_000;
/// An answer to a group comes within this (`DEFAULT_LEISURE`).
pub(crate) const LEISURE_MS: u64 = 5_000;
/// A request that is not answered by then is acknowledged, and answered separately. Before its client sends it again.
pub(crate) const SEPARATE_AFTER_MS: u64 = 1_000;

/// Whoever has not shown that it is where it says it is gets no more than so many times what it sent (RFC 9175 §2.4).
pub(crate) const AMPLIFICATION_MAX: usize = 3;
/// What the network adds to each datagram, at least: the headers of IPv4 and UDP. It counts for that, too.
pub(crate) const HEADERS_BYTES: usize = 28;
/// A client that does not answer a ping by then is asked in another way to show where it is.
pub(crate) const CHALLENGE_AFTER_MS: u64 = 250;
/// A value for the Echo option is good for so long.
pub(crate) const ECHO_LIFETIME_MS: u64 = 300_000;

/// Largest datagram that is read: more than CoAP's messages should have (RFC 7252 §4.6), as much as UDP can.
pub(crate) const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Datagrams that are read before what came of them is sent.
pub(crate) const DATAGRAMS_AT_ONCE: usize = 64;

/// Requests that are being worked on, of one worker. More are refused with 5.03.
pub(crate) const EXCHANGES_MAX: usize = 4096;
/// Bytes of their datagrams; beyond it, the same.
pub(crate) const EXCHANGE_BYTES_MAX: usize = 32 << 20;
/// Messages whose numbers are remembered, of one worker. Beyond it the oldest are forgotten. Seven eighths of a power of two: a
/// hash map that holds more takes twice the memory.
pub(crate) const SEEN_MAX: usize = 229_376;
/// Bytes of answers that are remembered for when their requests come again, of one worker; beyond it the oldest go.
pub(crate) const SEEN_BYTES_MAX: usize = 64 << 20;
/// Clients that a worker knows something of: that they are where they say, or that something waits for them.
pub(crate) const PEERS_MAX: usize = 100_000;
/// Confirmable messages that wait for one client's acknowledgement of another one.
pub(crate) const PEER_QUEUE_MAX: usize = 32;
/// What waits until a client has shown that it is where it says, of each client.
pub(crate) const PEER_HELD_MAX: usize = 8;
/// Notifications of which it is remembered whom they were for, of each client, in case it rejects them.
pub(crate) const RECENT_MAX: usize = 64;

/// Observations of one client.
pub(crate) const OBSERVATIONS_OF_PEER_MAX: usize = 256;
/// Bytes of the options of a request that observes, and of a value that it was told: they are kept for as long as it does.
pub(crate) const OBSERVED_BYTES_MAX: usize = 1024;
/// Observations of one worker.
pub(crate) const OBSERVATIONS_MAX: usize = 100_000;
/// Of so many notifications one is confirmable at least, and while it is not acknowledged there are no others.
pub(crate) const UNCONFIRMED_MAX: u32 = 32;
/// A confirmable notification comes after so long at the latest (RFC 7641 §4.5).
pub(crate) const CONFIRM_EVERY_MS: u64 = 24 * 3600 * 1000;

/// Largest body that is put together of pieces, unless configured.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// What bodies take that are put together, or handed out, in pieces, of one worker or connection.
pub(crate) const TRANSFER_BYTES_MAX: usize = 32 << 20;
/// The same of all together; then whoever adds to it gives up what it has.
pub(crate) const TRANSFER_TOTAL_BYTES_MAX: usize = 128 << 20;
/// How many there are of those, of one worker or connection.
pub(crate) const TRANSFERS_MAX: usize = 4096;
/// The same of one client.
pub(crate) const TRANSFERS_OF_PEER_MAX: usize = 16;

/// Largest message in a stream, unless configured; told to clients in the first one.
pub(crate) const MESSAGE_BYTES_MAX: usize = (1 << 20) + (64 << 10);
/// Requests of one connection that are worked on at a time; then nothing is read from it.
pub(crate) const CONNECTION_REQUESTS_MAX: usize = 64;
/// The first message must have come by then.
pub(crate) const CSM_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection on which nothing came for so long is asked whether it is there; after as much again it is ended.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long the end of a connection may wait for what was promised before it.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// DTLS: sessions of one worker, …
pub(crate) const SESSIONS_MAX: usize = 10_000;
/// … and clients whose first one is not there yet; the oldest are given up for others.
pub(crate) const HANDSHAKES_MAX: usize = 1_000;
/// A session in which nothing comes for so long is over.
pub(crate) const SESSION_IDLE: Duration = Duration::from_secs(25 * 3600);

/// Levels of a subject: each costs a step of the search.
pub(crate) const LEVELS_MAX: usize = 100;
/// Bytes of a subject's name.
pub(crate) const NAME_BYTES_MAX: usize = 4096;
/// How long a publisher waits for a slow subscriber at most.
pub(crate) const SLOWED_TIMEOUT: Duration = Duration::from_millis(20);
/// How long a responder may take, unless configured.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Answers that are waited for.
pub(crate) const CALLS_MAX: usize = 65_536;
/// Links of one answer to a discovery, and their bytes.
pub(crate) const LINKS_MAX: usize = 10_000;
/// See [`LINKS_MAX`].
pub(crate) const LINKS_BYTES_MAX: usize = 512 << 10;
/// Subjects that are looked at at once for it.
pub(crate) const DISCOVERY_PAGE: usize = 100;
/// Topics of the collection.
pub(crate) const TOPICS_MAX: usize = 10_000;
/// Bytes of one topic's properties.
pub(crate) const TOPIC_BYTES_MAX: usize = 64 << 10;

const _: () = assert!(SEPARATE_AFTER_MS < ACK_TIMEOUT_MS);
const _: () = assert!(CHALLENGE_AFTER_MS < SEPARATE_AFTER_MS);
const _: () = assert!(BODY_BYTES_MAX <= MESSAGE_BYTES_MAX);
const _: () = assert!(BODY_BYTES_MAX <= TRANSFER_BYTES_MAX);
const _: () = assert!(LINKS_BYTES_MAX <= TRANSFER_BYTES_MAX);
const _: () = assert!(TRANSFER_BYTES_MAX <= TRANSFER_TOTAL_BYTES_MAX);
const _: () = assert!(DATAGRAM_BYTES_MAX <= EXCHANGE_BYTES_MAX);
