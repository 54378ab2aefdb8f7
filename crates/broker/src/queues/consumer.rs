//! Who consumes, and who holds what was delivered.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use queue::dispatch::{Candidate, Load};

use super::journal::Journal;
use super::queue::Queue;
use super::types::{ConsumeOptions, Delivered, DeliveryId, QueueError, QueueSink, Settlement};
use crate::followed::HeldSpans;

/// Somebody who holds messages until they are settled, such as one channel of a connection: all of its consumers'.
/// Dropping it gives them back, each to its place.
#[derive(Debug)]
pub struct Holder {
    pub(super) inner: Arc<HolderInner>,
}

#[derive(Debug)]
pub(super) struct HolderInner {
    pub(super) number: u64,
    /// Most that its consumers have at a time, together; 0: any number.
    prefetch: AtomicU32,
    in_flight: AtomicU32,
    /// Queues that want room, where there is a limit and it was reached.
    line: Mutex<Line>,
    is_gone: AtomicBool,
    /// Queues that it has consumers on, or messages of.
    queues: Mutex<HashMap<u64, Weak<Queue>>>,
    journal: Arc<Journal>,
    /// Of what is followed.
    pub(super) spans: HeldSpans,
}

/// Who is next of those that share a holder's room: else the queue of which a message was just settled would have it again,
/// and others never.
#[derive(Debug, Default)]
struct Line {
    /// By their numbers, the first one first.
    waiting: VecDeque<u64>,
    /// The first one had some room since it is the first.
    had_some: bool,
}

/// Whether there is room for one message more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// It is taken.
    Taken,
    /// None.
    None,
    /// None with the holder at present. It wakes the queue when it is the queue's turn, and others wait until that has used it
    /// or does not want it any more: see [`HolderInner::leave`].
    Later,
}

impl Holder {
    pub(super) fn new(number: u64, prefetch: u32, journal: Arc<Journal>, spans: HeldSpans) -> Self {
        let inner = HolderInner {
            number,
            prefetch: AtomicU32::new(prefetch),
            in_flight: AtomicU32::new(0),
            line: Mutex::default(),
            is_gone: AtomicBool::new(false),
            queues: Mutex::default(),
            journal,
            spans,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Changes how many messages its consumers have at a time, together; 0: any number.
    pub fn set_prefetch(&self, prefetch: u32) {
        self.inner.prefetch.store(prefetch, Ordering::SeqCst);
        self.inner.wake();
    }

    /// How many messages its consumers have at a time, together; 0: any number.
    pub fn prefetch(&self) -> u32 {
        self.inner.prefetch.load(Ordering::Relaxed)
    }

    /// What becomes of messages, in this order: one call for many is cheaper. What the holder does not have (any more) is
    /// passed over. Never waits; see [`Self::settled`].
    pub fn settle(&self, of: &[(DeliveryId, Settlement)]) {
        self.inner.spans.settle(of);
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

    /// A message is delivered to it.
    pub(super) fn begin_span(&self, delivered: &Delivered) {
        self.spans.begin(delivered, || {
            let queue = self.queues.lock().get(&delivered.id.queue).and_then(Weak::upgrade);
            let name = queue.map(|queue| queue.name().name.clone()).unwrap_or_default();
            String::from_utf8_lossy(&name).into_owned()
        });
    }

    pub(super) fn forgets(&self, number: u64) {
        self.queues.lock().remove(&number);
    }

    fn wake(&self) {
        for queue in self.queues.lock().values().filter_map(Weak::upgrade) {
            queue.wake();
        }
    }

    /// Counts one message more for a queue, if there is room and no other queue has waited for it longer.
    fn reserve(&self, queue: u64) -> Room {
        if self.is_gone.load(Ordering::Acquire) {
            return Room::None;
        }
        let most = self.prefetch.load(Ordering::SeqCst);
        if most == 0 {
            self.in_flight.fetch_add(1, Ordering::SeqCst);
            return Room::Taken;
        }
        let mut line = self.line.lock();
        let is_first = line.waiting.front() == Some(&queue);
        if is_first || line.waiting.is_empty() {
            let more = |count: u32| (count < most).then(|| count + 1);
            let counted = self.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
            if counted.is_ok() {
                line.had_some |= is_first;
                return Room::Taken;
            }
        }
        line.join(queue);
        Room::Later
    }

    /// Whether a message may go that is done with when it is delivered: it takes no room, but there must be some.
    fn passes(&self, queue: u64) -> Room {
        let most = self.prefetch.load(Ordering::SeqCst);
        if most == 0 {
            return Room::Taken;
        }
        // Under the lock: who makes room finds it in the line, or it finds the room.
        let mut line = self.line.lock();
        if self.in_flight.load(Ordering::SeqCst) < most {
            return Room::Taken;
        }
        line.join(queue);
        Room::Later
    }

    /// A queue wants no room at present: others have their turn.
    pub(super) fn leave(&self, queue: u64) {
        let mut line = self.line.lock();
        let Some(at) = line.waiting.iter().position(|waiting| *waiting == queue) else { return };
        line.waiting.remove(at);
        if at > 0 {
            return;
        }
        line.had_some = false;
        drop(line);
        let most = self.prefetch.load(Ordering::SeqCst);
        if most == 0 || self.in_flight.load(Ordering::SeqCst) < most {
            self.call();
        }
    }

    /// Tells the queue that is next that there is room.
    fn call(&self) {
        loop {
            let first = self.line.lock().waiting.front().copied();
            let Some(first) = first else { return };
            let queue = self.queues.lock().get(&first).and_then(Weak::upgrade);
            if let Some(queue) = queue {
                return queue.wake();
            }
            let mut line = self.line.lock();
            if line.waiting.front() == Some(&first) {
                line.waiting.pop_front();
                line.had_some = false;
            }
        }
    }

    /// How many queues want room that there is not.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.line.lock().waiting.len()
    }

    /// Counts so many fewer. If it could have no more, the queue that waits for that is told.
    pub(super) fn release(&self, count: u32) {
        let fewer = |before: u32| Some(before.saturating_sub(count));
        // Before it is asked who waits, see `reserve`.
        let before = self.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer);
        let most = self.prefetch.load(Ordering::SeqCst);
        if most > 0 && before.unwrap_or(0) >= most {
            self.call();
        }
    }
}

impl Line {
    /// A queue found no room. One whose turn it was, and that had some, goes to the end.
    fn join(&mut self, queue: u64) {
        if self.waiting.front() == Some(&queue) {
            if std::mem::take(&mut self.had_some) {
                self.waiting.rotate_left(1);
            }
        } else if !self.waiting.contains(&queue) {
            self.waiting.push_back(queue);
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
    /// Ends it. A queue that goes with its last consumer is gone when this returns; if it cannot be deleted now, it is a
    /// little later.
    pub async fn end(self) {
        self.inner.is_gone.store(true, Ordering::Release);
        let Some(queue) = self.queue.upgrade() else { return };
        if queue.lose_consumer(self.inner.id) {
            queue.delete_unused().await;
        }
        // Dropped now: if the queue is still there, and unused, that has it deleted.
    }

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
        if let Some(queue) = self.queue.upgrade()
            && queue.lose_consumer(self.inner.id)
        {
            queue.delete_later(true);
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
        let id = delivered.id;
        self.holder.begin_span(&delivered);
        let took = self.sink.deliver(self.tag, delivered);
        match (took, self.automatic) {
            (false, _) => self.holder.spans.end(id, "not taken: there is no room"),
            (true, true) => self.holder.spans.end(id, "accepted"),
            (true, false) => {}
        }
        if !took {
            self.is_blocked.store(true, Ordering::Release);
            if self.readies.load(Ordering::Acquire) != readies {
                // It was ready before it was blocked.
                self.is_blocked.store(false, Ordering::Release);
            }
        }
        took
    }

    /// Counts one message more of a queue, if it may have one.
    pub(super) fn reserve(&self, queue: u64) -> Room {
        if self.is_blocked() {
            return Room::None;
        }
        let room = if self.automatic {
            self.holder.passes(queue)
        } else if self.prefetch > 0 && self.load.in_flight() >= self.prefetch {
            Room::None
        } else {
            self.holder.reserve(queue)
        };
        if room == Room::Taken {
            self.load.begin();
        }
        room
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
