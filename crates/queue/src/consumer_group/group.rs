//! One consumer group: what it holds, and the small moves that every input is made of.
//!
//! Members come and go only through [`Group::insert`] and [`Group::remove`], and change what they
//! subscribe to or own only through [`Group::change`], so that what is counted beside them stays
//! right.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use base::{Millis, Random, TopicId};
use regex::Regex;

use super::assignor::{Assignor, Candidate};
use super::journal::{Changed, InFlight};
use super::member::{Member, about_bytes};
use super::pattern;
use super::topics::Topics;
use super::types::Timing;
use crate::group::{GroupState, Timer, Timers, Usage};
use crate::output::{Outbox, Ticket};
use crate::{Config, GroupError, Name};

/// What all consumer groups share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) random: Arc<dyn Random>,
    pub(super) timers: Timers,
    pub(super) topics: Topics,
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

/// A pattern that members subscribe to.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) regex: Regex,
    /// How many members subscribe to it.
    pub(super) members: usize,
    /// The topics that match it.
    pub(super) topics: BTreeSet<Name>,
}

#[derive(Debug)]
pub(super) struct Group<T> {
    pub(super) name: Name,
    pub(super) epoch: i32,
    pub(super) target_epoch: i32,
    /// What made the target assignment.
    pub(super) assignor: Assignor,
    pub(super) members: BTreeMap<Name, Member>,
    /// Instance id to member id.
    pub(super) statics: HashMap<Name, Name>,
    /// Who owns what, or is still to give it back.
    pub(super) owners: BTreeMap<(TopicId, i32), Name>,
    /// How many members subscribe to each topic by name.
    pub(super) named: HashMap<Name, usize>,
    pub(super) patterns: BTreeMap<Name, Pattern>,
    /// When members last came or went.
    pub(super) changed_at: Millis,
    /// The topics have changed, or may have: the target assignment may not fit them.
    pub(super) stale: bool,
    /// What the journal had did not fit together: a new target assignment is needed anyway.
    pub(super) broken: bool,
    pub(super) has_offsets: bool,
    /// What the last heartbeat found set for it.
    pub(super) timing: Option<Timing>,
    /// It is being deleted.
    pub(super) dead: bool,
    /// It has been put out to be persisted.
    pub(super) stored: bool,
    /// What of it differs from what was put out last.
    pub(super) changed: Changed,
    /// What is on its way to the journal, oldest first.
    pub(super) in_flight: VecDeque<InFlight<T>>,
    /// What its members count for against the limits.
    pub(super) bytes: usize,
}

impl<T> Group<T> {
    pub(super) fn new(name: Name, now: Millis) -> Self {
        Self {
            name,
            epoch: 0,
            target_epoch: 0,
            assignor: Assignor::DEFAULT,
            members: BTreeMap::new(),
            statics: HashMap::new(),
            owners: BTreeMap::new(),
            named: HashMap::new(),
            patterns: BTreeMap::new(),
            changed_at: now,
            stale: false,
            broken: false,
            has_offsets: false,
            timing: None,
            dead: false,
            stored: false,
            changed: Changed::default(),
            in_flight: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(super) fn state(&self) -> GroupState {
        let reconciled = |member: &Member| member.is_reconciled(self.target_epoch);
        if self.dead {
            GroupState::Dead
        } else if self.members.is_empty() {
            GroupState::Empty
        } else if self.epoch > self.target_epoch {
            GroupState::Assigning
        } else if self.members.values().all(reconciled) {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    /// Nothing would be lost with it.
    pub(super) fn is_unused(&self) -> bool {
        self.members.is_empty()
            && !self.dead
            && !self.stored
            && !self.has_offsets
            && self.in_flight.is_empty()
    }

    /// The members, or what they subscribe to, have changed.
    pub(super) fn bump(&mut self) {
        self.epoch = self.epoch.saturating_add(1);
        self.changed.group = true;
    }

    /// Puts a member in; its timer is set to the end of its session.
    pub(super) fn insert(&mut self, mut member: Member, shared: &mut Shared) {
        member.timer_at = member.next_deadline();
        shared.timers.set(member.timer_at, Timer::Member(self.name.clone(), member.id.clone()));
        self.put(member, shared);
    }

    /// Puts a member in whose timer is somebody else's business.
    pub(super) fn put(&mut self, member: Member, shared: &mut Shared) {
        self.count(&member, shared);
        if let Some(instance) = &member.about.instance_id {
            self.statics.insert(instance.clone(), member.id.clone());
        }
        self.changed.members.insert(member.id.clone());
        self.members.insert(member.id.clone(), member);
    }

    pub(super) fn remove(&mut self, id: &str, shared: &mut Shared) -> Option<Member> {
        let member = self.members.remove(id)?;
        shared.timers.remove(member.timer_at, Timer::Member(self.name.clone(), member.id.clone()));
        self.uncount(&member, shared);
        if let Some(instance) = &member.about.instance_id {
            self.statics.remove(instance);
        }
        self.changed.members.insert(member.id.clone());
        Some(member)
    }

    /// Changes a member, keeping what is counted right.
    pub(super) fn change(
        &mut self,
        id: &str,
        shared: &mut Shared,
        change: impl FnOnce(&mut Member),
    ) {
        let Some(mut member) = self.members.remove(id) else { return };
        self.uncount(&member, shared);
        let instance = member.about.instance_id.clone();
        change(&mut member);
        if instance != member.about.instance_id {
            if let Some(old) = &instance {
                self.statics.remove(old);
            }
            if let Some(new) = &member.about.instance_id {
                self.statics.insert(new.clone(), member.id.clone());
            }
        }
        self.count(&member, shared);
        self.members.insert(member.id.clone(), member);
    }

    fn count(&mut self, member: &Member, shared: &mut Shared) {
        let bytes = about_bytes(&member.about);
        self.bytes += bytes;
        shared.bytes += bytes;
        for partition in member.assigned.iter().chain(&member.revoking) {
            self.owners.insert(*partition, member.id.clone());
        }
        for topic in &member.about.topics {
            *self.named.entry(topic.clone()).or_default() += 1;
        }
        if let Some(pattern) = &member.about.pattern {
            self.count_pattern(pattern, &shared.topics);
        }
    }

    fn count_pattern(&mut self, pattern: &Name, topics: &Topics) {
        if let Some(known) = self.patterns.get_mut(pattern) {
            known.members += 1;
        } else if let Ok(regex) = pattern::compile(pattern) {
            let matching = topics.names().filter(|name| regex.is_match(name)).cloned().collect();
            let new = Pattern { regex, members: 1, topics: matching };
            self.patterns.insert(pattern.clone(), new);
        }
    }

    fn uncount(&mut self, member: &Member, shared: &mut Shared) {
        let bytes = about_bytes(&member.about);
        self.bytes -= bytes;
        shared.bytes -= bytes;
        for partition in member.assigned.iter().chain(&member.revoking) {
            self.owners.remove(partition);
        }
        for topic in &member.about.topics {
            if let Some(count) = self.named.get_mut(topic) {
                *count -= 1;
                if *count == 0 {
                    self.named.remove(topic);
                }
            }
        }
        if let Some(pattern) = &member.about.pattern
            && let Some(known) = self.patterns.get_mut(pattern)
        {
            known.members -= 1;
            // Kept for the moment: a change takes a member out and puts it in again.
        }
    }

    /// What is set for the group, or for all of them.
    pub(super) fn timing(&self, shared: &Shared) -> Timing {
        self.timing.unwrap_or(Timing {
            session: shared.config.consumer_session_timeout,
            interval: shared.config.consumer_heartbeat_interval,
        })
    }

    /// Forgets patterns that nobody subscribes to any more.
    pub(super) fn forget_patterns(&mut self) {
        self.patterns.retain(|_, pattern| pattern.members > 0);
    }

    /// The member lives: its session lasts from now on. Its timer is moved only when it would fire
    /// too late.
    pub(super) fn touch(&mut self, id: &str, now: Millis, shared: &mut Shared) {
        let session = self.timing(shared).session;
        let Some(member) = self.members.get_mut(id) else { return };
        member.deadline = now + session;
        let next = member.next_deadline();
        if next < member.timer_at {
            self.move_timer(id, next, shared);
        }
    }

    pub(super) fn move_timer(&mut self, id: &str, at: Millis, shared: &mut Shared) {
        let Some(member) = self.members.get_mut(id) else { return };
        let timer = Timer::Member(self.name.clone(), member.id.clone());
        shared.timers.remove(member.timer_at, timer.clone());
        shared.timers.set(at, timer);
        member.timer_at = at;
    }

    /// The member whose timer has fired, or who leaves, is gone. The others learn it when they
    /// come: the new target assignment is made for the first of them.
    pub(super) fn member_gone(&mut self, id: &str, cx: &mut Context<'_, T>) {
        if self.remove(id, cx.shared).is_some() {
            self.forget_patterns();
            self.changed_at = cx.now;
            self.bump();
        }
    }

    /// The timer of a member has fired: its session has ended, or it kept what it was to give back.
    pub(super) fn timer_fired(&mut self, id: &str, cx: &mut Context<'_, T>) {
        let Some(member) = self.members.get(id) else { return };
        let next = member.next_deadline();
        if next > cx.now {
            return self.move_timer(id, next, cx.shared);
        }
        self.member_gone(id, cx);
    }

    /// What a member subscribes to and exists; of what its pattern finds, only what it may know of.
    fn subscription(
        &self,
        member: &Member,
        topics: &Topics,
        seen: &mut BTreeMap<TopicId, i32>,
    ) -> BTreeSet<TopicId> {
        let matching = member.about.pattern.as_ref().and_then(|p| self.patterns.get(p));
        let matching = matching.into_iter().flat_map(|pattern| &pattern.topics);
        let matching = matching.filter(|name| member.sight.sees(name));
        let mut ids = BTreeSet::new();
        for name in member.about.topics.iter().chain(matching) {
            if let Some((id, partitions)) = topics.get(name) {
                ids.insert(id);
                seen.insert(id, partitions);
            }
        }
        ids
    }

    /// What the members like best: most votes win, and among equals the default.
    pub(super) fn preferred_assignor(&self) -> Assignor {
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member.about.assignor.as_ref().and_then(|name| name.parse().ok());
            if let Some(assignor) = vote {
                *votes.entry(assignor).or_default() += 1;
            }
        }
        // The last of equals wins, and the default comes first in the map's order.
        let best = votes.into_iter().rev().max_by_key(|(_, votes)| *votes);
        best.map_or(Assignor::DEFAULT, |(assignor, _)| assignor)
    }

    /// Makes a new target assignment if the present one is out of date. If only the topics may have
    /// changed, the group epoch grows only when that makes a difference.
    pub(super) fn retarget(&mut self, cx: &mut Context<'_, T>) {
        let outdated = self.target_epoch < self.epoch || self.broken;
        if self.members.is_empty() || !(outdated || self.stale) {
            return;
        }
        let assignor = self.preferred_assignor();
        let mut topics = BTreeMap::new();
        let mut last: Option<(&Member, Arc<BTreeSet<TopicId>>)> = None;
        let mut candidates = Vec::with_capacity(self.members.len());
        for member in self.members.values() {
            // Members mostly subscribe to the same.
            let same = last.as_ref().filter(|(of, _)| {
                of.about.topics == member.about.topics
                    && of.about.pattern == member.about.pattern
                    && (of.about.pattern.is_none() || of.sight == member.sight)
            });
            let subscription = match same {
                Some((_, subscription)) => Arc::clone(subscription),
                None => Arc::new(self.subscription(member, &cx.shared.topics, &mut topics)),
            };
            last = Some((member, Arc::clone(&subscription)));
            candidates.push(Candidate {
                instance: member.about.instance_id.as_deref(),
                topics: subscription,
                held: &member.target,
            });
        }
        let targets = assignor.assign(&candidates, &topics);
        let mut differs = self.broken;
        for (member, target) in self.members.values_mut().zip(targets) {
            if member.target != target {
                differs = true;
                member.target = target;
                self.changed.targets.insert(member.id.clone());
            }
        }
        // Members may have been reconciled with an epoch whose target a crash has lost.
        if self.broken || self.target_epoch == self.epoch && differs {
            self.bump();
        }
        self.stale = false;
        self.broken = false;
        if self.target_epoch != self.epoch || self.assignor != assignor {
            self.target_epoch = self.epoch;
            self.assignor = assignor;
            self.changed.group = true;
        }
    }

    /// A topic has changed, or is new, or gone.
    pub(super) fn topic_changed(&mut self, name: &Name, exists: bool) {
        let mut concerned = self.named.contains_key(name);
        for pattern in self.patterns.values_mut() {
            if exists {
                if pattern.regex.is_match(name) {
                    pattern.topics.insert(name.clone());
                    concerned = true;
                }
            } else {
                concerned |= pattern.topics.remove(name);
            }
        }
        self.stale |= concerned;
    }

    /// Whether a member subscribes to the topic.
    pub(super) fn subscribes(&self, topic: &str) -> bool {
        self.named.contains_key(topic)
            || self.patterns.values().any(|pattern| pattern.topics.contains(topic))
    }

    /// Whether the one who names itself so is a member: its id is known, and its instance id, if it
    /// has one, is its own.
    pub(super) fn check_member(&self, id: &str, instance: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            match self.statics.get(instance) {
                None => return Err(GroupError::UnknownMember),
                Some(owner) if &**owner != id => return Err(GroupError::FencedInstance),
                Some(_) => {}
            }
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(GroupError::UnknownMember) }
    }
}
