//! Requests to a consumer group, and what it answers.

use std::collections::BTreeSet;
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use base::{Millis, TopicId};

use crate::Name;
use crate::group::GroupState;

/// The epoch in the heartbeat of a member that joins.
pub const JOIN_EPOCH: i32 = 0;
/// The epoch in the heartbeat of a member that leaves.
pub const LEAVE_EPOCH: i32 = -1;
/// The epoch in the heartbeat of a static member that leaves and means to come back, and its epoch
/// while it is away.
pub const AWAY_EPOCH: i32 = -2;

/// Partitions of topics.
pub type Partitions = BTreeSet<(TopicId, i32)>;

/// What groups need to know of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicView {
    /// Its name.
    pub name: Name,
    /// Its identity.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: i32,
}

/// What is set for a group in place of the broker's own settings, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// A member is gone when not heard of for so long.
    pub session: Millis,
    /// How often members are told to send heartbeats.
    pub interval: Millis,
}

/// Which topics somebody may know of. What one of these says of a name never changes; other rules
/// make another one.
#[derive(Clone, Default)]
pub struct Sight(Option<Arc<Sees>>);

/// Whether they may know of the topic.
type Sees = dyn Fn(&str) -> bool + Send + Sync;

impl Sight {
    /// Of all topics.
    pub const EVERYTHING: Self = Self(None);

    /// Of those of which this is true; always the same of the same name.
    pub fn of(sees: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sees)))
    }

    /// Whether they may know of the topic.
    pub fn sees(&self, topic: &str) -> bool {
        self.0.as_ref().is_none_or(|sees| sees(topic))
    }
}

impl PartialEq for Sight {
    /// Whether they are known to be the same: clones of one.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Sight {}

impl Debug for Sight {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_none() { "Sight::EVERYTHING" } else { "Sight" })
    }
}

/// A member's heartbeat. What is `None` has not changed since the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatRequest {
    /// The group's name.
    pub group: Name,
    /// The member's id. Empty only on joining: the broker makes one up.
    pub member_id: Name,
    /// The member's epoch, or [`JOIN_EPOCH`], [`LEAVE_EPOCH`], [`AWAY_EPOCH`].
    pub epoch: i32,
    /// The instance id of a static member.
    pub instance_id: Option<Name>,
    /// Where the client stands; shown to operators.
    pub rack: Option<Name>,
    /// What the client calls itself; shown to operators.
    pub client_id: Name,
    /// Where the client connects from; shown to operators.
    pub client_host: Name,
    /// How long the member may take to give partitions back, in milliseconds.
    pub rebalance_timeout: Option<Millis>,
    /// The topics that it subscribes to by name.
    pub topics: Option<Vec<Name>>,
    /// The pattern of topic names that it subscribes to: a regular expression (RE2) that has to
    /// match the whole name. Empty: none (any more).
    pub pattern: Option<Name>,
    /// The assignor that it prefers.
    pub assignor: Option<Name>,
    /// What the member owns at present.
    pub owned: Option<Partitions>,
    /// What is set for the group now.
    pub timing: Option<Timing>,
    /// Which topics the member may know of: a pattern finds no others.
    pub sight: Sight,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The member's id, from now on.
    pub member_id: Name,
    /// The member's epoch, from now on.
    pub epoch: i32,
    /// When to send the next heartbeat, in milliseconds from now.
    pub interval: Millis,
    /// What the member is to own: it gives back what is not in it, and may use the rest. `None`
    /// when that has not changed.
    pub assignment: Option<Partitions>,
}

/// How far a member has come on its way to the target assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MemberState {
    /// It has all that was free when its epoch began, and that was all.
    #[default]
    Stable,
    /// It has been asked to give partitions back, and has not.
    Unrevoked,
    /// It waits for partitions that others have not given back.
    Unreleased,
}

/// A consumer group, in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerDescription {
    /// The group's name.
    pub group: Name,
    /// Where it is in its life.
    pub state: GroupState,
    /// The group epoch.
    pub epoch: i32,
    /// The epoch of the target assignment.
    pub target_epoch: i32,
    /// The assignor that made it, or would make it.
    pub assignor: &'static str,
    /// The members, in the order of their ids.
    pub members: Vec<ConsumerMemberDescription>,
}

/// One member of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerMemberDescription {
    /// The member's id.
    pub member_id: Name,
    /// The instance id of a static member.
    pub instance_id: Option<Name>,
    /// Where the client stands.
    pub rack: Option<Name>,
    /// What the client calls itself.
    pub client_id: Name,
    /// Where the client connects from.
    pub client_host: Name,
    /// The member's epoch; [`AWAY_EPOCH`] while a static member is away.
    pub epoch: i32,
    /// How far it has come.
    pub state: MemberState,
    /// The topics that it subscribes to by name.
    pub topics: Vec<Name>,
    /// The pattern that it subscribes to.
    pub pattern: Option<Name>,
    /// What it may use.
    pub assigned: Partitions,
    /// What it is to own in the end.
    pub target: Partitions,
}
