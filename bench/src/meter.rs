//! What a process uses, and on which processors.

use std::fs;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};

/// The processor of the brokers where that is asked for, and ours.
const BROKERS: usize = 0;
const OURS: usize = 1;

/// Time that all threads of a process had a processor so far, to the nanosecond: `stat` counts in hundredths of a
/// second, which is a tenth of a short load.
pub(crate) fn cpu(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let one = |task: fs::DirEntry| {
        // A thread may end meanwhile.
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.flatten().filter_map(one).sum())
}

/// The name of the program that a process runs, or its first fifteen bytes.
pub(crate) fn program(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).expect("the process runs");
    name.trim_end().to_owned()
}

/// Resident memory of a process, in bytes.
pub(crate) fn memory(pid: u32) -> f64 {
    bytes(pid, "VmRSS:")
}

/// The most that it was so far, in bytes.
pub(crate) fn memory_peak(pid: u32) -> f64 {
    bytes(pid, "VmHWM:")
}

/// A line of `/proc/<pid>/status` that counts memory.
fn bytes(pid: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|text| text.strip_prefix(line));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() * 1024.0
}

/// Does something with this thread, and the processes that it starts, on the brokers' processor, and leaves it on ours.
pub(crate) fn pinned<R>(is_pinned: bool, start: impl FnOnce() -> R) -> R {
    if !is_pinned {
        return start();
    }
    pin(BROKERS);
    let started = start();
    pin(OURS);
    started
}

fn pin(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor);
    sched_setaffinity(None, &set).expect("two processors");
}
