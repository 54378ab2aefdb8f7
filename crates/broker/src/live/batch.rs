//! Messages that arrive together and are kept by topics: stored together.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::subject::TEXT;
use base::{Offset, Subject};
use bytes::Bytes;
use store::batch::HEADER_BYTES;
use store::{Append, AppendError, Log, Pending};

use super::deliver::{Picked, Routed};
use super::publisher_header;
use super::route::Route;
use super::subscriber::{Flush, Slow};
use crate::Broker;
use crate::exchanges::Tally;
use crate::followed::{self, Received};
use crate::message::{Message, NewMessage, PlainMessage};
use crate::queues::{Coming, Queue, Room};
use crate::retained::RETAINED_BYTES_MAX;
use crate::sessions::{ForwardedTo, Session, forwarded_record};
use crate::topics::OpenTopic;
use crate::verbs::produce::ProduceError;
use crate::verbs::publish::{Built, append};

/// Largest record batch of the broker's own logs.
const OWN_BYTES_MAX: usize = RETAINED_BYTES_MAX;
/// Sessions that one record is for; more get another.
const SESSIONS_OF_RECORD: usize = 65_536;

/// What a publisher has published since it last looked: the messages for topics, built into record batches as they
/// come, and the subscribers that have something to send. An empty one costs nothing.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) flush: Flush,
    topics: Vec<(Arc<OpenTopic>, BTreeMap<i32, Built>)>,
    /// For logs of the broker's own.
    logs: Vec<(Arc<Log>, Built)>,
    /// Of each message, where it goes.
    messages: Vec<Places>,
    bytes: usize,
    /// What doors write down of their sessions.
    states: Vec<(Session, Bytes)>,
    /// Up to where topics were forwarded to sessions.
    forwarded: Vec<ForwardedTo>,
    /// Messages for queues that count them.
    coming: Vec<Coming>,
    /// What exchanges are to count.
    pub(crate) tally: Tally,
    /// Messages that are followed, each with where it goes.
    followed: Vec<(Received, Vec<(Target, followed::Storing)>)>,
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// Number of the topic in the batch, and partition.
    Topic(usize, i32),
    /// Number of the log in the batch.
    Log(usize),
    /// The log of sessions.
    States,
}

/// Where one message goes. Nearly always that is one place, which takes no memory of its own.
#[derive(Debug, Default)]
enum Places {
    #[default]
    None,
    One(Target),
    Many(Vec<Target>),
}

impl Places {
    fn push(&mut self, target: Target) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(target),
            Self::One(first) => Self::Many(vec![first, target]),
            Self::Many(mut all) => {
                all.push(target);
                Self::Many(all)
            }
        };
    }

    fn as_slice(&self) -> &[Target] {
        match self {
            Self::None => &[],
            Self::One(target) => std::slice::from_ref(target),
            Self::Many(all) => all,
        }
    }
}

impl Batch {
    /// Has subscribers send what was delivered to them; call it when no more comes at once. Returns somebody who is
    /// slow, if anybody is: then a publisher that can wait a little should.
    pub fn flush(&mut self) -> Option<Slow> {
        self.tally.add_up();
        self.flush.flush()
    }

    /// No message is to be stored.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// How many messages are to be stored.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Bytes of what is to be stored, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a message for every topic that has room for it, and for these sessions; returns its number.
    pub(super) fn push(
        &mut self,
        broker: &Broker,
        (route, room): (&Route, Room<'_>),
        message: &Message,
        sessions: &[u64],
    ) -> Result<usize, ProduceError> {
        let now = broker.now();
        let mut record = message.to_record(Some(route.name(&TEXT)), now);
        if route.is_quiet(message.publisher) {
            record.mark_publisher(publisher_header(&broker.inner.live, message.publisher));
        }
        if !sessions.is_empty() && !room.topics.is_empty() {
            record.mark_queued();
        }
        let size = record.bytes_max();
        // Of all or of none.
        for topic in room.topics.iter() {
            let limit = topic.config.max_message_bytes;
            if HEADER_BYTES + size > limit {
                return Err(ProduceError::TooLarge { size: HEADER_BYTES + size, limit });
            }
        }
        let mut places = Places::default();
        self.push_sessions(broker, route, message, sessions, &mut places)?;
        for (number, topic) in room.topics.iter().enumerate() {
            let partition = topic.partition_of(message.properties.priority, record.key.as_deref());
            let at = self.topic(topic);
            let Some((_, partitions)) = self.topics.get_mut(at) else { continue };
            if number == 1 {
                record.mark_copy();
            }
            let limit = topic.config.max_message_bytes;
            partitions.entry(partition).or_default().push(&record, limit)?;
            self.bytes += size;
            places.push(Target::Topic(at, partition));
        }
        self.coming.extend(room.coming);
        self.messages.push(places);
        Ok(self.messages.len() - 1)
    }

    /// Adds a message for one topic, whatever that binds; returns its number.
    ///
    /// # Errors
    /// The topic does not take the message, or is a full queue that refuses what is too many.
    pub fn push_to(
        &mut self,
        broker: &Broker,
        topic: &Arc<OpenTopic>,
        message: &Message,
    ) -> Result<usize, ProduceError> {
        if topic.topic.internal {
            return Err(ProduceError::Internal);
        }
        let record = message.to_record(None, broker.now());
        let size = HEADER_BYTES + record.bytes_max();
        let limit = topic.config.max_message_bytes;
        if size > limit {
            return Err(ProduceError::TooLarge { size, limit });
        }
        let bytes = message.value.as_ref().map_or(0, Bytes::len) as u64;
        let coming = broker.room_in_queue(&topic.topic.name, (1, bytes))?;
        let partition = topic.partition_of(message.properties.priority, record.key.as_deref());
        let at = self.topic(topic);
        if let Some((_, partitions)) = self.topics.get_mut(at) {
            partitions.entry(partition).or_default().push(&record, limit)?;
        }
        self.coming.extend(coming);
        self.bytes += size;
        self.messages.push(Places::One(Target::Topic(at, partition)));
        Ok(self.messages.len() - 1)
    }

    /// The same for a message that is no more than this, and still lies where it came in: it is copied once, into its
    /// record.
    ///
    /// # Errors
    /// The topic does not take the message, or is a full queue that refuses what is too many.
    pub fn push_plain(
        &mut self,
        broker: &Broker,
        topic: &Arc<OpenTopic>,
        message: &PlainMessage<'_>,
    ) -> Result<usize, ProduceError> {
        if topic.topic.internal {
            return Err(ProduceError::Internal);
        }
        let (bytes_max, limit) = (message.bytes_max(), topic.config.max_message_bytes);
        let size = HEADER_BYTES + bytes_max;
        if size > limit {
            return Err(ProduceError::TooLarge { size, limit });
        }
        let bytes = message.value.map_or(0, <[u8]>::len) as u64;
        let coming = broker.room_in_queue(&topic.topic.name, (1, bytes))?;
        let partition = topic.partition_of(None, message.key);
        let at = self.topic(topic);
        if let Some((_, partitions)) = self.topics.get_mut(at) {
            let built = partitions.entry(partition).or_default();
            built.push_record(&message.record(), bytes_max, limit)?;
        }
        self.coming.extend(coming);
        self.bytes += size;
        self.messages.push(Places::One(Target::Topic(at, partition)));
        Ok(self.messages.len() - 1)
    }

    /// Adds a message for sessions that were picked of groups, if it is no more than that in the batch yet; returns its
    /// number.
    pub(super) fn push_picked(
        &mut self,
        broker: &Broker,
        route: &Route,
        message: &Message,
        picked: &[Picked],
        number: Option<usize>,
    ) -> Result<usize, ProduceError> {
        let mut places = Places::default();
        for Picked { session, group } in picked {
            let mut record = message.to_record(None, broker.now());
            record.key = Some(route.subject().bytes().clone());
            record.mark_sessions(Bytes::copy_from_slice(&session.to_be_bytes()));
            record.mark_group(group.clone());
            places.push(self.push_own(broker.inner.sessions.queue(), &record, OWN_BYTES_MAX)?);
        }
        Ok(self.add(places, number))
    }

    /// Adds a message that sessions are to get from their queue.
    pub(super) fn push_waiting(
        &mut self,
        broker: &Broker,
        route: &Route,
        message: &Message,
        (sessions, picked): (&[u64], &[Picked]),
    ) -> Result<(), ProduceError> {
        let mut places = Places::default();
        self.push_sessions(broker, route, message, sessions, &mut places)?;
        self.messages.push(places);
        let number = self.messages.len() - 1;
        self.push_picked(broker, route, message, picked, Some(number)).map(|_| ())
    }

    /// Adds a message for one session, and what its door wants to know of it then; returns its number.
    ///
    /// # Errors
    /// It is too large.
    pub fn push_for(
        &mut self,
        broker: &Broker,
        session: &Session,
        (subject, message): (&Subject, &Message),
        note: Bytes,
    ) -> Result<usize, ProduceError> {
        let mut record = message.to_record(None, broker.now());
        record.key = Some(subject.bytes().clone());
        record.mark_sessions(Bytes::copy_from_slice(&session.number().to_be_bytes()));
        record.mark_note(note);
        let target = self.push_own(broker.inner.sessions.queue(), &record, OWN_BYTES_MAX)?;
        self.messages.push(Places::One(target));
        Ok(self.messages.len() - 1)
    }

    /// Adds what a door writes down of a session, see [`Session::put_state`]; its number.
    pub fn push_state(&mut self, session: Session, state: Bytes) -> usize {
        self.states.push((session, state));
        self.messages.push(Places::One(Target::States));
        self.messages.len() - 1
    }

    /// Adds a message for stored queues, each with its topic and whether the message is `straight` for it: came by no
    /// exchange, but by the queue's name. `number`: that of the message, if there is more of it in the batch; returns it.
    pub(crate) fn push_for_queues(
        &mut self,
        broker: &Broker,
        message: &Message,
        (exchange, key): (&Bytes, &Bytes),
        queues: &[(&Arc<Queue>, &Arc<OpenTopic>, bool)],
        number: Option<usize>,
    ) -> Result<usize, ProduceError> {
        let now = broker.now();
        let record = message.to_record(None, now);
        let size = HEADER_BYTES + record.bytes_max() + NewMessage::queue_bytes_max(exchange, key);
        // Of all or of none.
        for (_, topic, _) in queues {
            let limit = topic.config.max_message_bytes;
            if size > limit {
                return Err(ProduceError::TooLarge { size, limit });
            }
        }
        let mut record = Some(record);
        let mut places = Places::default();
        for (left, (queue, topic, straight)) in queues.iter().enumerate().rev() {
            let more = if left > 0 { record.clone() } else { record.take() };
            let Some(mut record) = more else { continue };
            if !straight {
                record.mark_via(exchange, key);
            }
            if let Some(deadline) = queue.deadline(None, now) {
                record.mark_deadline(deadline);
            }
            queue.deadline(message.properties.expires_at, now);
            let partition = topic.partition_of(message.properties.priority, record.key.as_deref());
            let at = self.topic(topic);
            let Some((_, partitions)) = self.topics.get_mut(at) else { continue };
            let limit = topic.config.max_message_bytes;
            partitions.entry(partition).or_default().push(&record, limit)?;
            self.coming.extend(Coming::of(queue, 1));
            self.bytes += size;
            places.push(Target::Topic(at, partition));
        }
        Ok(self.add(places, number))
    }

    /// Adds where a message goes, which may be in the batch already; returns its number.
    fn add(&mut self, places: Places, number: Option<usize>) -> usize {
        match number.and_then(|number| Some((number, self.messages.get_mut(number)?))) {
            Some((number, known)) => {
                places.as_slice().iter().for_each(|target| known.push(*target));
                number
            }
            None => {
                self.messages.push(places);
                self.messages.len() - 1
            }
        }
    }

    /// Adds up to where topics were forwarded.
    pub(super) fn push_forwarded(&mut self, places: impl IntoIterator<Item = ForwardedTo>) {
        self.forwarded.extend(places);
        if !self.forwarded.is_empty() {
            self.messages.push(Places::One(Target::States));
        }
    }

    /// One record for many sessions.
    fn push_sessions(
        &mut self,
        broker: &Broker,
        route: &Route,
        message: &Message,
        sessions: &[u64],
        places: &mut Places,
    ) -> Result<(), ProduceError> {
        for sessions in sessions.chunks(SESSIONS_OF_RECORD) {
            let mut record = message.to_record(None, broker.now());
            record.key = Some(route.subject().bytes().clone());
            let list: Vec<u8> = sessions.iter().flat_map(|number| number.to_be_bytes()).collect();
            record.mark_sessions(list.into());
            places.push(self.push_own(broker.inner.sessions.queue(), &record, OWN_BYTES_MAX)?);
        }
        Ok(())
    }

    /// Adds a record for one of the broker's own logs; returns its place.
    fn push_own(
        &mut self,
        log: &Arc<Log>,
        record: &NewMessage,
        limit: usize,
    ) -> Result<Target, ProduceError> {
        let size = HEADER_BYTES + record.bytes_max();
        if size > limit {
            return Err(ProduceError::TooLarge { size, limit });
        }
        let mut known = self.logs.iter();
        let at = known.position(|(known, _)| Arc::ptr_eq(known, log)).unwrap_or_else(|| {
            self.logs.push((Arc::clone(log), Built::default()));
            self.logs.len() - 1
        });
        if let Some((_, built)) = self.logs.get_mut(at) {
            built.push(record, limit)?;
        }
        self.bytes += size;
        Ok(Target::Log(at))
    }

    /// Follows the message that was added last, whatever came of that.
    pub(crate) fn follow(
        &mut self,
        mut received: Received,
        outcome: &Result<Routed, ProduceError>,
    ) {
        received.routed(outcome);
        let number = outcome.as_ref().ok().and_then(|routed| routed.stored);
        let places = number.and_then(|number| self.messages.get(number));
        let storing = |target: &Target| {
            // It is the last of all that goes there, up to now.
            let storing = match *target {
                Target::Topic(at, partition) => {
                    let (topic, partitions) = self.topics.get(at)?;
                    let index = partitions.get(&partition)?.messages - 1;
                    received.store(topic, partition, index)
                }
                Target::Log(at) => received.store_own(self.logs.get(at)?.1.messages - 1),
                Target::States => None,
            };
            Some((*target, storing?))
        };
        let targets = places.map(Places::as_slice).unwrap_or_default();
        let storing: Vec<_> = targets.iter().filter_map(storing).collect();
        if !storing.is_empty() {
            self.followed.push((received, storing));
        }
    }

    fn topic(&mut self, topic: &Arc<OpenTopic>) -> usize {
        let mut topics = self.topics.iter();
        topics.position(|(known, _)| Arc::ptr_eq(known, topic)).unwrap_or_else(|| {
            self.topics.push((Arc::clone(topic), BTreeMap::new()));
            self.topics.len() - 1
        })
    }
}

/// Messages on their way to the disk.
#[derive(Debug)]
pub struct Storing {
    pending: Option<Pending>,
    /// Of each topic and partition, in the order of what was handed over: refused at once, or answered by the log.
    entries: Vec<(Target, Result<(), ProduceError>)>,
    messages: Vec<Places>,
    coming: Vec<Coming>,
    followed: Vec<(Received, Vec<(Target, followed::Storing)>)>,
}

impl Broker {
    /// Makes a message the last of its subject, or clears that where there is no payload. Put into the batch, for
    /// [`Broker::store`]: returns its number there.
    ///
    /// # Errors
    /// It is too large, or there are too many.
    pub fn retain(
        &self,
        route: &Route,
        message: &Message,
        batch: &mut Batch,
    ) -> Result<usize, ProduceError> {
        let retained = &self.inner.retained;
        let subject = route.subject();
        let mut record = message.to_record(Some(subject.bytes()), self.now());
        record.key = Some(subject.bytes().clone());
        if record.value.as_ref().is_none_or(Bytes::is_empty) {
            (record.value, record.headers) = (None, Vec::new());
        } else {
            retained.check_room(subject)?;
        }
        let target = batch.push_own(retained.log(), &record, RETAINED_BYTES_MAX)?;
        batch.messages.push(Places::One(target));
        Ok(batch.messages.len() - 1)
    }

    /// Hands the messages of a batch to the log. What two calls hand over is stored in the order in which they return.
    pub async fn store(&self, batch: Batch) -> Storing {
        let now = self.now();
        let retains = batch.logs.iter().any(|(log, _)| Arc::ptr_eq(log, self.inner.retained.log()));
        let mut entries = Vec::new();
        let mut appends = Vec::new();
        for (number, (topic, partitions)) in batch.topics.into_iter().enumerate() {
            for (partition, built) in partitions {
                let append = append(&topic, partition, built, now);
                let target = Target::Topic(number, partition);
                entries.push((target, append.map(|append| appends.push(append))));
            }
        }
        for (number, (log, built)) in batch.logs.into_iter().enumerate() {
            let append =
                built.finish(OWN_BYTES_MAX).map(|batches| Append { log, batches, epoch: 0 });
            entries.push((Target::Log(number), append.map(|append| appends.push(append))));
        }
        let (messages, coming, followed) = (batch.messages, batch.coming, batch.followed);
        if retains {
            self.follow_retained().await;
        }
        let sessions = &self.inner.sessions;
        // What is said of sessions must be in the log in the order in which it counts.
        let mut turn = None;
        if !batch.states.is_empty() || !batch.forwarded.is_empty() {
            turn = Some(sessions.turn().await);
            let states = batch.states.into_iter();
            let states = states.flat_map(|(session, state)| session.state_records(state));
            let forwarded = batch.forwarded.into_iter().map(forwarded_record);
            let records: Vec<_> = states.chain(forwarded).collect();
            let append = match records.is_empty() {
                // The session is gone.
                true => Err(AppendError::NotFound.into()),
                false => sessions.append_of(&records),
            };
            entries.push((Target::States, append.map(|append| appends.push(append))));
        }
        if appends.is_empty() {
            return Storing { pending: None, entries, messages, coming, followed };
        }
        let pending = self.inner.store.append(appends).await;
        drop(turn);
        let pending = pending.inspect_err(|error| {
            for (_, outcome) in entries.iter_mut().filter(|(_, outcome)| outcome.is_ok()) {
                *outcome = Err(error.clone().into());
            }
        });
        Storing { pending: pending.ok(), entries, messages, coming, followed }
    }
}

impl Storing {
    /// Waits until all are as durable as their topics ask for. One outcome a message, in their order: stored in every
    /// topic that keeps it, or what went wrong first.
    pub async fn done(self) -> Vec<Result<(), ProduceError>> {
        let (messages, outcomes) = self.outcomes().await;
        let outcome = |places: &Places| outcomes.failure(places).map_or(Ok(()), Err);
        messages.iter().map(outcome).collect()
    }

    /// Waits as [`Storing::done`] does. What is not stored: numbers in the batch, ascending, each with what went wrong
    /// first.
    pub async fn failures(self) -> Vec<(usize, ProduceError)> {
        let (messages, outcomes) = self.outcomes().await;
        let numbered = messages.iter().enumerate();
        numbered.filter_map(|(at, places)| Some((at, outcomes.failure(places)?))).collect()
    }

    async fn outcomes(self) -> (Vec<Places>, Outcomes) {
        let stored = match self.pending {
            Some(pending) => pending.await,
            None => Vec::new(),
        };
        // What was stored is counted as such from now on.
        drop(self.coming);
        let mut stored = stored.into_iter();
        let outcome = |(place, handed): (Target, Result<(), ProduceError>)| {
            let outcome = handed.and_then(|()| {
                let appended = stored.next().unwrap_or(Err(AppendError::Closed));
                Ok(appended.map(|appended| appended.base)?)
            });
            (place, outcome)
        };
        let outcomes = Outcomes(self.entries.into_iter().map(outcome).collect());
        for (mut received, storing) in self.followed {
            let tell =
                |(target, storing): &(Target, _)| received.stored(storing, outcomes.of(target));
            storing.iter().for_each(tell);
        }
        (self.messages, outcomes)
    }
}

/// What became of each place of a batch: its first offset.
struct Outcomes(BTreeMap<Target, Result<Offset, ProduceError>>);

impl Outcomes {
    fn of(&self, target: &Target) -> Result<Offset, ProduceError> {
        self.0.get(target).cloned().unwrap_or(Err(AppendError::Closed.into()))
    }

    /// What went wrong first with a message that goes to these.
    fn failure(&self, places: &Places) -> Option<ProduceError> {
        places.as_slice().iter().find_map(|target| match self.0.get(target) {
            Some(Ok(_)) => None,
            _ => self.of(target).err(),
        })
    }
}
