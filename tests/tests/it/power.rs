//! The power goes, again and again, under load: what was acknowledged is there. See
//! `tests::PowerCut` for what a power cut leaves.

use tests::{PowerCut, Serve, record_figure};

use crate::chance::{Chance, random_seed, setting};
use crate::kill9;

/// The broker dies after at most so many writes, syncs and changes of names. A start takes some
/// thirty, so some die while they recover.
const NOTES_MAX: u64 = 400;

#[test]
fn no_acknowledged_record_is_lost_whenever_the_power_goes() {
    let rounds: u32 = setting("ENTREPOT_POWER_ROUNDS").unwrap_or(30);
    let seed = setting("ENTREPOT_POWER_SEED").unwrap_or_else(random_seed);
    println!("{rounds} rounds; ENTREPOT_POWER_SEED={seed}");
    let mut chance = Chance::new(seed);

    let (serve, power) = PowerCut::watch(Serve::new());
    let mut broker = serve.start();
    let Some(producers) = kill9::start_producers(&broker, &[]) else { return };
    broker.kill();
    power.strike(&mut |end| chance.below(end));
    let (mut unsynced, mut lost) = (0, 0);
    for round in 0..rounds {
        let notes = 1 + chance.below(NOTES_MAX);
        power.cut_after(Some(notes));
        broker.launch_again();
        broker.wait_for_end();
        // It ended because the power went, and not because it refuses what the last cut left.
        let log = broker.log();
        assert!(!log.contains("cannot open the data folder"), "round {round}: {log}");
        let struck = power.strike(&mut |end| chance.below(end));
        (unsynced, lost) = (unsynced + struck.unsynced, lost + struck.lost);
        println!("round {round}: after {notes}: {struck:?}");
    }
    power.cut_after(None);
    broker.restart();
    let sent = kill9::finish_producers(producers);
    let records = kill9::check(&broker, &sent);
    assert!(lost > 0, "{unsynced} writes were not synced, and every one was there: no test at all");
    record_figure("power_cut_rounds", rounds);
    record_figure("power_cut_records", records);
    record_figure("power_cut_writes_lost", lost);
}

/// The test above can fail: with syncs switched off, a cut loses acknowledged records.
#[test]
fn a_power_cut_loses_what_only_the_operating_system_had() {
    let (serve, power) = PowerCut::watch(Serve::new());
    let mut broker = serve.start();
    let unsafely = ["--config", "entrepot.durability=os"];
    let Some(mut producers) = kill9::start_producers(&broker, &unsafely) else { return };
    for producer in &mut producers {
        kill9::wait_for_an_acknowledgement(producer);
    }
    broker.kill();
    // Nothing that was not synced is there.
    power.strike(&mut |_| 0);
    broker.restart();
    kill9::finish_producers(producers);
    assert!(kill9::missing(&broker) > 0, "without a sync, and nothing was lost");
}
