//! Groups as the journal has them.

use std::collections::HashSet;

use base::Millis;
use bytes::Bytes;

use super::member::Member;
use super::membership::Membership;
use super::state::Group;
use super::timers::Timer;
use super::types::GroupState;
use crate::Name;
use crate::record::{GroupValue, MemberValue, RecordError};

/// A timeout beyond these is damage, and adding it to the time could overflow.
pub(crate) const TIMEOUTS: std::ops::RangeInclusive<Millis> = 0..=i32::MAX as Millis;

/// Whether the parts of a stored group fit together.
pub(crate) fn check(value: &GroupValue) -> Result<(), RecordError> {
    if value.members.is_empty() {
        return Ok(());
    }
    let mut ids = HashSet::new();
    let mut instances = HashSet::new();
    for member in &value.members {
        let supports = |p: &Name| member.protocols.iter().any(|own| own.name == *p);
        let distinct: HashSet<_> = member.protocols.iter().map(|p| &p.name).collect();
        if !ids.insert(&member.member_id)
            || member.instance_id.as_ref().is_some_and(|i| !instances.insert(i))
            || !value.protocol.as_ref().is_some_and(supports)
            || distinct.len() != member.protocols.len()
            || !TIMEOUTS.contains(&member.session_timeout)
            || !TIMEOUTS.contains(&member.rebalance_timeout)
        {
            return Err(RecordError::Inconsistent);
        }
    }
    match &value.leader {
        Some(leader) if ids.contains(leader) && value.protocol_type.is_some() => Ok(()),
        _ => Err(RecordError::Inconsistent),
    }
}

impl<T> Membership<T> {
    /// Takes over what the journal says of a group, in the order of the journal.
    pub(crate) fn restore(&mut self, name: &Name, value: Option<(GroupValue, Bytes)>) {
        if let Some(old) = self.groups.remove(name) {
            self.shared.bytes -= old.bytes;
        }
        let Some((value, encoded)) = value else { return };
        let mut group = Group::new(name.clone(), value.state_since);
        group.generation = value.generation;
        group.protocol_type = value.protocol_type;
        group.protocol = value.protocol;
        group.latest = Some(encoded);
        for member in value.members {
            group.joins += 1;
            let member = restored_member(member, group.joins);
            group.put(member, &mut self.shared);
        }
        group.leader = value.leader.filter(|leader| group.members.contains_key(leader));
        if !group.members.is_empty() {
            group.state = GroupState::Stable;
        }
        self.groups.insert(name.clone(), group);
    }

    /// The journal has been read. Everybody gets a full session from now on, because nobody could
    /// send heartbeats while we were away.
    pub(crate) fn start(&mut self, now: Millis) {
        for group in self.groups.values_mut() {
            for member in group.members.values_mut() {
                member.deadline = now + member.session_timeout;
                member.timer_at = member.deadline;
                let timer = Timer::Member(group.name.clone(), member.id.clone());
                self.shared.timers.set(member.timer_at, timer);
            }
        }
    }
}

fn restored_member<T>(value: MemberValue, order: u64) -> Member<T> {
    Member {
        id: value.member_id,
        instance: value.instance_id,
        client_id: value.client_id,
        client_host: value.client_host,
        session_timeout: value.session_timeout,
        rebalance_timeout: value.rebalance_timeout,
        protocols: value.protocols,
        assignment: value.assignment,
        order,
        join: None,
        sync: None,
        is_new: false,
        synced: true,
        deadline: 0,
        timer_at: 0,
    }
}
