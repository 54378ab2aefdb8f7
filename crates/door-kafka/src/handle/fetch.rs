//! Fetch: reads record batches, waiting for them if need be.

use std::sync::Arc;
use std::time::Duration;

use base::TopicId;
use broker::access::Operation;
use broker::quotas::QuotaKind;
use broker::{Fetch, FetchLimits, Fetched, OpenTopic};
use bytes::Bytes;
use door::CloseReason;

use super::Context;
use crate::fetch_sessions::{self, Session, Told, TopicKey};
use crate::session::{Parts, protocol_error};
use crate::wire::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, FetchedPartition, FetchedTopic,
};
use crate::wire::messages::fetch_response::{AbortedTransaction, LeaderIdAndEpoch, NodeEndpoint};
use crate::wire::{ErrorCode, Reader, RequestHeader};
use crate::{map, old_formats};

/// Topics are named by id from this version on.
const TOPIC_IDS_FROM: i16 = 13;
/// Versions below carry message formats before record batches.
const BATCHES_FROM: i16 = 4;
/// No client may wait longer than this; they ask for half a second.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(300);
/// Who is wrong about a leader is told better from this version on.
const LEADERS_FROM: i16 = 16;
/// Isolation level: only what is committed.
const READ_COMMITTED: i8 = 1;

pub(super) async fn handle(
    context: &Context,
    header: &RequestHeader,
    mut reader: Reader,
) -> Result<Parts, CloseReason> {
    let request = FetchRequest::decode(&mut reader, header.version).map_err(protocol_error)?;
    let (response, worked) = context.quota.time(header, read(context, header, request)).await;
    let mut response = response?;
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    let bytes = partitions.map(|p| p.records.iter().map(Bytes::len).sum::<usize>()).sum();
    let rest = context.quota.record_bytes(header, QuotaKind::ReadBytes, bytes);
    let mut is_failed = response.error_code != ErrorCode::None.number();
    for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
        context.figures.delivered(&partition.records);
        is_failed |= is_refused(partition);
    }
    if is_failed {
        context.figures.failed(header.api);
    }
    response.throttle_time_ms = context.quota.rest(rest.max(worked));
    response.into_parts(header.version, header.correlation_id).map_err(protocol_error)
}

async fn read(
    context: &Context,
    header: &RequestHeader,
    request: FetchRequest,
) -> Result<FetchResponse, CloseReason> {
    let (sessions, session_id) = (&context.fetch_sessions, request.session_id);
    Ok(match request.session_epoch {
        fetch_sessions::LAST => {
            sessions.close(session_id);
            whole(context, header, request).await?
        }
        fetch_sessions::FIRST => {
            sessions.close(session_id);
            let mut session = Session::new(header.version >= TOPIC_IDS_FROM, &request.topics);
            let mut response = whole(context, header, request).await?;
            session.note(&response.topics);
            response.session_id = sessions.open(session, context.broker.now());
            response
        }
        _ => changes(context, header, request).await,
    })
}

/// Answers a request that says all that it wants, with all that it asked for.
async fn whole(
    context: &Context,
    header: &RequestHeader,
    request: FetchRequest,
) -> Result<FetchResponse, CloseReason> {
    let version = header.version;
    let committed_only = request.isolation_level == READ_COMMITTED;
    let limits = limits(context, header, &request);
    let mut entries = Vec::new();
    let prepare = |topic| prepare(context, version, topic, &mut entries);
    let mut topics: Vec<FetchedTopic> = request.topics.into_iter().map(prepare).collect();
    let refused = topics.iter().flat_map(|topic| &topic.partitions).any(is_refused);
    // An error is told at once, not after the wait.
    let limits = if refused { FetchLimits { max_wait: Duration::ZERO, ..limits } } else { limits };
    let outcomes: Vec<Result<Fetched, ErrorCode>> = if version < BATCHES_FROM {
        let read = old_formats::fetch(&context.broker, version, entries, limits).await?;
        let fetched = |read| Fetched { read, ..Fetched::default() };
        read.into_iter().map(|outcome| outcome.map(fetched)).collect()
    } else {
        let outcomes = context.broker.fetch(&entries, limits).await.into_iter();
        outcomes.map(|outcome| outcome.map_err(|error| map::fetch_error(&error))).collect()
    };
    let mut outcomes = outcomes.into_iter();
    for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if !is_refused(partition)
            && let Some(outcome) = outcomes.next()
        {
            fill(partition, outcome, committed_only);
        }
    }
    let mut response = FetchResponse { topics, ..FetchResponse::default() };
    name_leaders(context, version, &mut response);
    Ok(response)
}

/// Answers a later request of a session: it says what it wants otherwise than before, and is told
/// what has changed.
async fn changes(
    context: &Context,
    header: &RequestHeader,
    request: FetchRequest,
) -> FetchResponse {
    let version = header.version;
    let by_id = version >= TOPIC_IDS_FROM;
    let (id, epoch, now) = (request.session_id, request.session_epoch, context.broker.now());
    let mut response = FetchResponse::default();
    let mut taken = match context.fetch_sessions.take(id, epoch, by_id, now) {
        Ok(taken) => taken,
        Err(code) => return FetchResponse { error_code: code.number(), ..response },
    };
    if let Some(session) = taken.session() {
        session.put(&request.topics);
        session.forget(&request.forgotten);
        let limits = limits(context, header, &request);
        let find = |topic: &TopicKey, asked: &FetchPartition| {
            find(&open(context, by_id, &topic.0, topic.1), asked)
        };
        // With nothing in it, there is nothing to wait for either.
        let told = match session.len() {
            0 => Vec::new(),
            _ => session.read(&context.broker, context.actor.grounds(), limits, find).await,
        };
        response.topics = group(told, limits.committed);
    }
    response.session_id = taken.put_back();
    name_leaders(context, version, &mut response);
    response
}

/// Neighbours of one topic together.
fn group(told: Vec<Told>, committed_only: bool) -> Vec<FetchedTopic> {
    let mut topics: Vec<FetchedTopic> = Vec::new();
    for Told { topic: (name, topic_id), index, outcome } in told {
        let mut partition = FetchedPartition { index, ..FetchedPartition::default() };
        fill(&mut partition, outcome, committed_only);
        match topics.last_mut().filter(|last| last.name == name && last.topic_id == topic_id) {
            Some(last) => last.partitions.push(partition),
            None => topics.push(FetchedTopic { name, topic_id, partitions: vec![partition] }),
        }
    }
    topics
}

/// Tells a client that is wrong about a partition's leader who it is, and where (KIP-951).
fn name_leaders(context: &Context, version: i16, response: &mut FetchResponse) {
    const WRONG: [ErrorCode; 2] = [ErrorCode::NotLeaderOrFollower, ErrorCode::FencedLeaderEpoch];
    if version < LEADERS_FROM {
        return;
    }
    for topic in &mut response.topics {
        let is_wrong = |partition: &&mut FetchedPartition| {
            WRONG.iter().any(|code| code.number() == partition.error_code)
        };
        for partition in topic.partitions.iter_mut().filter(is_wrong) {
            let Ok(open) = open(context, true, &topic.name, topic.topic_id) else { continue };
            let number = usize::try_from(partition.index).unwrap_or(usize::MAX);
            let Some(current) = open.topic.partitions.get(number) else { continue };
            let (leader_id, leader_epoch) = (current.leader.0, current.leader_epoch);
            partition.current_leader = Some(LeaderIdAndEpoch { leader_id, leader_epoch });
            if response.node_endpoints.iter().any(|node| node.node_id == leader_id) {
                continue;
            }
            let metadata = context.broker.metadata();
            let leader = metadata.brokers.get(&current.leader);
            let node = leader.and_then(|leader| {
                let at = map::endpoint(leader, &context.listener)?;
                Some(NodeEndpoint {
                    node_id: leader_id,
                    host: at.host.clone(),
                    port: at.port.into(),
                    rack: leader.rack.clone(),
                })
            });
            response.node_endpoints.extend(node);
        }
    }
}

fn limits(context: &Context, header: &RequestHeader, request: &FetchRequest) -> FetchLimits {
    let size = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
    let max_bytes = size(request.max_bytes)
        .min(context.fetch_bytes_max)
        .min(context.quota.most_bytes(header, QuotaKind::ReadBytes));
    FetchLimits {
        min_bytes: size(request.min_bytes).min(max_bytes),
        max_wait: Duration::from_millis(request.max_wait_ms.max(0).unsigned_abs().into())
            .min(WAIT_MAX),
        max_bytes,
        committed: request.isolation_level == READ_COMMITTED,
    }
}

/// A topic that the client may read, or why it gets nothing of it. An id of no topic is told as
/// such; of a name not even that is told that there is no topic.
fn open(
    context: &Context,
    by_id: bool,
    name: &str,
    id: [u8; 16],
) -> Result<Arc<OpenTopic>, ErrorCode> {
    let may_read = |name: &str| match context.actor.may_topic(Operation::Read, name) {
        true => Ok(()),
        false => Err(ErrorCode::TopicAuthorizationFailed),
    };
    if by_id {
        let open = context.broker.topic_by_id(TopicId::from_bytes(id));
        let open = open.ok_or(ErrorCode::UnknownTopicId)?;
        may_read(&open.topic.name)?;
        return Ok(open);
    }
    may_read(name)?;
    context.broker.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// Adds a topic's partitions to `entries`; those that cannot be read are answered at once.
fn prepare(
    context: &Context,
    version: i16,
    topic: FetchTopic,
    entries: &mut Vec<Fetch>,
) -> FetchedTopic {
    let by_id = version >= TOPIC_IDS_FROM;
    let open = open(context, by_id, &topic.name, topic.topic_id);
    let one = |asked: FetchPartition| {
        let mut partition = FetchedPartition { index: asked.index, ..FetchedPartition::default() };
        match find(&open, &asked) {
            Ok(entry) => entries.push(entry),
            Err(code) => partition.error_code = code.number(),
        }
        partition
    };
    FetchedTopic {
        partitions: topic.partitions.into_iter().map(one).collect(),
        name: topic.name,
        topic_id: topic.topic_id,
    }
}

/// What to read, or why it cannot be.
fn find(
    topic: &Result<Arc<OpenTopic>, ErrorCode>,
    asked: &FetchPartition,
) -> Result<Fetch, ErrorCode> {
    let topic = topic.as_ref().map_err(|code| *code)?;
    let number = usize::try_from(asked.index).unwrap_or(usize::MAX);
    let partition = topic.topic.partitions.get(number).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    match epoch_error(asked.current_leader_epoch, partition.leader_epoch) {
        Some(code) => Err(code),
        None => Ok(Fetch {
            topic: Arc::clone(topic),
            partition: asked.index,
            offset: asked.fetch_offset,
            max_bytes: usize::try_from(asked.max_bytes).unwrap_or(0),
        }),
    }
}

/// What is wrong with the epoch that a client believes current (KIP-320); -1 means that it does
/// not say.
pub(super) fn epoch_error(asked: i32, current: i32) -> Option<ErrorCode> {
    match asked {
        -1 => None,
        asked if asked < current => Some(ErrorCode::FencedLeaderEpoch),
        asked if asked > current => Some(ErrorCode::UnknownLeaderEpoch),
        _ => None,
    }
}

fn is_refused(partition: &FetchedPartition) -> bool {
    partition.error_code != ErrorCode::None.number()
}

fn fill(
    partition: &mut FetchedPartition,
    outcome: Result<Fetched, ErrorCode>,
    committed_only: bool,
) {
    match outcome {
        Ok(Fetched { read, stable, aborted }) => {
            let aborted = aborted.iter().map(|aborted| AbortedTransaction {
                producer_id: aborted.producer,
                first_offset: aborted.first,
            });
            partition.high_watermark = read.end;
            partition.last_stable_offset = stable;
            partition.log_start_offset = read.start;
            partition.aborted_transactions = committed_only.then(|| aborted.collect());
            partition.records = read.slices;
        }
        Err(code) => partition.error_code = code.number(),
    }
}
