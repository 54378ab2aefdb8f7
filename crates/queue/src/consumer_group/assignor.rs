//! Assignors: who of the members is to read which partitions.

mod range;
mod uniform;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use base::TopicId;

use super::types::Partitions;

/// A way to share partitions out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Assignor {
    /// To each about as many as to every other, with as few moves as possible.
    Uniform,
    /// Of each topic one contiguous range to each, so that equal partitions of topics of one size
    /// meet at one member.
    Range,
}

impl Assignor {
    /// What a group uses whose members do not say.
    pub(super) const DEFAULT: Self = Self::Uniform;

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// Shares out the partitions of `topics` (their numbers, by id). The result has one entry per
    /// candidate, in order. The same input gives the same output; a result that is given back as
    /// what the candidates hold is returned as it is.
    pub(super) fn assign(
        self,
        candidates: &[Candidate<'_>],
        topics: &BTreeMap<TopicId, i32>,
    ) -> Vec<Partitions> {
        match self {
            Self::Uniform => uniform::assign(candidates, topics),
            Self::Range => range::assign(candidates, topics),
        }
    }
}

impl FromStr for Assignor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Uniform, Self::Range].into_iter().find(|one| one.as_str() == text).ok_or(())
    }
}

/// A member, as far as assignors care. Candidates come in the order of their member ids.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) instance: Option<&'a str>,
    /// What it subscribes to.
    pub(super) topics: Arc<BTreeSet<TopicId>>,
    /// What it was to own so far.
    pub(super) held: &'a Partitions,
}

/// The candidates that subscribe to each topic, as indexes.
fn subscribers(candidates: &[Candidate<'_>]) -> BTreeMap<TopicId, Vec<usize>> {
    let mut subscribers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        for topic in candidate.topics.iter() {
            subscribers.entry(*topic).or_default().push(index);
        }
    }
    subscribers
}
