//! Requests about transactions and producers, and about who coordinates.

use broker::access::{Operation, ResourceKind};

use super::topics::Told;
use super::{
    CLUSTER_DENIED, GROUP_DENIED, Guard, Guarded, TOPIC_DENIED, TRANSACTION_DENIED, Verdict, text,
};
use crate::wire::ErrorCode;
use crate::wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use crate::wire::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use crate::wire::messages::describe_producers_response::{PartitionResponse, TopicResponse};
use crate::wire::messages::describe_transactions_response::TransactionState;
use crate::wire::messages::find_coordinator_response::Coordinator;
use crate::wire::messages::txn_offset_commit_request::TxnOffsetCommitRequestTopic;
use crate::wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use crate::wire::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use crate::wire::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use crate::wire::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, DescribeProducersRequest, DescribeProducersResponse,
    DescribeTransactionsRequest, DescribeTransactionsResponse, EndTxnRequest, EndTxnResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, InitProducerIdRequest, InitProducerIdResponse,
    ListTransactionsRequest, ListTransactionsResponse, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};

impl Guarded for InitProducerIdRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<InitProducerIdResponse> {
        let error_code = match &self.transactional_id {
            Some(id) if guard.transaction(Operation::Write, id) => return Verdict::Pass,
            Some(_) => TRANSACTION_DENIED,
            // Who may write anywhere may do so with a sequence (KIP-679).
            None if guard.cluster(Operation::IdempotentWrite)
                || guard.actor().may_any(Operation::Write, ResourceKind::Topic) =>
            {
                return Verdict::Pass;
            }
            None => CLUSTER_DENIED,
        };
        let refusal =
            InitProducerIdResponse { error_code, producer_epoch: -1, ..Default::default() };
        Verdict::Refuse(refusal)
    }
}

impl Guarded for AddPartitionsToTxnRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<AddPartitionsToTxnResponse> {
        let topics = &self.v3_and_below_topics;
        let refuse = |code: &dyn Fn(&str) -> i16| {
            let topic = |topic: &AddPartitionsToTxnTopic| AddPartitionsToTxnTopicResult {
                name: topic.name.clone(),
                results_by_partition: topic
                    .partitions
                    .iter()
                    .map(|partition| AddPartitionsToTxnPartitionResult {
                        partition_index: *partition,
                        partition_error_code: code(&topic.name),
                    })
                    .collect(),
            };
            Verdict::Refuse(AddPartitionsToTxnResponse {
                results_by_topic_v3_and_below: topics.iter().map(topic).collect(),
                ..AddPartitionsToTxnResponse::default()
            })
        };
        if !guard.transaction(Operation::Write, &self.v3_and_below_transactional_id) {
            return refuse(&|_| TRANSACTION_DENIED);
        }
        let allowed = |name: &str| guard.topic(Operation::Write, name);
        if topics.iter().all(|topic| allowed(&topic.name)) {
            return Verdict::Pass;
        }
        // All or none.
        let not_tried = ErrorCode::OperationNotAttempted.number();
        refuse(&|name| if allowed(name) { not_tried } else { TOPIC_DENIED })
    }
}

impl Guarded for AddOffsetsToTxnRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<AddOffsetsToTxnResponse> {
        let error_code = if !guard.transaction(Operation::Write, &self.transactional_id) {
            TRANSACTION_DENIED
        } else if !guard.group(Operation::Read, &self.group_id) {
            GROUP_DENIED
        } else {
            return Verdict::Pass;
        };
        Verdict::Refuse(AddOffsetsToTxnResponse { error_code, ..Default::default() })
    }
}

impl Guarded for EndTxnRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<EndTxnResponse> {
        let allowed = guard.transaction(Operation::Write, &self.transactional_id);
        Verdict::pass_if(allowed, || EndTxnResponse {
            error_code: TRANSACTION_DENIED,
            ..EndTxnResponse::default()
        })
    }
}

impl Guarded for TxnOffsetCommitRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<TxnOffsetCommitResponse> {
        let refused_topic = |topic: TxnOffsetCommitRequestTopic, error_code| {
            let partition =
                |partition_index| TxnOffsetCommitResponsePartition { partition_index, error_code };
            let partitions = topic.partitions.iter().map(|p| partition(p.partition_index));
            TxnOffsetCommitResponseTopic {
                partitions: partitions.collect(),
                name: topic.name,
                topic_id: topic.topic_id,
            }
        };
        let code = if !guard.transaction(Operation::Write, &self.transactional_id) {
            Some(TRANSACTION_DENIED)
        } else if !guard.group(Operation::Read, &self.group_id) {
            Some(GROUP_DENIED)
        } else {
            None
        };
        if let Some(code) = code {
            let topics = std::mem::take(&mut self.topics).into_iter();
            return Verdict::Refuse(TxnOffsetCommitResponse {
                topics: topics.map(|topic| refused_topic(topic, code)).collect(),
                ..TxnOffsetCommitResponse::default()
            });
        }
        let may_read = |topic: &TxnOffsetCommitRequestTopic| {
            guard.topic_or_id(Operation::Read, &topic.name, topic.topic_id)
        };
        let refused = self.topics.extract_if(.., |topic| !may_read(topic)).collect();
        Verdict::without(refused, move |response: &mut TxnOffsetCommitResponse, refused| {
            let refused = refused.into_iter().map(|topic| refused_topic(topic, TOPIC_DENIED));
            response.topics.extend(refused);
        })
    }
}

impl Guarded for DescribeTransactionsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DescribeTransactionsResponse> {
        let may_see = |id: &str| guard.transaction(Operation::Describe, id);
        let refused = self.transactional_ids.extract_if(.., |id| !may_see(id));
        let refused: Vec<_> = refused.collect();
        let told = Told::new(guard);
        Verdict::amend(move |response: &mut DescribeTransactionsResponse| {
            for state in &mut response.transaction_states {
                state.topics.retain(|topic| told.describes(&topic.topic));
            }
            let refused = refused.into_iter().map(|transactional_id| TransactionState {
                transactional_id,
                error_code: TRANSACTION_DENIED,
                ..TransactionState::default()
            });
            response.transaction_states.extend(refused);
        })
    }
}

impl Guarded for WriteTxnMarkersRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<WriteTxnMarkersResponse> {
        if guard.cluster(Operation::ClusterAction) || guard.cluster(Operation::Alter) {
            return Verdict::Pass;
        }
        let denied = |partition_index: &i32| WritableTxnMarkerPartitionResult {
            partition_index: *partition_index,
            error_code: CLUSTER_DENIED,
        };
        let topic = |topic: &WritableTxnMarkerTopic| WritableTxnMarkerTopicResult {
            name: topic.name.clone(),
            partitions: topic.partition_indexes.iter().map(denied).collect(),
        };
        let marker = |marker: &WritableTxnMarker| WritableTxnMarkerResult {
            producer_id: marker.producer_id,
            topics: marker.topics.iter().map(topic).collect(),
        };
        let markers = self.markers.iter().map(marker).collect();
        Verdict::Refuse(WriteTxnMarkersResponse { markers })
    }
}

impl Guarded for DescribeProducersRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DescribeProducersResponse> {
        let refused = guard.refused(Operation::Read, &mut self.topics, |topic| &topic.name);
        Verdict::without(refused, |response: &mut DescribeProducersResponse, refused| {
            response.topics.extend(refused.into_iter().map(|topic| {
                let denied = |partition_index: &i32| PartitionResponse {
                    partition_index: *partition_index,
                    error_code: TOPIC_DENIED,
                    ..PartitionResponse::default()
                };
                let partitions = topic.partition_indexes.iter().map(denied).collect();
                TopicResponse { name: topic.name, partitions }
            }));
        })
    }
}

impl Guarded for ListTransactionsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<ListTransactionsResponse> {
        let actor = guard.actor().clone();
        Verdict::amend(move |response: &mut ListTransactionsResponse| {
            let may_see = |id: &str| actor.may_transaction(Operation::Describe, id);
            response.transaction_states.retain(|state| may_see(&state.transactional_id));
        })
    }
}

/// The kind of key that names a group.
const GROUP: i8 = 0;
/// The kind of key that is a transactional id.
const TRANSACTION: i8 = 1;
/// Several keys at once from this version on (KIP-699).
const BATCHED_FROM: i16 = 4;

impl Guarded for FindCoordinatorRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<FindCoordinatorResponse> {
        let (allowed, code): (fn(&Guard<'_>, &str) -> bool, _) = match self.key_type {
            GROUP => {
                (|g, key| g.group(Operation::Describe, key), ErrorCode::GroupAuthorizationFailed)
            }
            TRANSACTION => (
                |g, key| g.transaction(Operation::Describe, key),
                ErrorCode::TransactionalIdAuthorizationFailed,
            ),
            // What only brokers ask each other, or nobody.
            _ => {
                (|g, _| g.cluster(Operation::ClusterAction), ErrorCode::ClusterAuthorizationFailed)
            }
        };
        if guard.version() < BATCHED_FROM {
            return Verdict::pass_if(allowed(guard, &self.key), || FindCoordinatorResponse {
                error_code: code.number(),
                error_message: text(code),
                node_id: -1,
                port: -1,
                ..FindCoordinatorResponse::default()
            });
        }
        let refused = self.coordinator_keys.extract_if(.., |key| !allowed(guard, key));
        let refused: Vec<_> = refused.collect();
        Verdict::without(refused, move |response: &mut FindCoordinatorResponse, refused| {
            response.coordinators.extend(refused.into_iter().map(|key| Coordinator {
                key,
                node_id: -1,
                port: -1,
                error_code: code.number(),
                error_message: text(code),
                ..Coordinator::default()
            }));
        })
    }
}
