//! Fetch: reads record batches, waiting for them if need be.

use std::time::Duration;

use base::TopicId;
use broker::{Fetch, FetchLimits, Fetched};
use door::CloseReason;

use super::Context;
use crate::session::{Parts, protocol_error};
use crate::wire::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, FetchedPartition, FetchedTopic,
};
use crate::wire::messages::fetch_response::AbortedTransaction;
use crate::wire::{ErrorCode, Reader, RequestHeader};
use crate::{map, old_formats};

/// Topics are named by id from this version on.
const TOPIC_IDS_FROM: i16 = 13;
/// Versions below carry message formats before record batches.
const BATCHES_FROM: i16 = 4;
/// No client may wait longer than this; they ask for half a second.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// Session epochs of requests that stand for themselves: the last of a session, or none; the first.
const FULL_REQUESTS: [i32; 2] = [-1, 0];
/// Isolation level: only what is committed.
const READ_COMMITTED: i8 = 1;

pub(super) async fn handle(
    context: &Context,
    header: &RequestHeader,
    mut reader: Reader,
) -> Result<Parts, CloseReason> {
    let request = FetchRequest::decode(&mut reader, header.version).map_err(protocol_error)?;
    let respond = |response: FetchResponse| {
        let parts = response.into_parts(header.version, header.correlation_id);
        parts.map_err(protocol_error)
    };
    // Sessions are an optimisation that a broker may decline by answering with session 0. What says
    // all that it wants is served, even if it closes a session of a former broker by that; one that
    // we never gave out cannot be continued.
    if !FULL_REQUESTS.contains(&request.session_epoch) {
        let error_code = ErrorCode::FetchSessionIdNotFound.number();
        return respond(FetchResponse { error_code, ..FetchResponse::default() });
    }
    let committed_only = request.isolation_level == READ_COMMITTED;
    let limits = limits(context, &request);
    let mut entries = Vec::new();
    let by_id = header.version >= TOPIC_IDS_FROM;
    let prepare = |topic| prepare(context, by_id, topic, &mut entries);
    let mut topics: Vec<FetchedTopic> = request.topics.into_iter().map(prepare).collect();
    let refused = topics.iter().flat_map(|topic| &topic.partitions).any(is_refused);
    // An error is told at once, not after the wait.
    let limits = if refused { FetchLimits { max_wait: Duration::ZERO, ..limits } } else { limits };
    let outcomes: Vec<Result<Fetched, ErrorCode>> = if header.version < BATCHES_FROM {
        let read = old_formats::fetch(&context.broker, header.version, entries, limits).await?;
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
    respond(FetchResponse { topics, ..FetchResponse::default() })
}

fn limits(context: &Context, request: &FetchRequest) -> FetchLimits {
    let size = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
    let max_bytes = size(request.max_bytes).min(context.fetch_bytes_max);
    FetchLimits {
        min_bytes: size(request.min_bytes).min(max_bytes),
        max_wait: Duration::from_millis(request.max_wait_ms.max(0).unsigned_abs().into())
            .min(WAIT_MAX),
        max_bytes,
        committed: request.isolation_level == READ_COMMITTED,
    }
}

/// Adds a topic's partitions to `entries`; those that cannot be read are answered at once.
fn prepare(
    context: &Context,
    by_id: bool,
    topic: FetchTopic,
    entries: &mut Vec<Fetch>,
) -> FetchedTopic {
    let open = if by_id {
        context.broker.topic_by_id(TopicId::from_bytes(topic.topic_id))
    } else {
        context.broker.topic(&topic.name)
    };
    let unknown =
        if by_id { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
    let one = |asked: FetchPartition| {
        let index = asked.index;
        let refused = |code: ErrorCode| FetchedPartition {
            index,
            error_code: code.number(),
            ..FetchedPartition::default()
        };
        let Some(topic) = &open else { return refused(unknown) };
        let number = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(partition) = topic.topic.partitions.get(number) else {
            return refused(ErrorCode::UnknownTopicOrPartition);
        };
        if let Some(code) = epoch_error(asked.current_leader_epoch, partition.leader_epoch) {
            return refused(code);
        }
        entries.push(Fetch {
            topic: topic.clone(),
            partition: index,
            offset: asked.fetch_offset,
            max_bytes: usize::try_from(asked.max_bytes).unwrap_or(0),
        });
        FetchedPartition { index, ..FetchedPartition::default() }
    };
    FetchedTopic {
        partitions: topic.partitions.into_iter().map(one).collect(),
        name: topic.name,
        topic_id: topic.topic_id,
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
