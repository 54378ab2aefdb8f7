//! One queue.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use base::{Filter, Millis, Offset};
use bytes::Bytes;
use parking_lot::Mutex;
use queue::dispatch::Turn;
use queue::record::Record;
use queue::shared::{Ledger, Why};
use store::{Log, Signal};

use super::consumer::{Consumer, ConsumerInner, Holder, HolderInner};
use super::flow::{Counters, QueueFlow};
use super::journal::Journal;
use super::lane::{Head, Item, Kept, Lane};
use super::stream::Stream;
use super::types::{
    ConsumeOptions, Delivered, DeliveryId, QueueCounts, QueueError, QueueName, QueueSettings,
    QueueSpec, StreamStart,
};
use crate::PublisherId;
use crate::broker::Inner;
use crate::policies::Governing;
use crate::topics::OpenTopic;

/// Most consumers of one queue.
const CONSUMERS_MAX: usize = 65_536;
/// Most bytes that a queue keeps in memory, of one that is not stored.
pub(super) const MEMORY_BYTES_MAX: u64 = 256 << 20;
/// Most bytes of all such queues together.
pub(super) const ALL_MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Most messages of one, likewise.
pub(super) const MEMORY_MESSAGES_MAX: u64 = 2_000_000;

/// A queue.
pub struct Queue {
    number: u64,
    name: QueueName,
    spec: QueueSpec,
    /// Who may use it, if it is exclusive.
    owner: PublisherId,
    /// Where its messages are, if they are stored.
    pub(super) topic: Option<StoredIn>,
    /// Where it is a stream.
    pub(super) stream: Option<Stream>,
    pub(super) state: Mutex<State>,
    /// Tells the queue's task that there may be something to do.
    pub(super) signal: Signal,
    /// One reads the log at a time.
    pub(super) reads: tokio::sync::Mutex<()>,
    /// It is in the journal's list.
    pub(super) is_dirty: AtomicBool,
    /// Messages in it may be over some time.
    expires: AtomicBool,
    /// [`QueueSettings::message_ttl`] of what holds now, or -1, for who has not the lock, …
    ttl: AtomicI64,
    /// … and [`QueueSettings::refuses`].
    pub(super) refuses: AtomicBool,
    /// Messages on their way into the log, where that is counted.
    pub(super) coming: AtomicU64,
    pub(super) counters: Counters,
    pub(super) journal: Arc<Journal>,
    /// Bytes of all queues that are in memory.
    memory: Arc<AtomicU64>,
    pub(super) broker: Weak<Inner>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Others are behind the journal.
        f.debug_struct("Queue").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Where a queue's messages are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredIn {
    /// The topic's name.
    pub(crate) topic: String,
    /// The topic was made for the queue, and goes with it.
    pub(crate) is_own: bool,
}

#[derive(Debug)]
pub(super) struct State {
    /// What holds now.
    pub(super) settings: Arc<QueueSettings>,
    /// Why.
    governing: Governing,
    pub(super) lanes: Vec<Lane>,
    /// By priority, the highest first.
    pub(super) consumers: Vec<Arc<ConsumerInner>>,
    pub(super) held: HashMap<(u16, Offset), Held>,
    /// Keys of messages that are out, or come back later, where order is kept by key.
    pub(super) keys: HashMap<(u16, Offset), Bytes>,
    pub(super) turn: Turn,
    /// Holders, by their numbers, that have no room at present, and that it waits for.
    pub(super) waits: BTreeMap<u64, Arc<HolderInner>>,
    /// The lane that is next where all are equal.
    pub(super) next_lane: usize,
    /// The only consumer there may be.
    exclusive: Option<u64>,
    next_consumer: u64,
    had_consumers: bool,
    /// It was used last then.
    pub(super) used_at: Millis,
    pub(super) is_deleted: bool,
    /// It is to be deleted, unless somebody uses it.
    pub(super) is_leaving: bool,
    /// Nobody gets anything.
    pub(super) is_paused: bool,
    /// Somebody takes dead letters to where they belong.
    pub(super) is_burying: bool,
    /// Bytes that are counted for it among those of all.
    in_memory: u64,
    /// Messages that came into lanes that are gone.
    came_before: u64,
}

/// A message that was delivered.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) holder: Arc<HolderInner>,
    /// `None`: it was asked for.
    pub(super) consumer: Option<Arc<ConsumerInner>>,
}

/// What became of a message that is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It is in the queue.
    Yes,
    /// The queue is full.
    Full,
    /// The queue is gone.
    Gone,
}

pub(super) struct NewQueue {
    pub(super) number: u64,
    pub(super) name: QueueName,
    pub(super) spec: QueueSpec,
    pub(super) governing: Governing,
    pub(super) owner: PublisherId,
    pub(super) topic: Option<StoredIn>,
    pub(super) lanes: Vec<Lane>,
    pub(super) stream: Option<Stream>,
    pub(super) memory: Arc<AtomicU64>,
    pub(super) now: Millis,
}

impl Queue {
    pub(super) fn new(new: NewQueue, journal: Arc<Journal>, broker: Weak<Inner>) -> Self {
        let NewQueue { number, name, spec, governing, owner, topic, lanes, stream, memory, now } =
            new;
        let mut lanes = lanes;
        let settings = governing.settings().over(&spec.settings);
        if settings.message_ttl.is_some() && spec.settings.message_ttl.is_none() {
            lanes.iter_mut().for_each(|lane| lane.ttl_from = lane.end());
        }
        // What was there before may have a time.
        let expires = settings.message_ttl.is_some() || lanes.iter().any(|lane| lane.ready() > 0);
        let (ttl, refuses) = (settings.message_ttl.unwrap_or(-1), settings.refuses());
        let state = State {
            settings: Arc::new(settings),
            governing,
            lanes,
            consumers: Vec::new(),
            held: HashMap::new(),
            keys: HashMap::new(),
            turn: Turn::default(),
            waits: BTreeMap::new(),
            next_lane: 0,
            exclusive: None,
            next_consumer: 0,
            had_consumers: false,
            used_at: now,
            is_deleted: false,
            is_leaving: false,
            is_paused: false,
            is_burying: false,
            in_memory: 0,
            came_before: 0,
        };
        Self {
            number,
            name,
            spec,
            owner,
            topic,
            stream,
            state: Mutex::new(state),
            signal: Signal::default(),
            reads: tokio::sync::Mutex::default(),
            is_dirty: AtomicBool::new(false),
            expires: AtomicBool::new(expires),
            ttl: AtomicI64::new(ttl),
            refuses: AtomicBool::new(refuses),
            coming: AtomicU64::new(0),
            counters: Counters::default(),
            journal,
            memory,
            broker,
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Its name.
    pub fn name(&self) -> &QueueName {
        &self.name
    }

    /// How it was declared.
    pub fn spec(&self) -> &QueueSpec {
        &self.spec
    }

    /// What holds of it now: how it was declared, and what policies say.
    pub fn settings(&self) -> Arc<QueueSettings> {
        Arc::clone(&self.state.lock().settings)
    }

    /// The policies that it is under.
    pub fn governing(&self) -> Governing {
        self.state.lock().governing.clone()
    }

    /// From now on it is under these policies; whether that changes what holds. What came before keeps the time that it was
    /// given.
    pub(crate) fn govern(self: &Arc<Self>, governing: Governing) -> bool {
        let settings = Arc::new(governing.settings().over(&self.spec.settings));
        let mut state = self.state.lock();
        state.governing = governing;
        let before = std::mem::replace(&mut state.settings, Arc::clone(&settings));
        if before == settings {
            return false;
        }
        if before.message_ttl.is_none() && settings.message_ttl.is_some() {
            state.lanes.iter_mut().for_each(|lane| lane.ttl_from = lane.end());
        }
        if before.expires != settings.expires {
            state.used_at = self.now();
        }
        self.ttl.store(settings.message_ttl.unwrap_or(-1), Ordering::Relaxed);
        self.refuses.store(settings.refuses(), Ordering::Release);
        drop(state);
        if settings.message_ttl.is_some() {
            self.expires.store(true, Ordering::Relaxed);
        }
        if let Some(inner) = self.broker.upgrade() {
            inner.queues.refusing.put(self, &settings);
        }
        self.wake();
        true
    }

    /// What messages that come now are given, in milliseconds.
    pub(super) fn ttl(&self) -> Option<Millis> {
        Some(self.ttl.load(Ordering::Relaxed)).filter(|ttl| *ttl >= 0)
    }

    /// Checks that somebody may use it.
    ///
    /// # Errors
    /// [`QueueError::Locked`]: another connection has it for itself.
    pub fn check_owner(&self, publisher: PublisherId) -> Result<(), QueueError> {
        match self.spec.exclusive && self.owner != publisher {
            true => Err(QueueError::Locked),
            false => Ok(()),
        }
    }

    pub(super) fn is_owned_by(&self, publisher: PublisherId) -> bool {
        self.spec.exclusive && self.owner == publisher
    }

    /// Whether its messages are stored.
    pub fn is_stored(&self) -> bool {
        self.topic.is_some()
    }

    /// The topic that has its messages, if they are stored.
    pub fn stored_in(&self) -> Option<String> {
        self.topic.as_ref().map(|stored| stored.topic.clone())
    }

    /// Whether that was made for it.
    pub(crate) fn is_own(&self) -> bool {
        self.topic.as_ref().is_some_and(|stored| stored.is_own)
    }

    /// Has its task look whether there is something to do.
    pub(super) fn wake(&self) {
        self.signal.notify_one();
        if let Some(stream) = &self.stream {
            stream.wake();
        }
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.state.lock().is_deleted
    }

    /// What changed of it is written down some time soon, or counted, where it is in memory.
    pub(super) fn changed(self: &Arc<Self>) {
        if self.topic.is_none() {
            self.count_memory(&mut self.state.lock());
        } else if !self.is_dirty.swap(true, Ordering::AcqRel) {
            self.journal.changed(Arc::clone(self));
        }
    }

    /// How many messages and consumers.
    pub fn counts(&self) -> QueueCounts {
        let of_stream = self.stream.as_ref().map(Stream::counts);
        let state = self.state.lock();
        let (ready, held) = of_stream.unwrap_or((state.ready(), state.held.len() as u64));
        QueueCounts {
            ready,
            held,
            consumers: u32::try_from(state.consumers.len()).unwrap_or(u32::MAX),
            is_paused: state.is_paused,
        }
    }

    /// What went through it since the broker began, or since it is there.
    pub fn flow(&self) -> QueueFlow {
        let came = match &self.stream {
            Some(stream) => stream.came(),
            None => self.state.lock().came(),
        };
        self.counters.read(came)
    }

    pub(super) fn set_paused(&self, is_paused: bool) {
        self.state.lock().is_paused = is_paused;
        self.wake();
    }

    /// Begins to consume. Messages may come before this returns. A stream is read from now on, see [`Self::read_stream`].
    ///
    /// # Errors
    /// [`QueueError::InExclusiveUse`], [`QueueError::NotFound`], [`QueueError::LimitReached`].
    pub fn consume(
        self: &Arc<Self>,
        holder: &Holder,
        options: ConsumeOptions,
    ) -> Result<Consumer, QueueError> {
        if self.stream.is_some() {
            return self.read_stream(holder, options, StreamStart::Next);
        }
        let inner = self.join(holder, options)?;
        self.wake();
        Ok(Consumer { queue: Arc::downgrade(self), inner })
    }

    /// Adds a consumer.
    pub(super) fn join(
        self: &Arc<Self>,
        holder: &Holder,
        options: ConsumeOptions,
    ) -> Result<Arc<ConsumerInner>, QueueError> {
        let mut state = self.state.lock();
        if state.is_deleted {
            return Err(QueueError::NotFound);
        }
        let others = !state.consumers.is_empty();
        if state.exclusive.is_some() || (options.exclusive && others) {
            return Err(QueueError::InExclusiveUse);
        }
        if state.consumers.len() >= CONSUMERS_MAX {
            return Err(QueueError::LimitReached);
        }
        if !others {
            state.lanes.iter_mut().for_each(Lane::pass_over);
        }
        state.next_consumer += 1;
        let id = state.next_consumer;
        if options.exclusive {
            state.exclusive = Some(id);
        }
        let inner = Arc::new(ConsumerInner::new(id, &holder.inner, options));
        let before = |other: &Arc<ConsumerInner>| other.priority >= inner.priority;
        // The one that is active stays so.
        let from = usize::from(self.spec.settings.single_active && others);
        let behind = state.consumers.get(from..).unwrap_or_default();
        let at = from + behind.iter().take_while(|other| before(other)).count();
        state.consumers.insert(at, Arc::clone(&inner));
        state.had_consumers = true;
        drop(state);
        holder.inner.knows(self);
        Ok(inner)
    }

    /// A consumer is gone. Whether the queue is to go with it.
    #[must_use]
    pub(super) fn lose_consumer(&self, id: u64) -> bool {
        let mut state = self.state.lock();
        state.consumers.retain(|consumer| consumer.id != id);
        if state.exclusive == Some(id) {
            state.exclusive = None;
        }
        state.used_at = self.now();
        let is_unused = state.consumers.is_empty();
        if is_unused {
            state.lanes.iter_mut().for_each(Lane::close);
        }
        let goes = self.spec.auto_delete && is_unused && state.had_consumers && !state.is_deleted;
        drop(state);
        if let Some(stream) = &self.stream {
            stream.remove(id);
        }
        self.wake();
        goes
    }

    /// Whether it is to go: nobody consumes, and nobody has used it for as long as it waits for that, or the last one who
    /// consumed has gone.
    pub(super) fn is_unwanted(&self) -> bool {
        let now = self.now();
        let state = self.state.lock();
        let expires = state.settings.expires;
        let is_over = expires.is_some_and(|after| state.used_at.saturating_add(after) <= now);
        let is_left = self.spec.auto_delete && state.had_consumers;
        state.consumers.is_empty() && (is_over || is_left)
    }

    /// Somebody declared it again, or asked whether it is there: if it expires when nobody uses it, then later.
    pub fn used(&self) {
        self.state.lock().used_at = self.now();
    }

    pub(super) fn now(&self) -> Millis {
        self.broker.upgrade().map_or(0, |inner| inner.options.clock.now())
    }

    /// The message that is next, if there is one and the queue is not paused, and how many there are after it.
    ///
    /// # Errors
    /// [`QueueError::NotFound`], [`QueueError::Unavailable`]; [`QueueError::NotAllowed`]: it is a stream.
    pub async fn get(
        self: &Arc<Self>,
        holder: &Holder,
        automatic: bool,
    ) -> Result<Option<(Delivered, u64)>, QueueError> {
        self.check_takes()?;
        holder.inner.knows(self);
        loop {
            {
                let mut state = self.state.lock();
                if state.is_deleted {
                    return Err(QueueError::NotFound);
                }
                let now = self.now();
                state.used_at = now;
                self.look_after(&mut state, now);
                if state.is_paused {
                    return Ok(None);
                }
                match self.next(&mut state, now) {
                    Next::Ready(lane, at) => {
                        let got = self.get_at(&mut state, (holder, automatic), (lane, at), now);
                        drop(state);
                        self.changed();
                        // What is next now may have a time.
                        self.wake();
                        return Ok(got);
                    }
                    Next::Empty => {
                        self.counters.add(&QueueFlow { got_none: 1, ..QueueFlow::default() });
                        return Ok(None);
                    }
                    Next::Unread => {}
                }
            }
            self.read(true).await?;
        }
    }

    fn get_at(
        &self,
        state: &mut State,
        (holder, automatic): (&Holder, bool),
        (lane, at): (u16, Offset),
        now: Millis,
    ) -> Option<(Delivered, u64)> {
        let (item, deliveries) = state.take(lane, at)?;
        let mut flow = QueueFlow::default();
        flow.get(automatic, deliveries);
        self.counters.add(&flow);
        if automatic {
            state.lane(lane)?.finish(at, at);
            state.release_key(lane, at);
        } else {
            let held = Held { holder: Arc::clone(&holder.inner), consumer: None };
            state.held.insert((lane, at), held);
        }
        let delivered = self.delivered((lane, at), &item, deliveries, now);
        holder.inner.begin_span(&delivered);
        if automatic {
            holder.inner.spans.end(delivered.id, "accepted");
        }
        Some((delivered, state.ready()))
    }

    /// Whether messages can be taken out of it.
    fn check_takes(&self) -> Result<(), QueueError> {
        match self.stream {
            None => Ok(()),
            Some(_) => Err(QueueError::NotAllowed("a stream keeps what is read of it".to_owned())),
        }
    }

    pub(super) fn delivered(
        &self,
        (lane, at): (u16, Offset),
        item: &Item,
        deliveries: u32,
        now: Millis,
    ) -> Delivered {
        Delivered {
            id: DeliveryId { queue: self.number, lane, at },
            origin: item.origin.clone(),
            message: Arc::clone(&item.message),
            deliveries,
            at: now,
            offset: None,
        }
    }

    /// All messages that are ready are gone; how many.
    ///
    /// # Errors
    /// [`QueueError::NotFound`], [`QueueError::Unavailable`]; [`QueueError::NotAllowed`]: it is a stream.
    pub async fn purge(self: &Arc<Self>) -> Result<u64, QueueError> {
        self.check_takes()?;
        let count = {
            let mut state = self.state.lock();
            if state.is_deleted {
                return Err(QueueError::NotFound);
            }
            state.used_at = self.now();
            state.lanes.iter_mut().map(Lane::purge).sum()
        };
        self.wake();
        self.changed();
        if self.topic.is_some() {
            self.journal.flush().await?;
        }
        Ok(count)
    }

    /// Adds a message to a queue that is in memory.
    pub(crate) fn push(&self, item: Item) -> Pushed {
        let now = self.now();
        let lane = self.lane_of(item.message.properties.priority);
        let deadline = self.deadline(item.deadline, now);
        let mut state = self.state.lock();
        if state.is_deleted {
            return Pushed::Gone;
        }
        let settings = Arc::clone(&state.settings);
        let (ready, bytes) = (state.ready(), state.ahead_bytes() + item.bytes());
        let is_limited = settings.length_max.is_some_and(|most| ready >= most)
            || settings.bytes_max.is_some_and(|most| bytes > most);
        let (messages, used) = state.in_use();
        let has_room = messages < MEMORY_MESSAGES_MAX
            && used + item.bytes() <= MEMORY_BYTES_MAX
            && self.memory.load(Ordering::Relaxed) + item.bytes() <= ALL_MEMORY_BYTES_MAX;
        if !has_room || (is_limited && !settings.drops_head()) {
            return Pushed::Full;
        }
        let Some(lane) = state.lanes.get_mut(lane) else { return Pushed::Gone };
        lane.push(Item { deadline, ..item });
        if is_limited {
            self.drop_heads(&mut state);
        }
        self.count_memory(&mut state);
        drop(state);
        self.wake();
        Pushed::Yes
    }

    /// Counts what it has in memory now among what all have.
    fn count_memory(&self, state: &mut State) {
        if self.topic.is_some() {
            return;
        }
        let (_, used) = state.in_use();
        let before = std::mem::replace(&mut state.in_memory, used);
        self.memory.fetch_add(used, Ordering::Relaxed);
        self.memory.fetch_sub(before, Ordering::Relaxed);
    }

    /// Until when this queue wants a message that comes now.
    pub(crate) fn deadline(&self, of_message: Option<Millis>, now: Millis) -> Option<Millis> {
        let of_queue = self.ttl().map(|ttl| now.saturating_add(ttl));
        let deadline = of_message.into_iter().chain(of_queue).min();
        if deadline.is_some() && !self.expires.load(Ordering::Relaxed) {
            self.expires.store(true, Ordering::Relaxed);
        }
        deadline
    }

    /// What is next. What is found on the way there whose time is over is dropped.
    pub(super) fn next(&self, state: &mut State, now: Millis) -> Next {
        let by_priority = self.spec.settings.priorities > 0;
        loop {
            let next = state.next(by_priority);
            let Next::Ready(lane, at) = next else { return next };
            let is_over = |lane: &mut Lane| lane.is_front_over(now);
            if !self.may_expire() || !state.lane(lane).is_some_and(is_over) {
                return next;
            }
            let why = state.settings.dead_letter.is_some().then_some(Why::Expired);
            if let Some(lane) = state.lane(lane) {
                lane.drop_one(at, why);
            }
        }
    }

    /// A lane that is one of so many, as the queue wants it.
    pub(super) fn in_order(&self, lane: Lane, lanes: usize) -> Lane {
        if self.spec.settings.order_by_key { lane.in_order(lanes) } else { lane }
    }

    pub(super) fn may_expire(&self) -> bool {
        self.expires.load(Ordering::Relaxed)
    }

    /// The lane for a message of this priority.
    pub(crate) fn lane_of(&self, priority: Option<u8>) -> usize {
        usize::from(priority.unwrap_or(0).min(self.spec.settings.priorities))
    }

    /// Its topic and that topic's filters.
    pub(super) fn open_topic(&self) -> Option<Arc<OpenTopic>> {
        let inner = self.broker.upgrade()?;
        inner.topics.get(&self.topic.as_ref()?.topic)
    }

    pub(super) fn bound(&self) -> Vec<Filter> {
        self.open_topic().map(|open| open.config.bind.clone()).unwrap_or_default()
    }

    /// What is to be written of its ledgers, all or what changed; and up to where its logs are not needed any more once
    /// that is written.
    pub(super) fn take_records(
        &self,
        all: bool,
        records: &mut Vec<Record>,
        starts: &mut Vec<(Arc<Log>, Offset)>,
    ) {
        let is_own = self.is_own();
        for lane in &mut self.state.lock().lanes {
            let Kept::Log { log, key } = &lane.kept else { continue };
            if all {
                records.push(lane.ledger.take_all(key));
            } else if lane.ledger.is_changed() {
                records.push(lane.ledger.take_delta(key));
            }
            if is_own {
                starts.push((Arc::clone(log), lane.ledger.start()));
            }
        }
    }

    pub(super) fn not_written(&self) {
        self.state.lock().lanes.iter_mut().for_each(|lane| lane.ledger.not_written());
    }

    /// It is gone: what says so in the journal, and how many messages were ready.
    pub(super) fn close(&self) -> Option<(Vec<Record>, u64)> {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.is_deleted, true) {
            return None;
        }
        let ready = state.ready();
        let consumers = std::mem::take(&mut state.consumers);
        let held = std::mem::take(&mut state.held);
        state.came_before = state.came();
        let lanes = std::mem::take(&mut state.lanes);
        self.count_memory(&mut state);
        self.wait_for(&mut state, BTreeMap::new());
        drop(state);
        for held in held.into_values() {
            if let Some(consumer) = held.consumer {
                consumer.release();
                held.holder.release(1);
            }
        }
        consumers.iter().for_each(|consumer| consumer.sink.cancelled(consumer.tag));
        if let Some(stream) = &self.stream {
            stream.close();
        }
        let tombstones = lanes.iter().filter_map(|lane| match &lane.kept {
            Kept::Log { key, .. } => Some(Ledger::tombstone(key)),
            Kept::Memory { .. } => None,
        });
        let tombstones = tombstones.collect();
        self.wake();
        Some((tombstones, ready))
    }
}

/// What is next in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The message of this lane and offset.
    Ready(u16, Offset),
    /// One that is to be read first.
    Unread,
    /// None.
    Empty,
}

impl State {
    pub(super) fn lane(&mut self, lane: u16) -> Option<&mut Lane> {
        self.lanes.get_mut(usize::from(lane))
    }

    /// Whether anybody is there to whom a message could be offered.
    pub(super) fn has_takers(&self) -> bool {
        !self.is_paused && self.consumers.iter().any(|consumer| !consumer.is_blocked())
    }

    pub(super) fn ready(&self) -> u64 {
        self.lanes.iter().map(Lane::ready).sum()
    }

    /// Messages that came since it was opened.
    fn came(&self) -> u64 {
        self.came_before + self.lanes.iter().map(Lane::came).sum::<u64>()
    }

    /// Messages that are in memory, those that consumers have among them, and their bytes.
    fn in_use(&self) -> (u64, u64) {
        let each = self.lanes.iter().map(Lane::in_use);
        each.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    pub(super) fn ahead_bytes(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.ahead().1).sum()
    }

    /// Bytes of what is in the logs and ready, about: as many as of all that is there, each like the other.
    pub(super) fn log_bytes(&self) -> u64 {
        let of = |lane: &Lane| match &lane.kept {
            Kept::Memory { .. } => lane.ahead().1,
            Kept::Log { log, .. } => {
                let status = log.status();
                let count = (status.end - status.start).max(1).cast_unsigned();
                status.bytes / count * lane.ready()
            }
        };
        self.lanes.iter().map(of).sum()
    }

    /// What is next: by priority, the last lane first, or else in turn.
    pub(super) fn next(&mut self, by_priority: bool) -> Next {
        let count = self.lanes.len();
        for step in 0..count {
            let lane = match by_priority {
                true => count - 1 - step,
                false => (self.next_lane + step) % count,
            };
            let Some(number) = u16::try_from(lane).ok() else { continue };
            match self.lanes.get_mut(lane).map(Lane::front) {
                Some(Head::Ready(at, _)) => return Next::Ready(number, at),
                Some(Head::Unread) => return Next::Unread,
                Some(Head::Empty) | None => {}
            }
        }
        Next::Empty
    }

    /// Takes the message that is next, and how often it was delivered before.
    pub(super) fn take(&mut self, lane: u16, at: Offset) -> Option<(Item, u32)> {
        self.next_lane = usize::from(lane) + 1;
        let of = self.lane(lane)?;
        let deliveries = u32::from(of.ledger.deliveries(at));
        let item = of.take(at)?;
        self.hold_key(lane, at, &item);
        Some((item, deliveries))
    }
}
