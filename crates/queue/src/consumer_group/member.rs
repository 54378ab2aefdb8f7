//! One member of a consumer group.

use base::Millis;

use super::types::{
    AWAY_EPOCH, ConsumerMemberDescription, HeartbeatRequest, MemberState, Partitions, Sight,
};
use crate::Name;
use crate::group::{TIMEOUTS, shorten};
use crate::record::{ConsumerMemberValue, CurrentAssignmentValue};

/// Memory that a member costs besides its subscription, roughly.
const OVERHEAD_BYTES: usize = 600;

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: Name,
    /// What it says about itself, as it is stored.
    pub(super) about: ConsumerMemberValue,
    pub(super) epoch: i32,
    pub(super) previous_epoch: i32,
    pub(super) state: MemberState,
    /// What it may use.
    pub(super) assigned: Partitions,
    /// What it is to give back. Not in `assigned` any more, but nobody else's yet.
    pub(super) revoking: Partitions,
    /// What it is to own in the end.
    pub(super) target: Partitions,
    /// It has said that it owns all that it may use. Until then it may be about to take what it has
    /// been told, whatever it says that it owns.
    pub(super) settled: bool,
    /// Which topics it may know of, as its last heartbeat said. Not stored: after a restart it is
    /// everything until the next one, before whose answer it is told nothing.
    pub(super) sight: Sight,
    /// When its session ends. Moved by heartbeats.
    pub(super) deadline: Millis,
    /// When it must have given back what it is to give back; set while it is unrevoked.
    pub(super) revoke_by: Option<Millis>,
    /// What its timer is set to; never later than the two before.
    pub(super) timer_at: Millis,
}

impl Member {
    pub(super) fn new(id: Name) -> Self {
        Self {
            id,
            about: ConsumerMemberValue::default(),
            epoch: 0,
            previous_epoch: 0,
            state: MemberState::Stable,
            assigned: Partitions::new(),
            revoking: Partitions::new(),
            target: Partitions::new(),
            settled: false,
            sight: Sight::EVERYTHING,
            deadline: 0,
            revoke_by: None,
            timer_at: 0,
        }
    }

    pub(super) fn is_away(&self) -> bool {
        self.epoch == AWAY_EPOCH
    }

    pub(super) fn is_reconciled(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }

    /// When to look at it next.
    pub(super) fn next_deadline(&self) -> Millis {
        self.revoke_by.map_or(self.deadline, |at| at.min(self.deadline))
    }

    /// What it says about itself after this heartbeat.
    pub(super) fn about_after(&self, request: &HeartbeatRequest) -> ConsumerMemberValue {
        let mut about = self.about.clone();
        if let Some(instance) = &request.instance_id {
            about.instance_id = Some(instance.clone());
        }
        if let Some(rack) = &request.rack {
            about.rack = Some(rack.clone());
        }
        about.client_id = shorten(&request.client_id);
        about.client_host = shorten(&request.client_host);
        if let Some(timeout) = request.rebalance_timeout {
            about.rebalance_timeout = timeout.clamp(*TIMEOUTS.start(), *TIMEOUTS.end());
        }
        if let Some(assignor) = &request.assignor {
            about.assignor = Some(assignor.clone());
        }
        if let Some(pattern) = &request.pattern {
            about.pattern = Some(pattern.clone()).filter(|pattern| !pattern.is_empty());
        }
        if let Some(topics) = &request.topics {
            about.topics.clone_from(topics);
            about.topics.sort();
            about.topics.dedup();
        }
        about
    }

    pub(super) fn current(&self) -> CurrentAssignmentValue {
        CurrentAssignmentValue {
            epoch: self.epoch,
            previous_epoch: self.previous_epoch,
            state: self.state,
            assigned: self.assigned.clone(),
            revoking: self.revoking.clone(),
        }
    }

    pub(super) fn describe(&self) -> ConsumerMemberDescription {
        ConsumerMemberDescription {
            member_id: self.id.clone(),
            instance_id: self.about.instance_id.clone(),
            rack: self.about.rack.clone(),
            client_id: self.about.client_id.clone(),
            client_host: self.about.client_host.clone(),
            epoch: self.epoch,
            state: self.state,
            topics: self.about.topics.clone(),
            pattern: self.about.pattern.clone(),
            assigned: self.assigned.clone(),
            target: self.target.clone(),
        }
    }
}

/// What a member that says this about itself counts for against the limits.
pub(super) fn about_bytes(about: &ConsumerMemberValue) -> usize {
    let names = [&about.instance_id, &about.rack, &about.assignor, &about.pattern];
    let names: usize = names.into_iter().flatten().map(|name| name.len()).sum();
    let topics: usize = about.topics.iter().map(|topic| 32 + topic.len()).sum();
    OVERHEAD_BYTES + names + topics
}
