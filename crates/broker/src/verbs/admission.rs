//! What a batch must be to be stored in a topic, and what the topic makes of it. Most topics look at
//! its header and checksum alone; where the records themselves matter they are opened, on a thread
//! that may take its time.

use std::sync::Arc;

use base::Millis;
use observe::trace::Who;
use queue::transactions::{TxnPartition, TxnProducer};
use store::batch::old::NO_TIMESTAMP;
use store::batch::{Batch, BatchError, BatchHeader, Compression};
use store::{Append, AppendError};
use tokio::sync::Semaphore;

use super::produce::{Produce, ProduceError, Refusal, RefusedRecord};
use crate::Broker;
use crate::followed::{Received, Storing};
use crate::queues::Coming;
use crate::topic_config::{Times, TopicConfig};
use crate::topics::OpenTopic;

/// Requests whose batches are opened at a time, of all connections and whatever for: each may unpack
/// to a lot, and computes.
static OPENING: Semaphore = Semaphore::const_new(2);

/// Refused records that are told of one batch.
const REFUSED_TOLD_MAX: usize = 1000;

/// A batch that may be appended.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) append: Append,
    /// Counts it for the queue that it goes to.
    pub(super) coming: Option<Coming>,
    /// The time of its records, where it is the broker's.
    pub(super) append_time: Option<Millis>,
    /// Its records that are followed.
    pub(super) followed: Vec<(Received, Storing)>,
}

type Outcome = Result<Admitted, ProduceError>;

impl Broker {
    /// Checks batches, and changes them as their topics ask; one outcome per entry.
    pub(super) async fn admit(&self, entries: Vec<Produce>) -> Vec<Outcome> {
        let now = self.now();
        if !entries.iter().any(|entry| is_work(entry, now)) {
            return entries.iter().map(|entry| self.check(entry, now)).collect();
        }
        let count = entries.len();
        let closed = || (0..count).map(|_| Err(AppendError::Closed.into())).collect();
        let (broker, who) = (self.clone(), Who::current());
        let check = move || entries.iter().map(|entry| broker.check(entry, now)).collect();
        let work = move || match who {
            Some(who) => who.run(check),
            None => check(),
        };
        self.open_batches(work).await.unwrap_or_else(|_| closed())
    }

    /// Does what unpacks batches where it may take its time, when it is its turn.
    ///
    /// # Errors
    /// When the work panicked, or the runtime is shutting down.
    pub async fn open_batches<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<T> {
        let turn = OPENING.acquire().await.map_err(std::io::Error::other)?;
        let work = move || {
            // Held by the work itself, which goes on if the client goes away.
            let _turn = turn;
            work()
        };
        self.inner.store.blocking(work).await
    }

    fn check(&self, entry: &Produce, now: Millis) -> Outcome {
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
        let count = u64::try_from(batch.header().count).unwrap_or(0);
        let size = (count, batch.bytes().len() as u64);
        let coming = self.room_in_queue(&topic.topic.name, size)?;
        let (batch, append_time) = fit(topic, *partition, batch, now)?;
        let followed = self.inner.receive_batch(topic, *partition, &batch);
        let epoch = topic.leader_epoch(*partition);
        let append = Append { log: Arc::clone(log), batches: vec![batch], epoch };
        Ok(Admitted { append, coming, append_time, followed })
    }
}

/// The batch as the topic wants it, and the time of its records where that is the broker's.
pub(super) fn fit(
    topic: &OpenTopic,
    partition: i32,
    mut batch: Batch,
    now: Millis,
) -> Result<(Batch, Option<Millis>), ProduceError> {
    let config = &topic.config;
    if looks_at_records(config, batch.header(), now) {
        check_records(topic, partition, &batch, now)?;
    }
    if let Some((codec, level)) = repacks(config, batch.header()) {
        batch = batch.repacked(codec, level)?;
        let (size, limit) = (batch.bytes().len(), config.max_message_bytes);
        if size > limit {
            return Err(ProduceError::TooLarge { size, limit });
        }
    }
    match config.times {
        Times::Created { .. } => Ok((batch, None)),
        Times::Appended => Ok((batch.with_append_time(now)?, Some(now))),
    }
}

/// Whether it takes more than a look at the header.
fn is_work(entry: &Produce, now: Millis) -> bool {
    // What is no batch is refused without.
    let Ok(header) = BatchHeader::decode(&entry.records) else { return false };
    let config = &entry.topic.config;
    looks_at_records(config, &header, now) || repacks(config, &header).is_some()
}

fn repacks(config: &TopicConfig, header: &BatchHeader) -> Option<(Compression, Option<i32>)> {
    config.packing.filter(|(codec, _)| header.compression() != Ok(*codec))
}

fn looks_at_records(config: &TopicConfig, header: &BatchHeader, now: Millis) -> bool {
    let by_time = match config.times {
        Times::Appended => false,
        // The header tells the latest time. None tells the earliest.
        Times::Created { before_max, after_max } => {
            before_max < Millis::MAX || header.max_timestamp > now.saturating_add(after_max)
        }
    };
    let by_size =
        config.unpacked_record_bytes_max.is_some() && header.compression() != Ok(Compression::None);
    by_time || by_size || config.log.compaction.is_some()
}

/// Checks each record, all of them, so that the client learns which to leave out.
fn check_records(
    topic: &OpenTopic,
    partition: i32,
    batch: &Batch,
    now: Millis,
) -> Result<(), ProduceError> {
    let compacted = topic.config.log.compaction.is_some();
    let (from, to) = match topic.config.times {
        Times::Appended => (Millis::MIN, Millis::MAX),
        Times::Created { before_max, after_max } => {
            (now.saturating_sub(before_max), now.saturating_add(after_max))
        }
    };
    let name: Arc<str> = topic.topic.name.as_str().into();
    let mut refused = Vec::new();
    let bytes_max = topic.config.unpacked_record_bytes_max.unwrap_or(usize::MAX);
    for (index, record) in (0..).zip(batch.records_within(bytes_max)?) {
        let record = record?;
        let timestamp = record.timestamp;
        let why = if timestamp != NO_TIMESTAMP && !(from..=to).contains(&timestamp) {
            Refusal::Time { timestamp, index, from, to }
        } else if compacted && record.key.is_none() {
            Refusal::NoKey(Arc::clone(&name), partition)
        } else {
            continue;
        };
        if refused.len() < REFUSED_TOLD_MAX {
            refused.push(RefusedRecord { index, why });
        }
    }
    if !refused.is_empty() {
        return Err(ProduceError::Records(refused));
    }
    // What is kept by age goes by what the header says.
    if batch.header().max_timestamp > to {
        return Err(BatchError::Malformed("its largest time is that of no record").into());
    }
    Ok(())
}
