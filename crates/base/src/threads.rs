//! Threads that block behind an enum, so that a deterministic simulation can decide who runs.
//!
//! In a simulation one thread runs at a time, from one point where it waits to the next.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, MutexGuard};

/// Names a thread, or something to wait for, within a simulation.
pub type Number = u64;

/// Decides in a simulation which thread runs.
pub trait Scheduler: Send + Sync + Debug {
    /// A thread that may run from now on.
    fn spawn(&self, name: &str, run: Box<dyn FnOnce() + Send>) -> io::Result<Number>;

    /// Lets others run until this thread has ended. Whether it did so without a panic.
    fn join(&self, thread: Number) -> bool;

    /// Something to wait for.
    fn condition(&self) -> Number;

    /// Lets others run until the calling thread is woken by a notification, or the time is up:
    /// then it returns true.
    fn wait(&self, on: Number, timeout: Option<Duration>) -> bool;

    /// Wakes the threads that wait for this.
    fn notify(&self, on: Number);

    /// The time, on a clock that is never set.
    fn instant(&self) -> Instant;
}

/// Where threads come from.
#[derive(Debug, Clone, Default)]
pub enum Threads {
    /// The operating system.
    #[default]
    System,
    /// A simulation.
    Simulated(Arc<dyn Scheduler>),
}

impl Threads {
    /// Starts a thread.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
        match self {
            Self::System => {
                std::thread::Builder::new().name(name.to_owned()).spawn(run).map(Thread::System)
            }
            Self::Simulated(scheduler) => {
                let number = scheduler.spawn(name, Box::new(run))?;
                Ok(Thread::Simulated(Arc::clone(scheduler), number))
            }
        }
    }

    /// Whether they are a simulation's, of which one runs at a time.
    pub fn are_simulated(&self) -> bool {
        matches!(self, Self::Simulated(_))
    }

    /// The time, on a clock that is never set.
    pub fn instant(&self) -> Instant {
        match self {
            Self::System => Instant::now(),
            Self::Simulated(scheduler) => scheduler.instant(),
        }
    }

    /// Does nothing for so long. For threads that [`Self::spawn`] started.
    pub fn sleep(&self, time: Duration) {
        match self {
            Self::System => std::thread::sleep(time),
            Self::Simulated(scheduler) => {
                scheduler.wait(scheduler.condition(), Some(time));
            }
        }
    }
}

/// A thread that was started.
#[derive(Debug)]
pub enum Thread {
    /// One of the operating system.
    System(std::thread::JoinHandle<()>),
    /// One of a simulation.
    Simulated(Arc<dyn Scheduler>, Number),
}

impl Thread {
    /// Waits for its end. Whether it ended without a panic.
    pub fn join(self) -> bool {
        match self {
            Self::System(thread) => thread.join().is_ok(),
            Self::Simulated(scheduler, number) => scheduler.join(number),
        }
    }
}

/// Something that threads wait for, beside a lock.
#[derive(Debug)]
pub struct Condition(Kind);

#[derive(Debug)]
enum Kind {
    System(Condvar),
    Simulated(Arc<dyn Scheduler>, Number),
}

impl Condition {
    /// One that nobody waits for yet.
    pub fn new(threads: &Threads) -> Self {
        Self(match threads {
            Threads::System => Kind::System(Condvar::new()),
            Threads::Simulated(scheduler) => {
                Kind::Simulated(Arc::clone(scheduler), scheduler.condition())
            }
        })
    }

    /// Waits for a notification; wakes without one now and then.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        match &self.0 {
            Kind::System(condvar) => condvar.wait(guard),
            Kind::Simulated(scheduler, on) => {
                MutexGuard::unlocked(guard, || scheduler.wait(*on, None));
            }
        }
    }

    /// Waits for a notification, but no longer than this; wakes without one now and then. Whether
    /// the time was up.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, timeout: Duration) -> bool {
        match &self.0 {
            Kind::System(condvar) => condvar.wait_for(guard, timeout).timed_out(),
            Kind::Simulated(scheduler, on) => {
                MutexGuard::unlocked(guard, || scheduler.wait(*on, Some(timeout)))
            }
        }
    }

    /// Waits while something is so, but no longer than this.
    pub fn wait_while_for<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut is_so: impl FnMut(&mut T) -> bool,
        timeout: Duration,
    ) {
        match &self.0 {
            Kind::System(condvar) => {
                condvar.wait_while_for(guard, is_so, timeout);
            }
            Kind::Simulated(scheduler, _) => {
                let until = scheduler.instant() + timeout;
                while is_so(guard) {
                    let left = until.saturating_duration_since(scheduler.instant());
                    if left.is_zero() || self.wait_for(guard, left) {
                        break;
                    }
                }
            }
        }
    }

    /// Waits for the next notification without a lock, in a simulation, and returns true; on the
    /// operating system's threads it returns false at once: there one waits for the thing itself.
    pub fn wait_simulated(&self) -> bool {
        let Kind::Simulated(scheduler, on) = &self.0 else { return false };
        scheduler.wait(*on, None);
        true
    }

    /// Wakes all who wait.
    pub fn notify(&self) {
        match &self.0 {
            Kind::System(condvar) => {
                condvar.notify_all();
            }
            Kind::Simulated(scheduler, on) => scheduler.notify(*on),
        }
    }
}
