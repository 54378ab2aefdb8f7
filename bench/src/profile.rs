//! `cargo xtask bench profile`: what the machine does under a load of the Kafka table, by perf's samples of all processors:
//! whose time it is, and what the broker spends its own on. For the page to say what limits a figure.
//!
//! Needs `perf`, and to be allowed to look at the whole machine: root, or `kernel.perf_event_paranoid` below 0.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tests::{Process, scratch};

use crate::cases::{CASES, Case};
use crate::{US, peers::Running};
use crate::{page, peers};

/// Samples a second and processor; odd, so as not to fall in with anything periodic.
const RATE: &str = "1997";

/// How long perf may take to write down what it saw, and to print it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Loads that stand on the page: those whose figures fall short of what was wanted, and one that does not.
const USUAL: [&str; 6] = [
    "produce-100",
    "produce-1k",
    "produce-1k-os",
    "latency-1k/s",
    "java-produce-1k",
    "rdkafka-produce-1k",
];

/// What the broker does, in the order of the page's columns.
const KINDS: [&str; 9] = [
    "copying in the kernel",
    "disk",
    "network",
    "scheduler",
    "other kernel",
    "copying",
    "checksums",
    "memory",
    "our code",
];

/// Parts of the names of the kernel's functions, and the kind that they are of. The first that fits counts.
const KERNEL: &[(&str, &str)] = &[
    ("rep_movs", "copying in the kernel"),
    ("copy_user", "copying in the kernel"),
    ("copy_to_iter", "copying in the kernel"),
    ("from_iter", "copying in the kernel"),
    ("copy_page", "copying in the kernel"),
    ("memcpy", "copying in the kernel"),
    ("clear_page", "copying in the kernel"),
    ("ext4", "disk"),
    ("jbd2", "disk"),
    ("blk", "disk"),
    ("bio", "disk"),
    ("folio", "disk"),
    ("iomap", "disk"),
    ("filemap", "disk"),
    ("virtblk", "disk"),
    ("virtqueue", "disk"),
    ("vring", "disk"),
    // The notification of a virtual disk; of the network only the loopback is used here.
    ("iowrite", "disk"),
    ("vp_notify", "disk"),
    ("vm_notify", "disk"),
    ("dio_", "disk"),
    ("writeback", "disk"),
    ("xas_", "disk"),
    ("pin_user", "disk"),
    ("gup_", "disk"),
    ("tcp", "network"),
    ("skb", "network"),
    ("sock", "network"),
    ("inet", "network"),
    ("ip_", "network"),
    ("netif", "network"),
    ("net_", "network"),
    ("dev_", "network"),
    ("loopback", "network"),
    ("nf_", "network"),
    ("napi", "network"),
    ("futex", "scheduler"),
    ("sched", "scheduler"),
    ("wake", "scheduler"),
    ("task", "scheduler"),
    ("epoll", "scheduler"),
    ("ep_", "scheduler"),
    ("hrtimer", "scheduler"),
    ("spin_unlock_irqrestore", "scheduler"),
    ("finish_", "scheduler"),
    ("switch", "scheduler"),
];

/// The same of functions of the program.
const PROGRAM: &[(&str, &str)] = &[
    ("memmove", "copying"),
    ("memcpy", "copying"),
    ("memset", "copying"),
    ("crc", "checksums"),
    ("lz4", "checksums"),
    ("malloc", "memory"),
    ("calloc", "memory"),
    ("realloc", "memory"),
    ("free", "memory"),
    ("mi_", "memory"),
];

/// Samples of one load.
#[derive(Default)]
struct Profile {
    /// By program's name.
    programs: BTreeMap<String, u64>,
    /// The broker's, by kind.
    kinds: BTreeMap<&'static str, u64>,
    /// The broker's, by function.
    functions: BTreeMap<String, u64>,
    all: u64,
}

/// Profiles the loads whose names contain one of these, or those that the page shows.
pub(crate) fn run(names: &[&str]) {
    let chosen = |case: &&Case| match names {
        [] => USUAL.contains(&case.name),
        names => names.iter().any(|name| case.name.contains(name)),
    };
    let broker = peers::entrepot(US);
    let mut rows = format!("| load | broker | all else | idle | {} |\n", KINDS.join(" | "));
    rows += &format!("|---|{}\n", "---|".repeat(3 + KINDS.len()));
    for case in CASES.iter().filter(chosen) {
        println!("  {}", case.name);
        // Caches, and the write-ahead log's first pass over its files.
        case.run(&broker);
        let profile = record(&broker, || drop(case.run(&broker)));
        rows += &profile.row(case.name);
        profile.show();
    }
    println!("{rows}");
    if names.is_empty() {
        page::keep("profile", &rows);
    }
}

/// What all processors did while a load ran.
fn record(broker: &Running, load: impl FnOnce()) -> Profile {
    let folder = scratch();
    let data = folder.path().join("perf.data");
    let mut perf = Command::new("perf");
    perf.args(["record", "-a", "-e", "cpu-clock", "-F", RATE, "-o"]).arg(&data);
    let mut perf = Process::start("perf", &mut perf);
    load();
    perf.signal(Signal::INT);
    let exit = perf.exit(PATIENCE);
    assert!(data.exists(), "perf is needed, as root: {}{}", exit.stdout, exit.stderr);
    let mut script = Command::new("perf");
    script.args(["script", "--no-inline", "-F", "comm,pid,ip,sym,dso", "-i"]).arg(&data);
    let exit = Process::start("perf script", &mut script).exit(PATIENCE);
    assert!(exit.status.success(), "{}", exit.stderr);
    let mut profile = Profile::default();
    for line in exit.stdout.lines() {
        profile.add(line, broker.pid());
    }
    profile
}

impl Profile {
    /// A line such as `store-writer  4711  ffffffff8120 copy_folio ([kernel.kallsyms])`. Of a name of a thread nothing is
    /// known but that a number follows it.
    fn add(&mut self, line: &str, broker: u32) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let pid = (1..words.len()).find_map(|at| Some((at, words[at].parse::<u32>().ok()?)));
        let Some((at, pid)) = pid else { return };
        let [_, rest @ .., place] = &words[at + 1..] else { return };
        let (function, is_kernel) = (rest.join(" "), place.starts_with("([kernel"));
        self.all += 1;
        let program = match pid {
            0 => "idle",
            pid if pid == broker => US,
            _ => "others",
        };
        *self.programs.entry(program.to_owned()).or_default() += 1;
        if program == US {
            *self.kinds.entry(kind(&function, is_kernel)).or_default() += 1;
            *self.functions.entry(function).or_default() += 1;
        }
    }

    fn row(&self, load: &str) -> String {
        let of_all = |program: &str| {
            let count = self.programs.get(program).copied().unwrap_or_default();
            share(count, self.all)
        };
        let ours = self.programs.get(US).copied().unwrap_or_default();
        let mut row =
            format!("| `{load}` | {} | {} | {} |", of_all(US), of_all("others"), of_all("idle"));
        for kind in KINDS {
            let count = self.kinds.get(kind).copied().unwrap_or_default();
            let _ = write!(row, " {} |", share(count, ours));
        }
        row + "\n"
    }

    /// Prints the broker's functions that take most.
    fn show(&self) {
        let mut functions: Vec<_> = self.functions.iter().collect();
        functions.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let ours = self.programs.get(US).copied().unwrap_or_default();
        for (function, count) in functions.iter().take(25) {
            println!("    {:>6} {function}", share(**count, ours));
        }
    }
}

fn kind(function: &str, is_kernel: bool) -> &'static str {
    let (known, otherwise) =
        if is_kernel { (KERNEL, "other kernel") } else { (PROGRAM, "our code") };
    known.iter().find(|(part, _)| function.contains(part)).map_or(otherwise, |(_, kind)| *kind)
}

fn share(count: u64, of: u64) -> String {
    format!("{:.0} %", count as f64 * 100.0 / of.max(1) as f64)
}
