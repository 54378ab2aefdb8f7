//! Waking readers that wait for one of many logs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::log::Log;

/// What a waiting reader is woken by. One signal can watch many logs.
pub type Signal = Arc<Notify>;

/// The readers that wait for one log.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    next: AtomicU64,
    waiting: Mutex<Vec<(u64, Signal)>>,
}

/// Keeps a signal on a log; dropping it takes the signal off.
#[derive(Debug)]
pub struct Watching {
    log: Arc<Log>,
    key: u64,
}

impl Signals {
    pub(crate) fn add(&self, log: Arc<Log>, signal: &Signal) -> Watching {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().push((key, Arc::clone(signal)));
        Watching { log, key }
    }

    pub(crate) fn wake(&self) {
        for (_, signal) in self.waiting.lock().iter() {
            // Stores a permit if nobody waits yet, so a wake-up between looking and waiting is
            // not lost.
            signal.notify_one();
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.log.signals().waiting.lock().retain(|(key, _)| *key != self.key);
    }
}
