//! A member of a consumer group: its partitions are divided among all members, those of other protocols too (KIP-848).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Offset, TopicId};
use broker::queue::consumer_group::{
    Heartbeat, HeartbeatRequest, JOIN_EPOCH, LEAVE_EPOCH, Partitions, Timing,
};
use broker::queue::offsets::{CommitRequest, OffsetCommit};
use broker::queue::{GroupError, Name};
use broker::{Broker, OpenTopic};
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::Status;

use super::Place;
use crate::client::Caller;
use crate::limits::READ_WAIT;
use crate::map;
use crate::pb;

/// How long a member may take to give partitions back, in milliseconds. It does so at once.
const REBALANCE_TIMEOUT: i64 = 30_000;

/// A member. Dropping it leaves the group.
pub(super) struct Member {
    caller: Caller,
    group: Name,
    id: Name,
    topics: Vec<Name>,
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
struct State {
    epoch: i32,
    assigned: Partitions,
    /// What the group was told that the member has.
    told: Partitions,
    beat_at: Instant,
}

impl Member {
    /// Joins.
    ///
    /// # Errors
    /// The group is one of another kind, or full.
    pub(super) async fn join(
        caller: &Caller,
        group: &str,
        topics: &[String],
    ) -> Result<Self, Status> {
        let random = &caller.broker().options().random;
        let now = Instant::now();
        let (assigned, told) = (Partitions::new(), Partitions::new());
        let member = Self {
            caller: caller.clone(),
            group: group.into(),
            id: format!("{:032x}", random.next_u128()).into(),
            topics: topics.iter().map(|topic| topic.as_str().into()).collect(),
            state: Mutex::new(State { epoch: JOIN_EPOCH, assigned, told, beat_at: now }),
        };
        member.beat().await?;
        Ok(member)
    }

    /// Says that it lives, if it is time to; hears what its partitions are.
    ///
    /// # Errors
    /// It is not a member any more, and cannot become one.
    pub(super) async fn beat(&self) -> Result<(), Status> {
        loop {
            let state = self.state.lock().clone();
            // What it gave up others wait for.
            let has_news = state.assigned != state.told;
            if state.epoch != JOIN_EPOCH && !has_news && Instant::now() < state.beat_at {
                return Ok(());
            }
            let request = self.request(state.epoch, &state.assigned);
            match self.caller.broker().groups().consumer_heartbeat(request).await {
                Ok(heartbeat) => self.heard(heartbeat, state.assigned),
                Err(GroupError::UnknownMember | GroupError::FencedEpoch)
                    if state.epoch != JOIN_EPOCH =>
                {
                    // As if it had just come.
                    let (assigned, told) = (Partitions::new(), Partitions::new());
                    let beat_at = Instant::now();
                    *self.state.lock() = State { epoch: JOIN_EPOCH, assigned, told, beat_at };
                }
                Err(error) => return Err(self.error(error)),
            }
        }
    }

    fn heard(&self, heartbeat: Heartbeat, told: Partitions) {
        let interval = Duration::from_millis(heartbeat.interval.unsigned_abs());
        let mut state = self.state.lock();
        state.epoch = heartbeat.epoch;
        state.told = told;
        // Sooner than members elsewhere: who is here costs little, and waits for partitions.
        state.beat_at = Instant::now() + interval.min(READ_WAIT);
        if let Some(assignment) = heartbeat.assignment {
            state.assigned = assignment;
        }
    }

    fn request(&self, epoch: i32, owned: &Partitions) -> HeartbeatRequest {
        let config = self.caller.broker().group_config(&self.group);
        let joins = epoch == JOIN_EPOCH;
        HeartbeatRequest {
            group: self.group.clone(),
            member_id: self.id.clone(),
            epoch,
            instance_id: None,
            rack: None,
            client_id: "grpc".into(),
            client_host: Arc::clone(&self.caller.client.host),
            rebalance_timeout: joins.then_some(REBALANCE_TIMEOUT),
            topics: joins.then(|| self.topics.clone()),
            pattern: None,
            assignor: None,
            owned: (epoch != LEAVE_EPOCH).then(|| owned.clone()),
            timing: Some(Timing {
                session: config.consumer_session,
                interval: config.consumer_heartbeat,
            }),
            sight: self.caller.actor.sight(),
        }
    }

    fn error(&self, error: GroupError) -> Status {
        match error {
            // Here only a group of another kind is not found.
            GroupError::NotFound => map::group_error(GroupError::InconsistentProtocol, &self.group),
            error => map::group_error(error, &self.group),
        }
    }

    /// Its partitions.
    pub(super) fn assigned(&self) -> BTreeMap<Place, Arc<OpenTopic>> {
        let open = |(topic, partition): &(TopicId, i32)| {
            let topic = self.caller.broker().topic_by_id(*topic)?;
            Some(((topic.topic.name.clone(), *partition), topic))
        };
        self.state.lock().assigned.iter().filter_map(open).collect()
    }

    /// What is committed of a partition.
    ///
    /// # Errors
    /// The groups are not there yet.
    pub(super) fn committed(
        &self,
        broker: &Broker,
        topic: &str,
        partition: i32,
    ) -> Result<Option<Offset>, Status> {
        let found = broker.groups().committed(&self.group, &[(topic, partition)]);
        let found = found.map_err(|error| map::group_error(error, &self.group))?;
        Ok(found.into_iter().next().flatten().map(|committed| committed.offset))
    }

    /// Commits positions, durably; those that were not: others have the partition by now.
    ///
    /// # Errors
    /// None could be.
    pub(super) async fn commit(
        &self,
        broker: &Broker,
        positions: Vec<pb::Position>,
    ) -> Result<Vec<String>, Status> {
        let assigned = self.assigned();
        let mut last = BTreeMap::new();
        for pb::Position { topic, partition, offset } in positions {
            if offset < 0 {
                return Err(map::invalid("commit.positions.offset", "is not negative"));
            }
            last.insert((topic, partition), offset);
        }
        let mut failures = Vec::new();
        last.retain(|place, _| {
            let is_ours = assigned.contains_key(place);
            if !is_ours {
                failures.push(format!("{}:{}", place.0, place.1));
            }
            is_ours
        });
        if last.is_empty() {
            return Ok(failures);
        }
        let offsets = last.iter().map(|((topic, partition), offset)| OffsetCommit {
            topic: topic.as_str().into(),
            partition: *partition,
            offset: *offset,
            leader_epoch: -1,
            note: "".into(),
        });
        let request = CommitRequest {
            group: self.group.clone(),
            member_id: self.id.clone(),
            instance_id: None,
            generation: self.state.lock().epoch,
            retention: None,
            offsets: offsets.collect(),
        };
        let outcomes = broker.groups().commit(request).await.map_err(|error| self.error(error))?;
        let failed = last.keys().zip(outcomes).filter(|(_, outcome)| outcome.is_err());
        failures.extend(failed.map(|((topic, partition), _)| format!("{topic}:{partition}")));
        Ok(failures)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let request = self.request(LEAVE_EPOCH, &Partitions::new());
        let broker = self.caller.broker().clone();
        // The broker may be stopping; then nobody is a member any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = broker.groups().consumer_heartbeat(request).await {
                tracing::debug!(%error, "a member of a subscription is gone already");
            }
        });
    }
}
