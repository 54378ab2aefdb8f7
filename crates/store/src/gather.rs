//! Waiting a moment for appends that are about to come, so that more of them share a sync.
//!
//! A client that keeps several requests in flight sends the next ones when it is answered. Were the
//! first of these written at once, the others would arrive while the disk is busy and go into the
//! frame after it; that one answers several, of which the first is again written alone. So every
//! second frame would carry one request, and cost as much as the others. Where few requests are
//! about, the writer therefore waits until as many are there as it held when it last answered. With many, frames
//! are well filled, and the disk's work and the processor's better overlap.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Where more requests than this were about lately, they fill frames without being waited for.
const BUSY: usize = 8;
/// Frames in which the memory of how many there were lately fades by one.
const FADES_IN: u32 = 64;
/// No longer wait, however slow the disk is.
const PATIENCE_MAX: Duration = Duration::from_micros(200);
/// Most frames that are written without a wait after waits in vain.
const REST_MAX: u32 = 256;

/// Tells the writer, while it waits, that enough requests have come. Otherwise silent: a writer
/// that is busy finds them when it is done.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    /// Messages sent to the writer, ever.
    sent: AtomicU64,
    /// Messages that it took. For who watches only.
    taken: AtomicU64,
    /// Rings when so many were sent.
    goal: AtomicU64,
    writer: OnceLock<Thread>,
}

impl Bell {
    /// A message was sent.
    pub(crate) fn sent(&self) {
        let sent = self.sent.fetch_add(1, Ordering::SeqCst) + 1;
        if sent == self.goal.load(Ordering::SeqCst)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    /// Of what was sent, so many were taken.
    pub(crate) fn taken(&self, taken: u64) {
        self.taken.store(taken, Ordering::Relaxed);
    }

    /// Messages that wait for the writer.
    pub(crate) fn waiting(&self) -> u64 {
        let taken = self.taken.load(Ordering::Relaxed);
        self.sent.load(Ordering::Relaxed).saturating_sub(taken)
    }

    /// Waits until so many messages were sent, ever, but no longer than `patience`; whether they
    /// were. For the writer's thread only.
    fn wait(&self, goal: u64, patience: Duration) -> bool {
        self.writer.get_or_init(thread::current);
        let deadline = Instant::now() + patience;
        // Before the look at what was sent: who sends the last one sees this, or we see theirs.
        self.goal.store(goal, Ordering::SeqCst);
        while self.sent.load(Ordering::SeqCst) < goal {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            thread::park_timeout(left);
        }
        true
    }
}

/// What the writer knows of the requests that are about.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    /// Messages taken, ever.
    taken: u64,
    /// Requests that it held when it last answered: those of the frame, and those behind it.
    expected: usize,
    /// The most of these, lately.
    busiest: usize,
    /// Frames until that fades.
    fades_in: u32,
    /// How long the last frame took.
    took: Duration,
    /// Frames to write without a wait.
    rest: u32,
    /// Frames to rest for after the next wait in vain.
    penalty: u32,
}

impl Gather {
    /// A message was taken from the queue.
    pub(crate) fn taken(&mut self) {
        self.taken += 1;
    }

    /// Messages taken, ever.
    pub(crate) fn taken_so_far(&self) -> u64 {
        self.taken
    }

    /// Waits until it is better to write the `held` requests than to wait for others.
    pub(crate) fn wait(&mut self, bell: &Bell, held: usize) {
        let missing = self.expected.saturating_sub(held);
        if missing == 0 || self.busiest > BUSY {
            return;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        if bell.wait(self.taken + missing as u64, self.took.min(PATIENCE_MAX)) {
            self.penalty = 0;
        } else {
            self.penalty = (self.penalty * 2).clamp(1, REST_MAX);
            self.rest = self.penalty;
        }
    }

    /// `held` requests were answered or wait in the queue, after a frame that took so long.
    pub(crate) fn answered(&mut self, held: usize, took: Duration) {
        self.expected = held;
        self.took = took;
        self.fades_in = self.fades_in.checked_sub(1).unwrap_or(FADES_IN);
        let faded = self.busiest - usize::from(self.fades_in == 0).min(self.busiest);
        self.busiest = faded.max(held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_ends_when_enough_was_sent() {
        let bell = Bell::default();
        thread::scope(|scope| {
            let writer = scope.spawn(|| bell.wait(3, Duration::from_secs(600)));
            for _ in 0..3 {
                bell.sent();
            }
            assert!(writer.join().unwrap());
        });
        assert!(bell.wait(2, Duration::ZERO), "what was sent before counts");
        assert!(!bell.wait(4, Duration::from_millis(1)));
    }

    /// Takes so many messages, waits, and answers; whether it waited in vain.
    fn frame(gather: &mut Gather, bell: &Bell, held: usize, behind: usize) -> bool {
        (0..held).for_each(|_| gather.taken());
        let before = gather.penalty;
        gather.wait(bell, held);
        gather.answered(held + behind, Duration::ZERO);
        gather.penalty > before
    }

    #[test]
    fn it_waits_for_as_many_as_there_were() {
        let (mut gather, bell) = (Gather::default(), Bell::default());
        assert!(!frame(&mut gather, &bell, 1, 0), "nobody else is expected");
        assert!(!frame(&mut gather, &bell, 1, 2), "nor now");
        assert!(frame(&mut gather, &bell, 1, 0), "two of three are missing");
        // One that is not in vain makes good for all before it.
        gather.answered(3, Duration::ZERO);
        gather.rest = 0;
        (0..6).for_each(|_| bell.sent());
        assert!(!frame(&mut gather, &bell, 1, 0));
        assert_eq!(gather.penalty, 0);
    }

    #[test]
    fn after_waits_in_vain_it_waits_more_rarely() {
        let (mut gather, bell) = (Gather::default(), Bell::default());
        let mut waits = Vec::new();
        for number in 0..2000 {
            if frame(&mut gather, &bell, 1, 1) {
                waits.push(number);
            }
        }
        assert_eq!(waits, [1, 3, 6, 11, 20, 37, 70, 135, 264]);
    }

    #[test]
    fn where_many_are_about_it_does_not_wait() {
        let (mut gather, bell) = (Gather::default(), Bell::default());
        frame(&mut gather, &bell, 20, 0);
        for _ in 0..600 {
            assert!(!frame(&mut gather, &bell, 4, 2));
        }
        // By now it has forgotten.
        let waits = (0..600).filter(|_| frame(&mut gather, &bell, 4, 2)).count();
        assert!(waits > 0);
    }
}
