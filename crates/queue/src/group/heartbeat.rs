//! Signs of life: heartbeats and commits extend a session, a timer ends it.

use base::Millis;

use super::membership::{Membership, check_name};
use super::state::{Context, Group, Shared};
use super::types::GroupState;
use crate::GroupError;

/// Who says so, and of which generation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) member_id: &'a str,
    pub(crate) instance_id: Option<&'a str>,
    pub(crate) generation: i32,
}

impl<T> Membership<T> {
    pub(crate) fn heartbeat(
        &mut self,
        group: &str,
        caller: Caller<'_>,
        now: Millis,
    ) -> Result<(), GroupError> {
        check_name(group)?;
        let group = self.groups.get_mut(group).ok_or(GroupError::UnknownMember)?;
        group.check_caller(caller)?;
        group.touch(caller.member_id, now, &mut self.shared);
        match group.state {
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// Whether the caller may commit offsets; if it is a member, it has shown that it lives.
    pub(crate) fn check_commit(
        &mut self,
        group: &str,
        caller: Caller<'_>,
        now: Millis,
    ) -> Result<(), GroupError> {
        // Who manages its partitions itself is no member of anything.
        let simple = caller.generation < 0;
        let Some(group) = self.groups.get_mut(group) else {
            return if simple { Ok(()) } else { Err(GroupError::NotFound) };
        };
        if simple && group.state == GroupState::Empty {
            return Ok(());
        }
        group.check_caller(caller)?;
        if group.state == GroupState::CompletingRebalance {
            return Err(GroupError::RebalanceInProgress);
        }
        group.touch(caller.member_id, now, &mut self.shared);
        Ok(())
    }
}

impl<T> Group<T> {
    fn check_caller(&self, caller: Caller<'_>) -> Result<(), GroupError> {
        if self.state == GroupState::Dead {
            return Err(GroupError::NotAvailable);
        }
        self.check_member(caller.member_id, caller.instance_id)?;
        if caller.generation == self.generation {
            Ok(())
        } else {
            Err(GroupError::IllegalGeneration)
        }
    }

    /// The member lives.
    fn touch(&mut self, id: &str, now: Millis, shared: &mut Shared) {
        let Some(member) = self.members.get(id) else { return };
        // One that waits for its first join is given more time than its session.
        if !member.is_new {
            self.extend(id, now + member.session_timeout, shared);
        }
    }

    /// The timer of a member, or of an id handed out, has fired.
    pub(super) fn session_ended(&mut self, id: &str, cx: &mut Context<'_, T>) {
        if self.remove_pending(id, cx.shared) {
            return self.complete_join_if_all_joined(cx);
        }
        let Some(member) = self.members.get_mut(id) else { return };
        let waits = !member.is_new && (member.join.is_some() || member.sync.is_some());
        if waits {
            // It waits for us, so we cannot expect heartbeats from it.
            member.deadline = cx.now + member.session_timeout;
        }
        if member.deadline > cx.now {
            let at = member.deadline;
            return self.move_timer(id, at, cx.shared);
        }
        self.remove_and_answer(id, cx);
        self.rebalance("a member's session ended", None, cx);
    }
}
