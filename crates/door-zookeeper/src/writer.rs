//! The task that carries out what clients write.
//!
//! It works in rounds. In each it takes all writes that wait, decides on one after the other as if
//! those before it were done already, and has them stored; so they share the disk's commits. When
//! the registry's feed shows a write, the events of it go out and then the reply to whoever asked,
//! all under the door's one lock: every client sees all writes in the one order that they have.
//! Replies that depend on a write under way, such as that a node exists, wait for it too.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use broker::MetaError;
use broker::registry::{Committed, Prepared, Registry, Step, Tag};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tracing::warn;

use crate::Shared;
use crate::acl::Identity;
use crate::limits::{ATTEMPTS_MAX, ROUND_BYTES_MAX, ROUND_WRITES_MAX};
use crate::outgoing::Cut;
use crate::state::{Now, State};
use crate::watches::ClientId;
use crate::wire::code::Code;
use crate::write::carry_out::{For, carry_out};
use crate::write::view::{Later, View};
use crate::write::{Answer, Operation};

/// A write that waits.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) operation: Operation,
    pub(crate) asker: Asker,
    /// Roughly what it takes, in bytes.
    pub(crate) bytes: usize,
    /// How often others came first.
    pub(crate) attempts: u32,
}

/// Who wants to know what comes of a write.
#[derive(Debug)]
pub(crate) enum Asker {
    /// A client, by a request.
    Client(Request),
    /// A connection that waits for its session.
    Hello(oneshot::Sender<()>),
    /// Nobody: the door's own housekeeping.
    Nobody,
}

/// A request that writes.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) client: ClientId,
    pub(crate) session: i64,
    pub(crate) xid: i32,
    pub(crate) op: i32,
    pub(crate) who: Arc<Vec<Identity>>,
    /// When it arrived.
    pub(crate) since: Now,
    /// Its places among the connection's and all connections' waiting writes.
    pub(crate) _permits: [OwnedSemaphorePermit; 2],
}

/// A write that was decided on, and what came of it.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) job: Job,
    pub(crate) result: Result<Answer, Code>,
}

/// Writes to be attempted at once, with their numbers.
#[derive(Debug, Default)]
struct Round {
    numbers: Vec<u64>,
    writes: Vec<Prepared>,
    bytes: usize,
}

/// Runs as long as the door.
pub(crate) async fn run(shared: Weak<Shared>, mut jobs: mpsc::Receiver<Job>) {
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            match jobs.recv().await {
                Some(job) => waiting.push_back(job),
                None => return,
            }
        }
        while waiting.len() < ROUND_WRITES_MAX {
            let Ok(job) = jobs.try_recv() else { break };
            waiting.push_back(job);
        }
        let Some(shared) = shared.upgrade() else { return };
        shared.round(&mut waiting).await;
    }
}

impl Shared {
    /// Decides on writes that wait, stores them, and sees to it that their askers are answered.
    async fn round(&self, waiting: &mut VecDeque<Job>) {
        let round = {
            let now = self.now();
            let mut state = self.state.lock();
            state.catch_up(now);
            state.decide(waiting, now)
        };
        if round.writes.is_empty() {
            return;
        }
        let results = self.registry.commit(round.writes).await;
        let revision = |result: &Result<Committed, MetaError>| match result {
            Ok(Committed::Done(revision) | Committed::Overtaken(revision)) => *revision,
            Err(_) => 0,
        };
        self.reach(results.iter().map(revision).max().unwrap_or(0)).await;
        let now = self.now();
        let again = self.state.lock().settle(round.numbers, results, now);
        for job in again.into_iter().rev() {
            waiting.push_front(job);
        }
    }

    /// Waits until the tree shows a revision.
    async fn reach(&self, revision: u64) {
        let mut metadata = self.metadata.clone();
        // An error is the broker's end: there is nothing to wait for.
        let _ended = metadata.wait_for(|metadata| metadata.revision >= revision).await.is_err();
        let lost = {
            let mut state = self.state.lock();
            state.catch_up(self.now());
            state.is_lost()
        };
        if lost && let Err(error) = self.reopen().await {
            warn!(%error, "cannot read the registry");
        }
    }
}

impl State {
    /// Decides on as many of the waiting writes as fit into one round.
    fn decide(&mut self, waiting: &mut VecDeque<Job>, now: Now) -> Round {
        let mut round = Round::default();
        self.numbers.clear();
        let mut head = self.head;
        let mut view = View::new(&self.tree, now.wall);
        let mut at_once = Vec::new();
        while let Some(job) = waiting.pop_front() {
            let is_full = round.writes.len() >= ROUND_WRITES_MAX || round.bytes >= ROUND_BYTES_MAX;
            if is_full {
                waiting.push_front(job);
                break;
            }
            let tag = Tag { writer: self.writer, counter: self.counter + 1 };
            view.begin(tag.counter);
            let (result, write) = match self.attempt(&mut view, &job, head, tag) {
                Err(Later) => {
                    waiting.push_front(job);
                    break;
                }
                Ok(decided) => decided,
            };
            let is_done = !matches!(job.operation, Operation::CloseSession(session)
                if write.is_some() && !view.ended.contains(&session));
            if let Some(write) = write {
                self.counter = tag.counter;
                head = Some(tag);
                round.bytes += job.bytes;
                round.numbers.push(tag.counter);
                round.writes.push(write);
                self.awaited.insert(tag.counter, Vec::new());
            }
            if !is_done {
                // More of the session's nodes than one write can delete.
                waiting.push_front(job);
                continue;
            }
            let decided = Decided { job, result };
            match round.numbers.last().and_then(|number| self.awaited.get_mut(number)) {
                Some(awaited) => awaited.push(decided),
                None => at_once.push(decided),
            }
        }
        for decided in at_once {
            self.deliver(decided, self.tree.zxid(), now);
        }
        round
    }

    /// Decides on one write: its answer, and what is to be stored, if anything.
    fn attempt(
        &self,
        view: &mut View<'_>,
        job: &Job,
        head: Option<Tag>,
        tag: Tag,
    ) -> Result<(Result<Answer, Code>, Option<Prepared>), Later> {
        let by = match &job.asker {
            Asker::Client(request) => For { session: request.session, who: &request.who },
            Asker::Hello(_) | Asker::Nobody => For { session: 0, who: &[] },
        };
        let is_over =
            by.session != 0 && (view.ended.contains(&by.session) || !self.is_open(by.session));
        if is_over {
            return Ok((Err(Code::SessionExpired), None));
        }
        let refused = match carry_out(view, &job.operation, by) {
            Err(code) => code,
            Ok(answer) => {
                let changes = view.changes().inspect_err(|Later| view.take_back())?;
                if changes.is_empty() {
                    return Ok((Ok(answer), None));
                }
                match Registry::prepare(head, &Step { tag, events: view.events() }, &changes) {
                    Ok(write) => {
                        view.accept();
                        return Ok((Ok(answer), Some(write)));
                    }
                    // Larger than the metadata store takes at once.
                    Err(_) => Code::QuotaExceeded,
                }
            }
        };
        view.take_back();
        Ok((
            match &job.operation {
                Operation::Multi(operations) => {
                    Ok(Answer::Failed { operations: operations.len(), at: 0, code: refused })
                }
                _ => Err(refused),
            },
            None,
        ))
    }

    /// After a round: answers whoever has no answer yet, and returns what must be decided anew.
    fn settle(
        &mut self,
        numbers: Vec<u64>,
        results: Vec<Result<Committed, MetaError>>,
        now: Now,
    ) -> Vec<Job> {
        let mut again = Vec::new();
        for (number, result) in numbers.into_iter().zip(results) {
            // Most are answered, and gone from here, since the feed showed them.
            let mut awaited = self.awaited.remove(&number).unwrap_or_default().into_iter();
            match result {
                Ok(Committed::Done(revision)) => {
                    let zxid = i64::try_from(revision).unwrap_or(i64::MAX);
                    self.numbers.insert(number, zxid);
                    awaited.for_each(|decided| self.deliver(decided, zxid, now));
                }
                Ok(Committed::Overtaken(_)) => again.extend(awaited.map(|decided| decided.job)),
                Err(error) => {
                    warn!(%error, "a write to the registry failed");
                    if let Some(Decided { job, .. }) = awaited.next() {
                        self.fail(job, &error, now);
                    }
                    again.extend(awaited.map(|decided| decided.job));
                }
            }
        }
        again.iter_mut().for_each(|job| job.attempts += 1);
        let overtaken = |job: &mut Job| job.attempts > ATTEMPTS_MAX;
        let given_up: Vec<_> = again.extract_if(.., overtaken).collect();
        let error = MetaError::Invalid("others came first too often".to_owned());
        given_up.into_iter().for_each(|job| self.fail(job, &error, now));
        again
    }

    /// Tells whoever asked for a write that the metadata store did not take it.
    fn fail(&mut self, job: Job, error: &MetaError, now: Now) {
        match (&job.asker, error) {
            // It was not carried out.
            (Asker::Client(_), MetaError::Full(_) | MetaError::Invalid(_)) => {
                let result = Err(Code::SystemError);
                self.deliver(Decided { job, result }, self.tree.zxid(), now);
            }
            // It may be found carried out after a restart: no answer would be true.
            (Asker::Client(request), _) => {
                if let Some(client) = self.clients.get(&request.client) {
                    client.outgoing.cut_off(Cut::Failed);
                }
            }
            // The end of a session is tried again at the next tick.
            (Asker::Nobody, _) => self.reopen_session(&job.operation),
            (Asker::Hello(_), _) => {}
        }
    }
}
