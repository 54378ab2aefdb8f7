//! Who consumes, and who holds what was delivered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use queue::dispatch::{Candidate, Load};

use super::journal::Journal;
use super::queue::Queue;
use super::types::{ConsumeOptions, Delivered, DeliveryId, QueueError, QueueSink, Settlement};

/// Somebody who holds messages until they are settled, such as one channel of a connection: all of its consumers'.
/// Dropping it gives them back, each to its place.
#[derive(Debug)]
pub struct Holder {
    pub(super) inner: Arc<HolderInner>,
}

#[derive(Debug)]
pub(super) struct HolderInner {
    /// Most that its consumers have at a time, together; 0: any number.
    prefetch: AtomicU32,
    in_flight: AtomicU32,
    is_gone: AtomicBool,
    /// Queues that it has consumers on, or messages of.
    queues: Mutex<HashMap<u64, Weak<Queue>>>,
    journal: Arc<Journal>,
}

impl Holder {
    pub(super) fn new(prefetch: u32, journal: Arc<Journal>) -> Self {
        let inner = HolderInner {
            prefetch: AtomicU32::new(prefetch),
            in_flight: AtomicU32::new(0),
            is_gone: AtomicBool::new(false),
            queues: Mutex::default(),
            journal,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Changes how many messages its consumers have at a time, together; 0: any number.
    pub fn set_prefetch(&self, prefetch: u32) {
        self.inner.prefetch.store(prefetch, Ordering::Relaxed);
        self.inner.wake();
    }

    /// How many messages its consumers have at a time, together; 0: any number.
    pub fn prefetch(&self) -> u32 {
        self.inner.prefetch.load(Ordering::Relaxed)
    }

    /// What becomes of messages, in this order: one call for many is cheaper. What the holder does not have (any more) is
    /// passed over. Never waits; see [`Self::settled`].
    pub fn settle(&self, of: &[(DeliveryId, Settlement)]) {
        let mut rest = of;
        while let Some((first, _)) = rest.first() {
            let same = rest.iter().take_while(|(id, _)| id.queue == first.queue).count();
            let (these, others) = rest.split_at(same);
            let queue = self.inner.queues.lock().get(&first.queue).and_then(Weak::upgrade);
            if let Some(queue) = queue {
                queue.settle(&self.inner, these);
            }
            rest = others;
        }
    }

    /// Waits until all that was settled before is durable.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`]: it could not be written; it will be tried again.
    pub async fn settled(&self) -> Result<(), QueueError> {
        self.inner.journal.flush().await
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Its consumers may be there a little longer.
        self.inner.is_gone.store(true, Ordering::Release);
        let queues = std::mem::take(&mut *self.inner.queues.lock());
        for queue in queues.values().filter_map(Weak::upgrade) {
            queue.give_back_all(&self.inner);
        }
    }
}

impl HolderInner {
    pub(super) fn knows(&self, queue: &Arc<Queue>) {
        self.queues.lock().entry(queue.number()).or_insert_with(|| Arc::downgrade(queue));
    }

    /// The same for a consumer of a stream, under its number.
    pub(super) fn knows_as(&self, number: u64, queue: &Arc<Queue>) {
        self.queues.lock().insert(number, Arc::downgrade(queue));
    }

    pub(super) fn forgets(&self, number: u64) {
        self.queues.lock().remove(&number);
    }

    fn wake(&self) {
        for queue in self.queues.lock().values().filter_map(Weak::upgrade) {
            queue.wake();
        }
    }

    /// Counts one message more, if it may have one.
    fn reserve(&self) -> bool {
        let most = match self.prefetch.load(Ordering::Relaxed) {
            0 => u32::MAX,
            most => most,
        };
        if self.is_gone.load(Ordering::Acquire) {
            return false;
        }
        let more = |count: u32| (count < most).then(|| count + 1);
        self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Counts so many fewer. If it could have no more, consumers on other queues are told.
    pub(super) fn release(&self, count: u32) {
        let fewer = |before: u32| Some(before.saturating_sub(count));
        let before = self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        let most = self.prefetch.load(Ordering::Relaxed);
        if most > 0 && before.unwrap_or(0) >= most {
            self.wake();
        }
    }
}

/// A consumer of a queue. Dropping it ends it; what it has stays with its holder.
#[derive(Debug)]
pub struct Consumer {
    pub(super) queue: Weak<Queue>,
    pub(super) inner: Arc<ConsumerInner>,
}

impl Consumer {
    /// There is room again, after [`QueueSink::deliver`] said that there was none.
    pub fn ready(&self) {
        self.inner.readies.fetch_add(1, Ordering::AcqRel);
        if self.inner.is_blocked.swap(false, Ordering::AcqRel)
            && let Some(queue) = self.queue.upgrade()
        {
            queue.wake();
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.inner.is_gone.store(true, Ordering::Release);
        if let Some(queue) = self.queue.upgrade() {
            queue.remove_consumer(self.inner.id);
        }
    }
}

#[derive(Debug)]
pub(super) struct ConsumerInner {
    pub(super) id: u64,
    pub(super) tag: u64,
    pub(super) priority: i32,
    pub(super) automatic: bool,
    prefetch: u32,
    pub(super) sink: Arc<dyn QueueSink>,
    pub(super) holder: Arc<HolderInner>,
    load: Load,
    is_blocked: AtomicBool,
    /// Counts how often it was said that there is room.
    readies: AtomicU64,
    is_gone: AtomicBool,
}

impl ConsumerInner {
    pub(super) fn new(id: u64, holder: &Arc<HolderInner>, options: ConsumeOptions) -> Self {
        let ConsumeOptions { tag, priority, automatic, prefetch, sink, .. } = options;
        Self {
            id,
            tag,
            priority,
            automatic,
            prefetch,
            sink,
            holder: Arc::clone(holder),
            load: Load::new(1),
            is_blocked: AtomicBool::new(false),
            readies: AtomicU64::new(0),
            is_gone: AtomicBool::new(false),
        }
    }

    /// Takes nothing at present, whatever it may have.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Acquire) || self.is_gone.load(Ordering::Acquire)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// Gives it a message; whether it took it. Until it is ready again, it gets nothing else.
    pub(super) fn give(&self, delivered: Delivered) -> bool {
        let readies = self.readies.load(Ordering::Acquire);
        if self.is_blocked() {
            return false;
        }
        let took = self.sink.deliver(self.tag, delivered);
        if !took {
            self.is_blocked.store(true, Ordering::Release);
            if self.readies.load(Ordering::Acquire) != readies {
                // It was ready before it was blocked.
                self.is_blocked.store(false, Ordering::Release);
            }
        }
        took
    }

    /// Counts one message more, if it may have one.
    pub(super) fn reserve(&self) -> bool {
        if self.is_blocked() {
            return false;
        }
        if !self.automatic {
            let full = self.prefetch > 0 && self.load.in_flight() >= self.prefetch;
            if full || !self.holder.reserve() {
                return false;
            }
        }
        self.load.begin();
        true
    }

    /// It is done with a message.
    pub(super) fn release(&self) {
        self.load.end(None);
    }
}

impl Candidate for ConsumerInner {
    fn load(&self) -> &Load {
        &self.load
    }
}
