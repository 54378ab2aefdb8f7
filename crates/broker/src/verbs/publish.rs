//! Publishing single messages: the broker chooses the partition and makes the batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Millis, Offset};
use store::Append;
use store::batch::{Batch, BatchBuilder, Compression, HEADER_BYTES, NewRecord};

use super::admission::fit;
use super::produce::ProduceError;
use crate::Broker;
use crate::message::{Message, NewMessage};
use crate::topics::OpenTopic;

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The partition chosen.
    pub partition: i32,
    /// Its offset there.
    pub offset: Offset,
}

impl Broker {
    /// Publishes messages to a topic, in order. Those that the topic's partitioner sends to the
    /// same partition become one batch there, or several where the topic's limit asks for it.
    /// Returns when all are as durable as the topic asks.
    ///
    /// # Errors
    /// When any message could not be stored; others of the same call may have been.
    pub async fn publish(
        &self,
        topic: &Arc<OpenTopic>,
        messages: &[Message],
    ) -> Result<Vec<Published>, ProduceError> {
        if topic.topic.internal {
            return Err(ProduceError::Internal);
        }
        let now = self.now();
        let mut built: BTreeMap<i32, Built> = BTreeMap::new();
        let mut places = Vec::with_capacity(messages.len());
        let mut followed = Vec::new();
        for message in messages {
            let partition = topic.pick(message.key.as_deref());
            let built = built.entry(partition).or_default();
            built.push(&message.to_record(None, now), topic.config.max_message_bytes)?;
            let index = built.messages - 1;
            places.push((partition, index));
            if let Some(received) = self.inner.receive(message, || topic.topic.name.as_bytes()) {
                let storing = received.store(topic, partition, index);
                followed.extend(storing.map(|storing| (received, storing, partition)));
            }
        }
        let bases = self.append_built(topic, built, now).await;
        for (mut received, storing, partition) in followed {
            let base = bases.as_ref().map(|bases| bases.get(&partition).copied().unwrap_or(-1));
            received.stored(&storing, base);
        }
        let bases = bases?;
        let published = |(partition, place)| Published {
            partition,
            offset: bases.get(&partition).map_or(-1, |base| base + place),
        };
        Ok(places.into_iter().map(published).collect())
    }

    /// Publishes messages to one partition, in order; durable when it returns.
    ///
    /// # Errors
    /// When any message could not be stored.
    pub(crate) async fn publish_to(
        &self,
        topic: &Arc<OpenTopic>,
        partition: i32,
        messages: &[Message],
    ) -> Result<(), ProduceError> {
        let now = self.now();
        let mut built = Built::default();
        for message in messages {
            built.push(&message.to_record(None, now), topic.config.max_message_bytes)?;
        }
        self.append_built(topic, BTreeMap::from([(partition, built)]), now).await?;
        Ok(())
    }

    /// Appends each partition's batches; returns their base offsets.
    async fn append_built(
        &self,
        topic: &Arc<OpenTopic>,
        built: BTreeMap<i32, Built>,
        now: Millis,
    ) -> Result<BTreeMap<i32, Offset>, ProduceError> {
        let mut partitions = Vec::with_capacity(built.len());
        let mut entries = Vec::with_capacity(built.len());
        for (partition, built) in built {
            entries.push(append(topic, partition, built, now)?);
            partitions.push(partition);
        }
        if entries.is_empty() {
            return Ok(BTreeMap::new());
        }
        let outcomes = self.inner.store.append(entries).await?.await;
        let mut bases = BTreeMap::new();
        for (partition, outcome) in partitions.into_iter().zip(outcomes) {
            bases.insert(partition, outcome?.base);
        }
        Ok(bases)
    }
}

/// One partition's messages, as the topic wants them.
pub(crate) fn append(
    topic: &OpenTopic,
    partition: i32,
    built: Built,
    now: Millis,
) -> Result<Append, ProduceError> {
    let log = Arc::clone(topic.log(partition).ok_or(ProduceError::NoPartition)?);
    let fit = |batch| fit(topic, partition, batch, now).map(|(batch, _)| batch);
    let batches = built.finish(topic.config.max_message_bytes)?.into_iter().map(fit);
    let batches = batches.collect::<Result<Vec<_>, _>>()?;
    Ok(Append { log, batches, epoch: topic.leader_epoch(partition) })
}

/// One partition's messages, as batches that follow each other.
#[derive(Debug, Default)]
pub(crate) struct Built {
    batches: Vec<Batch>,
    open: Option<BatchBuilder>,
    pub(crate) messages: i64,
}

impl Built {
    /// Adds a message to the open batch, or to a new one if that would get larger than `limit`.
    pub(crate) fn push(&mut self, record: &NewMessage, limit: usize) -> Result<(), ProduceError> {
        let headers: Vec<_> =
            record.headers.iter().map(|(k, v)| (k.as_ref(), v.as_deref())).collect();
        let new = NewRecord {
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        self.push_record(&new, record.bytes_max(), limit)
    }

    /// The same for a record that takes no more than `bytes_max`.
    pub(crate) fn push_record(
        &mut self,
        record: &NewRecord<'_>,
        bytes_max: usize,
        limit: usize,
    ) -> Result<(), ProduceError> {
        let room = limit.saturating_sub(bytes_max);
        if self.open.as_ref().is_some_and(|open| HEADER_BYTES + open.len() > room) {
            self.close(limit)?;
        }
        let open = self.open.get_or_insert_with(|| BatchBuilder::new(Compression::None));
        open.push(record);
        self.messages += 1;
        Ok(())
    }

    fn close(&mut self, limit: usize) -> Result<(), ProduceError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let batch = open.build()?;
        let size = batch.bytes().len();
        if size > limit {
            return Err(ProduceError::TooLarge { size, limit });
        }
        self.batches.push(batch);
        Ok(())
    }

    pub(crate) fn finish(mut self, limit: usize) -> Result<Vec<Batch>, ProduceError> {
        self.close(limit)?;
        Ok(self.batches)
    }
}
