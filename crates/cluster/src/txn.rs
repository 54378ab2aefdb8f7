//! Transactions: compare, then do one thing or another. And the checks that hold for every
//! backend, so that none accepts what another refuses.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use crate::limits::{
    META_KEY_BYTES_MAX, META_LEASE_SECONDS_MAX, META_TXN_BYTES_MAX, META_TXN_OPS_MAX,
    META_VALUE_BYTES_MAX,
};
use crate::{KeyValue, LeaseId, MetaError, Revision};

/// A transaction: if all `compares` hold then `then`, otherwise `else_`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Txn {
    /// Comparisons; without any, `then` is carried out.
    pub compares: Vec<Compare>,
    /// What to do if all of them hold.
    pub then: Vec<Op>,
    /// What to do otherwise.
    pub else_: Vec<Op>,
}

impl Txn {
    /// A transaction that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a comparison.
    #[must_use]
    pub fn when(mut self, compare: Compare) -> Self {
        self.compares.push(compare);
        self
    }

    /// Adds an operation for the case that all comparisons hold.
    #[must_use]
    pub fn then(mut self, op: Op) -> Self {
        self.then.push(op);
        self
    }

    /// Adds an operation for the case that a comparison does not hold.
    #[must_use]
    pub fn or_else(mut self, op: Op) -> Self {
        self.else_.push(op);
        self
    }
}

/// One comparison: `key`'s `target` stands in `ordering` to the given value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// The key looked at.
    pub key: Bytes,
    /// What of it is compared, and with what.
    pub target: Target,
    /// How the key's side must stand to the given one.
    pub ordering: Ordering,
}

/// What is compared. A key that does not exist has revisions and version 0; its value compares
/// with nothing, so that such a comparison never holds, not even `NotEqual`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// [`KeyValue::create_revision`].
    CreateRevision(Revision),
    /// [`KeyValue::mod_revision`].
    ModRevision(Revision),
    /// [`KeyValue::version`].
    Version(u64),
    /// [`KeyValue::value`], byte by byte.
    Value(Bytes),
}

/// How the two sides of a comparison must stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordering {
    /// They are the same.
    Equal,
    /// They are not the same.
    NotEqual,
    /// The key's is less than the given one.
    Less,
    /// The key's is greater than the given one.
    Greater,
}

impl Compare {
    /// The key does not exist.
    pub fn absent(key: impl Into<Bytes>) -> Self {
        Self::new(key, Target::CreateRevision(0), Ordering::Equal)
    }

    /// The key exists.
    pub fn exists(key: impl Into<Bytes>) -> Self {
        Self::new(key, Target::CreateRevision(0), Ordering::Greater)
    }

    /// The key was last changed at `revision`; 0 for a key that does not exist.
    pub fn mod_revision(key: impl Into<Bytes>, revision: Revision) -> Self {
        Self::new(key, Target::ModRevision(revision), Ordering::Equal)
    }

    /// The key was created at `revision` and not deleted since; 0 for one that does not exist.
    pub fn create_revision(key: impl Into<Bytes>, revision: Revision) -> Self {
        Self::new(key, Target::CreateRevision(revision), Ordering::Equal)
    }

    /// The key was put `version` times since it was created.
    pub fn version(key: impl Into<Bytes>, version: u64) -> Self {
        Self::new(key, Target::Version(version), Ordering::Equal)
    }

    /// The key exists and has this value.
    pub fn value(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self::new(key, Target::Value(value.into()), Ordering::Equal)
    }

    /// Any comparison.
    pub fn new(key: impl Into<Bytes>, target: Target, ordering: Ordering) -> Self {
        Self { key: key.into(), target, ordering }
    }

    /// Whether it holds for the key's current state.
    pub fn holds(&self, current: Option<&KeyValue>) -> bool {
        let number = |f: fn(&KeyValue) -> u64| current.map_or(0, f);
        let found = match &self.target {
            Target::CreateRevision(given) => number(|kv| kv.create_revision).cmp(given),
            Target::ModRevision(given) => number(|kv| kv.mod_revision).cmp(given),
            Target::Version(given) => number(|kv| kv.version).cmp(given),
            Target::Value(given) => match current {
                Some(kv) => kv.value.cmp(given),
                None => return false,
            },
        };
        match self.ordering {
            Ordering::Equal => found.is_eq(),
            Ordering::NotEqual => found.is_ne(),
            Ordering::Less => found.is_lt(),
            Ordering::Greater => found.is_gt(),
        }
    }

    fn bytes(&self) -> usize {
        let value = if let Target::Value(value) = &self.target { value.len() } else { 0 };
        self.key.len() + value
    }
}

/// One operation of a transaction. Operations are carried out in order; a get sees what the ones
/// before it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Creates the key or replaces its value and lease.
    Put {
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
        /// The lease to vanish with; `None` frees the key from the one it had.
        lease: Option<LeaseId>,
    },
    /// Deletes the key, if it exists.
    Delete {
        /// The key.
        key: Bytes,
    },
    /// Deletes all keys that start with the prefix; all keys, if it is empty.
    DeletePrefix {
        /// The prefix.
        prefix: Bytes,
    },
    /// Reads the key.
    Get {
        /// The key.
        key: Bytes,
    },
}

impl Op {
    /// Puts a key without a lease.
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self::Put { key: key.into(), value: value.into(), lease: None }
    }

    /// Puts a key that vanishes with the lease.
    pub fn put_leased(key: impl Into<Bytes>, value: impl Into<Bytes>, lease: LeaseId) -> Self {
        Self::Put { key: key.into(), value: value.into(), lease: Some(lease) }
    }

    /// Deletes a key.
    pub fn delete(key: impl Into<Bytes>) -> Self {
        Self::Delete { key: key.into() }
    }

    /// Deletes all keys that start with `prefix`.
    pub fn delete_prefix(prefix: impl Into<Bytes>) -> Self {
        Self::DeletePrefix { prefix: prefix.into() }
    }

    /// Reads a key.
    pub fn get(key: impl Into<Bytes>) -> Self {
        Self::Get { key: key.into() }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Delete { key } | Self::Get { key } => key.len(),
            Self::DeletePrefix { prefix } => prefix.len(),
        }
    }
}

/// The answer to one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpResponse {
    /// To [`Op::Put`].
    Put,
    /// To [`Op::Delete`] and [`Op::DeletePrefix`].
    Delete {
        /// How many keys there were to delete.
        deleted: usize,
    },
    /// To [`Op::Get`].
    Get(Option<KeyValue>),
}

/// The answer to a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnResponse {
    /// Whether all comparisons held.
    pub succeeded: bool,
    /// The store's revision after the transaction; that of its changes, if it made any.
    pub revision: Revision,
    /// One answer for each operation of the branch taken.
    pub responses: Vec<OpResponse>,
}

impl Txn {
    /// Whether neither branch can change anything.
    pub fn is_read_only(&self) -> bool {
        self.then.iter().chain(&self.else_).all(|op| matches!(op, Op::Get { .. }))
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        let ops = self.then.iter().chain(&self.else_).map(Op::bytes);
        self.compares.iter().map(Compare::bytes).chain(ops).sum()
    }

    /// Checks the limits and rules that every backend enforces.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] with what is wrong.
    pub fn validate(&self) -> Result<(), MetaError> {
        let most = self.compares.len().max(self.then.len()).max(self.else_.len());
        if most > META_TXN_OPS_MAX {
            return invalid(format!("{most} operations, at most {META_TXN_OPS_MAX} are allowed"));
        }
        let bytes = self.bytes();
        if bytes > META_TXN_BYTES_MAX {
            return invalid(format!("{bytes} bytes, at most {META_TXN_BYTES_MAX} are allowed"));
        }
        for compare in &self.compares {
            check_key(&compare.key)?;
        }
        validate_branch(&self.then)?;
        validate_branch(&self.else_)
    }
}

fn validate_branch(ops: &[Op]) -> Result<(), MetaError> {
    let mut puts = BTreeSet::new();
    for op in ops {
        match op {
            Op::Put { key, value, .. } => {
                check_key(key)?;
                if value.len() > META_VALUE_BYTES_MAX {
                    return invalid(format!(
                        "value of {} bytes, at most {META_VALUE_BYTES_MAX} are allowed",
                        value.len()
                    ));
                }
                if !puts.insert(key) {
                    return invalid("a key is put twice in one transaction".to_owned());
                }
            }
            Op::Delete { key } | Op::Get { key } => check_key(key)?,
            Op::DeletePrefix { prefix } => check_prefix(prefix)?,
        }
    }
    // One revision holds one change of a key. A watcher could not tell what a put and a delete
    // at the same revision left behind.
    let both = ops.iter().any(|op| match op {
        Op::Delete { key } => puts.contains(key),
        Op::DeletePrefix { prefix } => {
            puts.range::<Bytes, _>(prefix..).next().is_some_and(|key| key.starts_with(prefix))
        }
        Op::Put { .. } | Op::Get { .. } => false,
    });
    if both {
        return invalid("a key is both put and deleted in one transaction".to_owned());
    }
    Ok(())
}

/// Checks a key's length.
pub(crate) fn check_key(key: &[u8]) -> Result<(), MetaError> {
    if key.is_empty() {
        return invalid("empty key".to_owned());
    }
    check_prefix(key)
}

/// Checks a prefix's length.
pub(crate) fn check_prefix(prefix: &[u8]) -> Result<(), MetaError> {
    if prefix.len() > META_KEY_BYTES_MAX {
        return invalid(format!(
            "key of {} bytes, at most {META_KEY_BYTES_MAX} are allowed",
            prefix.len()
        ));
    }
    Ok(())
}

/// Checks a lease's time and rounds it up to whole seconds.
pub(crate) fn check_ttl(ttl: Duration) -> Result<Duration, MetaError> {
    let seconds = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0));
    if seconds == 0 || seconds > META_LEASE_SECONDS_MAX {
        return invalid(format!(
            "lease of {seconds} s, between 1 and {META_LEASE_SECONDS_MAX} are allowed"
        ));
    }
    Ok(Duration::from_secs(seconds))
}

fn invalid<T>(what: String) -> Result<T, MetaError> {
    Err(MetaError::Invalid(what))
}
