//! Requests about topics.

use base::TopicId;
use broker::access::Operation;
use broker::quotas::QuotaKind;

use super::{Guard, Guarded, TOPIC_DENIED, Verdict, text};
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use crate::wire::messages::create_topics_response::CreatableTopicResult;
use crate::wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use crate::wire::messages::delete_topics_request::DeleteTopicState;
use crate::wire::messages::delete_topics_response::DeletableTopicResult;
use crate::wire::messages::describe_topic_partitions_request::TopicRequest;
use crate::wire::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic;
use crate::wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use crate::wire::messages::metadata_request::MetadataRequestTopic;
use crate::wire::messages::metadata_response::MetadataResponseTopic;
use crate::wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use crate::wire::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};

/// A topic is made only for who may create it, or any topic.
fn may_create(guard: &Guard<'_>, name: &str) -> bool {
    guard.cluster(Operation::Create) || guard.topic(Operation::Create, name)
}

impl Guarded for MetadataRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<MetadataResponse> {
        let of_all =
            self.topics.as_ref().is_none_or(|topics| topics.is_empty() && guard.version() == 0);
        let creates = (self.allow_auto_topic_creation || guard.version() < 4)
            && guard.broker().options().auto_create_topics;
        let allowed = |topic: &mut MetadataRequestTopic| {
            let id = TopicId::from_bytes(topic.topic_id);
            let name = match &topic.name {
                Some(name) if id == TopicId::NONE => name,
                // An id of no topic is told as such.
                _ => match guard.broker().topic_by_id(id) {
                    Some(open) => return guard.topic(Operation::Describe, &open.topic.name),
                    None => return true,
                },
            };
            // Whether a topic exists is not told to who may not describe it.
            guard.topic(Operation::Describe, name)
                && (!creates || guard.broker().topic(name).is_some() || may_create(guard, name))
        };
        let topics = self.topics.iter_mut().flatten();
        let mut refused = Vec::new();
        let mut kept = Vec::new();
        for mut topic in topics.map(std::mem::take) {
            let place = if allowed(&mut topic) { &mut kept } else { &mut refused };
            place.push(topic);
        }
        if !of_all && kept.is_empty() {
            // Without any, all would be meant in version 0. No topic has this name.
            kept.push(MetadataRequestTopic { name: Some(String::new()), ..Default::default() });
        }
        if !of_all {
            self.topics = Some(kept);
        }
        let told = Told::new(guard);
        Verdict::amend(move |response: &mut MetadataResponse| {
            response.topics.retain(|topic| {
                let name = topic.name.as_deref().unwrap_or_default();
                let is_placeholder = topic.name.as_deref() == Some("");
                !is_placeholder && (!of_all || told.describes(name))
            });
            for topic in &mut response.topics {
                if topic.topic_authorized_operations != map::NO_OPERATIONS {
                    let name = topic.name.as_deref().unwrap_or_default();
                    topic.topic_authorized_operations = told.operations(name);
                }
            }
            response.topics.extend(refused.into_iter().map(|topic| MetadataResponseTopic {
                error_code: TOPIC_DENIED,
                name: topic.name.filter(|_| topic.topic_id == [0; 16]),
                topic_id: topic.topic_id,
                topic_authorized_operations: map::NO_OPERATIONS,
                ..MetadataResponseTopic::default()
            }));
            if response.cluster_authorized_operations != map::NO_OPERATIONS {
                response.cluster_authorized_operations = told.cluster;
            }
        })
    }
}

/// What somebody may be told, for an answer that is not there yet.
pub(super) struct Told {
    broker: broker::Broker,
    actor: broker::access::Actor,
    pub(super) cluster: i32,
}

impl Told {
    pub(super) fn new(guard: &Guard<'_>) -> Self {
        Self {
            broker: guard.broker().clone(),
            actor: guard.actor().clone(),
            cluster: guard.cluster_operations(),
        }
    }

    pub(super) fn describes(&self, topic: &str) -> bool {
        self.actor.may_topic(Operation::Describe, topic)
    }

    /// The same of a topic that may be named by its id.
    pub(super) fn describes_or_id(&self, name: &str, id: [u8; 16]) -> bool {
        if id == TopicId::NONE.to_bytes() {
            return self.describes(name);
        }
        let open = self.broker.topic_by_id(TopicId::from_bytes(id));
        open.is_none_or(|open| self.describes(&open.topic.name))
    }

    fn operations(&self, topic: &str) -> i32 {
        let operations = self.actor.operations(broker::access::ResourceKind::Topic, topic);
        map::operations(operations) & map::TOPIC_OPERATIONS
    }
}

impl Guarded for DescribeTopicPartitionsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DescribeTopicPartitionsResponse> {
        if self.topics.is_empty() {
            // All, which means those that may be seen.
            let metadata = guard.broker().metadata();
            let names = metadata.listed().map(|(name, _)| name.clone());
            self.topics = names.map(|name| TopicRequest { name }).collect();
            self.topics.retain(|topic| guard.topic(Operation::Describe, &topic.name));
        }
        let refused = guard.refused(Operation::Describe, &mut self.topics, |topic| &topic.name);
        let refused = refused.into_iter().map(|topic| DescribeTopicPartitionsResponseTopic {
            error_code: TOPIC_DENIED,
            name: Some(topic.name),
            ..DescribeTopicPartitionsResponseTopic::default()
        });
        let refused: Vec<_> = refused.collect();
        if self.topics.is_empty() {
            // Without any, all would be meant.
            return Verdict::Refuse(DescribeTopicPartitionsResponse {
                topics: refused,
                ..DescribeTopicPartitionsResponse::default()
            });
        }
        let told = Told::new(guard);
        Verdict::amend(move |response: &mut DescribeTopicPartitionsResponse| {
            for topic in &mut response.topics {
                let name = topic.name.as_deref().unwrap_or_default();
                topic.topic_authorized_operations &= told.operations(name);
            }
            response.topics.extend(refused);
        })
    }
}

impl Guarded for ListOffsetsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<ListOffsetsResponse> {
        let refused = guard.refused(Operation::Describe, &mut self.topics, |topic| &topic.name);
        Verdict::without(refused, |response: &mut ListOffsetsResponse, refused| {
            response.topics.extend(refused.into_iter().map(|topic| {
                ListOffsetsTopicResponse {
                    partitions: topic
                        .partitions
                        .iter()
                        .map(|partition| ListOffsetsPartitionResponse {
                            partition_index: partition.partition_index,
                            error_code: TOPIC_DENIED,
                            ..ListOffsetsPartitionResponse::default()
                        })
                        .collect(),
                    name: topic.name,
                }
            }));
        })
    }
}

impl Guarded for OffsetForLeaderEpochRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<OffsetForLeaderEpochResponse> {
        let refused = guard.refused(Operation::Describe, &mut self.topics, |topic| &topic.topic);
        Verdict::without(refused, |response: &mut OffsetForLeaderEpochResponse, refused| {
            response.topics.extend(refused.into_iter().map(|topic| {
                OffsetForLeaderTopicResult {
                    partitions: topic
                        .partitions
                        .iter()
                        .map(|partition| EpochEndOffset {
                            partition: partition.partition,
                            error_code: TOPIC_DENIED,
                            ..EpochEndOffset::default()
                        })
                        .collect(),
                    topic: topic.topic,
                }
            }));
        })
    }
}

impl Guarded for CreateTopicsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<CreateTopicsResponse> {
        let all = guard.cluster(Operation::Create);
        let allowed = |name: &str| all || guard.topic(Operation::Create, name);
        let refused: Vec<_> =
            self.topics.extract_if(.., |topic| !allowed(&topic.name)).map(|t| t.name).collect();
        let hidden: Vec<_> = self
            .topics
            .iter()
            .filter(|topic| !guard.topic(Operation::DescribeConfigs, &topic.name))
            .map(|topic| topic.name.clone())
            .collect();
        if refused.is_empty() && hidden.is_empty() {
            return Verdict::Pass;
        }
        Verdict::amend(move |response: &mut CreateTopicsResponse| {
            // Made, but its configuration is not told (KIP-525).
            let made = response.topics.iter_mut().filter(|topic| topic.error_code == 0);
            for topic in made.filter(|topic| hidden.contains(&topic.name)) {
                topic.topic_config_error_code = TOPIC_DENIED;
                topic.configs = None;
                topic.num_partitions = -1;
                topic.replication_factor = -1;
            }
            let mut refused = refused;
            // One answer for each name.
            refused.sort_unstable();
            refused.dedup();
            let refused = refused.into_iter();
            let code = ErrorCode::TopicAuthorizationFailed;
            response.topics.extend(refused.map(|name| not_created(name, code)));
        })
    }

    fn spend(&mut self, guard: &Guard<'_>) -> (Verdict<CreateTopicsResponse>, u32) {
        if self.validate_only {
            return (Verdict::Pass, 0);
        }
        let (refused, rest) = spend(guard, CREATE_STRICT_FROM, &mut self.topics, |topic| {
            let assigned = i32::try_from(topic.assignments.len()).unwrap_or(i32::MAX);
            match (assigned, topic.num_partitions) {
                _ if guard.broker().topic(&topic.name).is_some() => 0,
                (0, -1) => guard.broker().options().default_partitions,
                (0, count) => count,
                (assigned, _) => assigned,
            }
        });
        let verdict = Verdict::without(refused, |response: &mut CreateTopicsResponse, refused| {
            let refused = refused.into_iter().map(|topic| not_created(topic.name, THROTTLED));
            response.topics.extend(refused);
        });
        (verdict, rest)
    }
}

fn not_created(name: String, code: ErrorCode) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code: code.number(),
        error_message: text(code),
        configs: Some(Vec::new()),
        ..CreatableTopicResult::default()
    }
}

/// What makes too many changes is refused from these versions on; before, it is done, and the
/// sender must rest for longer (KIP-599).
const CREATE_STRICT_FROM: i16 = 6;
const GROW_STRICT_FROM: i16 = 3;
const DELETE_STRICT_FROM: i16 = 5;

const THROTTLED: ErrorCode = ErrorCode::ThrottlingQuotaExceeded;

/// Counts changes of topics against the sender's quota. What is refused is taken out and
/// returned, with the milliseconds for which the sender must rest.
fn spend<T>(
    guard: &Guard<'_>,
    strict_from: i16,
    topics: &mut Vec<T>,
    partitions: impl Fn(&T) -> i32,
) -> (Vec<T>, u32) {
    let (quota, header) = (&guard.context.quota, guard.header);
    let mut rest = 0;
    let refused = topics.extract_if(.., |topic| {
        let count = f64::from(partitions(topic).max(0));
        if guard.version() < strict_from {
            rest = rest.max(quota.record(header, QuotaKind::Mutations, count));
            return false;
        }
        let spent = quota.try_record(header, QuotaKind::Mutations, count);
        rest = rest.max(spent.err().unwrap_or(0));
        spent.is_err()
    });
    (refused.collect(), rest)
}

fn partitions_of(guard: &Guard<'_>, topic: &str) -> i32 {
    let open = guard.broker().topic(topic);
    open.map_or(0, |open| i32::try_from(open.topic.partitions.len()).unwrap_or(i32::MAX))
}

impl Guarded for CreatePartitionsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<CreatePartitionsResponse> {
        let refused = guard.refused(Operation::Alter, &mut self.topics, |topic| &topic.name);
        Verdict::without(refused, |response: &mut CreatePartitionsResponse, refused| {
            let code = ErrorCode::TopicAuthorizationFailed;
            response.results.extend(refused.into_iter().map(|topic| not_grown(topic.name, code)));
        })
    }

    fn spend(&mut self, guard: &Guard<'_>) -> (Verdict<CreatePartitionsResponse>, u32) {
        if self.validate_only {
            return (Verdict::Pass, 0);
        }
        let (refused, rest) = spend(guard, GROW_STRICT_FROM, &mut self.topics, |topic| {
            match partitions_of(guard, &topic.name) {
                0 => 0,
                now => topic.count.saturating_sub(now),
            }
        });
        let verdict =
            Verdict::without(refused, |response: &mut CreatePartitionsResponse, refused| {
                let refused = refused.into_iter().map(|topic| not_grown(topic.name, THROTTLED));
                response.results.extend(refused);
            });
        (verdict, rest)
    }
}

fn not_grown(name: String, code: ErrorCode) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult { name, error_code: code.number(), error_message: text(code) }
}

impl Guarded for DeleteTopicsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DeleteTopicsResponse> {
        let all = guard.cluster(Operation::Delete);
        let allowed = |name: &str| all || guard.topic(Operation::Delete, name);
        let code = ErrorCode::TopicAuthorizationFailed;
        let result = |name: Option<String>, topic_id| not_deleted(name, topic_id, code);
        let names = self.topic_names.extract_if(.., |name| !allowed(name));
        let mut refused: Vec<_> = names.map(|name| result(Some(name), [0; 16])).collect();
        let by_id = |id: [u8; 16]| guard.broker().topic_by_id(TopicId::from_bytes(id));
        self.topics.retain(|topic: &DeleteTopicState| match &topic.name {
            // By both: an error of its own.
            Some(_) if topic.topic_id != [0; 16] => true,
            Some(name) if allowed(name) => true,
            Some(name) => {
                refused.push(result(Some(name.clone()), [0; 16]));
                false
            }
            // An id of no topic is told as such.
            None => by_id(topic.topic_id).is_none_or(|open| {
                let name = &open.topic.name;
                let allowed = allowed(name);
                if !allowed {
                    // Whose name it is not told who may not see the topic.
                    let seen = guard.topic(Operation::Describe, name).then(|| name.clone());
                    refused.push(result(seen, topic.topic_id));
                }
                allowed
            }),
        });
        Verdict::without(refused, |response: &mut DeleteTopicsResponse, refused| {
            response.responses.extend(refused);
        })
    }

    fn spend(&mut self, guard: &Guard<'_>) -> (Verdict<DeleteTopicsResponse>, u32) {
        let (names, rest) = spend(guard, DELETE_STRICT_FROM, &mut self.topic_names, |name| {
            partitions_of(guard, name)
        });
        let (topics, rest_too) = spend(guard, DELETE_STRICT_FROM, &mut self.topics, |topic| {
            let open = guard.broker().topic_by_id(TopicId::from_bytes(topic.topic_id));
            let name = topic.name.clone().or_else(|| open.map(|open| open.topic.name.clone()));
            name.map_or(0, |name| partitions_of(guard, &name))
        });
        let names = names.into_iter().map(|name| not_deleted(Some(name), [0; 16], THROTTLED));
        let topics = topics.into_iter().map(|t| not_deleted(t.name, t.topic_id, THROTTLED));
        let refused = names.chain(topics).collect();
        let verdict = Verdict::without(refused, |response: &mut DeleteTopicsResponse, refused| {
            response.responses.extend(refused);
        });
        (verdict, rest.max(rest_too))
    }
}

fn not_deleted(name: Option<String>, topic_id: [u8; 16], code: ErrorCode) -> DeletableTopicResult {
    DeletableTopicResult { name, topic_id, error_code: code.number(), error_message: text(code) }
}

impl Guarded for DeleteRecordsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DeleteRecordsResponse> {
        let refused = guard.refused(Operation::Delete, &mut self.topics, |topic| &topic.name);
        Verdict::without(refused, |response: &mut DeleteRecordsResponse, refused| {
            response.topics.extend(refused.into_iter().map(|topic| {
                DeleteRecordsTopicResult {
                    partitions: topic
                        .partitions
                        .iter()
                        .map(|partition| DeleteRecordsPartitionResult {
                            partition_index: partition.partition_index,
                            low_watermark: -1,
                            error_code: TOPIC_DENIED,
                        })
                        .collect(),
                    name: topic.name,
                }
            }));
        })
    }
}
