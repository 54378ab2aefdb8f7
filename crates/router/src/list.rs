//! The subscriptions of one filter: a list of chunks that are shared with whoever looks them up. Adding or removing one
//! copies a chunk at most, however long the list is.

use std::sync::Arc;

/// Items of a chunk.
const CHUNK: usize = 64;

/// Some subscriptions of one filter, and their identities.
#[derive(Debug, Clone)]
pub struct Chunk<S>(Vec<(u64, S)>);

impl<S> Chunk<S> {
    /// The subscriptions.
    pub fn iter(&self) -> impl Iterator<Item = &S> {
        self.0.iter().map(|(_, item)| item)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that are to be kept.
    pub(crate) fn only(&self, keep: impl Fn(&S) -> bool) -> Self
    where
        S: Clone,
    {
        Self(self.0.iter().filter(|(_, item)| keep(item)).cloned().collect())
    }
}

#[derive(Debug)]
pub(crate) struct List<S> {
    chunks: Vec<Arc<Chunk<S>>>,
    /// Chunks that are not full.
    open: Vec<u32>,
    len: usize,
}

impl<S> Default for List<S> {
    fn default() -> Self {
        Self { chunks: Vec::new(), open: Vec::new(), len: 0 }
    }
}

impl<S: Clone> List<S> {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds one; returns the number of its chunk, which stays.
    pub(crate) fn insert(&mut self, id: u64, item: S) -> u32 {
        if self.open.is_empty() {
            self.open.push(u32::try_from(self.chunks.len()).unwrap_or(u32::MAX));
            self.chunks.push(Arc::new(Chunk(Vec::new())));
        }
        let number = self.open.last().copied().unwrap_or_default();
        let Some(chunk) = self.chunks.get_mut(number as usize) else { return number };
        let chunk = Arc::make_mut(chunk);
        chunk.0.push((id, item));
        if chunk.0.len() >= CHUNK {
            self.open.pop();
        }
        self.len += 1;
        number
    }

    pub(crate) fn remove(&mut self, id: u64, number: u32) -> Option<S> {
        let chunk = self.chunks.get_mut(number as usize)?;
        let at = chunk.0.iter().position(|(there, _)| *there == id)?;
        let (_, removed) = if chunk.0.len() == 1 {
            // Not kept as large as it was.
            let one = std::mem::replace(chunk, Arc::new(Chunk(Vec::new())));
            Arc::unwrap_or_clone(one).0.swap_remove(at)
        } else {
            Arc::make_mut(chunk).0.swap_remove(at)
        };
        if chunk.0.len() == CHUNK - 1 {
            self.open.push(number);
        }
        self.len -= 1;
        Some(removed)
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = &Arc<Chunk<S>>> {
        self.chunks.iter().filter(|chunk| !chunk.is_empty())
    }
}
