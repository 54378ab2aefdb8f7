//! What a batch must be to be stored in a topic. Most topics look at its header and checksum alone;
//! where the records themselves matter they are opened, on a thread that may take its time.

use std::sync::Arc;

use queue::transactions::{TxnPartition, TxnProducer};
use store::batch::{Batch, BatchError, BatchHeader};
use store::{Append, AppendError};
use tokio::sync::Semaphore;

use super::produce::{Produce, ProduceError, Refusal, RefusedRecord};
use crate::Broker;
use crate::topic_config::TopicConfig;
use crate::topics::OpenTopic;

/// Requests whose batches are opened at a time, of all connections: each may unpack to a lot, and
/// computes.
static OPENING: Semaphore = Semaphore::const_new(2);

/// Refused records that are told of one batch.
const REFUSED_TOLD_MAX: usize = 1000;

type Outcome = Result<Append, ProduceError>;

impl Broker {
    /// Checks batches; one outcome per entry.
    pub(super) async fn admit(&self, entries: Vec<Produce>) -> Vec<Outcome> {
        if !entries.iter().any(must_be_opened) {
            return entries.iter().map(|entry| self.check(entry)).collect();
        }
        let count = entries.len();
        let closed = || vec![Err(ProduceError::from(AppendError::Closed)); count];
        let Ok(turn) = OPENING.acquire().await else { return closed() };
        let broker = self.clone();
        let work = move || {
            // Held by the work itself, which goes on if the client goes away.
            let _turn = turn;
            entries.iter().map(|entry| broker.check(entry)).collect()
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| closed())
    }

    fn check(&self, entry: &Produce) -> Outcome {
        let Produce { topic, partition, records } = entry;
        let log = topic.log(*partition).ok_or(ProduceError::NoPartition)?;
        if topic.topic.internal {
            return Err(ProduceError::Internal);
        }
        let limit = topic.config.max_message_bytes;
        if records.len() > limit {
            return Err(ProduceError::TooLarge { size: records.len(), limit });
        }
        if records.is_empty() {
            return Err(BatchError::Malformed("there is no batch").into());
        }
        let batch = Batch::parse(records.clone())?;
        batch.check_produced()?;
        if batch.header().is_log_append_time() {
            return Err(ProduceError::TimestampType);
        }
        if batch.header().is_transactional() {
            let header = batch.header();
            let producer = TxnProducer { id: header.producer_id, epoch: header.producer_epoch };
            let partition =
                TxnPartition { topic: topic.topic.name.as_str().into(), partition: *partition };
            self.inner.groups.verify(producer, &partition)?;
        }
        if looks_at_records(&topic.config) {
            check_records(topic, *partition, &batch)?;
        }
        let epoch = topic.leader_epoch(*partition);
        Ok(Append { log: Arc::clone(log), batches: vec![batch], epoch })
    }
}

fn must_be_opened(entry: &Produce) -> bool {
    // What is no batch is refused without.
    BatchHeader::decode(&entry.records).is_ok() && looks_at_records(&entry.topic.config)
}

fn looks_at_records(config: &TopicConfig) -> bool {
    config.log.compaction.is_some()
}

/// Checks each record, all of them, so that the client learns which to leave out.
fn check_records(topic: &OpenTopic, partition: i32, batch: &Batch) -> Result<(), ProduceError> {
    let compacted = topic.config.log.compaction.is_some();
    let name: Arc<str> = topic.topic.name.as_str().into();
    let mut refused = Vec::new();
    for (index, record) in (0..).zip(batch.records()?) {
        let record = record?;
        if compacted && record.key.is_none() && refused.len() < REFUSED_TOLD_MAX {
            let why = Refusal::NoKey(Arc::clone(&name), partition);
            refused.push(RefusedRecord { index, why });
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(ProduceError::Records(refused)) }
}
