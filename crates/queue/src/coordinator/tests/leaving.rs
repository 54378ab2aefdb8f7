//! Leaving, deleting, and what operators see.

use super::world::{G, SESSION, World, commit, join, name};
use crate::GroupError;
use crate::group::{Filter, GroupKind, GroupState, JoinRequest, LeaveRequest, Leaver};

#[test]
fn the_last_to_leave_empties_the_group() {
    let mut world = World::new();
    let ids = world.stable(1);
    assert_eq!(world.leave(&ids[0], None), Ok(()));
    let description = world.coordinator.describe(G).unwrap();
    assert_eq!((description.state, description.generation), (GroupState::Empty, 2));
    assert_eq!((description.protocol, description.leader), (None, None));
    let token = world.send_join(join(""));
    assert_eq!(world.joined(token).generation, 3, "generations go on");
}

#[test]
fn a_leaver_makes_the_others_join_again_and_says_why() {
    let mut world = World::new();
    let ids = world.stable(2);
    assert_eq!(world.leave(&ids[0], None), Ok(()));
    assert_eq!(world.beat(&ids[1], 2), Err(GroupError::RebalanceInProgress));
    let rebalance = world.coordinator.describe(G).unwrap().last_rebalance.unwrap();
    assert_eq!((rebalance.what, rebalance.reason), ("a member left", Some(name("done"))));
    let token = world.send_join(join(&ids[1]));
    assert_eq!(world.joined(token).leader, ids[1]);
}

#[test]
fn the_last_one_missing_ends_the_join_phase_by_leaving() {
    let mut world = World::new();
    let ids = world.stable(2);
    let second = world.send_join(JoinRequest {
        protocols: super::world::protocols(&["range", "x"]),
        ..join(&ids[1])
    });
    assert!(world.waits(second));
    assert_eq!(world.leave(&ids[0], None), Ok(()));
    assert_eq!(world.joined(second).members.len(), 1);
}

#[test]
fn an_answer_that_a_leaver_waits_for_is_an_error() {
    let mut world = World::new();
    let ids = world.stable(2);
    let join_waits = world.send_join(join(&ids[0]));
    assert_eq!(world.leave(&ids[0], None), Ok(()));
    assert_eq!(world.refused(join_waits), GroupError::UnknownMember);
    let token = world.send_join(join(&ids[1]));
    let generation = world.joined(token).generation;
    world.held = true;
    let sync_waits = world.send_sync(&ids[1], generation, &[]);
    assert_eq!(world.leave(&ids[1], None), Ok(()));
    assert_eq!(world.synced(sync_waits), Err(GroupError::UnknownMember));
    world.release();
    assert_eq!(world.state(), GroupState::Empty);
}

#[test]
fn several_leave_at_once_each_with_its_own_result() {
    let mut world = World::new();
    let ids = world.stable(3);
    let aware = JoinRequest { knows_member_id_required: true, ..join("") };
    let token = world.send_join(aware);
    let pending = world.join_answer(token).unwrap_err().member_id;
    let leaver = |id: &str| Leaver { member_id: name(id), instance_id: None, reason: None };
    let leavers = vec![leaver(&ids[0]), leaver("x"), leaver(&pending), leaver(""), leaver(&ids[2])];
    let request = LeaveRequest { group: name(G), leavers };
    let unknown = Err(GroupError::UnknownMember);
    let results = world.coordinator.leave(&request, world.now).unwrap();
    assert_eq!(results, [Ok(()), unknown, Ok(()), unknown, Ok(())]);
    world.run();
    let description = world.coordinator.describe(G).unwrap();
    assert_eq!((description.members.len(), description.pending), (1, 0));
    let elsewhere = LeaveRequest { group: name("other"), ..request };
    assert_eq!(world.coordinator.leave(&elsewhere, world.now).unwrap(), [unknown; 5]);
    assert_eq!(world.coordinator.counts().groups, 1);
}

#[test]
fn only_an_empty_group_can_be_deleted_and_its_offsets_go_too() {
    let mut world = World::new();
    let token = world.send_delete();
    assert_eq!(world.deleted(token), Err(GroupError::NotFound));
    let ids = world.stable(1);
    let token = world.send_commit(commit(&ids[0], 1, 5));
    assert_eq!(world.committed(token), Ok(()));
    let token = world.send_delete();
    assert_eq!(world.deleted(token), Err(GroupError::NotEmpty));
    assert_eq!(world.leave(&ids[0], None), Ok(()));
    let token = world.send_delete();
    assert_eq!(world.deleted(token), Ok(()));
    assert_eq!(world.offset("t", 0), None);
    assert_eq!(world.coordinator.describe(G), Err(GroupError::NotFound));
    world.crash();
    assert_eq!(world.offset("t", 0), None);
    assert_eq!(world.coordinator.counts().groups, 0);
}

#[test]
fn a_group_being_deleted_takes_nobody_and_comes_back_when_that_fails() {
    let mut world = World::new();
    let ids = world.stable(1);
    let token = world.send_commit(commit(&ids[0], 1, 5));
    assert_eq!(world.committed(token), Ok(()));
    world.leave(&ids[0], None).unwrap();
    world.held = true;
    let deletion = world.send_delete();
    assert_eq!(world.state(), GroupState::Dead);
    let unavailable = GroupError::NotAvailable;
    let token = world.send_join(join(""));
    assert_eq!(world.refused(token), unavailable);
    let token = world.send_commit(commit("", -1, 6));
    assert_eq!(world.committed(token), Err(unavailable));
    let token = world.send_delete();
    assert_eq!(world.deleted(token), Err(unavailable));
    assert_eq!(world.beat(&ids[0], 1), Err(unavailable));
    assert_eq!(world.leave(&ids[0], None), Err(unavailable));
    world.fail();
    assert_eq!(world.deleted(deletion), Err(unavailable));
    assert_eq!((world.state(), world.offset("t", 0)), (GroupState::Empty, Some(5)));
}

#[test]
fn a_commit_under_way_does_not_survive_the_deletion_of_its_group() {
    for fails in [false, true] {
        let mut world = World::new();
        world.held = true;
        let committing = world.send_commit(commit("", -1, 5));
        let deleting = world.send_delete();
        assert!(world.waits(committing) && world.waits(deleting));
        // Completions in the wrong order, to be mean.
        let queue = std::mem::take(&mut world.queue);
        for (ticket, records) in &queue {
            let _ = ticket;
            world.journal.extend(records.iter().cloned());
        }
        let outcome = |i| match i {
            0 if fails => crate::Persisted::Failed,
            _ => crate::Persisted::Durable,
        };
        for i in [1, 0] {
            world.coordinator.persisted(queue[i].0, outcome(i), world.now);
        }
        world.run();
        assert_eq!(world.deleted(deleting), Ok(()));
        assert_eq!(world.committed(committing).is_err(), fails);
        assert_eq!((world.offset("t", 0), world.coordinator.counts().offsets), (None, 0));
        world.crash();
        assert_eq!(world.offset("t", 0), None);
    }
}

#[test]
fn descriptions_tell_metadata_only_while_stable() {
    let mut world = World::new();
    let ids = world.stable(2);
    let description = world.coordinator.describe(G).unwrap();
    assert_eq!(description.protocol, Some(name("range")));
    assert_eq!(description.protocol_type, Some(name("consumer")));
    assert_eq!(description.leader.as_ref(), Some(&ids[0]));
    let member = description.members.iter().find(|m| m.member_id == ids[1]).unwrap();
    assert_eq!((&member.metadata[..], &member.assignment[..]), (&b"likes range"[..], &b"a1"[..]));
    assert_eq!((&*member.client_id, &*member.client_host), ("client", "/127.0.0.1"));
    assert_eq!(world.coordinator.subscriptions(G), ["likes range", "likes range"]);
    world.send_join(join(""));
    let description = world.coordinator.describe(G).unwrap();
    assert_eq!(description.protocol, None);
    assert!(description.members.iter().all(|m| m.metadata.is_empty()));
    assert_eq!(world.coordinator.subscriptions(G).len(), 3);
}

#[test]
fn lists_are_filtered_and_sorted() {
    let mut world = World::new();
    world.stable(1);
    for other in ["z", "a"] {
        let request = crate::offsets::CommitRequest { group: name(other), ..commit("", -1, 1) };
        let token = world.send_commit(request);
        assert_eq!(world.committed(token), Ok(()));
    }
    let names = |filter: &Filter| {
        let listed = world.coordinator.list(filter).unwrap();
        listed.iter().map(|l| l.group.to_string()).collect::<Vec<_>>()
    };
    let states = |states: &[&str]| Filter {
        states: states.iter().map(|s| s.parse().unwrap()).collect(),
        kinds: Vec::new(),
    };
    assert_eq!(names(&Filter::default()), ["a", "g", "z"]);
    assert_eq!(names(&states(&["stable"])), ["g"]);
    assert_eq!(names(&states(&["EMPTY"])), ["a", "z"]);
    assert_eq!(names(&states(&["Dead"])), Vec::<String>::new());
    let classic = "Classic".parse::<GroupKind>().unwrap();
    assert_eq!(names(&Filter { states: Vec::new(), kinds: vec![classic] }).len(), 3);
    let listed = world.coordinator.list(&Filter::default()).unwrap();
    assert_eq!(
        (&listed[0].protocol_type, &listed[1].protocol_type),
        (&None, &Some(name("consumer")))
    );
}

#[test]
fn an_empty_group_without_offsets_is_forgotten_in_time() {
    let mut world = World::new();
    let ids = world.stable(1);
    world.pass(SESSION);
    assert_eq!(world.beat(&ids[0], 1), Err(GroupError::UnknownMember));
    assert_eq!(world.state(), GroupState::Empty);
    world.pass(world.config.offsets_check_interval);
    assert_eq!(world.coordinator.describe(G), Err(GroupError::NotFound));
    world.crash();
    assert_eq!(world.coordinator.counts().groups, 0);
}
