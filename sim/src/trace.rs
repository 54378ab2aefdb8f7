//! What happened, in order: a hash of all of it, and the text where somebody wants to read it.

use std::fmt::{Arguments, Write};
use std::sync::Arc;

use parking_lot::Mutex;

/// The events of a run. Clones are the same trace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    hash: u64,
    events: u64,
    line: String,
    prints: bool,
}

impl Default for Inner {
    fn default() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, events: 0, line: String::new(), prints: false }
    }
}

impl Trace {
    /// One whose events are printed, too.
    pub(crate) fn printing(prints: bool) -> Self {
        Self(Arc::new(Mutex::new(Inner { prints, ..Inner::default() })))
    }

    /// Notes an event, with the simulated time in nanoseconds.
    pub(crate) fn note(&self, now: u64, event: Arguments<'_>) {
        let mut inner = self.0.lock();
        let Inner { hash, events, line, prints } = &mut *inner;
        line.clear();
        // Writing to a string does not fail.
        let _ = write!(line, "{:>9}.{:06} {event}", now / 1_000_000, now % 1_000_000);
        for byte in line.bytes() {
            *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        *events += 1;
        if *prints {
            println!("{line}");
        }
    }

    /// A hash of all events, and how many there were.
    pub(crate) fn hash(&self) -> (u64, u64) {
        let inner = self.0.lock();
        (inner.hash, inner.events)
    }
}
