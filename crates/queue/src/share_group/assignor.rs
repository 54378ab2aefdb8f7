//! Who looks at which partitions: every partition is looked at by somebody, and every member has
//! something to look at, as evenly as can be. What a member has, it keeps as far as that allows.

use std::collections::BTreeMap;

use base::TopicId;

use crate::Name;
use crate::consumer_group::Partitions;

/// The assignor's name.
pub const ASSIGNOR: &str = "simple";

/// A topic and the members that subscribe to it.
#[derive(Debug)]
pub(super) struct Subscribed<'a> {
    pub(super) topic: TopicId,
    pub(super) partitions: i32,
    pub(super) members: Vec<&'a Name>,
}

/// Assigns anew. `before`: what each member had.
pub(super) fn assign(
    topics: &[Subscribed<'_>],
    before: &BTreeMap<Name, Partitions>,
) -> BTreeMap<Name, Partitions> {
    let mut assigned: BTreeMap<Name, Partitions> = BTreeMap::new();
    for Subscribed { topic, partitions, members } in topics {
        let had = |member: &Name, partition: usize| {
            let partition = i32::try_from(partition).unwrap_or(i32::MAX);
            before.get(member).is_some_and(|had| had.contains(&(*topic, partition)))
        };
        let count = usize::try_from(*partitions).unwrap_or(0);
        if count == 0 || members.is_empty() {
            continue;
        }
        let mut give = |member: usize, partition: usize| {
            if let Some(member) = members.get(member) {
                let partition = i32::try_from(partition).unwrap_or(i32::MAX);
                assigned.entry(Name::clone(member)).or_default().insert((*topic, partition));
            }
        };
        if members.len() <= count {
            let load = |member: usize| {
                let had = members.get(member).and_then(|member| before.get(*member));
                had.map_or(0, Partitions::len)
            };
            let is_old = |partition, member: usize| {
                members.get(member).is_some_and(|member| had(member, partition))
            };
            for (partition, member) in
                share_out(count, members.len(), is_old, load).into_iter().enumerate()
            {
                give(member, partition);
            }
        } else {
            let is_old = |member: usize, partition| {
                members.get(member).is_some_and(|member| had(member, partition))
            };
            for (member, partition) in
                share_out(members.len(), count, is_old, |_| 0).into_iter().enumerate()
            {
                give(member, partition);
            }
        }
    }
    assigned
}

/// Puts each of `items` into one of `bins`, which are no more than they; the fullest gets at most
/// one more than the emptiest. An item stays where it was if there is room; else bins with the
/// least `load` come first.
fn share_out(
    items: usize,
    bins: usize,
    was_in: impl Fn(usize, usize) -> bool,
    load: impl Fn(usize) -> usize,
) -> Vec<usize> {
    let (each, mut extra) = (items / bins, items % bins);
    let mut filled = vec![0usize; bins];
    let mut fits = |filled: &mut Vec<usize>, bin: usize| {
        let Some(count) = filled.get_mut(bin) else { return false };
        if *count > each || (*count == each && extra == 0) {
            return false;
        }
        if *count == each {
            extra -= 1;
        }
        *count += 1;
        true
    };
    let mut placed: Vec<Option<usize>> = vec![None; items];
    for (item, place) in placed.iter_mut().enumerate() {
        *place = (0..bins).find(|bin| was_in(item, *bin)).filter(|bin| fits(&mut filled, *bin));
    }
    let mut order: Vec<usize> = (0..bins).collect();
    order.sort_by_key(|bin| (filled.get(*bin).copied(), load(*bin), *bin));
    let mut turn = order.iter().copied().cycle();
    for place in &mut placed {
        while place.is_none() {
            // Ends: the bins together have room for all items.
            let bin = turn.next().unwrap_or(0);
            *place = Some(bin).filter(|bin| fits(&mut filled, *bin));
        }
    }
    placed.into_iter().map(Option::unwrap_or_default).collect()
}
