//! What the cluster agrees on: names, owners and positions, in a small ordered key-value store.
//!
//! [`MetaStore`] is the interface, shaped after etcd v3: revisions, compare-and-set transactions,
//! watches and leases. [`Embedded`] is the backend for one machine: one file in the data folder,
//! with everything mirrored in memory. Callers see the interface only, so that a cluster changes
//! the backend and nothing else. Why it is so: `docs/decisions/0004-metadata-store.md`.

#[cfg(feature = "conformance")]
pub mod conformance;
mod embedded;
mod error;
pub mod limits;
mod meta;
mod txn;

pub use embedded::{Embedded, Options};
pub use error::{MetaError, WatchError};
pub use meta::{
    BoxFuture, Change, KeyValue, Lease, LeaseId, MetaStore, RangeResponse, Revision, Watch,
    WatchBatch,
};
pub use txn::{Compare, Op, OpResponse, Ordering, Target, Txn, TxnResponse};
