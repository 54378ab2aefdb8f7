//! InitProducerId: an identity for an idempotent producer (KIP-98).

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::{InitProducerIdRequest, InitProducerIdResponse};

pub(super) async fn handle(
    request: Request<'_>,
    asked: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let failed = |code: ErrorCode| InitProducerIdResponse {
        error_code: code.number(),
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    };
    if asked.transactional_id.is_some() {
        // Transactions are not served yet; of the protocol's errors this one makes a client stop
        // and say so, instead of retrying for ever.
        return failed(ErrorCode::UnsupportedVersion);
    }
    match request.broker().new_producer().await {
        Ok(producer_id) => InitProducerIdResponse {
            producer_id,
            producer_epoch: 0,
            ..InitProducerIdResponse::default()
        },
        Err(error) => failed(map::meta_error(&error)),
    }
}
