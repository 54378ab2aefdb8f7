//! The registry: a tree of small entries in the metadata store, where programs leave word of
//! themselves for other programs. An entry may have an owner, a session, and ends with it.
//!
//! This module keeps the tree durable and in order; what a write may do is decided by the door
//! that offers the tree. Every write replaces the tree's head on the condition that it is the one
//! that the writer last saw. So all writes of all brokers stand in one row, none is decided on an
//! outdated state, and none is lost: whoever was overtaken looks again and decides anew.

use std::fmt::{self, Debug, Formatter};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use base::BrokerId;
use bytes::Bytes;
use cluster::{BoxFuture, Compare, MetaError, MetaStore, Op, Txn, TxnResponse, Watch};

mod records;
#[cfg(test)]
mod tests;

pub use records::{Access, Batch, Change, Children, Entry, EventKind, Rule, Session, Step, Tag};

/// What all keys of the registry begin with.
pub(crate) const PREFIX: &[u8] = b"registry/";

/// Longest path, in bytes: what the metadata store's keys leave for it.
pub const PATH_BYTES_MAX: usize = cluster::limits::META_KEY_BYTES_MAX - records::KEY_BYTES_MAX;

/// The broker's handle of the registry.
#[derive(Debug, Clone)]
pub struct Registry {
    meta: Arc<dyn MetaStore>,
    broker: BrokerId,
}

/// A write that keeps to the metadata store's limits.
#[derive(Debug)]
pub struct Prepared(Txn);

/// What became of a write that could be attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It is durable, and changed the tree at this revision.
    Done(u64),
    /// Another write came first, so nothing was done. The tree is as of this revision or later.
    Overtaken(u64),
}

/// The feed has a gap: open the registry anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

impl Registry {
    /// The registry in this metadata store, as seen by this broker.
    pub fn new(meta: Arc<dyn MetaStore>, broker: BrokerId) -> Self {
        Self { meta, broker }
    }

    /// The broker whose handle this is.
    pub fn broker(&self) -> BrokerId {
        self.broker
    }

    /// Whether any session is stored, so that somebody must see to its end.
    ///
    /// # Errors
    /// When the metadata store cannot be read.
    pub async fn has_sessions(&self) -> Result<bool, MetaError> {
        let range = self.meta.range(records::SESSIONS.as_bytes(), 1, b"").await?;
        Ok(!range.kvs.is_empty())
    }

    /// Everything in the registry now, and what happens to it afterwards.
    ///
    /// # Errors
    /// When the metadata store cannot be read.
    pub async fn open(&self) -> Result<(Batch, Feed), MetaError> {
        let range = self.meta.range(PREFIX, 0, b"").await?;
        let watch = self.meta.watch(PREFIX, range.revision + 1).await?;
        Ok((Batch::load(&range), Feed { watch }))
    }

    /// A write: these changes, one for each thing changed, if the tree's head is still `after`.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] when it is larger than one transaction may be.
    pub fn prepare(
        after: Option<Tag>,
        step: &Step,
        changes: &[Change],
    ) -> Result<Prepared, MetaError> {
        let head = match after {
            Some(tag) => Compare::value(records::HEAD, tag.encode()),
            None => Compare::absent(records::HEAD),
        };
        let mut txn = Txn::new().when(head).then(Op::put(records::HEAD, step.tag.encode()));
        if !step.events.is_empty() {
            txn = txn.then(Op::put(records::STEP, step.encode()));
        }
        txn.then.extend(changes.iter().map(Change::op));
        txn.validate()?;
        Ok(Prepared(txn))
    }

    /// Attempts writes that build on each other, in this order. They share the store's commits.
    /// When one fails, those after it are overtaken.
    pub async fn commit(&self, writes: Vec<Prepared>) -> Vec<Result<Committed, MetaError>> {
        let mut waiting: Vec<_> =
            writes.into_iter().map(|Prepared(txn)| Attempt::Waiting(self.meta.txn(txn))).collect();
        // All are handed in before any is waited for: in order, and into as few commits as can be.
        poll_fn(|cx| {
            waiting.iter_mut().for_each(|attempt| attempt.poll(cx));
            Poll::Ready(())
        })
        .await;
        let mut results = Vec::with_capacity(waiting.len());
        for attempt in waiting {
            let answer = match attempt {
                Attempt::Waiting(future) => future.await,
                Attempt::Done(answer) => answer,
            };
            results.push(answer.map(|answer| {
                let TxnResponse { succeeded, revision, .. } = answer;
                if succeeded { Committed::Done(revision) } else { Committed::Overtaken(revision) }
            }));
        }
        results
    }
}

enum Attempt<'a> {
    Waiting(BoxFuture<'a, Result<TxnResponse, MetaError>>),
    Done(Result<TxnResponse, MetaError>),
}

impl Attempt<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Self::Waiting(future) = self
            && let Poll::Ready(answer) = future.as_mut().poll(cx)
        {
            *self = Self::Done(answer);
        }
    }
}

/// The changes of the registry, revision by revision.
pub struct Feed {
    watch: Box<dyn Watch>,
}

impl Feed {
    /// The next changes, if they are there already. Nobody is woken when there are more: follow
    /// the broker's metadata for that.
    ///
    /// # Errors
    /// [`Lost`], from then on.
    pub fn try_next(&mut self) -> Result<Option<Batch>, Lost> {
        let mut cx = Context::from_waker(Waker::noop());
        match self.watch.next().as_mut().poll(&mut cx) {
            Poll::Pending => Ok(None),
            Poll::Ready(Ok(batch)) => Ok(Some(Batch::of(&batch))),
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "the registry's feed ended");
                Err(Lost)
            }
        }
    }
}

impl Debug for Feed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

/// The session whose key this is.
pub(crate) fn session_of(key: &[u8]) -> Option<i64> {
    let number = key.strip_prefix(records::SESSIONS.as_bytes())?;
    let number = std::str::from_utf8(number).ok()?;
    Some(u64::from_str_radix(number, 16).ok()?.cast_signed())
}

/// Whether a key is the registry's.
pub(crate) fn is_ours(key: &Bytes) -> bool {
    key.starts_with(PREFIX)
}
