//! Committed offsets.

use std::collections::HashSet;

use super::world::{G, SESSION, World, commit, join, name, offset_of};
use crate::group::{GroupState, JoinRequest};
use crate::offsets::{CommitRequest, DeleteOffsetsRequest};
use crate::{GroupError, Name, Response};

fn delete(partitions: &[(&str, i32)]) -> DeleteOffsetsRequest {
    let partitions = partitions.iter().map(|(topic, p)| (name(topic), *p)).collect();
    DeleteOffsetsRequest { group: name(G), partitions }
}

fn deleted(world: &mut World, token: u64) -> Result<Vec<Result<(), GroupError>>, GroupError> {
    match world.answer(token) {
        Response::DeleteOffsets(result) => result,
        other => panic!("not a deletion: {other:?}"),
    }
}

#[test]
fn a_commit_is_read_back_once_it_is_durable() {
    let mut world = World::new();
    world.held = true;
    let token = world.send_commit(commit("", -1, 5));
    assert!(world.waits(token));
    assert_eq!(world.offset("t", 0), None);
    world.release();
    assert_eq!(world.committed(token), Ok(()));
    let now = world.now;
    let committed = world.coordinator.fetch(G, "t", 0).unwrap().unwrap();
    assert_eq!((committed.offset, committed.leader_epoch, &*committed.note), (5, 3, "note"));
    assert_eq!((committed.committed_at, committed.expires_at), (now, None));
    assert_eq!(world.state(), GroupState::Empty, "the group is listed from now on");
}

#[test]
fn a_commit_that_fails_changes_nothing() {
    let mut world = World::new();
    let token = world.send_commit(commit("", -1, 5));
    assert_eq!(world.committed(token), Ok(()));
    world.held = true;
    let token = world.send_commit(commit("", -1, 6));
    world.fail();
    assert_eq!(world.committed(token), Err(GroupError::NotAvailable));
    assert_eq!(world.offset("t", 0), Some(5));
}

#[test]
fn the_later_of_two_commits_wins_whichever_completes_first() {
    let mut world = World::new();
    world.held = true;
    let tokens = [world.send_commit(commit("", -1, 5)), world.send_commit(commit("", -1, 6))];
    world.queue.reverse();
    world.release();
    for token in tokens {
        assert_eq!(world.committed(token), Ok(()));
    }
    assert_eq!(world.offset("t", 0), Some(6));
}

#[test]
fn who_may_commit() {
    let mut world = World::new();
    let unknown = Err(GroupError::UnknownMember);
    let illegal = Err(GroupError::IllegalGeneration);
    let send = |world: &mut World, member: &str, generation| {
        let token = world.send_commit(commit(member, generation, 1));
        world.committed(token)
    };
    assert_eq!(send(&mut world, "m", 1), Err(GroupError::NotFound), "no such group");
    assert_eq!(send(&mut world, "", -1), Ok(()), "a simple consumer");
    assert_eq!(send(&mut world, "m", 1), unknown, "no members");
    let ids = world.stable(1);
    assert_eq!(send(&mut world, "", -1), unknown, "the group has members now");
    assert_eq!(send(&mut world, &ids[0], -1), illegal);
    assert_eq!(send(&mut world, &ids[0], 2), illegal);
    assert_eq!(send(&mut world, "other", 1), unknown);
    assert_eq!(send(&mut world, &ids[0], 1), Ok(()));
    world.leave(&ids[0], None).unwrap();
    assert_eq!(send(&mut world, "", -1), Ok(()), "an operator resets the offsets");
    assert_eq!(send(&mut world, &ids[0], 1), unknown);
}

#[test]
fn the_group_without_a_name_can_commit_but_not_one_with_a_huge_name() {
    let mut world = World::new();
    let token = world.send_commit(CommitRequest { group: name(""), ..commit("", -1, 9) });
    assert_eq!(world.committed(token), Ok(()));
    assert_eq!(world.coordinator.fetch("", "t", 0).unwrap().map(|c| c.offset), Some(9));
    let huge = name(&"g".repeat(2_000));
    let token = world.send_commit(CommitRequest { group: huge, ..commit("", -1, 9) });
    assert_eq!(world.committed(token), Err(GroupError::InvalidGroup));
}

#[test]
fn all_offsets_of_a_group_come_in_order() {
    let mut world = World::new();
    let offsets = vec![offset_of("u", 1, 3), offset_of("t", 2, 2), offset_of("t", 0, 1)];
    let token = world.send_commit(CommitRequest { offsets, ..commit("", -1, 0) });
    assert_eq!(world.committed(token), Ok(()));
    let all = world.coordinator.fetch_all(G).unwrap();
    let all: Vec<_> = all.iter().map(|o| (&*o.topic, o.partition, o.committed.offset)).collect();
    assert_eq!(all, [("t", 0, 1), ("t", 2, 2), ("u", 1, 3)]);
    assert_eq!(world.coordinator.fetch_all("other").unwrap(), []);
}

#[test]
fn offsets_of_a_subscribed_topic_are_not_deleted() {
    let mut world = World::new();
    let ids = world.stable(1);
    let offsets = vec![offset_of("t", 0, 1), offset_of("u", 0, 1)];
    let token = world.send_commit(CommitRequest { offsets, ..commit(&ids[0], 1, 0) });
    assert_eq!(world.committed(token), Ok(()));
    let both = delete(&[("t", 0), ("u", 0), ("u", 7)]);

    let token = world.send(|c, to| c.delete_offsets(both.clone(), None, to));
    assert_eq!(deleted(&mut world, token), Err(GroupError::NotEmpty), "cannot tell");
    let subscribed: HashSet<Name> = [name("t")].into();
    let token = world.send(|c, to| c.delete_offsets(both.clone(), Some(&subscribed), to));
    let expected = vec![Err(GroupError::Subscribed), Ok(()), Ok(())];
    assert_eq!(deleted(&mut world, token), Ok(expected));
    assert_eq!((world.offset("t", 0), world.offset("u", 0)), (Some(1), None));

    world.leave(&ids[0], None).unwrap();
    let token = world.send(|c, to| c.delete_offsets(both.clone(), None, to));
    assert_eq!(deleted(&mut world, token), Ok(vec![Ok(()); 3]));
    world.crash();
    assert_eq!((world.offset("t", 0), world.offset("u", 0)), (None, None));
    let elsewhere = DeleteOffsetsRequest { group: name("x"), ..both };
    let token = world.send(|c, to| c.delete_offsets(elsewhere, None, to));
    assert_eq!(deleted(&mut world, token), Err(GroupError::NotFound));
}

#[test]
fn a_deletion_that_fails_leaves_the_offsets() {
    let mut world = World::new();
    let token = world.send_commit(commit("", -1, 5));
    assert_eq!(world.committed(token), Ok(()));
    world.held = true;
    let token = world.send(|c, to| c.delete_offsets(delete(&[("t", 0)]), None, to));
    assert_eq!(world.offset("t", 0), Some(5), "not yet");
    world.fail();
    assert_eq!(deleted(&mut world, token), Ok(vec![Err(GroupError::NotAvailable)]));
    assert_eq!(world.offset("t", 0), Some(5));
}

#[test]
fn the_offsets_of_a_deleted_topic_go_in_all_groups() {
    let mut world = World::new();
    for group in ["a", "b"] {
        let offsets = vec![offset_of("t", 0, 1), offset_of("t", 1, 1), offset_of("u", 0, 1)];
        let request = CommitRequest { group: name(group), offsets, ..commit("", -1, 0) };
        let token = world.send_commit(request);
        assert_eq!(world.committed(token), Ok(()));
    }
    world.coordinator.topic_deleted("t");
    world.run();
    world.crash();
    assert_eq!(world.coordinator.counts().offsets, 2);
    assert!(world.coordinator.fetch("a", "u", 0).unwrap().is_some());
}

#[test]
fn offsets_expire_when_the_group_has_been_empty_for_long() {
    let mut world = World::with(|config| config.offsets_retention = 3_600_000);
    let (hour, check) = (3_600_000, world.config.offsets_check_interval);
    let ids = world.stable(1);
    let token = world.send_commit(commit(&ids[0], 1, 5));
    assert_eq!(world.committed(token), Ok(()));
    for _ in 0..2 * hour / 9_000 {
        world.pass(9_000);
        assert_eq!(world.beat(&ids[0], 1), Ok(()));
    }
    assert_eq!(world.offset("t", 0), Some(5), "in use, however old");
    world.pass(SESSION);
    world.pass(hour - 1_000);
    assert_eq!(world.offset("t", 0), Some(5), "empty for less than an hour");
    world.pass(check + 1_000);
    assert_eq!(world.offset("t", 0), None);
    world.pass(check);
    assert_eq!(world.coordinator.counts(), crate::Counts::default());
    world.crash();
    assert_eq!(world.coordinator.counts(), crate::Counts::default());
}

#[test]
fn offsets_of_simple_consumers_expire_by_their_own_age() {
    let mut world = World::with(|config| config.offsets_retention = 3_600_000);
    let first = world.send_commit(commit("", -1, 5));
    let kept = CommitRequest { offsets: vec![offset_of("u", 0, 1)], ..commit("", -1, 0) };
    let brief = CommitRequest {
        retention: Some(60_000),
        offsets: vec![offset_of("v", 0, 1)],
        ..commit("", -1, 0)
    };
    let brief = world.send_commit(brief);
    world.pass(1_800_000);
    let kept = world.send_commit(kept);
    for token in [first, brief, kept] {
        assert_eq!(world.committed(token), Ok(()));
    }
    assert_eq!(world.offset("v", 0), None, "its client asked for a minute");
    world.pass(2_400_000);
    assert_eq!((world.offset("t", 0), world.offset("u", 0)), (None, Some(1)));
}

#[test]
fn a_sweep_is_done_in_small_steps_and_misses_nothing() {
    let mut world = World::with(|config| {
        config.offsets_retention = 1_000;
        config.sweep_batch = 3;
    });
    for group in 0..5 {
        let offsets = (0..7).map(|p| offset_of(if p % 2 == 0 { "t" } else { "u" }, p, 1)).collect();
        let group = name(&format!("group-{group}"));
        let token = world.send_commit(CommitRequest { group, offsets, ..commit("", -1, 0) });
        assert_eq!(world.committed(token), Ok(()));
    }
    world.held = true;
    world.now += world.config.offsets_check_interval;
    let mut steps = 0;
    while world.coordinator.next_deadline().is_some_and(|at| at <= world.now + 1) {
        world.now += 1;
        world.coordinator.tick(world.now);
        world.run();
        steps += 1;
        let records: usize = world.queue.iter().map(|(_, records)| records.len()).sum();
        assert!(records <= 3 * steps, "{records} in {steps} steps");
    }
    world.release();
    assert_eq!(world.coordinator.counts().offsets, 0);
}

#[test]
fn a_member_that_joins_keeps_the_offsets() {
    let mut world = World::with(|config| config.offsets_retention = 1_000);
    let token = world.send_commit(commit("", -1, 5));
    assert_eq!(world.committed(token), Ok(()));
    let token = world.send_join(JoinRequest { session_timeout: 1_800_000, ..join("") });
    let id = world.joined(token).member_id;
    let token = world.send_sync(&id, 1, &[]);
    world.assigned(token);
    world.pass(world.config.offsets_check_interval * 2);
    assert_eq!(world.offset("t", 0), Some(5));
}
