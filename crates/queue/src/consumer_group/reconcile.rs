//! Reconciliation: brings a member one step closer to its target.

use super::group::{Context, Group};
use super::member::Member;
use super::types::{MemberState, Partitions};

impl<T> Group<T> {
    /// Moves the member on as far as it can go now. `owned` is what it says that it owns; `None`
    /// when that has not changed since it last said it.
    pub(super) fn reconcile(
        &mut self,
        id: &str,
        owned: Option<&Partitions>,
        cx: &mut Context<'_, T>,
    ) {
        let Some(member) = self.members.get(id) else { return };
        if member.is_reconciled(self.target_epoch) {
            return;
        }
        let epoch = match member.state {
            MemberState::Stable | MemberState::Unreleased => member.epoch,
            MemberState::Unrevoked if owns(owned, &member.revoking) => return,
            // It has given everything back, and so left its epoch.
            MemberState::Unrevoked => member.epoch.saturating_add(1).min(self.target_epoch),
        };
        let next = self.next(member, epoch, owned);
        if next == Next::of(member) {
            return;
        }
        let revoke_by =
            (next.state == MemberState::Unrevoked).then(|| cx.now + member.about.rebalance_timeout);
        self.change(id, cx.shared, |member| {
            if member.epoch != next.epoch {
                member.previous_epoch = member.epoch;
            }
            member.epoch = next.epoch;
            member.state = next.state;
            member.settled &= next.assigned.is_subset(&member.assigned);
            member.assigned = next.assigned;
            member.revoking = next.revoking;
            member.revoke_by = revoke_by;
        });
        if let Some(member) = self.members.get(id) {
            self.changed.currents.insert(member.id.clone());
            let (at, timer_at) = (member.next_deadline(), member.timer_at);
            if at < timer_at {
                self.move_timer(id, at, cx.shared);
            }
        }
    }

    /// What comes next for a member that has nothing left to give back.
    fn next(&self, member: &Member, epoch: i32, owned: Option<&Partitions>) -> Next {
        let kept: Partitions = member.assigned.intersection(&member.target).copied().collect();
        let revoking: Partitions = member.assigned.difference(&kept).copied().collect();
        if !revoking.is_empty() && (!member.settled || owns(owned, &revoking)) {
            return Next { epoch, state: MemberState::Unrevoked, assigned: kept, revoking };
        }
        let mut assigned = kept;
        let mut state = MemberState::Stable;
        for partition in &member.target {
            // What it gave back just now is its own until the change is made.
            match self.owners.get(partition) {
                Some(owner) if *owner != member.id => state = MemberState::Unreleased,
                _ => {
                    assigned.insert(*partition);
                }
            }
        }
        Next { epoch: self.target_epoch, state, assigned, revoking: Partitions::new() }
    }
}

#[derive(PartialEq)]
struct Next {
    epoch: i32,
    state: MemberState,
    assigned: Partitions,
    revoking: Partitions,
}

impl Next {
    fn of(member: &Member) -> Self {
        Self {
            epoch: member.epoch,
            state: member.state,
            assigned: member.assigned.clone(),
            revoking: member.revoking.clone(),
        }
    }
}

/// Whether the member still owns any of these; who does not say, does.
fn owns(owned: Option<&Partitions>, any_of: &Partitions) -> bool {
    owned.is_none_or(|owned| !owned.is_disjoint(any_of))
}
