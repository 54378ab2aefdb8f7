//! Identities for idempotent producers.

use cluster::MetaError;

use crate::Broker;
use crate::metadata::keys;

/// Identities taken from the metadata store at once.
const BLOCK: u64 = 1000;

impl Broker {
    /// A producer identity that was never given out before, here or elsewhere in the cluster.
    ///
    /// # Errors
    /// When the metadata store fails.
    pub async fn new_producer(&self) -> Result<i64, MetaError> {
        let mut block = self.inner.producer_ids.lock().await;
        if block.0 == block.1 {
            let first = self.reserve(keys::NEXT_PRODUCER, 0, BLOCK).await?.cast_signed();
            *block = (first, first + BLOCK.cast_signed());
        }
        block.0 += 1;
        Ok(block.0 - 1)
    }
}
