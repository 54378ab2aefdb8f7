//! Changing a topic's description: its configuration, or its number of partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::{Compare, Op, Txn};

use super::create_topic::TopicError;
use crate::Broker;
use crate::metadata::{Topic, keys};
use crate::topic_config;

impl Broker {
    /// Replaces what is set on a topic. Takes effect from the next append on.
    ///
    /// # Errors
    /// [`TopicError::NotFound`], [`TopicError::Config`], [`TopicError::Meta`].
    pub async fn set_topic_config(
        &self,
        name: &str,
        change: impl Fn(&mut BTreeMap<String, String>),
    ) -> Result<(), TopicError> {
        self.change_topic(name, |topic| {
            change(&mut topic.config);
            Ok(topic_config::check(&topic.config, self.settings().topic_defaults())?)
        })
        .await?;
        Ok(())
    }

    /// Reads, changes and writes a topic's description, again until nobody else wrote in between.
    pub(crate) async fn change_topic(
        &self,
        name: &str,
        change: impl Fn(&mut Topic) -> Result<(), TopicError>,
    ) -> Result<Arc<Topic>, TopicError> {
        let key = keys::topic(name);
        loop {
            let not_found = || TopicError::NotFound(name.to_owned());
            let current = self.inner.meta.get(key.as_bytes()).await?.ok_or_else(not_found)?;
            self.seen(current.mod_revision).await;
            let mut topic = Topic::clone(&self.topic(name).ok_or_else(not_found)?.topic);
            change(&mut topic)?;
            let txn = Txn::new()
                .when(Compare::mod_revision(key.clone(), current.mod_revision))
                .then(Op::put(key.clone(), keys::encode(&keys::TopicValue::of(&topic))));
            let answer = self.inner.meta.txn(txn).await?;
            if answer.succeeded {
                self.seen(answer.revision).await;
                return Ok(Arc::new(topic));
            }
        }
    }
}
