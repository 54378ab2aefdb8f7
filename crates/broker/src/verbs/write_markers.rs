//! Ending a producer's transaction in single partitions: an operator's way out where a transaction
//! hangs there, and nobody else will end it.

use std::sync::Arc;

use base::ErrorKind;
use store::batch::{BatchBuilder, Marker};
use store::{Append, AppendError};

use crate::Broker;
use crate::topics::OpenTopic;

/// A marker for one partition.
#[derive(Debug, Clone)]
pub struct WriteMarker {
    /// The topic.
    pub topic: Arc<OpenTopic>,
    /// Which of its partitions.
    pub partition: i32,
    /// Whose transaction ends.
    pub producer: i64,
    /// The producer's epoch, no older than the newest that the partition knows.
    pub epoch: i16,
    /// The epoch must be newer than that: every end of a transaction raises it (KIP-890).
    pub newer: bool,
    /// What it wrote counts, or is taken back.
    pub commit: bool,
}

/// Why a marker was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarkerError {
    /// The topic has no such partition, or is the broker's own.
    #[error("no such partition")]
    NoPartition,
    /// Not the id or the epoch of a producer.
    #[error("a producer's id and epoch are not negative")]
    NoProducer,
    /// The partition knows a newer instance of the producer.
    #[error("epoch {found} of the producer is older than {current}, or not newer where it must be")]
    Fenced {
        /// The marker's epoch.
        found: i16,
        /// The newest that the partition knows.
        current: i16,
    },
    /// The log refused.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl MarkerError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoPartition => ErrorKind::NotFound,
            Self::NoProducer => ErrorKind::Invalid,
            Self::Fenced { .. } => ErrorKind::Conflict,
            Self::Append(error) => error.kind(),
        }
    }
}

impl Broker {
    /// Writes markers; returns when they are durable. One outcome for each. The coordinator of the
    /// transaction is not asked: what it thinks of it stays.
    pub async fn write_markers(&self, markers: &[WriteMarker]) -> Vec<Result<(), MarkerError>> {
        let mut outcomes = Vec::with_capacity(markers.len());
        let mut appends = Vec::with_capacity(markers.len());
        for marker in markers {
            outcomes.push(self.check_marker(marker).map(|append| appends.push(append)));
        }
        if appends.is_empty() {
            return outcomes;
        }
        let stored = match self.inner.store.append(appends).await {
            Ok(pending) => pending.await,
            Err(error) => vec![Err(error); outcomes.len()],
        };
        let mut stored = stored.into_iter();
        for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_ok()) {
            let stored = stored.next().unwrap_or(Err(AppendError::Closed));
            *outcome = stored.map(drop).map_err(MarkerError::from);
        }
        outcomes
    }

    fn check_marker(&self, marker: &WriteMarker) -> Result<Append, MarkerError> {
        let WriteMarker { topic, partition, producer, epoch, newer, commit } = marker;
        let log = topic.log(*partition).filter(|_| !topic.topic.internal);
        let log = Arc::clone(log.ok_or(MarkerError::NoPartition)?);
        if *producer < 0 || *epoch < 0 {
            return Err(MarkerError::NoProducer);
        }
        if let Some(current) = log.producer_epoch(*producer)
            && (*epoch < current || (*newer && *epoch == current))
        {
            return Err(MarkerError::Fenced { found: *epoch, current });
        }
        let end = if *commit { Marker::Commit } else { Marker::Abort };
        let batch = BatchBuilder::marker(*producer, *epoch, end, self.now());
        // None that can happen.
        let batch = batch.map_err(|error| AppendError::Failed(error.to_string()))?;
        let epoch = topic.leader_epoch(*partition);
        Ok(Append { log, batches: vec![batch], epoch })
    }
}
