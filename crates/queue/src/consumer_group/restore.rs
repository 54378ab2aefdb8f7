//! Consumer groups as the journal has them.

use std::collections::{BTreeMap, HashMap};

use base::Millis;

use super::assignor::Assignor;
use super::group::Group;
use super::groups::ConsumerGroups;
use super::member::Member;
use super::types::MemberState;
use crate::Name;
use crate::group::TIMEOUTS;
use crate::record::{
    ConsumerGroupValue, ConsumerMemberValue, CurrentAssignmentValue, MemberKey,
    TargetAssignmentValue,
};

/// One record of the journal; without a value, its key is deleted.
#[derive(Debug)]
pub(crate) enum Stored {
    Group(Name, Option<ConsumerGroupValue>),
    Member(MemberKey, Option<ConsumerMemberValue>),
    Target(MemberKey, Option<TargetAssignmentValue>),
    Current(MemberKey, Option<CurrentAssignmentValue>),
}

/// What has been read of the journal so far.
#[derive(Debug, Default)]
pub(super) struct Restoring {
    groups: HashMap<Name, StoredGroup>,
}

#[derive(Debug, Default)]
struct StoredGroup {
    value: Option<ConsumerGroupValue>,
    members: BTreeMap<Name, StoredMember>,
}

#[derive(Debug, Default)]
struct StoredMember {
    about: Option<ConsumerMemberValue>,
    target: Option<TargetAssignmentValue>,
    current: Option<CurrentAssignmentValue>,
}

impl Restoring {
    fn member(&mut self, key: &MemberKey, change: impl FnOnce(&mut StoredMember)) {
        let group = self.groups.entry(key.group.clone()).or_default();
        let member = group.members.entry(key.member_id.clone()).or_default();
        change(member);
        if member.about.is_none() && member.target.is_none() && member.current.is_none() {
            group.members.remove(&key.member_id);
        }
        self.forget_empty(&key.group);
    }

    fn forget_empty(&mut self, name: &str) {
        let empty = |group: &StoredGroup| group.value.is_none() && group.members.is_empty();
        if self.groups.get(name).is_some_and(empty) {
            self.groups.remove(name);
        }
    }
}

impl<T> ConsumerGroups<T> {
    /// Takes over one record, in the order of the journal.
    pub(crate) fn restore(&mut self, stored: Stored) {
        let restoring = &mut self.restoring;
        match stored {
            Stored::Group(name, value) => {
                restoring.groups.entry(name.clone()).or_default().value = value;
                restoring.forget_empty(&name);
            }
            Stored::Member(key, value) => restoring.member(&key, |member| member.about = value),
            Stored::Target(key, value) => restoring.member(&key, |member| member.target = value),
            Stored::Current(key, value) => restoring.member(&key, |member| member.current = value),
        }
    }

    /// A group of another kind has taken the name.
    pub(crate) fn forget(&mut self, name: &str) {
        self.restoring.groups.remove(name);
    }

    /// The journal has been read. Everybody gets a full session from now on, and all the time to
    /// give back what they are to give back.
    pub(crate) fn start(&mut self, now: Millis) {
        for (name, stored) in std::mem::take(&mut self.restoring).groups {
            let mut group = Group::new(name.clone(), now);
            group.stored = true;
            // Topics may have changed meanwhile.
            group.stale = true;
            match stored.value {
                Some(value) => {
                    group.epoch = value.epoch;
                    group.target_epoch = value.target_epoch.min(value.epoch);
                    group.changed_at = value.changed_at;
                    group.assignor = value.assignor.parse().unwrap_or(Assignor::DEFAULT);
                }
                None => group.broken = true,
            }
            for (id, stored) in stored.members {
                // One that has not said what it wants was never told that it is a member.
                let Some(about) = stored.about else {
                    group.broken = true;
                    group.changed.members.insert(id);
                    continue;
                };
                let mut member = restored_member(&group, id, about, stored.target, stored.current);
                member.deadline = now + self.shared.config.consumer_session_timeout;
                if member.state == MemberState::Unrevoked {
                    member.revoke_by = Some(now + member.about.rebalance_timeout);
                }
                group.broken |= !fits(&member, group.target_epoch);
                group.epoch = group.epoch.max(member.epoch);
                group.insert(member, &mut self.shared);
            }
            group.changed.members.retain(|id| !group.members.contains_key(id));
            self.groups.insert(name, group);
        }
    }
}

fn restored_member<T>(
    group: &Group<T>,
    id: Name,
    about: ConsumerMemberValue,
    target: Option<TargetAssignmentValue>,
    current: Option<CurrentAssignmentValue>,
) -> Member {
    let mut member = Member::new(id);
    member.about = about;
    // A timeout beyond these is damage, and adding it to the time could overflow.
    let timeout = member.about.rebalance_timeout.clamp(*TIMEOUTS.start(), *TIMEOUTS.end());
    member.about.rebalance_timeout = timeout;
    // Two members of one instance, or two owners of one partition, are damage as well.
    drop(member.about.instance_id.take_if(|instance| group.statics.contains_key(instance)));
    member.target = target.unwrap_or_default().partitions;
    if let Some(current) = current {
        member.epoch = current.epoch;
        member.previous_epoch = current.previous_epoch;
        member.state = current.state;
        let free = |partition: &&_| !group.owners.contains_key(*partition);
        member.assigned = current.assigned.iter().filter(free).copied().collect();
        let revoking = current.revoking.difference(&current.assigned);
        member.revoking = revoking.filter(free).copied().collect();
    }
    member
}

/// Whether the parts of a member fit together. They need not: a crash may have cut the records of
/// one change short.
fn fits(member: &Member, target_epoch: i32) -> bool {
    let reconciled = member.is_reconciled(target_epoch);
    let told = member.epoch != 0 && member.epoch <= target_epoch;
    told && (!reconciled || member.assigned == member.target)
}
