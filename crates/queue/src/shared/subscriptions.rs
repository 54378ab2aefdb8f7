//! All partitions of all subscriptions, and the way from an input to its partition.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base::{Millis, Offset, TopicId};

use super::outputs::{DeadLetter, SharedOutput, SharedResponse};
use super::partition::{Effect, Partition};
use super::store;
use super::types::{
    Acknowledgement, Acquired, Disposition, PartitionKey, Position, Region, SharedConfig,
    SharedError, Span, Take, Terms,
};
use crate::record::{Record, RecordError};
use crate::{Name, Persisted, Ticket};

/// The engine. `T` is the caller's token for somebody who waits for an answer: every token that
/// goes in comes out exactly once.
///
/// Call [`Self::take_outputs`] after every method that takes `&mut self` and run them in order.
#[derive(Debug)]
pub struct Subscriptions<T> {
    config: SharedConfig,
    started: bool,
    partitions: BTreeMap<PartitionKey, Partition>,
    /// When leases may be over; earlier than true where they were renewed, or ended, since.
    leases: BTreeSet<(Millis, PartitionKey)>,
    /// What is to be written though nobody waits for it, and when.
    unwritten: BTreeSet<PartitionKey>,
    write_at: Option<Millis>,
    in_flight: HashMap<Ticket, InFlight<T>>,
    outputs: Vec<SharedOutput<T>>,
    last_ticket: u64,
}

#[derive(Debug)]
struct InFlight<T> {
    keys: Vec<PartitionKey>,
    /// Who waits, and for what.
    waits: Option<(T, Waits)>,
}

#[derive(Debug)]
enum Waits {
    Written,
    Acknowledged(Vec<Result<(), SharedError>>),
}

impl<T> Subscriptions<T> {
    /// An engine without subscriptions.
    pub fn new(config: SharedConfig) -> Self {
        Self {
            config,
            started: false,
            partitions: BTreeMap::new(),
            leases: BTreeSet::new(),
            unwritten: BTreeSet::new(),
            write_at: None,
            in_flight: HashMap::new(),
            outputs: Vec::new(),
            last_ticket: 0,
        }
    }

    /// Takes over one record, before the start, in order. Returns whether the key is one of ours.
    ///
    /// # Errors
    /// When the record is damaged, or of a newer version; nothing has changed then.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<bool, RecordError> {
        let Some((key, whole)) = store::decode_key(key)? else { return Ok(false) };
        if self.started {
            return Err(RecordError::Started);
        }
        match value.filter(|value| !value.is_empty()) {
            None => drop(self.partitions.remove(&key)),
            Some(value) => {
                let delta = store::decode(value, whole)?;
                if whole {
                    self.partitions.insert(key.clone(), Partition::default());
                }
                // A delta of what was deleted after it, and is not there any more.
                if let Some(partition) = self.partitions.get_mut(&key) {
                    partition.restore(delta);
                }
            }
        }
        Ok(true)
    }

    /// All records are restored. Dead letters that were on their way are put out again.
    pub fn start(&mut self) {
        self.started = true;
        let mut dead = Vec::new();
        for (key, partition) in &self.partitions {
            dead.extend(partition.dead().map(|one| (key.clone(), one)));
        }
        for (key, (first, last, why, deliveries)) in dead {
            let letter = DeadLetter { key, first, last, why, deliveries };
            self.outputs.push(SharedOutput::Bury(letter));
        }
    }

    /// All that is to be done since the last call, in order.
    #[must_use]
    pub fn take_outputs(&mut self) -> Vec<SharedOutput<T>> {
        std::mem::take(&mut self.outputs)
    }

    /// Whether consumers may have records of this partition: it was opened, durably.
    pub fn is_open(&self, key: &PartitionKey) -> bool {
        self.partitions.get(key).is_some_and(|partition| partition.open)
    }

    /// Begins a partition at an offset, unless it has begun already. Answered by
    /// [`SharedResponse::Written`]: a subscription that begins at what is newest must not begin
    /// elsewhere after a crash.
    pub fn open(&mut self, key: &PartitionKey, start: Offset, to: T) {
        if !self.partitions.contains_key(key) {
            if !self.has_room(1) {
                return self.written(to, Err(SharedError::LimitReached));
            }
            self.partitions.insert(key.clone(), Partition::new(start.max(0)));
        }
        let records = self.delta(key).into_iter().collect();
        self.persist(vec![key.clone()], records, Some((to, Waits::Written)));
    }

    /// Whether there is room for so many partitions more.
    pub fn has_room(&self, partitions: usize) -> bool {
        self.partitions.len() + partitions <= self.config.partitions_max
    }

    /// Begins partitions anew at these offsets, whatever was there; `also` is what the caller has
    /// to write with that. Answered by [`SharedResponse::Written`].
    pub fn reset(&mut self, starts: Vec<(PartitionKey, Offset)>, also: Vec<Record>, to: T) {
        if !self.has_room(starts.len()) {
            return self.written(to, Err(SharedError::LimitReached));
        }
        let mut keys = Vec::with_capacity(starts.len());
        let mut records = also;
        for (key, start) in starts {
            self.partitions.insert(key.clone(), Partition::new(start.max(0)));
            records.extend(self.delta(&key));
            self.wake(&key.subscription);
            keys.push(key);
        }
        self.persist(keys, records, Some((to, Waits::Written)));
    }

    /// Deletes a subscription, or a topic's part of it; `also` is what the caller has to write with
    /// that. Answered by [`SharedResponse::Written`].
    pub fn delete(
        &mut self,
        subscription: &Name,
        topic: Option<TopicId>,
        also: Vec<Record>,
        to: T,
    ) {
        let of_topic = |key: &&PartitionKey| topic.is_none_or(|topic| topic == key.topic);
        let keys: Vec<_> = self.of(subscription).map(|(key, _)| key).filter(of_topic).collect();
        let keys: Vec<_> = keys.into_iter().cloned().collect();
        let mut records = self.remove(&keys);
        records.extend(also);
        self.persist(Vec::new(), records, Some((to, Waits::Written)));
    }

    /// A topic is gone.
    pub fn topic_deleted(&mut self, topic: TopicId) {
        let keys = self.partitions.keys().filter(|key| key.topic == topic).cloned();
        let keys: Vec<_> = keys.collect();
        let records = self.remove(&keys);
        self.persist(Vec::new(), records, None);
        for key in keys {
            self.wake(&key.subscription);
        }
    }

    /// The topics that subscriptions have partitions of.
    pub fn topics(&self) -> BTreeSet<TopicId> {
        self.partitions.keys().map(|key| key.topic).collect()
    }

    /// A consumer is about to read the log: where to. `log_start` is the log's first offset; what lies before `from` is
    /// not looked at, though somebody may have given it back: what a consumer gets with one answer is in order. `None`
    /// when there is nothing to acquire, or somebody else is reading; whoever waits is woken when
    /// that changes. To be ended by [`Self::acquire`] or [`Self::end_read`].
    ///
    /// # Errors
    /// [`SharedError::NotOpen`].
    pub fn begin_read(
        &mut self,
        key: &PartitionKey,
        log_start: Offset,
        from: Offset,
        terms: Terms,
    ) -> Result<Option<Region>, SharedError> {
        let region = self.look(key, log_start, from, terms)?;
        if let Some(partition) = self.partitions.get_mut(key) {
            partition.reading |= region.is_some();
        }
        Ok(region)
    }

    /// As [`Self::begin_read`], but nothing begins: what there was may be gone when it does.
    ///
    /// # Errors
    /// [`SharedError::NotOpen`].
    pub fn peek(
        &mut self,
        key: &PartitionKey,
        log_start: Offset,
        terms: Terms,
    ) -> Result<Option<Region>, SharedError> {
        self.look(key, log_start, 0, terms)
    }

    fn look(
        &mut self,
        key: &PartitionKey,
        log_start: Offset,
        from: Offset,
        terms: Terms,
    ) -> Result<Option<Region>, SharedError> {
        let partition = self.partitions.get_mut(key).filter(|partition| partition.open);
        let partition = partition.ok_or(SharedError::NotOpen)?;
        partition.terms = terms;
        partition.trim(log_start);
        if partition.reading {
            partition.contended = true;
            return Ok(None);
        }
        Ok(partition.region(from))
    }

    /// What was begun with [`Self::begin_read`] is over.
    pub fn end_read(&mut self, key: &PartitionKey) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        partition.reading = false;
        if std::mem::take(&mut partition.contended) {
            self.wake(&key.subscription);
        }
    }

    /// A consumer takes what it can have of what was read. Returns what it got, in order.
    pub fn acquire(
        &mut self,
        key: &PartitionKey,
        holder: &Name,
        span: &Span,
        take: Take,
        now: Millis,
    ) -> Vec<Acquired> {
        let Some(partition) = self.partitions.get_mut(key) else { return Vec::new() };
        let before = partition.expires;
        let got = partition.acquire(holder, span, take, now);
        let (expires, changed) = (partition.expires, partition.is_changed());
        if expires != before {
            self.set_lease(key, before, expires);
        }
        if changed {
            self.write_later(key, now);
        }
        got
    }

    /// A consumer says what becomes of records that it has. All of a partition or nothing of it.
    /// Answered by [`SharedResponse::Acknowledged`], when it is durable.
    pub fn acknowledge(
        &mut self,
        holder: &Name,
        of: &[(PartitionKey, Terms, Vec<Acknowledgement>)],
        to: T,
        now: Millis,
    ) {
        let mut results = Vec::with_capacity(of.len());
        let mut keys = Vec::new();
        let mut records = Vec::new();
        for (key, terms, acknowledgements) in of {
            let result = self.acknowledge_one(key, holder, *terms, acknowledgements, now);
            results.push(result);
            let renews = |one: &Acknowledgement| one.disposition == Disposition::Renew;
            if result.is_ok() && !acknowledgements.iter().all(renews) {
                // Even if nothing changed: the answer rests on what was written before.
                records.extend(self.delta(key));
                keys.push(key.clone());
            }
        }
        self.persist(keys, records, Some((to, Waits::Acknowledged(results))));
    }

    fn acknowledge_one(
        &mut self,
        key: &PartitionKey,
        holder: &Name,
        terms: Terms,
        acknowledgements: &[Acknowledgement],
        now: Millis,
    ) -> Result<(), SharedError> {
        let partition = self.partitions.get_mut(key).ok_or(SharedError::NotOpen)?;
        partition.check(holder, acknowledgements)?;
        partition.terms = terms;
        let before = partition.expires;
        let effect = partition.acknowledge(acknowledgements, now);
        let expires = partition.expires;
        if expires != before {
            self.set_lease(key, before, expires);
        }
        self.run(key, effect);
        Ok(())
    }

    /// A consumer is gone: what it has of a subscription comes back. `counted`: it was delivered;
    /// else it is as if it had not been.
    pub fn give_back(&mut self, subscription: &Name, holder: &Name, counted: bool) {
        let keys: Vec<_> = self.of(subscription).map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(partition) = self.partitions.get_mut(&key) else { continue };
            let effect = partition.give_back(holder, counted);
            self.write_and_run(&key, effect);
        }
    }

    /// Dead letters are where they belong, or nobody wants them.
    pub fn buried(&mut self, key: &PartitionKey, first: Offset, last: Offset) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let full = partition.is_full();
        partition.buried(first, last);
        let wake = full && !partition.is_full();
        self.write_and_run(key, Effect { wake, ..Effect::default() });
    }

    /// Takes leases back that are over, and writes what is due.
    pub fn tick(&mut self, now: Millis) {
        while self.leases.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = self.leases.pop_first() else { break };
            let Some(partition) = self.partitions.get_mut(&key) else { continue };
            let effect = partition.expire(now);
            let expires = partition.expires;
            self.set_lease(&key, None, expires);
            self.write_and_run(&key, effect);
        }
        if self.write_at.is_some_and(|at| at <= now) {
            self.write_at = None;
            let keys: Vec<_> = std::mem::take(&mut self.unwritten).into_iter().collect();
            let records = keys.iter().filter_map(|key| self.delta(key)).collect();
            self.persist(keys, records, None);
        }
    }

    /// When to call [`Self::tick`] next.
    pub fn next_deadline(&self) -> Option<Millis> {
        let lease = self.leases.first().map(|(at, _)| *at);
        lease.into_iter().chain(self.write_at).min()
    }

    /// A [`SharedOutput::Persist`] has ended. Call it once for each.
    pub fn persisted(&mut self, ticket: Ticket, outcome: Persisted, now: Millis) {
        let Some(ended) = self.in_flight.remove(&ticket) else { return };
        for key in &ended.keys {
            let Some(partition) = self.partitions.get_mut(key) else { continue };
            match outcome {
                Persisted::Durable => partition.open = true,
                // What is on disk is open, and later deltas rest on it.
                Persisted::Failed => {
                    partition.whole = true;
                    self.write_later(key, now);
                }
            }
        }
        let failed = (outcome == Persisted::Failed).then_some(SharedError::NotAvailable);
        match ended.waits {
            None => {}
            Some((to, Waits::Written)) => self.written(to, failed.map_or(Ok(()), Err)),
            Some((to, Waits::Acknowledged(mut results))) => {
                if let Some(error) = failed {
                    results.iter_mut().for_each(|one| *one = one.and(Err(error)));
                }
                let response = SharedResponse::Acknowledged(results);
                self.outputs.push(SharedOutput::Reply { to, response });
            }
        }
    }

    /// Every live record, as of all outputs so far. See [`crate::Coordinator::snapshot`].
    pub fn snapshot(&self) -> impl Iterator<Item = Record> {
        self.partitions.iter().map(|(key, partition)| store::record(key, &partition.all()))
    }

    /// Where the partitions of a subscription stand, in order.
    pub fn positions(&self, subscription: &str) -> Vec<(PartitionKey, Position)> {
        let subscription = Name::from(subscription);
        let of = self.of(&subscription);
        of.map(|(key, partition)| (key.clone(), partition.position())).collect()
    }

    /// The names of all subscriptions that have partitions.
    pub fn names(&self) -> Vec<Name> {
        let mut names: Vec<Name> = Vec::new();
        for key in self.partitions.keys() {
            if names.last() != Some(&key.subscription) {
                names.push(key.subscription.clone());
            }
        }
        names
    }

    fn of(&self, subscription: &Name) -> impl Iterator<Item = (&PartitionKey, &Partition)> {
        let from = PartitionKey {
            subscription: subscription.clone(),
            topic: TopicId(0),
            partition: i32::MIN,
        };
        let same = |(key, _): &(&PartitionKey, _)| key.subscription == *subscription;
        self.partitions.range(from..).take_while(same)
    }

    fn remove(&mut self, keys: &[PartitionKey]) -> Vec<Record> {
        for key in keys {
            if let Some(at) = self.partitions.remove(key).and_then(|partition| partition.expires) {
                self.set_lease(key, Some(at), None);
            }
            self.unwritten.remove(key);
        }
        keys.iter().map(store::tombstone).collect()
    }

    /// Moves a partition's place among the leases. A little late, so that leases that end one
    /// after the other are looked at together.
    fn set_lease(&mut self, key: &PartitionKey, old: Option<Millis>, new: Option<Millis>) {
        let grain = self.config.lease_grain.max(1);
        let at = |time: Millis| time.saturating_add(grain) / grain * grain;
        if let Some(old) = old {
            self.leases.remove(&(at(old), key.clone()));
        }
        if let Some(new) = new {
            self.leases.insert((at(new), key.clone()));
        }
    }

    fn delta(&mut self, key: &PartitionKey) -> Option<Record> {
        self.unwritten.remove(key);
        let partition = self.partitions.get_mut(key)?;
        Some(store::record(key, &partition.take_delta()))
    }

    fn write_later(&mut self, key: &PartitionKey, now: Millis) {
        self.unwritten.insert(key.clone());
        self.write_at.get_or_insert(now.saturating_add(self.config.write_within));
    }

    fn write_and_run(&mut self, key: &PartitionKey, effect: Effect) {
        if self.partitions.get(key).is_some_and(Partition::is_changed) {
            let records = self.delta(key).into_iter().collect();
            self.persist(vec![key.clone()], records, None);
        }
        self.run(key, effect);
    }

    fn run(&mut self, key: &PartitionKey, effect: Effect) {
        for (first, last, why, deliveries) in effect.dead {
            let letter = DeadLetter { key: key.clone(), first, last, why, deliveries };
            self.outputs.push(SharedOutput::Bury(letter));
        }
        if effect.wake {
            self.wake(&key.subscription);
        }
    }

    fn wake(&mut self, subscription: &Name) {
        self.outputs.push(SharedOutput::Wake { subscription: subscription.clone() });
    }

    fn written(&mut self, to: T, outcome: Result<(), SharedError>) {
        let response = SharedResponse::Written(outcome);
        self.outputs.push(SharedOutput::Reply { to, response });
    }

    fn persist(
        &mut self,
        keys: Vec<PartitionKey>,
        records: Vec<Record>,
        waits: Option<(T, Waits)>,
    ) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.in_flight.insert(ticket, InFlight { keys, waits });
        if records.is_empty() {
            // Nothing to wait for.
            return self.persisted(ticket, Persisted::Durable, 0);
        }
        self.outputs.push(SharedOutput::Persist { ticket, records });
    }
}

#[cfg(test)]
impl<T> Subscriptions<T> {
    pub(super) fn check(&self, key: &PartitionKey) {
        let partition = &self.partitions[key];
        partition.runs.check(partition.start, partition.end);
    }

    fn state(&self, key: &PartitionKey, at: Offset) -> Option<&super::runs::State> {
        self.partitions[key].runs.within(at, at).next().map(|(_, _, state)| state)
    }

    pub(super) fn is_done(&self, key: &PartitionKey, at: Offset) -> bool {
        matches!(self.state(key, at), Some(super::runs::State::Done))
    }

    pub(super) fn is_held(&self, key: &PartitionKey, at: Offset) -> bool {
        matches!(self.state(key, at), Some(super::runs::State::Acquired { .. }))
    }

    pub(super) fn deliveries(&self, key: &PartitionKey, at: Offset) -> u16 {
        match self.state(key, at) {
            Some(super::runs::State::Available(deliveries)) => *deliveries,
            _ => 0,
        }
    }
}
