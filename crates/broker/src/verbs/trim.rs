//! Deleting the oldest records of a partition.

use base::Offset;
use store::AppendError;

use crate::Broker;
use crate::topics::OpenTopic;

/// Why records were not deleted.
#[derive(Debug, thiserror::Error)]
pub enum TrimError {
    /// The topic has no such partition.
    #[error("no such partition")]
    NoPartition,
    /// The partition has no such offset.
    #[error("offset {offset} is outside of {start}..={end}")]
    OutOfRange {
        /// The offset asked for.
        offset: Offset,
        /// First offset of the partition.
        start: Offset,
        /// Offset that its next record gets.
        end: Offset,
    },
    /// The log refused.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl Broker {
    /// Deletes the records of a partition before an offset, or all of them without one. Returns
    /// the first offset left.
    ///
    /// # Errors
    /// See [`TrimError`].
    pub async fn trim(
        &self,
        topic: &OpenTopic,
        partition: i32,
        before: Option<Offset>,
    ) -> Result<Offset, TrimError> {
        let log = topic.log(partition).ok_or(TrimError::NoPartition)?;
        let range = log.range();
        let before = before.unwrap_or(range.end);
        if before < 0 || before > range.end {
            let (start, end) = (range.start, range.end);
            return Err(TrimError::OutOfRange { offset: before, start, end });
        }
        Ok(self.inner.store.trim(log, before).await?)
    }
}
