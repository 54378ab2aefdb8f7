//! DescribeCluster: the brokers, and which one administers (KIP-700).

use broker::metadata::BrokerInfo;

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_cluster_response::DescribeClusterBroker;
use crate::wire::messages::{DescribeClusterRequest, DescribeClusterResponse};

/// Ordinary brokers, as opposed to separate controllers, of which there are none.
const BROKERS: i8 = 1;

pub(super) async fn handle(
    request: Request<'_>,
    asked: DescribeClusterRequest,
) -> DescribeClusterResponse {
    if asked.endpoint_type != BROKERS {
        return DescribeClusterResponse {
            error_code: ErrorCode::MismatchedEndpointType.number(),
            error_message: Some(
                "there are no endpoints of controllers; ask for brokers".to_owned(),
            ),
            endpoint_type: BROKERS,
            ..DescribeClusterResponse::default()
        };
    }
    let metadata = request.broker().metadata();
    let broker = |broker: &BrokerInfo| {
        let endpoint = map::endpoint(broker, &request.context.listener)?;
        Some(DescribeClusterBroker {
            broker_id: broker.id.0,
            host: endpoint.host.clone(),
            port: endpoint.port.into(),
            rack: broker.rack.clone(),
            is_fenced: false,
        })
    };
    let operations = asked.include_cluster_authorized_operations;
    DescribeClusterResponse {
        cluster_id: metadata.cluster_id.clone(),
        controller_id: metadata.controller.0,
        brokers: metadata.brokers.values().filter_map(broker).collect(),
        cluster_authorized_operations: if operations {
            map::CLUSTER_OPERATIONS
        } else {
            map::NO_OPERATIONS
        },
        ..DescribeClusterResponse::default()
    }
}
