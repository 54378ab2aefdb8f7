//! OffsetFetch: what groups have committed; several groups at once from version 8 on (KIP-709).

use std::collections::{BTreeMap, HashSet};

use broker::queue::GroupError;
use broker::queue::offsets::Committed;

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use crate::wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::wire::messages::{OffsetFetchRequest, OffsetFetchResponse};

const SEVERAL_FROM: i16 = 8;
/// Topics are named by id from this version on (KIP-848).
const TOPIC_IDS_FROM: i16 = 10;
/// Errors of the whole group have their own field from this version on.
const GROUP_ERROR_FROM: i16 = 2;
/// That nothing is committed is an error before this version.
const NOTHING_IS_FINE_FROM: i16 = 1;

/// Topics with their partitions and what is committed there.
type Found = BTreeMap<String, Vec<(i32, Option<Committed>)>>;

pub(super) async fn handle(request: Request<'_>, asked: OffsetFetchRequest) -> OffsetFetchResponse {
    if request.version() >= SEVERAL_FROM {
        // Once each: a short request must not make a long response.
        let mut seen = HashSet::new();
        let once = |group: &OffsetFetchRequestGroup| seen.insert(group.group_id.clone());
        let groups = asked.groups.into_iter().filter(once);
        let groups = groups.map(|group| one_group(&request, group)).collect();
        return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
    }
    let topics = asked
        .topics
        .map(|topics| topics.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
    match find(&request, &asked.group_id, topics.clone()) {
        Ok(found) => {
            let mut topics = old_topics(found);
            if request.version() < NOTHING_IS_FINE_FROM {
                let partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
                partitions.filter(|p| p.committed_offset < 0).for_each(|partition| {
                    partition.error_code = ErrorCode::UnknownTopicOrPartition.number();
                });
            }
            OffsetFetchResponse { topics, ..OffsetFetchResponse::default() }
        }
        Err(error) => {
            let code = map::group_error(error);
            let failed = |(name, partitions): (String, Vec<i32>)| OffsetFetchResponseTopic {
                name,
                partitions: partitions.into_iter().map(|index| old_failed(index, code)).collect(),
            };
            let in_field = request.version() >= GROUP_ERROR_FROM;
            OffsetFetchResponse {
                error_code: if in_field { code.number() } else { 0 },
                topics: topics.unwrap_or_default().into_iter().map(failed).collect(),
                ..OffsetFetchResponse::default()
            }
        }
    }
}

/// The committed offsets of the partitions asked for; all of the group's without any.
fn find(
    request: &Request<'_>,
    group: &str,
    topics: Option<Vec<(String, Vec<i32>)>>,
) -> Result<Found, GroupError> {
    let groups = request.broker().groups();
    let mut found = Found::new();
    let Some(topics) = topics else {
        for one in groups.all_committed(group)? {
            let topic = found.entry(one.topic.as_ref().to_owned()).or_default();
            topic.push((one.partition, Some(one.committed)));
        }
        return Ok(found);
    };
    for (name, partitions) in topics {
        let keys: Vec<_> = partitions.iter().map(|index| (name.as_str(), *index)).collect();
        let committed = groups.committed(group, &keys)?;
        found.entry(name).or_default().extend(partitions.into_iter().zip(committed));
    }
    Ok(found)
}

fn one_group(request: &Request<'_>, asked: OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
    let by_id = request.version() >= TOPIC_IDS_FROM;
    // What was asked for by an id that no topic has.
    let mut unknown = Vec::new();
    let named = |topic: OffsetFetchRequestTopics| {
        if !by_id {
            return Some((topic.name, topic.partition_indexes));
        }
        match request.find_topic("", Some(topic.topic_id)) {
            Ok(open) => Some((open.topic.name.clone(), topic.partition_indexes)),
            Err(code) => {
                unknown.push(unknown_topic(topic, code));
                None
            }
        }
    };
    let topics = asked.topics.map(|topics| topics.into_iter().filter_map(named).collect());
    // Who names no member, or an empty one, does not say who it is (KIP-848).
    let member = asked.member_id.as_deref().filter(|id| !id.is_empty());
    let groups = request.broker().groups();
    let checked = groups.check_fetch(&asked.group_id, member, asked.member_epoch);
    match checked.and_then(|()| find(request, &asked.group_id, topics)) {
        Ok(found) => OffsetFetchResponseGroup {
            group_id: asked.group_id,
            topics: found
                .into_iter()
                .filter_map(|found| new_topic(request, by_id, found))
                .chain(unknown)
                .collect(),
            ..OffsetFetchResponseGroup::default()
        },
        Err(error) => OffsetFetchResponseGroup {
            group_id: asked.group_id,
            error_code: map::group_error(error).number(),
            ..OffsetFetchResponseGroup::default()
        },
    }
}

fn unknown_topic(asked: OffsetFetchRequestTopics, code: ErrorCode) -> OffsetFetchResponseTopics {
    let partition = |partition_index| OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        metadata: Some(String::new()),
        error_code: code.number(),
        ..OffsetFetchResponsePartitions::default()
    };
    OffsetFetchResponseTopics {
        name: asked.name,
        topic_id: asked.topic_id,
        partitions: asked.partition_indexes.into_iter().map(partition).collect(),
    }
}

/// `None` for a topic that has no id any more, where it must be named by one.
fn new_topic(
    request: &Request<'_>,
    by_id: bool,
    (name, partitions): (String, Vec<(i32, Option<Committed>)>),
) -> Option<OffsetFetchResponseTopics> {
    let topic_id = match request.broker().topic(&name) {
        Some(open) => open.topic.id.to_bytes(),
        None if by_id => return None,
        None => [0; 16],
    };
    let partition = |(partition_index, committed): (i32, Option<Committed>)| {
        let (committed_offset, committed_leader_epoch, metadata) = fields(committed);
        OffsetFetchResponsePartitions {
            partition_index,
            committed_offset,
            committed_leader_epoch,
            metadata: Some(metadata),
            ..OffsetFetchResponsePartitions::default()
        }
    };
    let partitions = partitions.into_iter().map(partition).collect();
    Some(OffsetFetchResponseTopics { name, topic_id, partitions })
}

fn old_topics(found: Found) -> Vec<OffsetFetchResponseTopic> {
    let partition = |(partition_index, committed): (i32, Option<Committed>)| {
        let (committed_offset, committed_leader_epoch, metadata) = fields(committed);
        OffsetFetchResponsePartition {
            partition_index,
            committed_offset,
            committed_leader_epoch,
            metadata: Some(metadata),
            ..OffsetFetchResponsePartition::default()
        }
    };
    let topic = |(name, partitions): (String, Vec<_>)| OffsetFetchResponseTopic {
        name,
        partitions: partitions.into_iter().map(partition).collect(),
    };
    found.into_iter().map(topic).collect()
}

fn old_failed(partition_index: i32, code: ErrorCode) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition {
        partition_index,
        committed_offset: -1,
        metadata: Some(String::new()),
        error_code: code.number(),
        ..OffsetFetchResponsePartition::default()
    }
}

/// Offset, leader epoch and note; offset -1 where nothing is committed.
fn fields(committed: Option<Committed>) -> (i64, i32, String) {
    match committed {
        Some(committed) => {
            (committed.offset, committed.leader_epoch, committed.note.as_ref().to_owned())
        }
        None => (-1, -1, String::new()),
    }
}
