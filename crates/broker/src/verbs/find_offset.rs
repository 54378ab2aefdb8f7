//! Finding offsets: the first, the next, or by time.

use std::sync::Arc;

use base::{Millis, Offset};
use store::{Log, ReadError};

use super::fetch::FetchError;
use crate::Broker;
use crate::topics::OpenTopic;

/// Which offset is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The first that can be read.
    Earliest,
    /// The one that the next record gets.
    Latest,
    /// The first that is not known to count, or else the one that the next record gets.
    Stable,
    /// That of the record with the largest timestamp.
    LargestTime,
    /// That of the first record with this timestamp or a later one.
    Time(Millis),
}

/// An offset found, with its record's timestamp where it belongs to one.
pub type FoundOffset = Option<(Offset, Option<Millis>)>;

impl Broker {
    /// Finds an offset of a partition. `None` if no record has such a timestamp.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn find_offset(
        &self,
        topic: &OpenTopic,
        partition: i32,
        position: Position,
    ) -> Result<FoundOffset, FetchError> {
        let log = topic.log(partition).ok_or(FetchError::NoPartition)?;
        match position {
            Position::Earliest => Ok(Some((log.range().start, None))),
            Position::Latest => Ok(Some((log.range().end, None))),
            Position::Stable => Ok(Some((log.stable_end(), None))),
            Position::LargestTime => search(log, |log| log.find_latest_time()).await,
            Position::Time(time) => search(log, move |log| log.find_time(time)).await,
        }
    }
}

/// Searches on a thread that may block.
async fn search<F>(log: &Arc<Log>, find: F) -> Result<FoundOffset, FetchError>
where
    F: FnOnce(&Log) -> Result<Option<(Offset, Millis)>, ReadError> + Send + 'static,
{
    let found = log.blocking(find).await.map_err(ReadError::Io)??;
    Ok(found.map(|(offset, time)| (offset, Some(time))))
}
