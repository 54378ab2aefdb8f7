//! Random inputs to the engine and to a model that keeps a state per record, crashes included.

use std::collections::BTreeMap;

use super::*;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Naive {
    Available,
    Held(u8, i64),
    Done,
}

/// One record, as the model knows it.
#[derive(Debug, Clone)]
struct Known {
    state: Naive,
    deliveries: u16,
    /// The least that a crash leaves of it.
    durable: u16,
    /// It was confirmed that it is done.
    confirmed: bool,
}

struct Model {
    world: World,
    records: BTreeMap<Offset, Known>,
    log_end: Offset,
    random: u64,
    /// Dead by the count of deliveries: done, without an acknowledgement.
    crashes: usize,
}

impl Model {
    fn new(seed: u64) -> Self {
        let terms = Terms { lease: 1_000, deliveries_max: 4, window_max: 60, dead_letters: false };
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self {
            world: World::new(0, terms),
            records: BTreeMap::new(),
            log_end: 0,
            random,
            crashes: 0,
        }
    }

    fn pick(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % below
    }

    /// Batches have the sizes 1 to 7 by turns; every fifth offset at a batch's end is missing.
    fn batches(&self, from: Offset, until: Offset) -> Vec<std::ops::Range<Offset>> {
        let mut all = Vec::new();
        let (mut base, mut turn) = (0, 0);
        while base < self.log_end && base < until {
            let next = (base + 1 + turn % 7).min(self.log_end);
            let end = if turn % 5 == 4 { next - 1 } else { next };
            if next > from {
                all.push(base..end);
            }
            (base, turn) = (next, turn + 1);
        }
        all.retain(|batch| !batch.is_empty());
        all
    }

    fn acquire(&mut self) {
        let holder = u8::try_from(self.pick(3)).unwrap();
        let Some(region) = self.world.read() else { return };
        let came_back = |known: &Known| known.state == Naive::Available;
        let oldest = self.records.iter().find(|(_, known)| came_back(known)).map(|(at, _)| *at);
        if let Some(oldest) = oldest {
            assert_eq!(region.start, oldest, "what came back is before what is new");
        }
        let batches = self.batches(region.start, region.end);
        let batches: Vec<_> = batches.into_iter().take(1 + self.pick(4) as usize).collect();
        let to = match batches.last() {
            Some(last) => last.end.max(region.start),
            None => region.end.min(self.log_end).max(region.start),
        };
        let span = Span { covered: region.start..to, batches };
        let take = Take { records_max: 1 + self.pick(12) as usize, strict: self.pick(2) == 0 };
        let (key, name, now) = (self.world.key.clone(), name(holder), self.world.now);
        let got = self.world.engine.acquire(&key, &name, &span, take, now);
        self.world.engine.end_read(&key);
        self.world.run();
        let mut count = 0;
        for Acquired { first, last, deliveries } in got {
            for offset in first..=last {
                count += 1;
                let new =
                    Known { state: Naive::Available, deliveries: 0, durable: 0, confirmed: false };
                let known = self.records.entry(offset).or_insert(new);
                assert_eq!(known.state, Naive::Available, "{offset} is delivered to two, or twice");
                assert!(!known.confirmed, "{offset} was confirmed to be done");
                known.deliveries += 1;
                assert_eq!(deliveries, known.deliveries, "deliveries of {offset}");
                known.state = Naive::Held(holder, now + 1_000);
            }
        }
        assert!(!take.strict || count <= take.records_max);
        // What exists in no batch is done.
        for (offset, known) in self.records.range_mut(span.covered.clone()) {
            let exists = span.batches.iter().any(|batch| batch.contains(offset));
            if !exists && known.state == Naive::Available {
                known.state = Naive::Done;
            }
        }
    }

    fn acknowledge(&mut self) {
        let holder = u8::try_from(self.pick(3)).unwrap();
        let held = |known: &Known| matches!(known.state, Naive::Held(by, _) if by == holder);
        let mine: Vec<_> =
            self.records.iter().filter(|(_, known)| held(known)).map(|(at, _)| *at).collect();
        if mine.is_empty() {
            return;
        }
        let first = mine[self.pick(mine.len() as u64) as usize];
        let wanted = first + self.pick(6) as i64;
        let last = (first..=wanted).take_while(|at| mine.contains(at)).last().unwrap();
        let disposition = [
            Disposition::Accept,
            Disposition::Accept,
            Disposition::Release,
            Disposition::Reject,
            Disposition::Renew,
            Disposition::Gap,
        ][self.pick(6) as usize];
        let result = self.world.say(&name(holder), first, last, disposition);
        assert_eq!(result, Ok(()), "{first}..={last} is held");
        let now = self.world.now;
        for offset in first..=last {
            let known = self.records.get_mut(&offset).unwrap();
            match disposition {
                Disposition::Renew => known.state = Naive::Held(holder, now + 1_000),
                Disposition::Release => back(known),
                Disposition::Accept | Disposition::Reject | Disposition::Gap => {
                    known.state = Naive::Done;
                    known.confirmed = true;
                }
            }
            if disposition != Disposition::Renew {
                known.durable = known.deliveries;
            }
        }
    }

    fn pass(&mut self) {
        let millis = self.pick(800) as i64;
        self.world.pass(millis);
        let now = self.world.now;
        // Leases end a little late, at a grain of 100 ms.
        for (offset, known) in &mut self.records {
            let Naive::Held(_, until) = known.state else { continue };
            let held = self.world.engine.is_held(&self.world.key, *offset);
            assert!(until <= now || held, "the lease on {offset} ended early");
            assert!(until + 100 > now || !held, "the lease on {offset} does not end");
            if !held {
                back(known);
            }
        }
    }

    fn crash(&mut self) {
        self.crashes += 1;
        self.world.crash();
        let mut restored = BTreeMap::new();
        let position = self.world.position();
        // What never had a record, and was found out after the last write.
        for offset in position.start..position.end {
            let none = Known { state: Naive::Done, deliveries: 0, durable: 0, confirmed: false };
            self.records.entry(offset).or_insert(none);
        }
        for (offset, known) in &self.records {
            let before = *offset < position.start;
            assert!(!known.confirmed || before || self.is_done(*offset), "{offset} came back");
            let done = before || self.is_done(*offset);
            if !done && *offset < position.end {
                restored.insert(*offset, self.deliveries(*offset));
            }
        }
        let position = self.world.position();
        self.records.retain(|offset, known| match restored.get(offset) {
            Some(deliveries) => {
                let range = known.durable..=known.deliveries;
                assert!(range.contains(deliveries), "{offset}: {deliveries} not in {range:?}");
                known.deliveries = *deliveries;
                known.state = Naive::Available;
                true
            }
            None if *offset < position.end => {
                known.state = Naive::Done;
                true
            }
            // Never written that it was acquired.
            None => known.confirmed,
        });
    }

    fn is_done(&self, offset: Offset) -> bool {
        self.world.engine.is_done(&self.world.key, offset)
    }

    fn deliveries(&self, offset: Offset) -> u16 {
        self.world.engine.deliveries(&self.world.key, offset)
    }

    fn step(&mut self) {
        match self.pick(12) {
            0..=1 => self.log_end += self.pick(15) as i64,
            2..=5 => self.acquire(),
            6..=8 => self.acknowledge(),
            9 => self.pass(),
            10 if self.pick(3) == 0 => {
                let holder = u8::try_from(self.pick(3)).unwrap();
                self.world.engine.give_back(&"s".into(), &name(holder), true);
                self.world.run();
                for known in self.records.values_mut() {
                    if matches!(known.state, Naive::Held(by, _) if by == holder) {
                        back(known);
                    }
                }
            }
            11 if self.pick(4) == 0 => self.crash(),
            _ => self.world.write(Persisted::Durable),
        }
        let position = self.world.position();
        self.world.engine.check(&self.world.key);
        assert!(position.runs <= 62, "{position:?}");
    }
}

/// As the engine takes a record back.
fn back(known: &mut Known) {
    known.state = if known.deliveries < 4 { Naive::Available } else { Naive::Done };
}

fn name(holder: u8) -> Name {
    format!("holder {holder}").into()
}

#[test]
fn the_engine_does_what_a_naive_model_does() {
    let mut crashes = 0;
    for seed in 1..200 {
        let mut model = Model::new(seed);
        for _ in 0..600 {
            model.step();
        }
        crashes += model.crashes;
    }
    assert!(crashes > 100, "only {crashes} crashes");
}
