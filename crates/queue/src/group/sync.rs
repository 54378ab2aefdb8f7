//! Syncing: the leader brings the assignment, everybody fetches their part of it.

use std::collections::HashMap;

use bytes::Bytes;

use super::state::{Context, Group, InFlight};
use super::types::{GroupState, SyncRequest, Synced};
use crate::{GroupError, Name};

impl<T> Group<T> {
    pub(super) fn sync(&mut self, request: &SyncRequest, to: T, cx: &mut Context<'_, T>) {
        if let Err(error) = self.check_sync(request) {
            return cx.synced(to, Err(error));
        }
        if self.state == GroupState::Stable {
            self.mark_synced(&request.member_id, cx);
            let assigned = self.members.get(&request.member_id).map(|m| m.assignment.clone());
            let synced = self.synced(assigned.unwrap_or_default());
            return cx.synced(to, Ok(synced));
        }
        let brings = self.is_leader(&request.member_id) && !self.is_assigning();
        let proposed =
            if brings { self.check_assignments(&request.assignments, cx) } else { Ok(None) };
        match proposed {
            Err(error) => cx.synced(to, Err(error)),
            Ok(proposed) => {
                self.wait_for_sync(&request.member_id, to, cx);
                if let Some(assignments) = proposed {
                    let ticket = self.persist(Some(&assignments), cx);
                    self.in_flight.insert(ticket, InFlight::Assignment(assignments));
                }
            }
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), GroupError> {
        if self.state == GroupState::Dead {
            return Err(GroupError::NotAvailable);
        }
        self.check_member(&request.member_id, request.instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let differs = |said: &Option<Name>, is: &Option<Name>| said.is_some() && said != is;
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol, &self.protocol)
        {
            return Err(GroupError::InconsistentProtocol);
        }
        match self.state {
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    fn is_assigning(&self) -> bool {
        self.in_flight.values().any(|what| matches!(what, InFlight::Assignment(_)))
    }

    /// What the leader assigns, of members that exist; the others get nothing.
    fn check_assignments(
        &self,
        assignments: &[(Name, Bytes)],
        cx: &Context<'_, T>,
    ) -> Result<Option<HashMap<Name, Bytes>>, GroupError> {
        let known = assignments.iter().filter(|(id, _)| self.members.contains_key(id));
        // The request's data may be slices of a large frame: a copy lets go of the frame.
        let known: HashMap<_, _> =
            known.map(|(id, bytes)| (id.clone(), Bytes::copy_from_slice(bytes))).collect();
        let more: usize = known.values().map(Bytes::len).sum();
        let old: usize = self.members.values().map(|m| m.assignment.len()).sum();
        if self.bytes - old + more > cx.shared.config.group_bytes_max {
            return Err(GroupError::TooLarge);
        }
        if cx.shared.bytes + cx.shared.others.bytes - old + more > cx.shared.config.bytes_max {
            return Err(GroupError::LimitReached);
        }
        Ok(Some(known))
    }

    fn wait_for_sync(&mut self, id: &Name, to: T, cx: &mut Context<'_, T>) {
        let earlier = self.members.get_mut(id).and_then(|member| member.sync.replace(to));
        if let Some(earlier) = earlier {
            cx.synced(earlier, Err(GroupError::RebalanceInProgress));
        }
        self.mark_synced(id, cx);
    }

    fn mark_synced(&mut self, id: &Name, cx: &mut Context<'_, T>) {
        let Some(member) = self.members.get_mut(id).filter(|m| !m.synced) else { return };
        member.synced = true;
        self.unsynced -= 1;
        if self.unsynced == 0 {
            self.set_phase(None, cx.shared);
        }
    }

    /// The assignment is durable: everybody gets their part.
    pub(super) fn assign(&mut self, assignments: &HashMap<Name, Bytes>, cx: &mut Context<'_, T>) {
        self.enter(GroupState::Stable, cx.now);
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let mut waiting = None;
            let mut session = 0;
            let assignment = assignments.get(&id).cloned().unwrap_or_default();
            self.change(&id, cx.shared, |member| {
                waiting = member.sync.take();
                session = member.session_timeout;
                member.assignment = assignment.clone();
            });
            if let Some(to) = waiting {
                let synced = self.synced(assignment);
                cx.synced(to, Ok(synced));
                // It was not expected to send heartbeats while it waited.
                self.extend(&id, cx.now + session, cx.shared);
            }
        }
    }

    fn synced(&self, assignment: Bytes) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment,
        }
    }
}
