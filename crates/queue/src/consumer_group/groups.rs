//! All consumer groups, and the way from a request to its group.

use std::collections::HashMap;
use std::sync::Arc;

use base::{Millis, Random};

use super::describe;
use super::group::{Context, Group, Shared};
use super::restore::Restoring;
use super::topics::Topics;
use super::types::{ConsumerDescription, HeartbeatRequest, JOIN_EPOCH, TopicView};
use crate::group::{Filter, GroupKind, GroupState, Idle, Listing, Timer, Timers, Usage};
use crate::output::{Outbox, Response, Ticket};
use crate::record::Record;
use crate::{Config, GroupError, Name, Persisted};

/// The consumer groups of this broker.
#[derive(Debug)]
pub(crate) struct ConsumerGroups<T> {
    pub(super) groups: HashMap<Name, Group<T>>,
    pub(super) shared: Shared,
    pub(super) restoring: Restoring,
}

impl<T> ConsumerGroups<T> {
    pub(crate) fn new(config: Config, random: Arc<dyn Random>) -> Self {
        let shared = Shared {
            config,
            random,
            timers: Timers::default(),
            topics: Topics::default(),
            others: Usage::default(),
            bytes: 0,
            tickets: HashMap::new(),
        };
        Self { groups: HashMap::new(), shared, restoring: Restoring::default() }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.groups.contains_key(name)
    }

    /// A heartbeat that has been checked. A new group is made for one who joins.
    pub(crate) fn heartbeat(
        &mut self,
        request: &HeartbeatRequest,
        to: T,
        now: Millis,
        outbox: &mut Outbox<T>,
    ) {
        let name = &request.group;
        if request.epoch == JOIN_EPOCH && !self.groups.contains_key(name) {
            let known = self.groups.len() + self.shared.others.groups;
            if known >= self.shared.config.groups_max {
                return outbox.reply(to, Response::Heartbeat(Err(GroupError::LimitReached)));
            }
            self.groups.insert(name.clone(), Group::new(name.clone(), now));
        }
        let mut cx = Context { now, shared: &mut self.shared, outbox };
        let Some(group) = self.groups.get_mut(name) else {
            // It had no such member: the last one has left, or was removed.
            return cx.outbox.reply(to, Response::Heartbeat(Err(GroupError::UnknownMember)));
        };
        match group.heartbeat(request, &mut cx) {
            Ok(answer) => group.flush(Some((to, answer)), &mut cx),
            Err(error) => cx.outbox.reply(to, Response::Heartbeat(Err(error))),
        }
        self.forget_unused(name);
    }

    /// Takes over an empty group of another kind: its offsets stay.
    pub(crate) fn take_over(&mut self, name: &Name, has_offsets: bool, now: Millis) {
        let mut group = Group::new(name.clone(), now);
        group.has_offsets = has_offsets;
        self.groups.insert(name.clone(), group);
    }

    /// Takes out an empty group, because one of another kind takes its place. Returns what deletes
    /// its stored state, and whether it was kept for committed offsets.
    pub(crate) fn give_way(
        &mut self,
        name: &str,
        now: Millis,
        outbox: &mut Outbox<T>,
    ) -> (Vec<Record>, bool) {
        let Some(mut group) = self.groups.remove(name) else { return (Vec::new(), false) };
        group.abandon(&mut Context { now, shared: &mut self.shared, outbox });
        (group.deletion(), group.has_offsets)
    }

    /// Whether the caller may commit offsets: a member in its present epoch, or, while there are no
    /// members, anybody who is none.
    pub(crate) fn check_commit(
        &self,
        group: &str,
        member_id: &str,
        epoch: i32,
    ) -> Result<(), GroupError> {
        let group = self.groups.get(group).ok_or(GroupError::NotFound)?;
        match group.members.get(member_id) {
            _ if group.dead => Err(GroupError::NotAvailable),
            None if epoch < 0 && group.members.is_empty() => Ok(()),
            None => Err(GroupError::UnknownMember),
            Some(member) if member.epoch == epoch => Ok(()),
            Some(_) => Err(GroupError::StaleEpoch),
        }
    }

    /// Whether the caller may fetch offsets, if it says who it is.
    pub(crate) fn check_fetch(
        &self,
        group: &str,
        member_id: Option<&str>,
        epoch: i32,
    ) -> Result<(), GroupError> {
        let Some(group) = self.groups.get(group) else { return Ok(()) };
        match member_id.map(|id| group.members.get(id)) {
            None if epoch < 0 => Ok(()),
            None | Some(None) => Err(GroupError::UnknownMember),
            Some(Some(member)) if member.epoch == epoch => Ok(()),
            Some(Some(_)) => Err(GroupError::StaleEpoch),
        }
    }

    /// A persist has ended. Whether it was one of these groups'.
    pub(crate) fn persisted(
        &mut self,
        ticket: Ticket,
        outcome: Persisted,
        now: Millis,
        outbox: &mut Outbox<T>,
    ) -> bool {
        let Some(name) = self.shared.tickets.remove(&ticket) else { return false };
        if let Some(group) = self.groups.get_mut(&name) {
            group.persisted(
                ticket,
                outcome,
                &mut Context { now, shared: &mut self.shared, outbox },
            );
        }
        self.forget_unused(&name);
        true
    }

    /// Runs the timers that are due.
    pub(crate) fn tick(&mut self, now: Millis, outbox: &mut Outbox<T>) {
        while let Some((at, timer)) = self.shared.timers.pop(now) {
            let (Timer::Phase(name) | Timer::Member(name, _)) = &timer;
            let Some(group) = self.groups.get_mut(name) else { continue };
            // Back in place, so that there is one way only to remove a timer.
            self.shared.timers.set(at, timer.clone());
            let mut cx = Context { now, shared: &mut self.shared, outbox };
            if let Timer::Member(_, member) = &timer {
                group.timer_fired(member, &mut cx);
                group.flush(None, &mut cx);
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.shared.timers.next()
    }

    /// A topic is new, or has changed.
    pub(crate) fn topic_put(&mut self, topic: TopicView) {
        let name = topic.name.clone();
        if self.shared.topics.put(topic) {
            self.groups.values_mut().for_each(|group| group.topic_changed(&name, true));
        }
    }

    /// A topic is gone.
    pub(crate) fn topic_deleted(&mut self, name: &str) {
        if self.shared.topics.remove(name) {
            let name = Name::from(name);
            self.groups.values_mut().for_each(|group| group.topic_changed(&name, false));
        }
    }

    pub(crate) fn subscribes(&self, group: &str, topic: &str) -> bool {
        self.groups.get(group).is_some_and(|group| group.subscribes(topic))
    }

    pub(crate) fn describe(&self, name: &str) -> Result<ConsumerDescription, GroupError> {
        self.groups.get(name).map(describe::group).ok_or(GroupError::NotFound)
    }

    /// In no particular order.
    pub(crate) fn list(&self, filter: &Filter) -> impl Iterator<Item = Listing> {
        let kind = GroupKind::Consumer;
        let of_kind = filter.kinds.is_empty() || filter.kinds.contains(&kind);
        let groups = self.groups.values().filter(move |_| of_kind);
        let listing = move |group: &Group<T>| Listing {
            group: group.name.clone(),
            state: group.state(),
            kind,
            protocol_type: Some(kind.as_str().into()),
        };
        let listed = |state: &GroupState| filter.states.is_empty() || filter.states.contains(state);
        groups.map(listing).filter(move |listing| listed(&listing.state))
    }

    /// Whether the group is empty, for an operation that needs it so.
    pub(crate) fn check_empty(&self, name: &str) -> Result<(), GroupError> {
        match self.groups.get(name) {
            None => Err(GroupError::NotFound),
            Some(group) if group.dead => Err(GroupError::NotAvailable),
            Some(group) if group.members.is_empty() => Ok(()),
            Some(_) => Err(GroupError::NotEmpty),
        }
    }

    /// Since when the offsets of a group are not in use: `None` when they are.
    pub(crate) fn idle(&self, name: &str) -> Option<Idle> {
        self.check_empty(name).ok()?;
        self.groups.get(name).map(|group| Idle::Since(group.changed_at))
    }

    /// Offsets are committed for the group, or there are none (any more).
    pub(crate) fn set_has_offsets(&mut self, name: &str, has_offsets: bool) {
        if let Some(group) = self.groups.get_mut(name) {
            group.has_offsets = has_offsets;
        }
        self.forget_unused(name);
    }

    /// Begins to delete an empty group, and returns what deletes its state, if any is stored.
    pub(crate) fn begin_delete(&mut self, name: &str) -> Vec<Record> {
        let Some(group) = self.groups.get_mut(name) else { return Vec::new() };
        group.dead = true;
        group.deletion()
    }

    /// Ends a deletion: the group is gone, or back.
    pub(crate) fn end_delete(
        &mut self,
        name: &str,
        outcome: Persisted,
        now: Millis,
        outbox: &mut Outbox<T>,
    ) {
        match outcome {
            Persisted::Durable => drop(self.give_way(name, now, outbox)),
            Persisted::Failed => {
                if let Some(group) = self.groups.get_mut(name) {
                    group.dead = false;
                    // Whether its record is still there is open.
                    group.changed.group |= group.stored;
                }
            }
        }
    }

    /// The state of every group as a restart is to find it.
    pub(crate) fn snapshot(&self) -> impl Iterator<Item = Record> {
        self.groups.values().flat_map(Group::snapshot)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.groups.keys()
    }

    /// What groups of other kinds take of the limits now.
    pub(crate) fn set_others(&mut self, others: Usage) {
        self.shared.others = others;
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            groups: self.groups.len(),
            members: self.shared.timers.len(),
            bytes: self.shared.bytes,
        }
    }

    fn forget_unused(&mut self, name: &str) {
        if self.groups.get(name).is_some_and(Group::is_unused) {
            self.groups.remove(name);
        }
    }
}
