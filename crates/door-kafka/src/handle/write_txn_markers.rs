//! WriteTxnMarkers: an operator ends a transaction that hangs in a partition (KIP-664). Between
//! Kafka's brokers it is also how a coordinator ends transactions, which here is no request.

use std::sync::Arc;

use broker::{OpenTopic, WriteMarker};

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::write_txn_markers_request::WritableTxnMarker;
use crate::wire::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use crate::wire::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};

/// From this version of transactions on every end of one raises the producer's epoch.
const EPOCH_RISES_FROM: i8 = 2;

pub(super) async fn handle(
    request: Request<'_>,
    asked: WriteTxnMarkersRequest,
) -> WriteTxnMarkersResponse {
    let mut response = WriteTxnMarkersResponse::default();
    for marker in asked.markers {
        response.markers.push(write(&request, marker).await);
    }
    response
}

/// The coordinator's epoch is not looked at: a broker's transactions never change their coordinator.
async fn write(request: &Request<'_>, asked: WritableTxnMarker) -> WritableTxnMarkerResult {
    let marker = |topic: &Arc<OpenTopic>, partition: i32| WriteMarker {
        topic: Arc::clone(topic),
        partition,
        producer: asked.producer_id,
        epoch: asked.producer_epoch,
        newer: asked.transaction_version >= EPOCH_RISES_FROM,
        commit: asked.transaction_result,
    };
    let mut topics = Vec::with_capacity(asked.topics.len());
    for topic in &asked.topics {
        let open = request.broker().topic(&topic.name);
        let outcomes = match &open {
            Some(open) => {
                let markers = topic.partition_indexes.iter().map(|index| marker(open, *index));
                let outcomes = request.broker().write_markers(&markers.collect::<Vec<_>>()).await;
                let code = |error| map::marker_error(&error);
                outcomes.into_iter().map(|o| o.map_or_else(code, |()| ErrorCode::None)).collect()
            }
            None => vec![ErrorCode::UnknownTopicOrPartition; topic.partition_indexes.len()],
        };
        let result = |(index, code): (&i32, ErrorCode)| WritableTxnMarkerPartitionResult {
            partition_index: *index,
            error_code: code.number(),
        };
        topics.push(WritableTxnMarkerTopicResult {
            name: topic.name.clone(),
            partitions: topic.partition_indexes.iter().zip(outcomes).map(result).collect(),
        });
    }
    WritableTxnMarkerResult { producer_id: asked.producer_id, topics }
}
