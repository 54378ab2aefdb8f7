//! Deleting a topic with all its records.

use cluster::{Compare, Op, Txn};

use super::create_topic::TopicError;
use crate::Broker;
use crate::metadata::keys;

impl Broker {
    /// Deletes a topic, its records, and the offsets committed for it.
    ///
    /// # Errors
    /// [`TopicError::NotFound`], [`TopicError::Internal`], [`TopicError::DeletionDisabled`],
    /// [`TopicError::Meta`].
    pub async fn delete_topic(&self, name: &str) -> Result<(), TopicError> {
        if !self.options().delete_topics {
            return Err(TopicError::DeletionDisabled);
        }
        let not_found = || TopicError::NotFound(name.to_owned());
        let topic = self.topic(name).ok_or_else(not_found)?;
        if topic.topic.internal {
            return Err(TopicError::Internal(name.to_owned()));
        }
        let key = keys::topic(name);
        let txn = Txn::new().when(Compare::exists(key.clone())).then(Op::delete(key));
        let answer = self.inner.meta.txn(txn).await?;
        if !answer.succeeded {
            return Err(not_found());
        }
        self.seen(answer.revision).await;
        Ok(())
    }
}
