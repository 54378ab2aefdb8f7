//! Assignments.

use super::world::{G, REBALANCE, SESSION, World, commit, join, name};
use crate::GroupError;
use crate::group::{GroupState, SyncRequest};

/// Two members that have joined generation 2 and not synced; the first leads.
fn two_joined(world: &mut World) -> (crate::Name, crate::Name) {
    let first = world.send_join(join(""));
    let first = world.joined(first).member_id;
    let second = world.send_join(join(""));
    let again = world.send_join(join(&first));
    assert_eq!(world.joined(again).generation, 2);
    (first, world.joined(second).member_id)
}

#[test]
fn followers_wait_for_the_leader_and_everybody_for_the_disk() {
    let mut world = World::new();
    let (leader, follower) = two_joined(&mut world);
    let second = world.send_sync(&follower, 2, &[]);
    assert!(world.waits(second));
    world.held = true;
    let first = world.send_sync(&leader, 2, &[(&leader, "mine"), (&follower, "yours")]);
    assert!(world.waits(first) && world.waits(second), "not durable yet");
    assert_eq!(world.state(), GroupState::CompletingRebalance);
    world.release();
    assert_eq!((world.assigned(first), world.assigned(second)), ("mine".into(), "yours".into()));
    assert_eq!(world.state(), GroupState::Stable);
}

#[test]
fn sync_in_a_stable_group_gives_the_assignment_and_the_protocol() {
    let mut world = World::new();
    let ids = world.stable(2);
    let token = world.send_sync(&ids[1], 2, &[]);
    let synced = world.synced(token).unwrap();
    assert_eq!(synced.assignment, "a1");
    assert_eq!(synced.protocol_type, Some(name("consumer")));
    assert_eq!(synced.protocol, Some(name("range")));
}

#[test]
fn whom_the_leader_forgets_gets_nothing_and_strangers_are_ignored() {
    let mut world = World::new();
    let (leader, follower) = two_joined(&mut world);
    let second = world.send_sync(&follower, 2, &[]);
    let first = world.send_sync(&leader, 2, &[(&leader, "all"), ("stranger", "x")]);
    assert_eq!((world.assigned(first), world.assigned(second)), ("all".into(), String::new()));
    assert_eq!(world.coordinator.describe(G).unwrap().members.len(), 2);
}

#[test]
fn a_follower_cannot_assign() {
    let mut world = World::new();
    let (leader, follower) = two_joined(&mut world);
    let second = world.send_sync(&follower, 2, &[(&follower, "everything")]);
    assert!(world.waits(second));
    let first = world.send_sync(&leader, 2, &[(&leader, "l"), (&follower, "f")]);
    assert_eq!((world.assigned(first), world.assigned(second)), ("l".into(), "f".into()));
}

#[test]
fn sync_is_checked() {
    let mut world = World::new();
    let ids = world.stable(1);
    let good = SyncRequest {
        group: name(G),
        member_id: ids[0].clone(),
        instance_id: None,
        generation: 1,
        protocol_type: Some(name("consumer")),
        protocol: Some(name("range")),
        assignments: Vec::new(),
    };
    let cases = [
        (good.clone(), Ok(())),
        (SyncRequest { group: name(""), ..good.clone() }, Err(GroupError::InvalidGroup)),
        (SyncRequest { group: name("x"), ..good.clone() }, Err(GroupError::UnknownMember)),
        (SyncRequest { member_id: name("x"), ..good.clone() }, Err(GroupError::UnknownMember)),
        (
            SyncRequest { instance_id: Some(name("x")), ..good.clone() },
            Err(GroupError::UnknownMember),
        ),
        (SyncRequest { generation: 2, ..good.clone() }, Err(GroupError::IllegalGeneration)),
        (
            SyncRequest { protocol_type: Some(name("x")), ..good.clone() },
            Err(GroupError::InconsistentProtocol),
        ),
        (SyncRequest { protocol: Some(name("x")), ..good }, Err(GroupError::InconsistentProtocol)),
    ];
    for (request, expected) in cases {
        let token = world.send_sync_request(&request);
        assert_eq!(world.synced(token).map(|_| ()), expected, "{request:?}");
    }
    let newcomer = world.send_join(join(""));
    let token = world.send_sync(&ids[0], 1, &[]);
    assert_eq!(world.synced(token), Err(GroupError::RebalanceInProgress));
    assert!(world.waits(newcomer));
}

#[test]
fn an_assignment_that_cannot_be_stored_makes_all_join_again() {
    let mut world = World::new();
    let (leader, follower) = two_joined(&mut world);
    world.held = true;
    let second = world.send_sync(&follower, 2, &[]);
    let first = world.send_sync(&leader, 2, &[(&leader, "l"), (&follower, "f")]);
    world.fail();
    assert_eq!(world.synced(first), Err(GroupError::NotAvailable));
    assert_eq!(world.synced(second), Err(GroupError::NotAvailable));
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    let tokens = [world.send_join(join(&leader)), world.send_join(join(&follower))];
    for token in tokens {
        assert_eq!(world.joined(token).generation, 3);
    }
    world.sync_all(&[leader, follower]);
}

#[test]
fn an_assignment_that_is_durable_too_late_is_not_given_out() {
    let mut world = World::new();
    let (leader, follower) = two_joined(&mut world);
    world.held = true;
    let waiting = [
        world.send_sync(&follower, 2, &[]),
        world.send_sync(&leader, 2, &[(&leader, "old"), (&follower, "old")]),
    ];
    let newcomer = world.send_join(join(""));
    for token in waiting {
        assert_eq!(world.synced(token), Err(GroupError::RebalanceInProgress));
    }
    let others = [world.send_join(join(&leader)), world.send_join(join(&follower))];
    for token in others {
        assert_eq!(world.joined(token).generation, 3);
    }
    assert_eq!(world.joined(newcomer).generation, 3);
    world.release();
    assert_eq!(world.state(), GroupState::CompletingRebalance, "generation 2 is over");
    assert!(world.coordinator.describe(G).unwrap().members.iter().all(|m| m.assignment.is_empty()));
}

#[test]
fn who_never_syncs_is_removed_after_the_rebalance_timeout() {
    let mut world = World::new();
    let (leader, follower) = two_joined(&mut world);
    let second = world.send_sync(&follower, 2, &[]);
    for _ in 0..REBALANCE / 5_000 {
        assert!(world.waits(second));
        assert_eq!(world.beat(&leader, 2), Ok(()));
        world.pass(5_000);
    }
    assert_eq!(world.synced(second), Err(GroupError::RebalanceInProgress));
    assert_eq!(world.beat(&leader, 2), Err(GroupError::UnknownMember));
    let token = world.send_join(join(&follower));
    assert_eq!(world.joined(token).leader, follower);
}

#[test]
fn who_waits_for_the_assignment_needs_no_heartbeats_but_gets_a_full_session_after() {
    let mut world = World::new();
    let (leader, follower) = two_joined(&mut world);
    let second = world.send_sync(&follower, 2, &[]);
    for _ in 0..6 {
        assert_eq!(world.beat(&leader, 2), Ok(()));
        world.pass(SESSION - 1_000);
    }
    let first = world.send_sync(&leader, 2, &[]);
    world.assigned(first);
    world.assigned(second);
    world.pass(SESSION - 1);
    assert_eq!(world.beat(&follower, 2), Ok(()));
}

#[test]
fn a_repeated_sync_supersedes_the_one_that_waits_and_assigns_once() {
    let mut world = World::new();
    let (leader, follower) = two_joined(&mut world);
    world.held = true;
    let first = world.send_sync(&leader, 2, &[(&leader, "one")]);
    let again = world.send_sync(&leader, 2, &[(&leader, "two")]);
    assert_eq!(world.queue.len(), 1);
    assert_eq!(world.synced(first), Err(GroupError::RebalanceInProgress));
    world.release();
    assert_eq!(world.assigned(again), "one");
    let second = world.send_sync(&follower, 2, &[]);
    assert_eq!(world.assigned(second), "");
}

#[test]
fn commits_wait_for_the_assignment_but_not_for_the_rebalance() {
    let mut world = World::new();
    let token = world.send_join(join(""));
    let id = world.joined(token).member_id;
    let token = world.send_commit(commit(&id, 1, 7));
    assert_eq!(world.committed(token), Err(GroupError::RebalanceInProgress));
    let token = world.send_sync(&id, 1, &[]);
    world.assigned(token);
    let newcomer = world.send_join(join(""));
    let token = world.send_commit(commit(&id, 1, 8));
    assert_eq!(world.committed(token), Ok(()), "it may commit what it has read before it joins");
    assert!(world.waits(newcomer));
}
