//! What topics keep, in the order of each partition, from where the client left off.

mod member;
mod start;

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Offset;
use broker::access::Operation;
use broker::store::ReadError;
use broker::{Broker, Fetch, FetchError, FetchLimits, Fetched, OpenTopic, Reader};
use tonic::Status;

use self::member::Member;
use self::start::Start;
use super::{Deliveries, Said, Told, Words, check_topics, hear, say_opened, told};
use crate::client::Caller;
use crate::limits::{READ_BYTES, READ_WAIT};
use crate::pb;
use crate::{map, records};

/// A topic's name, and a partition of it.
type Place = (String, i32);

pub(super) async fn run(
    caller: &Caller,
    asked: pb::Offsets,
    words: Words,
    outbox: Arc<Deliveries>,
) -> Result<(), Status> {
    let topics = check_topics(caller, "open.offsets.topics", &asked.topics)?;
    let names: Vec<_> = topics.iter().map(|topic| topic.topic.name.clone()).collect();
    let start = Start::new(asked.start)?;
    let member = match asked.subscription.is_empty() {
        true => None,
        false => {
            caller.check_group(Operation::Read, &asked.subscription)?;
            Some(Member::join(caller, &asked.subscription, &names).await?)
        }
    };
    let mut reading = Reading {
        broker: caller.broker().clone(),
        names,
        start,
        reader: Reader::default(),
        slots: BTreeMap::new(),
        places: Vec::new(),
    };
    // Where it begins is settled before anybody relies on it.
    reading.follow(member.as_ref(), &outbox).await?;
    say_opened(&outbox);
    let hearing =
        hear(caller, words, &outbox, |said| commit(caller, member.as_ref(), &outbox, said));
    tokio::select! {
        heard = hearing => heard,
        over = fill(&mut reading, member.as_ref(), &outbox) => over,
    }
}

/// What is read, and where.
struct Reading {
    broker: Broker,
    /// Of topics.
    names: Vec<String>,
    start: Start,
    reader: Reader,
    /// Partitions by their slots in the reader.
    slots: BTreeMap<Place, usize>,
    /// The same the other way round; a slot that was given up is used again.
    places: Vec<Option<Reads>>,
}

/// A partition that is read.
#[derive(Clone)]
struct Reads {
    topic: Arc<OpenTopic>,
    partition: i32,
    next: Offset,
}

impl Reading {
    /// Reads what is to be read now: partitions come with topics that grow, and with members who go.
    async fn follow(&mut self, member: Option<&Member>, outbox: &Deliveries) -> Result<(), Status> {
        let wanted = match member {
            Some(member) => member.assigned(),
            None => self.every_partition()?,
        };
        let gone: Vec<_> =
            self.slots.keys().filter(|place| !wanted.contains_key(place)).cloned().collect();
        let is_new = wanted.keys().any(|place| !self.slots.contains_key(place));
        if gone.is_empty() && !is_new {
            return Ok(());
        }
        for place in gone {
            let Some(slot) = self.slots.remove(&place) else { continue };
            self.reader.remove(slot);
            if let Some(place) = self.places.get_mut(slot) {
                *place = None;
            }
        }
        for ((name, partition), topic) in wanted {
            if self.slots.contains_key(&(name.clone(), partition)) {
                continue;
            }
            let committed = match member {
                Some(member) => member.committed(&self.broker, &name, partition)?,
                None => None,
            };
            let next = match committed {
                Some(offset) => offset,
                None => self.start.find(&self.broker, &topic, partition).await?,
            };
            self.add(name, Reads { topic, partition, next });
        }
        if member.is_some() {
            let positions = self.places.iter().flatten().map(Reads::position).collect();
            outbox.control(told(Told::Assigned(pb::Assigned { positions })));
        }
        Ok(())
    }

    fn every_partition(&self) -> Result<BTreeMap<Place, Arc<OpenTopic>>, Status> {
        let mut all = BTreeMap::new();
        for name in &self.names {
            let topic = super::topic(&self.broker, name)?;
            for partition in (0..).take(topic.topic.partitions.len()) {
                all.insert((name.clone(), partition), Arc::clone(&topic));
            }
        }
        Ok(all)
    }

    fn add(&mut self, name: String, reads: Reads) {
        let free = self.places.iter().position(Option::is_none);
        let slot = free.unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.slots.insert((name, reads.partition), slot);
        self.reader.set(slot, reads.fetch());
        if let Some(place) = self.places.get_mut(slot) {
            *place = Some(reads);
        }
    }

    /// Takes what was read of a partition, as far as there is credit, and goes on behind it.
    fn take(
        &mut self,
        slot: usize,
        outcome: Result<Fetched, FetchError>,
        outbox: &Deliveries,
    ) -> Result<(), Status> {
        let Some(Some(reads)) = self.places.get_mut(slot) else { return Ok(()) };
        let before = reads.next;
        match outcome {
            Ok(fetched) => {
                let found =
                    records::read(&reads.topic, &fetched.read, &fetched.aborted, reads.next)?;
                reads.next = deliver(reads, found, outbox);
            }
            // What was to be read was deleted; the rest is there.
            Err(FetchError::Read(ReadError::OutOfRange { start, end, .. })) => {
                reads.next = if reads.next < start { start } else { end };
            }
            Err(FetchError::Read(ReadError::Damaged { from, to })) => {
                let topic = &reads.topic.topic.name;
                tracing::warn!(topic, from, to, "damaged records are passed over");
                reads.next = to;
            }
            // It was deleted, and is looked for again with the next change.
            Err(FetchError::NoPartition) => return Ok(()),
            Err(error) => {
                return Err(map::refusal(map::code(error.kind()), "READ", error.to_string()));
            }
        }
        if reads.next != before {
            let fetch = reads.fetch();
            self.reader.set(slot, fetch);
        }
        Ok(())
    }
}

impl Reads {
    fn fetch(&self) -> Fetch {
        let (topic, partition) = (Arc::clone(&self.topic), self.partition);
        Fetch { topic, partition, offset: self.next, max_bytes: READ_BYTES }
    }

    fn position(&self) -> pb::Position {
        let topic = self.topic.topic.name.clone();
        pb::Position { topic, partition: self.partition, offset: self.next }
    }
}

/// Delivers what there is credit for; the next offset to read.
fn deliver(reads: &Reads, found: records::Found, outbox: &Deliveries) -> Offset {
    let mut left = outbox.free();
    for kept in found.messages {
        if left == 0 {
            return kept.offset;
        }
        left -= 1;
        let place = pb::Place {
            topic: reads.topic.topic.name.clone(),
            partition: reads.partition,
            offset: kept.offset,
        };
        let message = Some(kept.message);
        let delivery = pb::Delivery { message, id: 0, place: Some(place), redeliveries: 0 };
        outbox.push_anyway(delivery, kept.bytes);
    }
    found.next
}

/// Reads as long as there is credit.
async fn fill(
    reading: &mut Reading,
    member: Option<&Member>,
    outbox: &Deliveries,
) -> Result<(), Status> {
    let limits =
        FetchLimits { min_bytes: 1, max_wait: READ_WAIT, max_bytes: READ_BYTES, committed: true };
    loop {
        if let Some(member) = member {
            member.beat().await?;
        }
        reading.follow(member, outbox).await?;
        if outbox.free() == 0 || reading.slots.is_empty() {
            let _elapsed = tokio::time::timeout(READ_WAIT, outbox.until_room()).await;
            continue;
        }
        let broker = reading.broker.clone();
        for (slot, outcome) in broker.read(&mut reading.reader, limits).await {
            if outbox.free() == 0 {
                break;
            }
            reading.take(slot, outcome, outbox)?;
        }
        outbox.wake();
    }
}

/// Moves committed positions.
async fn commit(
    caller: &Caller,
    member: Option<&Member>,
    outbox: &Deliveries,
    said: Said,
) -> Result<(), Status> {
    let Said::Commit(pb::Commit { positions, confirm }) = said else {
        return Err(map::invalid("settle", "of offsets, positions are committed"));
    };
    let Some(member) = member else {
        return Err(map::invalid("commit", "the subscription has no name to commit under"));
    };
    let failures = member.commit(caller.broker(), positions).await?;
    if confirm > 0 {
        outbox.control(told(Told::Committed(pb::Confirmed { confirm, failures })));
    }
    Ok(())
}
