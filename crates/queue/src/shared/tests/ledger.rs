//! A ledger against a list that says of each record how it is.

use base::{Millis, Offset, TopicId};
use proptest::prelude::*;

use super::super::{Ledger, Ledgers, PartitionKey, Returned, Why};
use crate::record::Record;

const RECORDS: Offset = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Available(u16),
    Acquired(u16),
    Delayed(Millis, u16),
    Dead(u16),
    Done,
}

#[derive(Debug, Clone, Copy)]
enum Input {
    /// The next that are available, so many.
    Take(Offset),
    Finish(Offset, Offset),
    GiveBack(Offset, Offset, Returned),
    Kill(Offset, Offset),
    /// Time goes on, and what is delayed may be available.
    Pass(Millis),
    /// What changed is written.
    Write,
    /// What was written is read back.
    Crash,
    /// All is written anew, and what was before forgotten.
    Rewrite,
}

fn inputs() -> impl Strategy<Value = Input> {
    let range = (0..RECORDS, 1..9 as Offset);
    let range = range.prop_map(|(first, count)| (first, (first + count - 1).min(RECORDS - 1)));
    let how = (any::<bool>(), prop::option::of(1..50 as Millis), prop::option::of(0..3u32));
    let how = how.prop_map(|(counted, until, deliveries_max)| Returned {
        counted,
        until,
        deliveries_max,
    });
    prop_oneof![
        4 => (1..9 as Offset).prop_map(Input::Take),
        3 => range.clone().prop_map(|(first, last)| Input::Finish(first, last)),
        4 => (range.clone(), how).prop_map(|((first, last), how)| Input::GiveBack(first, last, how)),
        1 => range.prop_map(|(first, last)| Input::Kill(first, last)),
        1 => (1..30 as Millis).prop_map(Input::Pass),
        2 => Just(Input::Write),
        1 => Just(Input::Crash),
        1 => Just(Input::Rewrite),
    ]
}

struct World {
    ledger: Ledger,
    key: PartitionKey,
    disk: Vec<Record>,
    all: Vec<Is>,
    /// As it was written.
    written: Vec<Is>,
    now: Millis,
}

impl World {
    fn new() -> Self {
        let key = PartitionKey { subscription: "".into(), topic: TopicId(9), partition: 2 };
        let all = vec![Is::Available(0); RECORDS as usize];
        let mut world = Self {
            ledger: Ledger::new(0),
            key,
            disk: Vec::new(),
            written: all.clone(),
            all,
            now: 0,
        };
        world.input(Input::Write);
        world
    }

    fn each(&mut self, first: Offset, last: Offset, mut to: impl FnMut(&mut Is)) {
        self.all[first as usize..=last as usize].iter_mut().for_each(&mut to);
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Take(count) => {
                let (first, next) = self.ledger.next_available(0);
                let last = (next - 1).min(RECORDS - 1).min(first + count - 1);
                if first <= last {
                    self.ledger.acquire(first, last);
                    self.each(first, last, |is| match is {
                        Is::Available(deliveries) => *is = Is::Acquired(*deliveries + 1),
                        other => panic!("{other:?} is not available"),
                    });
                }
            }
            Input::Finish(first, last) => {
                self.ledger.finish(first, last);
                self.each(first, last, |is| *is = Is::Done);
            }
            Input::GiveBack(first, last, how) => self.give_back(first, last, how),
            Input::Kill(first, last) => {
                self.ledger.kill(first, last, Why::Rejected);
                self.each(first, last, |is| match *is {
                    Is::Available(n) | Is::Acquired(n) | Is::Delayed(_, n) => *is = Is::Dead(n),
                    Is::Dead(_) | Is::Done => {}
                });
            }
            Input::Pass(millis) => {
                self.now += millis;
                let now = self.now;
                self.ledger.ripen(now);
                self.each(0, RECORDS - 1, |is| match *is {
                    Is::Delayed(until, n) if until <= now => *is = Is::Available(n),
                    _ => {}
                });
            }
            Input::Write => {
                self.disk.push(self.ledger.take_delta(&self.key));
                self.written.clone_from(&self.all);
            }
            Input::Rewrite => {
                self.disk = vec![self.ledger.take_all(&self.key)];
                self.written.clone_from(&self.all);
            }
            Input::Crash => self.crash(),
        }
    }

    fn give_back(&mut self, first: Offset, last: Offset, how: Returned) {
        let how = Returned { until: how.until.map(|after| self.now + after), ..how };
        let dead = self.ledger.give_back(first, last, how);
        let mut died = Vec::new();
        for at in first..=last {
            let is = &mut self.all[at as usize];
            let Is::Acquired(n) = *is else { continue };
            let n = if how.counted { n } else { n - 1 };
            *is = match how.until {
                _ if how.deliveries_max.is_some_and(|most| u32::from(n) > most) => {
                    died.push(at);
                    Is::Dead(n)
                }
                Some(until) => Is::Delayed(until, n),
                None => Is::Available(n),
            };
        }
        let dead: Vec<_> = dead.into_iter().flat_map(|(first, last)| first..=last).collect();
        assert_eq!(dead, died);
    }

    fn crash(&mut self) {
        let mut ledgers = Ledgers::default();
        for record in &self.disk {
            assert!(ledgers.restore(&record.key, record.value.as_deref()).unwrap());
        }
        self.ledger = ledgers.take(&self.key).expect("it was written");
        self.all.clone_from(&self.written);
        // Who had them is gone; that they were delivered counts.
        self.each(0, RECORDS - 1, |is| {
            if let Is::Acquired(n) = *is {
                *is = Is::Available(n);
            }
        });
        self.written.clone_from(&self.all);
    }

    fn check(&self) {
        let ledger = &self.ledger;
        let end = ledger.end().max(0) as usize;
        let count =
            |is: fn(&Is) -> bool| self.all[..end].iter().filter(|one| is(one)).count() as u64;
        assert_eq!(ledger.available(), count(|is| matches!(is, Is::Available(_))));
        assert_eq!(ledger.acquired(), count(|is| matches!(is, Is::Acquired(_))));
        assert_eq!(ledger.delayed(), count(|is| matches!(is, Is::Delayed(..))));
        assert_eq!(ledger.has_dead(), count(|is| matches!(is, Is::Dead(_))) > 0);
        let first = self.all.iter().position(|is| *is != Is::Done).unwrap_or(RECORDS as usize);
        assert_eq!(ledger.start(), first as Offset, "nothing done is kept at the start");
        for (at, is) in self.all.iter().enumerate() {
            let at = at as Offset;
            assert_eq!(ledger.is_available(at), matches!(is, Is::Available(_)), "{at} {is:?}");
            if let Is::Available(n) | Is::Acquired(n) | Is::Delayed(_, n) | Is::Dead(n) = is {
                assert_eq!(ledger.deliveries(at), *n, "{at} {is:?}");
            }
            let (from, to) = ledger.next_available(at);
            let free = |at: Offset| {
                self.all.get(at as usize).is_none_or(|is| matches!(is, Is::Available(_)))
            };
            assert!((at..from).all(|at| !free(at)), "one before {from} is available");
            assert!((from..to.min(RECORDS)).all(free), "one of {from}..{to} is not available");
            assert!(to >= RECORDS || !free(to), "{to} is available, too");
        }
        assert!(ledger.runs() <= RECORDS as usize + 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_ledger_is_what_a_list_says(inputs in prop::collection::vec(inputs(), 1..60)) {
        let mut world = World::new();
        for input in inputs {
            world.input(input);
            world.check();
        }
    }
}

#[test]
fn what_is_consumed_in_order_costs_a_handful_of_runs() {
    let mut ledger = Ledger::new(0);
    for at in 0..100_000 {
        ledger.acquire(at, at);
        if at >= 100 {
            ledger.finish(at - 100, at - 100);
        }
        assert!(ledger.runs() <= 3, "{} runs at {at}", ledger.runs());
    }
    assert_eq!((ledger.start(), ledger.acquired()), (99_900, 100));
}
