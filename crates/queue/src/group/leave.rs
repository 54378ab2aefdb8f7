//! Leaving, by oneself or by an operator's hand.

use super::state::{Context, Group};
use super::types::{GroupState, Leaver};
use crate::{GroupError, Name};

impl<T> Group<T> {
    /// One result per leaver.
    pub(super) fn leave(
        &mut self,
        leavers: &[Leaver],
        cx: &mut Context<'_, T>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        if self.state == GroupState::Dead {
            return Err(GroupError::NotAvailable);
        }
        let mut reason = None;
        let mut left = false;
        let mut results = Vec::with_capacity(leavers.len());
        for leaver in leavers {
            let result = self.take_out(leaver, cx);
            if result == Ok(true) {
                left = true;
                reason = reason.or(leaver.reason.as_ref());
            }
            results.push(result.map(|_| ()));
        }
        if left {
            self.rebalance("a member left", reason, cx);
        } else {
            self.complete_join_if_all_joined(cx);
        }
        Ok(results)
    }

    /// Takes one out, and says whether it had been a member (and not just an id handed out).
    fn take_out(&mut self, leaver: &Leaver, cx: &mut Context<'_, T>) -> Result<bool, GroupError> {
        let instance = leaver.instance_id.as_ref();
        let id: Name = if leaver.member_id.is_empty() {
            let named = instance.and_then(|i| self.statics.get(i));
            named.cloned().ok_or(GroupError::UnknownMember)?
        } else if self.remove_pending(&leaver.member_id, cx.shared) {
            return Ok(false);
        } else {
            self.check_member(&leaver.member_id, instance.map(|i| &**i))?;
            leaver.member_id.clone()
        };
        Ok(self.remove_and_answer(&id, cx))
    }
}
