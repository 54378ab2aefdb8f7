//! What a restart finds.

use super::world::{G, SESSION, World, commit, join, name, offset_of, protocols};
use crate::group::{GroupState, JoinRequest};
use crate::offsets::CommitRequest;
use crate::record::RecordError;
use crate::{Config, Coordinator, GroupError};

#[test]
fn a_stable_group_goes_on_as_if_nothing_had_happened() {
    let mut world = World::new();
    let fixed = JoinRequest { instance_id: Some(name("i")), ..join("") };
    let ids = world.stable_of(&[join(""), fixed]);
    let before = world.coordinator.describe(G).unwrap();
    world.pass(SESSION - 1);
    world.crash();
    let mut after = world.coordinator.describe(G).unwrap();
    after.last_rebalance = before.last_rebalance.clone();
    assert_eq!(after, before);
    world.pass(SESSION - 1);
    assert_eq!(world.beat(&ids[0], 2), Ok(()), "a full session from the restart on");
    let now = world.now;
    assert_eq!(world.coordinator.heartbeat(G, &ids[1], Some("i"), 2, now), Ok(()));
    let token = world.send_sync(&ids[1], 2, &[]);
    assert_eq!(world.assigned(token), "a1");
    let both = world.send_join(join(""));
    let again = [world.send_join(join(&ids[0])), world.send_join(join(&ids[1]))];
    assert_eq!(world.joined(both).generation, 3);
    assert_eq!(again.map(|token| world.joined(token).leader), [ids[0].clone(), ids[0].clone()]);
}

#[test]
fn members_that_do_not_come_back_expire() {
    let mut world = World::new();
    let ids = world.stable(2);
    world.crash();
    world.pass(SESSION);
    assert_eq!(world.state(), GroupState::Empty);
    assert_eq!(world.beat(&ids[0], 2), Err(GroupError::UnknownMember));
    let token = world.send_join(join(""));
    assert_eq!(world.joined(token).generation, 4);
}

#[test]
fn a_follower_that_joins_again_after_a_restart_is_recognised() {
    let mut world = World::new();
    let both = JoinRequest { protocols: protocols(&["range", "sticky"]), ..join("") };
    let ids = world.stable_of(&[both.clone(), both.clone()]);
    world.crash();
    let token = world.send_join(JoinRequest { member_id: ids[1].clone(), ..both });
    assert_eq!(world.joined(token).generation, 2);
    assert_eq!(world.state(), GroupState::Stable);
}

#[test]
fn a_rebalance_under_way_is_forgotten_and_its_newcomer_starts_anew() {
    let mut world = World::new();
    let ids = world.stable(1);
    let newcomer = world.send_join(join(""));
    assert!(world.waits(newcomer));
    let new_id = world.coordinator.describe(G).unwrap().members;
    let new_id = new_id.iter().find(|m| m.member_id != ids[0]).unwrap().member_id.clone();
    world.crash();
    assert_eq!(world.beat(&ids[0], 1), Ok(()), "it did not know of the rebalance yet");
    let token = world.send_join(join(&new_id));
    assert_eq!(world.refused(token), GroupError::UnknownMember);
}

#[test]
fn an_assignment_that_was_not_durable_is_not_there() {
    let mut world = World::new();
    let ids = world.stable(1);
    let leader = world.send_join(join(&ids[0]));
    assert_eq!(world.joined(leader).generation, 2);
    world.held = true;
    world.send_sync(&ids[0], 2, &[(&ids[0], "new")]);
    world.crash();
    assert_eq!(world.beat(&ids[0], 2), Err(GroupError::IllegalGeneration));
    let token = world.send_join(join(&ids[0]));
    assert_eq!(world.joined(token).generation, 2);
}

#[test]
fn a_replaced_static_member_stays_fenced() {
    let mut world = World::new();
    let fixed = JoinRequest { instance_id: Some(name("i")), ..join("") };
    let ids = world.stable_of(&[join(""), fixed.clone()]);
    let token = world.send_join(fixed);
    let new = world.joined(token).member_id;
    world.crash();
    let now = world.now;
    let old = world.coordinator.heartbeat(G, &ids[1], Some("i"), 2, now);
    assert_eq!(old, Err(GroupError::FencedInstance));
    assert_eq!(world.coordinator.heartbeat(G, &new, Some("i"), 2, now), Ok(()));
}

#[test]
fn a_snapshot_says_what_the_journal_says() {
    let mut world = World::new();
    let ids = world.stable(2);
    let offsets = vec![offset_of("t", 0, 1), offset_of("t", 1, 2), offset_of("u", 0, 3)];
    let token = world.send_commit(CommitRequest { offsets, ..commit(&ids[0], 2, 0) });
    assert_eq!(world.committed(token), Ok(()));
    world.coordinator.topic_deleted("u");
    let simple = CommitRequest { group: name("simple"), ..commit("", -1, 4) };
    let token = world.send_commit(simple);
    assert_eq!(world.committed(token), Ok(()));
    // In the middle of a rebalance, the last stable state counts.
    world.send_join(join(""));
    // What is on its way counts: it is in the journal before the snapshot.
    world.held = true;
    world.send_commit(commit(&ids[0], 2, 77));
    let queued: Vec<_> = world.queue.iter().flat_map(|(_, records)| records.clone()).collect();
    world.journal.extend(queued);
    let snapshot: Vec<_> = world.coordinator.snapshot().collect();
    assert!(snapshot.len() < world.journal.len());

    world.crash();
    let from_journal: Vec<_> = world.coordinator.snapshot().collect();
    world.journal = snapshot;
    world.crash();
    let from_snapshot: Vec<_> = world.coordinator.snapshot().collect();
    let sorted = |mut records: Vec<crate::record::Record>| {
        records.sort_by(|a, b| a.key.cmp(&b.key));
        records
    };
    assert_eq!(sorted(from_journal), sorted(from_snapshot));
    assert_eq!((world.offset("t", 0), world.state()), (Some(77), GroupState::Stable));
    assert_eq!(world.coordinator.describe(G).unwrap().generation, 2);
}

#[test]
fn damaged_records_are_refused_and_change_nothing() {
    let mut world = World::new();
    world.stable(2);
    let record = world.journal.last().unwrap().clone();
    let value = record.value.unwrap();
    let mut coordinator: Coordinator<u8> =
        Coordinator::new(Config::default(), std::sync::Arc::new(base::SystemRandom));
    for len in 0..record.key.len() {
        assert!(coordinator.restore(&record.key[..len], Some(&value)).is_err());
    }
    for len in 1..value.len() {
        assert!(coordinator.restore(&record.key, Some(&value[..len])).is_err(), "{len}");
    }
    let newer = |bytes: &[u8]| [&[9], &bytes[1..]].concat();
    let unknown = Err(RecordError::UnknownVersion(9));
    assert_eq!(coordinator.restore(&newer(&record.key), Some(&value)), unknown);
    assert_eq!(coordinator.restore(&record.key, Some(&newer(&value))), unknown);
    coordinator.start(0);
    assert_eq!(coordinator.counts(), crate::Counts::default());
    assert_eq!(coordinator.restore(&record.key, Some(&value)), Err(RecordError::Started));
}
