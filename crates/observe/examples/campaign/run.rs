//! One broker from its start to its end, and what was said of it.

use std::collections::BTreeMap;

use observe::state::NodeId;

use crate::broker::{Faults, World};
use crate::faults::Kind;

/// Before a fault nothing is wrong for at least so many seconds.
const BEFORE: u64 = 900;
/// What is said this long after the fault is over is of it no more.
const AFTER: u64 = 900;
/// This long after the fault was found it is looked which cause is said first.
const THEN: u64 = 60;

/// What is said is of a rule, and about a thing.
type Said = (&'static str, NodeId);

/// What was said of a broker with a fault.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Seconds from the fault's begin until it was said.
    pub(crate) found: Option<u64>,
    /// It was said before everything else, a minute later.
    pub(crate) first: bool,
    /// Incidents of other things that are wrong then, too.
    pub(crate) also: u64,
    /// Incidents of what was not wrong.
    pub(crate) wrong: Vec<Said>,
}

/// Incidents as they open.
#[derive(Debug, Default)]
struct Opened {
    open: BTreeMap<Said, ()>,
}

impl Opened {
    /// Those that opened in this second.
    fn step(&mut self, world: &mut World) -> Vec<Said> {
        world.step();
        let now = world.incidents().into_iter().map(|one| ((one.rule, one.about), ()));
        let now: BTreeMap<_, _> = now.collect();
        let new = now.keys().filter(|said| !self.open.contains_key(said)).cloned().collect();
        self.open = now;
        new
    }
}

/// A broker that has a fault after a while, for a while.
pub(crate) fn faulty(kind: &Kind, seed: u64) -> Outcome {
    let mut world = World::new(seed);
    let (mut opened, mut outcome) = (Opened::default(), Outcome::default());
    for _ in 0..BEFORE + world.dice.whole(0, 600) {
        outcome.wrong.extend(opened.step(&mut world));
    }
    let right = (kind.rule, (kind.about)(&world));
    (kind.begin)(&mut world);
    for second in 1..=kind.lasts + AFTER {
        if second > kind.lasts {
            world.faults = Faults::default();
        }
        for said in opened.step(&mut world) {
            if said == right {
                // That it is said again is nobody's gain.
                outcome.found.get_or_insert(second);
            } else if kind.also.contains(&said.0) {
                outcome.also += 1;
            } else {
                outcome.wrong.push(said);
            }
        }
        let last = outcome.found.map(|found| (found + THEN).min(kind.lasts));
        if last == Some(second) {
            let first = world.incidents().into_iter().next();
            outcome.first = first.is_some_and(|first| (first.rule, first.about) == right);
        }
    }
    // Found when it was over is found too late.
    outcome.found = outcome.found.filter(|found| *found <= kind.lasts);
    outcome
}

/// What was said of a broker of which nothing was wrong for so many seconds.
pub(crate) fn clean(seed: u64, seconds: u64) -> Vec<Said> {
    let mut world = World::new(seed);
    let mut opened = Opened::default();
    (0..seconds).flat_map(|_| opened.step(&mut world)).collect()
}
