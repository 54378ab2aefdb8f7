//! Deleting a topic with all its records.

use base::TopicId;
use cluster::{Compare, Op, Txn};

use super::create_topic::TopicError;
use crate::Broker;
use crate::metadata::keys;

impl Broker {
    /// Deletes a topic, its records, and the offsets committed for it. With an identity, only the
    /// topic that has it, not another one that was made under the same name since.
    ///
    /// # Errors
    /// [`TopicError::NotFound`], [`TopicError::Internal`], [`TopicError::DeletionDisabled`],
    /// [`TopicError::Meta`].
    pub async fn delete_topic(&self, name: &str, id: Option<TopicId>) -> Result<(), TopicError> {
        match self.options().delete_topics {
            true => self.delete_topic_anyway(name, id, None).await,
            false => Err(TopicError::DeletionDisabled),
        }
    }

    /// The same for a topic that a queue made, and of the queue itself, by its key in the metadata store: both or
    /// neither.
    pub(crate) async fn delete_topic_of_queue(
        &self,
        name: &str,
        queue: &str,
    ) -> Result<(), TopicError> {
        self.delete_topic_anyway(name, None, Some(queue)).await
    }

    async fn delete_topic_anyway(
        &self,
        name: &str,
        id: Option<TopicId>,
        with: Option<&str>,
    ) -> Result<(), TopicError> {
        let key = keys::topic(name);
        loop {
            let not_found = || TopicError::NotFound(name.to_owned());
            let current = self.inner.meta.get(key.as_bytes()).await?.ok_or_else(not_found)?;
            self.seen(current.mod_revision).await;
            let topic = self.topic(name).ok_or_else(not_found)?;
            if id.is_some_and(|id| id != topic.topic.id) {
                return Err(not_found());
            }
            if topic.topic.internal {
                return Err(TopicError::Internal(name.to_owned()));
            }
            let txn = Txn::new()
                .when(Compare::mod_revision(key.clone(), current.mod_revision))
                .then(Op::delete(key.clone()));
            let txn = with.iter().fold(txn, |txn, key| txn.then(Op::delete((*key).to_owned())));
            let answer = self.inner.meta.txn(txn).await?;
            if answer.succeeded {
                self.seen(answer.revision).await;
                return Ok(());
            }
        }
    }
}
