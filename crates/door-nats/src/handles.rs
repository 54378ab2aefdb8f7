//! A client's subscriptions by its names for them. Most clients have one or two: those are looked through, and only who
//! has more pays for a table.

use std::collections::HashMap;

use crate::client::Handle;

/// So many are looked through.
const FEW: usize = 8;

type Name = Box<[u8]>;

#[derive(Debug, Default)]
pub(crate) struct Handles {
    few: Vec<(Name, Handle)>,
    /// All of them, of a client that has, or had, more than a few.
    #[allow(clippy::box_collection, reason = "most clients have none")]
    many: Option<Box<HashMap<Name, Handle>>>,
}

impl Handles {
    fn place(&self, name: &[u8]) -> Option<usize> {
        self.few.iter().position(|(known, _)| **known == *name)
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&Handle> {
        if let Some(many) = &self.many {
            return many.get(name);
        }
        self.few.get(self.place(name)?).map(|(_, handle)| handle)
    }

    /// Adds one; returns what had its name.
    pub(crate) fn insert(&mut self, name: &[u8], handle: Handle) -> Option<Handle> {
        if self.many.is_none() && self.few.len() >= FEW && self.place(name).is_none() {
            self.many = Some(Box::new(std::mem::take(&mut self.few).into_iter().collect()));
        }
        if let Some(many) = &mut self.many {
            return many.insert(name.into(), handle);
        }
        if let Some(at) = self.place(name) {
            return self.few.get_mut(at).map(|(_, known)| std::mem::replace(known, handle));
        }
        self.few.reserve_exact(usize::from(self.few.is_empty()));
        self.few.push((name.into(), handle));
        None
    }

    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<Handle> {
        if let Some(many) = &mut self.many {
            return many.remove(name);
        }
        let at = self.place(name)?;
        Some(self.few.swap_remove(at).1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &Handle)> {
        let few = self.few.iter().map(|(name, handle)| (&**name, handle));
        let many = self.many.iter().flat_map(|many| many.iter());
        few.chain(many.map(|(name, handle)| (&**name, handle)))
    }

    pub(crate) fn into_handles(self) -> impl Iterator<Item = Handle> {
        let many = self.many.into_iter().flat_map(|many| many.into_values());
        self.few.into_iter().map(|(_, handle)| handle).chain(many)
    }
}
