//! Heartbeats: members join, live, and leave by them.

use super::assignor::Assignor;
use super::group::{Context, Group};
use super::member::{Member, about_bytes};
use super::pattern;
use super::types::{
    AWAY_EPOCH, Heartbeat, HeartbeatRequest, JOIN_EPOCH, LEAVE_EPOCH, MemberState, Partitions,
    Sight,
};
use crate::group::check_name;
use crate::{GroupError, Name};

/// What can be said about a heartbeat without looking at the group.
pub(crate) fn check(request: &HeartbeatRequest) -> Result<(), GroupError> {
    check_name(&request.group)?;
    let max = base::limits::GROUP_NAME_BYTES_MAX;
    let names = [Some(&request.member_id), request.instance_id.as_ref(), request.rack.as_ref()];
    if names.into_iter().flatten().any(|name| name.len() > max) {
        return Err(GroupError::TooLarge);
    }
    let absent = |name: &Option<Name>| name.as_ref().is_some_and(|name| name.is_empty());
    let complete = match request.epoch {
        JOIN_EPOCH => {
            request.rebalance_timeout.is_some()
                && request.owned.as_ref().is_some_and(Partitions::is_empty)
                && (request.topics.is_some() || request.pattern.is_some())
        }
        AWAY_EPOCH => !request.member_id.is_empty() && request.instance_id.is_some(),
        LEAVE_EPOCH | 1.. => !request.member_id.is_empty(),
        _ => false,
    };
    let negative = request.rebalance_timeout.is_some_and(|timeout| timeout < 0);
    if !complete || negative || absent(&request.instance_id) || absent(&request.rack) {
        return Err(GroupError::InvalidHeartbeat);
    }
    let too_long = |topic: &Name| topic.len() > base::limits::TOPIC_NAME_BYTES_MAX;
    if request.topics.iter().flatten().any(too_long) {
        return Err(GroupError::InvalidTopic);
    }
    if request.assignor.as_ref().is_some_and(|name| name.parse::<Assignor>().is_err()) {
        return Err(GroupError::UnsupportedAssignor);
    }
    Ok(())
}

impl<T> Group<T> {
    /// Carries a heartbeat out. An error has changed nothing.
    pub(super) fn heartbeat(
        &mut self,
        request: &HeartbeatRequest,
        cx: &mut Context<'_, T>,
    ) -> Result<Heartbeat, GroupError> {
        if self.dead {
            return Err(GroupError::NotAvailable);
        }
        self.timing = request.timing;
        match request.epoch {
            JOIN_EPOCH => {
                let id = self.join(request, cx)?;
                self.look(&id, &request.sight);
                Ok(self.advance(&id, request, cx))
            }
            LEAVE_EPOCH | AWAY_EPOCH => self.leave(request, cx),
            _ => {
                let instance = request.instance_id.as_deref();
                self.check_member(&request.member_id, instance)?;
                self.check_epoch(request)?;
                let member = self.members.get(&request.member_id);
                let member = member.ok_or(GroupError::UnknownMember)?;
                let about = member.about_after(request);
                if about != member.about {
                    self.check_room(request, Some(&request.member_id), about_bytes(&about), cx)?;
                    self.update(&request.member_id, about, cx);
                }
                self.look(&request.member_id, &request.sight);
                Ok(self.advance(&request.member_id, request, cx))
            }
        }
    }

    /// Takes note of what a member may know of. If that makes a difference to what its pattern
    /// finds, the target assignment is out of date.
    fn look(&mut self, id: &str, sight: &Sight) {
        let Some(member) = self.members.get_mut(id).filter(|member| member.sight != *sight) else {
            return;
        };
        let before = std::mem::replace(&mut member.sight, sight.clone());
        let pattern = member.about.pattern.as_ref().and_then(|p| self.patterns.get(p));
        let mut found = pattern.into_iter().flat_map(|pattern| &pattern.topics);
        self.stale |= found.any(|topic| before.sees(topic) != sight.sees(topic));
    }

    /// A member that did not get the last answer still names the epoch before it, and owns nothing
    /// but what it may.
    fn check_epoch(&self, request: &HeartbeatRequest) -> Result<(), GroupError> {
        let member = self.members.get(&request.member_id).ok_or(GroupError::UnknownMember)?;
        let owned = request.owned.as_ref();
        let lost = member.previous_epoch == request.epoch
            && member.epoch > request.epoch
            && owned.is_some_and(|owned| owned.is_subset(&member.assigned));
        if member.epoch == request.epoch || lost { Ok(()) } else { Err(GroupError::FencedEpoch) }
    }

    /// Whether one who counts for so many bytes fits in the place of `old`, and its pattern can be
    /// read.
    fn check_room(
        &self,
        request: &HeartbeatRequest,
        old: Option<&Name>,
        bytes: usize,
        cx: &Context<'_, T>,
    ) -> Result<(), GroupError> {
        let shared = &*cx.shared;
        let old = old.and_then(|id| self.members.get(id));
        let members = shared.timers.len() + shared.others.members;
        if old.is_none() && self.members.len() >= shared.config.group_members_max {
            return Err(GroupError::GroupFull);
        }
        if old.is_none() && members >= shared.config.members_max {
            return Err(GroupError::LimitReached);
        }
        let freed = old.map_or(0, |old| about_bytes(&old.about));
        if self.bytes - freed + bytes > shared.config.group_bytes_max {
            return Err(GroupError::TooLarge);
        }
        if shared.bytes + shared.others.bytes - freed + bytes > shared.config.bytes_max {
            return Err(GroupError::LimitReached);
        }
        let pattern = request.pattern.as_ref().filter(|pattern| !pattern.is_empty());
        match pattern {
            Some(pattern) if !self.patterns.contains_key(pattern) => {
                pattern::compile(pattern).map(|_| ())
            }
            _ => Ok(()),
        }
    }

    /// Joins, or joins again. Returns the member's id.
    fn join(
        &mut self,
        request: &HeartbeatRequest,
        cx: &mut Context<'_, T>,
    ) -> Result<Name, GroupError> {
        let old = self.predecessor(request)?;
        let id: Name = if request.member_id.is_empty() {
            base::TopicId::random(&*cx.shared.random).to_string().into()
        } else {
            request.member_id.clone()
        };
        let known = old.as_ref().and_then(|old| self.members.get(old));
        let about = match known {
            Some(member) => member.about_after(request),
            None => Member::new(id.clone()).about_after(request),
        };
        self.check_room(request, old.as_ref(), about_bytes(&about), cx)?;
        let Some(old) = old else {
            let mut member = Member::new(id.clone());
            member.about = about;
            member.deadline = cx.now + self.timing(cx.shared).session;
            self.insert(member, cx.shared);
            self.forget_patterns();
            self.changed_at = cx.now;
            self.bump();
            return Ok(id);
        };
        self.come_back(&old, &id, cx);
        self.update(&id, about, cx);
        Ok(id)
    }

    /// Whose place the one who joins takes.
    fn predecessor(&self, request: &HeartbeatRequest) -> Result<Option<Name>, GroupError> {
        let same = self.members.get(&request.member_id).map(|member| member.id.clone());
        let of_instance = request.instance_id.as_ref().and_then(|i| self.statics.get(i));
        match (of_instance, same) {
            (Some(owner), same) if same.as_ref() != Some(owner) => {
                let away = self.members.get(owner).is_some_and(Member::is_away);
                // An id that is a member already cannot take another member's place.
                if !away || same.is_some() {
                    return Err(GroupError::UnreleasedInstance);
                }
                Ok(Some(owner.clone()))
            }
            (_, same) => Ok(same),
        }
    }

    /// A member begins anew, in its own place or that of an absent static member. It owns nothing;
    /// what an absent one owned was kept for it.
    fn come_back(&mut self, old: &Name, id: &Name, cx: &mut Context<'_, T>) {
        let Some(mut member) = self.remove(old, cx.shared) else { return };
        if !member.is_away() {
            member.assigned.clear();
        }
        member.revoking.clear();
        member.revoke_by = None;
        member.state = MemberState::Stable;
        member.epoch = JOIN_EPOCH;
        member.previous_epoch = JOIN_EPOCH;
        member.id = id.clone();
        member.deadline = cx.now + self.timing(cx.shared).session;
        self.insert(member, cx.shared);
    }

    /// The member says something else about itself.
    fn update(
        &mut self,
        id: &str,
        about: crate::record::ConsumerMemberValue,
        cx: &mut Context<'_, T>,
    ) {
        let mut resubscribed = false;
        self.change(id, cx.shared, |member| {
            resubscribed =
                member.about.topics != about.topics || member.about.pattern != about.pattern;
            member.about = about;
        });
        self.forget_patterns();
        if let Some(member) = self.members.get(id) {
            self.changed.members.insert(member.id.clone());
        }
        if resubscribed {
            self.bump();
        }
    }

    /// What every heartbeat of one who stays does in the end.
    fn advance(
        &mut self,
        id: &str,
        request: &HeartbeatRequest,
        cx: &mut Context<'_, T>,
    ) -> Heartbeat {
        let before = self.members.get(id).map(|member| (member.epoch, member.assigned.clone()));
        self.retarget(cx);
        let joins = request.epoch == JOIN_EPOCH;
        if let Some(member) = self.members.get_mut(id) {
            let owned = request.owned.as_ref();
            // Who joins has been told nothing that it could be about to take.
            member.settled |= joins || owned.is_some_and(|o| o.is_superset(&member.assigned));
        }
        self.reconcile(id, request.owned.as_ref(), cx);
        if let Some(member) = self.members.get_mut(id) {
            member.settled &= !joins;
        }
        self.touch(id, cx.now, cx.shared);
        let interval = self.timing(cx.shared).interval;
        let Some(member) = self.members.get(id) else {
            let member_id = request.member_id.clone();
            return Heartbeat { member_id, epoch: LEAVE_EPOCH, interval, assignment: None };
        };
        let full = request.rebalance_timeout.is_some()
            && (request.topics.is_some() || request.pattern.is_some())
            && request.owned.is_some();
        // Who names an earlier epoch has not got the answer that told it.
        let told = before
            .is_some_and(|(epoch, assigned)| epoch == request.epoch && assigned == member.assigned);
        let told = told && !full && request.epoch != JOIN_EPOCH;
        Heartbeat {
            member_id: member.id.clone(),
            epoch: member.epoch,
            interval,
            assignment: (!told).then(|| member.assigned.clone()),
        }
    }

    fn leave(
        &mut self,
        request: &HeartbeatRequest,
        cx: &mut Context<'_, T>,
    ) -> Result<Heartbeat, GroupError> {
        let id = &request.member_id;
        self.check_member(id, request.instance_id.as_deref())?;
        if request.epoch == AWAY_EPOCH {
            self.change(id, cx.shared, |member| {
                member.epoch = AWAY_EPOCH;
                member.revoking.clear();
                member.revoke_by = None;
            });
            self.changed.currents.insert(id.clone());
            self.touch(id, cx.now, cx.shared);
        } else {
            self.member_gone(id, cx);
        }
        let interval = self.timing(cx.shared).interval;
        Ok(Heartbeat { member_id: id.clone(), epoch: request.epoch, interval, assignment: None })
    }
}
