use std::sync::Arc;

use base::Principal;
use cluster::{MetaStore, Op, Txn};
use proptest::prelude::*;

use super::index::Who;
use super::*;
use crate::tests::Fixture;
use crate::{Broker, RuleError};

const HOSTS: [&str; 2] = ["10.0.0.1", "10.0.0.2"];
const KINDS: [ResourceKind; 2] = [ResourceKind::Topic, ResourceKind::Group];

fn principals() -> [Principal; 3] {
    ["User:a", "User:b", "Group:a"].map(|text| Principal::parse(text).unwrap())
}

fn rule(kind: ResourceKind, pattern: Pattern, who: &str, op: Operation, effect: Effect) -> Rule {
    let principal = Principal::parse(who).unwrap();
    Rule { kind, pattern, principal, host: None, operation: op, effect }
}

fn literal(name: &str) -> Pattern {
    Pattern::Literal(name.into())
}

fn prefix(name: &str) -> Pattern {
    Pattern::Prefix(name.into())
}

/// What the rules mean, one after another.
fn oracle(
    rules: &[Rule],
    who: &Principal,
    host: &str,
    operation: Operation,
    (kind, name): (ResourceKind, &str),
    if_no_rule: bool,
) -> bool {
    let matching = |effect| {
        rules.iter().any(|r| r.effect == effect && r.matches(who, host, operation, kind, name))
    };
    let about = rules.iter().any(|rule| rule.kind == kind && rule.pattern.matches(name));
    !matching(Effect::Deny) && (matching(Effect::Allow) || (!about && if_no_rule))
}

fn names() -> impl Strategy<Value = String> {
    // Characters of one and of two bytes: lengths must not be mixed up.
    proptest::collection::vec(prop_oneof![Just('x'), Just('é')], 1..4).prop_map(String::from_iter)
}

fn a_rule() -> impl Strategy<Value = Rule> {
    let pattern = prop_oneof![
        1 => Just(Pattern::Any),
        3 => names().prop_map(|name| literal(&name)),
        3 => names().prop_map(|name| prefix(&name)),
    ];
    let principal = proptest::sample::select(vec!["User:a", "User:b", "Group:a", "User:*"]);
    let host = proptest::option::of(proptest::sample::select(HOSTS.to_vec()));
    let operation = proptest::sample::select(Operation::ALL.to_vec());
    let effect = prop_oneof![3 => Just(Effect::Allow), 1 => Just(Effect::Deny)];
    let kind = proptest::sample::select(KINDS.to_vec());
    (kind, pattern, principal, host, operation, effect).prop_map(
        |(kind, pattern, principal, host, operation, effect)| Rule {
            host: host.map(Arc::from),
            ..rule(kind, pattern, principal, operation, effect)
        },
    )
}

/// The rules as they come from the metadata store, pattern by pattern.
fn stored_rules(rules: &[Rule], removed: &[Rule]) -> Rules {
    let mut index = Rules::default();
    let mut put = |rules: &[Rule], rule: &Rule| {
        let same = |other: &&Rule| other.kind == rule.kind && other.pattern == rule.pattern;
        let mut these: Vec<_> = rules.iter().filter(same).cloned().collect();
        these.sort_unstable();
        these.dedup();
        let key = stored::key(rule.kind, &rule.pattern);
        let rest = key.strip_prefix(stored::PREFIX).unwrap();
        if these.is_empty() {
            stored::delete(&mut index, rest);
        } else {
            stored::put(&mut index, rest, &stored::value(&these));
        }
    };
    // What was there before and is gone leaves no trace.
    removed.iter().for_each(|rule| put(removed, rule));
    removed.iter().chain(rules).for_each(|rule| put(rules, rule));
    index
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_index_says_what_the_rules_say_one_by_one(
        rules in proptest::collection::vec(a_rule(), 0..12),
        removed in proptest::collection::vec(a_rule(), 0..6),
        asked in proptest::collection::vec(names(), 4),
        if_no_rule: bool,
    ) {
        let index = stored_rules(&rules, &removed);
        let everybody = Rule::everybody();
        for principal in &principals() {
            for host in HOSTS {
                let who = Who { principal, everybody, host };
                for (kind, name) in KINDS.iter().flat_map(|k| asked.iter().map(|n| (*k, &**n))) {
                    let said = index.operations(&who, kind, name, if_no_rule);
                    for op in Operation::ALL.iter().filter(|op| **op != Operation::Everything) {
                        let meant = oracle(&rules, principal, host, *op, (kind, name), if_no_rule);
                        prop_assert_eq!(said.has(*op), meant, "{} {} {}", principal, op, name);
                    }
                }
            }
        }
        let mut all = rules;
        all.sort_unstable();
        all.dedup();
        prop_assert_eq!(index.count(), all.len());
        prop_assert_eq!(index.find(&RuleFilter::all()), all, "nothing is lost on the way");
    }

    #[test]
    fn whether_anything_is_allowed_is_whether_some_name_is(
        rules in proptest::collection::vec(a_rule(), 0..8),
        if_no_rule: bool,
    ) {
        let index = stored_rules(&rules, &[]);
        let everybody = Rule::everybody();
        // `z` stands for all that no rule names.
        let mut names = vec![String::new()];
        for _ in 0..4 {
            let longer = |name: &String| ["x", "é", "z"].map(|end| format!("{name}{end}"));
            names = names.iter().flat_map(longer).chain(names.clone()).collect();
            names.sort_unstable();
            names.dedup();
        }
        names.retain(|name| !name.is_empty());
        for principal in &principals() {
            let who = Who { principal, everybody, host: HOSTS[0] };
            for (kind, op) in KINDS.iter().flat_map(|k| {
                [Operation::Write, Operation::Describe].map(|op| (*k, op))
            }) {
                let some = names.iter().any(|name| {
                    oracle(&rules, principal, HOSTS[0], op, (kind, name), if_no_rule)
                });
                prop_assert_eq!(index.any_allows(&who, op, kind, if_no_rule), some);
            }
        }
    }

    #[test]
    fn a_filter_finds_the_same_in_the_index_as_one_by_one(
        rules in proptest::collection::vec(a_rule(), 0..12),
        kind in proptest::option::of(proptest::sample::select(KINDS.to_vec())),
        pattern in proptest::sample::select(vec![
            PatternFilter::Any, PatternFilter::Match, PatternFilter::Literal, PatternFilter::Prefix,
        ]),
        name in proptest::option::of(prop_oneof![names(), Just("*".to_owned())]),
        host in proptest::option::of(proptest::sample::select(vec!["*", HOSTS[0]])),
    ) {
        let host = host.map(ToOwned::to_owned);
        let filter = RuleFilter { kind, pattern, name, host, ..RuleFilter::all() };
        let mut found: Vec<_> = rules.iter().filter(|rule| filter.finds(rule)).cloned().collect();
        found.sort_unstable();
        found.dedup();
        prop_assert_eq!(stored_rules(&rules, &[]).find(&filter), found);
    }
}

#[test]
fn a_matching_filter_finds_what_would_be_applied() {
    let filter = |pattern, name: &str| RuleFilter {
        pattern,
        name: Some(name.to_owned()),
        ..RuleFilter::all()
    };
    let finds = |filter: &RuleFilter| {
        let patterns = [literal("ab"), literal("abc"), prefix("ab"), prefix("abc"), Pattern::Any];
        patterns.map(|pattern| filter.finds_resource(ResourceKind::Topic, &pattern))
    };
    assert_eq!(finds(&filter(PatternFilter::Match, "ab")), [true, false, true, false, true]);
    assert_eq!(finds(&filter(PatternFilter::Match, "abc")), [false, true, true, true, true]);
    assert_eq!(finds(&filter(PatternFilter::Any, "ab")), [true, false, true, false, false]);
    assert_eq!(finds(&filter(PatternFilter::Literal, "ab")), [true, false, false, false, false]);
    assert_eq!(finds(&filter(PatternFilter::Literal, "*")), [false, false, false, false, true]);
    assert_eq!(finds(&filter(PatternFilter::Prefix, "ab")), [false, false, true, false, false]);
}

#[test]
fn what_changed_between_two_sets_of_rules_is_found_by_pattern() {
    let allow =
        |pattern, operation| rule(ResourceKind::Topic, pattern, "User:a", operation, Effect::Allow);
    let (kept, gone) =
        (allow(literal("kept"), Operation::Read), allow(prefix("x"), Operation::Read));
    let more = allow(literal("more"), Operation::Read);
    let old: Rules = [kept.clone(), gone, more.clone()].into_iter().collect();
    let again = allow(literal("more"), Operation::Write);
    let added = allow(Pattern::Any, Operation::Read);
    let new: Rules = [kept, more.clone(), again.clone(), added.clone()].into_iter().collect();
    let changed: Vec<_> =
        new.changed_since(&old).into_iter().map(|(_, pattern, rules)| (pattern, rules)).collect();
    let expected = [
        (Pattern::Any, vec![added]),
        (literal("more"), vec![more, again]),
        (prefix("x"), Vec::new()),
    ];
    assert_eq!(changed, expected);
    assert_eq!(new.changed_since(&new.clone()), []);
}

#[test]
fn rules_that_cannot_be_read_close_what_they_are_about() {
    let who = Principal::user("a");
    let everybody = Rule::everybody();
    let who = Who { principal: &who, everybody, host: HOSTS[0] };
    let allow_all =
        rule(ResourceKind::Topic, Pattern::Any, "User:*", Operation::Everything, Effect::Allow);
    let mut rules = stored_rules(&[allow_all], &[]);
    let may = |rules: &Rules, name: &str| {
        !rules.operations(&who, ResourceKind::Topic, name, true).is_empty()
    };
    let newer = br#"[{"principal":"User:a","operation":"dance","effect":"deny"}]"#;
    stored::put(&mut rules, "topic/literal/t", newer);
    assert!(!may(&rules, "t") && may(&rules, "u"), "closed is what it is about, and no more");
    stored::delete(&mut rules, "topic/literal/t");
    assert!(may(&rules, "t"));
    stored::put(&mut rules, "topic/filter/a.*.c", newer);
    assert!(!may(&rules, "u"), "what an unknown pattern is about is unknown");
    stored::put(&mut rules, "planet/literal/t", newer);
    stored::delete(&mut rules, "topic/filter/a.*.c");
    assert!(may(&rules, "t") && may(&rules, "u"), "an unknown kind is never asked for");
}

async fn enforcing() -> Fixture {
    Fixture::with(|options| {
        options.access.enforce = true;
        options.access.super_users = vec![Principal::user("root")];
    })
    .await
}

fn actor(broker: &Broker, name: &str) -> Actor {
    broker.actor(Principal::user(name), HOSTS[0].into())
}

#[tokio::test]
async fn rules_hold_from_when_they_are_acknowledged_and_survive_a_restart() {
    let fixture = enforcing().await;
    let alice = actor(&fixture.broker, "alice");
    let read = |actor: &Actor, topic: &str| actor.may_topic(Operation::Read, topic);
    assert!(!read(&alice, "t1"), "nothing is allowed that no rule allows");
    assert!(read(&actor(&fixture.broker, "root"), "t1"));
    let allow =
        |pattern| rule(ResourceKind::Topic, pattern, "User:alice", Operation::Read, Effect::Allow);
    // More patterns than one transaction takes.
    let many: Vec<_> = (0..200).map(|n| allow(literal(&format!("t{n}")))).collect();
    let outcomes = fixture.broker.add_rules(many.clone()).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert!((0..200).all(|n| read(&alice, &format!("t{n}"))));
    assert!(alice.may_topic(Operation::Describe, "t1") && !alice.may_topic(Operation::Write, "t1"));
    // Again, with one more of the same pattern.
    let deny = rule(ResourceKind::Topic, literal("t7"), "User:*", Operation::Read, Effect::Deny);
    let outcomes = fixture.broker.add_rules(vec![many[7].clone(), deny.clone()]).await;
    assert_eq!(outcomes, [Ok(()), Ok(())]);
    assert!(!read(&alice, "t7"));
    assert_eq!(fixture.broker.metadata().access.count(), 201);

    // It holds on to the broker.
    drop(alice);
    let fixture = fixture.restart().await;
    let found = fixture.broker.find_rules(&RuleFilter::all());
    assert_eq!(found.len(), 201);
    let filter = RuleFilter { name: Some("t7".into()), ..RuleFilter::all() };
    let mut removed = fixture.broker.remove_rules(&filter).await.unwrap();
    removed.sort_unstable();
    let mut expected = vec![many[7].clone(), deny];
    expected.sort_unstable();
    assert_eq!(removed, expected);
    let removed = fixture.broker.remove_rules(&RuleFilter::all()).await.unwrap();
    assert_eq!(removed.len(), 199);
    assert_eq!(fixture.broker.metadata().access.count(), 0);
}

#[tokio::test]
async fn a_rule_that_cannot_be_is_refused_and_the_others_are_added() {
    let fixture = enforcing().await;
    let one = |kind, pattern| rule(kind, pattern, "User:a", Operation::Read, Effect::Allow);
    let long = "n".repeat(4096);
    let outcomes = fixture
        .broker
        .add_rules(vec![
            one(ResourceKind::Topic, literal("")),
            one(ResourceKind::Group, prefix(&long)),
            one(ResourceKind::Cluster, literal("other")),
            one(ResourceKind::Cluster, Pattern::Any),
            one(ResourceKind::Cluster, literal(CLUSTER)),
            one(ResourceKind::Topic, Pattern::Any),
        ])
        .await;
    let (name, cluster) = (Err(RuleError::Name), Err(RuleError::Cluster));
    assert_eq!(outcomes, [name.clone(), name, cluster.clone(), cluster, Ok(()), Ok(())]);
    // What cannot be read cannot be added to either: that would lose it.
    let key = stored::key(ResourceKind::Topic, &literal("new"));
    let answer = fixture.meta.txn(Txn::new().then(Op::put(key, "[{}]"))).await.unwrap();
    fixture.broker.seen(answer.revision).await;
    let rules = ["new", "t"].map(|name| one(ResourceKind::Topic, literal(name)));
    let outcomes = fixture.broker.add_rules(rules.to_vec()).await;
    assert_eq!(outcomes, [Err(RuleError::Unreadable), Ok(())]);
}

#[tokio::test]
async fn of_many_who_change_the_rules_of_one_topic_none_is_lost() {
    let fixture = enforcing().await;
    let add = |n: usize| {
        let broker = fixture.broker.clone();
        let who = format!("User:u{n}");
        let new = rule(ResourceKind::Topic, literal("t"), &who, Operation::Read, Effect::Allow);
        tokio::spawn(async move { broker.add_rules(vec![new]).await })
    };
    let adding: Vec<_> = (0..50).map(add).collect();
    for task in adding {
        assert_eq!(task.await.unwrap(), [Ok(())]);
    }
    assert_eq!(fixture.broker.metadata().access.count(), 50);
}

#[tokio::test]
async fn what_a_connection_remembers_is_bounded_and_never_outdated() {
    let fixture = enforcing().await;
    let alice = actor(&fixture.broker, "alice");
    let rule =
        rule(ResourceKind::Topic, prefix("t"), "User:alice", Operation::Write, Effect::Allow);
    fixture.broker.add_rules(vec![rule]).await;
    for n in 0..1000 {
        assert!(alice.may_topic(Operation::Write, &format!("t{n}")));
        assert!(!alice.may_topic(Operation::Write, &format!("s{n}")));
    }
    assert!(alice.remembered() <= 256);
    fixture.broker.remove_rules(&RuleFilter::all()).await.unwrap();
    assert!(!alice.may_topic(Operation::Write, "t999"));
}

#[tokio::test]
async fn without_enforcement_everybody_may_everything() {
    let fixture = Fixture::with(|_| {}).await;
    let nobody = actor(&fixture.broker, "nobody");
    assert!(nobody.may_cluster(Operation::Alter) && nobody.is_free());
    assert_eq!(nobody.operations(ResourceKind::Topic, "t"), Operations::every());
    assert!(nobody.may_any(Operation::Write, ResourceKind::Topic));
}
