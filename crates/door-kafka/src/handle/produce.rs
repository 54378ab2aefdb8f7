//! Produce: appends record batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::TopicId;
use broker::access::Operation;
use broker::queue::transactions::{TxnPartition, TxnProducer};
use broker::quotas::QuotaKind;
use broker::store::batch::{BatchHeader, Compression};
use broker::{Produce, ProduceError, Produced, Producing, RefusedRecord};
use door::{BoxFuture, CloseReason};

use super::{Context, Submitted};
use crate::session::{Parts, protocol_error};
use crate::wire::messages::produce_response::BatchIndexAndErrorMessage;
use crate::wire::produce::{
    ProducePartition, ProduceRequest, ProduceResponse, ProduceTopic, ProducedPartition,
    ProducedTopic,
};
use crate::wire::{ErrorCode, Reader, RequestHeader, encode_response};
use crate::{map, old_formats};

/// Versions below carry message formats before record batches.
const BATCHES_FROM: i16 = 3;
/// A client that may use zstd says so by this version (KIP-110).
const ZSTD_FROM: i16 = 7;
/// Topics are named by id from this version on.
const TOPIC_IDS_FROM: i16 = 13;

/// Producing to a partition makes it part of the transaction from this version on (KIP-890).
const IMPLICIT_FROM: i16 = 12;

/// Hands the batches to the log. Resolves once they have their place in its order; the future that
/// it returns waits for the disk, and is the response.
pub(super) async fn submit(
    context: &Context,
    header: &RequestHeader,
    reader: &mut Reader,
) -> Submitted {
    let bytes = reader.remaining();
    let request = ProduceRequest::decode(reader, header.version).map_err(protocol_error)?;
    let rest = context.quota.record_bytes(header, QuotaKind::PublishBytes, bytes);
    let (submitted, worked) = context.quota.time(header, append(context, header, request)).await;
    let Appending { acks, mut response, producing } = submitted?;
    // From now on: what the connection has sent already is taken, more is not.
    response.throttle_time_ms = context.quota.rest(rest.max(worked));
    let (header, figures) = (header.clone(), Arc::clone(&context.figures));
    Ok(Box::pin(async move {
        fill(&mut response, producing.done().await);
        let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        if partitions.any(|partition| partition.error_code != ErrorCode::None.number()) {
            figures.failed(header.api);
        }
        if header.version < BATCHES_FROM {
            let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            partitions.for_each(|p| p.error_code = old_formats::known_number(p.error_code));
        }
        finish(&header, acks, &response)
    }) as BoxFuture<_>)
}

/// A request whose batches have their place in the log's order.
struct Appending {
    acks: i16,
    response: ProduceResponse,
    producing: Producing,
}

async fn append(
    context: &Context,
    header: &RequestHeader,
    request: ProduceRequest,
) -> Result<Appending, CloseReason> {
    let acks = request.acks;
    let id = request.transactional_id.clone().filter(|_| header.version >= IMPLICIT_FROM);
    let (response, entries) = if header.version < BATCHES_FROM {
        let (of_context, header) = (context.clone(), header.clone());
        let work = move || prepare_all(&of_context, &header, request);
        context.broker.open_batches(work).await?
    } else {
        prepare_all(context, header, request)
    };
    if let Some(id) = id {
        take_part(context, &id, &entries).await;
    }
    entries.iter().for_each(|entry| context.figures.received(&entry.records));
    let producing = context.broker.produce(entries).await;
    Ok(Appending { acks, response, producing })
}

/// The response so far, and the batches that can be stored.
fn prepare_all(
    context: &Context,
    header: &RequestHeader,
    request: ProduceRequest,
) -> (ProduceResponse, Vec<Produce>) {
    let mut entries = Vec::new();
    let actor = &context.actor;
    // Who writes in a transaction says in which.
    let id = request.transactional_id.as_deref();
    let may_transact =
        actor.is_free() || id.is_some_and(|id| actor.may_transaction(Operation::Write, id));
    let how = How { acks: request.acks, may_transact };
    let prepare = |topic| prepare(context, header, how, topic, &mut entries);
    let topics = request.topics.into_iter().map(prepare).collect();
    (ProduceResponse { topics, ..ProduceResponse::default() }, entries)
}

/// Makes the partitions part of the producer's transaction, those that are not yet. What goes
/// wrong shows when the batches are refused for not being part of it.
async fn take_part(context: &Context, id: &str, entries: &[Produce]) {
    let groups = context.broker.groups();
    let mut missing: BTreeMap<TxnProducer, Vec<TxnPartition>> = BTreeMap::new();
    for entry in entries {
        let Ok(header) = BatchHeader::decode(&entry.records) else { continue };
        let producer = TxnProducer { id: header.producer_id, epoch: header.producer_epoch };
        let topic = entry.topic.topic.name.as_str().into();
        let partition = TxnPartition { topic, partition: entry.partition };
        if header.is_transactional() && groups.verify(producer, &partition).is_err() {
            missing.entry(producer).or_default().push(partition);
        }
    }
    let id = id.into();
    for (producer, partitions) in missing {
        if let Err(error) = groups.add_partitions(&id, producer, partitions).await {
            tracing::debug!(%id, %error, "partitions did not become part of the transaction");
        }
    }
}

/// What a request says of all its batches.
#[derive(Clone, Copy)]
struct How {
    acks: i16,
    /// Whether they may be part of a transaction.
    may_transact: bool,
}

/// Adds a topic's batches to `entries`; those that cannot be stored are answered at once.
fn prepare(
    context: &Context,
    header: &RequestHeader,
    how: How,
    topic: ProduceTopic,
    entries: &mut Vec<Produce>,
) -> ProducedTopic {
    let How { acks, may_transact } = how;
    let by_id = header.version >= TOPIC_IDS_FROM;
    let open = if by_id {
        context.broker.topic_by_id(TopicId::from_bytes(topic.topic_id))
    } else {
        context.broker.topic(&topic.name)
    };
    let unknown =
        if by_id { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
    // An id of no topic is told as such; of a name not even that is told that there is no topic.
    let denied = match &open {
        Some(open) => !context.actor.may_topic(Operation::Write, &open.topic.name),
        None => !by_id && !context.actor.may_topic(Operation::Write, &topic.name),
    };
    let one = |partition: ProducePartition| {
        let ProducePartition { index, records } = partition;
        let refused = |code| ProducedPartition {
            index,
            error_code: ErrorCode::number(code),
            ..ProducedPartition::default()
        };
        if denied {
            return refused(ErrorCode::TopicAuthorizationFailed);
        }
        let Some(topic) = open.clone() else { return refused(unknown) };
        if !(-1..=1).contains(&acks) {
            return refused(ErrorCode::InvalidRequiredAcks);
        }
        let Some(mut records) = records else { return refused(ErrorCode::InvalidRecord) };
        if !may_transact && is_transactional(&records) {
            return refused(ErrorCode::TransactionalIdAuthorizationFailed);
        }
        if header.version < BATCHES_FROM {
            records = match old_formats::up_convert(&topic, &records) {
                Ok(batch) => batch,
                Err(code) => return refused(code),
            };
        } else if header.version < ZSTD_FROM && is_zstd(&records) {
            return refused(ErrorCode::UnsupportedCompressionType);
        }
        entries.push(Produce { topic, partition: index, records });
        ProducedPartition { index, ..ProducedPartition::default() }
    };
    ProducedTopic {
        partitions: topic.partitions.into_iter().map(one).collect(),
        name: topic.name,
        topic_id: topic.topic_id,
    }
}

fn is_transactional(records: &[u8]) -> bool {
    BatchHeader::decode(records).is_ok_and(|header| header.is_transactional())
}

/// Judged by the batch's header alone; whether it is one is checked later.
fn is_zstd(records: &[u8]) -> bool {
    let header = BatchHeader::decode(records);
    header.and_then(|header| header.compression()).is_ok_and(|c| c == Compression::Zstd)
}

/// Puts the outcomes, which are those of the partitions that were not refused, in their places.
fn fill(response: &mut ProduceResponse, outcomes: Vec<Result<Produced, ProduceError>>) {
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    let accepted = partitions.filter(|partition| partition.error_code == ErrorCode::None.number());
    for (partition, outcome) in accepted.zip(outcomes) {
        match outcome {
            Ok(produced) => {
                partition.base_offset = produced.base_offset;
                partition.log_start_offset = produced.start_offset;
                partition.log_append_time_ms = produced.append_time.unwrap_or(-1);
            }
            Err(error) => {
                partition.error_code = map::produce_error(&error).number();
                partition.error_message = Some(error.to_string());
                if let ProduceError::Records(refused) = error {
                    partition.record_errors = refused.iter().map(record_error).collect();
                }
            }
        }
    }
}

fn record_error(refused: &RefusedRecord) -> BatchIndexAndErrorMessage {
    BatchIndexAndErrorMessage {
        batch_index: refused.index,
        batch_index_error_message: Some(refused.why.to_string()),
    }
}

/// The response frame. A producer that wants no responses learns of an error by losing its
/// connection, as a Kafka broker does it.
fn finish(
    header: &RequestHeader,
    acks: i16,
    response: &ProduceResponse,
) -> Result<Parts, CloseReason> {
    if acks == 0 {
        let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        return match partitions.find(|p| p.error_code != ErrorCode::None.number()) {
            None => Ok(Parts::new()),
            Some(failed) => {
                let code = failed.error_code;
                Err(CloseReason::Protocol(format!("produce without response failed: error {code}")))
            }
        };
    }
    let frame = encode_response(header.api, header.version, header.correlation_id, |writer| {
        response.encode(writer, header.version)
    });
    Ok(vec![frame.map_err(protocol_error)?])
}
