//! Requests about groups and their offsets.

use broker::access::Operation;

use super::topics::Told;
use super::{GROUP_DENIED, Guard, Guarded, TOPIC_DENIED, Verdict, text};
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::delete_groups_response::DeletableGroupResult;
use crate::wire::messages::offset_commit_request::OffsetCommitRequestTopic;
use crate::wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use crate::wire::messages::offset_fetch_request::OffsetFetchRequestTopics;
use crate::wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, DeleteGroupsRequest, DeleteGroupsResponse,
    DescribeGroupsRequest, DescribeGroupsResponse, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest,
    ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest,
    SyncGroupResponse, consumer_group_describe_response, describe_groups_response,
};

/// Requests of members, which all must be allowed to read in the group.
macro_rules! members_only {
    ($($request:ident -> $response:ident;)*) => {$(
        impl Guarded for $request {
            fn guard(&mut self, guard: &Guard<'_>) -> Verdict<$response> {
                let allowed = guard.group(Operation::Read, &self.group_id);
                Verdict::pass_if(allowed, || $response {
                    error_code: GROUP_DENIED,
                    ..$response::default()
                })
            }
        }
    )*};
}

members_only! {
    SyncGroupRequest -> SyncGroupResponse;
    HeartbeatRequest -> HeartbeatResponse;
    LeaveGroupRequest -> LeaveGroupResponse;
}

/// The protocol's name may be absent from this version on.
const NO_PROTOCOL_FROM: i16 = 7;

impl Guarded for JoinGroupRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<JoinGroupResponse> {
        Verdict::pass_if(guard.group(Operation::Read, &self.group_id), || JoinGroupResponse {
            error_code: GROUP_DENIED,
            protocol_name: (guard.version() < NO_PROTOCOL_FROM).then(String::new),
            ..JoinGroupResponse::default()
        })
    }
}

impl Guarded for ConsumerGroupHeartbeatRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<ConsumerGroupHeartbeatResponse> {
        match guard.membership(&self.group_id, self.subscribed_topic_names.as_deref()) {
            Ok(()) => Verdict::Pass,
            Err(code) => Verdict::Refuse(ConsumerGroupHeartbeatResponse {
                error_code: code.number(),
                error_message: text(code),
                ..ConsumerGroupHeartbeatResponse::default()
            }),
        }
    }
}

impl Guarded for OffsetCommitRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<OffsetCommitResponse> {
        let refused_topic = |topic: OffsetCommitRequestTopic, error_code| {
            let partition =
                |partition_index| OffsetCommitResponsePartition { partition_index, error_code };
            let partitions = topic.partitions.iter().map(|p| partition(p.partition_index));
            OffsetCommitResponseTopic {
                partitions: partitions.collect(),
                name: topic.name,
                topic_id: topic.topic_id,
            }
        };
        if !guard.group(Operation::Read, &self.group_id) {
            let topics = std::mem::take(&mut self.topics).into_iter();
            return Verdict::Refuse(OffsetCommitResponse {
                topics: topics.map(|topic| refused_topic(topic, GROUP_DENIED)).collect(),
                ..OffsetCommitResponse::default()
            });
        }
        let may_read = |topic: &OffsetCommitRequestTopic| {
            guard.topic_or_id(Operation::Read, &topic.name, topic.topic_id)
        };
        let refused = self.topics.extract_if(.., |topic| !may_read(topic)).collect();
        Verdict::without(refused, move |response: &mut OffsetCommitResponse, refused| {
            let refused = refused.into_iter().map(|topic| refused_topic(topic, TOPIC_DENIED));
            response.topics.extend(refused);
        })
    }
}

impl Guarded for OffsetDeleteRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<OffsetDeleteResponse> {
        if !guard.group(Operation::Delete, &self.group_id) {
            return Verdict::Refuse(OffsetDeleteResponse {
                error_code: GROUP_DENIED,
                ..OffsetDeleteResponse::default()
            });
        }
        let refused = guard.refused(Operation::Read, &mut self.topics, |topic| &topic.name);
        Verdict::without(refused, |response: &mut OffsetDeleteResponse, refused| {
            response.topics.extend(refused.into_iter().map(|topic| {
                OffsetDeleteResponseTopic {
                    partitions: topic
                        .partitions
                        .iter()
                        .map(|partition| OffsetDeleteResponsePartition {
                            partition_index: partition.partition_index,
                            error_code: TOPIC_DENIED,
                        })
                        .collect(),
                    name: topic.name,
                }
            }));
        })
    }
}

/// Several groups from this version on.
const SEVERAL_FROM: i16 = 8;
/// Errors of the whole group have their own field from this version on.
const GROUP_ERROR_FROM: i16 = 2;

fn old_refused(name: String, indexes: &[i32], error_code: i16) -> OffsetFetchResponseTopic {
    let partition = |index: &i32| OffsetFetchResponsePartition {
        partition_index: *index,
        committed_offset: -1,
        metadata: Some(String::new()),
        error_code,
        ..OffsetFetchResponsePartition::default()
    };
    OffsetFetchResponseTopic { name, partitions: indexes.iter().map(partition).collect() }
}

fn new_refused(topic: &OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
    let partition = |index: &i32| OffsetFetchResponsePartitions {
        partition_index: *index,
        committed_offset: -1,
        metadata: Some(String::new()),
        error_code: TOPIC_DENIED,
        ..OffsetFetchResponsePartitions::default()
    };
    OffsetFetchResponseTopics {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partition_indexes.iter().map(partition).collect(),
    }
}

impl Guarded for OffsetFetchRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<OffsetFetchResponse> {
        if guard.version() >= SEVERAL_FROM {
            return of_groups(self, guard);
        }
        if !guard.group(Operation::Describe, &self.group_id) {
            let in_field = guard.version() >= GROUP_ERROR_FROM;
            let topics = self.topics.iter().flatten();
            let refused =
                |topic: &crate::wire::messages::offset_fetch_request::OffsetFetchRequestTopic| {
                    old_refused(topic.name.clone(), &topic.partition_indexes, GROUP_DENIED)
                };
            return Verdict::Refuse(OffsetFetchResponse {
                error_code: if in_field { GROUP_DENIED } else { 0 },
                topics: topics.map(refused).collect(),
                ..OffsetFetchResponse::default()
            });
        }
        let refused = match &mut self.topics {
            Some(topics) => guard.refused(Operation::Describe, topics, |topic| &topic.name),
            None => Vec::new(),
        };
        let told = Told::new(guard);
        Verdict::amend(move |response: &mut OffsetFetchResponse| {
            response.topics.retain(|topic| told.describes(&topic.name));
            response.topics.extend(
                refused
                    .into_iter()
                    .map(|topic| old_refused(topic.name, &topic.partition_indexes, TOPIC_DENIED)),
            );
        })
    }
}

fn of_groups(asked: &mut OffsetFetchRequest, guard: &Guard<'_>) -> Verdict<OffsetFetchResponse> {
    let denied = |group_id: String| OffsetFetchResponseGroup {
        group_id,
        error_code: GROUP_DENIED,
        ..OffsetFetchResponseGroup::default()
    };
    let groups = asked.groups.extract_if(.., |g| !guard.group(Operation::Describe, &g.group_id));
    let mut refused: Vec<_> = groups.map(|group| denied(group.group_id)).collect();
    refused.sort_unstable_by(|a, b| a.group_id.cmp(&b.group_id));
    // Once each: a short request must not make a long response.
    refused.dedup_by(|a, b| a.group_id == b.group_id);
    let mut topics = Vec::new();
    for group in &mut asked.groups {
        let may_see = |topic: &OffsetFetchRequestTopics| {
            guard.topic_or_id(Operation::Describe, &topic.name, topic.topic_id)
        };
        let some = group.topics.iter_mut();
        let some = some.flat_map(|topics| topics.extract_if(.., |topic| !may_see(topic)));
        topics.extend(some.map(|topic| (group.group_id.clone(), new_refused(&topic))));
    }
    let told = Told::new(guard);
    Verdict::amend(move |response: &mut OffsetFetchResponse| {
        for group in &mut response.groups {
            // All were asked for.
            group.topics.retain(|topic| told.describes_or_id(&topic.name, topic.topic_id));
        }
        for (group_id, topic) in topics {
            let group = response.groups.iter_mut().find(|group| group.group_id == group_id);
            if let Some(group) = group.filter(|group| group.error_code == 0) {
                group.topics.push(topic);
            }
        }
        response.groups.extend(refused);
    })
}

impl Guarded for DescribeGroupsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DescribeGroupsResponse> {
        let refused = self.groups.extract_if(.., |g| !guard.group(Operation::Describe, g));
        let mut refused: Vec<_> = refused.collect();
        refused.sort_unstable();
        refused.dedup();
        let names = self.groups.iter();
        let operations: Vec<_> =
            names.map(|name| (name.clone(), guard.group_operations(name))).collect();
        Verdict::amend(move |response: &mut DescribeGroupsResponse| {
            for group in &mut response.groups {
                let found = operations.iter().find(|(name, _)| *name == group.group_id);
                if let Some((_, operations)) = found
                    && group.authorized_operations != map::NO_OPERATIONS
                {
                    group.authorized_operations = *operations;
                }
            }
            let refused = refused.into_iter();
            response.groups.extend(refused.map(|group_id| {
                describe_groups_response::DescribedGroup {
                    group_id,
                    error_code: GROUP_DENIED,
                    error_message: text(ErrorCode::GroupAuthorizationFailed),
                    ..Default::default()
                }
            }));
        })
    }
}

impl Guarded for ConsumerGroupDescribeRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<ConsumerGroupDescribeResponse> {
        type Described = consumer_group_describe_response::DescribedGroup;
        let refused = self.group_ids.extract_if(.., |g| !guard.group(Operation::Describe, g));
        let mut refused: Vec<_> = refused.collect();
        refused.sort_unstable();
        refused.dedup();
        let names = self.group_ids.iter();
        let operations: Vec<_> =
            names.map(|name| (name.clone(), guard.group_operations(name))).collect();
        let told = Told::new(guard);
        let failed = |group_id: String, code: ErrorCode| Described {
            group_id,
            error_code: code.number(),
            error_message: text(code),
            ..Described::default()
        };
        Verdict::amend(move |response: &mut ConsumerGroupDescribeResponse| {
            for group in &mut response.groups {
                // A group that reads topics which may not be seen is not shown in part.
                let hides = group.members.iter().any(|member| {
                    let assigned = [&member.assignment, &member.target_assignment];
                    let assigned = assigned.into_iter().flat_map(|a| &a.topic_partitions);
                    let assigned = assigned.map(|topic| &topic.topic_name);
                    let mut topics = member.subscribed_topic_names.iter().chain(assigned);
                    topics.any(|topic| !told.describes(topic))
                });
                let found = operations.iter().find(|(name, _)| *name == group.group_id);
                if hides {
                    let group_id = std::mem::take(&mut group.group_id);
                    *group = failed(group_id, ErrorCode::TopicAuthorizationFailed);
                } else if let Some((_, operations)) = found
                    && group.authorized_operations != map::NO_OPERATIONS
                {
                    group.authorized_operations = *operations;
                }
            }
            let code = ErrorCode::GroupAuthorizationFailed;
            response.groups.extend(refused.into_iter().map(|name| failed(name, code)));
        })
    }
}

impl Guarded for ListGroupsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<ListGroupsResponse> {
        if guard.cluster(Operation::Describe) {
            return Verdict::Pass;
        }
        let actor = guard.actor().clone();
        Verdict::amend(move |response: &mut ListGroupsResponse| {
            let may_see = |name: &str| actor.may_group(Operation::Describe, name);
            response.groups.retain(|group| may_see(&group.group_id));
        })
    }
}

impl Guarded for DeleteGroupsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DeleteGroupsResponse> {
        let refused = self.groups_names.extract_if(.., |g| !guard.group(Operation::Delete, g));
        let refused: Vec<_> = refused.collect();
        Verdict::without(refused, |response: &mut DeleteGroupsResponse, refused| {
            response.results.extend(refused.into_iter().map(|group_id| DeletableGroupResult {
                group_id,
                error_code: GROUP_DENIED,
                error_message: text(ErrorCode::GroupAuthorizationFailed),
            }));
        })
    }
}
