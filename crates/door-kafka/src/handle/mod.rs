//! One file per request: parse, one verb of the broker, reply. Which requests are served, and in
//! which versions, stands here on one page.

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_client_quotas;
mod alter_configs;
mod alter_replica_log_dirs;
mod api_versions;
mod broker_configs;
mod broker_loggers;
mod client_metrics;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delegation_tokens;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_transactions;
mod elect_leaders;
mod end_txn;
mod fetch;
mod find_coordinator;
mod guard;
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
mod partition_reassignments;
mod produce;
mod quota;
mod sasl;
mod share_acknowledge;
mod share_fetch;
mod share_group_describe;
mod share_group_heartbeat;
mod share_group_offsets;
mod sync_group;
mod telemetry;
mod txn_offset_commit;
mod update_features;
mod user_credentials;
mod write_txn_markers;

#[cfg(test)]
mod document;

use std::future::Future;
use std::sync::{Arc, OnceLock};

use base::{Principal, TopicId};
use broker::access::Actor;
use broker::quotas::QuotaKind;
use broker::{Broker, OpenTopic};
use door::{About, BoxFuture, CloseReason};

use self::guard::{Guard, Guarded, Verdict};
pub(crate) use self::quota::Quota;
use crate::fetch_sessions::FetchSessions;
use crate::figures::Figures;
use crate::session::{Parts, protocol_error};
use crate::share_sessions::OfConnection;
use crate::telemetry::Telemetry;
use crate::wire::{ApiKey, ErrorCode, Message, Reader, RequestHeader, encode_response};

/// A request that is served, in the versions that clients are told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer {
    pub(crate) api: ApiKey,
    pub(crate) low: i16,
    pub(crate) high: i16,
    /// What users should know of it: a cell of the table in `docs/doors/kafka.md`.
    #[cfg_attr(not(test), allow(dead_code, reason = "the page is written by a test"))]
    pub(crate) notes: &'static str,
}

/// Makes [`OFFERED`] and [`answer`] of one table. How a request is handled:
///
/// - `message`: decoded, then one message for another;
/// - `frame`: the handler writes the frame, because records must not be copied;
/// - `pipelined`: in [`pipelined`].
macro_rules! requests {
    ($($api:ident $low:literal - $high:literal $how:ident $handler:path, $notes:literal;)*) => {
        /// The requests that are served.
        pub(crate) const OFFERED: &[Offer] = &[$(
            Offer { api: ApiKey::$api, low: $low, high: $high, notes: $notes },
        )*];

        async fn answer(call: Call<'_>) -> Result<Parts, CloseReason> {
            match call.header.api {
                $(ApiKey::$api => requests!(@$how call, $handler),)*
            }
        }
    };
    (@message $call:ident, $handler:path) => { $call.answer($handler).await };
    (@frame $call:ident, $handler:path) => {
        Box::pin($handler($call.context, $call.header, $call.reader)).await
    };
    (@pipelined $call:ident, $handler:path) => { not_offered($call.header) };
}

// Produce below version 3 and Fetch below 4 carry message formats that are converted
// (`old_formats.rs`). librdkafka insists on seeing the former (KAFKA-18659).
//
// Sorted by key. The page docs/doors/kafka.md is made from this table; how: `document.rs`.
requests! {
    Produce 0-13 pipelined produce::submit,
        "acks 0, 1, all: all wait for what the topic's `entrepot.durability` asks. One batch per \
         partition; compressed batches pass unopened, zstd from version 7. Versions 0–2: message \
         sets, see below";
    Fetch 0-18 frame fetch::handle,
        "long polling; by name and by topic id; fetch sessions (KIP-227) with Kafka's rules of \
         eviction: what nothing happened to costs nothing. Answered early with \
         UNKNOWN_TOPIC_OR_PARTITION when the topic is deleted. Versions 0–3: message sets, see \
         below. The high watermark of version 18 is a follower's, and ignored";
    ListOffsets 0-11 message list_offsets::handle,
        "earliest, latest, by time, largest timestamp (-3), earliest local (-4); tiered (-5, \
         -6) has none. Version 0 lists the offset and the partition's first";
    Metadata 0-13 message metadata::handle,
        "topics are made on first use if client and configuration allow; a topic named several \
         times is answered once; who asks for all is not told of internal topics (`_events`, \
         `__consumer_offsets`)";
    OffsetCommit 0-10 message offset_commit::handle,
        "durable when answered. Version 0, which ZooKeeper stored, means the group's too; the \
         commit times of version 1 are ignored";
    OffsetFetch 0-10 message offset_fetch::handle, "version 0: from the group, as OffsetCommit";
    FindCoordinator 0-6 message find_coordinator::handle,
        "groups, transactions and share partitions; other kinds: INVALID_REQUEST";
    JoinGroup 0-9 message join_group::handle,
        "classic groups: static members, member-id-required, cooperative; survive a restart \
         without a rebalance";
    Heartbeat 0-4 message heartbeat::handle, "";
    LeaveGroup 0-5 message leave_group::handle, "";
    SyncGroup 0-5 message sync_group::handle, "";
    DescribeGroups 0-6 message describe_groups::handle,
        "classic groups only; one named several times is answered once";
    ListGroups 0-5 message list_groups::handle, "groups of all kinds";
    SaslHandshake 0-1 message sasl::handle_handshake,
        "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, as the listener offers; version 0 with \
         tokens as bare frames";
    ApiVersions 0-5 message api_versions::handle,
        "a client that meant another broker or cluster is told so (KIP-1242: \
         REBOOTSTRAP_REQUIRED). Features `transaction.version` 2, `group.version` 1, \
         `share.version` 2";
    CreateTopics 0-7 message create_topics::handle,
        "replication factor 1 (or -1): a message is stored once";
    DeleteTopics 0-6 message delete_topics::handle, "";
    DeleteRecords 0-2 message delete_records::handle, "";
    InitProducerId 0-5 message init_producer_id::handle,
        "idempotent producers; the last five batches of each are remembered, also over a restart";
    OffsetForLeaderEpoch 2-4 message offset_for_leader_epoch::handle, "";
    AddPartitionsToTxn 0-3 message add_partitions_to_txn::handle,
        "transactions, see below; later versions are between brokers";
    AddOffsetsToTxn 0-4 message add_offsets_to_txn::handle, "";
    EndTxn 0-5 message end_txn::handle, "";
    WriteTxnMarkers 1-2 message write_txn_markers::handle,
        "for an operator who ends a transaction that hangs in a partition; the coordinator is not \
         told";
    TxnOffsetCommit 0-6 message txn_offset_commit::handle, "";
    DescribeAcls 1-3 message describe_acls::handle,
        "access rules; who may send which request: see Access rules";
    CreateAcls 1-3 message create_acls::handle,
        "literal and prefixed patterns. Rules of one request that are about different resources \
         are not added all at once";
    DeleteAcls 1-3 message delete_acls::handle, "any filter";
    DescribeConfigs 1-4 message describe_configs::handle, "topics, groups, the broker and its loggers";
    AlterConfigs 0-2 message alter_configs::handle_replace,
        "topics and groups; the broker's own is read-only. Keys without effect here can be set, \
         and say why they have none";
    AlterReplicaLogDirs 1-2 message alter_replica_log_dirs::handle,
        "there is one folder; any other: LOG_DIR_NOT_FOUND";
    DescribeLogDirs 1-5 message describe_log_dirs::handle,
        "one folder, with its disk's size and what is free; never cordoned";
    SaslAuthenticate 0-2 message sasl::handle_authenticate,
        "also again on an open connection, by the same user in the same way (KIP-368)";
    CreatePartitions 0-3 message create_partitions::handle, "";
    CreateDelegationToken 1-3 message delegation_tokens::handle_create,
        "DELEGATION_TOKEN_AUTH_DISABLED, as a Kafka broker without a secret key for them";
    RenewDelegationToken 1-2 message delegation_tokens::handle_renew, "the same";
    ExpireDelegationToken 1-2 message delegation_tokens::handle_expire, "the same";
    DescribeDelegationToken 1-3 message delegation_tokens::handle_describe, "the same";
    DeleteGroups 0-3 message delete_groups::handle, "groups of all kinds";
    ElectLeaders 0-2 message elect_leaders::handle,
        "ELECTION_NOT_NEEDED: every partition has its owner";
    IncrementalAlterConfigs 0-1 message alter_configs::handle_incremental, "as AlterConfigs";
    AlterPartitionReassignments 0-1 message partition_reassignments::handle_alter,
        "only to where a partition lies; else INVALID_REPLICA_ASSIGNMENT";
    ListPartitionReassignments 0-0 message partition_reassignments::handle_list,
        "nothing is ever under way";
    OffsetDelete 0-0 message offset_delete::handle, "groups of all kinds";
    DescribeClientQuotas 0-1 message describe_client_quotas::handle, "see Quotas";
    AlterClientQuotas 0-1 message alter_client_quotas::handle,
        "users, clients, clients of users, and addresses, by name or by default";
    DescribeUserScramCredentials 0-0 message user_credentials::handle_describe, "";
    AlterUserScramCredentials 0-0 message user_credentials::handle_alter,
        "4096 to 16384 iterations, as in Kafka";
    DescribeQuorum 0-2 message describe_quorum::handle,
        "the broker that answers for administration is the only voter; its log's end is the \
         metadata's revision";
    UpdateFeatures 0-2 message update_features::handle,
        "features have fixed levels: asking for another is INVALID_UPDATE_VERSION";
    DescribeCluster 0-2 message describe_cluster::handle, "";
    DescribeProducers 0-0 message describe_producers::handle,
        "the last timestamp is when the broker last heard of the producer";
    DescribeTransactions 0-0 message describe_transactions::handle, "";
    ListTransactions 0-2 message describe_transactions::handle_list, "";
    ConsumerGroupHeartbeat 0-1 message consumer_group_heartbeat::handle,
        "consumer groups (KIP-848), see below";
    ConsumerGroupDescribe 0-1 message consumer_group_describe::handle, "";
    GetTelemetrySubscriptions 0-0 message telemetry::handle_get,
        "metrics of clients (KIP-714), see below";
    PushTelemetry 0-0 message telemetry::handle_push, "";
    ListConfigResources 0-1 message client_metrics::handle_list,
        "topics, brokers, groups with configuration of their own, subscriptions to client metrics";
    DescribeTopicPartitions 0-0 message describe_topic_partitions::handle, "";
    ShareGroupHeartbeat 1-1 message share_group_heartbeat::handle,
        "share groups (KIP-932), see below";
    ShareGroupDescribe 1-1 message share_group_describe::handle, "";
    ShareFetch 1-2 frame share_fetch::handle,
        "long polling, for new records and for those that come back; share sessions; \
         acknowledgements are durable when answered";
    ShareAcknowledge 1-2 message share_acknowledge::handle, "durable when answered";
    DescribeShareGroupOffsets 0-1 message share_group_offsets::handle_describe, "";
    AlterShareGroupOffsets 0-0 message share_group_offsets::handle_alter,
        "for groups without members";
    DeleteShareGroupOffsets 0-0 message share_group_offsets::handle_delete,
        "for groups without members";
}

/// What a handler may need besides the request.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) broker: Broker,
    pub(crate) fetch_bytes_max: usize,
    pub(crate) fetch_sessions: Arc<FetchSessions>,
    pub(crate) share_sessions: Arc<OfConnection>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) figures: Arc<Figures>,
    /// Name and version of the client's library, once it said so (KIP-511).
    pub(crate) software: Arc<OnceLock<(String, String)>>,
    /// The listener that the client came through.
    pub(crate) listener: Arc<str>,
    /// Who asks, and what they may do: anonymous until a login says otherwise.
    pub(crate) actor: Actor,
    /// What they use, and for how long they must rest.
    pub(crate) quota: Quota,
    /// Where the client connects from.
    pub(crate) host: Arc<str>,
    /// From which port it connects.
    pub(crate) port: u16,
    /// What is shown of the connection.
    pub(crate) about: About,
}

impl Context {
    /// Somebody proved who they are.
    pub(crate) fn log_in(&mut self, principal: Principal) {
        self.quota = self.quota.of(&self.broker, &principal);
        self.about.user(&principal);
        self.actor = self.broker.actor(principal, Arc::clone(self.actor.host()));
    }
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
    OFFERED.iter().any(|o| o.api == header.api && (o.low..=o.high).contains(&header.version))
}

/// Whether a request may wait for long: for records, or for other members of a group.
pub(crate) fn may_wait(api: ApiKey) -> bool {
    matches!(api, ApiKey::Fetch | ApiKey::ShareFetch | ApiKey::JoinGroup | ApiKey::SyncGroup)
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
    answer(Call { context, header, reader }).await
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

    /// A topic by its name, or in versions that have them by its id; or the error for
    /// one that is not there.
    fn find_topic(&self, name: &str, id: Option<[u8; 16]>) -> Result<Arc<OpenTopic>, ErrorCode> {
        match id {
            Some(id) => {
                let topic = self.broker().topic_by_id(TopicId::from_bytes(id));
                topic.ok_or(ErrorCode::UnknownTopicId)
            }
            None => self.broker().topic(name).ok_or(ErrorCode::UnknownTopicOrPartition),
        }
    }
}

impl<'a> Call<'a> {
    /// Decodes the request, checks who sent it, handles it, encodes the response.
    async fn answer<R, H>(mut self, handle: H) -> Result<Parts, CloseReason>
    where
        R: Guarded,
        H: AsyncFnOnce(Request<'a>, R) -> R::Response,
    {
        let (context, header) = (self.context, self.header);
        let mut request = R::decode(&mut self.reader, header.version).map_err(protocol_error)?;
        let guard = Guard { context, header };
        let verdict = if context.actor.is_free() { Verdict::Pass } else { request.guard(&guard) };
        let (spent, rest) = if context.quota.is_bounded(QuotaKind::Mutations) {
            request.spend(&guard)
        } else {
            (Verdict::Pass, 0)
        };
        let mut amendments = Vec::new();
        for verdict in [verdict, spent] {
            match verdict {
                Verdict::Pass => {}
                Verdict::Amend(amendment) => amendments.push(amendment),
                Verdict::Refuse(response) => return self.finish(response, rest),
            }
        }
        let handling = Box::pin(handle(Request { context, header }, request));
        let (mut response, worked) = context.quota.time(header, handling).await;
        amendments.into_iter().for_each(|amend| amend(&mut response));
        self.finish(response, rest.max(worked))
    }

    /// Encodes a response to a client that must rest for so many milliseconds.
    fn finish(self, mut response: impl Message, rest: u32) -> Result<Parts, CloseReason> {
        let header = self.header;
        response.set_throttle_time_ms(self.context.quota.rest(rest));
        let frame = encode_response(header.api, header.version, header.correlation_id, |writer| {
            response.encode(writer, header.version)
        });
        Ok(vec![frame.map_err(protocol_error)?])
    }
}
