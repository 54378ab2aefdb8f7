//! EndTxn: commits or aborts (KIP-98); from version 5 on the producer gets a new epoch by it
//! (KIP-890).

use broker::queue::transactions::{EndTxn, TxnProducer};

use super::Request;
use crate::map;
use crate::wire::messages::{EndTxnRequest, EndTxnResponse};

/// "Fenced" has an error of its own from this version on (KIP-588).
const FENCED_FROM: i16 = 2;
const RENEW_FROM: i16 = 5;

pub(super) async fn handle(request: Request<'_>, asked: EndTxnRequest) -> EndTxnResponse {
    let version = request.version();
    let renew = if version >= RENEW_FROM {
        match request.broker().new_producer().await {
            Ok(fresh) => Some(fresh),
            Err(error) => {
                let error_code = map::meta_error(&error).number();
                return EndTxnResponse { error_code, ..EndTxnResponse::default() };
            }
        }
    } else {
        None
    };
    let end = EndTxn {
        id: asked.transactional_id.into(),
        producer: TxnProducer { id: asked.producer_id, epoch: asked.producer_epoch },
        commit: asked.committed,
        renew,
    };
    match request.broker().groups().end_transaction(end).await {
        Ok(ended) => EndTxnResponse {
            producer_id: ended.producer.id,
            producer_epoch: ended.producer.epoch,
            ..EndTxnResponse::default()
        },
        Err(error) => EndTxnResponse {
            error_code: map::txn_error(error, version >= FENCED_FROM).number(),
            ..EndTxnResponse::default()
        },
    }
}
