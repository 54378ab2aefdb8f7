//! The topics that there are, as the caller tells.

use std::collections::BTreeMap;

use base::TopicId;

use super::types::TopicView;
use crate::Name;

/// All topics by name.
#[derive(Debug, Default)]
pub(super) struct Topics {
    by_name: BTreeMap<Name, (TopicId, i32)>,
}

impl Topics {
    pub(super) fn get(&self, name: &str) -> Option<(TopicId, i32)> {
        self.by_name.get(name).copied()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.by_name.keys()
    }

    /// Whether that changed anything.
    pub(super) fn put(&mut self, topic: TopicView) -> bool {
        let value = (topic.id, topic.partitions);
        self.by_name.insert(topic.name, value) != Some(value)
    }

    /// Whether there was such a topic.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.by_name.remove(name).is_some()
    }
}
