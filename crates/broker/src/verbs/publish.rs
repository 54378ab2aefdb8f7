//! Publishing single messages: the broker chooses the partition and makes the batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Millis, Offset};
use bytes::Bytes;
use store::Append;
use store::batch::{BatchBuilder, Compression, NewRecord};

use super::produce::ProduceError;
use crate::Broker;
use crate::topics::OpenTopic;

/// A message, as a door without batches receives it.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// Decides the partition; absent is not the same as empty.
    pub key: Option<Bytes>,
    /// The payload; absent is a deletion mark.
    pub value: Option<Bytes>,
    /// In order, duplicates included.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
    /// When it was made, if its publisher said; else now.
    pub timestamp: Option<Millis>,
}

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
    /// same partition become one batch there. Returns when all are as durable as the topic asks.
    ///
    /// # Errors
    /// When any message could not be stored; others of the same call may have been.
    pub async fn publish(
        &self,
        topic: &Arc<OpenTopic>,
        messages: &[Message],
    ) -> Result<Vec<Published>, ProduceError> {
        let now = self.now();
        let partitions = u32::try_from(topic.topic.partitions.len()).unwrap_or(u32::MAX);
        let mut builders: BTreeMap<i32, (BatchBuilder, i64)> = BTreeMap::new();
        let mut places = Vec::with_capacity(messages.len());
        for message in messages {
            let key = message.key.as_deref();
            let picked = topic.config.partitioner.pick(key, partitions, &topic.turn);
            let partition = i32::try_from(picked).unwrap_or(i32::MAX);
            let new = || (BatchBuilder::new(Compression::None), 0);
            let (builder, count) = builders.entry(partition).or_insert_with(new);
            let headers: Vec<_> =
                message.headers.iter().map(|(k, v)| (k.as_ref(), v.as_deref())).collect();
            builder.push(&NewRecord {
                timestamp: message.timestamp.unwrap_or(now),
                key,
                value: message.value.as_deref(),
                headers: &headers,
            });
            places.push((partition, *count));
            *count += 1;
        }
        let bases = self.append_built(topic, builders).await?;
        let published = |(partition, place)| Published {
            partition,
            offset: bases.get(&partition).map_or(-1, |base| base + place),
        };
        Ok(places.into_iter().map(published).collect())
    }

    /// Appends one batch per partition; returns their base offsets.
    async fn append_built(
        &self,
        topic: &Arc<OpenTopic>,
        builders: BTreeMap<i32, (BatchBuilder, i64)>,
    ) -> Result<BTreeMap<i32, Offset>, ProduceError> {
        let mut partitions = Vec::with_capacity(builders.len());
        let mut entries = Vec::with_capacity(builders.len());
        for (partition, (builder, _)) in builders {
            let log = Arc::clone(topic.log(partition).ok_or(ProduceError::NoPartition)?);
            let batch = builder.build()?;
            let (size, limit) = (batch.bytes().len(), topic.config.max_message_bytes);
            if size > limit {
                return Err(ProduceError::TooLarge { size, limit });
            }
            entries.push(Append { log, batches: vec![batch], epoch: 0 });
            partitions.push(partition);
        }
        let outcomes = self.inner.store.append(entries).await?.await;
        let mut bases = BTreeMap::new();
        for (partition, outcome) in partitions.into_iter().zip(outcomes) {
            bases.insert(partition, outcome?.base);
        }
        Ok(bases)
    }
}
