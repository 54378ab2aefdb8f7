//! Static members.

use super::world::{G, REBALANCE, SESSION, World, commit, join, name, protocols};
use crate::GroupError;
use crate::group::{GroupState, JoinRequest};

fn fixed(instance: &str) -> JoinRequest {
    JoinRequest { instance_id: Some(name(instance)), knows_member_id_required: true, ..join("") }
}

#[test]
fn a_static_member_needs_no_second_join_to_get_its_id() {
    let mut world = World::new();
    let token = world.send_join(fixed("i"));
    let joined = world.joined(token);
    assert!(joined.member_id.starts_with("i-"));
    assert_eq!(joined.members[0].instance_id, Some(name("i")));
}

#[test]
fn one_that_comes_back_gets_its_assignment_without_a_rebalance() {
    let mut world = World::new();
    let ids = world.stable_of(&[fixed("x"), fixed("y")]);
    let token = world.send_join(JoinRequest { client_host: name("/10.0.0.9"), ..fixed("y") });
    let joined = world.joined(token);
    assert_ne!(joined.member_id, ids[1]);
    assert_eq!((joined.generation, &joined.leader), (2, &ids[0]));
    assert!(joined.members.is_empty() && !joined.skip_assignment);
    assert_eq!(world.state(), GroupState::Stable);
    let token = world.send_sync(&joined.member_id, 2, &[]);
    assert_eq!(world.assigned(token), "a1");
    assert_eq!(world.beat(&ids[0], 2), Ok(()));
    let members = world.coordinator.describe(G).unwrap().members;
    let back = members.iter().find(|m| m.member_id == joined.member_id).unwrap();
    assert_eq!(&*back.client_host, "/10.0.0.9");
}

#[test]
fn a_leader_that_comes_back_skips_the_assignment_if_it_knows_how() {
    for knows in [true, false] {
        let mut world = World::new();
        let ids = world.stable_of(&[fixed("x"), fixed("y")]);
        let token = world.send_join(JoinRequest { knows_skip_assignment: knows, ..fixed("x") });
        let joined = world.joined(token);
        assert_eq!((joined.generation, joined.skip_assignment), (2, knows));
        assert_eq!(joined.members.len(), if knows { 2 } else { 0 });
        let leader = if knows { &joined.member_id } else { &ids[0] };
        assert_eq!(joined.leader, *leader, "an old client must not know that it leads");
        let token = world.send_sync(&joined.member_id, 2, &[]);
        assert_eq!(world.assigned(token), "a0");
        assert_eq!(world.coordinator.describe(G).unwrap().leader, Some(joined.member_id));
    }
}

#[test]
fn the_old_member_is_fenced_everywhere() {
    let mut world = World::new();
    let ids = world.stable_of(&[fixed("x"), fixed("y")]);
    let token = world.send_join(fixed("y"));
    let new = world.joined(token).member_id;
    let fenced = GroupError::FencedInstance;
    let now = world.now;
    assert_eq!(world.coordinator.heartbeat(G, &ids[1], Some("y"), 2, now), Err(fenced));
    assert_eq!(world.coordinator.heartbeat(G, &new, Some("y"), 2, now), Ok(()));
    assert_eq!(world.beat(&ids[1], 2), Err(GroupError::UnknownMember));
    let token = world.send_join(JoinRequest { member_id: ids[1].clone(), ..fixed("y") });
    assert_eq!(world.refused(token), fenced);
    let request =
        crate::offsets::CommitRequest { instance_id: Some(name("y")), ..commit(&ids[1], 2, 5) };
    let token = world.send_commit(request);
    assert_eq!(world.committed(token), Err(fenced));
    assert_eq!(world.leave(&ids[1], Some("y")), Err(fenced));
    assert_eq!(world.leave("", Some("y")), Ok(()), "an operator names the instance only");
    assert_eq!(world.state(), GroupState::PreparingRebalance);
}

#[test]
fn who_waits_in_the_old_members_name_is_fenced() {
    let mut world = World::new();
    let ids = world.stable_of(&[fixed("x"), fixed("y")]);
    let leader = world.send_join(JoinRequest { member_id: ids[0].clone(), ..fixed("x") });
    assert!(world.waits(leader));
    let twin = world.send_join(fixed("x"));
    assert_eq!(world.refused(leader), GroupError::FencedInstance);
    assert!(world.waits(twin));
    let other = world.send_join(JoinRequest { member_id: ids[1].clone(), ..fixed("y") });
    assert_eq!(world.joined(other).generation, 3);
    let twin = world.joined(twin);
    assert_eq!((&twin.leader, twin.members.len()), (&twin.member_id, 2));

    let sync = world.send_sync(&ids[1], 3, &[]);
    let token = world.send_join(fixed("y"));
    assert_eq!(world.synced(sync), Err(GroupError::FencedInstance));
    assert!(world.waits(token), "during the assignment, all have to join again");
    assert_eq!(world.state(), GroupState::PreparingRebalance);
}

#[test]
fn one_that_comes_back_with_another_protocol_rebalances() {
    let both = |request| JoinRequest { protocols: protocols(&["range", "sticky"]), ..request };
    let mut world = World::new();
    let ids = world.stable_of(&[both(fixed("x")), both(fixed("y"))]);
    let token = world.send_join(JoinRequest { protocols: protocols(&["sticky"]), ..fixed("y") });
    assert!(world.waits(token));
    let other = world.send_join(JoinRequest { member_id: ids[0].clone(), ..both(fixed("x")) });
    assert_eq!(world.joined(other).protocol, Some(name("sticky")));
    assert_eq!(world.joined(token).generation, 3);
}

#[test]
fn a_replacement_that_cannot_be_stored_is_tried_again() {
    let mut world = World::new();
    world.stable_of(&[fixed("x"), fixed("y")]);
    world.held = true;
    let token = world.send_join(fixed("y"));
    assert!(world.waits(token));
    world.fail();
    assert_eq!(world.refused(token), GroupError::NotAvailable);
    let token = world.send_join(fixed("y"));
    let joined = world.joined(token);
    assert_eq!((joined.generation, world.state()), (2, GroupState::Stable));
    let token = world.send_sync(&joined.member_id, 2, &[]);
    assert_eq!(world.assigned(token), "a1");
}

#[test]
fn a_rebalance_that_overtakes_a_replacement_answers_it() {
    let mut world = World::new();
    let ids = world.stable_of(&[fixed("x"), fixed("y")]);
    world.held = true;
    let back = world.send_join(fixed("y"));
    let leader = world.send_join(JoinRequest { member_id: ids[0].clone(), ..fixed("x") });
    assert_eq!(world.joined(leader).generation, 3);
    assert_eq!(world.joined(back).generation, 3);
    world.release();
    assert_eq!(world.state(), GroupState::CompletingRebalance);
}

#[test]
fn an_absent_static_member_keeps_its_place_until_its_session_ends() {
    let mut world = World::new();
    let long = JoinRequest { session_timeout: 300_000, ..fixed("y") };
    let ids = world.stable_of(&[fixed("x"), long]);
    let leader = world.send_join(JoinRequest { member_id: ids[0].clone(), ..fixed("x") });
    world.pass(REBALANCE);
    let leader = world.joined(leader);
    assert_eq!((leader.generation, leader.members.len()), (3, 2), "y may be back any moment");
}

#[test]
fn the_join_phase_waits_while_only_absent_static_members_are_left() {
    let mut world = World::new();
    let long = JoinRequest { session_timeout: 300_000, ..fixed("y") };
    let ids = world.stable_of(&[fixed("x"), long]);
    world.pass(SESSION);
    assert_eq!(world.state(), GroupState::PreparingRebalance, "x is gone");
    world.pass(REBALANCE * 2);
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    let token = world.send_join(JoinRequest { member_id: ids[1].clone(), ..fixed("y") });
    assert_eq!(world.joined(token).leader, ids[1]);
}

#[test]
fn an_unknown_instance_with_a_member_id_is_unknown() {
    let mut world = World::new();
    let ids = world.stable_of(&[fixed("x")]);
    let token = world.send_join(JoinRequest { member_id: ids[0].clone(), ..fixed("z") });
    assert_eq!(world.refused(token), GroupError::UnknownMember);
    assert_eq!(world.leave(&ids[0], Some("z")), Err(GroupError::UnknownMember));
    assert_eq!(world.leave("", Some("z")), Err(GroupError::UnknownMember));
}

#[test]
fn a_replacement_that_is_durable_during_a_rebalance_waits_for_its_end() {
    let mut world = World::new();
    let ids = world.stable_of(&[fixed("x"), fixed("y"), fixed("z")]);
    world.held = true;
    let back = world.send_join(fixed("y"));
    let leader = world.send_join(JoinRequest { member_id: ids[0].clone(), ..fixed("x") });
    world.release();
    assert!(world.waits(back) && world.waits(leader), "z has not joined again");
    let last = world.send_join(JoinRequest { member_id: ids[2].clone(), ..fixed("z") });
    for token in [back, leader, last] {
        assert_eq!(world.joined(token).generation, 4);
    }
}

#[test]
fn a_leader_keeps_leading_when_an_older_member_is_back() {
    let mut world = World::new();
    let long = |i| JoinRequest { session_timeout: 300_000, ..fixed(i) };
    let ids = world.stable_of(&[long("x"), long("y")]);
    let again = |i: usize, instance| JoinRequest {
        member_id: ids[i].clone(),
        protocols: protocols(&["range", "new"]),
        ..long(instance)
    };
    let second = world.send_join(again(1, "y"));
    world.pass(REBALANCE);
    assert_eq!(world.joined(second).leader, ids[1], "x was not there");
    let tokens = [world.send_join(again(0, "x")), world.send_join(again(1, "y"))];
    for token in tokens {
        assert_eq!(world.joined(token).leader, ids[1]);
    }
}
