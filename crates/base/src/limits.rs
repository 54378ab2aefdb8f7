//! Every limit, on one page. A length that a peer sends is compared with one of these (or with a
//! configured value whose default stands here) before anything is allocated for it.

/// Largest request frame that a connection may send, in bytes (`socket.request.max.bytes`).
pub const REQUEST_BYTES_MAX: usize = 100 * 1024 * 1024;

/// Requests of all connections together that are on their way in, or wait for the disk
/// (`queued.max.request.bytes`).
pub const QUEUED_REQUEST_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Largest record batch that a topic accepts, in bytes, unless the topic says otherwise
/// (`max.message.bytes`): 1 MiB and the 12 bytes of its log header.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024 + 12;

/// Elements of all arrays of one decoded request together. Bounds what a small frame can make us
/// allocate: an element takes one byte on the wire and up to some hundred in memory.
pub const REQUEST_ELEMENTS_MAX: usize = 250_000;

/// Longest topic name, in bytes.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// Most partitions of one topic.
pub const TOPIC_PARTITIONS_MAX: i32 = 10_000;

/// Most partitions of one broker. Each idle one costs about a kilobyte of memory.
pub const BROKER_PARTITIONS_MAX: usize = 200_000;

/// Longest consumer group name and member id, in bytes.
pub const GROUP_NAME_BYTES_MAX: usize = 1024;

/// Most members of one consumer group.
pub const GROUP_MEMBERS_MAX: usize = 10_000;

/// Most topics that a member of a share group subscribes to.
pub const SHARE_TOPICS_MAX: usize = 10_000;

/// Longest note that a consumer may store with a committed offset, in bytes
/// (`offset.metadata.max.bytes`).
pub const OFFSET_NOTE_BYTES_MAX: usize = 4096;

/// Longest name of a user, in bytes.
pub const USER_NAME_BYTES_MAX: usize = 255;

/// Most users kept. Each takes some 300 bytes of memory on every broker.
pub const USERS_MAX: usize = 100_000;

/// How often a user's password is hashed, at least (RFC 7677) and at most: each login costs as much.
pub const PASSWORD_ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=16_384;

/// Longest salt of a user's password, in bytes.
pub const PASSWORD_SALT_BYTES_MAX: usize = 256;

/// Connections of all doors together, unless configured.
pub const CONNECTIONS_MAX: usize = 20_000;

/// Requests that one connection may have in flight; past it we stop reading from it.
pub const CONNECTION_PIPELINE_MAX: usize = 64;

/// Most bytes that one group commit writes. Larger lets more producers share an fdatasync, smaller
/// bounds how long the first of them waits.
pub const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Appends waiting for the writer; past it, producers wait before they are read any further.
pub const APPEND_QUEUE_MAX: usize = 1024;

/// Decompressed size of one record batch. A batch that unpacks to more is refused as corrupt.
pub const BATCH_UNPACKED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of records that were read from disk and wait for clients to take them, of all connections
/// together. Past it, reads are smaller, a batch each at least.
pub const DISK_READS_HELD_MAX: usize = 256 * 1024 * 1024;

/// Most bytes of one value in the metadata store (etcd's request limit is 1.5 MiB).
pub const META_VALUE_BYTES_MAX: usize = 1024 * 1024;

// Relations between limits that the code relies on.
const _: () = assert!(BATCH_BYTES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_MAX < REQUEST_BYTES_MAX);
const _: () = assert!(REQUEST_BYTES_MAX < QUEUED_REQUEST_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_MAX < BATCH_UNPACKED_BYTES_MAX);
