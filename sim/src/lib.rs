//! Deterministic simulation: the broker's core, its store and its metadata store, with several
//! clients, in one process, on simulated time, disk, threads and network. A run is a function of its
//! seed. What is simulated and what is checked: `docs/simulation.md`.

mod clients;
mod clock;
mod disk;
mod model;
mod process;
mod random;
mod threads;
mod trace;
mod world;

pub use model::Counts;
pub use world::{Outcome, Run, run};

/// Keeps the calling thread, and those that it starts, on one processor: threads that take turns
/// hand over several times faster there. Best effort.
pub fn pin(number: u64) {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut set = rustix::thread::CpuSet::new();
    set.set(usize::try_from(number).unwrap_or(0) % count);
    let _ = rustix::thread::sched_setaffinity(None, &set);
}
