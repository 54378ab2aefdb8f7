//! Joining: a new member, or an old one that wants to be part of the next generation.

use std::collections::HashSet;
use std::fmt::Write;

use base::Random;

use super::member::{Member, member_bytes};
use super::state::{Context, Group};
use super::types::{GroupState, JoinRequest, Joined, JoinedMember, Protocol};
use crate::{GroupError, Name};

/// How much of a client's name goes into the member ids made up for it, in bytes.
const ID_PREFIX_BYTES_MAX: usize = 255;

impl<T> Group<T> {
    pub(super) fn join(&mut self, mut request: JoinRequest, to: T, cx: &mut Context<'_, T>) {
        if let Err(error) = self.admit(&mut request, cx) {
            return cx.refuse(to, error, &request.member_id);
        }
        if request.member_id.is_empty() {
            self.join_unknown(&request, to, cx);
        } else if self.pending.contains_key(&request.member_id) {
            // The id was handed out to a dynamic member; static ones get theirs with the join.
            match request.instance_id {
                Some(_) => cx.refuse(to, GroupError::UnknownMember, &request.member_id),
                None => self.add_member(request.member_id.clone(), &request, to, cx),
            }
        } else {
            self.join_again(&request, to, cx);
        }
    }

    fn admit(
        &mut self,
        request: &mut JoinRequest,
        cx: &mut Context<'_, T>,
    ) -> Result<(), GroupError> {
        if self.state == GroupState::Dead {
            return Err(GroupError::NotAvailable);
        }
        if !self.has_room(self.predecessor(request), cx.shared.config.group_members_max) {
            self.expel(&request.member_id, cx);
            return Err(GroupError::GroupFull);
        }
        let old = self.predecessor(request);
        let old_bytes = old.map_or(0, Member::bytes);
        let more = member_bytes(&request.protocols);
        let config = &cx.shared.config;
        if self.bytes - old_bytes + more > config.group_bytes_max {
            return Err(GroupError::TooLarge);
        }
        if cx.shared.bytes + cx.shared.others.bytes - old_bytes + more > config.bytes_max {
            return Err(GroupError::LimitReached);
        }
        let mut seen = HashSet::new();
        let timeouts = super::restore::TIMEOUTS;
        request.rebalance_timeout =
            request.rebalance_timeout.clamp(*timeouts.start(), *timeouts.end());
        request.protocols.retain(|protocol| seen.insert(protocol.name.clone()));
        if !self.supports(&request.protocol_type, &request.protocols, old) {
            return Err(GroupError::InconsistentProtocol);
        }
        Ok(())
    }

    /// The member whose place the request would take.
    fn predecessor(&self, request: &JoinRequest) -> Option<&Member<T>> {
        let id = match &request.instance_id {
            Some(instance) if request.member_id.is_empty() => self.statics.get(instance)?,
            _ => &request.member_id,
        };
        self.members.get(id)
    }

    /// Counts those who wait while a rebalance is prepared (then the last ones to come are turned
    /// away, even if they were members of a group that is too large by now), else the members.
    fn has_room(&self, old: Option<&Member<T>>, max: usize) -> bool {
        match self.state {
            GroupState::Empty | GroupState::Dead => true,
            GroupState::PreparingRebalance => {
                old.is_some_and(|m| m.join.is_some()) || self.joining < max
            }
            _ => old.is_some() || self.members.len() < max,
        }
    }

    /// Whether there is a protocol that this member and all others, `old` not counted, support.
    fn supports(&self, kind: &str, protocols: &[Protocol], old: Option<&Member<T>>) -> bool {
        if self.members.is_empty() {
            return !kind.is_empty() && !protocols.is_empty();
        }
        let others = self.members.len() - usize::from(old.is_some());
        let of_old =
            |name: &str| old.is_some_and(|old| old.protocols.iter().any(|p| &*p.name == name));
        self.protocol_type.as_deref() == Some(kind)
            && protocols.iter().any(|p| {
                let all = self.supported.get(&p.name).copied().unwrap_or(0);
                all - usize::from(of_old(&p.name)) == others
            })
    }

    fn join_unknown(&mut self, request: &JoinRequest, to: T, cx: &mut Context<'_, T>) {
        let prefix = request.instance_id.as_ref().unwrap_or(&request.client_id);
        let id = new_member_id(prefix, &*cx.shared.random);
        let replaced = request.instance_id.as_ref().and_then(|i| self.statics.get(i)).cloned();
        if let Some(old) = replaced {
            self.replace_static(&old, &id, request, to, cx);
        } else if request.instance_id.is_none() && request.knows_member_id_required {
            if self.pending.len() >= cx.shared.config.group_members_max {
                return cx.refuse(to, GroupError::GroupFull, &request.member_id);
            }
            self.add_pending(id.clone(), cx.now + request.session_timeout, cx.shared);
            cx.refuse(to, GroupError::MemberIdRequired, &id);
        } else {
            self.add_member(id, request, to, cx);
        }
    }

    fn add_member(&mut self, id: Name, request: &JoinRequest, to: T, cx: &mut Context<'_, T>) {
        self.remove_pending(&id, cx.shared);
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        self.joins += 1;
        let mut member = Member::new(id, request, self.joins);
        member.join = Some(to);
        if let Some(initial) = &mut self.initial {
            initial.joined = true;
        }
        let deadline = cx.now + cx.shared.config.new_member_timeout;
        self.insert(member, deadline, cx.shared);
        self.rebalance("a member joined", request.reason.as_ref(), cx);
    }

    fn join_again(&mut self, request: &JoinRequest, to: T, cx: &mut Context<'_, T>) {
        let id = &request.member_id;
        if let Err(error) = self.check_member(id, request.instance_id.as_deref()) {
            return cx.refuse(to, error, id);
        }
        let unchanged = self.members.get(id).is_some_and(|m| m.matches(&request.protocols));
        let current = match self.state {
            // It may not have received the answer to its first join.
            GroupState::CompletingRebalance => unchanged,
            // The leader joins again when something else than the members has changed.
            GroupState::Stable => unchanged && !self.is_leader(id),
            _ => false,
        };
        if current {
            let joined = self.joined(id, self.is_leader(id));
            return cx.joined(to, joined);
        }
        self.wait_for_join(id, request, to, cx);
        let what = if unchanged { "a member joined again" } else { "a member changed" };
        self.rebalance(what, request.reason.as_ref(), cx);
    }

    /// The member, as it describes itself now, waits for the join phase to end.
    pub(super) fn wait_for_join(
        &mut self,
        id: &Name,
        request: &JoinRequest,
        to: T,
        cx: &mut Context<'_, T>,
    ) {
        let mut earlier = None;
        self.change(id, cx.shared, |member| {
            member.update(request);
            earlier = member.join.replace(to);
        });
        if let Some(earlier) = earlier {
            cx.refuse(earlier, GroupError::RebalanceInProgress, id);
        }
        // A new member has shown that it still lives; its heartbeats cannot.
        if self.members.get(id).is_some_and(|m| m.is_new) {
            self.extend(id, cx.now + cx.shared.config.new_member_timeout, cx.shared);
        }
    }

    /// The present generation, as one of its members is told about it.
    pub(super) fn joined(&self, id: &Name, list_members: bool) -> Joined {
        Joined {
            member_id: id.clone(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            members: if list_members { self.joined_members() } else { Vec::new() },
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let told = |member: &Member<T>| JoinedMember {
            member_id: member.id.clone(),
            instance_id: member.instance.clone(),
            metadata: member.metadata(protocol),
        };
        self.members.values().map(told).collect()
    }
}

/// `prefix-uuid`, unguessable: who knows it can act as the member.
fn new_member_id(prefix: &str, random: &dyn Random) -> Name {
    let mut id = prefix[..prefix.floor_char_boundary(ID_PREFIX_BYTES_MAX)].to_owned();
    // Writing to a string cannot fail.
    let _ = write!(id, "-{}", base::TopicId::random(random));
    id.into()
}
