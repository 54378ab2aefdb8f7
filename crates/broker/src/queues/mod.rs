//! Queues: each message goes to one consumer, who settles it. A *stored* queue is a topic and the one subscription to it
//! whose state is a [`Ledger`](::queue::shared::Ledger) for each partition; another one keeps its messages in memory, and
//! is the same otherwise.
//!
//! A stored queue's messages are records of its topic: readers of the topic read them without consuming them, and what
//! others write there is in the queue. What the queue is done with is deleted from a topic of its own, in steps.
//!
//! ```text
//! publishers -> exchanges -> log (or memory) -> read ahead -> task of the queue -> sinks of consumers
//!                                                 ^                                      |
//!                                                 +---- ledger <---- settled ------------+
//! ```
//!
//! There is no lock for all queues on the way of a message. Memory is bounded: a stored queue keeps the runs of its
//! ledger, which are no more than what consumers hold, and what it read ahead.

mod by_key;
mod consumer;
mod dead;
mod dispatch;
mod flow;
mod journal;
mod lane;
mod name;
mod owner;
mod peek;
mod queue;
mod room;
mod settle;
mod stored;
mod stream;
mod types;
mod verbs;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use ::queue::shared::{Ledgers, PartitionKey};
use bytes::Bytes;
use cluster::KeyValue;
use parking_lot::{Mutex, RwLock};
use store::Store;
use tokio::task::JoinHandle;

pub(crate) use self::queue::Pushed;
pub use self::queue::Queue;
pub(crate) use self::room::{Coming, Room};
pub use consumer::{Consumer, Holder};
pub use flow::QueueFlow;
pub(crate) use lane::Item;
pub use owner::Owner;
#[cfg(feature = "fuzzing")]
pub(crate) use stored::decode as read;
pub(crate) use stored::{KindValue, OverflowValue, PREFIX, RetryWhenValue};
pub use types::{
    ConsumeOptions, DeadLetterTo, DeleteOnly, Delivered, DeliveryId, Origin, Overflow, QueueCounts,
    QueueError, QueueKind, QueueName, QueueSettings, QueueSink, QueueSpec, RetryDelay, RetryWhen,
    Settlement, StreamSettings, StreamStart,
};

use self::journal::Journal;
use self::lane::Lane;
use self::queue::{NewQueue, StoredIn};
use self::room::Refusing;
use self::stored::Stored;
use self::stream::Stream;
use crate::broker::Inner;
use crate::metadata::Topic;
use crate::options::BrokerOptions;
use crate::topics::OpenTopic;

/// Most queues of a broker.
const QUEUES_MAX: usize = 200_000;
/// Pause after a queue that is to go could not be deleted.
const DELETE_AGAIN: Duration = Duration::from_millis(500);

/// Whether a key of the metadata store is one that is read here at start, and followed by nobody.
pub(crate) fn is_ours(key: &Bytes) -> bool {
    let ours =
        [PREFIX, crate::exchanges::EXCHANGES, crate::exchanges::BINDINGS, crate::policies::PREFIX];
    ours.iter().any(|prefix| key.starts_with(prefix.as_bytes()))
}

/// All queues of this broker.
#[derive(Debug)]
pub(crate) struct Queues {
    maps: RwLock<HashMap<QueueName, Arc<Queue>>>,
    journal: Arc<Journal>,
    /// Of queues, and of holders.
    numbers: AtomicU64,
    /// Bytes of those that are in memory.
    memory: Arc<AtomicU64>,
    /// One declares or deletes at a time, so that there is one outcome.
    changes: tokio::sync::Mutex<()>,
    /// What was read back and belongs to queues that are opened at start.
    ledgers: Mutex<Ledgers>,
    tasks: Mutex<HashMap<u64, JoinHandle<()>>>,
    refusing: Refusing,
}

impl Queues {
    /// Reads the journal back.
    pub(crate) async fn restore(
        options: &BrokerOptions,
        store: &Arc<Store>,
    ) -> Result<Arc<Self>, String> {
        let (journal, ledgers) = Journal::open(store, &options.clock).await?;
        Ok(Arc::new(Self {
            maps: RwLock::default(),
            journal,
            numbers: AtomicU64::new(1),
            memory: Arc::default(),
            changes: tokio::sync::Mutex::default(),
            ledgers: Mutex::new(ledgers),
            tasks: Mutex::default(),
            refusing: Refusing::default(),
        }))
    }

    /// Opens the queues that there were.
    pub(crate) fn begin(self: &Arc<Self>, inner: &Arc<Inner>, kvs: &[KeyValue]) -> JoinHandle<()> {
        let ours = kvs.iter().filter(|kv| kv.key.starts_with(PREFIX.as_bytes()));
        for kv in ours {
            let Some(stored) = stored::decode(&kv.key, &kv.value) else { continue };
            let Stored { name, spec, topic, is_paused } = stored;
            if inner.topics.get(&topic.topic).is_none() {
                tracing::warn!(queue = ?name, topic = topic.topic, "the topic of a queue is gone");
                continue;
            }
            let queue = self.open(inner, name, spec, crate::PublisherId::default(), Some(topic));
            queue.set_paused(is_paused);
        }
        // What is left is of queues that are gone.
        *self.ledgers.lock() = Ledgers::default();
        tokio::spawn(Arc::clone(&self.journal).run(Arc::downgrade(self)))
    }

    /// Ends the queues' tasks, and writes down what became of messages.
    pub(crate) async fn stop(&self) {
        for (_, task) in self.tasks.lock().drain() {
            task.abort();
        }
        if let Err(error) = self.journal.flush().await {
            tracing::warn!(%error, "what became of the last messages is not written down");
        }
    }

    pub(crate) fn get(&self, name: &QueueName) -> Option<Arc<Queue>> {
        self.maps.read().get(name).cloned()
    }

    /// Nobody else declares or deletes a queue, or changes what holds of it, while this is held.
    pub(crate) async fn change(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changes.lock().await
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        self.maps.read().values().cloned().collect()
    }

    /// Those that are stored.
    fn stored(&self) -> Vec<Arc<Queue>> {
        let maps = self.maps.read();
        maps.values().filter(|queue| queue.topic.is_some()).cloned().collect()
    }

    /// A topic may have more partitions than before: the queue whose messages it has gets them, too.
    pub(crate) fn topic_changed(&self, inner: &Inner, topic: &Topic) {
        let all = self.stored().into_iter();
        let of = all.filter(|queue| queue.topic.as_ref().is_some_and(|of| of.topic == topic.name));
        for queue in of.filter(|queue| queue.stream.is_none()) {
            let Some(open) = queue.topic.as_ref().and_then(|of| inner.topics.get(&of.topic)) else {
                continue;
            };
            let mut state = queue.state.lock();
            if state.is_deleted {
                continue;
            }
            let known = state.lanes.len();
            for (log, partition) in open.logs.iter().zip(0..).skip(known) {
                let key = lane_key(&open, partition);
                let lane = Lane::stored(Arc::clone(log), key, None);
                state.lanes.push(queue.in_order(lane, open.logs.len()));
            }
            let is_more = state.lanes.len() > known;
            drop(state);
            if is_more {
                queue.changed();
                queue.wake();
            }
        }
    }

    /// A topic is gone: the queue whose messages it had goes.
    pub(crate) fn topic_deleted(&self, topic: &Topic) {
        let all = self.stored().into_iter();
        let of = all.filter(|queue| queue.topic.as_ref().is_some_and(|of| of.topic == topic.name));
        of.for_each(|queue| queue.delete_later(false));
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Opens a queue, and begins its task.
    fn open(
        self: &Arc<Self>,
        inner: &Arc<Inner>,
        name: QueueName,
        spec: QueueSpec,
        owner: crate::PublisherId,
        topic: Option<StoredIn>,
    ) -> Arc<Queue> {
        let is_stream = spec.settings.stream.is_some();
        let open = topic.as_ref().filter(|_| is_stream);
        let open = open.and_then(|stored| inner.topics.get(&stored.topic));
        let stream = open.and_then(|open| open.log(0).map(|log| Stream::new(Arc::clone(log))));
        let mut lanes: Vec<_> = match &topic {
            _ if is_stream => Vec::new(),
            None => (0..=spec.settings.priorities).map(|_| Lane::in_memory()).collect(),
            Some(stored) => self.lanes(inner, stored),
        };
        if spec.settings.order_by_key {
            let count = lanes.len();
            lanes = lanes.into_iter().map(|lane| lane.in_order(count)).collect();
        }
        let number = self.number();
        let now = inner.options.clock.now();
        let new = NewQueue {
            number,
            governing: inner.policies.of_queue(&name, &spec),
            name: name.clone(),
            spec,
            owner,
            topic,
            lanes,
            stream,
            memory: Arc::clone(&self.memory),
            now,
        };
        let queue = Queue::new(new, Arc::clone(&self.journal), Arc::downgrade(inner));
        let queue = Arc::new(queue);
        self.maps.write().insert(name, Arc::clone(&queue));
        self.refusing.put(&queue, &queue.settings());
        let task = tokio::spawn(Arc::clone(&queue).run());
        let mut tasks = self.tasks.lock();
        tasks.insert(number, task);
        queue
    }

    fn lanes(&self, inner: &Inner, stored: &StoredIn) -> Vec<Lane> {
        let Some(open) = inner.topics.get(&stored.topic) else { return Vec::new() };
        let mut ledgers = self.ledgers.lock();
        let lane = |(log, partition): (&Arc<store::Log>, i32)| {
            let key = lane_key(&open, partition);
            let known = ledgers.take(&key);
            Lane::stored(Arc::clone(log), key, known)
        };
        open.logs.iter().zip(0..).map(lane).collect()
    }

    /// Whether it is there, and not another one of its name.
    fn has(&self, queue: &Arc<Queue>) -> bool {
        self.maps.read().get(queue.name()).is_some_and(|other| Arc::ptr_eq(other, queue))
    }

    /// Takes a queue out.
    fn remove(&self, queue: &Arc<Queue>) {
        self.maps.write().remove(queue.name());
        self.refusing.remove(queue);
        self.tasks.lock().remove(&queue.number());
    }
}

/// The key of the ledger of a partition of a queue's topic.
fn lane_key(open: &OpenTopic, partition: i32) -> PartitionKey {
    PartitionKey { subscription: "".into(), topic: open.topic.id, partition }
}

impl Queue {
    /// It is deleted now, unless somebody uses it by then. If that does not work, it is there still.
    async fn delete_unused(self: &Arc<Self>) {
        let Some(inner) = self.broker.upgrade() else { return };
        if let Err(error) = (crate::Broker { inner }).delete_after_use(self, true).await {
            tracing::warn!(queue = ?self.name(), %error, "cannot delete a queue yet");
        }
    }

    /// It is deleted in a while, however often that has to be tried; `only_unused`: unless somebody uses it by then.
    fn delete_later(self: &Arc<Self>, only_unused: bool) {
        if only_unused && std::mem::replace(&mut self.state.lock().is_leaving, true) {
            return;
        }
        let (queue, broker) = (Arc::clone(self), Weak::clone(&self.broker));
        tokio::spawn(async move {
            while let Some(inner) = broker.upgrade() {
                let deleted = crate::Broker { inner }.delete_after_use(&queue, only_unused).await;
                let Err(error) = deleted else { break };
                tracing::warn!(queue = ?queue.name(), %error, "cannot delete a queue");
                tokio::time::sleep(DELETE_AGAIN).await;
            }
            if only_unused {
                // If it is there still, its time begins anew.
                queue.state.lock().is_leaving = false;
                queue.wake();
            }
        });
    }
}

#[cfg(test)]
mod tests;
