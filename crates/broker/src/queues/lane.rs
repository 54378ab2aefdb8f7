//! One partition of a queue, or what stands for one in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::subject::TEXT;
use base::{Filter, Millis, Offset};
use bytes::Bytes;
use queue::shared::{Ledger, PartitionKey, Returned, Why};
use store::Log;
use store::batch::{Batch, Record};

use super::by_key::ByKey;
use super::types::Origin;
use crate::message::{DEADLINE, Message};
use crate::verbs::fetch::{Fetched, headers, is_aborted};

/// A message of a queue.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) message: Arc<Message>,
    pub(crate) origin: Origin,
    /// The queue does not want it any more from then on.
    pub(crate) deadline: Option<Millis>,
}

impl Item {
    /// Bytes of its payload.
    pub(super) fn bytes(&self) -> u64 {
        self.message.value.as_ref().map_or(0, Bytes::len) as u64
    }

    pub(super) fn is_over(&self, now: Millis) -> bool {
        self.deadline.is_some_and(|at| at <= now)
    }

    /// From a record. `bound`: what is published to the queue's topic.
    pub(super) fn of(record: &Record, bound: &[Filter], ttl: Option<Millis>) -> Self {
        let mut message = Message::from_record(record);
        let origin = match message.via.take() {
            Some(via) => Origin::Exchange { exchange: via.exchange, key: via.key },
            None => subject_of(record, bound).map_or(Origin::Queue, Origin::Subject),
        };
        if matches!(origin, Origin::Subject(_)) {
            message.key = None;
        }
        let mut of_queue = record.headers.iter().filter(|header| header.key == DEADLINE);
        let of_queue = of_queue.next().and_then(|header| header.value);
        let text = of_queue.as_deref().and_then(|text| std::str::from_utf8(text).ok());
        let of_queue = text.and_then(|text| text.parse().ok());
        // What did not come through the broker's own routes was not marked.
        let of_queue = of_queue.or(ttl.map(|ttl| record.timestamp.saturating_add(ttl)));
        let deadline = of_queue.into_iter().chain(message.properties.expires_at).min();
        Self { message: Arc::new(message), origin, deadline }
    }
}

/// The subject that a record was published to, if the topic is told to keep that.
fn subject_of(record: &Record, bound: &[Filter]) -> Option<base::Subject> {
    if bound.is_empty() {
        return None;
    }
    let subject = TEXT.subject(record.key.as_deref()?).ok()?;
    bound.iter().any(|filter| filter.matches(&subject)).then_some(subject)
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) ledger: Ledger,
    pub(super) kept: Kept,
    /// Messages that are available, as far as they were read. In memory: all that are.
    ahead: Items,
    /// Nothing before is available.
    from: Offset,
    /// What was written before this without a time is given none of the queue's.
    pub(super) ttl_from: Offset,
    /// What is before this was offered to consumers, and goes when its time is over. A message whose time is over at once is
    /// offered first: whoever is there for it gets it.
    offered: Offset,
    /// Where that will be when what is offered now has been.
    offering: Offset,
    /// Where order is kept by key.
    pub(super) by_key: Option<ByKey>,
    /// Its end when it was opened, and what was found after that not to be messages: what else is there came since.
    opened: Offset,
    holes: u64,
}

/// Where messages are.
#[derive(Debug)]
pub(super) enum Kept {
    /// In a log.
    Log { log: Arc<Log>, key: PartitionKey },
    /// In memory: those that are not available, but not done either, and where the next one comes.
    Memory { taken: Items, end: Offset },
}

/// Messages, and the bytes of their payloads.
#[derive(Debug, Default)]
pub(super) struct Items {
    by_offset: BTreeMap<Offset, Item>,
    bytes: u64,
}

impl Items {
    fn insert(&mut self, at: Offset, item: Item) {
        self.bytes += item.bytes();
        if let Some(before) = self.by_offset.insert(at, item) {
            self.bytes -= before.bytes();
        }
    }

    fn remove(&mut self, at: Offset) -> Option<Item> {
        let item = self.by_offset.remove(&at)?;
        self.bytes -= item.bytes();
        Some(item)
    }

    /// The offsets of those within these bounds.
    fn within(&self, first: Offset, last: Offset) -> Vec<Offset> {
        self.by_offset.range(first..=last).map(|(at, _)| *at).collect()
    }
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Head<'a> {
    /// This message.
    Ready(Offset, &'a Item),
    /// What is here, which was not read yet.
    Unread,
    /// Nothing.
    Empty,
}

/// What to read.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) log: Arc<Log>,
    pub(super) from: Offset,
    pub(super) until: Offset,
    /// As [`Lane::ttl_from`].
    pub(super) ttl_from: Offset,
}

impl Lane {
    pub(super) fn stored(log: Arc<Log>, key: PartitionKey, known: Option<Ledger>) -> Self {
        let start = log.range().start;
        let mut ledger = known.unwrap_or_else(|| Ledger::new(start));
        ledger.trim(start);
        Self::new(ledger, Kept::Log { log, key })
    }

    pub(super) fn in_memory() -> Self {
        Self::new(Ledger::new(0), Kept::Memory { taken: Items::default(), end: 0 })
    }

    fn new(ledger: Ledger, kept: Kept) -> Self {
        let (from, ahead) = (ledger.start(), Items::default());
        let mut lane = Self {
            ledger,
            kept,
            ahead,
            from,
            ttl_from: 0,
            offered: 0,
            offering: 0,
            by_key: None,
            opened: 0,
            holes: 0,
        };
        lane.opened = lane.end();
        lane.pass_over();
        lane
    }

    /// What is there now is offered.
    pub(super) fn offer(&mut self) {
        self.offering = self.end();
    }

    /// It was, and nobody has room for what was not taken.
    pub(super) fn was_offered(&mut self) {
        self.offered = self.offered.max(self.offering);
    }

    /// Nobody is there to whom what is there now could be offered.
    pub(super) fn pass_over(&mut self) {
        self.offer();
        self.was_offered();
    }

    /// Whether the time of what is next is over, and it was offered.
    pub(super) fn is_front_over(&mut self, now: Millis) -> bool {
        let offered = self.offered;
        matches!(self.front(), Head::Ready(at, item) if at < offered && item.is_over(now))
    }

    /// The same of what is first.
    pub(super) fn is_head_over(&mut self, now: Millis) -> bool {
        let offered = self.offered;
        matches!(self.head(), Head::Ready(at, item) if at < offered && item.is_over(now))
    }

    /// The same, of so many lanes of a queue that keeps order by key.
    pub(super) fn in_order(mut self, lanes: usize) -> Self {
        // What was to come later comes now: nobody knows its key, whose messages would wait for it.
        self.ledger.ripen(Millis::MAX);
        self.by_key = Some(ByKey::new(self.ledger.start(), lanes));
        self
    }

    /// What it knows of keys.
    pub(super) fn keys(&mut self) -> Option<&mut ByKey> {
        self.by_key.as_mut()
    }

    /// Its log, if it has one.
    pub(super) fn log(&self) -> Option<Arc<Log>> {
        match &self.kept {
            Kept::Log { log, .. } => Some(Arc::clone(log)),
            Kept::Memory { .. } => None,
        }
    }

    /// Where the next message will be.
    pub(super) fn end(&self) -> Offset {
        match &self.kept {
            Kept::Log { log, .. } => log.stable_end(),
            Kept::Memory { end, .. } => *end,
        }
    }

    /// Messages that came since it was opened. Nobody has to count them on their way.
    pub(super) fn came(&self) -> u64 {
        let offsets = self.end().saturating_sub(self.opened).max(0).cast_unsigned();
        offsets.saturating_sub(self.holes)
    }

    /// Messages that are available.
    pub(super) fn ready(&self) -> u64 {
        let new = self.end().saturating_sub(self.ledger.end()).max(0);
        self.ledger.available() + new.cast_unsigned()
    }

    /// Messages that were read and are available: how many, and their bytes.
    pub(super) fn ahead(&self) -> (usize, u64) {
        (self.ahead.by_offset.len(), self.ahead.bytes)
    }

    /// Messages that are in memory, whatever became of them: how many, and their bytes.
    pub(super) fn in_use(&self) -> (u64, u64) {
        let (count, bytes) = match &self.kept {
            Kept::Log { .. } => (0, 0),
            Kept::Memory { taken, .. } => (taken.by_offset.len(), taken.bytes),
        };
        ((self.ahead.by_offset.len() + count) as u64, self.ahead.bytes + bytes)
    }

    /// Adds a message, in memory.
    pub(super) fn push(&mut self, item: Item) {
        let Kept::Memory { end, .. } = &mut self.kept else { return };
        let at = *end;
        *end += 1;
        self.put_ahead(at, item);
    }

    fn put_ahead(&mut self, at: Offset, item: Item) {
        if let Some(keys) = &mut self.by_key {
            keys.add(at, &item);
        }
        self.ahead.insert(at, item);
        self.from = self.from.min(at);
    }

    fn remove_ahead(&mut self, at: Offset) -> Option<Item> {
        let item = self.ahead.remove(at)?;
        if let Some(keys) = &mut self.by_key {
            keys.remove(at, &item);
        }
        Some(item)
    }

    /// Whether more may be read ahead, where order is kept by key; `None`: it is not.
    pub(super) fn has_room(&self) -> Option<bool> {
        self.by_key.as_ref().map(|keys| keys.has_room(self.ahead()))
    }

    /// What may be given away next: the head, or the first message that nothing holds back.
    pub(super) fn front(&mut self) -> Head<'_> {
        if self.by_key.is_none() {
            return self.head();
        }
        let lack = self.lack();
        let free = self.by_key.as_ref().and_then(ByKey::first_free);
        // What was not read may be of the same key.
        let free = free.filter(|at| lack.is_none_or(|(from, ..)| *at < from));
        let Some(at) = free else {
            return match self.reading_in_order(true) {
                Some(_) => Head::Unread,
                None => Head::Empty,
            };
        };
        self.ahead.by_offset.get(&at).map_or(Head::Empty, |item| Head::Ready(at, item))
    }

    /// Where order is kept by key: the first messages that are available and were not read, and whether they came back.
    fn lack(&mut self) -> Option<(Offset, Offset, bool)> {
        let end = self.end();
        let Self { ledger, by_key: Some(keys), kept: Kept::Log { .. }, .. } = self else {
            return None;
        };
        if let Some((from, until)) = keys.lacks_back(|at| ledger.is_available(at)) {
            return Some((from, until, true));
        }
        let read_to = keys.read_to();
        let (from, next) = ledger.next_available(*read_to);
        *read_to = from.min(end);
        (from < end).then_some((from, next.min(end), false))
    }

    /// What to read next, where order is kept by key.
    fn reading_in_order(&mut self, further: bool) -> Option<Reading> {
        let (from, until, is_back) = self.lack()?;
        let has_room = self.has_room().unwrap_or_default();
        let is_due = is_back || self.ahead.by_offset.is_empty() || (further && has_room);
        let log = self.log().filter(|_| is_due)?;
        Some(Reading { log, from, until, ttl_from: self.ttl_from })
    }

    pub(super) fn head(&mut self) -> Head<'_> {
        let (first, _) = self.ledger.next_available(self.from);
        self.from = first;
        match self.ahead.by_offset.first_key_value() {
            Some((at, item)) if *at == first => Head::Ready(first, item),
            _ if first < self.end() => Head::Unread,
            _ => Head::Empty,
        }
    }

    /// What to read next: what the head lacks, or else, `further`, what follows what was read.
    pub(super) fn reading(&mut self, further: bool) -> Option<Reading> {
        if self.by_key.is_some() {
            return self.reading_in_order(further);
        }
        let end = self.end();
        let Kept::Log { log, .. } = &self.kept else { return None };
        let log = Arc::clone(log);
        let (first, next) = self.ledger.next_available(self.from);
        let known = self.ahead.by_offset.first_key_value().map(|(at, _)| *at);
        let (from, next) = match known {
            Some(at) if at == first => {
                let last = self.ahead.by_offset.last_key_value().map_or(first, |(at, _)| *at);
                if !further {
                    return None;
                }
                self.ledger.next_available(last + 1)
            }
            Some(at) => (first, next.min(at)),
            None => (first, next),
        };
        let until = next.min(end);
        (from < until).then_some(Reading { log, from, until, ttl_from: self.ttl_from })
    }

    /// What to read to look at what is available from an offset on, and was not taken.
    pub(super) fn reading_from(&self, from: Offset) -> Option<Reading> {
        let Kept::Log { log, .. } = &self.kept else { return None };
        let (from, next) = self.ledger.next_available(from);
        let until = next.min(self.end());
        let ttl_from = self.ttl_from;
        (from < until).then(|| Reading { log: Arc::clone(log), from, until, ttl_from })
    }

    /// What is available, of a lane in memory.
    pub(super) fn in_memory_items(&self) -> impl Iterator<Item = (Offset, &Item)> {
        let is_all = matches!(self.kept, Kept::Memory { .. });
        let known = self.ahead.by_offset.iter().filter(move |_| is_all);
        known.map(|(at, item)| (*at, item))
    }

    /// Takes over what was read.
    pub(super) fn was_read(&mut self, found: Found) {
        let mut next = found.from;
        for (at, item) in found.items {
            if at > next {
                self.hole(next, at - 1);
            }
            next = at + 1;
            if self.ledger.is_available(at) {
                self.put_ahead(at, item);
            }
        }
        if next < found.to {
            self.hole(next, found.to - 1);
        }
        if let Some(keys) = &mut self.by_key {
            keys.was_read(found.from, found.to);
        }
    }

    /// Offsets without a message: markers, or what was deleted.
    fn hole(&mut self, first: Offset, last: Offset) {
        let mut next = first;
        while next <= last {
            let (from, to) = self.ledger.next_available(next);
            if from > last {
                return;
            }
            let until = (to - 1).min(last);
            self.holes += (until - from.max(self.opened) + 1).max(0).cast_unsigned();
            self.ledger.finish(from, until);
            next = until + 1;
        }
    }

    /// Takes the message at this offset, which is what may be given away next.
    pub(super) fn take(&mut self, at: Offset) -> Option<Item> {
        let item = self.remove_ahead(at)?;
        self.offered = self.offered.max(at + 1);
        self.ledger.acquire(at, at);
        if self.by_key.is_none() {
            self.from = at + 1;
        }
        if let Kept::Memory { taken, .. } = &mut self.kept {
            taken.insert(at, item.clone());
        }
        Some(item)
    }

    /// What was taken was refused: it is as if it had not been.
    pub(super) fn put_back(&mut self, at: Offset, item: Item) {
        let how = Returned { counted: false, until: None, deliveries_max: None };
        self.ledger.give_back(at, at, how);
        if let Kept::Memory { taken, .. } = &mut self.kept {
            taken.remove(at);
        }
        if self.ledger.is_available(at) {
            self.put_ahead(at, item);
        }
    }

    /// Messages are done with.
    pub(super) fn finish(&mut self, first: Offset, last: Offset) {
        self.ledger.finish(first, last);
        self.forget(first, last);
    }

    /// They are dead.
    pub(super) fn kill(&mut self, first: Offset, last: Offset, why: Why) {
        self.ledger.kill(first, last, why);
        for at in self.ahead.within(first, last) {
            let item = self.remove_ahead(at);
            if let (Kept::Memory { taken, .. }, Some(item)) = (&mut self.kept, item) {
                taken.insert(at, item);
            }
        }
    }

    /// They come back. Returns what is dead now.
    pub(super) fn give_back(
        &mut self,
        first: Offset,
        last: Offset,
        how: Returned,
    ) -> Vec<(Offset, Offset)> {
        let dead = self.ledger.give_back(first, last, how);
        self.from = self.from.min(first);
        if let Some(keys) = &mut self.by_key {
            let is_dead = |at: Offset| dead.iter().any(|(from, to)| (*from..=*to).contains(&at));
            keys.came_back((first..=last).filter(|at| !is_dead(*at)), how.until.is_some());
        }
        if how.until.is_none() {
            self.show(first, last);
        }
        dead
    }

    /// Messages that were delayed are available now; those whose keys are held for them, where order is kept by key.
    pub(super) fn ripen(&mut self, now: Millis) -> Vec<Offset> {
        if !self.ledger.ripen(now) {
            return Vec::new();
        }
        let mut ripe = Vec::new();
        if let Some(keys) = &mut self.by_key {
            ripe = keys.ripe(|at| self.ledger.is_available(at));
            keys.came_back(ripe.iter().copied(), false);
        }
        self.from = self.ledger.start();
        self.show(self.from, Offset::MAX);
        ripe
    }

    /// Of what is in memory and was taken, that is available again which the ledger says is.
    fn show(&mut self, first: Offset, last: Offset) {
        let Kept::Memory { taken, .. } = &mut self.kept else { return };
        let ledger = &self.ledger;
        let back = taken.within(first, last).into_iter();
        let back: Vec<_> = back
            .filter(|at| ledger.is_available(*at))
            .filter_map(|at| taken.remove(at).map(|item| (at, item)))
            .collect();
        back.into_iter().for_each(|(at, item)| self.put_ahead(at, item));
    }

    /// All that is available is done with; how many those were.
    pub(super) fn purge(&mut self) -> u64 {
        let (end, mut count) = (self.end(), 0);
        let mut next = self.ledger.start();
        loop {
            let (first, to) = self.ledger.next_available(next);
            let last = to.min(end) - 1;
            if first > last {
                break;
            }
            count += (last - first + 1).cast_unsigned();
            self.finish(first, last);
            next = last + 1;
        }
        count
    }

    /// The first messages are dead, or gone, where nobody wants to know: as many as there are, up to so many. How many.
    pub(super) fn drop_first(&mut self, most: u64, why: Option<Why>) -> u64 {
        let end = self.end();
        let mut left = most;
        while left > 0 {
            let (first, to) = self.ledger.next_available(self.from);
            let count = to.min(end).saturating_sub(first).max(0).cast_unsigned().min(left);
            if count == 0 {
                break;
            }
            let last = first + count.cast_signed() - 1;
            match why {
                Some(why) => self.kill(first, last, why),
                None => self.finish(first, last),
            }
            self.from = last + 1;
            left -= count;
        }
        most - left
    }

    /// How many messages that were read are to go so that so many bytes fewer are there, and the bytes.
    pub(super) fn count_first(&self, bytes: u64) -> (u64, u64) {
        let (mut count, mut sum) = (0, 0);
        for item in self.ahead.by_offset.values() {
            if sum >= bytes {
                break;
            }
            count += 1;
            sum += item.bytes();
        }
        (count, sum)
    }

    fn forget(&mut self, first: Offset, last: Offset) {
        for at in self.ahead.within(first, last) {
            self.remove_ahead(at);
        }
        let Kept::Memory { taken, .. } = &mut self.kept else { return };
        for at in taken.within(first, last) {
            taken.remove(at);
        }
    }

    /// Forgets what was read ahead: nobody is there to get it.
    pub(super) fn close(&mut self) {
        if matches!(self.kept, Kept::Log { .. }) {
            self.ahead = Items::default();
            if let Some(keys) = &mut self.by_key {
                keys.forget_read(self.ledger.start());
            }
        }
    }

    /// A message in memory that is dead.
    pub(super) fn dead_item(&self, at: Offset) -> Option<Item> {
        match &self.kept {
            Kept::Memory { taken, .. } => taken.by_offset.get(&at).cloned(),
            Kept::Log { .. } => None,
        }
    }

    /// The time of a message is over: it is dead, or gone, where nobody wants to know.
    pub(super) fn drop_one(&mut self, at: Offset, why: Option<Why>) {
        match why {
            Some(why) => self.kill(at, at, why),
            None => self.finish(at, at),
        }
    }

    /// When something of it is to be looked at without anybody saying so.
    pub(super) fn next_time(&mut self) -> Option<Millis> {
        let ripe = self.ledger.ripe_at();
        let head = match self.head() {
            Head::Ready(_, item) => item.deadline,
            Head::Unread | Head::Empty => None,
        };
        ripe.into_iter().chain(head).min()
    }
}

/// What was read of a log.
#[derive(Debug)]
pub(super) struct Found {
    from: Offset,
    /// All before was covered.
    to: Offset,
    items: Vec<(Offset, Item)>,
}

impl Found {
    /// The messages, and where the next ones are.
    pub(super) fn into_items(self) -> (Vec<(Offset, Item)>, Offset) {
        (self.items, self.to)
    }

    /// The first message.
    pub(super) fn into_first(self) -> Option<Item> {
        self.items.into_iter().next().map(|(_, item)| item)
    }

    /// Whether any message is not wanted any more some time.
    pub(super) fn has_deadlines(&self) -> bool {
        self.items.iter().any(|(_, item)| item.deadline.is_some())
    }

    /// Damaged, or deleted: there is nothing.
    pub(super) fn nothing(from: Offset, to: Offset) -> Self {
        Self { from, to, items: Vec::new() }
    }

    /// The messages of a read from `from` to `until`. `ttl`: how long those live that say nothing of that, from some offset on.
    pub(super) fn of(
        fetched: &Fetched,
        (from, until): (Offset, Offset),
        bound: &[Filter],
        ttl: Option<(Millis, Offset)>,
    ) -> Self {
        let (mut items, mut to, mut seen) = (Vec::new(), from, false);
        for (header, bytes) in headers(&fetched.read) {
            (to, seen) = (header.next_offset(), true);
            if header.is_control() || is_aborted(&header, &fetched.aborted) {
                continue;
            }
            let records = Batch::parse(bytes).and_then(|batch| batch.records());
            let Ok(records) = records.inspect_err(|error| {
                tracing::warn!(offset = header.base_offset, %error, "messages that cannot be read");
            }) else {
                continue;
            };
            let wanted = records.filter_map(Result::ok);
            let wanted = wanted.filter(|record| (from..until).contains(&record.offset));
            let item = |record: Record| {
                let ttl = ttl.filter(|(_, from)| record.offset >= *from).map(|(ttl, _)| ttl);
                (record.offset, Item::of(&record, bound, ttl))
            };
            items.extend(wanted.map(item));
        }
        // What a read finds nothing of is not there.
        let to = if seen { to.min(until) } else { until };
        Self { from, to, items }
    }
}
