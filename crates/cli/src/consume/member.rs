//! Membership of a consumer group, by the classic protocol: join, be given partitions, keep in
//! touch, commit, leave.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use door_kafka::wire::messages::consumer_protocol_assignment::TopicPartition;
use door_kafka::wire::messages::join_group_request::JoinGroupRequestProtocol;
use door_kafka::wire::messages::join_group_response::JoinGroupResponseMember;
use door_kafka::wire::messages::leave_group_request::MemberIdentity;
use door_kafka::wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use door_kafka::wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use door_kafka::wire::messages::sync_group_request::SyncGroupRequestAssignment;
use door_kafka::wire::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest,
    SyncGroupRequest,
};
use door_kafka::wire::{ErrorCode, decode_versioned, encode_versioned};

use super::Positions;
use crate::client::{Client, ClientError, NEWEST};

const PROTOCOL_TYPE: &str = "consumer";
/// The one assignor that every client knows.
const RANGE: &str = "range";
/// The subscription and assignment version that every client reads.
const PLAIN: i16 = 0;
const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 30_000;
const HEARTBEAT: Duration = Duration::from_secs(3);
/// Joining waits for members that are busy, for as long as they said that they may be.
const JOIN_PATIENCE: Duration = Duration::from_secs(300);
/// Versions of the offset requests from 10 on name topics by id.
const BY_NAME: i16 = 9;

/// What the group gave us.
pub(crate) struct Joined {
    pub(crate) partitions: Vec<i32>,
    /// The group's offsets of them, where it has any.
    pub(crate) committed: Positions,
}

/// Our membership.
pub(crate) struct Member {
    group: String,
    topic: String,
    coordinator: i32,
    id: String,
    generation: i32,
    last_heartbeat: Instant,
    committed: Positions,
}

impl Member {
    pub(crate) fn new(client: &mut Client, group: &str, topic: &str) -> Result<Self, ClientError> {
        Ok(Self {
            coordinator: client.coordinator(group)?,
            group: group.to_owned(),
            topic: topic.to_owned(),
            id: String::new(),
            generation: -1,
            last_heartbeat: Instant::now(),
            committed: Positions::new(),
        })
    }

    /// Joins, or joins again, until the group is settled.
    pub(crate) fn join(&mut self, client: &mut Client) -> Result<Joined, ClientError> {
        let deadline = Instant::now() + JOIN_PATIENCE;
        loop {
            let partitions = match self.join_once(client) {
                Ok(partitions) => partitions,
                Err(error) if self.may_try_again(client, &error)? && Instant::now() < deadline => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.last_heartbeat = Instant::now();
            self.committed = self.fetch_committed(client, &partitions)?;
            return Ok(Joined { partitions, committed: self.committed.clone() });
        }
    }

    /// Prepares for another attempt, where the error allows one.
    fn may_try_again(
        &mut self,
        client: &mut Client,
        error: &ClientError,
    ) -> Result<bool, ClientError> {
        if error.is(ErrorCode::UnknownMemberId) || error.is(ErrorCode::IllegalGeneration) {
            self.id.clear();
        } else if error.is(ErrorCode::NotCoordinator)
            || error.is(ErrorCode::CoordinatorNotAvailable)
        {
            self.coordinator = client.coordinator(&self.group)?;
        } else if error.is(ErrorCode::CoordinatorLoadInProgress) {
            std::thread::sleep(Duration::from_millis(100));
        } else if !error.is(ErrorCode::RebalanceInProgress)
            && !error.is(ErrorCode::MemberIdRequired)
        {
            return Ok(false);
        }
        Ok(true)
    }

    fn subject(&self) -> String {
        format!("group {}", self.group)
    }

    fn join_once(&mut self, client: &mut Client) -> Result<Vec<i32>, ClientError> {
        let subscription = ConsumerProtocolSubscription {
            topics: vec![self.topic.clone()],
            ..ConsumerProtocolSubscription::default()
        };
        let request = JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            member_id: self.id.clone(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            protocols: vec![JoinGroupRequestProtocol {
                name: RANGE.to_owned(),
                metadata: encode(&subscription)?,
            }],
            ..JoinGroupRequest::default()
        };
        let joined = client.call_patiently(self.coordinator, &request, JOIN_PATIENCE)?;
        // With MEMBER_ID_REQUIRED the id to come back with is in the refusal (KIP-394).
        if !joined.member_id.is_empty() {
            self.id.clone_from(&joined.member_id);
        }
        ClientError::check(self.subject(), joined.error_code, None)?;
        self.generation = joined.generation_id;
        self.sync(client, &joined)
    }

    fn sync(
        &mut self,
        client: &mut Client,
        joined: &JoinGroupResponse,
    ) -> Result<Vec<i32>, ClientError> {
        let leads = joined.leader == joined.member_id && !joined.skip_assignment;
        let request = SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol_name: joined.protocol_name.clone(),
            assignments: if leads { assign(client, &joined.members)? } else { Vec::new() },
            ..SyncGroupRequest::default()
        };
        let response = client.call_patiently(self.coordinator, &request, JOIN_PATIENCE)?;
        ClientError::check(self.subject(), response.error_code, None)?;
        if response.assignment.is_empty() {
            return Ok(Vec::new());
        }
        let (_, assignment) = decode_versioned::<ConsumerProtocolAssignment>(response.assignment)
            .map_err(|error| ClientError::Garbage {
            address: self.subject(),
            request: "SyncGroup",
            why: error.to_string(),
        })?;
        let ours = assignment.assigned_partitions.into_iter().filter(|t| t.topic == self.topic);
        Ok(ours.flat_map(|topic| topic.partitions).collect())
    }

    fn fetch_committed(
        &self,
        client: &mut Client,
        partitions: &[i32],
    ) -> Result<Positions, ClientError> {
        let request = OffsetFetchRequest {
            group_id: self.group.clone(),
            topics: Some(vec![OffsetFetchRequestTopic {
                name: self.topic.clone(),
                partition_indexes: partitions.to_vec(),
            }]),
            groups: vec![OffsetFetchRequestGroup {
                group_id: self.group.clone(),
                topics: Some(vec![OffsetFetchRequestTopics {
                    name: self.topic.clone(),
                    partition_indexes: partitions.to_vec(),
                    ..OffsetFetchRequestTopics::default()
                }]),
                ..OffsetFetchRequestGroup::default()
            }],
            require_stable: false,
        };
        let response = client.call_on(self.coordinator, &request, BY_NAME)?;
        ClientError::check(self.subject(), response.error_code, None)?;
        let mut committed = Positions::new();
        for partition in response.topics.into_iter().flat_map(|topic| topic.partitions) {
            ClientError::check(self.subject(), partition.error_code, None)?;
            committed.insert(partition.partition_index, partition.committed_offset);
        }
        for group in response.groups {
            ClientError::check(self.subject(), group.error_code, None)?;
            for partition in group.topics.into_iter().flat_map(|topic| topic.partitions) {
                ClientError::check(self.subject(), partition.error_code, None)?;
                committed.insert(partition.partition_index, partition.committed_offset);
            }
        }
        committed.retain(|_, offset| *offset >= 0);
        Ok(committed)
    }

    /// Commits positions that moved. `false`: the group is rebalancing, join again.
    pub(crate) fn commit(
        &mut self,
        client: &mut Client,
        positions: &Positions,
    ) -> Result<bool, ClientError> {
        let moved: Vec<_> = positions
            .iter()
            .filter(|(partition, offset)| self.committed.get(partition) != Some(offset))
            .map(|(partition, offset)| OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                ..OffsetCommitRequestPartition::default()
            })
            .collect();
        if moved.is_empty() {
            return Ok(true);
        }
        let request = OffsetCommitRequest {
            group_id: self.group.clone(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.id.clone(),
            topics: vec![OffsetCommitRequestTopic {
                name: self.topic.clone(),
                partitions: moved,
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        };
        let response = client.call_on(self.coordinator, &request, BY_NAME)?;
        for partition in response.topics.into_iter().flat_map(|topic| topic.partitions) {
            if !self.still_member(client, partition.error_code)? {
                return Ok(false);
            }
        }
        self.committed.clone_from(positions);
        Ok(true)
    }

    /// Tells the group that we are alive, if it is time to. `false`: join again.
    pub(crate) fn heartbeat(&mut self, client: &mut Client) -> Result<bool, ClientError> {
        if self.last_heartbeat.elapsed() < HEARTBEAT {
            return Ok(true);
        }
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            ..HeartbeatRequest::default()
        };
        let response = client.call_on(self.coordinator, &request, NEWEST)?;
        self.last_heartbeat = Instant::now();
        self.still_member(client, response.error_code)
    }

    fn still_member(&mut self, client: &mut Client, code: i16) -> Result<bool, ClientError> {
        match ClientError::check(self.subject(), code, None) {
            Ok(()) => Ok(true),
            Err(error) if self.may_try_again(client, &error)? => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Leaves, so that the others need not wait for our session to end.
    pub(crate) fn leave(&self, client: &mut Client) -> Result<(), ClientError> {
        let request = LeaveGroupRequest {
            group_id: self.group.clone(),
            member_id: self.id.clone(),
            members: vec![MemberIdentity {
                member_id: self.id.clone(),
                ..MemberIdentity::default()
            }],
        };
        let response = client.call_on(self.coordinator, &request, NEWEST)?;
        ClientError::check(self.subject(), response.error_code, None)
    }
}

/// Gives each member a range of the partitions of each topic that it reads: members in the order
/// of their ids, the first ones get one more if the numbers do not divide.
fn assign(
    client: &mut Client,
    members: &[JoinGroupResponseMember],
) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
    let mut readers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for member in members {
        let subscription =
            decode_versioned::<ConsumerProtocolSubscription>(member.metadata.clone());
        let topics = subscription.map(|(_, subscription)| subscription.topics).unwrap_or_default();
        for topic in topics {
            readers.entry(topic).or_default().push(&member.member_id);
        }
    }
    let mut given: BTreeMap<&str, Vec<TopicPartition>> = BTreeMap::new();
    for (topic, mut ids) in readers {
        ids.sort_unstable();
        // A topic that is not there yet has no partitions to give.
        let found = match client.topic(&topic, false) {
            Ok(found) => found,
            Err(error) if error.is(ErrorCode::UnknownTopicOrPartition) => continue,
            Err(error) => return Err(error),
        };
        let partitions: Vec<i32> = found.partitions.iter().map(|p| p.partition_index).collect();
        for (id, range) in ids.iter().zip(ranges(&partitions, ids.len())) {
            let share = TopicPartition { topic: topic.clone(), partitions: range.to_vec() };
            given.entry(id).or_default().push(share);
        }
    }
    members
        .iter()
        .map(|member| {
            let assignment = ConsumerProtocolAssignment {
                assigned_partitions: given.remove(member.member_id.as_str()).unwrap_or_default(),
                ..ConsumerProtocolAssignment::default()
            };
            Ok(SyncGroupRequestAssignment {
                member_id: member.member_id.clone(),
                assignment: encode(&assignment)?,
            })
        })
        .collect()
}

/// Cuts a list into `count` ranges whose lengths differ by one at most, the longer ones first.
fn ranges(all: &[i32], count: usize) -> impl Iterator<Item = &[i32]> {
    let (each, more) = (all.len() / count.max(1), all.len() % count.max(1));
    let mut rest = all;
    (0..count).map(move |index| {
        let (range, after) = rest.split_at(each + usize::from(index < more));
        rest = after;
        range
    })
}

fn encode<M: door_kafka::wire::Message>(data: &M) -> Result<Bytes, ClientError> {
    encode_versioned(data, PLAIN).map_err(|source| ClientError::Encode { request: M::NAME, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_differ_by_one_at_most_and_the_longer_ones_come_first() {
        let cut =
            |count: usize| ranges(&[0, 1, 2, 3, 4], count).map(<[i32]>::len).collect::<Vec<_>>();
        assert_eq!(cut(1), [5]);
        assert_eq!(cut(2), [3, 2]);
        assert_eq!(cut(3), [2, 2, 1]);
        assert_eq!(cut(7), [1, 1, 1, 1, 1, 0, 0]);
        assert_eq!(ranges(&[0, 1, 2], 2).collect::<Vec<_>>(), [&[0, 1][..], &[2]]);
    }
}
