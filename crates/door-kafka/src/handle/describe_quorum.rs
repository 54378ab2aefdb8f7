//! DescribeQuorum: who keeps the cluster's metadata (KIP-595, KIP-836). Here the broker that
//! answers for administration is the only voter, and leads; all other brokers look on.

use base::BrokerId;

use super::Request;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use crate::wire::messages::{DescribeQuorumRequest, DescribeQuorumResponse};

/// The name under which clients ask for the log of the metadata. It has one partition.
const METADATA_LOG: &str = "__cluster_metadata";

pub(super) async fn handle(
    request: Request<'_>,
    asked: DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    let metadata = request.broker().metadata();
    let now = request.broker().now();
    // The metadata store counts its changes; that is how far each broker has followed it.
    let end = i64::try_from(metadata.revision).unwrap_or(i64::MAX);
    let replica = |id: &BrokerId| ReplicaState {
        replica_id: id.0,
        log_end_offset: end,
        last_fetch_timestamp: now,
        last_caught_up_timestamp: now,
        ..ReplicaState::default()
    };
    let observers = || metadata.brokers.keys().filter(|id| **id != metadata.controller);
    let partition = |name: &str, index: i32| {
        if name != METADATA_LOG || index != 0 {
            return PartitionData {
                partition_index: index,
                error_code: ErrorCode::UnknownTopicOrPartition.number(),
                error_message: Some(format!("only partition 0 of {METADATA_LOG} has a quorum")),
                ..PartitionData::default()
            };
        }
        PartitionData {
            partition_index: index,
            leader_id: metadata.controller.0,
            high_watermark: end,
            current_voters: vec![replica(&metadata.controller)],
            observers: observers().map(replica).collect(),
            ..PartitionData::default()
        }
    };
    let topics = asked.topics.into_iter().map(|topic| TopicData {
        partitions: topic
            .partitions
            .iter()
            .map(|asked| partition(&topic.topic_name, asked.partition_index))
            .collect(),
        topic_name: topic.topic_name,
    });
    let nodes = metadata.brokers.values().filter(|broker| broker.id == metadata.controller);
    let node = |broker: &broker::metadata::BrokerInfo| Node {
        node_id: broker.id.0,
        listeners: broker
            .endpoints
            .iter()
            .map(|endpoint| Listener {
                name: endpoint.listener.clone(),
                host: endpoint.host.clone(),
                port: endpoint.port,
            })
            .collect(),
    };
    DescribeQuorumResponse {
        topics: topics.collect(),
        nodes: nodes.map(node).collect(),
        ..DescribeQuorumResponse::default()
    }
}
