//! InitProducerId: an identity for an idempotent producer, or for a transactional one (KIP-98,
//! KIP-360).

use base::Millis;
use broker::queue::transactions::{InitTxn, TxnProducer};

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::{InitProducerIdRequest, InitProducerIdResponse};

/// "Fenced" has an error of its own from this version on (KIP-588).
const FENCED_FROM: i16 = 4;

pub(super) async fn handle(
    request: Request<'_>,
    asked: InitProducerIdRequest,
) -> InitProducerIdResponse {
    match init(&request, asked).await {
        Ok(producer) => InitProducerIdResponse {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            ..InitProducerIdResponse::default()
        },
        Err(code) => InitProducerIdResponse {
            error_code: code.number(),
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        },
    }
}

async fn init(
    request: &Request<'_>,
    asked: InitProducerIdRequest,
) -> Result<TxnProducer, ErrorCode> {
    let broker = request.broker();
    let fresh = broker.new_producer().await.map_err(|error| map::meta_error(&error))?;
    let Some(id) = asked.transactional_id else {
        return Ok(TxnProducer { id: fresh, epoch: 0 });
    };
    let claimed = (asked.producer_id >= 0)
        .then_some(TxnProducer { id: asked.producer_id, epoch: asked.producer_epoch });
    let timeout = Millis::from(asked.transaction_timeout_ms);
    let init = InitTxn { id: id.into(), timeout, claimed, fresh };
    let outcome = broker.groups().init_transactions(init).await;
    outcome.map_err(|error| map::txn_error(error, request.version() >= FENCED_FROM))
}
