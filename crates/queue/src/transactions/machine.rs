//! The state machine.

use std::collections::{BTreeSet, HashMap, VecDeque};

use base::Millis;
use base::limits::GROUP_NAME_BYTES_MAX;

use super::record::{TxnValue, decode_key, encode_key};
use super::types::{
    EndTxn, Ended, InitTxn, Marker, TxnConfig, TxnDescription, TxnError, TxnOutput, TxnPartition,
    TxnProducer, TxnResponse, TxnState,
};
use crate::record::{OffsetKey, OffsetValue, Record, RecordError};
use crate::{Name, Persisted, Ticket};

/// All transactional ids of a broker. `T` is the caller's token for somebody who waits for an
/// answer: every token that goes in comes out exactly once, in a [`TxnOutput::Reply`].
///
/// Call [`Self::take_outputs`] after every method that takes `&mut self`.
#[derive(Debug)]
pub struct Transactions<T> {
    config: TxnConfig,
    started: bool,
    ids: HashMap<Name, Txn<T>>,
    producers: HashMap<i64, Name>,
    /// When ids time out, or expire; earlier than true where they were used since.
    deadlines: BTreeSet<(Millis, Name)>,
    in_flight: HashMap<Ticket, Name>,
    outputs: Vec<TxnOutput<T>>,
    last_ticket: u64,
}

#[derive(Debug)]
struct Txn<T> {
    value: TxnValue,
    /// The epoch before the last end of a transaction gave a new one: the answer may have been
    /// lost, and the client asks again with it.
    previous: Option<TxnProducer>,
    deadline: Millis,
    /// A step on its way to the disk.
    step: Option<Step<T>>,
    waiting: VecDeque<Input<T>>,
}

/// What a step does once it is durable.
#[derive(Debug)]
struct Step<T> {
    next: TxnValue,
    previous: Option<TxnProducer>,
    /// Who is answered, and with what.
    reply: Option<(T, TxnResponse)>,
}

#[derive(Debug)]
enum Input<T> {
    Init(InitTxn, T),
    Add {
        producer: TxnProducer,
        addition: Addition,
        to: T,
    },
    End(EndTxn, T),
    /// The transaction took too long.
    Abort,
}

#[derive(Debug)]
enum Addition {
    Partitions(Vec<TxnPartition>),
    Group,
    Offsets(Vec<(OffsetKey, OffsetValue)>),
}

impl<T> Transactions<T> {
    /// Knows no transactions, and refuses everything ([`TxnError::Loading`]) until it is started.
    pub fn new(config: TxnConfig) -> Self {
        Self {
            config,
            started: false,
            ids: HashMap::new(),
            producers: HashMap::new(),
            deadlines: BTreeSet::new(),
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
        let Some(id) = decode_key(key)? else { return Ok(false) };
        if self.started {
            return Err(RecordError::Started);
        }
        match value.filter(|value| !value.is_empty()) {
            None => drop(self.remove(&id)),
            Some(value) => self.insert(id, TxnValue::decode(value)?, 0),
        }
        Ok(true)
    }

    /// All records are restored. Open transactions get their whole time-out again.
    pub fn start(&mut self, now: Millis) {
        self.started = true;
        let ids: Vec<Name> = self.ids.keys().cloned().collect();
        for id in ids {
            self.schedule(&id, now);
        }
    }

    /// All that is to be done since the last call, in order.
    #[must_use]
    pub fn take_outputs(&mut self) -> Vec<TxnOutput<T>> {
        std::mem::take(&mut self.outputs)
    }

    /// Gives a transactional id its producer. Answered by [`TxnResponse::Init`].
    pub fn init(&mut self, request: InitTxn, to: T, now: Millis) {
        let fits = (1..=self.config.timeout_max).contains(&request.timeout);
        let refused = if !self.started {
            Some(TxnError::Loading)
        } else if request.id.is_empty() || request.id.len() > GROUP_NAME_BYTES_MAX {
            Some(TxnError::InvalidId)
        } else if !fits {
            Some(TxnError::InvalidTimeout)
        } else if !self.ids.contains_key(&request.id) && self.ids.len() >= self.config.ids_max {
            Some(TxnError::LimitReached)
        } else {
            None
        };
        match refused {
            Some(error) => self.reply(to, TxnResponse::Init(Err(error))),
            None => self.input(&request.id.clone(), Input::Init(request, to), now),
        }
    }

    /// Makes partitions take part, beginning a transaction if none is open. Answered by
    /// [`TxnResponse::Added`], when that is durable.
    pub fn add_partitions(
        &mut self,
        id: &Name,
        producer: TxnProducer,
        partitions: Vec<TxnPartition>,
        to: T,
        now: Millis,
    ) {
        self.add(id, producer, Addition::Partitions(partitions), to, now);
    }

    /// Announces offsets of a group, beginning a transaction if none is open. Answered by
    /// [`TxnResponse::Added`].
    pub fn add_group(&mut self, id: &Name, producer: TxnProducer, to: T, now: Millis) {
        self.add(id, producer, Addition::Group, to, now);
    }

    /// Takes offsets that are committed if the transaction is. The caller has asked the group
    /// whether its member may commit them. Answered by [`TxnResponse::Added`], when that is
    /// durable.
    pub fn add_offsets(
        &mut self,
        id: &Name,
        producer: TxnProducer,
        offsets: Vec<(OffsetKey, OffsetValue)>,
        to: T,
        now: Millis,
    ) {
        self.add(id, producer, Addition::Offsets(offsets), to, now);
    }

    fn add(&mut self, id: &Name, producer: TxnProducer, addition: Addition, to: T, now: Millis) {
        match self.check_known(id) {
            Err(error) => self.reply(to, TxnResponse::Added(Err(error))),
            Ok(()) => self.input(&id.clone(), Input::Add { producer, addition, to }, now),
        }
    }

    /// Commits or aborts. Answered by [`TxnResponse::Ended`], when that is durable.
    pub fn end(&mut self, request: EndTxn, to: T, now: Millis) {
        match self.check_known(&request.id) {
            Err(error) => self.reply(to, TxnResponse::Ended(Err(error))),
            Ok(()) => self.input(&request.id.clone(), Input::End(request, to), now),
        }
    }

    /// Whether a producer's open transaction holds a partition: whether it may append there now.
    ///
    /// # Errors
    /// When there is none, or it has been fenced.
    pub fn verify(&self, producer: TxnProducer, partition: &TxnPartition) -> Result<(), TxnError> {
        let id = self.producers.get(&producer.id).ok_or(TxnError::UnknownProducer)?;
        let txn = self.ids.get(id).ok_or(TxnError::UnknownProducer)?;
        txn.value.check(producer)?;
        let holds =
            txn.value.state == TxnState::Ongoing && txn.value.partitions.contains(partition);
        if holds { Ok(()) } else { Err(TxnError::InvalidState) }
    }

    /// The transactional id of a producer.
    pub fn id_of(&self, producer: i64) -> Option<&Name> {
        self.producers.get(&producer)
    }

    /// Aborts what takes too long, forgets ids that are not used.
    pub fn tick(&mut self, now: Millis) {
        while let Some((deadline, id)) = self.deadlines.first().cloned() {
            if deadline > now {
                return;
            }
            self.deadlines.remove(&(deadline, id.clone()));
            let Some(txn) = self.ids.get(&id) else { continue };
            if txn.step.is_some() || txn.deadline > now {
                self.schedule_at(&id, txn.deadline.max(now + 1));
            } else if txn.value.state == TxnState::Ongoing {
                self.input(&id, Input::Abort, now);
            } else {
                self.remove(&id);
                let ticket = self.ticket();
                let records = vec![Record { key: encode_key(&id), value: None }];
                self.outputs.push(TxnOutput::Persist {
                    ticket,
                    records,
                    markers: vec![],
                    offsets: vec![],
                });
            }
        }
    }

    /// When to call [`Self::tick`] next.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.first().map(|(deadline, _)| *deadline).filter(|_| self.started)
    }

    /// A [`TxnOutput::Persist`] has ended. Call it once for each. If it failed, who waits is told to
    /// retry, and nothing has changed; what a restart finds is then open, as for every write that
    /// was not acknowledged.
    pub fn persisted(&mut self, ticket: Ticket, outcome: Persisted, now: Millis) {
        let Some(id) = self.in_flight.remove(&ticket) else { return };
        let Some(txn) = self.ids.get_mut(&id) else { return };
        let Some(step) = txn.step.take() else { return };
        match outcome {
            Persisted::Durable => {
                let (old, new) = (txn.value.producer.id, step.next.producer.id);
                txn.value = step.next;
                txn.previous = step.previous;
                if old != new {
                    self.producers.remove(&old);
                    self.producers.insert(new, id.clone());
                }
                if let Some((to, response)) = step.reply {
                    self.reply(to, response);
                }
                self.schedule(&id, now);
            }
            Persisted::Failed => {
                let was_new = txn.value.used_at == Millis::MIN;
                if let Some((to, response)) = step.reply {
                    self.reply(to, response.failed(TxnError::NotAvailable));
                }
                if was_new && self.ids.get(&id).is_some_and(|txn| txn.waiting.is_empty()) {
                    self.remove(&id);
                } else {
                    self.schedule_at(&id, now + 1000);
                }
            }
        }
        self.run_waiting(&id, now);
    }

    /// A transactional id, for operators.
    ///
    /// # Errors
    /// [`TxnError::NotFound`], [`TxnError::Loading`].
    pub fn describe(&self, id: &str) -> Result<TxnDescription, TxnError> {
        if !self.started {
            return Err(TxnError::Loading);
        }
        let (name, txn) = self.ids.get_key_value(id).ok_or(TxnError::NotFound)?;
        Ok(txn.describe(name))
    }

    /// All transactional ids, for operators.
    pub fn list(&self) -> Vec<TxnDescription> {
        let mut all: Vec<_> = self.ids.iter().map(|(id, txn)| txn.describe(id)).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// Every live record, as of all outputs so far. See [`crate::Coordinator::snapshot`].
    pub fn snapshot(&self) -> impl Iterator<Item = Record> {
        self.ids.iter().map(|(id, txn)| txn.latest().record(id))
    }

    fn check_known(&self, id: &Name) -> Result<(), TxnError> {
        if !self.started {
            return Err(TxnError::Loading);
        }
        if self.ids.contains_key(id) { Ok(()) } else { Err(TxnError::UnknownProducer) }
    }

    fn reply(&mut self, to: T, response: TxnResponse) {
        self.outputs.push(TxnOutput::Reply { to, response });
    }

    fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    fn insert(&mut self, id: Name, value: TxnValue, deadline: Millis) {
        let producer = value.producer.id;
        let txn = Txn { value, previous: None, deadline, step: None, waiting: VecDeque::new() };
        if let Some(old) = self.ids.insert(id.clone(), txn) {
            self.producers.remove(&old.value.producer.id);
        }
        self.producers.insert(producer, id);
    }

    fn remove(&mut self, id: &Name) -> Option<Txn<T>> {
        let txn = self.ids.remove(id)?;
        self.producers.remove(&txn.value.producer.id);
        Some(txn)
    }

    /// Sets when the id times out, or expires.
    fn schedule(&mut self, id: &Name, now: Millis) {
        let Some(txn) = self.ids.get(id) else { return };
        let after = match txn.value.state {
            TxnState::Ongoing => txn.value.timeout,
            _ => self.config.id_expiry,
        };
        let from = match txn.value.state {
            // An open transaction's time runs from its beginning, but not over a restart.
            TxnState::Ongoing if txn.deadline != 0 => txn.value.started_at.unwrap_or(now),
            _ => now,
        };
        self.schedule_at(id, from.saturating_add(after));
    }

    fn schedule_at(&mut self, id: &Name, deadline: Millis) {
        let Some(txn) = self.ids.get_mut(id) else { return };
        self.deadlines.remove(&(txn.deadline, id.clone()));
        txn.deadline = deadline;
        self.deadlines.insert((deadline, id.clone()));
    }

    /// Carries a request out, or lets it wait for the step that is on its way.
    fn input(&mut self, id: &Name, input: Input<T>, now: Millis) {
        let Some(txn) = self.ids.get_mut(id) else {
            if let Input::Init(request, to) = input {
                self.init_new(&request, to, now);
            }
            return;
        };
        if txn.step.is_none() {
            return self.run(id, input, now);
        }
        if txn.waiting.len() < self.config.waiting_max {
            txn.waiting.push_back(input);
        } else if let Some((to, response)) = input.refused(TxnError::Concurrent) {
            self.reply(to, response);
        }
    }

    fn run_waiting(&mut self, id: &Name, now: Millis) {
        while let Some(txn) = self.ids.get_mut(id)
            && txn.step.is_none()
            && let Some(input) = txn.waiting.pop_front()
        {
            self.run(id, input, now);
        }
    }

    fn run(&mut self, id: &Name, input: Input<T>, now: Millis) {
        match input {
            Input::Init(request, to) => self.run_init(id, &request, to, now),
            Input::Add { producer, addition, to } => self.run_add(id, producer, addition, to, now),
            Input::End(request, to) => self.run_end(id, &request, to, now),
            Input::Abort => self.run_abort(id, now),
        }
    }

    /// Whatever the client claims to be: its identity may have been forgotten, and some clients claim
    /// one from the start.
    fn init_new(&mut self, request: &InitTxn, to: T, now: Millis) {
        let producer = TxnProducer { id: request.fresh, epoch: 0 };
        let value = TxnValue {
            producer,
            timeout: request.timeout,
            state: TxnState::Empty,
            started_at: None,
            used_at: now,
            partitions: Vec::new(),
            offsets: Vec::new(),
        };
        // Until the step is durable the id is known, so that it is not made twice, but unusable.
        let unborn = TxnValue { used_at: Millis::MIN, ..value.clone() };
        self.insert(request.id.clone(), unborn, now);
        let reply = Some((to, TxnResponse::Init(Ok(producer))));
        self.step(&request.id, Step { next: value, previous: None, reply }, vec![], vec![]);
    }

    fn run_init(&mut self, id: &Name, request: &InitTxn, to: T, now: Millis) {
        let Some(txn) = self.ids.get(id) else { return };
        let current = txn.value.producer;
        let other = |claimed| claimed != current && txn.previous != Some(claimed);
        if request.claimed.is_some_and(other) {
            return self.reply(to, TxnResponse::Init(Err(TxnError::Fenced)));
        }
        let producer = current.next_instance(request.fresh);
        let markers = txn.value.markers(current.last_marker(), false);
        let next = TxnValue {
            producer,
            timeout: request.timeout,
            state: match txn.value.state {
                TxnState::Ongoing => TxnState::Aborted,
                state => state,
            },
            started_at: None,
            used_at: now,
            partitions: Vec::new(),
            offsets: Vec::new(),
        };
        let reply = Some((to, TxnResponse::Init(Ok(producer))));
        self.step(id, Step { next, previous: None, reply }, markers, vec![]);
    }

    fn run_add(
        &mut self,
        id: &Name,
        producer: TxnProducer,
        addition: Addition,
        to: T,
        now: Millis,
    ) {
        let Some(txn) = self.ids.get(id) else { return };
        if let Err(error) = txn.value.check(producer) {
            return self.reply(to, TxnResponse::Added(Err(error)));
        }
        let mut next = txn.value.clone();
        if next.state != TxnState::Ongoing {
            next.state = TxnState::Ongoing;
            next.started_at = Some(now);
        }
        next.used_at = now;
        let changed = match addition {
            Addition::Group => next.state != txn.value.state,
            Addition::Partitions(partitions) => {
                let before = next.partitions.len();
                for partition in partitions {
                    if !next.partitions.contains(&partition) {
                        next.partitions.push(partition);
                    }
                }
                next.partitions.len() > before || next.state != txn.value.state
            }
            Addition::Offsets(offsets) => {
                for (key, value) in offsets {
                    next.offsets.retain(|(old, _)| *old != key);
                    next.offsets.push((key, value));
                }
                true
            }
        };
        if !changed {
            return self.reply(to, TxnResponse::Added(Ok(())));
        }
        // A client that uses its new epoch has had the answer that gave it.
        let reply = Some((to, TxnResponse::Added(Ok(()))));
        self.step(id, Step { next, previous: None, reply }, vec![], vec![]);
    }

    fn run_end(&mut self, id: &Name, request: &EndTxn, to: T, now: Millis) {
        let Some(txn) = self.ids.get(id) else { return };
        let wanted = if request.commit { TxnState::Committed } else { TxnState::Aborted };
        let current = txn.value.producer;
        // The answer to this very request may have been lost on its way.
        let again = match request.renew {
            Some(_) => txn.previous == Some(request.producer),
            None => txn.value.check(request.producer).is_ok(),
        };
        if txn.value.state == wanted && again {
            return self.reply(to, TxnResponse::Ended(Ok(Ended { producer: current })));
        }
        if let Err(error) = txn.value.check(request.producer) {
            return self.reply(to, TxnResponse::Ended(Err(error)));
        }
        // With new epochs a client may abort what it never began, to get one.
        let abort_of_nothing = !request.commit && request.renew.is_some();
        if txn.value.state != TxnState::Ongoing && !abort_of_nothing {
            return self.reply(to, TxnResponse::Ended(Err(TxnError::InvalidState)));
        }
        let (producer, marker, previous) = match request.renew {
            None => (current, current, None),
            Some(fresh) => (current.next_instance(fresh), current.last_marker(), Some(current)),
        };
        let markers = txn.value.markers(marker, request.commit);
        let offsets = if request.commit { txn.value.offsets.clone() } else { Vec::new() };
        let next = txn.value.ended(producer, wanted, now);
        let reply = Some((to, TxnResponse::Ended(Ok(Ended { producer }))));
        self.step(id, Step { next, previous, reply }, markers, offsets);
    }

    /// The transaction took too long: aborts it, and fences the instance that left it open.
    fn run_abort(&mut self, id: &Name, now: Millis) {
        let Some(txn) = self.ids.get(id) else { return };
        if txn.value.state != TxnState::Ongoing {
            return self.schedule(id, now);
        }
        let current = txn.value.producer;
        let producer = TxnProducer { epoch: current.epoch.saturating_add(1), ..current };
        let markers = txn.value.markers(producer, false);
        let next = txn.value.ended(producer, TxnState::Aborted, now);
        self.step(id, Step { next, previous: None, reply: None }, markers, vec![]);
    }

    /// Puts a step on its way.
    fn step(
        &mut self,
        id: &Name,
        step: Step<T>,
        markers: Vec<Marker>,
        offsets: Vec<(OffsetKey, OffsetValue)>,
    ) {
        let ticket = self.ticket();
        let records = vec![step.next.record(id)];
        if let Some(txn) = self.ids.get_mut(id) {
            txn.step = Some(step);
            self.in_flight.insert(ticket, id.clone());
            self.outputs.push(TxnOutput::Persist { ticket, records, markers, offsets });
        }
    }
}

impl<T> Txn<T> {
    /// The value as of all outputs so far.
    fn latest(&self) -> &TxnValue {
        self.step.as_ref().map_or(&self.value, |step| &step.next)
    }

    fn describe(&self, id: &Name) -> TxnDescription {
        TxnDescription {
            id: id.clone(),
            state: self.value.state,
            producer: self.value.producer,
            timeout: self.value.timeout,
            started_at: self.value.started_at,
            partitions: self.value.partitions.clone(),
        }
    }
}

impl<T> Input<T> {
    /// The answer that refuses it; a time-out needs none.
    fn refused(self, error: TxnError) -> Option<(T, TxnResponse)> {
        match self {
            Self::Init(_, to) => Some((to, TxnResponse::Init(Err(error)))),
            Self::Add { to, .. } => Some((to, TxnResponse::Added(Err(error)))),
            Self::End(_, to) => Some((to, TxnResponse::Ended(Err(error)))),
            Self::Abort => None,
        }
    }
}

impl TxnResponse {
    fn failed(self, error: TxnError) -> Self {
        match self {
            Self::Init(_) => Self::Init(Err(error)),
            Self::Added(_) => Self::Added(Err(error)),
            Self::Ended(_) => Self::Ended(Err(error)),
        }
    }
}

impl TxnProducer {
    /// The instance after this one: the next epoch, or a fresh identity once epochs are used up.
    fn next_instance(self, fresh: i64) -> Self {
        // The last epoch is kept for the marker that fences the last instance.
        if self.epoch >= i16::MAX - 1 {
            Self { id: fresh, epoch: 0 }
        } else {
            Self { epoch: self.epoch + 1, ..self }
        }
    }

    /// What the markers say that end this instance's transaction for good: the next epoch, so that
    /// nothing of this instance can come late.
    fn last_marker(self) -> Self {
        Self { epoch: self.epoch.saturating_add(1), ..self }
    }
}

impl TxnValue {
    fn check(&self, producer: TxnProducer) -> Result<(), TxnError> {
        if self.used_at == Millis::MIN || producer.id != self.producer.id {
            return Err(TxnError::UnknownProducer);
        }
        if producer.epoch == self.producer.epoch { Ok(()) } else { Err(TxnError::Fenced) }
    }

    fn markers(&self, producer: TxnProducer, commit: bool) -> Vec<Marker> {
        let marker =
            |partition: &TxnPartition| Marker { partition: partition.clone(), producer, commit };
        self.partitions.iter().map(marker).collect()
    }

    fn ended(&self, producer: TxnProducer, state: TxnState, now: Millis) -> Self {
        Self {
            producer,
            timeout: self.timeout,
            state,
            started_at: None,
            used_at: now,
            partitions: Vec::new(),
            offsets: Vec::new(),
        }
    }
}
