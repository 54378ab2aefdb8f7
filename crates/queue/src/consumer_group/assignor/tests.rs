use proptest::prelude::*;

use super::*;

const T: TopicId = TopicId(1);
const U: TopicId = TopicId(2);

fn set(topics: &[TopicId]) -> Arc<BTreeSet<TopicId>> {
    Arc::new(topics.iter().copied().collect())
}

fn counts(counts: &[(TopicId, i32)]) -> BTreeMap<TopicId, i32> {
    counts.iter().copied().collect()
}

fn run(
    assignor: Assignor,
    subscriptions: &[Arc<BTreeSet<TopicId>>],
    held: &[Partitions],
    topics: &BTreeMap<TopicId, i32>,
) -> Vec<Partitions> {
    let candidates: Vec<_> = subscriptions
        .iter()
        .zip(held)
        .map(|(topics, held)| Candidate { instance: None, topics: Arc::clone(topics), held })
        .collect();
    assignor.assign(&candidates, topics)
}

#[test]
fn ranges_are_contiguous_and_meet() {
    let topics = counts(&[(T, 5), (U, 5)]);
    let parts = run(
        Assignor::Range,
        &[set(&[T, U]), set(&[T, U])],
        &[Partitions::new(), Partitions::new()],
        &topics,
    );
    let expected: Partitions = [T, U].iter().flat_map(|t| (0..3).map(|p| (*t, p))).collect();
    assert_eq!(parts[0], expected);
    assert_eq!(parts[1], [(T, 3), (T, 4), (U, 3), (U, 4)].into());
}

#[test]
fn static_members_keep_their_ranges_whatever_their_member_ids() {
    let held = Partitions::new();
    let candidate = |instance| Candidate { instance, topics: set(&[T]), held: &held };
    let parts = Assignor::Range
        .assign(&[candidate(None), candidate(Some("b")), candidate(Some("a"))], &counts(&[(T, 3)]));
    assert_eq!(parts, [Partitions::from([(T, 2)]), [(T, 1)].into(), [(T, 0)].into()]);
}

#[test]
fn one_who_comes_gets_a_share_and_nothing_else_moves() {
    let topics = counts(&[(T, 9)]);
    let all = set(&[T]);
    let before = run(
        Assignor::Uniform,
        &[all.clone(), all.clone()],
        &[Partitions::new(), Partitions::new()],
        &topics,
    );
    let held = [before[0].clone(), before[1].clone(), Partitions::new()];
    let after = run(Assignor::Uniform, &[all.clone(), all.clone(), all], &held, &topics);
    assert_eq!(after.iter().map(Partitions::len).collect::<Vec<_>>(), [3, 3, 3]);
    assert!(after[0].is_subset(&before[0]) && after[1].is_subset(&before[1]));
}

fn subscriptions() -> impl Strategy<Value = Vec<Arc<BTreeSet<TopicId>>>> {
    let one = prop::collection::btree_set((0u128..6).prop_map(TopicId), 0..6);
    prop::collection::vec(one.prop_map(Arc::new), 1..8)
}

proptest! {
    #[test]
    fn everything_with_a_subscriber_is_assigned_once_and_evenly(
        subscriptions in subscriptions(),
        sizes in prop::collection::vec(0i32..9, 5),
        held in prop::collection::vec(
            prop::collection::btree_set(((0u128..7).prop_map(TopicId), 0i32..12), 0..20), 8),
        range in any::<bool>(),
    ) {
        let topics: BTreeMap<_, _> = (0u128..).map(TopicId).zip(sizes).collect();
        let assignor = if range { Assignor::Range } else { Assignor::Uniform };
        let held = &held[..subscriptions.len()];
        let parts = run(assignor, &subscriptions, held, &topics);
        let mut owned = BTreeMap::new();
        for (index, part) in parts.iter().enumerate() {
            for key in part {
                prop_assert!(owned.insert(*key, index).is_none(), "{key:?} has two owners");
                prop_assert!(subscriptions[index].contains(&key.0));
            }
        }
        for (topic, count) in &topics {
            let wanted = subscriptions.iter().any(|s| s.contains(topic));
            for partition in 0..*count {
                prop_assert_eq!(owned.contains_key(&(*topic, partition)), wanted);
            }
        }
        prop_assert!(owned.keys().all(|(t, p)| topics.get(t).is_some_and(|n| p < n)));
        if assignor == Assignor::Uniform {
            for (&(topic, _), &from) in &owned {
                for (to, subscribed) in subscriptions.iter().enumerate() {
                    let uneven = parts[from].len() >= parts[to].len() + 2;
                    prop_assert!(!(uneven && subscribed.contains(&topic)), "{parts:?}");
                }
            }
        }
        prop_assert_eq!(run(assignor, &subscriptions, &parts, &topics), parts);
    }
}
