//! A static member that comes back under a new member id (KIP-345).

use super::state::{Context, Group, InFlight, Replacement};
use super::types::{GroupState, JoinRequest};
use crate::{GroupError, Name};

impl<T> Group<T> {
    /// The member that the instance id belonged to is fenced; the one who joins takes its place,
    /// and its assignment if the group is stable and needs no other protocol.
    pub(super) fn replace_static(
        &mut self,
        old: &Name,
        new: &Name,
        request: &JoinRequest,
        to: T,
        cx: &mut Context<'_, T>,
    ) {
        let leader_before = self.leader.clone();
        self.take_place(old, new, request, cx);
        self.wait_for_join(new, request, to, cx);
        if self.state == GroupState::Stable && self.select_protocol() == self.protocol {
            let leads = self.is_leader(new);
            let skip = leads && request.knows_skip_assignment;
            self.persist_replacement(
                Replacement {
                    member: new.clone(),
                    leader: if skip { new.clone() } else { leader_before.unwrap_or_default() },
                    skip_assignment: skip,
                    list_members: skip,
                },
                cx,
            );
        } else {
            self.rebalance("a static member came back", request.reason.as_ref(), cx);
        }
    }

    /// Whoever waits in the old member's name is told that it is fenced.
    fn take_place(
        &mut self,
        old: &Name,
        new: &Name,
        request: &JoinRequest,
        cx: &mut Context<'_, T>,
    ) {
        let led = self.is_leader(old);
        let Some(mut member) = self.remove(old, cx.shared) else { return };
        if let Some(to) = member.join.take() {
            cx.refuse(to, GroupError::FencedInstance, old);
        }
        if let Some(to) = member.sync.take() {
            cx.synced(to, Err(GroupError::FencedInstance));
        }
        member.id = new.clone();
        member.client_id = super::member::shorten(&request.client_id);
        member.client_host = super::member::shorten(&request.client_host);
        if led {
            self.leader = Some(new.clone());
        }
        self.insert(member, cx.now + request.session_timeout, cx.shared);
    }

    fn persist_replacement(&mut self, replacement: Replacement, cx: &mut Context<'_, T>) {
        let ticket = self.persist(None, cx);
        self.in_flight.insert(ticket, InFlight::Replacement(replacement));
    }

    /// The replacement is durable, or not. If it is not, the new member is told to try again, and
    /// the old one stays fenced: it has been told so.
    pub(super) fn replaced(
        &mut self,
        replacement: &Replacement,
        durable: bool,
        cx: &mut Context<'_, T>,
    ) {
        // A rebalance that has begun meanwhile answers the join when it ends.
        if self.state != GroupState::Stable {
            return;
        }
        let id = &replacement.member;
        let mut waiting = None;
        self.change(id, cx.shared, |member| waiting = member.join.take());
        let Some(to) = waiting else { return };
        if !durable {
            return cx.refuse(to, GroupError::NotAvailable, &Name::default());
        }
        let mut joined = self.joined(id, replacement.list_members);
        joined.leader = replacement.leader.clone();
        joined.skip_assignment = replacement.skip_assignment;
        cx.joined(to, joined);
        if let Some(member) = self.members.get(id) {
            self.extend(id, cx.now + member.session_timeout, cx.shared);
        }
    }
}
