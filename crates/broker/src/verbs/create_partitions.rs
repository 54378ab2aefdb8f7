//! Giving a topic more partitions.

use super::create_topic::{TopicError, check_partitions};
use crate::Broker;

impl Broker {
    /// Checks what [`Broker::create_partitions`] would check, and changes nothing.
    ///
    /// # Errors
    /// [`TopicError::NotFound`], [`TopicError::Partitions`].
    pub fn check_more_partitions(&self, name: &str, total: i32) -> Result<i32, TopicError> {
        let topic = self.topic(name).ok_or_else(|| TopicError::NotFound(name.to_owned()))?;
        let present = i32::try_from(topic.topic.partitions.len()).unwrap_or(i32::MAX);
        check_partitions(total, present)?;
        self.check_room(total - present)?;
        Ok(total - present)
    }

    /// Raises a topic's number of partitions to `total`. Keys may land elsewhere from then on.
    ///
    /// # Errors
    /// [`TopicError::NotFound`], [`TopicError::Partitions`], [`TopicError::Meta`].
    pub async fn create_partitions(&self, name: &str, total: i32) -> Result<(), TopicError> {
        self.check_more_partitions(name, total)?;
        // Enough even if the topic is deleted and made again, with fewer, before we get to it: two
        // topics must never share a log.
        let first = self.reserve_logs(total).await?;
        self.change_topic(name, |topic| {
            // Somebody else may have added some meanwhile; then fewer of the new logs are used.
            let present = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
            check_partitions(total, present)?;
            topic.partitions.extend(self.new_partitions(first, total - present));
            Ok(())
        })
        .await?;
        Ok(())
    }
}
