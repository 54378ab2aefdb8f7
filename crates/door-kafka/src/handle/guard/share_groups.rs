//! Requests about share groups (KIP-932).

use broker::access::Operation;

use super::topics::Told;
use super::{GROUP_DENIED, Guard, Guarded, TOPIC_DENIED, Verdict, text};
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponsePartition, AlterShareGroupOffsetsResponseTopic,
};
use crate::wire::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic;
use crate::wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestTopic;
use crate::wire::messages::describe_share_group_offsets_response::{
    DescribeShareGroupOffsetsResponseGroup, DescribeShareGroupOffsetsResponsePartition,
    DescribeShareGroupOffsetsResponseTopic,
};
use crate::wire::messages::share_group_describe_response::DescribedGroup;
use crate::wire::messages::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, DeleteShareGroupOffsetsRequest,
    DeleteShareGroupOffsetsResponse, DescribeShareGroupOffsetsRequest,
    DescribeShareGroupOffsetsResponse, ShareAcknowledgeRequest, ShareAcknowledgeResponse,
    ShareGroupDescribeRequest, ShareGroupDescribeResponse, ShareGroupHeartbeatRequest,
    ShareGroupHeartbeatResponse,
};

impl Guarded for ShareGroupHeartbeatRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<ShareGroupHeartbeatResponse> {
        match guard.membership(&self.group_id, self.subscribed_topic_names.as_deref()) {
            Ok(()) => Verdict::Pass,
            Err(code) => Verdict::Refuse(ShareGroupHeartbeatResponse {
                error_code: code.number(),
                error_message: text(code),
                ..ShareGroupHeartbeatResponse::default()
            }),
        }
    }
}

/// Its topics are judged where they are looked up, as those of ShareFetch.
impl Guarded for ShareAcknowledgeRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<ShareAcknowledgeResponse> {
        let group = self.group_id.as_deref().unwrap_or_default();
        Verdict::pass_if(guard.group(Operation::Read, group), || ShareAcknowledgeResponse {
            error_code: GROUP_DENIED,
            ..ShareAcknowledgeResponse::default()
        })
    }
}

impl Guarded for ShareGroupDescribeRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<ShareGroupDescribeResponse> {
        let refused = self.group_ids.extract_if(.., |g| !guard.group(Operation::Describe, g));
        let mut refused: Vec<_> = refused.collect();
        refused.sort_unstable();
        refused.dedup();
        let names = self.group_ids.iter();
        let operations: Vec<_> =
            names.map(|name| (name.clone(), guard.group_operations(name))).collect();
        let told = Told::new(guard);
        let failed = |group_id: String, code: ErrorCode| DescribedGroup {
            group_id,
            error_code: code.number(),
            error_message: text(code),
            ..DescribedGroup::default()
        };
        Verdict::amend(move |response: &mut ShareGroupDescribeResponse| {
            for group in &mut response.groups {
                // A group that reads topics which may not be seen is not shown in part.
                let hides = group.members.iter().any(|member| {
                    let assigned = member.assignment.topic_partitions.iter();
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

fn not_described(
    topic: DescribeShareGroupOffsetsRequestTopic,
) -> DescribeShareGroupOffsetsResponseTopic {
    let partition = |index: &i32| DescribeShareGroupOffsetsResponsePartition {
        partition_index: *index,
        start_offset: -1,
        lag: -1,
        error_code: TOPIC_DENIED,
        error_message: text(ErrorCode::TopicAuthorizationFailed),
        ..DescribeShareGroupOffsetsResponsePartition::default()
    };
    DescribeShareGroupOffsetsResponseTopic {
        partitions: topic.partitions.iter().map(partition).collect(),
        topic_name: topic.topic_name,
        ..DescribeShareGroupOffsetsResponseTopic::default()
    }
}

impl Guarded for DescribeShareGroupOffsetsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DescribeShareGroupOffsetsResponse> {
        let may_see = |name: &str| guard.group(Operation::Describe, name);
        let refused = self.groups.extract_if(.., |group| !may_see(&group.group_id));
        let refused: Vec<_> = refused.map(|group| group.group_id).collect();
        let mut topics = Vec::new();
        for group in &mut self.groups {
            let some = group.topics.iter_mut();
            let some =
                some.flat_map(|t| guard.refused(Operation::Describe, t, |topic| &topic.topic_name));
            topics.extend(some.map(|topic| (group.group_id.clone(), not_described(topic))));
        }
        let told = Told::new(guard);
        Verdict::amend(move |response: &mut DescribeShareGroupOffsetsResponse| {
            for group in &mut response.groups {
                // All were asked for.
                group.topics.retain(|topic| told.describes(&topic.topic_name));
            }
            for (group_id, topic) in topics {
                let group = response.groups.iter_mut().find(|group| group.group_id == group_id);
                if let Some(group) = group.filter(|group| group.error_code == 0) {
                    group.topics.push(topic);
                }
            }
            let refused = refused.into_iter();
            response.groups.extend(refused.map(|group_id| {
                DescribeShareGroupOffsetsResponseGroup {
                    group_id,
                    error_code: GROUP_DENIED,
                    error_message: text(ErrorCode::GroupAuthorizationFailed),
                    ..DescribeShareGroupOffsetsResponseGroup::default()
                }
            }));
        })
    }
}

impl Guarded for AlterShareGroupOffsetsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<AlterShareGroupOffsetsResponse> {
        if !guard.group(Operation::Read, &self.group_id) {
            return Verdict::Refuse(AlterShareGroupOffsetsResponse {
                error_code: GROUP_DENIED,
                error_message: text(ErrorCode::GroupAuthorizationFailed),
                ..AlterShareGroupOffsetsResponse::default()
            });
        }
        let refused = guard.refused(Operation::Read, &mut self.topics, |topic| &topic.topic_name);
        Verdict::without(refused, |response: &mut AlterShareGroupOffsetsResponse, refused| {
            let refused = refused.into_iter().map(|topic| AlterShareGroupOffsetsResponseTopic {
                partitions: topic
                    .partitions
                    .iter()
                    .map(|partition| AlterShareGroupOffsetsResponsePartition {
                        partition_index: partition.partition_index,
                        error_code: TOPIC_DENIED,
                        error_message: text(ErrorCode::TopicAuthorizationFailed),
                    })
                    .collect(),
                topic_name: topic.topic_name,
                ..AlterShareGroupOffsetsResponseTopic::default()
            });
            response.responses.extend(refused);
        })
    }
}

impl Guarded for DeleteShareGroupOffsetsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DeleteShareGroupOffsetsResponse> {
        if !guard.group(Operation::Delete, &self.group_id) {
            return Verdict::Refuse(DeleteShareGroupOffsetsResponse {
                error_code: GROUP_DENIED,
                error_message: text(ErrorCode::GroupAuthorizationFailed),
                ..DeleteShareGroupOffsetsResponse::default()
            });
        }
        let refused = guard.refused(Operation::Read, &mut self.topics, |topic| &topic.topic_name);
        Verdict::without(refused, |response: &mut DeleteShareGroupOffsetsResponse, refused| {
            let refused = refused.into_iter().map(|topic| DeleteShareGroupOffsetsResponseTopic {
                topic_name: topic.topic_name,
                error_code: TOPIC_DENIED,
                error_message: text(ErrorCode::TopicAuthorizationFailed),
                ..DeleteShareGroupOffsetsResponseTopic::default()
            });
            response.responses.extend(refused);
        })
    }
}
