//! What must hold between inputs, for tests.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::group::Group;
use super::groups::ConsumerGroups;
use super::member::about_bytes;
use super::types::MemberState;
use crate::group::Timer;

impl<T> ConsumerGroups<T> {
    /// Whether everything has been put out, and nothing of it has failed.
    pub(crate) fn is_saved(&self) -> bool {
        self.groups.values().all(|group| group.changed.is_empty())
    }

    /// Panics when counts, timers or indexes have come apart from what they count.
    pub(crate) fn check(&self) {
        let mut timers = BTreeSet::new();
        for group in self.groups.values() {
            group.check();
            for member in group.members.values() {
                let timer = Timer::Member(group.name.clone(), member.id.clone());
                timers.insert((member.timer_at, timer));
                assert!(member.timer_at <= member.next_deadline(), "a timer would fire too late");
            }
        }
        assert_eq!(self.shared.timers.all(), &timers);
        assert_eq!(self.shared.bytes, self.groups.values().map(|g| g.bytes).sum::<usize>());
    }
}

impl<T> Group<T> {
    fn check(&self) {
        let members = || self.members.values();
        let mut owners = BTreeMap::new();
        let mut named: HashMap<_, usize> = HashMap::new();
        for member in members() {
            for partition in member.assigned.iter().chain(&member.revoking) {
                let other = owners.insert(*partition, member.id.clone());
                assert!(other.is_none(), "{partition:?} of {} and {other:?}", member.id);
            }
            for topic in &member.about.topics {
                *named.entry(topic.clone()).or_default() += 1;
            }
            let unrevoked = member.state == MemberState::Unrevoked;
            assert_eq!(unrevoked, !member.revoking.is_empty() || member.is_away() && unrevoked);
            assert!(!unrevoked || member.is_away() || member.revoke_by.is_some());
            assert!(member.epoch <= self.epoch, "a member ahead of its group");
            let reconciled = member.is_reconciled(self.target_epoch);
            assert!(!reconciled || member.assigned == member.target || self.broken);
        }
        assert_eq!(self.owners, owners);
        assert_eq!(self.named, named);
        let statics = members().filter_map(|m| Some((m.about.instance_id.clone()?, m.id.clone())));
        assert_eq!(self.statics, statics.collect());
        assert_eq!(self.bytes, members().map(|m| about_bytes(&m.about)).sum::<usize>());
        let patterns: BTreeSet<_> = members().filter_map(|m| m.about.pattern.clone()).collect();
        assert_eq!(self.patterns.keys().cloned().collect::<BTreeSet<_>>(), patterns);
        assert!(self.target_epoch <= self.epoch);
    }
}
