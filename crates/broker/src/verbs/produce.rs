//! Appending batches that producers made, verbatim.

use std::sync::Arc;

use base::{ErrorKind, Millis, Offset};
use bytes::Bytes;
use queue::transactions::TxnError;
use store::batch::BatchError;
use store::{AppendError, Appended, Pending};

use super::admission::Admitted;
use crate::Broker;
use crate::followed::{Received, Storing};
use crate::queues::Coming;
use crate::topics::OpenTopic;

/// Batches for one partition.
#[derive(Debug, Clone)]
pub struct Produce {
    /// The topic.
    pub topic: Arc<OpenTopic>,
    /// Which of its partitions.
    pub partition: i32,
    /// Exactly one record batch.
    pub records: Bytes,
}

/// Where a batch landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// First offset of the partition.
    pub start_offset: Offset,
    /// When the broker stored it, where the topic keeps that instead of the producer's time.
    pub append_time: Option<Millis>,
}

/// Why a batch was not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// The topic has no such partition.
    #[error("no such partition")]
    NoPartition,
    /// Not a batch that can be stored.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Larger than the topic accepts.
    #[error("the batch has {size} bytes, the topic accepts {limit}")]
    TooLarge {
        /// Bytes of the batch.
        size: usize,
        /// `max.message.bytes` of the topic.
        limit: usize,
    },
    /// The batch says that the broker set its times, which is the broker's to say.
    #[error("only the broker sets times of appending, and this topic keeps the producer's")]
    TimestampType,
    /// Some of its records were refused, and so all of them.
    #[error("{}", summary(.0))]
    Records(Vec<RefusedRecord>),
    /// The batch is part of no open transaction, or of a newer instance's.
    #[error(transparent)]
    Transaction(#[from] TxnError),
    /// The broker writes this topic itself.
    #[error("the topic is internal")]
    Internal,
    /// As many subjects as can have one have a retained message.
    #[error("there is no room for the last message of one more subject")]
    Full,
    /// A queue that has as many messages as it may have takes no more.
    #[error("a queue is full")]
    Refused,
    /// The log refused.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl ProduceError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoPartition => ErrorKind::NotFound,
            Self::Batch(error) => error.kind(),
            Self::TooLarge { .. } | Self::TimestampType | Self::Internal | Self::Records(_) => {
                ErrorKind::Invalid
            }
            Self::Full | Self::Refused => ErrorKind::Unavailable,
            Self::Append(error) => error.kind(),
            Self::Transaction(error) => error.kind(),
        }
    }
}

/// A record that a topic does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Its place in its batch, from 0.
    pub index: i32,
    /// Why.
    pub why: Refusal,
}

/// Why a topic does not take a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Of a compacted topic, where the key says which records it supersedes.
    #[error("Compacted topic cannot accept message without key in topic partition {0}-{1}.")]
    NoKey(Arc<str>, i32),
    /// Its time is too far from the broker's clock.
    #[error(
        "Timestamp {timestamp} of message with offset {index} is out of range. The timestamp should be within [{from}, {to}]"
    )]
    Time {
        /// Its time.
        timestamp: Millis,
        /// Its place in its batch.
        index: i32,
        /// The earliest that the topic takes now.
        from: Millis,
        /// The latest.
        to: Millis,
    },
}

impl RefusedRecord {
    /// Whether it was refused for its time.
    pub fn is_about_time(&self) -> bool {
        matches!(self.why, Refusal::Time { .. })
    }
}

fn summary(refused: &[RefusedRecord]) -> String {
    if refused.iter().any(RefusedRecord::is_about_time) {
        return "One or more records have been rejected due to invalid timestamp".to_owned();
    }
    let first: Vec<_> = refused.iter().take(3).map(|record| record.why.to_string()).collect();
    format!(
        "One or more records have been rejected due to {} record errors in total, and only showing \
         the first three errors at most: [{}]",
        refused.len(),
        first.join(", ")
    )
}

/// Batches on their way to the disk.
#[derive(Debug)]
pub struct Producing {
    pending: Option<Pending>,
    /// Those refused at once; the others are answered by the log, in order, and bear this time.
    checked: Vec<Result<Accepted, ProduceError>>,
    /// What queues count until it is stored.
    coming: Vec<Coming>,
}

/// A batch that was handed over.
#[derive(Debug)]
struct Accepted {
    append_time: Option<Millis>,
    followed: Vec<(Received, Storing)>,
}

impl Broker {
    /// Hands batches to the log. Batches of two calls for the same partition are stored in the
    /// order in which the calls return. Each entry succeeds or fails by itself.
    pub async fn produce(&self, entries: Vec<Produce>) -> Producing {
        let mut checked = Vec::with_capacity(entries.len());
        let mut accepted = Vec::with_capacity(entries.len());
        let mut counted = Vec::new();
        for outcome in self.admit(entries).await {
            checked.push(outcome.map(|Admitted { append, coming, append_time, followed }| {
                accepted.push(append);
                counted.extend(coming);
                Accepted { append_time, followed }
            }));
        }
        if accepted.is_empty() {
            return Producing { pending: None, checked, coming: counted };
        }
        match self.inner.store.append(accepted).await {
            Ok(pending) => Producing { pending: Some(pending), checked, coming: counted },
            Err(error) => {
                for outcome in checked.iter_mut().filter(|outcome| outcome.is_ok()) {
                    *outcome = Err(error.clone().into());
                }
                Producing { pending: None, checked, coming: counted }
            }
        }
    }
}

impl Producing {
    /// Waits until the batches are as durable as their topics ask for. One outcome per entry, in
    /// their order.
    pub async fn done(self) -> Vec<Result<Produced, ProduceError>> {
        let stored = match self.pending {
            Some(pending) => pending.await,
            None => Vec::new(),
        };
        drop(self.coming);
        let mut stored = stored.into_iter();
        let outcome = |checked: Result<Accepted, ProduceError>| {
            let Accepted { append_time, followed } = checked?;
            let stored = stored.next().unwrap_or(Err(AppendError::Closed));
            for (mut received, storing) in followed {
                received.stored(&storing, stored.as_ref().map(|appended| appended.base));
            }
            let Appended { base: base_offset, start: start_offset } = stored?;
            Ok(Produced { base_offset, start_offset, append_time })
        };
        self.checked.into_iter().map(outcome).collect()
    }
}
