//! The wall clock, which is set now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base::{Clock, Millis};

use crate::threads::Time;

/// When runs begin: in 2026.
const BEGAN: Millis = 1_790_000_000_000;

/// Simulated wall-clock time. Clones are the same clock.
#[derive(Debug, Clone)]
pub(crate) struct WallClock {
    time: Time,
    set_by: Arc<AtomicI64>,
}

impl WallClock {
    pub(crate) fn new(time: Time) -> Self {
        Self { time, set_by: Arc::default() }
    }

    /// Sets it so much ahead of what it would be, or behind. Topics take times of up to an hour
    /// ahead.
    pub(crate) fn jump(&self, by: Millis) {
        self.set_by.store(by, Ordering::Relaxed);
    }
}

impl Clock for WallClock {
    fn now(&self) -> Millis {
        let since = Millis::try_from(self.time.now() / 1_000_000).unwrap_or(Millis::MAX);
        BEGAN + since + self.set_by.load(Ordering::Relaxed)
    }
}
