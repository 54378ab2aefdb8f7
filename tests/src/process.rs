//! A process whose output is read as it comes, and that never outlives its test.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, Signal};

/// A started process. Killed, by its own id, when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    started: Instant,
    exited: Option<ExitStatus>,
    seen: Arc<Seen>,
}

/// What a process left: how it ended and all that it printed.
#[derive(Debug)]
pub struct Exit {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

#[derive(Debug, Default)]
struct Seen {
    output: Mutex<Output>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Output {
    lines: Vec<Line>,
    /// Pipes at their end; at two nothing more will come.
    ended: u8,
}

#[derive(Debug)]
struct Line {
    text: String,
    error: bool,
    at: Instant,
}

impl Process {
    /// Starts the command with all three standard streams connected to us.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {name} ({command:?}): {e}"));
        let seen = Arc::new(Seen::default());
        let stdin = child.stdin.take();
        if let Some(stdout) = child.stdout.take() {
            follow(stdout, false, Arc::clone(&seen));
        }
        if let Some(stderr) = child.stderr.take() {
            follow(stderr, true, Arc::clone(&seen));
        }
        Self { name: name.to_owned(), child, stdin, started, exited: None, seen }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `wanted` accepts a line, and returns what it made of it. Lines are shown to it
    /// from number `from` on; the standard streams' lines are numbered together. Also returns the
    /// number of the line after the one accepted, and how long after the start that came.
    ///
    /// # Panics
    /// When the deadline passes, or the output ends without such a line; with all output.
    pub fn wait_for<T>(
        &self,
        what: &str,
        from: usize,
        within: Duration,
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> (T, usize, Duration) {
        let deadline = Instant::now() + within;
        let mut next = from;
        let mut output = self.seen.output.lock();
        loop {
            while let Some(line) = output.lines.get(next) {
                next += 1;
                if let Some(found) = wanted(&line.text) {
                    return (found, next, line.at.duration_since(self.started));
                }
            }
            // Asked before the wait: when both streams have ended, nobody wakes us any more.
            let over = output.ended == 2;
            if over || self.seen.changed.wait_until(&mut output, deadline).timed_out() {
                let why = if over { "never came: output ended" } else { "did not come in time" };
                drop(output);
                panic!("{}: {what} {why}\n{}", self.name, self.log());
            }
        }
    }

    /// Standard output so far.
    pub fn stdout(&self) -> String {
        self.text(|line| !line.error)
    }

    /// Everything printed so far, both streams in the order of arrival.
    pub fn log(&self) -> String {
        self.text(|_| true)
    }

    fn text(&self, wanted: impl Fn(&Line) -> bool) -> String {
        let output = self.seen.output.lock();
        output.lines.iter().filter(|line| wanted(line)).map(|l| l.text.clone() + "\n").collect()
    }

    /// Sends a line to the process's standard input.
    ///
    /// # Panics
    /// When it does not take it.
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        writeln!(stdin, "{line}")
            .and_then(|()| stdin.flush())
            .unwrap_or_else(|e| panic!("{}: cannot say {line:?}: {e}", self.name));
    }

    /// Closes the process's standard input.
    pub fn hush(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal, unless the process has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            // It may end between the question and the signal; its id is ours until we wait for it.
            rustix::process::kill_process(pid, signal).ok();
        }
    }

    /// How the process ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.exited.is_none() {
            self.exited = self.child.try_wait().expect("a child of ours can be waited for");
        }
        self.exited
    }

    /// Waits for the process to end, but no longer than `within`.
    pub fn ends_within(&mut self, within: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + within;
        while self.ended().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2)); // poll: for the exit, bounded by `within`
        }
        self.exited
    }

    /// Closes the standard input, waits for the end and returns all that was printed.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn exit(mut self, within: Duration) -> Exit {
        self.hush();
        let Some(status) = self.ends_within(within) else {
            panic!("{} did not end within {within:?}\n{}", self.name, self.log());
        };
        self.drain();
        let stderr = self.text(|line| line.error);
        Exit { status, stdout: self.stdout(), stderr }
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.exited = self.child.wait().ok();
        self.drain();
    }

    /// After the end: reads what is still in the pipes. Bounded, because a child of the process
    /// may hold them open.
    fn drain(&self) {
        let deadline = Instant::now() + Duration::from_secs(2);
        let mut output = self.seen.output.lock();
        while output.ended < 2 {
            if self.seen.changed.wait_until(&mut output, deadline).timed_out() {
                break;
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.kill();
        }
    }
}

/// Reads one stream, line by line, in a thread that ends with the stream.
fn follow(stream: impl Read + Send + 'static, error: bool, seen: Arc<Seen>) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while matches!(stream.read_until(b'\n', &mut bytes), Ok(length) if length > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned();
            bytes.clear();
            seen.output.lock().lines.push(Line { text, error, at: Instant::now() });
            seen.changed.notify_all();
        }
        seen.output.lock().ended += 1;
        seen.changed.notify_all();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::start("sh", Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn a_line_is_waited_for_and_input_is_passed_on() {
        let mut process = shell("echo one; read x; echo got $x; echo bad >&2; exit 3");
        let (_, next, _) =
            process.wait_for("one", 0, crate::PATIENCE, |l| (l == "one").then_some(()));
        process.say("two");
        let (text, ..) = process
            .wait_for("got", next, crate::PATIENCE, |l| l.strip_prefix("got ").map(str::to_owned));
        assert_eq!(text, "two");
        let exit = process.exit(crate::PATIENCE);
        assert_eq!(exit.status.code(), Some(3));
        assert_eq!((exit.stdout.as_str(), exit.stderr.as_str()), ("one\ngot two\n", "bad\n"));
    }

    #[test]
    #[should_panic(expected = "output ended")]
    fn a_line_that_cannot_come_any_more_fails_at_once() {
        let mut process = shell("echo one");
        // All that it prints is read before the wait begins.
        process.ends_within(crate::PATIENCE);
        process.drain();
        process.wait_for("two", 0, crate::PATIENCE, |l| (l == "two").then_some(()));
    }

    #[test]
    #[should_panic(expected = "did not come in time")]
    fn a_line_that_does_not_come_fails_at_the_deadline() {
        let process = shell("echo one; read x");
        process.wait_for("two", 0, Duration::from_millis(50), |l| (l == "two").then_some(()));
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let process = shell("read x");
        let pid = process.id();
        drop(process);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
