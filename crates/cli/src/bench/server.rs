//! What the broker's process used meanwhile, as Linux counts it (proc(5)).

use std::time::Duration;

use crate::CliError;

/// `USER_HZ`, which Linux has fixed at 100 for programs on all common architectures.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process and its CPU time when the watch began.
#[derive(Debug)]
pub(super) struct Server {
    pid: u32,
    cpu_before: Duration,
}

/// What it used since.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    /// User and system time of all its threads.
    pub(super) cpu: Duration,
    /// Most memory that it ever held, in bytes (`VmHWM`).
    pub(super) memory_peak: u64,
}

impl Server {
    pub(super) fn watch(pid: u32) -> Result<Self, CliError> {
        Ok(Self { pid, cpu_before: cpu(pid)? })
    }

    pub(super) fn used(&self) -> Result<Used, CliError> {
        let cpu = cpu(self.pid)?.saturating_sub(self.cpu_before);
        let status = read(self.pid, "status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: Option<u64> = peak.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        Ok(Used { cpu, memory_peak: kib.unwrap_or_default() * 1024 })
    }
}

fn cpu(pid: u32) -> Result<Duration, CliError> {
    let stat = read(pid, "stat")?;
    // The program's name, which may hold anything, ends with the last parenthesis; user and system
    // time are the 12th and 13th field after it.
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    Ok(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
}

fn read(pid: u32, file: &str) -> Result<String, CliError> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::read_to_string(&path).map_err(|error| CliError::new(format!("{path}: {error}")))
}
