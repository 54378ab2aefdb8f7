//! Live delivery of what is in topics, however it came there: when it is committed, in the order of each partition.
//!
//! A topic has a tail while somebody listens to what may be in it, and costs its producers nothing otherwise: the tail
//! is one more reader of the log, who is where the log ends, and reads what others have just written from
//! memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::subject::TEXT;
use base::{Filter, Offset, TopicId};
use parking_lot::Mutex;
use store::ReadError;
use store::batch::{Batch, Record};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::batch::Batch as Forwarding;
use super::deliver::{Picked, To, deliver};
use super::route::{Route, RouteCache};
use super::subscriber::{Flush, Place};
use super::{Live, record_publisher};
use crate::broker::Inner;
use crate::message::{Message, is_copy};
use crate::sessions::ForwardedTo;
use crate::topics::OpenTopic;
use crate::verbs::fetch::{Outcome, headers, is_aborted};
use crate::{Broker, Fetch, FetchError, FetchLimits, Reader};

/// Bytes of one partition that are delivered before others have their turn.
const READ_BYTES: usize = 256 * 1024;
/// Bytes that are read before subscribers are looked at.
const ROUND_BYTES: usize = 1024 * 1024;
/// A subscriber that is slow holds up all others of the topic for so long, each round.
const SLOW_WAIT: Duration = Duration::from_millis(20);
/// A tail looks whether it is still of use at least so often.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How far a topic was forwarded is written down at least so often while it goes on.
const WRITE_AGAIN: Duration = Duration::from_secs(5);
/// Pause after the log could not be read.
const RETRY: Duration = Duration::from_millis(500);

/// The tails of all topics that somebody listens to.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    all: Mutex<HashMap<TopicId, Arc<Tail>>>,
    /// Those of topics that came when somebody listened already.
    late: Mutex<HashMap<TopicId, TailUse>>,
    /// Who needs which, by filter.
    sets: Mutex<HashMap<Filter, Weak<TailSet>>>,
}

/// One topic's tail.
#[derive(Debug)]
pub(crate) struct Tail {
    topic: TopicId,
    users: AtomicUsize,
    /// The topic changed.
    changed: Notify,
    /// Of each partition: what is before was delivered.
    positions: Mutex<Vec<Offset>>,
    /// Sessions want some of it: how far it was forwarded to them is written down.
    forwards: AtomicBool,
    /// What of the positions was.
    written: Mutex<Vec<Offset>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Keeps a tail.
#[derive(Debug)]
pub(crate) struct TailUse {
    tail: Arc<Tail>,
    /// Sessions hold these, and are held by it.
    live: Weak<Live>,
}

impl Drop for TailUse {
    fn drop(&mut self) {
        let Some(live) = self.live.upgrade() else { return };
        let mut all = live.tails.all.lock();
        if self.tail.users.fetch_sub(1, Ordering::AcqRel) == 1 {
            all.remove(&self.tail.topic);
            if let Some(task) = self.tail.task.lock().take() {
                task.abort();
            }
        }
    }
}

/// The tails of all topics that may hold what a filter matches: one list for all who have the same filter, however many
/// topics there are.
#[derive(Debug)]
pub(crate) struct TailSet {
    filter: Filter,
    /// Of the topics when it was made.
    version: u64,
    topics: Vec<(Arc<OpenTopic>, TailUse)>,
    live: Weak<Live>,
}

impl TailSet {
    /// How far the topics were delivered, where that was not written down: for who writes it down now.
    pub(crate) fn unwritten(&self) -> Vec<ForwardedTo> {
        self.topics.iter().flat_map(|(_, tail)| tail.tail.unwritten()).collect()
    }

    /// Sessions want some of it.
    fn forward(&self) {
        for (_, tail) in &self.topics {
            tail.tail.forwards.store(true, Ordering::Relaxed);
        }
    }

    /// Where the topics end that are not delivered as far as that.
    fn since(&self) -> Option<Since> {
        let mut since = Vec::new();
        for (topic, tail) in &self.topics {
            let positions = tail.tail.positions.lock();
            for ((log, at), partition) in topic.logs.iter().zip(positions.iter()).zip(0..) {
                let stable = log.stable_end();
                if *at < stable {
                    since.push((topic.topic.id, partition, stable));
                }
            }
        }
        (!since.is_empty()).then(|| since.into())
    }
}

impl Drop for TailSet {
    fn drop(&mut self) {
        let Some(live) = self.live.upgrade() else { return };
        let mut sets = live.tails.sets.lock();
        // There may be a newer one.
        if sets.get(&self.filter).is_some_and(|known| known.strong_count() == 0) {
            sets.remove(&self.filter);
        }
    }
}

/// Where somebody who subscribed began, in partitions whose tail was behind.
pub(crate) type Since = Arc<[(TopicId, i32, Offset)]>;

impl Tails {
    /// Ends all, with the broker.
    pub(crate) fn stop(&self) {
        for tail in self.all.lock().values() {
            if let Some(task) = tail.task.lock().take() {
                task.abort();
            }
        }
    }
}

impl Inner {
    /// Has everything delivered that comes from now on into topics and may match a filter. What is returned keeps it so,
    /// and says where that begins where something else is to be delivered before.
    pub(super) fn tail(self: &Arc<Self>, filter: &Filter) -> (Option<Arc<TailSet>>, Option<Since>) {
        let set = self.tail_set(filter, Begin::Now);
        let since = set.as_ref().and_then(|set| set.since());
        (set, since)
    }

    /// The same for a session that subscribes.
    pub(crate) fn tails_for(self: &Arc<Self>, filter: &Filter) -> Option<Arc<TailSet>> {
        self.tail_set(filter, Begin::Now).inspect(|set| set.forward())
    }

    /// The same for a session that subscribed before the broker started: from where that had come.
    pub(crate) fn tails_again(self: &Arc<Self>, filter: &Filter) -> Option<Arc<TailSet>> {
        self.tail_set(filter, Begin::Before).inspect(|set| set.forward())
    }

    /// The tails of all topics that may hold what a filter matches; none if there is no such topic.
    fn tail_set(self: &Arc<Self>, filter: &Filter, begin: Begin) -> Option<Arc<TailSet>> {
        let version = self.topics.version();
        let known = self.live.tails.sets.lock().get(filter).and_then(Weak::upgrade);
        if let Some(known) = known.filter(|known| known.version == version) {
            return Some(known);
        }
        let topics = self.topics.that_may_hold(filter);
        if topics.is_empty() {
            return None;
        }
        let tailed = |topic: Arc<OpenTopic>| {
            let tail = self.tail_of(&topic, begin);
            (topic, tail)
        };
        let topics = topics.into_iter().map(tailed).collect();
        let live = Arc::downgrade(&self.live);
        let set = Arc::new(TailSet { filter: filter.clone(), version, topics, live });
        self.live.tails.sets.lock().insert(filter.clone(), Arc::downgrade(&set));
        Some(set)
    }

    fn forwarding(self: &Arc<Self>, topic: &Arc<OpenTopic>, begin: Begin) -> TailUse {
        let tail = self.tail_of(topic, begin);
        tail.tail.forwards.store(true, Ordering::Relaxed);
        tail
    }

    /// The tail of a topic, begun if there is none.
    fn tail_of(self: &Arc<Self>, topic: &Arc<OpenTopic>, from: Begin) -> TailUse {
        let id = topic.topic.id;
        let mut all = self.live.tails.all.lock();
        let tail = all.entry(id).or_insert_with(|| {
            let begin = |(log, partition): (&Arc<store::Log>, i32)| match from {
                Begin::Start => log.range().start,
                Begin::Now => log.stable_end(),
                Begin::Before => {
                    let forwarded = self.sessions.forwarded_to(id, partition);
                    // One that came later was wanted from its start.
                    forwarded.unwrap_or(log.range().start)
                }
            };
            let positions = topic.logs.iter().zip(0..).map(begin).collect();
            let tail = Arc::new(Tail {
                topic: id,
                users: AtomicUsize::new(0),
                changed: Notify::new(),
                positions: Mutex::new(positions),
                forwards: AtomicBool::new(false),
                written: Mutex::default(),
                task: Mutex::new(None),
            });
            let run = Arc::clone(&tail).run(Broker { inner: Arc::clone(self) });
            *tail.task.lock() = Some(tokio::spawn(run));
            tail
        });
        tail.users.fetch_add(1, Ordering::AcqRel);
        TailUse { tail: Arc::clone(tail), live: Arc::downgrade(&self.live) }
    }

    /// A topic was made, or changed: somebody may listen to it already.
    pub(crate) fn topic_opened(self: &Arc<Self>, id: TopicId, is_new: bool) {
        let Some(topic) = self.topics.get_by_id(id) else { return };
        if let Some(tail) = self.live.tails.all.lock().get(&id) {
            tail.changed.notify_one();
        }
        if self.live.may_want(&topic) {
            let begin = if is_new { Begin::Start } else { Begin::Now };
            let tail = match self.live.waiters.is_empty() {
                true => self.tail_of(&topic, begin),
                false => self.forwarding(&topic, begin),
            };
            let old = self.live.tails.late.lock().insert(id, tail);
            drop(old);
        }
    }

    /// A topic is gone.
    pub(crate) fn topic_closed(&self, id: TopicId) {
        let late = self.live.tails.late.lock().remove(&id);
        drop(late);
        if let Some(tail) = self.live.tails.all.lock().get(&id) {
            tail.changed.notify_one();
        }
    }
}

impl Live {
    /// Whether somebody listens to something that may be in a topic. Does not look at everybody: where the topic
    /// keeps more than single subjects it is enough that there is somebody.
    fn may_want(&self, topic: &OpenTopic) -> bool {
        self.is_anybody_there()
            && topic.subjects().iter().any(|filter| match filter.as_exact() {
                Some(subject) => {
                    let is_heard = !self.listeners.matches(&subject).is_empty();
                    is_heard || !self.waiters.matches(&subject).is_empty()
                }
                None => true,
            })
    }

    fn is_anybody_there(&self) -> bool {
        !self.listeners.is_empty() || !self.waiters.is_empty()
    }
}

impl Tail {
    async fn run(self: Arc<Self>, broker: Broker) {
        let mut reader = Reader::default();
        let mut known: Option<Arc<OpenTopic>> = None;
        let mut written = Instant::now();
        let mut delivery = Deliverer {
            cache: broker.new_route_cache(&TEXT),
            own: None,
            broker: broker.clone(),
            flush: Flush::default(),
            waiting: Vec::new(),
        };
        while let Some(topic) = broker.topic_by_id(self.topic) {
            if !known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &topic)) {
                self.open(&topic, &mut reader);
                known = Some(Arc::clone(&topic));
            }
            let limits = FetchLimits {
                min_bytes: 1,
                max_wait: LOOK_AGAIN,
                max_bytes: ROUND_BYTES,
                committed: true,
            };
            let outcomes = tokio::select! {
                outcomes = broker.read(&mut reader, limits) => outcomes,
                () = self.changed.notified() => continue,
            };
            // What was read may be there because of a change that came while it was waited for.
            let Some(topic) = broker.topic_by_id(self.topic) else { break };
            let mut pause = None;
            for (slot, outcome) in outcomes {
                let partition = i32::try_from(slot).unwrap_or(i32::MAX);
                match self.deliver(&topic, partition, outcome, &mut delivery) {
                    Ok(offset) => reader.set(slot, fetch(&topic, partition, offset)),
                    Err(wait) => pause = pause.max(Some(wait)),
                }
            }
            self.forward(&mut delivery, &mut written).await;
            if let Some(slow) = delivery.flush.flush() {
                let _ = tokio::time::timeout(SLOW_WAIT, slow.ready()).await;
            }
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            if !broker.inner.live.is_anybody_there() {
                // Ends this task, if nobody else uses it.
                let late = broker.inner.live.tails.late.lock().remove(&self.topic);
                drop(late);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Puts what waits for sessions into their queue, and how far that has come; durable when it returns. `written`: when
    /// that was said last.
    async fn forward(&self, delivery: &mut Deliverer, written: &mut Instant) {
        let waiting = std::mem::take(&mut delivery.waiting);
        let is_due = self.forwards.load(Ordering::Relaxed) && written.elapsed() > WRITE_AGAIN;
        if waiting.is_empty() && !is_due {
            return;
        }
        *written = Instant::now();
        let places = self.unwritten();
        let broker = &delivery.broker;
        while !waiting.is_empty() || !places.is_empty() {
            let mut batch = Forwarding::default();
            for one in &waiting {
                let to = (&one.sessions[..], &one.picked[..]);
                if let Err(error) = batch.push_waiting(broker, &one.route, &one.message, to) {
                    // Nothing will change that.
                    tracing::warn!(%error, "a topic's message does not wait for sessions");
                }
            }
            batch.push_forwarded(places.iter().copied());
            let outcomes = broker.store(batch).await.done().await;
            let Some(error) = outcomes.into_iter().find_map(Result::err) else { return };
            tracing::debug!(%error, "what waits for sessions is stored later");
            tokio::time::sleep(RETRY).await;
        }
    }

    /// The positions that were not written down as they are; from now on they count as written.
    fn unwritten(&self) -> Vec<ForwardedTo> {
        let positions = self.positions.lock().clone();
        let mut written = self.written.lock();
        let of = |(partition, at): (i32, &Offset)| ((self.topic, partition), *at);
        let old = |slot: usize| written.get(slot).copied();
        let changed = positions.iter().enumerate().filter(|(slot, at)| old(*slot) != Some(**at));
        let changed = changed.map(|(slot, at)| of((i32::try_from(slot).unwrap_or(i32::MAX), at)));
        let changed = changed.collect();
        *written = positions;
        changed
    }

    /// Reads every partition of the topic as it is now.
    fn open(&self, topic: &Arc<OpenTopic>, reader: &mut Reader) {
        let mut positions = self.positions.lock();
        // One that was added has nothing that was there before somebody listened.
        positions.resize(topic.logs.len(), 0);
        for (slot, offset) in positions.iter().enumerate() {
            let partition = i32::try_from(slot).unwrap_or(i32::MAX);
            reader.set(slot, fetch(topic, partition, *offset));
        }
    }

    /// Delivers what was read of a partition; returns where to go on, or after what pause to try again.
    fn deliver(
        &self,
        topic: &Arc<OpenTopic>,
        partition: i32,
        outcome: Outcome,
        to: &mut Deliverer,
    ) -> Result<Offset, Duration> {
        let slot = usize::try_from(partition).unwrap_or(usize::MAX);
        let position = self.positions.lock().get(slot).copied().unwrap_or(0);
        let next = match outcome {
            Ok(fetched) => {
                let mut next = None;
                for (header, mut bytes) in headers(&fetched.read) {
                    next = Some(header.next_offset());
                    if header.is_control() || is_aborted(&header, &fetched.aborted) {
                        continue;
                    }
                    let batch = Batch::take(&mut bytes).and_then(|batch| batch.records());
                    // Checked when they were appended; what is no record is nobody's message.
                    let records = batch.into_iter().flatten().map_while(Result::ok);
                    for record in records.filter(|record| record.offset >= position) {
                        to.deliver(topic, partition, &record);
                    }
                }
                // Nothing where something could be: it was deleted, or compacted away.
                next.unwrap_or(position.max(fetched.stable))
            }
            Err(FetchError::Read(ReadError::OutOfRange { start, end, .. })) => {
                position.clamp(start, end.max(start))
            }
            Err(FetchError::Read(ReadError::Damaged { to, .. })) => to,
            Err(error) => {
                tracing::debug!(topic = %topic.topic.name, partition, %error, "cannot read for subscribers");
                return Err(RETRY);
            }
        };
        if let Some(position) = self.positions.lock().get_mut(slot) {
            *position = next;
        }
        Ok(next)
    }
}

fn fetch(topic: &Arc<OpenTopic>, partition: i32, offset: Offset) -> Fetch {
    Fetch { topic: Arc::clone(topic), partition, offset, max_bytes: READ_BYTES }
}

/// Finds who gets a record, and gives it to them.
struct Deliverer {
    broker: Broker,
    cache: RouteCache,
    /// The route of the topic's own name.
    own: Option<Arc<Route>>,
    flush: Flush,
    /// What waits for sessions, and for which.
    waiting: Vec<Forward>,
}

/// A message that waits for sessions: all of these, and those that were picked of groups.
struct Forward {
    route: Arc<Route>,
    message: Message,
    sessions: Vec<u64>,
    picked: Vec<Picked>,
}

/// Where a tail begins.
#[derive(Debug, Clone, Copy)]
enum Begin {
    /// At the end.
    Now,
    /// With all there is.
    Start,
    /// Where it was before the broker started.
    Before,
}

impl Deliverer {
    fn deliver(&mut self, topic: &Arc<OpenTopic>, partition: i32, record: &Record) {
        if is_copy(record) {
            return;
        }
        let Some(route) = self.route(topic, record) else { return };
        if route.receivers() == 0 && route.sessions() == 0 {
            return;
        }
        let publisher = record_publisher(&self.broker.inner.live, record);
        let message = Message { publisher, ..Message::from_record(record) };
        let place = Place {
            topic: &topic.topic.name,
            topic_id: topic.topic.id,
            partition,
            offset: record.offset,
        };
        let mut to = To { flush: &mut self.flush, picked: Vec::new() };
        deliver(&self.broker.inner.live, &route, &message, Some(place), &mut to);
        let picked = to.picked;
        let sessions = match message.guaranteed {
            // They have it from elsewhere.
            true => Vec::new(),
            false => route.sessions_for(publisher),
        };
        if !sessions.is_empty() || !picked.is_empty() {
            self.waiting.push(Forward { route, message, sessions, picked });
        }
    }

    /// A record is about the subject that is its key, if the topic keeps that; else about the topic.
    fn route(&mut self, topic: &Arc<OpenTopic>, record: &Record) -> Option<Arc<Route>> {
        if let Some(key) = record.key.as_deref().filter(|_| !topic.config.bind.is_empty())
            && let Ok(route) = self.cache.find(&self.broker, key, |_| true)
            && route.topics().iter().any(|kept| kept.topic.id == topic.topic.id)
        {
            return Some(Arc::clone(route));
        }
        if topic.config.is_queue {
            return None;
        }
        let live = &self.broker.inner.live;
        if !self.own.as_ref().is_some_and(|own| own.is_current(live)) {
            self.own = Some(Arc::new(live.new_route(topic.subject(), true)));
        }
        self.own.clone()
    }
}

#[cfg(test)]
impl Tails {
    pub(super) fn is_empty(&self) -> bool {
        self.all.lock().is_empty()
    }
}

#[cfg(test)]
impl Tails {
    /// How many tails there are, and how many lists of them.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.all.lock().len(), self.sets.lock().len())
    }
}
