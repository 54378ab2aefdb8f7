//! Topics by the levels of what may be in them, so that somebody who subscribes looks at few.

use std::collections::{HashMap, HashSet};

use base::subject::Step;
use base::{Filter, TopicId};

/// How many levels are looked at. A filter that says nothing of any of these is compared with every topic.
const PLACES: usize = 8;

/// Sets of topics.
#[derive(Debug, Default)]
pub(crate) struct Levels([Place; PLACES]);

/// The topics by one of the levels, counted from the first.
#[derive(Debug, Default)]
struct Place {
    /// Those whose subjects have this level here.
    levels: HashMap<Vec<u8>, HashSet<TopicId>>,
    /// Those whose subjects may have any level here.
    any: HashSet<TopicId>,
}

impl Place {
    fn remove(&mut self, level: &[u8], id: TopicId) {
        if let Some(topics) = self.levels.get_mut(level) {
            topics.remove(&id);
            if topics.is_empty() {
                self.levels.remove(level);
            }
        }
    }
}

impl Levels {
    /// Each place that subjects of a filter have, and their level there, if that is always the same.
    fn each(&mut self, filter: &Filter, mut with: impl FnMut(&mut Place, Option<&[u8]>)) {
        let mut steps = filter.steps();
        let mut is_open = false;
        for place in &mut self.0 {
            match if is_open { None } else { steps.next() } {
                Some(Step::Literal(level)) => with(place, Some(&level)),
                Some(Step::One) => with(place, None),
                Some(Step::ZeroOrMore | Step::OneOrMore) => {
                    is_open = true;
                    with(place, None);
                }
                // Behind any number of levels anything may come.
                None if is_open => with(place, None),
                None => return,
            }
        }
    }

    pub(crate) fn insert(&mut self, filter: &Filter, id: TopicId) {
        self.each(filter, |place, level| {
            match level {
                Some(level) => place.levels.entry(level.into()).or_default().insert(id),
                None => place.any.insert(id),
            };
        });
    }

    pub(crate) fn remove(&mut self, filter: &Filter, id: TopicId) {
        self.each(filter, |place, level| match level {
            Some(level) => place.remove(level, id),
            None => drop(place.any.remove(&id)),
        });
    }

    /// Topics that have something to do with what this filter matches, maybe; `None`: any may.
    pub(crate) fn of(&self, filter: &Filter) -> Option<impl Iterator<Item = TopicId>> {
        let literal = |(place, step)| match step {
            // What is behind any number of levels has no place.
            Step::ZeroOrMore | Step::OneOrMore => Some(None),
            Step::Literal(level) => Some(Some((place, level))),
            Step::One => None,
        };
        let (place, level): (&Place, _) = self.0.iter().zip(filter.steps()).find_map(literal)??;
        let same = place.levels.get(level.as_ref()).into_iter().flatten();
        Some(same.chain(&place.any).copied())
    }
}

#[cfg(test)]
mod tests {
    use base::subject::TEXT;

    use super::*;

    fn filter(text: &str) -> Filter {
        TEXT.filter(text.as_bytes()).expect("a filter")
    }

    #[test]
    fn whoever_may_have_something_in_common_is_found_and_few_others() {
        let topics = ["a.b.c", "a.x.c", "*.b", "a.>", "b", "d.e.f.g.h.i.j.k.l"];
        let id = |number: usize| TopicId(number as u128);
        let mut levels = Levels::default();
        topics.iter().enumerate().for_each(|(n, text)| levels.insert(&filter(text), id(n)));
        let filters = ["a.b.c", "*.b.c", "*.*.c", "*.x.*", "a.>", ">", "*.b", "*", "b", "*.e.>"];
        for asked in filters {
            let asked = filter(asked);
            let found: Option<HashSet<_>> = levels.of(&asked).map(Iterator::collect);
            for (number, topic) in topics.iter().enumerate() {
                let is_found = found.as_ref().is_none_or(|found| found.contains(&id(number)));
                assert!(is_found || !filter(topic).intersects(&asked), "{asked:?} {topic}");
            }
        }
        let found: HashSet<_> = levels.of(&filter("*.x.*")).expect("a level").collect();
        assert_eq!(found, HashSet::from([id(1), id(3)]), "the others are not looked at");
        assert!(levels.of(&filter(">")).is_none(), "that may be anything");
        topics.iter().enumerate().for_each(|(n, text)| levels.remove(&filter(text), id(n)));
        let is_empty = |place: &Place| place.levels.is_empty() && place.any.is_empty();
        assert!(levels.0.iter().all(is_empty), "nothing is left of topics that are gone");
    }
}
