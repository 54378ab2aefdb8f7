//! What operators see.

use base::Millis;
use bytes::Bytes;

use super::membership::Membership;
use super::types::{GroupKind, GroupState};
use crate::{GroupError, Name};

/// Which groups to list. An empty list of a kind means all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Groups in one of these states.
    pub states: Vec<GroupState>,
    /// Groups of one of these kinds.
    pub kinds: Vec<GroupKind>,
}

/// One line of a list of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The group's name.
    pub group: Name,
    /// Where it is in its life.
    pub state: GroupState,
    /// How it shares its work out.
    pub kind: GroupKind,
    /// What its members call it, such as "consumer"; `None` when it never had members.
    pub protocol_type: Option<Name>,
}

/// A group, in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The group's name.
    pub group: Name,
    /// Where it is in its life.
    pub state: GroupState,
    /// Since when it is there.
    pub state_since: Millis,
    /// The generation.
    pub generation: i32,
    /// What its members call it; `None` when it never had members.
    pub protocol_type: Option<Name>,
    /// The assignment protocol chosen; only while stable.
    pub protocol: Option<Name>,
    /// The leader's member id.
    pub leader: Option<Name>,
    /// The members, in the order of their ids.
    pub members: Vec<MemberDescription>,
    /// Ids handed out to members that have not come back with them.
    pub pending: usize,
    /// What caused the last rebalance, since the start.
    pub last_rebalance: Option<Rebalance>,
}

/// One member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    /// The member's id.
    pub member_id: Name,
    /// The instance id of a static member.
    pub instance_id: Option<Name>,
    /// What the client calls itself.
    pub client_id: Name,
    /// Where the client connects from.
    pub client_host: Name,
    /// The subscription under the protocol chosen; empty unless the group is stable.
    pub metadata: Bytes,
    /// What is assigned to it.
    pub assignment: Bytes,
}

/// Why a group had to share out its work again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebalance {
    /// What happened.
    pub what: &'static str,
    /// What the member said about it (KIP-800).
    pub reason: Option<Name>,
    /// When.
    pub at: Millis,
}

impl<T> Membership<T> {
    pub(crate) fn describe(&self, name: &str) -> Result<Description, GroupError> {
        let group = self.groups.get(name).ok_or(GroupError::NotFound)?;
        let protocol = group.protocol.clone().filter(|_| group.state == GroupState::Stable);
        let members = group.members.values().map(|m| MemberDescription {
            member_id: m.id.clone(),
            instance_id: m.instance.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            metadata: protocol.as_ref().map(|p| m.metadata(p)).unwrap_or_default(),
            assignment: m.assignment.clone(),
        });
        Ok(Description {
            group: group.name.clone(),
            state: group.state,
            state_since: group.state_since,
            generation: group.generation,
            protocol_type: group.protocol_type.clone(),
            members: members.collect(),
            protocol,
            leader: group.leader.clone(),
            pending: group.pending.len(),
            last_rebalance: group.last_rebalance.clone(),
        })
    }

    /// In the order of their names.
    pub(crate) fn list(&self, filter: &Filter) -> Vec<Listing> {
        let listed = |state| filter.states.is_empty() || filter.states.contains(&state);
        if !filter.kinds.is_empty() && !filter.kinds.contains(&GroupKind::Classic) {
            return Vec::new();
        }
        let groups = self.groups.values().filter(|group| listed(group.state));
        let mut listings: Vec<_> = groups
            .map(|group| Listing {
                group: group.name.clone(),
                state: group.state,
                kind: GroupKind::Classic,
                protocol_type: group.protocol_type.clone(),
            })
            .collect();
        listings.sort_by(|a, b| a.group.cmp(&b.group));
        listings
    }

    /// What the members subscribe to, in every state: their metadata under the protocol chosen, or
    /// under the one that they like best.
    pub(crate) fn subscriptions(&self, name: &str) -> Vec<Bytes> {
        let Some(group) = self.groups.get(name) else { return Vec::new() };
        let chosen = |m: &super::member::Member<T>| {
            let chosen = m.protocols.iter().find(|p| Some(&p.name) == group.protocol.as_ref());
            chosen.or(m.protocols.first()).map(|p| p.metadata.clone())
        };
        group.members.values().filter_map(chosen).collect()
    }

    /// Since when the offsets of a group are not in use: `None` when they are.
    pub(crate) fn idle(&self, name: &str) -> Option<Idle> {
        let group = self.groups.get(name)?;
        if group.state != GroupState::Empty || !group.pending.is_empty() {
            return None;
        }
        Some(match group.protocol_type {
            Some(_) => Idle::Since(group.state_since),
            None => Idle::Always,
        })
    }
}

/// How long a group has been without members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idle {
    /// It never had any.
    Always,
    /// Since then.
    Since(Millis),
}
