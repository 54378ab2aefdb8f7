//! ShareFetch: a member of a share group takes records, and says what becomes of those that it has
//! (KIP-932).

use std::collections::BTreeMap;
use std::time::Duration;

use base::TopicId;
use broker::access::Operation;
use broker::queue::shared::{Acquired, Take};
use broker::quotas::QuotaKind;
use broker::{SharedPartition, TakeLimits, Taken};
use bytes::Bytes;
use door::CloseReason;

use super::fetch::WAIT_MAX;
use super::share_acknowledge::{Said, end, member, readable, settle};
use super::{Context, Request};
use crate::map;
use crate::session::{Parts, protocol_error};
use crate::share_sessions::{Change, FIRST_EPOCH, LAST_EPOCH, Partition};
use crate::wire::messages::ShareFetchRequest;
use crate::wire::messages::share_fetch_response::AcquiredRecords;
use crate::wire::share_fetch::{ShareFetchResponse, ShareFetchedPartition, ShareFetchedTopic};
use crate::wire::{ErrorCode, Reader, RequestHeader};

/// Not one record more than asked for (KIP-1206); else batches are taken whole.
const RECORD_LIMIT: i8 = 1;

pub(super) async fn handle(
    context: &Context,
    header: &RequestHeader,
    mut reader: Reader,
) -> Result<Parts, CloseReason> {
    let asked = ShareFetchRequest::decode(&mut reader, header.version).map_err(protocol_error)?;
    let request = Request { context, header };
    let (response, worked) = context.quota.time(header, answer(&request, asked)).await;
    let mut response = response.unwrap_or_else(|code| ShareFetchResponse {
        error_code: code.number(),
        ..ShareFetchResponse::default()
    });
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    let bytes = partitions.map(|p| p.records.iter().map(Bytes::len).sum::<usize>()).sum();
    let rest = context.quota.record_bytes(header, QuotaKind::ReadBytes, bytes);
    for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
        context.figures.delivered(&partition.records);
    }
    response.throttle_time_ms = context.quota.rest(rest.max(worked));
    response.into_parts(header.version, header.correlation_id).map_err(protocol_error)
}

async fn answer(
    request: &Request<'_>,
    mut asked: ShareFetchRequest,
) -> Result<ShareFetchResponse, ErrorCode> {
    let group = asked.group_id.as_deref().unwrap_or_default();
    if !request.context.actor.may_group(Operation::Read, group) {
        return Err(ErrorCode::GroupAuthorizationFailed);
    }
    let member = member(request, asked.group_id.take(), asked.member_id.take())?;
    let epoch = asked.share_session_epoch;
    let (change, said) = read(&mut asked);
    // Nobody has records in a session that has not begun.
    if epoch == FIRST_EPOCH && !said.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let limits = limits(request, &asked);
    let partitions = request.context.share_sessions.advance(&member, epoch, change)?;
    let mut results: BTreeMap<Partition, ShareFetchedPartition> = BTreeMap::new();
    let mut from = Vec::new();
    for (topic, partition) in partitions {
        match readable(request, topic) {
            Ok(open) => from.push(SharedPartition { topic: open, partition }),
            Err(code) => {
                let error_code = code.number();
                let failed = ShareFetchedPartition { error_code, ..empty(partition) };
                results.insert((topic, partition), failed);
            }
        }
    }
    // An error is told at once, not after the wait.
    let wait = if results.is_empty() { limits.max_wait } else { Duration::ZERO };
    let limits = TakeLimits { max_wait: wait, ..limits };
    let takes = async {
        match limits.max_bytes == 0 || limits.take.records_max == 0 || from.is_empty() {
            true => Vec::new(),
            false => request.broker().take(&member.0, &member.1, &from, limits).await,
        }
    };
    // What is said is heard before anything is taken, and may become durable meanwhile.
    let (settled, taken) = tokio::join!(settle(request, &member, said), takes);
    if epoch == LAST_EPOCH {
        end(request, &member);
    }
    for (one, outcome) in from.iter().zip(taken) {
        let filled = match outcome {
            Ok(taken) => filled(one.partition, taken),
            Err(error) => ShareFetchedPartition {
                error_code: map::take_error(&error).number(),
                error_message: Some(error.to_string()),
                ..empty(one.partition)
            },
        };
        // What has no news is told of only when the session begins.
        let is_news = filled.error_code != 0 || !filled.acquired.is_empty();
        if is_news || epoch == FIRST_EPOCH {
            results.insert((one.topic.topic.id, one.partition), filled);
        }
    }
    for ((topic, partition), code) in settled {
        let result = results.entry((topic, partition)).or_insert_with(|| empty(partition));
        result.acknowledge_error_code = code.number();
    }
    let terms = request.broker().group_config(&member.0).terms;
    Ok(ShareFetchResponse {
        lock_timeout_ms: i32::try_from(terms.lease).unwrap_or(i32::MAX),
        topics: topics(results),
        ..ShareFetchResponse::default()
    })
}

/// What the request changes of its session, and what it says of records.
fn read(asked: &mut ShareFetchRequest) -> (Change, Vec<(Partition, Vec<Said>)>) {
    let mut change = Change::default();
    let mut all = Vec::new();
    for topic in std::mem::take(&mut asked.topics) {
        let id = TopicId::from_bytes(topic.topic_id);
        for partition in topic.partitions {
            let key = (id, partition.partition_index);
            change.add.push(key);
            let said = |batch: crate::wire::messages::share_fetch_request::AcknowledgementBatch| {
                let (first, last) = (batch.first_offset, batch.last_offset);
                Said { first, last, types: batch.acknowledge_types }
            };
            if !partition.acknowledgement_batches.is_empty() {
                all.push((key, partition.acknowledgement_batches.into_iter().map(said).collect()));
            }
        }
    }
    for topic in std::mem::take(&mut asked.forgotten_topics_data) {
        let id = TopicId::from_bytes(topic.topic_id);
        change.forget.extend(topic.partitions.into_iter().map(|partition| (id, partition)));
    }
    (change, all)
}

fn limits(request: &Request<'_>, asked: &ShareFetchRequest) -> TakeLimits {
    let size = |number: i32| usize::try_from(number).unwrap_or(0);
    let wait = Duration::from_millis(asked.max_wait_ms.max(0).unsigned_abs().into());
    // One who renews does not fetch (KIP-1222), and one who ends the session neither.
    let fetches = !asked.is_renew_ack && asked.share_session_epoch != LAST_EPOCH;
    TakeLimits {
        min_bytes: size(asked.min_bytes),
        max_wait: wait.min(WAIT_MAX),
        max_bytes: size(asked.max_bytes)
            .min(request.context.fetch_bytes_max)
            .min(request.context.quota.most_bytes(request.header, QuotaKind::ReadBytes)),
        take: Take {
            records_max: if fetches { size(asked.max_records) } else { 0 },
            strict: asked.share_acquire_mode == RECORD_LIMIT,
        },
        // Who does not say takes it as it comes.
        piece: usize::try_from(asked.batch_size).ok().filter(|n| *n > 0).unwrap_or(usize::MAX),
    }
}

fn empty(index: i32) -> ShareFetchedPartition {
    ShareFetchedPartition { index, ..ShareFetchedPartition::default() }
}

fn filled(index: i32, taken: Taken) -> ShareFetchedPartition {
    let range = |run: Acquired| AcquiredRecords {
        first_offset: run.first,
        last_offset: run.last,
        delivery_count: i16::try_from(run.deliveries).unwrap_or(i16::MAX),
    };
    ShareFetchedPartition {
        records: taken.batches,
        acquired: taken.acquired.into_iter().map(range).collect(),
        ..empty(index)
    }
}

fn topics(results: BTreeMap<Partition, ShareFetchedPartition>) -> Vec<ShareFetchedTopic> {
    let mut topics: Vec<ShareFetchedTopic> = Vec::new();
    for ((topic, _), partition) in results {
        let topic_id = topic.to_bytes();
        match topics.last_mut().filter(|last| last.topic_id == topic_id) {
            Some(last) => last.partitions.push(partition),
            None => topics.push(ShareFetchedTopic { topic_id, partitions: vec![partition] }),
        }
    }
    topics
}
