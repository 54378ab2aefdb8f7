//! One file per request: parse, one verb of the broker, reply. Which requests are served, and in
//! which versions, stands here on one page.

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod api_versions;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_topic_partitions;
mod describe_transactions;
mod end_txn;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;
mod txn_offset_commit;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;

use base::Principal;
use broker::Broker;
use door::{BoxFuture, CloseReason};

use crate::session::{Parts, protocol_error};
use crate::wire::{ApiKey, Message, Reader, RequestHeader, RequestMessage, encode_response};

/// The requests that are served, with the versions that clients are told.
///
/// Produce below version 3 and Fetch below 4 carry message formats that are converted
/// (`old_formats.rs`). librdkafka insists on seeing the former (KAFKA-18659).
pub(crate) const OFFERED: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 0, 13),
    (ApiKey::Fetch, 0, 17),
    (ApiKey::ListOffsets, 0, 10),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::OffsetCommit, 0, 9),
    (ApiKey::OffsetFetch, 0, 9),
    (ApiKey::FindCoordinator, 0, 6),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 6),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 0, 7),
    (ApiKey::DeleteTopics, 0, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    // Later versions are between brokers.
    (ApiKey::AddPartitionsToTxn, 0, 3),
    (ApiKey::AddOffsetsToTxn, 0, 4),
    (ApiKey::EndTxn, 0, 5),
    (ApiKey::TxnOffsetCommit, 0, 5),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::DescribeLogDirs, 1, 4),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeCluster, 0, 2),
    (ApiKey::DescribeTransactions, 0, 0),
    (ApiKey::ListTransactions, 0, 1),
    (ApiKey::ConsumerGroupHeartbeat, 0, 1),
    (ApiKey::ConsumerGroupDescribe, 0, 1),
    (ApiKey::DescribeTopicPartitions, 0, 0),
];

/// What a handler may need besides the request.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) broker: Broker,
    pub(crate) fetch_bytes_max: usize,
    /// The listener that the client came through.
    pub(crate) listener: Arc<str>,
    /// Who asks: anonymous until a login says otherwise.
    #[allow(dead_code, reason = "what access rules judge; they are about to come")]
    pub(crate) principal: Principal,
    /// Where the client connects from.
    pub(crate) host: Arc<str>,
}

type Submitted = Result<BoxFuture<Result<Parts, CloseReason>>, CloseReason>;

/// Begins a request that may wait for the disk while later ones are read. `None` for requests
/// that are handled one at a time.
pub(crate) fn pipelined<'a>(
    context: &'a Context,
    header: &'a RequestHeader,
    reader: &'a mut Reader,
) -> Option<impl Future<Output = Submitted> + 'a> {
    let served = header.api == ApiKey::Produce && is_offered(header);
    served.then(|| produce::submit(context, header, reader))
}

fn is_offered(header: &RequestHeader) -> bool {
    OFFERED
        .iter()
        .any(|(api, low, high)| *api == header.api && (*low..=*high).contains(&header.version))
}

/// Whether a request may wait for long: for records, or for other members of a group.
pub(crate) fn may_wait(api: ApiKey) -> bool {
    matches!(api, ApiKey::Fetch | ApiKey::JoinGroup | ApiKey::SyncGroup)
}

/// Handles one request.
pub(crate) async fn dispatch(
    context: &Context,
    header: &RequestHeader,
    reader: Reader,
) -> Result<Parts, CloseReason> {
    if !is_offered(header) {
        return not_offered(header);
    }
    let call = Call { context, header, reader };
    match header.api {
        ApiKey::Fetch => Box::pin(fetch::handle(context, header, call.reader)).await,
        ApiKey::ListOffsets => call.answer(list_offsets::handle).await,
        ApiKey::Metadata => call.answer(metadata::handle).await,
        ApiKey::OffsetCommit => call.answer(offset_commit::handle).await,
        ApiKey::OffsetFetch => call.answer(offset_fetch::handle).await,
        ApiKey::FindCoordinator => call.answer(find_coordinator::handle).await,
        ApiKey::JoinGroup => call.answer(join_group::handle).await,
        ApiKey::Heartbeat => call.answer(heartbeat::handle).await,
        ApiKey::LeaveGroup => call.answer(leave_group::handle).await,
        ApiKey::SyncGroup => call.answer(sync_group::handle).await,
        ApiKey::DescribeGroups => call.answer(describe_groups::handle).await,
        ApiKey::ListGroups => call.answer(list_groups::handle).await,
        ApiKey::ApiVersions => call.answer(api_versions::handle).await,
        ApiKey::CreateTopics => call.answer(create_topics::handle).await,
        ApiKey::DeleteTopics => call.answer(delete_topics::handle).await,
        ApiKey::DeleteRecords => call.answer(delete_records::handle).await,
        ApiKey::InitProducerId => call.answer(init_producer_id::handle).await,
        ApiKey::OffsetForLeaderEpoch => call.answer(offset_for_leader_epoch::handle).await,
        ApiKey::AddPartitionsToTxn => call.answer(add_partitions_to_txn::handle).await,
        ApiKey::AddOffsetsToTxn => call.answer(add_offsets_to_txn::handle).await,
        ApiKey::EndTxn => call.answer(end_txn::handle).await,
        ApiKey::TxnOffsetCommit => call.answer(txn_offset_commit::handle).await,
        ApiKey::DescribeTransactions => call.answer(describe_transactions::handle).await,
        ApiKey::ListTransactions => call.answer(describe_transactions::handle_list).await,
        ApiKey::DescribeConfigs => call.answer(describe_configs::handle).await,
        ApiKey::AlterConfigs => call.answer(alter_configs::handle_replace).await,
        ApiKey::IncrementalAlterConfigs => call.answer(alter_configs::handle_incremental).await,
        ApiKey::DescribeLogDirs => call.answer(describe_log_dirs::handle).await,
        ApiKey::CreatePartitions => call.answer(create_partitions::handle).await,
        ApiKey::DeleteGroups => call.answer(delete_groups::handle).await,
        ApiKey::OffsetDelete => call.answer(offset_delete::handle).await,
        ApiKey::DescribeCluster => call.answer(describe_cluster::handle).await,
        ApiKey::ConsumerGroupHeartbeat => call.answer(consumer_group_heartbeat::handle).await,
        ApiKey::ConsumerGroupDescribe => call.answer(consumer_group_describe::handle).await,
        ApiKey::DescribeTopicPartitions => call.answer(describe_topic_partitions::handle).await,
        _ => not_offered(header),
    }
}

/// A client that asks for what it was not offered is told once in a form that it surely reads (the
/// ApiVersions response), else cut off, as a Kafka broker does.
fn not_offered(header: &RequestHeader) -> Result<Parts, CloseReason> {
    if header.api == ApiKey::ApiVersions {
        return api_versions::unsupported(header);
    }
    let (name, version) = (header.api.name(), header.version);
    Err(CloseReason::Protocol(format!("{name} version {version} is not offered")))
}

/// A request that has not been decoded yet.
struct Call<'a> {
    context: &'a Context,
    header: &'a RequestHeader,
    reader: Reader,
}

/// What a handler is told of a request besides its content.
pub(crate) struct Request<'a> {
    pub(crate) context: &'a Context,
    pub(crate) header: &'a RequestHeader,
}

impl Request<'_> {
    fn broker(&self) -> &Broker {
        &self.context.broker
    }

    fn version(&self) -> i16 {
        self.header.version
    }
}

impl<'a> Call<'a> {
    /// Decodes the request, handles it, encodes the response.
    async fn answer<R, H>(mut self, handle: H) -> Result<Parts, CloseReason>
    where
        R: RequestMessage,
        H: AsyncFnOnce(Request<'a>, R) -> R::Response,
    {
        let header = self.header;
        let request = R::decode(&mut self.reader, header.version).map_err(protocol_error)?;
        let response = Box::pin(handle(Request { context: self.context, header }, request)).await;
        let frame = encode_response(header.api, header.version, header.correlation_id, |writer| {
            response.encode(writer, header.version)
        });
        Ok(vec![frame.map_err(protocol_error)?])
    }
}
