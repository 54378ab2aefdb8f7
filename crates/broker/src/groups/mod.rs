//! Consumer groups and transactions: the coordinators' state machines, made asynchronous and
//! durable.
//!
//! Every call goes into a machine under one lock, for microseconds. What the machine wants
//! persisted is queued under the same lock, so the journal has it in order; the journal task
//! appends what has gathered as one batch, waits until it is durable, and tells the machine.

mod calls;
mod dead_letters;
mod journal;
mod share_calls;
mod shown;
mod transactions;
mod waiting;

pub(crate) use journal::batches;
pub use shown::GroupsTopic;
pub use transactions::AddOffsetsError;
pub(crate) use waiting::Waiting;

use std::sync::Arc;

use base::Millis;
use base::planted::{self, Bug};
use parking_lot::Mutex;
use queue::record::Record;
use queue::share_group::ShareGroups;
use queue::shared::{DeadLetter, SharedOutput, SharedResponse, Subscriptions};
use queue::transactions::{Marker, Transactions, TxnOutput, TxnResponse};
use queue::{Coordinator, Output, Response, Ticket};
use store::{Log, Store};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

type Reply = oneshot::Sender<Response>;
type TxnReply = oneshot::Sender<TxnResponse>;
type SharedReply = oneshot::Sender<SharedResponse>;

/// The groups that this broker coordinates.
#[derive(Debug)]
pub struct Groups {
    state: Mutex<State>,
    /// Tells the journal task that records are queued.
    queued: Notify,
    /// Tells the timer task that a deadline may have come closer.
    moved: Notify,
    /// Tells the task of dead letters that there are some.
    died: Notify,
    /// The wall clock at the start, and when that was. Sessions must not end because somebody set
    /// the clock.
    started: (Millis, Instant),
    store: Arc<Store>,
    log: Arc<Log>,
}

#[derive(Debug)]
struct State {
    machine: Coordinator<Reply>,
    transactions: Transactions<TxnReply>,
    shared: Subscriptions<SharedReply>,
    share_groups: ShareGroups,
    /// Who waits for records of shared subscriptions.
    waiting: Waiting,
    /// To be buried. Bounded by the windows of the partitions that they are from.
    letters: Vec<DeadLetter>,
    /// What is to be journalled. Bounded by the requests that wait for it, and those by the
    /// connections and their pipelines.
    queue: Vec<Queued>,
    /// The journal is due for a compact copy of everything.
    snapshot_due: bool,
    /// The topic that shows the journal is due for everything.
    show_due: bool,
    next_deadline: Option<Millis>,
}

/// What is to become durable together.
#[derive(Debug)]
struct Queued {
    records: Vec<Record>,
    /// For the partitions' logs: the ends of transactions.
    markers: Vec<Marker>,
    /// For the machine of the groups.
    groups: Option<Ticket>,
    /// For the machine of the transactions.
    transactions: Option<Ticket>,
    /// For the machine of the shared subscriptions.
    shared: Option<Ticket>,
}

impl Queued {
    fn new(records: Vec<Record>) -> Self {
        Self { records, markers: Vec::new(), groups: None, transactions: None, shared: None }
    }
}

impl Groups {
    /// Wall-clock time that never leaps.
    fn now(&self) -> Millis {
        let (wall, began) = self.started;
        wall.saturating_add(Millis::try_from(began.elapsed().as_millis()).unwrap_or(Millis::MAX))
    }

    /// Puts something into the machine, and carries out what comes of it.
    fn with<T>(&self, input: impl FnOnce(&mut Coordinator<Reply>, Millis) -> T) -> T {
        self.with_state(|state, now| input(&mut state.machine, now))
    }

    /// Puts something into the machines, and carries out what comes of it.
    fn with_state<T>(&self, input: impl FnOnce(&mut State, Millis) -> T) -> T {
        let now = self.now();
        let mut state = self.state.lock();
        let result = input(&mut state, now);
        let queued = state.run_outputs(now);
        let died = !state.letters.is_empty();
        let deadline = state.deadline();
        let moved =
            deadline.is_some() && (deadline < state.next_deadline || state.next_deadline.is_none());
        drop(state);
        if queued {
            self.queued.notify_one();
        }
        if died {
            self.died.notify_one();
        }
        if moved {
            self.moved.notify_one();
        }
        result
    }

    /// As [`Groups::with`], for inputs that are answered later.
    async fn ask(
        &self,
        input: impl FnOnce(&mut Coordinator<Reply>, Reply, Millis),
    ) -> Option<Response> {
        let (reply, answer) = oneshot::channel();
        self.with(|machine, now| input(machine, reply, now));
        // Gone only when the broker stops.
        answer.await.ok()
    }
}

impl State {
    /// When the machines want to be looked at next.
    fn deadline(&self) -> Option<Millis> {
        let transactions = self.transactions.next_deadline();
        let shared = self.shared.next_deadline();
        let share_groups = self.share_groups.next_deadline();
        let others = transactions.into_iter().chain(shared).chain(share_groups);
        self.machine.next_deadline().into_iter().chain(others).min()
    }

    /// Answers who can be answered, queues what must be durable first. Whether any was queued.
    fn run_outputs(&mut self, now: Millis) -> bool {
        let before = self.queue.len();
        for output in self.transactions.take_outputs() {
            match output {
                TxnOutput::Reply { to, response } => drop(to.send(response)),
                TxnOutput::Persist { ticket, mut records, markers, offsets } => {
                    let mut groups = None;
                    if !offsets.is_empty() {
                        let (committed, offsets) = self.machine.commit_transaction(offsets, now);
                        groups = Some(committed);
                        records.extend(offsets);
                    }
                    let transactions = Some(ticket);
                    self.queue.push(Queued {
                        markers,
                        groups,
                        transactions,
                        ..Queued::new(records)
                    });
                }
            }
        }
        for output in self.machine.take_outputs() {
            match output {
                // Who asked may have gone away meanwhile.
                Output::Reply { to, response } => drop(to.send(response)),
                Output::Persist { ticket, records } => {
                    self.queue.push(Queued { groups: Some(ticket), ..Queued::new(records) });
                }
            }
        }
        self.run_shared();
        self.queue.len() > before
    }

    /// As [`Self::run_outputs`], for shared subscriptions and their groups.
    fn run_shared(&mut self) {
        for (group, member) in self.share_groups.take_gone() {
            self.shared.give_back(&group, &member, true);
        }
        let records = self.share_groups.take_records();
        if !records.is_empty() {
            self.queue.push(Queued::new(records));
        }
        for output in self.shared.take_outputs() {
            match output {
                SharedOutput::Reply { to, response } => drop(to.send(response)),
                SharedOutput::Persist { ticket, mut records } => {
                    if planted::is(Bug::DoubleRedelivery) {
                        records.clear();
                    }
                    self.queue.push(Queued { shared: Some(ticket), ..Queued::new(records) });
                }
                SharedOutput::Wake { subscription } => self.waiting.wake(&subscription),
                SharedOutput::Bury(letter) => self.letters.push(letter),
            }
        }
    }
}
