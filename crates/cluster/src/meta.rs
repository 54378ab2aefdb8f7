//! The interface to what the cluster agrees on.

use std::fmt::{self, Debug, Display, Formatter};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use crate::{MetaError, Txn, TxnResponse, WatchError};

/// What an asynchronous method of an object-safe trait returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A point in the store's history. One counter for the whole store, raised by exactly one for
/// each transaction that changes something. Starts at 1, before the first change; 0 stands for
/// "never".
pub type Revision = u64;

/// A lease: keys bound to it vanish when it ends. Never 0, never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

impl Display for LeaseId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A lease as granted or prolonged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Its identity.
    pub id: LeaseId,
    /// Time from now until it expires unless it is kept alive.
    pub ttl: Duration,
}

/// A key with its value and where it stands in the store's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value as of `mod_revision`.
    pub value: Bytes,
    /// When the key was created: put while it did not exist.
    pub create_revision: Revision,
    /// When the key was last put.
    pub mod_revision: Revision,
    /// How often the key was put since it was created; 1 for a new key.
    pub version: u64,
    /// The lease that the key vanishes with.
    pub lease: Option<LeaseId>,
}

/// The answer to [`MetaStore::range`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeResponse {
    /// The revision that the answer shows. Watch from the next one to miss nothing.
    pub revision: Revision,
    /// The keys found, in ascending order of their bytes.
    pub kvs: Vec<KeyValue>,
    /// Whether the limit cut off further keys.
    pub more: bool,
}

/// One key's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key was put; it is new if `version` is 1.
    Put(KeyValue),
    /// The key was deleted, or its lease ended.
    Delete {
        /// The key.
        key: Bytes,
    },
}

impl Change {
    /// The key that changed.
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Put(kv) => &kv.key,
            Self::Delete { key } => key,
        }
    }
}

/// All changes of one revision under a watched prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchBatch {
    /// The revision that made the changes.
    pub revision: Revision,
    /// The changes in ascending order of their keys, at most one for each key. Never empty.
    pub changes: Vec<Change>,
}

/// A running watch. Dropping it ends it.
pub trait Watch: Send + Debug {
    /// Waits for the next batch. Batches come in ascending order of revision, each once, none
    /// left out. May be cancelled and called again without loss.
    ///
    /// # Errors
    /// Any error is final: the same one is returned by every further call. See [`WatchError`].
    fn next(&mut self) -> BoxFuture<'_, Result<WatchBatch, WatchError>>;
}

/// A small, ordered, linearizable key-value store with compare-and-set transactions, watches and
/// leases. Keys and values are bytes; keys order by their bytes and are never empty. Limits:
/// [`crate::limits`].
///
/// A transaction whose caller goes away before the answer may still be carried out. Where an
/// error leaves it open whether it was, its documentation says so: read again, then decide.
pub trait MetaStore: Send + Sync + Debug {
    /// The key's current state, or `None`. To read it along with the store's revision, use a
    /// transaction of one [`crate::Op::Get`].
    ///
    /// # Errors
    /// [`MetaError::Invalid`] for an empty or too long key.
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<KeyValue>, MetaError>>;

    /// The keys that start with `prefix` (all keys, if it is empty), all as of one revision.
    /// At most `limit` of them, if it is not 0, starting at key `from`, if that is not empty.
    /// To page, call again with the last key and a zero byte appended; pages of one revision
    /// form one snapshot, if the revision moved they may not.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] for a too long prefix.
    fn range<'a>(
        &'a self,
        prefix: &'a [u8],
        limit: usize,
        from: &'a [u8],
    ) -> BoxFuture<'a, Result<RangeResponse, MetaError>>;

    /// Checks the comparisons and carries out one branch, all at once. Once this returns, the
    /// changes are durable and every reader sees them. Raises the revision by one if anything
    /// changed; deleting what does not exist changes nothing.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] past a limit, or where a branch puts a key twice or both puts and
    /// deletes it; [`MetaError::LeaseNotFound`] where the branch taken names a lease that has
    /// ended. Neither carries anything out.
    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnResponse, MetaError>>;

    /// Watches the changes under `prefix` from revision `from` on, which may lie in the past or
    /// the future. Typically one past the revision of a [`MetaStore::range`].
    ///
    /// # Errors
    /// [`MetaError::Invalid`] for a too long prefix or revision 0. That `from` is too long ago is
    /// said by the first [`Watch::next`].
    fn watch<'a>(
        &'a self,
        prefix: &'a [u8],
        from: Revision,
    ) -> BoxFuture<'a, Result<Box<dyn Watch>, MetaError>>;

    /// Grants a lease that expires `ttl` after its last keep-alive. Fractions of a second are
    /// rounded up, and a backend may grant more. After a restart or change of leader a lease has
    /// its whole time before it again. Keys of an expired lease vanish soon after, not at once.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] for a time of zero or more than a year, or too many leases.
    fn lease_grant(&self, ttl: Duration) -> BoxFuture<'_, Result<Lease, MetaError>>;

    /// Starts the lease's time anew.
    ///
    /// # Errors
    /// [`MetaError::LeaseNotFound`] once the lease has ended.
    fn lease_keep_alive(&self, id: LeaseId) -> BoxFuture<'_, Result<Lease, MetaError>>;

    /// Ends the lease and deletes its keys, all in one revision.
    ///
    /// # Errors
    /// [`MetaError::LeaseNotFound`] once the lease has ended.
    fn lease_revoke(&self, id: LeaseId) -> BoxFuture<'_, Result<(), MetaError>>;
}
