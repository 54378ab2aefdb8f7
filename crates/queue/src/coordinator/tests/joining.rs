//! Joining and the phases of a rebalance.

use super::world::{G, REBALANCE, SESSION, World, join, name, protocols};
use crate::GroupError;
use crate::group::{GroupState, JoinRequest};

#[test]
fn a_first_member_leads_a_generation_of_its_own() {
    let mut world = World::new();
    let token = world.send_join(join(""));
    let joined = world.joined(token);
    assert_eq!((joined.generation, &joined.leader), (1, &joined.member_id));
    assert_eq!(joined.protocol_type, Some(name("consumer")));
    assert_eq!(joined.protocol, Some(name("range")));
    assert_eq!(joined.members.len(), 1);
    assert_eq!(joined.members[0].metadata, "likes range");
    assert!(joined.member_id.starts_with("client-"));
    assert!(!joined.skip_assignment);
    assert_eq!(world.state(), GroupState::CompletingRebalance);
}

#[test]
fn a_member_gets_its_id_before_it_may_join() {
    let mut world = World::new();
    let aware = JoinRequest { knows_member_id_required: true, ..join("") };
    let token = world.send_join(aware.clone());
    let refused = world.join_answer(token).unwrap_err();
    assert_eq!(refused.error, GroupError::MemberIdRequired);
    assert_eq!(world.state(), GroupState::Empty);
    assert_eq!(world.coordinator.describe(G).unwrap().pending, 1);

    let again = world.send_join(JoinRequest { member_id: refused.member_id.clone(), ..aware });
    assert_eq!(world.joined(again).member_id, refused.member_id);
    assert_eq!(world.coordinator.describe(G).unwrap().pending, 0);
}

#[test]
fn an_id_that_nobody_comes_back_with_expires_and_leaves_nothing_behind() {
    let mut world = World::new();
    let aware = JoinRequest { knows_member_id_required: true, ..join("") };
    let token = world.send_join(aware.clone());
    let id = world.join_answer(token).unwrap_err().member_id;
    world.pass(SESSION);
    assert_eq!(world.coordinator.describe(G), Err(GroupError::NotFound));
    assert_eq!(world.coordinator.counts().members, 0);
    let late = world.send_join(JoinRequest { member_id: id, ..aware });
    assert_eq!(world.refused(late), GroupError::UnknownMember);
}

#[test]
fn a_rebalance_waits_for_an_id_handed_out() {
    let mut world = World::new();
    let ids = world.stable(1);
    let aware = JoinRequest { knows_member_id_required: true, ..join("") };
    let token = world.send_join(aware.clone());
    let id = world.join_answer(token).unwrap_err().member_id;
    let leader = world.send_join(join(&ids[0]));
    assert!(world.waits(leader), "the newcomer will be here soon");
    let newcomer = world.send_join(JoinRequest { member_id: id, ..aware });
    assert_eq!(world.joined(leader).members.len(), 2);
    assert_eq!(world.joined(newcomer).generation, 2);
}

#[test]
fn the_first_rebalance_waits_for_more_members_but_not_for_ever() {
    let mut world = World::with(|config| config.initial_rebalance_delay = 3_000);
    let patient = JoinRequest { rebalance_timeout: 8_000, ..join("") };
    let first = world.send_join(patient.clone());
    world.pass(2_000);
    let second = world.send_join(patient.clone());
    world.pass(1_500);
    assert!(world.waits(first), "somebody came, so the delay starts anew");
    let third = world.send_join(patient.clone());
    world.pass(3_000);
    let fourth = world.send_join(patient);
    assert!(world.waits(first), "6 of 8 seconds have passed");
    world.pass(1_500);
    let generation = world.joined(first).generation;
    assert_eq!(world.joined(second).generation, generation);
    assert_eq!(world.joined(third).generation, generation);
    assert_eq!(world.joined(fourth).generation, generation);
    assert_eq!(generation, 1);
}

#[test]
fn the_first_rebalance_ends_after_one_delay_when_nobody_else_comes() {
    let mut world = World::with(|config| config.initial_rebalance_delay = 3_000);
    let first = world.send_join(join(""));
    world.pass(2_999);
    assert!(world.waits(first));
    world.pass(1);
    assert_eq!(world.joined(first).generation, 1);
}

#[test]
fn a_newcomer_makes_all_join_again_and_the_leader_stays() {
    let mut world = World::new();
    let ids = world.stable(1);
    let newcomer = world.send_join(join(""));
    assert!(world.waits(newcomer));
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    assert_eq!(world.beat(&ids[0], 1), Err(GroupError::RebalanceInProgress));
    let leader = world.send_join(join(&ids[0]));
    let (leader, newcomer) = (world.joined(leader), world.joined(newcomer));
    assert_eq!((leader.generation, newcomer.generation), (2, 2));
    assert_eq!((&leader.leader, &newcomer.leader), (&ids[0], &ids[0]));
    assert_eq!((leader.members.len(), newcomer.members.len()), (2, 0));
}

#[test]
fn who_does_not_join_again_in_time_is_out_and_another_leads() {
    let mut world = World::new();
    let ids = world.stable(2);
    let second =
        world.send_join(JoinRequest { protocols: protocols(&["x", "range"]), ..join(&ids[1]) });
    for _ in 0..REBALANCE / 5_000 {
        assert!(world.waits(second));
        // It lives, but does not join.
        let _ = world.beat(&ids[0], 2);
        world.pass(5_000);
    }
    let second = world.joined(second);
    assert_eq!((&second.leader, second.members.len()), (&ids[1], 1));
    assert_eq!(world.beat(&ids[0], second.generation), Err(GroupError::UnknownMember));
}

#[test]
fn a_session_that_ends_rebalances_the_others() {
    let mut world = World::new();
    let ids = world.stable(2);
    world.pass(SESSION - 1);
    assert_eq!(world.beat(&ids[1], 2), Ok(()));
    world.pass(1);
    assert_eq!(world.beat(&ids[0], 2), Err(GroupError::UnknownMember));
    assert_eq!(world.beat(&ids[1], 2), Err(GroupError::RebalanceInProgress));
    let token = world.send_join(join(&ids[1]));
    let joined = world.joined(token);
    assert_eq!((joined.generation, &joined.leader), (3, &ids[1]));
}

#[test]
fn heartbeats_and_commits_keep_a_session_and_silence_ends_it() {
    let mut world = World::new();
    let ids = world.stable(1);
    for _ in 0..10 {
        world.pass(SESSION - 1);
        assert_eq!(world.beat(&ids[0], 1), Ok(()));
        world.pass(SESSION - 1);
        let token = world.send_commit(super::world::commit(&ids[0], 1, 5));
        assert_eq!(world.committed(token), Ok(()));
    }
    world.pass(SESSION);
    assert_eq!(world.state(), GroupState::Empty);
    assert_eq!(world.beat(&ids[0], 1), Err(GroupError::UnknownMember));
}

#[test]
fn a_new_member_may_wait_longer_than_its_session_but_not_for_ever() {
    let mut world = World::with(|config| config.new_member_timeout = 25_000);
    let ids = world.stable(1);
    let newcomer = world.send_join(join(""));
    for _ in 0..4 {
        assert!(world.waits(newcomer));
        let _ = world.beat(&ids[0], 1);
        world.pass(6_000);
    }
    assert!(world.waits(newcomer));
    world.pass(1_000);
    assert_eq!(world.refused(newcomer), GroupError::UnknownMember);
}

#[test]
fn an_unchanged_follower_gets_the_present_generation_again() {
    let mut world = World::new();
    let ids = world.stable(2);
    let follower = world.send_join(join(&ids[1]));
    let follower = world.joined(follower);
    assert_eq!((follower.generation, follower.members.len()), (2, 0));
    assert_eq!(world.state(), GroupState::Stable);
}

#[test]
fn a_changed_follower_or_any_leader_that_joins_again_starts_a_rebalance() {
    let changed = |id: &str| JoinRequest { protocols: protocols(&["range", "new"]), ..join(id) };
    for (who, changes) in [(1, true), (0, false), (0, true)] {
        let mut world = World::new();
        let ids = world.stable(2);
        let request = if changes { changed(&ids[who]) } else { join(&ids[who]) };
        let token = world.send_join(request);
        assert!(world.waits(token), "member {who}, changed {changes}");
        assert_eq!(world.state(), GroupState::PreparingRebalance);
        let other = world.send_join(join(&ids[1 - who]));
        assert_eq!(world.joined(other).generation, 3);
        assert_eq!(world.joined(token).generation, 3);
    }
}

#[test]
fn a_lost_answer_to_a_join_is_given_again_while_the_leader_assigns() {
    let mut world = World::new();
    let token = world.send_join(join(""));
    let first = world.joined(token);
    let token = world.send_join(join(&first.member_id));
    assert_eq!(world.joined(token), first, "the leader gets the members again");
    assert_eq!(world.state(), GroupState::CompletingRebalance);
    let changed = JoinRequest { protocols: protocols(&["other"]), ..join(&first.member_id) };
    let token = world.send_join(changed);
    let joined = world.joined(token);
    assert_eq!((joined.generation, joined.protocol), (2, Some(name("other"))));
}

#[test]
fn a_repeated_join_supersedes_the_one_that_waits() {
    let mut world = World::new();
    let ids = world.stable(2);
    let leader = world.send_join(join(&ids[0]));
    let again = world.send_join(join(&ids[0]));
    assert_eq!(world.refused(leader), GroupError::RebalanceInProgress);
    assert!(world.waits(again));
    let other = world.send_join(join(&ids[1]));
    assert_eq!(world.joined(again).generation, world.joined(other).generation);
}

#[test]
fn the_protocol_with_most_votes_among_common_ones_wins() {
    let cases: &[(&[&[&str]], &str)] = &[
        (&[&["range"]], "range"),
        (&[&["range", "sticky"], &["sticky", "range"]], "range"),
        (&[&["range", "sticky"], &["sticky", "range"], &["sticky", "range"]], "sticky"),
        (&[&["best", "range"], &["best2", "range"]], "range"),
        (&[&["a", "a", "b"], &["b", "a"], &["b", "a"]], "b"),
    ];
    for (members, expected) in cases {
        let mut world = World::with(|config| config.initial_rebalance_delay = 10);
        let requests = members.iter().map(|p| JoinRequest { protocols: protocols(p), ..join("") });
        let tokens: Vec<_> = requests.map(|request| world.send_join(request)).collect();
        world.pass(REBALANCE);
        for token in tokens {
            assert_eq!(world.joined(token).protocol, Some(name(expected)), "{members:?}");
        }
    }
}

#[test]
fn what_shares_no_protocol_with_the_group_is_refused() {
    let other_type = JoinRequest { protocol_type: name("connect"), ..join("") };
    let no_type = JoinRequest { protocol_type: name(""), ..join("") };
    let other_protocol = JoinRequest { protocols: protocols(&["sticky"]), ..join("") };
    let no_protocol = JoinRequest { protocols: Vec::new(), ..join("") };
    let mut world = World::new();
    for request in [&no_type, &no_protocol] {
        let token = world.send_join(request.clone());
        assert_eq!(world.refused(token), GroupError::InconsistentProtocol);
    }
    assert_eq!(world.coordinator.counts().groups, 0, "nothing is left of a refused join");
    let ids = world.stable(1);
    for request in [&other_type, &no_type, &other_protocol, &no_protocol] {
        let token = world.send_join(request.clone());
        assert_eq!(world.refused(token), GroupError::InconsistentProtocol, "{request:?}");
    }
    assert_eq!(world.state(), GroupState::Stable);
    let alone = world.send_join(JoinRequest { member_id: ids[0].clone(), ..other_protocol });
    assert_eq!(world.joined(alone).protocol, Some(name("sticky")), "who is alone may change");
    let token = world.send_join(JoinRequest { member_id: ids[0].clone(), ..other_type.clone() });
    assert_eq!(world.refused(token), GroupError::InconsistentProtocol);
    assert_eq!(world.leave(&ids[0], None), Ok(()));
    let token = world.send_join(other_type);
    assert_eq!(world.joined(token).protocol_type, Some(name("connect")), "an empty group is free");
}

#[test]
fn unknown_members_and_groups_are_told_so() {
    let mut world = World::new();
    let token = world.send_join(join("nobody"));
    assert_eq!(world.refused(token), GroupError::UnknownMember);
    world.stable(1);
    let token = world.send_join(join("nobody"));
    assert_eq!(world.refused(token), GroupError::UnknownMember);
    assert_eq!(world.beat("nobody", 1), Err(GroupError::UnknownMember));
    assert_eq!(world.state(), GroupState::Stable);
}

#[test]
fn heartbeats_name_their_generation() {
    let mut world = World::new();
    let ids = world.stable(1);
    for generation in [-1, 0, 2] {
        assert_eq!(world.beat(&ids[0], generation), Err(GroupError::IllegalGeneration));
    }
    let unnamed = world.coordinator.heartbeat("", &ids[0], None, 1, world.now);
    assert_eq!(unnamed, Err(GroupError::InvalidGroup));
}

#[test]
fn the_session_of_a_new_member_begins_with_the_answer_to_its_join() {
    let mut world = World::new();
    let token = world.send_join(join(""));
    let id = world.joined(token).member_id;
    world.pass(SESSION - 1);
    assert_eq!(world.state(), GroupState::CompletingRebalance);
    world.pass(1);
    assert_eq!(world.state(), GroupState::Empty);
    assert_eq!(world.beat(&id, 1), Err(GroupError::UnknownMember));
}
