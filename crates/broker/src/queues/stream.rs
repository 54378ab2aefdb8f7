//! Streams: queues that keep what is read of them. Each consumer reads the log from where it wants to on, by itself, and
//! what it settles gives it credit for more; nothing is done with before its age or its size says so. What a stream keeps
//! is a topic, which others read and fill as any other.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::{Millis, Offset};
use parking_lot::Mutex;
use store::{Log, Signal};

use super::consumer::{Consumer, ConsumerInner, Holder, HolderInner, Room};
use super::flow::QueueFlow;
use super::lane::{Item, Reading};
use super::queue::Queue;
use super::types::{ConsumeOptions, Delivered, DeliveryId, QueueError, Settlement, StreamStart};
use crate::verbs::fetch;

/// Bytes that are read at once, for one consumer.
const READ_BYTES: usize = 64 * 1024;
/// Pause after the log could not be read.
const RETRY: Duration = Duration::from_millis(500);

/// What a queue that is a stream has.
#[derive(Debug)]
pub(super) struct Stream {
    log: Arc<Log>,
    /// The log's end when it was opened.
    opened: Offset,
    /// By their numbers, which their deliveries have in place of the queue's.
    readers: Mutex<HashMap<u64, Arc<Reader>>>,
}

/// A consumer of a stream.
#[derive(Debug)]
struct Reader {
    number: u64,
    consumer: Arc<ConsumerInner>,
    /// There is more to read, or room for it.
    signal: Signal,
    /// What it has not settled.
    out: Mutex<HashSet<Offset>>,
}

/// Where a consumer is.
struct Place {
    /// What is to be read next, …
    from: Offset,
    /// … and what was read and not delivered.
    ahead: VecDeque<(Offset, Item)>,
}

impl Stream {
    pub(super) fn new(log: Arc<Log>) -> Self {
        Self { opened: log.stable_end(), log, readers: Mutex::default() }
    }

    /// Messages that it has, and those that consumers have not settled.
    pub(super) fn counts(&self) -> (u64, u64) {
        let count = self.log.stable_end() - self.log.range().start;
        let out = self.readers.lock().values().map(|reader| reader.out.lock().len() as u64).sum();
        (count.max(0).cast_unsigned(), out)
    }

    /// Messages that came since it was opened.
    pub(super) fn came(&self) -> u64 {
        self.log.stable_end().saturating_sub(self.opened).max(0).cast_unsigned()
    }

    /// All of it, for who looks at its first messages.
    pub(super) fn reading(&self, from: Offset) -> Option<Reading> {
        let from = from.max(self.log.range().start);
        let until = self.log.stable_end();
        (from < until).then(|| Reading { log: Arc::clone(&self.log), from, until, ttl_from: 0 })
    }

    pub(super) fn wake(&self) {
        self.readers.lock().values().for_each(|reader| reader.signal.notify_one());
    }

    /// A consumer is gone. What it has counts for its holder no more.
    pub(super) fn remove(&self, consumer: u64) {
        let mut readers = self.readers.lock();
        let of = readers.values().find(|reader| reader.consumer.id == consumer);
        let Some(number) = of.map(|reader| reader.number) else { return };
        let Some(reader) = readers.remove(&number) else { return };
        drop(readers);
        reader.end();
    }

    /// All are gone.
    pub(super) fn close(&self) {
        let readers = std::mem::take(&mut *self.readers.lock());
        readers.into_values().for_each(|reader| reader.end());
    }

    /// What consumers say of messages: whatever it is, they have room for others.
    pub(super) fn settle(
        &self,
        holder: &Arc<HolderInner>,
        of: &[(DeliveryId, Settlement)],
    ) -> QueueFlow {
        let readers = self.readers.lock();
        let (mut released, mut flow) = (0, QueueFlow::default());
        for (id, settlement) in of {
            let reader = readers.get(&id.queue);
            let reader = reader.filter(|one| Arc::ptr_eq(&one.consumer.holder, holder));
            let Some(reader) = reader.filter(|reader| reader.out.lock().remove(&id.at)) else {
                continue;
            };
            reader.consumer.release();
            reader.signal.notify_one();
            released += 1;
            flow.accepted += u64::from(*settlement == Settlement::Accept);
        }
        drop(readers);
        holder.release(released);
        flow
    }
}

impl Reader {
    /// It gets nothing more.
    fn end(&self) {
        let out = std::mem::take(&mut *self.out.lock());
        let holder = &self.consumer.holder;
        holder.forgets(self.number);
        holder.leave(self.number);
        if !self.consumer.automatic {
            holder.release(u32::try_from(out.len()).unwrap_or(u32::MAX));
        }
        self.signal.notify_one();
    }

    /// Gives it what was read, as far as it has room. How many it took.
    fn give(&self, ahead: &mut VecDeque<(Offset, Item)>, now: Millis) -> u64 {
        let before = ahead.len();
        let mut room = Room::None;
        while let Some((at, item)) = ahead.front() {
            room = self.consumer.reserve(self.number);
            if room != Room::Taken {
                break;
            }
            let delivered = Delivered {
                id: DeliveryId { queue: self.number, lane: 0, at: *at },
                origin: item.origin.clone(),
                message: Arc::clone(&item.message),
                deliveries: 0,
                at: now,
                offset: Some(*at),
            };
            let is_out = !self.consumer.automatic && self.out.lock().insert(*at);
            let took = self.consumer.give(delivered);
            if !took || !is_out {
                self.consumer.release();
            }
            if !took {
                if is_out && self.out.lock().remove(at) {
                    self.consumer.holder.release(1);
                }
                break;
            }
            ahead.pop_front();
        }
        if room != Room::Later {
            self.consumer.holder.leave(self.number);
        }
        if ahead.len() < before {
            self.consumer.sink.flush();
        }
        (before - ahead.len()) as u64
    }
}

impl Queue {
    /// Begins to read a stream from somewhere on. Messages stay in it; what is settled, in whatever way, makes room for more.
    /// `options.prefetch` says how many, which it must.
    ///
    /// # Errors
    /// As [`Queue::consume`]; [`QueueError::NotAllowed`]: it is no stream, or the prefetch is missing.
    pub fn read_stream(
        self: &Arc<Self>,
        holder: &Holder,
        options: ConsumeOptions,
        start: StreamStart,
    ) -> Result<Consumer, QueueError> {
        let wrong = |text: &str| Err(QueueError::NotAllowed(text.to_owned()));
        let Some(stream) = &self.stream else { return wrong("the queue is no stream") };
        if options.prefetch == 0 && !options.automatic {
            return wrong("who reads a stream says how many messages they take at a time");
        }
        let Some(inner) = self.broker.upgrade() else { return Err(QueueError::NotFound) };
        let consumer = self.join(holder, options)?;
        let reader = Arc::new(Reader {
            number: inner.queues.number(),
            consumer: Arc::clone(&consumer),
            signal: Signal::default(),
            out: Mutex::default(),
        });
        holder.inner.knows_as(reader.number, self);
        stream.readers.lock().insert(reader.number, Arc::clone(&reader));
        // What is published after this is new.
        let end = stream.log.stable_end();
        let (queue, log) = (Arc::clone(self), Arc::clone(&stream.log));
        let mut tasks = inner.queues.tasks.lock();
        let number = reader.number;
        let task = tokio::spawn(async move {
            queue.run_reader(&reader, &log, (start, end)).await;
            if let Some(inner) = queue.broker.upgrade() {
                inner.queues.tasks.lock().remove(&number);
            }
        });
        tasks.insert(number, task);
        drop(tasks);
        Ok(Consumer { queue: Arc::downgrade(self), inner: consumer })
    }

    async fn run_reader(
        &self,
        reader: &Reader,
        log: &Arc<Log>,
        (start, end): (StreamStart, Offset),
    ) {
        let _watching = log.watch(&reader.signal);
        let mut place = None;
        while !reader.consumer.is_gone() && !self.is_deleted() {
            let turn = async {
                if place.is_none() {
                    let from = find(log, start, end).await?;
                    place = Some(Place { from, ahead: VecDeque::new() });
                }
                let Some(place) = &mut place else { return Ok(false) };
                self.read_on(reader, place).await
            };
            match turn.await {
                Ok(true) => tokio::task::yield_now().await,
                Ok(false) => reader.signal.notified().await,
                Err(error) => {
                    tracing::warn!(queue = ?self.name(), %error, "a stream cannot be read");
                    reader.consumer.holder.leave(reader.number);
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Delivers what was read, and reads more, if all of that was taken. Whether anything was read.
    async fn read_on(&self, reader: &Reader, place: &mut Place) -> Result<bool, QueueError> {
        let is_paused = self.state.lock().is_paused;
        if is_paused {
            reader.consumer.holder.leave(reader.number);
        } else {
            let count = reader.give(&mut place.ahead, self.now());
            let (delivered, delivered_automatic) =
                if reader.consumer.automatic { (0, count) } else { (count, 0) };
            self.counters.add(&QueueFlow {
                delivered,
                delivered_automatic,
                ..QueueFlow::default()
            });
        }
        let reading = self.stream.as_ref().and_then(|stream| stream.reading(place.from));
        let is_due = place.ahead.is_empty() && !reader.consumer.is_blocked();
        let Some(reading) = reading.filter(|_| is_due) else { return Ok(false) };
        let (items, next) = self.read_log(&reading, READ_BYTES).await?.into_items();
        place.ahead.extend(items);
        place.from = next.max(reading.from);
        Ok(true)
    }
}

/// Where to begin.
async fn find(log: &Arc<Log>, start: StreamStart, end: Offset) -> Result<Offset, QueueError> {
    let unavailable = |error: &dyn std::fmt::Display| QueueError::Unavailable(error.to_string());
    let first = log.range().start;
    Ok(match start {
        StreamStart::First => first,
        StreamStart::Next => end,
        StreamStart::Offset(at) => at.clamp(first, end.max(first)),
        StreamStart::Last if end <= first => end,
        StreamStart::Last => {
            let last = fetch::read(log, end - 1, READ_BYTES, true, end).await;
            let last = last.map_err(|error| unavailable(&error))?;
            let batch = fetch::headers(&last.read).next();
            batch.map_or(end - 1, |(header, _)| header.base_offset)
        }
        StreamStart::Time(time) => {
            let found = log.blocking(move |log| log.find_time(time)).await;
            let found = found.map_err(|error| unavailable(&error))?;
            let found = found.map_err(|error| unavailable(&error))?;
            found.map_or(end, |(at, _)| at)
        }
    })
}
