//! Ranges: of each topic one contiguous part to each subscriber.

use std::collections::BTreeMap;

use base::TopicId;

use super::{Candidate, subscribers};
use crate::consumer_group::Partitions;

/// Static members come first, by instance id, so that they keep their ranges over restarts.
pub(super) fn assign(
    candidates: &[Candidate<'_>],
    topics: &BTreeMap<TopicId, i32>,
) -> Vec<Partitions> {
    let mut result = vec![Partitions::new(); candidates.len()];
    for (topic, mut subscribers) in subscribers(candidates) {
        let Some(count) = topics.get(&topic).copied().and_then(|n| usize::try_from(n).ok()) else {
            continue;
        };
        subscribers.sort_by_key(|&index| {
            let instance = candidates.get(index).and_then(|candidate| candidate.instance);
            (instance.is_none(), instance, index)
        });
        let (each, more) = (count / subscribers.len(), count % subscribers.len());
        let mut partitions = (0..).take(count).map(|partition| (topic, partition));
        for (place, index) in subscribers.into_iter().enumerate() {
            let part = partitions.by_ref().take(each + usize::from(place < more));
            if let Some(of_member) = result.get_mut(index) {
                of_member.extend(part);
            }
        }
    }
    result
}
