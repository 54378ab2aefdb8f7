//! AddOffsetsToTxn: a transaction will commit offsets of a group (KIP-98).

use broker::queue::transactions::TxnProducer;

use super::Request;
use crate::map;
use crate::wire::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

/// "Fenced" has an error of its own from this version on (KIP-588).
const FENCED_FROM: i16 = 2;

pub(super) async fn handle(
    request: Request<'_>,
    asked: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let producer = TxnProducer { id: asked.producer_id, epoch: asked.producer_epoch };
    let id = asked.transactional_id.into();
    let outcome = request.broker().groups().add_group(&id, producer).await;
    let code = map::txn_code(outcome, request.version() >= FENCED_FROM);
    AddOffsetsToTxnResponse { error_code: code.number(), ..AddOffsetsToTxnResponse::default() }
}
