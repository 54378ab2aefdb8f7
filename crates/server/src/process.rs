//! What the operating system says of this process: memory, CPU time, file descriptors.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Instant;

use base::{Clock, Millis};
use broker::observe::{Collect, Sink, families};
use rustix::process::{Resource, getrlimit};

/// Linux tells CPU time to programs in hundredths of a second, whatever the kernel counts in (`USER_HZ`).
const TICK_NANOS: u64 = 10_000_000;

/// What is asked each time.
#[derive(Debug)]
pub(crate) struct Process {
    clock: Arc<dyn Clock>,
    started: (Millis, Instant),
    memory_limit: Option<u64>,
}

impl Process {
    /// This process, which has just started.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let started = (clock.now(), Instant::now());
        Self { clock, started, memory_limit: memory_limit() }
    }

    /// How far the wall clock has moved against one that is never set, in milliseconds.
    fn leap(&self) -> Millis {
        let (wall, began) = self.started;
        let passed = Millis::try_from(began.elapsed().as_millis()).unwrap_or(Millis::MAX);
        self.clock.now().saturating_sub(wall).saturating_sub(passed)
    }
}

impl Collect for Process {
    fn collect(&self, sink: &mut Sink<'_>) {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            let bytes = |name| field(&status, name).map(|kilobytes| whole(kilobytes * 1024));
            if let Some(memory) = bytes("VmRSS:") {
                sink.gauge(&families::MEMORY, [], memory);
            }
            if let Some(memory) = bytes("VmSize:") {
                sink.gauge(&families::VIRTUAL_MEMORY, [], memory);
            }
            if let Some(threads) = field(&status, "Threads:") {
                sink.gauge(&families::THREADS, [], whole(threads));
            }
        }
        if let Some(ticks) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu) {
            sink.counter(&families::CPU, [], ticks.saturating_mul(TICK_NANOS));
        }
        if let Some(open) = open_files() {
            sink.gauge(&families::OPEN_FILES, [], whole(open));
        }
        if let Some(max) = getrlimit(Resource::Nofile).current {
            sink.gauge(&families::MAX_FILES, [], whole(max));
        }
        if let Some(limit) = self.memory_limit {
            sink.gauge(&families::MEMORY_LIMIT, [], whole(limit));
        }
        let nanos = |millis: Millis| millis.saturating_mul(1_000_000);
        sink.gauge(&families::START_TIME, [], nanos(self.started.0));
        sink.gauge(&families::CLOCK_LEAP, [], nanos(self.leap()));
    }
}

/// What the process runs on, as far as the system says it.
pub(crate) fn environment() -> BTreeMap<String, String> {
    let line = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|rest| rest.split_once(':')).map(|(_, model)| model.trim().into());
    let all = [
        ("system", Some(std::env::consts::OS.to_owned())),
        ("architecture", Some(std::env::consts::ARCH.to_owned())),
        ("kernel", line("/proc/sys/kernel/osrelease")),
        ("processors", available_parallelism().ok().map(|count| count.to_string())),
        ("processor_model", model),
        ("processor_quota", line("/sys/fs/cgroup/cpu.max")),
    ];
    let known = |(name, value): (&str, Option<String>)| Some((name.to_owned(), value?));
    all.into_iter().filter_map(known).collect()
}

/// A number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Ticks of CPU time, from `/proc/self/stat`: behind the program's name, which may hold anything, the 12th and 13th field
/// (proc(5): `utime`, `stime`).
fn cpu(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// Newer kernels (6.2) say it as the folder's size; with older ones its entries are counted, which costs more.
fn open_files() -> Option<u64> {
    let folder = "/proc/self/fd";
    match fs::metadata(folder).ok()?.len() {
        0 => u64::try_from(fs::read_dir(folder).ok()?.count()).ok(),
        count => Some(count),
    }
}

/// The machine's memory, or less where the process's control group may have less.
fn memory_limit() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok();
    let machine =
        meminfo.and_then(|text| field(&text, "MemTotal:")).map(|kilobytes| kilobytes * 1024);
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = groups.iter().find_map(|path| fs::read_to_string(path).ok());
    // Version 2 says `max` where there is none.
    let limit = limit.and_then(|text| text.trim().parse::<u64>().ok());
    machine.into_iter().chain(limit).min()
}

#[cfg(test)]
mod tests {
    use base::ManualClock;
    use broker::observe::{Registry, Value};

    use super::*;

    #[test]
    fn the_system_says_something_about_us() {
        let clock = ManualClock::at(1_000_000);
        let process = Arc::new(Process::new(Arc::new(clock.clone())));
        let registry = Registry::default();
        registry.ask(&process);
        let value = |name: &str| {
            let all = registry.gather(&|family| family.name == name);
            let mut series = all.into_iter().flat_map(|gathered| gathered.series.into_values());
            match series.next() {
                Some(Value::Gauge(value)) => value,
                other => panic!("{name}: {other:?}"),
            }
        };
        assert!(value("process_resident_memory_bytes") > 100_000);
        assert!(value("process_open_fds") >= 3);
        assert!(value("process_max_fds") > 3);
        assert!(value("entrepot_memory_limit_bytes") > value("process_resident_memory_bytes"));
        assert_eq!(value("process_start_time_seconds"), 1_000_000_000_000);
        clock.advance(-60_000);
        assert!(value("entrepot_clock_leap_seconds") <= -60_000_000_000);
    }

    #[test]
    fn it_is_known_what_the_process_runs_on() {
        let environment = environment();
        assert_eq!(environment["system"], "linux");
        assert!(environment["kernel"].contains('.'), "{environment:?}");
        assert!(environment["processors"].parse::<usize>().unwrap() > 0);
    }

    #[test]
    fn a_program_may_be_called_anything() {
        let stat = "7 (a) b) (c)) S 1 7 7 0 -1 4194304 100 0 0 0 12 34 0 0 20 0 9 0 1 2 3";
        assert_eq!(cpu(stat), Some(46));
        assert_eq!(cpu("7 (a) S 1"), None);
        assert_eq!(field("VmRSS:\t  12 kB\nVm: 1", "VmRSS:"), Some(12));
    }
}
