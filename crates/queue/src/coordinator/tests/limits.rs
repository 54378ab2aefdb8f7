//! What a peer cannot make us do.

use base::limits;
use bytes::Bytes;

use super::world::{G, SESSION, World, commit, join, name, offset_of, protocols};
use crate::group::{GroupState, JoinRequest, Protocol};
use crate::offsets::CommitRequest;
use crate::{Config, Coordinator, GroupError};

#[test]
fn joins_are_checked() {
    let long = name(&"n".repeat(limits::GROUP_NAME_BYTES_MAX + 1));
    let good = join("");
    let cases = [
        (JoinRequest { group: name(""), ..good.clone() }, GroupError::InvalidGroup),
        (JoinRequest { group: long.clone(), ..good.clone() }, GroupError::InvalidGroup),
        (JoinRequest { session_timeout: 5_999, ..good.clone() }, GroupError::InvalidSessionTimeout),
        (
            JoinRequest { session_timeout: 1_800_001, ..good.clone() },
            GroupError::InvalidSessionTimeout,
        ),
        (JoinRequest { member_id: long.clone(), ..good.clone() }, GroupError::TooLarge),
        (JoinRequest { instance_id: Some(long.clone()), ..good.clone() }, GroupError::TooLarge),
        (JoinRequest { protocol_type: long.clone(), ..good.clone() }, GroupError::TooLarge),
        (JoinRequest { protocols: protocols(&[&long]), ..good }, GroupError::TooLarge),
    ];
    let mut world = World::new();
    for (request, expected) in cases {
        let token = world.send_join(request);
        assert_eq!(world.refused(token), expected);
    }
    assert_eq!(world.coordinator.counts().groups, 0);
}

#[test]
fn long_names_of_clients_are_cut_and_odd_timeouts_bent() {
    let mut world = World::new();
    let request = JoinRequest {
        client_id: name(&"ü".repeat(30_000)),
        client_host: name(&"h".repeat(30_000)),
        rebalance_timeout: i64::MAX,
        ..join("")
    };
    let token = world.send_join(request);
    let id = world.joined(token).member_id;
    assert!(id.len() < 300);
    let member = &world.coordinator.describe(G).unwrap().members[0];
    assert_eq!((member.client_id.len(), member.client_host.len()), (254, 255));
}

#[test]
fn a_group_has_a_largest_size() {
    let mut world = World::with(|config| config.group_members_max = 2);
    let ids = world.stable(2);
    let token = world.send_join(join(""));
    assert_eq!(world.refused(token), GroupError::GroupFull);
    assert_eq!(world.state(), GroupState::Stable);
    let leader = world.send_join(join(&ids[0]));
    let follower = world.send_join(join(&ids[1]));
    assert_eq!(world.joined(leader).members.len(), 2);
    world.joined(follower);
}

#[test]
fn a_static_member_may_come_back_to_a_full_group() {
    let fixed = |i: &str| JoinRequest { instance_id: Some(name(i)), ..join("") };
    let mut world = World::with(|config| config.group_members_max = 1);
    world.stable_of(&[fixed("x")]);
    let token = world.send_join(fixed("x"));
    assert_eq!(world.joined(token).generation, 1);
    let token = world.send_join(fixed("y"));
    assert_eq!(world.refused(token), GroupError::GroupFull);
}

#[test]
fn a_group_that_has_become_too_large_sheds_the_last_to_join_again() {
    let mut world = World::new();
    let ids = world.stable(3);
    world.config.group_members_max = 2;
    world.crash();
    let first = world.send_join(join(&ids[0]));
    let second = world.send_join(join(&ids[1]));
    let third = world.send_join(join(&ids[2]));
    assert_eq!(world.refused(third), GroupError::GroupFull);
    assert_eq!(world.joined(first).members.len(), 2);
    world.joined(second);
}

#[test]
fn ids_handed_out_are_bounded_per_group_and_together() {
    let aware = JoinRequest { knows_member_id_required: true, ..join("") };
    let mut world = World::with(|config| {
        config.group_members_max = 5;
        config.members_max = 8;
    });
    let mut errors = Vec::new();
    for group in ["g", "h"] {
        for _ in 0..6 {
            let token = world.send_join(JoinRequest { group: name(group), ..aware.clone() });
            errors.push(world.refused(token));
        }
    }
    let count = |error| errors.iter().filter(|e| **e == error).count();
    assert_eq!(count(GroupError::MemberIdRequired), 8);
    assert_eq!((count(GroupError::GroupFull), count(GroupError::LimitReached)), (1, 3));
    world.pass(SESSION);
    assert_eq!(world.coordinator.counts(), crate::Counts::default());
}

#[test]
fn coming_and_going_leaves_nothing_behind() {
    let mut world = World::with(|config| config.initial_rebalance_delay = 1_000);
    for _ in 0..1_000 {
        let token = world.send_join(join(""));
        let group = world.coordinator.describe(G).unwrap();
        assert_eq!(world.leave(&group.members[0].member_id, None), Ok(()));
        assert_eq!(world.refused(token), GroupError::UnknownMember);
    }
    assert_eq!(world.coordinator.counts().members, 1, "the group's own timer");
    assert_eq!(world.coordinator.counts().bytes, 0);
}

#[test]
fn groups_are_bounded() {
    let mut world = World::with(|config| config.groups_max = 1);
    world.stable(1);
    let token = world.send_join(JoinRequest { group: name("other"), ..join("") });
    assert_eq!(world.refused(token), GroupError::LimitReached);
    let token = world.send_commit(CommitRequest { group: name("other"), ..commit("", -1, 1) });
    assert_eq!(world.committed(token), Err(GroupError::LimitReached));
}

#[test]
fn subscriptions_and_assignments_are_bounded_per_group_and_together() {
    let large =
        |len: usize| vec![Protocol { name: name("range"), metadata: Bytes::from(vec![1; len]) }];
    let mut world = World::with(|config| {
        config.group_bytes_max = 10_000;
        config.bytes_max = 15_000;
    });
    let request =
        |group: &str, len| JoinRequest { group: name(group), protocols: large(len), ..join("") };
    let token = world.send_join(request(G, 10_000));
    assert_eq!(world.refused(token), GroupError::TooLarge);
    let token = world.send_join(request(G, 8_000));
    let id = world.joined(token).member_id;
    let token = world.send_join(request("h", 8_000));
    assert_eq!(world.refused(token), GroupError::LimitReached);
    let token = world.send_sync(&id, 1, &[(&id, &"x".repeat(3_000))]);
    assert_eq!(world.synced(token), Err(GroupError::TooLarge));
    let token = world.send_sync(&id, 1, &[(&id, &"x".repeat(1_000))]);
    assert_eq!(world.assigned(token).len(), 1_000);
    let again = JoinRequest { member_id: id.clone(), ..request(G, 8_500) };
    let token = world.send_join(again);
    assert_eq!(world.joined(token).generation, 2, "the old data does not count against the new");
    assert_eq!(world.leave(&id, None), Ok(()));
    assert_eq!(world.coordinator.counts().bytes, 0);
}

#[test]
fn commits_are_bounded() {
    let mut world = World::with(|config| config.offsets_max = 2);
    let long_note = crate::offsets::OffsetCommit {
        note: name(&"n".repeat(limits::OFFSET_NOTE_BYTES_MAX + 1)),
        ..offset_of("t", 5, 1)
    };
    let offsets = vec![
        offset_of("t", 0, 1),
        long_note,
        offset_of(&"t".repeat(250), 0, 1),
        offset_of("t", -1, 1),
        offset_of("t", 1, 1),
        offset_of("t", 2, 1),
        offset_of("t", 0, 2),
    ];
    let token = world.send_commit(CommitRequest { offsets, ..commit("", -1, 0) });
    let crate::Response::Commit(Ok(results)) = world.answer(token) else { panic!("refused") };
    let invalid = Err(GroupError::InvalidTopic);
    let expected = [
        Ok(()),
        Err(GroupError::NoteTooLarge),
        invalid,
        invalid,
        Ok(()),
        Err(GroupError::LimitReached),
        Ok(()),
    ];
    assert_eq!(results, expected);
    assert_eq!((world.offset("t", 0), world.offset("t", 2)), (Some(2), None));
}

#[test]
fn everything_is_refused_while_the_journal_is_read() {
    let random = std::sync::Arc::new(base::SystemRandom);
    let mut coordinator: Coordinator<u8> = Coordinator::new(Config::default(), random);
    let loading = GroupError::Loading;
    assert_eq!(coordinator.heartbeat(G, "m", None, 1, 0), Err(loading));
    assert_eq!(coordinator.describe(G), Err(loading));
    assert_eq!(coordinator.fetch(G, "t", 0), Err(loading));
    coordinator.join(join(""), 1, 0);
    coordinator.commit(commit("", -1, 1), 2, 0);
    coordinator.delete_group(&name(G), 3, 0);
    coordinator.tick(0);
    let outputs = coordinator.take_outputs();
    assert_eq!(outputs.len(), 3);
    assert!(outputs.iter().all(|o| format!("{o:?}").contains("Loading")), "{outputs:?}");
    assert_eq!(coordinator.next_deadline(), None);
}
