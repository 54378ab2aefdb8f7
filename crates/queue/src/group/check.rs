//! What must hold between inputs, for tests.

use std::collections::{BTreeSet, HashMap};

use super::membership::Membership;
use super::state::Group;
use super::timers::Timer;
use super::types::GroupState;

impl<T> Membership<T> {
    /// Panics when counts, timers or indexes have come apart from what they count.
    pub(crate) fn check(&self) {
        let mut timers = BTreeSet::new();
        for group in self.groups.values() {
            group.check();
            let name = || group.name.clone();
            for member in group.members.values() {
                timers.insert((member.timer_at, Timer::Member(name(), member.id.clone())));
            }
            for (id, pending) in &group.pending {
                timers.insert((pending.timer_at, Timer::Member(name(), id.clone())));
            }
            timers.extend(group.phase_at.map(|at| (at, Timer::Phase(name()))));
        }
        assert_eq!(self.shared.timers.all(), &timers);
        assert_eq!(self.shared.bytes, self.groups.values().map(|g| g.bytes).sum::<usize>());
    }
}

impl<T> Group<T> {
    fn check(&self) {
        let members = || self.members.values();
        assert_eq!(self.joining, members().filter(|m| m.join.is_some()).count());
        assert_eq!(self.unsynced, members().filter(|m| !m.synced).count());
        assert_eq!(self.bytes, members().map(|m| m.bytes()).sum::<usize>());
        let mut supported = HashMap::new();
        for protocol in members().flat_map(|m| &m.protocols) {
            *supported.entry(protocol.name.clone()).or_default() += 1;
        }
        assert_eq!(self.supported, supported);
        let statics = members().filter_map(|m| Some((m.instance.clone()?, m.id.clone())));
        assert_eq!(self.statics, statics.collect());
        assert!(members().all(|m| m.timer_at <= m.deadline), "a session would end too late");
        match &self.leader {
            Some(leader) => assert!(self.members.contains_key(leader), "a leader from outside"),
            None => assert!(self.members.is_empty(), "members without a leader"),
        }
        self.check_state();
    }

    fn check_state(&self) {
        let members = || self.members.values();
        let waits = members().any(|m| m.join.is_some());
        match self.state {
            GroupState::Empty | GroupState::Dead => {
                assert!(self.members.is_empty() && self.phase_at.is_none());
            }
            GroupState::PreparingRebalance => {
                assert!(self.phase_at.is_some(), "nothing would end the phase");
                assert!(members().all(|m| m.sync.is_none()));
            }
            GroupState::CompletingRebalance => {
                assert!(!self.members.is_empty() && !waits);
                // The leader's sync ends it, and the timer is there for as long as that is missing.
                assert!(self.phase_at.is_some() == (self.unsynced > 0));
            }
            GroupState::Assigning | GroupState::Reconciling => panic!("not a state of such groups"),
            GroupState::Stable => {
                assert!(!self.members.is_empty() && members().all(|m| m.sync.is_none()));
                let waiting = members().filter(|m| m.join.is_some()).count();
                assert!(waiting <= self.in_flight.len(), "a join without a persist that ends it");
            }
        }
    }
}
