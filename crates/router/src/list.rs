//! The subscriptions of one filter: a list of chunks that are shared with whoever looks them up. Adding or removing one
//! copies a chunk at most, however long the list is. Most filters have one subscription, and there are many filters: that
//! one takes a single allocation.

use std::slice;
use std::sync::Arc;

/// Items of a chunk.
const CHUNK: usize = 64;

/// Some subscriptions of one filter, and their identities.
#[derive(Debug, Clone)]
pub struct Chunk<S>(Items<S>);

#[derive(Debug, Clone)]
enum Items<S> {
    /// In place, without a list of its own.
    One((u64, S)),
    Many(Vec<(u64, S)>),
}

impl<S> Chunk<S> {
    fn items(&self) -> &[(u64, S)] {
        match &self.0 {
            Items::One(one) => slice::from_ref(one),
            Items::Many(many) => many,
        }
    }

    /// The subscriptions.
    pub fn iter(&self) -> impl Iterator<Item = &S> {
        self.items().iter().map(|(_, item)| item)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.items().len()
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.items().is_empty()
    }

    /// Those that are to be kept.
    pub(crate) fn only(&self, keep: impl Fn(&S) -> bool) -> Self
    where
        S: Clone,
    {
        let kept = self.items().iter().filter(|(_, item)| keep(item));
        Self(Items::Many(kept.cloned().collect()))
    }

    fn none() -> Items<S> {
        Items::Many(Vec::new())
    }

    fn push(&mut self, one: (u64, S)) {
        self.0 = match std::mem::replace(&mut self.0, Self::none()) {
            Items::One(first) => Items::Many(vec![first, one]),
            Items::Many(many) if many.is_empty() => Items::One(one),
            Items::Many(mut many) => {
                many.push(one);
                Items::Many(many)
            }
        };
    }

    /// Takes out the one with this identity, if it is here. The last one leaves no room behind.
    fn take(&mut self, id: u64) -> Option<S> {
        let at = self.items().iter().position(|(there, _)| *there == id)?;
        let (_, item) = match std::mem::replace(&mut self.0, Self::none()) {
            Items::One(one) => one,
            Items::Many(mut many) => {
                let taken = many.swap_remove(at);
                if !many.is_empty() {
                    self.0 = Items::Many(many);
                }
                taken
            }
        };
        Some(item)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) enum List<S> {
    #[default]
    Empty,
    /// As long as there was no need for a second chunk.
    One(Arc<Chunk<S>>),
    Several(Box<Several<S>>),
}

#[derive(Debug)]
pub(crate) struct Several<S> {
    chunks: Vec<Arc<Chunk<S>>>,
    /// Chunks that are not full.
    open: Vec<u32>,
    len: usize,
}

impl<S> List<S> {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

impl<S: Clone> List<S> {
    /// Adds one; returns the number of its chunk, which stays.
    pub(crate) fn insert(&mut self, id: u64, item: S) -> u32 {
        let full = match self {
            Self::Empty => {
                *self = Self::One(Arc::new(Chunk(Items::One((id, item)))));
                return 0;
            }
            Self::One(chunk) if chunk.len() < CHUNK => {
                Arc::make_mut(chunk).push((id, item));
                return 0;
            }
            Self::One(chunk) => Arc::clone(chunk),
            Self::Several(several) => return several.insert(id, item),
        };
        let mut several = Several { len: full.len(), chunks: vec![full], open: Vec::new() };
        let number = several.insert(id, item);
        *self = Self::Several(Box::new(several));
        number
    }

    pub(crate) fn remove(&mut self, id: u64, number: u32) -> Option<S> {
        let (removed, is_empty) = match self {
            Self::Empty => return None,
            Self::One(chunk) => (Arc::make_mut(chunk).take(id)?, chunk.is_empty()),
            Self::Several(several) => (several.remove(id, number)?, several.len == 0),
        };
        if is_empty {
            *self = Self::Empty;
        }
        Some(removed)
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = &Arc<Chunk<S>>> {
        let all = match self {
            Self::Empty => &[],
            Self::One(chunk) => slice::from_ref(chunk),
            Self::Several(several) => &several.chunks[..],
        };
        all.iter().filter(|chunk| !chunk.is_empty())
    }
}

impl<S: Clone> Several<S> {
    fn insert(&mut self, id: u64, item: S) -> u32 {
        if self.open.is_empty() {
            self.open.push(u32::try_from(self.chunks.len()).unwrap_or(u32::MAX));
            self.chunks.push(Arc::new(Chunk(Chunk::none())));
        }
        let number = self.open.last().copied().unwrap_or_default();
        let Some(chunk) = self.chunks.get_mut(number as usize) else { return number };
        let chunk = Arc::make_mut(chunk);
        chunk.push((id, item));
        if chunk.len() >= CHUNK {
            self.open.pop();
        }
        self.len += 1;
        number
    }

    fn remove(&mut self, id: u64, number: u32) -> Option<S> {
        let chunk = Arc::make_mut(self.chunks.get_mut(number as usize)?);
        let removed = chunk.take(id)?;
        if chunk.len() == CHUNK - 1 {
            self.open.push(number);
        }
        self.len -= 1;
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(list: &List<u64>) -> Vec<u64> {
        let mut all: Vec<_> =
            list.chunks().flat_map(|chunk| chunk.iter().copied().collect::<Vec<_>>()).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn one_is_found_again_whatever_came_and_went_since() {
        let mut list = List::default();
        let count = 3 * CHUNK as u64 + 5;
        let keys: Vec<_> = (0..count).map(|id| (id, list.insert(id, id))).collect();
        assert_eq!(all(&list), (0..count).collect::<Vec<_>>());
        let (odd, even): (Vec<_>, Vec<_>) = keys.into_iter().partition(|(id, _)| id % 2 == 1);
        for (id, chunk) in odd {
            assert_eq!(list.remove(id, chunk), Some(id));
            assert_eq!(list.remove(id, chunk), None, "it is gone");
        }
        let more = list.insert(1000, 1000);
        let mut left: Vec<_> = even.iter().map(|(id, _)| *id).collect();
        left.push(1000);
        assert_eq!(all(&list), left);
        assert_eq!(list.remove(1000, more), Some(1000));
        even.into_iter().for_each(|(id, chunk)| assert_eq!(list.remove(id, chunk), Some(id)));
        assert!(list.is_empty());
        assert_eq!(list.insert(1, 7), 0);
        assert_eq!(all(&list), [7]);
    }

    #[test]
    fn what_was_looked_up_before_stays_as_it_was() {
        let mut list = List::default();
        list.insert(1, 1);
        let before: Vec<_> = list.chunks().cloned().collect();
        let second = list.insert(2, 2);
        assert_eq!(list.remove(1, 0), Some(1));
        assert_eq!(before[0].iter().copied().collect::<Vec<_>>(), [1]);
        assert_eq!(list.remove(2, second), Some(2));
        assert!(list.is_empty());
    }
}
