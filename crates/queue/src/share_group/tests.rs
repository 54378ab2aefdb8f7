//! Members come and go; what they look at is even, complete, and moves little.

use std::collections::BTreeMap;

use base::TopicId;

use super::*;
use crate::consumer_group::{Partitions, TopicView};
use crate::group::{Filter, GroupState};
use crate::{GroupError, Name};

fn beat(member: &str, epoch: i32, topics: Option<&[&str]>) -> ShareHeartbeatRequest {
    ShareHeartbeatRequest {
        group: "g".into(),
        member_id: member.into(),
        epoch,
        rack: None,
        client_id: "c".into(),
        client_host: "/h".into(),
        topics: topics.map(|topics| topics.iter().map(|topic| Name::from(*topic)).collect()),
        session: 45_000,
        members_max: 3,
    }
}

fn groups(partitions: i32) -> ShareGroups {
    let mut groups = ShareGroups::new(2);
    groups.topic_put(&TopicView { name: "t".into(), id: TopicId(1), partitions });
    groups
}

fn assigned(groups: &ShareGroups) -> BTreeMap<Name, Vec<i32>> {
    let members = groups.describe("g").unwrap().members;
    let numbers = |of: Partitions| of.into_iter().map(|(_, partition)| partition).collect();
    members.into_iter().map(|member| (member.member_id, numbers(member.assigned))).collect()
}

#[test]
fn every_partition_has_somebody_and_everybody_has_one() {
    for partitions in 1..7 {
        for members in 1..7usize {
            let mut groups = groups(partitions);
            for member in 0..members {
                let request = beat(&format!("m{member}"), 0, Some(&["t"]));
                groups.heartbeat(ShareHeartbeatRequest { members_max: 9, ..request }, 0).unwrap();
            }
            let assigned = assigned(&groups);
            let counts: Vec<_> = assigned.values().map(Vec::len).collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(*least >= 1.min(partitions as usize / members) && most - least <= 1);
            let mut per: BTreeMap<i32, usize> = BTreeMap::new();
            assigned.values().flatten().for_each(|p| *per.entry(*p).or_default() += 1);
            assert_eq!(per.len(), partitions as usize, "all are looked at: {assigned:?}");
            assert!(per.values().max().unwrap() - per.values().min().unwrap() <= 1);
            assert!(counts.iter().all(|count| *count > 0), "{assigned:?}");
        }
    }
}

#[test]
fn what_a_member_has_it_keeps_when_others_come_and_go() {
    let mut groups = groups(4);
    groups.heartbeat(beat("a", 0, Some(&["t"])), 0).unwrap();
    groups.heartbeat(beat("b", 0, Some(&["t"])), 0).unwrap();
    let two = assigned(&groups);
    groups.heartbeat(beat("c", 0, Some(&["t"])), 0).unwrap();
    let three = assigned(&groups);
    let kept = |id: &str| three[id].iter().filter(|p| two[id].contains(p)).count();
    assert_eq!(kept("a") + kept("b"), 3, "{two:?} {three:?}");
    groups.heartbeat(beat("c", -1, None), 0).unwrap();
    for (id, before) in &three {
        if id.as_ref() != "c" {
            assert!(before.iter().all(|p| assigned(&groups)[id].contains(p)));
        }
    }
}

#[test]
fn a_member_learns_what_changed_at_its_next_heartbeat_once() {
    let mut groups = groups(2);
    let joined = groups.heartbeat(beat("a", 0, Some(&["t", "u"])), 0).unwrap();
    assert_eq!(joined.epoch, 1);
    assert_eq!(joined.assignment.unwrap().len(), 2);
    assert_eq!(groups.heartbeat(beat("a", 1, None), 0).unwrap().assignment, None);
    groups.topic_put(&TopicView { name: "u".into(), id: TopicId(2), partitions: 1 });
    let grown = groups.heartbeat(beat("a", 1, None), 0).unwrap();
    assert_eq!((grown.epoch, grown.assignment.unwrap().len()), (2, 3));
    let again = groups.heartbeat(beat("a", 1, None), 0).unwrap();
    assert_eq!(again.assignment.unwrap().len(), 3, "the answer was lost");
    assert_eq!(groups.heartbeat(beat("a", 2, None), 0).unwrap().assignment, None);
    groups.topic_deleted("t");
    assert_eq!(groups.heartbeat(beat("a", 2, None), 0).unwrap().assignment.unwrap().len(), 1);
}

#[test]
fn who_is_not_heard_of_is_gone_and_who_has_another_epoch_is_fenced() {
    let mut groups = groups(2);
    groups.heartbeat(beat("a", 0, Some(&["t"])), 0).unwrap();
    groups.heartbeat(beat("b", 0, Some(&["t"])), 0).unwrap();
    assert_eq!(groups.heartbeat(beat("a", 7, None), 0), Err(GroupError::FencedEpoch));
    groups.heartbeat(beat("a", 1, None), 30_000).unwrap();
    groups.tick(45_000);
    assert_eq!(groups.take_gone(), [(Name::from("g"), Name::from("b"))]);
    assert_eq!(groups.heartbeat(beat("b", 2, None), 45_000), Err(GroupError::UnknownMember));
    assert_eq!(assigned(&groups)["a"], [0, 1]);
    assert_eq!(groups.next_deadline(), Some(75_000));
    groups.tick(75_000);
    assert_eq!(groups.describe("g").unwrap().state, GroupState::Empty);
}

#[test]
fn bad_heartbeats_and_too_many_members_are_refused() {
    let mut groups = groups(2);
    assert_eq!(groups.heartbeat(beat("a", 0, None), 0), Err(GroupError::InvalidHeartbeat));
    assert_eq!(groups.heartbeat(beat("", 0, Some(&[])), 0), Err(GroupError::InvalidHeartbeat));
    assert_eq!(groups.heartbeat(beat("a", -2, None), 0), Err(GroupError::InvalidHeartbeat));
    assert_eq!(groups.heartbeat(beat("a", 3, None), 0), Err(GroupError::UnknownMember));
    assert_eq!(groups.heartbeat(beat("a", -1, None), 0), Err(GroupError::UnknownMember));
    for member in ["a", "b", "c"] {
        groups.heartbeat(beat(member, 0, Some(&["t"])), 0).unwrap();
    }
    assert_eq!(groups.heartbeat(beat("d", 0, Some(&["t"])), 0), Err(GroupError::GroupFull));
    assert!(groups.heartbeat(beat("a", 0, Some(&["t"])), 0).is_ok(), "it is in already");
}

#[test]
fn a_group_outlives_its_members_and_a_restart_until_it_is_deleted() {
    let mut groups = groups(2);
    groups.heartbeat(beat("a", 0, Some(&["t"])), 0).unwrap();
    assert_eq!(groups.delete(&"g".into()), Err(GroupError::NotEmpty));
    let mut journal = groups.take_records();
    let mut restarted = ShareGroups::new(2);
    for record in &journal {
        assert_eq!(restarted.restore(&record.key, record.value.as_deref()), Ok(true));
    }
    let listed: Vec<_> = restarted.list(&Filter::default()).collect();
    assert_eq!((listed.len(), listed[0].state), (1, GroupState::Empty));
    assert_eq!(restarted.heartbeat(beat("a", 1, None), 0), Err(GroupError::UnknownMember));
    journal.push(restarted.delete(&"g".into()).unwrap());
    let mut again = ShareGroups::new(2);
    for record in &journal {
        again.restore(&record.key, record.value.as_deref()).unwrap();
    }
    assert!(!again.contains("g"));
}

#[test]
fn a_group_can_be_made_before_anybody_joins() {
    let mut groups = groups(1);
    let record = groups.create(&"g".into()).unwrap().expect("it is new");
    assert_eq!(groups.create(&"g".into()), Ok(None), "once");
    assert_eq!(groups.check_empty("g"), Ok(()));
    let mut again = ShareGroups::new(2);
    assert_eq!(again.restore(&record.key, record.value.as_deref()), Ok(true));
    again.topic_put(&TopicView { name: "t".into(), id: TopicId(1), partitions: 1 });
    let joined = again.heartbeat(beat("a", 0, Some(&["t"])), 0).unwrap();
    assert_eq!(joined.assignment, Some(Partitions::from([(TopicId(1), 0)])));
    assert_eq!(groups.create(&"".into()), Err(GroupError::InvalidGroup));
    groups.create(&"h".into()).unwrap();
    assert_eq!(groups.create(&"i".into()), Err(GroupError::LimitReached));
}
