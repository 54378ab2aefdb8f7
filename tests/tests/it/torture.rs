//! Everything that goes wrong with a machine, one after the other as chance has it, under load: what
//! was acknowledged is there, once, where it was said to be. `cargo xtask torture` runs it for long.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::io::Errno;
use tests::{Broker, Faults, Misbehave, PowerCut, Script, Serve, record_figure};

use crate::chance::{Chance, random_seed, setting};
use crate::kill9;

/// What the broker says when its storage failed it: from there on it acknowledges nothing.
const FAILED: &str = "storage failed";
const FULL: &str = "the disk is full";

/// The longest that the clock jumps, either way: a month, which is longer than any retention.
const JUMP_MS: u64 = 31 * 24 * 3600 * 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Kill,
    /// See [`PowerCut`].
    PowerCut,
    /// Nothing syncs, and says so.
    FailingSync,
    /// No write finds room, for a moment.
    FullDisk,
    SlowSync,
    Paused,
    ClockJump,
}

const FAULTS: [Fault; 7] = [
    Fault::Kill,
    Fault::PowerCut,
    Fault::FailingSync,
    Fault::FullDisk,
    Fault::SlowSync,
    Fault::Paused,
    Fault::ClockJump,
];

#[test]
fn no_acknowledged_record_is_lost_whatever_goes_wrong() {
    let rounds: u32 = setting("ENTREPOT_TORTURE_ROUNDS").unwrap_or(21);
    let seed = setting("ENTREPOT_TORTURE_SEED").unwrap_or_else(random_seed);
    println!("{rounds} rounds; ENTREPOT_TORTURE_SEED={seed}");
    let mut machine = Machine::new(Chance::new(seed));
    // When the clock jumps, nothing may go by age, nor be refused as of the future.
    let any_time = format!("message.timestamp.after.max.ms={}", i64::MAX);
    let keep = ["--config", "retention.ms=-1", "--config", &any_time];
    let Some(mut producers) = kill9::start_producers(&machine.broker, &keep) else { return };
    let mut counts: BTreeMap<Fault, u32> = BTreeMap::new();
    for round in 0..rounds {
        producers.iter_mut().for_each(kill9::wait_for_an_acknowledgement);
        // Each kind once before any a second time.
        let fault = machine.next_fault();
        println!("round {round}: {fault:?}");
        machine.suffer(fault, &mut producers);
        *counts.entry(fault).or_default() += 1;
    }
    let sent = kill9::finish_producers(producers);
    kill9::check(&machine.broker, &sent);
    machine.broker.stop();
    machine.broker.restart();
    let records = kill9::check(&machine.broker, &sent);
    record_figure("torture_rounds", rounds);
    record_figure("torture_records", records);
    println!("{records} records through {counts:?}");
}

/// A broker, and what it runs on.
struct Machine {
    broker: Broker,
    faults: Faults,
    power: PowerCut,
    chance: Chance,
    /// Not yet used of this turn through all of them.
    left: Vec<Fault>,
    clock_ms: i64,
}

impl Machine {
    fn new(chance: Chance) -> Self {
        let (serve, faults) = Faults::prepare(Serve::new());
        let (serve, power) = PowerCut::watch(serve);
        let broker = serve.start();
        Self { broker, faults, power, chance, left: Vec::new(), clock_ms: 0 }
    }

    fn next_fault(&mut self) -> Fault {
        if self.left.is_empty() {
            self.left = FAULTS.to_vec();
        }
        let at = self.chance.below(self.left.len() as u64);
        self.left.swap_remove(usize::try_from(at).unwrap())
    }

    fn suffer(&mut self, fault: Fault, producers: &mut [Script]) {
        let mut wrong = Misbehave { clock_ms: self.clock_ms, ..Misbehave::default() };
        match fault {
            Fault::Kill => {
                self.wait(300);
                self.broker.kill();
                // The journal may lack the last write that was done.
                self.power.keep();
                self.broker.restart();
            }
            Fault::PowerCut => {
                self.wait(300);
                self.cut_power();
            }
            Fault::FailingSync => {
                wrong.sync_errno = Errno::IO.raw_os_error();
                self.fails(wrong, &[FAILED]);
            }
            Fault::FullDisk => {
                wrong.write_errno = Errno::NOSPC.raw_os_error();
                self.fails(wrong, &[FAILED, FULL]);
            }
            Fault::SlowSync => {
                wrong.sync_delay_ms = 1 + i32::try_from(self.chance.below(300)).unwrap();
                self.faults.set(wrong);
                producers.iter_mut().for_each(kill9::wait_for_an_acknowledgement);
                wrong.sync_delay_ms = 0;
                self.faults.set(wrong);
            }
            Fault::Paused => {
                self.broker.pause(true);
                self.wait(2_000);
                self.broker.pause(false);
            }
            Fault::ClockJump => {
                let by = i64::try_from(self.chance.below(2 * JUMP_MS)).unwrap();
                self.clock_ms = by - i64::try_from(JUMP_MS).unwrap();
                wrong.clock_ms = self.clock_ms;
                self.faults.set(wrong);
            }
        }
    }

    /// The disk fails until the broker says so. If it does not trust its storage any more, it is
    /// started again, on what a disk that failed so may have kept.
    fn fails(&mut self, wrong: Misbehave, says: &[&str]) {
        let from = self.broker.log_lines();
        self.faults.set(wrong);
        self.broker.wait_for_log(from, says);
        self.wait(100);
        self.faults.set(Misbehave { clock_ms: self.clock_ms, ..Misbehave::default() });
        if self.broker.log().contains(FAILED) {
            self.cut_power();
        }
    }

    fn cut_power(&mut self) {
        self.broker.kill();
        let chance = &mut self.chance;
        self.power.strike(&mut |end| chance.below(end));
        self.broker.restart();
    }

    fn wait(&mut self, most_ms: u64) {
        let time: Duration = self.chance.up_to(most_ms);
        self.broker.lives_for(time);
    }
}
