//! The phases of a rebalance, and what a timer does to them.

use std::collections::HashMap;

use bytes::Bytes;

use super::describe::Rebalance;
use super::member::{Member, shorten};
use super::state::{Context, Group, InFlight, InitialDelay};
use super::types::GroupState;
use crate::output::Ticket;
use crate::record::{GroupValue, MemberValue, Record, encode_group_key};
use crate::{GroupError, Name, Persisted};

impl<T> Group<T> {
    /// The members, or what they support, have changed: begins a rebalance, or ends the join phase
    /// of the present one if this was what it waited for.
    pub(super) fn rebalance(
        &mut self,
        what: &'static str,
        reason: Option<&Name>,
        cx: &mut Context<'_, T>,
    ) {
        match self.state {
            GroupState::Dead => {}
            GroupState::PreparingRebalance => self.complete_join_if_all_joined(cx),
            _ => {
                let reason = reason.map(shorten);
                self.last_rebalance = Some(Rebalance { what, reason, at: cx.now });
                self.prepare(cx);
            }
        }
    }

    fn prepare(&mut self, cx: &mut Context<'_, T>) {
        if self.state == GroupState::CompletingRebalance {
            self.reset_assignments(GroupError::RebalanceInProgress, cx);
        }
        self.in_flight.retain(|_, what| !matches!(what, InFlight::Assignment(_)));
        let was_empty = self.state == GroupState::Empty;
        self.enter(GroupState::PreparingRebalance, cx.now);
        let delay = cx.shared.config.initial_rebalance_delay;
        if was_empty && delay > 0 {
            let remaining = (self.rebalance_timeout() - delay).max(0);
            self.initial = Some(InitialDelay { remaining, joined: false });
            self.set_phase(Some(cx.now + delay), cx.shared);
        } else if self.all_joined() {
            self.complete_join(cx);
        } else {
            self.set_phase(Some(cx.now + self.rebalance_timeout()), cx.shared);
        }
    }

    fn all_joined(&self) -> bool {
        self.joining == self.members.len() && self.pending.is_empty()
    }

    pub(super) fn complete_join_if_all_joined(&mut self, cx: &mut Context<'_, T>) {
        let preparing = self.state == GroupState::PreparingRebalance;
        if preparing && self.initial.is_none() && self.all_joined() {
            self.complete_join(cx);
        }
    }

    /// The timer of the present phase has fired.
    pub(super) fn phase_ended(&mut self, cx: &mut Context<'_, T>) {
        match self.state {
            GroupState::PreparingRebalance => {
                if !self.extend_initial_delay(cx) {
                    self.complete_join(cx);
                }
            }
            GroupState::Empty | GroupState::Dead => self.set_phase(None, cx.shared),
            _ => self.remove_unsynced(cx),
        }
    }

    /// Members still arrive: waits once more, but no longer than they want to be waited for.
    fn extend_initial_delay(&mut self, cx: &mut Context<'_, T>) -> bool {
        let Some(initial) = &mut self.initial else { return false };
        if !initial.joined || initial.remaining == 0 {
            return false;
        }
        let delay = cx.shared.config.initial_rebalance_delay.min(initial.remaining);
        initial.remaining -= delay;
        initial.joined = false;
        self.set_phase(Some(cx.now + delay), cx.shared);
        true
    }

    /// Ends the join phase with those who have joined. Static members that have not keep their
    /// place until their session ends.
    fn complete_join(&mut self, cx: &mut Context<'_, T>) {
        self.set_phase(None, cx.shared);
        self.initial = None;
        let absent = |m: &&Member<T>| m.join.is_none() && m.instance.is_none();
        let absent: Vec<_> = self.members.values().filter(absent).map(|m| m.id.clone()).collect();
        for id in absent {
            self.remove(&id, cx.shared);
        }
        if !self.members.is_empty() && !self.elect_joined_leader() {
            // Only absent static members are left: wait for them, or for their sessions to end.
            let at = cx.now + self.rebalance_timeout().max(1);
            return self.set_phase(Some(at), cx.shared);
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        if self.members.is_empty() {
            self.protocol = None;
            self.enter(GroupState::Empty, cx.now);
            self.persist(None, cx);
        } else {
            self.protocol = self.select_protocol();
            self.enter(GroupState::CompletingRebalance, cx.now);
            self.set_phase(Some(cx.now + self.rebalance_timeout()), cx.shared);
            self.answer_joins(cx);
        }
    }

    /// Keeps the leader if it has joined, else takes the oldest member that has.
    fn elect_joined_leader(&mut self) -> bool {
        let joined = |id: &Name| self.members.get(id).is_some_and(|m| m.join.is_some());
        if self.leader.as_ref().is_some_and(joined) {
            return true;
        }
        let candidates = self.members.values().filter(|m| m.join.is_some());
        let Some(oldest) = candidates.min_by_key(|m| m.order) else { return false };
        self.leader = Some(oldest.id.clone());
        true
    }

    fn answer_joins(&mut self, cx: &mut Context<'_, T>) {
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let mut waiting = None;
            let mut session = 0;
            self.change(&id, cx.shared, |member| {
                waiting = member.join.take();
                session = member.session_timeout;
                member.is_new = false;
                member.synced = false;
            });
            self.extend(&id, cx.now + session, cx.shared);
            if let Some(to) = waiting {
                let joined = self.joined(&id, self.is_leader(&id));
                cx.joined(to, joined);
            }
        }
    }

    /// Every member votes for the protocol it likes best among those that all support; the most
    /// votes win, and among equals the one that the leader likes best.
    pub(super) fn select_protocol(&self) -> Option<Name> {
        let all = self.members.len();
        let common = |name: &Name| self.supported.get(name) == Some(&all);
        let mut votes: HashMap<&Name, usize> = HashMap::new();
        for member in self.members.values() {
            if let Some(best) = member.protocols.iter().map(|p| &p.name).find(|n| common(n)) {
                *votes.entry(best).or_default() += 1;
            }
        }
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id))?;
        let most = votes.values().copied().max()?;
        let winners = |name: &&Name| votes.get(name) == Some(&most);
        leader.protocols.iter().map(|p| &p.name).find(winners).cloned()
    }

    /// Those who joined but never asked for their assignment are gone.
    fn remove_unsynced(&mut self, cx: &mut Context<'_, T>) {
        self.set_phase(None, cx.shared);
        let unsynced = self.members.values().filter(|m| !m.synced).map(|m| m.id.clone());
        let unsynced: Vec<_> = unsynced.collect();
        for id in &unsynced {
            self.remove_and_answer(id, cx);
        }
        if !unsynced.is_empty() {
            self.rebalance("a member did not ask for its assignment", None, cx);
        }
    }

    /// Takes a member out, and tells whoever waits in its name.
    pub(super) fn remove_and_answer(&mut self, id: &str, cx: &mut Context<'_, T>) -> bool {
        let Some(mut member) = self.remove(id, cx.shared) else { return false };
        if let Some(to) = member.join.take() {
            cx.refuse(to, GroupError::UnknownMember, &Name::default());
        }
        if let Some(to) = member.sync.take() {
            cx.synced(to, Err(GroupError::UnknownMember));
        }
        true
    }

    /// A member is not welcome any more.
    pub(super) fn expel(&mut self, id: &str, cx: &mut Context<'_, T>) {
        if self.remove_and_answer(id, cx) {
            self.rebalance("the group is full", None, cx);
        }
    }

    /// Takes back all assignments; those who wait for one get the error.
    pub(super) fn reset_assignments(&mut self, error: GroupError, cx: &mut Context<'_, T>) {
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let mut waiting = None;
            let mut session = 0;
            self.change(&id, cx.shared, |member| {
                waiting = member.sync.take();
                session = member.session_timeout;
                member.assignment = Bytes::new();
            });
            if let Some(to) = waiting {
                cx.synced(to, Err(error));
                self.extend(&id, cx.now + session, cx.shared);
            }
        }
    }

    /// Puts the group out to be persisted: with these assignments, or those that it has.
    pub(super) fn persist(
        &mut self,
        assignments: Option<&HashMap<Name, Bytes>>,
        cx: &mut Context<'_, T>,
    ) -> Ticket {
        let members = self.members.values().map(|m| {
            let proposed = assignments.map(|a| a.get(&m.id).cloned().unwrap_or_default());
            member_value(m, proposed.unwrap_or_else(|| m.assignment.clone()))
        });
        let value = GroupValue {
            generation: self.generation,
            state_since: cx.now,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: members.collect(),
        };
        let value = value.encode();
        self.latest = Some(value.clone());
        let ticket = cx.outbox.ticket();
        cx.shared.tickets.insert(ticket, self.name.clone());
        let record = Record { key: encode_group_key(&self.name), value: Some(value) };
        cx.outbox.persist(ticket, vec![record]);
        ticket
    }

    /// What the group waited for is durable, or is not.
    pub(super) fn persisted(
        &mut self,
        ticket: Ticket,
        outcome: Persisted,
        cx: &mut Context<'_, T>,
    ) {
        let durable = outcome == Persisted::Durable;
        match self.in_flight.remove(&ticket) {
            None => {}
            Some(InFlight::Assignment(assignments)) if durable => self.assign(&assignments, cx),
            Some(InFlight::Assignment(_)) => {
                self.reset_assignments(GroupError::NotAvailable, cx);
                self.rebalance("the assignment could not be stored", None, cx);
            }
            Some(InFlight::Replacement(what)) => self.replaced(&what, durable, cx),
        }
    }
}

fn member_value<T>(member: &Member<T>, assignment: Bytes) -> MemberValue {
    MemberValue {
        member_id: member.id.clone(),
        instance_id: member.instance.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        session_timeout: member.session_timeout,
        rebalance_timeout: member.rebalance_timeout,
        protocols: member.protocols.clone(),
        assignment,
    }
}
