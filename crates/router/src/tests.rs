use std::collections::{BTreeMap, BTreeSet};

use base::subject::Step;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Sub {
    owner: u64,
    tag: u64,
}

impl Subscribed for Sub {
    fn owner(&self) -> u64 {
        self.owner
    }
}

fn text(filter: &str) -> Filter {
    base::subject::TEXT.filter(filter.as_bytes()).unwrap()
}

fn subject(name: &str) -> Subject {
    base::subject::TEXT.subject(name.as_bytes()).unwrap()
}

/// What a naive matcher says.
#[derive(Debug, Default)]
struct Model {
    all: Vec<(Filter, Sub, Option<Group>, Key)>,
}

/// Who gets it: singles with the tags of each owner; groups by name and filter with their members.
type Answer = (BTreeMap<u64, Vec<u64>>, BTreeMap<(Bytes, Option<Filter>), BTreeSet<Sub>>);

impl Model {
    fn answer(&self, subject: &Subject) -> Answer {
        let matching = self.all.iter().filter(|(filter, ..)| filter.matches(subject));
        let (mut singles, mut groups) = Answer::default();
        for (filter, sub, group, _) in matching {
            let Some(group) = group else {
                singles.entry(sub.owner).or_insert_with(Vec::new).push(sub.tag);
                continue;
            };
            let merges = self.all.iter().any(|(other, _, of, _)| {
                other == filter && of.as_ref().is_some_and(|of| of.name == group.name && of.merges)
            });
            let key = (group.name.clone(), (!merges).then(|| filter.clone()));
            groups.entry(key).or_insert_with(BTreeSet::new).insert(sub.clone());
        }
        singles.values_mut().for_each(|tags| tags.sort_unstable());
        (singles, groups)
    }
}

fn answer(matches: &Matches<Sub>) -> Answer {
    let (mut singles, mut groups) = Answer::default();
    for sub in matches.chunks.iter().flat_map(|chunk| chunk.iter()) {
        let tags: &mut Vec<u64> = singles.entry(sub.owner).or_default();
        assert!(tags.is_empty() || matches.overlapping.is_empty());
        tags.push(sub.tag);
    }
    for all in &matches.overlapping {
        assert!(all.len() > 1 && all.iter().all(|sub| sub.owner == all[0].owner));
        let tags = all.iter().map(|sub| sub.tag).collect();
        assert_eq!(singles.insert(all[0].owner, tags), None, "an owner is told once");
    }
    for group in &matches.groups {
        let members: BTreeSet<_> = group.members.iter().cloned().collect();
        assert_eq!(members.len(), group.members.len());
        let key = (group.name.clone(), group.filter.clone());
        assert_eq!(groups.insert(key, members), None, "a group is told once");
    }
    singles.values_mut().for_each(|tags| tags.sort_unstable());
    (singles, groups)
}

/// 0 to 2 are levels (2 is hidden), 3 any one, 4 any number, 5 one or more where it is last.
fn filter(steps: &[u8], skips: bool) -> Filter {
    let last = steps.len() - 1;
    let step = |(at, step): (usize, &u8)| match step {
        3 => Step::One,
        5 if at == last => Step::OneOrMore,
        4 | 5 => Step::ZeroOrMore,
        level => Step::Literal(vec![b"ab$"[usize::from(*level)]].into()),
    };
    Filter::from_steps(steps.iter().enumerate().map(step)).unwrap().skipping_hidden(skips)
}

#[derive(Debug, Clone)]
enum Change {
    Insert(Vec<u8>, bool, u64, Option<(u8, bool)>),
    Remove(prop::sample::Index),
    Publish(Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let group = prop::option::of((0..2u8, any::<bool>()));
    prop_oneof![
        4 => (vec(0..6u8, 1..5), any::<bool>(), 0..4u64, group)
            .prop_map(|(steps, skips, owner, group)| Change::Insert(steps, skips, owner, group)),
        2 => any::<prop::sample::Index>().prop_map(Change::Remove),
        4 => vec(0..3u8, 1..5).prop_map(Change::Publish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn it_finds_what_a_naive_matcher_finds(changes in vec(change(), 1..60)) {
        let router = Router::default();
        let mut model = Model::default();
        for (tag, change) in (0..).zip(changes) {
            match change {
                Change::Insert(steps, skips, owner, group) => {
                    let filter = filter(&steps, skips);
                    let sub = Sub { owner, tag };
                    let group = group.map(|(name, merges)| Group { name: vec![name].into(), merges });
                    let key = router.insert(&filter, sub.clone(), group.as_ref()).unwrap();
                    model.all.push((filter, sub, group, key));
                }
                Change::Remove(index) if !model.all.is_empty() => {
                    let (filter, sub, group, key) = model.all.remove(index.index(model.all.len()));
                    prop_assert_eq!(router.remove(&filter, key, group.as_ref()), Some(sub));
                    prop_assert_eq!(router.remove(&filter, key, group.as_ref()), None);
                }
                Change::Remove(_) => {}
                Change::Publish(levels) => {
                    let subject = Subject::from_levels(levels.iter().map(|l| [b"ab$"[usize::from(*l)]]));
                    let expected = model.answer(&subject);
                    // Remembered and anew, and remembered again.
                    for _ in 0..2 {
                        prop_assert_eq!(&answer(&router.matches(&subject)), &expected);
                    }
                    prop_assert_eq!(&answer(&router.find(&subject)), &expected);
                }
            }
        }
        for (filter, _, group, key) in model.all {
            router.remove(&filter, key, group.as_ref());
        }
        prop_assert!(router.tree.read().is_empty(), "nothing is left of what is gone");
    }
}

#[test]
fn a_stamp_changes_with_what_matters_and_not_with_other_subjects() {
    let router = Router::new(Seeded::new(7));
    let place = router.place(&subject("a.b"));
    let sub = |owner| Sub { owner, tag: 0 };
    let mut stamp = router.stamp(place);
    let mut keys = Vec::new();
    for matters in ["a.b", "a.*", "*.b", ">", "a.>"] {
        keys.push((matters, router.insert(&text(matters), sub(1), None).unwrap()));
        let now = router.stamp(place);
        assert_ne!(now, stamp, "{matters}");
        stamp = now;
    }
    for (matters, key) in keys {
        assert!(router.remove(&text(matters), key, None).is_some());
        let now = router.stamp(place);
        assert_ne!(now, stamp, "{matters}");
        stamp = now;
    }
    for other in ["inbox.1", "inbox.*", "c.d"] {
        router.insert(&text(other), sub(1), None).unwrap();
        assert_eq!(router.stamp(place), stamp, "{other}");
    }
}

#[test]
fn many_subscriptions_of_one_filter_come_and_go() {
    let router = Router::default();
    let filter = text("a.*");
    let mut keys: Vec<_> = (0..1000)
        .map(|tag| (tag, router.insert(&filter, Sub { owner: tag, tag }, None).unwrap()))
        .collect();
    assert_eq!(router.matches(&subject("a.b")).receivers(), 1000);
    for (tag, key) in keys.drain(100..900) {
        assert_eq!(router.remove(&filter, key, None), Some(Sub { owner: tag, tag }));
    }
    for tag in 2000..2300 {
        keys.push((tag, router.insert(&filter, Sub { owner: tag, tag }, None).unwrap()));
    }
    let matches = router.matches(&subject("a.b"));
    let found: BTreeSet<_> = matches.singles().map(|sub| sub.tag).collect();
    assert_eq!(found, keys.iter().map(|(tag, _)| *tag).collect());
}

#[test]
fn a_node_with_many_children_finds_each() {
    let router = Router::default();
    let name = |number: u64| format!("a.{number}.*");
    let insert = |tag| router.insert(&text(&name(tag)), Sub { owner: tag, tag }, None).unwrap();
    let keys: Vec<_> = (0..10_000).map(insert).collect();
    for tag in (0..10_000).step_by(97) {
        let found = router.find(&subject(&format!("a.{tag}.x")));
        assert_eq!(found.singles().map(|sub| sub.tag).collect::<Vec<_>>(), [tag]);
    }
    for (tag, key) in (0..).zip(keys) {
        assert!(router.remove(&text(&name(tag)), key, None).is_some());
    }
    assert!(router.tree.read().is_empty());
}

#[test]
fn wildcards_of_many_levels_in_a_row_cost_no_more_than_there_are_nodes() {
    let router = Router::default();
    let steps = (0..100).flat_map(|_| [Step::ZeroOrMore, Step::Literal(b"a"[..].into())]);
    let filter = Filter::from_steps(steps).unwrap();
    router.insert(&filter, Sub { owner: 1, tag: 1 }, None).unwrap();
    // Without an end this would try every way to share 300 levels among 100 wildcards.
    let many = Subject::from_levels(vec!["a"; 300]);
    assert_eq!(router.find(&many).receivers(), 1);
    let other = Subject::from_levels(vec!["a"; 99]);
    assert_eq!(router.find(&other).receivers(), 0);
    let steps = std::iter::repeat_n(Step::One, Router::<Sub>::STEPS_MAX + 1);
    let long = Filter::from_steps(steps).unwrap();
    assert_eq!(router.insert(&long, Sub { owner: 1, tag: 1 }, None), None);
}
