//! The one thread that changes anything. It takes all requests that wait, carries them out one
//! after another on a layer over the mirror, commits the layer at once, and then answers: as many
//! transactions as queue up share one commit.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base::threads::Condition;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::{error, warn};

use super::Shared;
use super::disk::Disk;
use super::overlay::Overlay;
use super::state::State;
use super::watch::Signal;
use crate::limits::META_LEASES_MAX;
use crate::{Lease, LeaseId, MetaError, Txn, TxnResponse};

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, MetaError>>;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Request {
    Txn(Txn, Reply<TxnResponse>),
    Grant(Duration, Reply<Lease>),
    Revoke(LeaseId, Reply<()>),
    Tick(Reply<()>),
}

/// An answer that waits for the commit.
#[derive(Debug)]
enum Answer {
    Txn(Result<TxnResponse, MetaError>, Reply<TxnResponse>),
    Grant(Result<Lease, MetaError>, Reply<Lease>),
    Revoke(Result<(), MetaError>, Reply<()>),
}

impl Answer {
    fn send(self, committed: &Result<(), MetaError>) {
        // A caller that has gone away needs no answer.
        match self {
            Self::Txn(result, reply) => drop(reply.send(committed.clone().and(result))),
            Self::Grant(result, reply) => drop(reply.send(committed.clone().and(result))),
            Self::Revoke(result, reply) => drop(reply.send(committed.clone().and(result))),
        }
    }
}

/// Requests that wait. Bounded by the permits that each of them holds.
#[derive(Debug)]
pub(super) struct Queue {
    inner: Mutex<Waiting>,
    filled: Condition,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<(Request, OwnedSemaphorePermit)>,
    closed: bool,
}

impl Queue {
    /// Empty; `filled` tells the writer when it is not.
    pub(super) fn new(filled: Condition) -> Self {
        Self { inner: Mutex::default(), filled }
    }

    pub(super) fn push(
        &self,
        request: Request,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), MetaError> {
        let mut waiting = self.inner.lock();
        if waiting.closed {
            return Err(MetaError::Closed);
        }
        waiting.requests.push_back((request, permit));
        self.filled.notify();
        Ok(())
    }

    /// Lets the writer finish what waits, and nothing more come in.
    pub(super) fn close(&self) {
        self.inner.lock().closed = true;
        self.filled.notify();
    }

    /// What waits, as soon as there is something or the time is up; `None` once closed and empty.
    fn take(&self, timeout: Option<Duration>) -> Option<VecDeque<(Request, OwnedSemaphorePermit)>> {
        let mut waiting = self.inner.lock();
        while waiting.requests.is_empty() {
            if waiting.closed {
                return None;
            }
            match timeout {
                None => self.filled.wait(&mut waiting),
                Some(timeout) => {
                    if self.filled.wait_for(&mut waiting, timeout) {
                        break;
                    }
                }
            }
        }
        Some(std::mem::take(&mut waiting.requests))
    }
}

/// The writer's own state.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// `None` keeps everything in memory only.
    disk: Option<Disk>,
    last_lease: LeaseId,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, disk: Option<Disk>, last_lease: LeaseId) -> Self {
        Self { shared, disk, last_lease }
    }

    /// Works until the queue is closed.
    pub(super) fn run(mut self) {
        loop {
            let timeout = self.shared.leases.lock().next_due();
            let Some(requests) = self.shared.queue.take(timeout) else { break };
            self.round(requests);
        }
        if let Some(disk) = self.disk.take()
            && let Err(error) = disk.close()
        {
            warn!(%error, "the metadata store was not closed cleanly; nothing committed is lost");
        }
    }

    fn round(&mut self, requests: VecDeque<(Request, OwnedSemaphorePermit)>) {
        let shared = Arc::clone(&self.shared);
        let mut answers = Vec::with_capacity(requests.len());
        // Held until the answers are out: the bound is on work in progress, not on the queue.
        let mut permits = Vec::with_capacity(requests.len());
        let last_lease = self.last_lease;
        let overlay = {
            let state = shared.state.read();
            let mut overlay = Overlay::over(&state);
            for id in shared.leases.lock().end_due() {
                overlay.revoke(&state, id);
            }
            for (request, permit) in requests {
                answers.push(self.carry_out(request, &state, &mut overlay));
                permits.push(permit);
            }
            overlay
        };
        let committed = self.commit(&overlay);
        match &committed {
            Ok(()) => self.publish(overlay),
            Err(error) => {
                // Said once, not again for each request after it.
                if !matches!(error, MetaError::Poisoned(_)) {
                    error!(%error, transactions = answers.len(), "metadata commit failed");
                }
                self.last_lease = last_lease;
                let mut leases = shared.leases.lock();
                overlay.leases.keys().for_each(|id| leases.revive(*id));
            }
        }
        answers.into_iter().for_each(|answer| answer.send(&committed));
    }

    fn carry_out(&mut self, request: Request, state: &State, overlay: &mut Overlay) -> Answer {
        match request {
            Request::Txn(txn, reply) => {
                let leases = self.shared.leases.lock();
                let alive = |id| leases.is_alive(id);
                Answer::Txn(overlay.txn(state, alive, &txn), reply)
            }
            Request::Grant(ttl, reply) => Answer::Grant(self.grant(ttl, overlay), reply),
            Request::Revoke(id, reply) => {
                let mut found = self.shared.leases.lock().end(id);
                // Granted in this same round: the table does not know it yet.
                found |= overlay.leases.get(&id).is_some_and(Option::is_some);
                if !found {
                    return Answer::Revoke(Err(MetaError::LeaseNotFound(id)), reply);
                }
                overlay.revoke(state, id);
                Answer::Revoke(Ok(()), reply)
            }
            Request::Tick(reply) => Answer::Revoke(Ok(()), reply),
        }
    }

    fn grant(&mut self, ttl: Duration, overlay: &mut Overlay) -> Result<Lease, MetaError> {
        if self.shared.leases.lock().len() + overlay.leases.len() >= META_LEASES_MAX {
            return Err(MetaError::Invalid(format!("more than {META_LEASES_MAX} leases")));
        }
        self.last_lease = LeaseId(self.last_lease.0 + 1);
        overlay.grant(self.last_lease, ttl);
        Ok(Lease { id: self.last_lease, ttl })
    }

    fn commit(&mut self, overlay: &Overlay) -> Result<(), MetaError> {
        match &mut self.disk {
            Some(disk) if !overlay.is_empty() => disk.commit(overlay, self.last_lease),
            _ => Ok(()),
        }
    }

    /// Makes visible what is committed.
    fn publish(&self, overlay: Overlay) {
        if overlay.is_empty() {
            return;
        }
        let mut leases = self.shared.leases.lock();
        for (id, ttl) in &overlay.leases {
            match ttl {
                Some(ttl) => leases.start(*id, *ttl),
                None => leases.forget(*id),
            }
        }
        drop(leases);
        let mut state = self.shared.state.write();
        state.apply(overlay);
        let revision = state.revision;
        drop(state);
        self.shared.signal.send_replace(Signal { revision, closed: false });
    }
}

impl Drop for Writer {
    /// However the writer ends, even by a panic, nobody is left waiting for it.
    fn drop(&mut self) {
        self.shared.queue.close();
        self.shared.queue.inner.lock().requests.clear();
        self.shared.signal.send_modify(|signal| signal.closed = true);
    }
}
