//! What topics keep, each message to one of all that share a subscription, who settles it in time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base::{Offset, TopicId};
use broker::access::Operation;
use broker::queue::consumer_group::{JOIN_EPOCH, LEAVE_EPOCH, Partitions};
use broker::queue::share_group::ShareHeartbeatRequest;
use broker::queue::shared::{Acknowledgement, Disposition, Take};
use broker::queue::{GroupError, Name};
use broker::{Broker, Settle, SharedPartition, TakeLimits, Taken};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::{Deliveries, Said, Told, check_topics, hear, say_opened, told};
use crate::client::Caller;
use crate::limits::{READ_BYTES, READ_WAIT, TAKE_RECORDS_MAX, UNSETTLED_MAX};
use crate::pb;
use crate::{map, records};

pub(super) async fn run(
    caller: &Caller,
    asked: pb::Shared,
    words: Streaming<pb::SubscribeRequest>,
    outbox: Arc<Deliveries>,
) -> Result<(), Status> {
    caller.check_group(Operation::Read, &asked.subscription)?;
    let topics = check_topics(caller, "open.shared.topics", &asked.topics)?;
    let broker = caller.broker();
    let names = topics.iter().map(|topic| topic.topic.name.as_str().into()).collect();
    let member = Member {
        broker: broker.clone(),
        subscription: asked.subscription.as_str().into(),
        id: format!("{:032x}", broker.options().random.next_u128()).into(),
        host: Arc::clone(&caller.client.host),
    };
    let (epoch, assigned) = member.heartbeat(JOIN_EPOCH, Some(names))?;
    let (assign, assignment) = watch::channel(assigned.unwrap_or_default());
    let held = Held::default();
    say_opened(&outbox);
    let hearing = hear(caller, Some(words), &outbox, |said| settle(&member, &held, &outbox, said));
    tokio::select! {
        heard = hearing => heard,
        over = member.live(epoch, &assign) => over,
        over = fill(&member, &held, &outbox, assignment) => over,
    }
}

/// A member of the group. Dropping it leaves the group, and gives back what it has.
struct Member {
    broker: Broker,
    subscription: Name,
    id: Name,
    host: Arc<str>,
}

impl Member {
    fn heartbeat(
        &self,
        epoch: i32,
        topics: Option<Vec<Name>>,
    ) -> Result<(i32, Option<Partitions>), Status> {
        let heartbeat = self.broker.groups().share_heartbeat(self.request(epoch, topics));
        let answer = heartbeat.map_err(|error| self.error(error))?;
        Ok((answer.epoch, answer.assignment))
    }

    fn request(&self, epoch: i32, topics: Option<Vec<Name>>) -> ShareHeartbeatRequest {
        ShareHeartbeatRequest {
            group: self.subscription.clone(),
            member_id: self.id.clone(),
            epoch,
            rack: None,
            client_id: "grpc".into(),
            client_host: Arc::clone(&self.host),
            topics,
            session: self.broker.group_config(&self.subscription).share_session,
            members_max: self.broker.options().share_members_max,
        }
    }

    /// Until when what is taken now is this member's.
    fn until(&self) -> Instant {
        let lease = self.broker.group_config(&self.subscription).terms.lease;
        Instant::now() + Duration::from_millis(lease.unsigned_abs())
    }

    fn error(&self, error: GroupError) -> Status {
        match error {
            // Here only a group of another kind is not found.
            GroupError::NotFound => {
                map::group_error(GroupError::InconsistentProtocol, &self.subscription)
            }
            error => map::group_error(error, &self.subscription),
        }
    }

    /// Stays a member, and hears which partitions to look at.
    async fn live(&self, mut epoch: i32, assign: &watch::Sender<Partitions>) -> Result<(), Status> {
        loop {
            let interval = self.broker.group_config(&self.subscription).share_heartbeat;
            // Sooner than members elsewhere: who is here costs nothing, and waits for partitions.
            let interval = Duration::from_millis(interval.unsigned_abs()).min(READ_WAIT);
            tokio::time::sleep(interval).await;
            let (now, assigned) = self.heartbeat(epoch, None)?;
            epoch = now;
            if let Some(assigned) = assigned {
                assign.send_replace(assigned);
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // The broker may be stopping; then nobody is a member any more.
        let left = self.broker.groups().share_heartbeat(self.request(LEAVE_EPOCH, None));
        if let Err(error) = left {
            tracing::debug!(%error, "a member of a shared subscription is gone already");
        }
        self.broker.groups().give_back(&self.subscription, &self.id, true);
    }
}

/// What is delivered and not settled.
#[derive(Default)]
struct Held(Mutex<HeldState>);

#[derive(Default)]
struct HeldState {
    last: u64,
    places: HashMap<u64, Place>,
}

/// A record that the client has.
#[derive(Debug, Clone, Copy)]
struct Place {
    topic: TopicId,
    partition: i32,
    at: Offset,
    /// From then on somebody else may have it.
    until: Instant,
}

impl Held {
    /// How many more may be delivered. What was not settled in time is forgotten.
    fn room(&self) -> usize {
        let most = usize::try_from(UNSETTLED_MAX).unwrap_or(usize::MAX);
        let mut state = self.0.lock();
        if state.places.len() >= most {
            let now = Instant::now();
            state.places.retain(|_, place| place.until > now);
        }
        most.saturating_sub(state.places.len())
    }

    fn add(&self, place: Place) -> u64 {
        let mut state = self.0.lock();
        state.last += 1;
        let id = state.last;
        state.places.insert(id, place);
        id
    }

    /// The place of a record of which something is said: it is not held any more, unless it is extended.
    fn take(&self, id: u64, extended: Option<Instant>) -> Option<Place> {
        let mut state = self.0.lock();
        let Some(until) = extended else { return state.places.remove(&id) };
        let place = state.places.get_mut(&id)?;
        place.until = until;
        Some(*place)
    }
}

/// Takes records as long as there is credit.
async fn fill(
    member: &Member,
    held: &Held,
    outbox: &Deliveries,
    assignment: watch::Receiver<Partitions>,
) -> Result<(), Status> {
    let mut turn = 0;
    loop {
        let records_max = outbox.free().min(held.room()).min(TAKE_RECORDS_MAX);
        let mut partitions = partitions(&member.broker, &assignment.borrow());
        if records_max == 0 || partitions.is_empty() {
            // Also looked at from time to time: partitions come, and what is settled makes room.
            let _elapsed = tokio::time::timeout(READ_WAIT, outbox.until_room()).await;
            continue;
        }
        // Each is first in turn.
        let count = partitions.len();
        partitions.rotate_left(turn % count);
        turn = turn.wrapping_add(1);
        let limits = TakeLimits {
            min_bytes: 1,
            max_wait: READ_WAIT,
            max_bytes: READ_BYTES,
            take: Take { records_max, strict: true },
            piece: usize::MAX,
        };
        let (subscription, id) = (&member.subscription, &member.id);
        let outcomes = member.broker.take(subscription, id, &partitions, limits).await;
        for (partition, outcome) in partitions.iter().zip(outcomes) {
            match outcome {
                Ok(taken) => deliver(member, partition, &taken, (held, outbox))?,
                // It was deleted; the next heartbeat says so.
                Err(error) if error.kind() == base::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(map::refusal(map::code(error.kind()), "TAKE", error.to_string()));
                }
            }
        }
    }
}

fn partitions(broker: &Broker, assigned: &Partitions) -> Vec<SharedPartition> {
    let open = |(topic, partition): &(TopicId, i32)| {
        let topic = broker.topic_by_id(*topic)?;
        Some(SharedPartition { topic, partition: *partition })
    };
    assigned.iter().filter_map(open).collect()
}

fn deliver(
    member: &Member,
    from: &SharedPartition,
    taken: &Taken,
    (held, outbox): (&Held, &Deliveries),
) -> Result<(), Status> {
    let SharedPartition { topic, partition } = from;
    let until = member.until();
    for batch in &taken.batches {
        for kept in records::read_batch(topic, batch, 0)?.messages {
            let at = kept.offset;
            let run = taken.acquired.iter().find(|run| (run.first..=run.last).contains(&at));
            let Some(run) = run else { continue };
            let place = Place { topic: topic.topic.id, partition: *partition, at, until };
            let id = held.add(place);
            let name = topic.topic.name.clone();
            let delivery = pb::Delivery {
                message: Some(kept.message),
                id,
                place: Some(pb::Place { topic: name, partition: *partition, offset: at }),
                redeliveries: u32::from(run.deliveries.saturating_sub(1)),
            };
            // What was acquired is delivered in any case: it is bounded by what was asked for.
            outbox.push_anyway(delivery, kept.bytes);
        }
    }
    outbox.wake();
    Ok(())
}

/// Settles records; what is not held (any more) is told of, if anything is to be told.
async fn settle(
    member: &Member,
    held: &Held,
    outbox: &Deliveries,
    said: Said,
) -> Result<(), Status> {
    let Said::Settle(pb::Settle { settlements, confirm }) = said else {
        return Err(map::invalid("commit", "a shared subscription has no positions to commit"));
    };
    let mut failures = Vec::new();
    let mut said: BTreeMap<(TopicId, i32), BTreeMap<Offset, (u64, Disposition)>> = BTreeMap::new();
    for one in settlements {
        let disposition = disposition(&one)?;
        let extended = (disposition == Disposition::Renew).then(|| member.until());
        for id in one.ids {
            match held.take(id, extended) {
                Some(Place { topic, partition, at, .. }) => {
                    said.entry((topic, partition)).or_default().insert(at, (id, disposition));
                }
                None => failures.push(id.to_string()),
            }
        }
    }
    let of = said.iter().map(|((topic, partition), offsets)| Settle {
        topic: *topic,
        partition: *partition,
        acknowledgements: runs(offsets),
    });
    let outcomes = member.broker.settle(&member.subscription, &member.id, of.collect()).await;
    for (offsets, outcome) in said.values().zip(outcomes) {
        if outcome.is_err() {
            failures.extend(offsets.values().map(|(id, _)| id.to_string()));
        }
    }
    if confirm > 0 {
        outbox.control(told(Told::Settled(pb::Confirmed { confirm, failures })));
    }
    Ok(())
}

/// Offsets that follow each other, and of which the same is said, as one.
fn runs(offsets: &BTreeMap<Offset, (u64, Disposition)>) -> Vec<Acknowledgement> {
    let mut runs: Vec<Acknowledgement> = Vec::new();
    for (at, (_, disposition)) in offsets {
        match runs.last_mut() {
            Some(run) if run.last + 1 == *at && run.disposition == *disposition => run.last = *at,
            _ => runs.push(Acknowledgement { first: *at, last: *at, disposition: *disposition }),
        }
    }
    runs
}

fn disposition(one: &pb::Settlement) -> Result<Disposition, Status> {
    if one.delay_ms > 0 {
        let why = "what topics keep comes again at once";
        return Err(map::invalid("settle.settlements.delay_ms", why));
    }
    Ok(match one.action() {
        pb::Action::Accept => Disposition::Accept,
        pb::Action::Return => Disposition::Release,
        pb::Action::Reject => Disposition::Reject,
        pb::Action::Extend => Disposition::Renew,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_neighbours_is_said_at_once() {
        use Disposition::{Accept, Reject};
        let offsets = [(3, Accept), (4, Accept), (5, Reject), (7, Reject), (8, Reject)];
        let offsets = offsets.map(|(at, said)| (at, (0, said))).into();
        let run = |first, last, disposition| Acknowledgement { first, last, disposition };
        assert_eq!(runs(&offsets), [run(3, 4, Accept), run(5, 5, Reject), run(7, 8, Reject)]);
        assert!(runs(&BTreeMap::new()).is_empty());
    }
}
