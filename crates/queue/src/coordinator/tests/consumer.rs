//! Consumer groups, a scenario per behaviour.

use base::{Millis, TopicId};

use super::world::{G, World, commit, join, name};
use crate::consumer_group::{
    AWAY_EPOCH, Heartbeat, HeartbeatRequest, LEAVE_EPOCH, MemberState, Partitions, Sight, Timing,
};
use crate::group::{Filter, GroupKind, GroupState};
use crate::{GroupError, Response};

const SESSION: Millis = 45_000;
const REBALANCE: Millis = 60_000;

fn first(member: &str) -> HeartbeatRequest {
    HeartbeatRequest {
        rebalance_timeout: Some(REBALANCE),
        topics: Some(vec![name("t")]),
        owned: Some(Partitions::new()),
        timing: None,
        ..again(member, 0)
    }
}

fn again(member: &str, epoch: i32) -> HeartbeatRequest {
    HeartbeatRequest {
        group: name(G),
        member_id: name(member),
        epoch,
        instance_id: None,
        rack: None,
        client_id: name("client"),
        client_host: name("/127.0.0.1"),
        rebalance_timeout: None,
        topics: None,
        pattern: None,
        assignor: None,
        owned: None,
        timing: None,
        sight: Sight::EVERYTHING,
    }
}

fn owning(member: &str, epoch: i32, owned: &Partitions) -> HeartbeatRequest {
    HeartbeatRequest { owned: Some(owned.clone()), ..again(member, epoch) }
}

fn of(member: &str, instance: &str, epoch: i32) -> HeartbeatRequest {
    let request = if epoch == 0 { first(member) } else { again(member, epoch) };
    HeartbeatRequest { instance_id: Some(name(instance)), ..request }
}

fn parts(partitions: &[i32]) -> Partitions {
    partitions.iter().map(|p| (TopicId(1), *p)).collect()
}

/// Topic `t` with four partitions.
fn world() -> World {
    let mut world = World::new();
    world.topic("t", 1, 4);
    world
}

fn told(heartbeat: &Heartbeat) -> Partitions {
    heartbeat.assignment.clone().expect("an assignment")
}

/// Two members, both stable with two partitions each, at epoch 2.
fn two(world: &mut World) -> (Partitions, Partitions) {
    assert_eq!(told(&world.heartbeat(&first("a")).unwrap()), parts(&[0, 1, 2, 3]));
    assert_eq!(told(&world.heartbeat(&first("b")).unwrap()), parts(&[]));
    let kept = told(&world.heartbeat(&owning("a", 1, &parts(&[0, 1, 2, 3]))).unwrap());
    assert_eq!(world.heartbeat(&owning("a", 1, &kept)).unwrap().epoch, 2);
    let given = told(&world.heartbeat(&again("b", 2)).unwrap());
    assert_eq!(world.coordinator.describe_consumer(G).unwrap().state, GroupState::Stable);
    (kept, given)
}

#[test]
fn partitions_are_given_back_before_another_gets_them() {
    let mut world = world();
    let alone = world.heartbeat(&first("a")).unwrap();
    assert_eq!((alone.epoch, alone.interval), (1, 5_000));
    let b = world.heartbeat(&first("b")).unwrap();
    assert_eq!((b.epoch, told(&b)), (2, parts(&[])));
    let a = world.heartbeat(&again("a", 1)).unwrap();
    let kept = told(&a);
    assert_eq!((a.epoch, kept.len()), (1, 2));
    // Not yet given back: nothing moves on.
    assert_eq!(world.heartbeat(&again("a", 1)).unwrap().epoch, 1);
    assert_eq!(world.heartbeat(&again("b", 2)).unwrap().assignment, None);
    let group = world.coordinator.describe_consumer(G).unwrap();
    assert_eq!(group.state, GroupState::Reconciling);
    assert_eq!(group.members[0].state, MemberState::Unrevoked);
    assert_eq!(group.members[1].state, MemberState::Unreleased);
    let a = world.heartbeat(&owning("a", 1, &kept)).unwrap();
    assert_eq!((a.epoch, a.assignment), (2, None));
    let given = told(&world.heartbeat(&again("b", 2)).unwrap());
    assert_eq!(given.union(&kept).copied().collect::<Partitions>(), parts(&[0, 1, 2, 3]));
    let group = world.coordinator.describe_consumer(G).unwrap();
    assert_eq!((group.state, group.epoch, group.assignor), (GroupState::Stable, 2, "uniform"));
}

#[test]
fn who_leaves_or_dies_frees_its_partitions() {
    let mut world = world();
    two(&mut world);
    assert_eq!(world.heartbeat(&again("b", LEAVE_EPOCH)).unwrap().epoch, LEAVE_EPOCH);
    let group = world.coordinator.describe_consumer(G).unwrap();
    assert_eq!((group.state, group.epoch), (GroupState::Assigning, 3));
    assert_eq!(told(&world.heartbeat(&again("a", 2)).unwrap()), parts(&[0, 1, 2, 3]));
    world.pass(SESSION);
    let group = world.coordinator.describe_consumer(G).unwrap();
    assert_eq!((group.state, group.members.len()), (GroupState::Empty, 0));
    assert_eq!(world.heartbeat(&again("a", 3)), Err(GroupError::UnknownMember));
    assert_eq!(world.heartbeat(&first("a")).unwrap().epoch, 5);
}

#[test]
fn who_does_not_give_back_in_time_is_removed() {
    let mut world = world();
    world.heartbeat(&first("a")).unwrap();
    world.heartbeat(&first("b")).unwrap();
    for _ in 0..6 {
        world.heartbeat(&again("a", 1)).unwrap();
        world.heartbeat(&again("b", 2)).unwrap();
        world.pass(REBALANCE / 6);
    }
    assert_eq!(world.heartbeat(&again("a", 1)), Err(GroupError::UnknownMember));
    assert_eq!(told(&world.heartbeat(&again("b", 2)).unwrap()), parts(&[0, 1, 2, 3]));
}

#[test]
fn epochs_fence() {
    let mut world = world();
    let (kept, _) = two(&mut world);
    assert_eq!(world.heartbeat(&again("a", 3)), Err(GroupError::FencedEpoch));
    assert_eq!(world.heartbeat(&again("a", 1)), Err(GroupError::FencedEpoch));
    // The answer was lost: the epoch before, and nothing owned but what it may.
    let a = world.heartbeat(&owning("a", 1, &kept)).unwrap();
    assert_eq!((a.epoch, told(&a)), (2, kept));
    let more = owning("a", 1, &parts(&[0, 1, 2, 3]));
    assert_eq!(world.heartbeat(&more), Err(GroupError::FencedEpoch));
    assert_eq!(world.heartbeat(&again("c", 2)), Err(GroupError::UnknownMember));
    // Fenced, it begins anew, and nobody else notices.
    let a = world.heartbeat(&first("a")).unwrap();
    assert_eq!((a.epoch, told(&a).len()), (2, 2));
}

#[test]
fn a_static_member_away_keeps_its_partitions() {
    let mut world = world();
    let a = world.heartbeat(&of("a", "i", 0)).unwrap();
    assert_eq!(world.heartbeat(&of("b", "i", 0)), Err(GroupError::UnreleasedInstance));
    assert_eq!(world.heartbeat(&of("a", "i", AWAY_EPOCH)).unwrap().epoch, AWAY_EPOCH);
    assert_eq!(world.heartbeat(&again("a", 1)), Err(GroupError::FencedEpoch));
    let b = world.heartbeat(&of("b", "i", 0)).unwrap();
    assert_eq!((b.epoch, told(&b)), (1, told(&a)));
    assert_eq!(world.heartbeat(&of("a", "i", 1)), Err(GroupError::FencedInstance));
    assert_eq!(world.heartbeat(&of("b", "j", 1)), Err(GroupError::UnknownMember));
    world.crash();
    assert_eq!(world.heartbeat(&of("b", "i", 1)).unwrap().epoch, 1);
    world.heartbeat(&of("b", "i", AWAY_EPOCH)).unwrap();
    world.pass(SESSION);
    assert_eq!(world.coordinator.describe_consumer(G).unwrap().state, GroupState::Empty);
}

#[test]
fn impossible_heartbeats_are_refused() {
    let mut world = world();
    let no = GroupError::InvalidHeartbeat;
    let cases = [
        (HeartbeatRequest { owned: None, ..first("a") }, no),
        (HeartbeatRequest { owned: Some(parts(&[1])), ..first("a") }, no),
        (HeartbeatRequest { topics: None, ..first("a") }, no),
        (HeartbeatRequest { rebalance_timeout: None, ..first("a") }, no),
        (HeartbeatRequest { rebalance_timeout: Some(-5), ..first("a") }, no),
        (HeartbeatRequest { instance_id: Some(name("")), ..first("a") }, no),
        (again("", 1), no),
        (again("a", AWAY_EPOCH), no),
        (again("a", -3), no),
        (HeartbeatRequest { group: name(""), ..first("a") }, GroupError::InvalidGroup),
        (
            HeartbeatRequest { assignor: Some(name("x")), ..first("a") },
            GroupError::UnsupportedAssignor,
        ),
        (HeartbeatRequest { pattern: Some(name("(")), ..first("a") }, GroupError::InvalidPattern),
        (again("a", 1), GroupError::UnknownMember),
    ];
    for (request, error) in cases {
        assert_eq!(world.heartbeat(&request), Err(error), "{request:?}");
    }
    assert_eq!(world.coordinator.counts().groups, 0);
    assert!(world.journal.is_empty());
}

#[test]
fn the_broker_makes_up_an_id_for_who_has_none() {
    let mut world = world();
    let id = world.heartbeat(&first("")).unwrap().member_id;
    assert_eq!(id.len(), 36);
    assert_eq!(world.heartbeat(&again(&id, 1)).unwrap().epoch, 1);
}

#[test]
fn topics_made_grown_and_deleted_are_shared_out_anew() {
    let mut world = world();
    let request = HeartbeatRequest { topics: Some(vec![name("t"), name("u")]), ..first("a") };
    world.heartbeat(&request).unwrap();
    world.topic("other", 9, 3);
    assert_eq!(world.heartbeat(&again("a", 1)).unwrap().epoch, 1);
    world.topic("u", 2, 1);
    let a = world.heartbeat(&again("a", 1)).unwrap();
    assert!(a.epoch == 2 && told(&a).contains(&(TopicId(2), 0)), "{a:?}");
    world.topic("t", 1, 5);
    let a = world.heartbeat(&owning("a", 2, &told(&a))).unwrap();
    assert!(a.epoch == 3 && told(&a).contains(&(TopicId(1), 4)), "{a:?}");
    world.delete_topic("t");
    let a = world.heartbeat(&owning("a", 3, &told(&a))).unwrap();
    assert_eq!(told(&a), [(TopicId(2), 0)].into());
    let a = world.heartbeat(&owning("a", 3, &told(&a))).unwrap();
    assert_eq!((a.epoch, a.assignment), (4, None));
    // The same name, but another topic.
    world.topic("t", 3, 1);
    let a = world.heartbeat(&again("a", 4)).unwrap();
    assert_eq!(told(&a), [(TopicId(2), 0), (TopicId(3), 0)].into());
}

#[test]
fn a_pattern_follows_the_topics() {
    let mut world = world();
    world.topic("tt", 2, 1);
    let pattern = |p: &str| HeartbeatRequest { pattern: Some(name(p)), topics: None, ..first("a") };
    let a = world.heartbeat(&pattern("t+")).unwrap();
    assert_eq!(told(&a).len(), 5);
    world.topic("ttt", 3, 2);
    world.topic("xt", 4, 2);
    let a = world.heartbeat(&again("a", 1)).unwrap();
    assert_eq!((a.epoch, told(&a).len()), (2, 7));
    world.crash();
    assert_eq!(world.heartbeat(&again("a", 2)).unwrap().epoch, 2);
    world.topic("tttt", 5, 1);
    let a = world.heartbeat(&again("a", 2)).unwrap();
    assert_eq!((a.epoch, told(&a).len()), (3, 8));
    let bad = HeartbeatRequest { pattern: Some(name("*")), ..again("a", 3) };
    assert_eq!(world.heartbeat(&bad), Err(GroupError::InvalidPattern));
    let none = HeartbeatRequest { pattern: Some(name("")), ..owning("a", 3, &told(&a)) };
    assert_eq!(told(&world.heartbeat(&none).unwrap()), parts(&[]));
}

#[test]
fn a_pattern_finds_no_topic_that_its_member_may_not_know_of() {
    let mut world = world();
    world.topic("tt", 2, 1);
    let short = Sight::of(|topic| topic.len() < 2);
    let pattern = |member: &str, sight: &Sight| HeartbeatRequest {
        pattern: Some(name("t+")),
        topics: None,
        sight: sight.clone(),
        ..first(member)
    };
    let go_on = |member: &str, epoch, sight: &Sight| HeartbeatRequest {
        sight: sight.clone(),
        ..again(member, epoch)
    };
    let a = world.heartbeat(&pattern("a", &short)).unwrap();
    assert_eq!(told(&a), parts(&[0, 1, 2, 3]));
    // One that is hidden makes no difference; one that is not, does.
    world.topic("ttt", 3, 2);
    assert_eq!(world.heartbeat(&go_on("a", 1, &short)).unwrap().epoch, 1);
    // What is hidden from one is for the other, who sees everything.
    let b = world.heartbeat(&pattern("b", &Sight::EVERYTHING)).unwrap();
    let hidden = [(TopicId(2), 0), (TopicId(3), 0), (TopicId(3), 1)];
    assert_eq!(told(&b), hidden.into());
    world.heartbeat(&HeartbeatRequest { epoch: LEAVE_EPOCH, ..again("b", 1) }).unwrap();
    let a = world.heartbeat(&go_on("a", 1, &short)).unwrap();
    assert_eq!(a.assignment, None, "it has all that it may have: {a:?}");
    // The rules change, and again.
    let more = Sight::of(|topic| topic.len() < 3);
    let a = world.heartbeat(&go_on("a", a.epoch, &more)).unwrap();
    assert_eq!(told(&a).len(), 5);
    let owned = told(&a);
    let a = HeartbeatRequest { owned: Some(owned), ..go_on("a", a.epoch, &short) };
    assert_eq!(told(&world.heartbeat(&a).unwrap()), parts(&[0, 1, 2, 3]));
}

#[test]
fn after_a_restart_nobody_is_told_of_what_is_hidden_from_them() {
    let mut world = world();
    world.topic("tt", 2, 1);
    let short = Sight::of(|topic| topic.len() < 2);
    let member = |member: &str| HeartbeatRequest {
        pattern: Some(name("t+")),
        topics: None,
        sight: short.clone(),
        ..first(member)
    };
    let a = world.heartbeat(&member("a")).unwrap();
    let b = world.heartbeat(&member("b")).unwrap();
    world.crash();
    world.topic("ttt", 3, 3);
    for (id, epoch) in [("a", a.epoch), ("b", b.epoch), ("a", a.epoch), ("b", b.epoch)] {
        let request = HeartbeatRequest { sight: short.clone(), ..again(id, epoch) };
        let answer = world.heartbeat(&request);
        let told = answer.iter().filter_map(|answer| answer.assignment.as_ref()).flatten();
        assert!(told.into_iter().all(|(topic, _)| *topic == TopicId(1)), "{answer:?}");
    }
}

#[test]
fn the_assignor_most_members_like_is_used() {
    let mut world = world();
    let like = |member: &str, assignor: Option<&str>| HeartbeatRequest {
        assignor: assignor.map(name),
        ..first(member)
    };
    world.heartbeat(&like("a", Some("uniform"))).unwrap();
    world.heartbeat(&like("b", Some("range"))).unwrap();
    assert_eq!(world.coordinator.describe_consumer(G).unwrap().assignor, "uniform");
    world.heartbeat(&like("c", Some("range"))).unwrap();
    assert_eq!(world.coordinator.describe_consumer(G).unwrap().assignor, "range");
}

#[test]
fn offsets_are_committed_and_fetched_in_the_present_epoch_only() {
    let mut world = world();
    two(&mut world);
    let mut commit = |member: &str, epoch| {
        let token = world.send_commit(commit(member, epoch, 7));
        world.committed(token)
    };
    assert_eq!(commit("a", 2), Ok(()));
    assert_eq!(commit("a", 1), Err(GroupError::StaleEpoch));
    assert_eq!(commit("x", 2), Err(GroupError::UnknownMember));
    assert_eq!(commit("", -1), Err(GroupError::UnknownMember));
    let fetch = |world: &World, id, epoch| world.coordinator.check_fetch(G, id, epoch);
    assert_eq!(fetch(&world, Some("a"), 2), Ok(()));
    assert_eq!(fetch(&world, Some("a"), 1), Err(GroupError::StaleEpoch));
    assert_eq!(fetch(&world, Some("x"), 1), Err(GroupError::UnknownMember));
    assert_eq!(fetch(&world, None, -1), Ok(()));
    world.pass(SESSION);
    let token = world.send_commit(super::world::commit("", -1, 9));
    assert_eq!(world.committed(token), Ok(()));
    assert_eq!(world.offset("t", 0), Some(9));
}

#[test]
fn only_an_empty_group_changes_its_kind() {
    let mut world = world();
    let token = world.send_commit(commit("", -1, 7));
    assert_eq!(world.committed(token), Ok(()));
    world.stable(1);
    assert_eq!(world.heartbeat(&first("a")), Err(GroupError::NotFound));
    world.pass(100_000);
    assert_eq!(world.heartbeat(&first("a")).unwrap().epoch, 1);
    assert_eq!(world.coordinator.describe(G).unwrap_err(), GroupError::NotFound);
    let token = world.send_join(join(""));
    assert_eq!(world.refused(token), GroupError::InconsistentProtocol);
    assert_eq!(world.beat("a", 1), Err(GroupError::UnknownMember));
    world.crash();
    assert_eq!(world.heartbeat(&again("a", 1)).unwrap().epoch, 1);
    assert_eq!(world.offset("t", 0), Some(7));
    world.heartbeat(&again("a", LEAVE_EPOCH)).unwrap();
    world.stable(1);
    assert_eq!(world.coordinator.describe_consumer(G).unwrap_err(), GroupError::NotFound);
    world.crash();
    assert_eq!(world.state(), GroupState::Stable);
    assert_eq!(world.offset("t", 0), Some(7));
}

#[test]
fn operators_list_and_delete_them() {
    let mut world = world();
    world.heartbeat(&first("a")).unwrap();
    let token = world.send_commit(commit("a", 1, 7));
    assert_eq!(world.committed(token), Ok(()));
    let kinds = |world: &World, kinds| {
        let filter = Filter { kinds, states: vec![GroupState::Stable] };
        world.coordinator.list(&filter).unwrap()
    };
    let listed = kinds(&world, vec!["Consumer".parse().unwrap()]);
    assert_eq!((listed.len(), listed[0].kind), (1, GroupKind::Consumer));
    assert_eq!(kinds(&world, vec![GroupKind::Classic]), []);
    let delete = |world: &mut World| {
        let partitions = vec![(name("t"), 0), (name("u"), 0)];
        let request = crate::offsets::DeleteOffsetsRequest { group: name(G), partitions };
        let token = world.send(|c, to| c.delete_offsets(request, None, to));
        match world.answer(token) {
            Response::DeleteOffsets(answer) => answer,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(delete(&mut world), Ok(vec![Err(GroupError::Subscribed), Ok(())]));
    let token = world.send_delete();
    assert_eq!(world.deleted(token), Err(GroupError::NotEmpty));
    world.heartbeat(&again("a", LEAVE_EPOCH)).unwrap();
    let token = world.send_delete();
    assert_eq!(world.deleted(token), Ok(()));
    world.crash();
    assert_eq!(world.coordinator.counts().groups, 0);
}

#[test]
fn an_unused_group_goes_with_its_offsets() {
    let mut world = world();
    world.heartbeat(&first("a")).unwrap();
    let token = world.send_commit(commit("a", 1, 7));
    assert_eq!(world.committed(token), Ok(()));
    let day = 24 * 60 * 60 * 1000;
    world.pass(6 * day);
    assert_eq!(world.offset("t", 0), Some(7));
    world.pass(2 * day);
    assert_eq!(world.offset("t", 0), None);
    assert_eq!(world.coordinator.counts(), crate::Counts::default());
    world.crash();
    assert_eq!(world.coordinator.counts(), crate::Counts::default());
}

#[test]
fn nobody_learns_what_is_not_durable() {
    let mut world = world();
    world.held = true;
    let a = world.send_heartbeat(&first("a"));
    let b = world.send_heartbeat(&first("b"));
    let late = world.send_heartbeat(&again("b", 2));
    assert!(world.waits(a) && world.waits(b) && world.waits(late));
    world.fail();
    for token in [a, b, late] {
        assert_eq!(world.heartbeat_answer(token), Err(GroupError::NotAvailable));
    }
    // Tried again, it is all written.
    let b = world.heartbeat(&first("b")).unwrap();
    let before = world.coordinator.describe_consumer(G).unwrap();
    world.crash();
    let after = world.coordinator.describe_consumer(G).unwrap();
    assert_eq!((after.members.len(), &after.members), (2, &before.members));
    assert_eq!(world.heartbeat(&again("b", b.epoch)).unwrap().epoch, b.epoch);
}

#[test]
fn a_group_is_full_at_its_limit() {
    let mut world = World::with(|config| config.group_members_max = 1);
    world.topic("t", 1, 4);
    world.heartbeat(&first("a")).unwrap();
    assert_eq!(world.heartbeat(&first("b")), Err(GroupError::GroupFull));
    assert_eq!(world.heartbeat(&first("a")).unwrap().epoch, 1);
}

#[test]
fn classic_and_consumer_groups_share_the_limits() {
    let mut world = World::with(|config| config.members_max = 2);
    world.topic("t", 1, 4);
    world.heartbeat(&first("a")).unwrap();
    world.heartbeat(&first("b")).unwrap();
    let other = crate::group::JoinRequest { group: name("h"), ..join("") };
    let token = world.send_join(other);
    assert_eq!(world.refused(token), GroupError::LimitReached);
}

#[test]
fn members_survive_a_restart_with_a_full_session() {
    let mut world = world();
    let (kept, _) = two(&mut world);
    let before = world.coordinator.describe_consumer(G).unwrap();
    world.pass(SESSION - 1);
    world.crash();
    assert_eq!(world.coordinator.describe_consumer(G).unwrap(), before);
    world.pass(SESSION - 1);
    let a = world.heartbeat(&again("a", 2)).unwrap();
    assert_eq!((a.epoch, a.assignment), (2, None));
    // What changed while it was away counts.
    world.topics[0].partitions = 6;
    world.crash();
    let a = world.heartbeat(&again("a", 2)).unwrap();
    assert_eq!(a.epoch, 3);
    assert!(told(&a).len() == 3 && told(&a).is_superset(&kept));
}

#[test]
fn what_is_set_for_a_group_counts_from_its_next_heartbeat_on() {
    let mut world = World::new();
    world.topic("t", 1, 1);
    let timing = Some(Timing { session: 7_000, interval: 300 });
    let joined = world.heartbeat(&HeartbeatRequest { timing, ..first("a") });
    assert_eq!(joined.unwrap().interval, 300);
    world.pass(6_999);
    assert!(world.heartbeat(&HeartbeatRequest { timing, ..again("a", 1) }).is_ok());
    world.pass(7_000);
    let gone = world.heartbeat(&HeartbeatRequest { timing, ..again("a", 1) });
    assert_eq!(gone, Err(GroupError::UnknownMember));
}
