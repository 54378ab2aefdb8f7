//! A run: a machine, the processes that live and die on it, their clients, and what goes wrong.

use std::collections::BTreeSet;
use std::fmt::Arguments;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base::{Clock, Millis};
use broker::Broker;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::clients::{self, DELIVERIES_MAX, KEPT, KEYED, PLAIN, QUEUE, TXN};
use crate::clock::WallClock;
use crate::disk::{Faults, Machine};
use crate::model::{Counts, Keeps, Model};
use crate::process::Process;
use crate::random::Dice;
use crate::threads::{Time, Turns};
use crate::trace::Trace;

/// A run ends with an error when it has not ended by this simulated time.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// What the run is a function of.
    pub seed: u64,
    /// Events are printed as they happen.
    pub prints: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What was not as promised. Empty in a good run.
    pub violations: Vec<String>,
    /// A hash of everything that happened, and the number of events.
    pub trace: (u64, u64),
    /// Simulated time, in milliseconds.
    pub simulated_ms: u64,
    /// How much happened.
    pub counts: Counts,
}

/// What clients, processes and faults share.
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) model: Mutex<Model>,
    /// Producer identities that were given out.
    pub(crate) producers: Mutex<BTreeSet<i64>>,
    trace: Trace,
    time: Time,
    clock: WallClock,
    machine: Machine,
    up: Mutex<Option<(Arc<Process>, Broker)>>,
    processes: AtomicU64,
    values: AtomicU64,
    over: AtomicBool,
}

impl World {
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn now(&self) -> u64 {
        self.time.now()
    }

    pub(crate) fn wall_time(&self) -> Millis {
        self.clock.now()
    }

    pub(crate) fn note(&self, event: Arguments<'_>) {
        self.trace.note(self.time.now(), event);
    }

    pub(crate) fn new_value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn process_number(&self) -> u64 {
        self.processes.load(Ordering::Relaxed)
    }

    /// The process that clients reach, and its number.
    pub(crate) fn process(&self) -> Option<(Arc<Process>, Broker, u64)> {
        let (process, broker) = self.up.lock().clone()?;
        Some((process, broker, self.process_number()))
    }

    fn violation(&self, text: String) {
        self.note(format_args!("violation: {text}"));
        self.model.lock().violation(text);
    }
}

/// Runs a seed.
///
/// # Errors
/// When the runtime cannot be made.
pub fn run(run: Run) -> std::io::Result<Outcome> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build()?;
    let trace = Trace::printing(run.prints);
    let outcome = runtime.block_on(async {
        let time = Time::begin();
        let dice = Dice::new(run.seed);
        let world = Arc::new(World {
            model: Mutex::default(),
            producers: Mutex::default(),
            trace: trace.clone(),
            clock: WallClock::new(time.clone()),
            time,
            machine: Machine::new(dice.fork()),
            dice,
            up: Mutex::default(),
            processes: AtomicU64::default(),
            values: AtomicU64::new(1),
            over: AtomicBool::new(false),
        });
        if tokio::time::timeout(LONGEST, live(&world)).await.is_err() {
            world.violation("the run does not end".to_owned());
            world.crash(false).await;
        }
        let model = world.model.lock();
        Outcome {
            violations: model.violations().to_vec(),
            trace: trace.hash(),
            simulated_ms: world.now() / 1_000_000,
            counts: model.counts,
        }
    });
    Ok(outcome)
}

/// Processes live and die; then there is peace, and everything is looked at.
async fn live(world: &Arc<World>) {
    for (topic, partitions, keeps) in [
        (PLAIN, 2, Keeps::All),
        (TXN, 2, Keeps::All),
        (QUEUE, 1, Keeps::All),
        (KEYED, 1, Keeps::NewestOfKey),
        (KEPT, 1, Keeps::End),
    ] {
        (0..partitions).for_each(|partition| world.model.lock().add((topic, partition), keeps));
    }
    let Some(first) = world.start().await else { return };
    if let Err(error) = clients::set_up(&first).await {
        return world.violation(format!("setting up: {error}"));
    }
    drop(first);
    let mut tasks = JoinSet::new();
    clients::start(world, &mut tasks);
    let lives = 2 + world.dice.below(5);
    for _ in 0..lives {
        world.suffer().await;
        if !world.model.lock().violations().is_empty() {
            break;
        }
    }
    world.peace(&mut tasks).await;
}

impl World {
    fn process_of(&self) -> Arc<Process> {
        let turns = Turns::new(self.dice.fork(), self.trace.clone(), self.time.clone());
        self.processes.fetch_add(1, Ordering::Relaxed);
        Process::new(&self.machine, turns, self.clock.clone(), self.dice.fork())
    }

    /// Starts a process when nothing goes wrong.
    async fn start(&self) -> Option<Broker> {
        self.machine.set_faults(Faults::default());
        let process = self.process_of();
        match process.boot().await {
            Ok(broker) => {
                self.note(format_args!("process {} is up", self.process_number()));
                *self.up.lock() = Some((process, broker.clone()));
                Some(broker)
            }
            Err(error) => {
                self.violation(format!("does not start: {error}"));
                process.kill().await;
                None
            }
        }
    }

    /// One life: things go wrong, and then the process or the machine dies.
    async fn suffer(self: &Arc<Self>) {
        let life = match self.dice.below(8) {
            0 => self.dice.below(100),
            _ => self.dice.below(8_000),
        };
        let until = tokio::time::Instant::now() + Duration::from_millis(life);
        while tokio::time::Instant::now() < until {
            let failed = self.fault(until).await;
            if failed {
                break;
            }
        }
        let power = self.dice.one_in(2);
        self.crash(power).await;
        // Now and then it dies again while it starts.
        while self.dice.one_in(4) {
            let process = self.process_of();
            let time = Duration::from_millis(self.dice.below(30));
            let booted = tokio::time::timeout(time, process.boot()).await;
            let died = booted.is_err();
            if let Ok(Err(error)) = booted {
                self.violation(format!("does not start: {error}"));
            }
            process.kill().await;
            self.check_panics(&process);
            let power = self.dice.one_in(2);
            self.note(format_args!("died while starting: {died}, power cut: {power}"));
            self.fall(power);
        }
        self.start().await;
    }

    /// Something goes wrong for a while. Whether the storage has failed for good.
    async fn fault(&self, until: tokio::time::Instant) -> bool {
        let time = Duration::from_millis(self.dice.below(1_500));
        let end = (tokio::time::Instant::now() + time).min(until);
        let mut faults = Faults::default();
        let mut counts = 1;
        match self.dice.below(12) {
            0 => faults.full = true,
            1 => faults.fails_in = 1 + u32::try_from(self.dice.below(20)).unwrap_or(0),
            2 | 3 => faults.slow = true,
            4 => self.clock.jump(match self.dice.below(3) {
                0 => 1_500_000,
                1 => -1_500_000,
                _ => 5_000,
            }),
            5 => self.pause("log-writer"),
            6 => self.pause("log-flusher"),
            7 => self.pause("meta-writer"),
            _ => counts = 0,
        }
        self.model.lock().counts.faults += counts;
        self.note(format_args!("{faults:?} for {time:?}"));
        self.machine.set_faults(faults);
        tokio::time::sleep_until(end).await;
        let failed = faults.fails_in > 0 && self.machine.has_failed();
        self.machine.set_faults(Faults::default());
        failed
    }

    fn pause(&self, thread: &str) {
        if let Some((process, _)) = &*self.up.lock() {
            process.turns.pause(thread, Duration::from_millis(self.dice.below(3_000)));
        }
    }

    /// The process dies, maybe with the machine.
    async fn crash(&self, power: bool) {
        let up = self.up.lock().take();
        if let Some((process, broker)) = up {
            process.kill().await;
            drop(broker);
            self.check_panics(&process);
        }
        self.note(format_args!("crash, power cut: {power}"));
        self.fall(power);
    }

    fn fall(&self, power: bool) {
        self.machine.set_faults(Faults::default());
        let mut model = self.model.lock();
        if power {
            self.machine.cut_power();
            model.counts.power_cuts += 1;
        } else {
            self.machine.unlock();
            model.counts.kills += 1;
        }
    }

    fn check_panics(&self, process: &Process) {
        for panic in process.turns.panics() {
            self.violation(format!("a thread panicked: {panic}"));
        }
    }

    /// Clients come to an end, and everything is read; once more after an orderly restart.
    async fn peace(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        // Clients that wait for what was asked last get their answers.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                self.violation(format!("a client: {error}"));
            }
        }
        // Longer than transactions and leases last.
        tokio::time::sleep(Duration::from_secs(15)).await;
        clients::drain(self).await;
        for round in 0..2 {
            let Some((process, broker, _)) = self.process() else { return };
            let places = self.model.lock().places();
            for place in places {
                clients::read_all(self, &broker, place).await;
            }
            self.note(format_args!("everything was read"));
            drop(broker);
            *self.up.lock() = None;
            process.stop().await;
            self.check_panics(&process);
            self.machine.cut_power();
            if round == 0 && self.start().await.is_none() {
                return;
            }
        }
        self.model.lock().finish((QUEUE, 0), DELIVERIES_MAX);
    }
}
