//! Room in stored queues that refuse what is too many: for who publishes to them, and for who writes to their topics
//! without knowing of them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::RwLock;
use queue::shared::Why;

use super::dead::is_cycle;
use super::lane::Item;
use super::queue::Queue;
use super::types::{Origin, Overflow, QueueSettings};
use crate::Broker;
use crate::live::{Batch, Route};
use crate::message::Message;
use crate::topics::OpenTopic;
use crate::verbs::produce::ProduceError;

/// Messages on their way into the log of a queue that refuses what is too many: counted until they are there.
#[derive(Debug)]
pub(crate) struct Coming {
    queue: Arc<Queue>,
    count: u64,
}

impl Coming {
    /// `None`: that queue does not count.
    pub(crate) fn of(queue: &Arc<Queue>, count: u64) -> Option<Self> {
        if !queue.refuses.load(Ordering::Acquire) {
            return None;
        }
        queue.coming.fetch_add(count, Ordering::AcqRel);
        Some(Self { queue: Arc::clone(queue), count })
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.queue.coming.fetch_sub(self.count, Ordering::AcqRel);
    }
}

impl Queue {
    /// Whether so many messages more, with so many bytes, are taken.
    pub(crate) fn has_room(&self, count: u64, bytes: u64) -> bool {
        if !self.refuses.load(Ordering::Acquire) {
            return true;
        }
        let coming = self.coming.load(Ordering::Acquire);
        let (ready, in_log, settings) = {
            let state = self.state.lock();
            (state.ready() + coming, state.log_bytes(), Arc::clone(&state.settings))
        };
        settings.length_max.is_none_or(|most| ready + count <= most)
            && settings.bytes_max.is_none_or(|most| in_log + bytes <= most)
    }
}

/// Stored queues that refuse what is too many, by their topics.
#[derive(Debug, Default)]
pub(super) struct Refusing {
    /// Most brokers have none, and no lock is taken.
    count: AtomicUsize,
    by_topic: RwLock<HashMap<String, Weak<Queue>>>,
}

impl Refusing {
    /// Knows a queue that refuses, and forgets one that does not.
    pub(super) fn put(&self, queue: &Arc<Queue>, settings: &QueueSettings) {
        if !settings.refuses() || settings.stream.is_some() {
            return self.remove(queue);
        }
        if let Some(topic) = queue.stored_in() {
            let mut all = self.by_topic.write();
            all.insert(topic, Arc::downgrade(queue));
            self.count.store(all.len(), Ordering::Release);
        }
    }

    pub(super) fn remove(&self, queue: &Queue) {
        if let Some(topic) = queue.stored_in() {
            let mut all = self.by_topic.write();
            all.remove(&topic);
            self.count.store(all.len(), Ordering::Release);
        }
    }

    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    fn get(&self, topic: &str) -> Option<Arc<Queue>> {
        if self.is_empty() {
            return None;
        }
        self.by_topic.read().get(topic)?.upgrade()
    }
}

impl Broker {
    /// Asks the queue that a topic is, if it is one that refuses what is too many, whether it takes so many messages, with so
    /// many bytes: all of them, or none. What is returned counts as messages of it until it is dropped.
    pub(crate) fn room_in_queue(
        &self,
        topic: &str,
        (count, bytes): (u64, u64),
    ) -> Result<Option<Coming>, ProduceError> {
        let Some(queue) = self.inner.queues.refusing.get(topic) else { return Ok(None) };
        match queue.has_room(count, bytes) {
            true => Ok(Coming::of(&queue, count)),
            false => Err(ProduceError::Refused),
        }
    }
}

/// Which of the topics that keep a subject take a message more.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    pub(crate) topics: Cow<'a, [Arc<OpenTopic>]>,
    /// Counted as messages of their queues until these are dropped.
    pub(crate) coming: Vec<Coming>,
    /// Queues that refuse it.
    pub(crate) full: Vec<Arc<Queue>>,
}

impl Broker {
    /// Asks the queues among the topics that keep a subject.
    pub(crate) fn room_in_topics<'a>(&self, route: &'a Route, message: &Message) -> Room<'a> {
        let mut room =
            Room { topics: Cow::Borrowed(route.topics()), coming: Vec::new(), full: Vec::new() };
        let refusing = &self.inner.queues.refusing;
        if route.topics().is_empty() || refusing.is_empty() {
            return room;
        }
        let bytes = message.value.as_ref().map_or(0, Bytes::len) as u64;
        let mut taking = Vec::with_capacity(route.topics().len());
        for topic in route.topics() {
            match refusing.get(&topic.topic.name) {
                Some(queue) if !queue.has_room(1, bytes) => room.full.push(queue),
                queue => {
                    room.coming.extend(queue.and_then(|queue| Coming::of(&queue, 1)));
                    taking.push(Arc::clone(topic));
                }
            }
        }
        if !room.full.is_empty() {
            room.topics = Cow::Owned(taking);
        }
        room
    }

    /// A full queue refused a message, which may be a dead letter then.
    pub(crate) fn refused(
        &self,
        queue: &Queue,
        origin: Origin,
        message: &Message,
        batch: &mut Batch,
    ) {
        let settings = queue.settings();
        let (Some(Overflow::RejectDeadLetter), Some(to)) =
            (settings.overflow, &settings.dead_letter)
        else {
            return;
        };
        if is_cycle(&message.deaths, &queue.name().name) {
            return;
        }
        let item = Item { message: Arc::new(message.clone()), origin, deadline: None };
        if let Err(error) = self.bury_in(queue, to, &item, Why::TooMany, batch) {
            tracing::warn!(queue = ?queue.name(), error, "no dead letter of a refused message");
        }
    }
}
