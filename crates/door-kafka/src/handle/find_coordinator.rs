//! FindCoordinator: who coordinates a group. This broker coordinates all of them.

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::find_coordinator_response::Coordinator;
use crate::wire::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

/// The kind of key that names a group.
const GROUP: i8 = 0;
/// The kind of key that is a transactional id.
const TRANSACTION: i8 = 1;
/// The kind of key that names a partition of a share group.
const SHARE: i8 = 2;
/// Several keys at once from this version on (KIP-699).
const BATCHED_FROM: i16 = 4;

pub(super) async fn handle(
    request: Request<'_>,
    asked: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    if request.version() >= BATCHED_FROM {
        let find = |key| find(&request, key, asked.key_type);
        let coordinators = asked.coordinator_keys.into_iter().map(find).collect();
        return FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() };
    }
    let found = find(&request, asked.key, asked.key_type);
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..FindCoordinatorResponse::default()
    }
}

fn find(request: &Request<'_>, key: String, key_type: i8) -> Coordinator {
    let failed = |key, code: ErrorCode, text: &str| Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code: code.number(),
        error_message: Some(text.to_owned()),
        ..Coordinator::default()
    };
    if ![GROUP, TRANSACTION, SHARE].contains(&key_type) {
        return failed(key, ErrorCode::InvalidRequest, "no such kind of key");
    }
    if key.is_empty() {
        return failed(key, ErrorCode::InvalidGroupId, "the group's name is empty");
    }
    let broker = request.broker();
    let metadata = broker.metadata();
    let own = metadata.brokers.get(&broker.id());
    match own.and_then(|own| map::endpoint(own, &request.context.listener)) {
        Some(endpoint) => Coordinator {
            key,
            node_id: broker.id().0,
            host: endpoint.host.clone(),
            port: endpoint.port.into(),
            error_code: ErrorCode::None.number(),
            error_message: None,
        },
        None => failed(key, ErrorCode::CoordinatorNotAvailable, "the broker is not registered yet"),
    }
}
