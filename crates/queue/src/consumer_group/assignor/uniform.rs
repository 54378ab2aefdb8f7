//! Uniform: everybody keeps what they may keep, and the loads are evened out.

use std::collections::{BTreeMap, BTreeSet};

use base::TopicId;

use super::{Candidate, subscribers};
use crate::consumer_group::Partitions;

/// Most passes over all topics to even the loads out. Equal subscriptions need one or two; each
/// pass of unequal ones moves every topic as far as it goes.
const PASSES_MAX: usize = 64;

pub(super) fn assign(
    candidates: &[Candidate<'_>],
    topics: &BTreeMap<TopicId, i32>,
) -> Vec<Partitions> {
    let mut subscribers = subscribers(candidates);
    subscribers.retain(|topic, _| topics.contains_key(topic));
    let mut state = keep(candidates, topics);
    // Topics with few subscribers first: they have no choice.
    let mut order: Vec<_> = subscribers.iter().collect();
    order.sort_by_key(|(topic, of_topic)| (of_topic.len(), **topic));
    state.place_free(&order, topics);
    for _ in 0..PASSES_MAX {
        let mut moved = false;
        for (topic, of_topic) in &order {
            moved |= state.even_out(**topic, of_topic);
        }
        if !moved {
            break;
        }
    }
    state.assigned
}

struct State {
    assigned: Vec<Partitions>,
    owners: BTreeMap<(TopicId, i32), usize>,
}

/// What the candidates hold and may keep: each partition once.
fn keep(candidates: &[Candidate<'_>], topics: &BTreeMap<TopicId, i32>) -> State {
    let mut owners = BTreeMap::new();
    let mut assigned = Vec::with_capacity(candidates.len());
    for (index, candidate) in candidates.iter().enumerate() {
        let kept = candidate.held.iter().filter(|&&(topic, partition)| {
            let exists = topics.get(&topic).is_some_and(|count| (0..*count).contains(&partition));
            let may = exists && candidate.topics.contains(&topic);
            may && *owners.entry((topic, partition)).or_insert(index) == index
        });
        let kept: Partitions = kept.copied().collect();
        assigned.push(kept);
    }
    State { assigned, owners }
}

impl State {
    fn load(&self, index: usize) -> usize {
        self.assigned.get(index).map_or(0, Partitions::len)
    }

    /// Gives every partition without an owner to the subscriber with the least.
    fn place_free(&mut self, order: &[(&TopicId, &Vec<usize>)], topics: &BTreeMap<TopicId, i32>) {
        // Topics with the same subscribers come one after the other as a rule: one queue serves
        // them all.
        let mut queue: BTreeSet<(usize, usize)> = BTreeSet::new();
        let mut of_queue: &[usize] = &[];
        for (topic, of_topic) in order {
            let count = topics.get(topic).copied().unwrap_or(0);
            for partition in 0..count {
                let key = (**topic, partition);
                if self.owners.contains_key(&key) {
                    continue;
                }
                if of_queue != of_topic.as_slice() {
                    of_queue = of_topic;
                    queue = of_topic.iter().map(|&index| (self.load(index), index)).collect();
                }
                let Some((load, index)) = queue.pop_first() else { break };
                queue.insert((load + 1, index));
                self.give(key, index);
            }
        }
    }

    /// Moves partitions of one topic from who has most to who has least, while that evens out.
    fn even_out(&mut self, topic: TopicId, subscribers: &[usize]) -> bool {
        let Some(least) = subscribers.iter().map(|&index| self.load(index)).min() else {
            return false;
        };
        let first_of = |state: &Self, index: usize| {
            let of_topic = (topic, i32::MIN)..=(topic, i32::MAX);
            state.assigned.get(index).and_then(|own| own.range(of_topic).next_back().copied())
        };
        // A cheap look first: most topics are even.
        let uneven = |&&index: &&usize| self.load(index) >= least + 2;
        let rich: Vec<usize> = subscribers.iter().filter(uneven).copied().collect();
        let mut donors: BTreeSet<(usize, usize)> = rich
            .into_iter()
            .filter(|&index| first_of(self, index).is_some())
            .map(|index| (self.load(index), index))
            .collect();
        if donors.is_empty() {
            return false;
        }
        let mut takers: BTreeSet<(usize, usize)> =
            subscribers.iter().map(|&index| (self.load(index), index)).collect();
        let mut moved = false;
        while let (Some(&(most, from)), Some(&(least, to))) = (donors.last(), takers.first()) {
            if most < least + 2 {
                break;
            }
            donors.remove(&(most, from));
            let Some(key) = first_of(self, from) else { continue };
            takers.remove(&(least, to));
            takers.remove(&(most, from));
            if donors.remove(&(least, to)) {
                donors.insert((least + 1, to));
            }
            self.give(key, to);
            moved = true;
            takers.insert((least + 1, to));
            takers.insert((most - 1, from));
            donors.insert((most - 1, from));
        }
        moved
    }

    fn give(&mut self, key: (TopicId, i32), to: usize) {
        if let Some(from) = self.owners.insert(key, to)
            && let Some(own) = self.assigned.get_mut(from)
        {
            own.remove(&key);
        }
        if let Some(own) = self.assigned.get_mut(to) {
            own.insert(key);
        }
    }
}
