//! Waking readers that wait for one of many logs, and telling those that come back which of theirs
//! have news.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::log::Log;

/// What a waiting reader is woken by. One signal can watch many logs.
pub type Signal = Arc<Notify>;

/// What many logs tell one reader: which of them have changed since it looked. Each is named once,
/// by the key that the reader gave it, and not again before the reader watches it again. So a
/// reader that never comes back costs each log one telling, not one for every append.
#[derive(Debug, Default)]
pub struct News {
    keys: Mutex<Vec<usize>>,
    notify: Notify,
}

impl News {
    /// The keys of the logs that have changed; they are told no more.
    pub fn take(&self) -> Vec<usize> {
        std::mem::take(&mut self.keys.lock())
    }

    /// Says that the log of this key has changed.
    pub fn tell(&self, key: usize) {
        self.keys.lock().push(key);
        self.notify.notify_one();
    }

    /// Waits until there is something to take. For one waiter at a time.
    pub async fn wait(&self) {
        while self.keys.lock().is_empty() {
            self.notify.notified().await;
        }
    }
}

/// The readers that wait for one log.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    next: AtomicU64,
    waiting: Mutex<Vec<(u64, Waiter)>>,
}

#[derive(Debug)]
enum Waiter {
    /// Woken by every change.
    Signal(Signal),
    /// Told of the next change under this key.
    News(Arc<News>, usize),
}

impl Waiter {
    /// Wakes it; whether it wants to be woken again.
    fn wake(&self) -> bool {
        match self {
            Self::Signal(signal) => {
                // Stores a permit if nobody waits yet, so a wake-up between looking and waiting is
                // not lost.
                signal.notify_one();
                true
            }
            Self::News(news, key) => {
                news.tell(*key);
                false
            }
        }
    }
}

/// Keeps a reader on a log; dropping it takes the reader off.
#[derive(Debug)]
pub struct Watching {
    log: Arc<Log>,
    key: u64,
}

impl Signals {
    pub(crate) fn add(&self, log: Arc<Log>, signal: &Signal) -> Watching {
        self.push(log, Waiter::Signal(Arc::clone(signal)))
    }

    pub(crate) fn add_once(&self, log: Arc<Log>, news: &Arc<News>, key: usize) -> Watching {
        self.push(log, Waiter::News(Arc::clone(news), key))
    }

    fn push(&self, log: Arc<Log>, waiter: Waiter) -> Watching {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().push((key, waiter));
        Watching { log, key }
    }

    pub(crate) fn wake(&self) {
        self.waiting.lock().retain(|(_, waiter)| waiter.wake());
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.log.signals().waiting.lock().retain(|(key, _)| *key != self.key);
    }
}
