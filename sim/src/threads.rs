//! Threads that take turns: one runs at a time, from one point where it waits or touches the disk to
//! the next, and the seed says who is next.
//!
//! They are threads of the operating system, since the code that they run blocks; but each waits at
//! its gate until the driver lets it through, and the driver then waits until it stops again. So how
//! the system schedules them makes no difference.

use std::cell::RefCell;
use std::fmt::{self, Debug, Formatter};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base::threads::{Number, Scheduler};
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::random::Dice;
use crate::trace::Trace;

/// What unwinds a thread that the simulated machine took with it.
struct Killed;

thread_local! {
    /// The simulated thread that runs here.
    static CURRENT: RefCell<Option<(Arc<Inner>, Number)>> = const { RefCell::new(None) };
}

/// The threads of one process that is simulated.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// A thread has stopped again.
    stopped: Condvar,
    /// Something may run that could not.
    woken: Notify,
    dice: Dice,
    trace: Trace,
    time: Time,
}

#[derive(Default)]
struct State {
    threads: Vec<Slot>,
    conditions: Number,
    dying: bool,
    panics: Vec<String>,
}

struct Slot {
    name: String,
    status: Status,
    gate: Arc<Gate>,
    handle: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// May run from this time on.
    Ready(u64),
    Running,
    Waiting {
        on: Number,
        until: Option<u64>,
    },
    Ended {
        panicked: bool,
    },
}

#[derive(Default)]
struct Gate {
    open: Mutex<Option<Pass>>,
    opened: Condvar,
}

#[derive(Clone, Copy)]
struct Pass {
    timed_out: bool,
    dies: bool,
}

/// Simulated time, in nanoseconds since the run began. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Time {
    now: Arc<AtomicU64>,
    began: Instant,
}

impl Default for Time {
    fn default() -> Self {
        Self { now: Arc::default(), began: Instant::now() }
    }
}

impl Time {
    /// Now; on the runtime's thread as the runtime has it.
    pub(crate) fn now(&self) -> u64 {
        let on_runtime =
            CURRENT.with_borrow(Option::is_none) && tokio::runtime::Handle::try_current().is_ok();
        if on_runtime {
            let since =
                tokio::time::Instant::now().into_std().saturating_duration_since(self.began);
            // Since the simulated clock began: it is paused, so this is exact.
            self.now.store(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        self.now.load(Ordering::Relaxed)
    }

    /// Begins here. To be called on the runtime, once its clock stands still.
    pub(crate) fn begin() -> Self {
        Self { now: Arc::default(), began: tokio::time::Instant::now().into_std() }
    }
}

impl Debug for Turns {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

impl Turns {
    /// No threads yet.
    pub(crate) fn new(dice: Dice, trace: Trace, time: Time) -> Self {
        let (state, stopped, woken) = (Mutex::default(), Condvar::new(), Notify::new());
        Self(Arc::new(Inner { state, stopped, woken, dice, trace, time }))
    }

    /// Lets threads run for as long as it is polled: one turn after the other, as the seed says.
    pub(crate) async fn drive(&self) {
        loop {
            let now = self.0.time.now();
            if let Some(next) = self.pick(now) {
                self.turn(next, now, false);
                // Others of the process, and its clients, get their turns in between.
                for _ in 0..=self.0.dice.below(2) {
                    tokio::task::yield_now().await;
                }
                continue;
            }
            match self.next_due() {
                None => self.0.woken.notified().await,
                Some(due) => {
                    // The runtime's timers have a grain of a millisecond.
                    let wait = Duration::from_nanos(due.saturating_sub(now));
                    let _ = tokio::time::timeout(wait, self.0.woken.notified()).await;
                }
            }
        }
    }

    /// Keeps a thread, by a part of its name, from running for so long.
    pub(crate) fn pause(&self, name: &str, time: Duration) {
        let until = self.0.time.now() + nanos(time);
        let mut state = self.0.state.lock();
        for slot in state.threads.iter_mut().filter(|slot| slot.name.contains(name)) {
            if let Status::Ready(at) = &mut slot.status {
                *at = until.max(*at);
            }
        }
    }

    /// Ends all threads where they stand, as the end of a process does.
    pub(crate) fn kill(&self) {
        self.0.state.lock().dying = true;
        let mut number = 0;
        loop {
            let ended = {
                let state = self.0.state.lock();
                let Some(slot) = state.threads.get(number) else { break };
                matches!(slot.status, Status::Ended { .. })
            };
            if !ended {
                self.turn(number as Number, 0, true);
            }
            number += 1;
        }
        let handles: Vec<_> = {
            let mut state = self.0.state.lock();
            state.threads.iter_mut().filter_map(|slot| slot.handle.take()).collect()
        };
        for handle in handles {
            // What it panicked with is noted already.
            let _ = handle.join();
        }
    }

    /// The panics of threads, other than those that were killed.
    pub(crate) fn panics(&self) -> Vec<String> {
        self.0.state.lock().panics.clone()
    }

    /// The thread to run now, if any may.
    fn pick(&self, now: u64) -> Option<Number> {
        let state = self.0.state.lock();
        if state.dying {
            return None;
        }
        let may = |slot: &Slot| match slot.status {
            Status::Ready(at) => at <= now,
            Status::Waiting { until, .. } => until.is_some_and(|until| until <= now),
            Status::Running | Status::Ended { .. } => false,
        };
        let able: Vec<usize> =
            (0..state.threads.len()).filter(|n| state.threads.get(*n).is_some_and(may)).collect();
        let chosen = *able.get(self.0.dice.index(able.len()))?;
        Some(chosen as Number)
    }

    fn next_due(&self) -> Option<u64> {
        let state = self.0.state.lock();
        let due = |slot: &Slot| match slot.status {
            Status::Ready(at) => Some(at),
            Status::Waiting { until, .. } => until,
            Status::Running | Status::Ended { .. } => None,
        };
        state.threads.iter().filter_map(due).min()
    }

    /// Lets one thread run until it stops again.
    fn turn(&self, number: Number, now: u64, dies: bool) {
        let mut state = self.0.state.lock();
        let Some(slot) = slot(&mut state, number) else { return };
        let timed_out =
            matches!(slot.status, Status::Waiting { until: Some(until), .. } if until <= now);
        slot.status = Status::Running;
        if !dies {
            self.0.trace.note(now, format_args!("turn {}", slot.name));
        }
        slot.gate.open(Pass { timed_out, dies });
        while slot_status(&state, number) == Some(Status::Running) {
            self.0.stopped.wait(&mut state);
        }
    }

    /// For the disk: the calling thread, if it is one of these, lets others run for so long.
    pub(crate) fn pass(&self, time: u64) {
        let Some((inner, number)) = CURRENT.with_borrow(Clone::clone) else { return };
        if std::thread::panicking() {
            return;
        }
        let at = inner.time.now() + time;
        inner.stop(number, Status::Ready(at));
    }
}

fn slot(state: &mut State, number: Number) -> Option<&mut Slot> {
    state.threads.get_mut(usize::try_from(number).ok()?)
}

fn slot_status(state: &State, number: Number) -> Option<Status> {
    state.threads.get(usize::try_from(number).ok()?).map(|slot| slot.status)
}

impl Gate {
    fn open(&self, pass: Pass) {
        *self.open.lock() = Some(pass);
        self.opened.notify_one();
    }

    fn through(&self) -> Pass {
        let mut open = self.open.lock();
        loop {
            if let Some(pass) = open.take() {
                return pass;
            }
            self.opened.wait(&mut open);
        }
    }
}

impl Inner {
    /// On a simulated thread: stops until let through again. Whether that was for the time.
    fn stop(&self, number: Number, status: Status) -> bool {
        let gate = {
            let mut state = self.state.lock();
            let Some(slot) = slot(&mut state, number) else { return false };
            slot.status = status;
            let gate = Arc::clone(&slot.gate);
            self.stopped.notify_one();
            gate
        };
        let pass = gate.through();
        if pass.dies {
            panic::resume_unwind(Box::new(Killed));
        }
        pass.timed_out
    }

    fn body(self: &Arc<Self>, number: Number, gate: &Gate, run: Box<dyn FnOnce() + Send>) {
        CURRENT.set(Some((Arc::clone(self), number)));
        let pass = gate.through();
        let outcome = if pass.dies {
            Ok(())
        } else {
            panic::catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
                let text = payload.downcast_ref::<String>().cloned();
                let text = text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()));
                let killed = payload.is::<Killed>();
                (!killed).then(|| text.unwrap_or_else(|| "a panic".to_owned()))
            })
        };
        CURRENT.set(None);
        let mut state = self.state.lock();
        let panicked = matches!(outcome, Err(Some(_)));
        if let Err(Some(text)) = outcome {
            state.panics.push(text);
        }
        if let Some(slot) = slot(&mut state, number) {
            slot.status = Status::Ended { panicked };
        }
        drop(state);
        self.stopped.notify_one();
        self.woken.notify_one();
    }
}

impl Debug for Inner {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

impl Scheduler for Turns {
    fn spawn(&self, name: &str, run: Box<dyn FnOnce() + Send>) -> io::Result<Number> {
        let now = self.0.time.now();
        let mut state = self.0.state.lock();
        let number = state.threads.len() as Number;
        let gate = Arc::new(Gate::default());
        let (inner, own) = (Arc::clone(&self.0), Arc::clone(&gate));
        let builder = std::thread::Builder::new().name(name.to_owned()).stack_size(1 << 20);
        let handle = builder.spawn(move || inner.body(number, &own, run))?;
        let status = Status::Ready(now);
        state.threads.push(Slot { name: name.to_owned(), status, gate, handle: Some(handle) });
        drop(state);
        self.0.woken.notify_one();
        Ok(number)
    }

    fn join(&self, thread: Number) -> bool {
        loop {
            if let Some(Status::Ended { panicked }) = slot_status(&self.0.state.lock(), thread) {
                return !panicked;
            }
            let current = CURRENT.with_borrow(Clone::clone);
            let dying = self.0.state.lock().dying;
            match current {
                _ if dying => return true,
                _ if std::thread::panicking() => return true,
                Some((inner, number)) => {
                    let soon = inner.time.now() + 1_000_000;
                    inner.stop(number, Status::Ready(soon));
                }
                None => self.step(),
            }
        }
    }

    fn condition(&self) -> Number {
        let mut state = self.0.state.lock();
        state.conditions += 1;
        state.conditions
    }

    fn wait(&self, on: Number, timeout: Option<Duration>) -> bool {
        let Some((inner, number)) = CURRENT.with_borrow(Clone::clone) else {
            self.step();
            return true;
        };
        if std::thread::panicking() {
            return true;
        }
        let until = timeout.map(|timeout| inner.time.now().saturating_add(nanos(timeout)));
        inner.stop(number, Status::Waiting { on, until })
    }

    fn notify(&self, on: Number) {
        let now = self.0.time.now();
        let mut state = self.0.state.lock();
        for slot in &mut state.threads {
            if matches!(slot.status, Status::Waiting { on: other, .. } if other == on) {
                slot.status = Status::Ready(now);
            }
        }
        drop(state);
        self.0.woken.notify_one();
    }

    fn instant(&self) -> Instant {
        self.0.time.began + Duration::from_nanos(self.0.time.now())
    }
}

impl Turns {
    /// For who blocks the runtime: one turn of some thread; of the one that is due next, if it has
    /// to wait for that.
    fn step(&self) {
        let now = self.0.time.now();
        let due = self.next_due().unwrap_or(now).max(now);
        match self.pick(now).or_else(|| self.pick(due)) {
            Some(next) => self.turn(next, due, false),
            None => std::thread::yield_now(),
        }
    }
}
