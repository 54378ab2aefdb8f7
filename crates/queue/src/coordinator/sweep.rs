//! The sweep: finds offsets whose time has passed, and groups that nobody needs.

use base::Millis;

use super::Coordinator;
use crate::Name;
use crate::group::Idle;
use crate::offsets::Resume;

/// Where the sweep is. It examines a bounded number per tick, and goes on with the next.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// When to go on, or to begin anew.
    at: Option<Millis>,
    /// Groups left to examine.
    left: Vec<Name>,
    /// Where to go on in the first of them.
    resume: Option<Resume>,
}

impl Sweep {
    pub(super) fn schedule(&mut self, at: Millis) {
        self.at = Some(at);
    }

    pub(super) fn next(&self) -> Option<Millis> {
        self.at
    }
}

impl<T> Coordinator<T> {
    pub(super) fn sweep(&mut self, now: Millis) {
        if self.sweep.at.is_none_or(|at| at > now) {
            return;
        }
        if self.sweep.left.is_empty() {
            self.sweep.left = self.members.names();
            self.sweep.left.extend(self.consumers.names().cloned());
        }
        let mut budget = self.config.sweep_batch.max(2);
        while budget > 1 {
            let Some(group) = self.sweep.left.last().cloned() else { break };
            budget -= 1;
            self.sweep_group(&group, &mut budget, now);
            if self.sweep.resume.is_none() {
                self.sweep.left.pop();
            }
        }
        // With some left, go on at the next tick; the caller's other work comes in between.
        let pause = if self.sweep.left.is_empty() { self.config.offsets_check_interval } else { 1 };
        self.sweep.schedule(now + pause);
    }

    fn sweep_group(&mut self, group: &Name, budget: &mut usize, now: Millis) {
        let from = self.sweep.resume.take();
        // The offsets of a group with members are in use, however old.
        let idle = self.members.idle(group).or_else(|| self.consumers.idle(group));
        let Some(idle) = idle else { return };
        if !self.offsets.has_group(group) {
            return self.sweep_unused(group, now);
        }
        let retention = self.config.offsets_retention;
        let (keys, resume) = self.offsets.expired(group, from, budget, |committed| {
            let unused_since = match idle {
                Idle::Always => committed.committed_at,
                Idle::Since(since) => since.max(committed.committed_at),
            };
            let expires = unused_since.saturating_add(retention);
            committed.expires_at.unwrap_or(expires) <= now
        });
        self.expire(keys);
        self.sweep.resume = resume;
    }

    /// No members, no offsets: what is stored of it goes too.
    fn sweep_unused(&mut self, group: &Name, now: Millis) {
        self.members.without_offsets(group);
        self.consumers.set_has_offsets(group, false);
        if self.check_empty(group).is_ok() {
            self.begin_delete_group(group, None, now);
        }
    }
}
