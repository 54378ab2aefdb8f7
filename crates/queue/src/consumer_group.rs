//! Consumer groups: the broker computes who reads what, and each member reconciles itself with it
//! at its own pace (KIP-848). There is one request, the heartbeat, and no barrier: who keeps its
//! partitions reads on while others exchange theirs.
//!
//! # Epochs
//! The *group epoch* grows with every change of the members or of what they subscribe to. For each
//! group epoch there is one *target assignment*, computed by an assignor when the next heartbeat
//! comes. The *member epoch* is the group epoch that a member has been reconciled with; a member
//! that names another one is fenced.
//!
//! # Reconciliation
//! ```text
//!            owns what it must give back
//!   Stable ------------------------------> Unrevoked
//!     ^  |                                     | has given it back
//!     |  | waits for partitions of others      v
//!     |  +-----------------------------> Unreleased
//!     |                                        |
//!     +----------------------------------------+
//!                 all of its target is free
//! ```
//! A partition belongs to a member from when it is assigned until the member reports that it no
//! longer owns it, or is gone; only then another member gets it. So no partition ever has two
//! owners. Who does not give partitions back within its rebalance timeout is removed.
//!
//! # Durability
//! State changes at once in memory; whoever was to learn of it is answered when it is durable, in
//! the order of the changes. If a write fails, all that wait are refused, and the next heartbeat
//! writes the group as a whole.

mod assignor;
#[cfg(test)]
mod check;
mod describe;
mod group;
mod groups;
mod heartbeat;
mod journal;
mod member;
mod pattern;
mod reconcile;
mod restore;
mod topics;
mod types;

pub use pattern::Pattern;
pub use types::{
    AWAY_EPOCH, ConsumerDescription, ConsumerMemberDescription, Heartbeat, HeartbeatRequest,
    JOIN_EPOCH, LEAVE_EPOCH, MemberState, Partitions, Sight, Timing, TopicView,
};

pub(crate) use groups::ConsumerGroups;
pub(crate) use heartbeat::check as check_heartbeat;
pub(crate) use restore::Stored;
