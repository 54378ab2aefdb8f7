//! The subscriptions of one filter, and what was found of several.

use std::collections::HashMap;
use std::sync::Arc;

use base::Filter;
use bytes::Bytes;

use crate::list::{Chunk, List};
use crate::{Group, GroupMatch, Key, Matches, Subscribed};

type Groups<S> = HashMap<Bytes, Members<S>>;

/// All subscriptions of one filter.
#[derive(Debug)]
pub(crate) struct Lists<S> {
    singles: List<S>,
    /// In a box: mostly there is none, and there are many filters.
    #[allow(clippy::box_collection, reason = "a filter without groups takes less room")]
    groups: Option<Box<Groups<S>>>,
}

impl<S> Default for Lists<S> {
    fn default() -> Self {
        Self { singles: List::default(), groups: None }
    }
}

#[derive(Debug)]
struct Members<S> {
    filter: Filter,
    members: Vec<Member<S>>,
    /// How many of them merge with those of other filters.
    merging: usize,
}

#[derive(Debug)]
struct Member<S> {
    id: u64,
    item: S,
    merges: bool,
}

impl<S: Subscribed> Lists<S> {
    pub(crate) fn is_empty(&self) -> bool {
        self.singles.is_empty() && self.groups.is_none()
    }

    pub(crate) fn insert(
        &mut self,
        filter: &Filter,
        id: u64,
        item: S,
        group: Option<&Group>,
    ) -> u32 {
        let Some(Group { name, merges }) = group else { return self.singles.insert(id, item) };
        let groups = self.groups.get_or_insert_default();
        let new = || Members { filter: filter.clone(), members: Vec::new(), merging: 0 };
        let group = groups.entry(name.clone()).or_insert_with(new);
        group.merging += usize::from(*merges);
        group.members.push(Member { id, item, merges: *merges });
        0
    }

    pub(crate) fn remove(&mut self, key: Key, group: Option<&Group>) -> Option<S> {
        let Some(Group { name, .. }) = group else { return self.singles.remove(key.id, key.chunk) };
        let groups = self.groups.as_mut()?;
        let group = groups.get_mut(name)?;
        let at = group.members.iter().position(|member| member.id == key.id)?;
        // In order: who takes turns goes by it.
        let removed = group.members.remove(at);
        group.merging -= usize::from(removed.merges);
        if group.members.is_empty() {
            groups.remove(name);
        }
        if groups.is_empty() {
            self.groups = None;
        }
        Some(removed.item)
    }

    pub(crate) fn find(&self, found: &mut Found<S>) {
        if !self.singles.is_empty() {
            found.chunks.extend(self.singles.chunks().cloned());
            found.filters += 1;
        }
        for (name, group) in self.groups.iter().flat_map(|groups| groups.iter()) {
            let members = group.members.iter().map(|member| member.item.clone());
            let filter = (group.merging == 0).then(|| group.filter.clone());
            let merges = filter.is_none();
            let mut known = found.groups.iter_mut();
            match known.find(|known| merges && known.1.is_none() && known.0 == *name) {
                Some((_, _, all)) => all.extend(members),
                None => found.groups.push((name.clone(), filter, members.collect())),
            }
        }
    }
}

/// What was found so far.
#[derive(Debug)]
pub(crate) struct Found<S> {
    chunks: Vec<Arc<Chunk<S>>>,
    /// How many filters matched.
    filters: usize,
    groups: Vec<(Bytes, Option<Filter>, Vec<S>)>,
}

impl<S> Default for Found<S> {
    fn default() -> Self {
        Self { chunks: Vec::new(), filters: 0, groups: Vec::new() }
    }
}

impl<S: Subscribed> Found<S> {
    pub(crate) fn into_matches(self) -> Matches<S> {
        let groups = self.groups.into_iter().map(|(name, filter, members)| GroupMatch {
            name,
            filter,
            members: members.into(),
        });
        let groups = groups.collect();
        let mut chunks = self.chunks;
        let overlapping = if self.filters > 1 { take_overlapping(&mut chunks) } else { Vec::new() };
        Matches { chunks, overlapping, groups }
    }
}

/// Takes out what belongs to owners of whom there is more than one.
fn take_overlapping<S: Subscribed>(chunks: &mut Vec<Arc<Chunk<S>>>) -> Vec<Vec<S>> {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for item in chunks.iter().flat_map(|chunk| chunk.iter()) {
        *counts.entry(item.owner()).or_default() += 1;
    }
    counts.retain(|_, count| *count > 1);
    if counts.is_empty() {
        return Vec::new();
    }
    let overlaps = |item: &S| counts.contains_key(&item.owner());
    let mut places: HashMap<u64, usize> = HashMap::new();
    let mut overlapping: Vec<Vec<S>> = Vec::new();
    for item in chunks.iter().flat_map(|chunk| chunk.iter()).filter(|item| overlaps(item)) {
        let place = *places.entry(item.owner()).or_insert(overlapping.len());
        match overlapping.get_mut(place) {
            Some(all) => all.push(item.clone()),
            None => overlapping.push(vec![item.clone()]),
        }
    }
    for chunk in chunks.iter_mut().filter(|chunk| chunk.iter().any(overlaps)) {
        *chunk = Arc::new(chunk.only(|item| !overlaps(item)));
    }
    chunks.retain(|chunk| !chunk.is_empty());
    overlapping
}
