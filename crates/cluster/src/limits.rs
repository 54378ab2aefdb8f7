//! Limits of the metadata store. They are etcd's defaults or a little below, so that what the
//! embedded backend accepts every other backend accepts too.

pub use base::limits::META_VALUE_BYTES_MAX;

/// Longest key and prefix, in bytes.
pub const META_KEY_BYTES_MAX: usize = 4096;

/// Most comparisons, and most operations of each branch, of one transaction (`--max-txn-ops`).
pub const META_TXN_OPS_MAX: usize = 128;

/// Most bytes of keys and values in one transaction, both branches and the comparisons together.
/// etcd counts 1.5 MiB for the encoded request; the rest is left for the encoding.
pub const META_TXN_BYTES_MAX: usize = 1024 * 1024 + 256 * 1024;

/// Longest time to live of a lease, in seconds: one year.
pub const META_LEASE_SECONDS_MAX: u64 = 365 * 24 * 60 * 60;

/// Most leases alive at one time in the embedded backend.
pub const META_LEASES_MAX: usize = 100_000;

/// Most bytes of transactions that wait for the embedded backend's writer; past it, callers wait
/// before their transaction is taken in. Each waiting transaction counts at least 1 KiB.
pub const META_QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

// A transaction must fit into an empty queue, or it would wait for ever.
const _: () = assert!(META_TXN_BYTES_MAX + 1024 < META_QUEUE_BYTES_MAX);
const _: () = assert!(META_VALUE_BYTES_MAX + META_KEY_BYTES_MAX < META_TXN_BYTES_MAX);
