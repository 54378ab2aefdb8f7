//! One group: what it holds, and the small moves that every request is made of.
//!
//! Members come and go only through [`Group::insert`] and [`Group::remove`], and change their
//! protocols only through [`Group::change`], so that the counts kept beside them stay right.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::{Millis, Random};
use bytes::Bytes;

use super::describe::Rebalance;
use super::member::Member;
use super::timers::{Timer, Timers};
use super::types::{GroupState, JoinRefused, Joined, Synced};
use crate::output::{Outbox, Response, Ticket};
use crate::{Config, GroupError, Name};

/// How much groups take of what is limited.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) groups: usize,
    pub(crate) members: usize,
    pub(crate) bytes: usize,
}

/// What all groups share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) random: Arc<dyn Random>,
    pub(super) timers: Timers,
    /// What groups of other kinds take.
    pub(super) others: Usage,
    /// Of all groups' members together.
    pub(super) bytes: usize,
    /// Which group a persist belongs to.
    pub(super) tickets: HashMap<Ticket, Name>,
}

/// What one input works with besides its group.
pub(super) struct Context<'a, T> {
    pub(super) now: Millis,
    pub(super) shared: &'a mut Shared,
    pub(super) outbox: &'a mut Outbox<T>,
}

/// The first rebalance of an empty group waits for more members to arrive.
#[derive(Debug)]
pub(super) struct InitialDelay {
    /// What is left to wait for after the present delay.
    pub(super) remaining: Millis,
    /// Somebody came during the present delay.
    pub(super) joined: bool,
}

/// What a persist under way is to end.
#[derive(Debug)]
pub(super) enum InFlight {
    /// The leader's assignment, by member id.
    Assignment(HashMap<Name, Bytes>),
    /// The replacement of a static member in a stable group.
    Replacement(Replacement),
}

/// A static member that came back, and what to tell it.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) member: Name,
    /// The leader to name: an old client must not learn that it is the leader.
    pub(super) leader: Name,
    pub(super) skip_assignment: bool,
    pub(super) list_members: bool,
}

/// An id handed out to a member that has not come back with it (KIP-394).
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) timer_at: Millis,
}

#[derive(Debug)]
pub(super) struct Group<T> {
    pub(super) name: Name,
    pub(super) state: GroupState,
    pub(super) state_since: Millis,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<Name>,
    pub(super) protocol: Option<Name>,
    pub(super) leader: Option<Name>,
    pub(super) members: BTreeMap<Name, Member<T>>,
    /// Instance id to member id.
    pub(super) statics: HashMap<Name, Name>,
    pub(super) pending: BTreeMap<Name, Pending>,
    /// How many members support each protocol.
    pub(super) supported: HashMap<Name, usize>,
    /// How many members wait for the join phase to end.
    pub(super) joining: usize,
    /// How many members have not asked for the assignment of this generation.
    pub(super) unsynced: usize,
    /// When the present phase of a rebalance ends.
    pub(super) phase_at: Option<Millis>,
    pub(super) initial: Option<InitialDelay>,
    pub(super) in_flight: BTreeMap<Ticket, InFlight>,
    /// What its members count for against the limits.
    pub(super) bytes: usize,
    /// Number of joins so far, to order members by.
    pub(super) joins: u64,
    /// What was last put out to be persisted: the group as a restart would find it.
    pub(super) latest: Option<Bytes>,
    /// It has, or had a while ago, committed offsets, and is kept for them.
    pub(super) has_offsets: bool,
    pub(super) last_rebalance: Option<Rebalance>,
}

impl<T> Context<'_, T> {
    pub(super) fn refuse(&mut self, to: T, error: GroupError, member_id: &Name) {
        let refused = JoinRefused { error, member_id: member_id.clone() };
        self.outbox.reply(to, Response::Join(Err(refused)));
    }

    pub(super) fn joined(&mut self, to: T, joined: Joined) {
        self.outbox.reply(to, Response::Join(Ok(joined)));
    }

    pub(super) fn synced(&mut self, to: T, result: Result<Synced, GroupError>) {
        self.outbox.reply(to, Response::Sync(result));
    }
}

impl<T> Group<T> {
    pub(super) fn new(name: Name, now: Millis) -> Self {
        Self {
            name,
            state: GroupState::Empty,
            state_since: now,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            statics: HashMap::new(),
            pending: BTreeMap::new(),
            supported: HashMap::new(),
            joining: 0,
            unsynced: 0,
            phase_at: None,
            initial: None,
            in_flight: BTreeMap::new(),
            bytes: 0,
            joins: 0,
            latest: None,
            has_offsets: false,
            last_rebalance: None,
        }
    }

    /// Nothing would be lost with it.
    pub(super) fn is_unused(&self) -> bool {
        self.state == GroupState::Empty
            && self.pending.is_empty()
            && self.in_flight.is_empty()
            && self.latest.is_none()
            && !self.has_offsets
    }

    pub(super) fn enter(&mut self, state: GroupState, now: Millis) {
        self.state = state;
        self.state_since = now;
    }

    /// Whether the one who names itself so is a member: its id is known, and its instance id, if it
    /// has one, is its own.
    pub(super) fn check_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        if let Some(instance) = instance_id {
            match self.statics.get(instance) {
                None => return Err(GroupError::UnknownMember),
                Some(owner) if &**owner != member_id => return Err(GroupError::FencedInstance),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(GroupError::UnknownMember) }
    }

    pub(super) fn insert(&mut self, mut member: Member<T>, deadline: Millis, shared: &mut Shared) {
        member.deadline = deadline;
        member.timer_at = deadline;
        shared.timers.set(deadline, Timer::Member(self.name.clone(), member.id.clone()));
        self.put(member, shared);
    }

    /// Puts a member in whose timer is somebody else's business.
    pub(super) fn put(&mut self, member: Member<T>, shared: &mut Shared) {
        self.count(&member, shared);
        if let Some(instance) = &member.instance {
            self.statics.insert(instance.clone(), member.id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        self.members.insert(member.id.clone(), member);
    }

    /// Takes a member out. Whoever waits on its behalf is the caller's to answer.
    pub(super) fn remove(&mut self, id: &str, shared: &mut Shared) -> Option<Member<T>> {
        let member = self.members.remove(id)?;
        let timer = Timer::Member(self.name.clone(), member.id.clone());
        shared.timers.remove(member.timer_at, timer);
        self.uncount(&member, shared);
        if let Some(instance) = &member.instance {
            self.statics.remove(instance);
        }
        if self.leader.as_ref() == Some(&member.id) {
            self.leader = self.members.values().min_by_key(|m| m.order).map(|m| m.id.clone());
        }
        Some(member)
    }

    /// Changes a member, keeping the counts right.
    pub(super) fn change(
        &mut self,
        id: &str,
        shared: &mut Shared,
        change: impl FnOnce(&mut Member<T>),
    ) {
        let Some(mut member) = self.members.remove(id) else { return };
        self.uncount(&member, shared);
        change(&mut member);
        self.count(&member, shared);
        self.members.insert(member.id.clone(), member);
    }

    fn count(&mut self, member: &Member<T>, shared: &mut Shared) {
        self.joining += usize::from(member.join.is_some());
        self.unsynced += usize::from(!member.synced);
        self.bytes += member.bytes();
        shared.bytes += member.bytes();
        for protocol in &member.protocols {
            *self.supported.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    fn uncount(&mut self, member: &Member<T>, shared: &mut Shared) {
        self.joining -= usize::from(member.join.is_some());
        self.unsynced -= usize::from(!member.synced);
        self.bytes -= member.bytes();
        shared.bytes -= member.bytes();
        for protocol in &member.protocols {
            if let Some(count) = self.supported.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.supported.remove(&protocol.name);
                }
            }
        }
    }

    /// Hands out an id.
    pub(super) fn add_pending(&mut self, id: Name, deadline: Millis, shared: &mut Shared) {
        shared.timers.set(deadline, Timer::Member(self.name.clone(), id.clone()));
        self.pending.insert(id, Pending { timer_at: deadline });
    }

    /// Takes an id back, and says whether it had been handed out.
    pub(super) fn remove_pending(&mut self, id: &str, shared: &mut Shared) -> bool {
        let Some((id, pending)) = self.pending.remove_entry(id) else { return false };
        shared.timers.remove(pending.timer_at, Timer::Member(self.name.clone(), id));
        true
    }

    /// Sets or clears the end of the present phase.
    pub(super) fn set_phase(&mut self, at: Option<Millis>, shared: &mut Shared) {
        if let Some(old) = self.phase_at.take() {
            shared.timers.remove(old, Timer::Phase(self.name.clone()));
        }
        if let Some(at) = at {
            shared.timers.set(at, Timer::Phase(self.name.clone()));
            self.phase_at = Some(at);
        }
    }

    /// The session of a member lasts until `deadline`. Its timer is moved only when it would fire
    /// too late: firing too early costs one look, moving it costs that on every heartbeat.
    pub(super) fn extend(&mut self, id: &str, deadline: Millis, shared: &mut Shared) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.deadline = deadline;
        if deadline < member.timer_at {
            self.move_timer(id, deadline, shared);
        }
    }

    /// Sets the timer of a member to another time.
    pub(super) fn move_timer(&mut self, id: &str, at: Millis, shared: &mut Shared) {
        let Some(member) = self.members.get_mut(id) else { return };
        let timer = Timer::Member(self.name.clone(), member.id.clone());
        shared.timers.remove(member.timer_at, timer.clone());
        shared.timers.set(at, timer);
        member.timer_at = at;
    }

    /// The longest that a member wants to be waited for.
    pub(super) fn rebalance_timeout(&self) -> Millis {
        self.members.values().map(|m| m.rebalance_timeout).max().unwrap_or(0)
    }

    pub(super) fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }
}
