//! Topics by the first level of what may be in them, so that somebody who subscribes looks at few.

use std::collections::{HashMap, HashSet};

use base::subject::Step;
use base::{Filter, TopicId};

/// Sets of topics.
#[derive(Debug, Default)]
pub(crate) struct Firsts {
    levels: HashMap<Vec<u8>, HashSet<TopicId>>,
    /// Of filters that begin with a wildcard.
    any: HashSet<TopicId>,
}

impl Firsts {
    fn first(filter: &Filter) -> Option<Vec<u8>> {
        match filter.steps().next() {
            Some(Step::Literal(level)) => Some(level.into_owned()),
            _ => None,
        }
    }

    pub(crate) fn insert(&mut self, filter: &Filter, id: TopicId) {
        match Self::first(filter) {
            Some(level) => self.levels.entry(level).or_default().insert(id),
            None => self.any.insert(id),
        };
    }

    pub(crate) fn remove(&mut self, filter: &Filter, id: TopicId) {
        let Some(level) = Self::first(filter) else {
            self.any.remove(&id);
            return;
        };
        if let Some(topics) = self.levels.get_mut(&level) {
            topics.remove(&id);
            if topics.is_empty() {
                self.levels.remove(&level);
            }
        }
    }

    /// Topics that have something to do with what this filter matches, maybe; `None`: any may.
    pub(crate) fn of(&self, filter: &Filter) -> Option<impl Iterator<Item = TopicId>> {
        let level = Self::first(filter)?;
        let literal = self.levels.get(&level).into_iter().flatten();
        Some(literal.chain(&self.any).copied())
    }
}
