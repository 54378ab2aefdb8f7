use std::collections::BTreeSet;

use observe::diagnosis::RULES;

use crate::faults::KINDS;
use crate::run::{clean, faulty};

#[test]
fn every_rule_has_a_fault_and_every_fault_a_rule() {
    let rules: BTreeSet<_> = RULES.iter().map(|rule| rule.id).collect();
    let said: BTreeSet<_> = KINDS.iter().map(|kind| kind.rule).collect();
    assert_eq!(rules, said);
    let names: BTreeSet<_> = KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(names.len(), KINDS.len());
    for kind in KINDS {
        assert!(kind.also.iter().all(|rule| rules.contains(rule)), "{}", kind.name);
    }
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let kind = KINDS.iter().find(|kind| kind.rule == "W301").unwrap();
    let run = |seed| format!("{:?}", faulty(kind, seed));
    assert_eq!(run(7), run(7));
    assert!(run(7).contains("found: Some"), "{}", run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn of_a_well_broker_nothing_is_said_for_an_hour() {
    assert_eq!(clean(1, 3600), []);
}
