//! Consumer groups: the coordinator's state machine, made asynchronous and durable.
//!
//! Every call goes into the machine under one lock, for microseconds. What the machine wants
//! persisted is queued under the same lock, so the journal has it in order; the journal task
//! appends what has gathered as one batch, waits until it is durable, and tells the machine.

mod calls;
mod journal;

use std::sync::Arc;

use base::Millis;
use parking_lot::Mutex;
use queue::record::Record;
use queue::{Coordinator, Output, Response, Ticket};
use store::{Log, Store};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

type Reply = oneshot::Sender<Response>;

/// The groups that this broker coordinates.
#[derive(Debug)]
pub struct Groups {
    state: Mutex<State>,
    /// Tells the journal task that records are queued.
    queued: Notify,
    /// Tells the timer task that a deadline may have come closer.
    moved: Notify,
    /// The wall clock at the start, and when that was. Sessions must not end because somebody set
    /// the clock.
    started: (Millis, Instant),
    store: Arc<Store>,
    log: Arc<Log>,
}

#[derive(Debug)]
struct State {
    machine: Coordinator<Reply>,
    /// What is to be journalled. Bounded by the requests that wait for it, and those by the
    /// connections and their pipelines.
    queue: Vec<(Ticket, Vec<Record>)>,
    /// The journal is due for a compact copy of everything.
    snapshot_due: bool,
    next_deadline: Option<Millis>,
}

impl Groups {
    /// Wall-clock time that never leaps.
    fn now(&self) -> Millis {
        let (wall, began) = self.started;
        wall.saturating_add(Millis::try_from(began.elapsed().as_millis()).unwrap_or(Millis::MAX))
    }

    /// Puts something into the machine, and carries out what comes of it.
    fn with<T>(&self, input: impl FnOnce(&mut Coordinator<Reply>, Millis) -> T) -> T {
        let now = self.now();
        let mut state = self.state.lock();
        let result = input(&mut state.machine, now);
        let queued = state.run_outputs();
        let deadline = state.machine.next_deadline();
        let moved =
            deadline.is_some() && (deadline < state.next_deadline || state.next_deadline.is_none());
        drop(state);
        if queued {
            self.queued.notify_one();
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
    /// Answers who can be answered, queues what must be durable first. Whether any was queued.
    fn run_outputs(&mut self) -> bool {
        let before = self.queue.len();
        for output in self.machine.take_outputs() {
            match output {
                // Who asked may have gone away meanwhile.
                Output::Reply { to, response } => drop(to.send(response)),
                Output::Persist { ticket, records } => self.queue.push((ticket, records)),
            }
        }
        self.queue.len() > before
    }
}
