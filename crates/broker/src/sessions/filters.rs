//! What one session subscribes to. Most sessions have one filter or two, and there are very many sessions: those are in a
//! list, which takes a tenth of the room of a tree's smallest node.

use std::collections::BTreeMap;

use super::{Held, Wanted};

/// So many are in a list.
const FEW: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Filters {
    /// In order.
    few: Vec<(Wanted, Held)>,
    /// All of them, of a session that has more than a few.
    #[allow(clippy::box_collection, reason = "hardly any session has it")]
    many: Option<Box<BTreeMap<Wanted, Held>>>,
}

impl Filters {
    pub(super) fn len(&self) -> usize {
        self.few.len() + self.many.as_ref().map_or(0, |many| many.len())
    }

    /// In order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Wanted, &Held)> {
        let few = self.few.iter().map(|(wanted, held)| (wanted, held));
        few.chain(self.many.iter().flat_map(|many| many.iter()))
    }

    fn place(&self, wanted: &Wanted) -> Result<usize, usize> {
        self.few.binary_search_by(|(known, _)| known.cmp(wanted))
    }

    pub(super) fn get_mut(&mut self, wanted: &Wanted) -> Option<&mut Held> {
        let place = self.place(wanted);
        match &mut self.many {
            Some(many) => many.get_mut(wanted),
            None => self.few.get_mut(place.ok()?).map(|(_, held)| held),
        }
    }

    /// Adds one; returns what was there.
    pub(super) fn insert(&mut self, wanted: Wanted, held: Held) -> Option<Held> {
        if let Some(many) = &mut self.many {
            return many.insert(wanted, held);
        }
        match self.place(&wanted) {
            Ok(at) => self.few.get_mut(at).map(|(_, known)| std::mem::replace(known, held)),
            Err(_) if self.few.len() >= FEW => {
                let mut many: BTreeMap<_, _> = std::mem::take(&mut self.few).into_iter().collect();
                many.insert(wanted, held);
                self.many = Some(Box::new(many));
                None
            }
            Err(at) => {
                // No more room than the first one takes.
                self.few.reserve_exact(usize::from(self.few.is_empty()));
                self.few.insert(at, (wanted, held));
                None
            }
        }
    }

    pub(super) fn remove(&mut self, wanted: &Wanted) -> Option<Held> {
        if let Some(many) = &mut self.many {
            return many.remove(wanted);
        }
        let at = self.place(wanted).ok()?;
        Some(self.few.remove(at).1)
    }
}

#[cfg(test)]
mod tests {
    use base::subject::TEXT;

    use super::super::Interest;
    use super::*;

    fn wanted(number: usize) -> Wanted {
        let filter = TEXT.filter(format!("a.{number:04}").as_bytes()).unwrap();
        Wanted { filter, group: None }
    }

    fn held(options: usize) -> Held {
        let options = options.to_string().into();
        let interest = Interest { options, ..Interest::default() };
        Held { interest, key: None, tails: None }
    }

    #[test]
    fn few_and_many_are_kept_alike() {
        for count in [1, FEW, FEW + 1, 5 * FEW] {
            let mut all = Filters::default();
            for number in (0..count).rev() {
                assert!(all.insert(wanted(number), held(number)).is_none());
            }
            let numbers: Vec<_> = all.iter().map(|(wanted, _)| wanted.clone()).collect();
            assert_eq!(numbers, (0..count).map(wanted).collect::<Vec<_>>());
            let before = all.insert(wanted(0), held(7)).unwrap();
            assert_eq!(before.interest.options, "0");
            assert_eq!(all.get_mut(&wanted(0)).unwrap().interest.options, "7");
            assert_eq!(all.len(), count);
            assert!(all.get_mut(&wanted(count)).is_none() && all.remove(&wanted(count)).is_none());
            for number in 0..count {
                assert!(all.remove(&wanted(number)).is_some(), "{number} of {count}");
            }
            assert_eq!((all.len(), all.iter().count()), (0, 0));
        }
    }
}
