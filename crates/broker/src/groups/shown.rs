//! The groups' journal as a topic, in the format in which the clients of a protocol expect it: tools that watch
//! over groups read there what was committed.
//!
//! The topic is made when somebody first asks for it, and costs nothing before. What is journalled is then written to
//! it in the same frame, so that neither has what the other has not.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use queue::record::{Key, Record};
use store::Append;
use store::batch::BatchError;

use super::Groups;
use super::journal::batches;
use crate::broker::Inner;
use crate::verbs::create_topic::{NewTopic, TopicError};
use crate::{Broker, OpenTopic};

/// A protocol's topic of what groups are and have committed.
pub trait GroupsTopic: Debug + Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// The record that says there what this one says in the journal: the newest one of each key counts, and one
    /// without a value deletes its key. `None` if the protocol has none for it, or the value cannot be read.
    fn show(&self, key: &Key, value: Option<&[u8]>) -> Option<Record>;
}

impl Broker {
    /// The topic that shows the groups' journal, if it is named so. It is made if there is none, and then has all
    /// that is known of groups. `None` if it has another name, or no protocol has such a topic.
    ///
    /// # Errors
    /// See [`TopicError`].
    pub async fn groups_topic(&self, name: &str) -> Result<Option<Arc<OpenTopic>>, TopicError> {
        let shown = self.inner.options.groups_topic.as_ref();
        if shown.is_none_or(|shown| shown.name() != name) {
            return Ok(None);
        }
        if let Some(open) = self.topic(name) {
            return Ok(Some(open));
        }
        let config = [("cleanup.policy", "compact"), ("segment.bytes", "104857600")];
        let new = NewTopic {
            name: name.to_owned(),
            partitions: Some(1),
            config: BTreeMap::from(config.map(|(key, value)| (key.to_owned(), value.to_owned()))),
        };
        match self.create_internal_topic(new).await {
            Ok(_) => self.inner.groups.show_all(),
            // Who made it shows all.
            Err(TopicError::Exists(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(self.topic(name))
    }
}

impl Groups {
    /// Writes all that is alive to the topic, with the next records.
    fn show_all(&self) {
        self.state.lock().show_due = true;
        self.queued.notify_one();
    }

    /// At the start: a topic that was made just before a crash has nothing yet.
    pub(super) fn show_what_is_missing(&self, broker: &Inner) {
        let topic = broker.options.groups_topic.as_ref();
        let topic = topic.and_then(|topic| shown_in(broker, topic.name()));
        let log = topic.as_ref().and_then(|topic| topic.log(0));
        if log.is_some_and(|log| log.range().end == 0) {
            self.show_all();
        }
    }

    /// What is written to the topic beside these records of the journal. Nothing, if there is no topic.
    pub(super) fn shown<'a>(
        &self,
        broker: &Inner,
        records: impl Iterator<Item = &'a Record>,
    ) -> Result<Option<Append>, BatchError> {
        let Some(shown) = &broker.options.groups_topic else { return Ok(None) };
        let topic = shown_in(broker, shown.name());
        let Some(log) = topic.as_ref().and_then(|topic| topic.log(0)) else { return Ok(None) };
        let show = |record: &Record| {
            // The journal has records of others, too, whose keys are not of groups.
            let key = Key::decode(&record.key).ok()?;
            shown.show(&key, record.value.as_deref())
        };
        let records: Vec<Record> = records.filter_map(show).collect();
        if records.is_empty() {
            return Ok(None);
        }
        let batches = batches(records.iter(), self.now())?;
        Ok(Some(Append { log: Arc::clone(log), batches, epoch: 0 }))
    }
}

/// The topic, if it is there. One that a client made is not ours to fill.
fn shown_in(broker: &Inner, name: &str) -> Option<Arc<OpenTopic>> {
    broker.topics.get(name).filter(|open| open.topic.internal)
}
