//! All groups, and the way from a request to its group.

use std::collections::HashMap;
use std::sync::Arc;

use base::{Millis, Random, limits};

use super::state::{Context, Group, Shared, Usage};
use super::timers::{Timer, Timers};
use super::types::{GroupState, JoinRequest, LeaveRequest, SyncRequest};
use crate::output::{Outbox, Ticket};
use crate::record::{Record, encode_group_key};
use crate::{Config, GroupError, Name, Persisted};

/// The membership of all groups of this broker.
#[derive(Debug)]
pub(crate) struct Membership<T> {
    pub(super) groups: HashMap<Name, Group<T>>,
    pub(super) shared: Shared,
}

impl<T> Membership<T> {
    pub(crate) fn new(config: Config, random: Arc<dyn Random>) -> Self {
        let shared = Shared {
            config,
            random,
            timers: Timers::default(),
            others: Usage::default(),
            bytes: 0,
            tickets: HashMap::new(),
        };
        Self { groups: HashMap::new(), shared }
    }

    pub(crate) fn join(
        &mut self,
        request: JoinRequest,
        to: T,
        now: Millis,
        outbox: &mut Outbox<T>,
    ) {
        let name = request.group.clone();
        let checked = self.check_join(&request);
        let mut cx = Context { now, shared: &mut self.shared, outbox };
        if let Err(error) = checked {
            return cx.refuse(to, error, &request.member_id);
        }
        if !self.groups.contains_key(&name) {
            self.groups.insert(name.clone(), Group::new(name.clone(), now));
        }
        if let Some(group) = self.groups.get_mut(&name) {
            group.join(request, to, &mut cx);
        }
        self.forget_unused(&name);
    }

    /// What can be said about a join without looking at the group's state.
    fn check_join(&self, request: &JoinRequest) -> Result<(), GroupError> {
        let config = &self.shared.config;
        check_name(&request.group)?;
        let sessions = config.session_timeout_min..=config.session_timeout_max;
        if !sessions.contains(&request.session_timeout) {
            return Err(GroupError::InvalidSessionTimeout);
        }
        let names = [Some(&request.member_id), request.instance_id.as_ref()];
        let names = names.into_iter().flatten().chain([&request.protocol_type]);
        let names = names.chain(request.protocols.iter().map(|p| &p.name));
        if names.into_iter().any(|name| name.len() > limits::GROUP_NAME_BYTES_MAX) {
            return Err(GroupError::TooLarge);
        }
        let exists = self.groups.contains_key(&request.group);
        if !request.member_id.is_empty() {
            return if exists { Ok(()) } else { Err(GroupError::UnknownMember) };
        }
        let others = self.shared.others;
        if (!exists && self.groups.len() + others.groups >= config.groups_max)
            || self.shared.timers.len() + others.members >= config.members_max
        {
            return Err(GroupError::LimitReached);
        }
        Ok(())
    }

    pub(crate) fn sync(
        &mut self,
        request: &SyncRequest,
        to: T,
        now: Millis,
        outbox: &mut Outbox<T>,
    ) {
        let mut cx = Context { now, shared: &mut self.shared, outbox };
        match check_name(&request.group) {
            Err(error) => cx.synced(to, Err(error)),
            Ok(()) => match self.groups.get_mut(&request.group) {
                None => cx.synced(to, Err(GroupError::UnknownMember)),
                Some(group) => group.sync(request, to, &mut cx),
            },
        }
    }

    pub(crate) fn leave(
        &mut self,
        request: &LeaveRequest,
        now: Millis,
        outbox: &mut Outbox<T>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        check_name(&request.group)?;
        let Some(group) = self.groups.get_mut(&request.group) else {
            return Ok(vec![Err(GroupError::UnknownMember); request.leavers.len()]);
        };
        let mut cx = Context { now, shared: &mut self.shared, outbox };
        let results = group.leave(&request.leavers, &mut cx);
        self.forget_unused(&request.group);
        results
    }

    /// A persist has ended.
    pub(crate) fn persisted(
        &mut self,
        ticket: Ticket,
        outcome: Persisted,
        now: Millis,
        outbox: &mut Outbox<T>,
    ) {
        let Some(name) = self.shared.tickets.remove(&ticket) else { return };
        let Some(group) = self.groups.get_mut(&name) else { return };
        let mut cx = Context { now, shared: &mut self.shared, outbox };
        group.persisted(ticket, outcome, &mut cx);
    }

    /// Runs the timers that are due.
    pub(crate) fn tick(&mut self, now: Millis, outbox: &mut Outbox<T>) {
        while let Some((at, timer)) = self.shared.timers.pop(now) {
            let mut cx = Context { now, shared: &mut self.shared, outbox };
            let (Timer::Phase(name) | Timer::Member(name, _)) = &timer;
            let Some(group) = self.groups.get_mut(name) else { continue };
            // Back in place, so that there is one way only to remove a timer.
            cx.shared.timers.set(at, timer.clone());
            match &timer {
                Timer::Phase(_) => group.phase_ended(&mut cx),
                Timer::Member(_, member) => group.session_ended(member, &mut cx),
            }
            self.forget_unused(name);
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.shared.timers.next()
    }

    /// Makes sure that the group is known, because offsets are committed for it.
    pub(crate) fn keep_for_offsets(&mut self, name: &Name, now: Millis) {
        if !self.groups.contains_key(name) {
            self.groups.insert(name.clone(), Group::new(name.clone(), now));
        }
        if let Some(group) = self.groups.get_mut(name) {
            group.has_offsets = true;
        }
    }

    /// Whether one more group fits, if this one is not known yet.
    pub(crate) fn has_room_for(&self, name: &str) -> bool {
        let known = self.groups.len() + self.shared.others.groups;
        self.groups.contains_key(name) || known < self.shared.config.groups_max
    }

    /// The group has no committed offsets (any more).
    pub(crate) fn without_offsets(&mut self, name: &str) {
        if let Some(group) = self.groups.get_mut(name) {
            group.has_offsets = false;
        }
        self.forget_unused(name);
    }

    /// What groups of other kinds take of the limits now.
    pub(crate) fn set_others(&mut self, others: Usage) {
        self.shared.others = others;
    }

    pub(crate) fn usage(&self) -> Usage {
        let (groups, members, bytes) = self.counts();
        Usage { groups, members, bytes }
    }

    /// Takes out an empty group, because one of another kind takes its place. Returns what deletes
    /// its stored state, if any is stored, and whether it was kept for committed offsets.
    pub(crate) fn give_way(&mut self, name: &str) -> (Option<Record>, bool) {
        let Some(mut group) = self.groups.remove(name) else { return (None, false) };
        while let Some(id) = group.pending.keys().next().cloned() {
            group.remove_pending(&id, &mut self.shared);
        }
        let deletion = || Record { key: encode_group_key(name), value: None };
        (group.latest.is_some().then(deletion), group.has_offsets)
    }

    fn forget_unused(&mut self, name: &str) {
        if self.groups.get(name).is_some_and(Group::is_unused) {
            self.groups.remove(name);
        }
    }

    /// Whether the group is empty, for an operation that needs it so.
    pub(crate) fn check_empty(&self, name: &str) -> Result<(), GroupError> {
        match self.groups.get(name).map(|group| group.state) {
            None => Err(GroupError::NotFound),
            Some(GroupState::Empty) => Ok(()),
            Some(GroupState::Dead) => Err(GroupError::NotAvailable),
            Some(_) => Err(GroupError::NotEmpty),
        }
    }

    /// Begins to delete an empty group, and returns what deletes its state, if any is stored.
    pub(crate) fn begin_delete(&mut self, name: &str, now: Millis) -> Option<Record> {
        let group = self.groups.get_mut(name)?;
        while let Some(id) = group.pending.keys().next().cloned() {
            group.remove_pending(&id, &mut self.shared);
        }
        group.enter(GroupState::Dead, now);
        let deletion = || Record { key: encode_group_key(name), value: None };
        group.latest.is_some().then(deletion)
    }

    /// Ends a deletion: the group is gone, or back.
    pub(crate) fn end_delete(&mut self, name: &str, outcome: Persisted, now: Millis) {
        match outcome {
            Persisted::Durable => {
                self.groups.remove(name);
            }
            Persisted::Failed => {
                if let Some(group) = self.groups.get_mut(name) {
                    group.enter(GroupState::Empty, now);
                }
            }
        }
    }

    /// The state of every group as a restart is to find it.
    pub(crate) fn snapshot(&self) -> impl Iterator<Item = Record> {
        self.groups.values().filter(|group| group.state != GroupState::Dead).filter_map(|group| {
            let value = group.latest.clone()?;
            Some(Record { key: encode_group_key(&group.name), value: Some(value) })
        })
    }

    pub(crate) fn names(&self) -> Vec<Name> {
        self.groups.keys().cloned().collect()
    }

    /// How many groups there are, and how many members with ids handed out.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        (self.groups.len(), self.shared.timers.len(), self.shared.bytes)
    }
}

/// Groups with members have a name, and not an endless one.
pub(crate) fn check_name(group: &str) -> Result<(), GroupError> {
    if group.is_empty() || group.len() > limits::GROUP_NAME_BYTES_MAX {
        return Err(GroupError::InvalidGroup);
    }
    Ok(())
}
