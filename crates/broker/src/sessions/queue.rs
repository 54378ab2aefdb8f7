//! What waits for one session: offsets in the queue of all sessions, in order. Of a session that nobody has, or that does
//! not keep up, only the first ones are in memory; what is behind them is found in the log when it is due.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use base::{Millis, Offset, Subject};
use bytes::{Buf, Bytes};
use store::ReadError;
use store::batch::Record;

use super::{Inside, Session, Sessions, records};
use crate::followed::was_taken;
use crate::live::Timing;
use crate::message::{GROUP, Message, NOTE, Properties, SESSIONS};
use crate::verbs::fetch::{FetchError, read};

/// Offsets in memory of a session that has a connection …
const ONLINE_MAX: usize = 4096;
/// … and of one that has none.
const OFFLINE_MAX: usize = 16;
/// Bytes of messages that are kept in memory until they are taken, so that they need not be read.
const HELD_BYTES_MAX: usize = 64 << 10;
/// What may be settled while something before it is not. Beyond it, nothing is given until that is.
pub(super) const SETTLED_MAX: usize = 16_384;
/// Bytes of the log that are read at once.
const READ_BYTES: usize = 256 << 10;
/// Bytes of the log that are looked through at once.
const LOOK_BYTES: usize = 1 << 20;

/// A message that waits for sessions.
#[derive(Debug)]
pub struct Waiting {
    /// Names it, for [`Session::settle`].
    pub handle: Offset,
    /// What it is about.
    pub subject: Subject,
    /// The message.
    pub message: Message,
    /// What the door wanted to know of it.
    pub note: Option<Bytes>,
    /// The group of which the session was picked for it.
    pub group: Option<Bytes>,
}

/// A message that was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The message.
    pub waiting: Arc<Waiting>,
    /// An earlier connection took it, or one before a restart may have.
    pub again: bool,
}

#[derive(Debug)]
pub(super) struct Queue {
    /// The first that are not settled, in order.
    items: VecDeque<Item>,
    held_bytes: usize,
    behind: Option<Behind>,
    /// What is before was taken by the present connection …
    next: Offset,
    /// … and this by an earlier one, maybe.
    pub(super) sent: Offset,
    /// Counts connections: one whose place another has taken gets nothing any more.
    turn: u64,
    /// The last that came.
    last: Offset,
    /// What is before was settled …
    pub(super) floor: Offset,
    /// … and these.
    pub(super) above: BTreeSet<Offset>,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Item {
    offset: Offset,
    message: Option<Arc<Waiting>>,
    /// Its session is a member of a group that goes by how long its members take.
    timing: Option<Box<Timing>>,
}

/// What is not in memory.
#[derive(Debug, Clone, Copy)]
struct Behind {
    from: Offset,
    last: Offset,
    count: usize,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            items: VecDeque::new(),
            held_bytes: 0,
            behind: None,
            next: 0,
            sent: 0,
            turn: 0,
            last: -1,
            floor: 0,
            above: BTreeSet::new(),
            waker: None,
        }
    }
}

impl Waiting {
    /// From its record in the queue.
    pub(super) fn of(record: &Record) -> Option<Self> {
        let subject = record.key.clone().and_then(Subject::from_bytes)?;
        let header = |name| {
            let mut headers = record.headers.iter();
            headers.find(|header| header.key == name).and_then(|header| header.value)
        };
        let (note, group) = (header(NOTE), header(GROUP));
        let message = Message { key: None, guaranteed: true, ..Message::from_record(record) };
        Some(Self { handle: record.offset, subject, message, note, group })
    }

    /// The same in memory of its own: it does not hold what it was read from.
    pub(super) fn copied(self) -> Option<Self> {
        let own = |bytes: Bytes| Bytes::copy_from_slice(&bytes);
        let Message { value, headers, properties, original, .. } = self.message;
        let headers = headers.into_iter().map(|(name, value)| (own(name), value.map(own)));
        let properties = Properties {
            content_type: properties.content_type.map(own),
            correlation_id: properties.correlation_id.map(own),
            user: properties.user.map(own),
            ..properties
        };
        let original = original.map(|mut original| {
            original.bytes = own(original.bytes);
            original
        });
        let message = Message {
            value: value.map(own),
            headers: headers.collect(),
            properties,
            original,
            ..self.message
        };
        let subject = Subject::from_bytes(own(self.subject.bytes().clone()))?;
        let (note, group) = (self.note.map(own), self.group.map(own));
        Some(Self { subject, message, note, group, ..self })
    }

    /// Bytes of memory, about.
    fn cost(&self) -> usize {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers = self.message.headers.iter();
        let headers: usize = headers.map(|(name, value)| name.len() + length(value)).sum();
        let original = self.message.original.as_ref().map_or(0, |one| one.bytes.len());
        size_of::<Self>() + length(&self.message.value) + headers + original
    }
}

impl Queue {
    /// Nothing was taken by the connection that comes now. Its turn.
    pub(super) fn rewind(&mut self) -> u64 {
        self.sent = self.sent.max(self.next);
        self.next = 0;
        self.turn += 1;
        self.turn
    }

    /// There is no connection any more.
    pub(super) fn leave(&mut self) {
        self.rewind();
        self.waker = None;
        self.held_bytes = 0;
        if let (Some(first), Some(last)) = (self.items.get(OFFLINE_MAX), self.items.back()) {
            let more = self.items.len() - OFFLINE_MAX;
            let (last, count) = match self.behind {
                Some(behind) => (behind.last, behind.count + more),
                None => (last.offset, more),
            };
            self.behind = Some(Behind { from: first.offset, last, count });
            self.items.truncate(OFFLINE_MAX);
        }
        for item in &mut self.items {
            // Whoever acknowledges it later was not there all the time.
            (item.message, item.timing) = (None, None);
        }
        self.items.shrink_to_fit();
    }

    /// It is gone.
    pub(super) fn clear(&mut self) {
        let waker = self.waker.take();
        *self = Self::default();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether no connection came since the one that had this turn.
    pub(super) fn is_turn(&self, turn: u64) -> bool {
        self.turn == turn
    }

    /// How many wait, about.
    fn len(&self) -> usize {
        self.items.len() + self.behind.map_or(0, |behind| behind.count)
    }

    #[cfg(test)]
    pub(super) fn in_memory(&self) -> usize {
        self.items.len()
    }

    /// The first that is not settled.
    pub(super) fn first(&self) -> Option<Offset> {
        let first = self.items.front().map(|item| item.offset);
        first.or(self.behind.map(|behind| behind.from))
    }

    fn is_settled(&self, offset: Offset) -> bool {
        offset < self.floor || self.above.contains(&offset)
    }

    /// Something is to be taken.
    fn has_more(&self) -> bool {
        let untaken = self.items.back().is_some_and(|last| last.offset >= self.next);
        (untaken || self.behind.is_some()) && self.above.len() < SETTLED_MAX
    }

    /// A message came. `message` is asked for if it is to be held in memory.
    fn push(
        &mut self,
        offset: Offset,
        online: bool,
        (message, timing): (impl FnOnce() -> Option<Arc<Waiting>>, Option<Timing>),
    ) {
        if offset <= self.last || self.is_settled(offset) {
            return;
        }
        self.last = offset;
        let max = if online { ONLINE_MAX } else { OFFLINE_MAX };
        if self.behind.is_none() && self.items.len() < max {
            let holds = online && self.held_bytes < HELD_BYTES_MAX;
            let message = if holds { message() } else { None };
            self.held_bytes += message.as_ref().map_or(0, |one| one.cost());
            let timing = timing.filter(|_| online).map(Box::new);
            self.items.push_back(Item { offset, message, timing });
        } else {
            let behind = self.behind.get_or_insert(Behind { from: offset, last: offset, count: 0 });
            behind.last = offset;
            behind.count += 1;
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// What was found behind, and where it goes on.
    fn refill(&mut self, found: Vec<Offset>, next: Offset) {
        let Some(behind) = self.behind else { return };
        let found: Vec<_> = found.into_iter().filter(|at| !self.is_settled(*at)).collect();
        let count = behind.count.saturating_sub(found.len());
        let after = self.items.back().map_or(-1, |item| item.offset);
        let new = found.into_iter().filter(|offset| *offset > after);
        self.items.extend(new.map(|offset| Item { offset, message: None, timing: None }));
        // Some may not have been given yet.
        self.last = self.items.back().map_or(self.last, |item| item.offset.max(self.last));
        self.behind = (next <= behind.last).then_some(Behind { from: next, count, ..behind });
    }

    /// Takes what is in memory, `max` at most; with what was held.
    fn take(&mut self, max: usize, turn: u64) -> Vec<(Offset, bool, Option<Arc<Waiting>>)> {
        if self.above.len() >= SETTLED_MAX || turn != self.turn {
            return Vec::new();
        }
        let from = self.items.partition_point(|item| item.offset < self.next);
        let (sent, mut next) = (self.sent, self.next);
        let mut taken = Vec::new();
        for item in self.items.range_mut(from..).take(max) {
            let message = item.message.take();
            self.held_bytes -= message.as_ref().map_or(0, |one| one.cost());
            taken.push((item.offset, item.offset < sent, message));
            next = item.offset + 1;
        }
        self.next = next;
        taken
    }

    /// What was taken from here on is to be taken again.
    fn put_back(&mut self, from: Offset, turn: u64) {
        if turn == self.turn {
            self.next = self.next.min(from);
        }
    }

    /// Takes those out that are not in the log any more; how many.
    fn prune(&mut self, start: Offset) -> usize {
        let gone = self.items.partition_point(|item| item.offset < start);
        for item in self.items.drain(..gone) {
            self.held_bytes -= item.message.map_or(0, |one| one.cost());
        }
        gone
    }

    /// Whether it was there. `handled`: by its consumer.
    fn settle(&mut self, offset: Offset, handled: bool) -> bool {
        let Ok(at) = self.items.binary_search_by_key(&offset, |item| item.offset) else {
            return false;
        };
        if let Some(Item { message, timing, .. }) = self.items.remove(at) {
            self.held_bytes -= message.map_or(0, |one| one.cost());
            if let (Some(timing), true) = (timing, handled) {
                timing.done();
            }
        }
        self.above.insert(offset)
    }

    /// What to write down of what was settled: what is before the first is, and these. `position` is as far as the
    /// queue was given to sessions.
    pub(super) fn settled(&mut self, position: Offset) -> (Offset, Vec<Offset>) {
        self.floor = self.first().unwrap_or(position).max(self.floor);
        let was_full = self.above.len() >= SETTLED_MAX;
        self.above = self.above.split_off(&self.floor);
        if was_full && let Some(waker) = self.waker.take() {
            // Nothing was given meanwhile.
            waker.wake();
        }
        (self.floor, self.above.iter().copied().collect())
    }
}

impl Inside {
    /// A message came for it, as a member of this group, if it is that.
    pub(super) fn push(
        &self,
        (offset, group): (Offset, Option<&[u8]>),
        message: impl FnOnce() -> Option<Arc<Waiting>>,
    ) {
        let online = self.is_online.load(Ordering::Relaxed);
        let mut body = self.body.lock();
        if !body.is_gone {
            let mut members = body.members.iter().flat_map(|members| members.iter());
            let member = group.and_then(|group| members.find(|one| **one.group_name() == *group));
            let timing = member.and_then(Timing::begin);
            body.queue.push(offset, online, (message, timing));
            self.waiting.store(body.queue.len(), Ordering::Relaxed);
        }
    }
}

impl Session {
    /// Ready when something is there to take. Never again for a connection whose place another has taken, or whose
    /// session is gone.
    pub fn poll_waiting(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut body = self.inside.body.lock();
        if body.queue.turn != self.turn || body.is_gone {
            return Poll::Pending;
        }
        if body.queue.has_more() {
            return Poll::Ready(());
        }
        if !body.queue.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            body.queue.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// How many messages wait, those that were taken too.
    pub fn waiting(&self) -> usize {
        self.inside.waiting.load(Ordering::Relaxed)
    }

    /// Takes what waits, in order: `max` messages at most. What has expired by `now` is left out, for ever.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn next(&self, max: usize, now: Millis) -> Result<Vec<Taken>, FetchError> {
        self.prune();
        let mut taken = self.take(max);
        if taken.is_empty() {
            self.refill().await?;
            taken = self.take(max);
        }
        let Some(first) = taken.iter().find(|(.., held)| held.is_none()).map(|one| one.0) else {
            return Ok(self.unexpired(taken, now));
        };
        let fetched = read(&self.sessions.queue, first, READ_BYTES, false, Offset::MAX).await;
        if let Some(to) = damaged(&fetched).map(|to| to.max(first + 1)) {
            // Nobody can read them any more.
            taken.retain(|(at, _, held)| held.is_some() || *at < to);
            self.put_back(taken.last().map_or(first, |last| last.0 + 1));
            return Ok(self.unexpired(taken, now));
        }
        let fetched = fetched.inspect_err(|_| {
            // To be tried again.
            self.put_back(taken.first().map_or(first, |one| one.0));
        })?;
        let end = fetched.read.next_offset().unwrap_or(Offset::MAX);
        let all = fetched.read.batches().flatten();
        let mut found = all.flat_map(|batch| records(&batch)).peekable();
        for (offset, _, held) in &mut taken {
            if held.is_none() && *offset < end {
                while found.next_if(|record| record.offset < *offset).is_some() {}
                let record = found.next_if(|record| record.offset == *offset);
                *held = record.and_then(|record| Waiting::of(&record)).map(Arc::new);
            }
        }
        // What is behind the part that was read comes the next time, together with all after it.
        let read = taken.iter().position(|(at, _, held)| held.is_none() && *at >= end);
        if let Some((first, ..)) = read.and_then(|read| taken.get(read)) {
            self.put_back(*first);
        }
        taken.truncate(read.unwrap_or(taken.len()));
        Ok(self.unexpired(taken, now))
    }

    fn take(&self, max: usize) -> Vec<(Offset, bool, Option<Arc<Waiting>>)> {
        self.inside.body.lock().queue.take(max, self.turn)
    }

    fn put_back(&self, from: Offset) {
        self.inside.body.lock().queue.put_back(from, self.turn);
    }

    /// Those that are there and wanted; the others are settled.
    fn unexpired(
        &self,
        taken: Vec<(Offset, bool, Option<Arc<Waiting>>)>,
        now: Millis,
    ) -> Vec<Taken> {
        let (mut found, mut gone) = (Vec::with_capacity(taken.len()), Vec::new());
        for (offset, again, waiting) in taken {
            let lives =
                |one: &Arc<Waiting>| one.message.properties.expires_at.is_none_or(|at| at > now);
            match waiting.filter(lives) {
                Some(waiting) => {
                    let (subject, message) = (&waiting.subject, &waiting.message);
                    was_taken(&self.sessions.observe, subject, message);
                    found.push(Taken { waiting, again });
                }
                None => gone.push(offset),
            }
        }
        if !gone.is_empty() {
            self.settle_as(&gone, false);
        }
        found
    }

    /// Forgets what was deleted from the log because there was too much of it.
    fn prune(&self) {
        let start = self.sessions.queue.range().start;
        let mut body = self.inside.body.lock();
        let gone = body.queue.prune(start);
        if gone > 0 {
            self.inside.waiting.store(body.queue.len(), Ordering::Relaxed);
            drop(body);
            let gone = u64::try_from(gone).unwrap_or(u64::MAX);
            self.sessions.dropped.fetch_add(gone, Ordering::Relaxed);
        }
    }

    /// Looks for what is only in the log.
    async fn refill(&self) -> Result<(), FetchError> {
        loop {
            let behind = {
                let body = self.inside.body.lock();
                body.queue.behind.filter(|_| body.queue.turn == self.turn)
            };
            let Some(behind) = behind else { return Ok(()) };
            let queue = &self.sessions.queue;
            let from = behind.from.max(queue.range().start);
            let (mut found, mut next) = (Vec::new(), from);
            if from <= behind.last {
                let fetched = read(queue, from, LOOK_BYTES, false, Offset::MAX).await;
                next = match damaged(&fetched) {
                    Some(to) => to.max(from + 1),
                    None => {
                        let fetched = fetched?;
                        let batches = fetched.read.batches().flatten();
                        let own = batches.flat_map(|batch| records(&batch));
                        let own = own.filter(|one| one.offset >= from && self.is_for(one));
                        found.extend(own.map(|record| record.offset));
                        fetched.read.next_offset().unwrap_or(behind.last + 1)
                    }
                };
            }
            let is_found = !found.is_empty();
            let mut body = self.inside.body.lock();
            if body.queue.turn != self.turn {
                return Ok(());
            }
            body.queue.refill(found, next);
            self.inside.waiting.store(body.queue.len(), Ordering::Relaxed);
            if is_found {
                return Ok(());
            }
        }
    }

    fn is_for(&self, record: &Record) -> bool {
        numbers(record).any(|number| number == self.inside.number)
    }

    /// Messages are done with. Written down a little later, or with the next state: after a crash some may come again.
    pub fn settle(&self, handles: &[Offset]) {
        self.settle_as(handles, true);
    }

    fn settle_as(&self, handles: &[Offset], handled: bool) {
        let mut body = self.inside.body.lock();
        let settled = handles.iter().filter(|handle| body.queue.settle(**handle, handled)).count();
        self.inside.waiting.store(body.queue.len(), Ordering::Relaxed);
        if settled > 0 && !std::mem::replace(&mut body.is_dirty, true) {
            drop(body);
            self.sessions.note_dirty(&self.inside);
        }
    }
}

impl Sessions {
    fn note_dirty(&self, inside: &Arc<Inside>) {
        self.dirty.lock().push(Arc::clone(inside));
        self.settled.notify_one();
    }
}

/// Where it goes on behind what cannot be read any more.
pub(super) fn damaged<T>(outcome: &Result<T, FetchError>) -> Option<Offset> {
    match outcome {
        Err(FetchError::Read(ReadError::Damaged { to, .. })) => Some(*to),
        _ => None,
    }
}

/// The sessions that a record is for.
pub(super) fn numbers(record: &Record) -> impl Iterator<Item = u64> + use<> {
    let mut headers = record.headers.iter();
    let list = headers.find(|header| header.key == SESSIONS).and_then(|header| header.value);
    let mut list = list.unwrap_or_default();
    std::iter::from_fn(move || (list.len() >= 8).then(|| list.get_u64()))
}
