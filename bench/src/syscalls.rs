//! How many system calls a broker makes.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tests::{Process, scratch, tool};

/// How long strace may take to begin and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// System calls of a process, all its threads, while a load runs, which that slows down. `None` where strace
/// may not look at it.
pub(crate) fn count(pid: u32, load: impl FnOnce()) -> Option<f64> {
    let folder = scratch();
    let counts = folder.path().join("counts");
    let mut strace = Command::new(tool("strace")?.join("bin/strace"));
    strace.args(["-f", "-c", "-U", "calls,name", "-p", &pid.to_string(), "-o"]).arg(&counts);
    let mut strace = Process::start("strace", &mut strace);
    let attached = |line: &str| line.contains("attached").then_some(true);
    let refused = |line: &str| line.contains("Operation not permitted").then_some(false);
    let begun = |line: &str| attached(line).or_else(|| refused(line));
    if !strace.wait_for("strace says that it is there", 0, PATIENCE, begun).0 {
        return None;
    }
    load();
    strace.signal(Signal::INT);
    strace.ends_within(PATIENCE)?;
    let text = std::fs::read_to_string(&counts).expect("strace wrote its counts");
    // "     8459 futex", and last "    75000 total".
    let total = text.lines().find_map(|line| line.trim().strip_suffix("total"));
    Some(total.and_then(|calls| calls.trim().parse().ok()).expect("strace sums them up"))
}
